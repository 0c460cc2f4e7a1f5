/*
 * fetch.c - pages and look-ups whose answers other nodes had got before: how old they may be, and
 * that nothing is believed for longer on their account.
 */
#include "fuse/namespace/fetch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fuse/namespace/rig.h"

#define ROOT NODE_ROOT_ID

static struct rig rig;

static void advance(uint64_t s)
{
	clock_manual_advance(&rig.clock, s * NS_PER_S);
}

static void read_root(bool plus)
{
	struct rig_reader reader;

	rig_open(&rig, &reader, ROOT, plus);
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	rig_close(&rig, &reader);
}

static void test_listing__asks_for_pages_as_old_as_it_would_keep_them(void **state)
{
	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	read_root(false);
	assert_int_equal(rig.fake.list.max_age_ns, 60 * NS_PER_S);
	assert_int_equal(rig.fake.list.absent_age_ns, 60 * NS_PER_S);
}

static void test_listing__of_an_old_page__is_kept_for_what_is_left(void **state)
{
	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig.fake.list_age_ns = 50 * NS_PER_S;
	read_root(false);
	assert_int_equal(rig.fake.lists, 1);
	advance(9);
	read_root(false);
	assert_int_equal(rig.fake.lists, 1);
	advance(2);
	read_root(false);
	assert_int_equal(rig.fake.lists, 2);
}

static void test_listing__one_of_its_pages_is_old__is_as_old_as_that(void **state)
{
	static const uint64_t ages_s[] = { 0, 50, 0 };
	struct rig_reader reader;

	(void)state;
	rig.fake.page_max = 2;
	for (unsigned i = 0; i < 6; i++) {
		char key[8];

		snprintf(key, sizeof(key), "k%u", i);
		fake_put(&rig.fake, key, 1, "e1");
	}
	rig_open(&rig, &reader, ROOT, false);
	rig_read_start(&rig, &reader);
	for (unsigned i = 0; i < ARRAY_COUNT(ages_s); i++) {
		rig.fake.list_age_ns = ages_s[i] * NS_PER_S;
		assert_true(fake_run(&rig.fake));
	}
	assert_int_equal(rig_read_all(&rig, &reader), 0);
	assert_int_equal(reader.count, 6);
	rig_close(&rig, &reader);
	assert_int_equal(rig.fake.lists, 3);
	advance(9);
	read_root(false);
	assert_int_equal(rig.fake.lists, 3);
	advance(2);
	rig.fake.list_age_ns = 0;
	read_root(false);
	assert_int_equal(rig.fake.lists, 6);
}

static void test_listing__of_an_old_page__tells_what_is_not_there_no_longer_than_that(void **state)
{
	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig.fake.list_age_ns = 4 * NS_PER_S;
	read_root(false);
	rig.fake.list_age_ns = 0;
	assert_int_equal(rig_lookup(&rig, ROOT, "b", NULL), -ENOENT);
	assert_int_equal(rig.fake.heads, 0);
	advance(1); /* negative_timeout is 5 s */
	assert_int_equal(rig_lookup(&rig, ROOT, "b", NULL), -ENOENT);
	assert_int_equal(rig.fake.heads, 1);
}

static void test_listing__after_a_refusal__older_pages_will_not_do(void **state)
{
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	read_root(false);
	advance(10);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	namespace_refused(rig.ns, id);
	advance(3);
	read_root(false);
	assert_int_equal(rig.fake.list.max_age_ns, 3 * NS_PER_S);
	advance(100);
	read_root(false);
	assert_int_equal(rig.fake.list.max_age_ns, 60 * NS_PER_S);
}

static void test_lookup__of_what_is_not_known__asks_for_answers_as_old_as_they_may_be(void **state)
{
	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), 0);
	assert_int_equal(rig.fake.head.max_age_ns, 60 * NS_PER_S);
	assert_int_equal(rig.fake.head.absent_age_ns, 5 * NS_PER_S);
	assert_string_equal(rig.fake.head.refused, "");
}

static void test_lookup__answered_by_an_old_one__is_believed_for_what_is_left(void **state)
{
	struct namespace_attributes attributes;
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	rig.fake.head_age_ns = 20 * NS_PER_S;
	rig.fake.list_age_ns = 50 * NS_PER_S; /* the older of the two counts */
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(namespace_attributes(rig.ns, id, &attributes), 0);
	assert_int_equal(attributes.entry_timeout, 10 * NS_PER_S);
	advance(9);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(rig.fake.heads, 1);
	advance(1);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	assert_int_equal(rig.fake.heads, 2);
}

static void
test_lookup__old_answer_that_there_is_nothing__is_believed_for_what_is_left(void **state)
{
	static const struct {
		uint64_t age_s, left_s;
	} rows[] = { { 0, 5 }, { 4, 1 }, { 5, 0 }, { 60, 0 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_lookup lookup;

		rig.fake.head_age_ns = rows[i].age_s * NS_PER_S;
		rig_lookup_start(&rig, &lookup, ROOT, "none");
		fake_run_all(&rig.fake);
		assert_true(lookup.ended);
		assert_int_equal(lookup.lookup.status, -ENOENT);
		assert_int_equal(lookup.lookup.negative_timeout, rows[i].left_s * NS_PER_S);
	}
}

static void test_lookup__after_a_refusal__says_which_etag(void **state)
{
	uint64_t id, after;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	advance(20);
	namespace_refused(rig.ns, id);
	advance(1);
	fake_put(&rig.fake, "a", 1, "e2");
	rig.fake.head_age_ns = 5 * NS_PER_S; /* somebody else had asked, after it was overwritten */
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_string_equal(rig.fake.head.refused, "e1");
	assert_int_equal(rig.fake.head.max_age_ns, 21 * NS_PER_S); /* nothing from before e1 */
	assert_int_equal(rig.fake.head.absent_age_ns, 5 * NS_PER_S);
	assert_true(after != id);
	advance(60);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &after), 0);
	assert_string_equal(rig.fake.head.refused, "");
}

static void test_lookup__of_what_was_gone__believes_nothing_older(void **state)
{
	uint64_t id;

	(void)state;
	fake_put(&rig.fake, "a", 1, "e1");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", &id), 0);
	advance(61);
	fake_delete(&rig.fake, "a");
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), -ENOENT);
	advance(2);
	assert_int_equal(rig_lookup(&rig, ROOT, "a", NULL), -ENOENT);
	assert_int_equal(rig.fake.head.max_age_ns, 2 * NS_PER_S);
	assert_int_equal(rig.fake.head.absent_age_ns, 2 * NS_PER_S);
	assert_string_equal(rig.fake.head.refused, "");
}

#define TEST(test) RIG_TEST(&rig, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_listing__asks_for_pages_as_old_as_it_would_keep_them),
		TEST(test_listing__of_an_old_page__is_kept_for_what_is_left),
		TEST(test_listing__one_of_its_pages_is_old__is_as_old_as_that),
		TEST(test_listing__of_an_old_page__tells_what_is_not_there_no_longer_than_that),
		TEST(test_listing__after_a_refusal__older_pages_will_not_do),
		TEST(test_lookup__of_what_is_not_known__asks_for_answers_as_old_as_they_may_be),
		TEST(test_lookup__answered_by_an_old_one__is_believed_for_what_is_left),
		TEST(test_lookup__old_answer_that_there_is_nothing__is_believed_for_what_is_left),
		TEST(test_lookup__after_a_refusal__says_which_etag),
		TEST(test_lookup__of_what_was_gone__believes_nothing_older),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
