/*
 * catalog_trouble.c - a store that fails, owners that do not answer, pages that cannot be read:
 * every question is answered all the same.
 */
#include "cache/peer/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cache/peer/catalog_rig.h"

/* --- errors of the store */

static void test_error__of_the_owners_store__everyone_asks_for_himself(void **state)
{
	static const int statuses[] = { -EIO, -EACCES, -ETIMEDOUT, -EAGAIN, -EPROTO };
	struct rig *rig = rig_of(state);
	struct rig_list list, own;
	struct rig_head head;
	char prefix[64], key[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig_key_of(rig, 1, 0, key);
	for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
		unsigned before = rig->nodes[0].store.lists + rig->nodes[0].store.heads;

		rig->list_status = rig->head_status = statuses[i];
		rig->nodes[0].store.holds = true;
		rig_list(&rig->nodes[0], &list, prefix);
		rig_head(&rig->nodes[0], &head, key, NULL);
		rig_list_now(&rig->nodes[1], &own, prefix, statuses[i]);
		rig->list_status = rig->head_status = 0;
		rig_answer(&rig->nodes[0]);
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
		rig_head_expect(&head, 0, "\"first\"");
		assert_int_equal(rig->nodes[0].store.lists + rig->nodes[0].store.heads - before, 2);
	}
	assert_int_equal(rig_count(&rig->nodes[1], PEERS_CATALOG_BYTES),
			 0); /* errors are not kept */
}

static void test_list__no_such_bucket__is_believed_but_not_kept(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->list_status = -ENOENT;
	rig_list_now(&rig->nodes[0], &list, prefix, -ENOENT);
	assert_int_equal(rig->nodes[0].store.lists, 0);
	rig->list_status = 0;
	rig_list_now(&rig->nodes[0], &list, prefix, 0);
}

static void test_list__larger_than_a_page_can_be__everyone_asks_for_himself(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list, own;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->page_keys = 5000; /* a store that gives more than it was asked for */
	rig_set_page(rig, 5000, 1000);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_list(&rig->nodes[1], &own, prefix);
	rig_settle(rig);
	rig->nodes[1].store.holds = false;
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	rig_list_expect(rig, &own, 0);
	assert_int_equal(rig_lists(rig), 3);
}

/* --- owners that do not answer */

static void test_list__a_slow_store__is_waited_for_up_to_half_the_time(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list, own;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_list(&rig->nodes[1], &own, prefix);
	rig_run(rig, RIG_TIMEOUT_NS / 2 - NS_PER_S);
	assert_int_equal(list.done, 0);
	assert_int_equal(rig->nodes[0].store.lists + rig->nodes[2].store.lists, 0);
	assert_int_equal(rig_count(&rig->nodes[0], PEERS_SILENT), 0);
	rig_run(rig, 2 * NS_PER_S);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[0].store.lists, 1);
	assert_int_equal(own.done, 0);
	rig_run(rig, RIG_TIMEOUT_NS / 2);
	rig_list_expect(rig, &own, -ETIMEDOUT);
	rig->nodes[1].store.holds = false;
	rig_settle(rig);
	rig_list(&rig->nodes[2], &list, prefix); /* it was not in vain */
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[1].store.lists, 1);
}

static void test_list__a_flight_that_had_less_time__is_followed_by_another(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list brief, patient;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list_for(&rig->nodes[1], &brief, prefix, 10 * NS_PER_MS);
	rig_settle(rig);
	rig_list(&rig->nodes[1], &patient, prefix);
	rig_run(rig, 10 * NS_PER_MS);
	rig_list_expect(rig, &brief, -ETIMEDOUT);
	rig->list_status = -ETIMEDOUT;
	rig_answer(&rig->nodes[1]);
	rig_settle(rig);
	assert_int_equal(patient.done, 0);
	assert_int_equal(rig_lists(rig), 2);
	rig->list_status = 0;
	rig_answer(&rig->nodes[1]);
	rig_settle(rig);
	rig_list_expect(rig, &patient, 0);
}

