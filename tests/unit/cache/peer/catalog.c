/*
 * catalog.c - names asked once for all, by several nodes at once: who is asked, who is believed,
 * and what happens when the one that was asked does not answer.
 */
#include "cache/peer/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/catalog_rig.h"

#define MANY 64

static struct rig *rig_of(void **state)
{
	return *state;
}

static int setup(void **state)
{
	*state = rig_create(3);
	return 0;
}

static int setup_many(void **state)
{
	*state = rig_create(MANY);
	return 0;
}

static int setup_alone(void **state)
{
	*state = rig_create(1);
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

/* Page @key_count keys long and, above 3 KiB or so, one that does not fit in a message. */
static void set_page(struct rig *rig, unsigned key_count, unsigned key_pad)
{
	rig->key_count = key_count;
	rig->key_pad = key_pad;
}

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
	static struct rig_list lists[MANY];
	struct rig *rig = rig_of(state);
	char prefix[64];

	for (unsigned r = 0; r < ARRAY_COUNT(rows); r++) {
		unsigned before = rig_lists(rig);

		set_page(rig, rows[r].key_count, rows[r].key_pad);
		rig_prefix_of(rig, 5, r, prefix);
		rig->nodes[5].store.holds = true;
		for (unsigned i = 0; i < MANY; i++)
			rig_list(&rig->nodes[i], &lists[i], prefix);
		rig_run(rig, 300 * NS_PER_MS);
		assert_int_equal(lists[0].done, 0);
		rig->nodes[5].store.holds = false;
		rig_settle(rig);
		for (unsigned i = 0; i < MANY; i++)
			rig_list_expect(rig, &lists[i], 0);
		assert_int_equal(rig_lists(rig) - before, 1);
		assert_int_equal(rig->nodes[5].store.lists, r + 1);
	}
	assert_int_equal(sum(rig, PEERS_CATALOG_FALLBACKS), 0);
	assert_int_equal(sum(rig, PEERS_CATALOG_ASKS), ARRAY_COUNT(rows) * (MANY - 1));
	assert_int_equal(sum(rig, PEERS_CATALOG_SERVED), ARRAY_COUNT(rows) * (MANY - 1));
	assert_int_equal(sum(rig, PEERS_CATALOG_FLIGHTS), ARRAY_COUNT(rows));
}

static void test_head__64_nodes_at_once__the_store_is_asked_once(void **state)
{
	static struct rig_head heads[MANY];
	struct rig *rig = rig_of(state);
	char key[64];

	rig_key_of(rig, 5, 0, key);
	for (unsigned i = 0; i < MANY; i++)
		rig_head(&rig->nodes[i], &heads[i], key, NULL);
	rig_settle(rig);
	for (unsigned i = 0; i < MANY; i++)
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
	set_page(rig, 500, 0);
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

	set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(list.list.request.age_ns, 0);
	rig_run(rig, 40 * NS_PER_S);
	for (unsigned i = 0; i < 3; i++) { /* the owner's mount too */
		rig_list(&rig->nodes[i], &list, prefix);
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
		assert_in_range(list.list.request.age_ns, 40 * NS_PER_S, 41 * NS_PER_S);
	}
	assert_int_equal(rig_lists(rig), 1);
	assert_int_equal(rig_count(&rig->nodes[1], PEERS_CATALOG_KEPT), 3);
	snprintf(rig->etag, sizeof(rig->etag), "\"second\"");
	rig_run(rig, 21 * NS_PER_S);
	rig_list(&rig->nodes[2], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0); /* with the new etags */
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
	set_page(rig, 0, 0);
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
	set_page(rig, 3, 0);
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

	set_page(rig, 1000, 0);
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
	set_page(rig, 1000, 50); /* 90 KiB or so */
	for (unsigned i = 0; i < 8; i++) {
		rig_prefix_of(rig, 1, i, prefix);
		rig_list(&rig->nodes[0], &list, prefix);
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
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
		rig_list(&rig->nodes[1], &own, prefix);
		rig_settle(rig);
		rig_list_expect(rig, &own, statuses[i]);
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
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, -ENOENT);
	assert_int_equal(rig->nodes[0].store.lists, 0);
	rig->list_status = 0;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
}

