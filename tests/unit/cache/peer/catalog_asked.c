/*
 * catalog_asked.c - who is asked, and what is passed through.
 */
#include "cache/peer/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/cache/peer/catalog_rig.h"

/* --- who is asked */

static void test_placement__differs__who_is_asked_answers_all_the_same(void **state)
{
	struct rig *rig = rig_of(state);
	struct rig_list list;
	char prefix[64];

	rig_prefix_of(rig, 1, 0, prefix);
	rig_node_place(&rig->nodes[0], 3, 1); /* does not know that one */
	rig_list_now(&rig->nodes[0], &list, prefix, 0);
	assert_int_equal(rig->nodes[1].store.lists, 0);
	rig_list_now(&rig->nodes[2], &list, prefix, 0);
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
	rig_list_now(&rig->nodes[0], &list, prefix, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_placement__differs__who_is_asked_answers_all_the_same),
		TEST_ALONE(test_alone__passes_through),
		TEST(test_wrapper__what_is_no_question__passes_through),
		TEST(test_wrapper__names_too_long_for_a_message__are_asked_of_the_store),
		TEST(test_ask__of_a_store_that_is_not_known__is_refused),
		TEST(test_ask__more_than_a_peer_can_be_told_at_once__all_are),
		TEST(test_answer__of_the_wrong_form_or_to_nothing__harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
