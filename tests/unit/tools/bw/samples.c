/*
 * Tests of tools/bw/samples.h.
 */
#include "tools/bw/samples.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_summarize__a_thousand_values__exact_percentiles(void **state)
{
	struct samples_summary summary;
	struct samples samples;

	(void)state;
	samples_init(&samples, 1);
	for (uint64_t i = 1000; i >= 1; i--)
		assert_int_equal(samples_add(&samples, i), 0);
	samples_summarize(&samples, &summary);
	assert_int_equal(summary.count, 1000);
	assert_int_equal(summary.least, 1);
	assert_int_equal(summary.greatest, 1000);
	assert_int_equal(summary.p50, 500);
	assert_int_equal(summary.p99, 990);
	assert_int_equal(summary.p999, 999);
	assert_true(summary.mean > 500.49 && summary.mean < 500.51);
	assert_true(summary.deviation > 288.6 && summary.deviation < 288.8);
	samples_fini(&samples);
	samples_fini(&samples);
}

static void test_summarize__empty__zeros(void **state)
{
	struct samples_summary summary;
	struct samples_bucket buckets[SAMPLES_BUCKETS_MAX];
	struct samples samples;

	(void)state;
	samples_init(&samples, 1);
	samples_summarize(&samples, &summary);
	assert_int_equal(summary.count, 0);
	assert_int_equal(summary.greatest, 0);
	assert_int_equal(samples_histogram(&samples, buckets), 0);
	samples_fini(&samples);
}

/* Values that grow all the time: the first million alone would give a median of a quarter. */
static void test_add__more_than_are_kept__a_fair_choice(void **state)
{
	const uint64_t count = 2 * (uint64_t)SAMPLES_KEPT_MAX;
	struct samples_summary summary;
	struct samples samples;

	(void)state;
	samples_init(&samples, 7);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(samples_add(&samples, i), 0);
	assert_int_equal(samples.kept_count, SAMPLES_KEPT_MAX);
	samples_summarize(&samples, &summary);
	assert_int_equal(summary.count, count);
	assert_int_equal(summary.greatest, count - 1);
	assert_in_range(summary.p50, count * 49 / 100, count * 51 / 100);
	samples_fini(&samples);
}

static void test_merge__two__as_if_one_had_seen_all(void **state)
{
	struct samples_summary merged, whole;
	struct samples a, b, all;

	(void)state;
	samples_init(&a, 1);
	samples_init(&b, 2);
	samples_init(&all, 3);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(samples_add(i % 3 ? &a : &b, i * i), 0);
		assert_int_equal(samples_add(&all, i * i), 0);
	}
	assert_int_equal(samples_merge(&a, &b), 0);
	samples_summarize(&a, &merged);
	samples_summarize(&all, &whole);
	assert_int_equal(merged.count, whole.count);
	assert_int_equal(merged.least, whole.least);
	assert_int_equal(merged.greatest, whole.greatest);
	assert_int_equal(merged.p50, whole.p50);
	assert_int_equal(merged.p999, whole.p999);
	assert_true(merged.mean > whole.mean * 0.9999 && merged.mean < whole.mean * 1.0001);
	assert_true(merged.deviation > whole.deviation * 0.9999 &&
		    merged.deviation < whole.deviation * 1.0001);
	samples_fini(&a);
	samples_fini(&b);
	samples_fini(&all);
}

static void test_merge__one_saw_far_more__counts_for_more(void **state)
{
	struct samples_summary summary;
	struct samples a, b;

	(void)state;
	samples_init(&a, 1);
	samples_init(&b, 2);
	for (uint64_t i = 0; i < 3 * (uint64_t)SAMPLES_KEPT_MAX; i++)
		assert_int_equal(samples_add(&a, 10), 0);
	for (uint64_t i = 0; i < SAMPLES_KEPT_MAX; i++)
		assert_int_equal(samples_add(&b, 1000), 0);
	assert_int_equal(samples_merge(&a, &b), 0);
	assert_true(a.kept_count <= SAMPLES_KEPT_MAX);
	samples_summarize(&a, &summary);
	assert_int_equal(summary.count, 4 * (uint64_t)SAMPLES_KEPT_MAX);
	assert_int_equal(summary.p50, 10);
	assert_int_equal(summary.p99, 1000);
	assert_true(summary.mean > 257 && summary.mean < 258);
	samples_fini(&a);
	samples_fini(&b);
}

static void test_merge__with_nothing__either_way(void **state)
{
	struct samples a, b;

	(void)state;
	samples_init(&a, 1);
	samples_init(&b, 2);
	assert_int_equal(samples_merge(&a, &b), 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(samples_add(&b, 5), 0);
	assert_int_equal(samples_merge(&a, &b), 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.least, 5);
	assert_int_equal(samples_merge(&b, &(struct samples){ 0 }), 0);
	assert_int_equal(b.count, 1);
	samples_fini(&a);
	samples_fini(&b);
}

static void test_histogram__values__from_the_first_to_the_last(void **state)
{
	struct samples_bucket buckets[SAMPLES_BUCKETS_MAX];
	struct samples samples;
	uint64_t count = 0;
	unsigned found;

	(void)state;
	samples_init(&samples, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(samples_add(&samples, 1000), 0);
	assert_int_equal(samples_add(&samples, 4000), 0);
	found = samples_histogram(&samples, buckets);
	assert_in_range(found, 3, 6);
	assert_int_equal(buckets[0].count, 10);
	assert_true(buckets[0].below_ns > 1000 && buckets[0].below_ns <= 1415);
	assert_int_equal(buckets[found - 1].count, 1);
	assert_true(buckets[found - 1].below_ns > 4000);
	for (unsigned i = 0; i < found; i++)
		count += buckets[i].count;
	assert_int_equal(count, 11);
	samples_fini(&samples);
}

static void test_print_histogram__rare_values__are_seen(void **state)
{
	struct samples samples;
	char *text = NULL;
	size_t len;
	FILE *out;

	(void)state;
	samples_init(&samples, 1);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(samples_add(&samples, 1000), 0);
	assert_int_equal(samples_add(&samples, UINT64_C(1) << 40), 0);
	out = open_memstream(&text, &len);
	samples_print_histogram(&samples, out);
	fclose(out);
	assert_non_null(strstr(text, "100,000 ##################################################"));
	assert_non_null(strstr(text, "1 #\n"));
	free(text);
	samples_fini(&samples);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_summarize__a_thousand_values__exact_percentiles),
		cmocka_unit_test(test_summarize__empty__zeros),
		cmocka_unit_test(test_add__more_than_are_kept__a_fair_choice),
		cmocka_unit_test(test_merge__two__as_if_one_had_seen_all),
		cmocka_unit_test(test_merge__one_saw_far_more__counts_for_more),
		cmocka_unit_test(test_merge__with_nothing__either_way),
		cmocka_unit_test(test_histogram__values__from_the_first_to_the_last),
		cmocka_unit_test(test_print_histogram__rare_values__are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