static void test_list__larger_than_a_page_can_be__everyone_asks_for_himself(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list, own;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->page_keys = 5000; /* a store that gives more than it was asked for */
	set_page(rig, 5000, 1000);
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
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	neighbours_restarting(rig->nodes[0].neighbours, &id,
			      clock_now_ns(&rig->clock.clock) + 10 * NS_PER_S);
	rig->nodes[1].deaf = true;
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0); /* not even tried */
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
	rig_list(&rig->nodes[2], &other, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &other, 0);
	assert_int_equal(rig_lists(rig), 1);
}

/* --- pages that are objects */

static void test_read__the_page_is_gone__that_member_is_asked_again(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[0].holds_reads = true;
	rig_list(&rig->nodes[0], &list, prefix);
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

	set_page(rig, 1000, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(statuses); i++) {
		rig_prefix_of(rig, 1, i, prefix);
		rig->nodes[0].read_status = statuses[i];
		rig_list(&rig->nodes[0], &list, prefix);
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
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

	set_page(rig, 1000, 0);
	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[0].holds_reads = true;
	rig_list(&rig->nodes[0], &list, prefix);
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

	set_page(rig, 1000, 1000); /* a MiB or so each */
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
		set_page(rig, i ? 1000 : 25, 0);
		rig_prefix_of(rig, 1, i, prefix);
		rig_list(&rig->nodes[2], &list, prefix);
		rig_settle(rig);
		topic = TAILQ_LAST(&rig->nodes[1].catalog->by_use, topic_list);
		topic->result.page->bytes[topic->result.page->len - 1] = 'x';
		rig_list(&rig->nodes[0], &list, prefix);
		rig_settle(rig);
		rig_list_expect(rig, &list, 0);
		assert_int_equal(rig->nodes[0].store.lists, i + 1);
		assert_int_equal(rig_count(&rig->nodes[0], PEERS_MALFORMED), i + 1);
	}
}

/* --- who is asked */

static void test_placement__differs__who_is_asked_answers_all_the_same(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig_node_place(&rig->nodes[0], 3, 1); /* does not know that one */
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[1].store.lists, 0);
	rig_list(&rig->nodes[2], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[1].store.lists, 1);
	assert_int_equal(rig_lists(rig), 2);
}

static void test_alone__passes_through(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	struct rig_head head;

	rig_list(&rig->nodes[0], &list, "d/");
	rig_head(&rig->nodes[0], &head, "k", NULL);
	assert_int_equal(rig->nodes[0].store.queued, 2); /* with no turn in between */
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	rig_head_expect(&head, 0, "\"first\"");
	assert_int_equal(rig_count(&rig->nodes[0], PEERS_CATALOG_FLIGHTS), 0);
}

static void get_done(struct backing_get *get)
{
	get->off = 1;
}

static void test_wrapper__what_is_no_question__passes_through(void **state)
{
	static const int keys[] = { 0, -1, 1001 };
	struct rig *rig = rig_of(state);
	struct backing *wrapper = catalog_backings(rig->nodes[0].catalog)[0];
	struct backing_get get = { .done = get_done };
	struct rig_list list;
	char text[64], prefix[64];

	backing_get(wrapper, &get);
	assert_int_equal(get.off, 1);
	assert_int_equal(rig->nodes[0].store.gets, 1);
	backing_describe(wrapper, text, sizeof(text));
	assert_string_equal(text, "a fake");
	assert_string_equal(wrapper->ops->type, "fake");
	assert_string_equal(wrapper->id, "s3");
	assert_null(backing_counters(wrapper));
	backing_reload(wrapper, NULL);
	rig_prefix_of(rig, 1, 0, prefix);
	for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
		rig_list(&rig->nodes[2], &list, prefix);
		rig_settle(rig);
		list.done = list.entries = 0;
		list.list.max_keys = keys[i];
		backing_list(wrapper, &list.list);
		assert_int_equal(rig->nodes[0].store.lists, i + 1);
		rig_settle(rig);
		assert_int_equal(list.done, 1);
	}
}

