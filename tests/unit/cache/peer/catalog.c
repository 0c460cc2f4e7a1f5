/*
 * catalog.c - names asked once for all, by several nodes at once; what is kept of the answers;
 * no memory; the end.
 */
#include "cache/peer/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/catalog_rig.h"

static uint64_t sum(const struct rig *rig, enum peers_counter counter)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < rig->node_count; i++)
		if (rig->nodes[i].alive)
			total += rig_count(&rig->nodes[i], counter);
	return total;
}

/* --- once for all */

static void test_list__64_nodes_at_once__the_store_is_asked_once(void **state)
{
	static const struct {
		unsigned key_count, key_pad;
	} rows[] = {
		{ 0, 0 }, { 1, 0 }, { 25, 0 }, { 1000, 0 }, { 2500, 0 }, { 1000, 1000 },
	};
	static struct rig_list lists[RIG_MANY];
	struct rig *rig = rig_of(state);
	char prefix[64];

	for (unsigned r = 0; r < ARRAY_COUNT(rows); r++) {
		unsigned before = rig_lists(rig);

		rig_set_page(rig, rows[r].key_count, rows[r].key_pad);
		rig_prefix_of(rig, 5, r, prefix);
		rig->nodes[5].store.holds = true;
		for (unsigned i = 0; i < RIG_MANY; i++)
			rig_list(&rig->nodes[i], &lists[i], prefix);
		rig_run(rig, 300 * NS_PER_MS);
		assert_int_equal(lists[0].done, 0);
		rig->nodes[5].store.holds = false;
		rig_settle(rig);
		for (unsigned i = 0; i < RIG_MANY; i++)
			rig_list_expect(rig, &lists[i], 0);
		assert_int_equal(rig_lists(rig) - before, 1);
		assert_int_equal(rig->nodes[5].store.lists, r + 1);
	}
	assert_int_equal(sum(rig, PEERS_CATALOG_FALLBACKS), 0);
	assert_int_equal(sum(rig, PEERS_CATALOG_ASKS), ARRAY_COUNT(rows) * (RIG_MANY - 1));
	assert_int_equal(sum(rig, PEERS_CATALOG_SERVED), ARRAY_COUNT(rows) * (RIG_MANY - 1));
	assert_int_equal(sum(rig, PEERS_CATALOG_FLIGHTS), ARRAY_COUNT(rows));
}

static void test_head__64_nodes_at_once__the_store_is_asked_once(void **state)
{
	static struct rig_head heads[RIG_MANY];
	struct rig *rig = rig_of(state);
	char key[64];

	rig_key_of(rig, 5, 0, key);
	for (unsigned i = 0; i < RIG_MANY; i++)
		rig_head(&rig->nodes[i], &heads[i], key, NULL);
	rig_settle(rig);
	for (unsigned i = 0; i < RIG_MANY; i++)
		rig_head_expect(&heads[i], 0, "\"first\"");
	assert_int_equal(rig_heads(rig), 1);
	assert_int_equal(rig->nodes[5].store.heads, 1);
}

static void test_list__the_pages_of_one_directory__have_owners_of_their_own(void **state)
{
	struct rig *rig = rig_of(state);
	unsigned owners = 0;
	struct rig_list list;

	rig->page_keys = 50;
	rig_set_page(rig, 500, 0);
	rig_list(&rig->nodes[0], &list, "dir/");
	for (unsigned pages = 1; pages < 10; pages++) {
		char token[BACKING_TOKEN_MAX];

		rig_settle(rig);
		assert_int_equal(list.done, 1);
		assert_int_equal(list.entries, 50);
		assert_int_equal(strtoul(list.list.token, NULL, 10), pages * 50);
		memcpy(token, list.list.token, sizeof(token));
		list.done = list.entries = 0;
		memcpy(list.list.token, token, sizeof(token));
		backing_list(catalog_backings(rig->nodes[0].catalog)[0], &list.list);
	}
	rig_settle(rig);
	assert_string_equal(list.list.token, "");
	for (unsigned i = 0; i < rig->node_count; i++)
		owners += rig->nodes[i].store.lists > 0;
	assert_true(owners > 1);
	assert_int_equal(rig_lists(rig), 10);
}