static void test_list__a_silent_owner__the_next_in_the_ranking_is_asked(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig->nodes[1].deaf = true; /* with its connections up */
	rig_prefix_of(rig, 1, 1, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_run(rig, 400 * NS_PER_MS);
	assert_int_equal(list.done, 0);
	rig_run(rig, 200 * NS_PER_MS);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig_lists(rig), 2);
	assert_int_equal(rig_count(&rig->nodes[0], PEERS_SILENT), 1);
}

static void test_list__all_others_silent__the_store_is_asked(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].deaf = rig->nodes[2].deaf = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_run(rig, 3 * NS_PER_S);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[0].store.lists, 1);
	for (unsigned i = 0; i < 3; i++) {
		rig_list(&rig->nodes[0], &list, prefix);
		rig_run(rig, 3 * NS_PER_S);
		rig_list_expect(rig, &list, 0);
	}
	rig_list(&rig->nodes[0], &list, prefix); /* breakers spare them by now, but for a try */
	rig_run(rig, 3 * NS_PER_S);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_run(rig, 1100 * NS_PER_MS);
	rig_list_expect(rig, &list, 0);
	assert_true(rig_count(&rig->nodes[0], PEERS_BREAKERS_OPEN) > 0);
}

static void test_list__the_owner_dies_while_it_is_asked__the_next_is(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_run(rig, 300 * NS_PER_MS);
	rig_node_kill(&rig->nodes[1]);
	rig_run(rig, 100 * NS_PER_MS); /* less than silence: its connection went down */
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig_count(&rig->nodes[0], PEERS_SILENT), 0);
}

static void test_list__the_owner_stops_or_restarts__others_take_over(void **state)
{
	struct rig *rig = rig_of(state);
	struct member_id id = rig->nodes[1].identity.member;
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_run(rig, 300 * NS_PER_MS);
	catalog_stop(rig->nodes[1].catalog);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0); /* told at once */
	rig_list_now(&rig->nodes[0], &list, prefix, 0);
	neighbours_restarting(rig->nodes[0].neighbours, &id,
			      clock_now_ns(&rig->clock.clock) + 10 * NS_PER_S);
	rig->nodes[1].deaf = true;
	rig_list_now(&rig->nodes[0], &list, prefix, 0); /* not even tried */
	rig->nodes[1].deaf = false;
}

static void test_list__the_asker_dies__the_flight_goes_on(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list, other;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	assert_int_equal(rig->nodes[1].catalog->guests, 1);
	rig_node_kill(&rig->nodes[0]);
	rig_list_expect(rig, &list, -ECANCELED);
	rig_run(rig, 100 * NS_PER_MS);
	assert_int_equal(rig->nodes[1].catalog->guests, 0);
	rig->nodes[1].store.holds = false;
	rig_settle(rig);
	rig_list_now(&rig->nodes[2], &other, prefix, 0);
	assert_int_equal(rig_lists(rig), 1);
}

/* --- pages that are objects */

/* A page that another node owns is asked for, and the read of its bytes does not end. */
static void list_held(struct rig *rig, struct rig_list *list, char prefix[64])
{
	rig_set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[0].holds_reads = true;
	rig_list(&rig->nodes[0], list, prefix);
}

static void test_read__the_page_is_gone__that_member_is_asked_again(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	list_held(rig, &list, prefix);
	rig_settle(rig);
	assert_int_equal(rig->nodes[0].read_count, 1);
	rig_node_stop(&rig->nodes[1]); /* restarted between the two */
	rig_settle(rig);
	rig_node_start(&rig->nodes[1]);
	rig->nodes[0].holds_reads = false;
	rig_reads_end(&rig->nodes[0]);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[1].store.lists, 2);
	assert_int_equal(rig->nodes[0].store.lists, 0);
	assert_int_equal(rig->nodes[0].reads_begun, 2);
}

