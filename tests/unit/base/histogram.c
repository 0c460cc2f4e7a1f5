/*
 * Tests of histogram.h: the buckets tile the range, and a quantile is within 3.2 % of the truth.
 */
#include "base/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#define VALUE_COUNT 5000
#define RANGE	    (UINT64_C(1) << 40)

static struct histogram histogram;

static int setup(void **state)
{
	(void)state;
	memset(&histogram, 0, sizeof(histogram));
	return 0;
}

static void test_histogram_bucket__all__tile_the_range_without_gaps(void **state)
{
	uint64_t next = 0;

	(void)state;
	for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
		assert_int_equal(histogram_bucket_index(next), i);
		assert_int_equal(histogram_bucket_index(histogram_bucket_max(i)), i);
		next = histogram_bucket_max(i) + 1;
	}
	assert_int_equal(next, 0); /* the last bucket ends with the numbers */
	assert_int_equal(histogram_bucket_index(RANGE - 1), HISTOGRAM_BUCKET_COUNT - 1);
	assert_int_equal(histogram_bucket_index(RANGE), HISTOGRAM_BUCKET_COUNT - 1);
}

static void test_histogram_quantile__nothing_recorded__is_zero(void **state)
{
	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 0), 0);
	assert_int_equal(histogram_quantile(&histogram, 1000), 0);
	assert_int_equal(histogram_mean(&histogram), 0);
}

static void test_histogram_quantile__small_values__are_exact(void **state)
{
	(void)state;
	for (uint64_t value = 1; value <= 20; value++)
		histogram_record(&histogram, value);
	assert_int_equal(histogram_quantile(&histogram, 0), 1);
	assert_int_equal(histogram_quantile(&histogram, 50), 1);
	assert_int_equal(histogram_quantile(&histogram, 51), 2);
	assert_int_equal(histogram_quantile(&histogram, 500), 10);
	assert_int_equal(histogram_quantile(&histogram, 999), 20);
	assert_int_equal(histogram_quantile(&histogram, 1000), 20);
	assert_int_equal(histogram_mean(&histogram), 10);
	assert_int_equal(histogram.max, 20);
}

static void test_histogram_quantile__beyond_the_range__is_the_maximum(void **state)
{
	(void)state;
	histogram_record(&histogram, 5);
	histogram_record(&histogram, RANGE * 1000);
	assert_int_equal(histogram_quantile(&histogram, 500), 5);
	assert_int_equal(histogram_quantile(&histogram, 1000), RANGE * 1000);
}

static int compare_values(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* Of any size class alike, so that all buckets take part. */
static uint64_t random_value(struct random *random)
{
	uint64_t bits = random_below(random, 40) + 1;

	return random_u64(random) >> (64 - bits);
}

static void test_histogram_quantile__random_values__is_within_3_percent_above(void **state)
{
	static uint64_t values[VALUE_COUNT];

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct random random;

		setup(NULL);
		random_init(&random, seed);
		for (unsigned i = 0; i < VALUE_COUNT; i++) {
			values[i] = random_value(&random);
			histogram_record(&histogram, values[i]);
		}
		qsort(values, VALUE_COUNT, sizeof(values[0]), compare_values);
		for (unsigned per_mille = 1; per_mille <= 1000; per_mille++) {
			unsigned rank = (VALUE_COUNT * per_mille + 999) / 1000;
			uint64_t truth = values[rank - 1];
			uint64_t found = histogram_quantile(&histogram, per_mille);

			if (found < truth || found - truth > truth / 32)
				fail_msg("seed %lu: %u of 1000: %lu instead of %lu",
					 (unsigned long)seed, per_mille, (unsigned long)found,
					 (unsigned long)truth);
		}
	}
}

static void *record_many(void *argument)
{
	uint64_t own = *(const uint64_t *)argument;

	for (uint64_t i = 0; i < 5000; i++)
		histogram_record(&histogram, own + i);
	return NULL;
}

static void test_histogram_record__several_threads__loses_nothing(void **state)
{
	uint64_t starts[4] = { 0, 100000, 200000, 300000 };
	pthread_t threads[4];
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, record_many, &starts[i]), 0);
	for (int i = 0; i < 100; i++)
		assert_true(histogram_quantile(&histogram, 1000) < 310000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < HISTOGRAM_BUCKET_COUNT; i++)
		sum += histogram.buckets[i];
	assert_int_equal(sum, 20000);
	assert_int_equal(histogram.count, 20000);
	assert_int_equal(histogram.max, 304999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_histogram_bucket__all__tile_the_range_without_gaps,
				       setup),
		cmocka_unit_test_setup(test_histogram_quantile__nothing_recorded__is_zero, setup),
		cmocka_unit_test_setup(test_histogram_quantile__small_values__are_exact, setup),
		cmocka_unit_test_setup(test_histogram_quantile__beyond_the_range__is_the_maximum,
				       setup),
		cmocka_unit_test_setup(
			test_histogram_quantile__random_values__is_within_3_percent_above, setup),
		cmocka_unit_test_setup(test_histogram_record__several_threads__loses_nothing,
				       setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