static void test_wrapper__names_too_long_for_a_message__are_asked_of_the_store(void **state)
{
	static char bucket[5000];
	struct rig *rig = rig_of(state);
	struct rig_list list;
	unsigned lists;

	memset(bucket, 'b', sizeof(bucket) - 1);
	for (unsigned i = 0; i < 3; i++) {
		rig_list(&rig->nodes[i], &list, "d/");
		rig_settle(rig);
		lists = rig->nodes[i].store.lists;
		list.done = list.entries = 0;
		list.list.request.bucket = bucket;
		backing_list(catalog_backings(rig->nodes[i].catalog)[0], &list.list);
		rig_settle(rig);
		assert_int_equal(list.done, 1);
		assert_int_equal(list.list.request.status, 0);
		assert_int_equal(rig->nodes[i].store.lists, lists + 1);
	}
}

static void test_ask__of_a_store_that_is_not_known__is_refused(void **state)
{
	static char other[] = "other";
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.backing.id = other; /* they disagree about names */
	rig_list(&rig->nodes[0], &list, prefix);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig->nodes[1].store.lists, 0);
}

static void test_ask__more_than_a_peer_can_be_told_at_once__all_are(void **state)
{
	static struct rig_head heads[1000];
	struct rig *rig = rig_of(state);
	char key[64];

	for (unsigned i = 0; i < ARRAY_COUNT(heads); i++) {
		rig_key_of(rig, 1, i, key);
		rig_head(&rig->nodes[0], &heads[i], key, NULL);
		if (i % 200 == 199)
			rig_settle(rig);
	}
	rig_run(rig, 100 * NS_PER_MS);
	for (unsigned i = 0; i < ARRAY_COUNT(heads); i++)
		rig_head_expect(&heads[i], 0, "\"first\"");
	assert_int_equal(rig_count(&rig->nodes[1], PEERS_CATALOG_FLIGHTS), ARRAY_COUNT(heads));
}

static void test_answer__of_the_wrong_form_or_to_nothing__harms_nobody(void **state)
{
	const struct peer_message meta = {
		.kind = PEER_ANSWER,
		.answer = { .request = 1, .form = PEER_ANSWER_META, .etag = "e" },
	};
	struct rig *rig = rig_of(state);
	struct rig_node *node = &rig->nodes[0];
	struct rig_list list;
	struct ask *ask;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig->nodes[1].store.holds = true;
	rig_list(node, &list, prefix);
	rig_settle(rig);
	ask = TAILQ_FIRST(&node->catalog->asked);
	assert_non_null(ask);
	assert_int_equal(ask->request, 1);
	catalog_message(node->catalog, NULL, &meta); /* of somebody else */
	assert_int_equal(list.done, 0);
	catalog_message(node->catalog, ask->peer, &meta);
	rig_settle(rig);
	rig_list_expect(rig, &list, 0);
	assert_int_equal(rig_count(node, PEERS_MALFORMED), 1);
	rig->nodes[1].store.holds = false;
	rig_settle(rig); /* the real one comes too late */
	rig_list_expect(rig, &list, 0);
}

/* --- no memory */

static void test_list__no_memory_somewhere__is_answered_all_the_same(void **state)
{
	static const unsigned key_counts[] = { 25, 1000 };
	struct rig *rig = rig_of(state);

	for (unsigned i = 0; i < ARRAY_COUNT(key_counts); i++) {
		bool failed = true;

		set_page(rig, key_counts[i], 0);
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

	set_page(rig, 1000, 0);
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

#define TEST(name)	 cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_MANY(name)	 cmocka_unit_test_setup_teardown(name, setup_many, teardown)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, setup_alone, teardown)

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
		TEST(test_placement__differs__who_is_asked_answers_all_the_same),
		TEST_ALONE(test_alone__passes_through),
		TEST(test_wrapper__what_is_no_question__passes_through),
		TEST(test_wrapper__names_too_long_for_a_message__are_asked_of_the_store),
		TEST(test_ask__of_a_store_that_is_not_known__is_refused),
		TEST(test_ask__more_than_a_peer_can_be_told_at_once__all_are),
		TEST(test_answer__of_the_wrong_form_or_to_nothing__harms_nobody),
		TEST(test_list__no_memory_somewhere__is_answered_all_the_same),
		TEST(test_create__no_memory__is_said),
		TEST(test_stop__in_each_state__ends_with_ecanceled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