static void test_read__never_works__the_store_is_asked(void **state)
{
	static const int statuses[] = { -ESTALE, -EIO, -ETIMEDOUT, -ECANCELED };
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_set_page(rig, 1000, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
		rig_prefix_of(rig, 1, i, prefix);
		rig->nodes[0].read_status = statuses[i];
		rig_list_now(&rig->nodes[0], &list, prefix, 0);
		assert_int_equal(rig->nodes[0].store.lists, i + 1);
		assert_int_equal(rig->nodes[1].store.lists, i + 1);
		assert_int_equal(rig->nodes[0].reads_begun, 2 * (i + 1));
	}
	assert_int_equal(rig_count(&rig->nodes[0], PEERS_CATALOG_FALLBACKS), ARRAY_COUNT(statuses));
}

static void test_read__takes_too_long__the_store_is_asked(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	list_held(rig, &list, prefix);
	rig_run(rig, RIG_TIMEOUT_NS / 2 - NS_PER_S);
	assert_int_equal(list.done, 0);
	rig_run(rig, 2 * NS_PER_S);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[0].store.lists, 1);
	assert_int_equal(rig->nodes[0].objects, 0);
}

static void test_read__more_bytes_than_may_be_read_at_once__the_store_is_asked(void **state)
{
	static struct rig_list lists[80];
	struct rig *rig = rig_of(state);
	char prefix[64];

	rig_set_page(rig, 1000, 1000); /* a MiB or so each */
	rig->nodes[0].holds_reads = true;
	for (unsigned i = 0; i < ARRAY_COUNT(lists); i++) {
		rig_prefix_of(rig, 1, i, prefix);
		rig_list(&rig->nodes[0], &lists[i], prefix);
		rig_settle(rig);
		assert_in_range(rig->nodes[0].catalog->reading_bytes, 1, CATALOG_READING_MAX);
	}
	assert_in_range(rig->nodes[0].store.lists, 1, 40);
	rig->nodes[0].holds_reads = false;
	rig_reads_end(&rig->nodes[0]);
	rig_settle(rig);
	for (unsigned i = 0; i < ARRAY_COUNT(lists); i++)
		rig_list_expect(rig, &lists[i], 0);
	assert_int_equal(rig->nodes[0].catalog->reading_bytes, 0);
}

static void test_answer__a_page_that_cannot_be_read__the_store_is_asked(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	struct topic *topic;
	char prefix[64];

	for (unsigned i = 0; i < 2; i++) { /* in the answer, and as an object */
		rig_set_page(rig, i ? 1000 : 25, 0);
		rig_prefix_of(rig, 1, i, prefix);
		rig_list(&rig->nodes[2], &list, prefix);
		rig_settle(rig);
		topic = TAILQ_LAST(&rig->nodes[1].catalog->by_use, topic_list);
		topic->result.page->bytes[topic->result.page->len - 1] = 'x';
		rig_list_now(&rig->nodes[0], &list, prefix, 0);
		assert_int_equal(rig->nodes[0].store.lists, i + 1);
		assert_int_equal(rig_count(&rig->nodes[0], PEERS_MALFORMED), i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_error__of_the_owners_store__everyone_asks_for_himself),
		TEST(test_list__no_such_bucket__is_believed_but_not_kept),
		TEST(test_list__larger_than_a_page_can_be__everyone_asks_for_himself),
		TEST(test_list__a_slow_store__is_waited_for_up_to_half_the_time),
		TEST(test_list__a_flight_that_had_less_time__is_followed_by_another),
		TEST(test_list__a_silent_owner__the_next_in_the_ranking_is_asked),
		TEST(test_list__all_others_silent__the_store_is_asked),
		TEST(test_list__the_owner_dies_while_it_is_asked__the_next_is),
		TEST(test_list__the_owner_stops_or_restarts__others_take_over),
		TEST(test_list__the_asker_dies__the_flight_goes_on),
		TEST(test_read__the_page_is_gone__that_member_is_asked_again),
		TEST(test_read__never_works__the_store_is_asked),
		TEST(test_read__takes_too_long__the_store_is_asked),
		TEST(test_read__more_bytes_than_may_be_read_at_once__the_store_is_asked),
		TEST(test_answer__a_page_that_cannot_be_read__the_store_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