/* --- what is kept */

static void test_list__kept__while_it_is_young_enough(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig_list_now(&rig->nodes[0], &list, prefix, 0);
	assert_int_equal(list.list.request.age_ns, 0);
	rig_run(rig, 40 * NS_PER_S);
	for (unsigned i = 0; i < 3; i++) { /* the owner's mount too */
		rig_list_now(&rig->nodes[i], &list, prefix, 0);
		assert_in_range(list.list.request.age_ns, 40 * NS_PER_S, 41 * NS_PER_S);
	}
	assert_int_equal(rig_lists(rig), 1);
	assert_int_equal(rig_count(&rig->nodes[1], PEERS_CATALOG_KEPT), 3);
	snprintf(rig->etag, sizeof(rig->etag), "\"second\"");
	rig_run(rig, 21 * NS_PER_S);
	rig_list_now(&rig->nodes[2], &list, prefix, 0); /* with the new etags */
	assert_int_equal(list.list.request.age_ns, 0);
	assert_int_equal(rig_lists(rig), 2);
	rig_list_fresh(&rig->nodes[2], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig_lists(rig), 3);
}

static void test_absent__kept__for_a_time_of_its_own(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_head head;
	struct rig_list list;
	char key[64], prefix[64];

	rig_key_of(rig, 1, 0, key);
	rig_prefix_of(rig, 1, 0, prefix);
	rig_set_page(rig, 0, 0);
	rig->head_status = -ENOENT;
	for (unsigned i = 0; i < 3; i++) {
		rig_head(&rig->nodes[i], &head, key, NULL);
		rig_list(&rig->nodes[i], &list, prefix);
		rig_run(rig, NS_PER_S);
		rig_head_expect(&head, -ENOENT, NULL);
		rig_list_expect(rig, &list, 0);
	}
	assert_int_equal(rig_heads(rig), 1);
	assert_int_equal(rig_lists(rig), 1);
	rig_run(rig, 3 * NS_PER_S);
	rig_set_page(rig, 3, 0);
	rig->head_status = 0;
	rig_head(&rig->nodes[2], &head, key, NULL);
	rig_list(&rig->nodes[2], &list, prefix);
	rig_settle(rig);
	rig_head_expect(&head, 0, "\"first\"");
	rig_list_expect(rig, &list, 0);
}

static void test_list__nothing_changed__the_page_keeps_its_name(void **state)
{
	struct rig *rig = rig_of(state);
	struct topic *topic;
	struct rig_list list;
	uint64_t number;
	char prefix[64];

	rig_set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	topic = TAILQ_FIRST(&rig->nodes[1].catalog->by_use);
	number = topic->result.page->number;
	rig_list_fresh(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig_lists(rig), 2);
	assert_int_equal(topic->result.page->number, number);
	snprintf(rig->etag, sizeof(rig->etag), "\"second\"");
	rig_list_fresh(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_true(topic->result.page->number != number);
}

static void
test_list__who_comes_during_a_flight_and_wants_it_fresh__waits_for_the_next(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list first, fresh[2], any;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(&rig->nodes[0], &first, prefix);
	rig_run(rig, 100 * NS_PER_MS);
	rig_list_fresh(&rig->nodes[2], &fresh[0], prefix);
	rig_list_fresh(&rig->nodes[1], &fresh[1], prefix);
	rig_list(&rig->nodes[0], &any, prefix);
	rig_run(rig, 100 * NS_PER_MS);
	assert_int_equal(rig_lists(rig), 1);
	rig_answer(&rig->nodes[1]);
	rig_settle(rig);
	rig_list_expect(rig, &first, 0);
	rig_list_expect(rig, &any, 0);
	assert_int_equal(fresh[0].done + fresh[1].done, 0);
	assert_int_equal(rig_lists(rig), 2);
	snprintf(rig->etag, sizeof(rig->etag), "\"second\"");
	rig_answer(&rig->nodes[1]);
	rig_settle(rig);
	rig_list_expect(rig, &fresh[0], 0);
	rig_list_expect(rig, &fresh[1], 0);
	assert_int_equal(rig_lists(rig), 2);
}

static void test_head__a_refused_etag__is_not_told_again(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_head head, others[3];
	char key[64];

	rig_key_of(rig, 1, 0, key);
	rig_head(&rig->nodes[0], &head, key, NULL);
	rig_run(rig, NS_PER_S);
	snprintf(rig->etag, sizeof(rig->etag), "\"second\"");
	rig_head(&rig->nodes[0], &head, key, NULL);
	rig_run(rig, NS_PER_S);
	rig_head_expect(&head, 0, "\"first\""); /* as old as it may be */
	assert_int_equal(rig_heads(rig), 1);
	for (unsigned i = 0; i < 3; i++) {
		rig_head(&rig->nodes[i], &others[i], key, "\"first\"");
		rig_run(rig, NS_PER_S);
		rig_head_expect(&others[i], 0, "\"second\"");
	}
	assert_int_equal(rig_heads(rig), 2); /* for whoever was refused */
	rig_head(&rig->nodes[0], &head, key, "\"second\"");
	rig_settle(rig);
	rig_head_expect(&head, 0, "\"second\""); /* the store says so again */
	assert_int_equal(head.head.request.age_ns, 0);
	assert_int_equal(rig_heads(rig), 3);
}

static void test_kept__more_than_there_is_memory__the_least_recently_used_goes(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_node *owner = &rig->nodes[1];
	struct rig_list list;
	char prefix[64];

	owner->catalog->setup.memory_max = 300000;
	rig_set_page(rig, 1000, 50); /* 90 KiB or so */
	for (unsigned i = 0; i < 8; i++) {
		rig_prefix_of(rig, 1, i, prefix);
		rig_list_now(&rig->nodes[0], &list, prefix, 0);
		assert_in_range(rig_count(owner, PEERS_CATALOG_BYTES), 1, 300000);
		rig_prefix_of(rig, 1, 0, prefix);
		rig_list(&rig->nodes[0], &list, prefix); /* is used all the time */
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
	}
	assert_int_equal(rig_lists(rig), 8);
	rig_prefix_of(rig, 1, 1, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	assert_int_equal(rig_lists(rig), 9);
}

static void test_kept__nobody_can_use_it_any_more__is_forgotten(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	assert_true(rig_count(&rig->nodes[1], PEERS_CATALOG_BYTES) > 0);
	rig_run(rig, RIG_AGE_NS + 2 * NS_PER_S);
	assert_int_equal(rig_count(&rig->nodes[1], PEERS_CATALOG_BYTES), 0);
	assert_null(rig->nodes[1].catalog->topics);
}

/* --- no memory */

static void test_list__no_memory_somewhere__is_answered_all_the_same(void **state)
{
	static const unsigned key_counts[] = { 25, 1000 };
	struct rig *rig = rig_of(state);

	for (unsigned i = 0; i < ARRAY_COUNT(key_counts); i++) {
		bool failed = true;

		rig_set_page(rig, key_counts[i], 0);
		for (unsigned nth = 1; failed; nth++) {
			struct rig_list list, own;
			struct rig_head head;
			char prefix[64], key[64];

			rig_prefix_of(rig, 1, nth, prefix);
			rig_key_of(rig, 1, nth, key);
			allocation_fault_arm(nth);
			rig_list(&rig->nodes[0], &list, prefix);
			rig_head(&rig->nodes[0], &head, key, NULL);
			rig_list(&rig->nodes[1], &own, prefix);
			rig_run(rig, 3 * NS_PER_S);
			failed = allocation_fault_disarm();
			rig_list_expect(rig, &list, 0);
			rig_list_expect(rig, &own, 0);
			rig_head_expect(&head, 0, "\"first\"");
		}
	}
}

static void test_create__no_memory__is_said(void **state)
{
	struct rig *rig = rig_of(state);
	struct catalog *catalog;
	bool failed = true;
	int error;

	for (unsigned nth = 1; failed; nth++) {
		allocation_fault_arm(nth);
		error = catalog_create(&rig->nodes[0].catalog->setup, &catalog);
		failed = allocation_fault_disarm();
		assert_int_equal(error, failed ? -ENOMEM : 0);
	}
	catalog_destroy(catalog);
	catalog_destroy(NULL);
}

/* --- the end */

enum where {
	STOP_POSTED,
	STOP_ASKED,
	STOP_READING,
	STOP_WAITING,
	STOP_LANDED,
	STOP_TOLD,
	STOP_COUNT,
};

/* Brings a list of node 0 there. */
static void bring(struct rig *rig, enum where where, struct rig_list *list)
{
	struct rig_node *node = &rig->nodes[0];
	bool own = where == STOP_WAITING || where == STOP_LANDED;
	char prefix[64];

	rig_set_page(rig, 1000, 0);
	rig_prefix_of(rig, own ? 0 : 1, 0, prefix);
	node->holds_reads = where == STOP_READING;
	rig->nodes[1].store.holds = where == STOP_ASKED;
	node->store.holds = own;
	rig_list(node, list, prefix);
	if (where == STOP_POSTED)
		return;
	rig_settle(rig);
	if (where == STOP_LANDED)
		rig_answer(node);
	assert_int_equal(list->done, where == STOP_TOLD);
}

static void test_stop__in_each_state__ends_with_ecanceled(void **state)
{
	struct rig *rig = rig_of(state);

	for (int where = 0; where < STOP_COUNT; where++) {
		struct rig_node *node = &rig->nodes[0];
		struct rig_list list, other, after;
		unsigned lists;

		bring(rig, where, &list);
		/* and one of another node's that waits for this one */
		node->store.holds = true;
		rig_list(&rig->nodes[2], &other, "some/");
		catalog_stop(node->catalog);
		catalog_stop(node->catalog);
		lists = node->store.lists;
		rig_list(node, &after, "after/");
		assert_int_equal(node->store.lists, lists + 1); /* passes through */
		if (where == STOP_READING)
			assert_false(catalog_is_idle(node->catalog));
		rig_node_stop(node); /* the store answers after that */
		rig_list_expect(rig, &list, where == STOP_TOLD ? 0 : -ECANCELED);
		rig_list_expect(rig, &after, 0);
		rig_node_start(node);
		rig->nodes[1].store.holds = false;
		node->store.holds = false;
		rig_run(rig, 3 * NS_PER_S);
		rig_list_expect(rig, &other, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_MANY(test_list__64_nodes_at_once__the_store_is_asked_once),
		TEST_MANY(test_head__64_nodes_at_once__the_store_is_asked_once),
		TEST(test_list__the_pages_of_one_directory__have_owners_of_their_own),
		TEST(test_list__kept__while_it_is_young_enough),
		TEST(test_absent__kept__for_a_time_of_its_own),
		TEST(test_list__nothing_changed__the_page_keeps_its_name),
		TEST(test_list__who_comes_during_a_flight_and_wants_it_fresh__waits_for_the_next),
		TEST(test_head__a_refused_etag__is_not_told_again),
		TEST(test_kept__more_than_there_is_memory__the_least_recently_used_goes),
		TEST(test_kept__nobody_can_use_it_any_more__is_forgotten),
		TEST(test_list__no_memory_somewhere__is_answered_all_the_same),
		TEST(test_create__no_memory__is_said),
		TEST(test_stop__in_each_state__ends_with_ecanceled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
