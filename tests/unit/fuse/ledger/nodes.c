/*
 * Tests of the nodes in ledger/ledger.h.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/fuse/ledger/rig.h"

static struct rig_node found[RIG_MAX];

static uint32_t add(struct ledger *ledger, uint64_t id, const char *name, const char *etag)
{
	struct ledger_node node = rig_node(id, name, etag);
	uint32_t place;

	assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
	return place;
}

static void assert_same(const struct ledger_node *a, const struct ledger_node *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->parent, b->parent);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime_s, b->mtime_s);
	assert_int_equal(a->made_ns, b->made_ns);
	assert_int_equal(a->entry, b->entry);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->name_len, b->name_len);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->etag, b->etag);
}

/* Around each number of places that a text takes. */
static void test_add__text_of_any_length__the_next_worker_finds_it(void **state)
{
	static const size_t lengths[][2] = {
		{ 0, 0 },   { 1, 0 },	 { 30, 32 },  { 31, 32 },  { 62, 0 },	 { 63, 0 },
		{ 62, 1 },  { 61, 117 }, { 62, 116 }, { 63, 116 }, { 178, 0 },	 { 179, 0 },
		{ 255, 0 }, { 255, 39 }, { 255, 40 }, { 0, 127 },  { 255, 127 },
	};
	struct ledger *ledger = rig_create();
	char name[LEDGER_NAME_MAX + 1], etag[LEDGER_ETAG_MAX + 1];
	uint64_t id = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		rig_text(name, lengths[i][0], (unsigned)i);
		rig_text(etag, lengths[i][1], (unsigned)i + 9);
		add(ledger, id++, name, etag);
	}
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, found), ARRAY_COUNT(lengths));
	for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
		struct ledger_node wanted = rig_node(i + 1, name, etag);

		rig_text(name, lengths[i][0], (unsigned)i);
		rig_text(etag, lengths[i][1], (unsigned)i + 9);
		wanted.name_len = lengths[i][0];
		assert_same(&found[i].node, &wanted);
	}
	ledger_destroy(ledger);
}

static void test_remove__the_next_worker_does_not_find_it__its_places_are_taken_first(void **state)
{
	struct ledger *ledger = rig_create();
	char name[LEDGER_NAME_MAX + 1];
	uint32_t place;

	(void)state;
	rig_text(name, 255, 1);
	add(ledger, 5, "kept", "");
	place = add(ledger, 6, name, "etag");
	add(ledger, 7, "kept too", "");
	ledger_node_remove(ledger, place);
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, found), 2);
	assert_int_equal(found[0].node.id, 5);
	assert_int_equal(found[1].node.id, 7);
	assert_int_equal(add(ledger, 8, name, "etag"), place);
	add(ledger, 9, "behind it", "");
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, found), 4);
	assert_string_equal(found[2].name, name);
	ledger_destroy(ledger);
}

static void test_set__changes_what_it_says__the_next_worker_finds_it(void **state)
{
	struct ledger *ledger = rig_create();
	uint32_t place = add(ledger, 77, "name", "etag");
	struct ledger_node wanted = rig_node(77, "name", "etag"), other = { .id = 5 };

	(void)state;
	other.size = wanted.size = UINT64_MAX;
	other.mtime_s = wanted.mtime_s = INT64_MIN;
	other.made_ns = wanted.made_ns = 99;
	other.flags = wanted.flags = LEDGER_NODE_OUTDATED | LEDGER_NODE_CONFIRMED;
	ledger_node_set(ledger, place, &other);
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, found), 1);
	assert_same(&found[0].node, &wanted);
	ledger_destroy(ledger);
}

static void test_raise_and_lower__counts__the_next_worker_goes_on(void **state)
{
	struct ledger *ledger = rig_create();
	uint32_t place = add(ledger, 77, "name", "");

	(void)state;
	assert_int_equal(ledger_node_lookups(ledger, place), 0);
	for (uint64_t unique = 2; unique <= 10; unique += 2)
		ledger_node_raise(ledger, place, unique);
	assert_int_equal(ledger_node_lower(ledger, place, 2), 3);
	ledger = rig_next(ledger);
	assert_int_equal(ledger_node_lookups(ledger, place), 3);
	assert_int_equal(ledger_node_lower(ledger, place, UINT64_MAX), 0);
	assert_int_equal(ledger_node_lower(ledger, place, 1), 0);
	ledger_destroy(ledger);
}

static void undone_add(void *context, uint64_t id)
{
	*(uint64_t *)context += id;
}

/* Return: the sum of the ids that were lowered. */
static uint64_t undo(struct ledger *ledger, uint64_t unique)
{
	uint64_t sum = 0;

	ledger_undo(ledger, unique, undone_add, &sum);
	return sum;
}

/* 64 requests in hand, all of them for two nodes, as when many look up one directory; and each
 * comes again to the next two workers, the second of which does not find the one node any more. */
static void test_undo__requests_that_come_again__all_that_was_raised_for_them(void **state)
{
	struct ledger *ledger = rig_create();
	uint32_t a = add(ledger, 8, "a", ""), b = add(ledger, 9, "b", "");

	(void)state;
	ledger_node_raise(ledger, a, 500); /* its reply went out */
	ledger_node_raise(ledger, b, 500);
	for (unsigned workers = 0; workers < 3; workers++) {
		for (uint64_t unique = 1000; unique < 1128; unique += 2) {
			assert_int_equal(undo(ledger, unique | LEDGER_AGAIN), workers ? 8 + 9 : 0);
			ledger_node_raise(ledger, a, unique | LEDGER_AGAIN);
			ledger_node_raise(ledger, b, unique | LEDGER_AGAIN);
			assert_int_equal(undo(ledger, unique | LEDGER_AGAIN),
					 0); /* its own are not */
		}
		assert_int_equal(undo(ledger, 1128 | LEDGER_AGAIN), 0);
		assert_int_equal(ledger_node_lookups(ledger, a), 65);
		assert_int_equal(ledger_node_lookups(ledger, b), 65);
		ledger = rig_next(ledger);
	}
	for (uint64_t unique = 1000; unique < 1128; unique += 2) {
		undo(ledger, unique | LEDGER_AGAIN);
		ledger_node_raise(ledger, a, unique | LEDGER_AGAIN);
	}
	assert_int_equal(ledger_node_lookups(ledger, a), 65);
	assert_int_equal(ledger_node_lookups(ledger, b), 1);
	ledger_destroy(ledger);
}

static void test_undo__its_place_is_another_nodes__that_one_is_left_alone(void **state)
{
	struct ledger *ledger = rig_create();
	uint32_t place = add(ledger, 8, "a", "");

	(void)state;
	ledger_node_raise(ledger, place, 2);
	ledger_node_lower(ledger, place, 1); /* the kernel did not take the reply */
	ledger_node_remove(ledger, place);
	assert_int_equal(add(ledger, 9, "b", ""), place);
	ledger_node_raise(ledger, place, 4);
	ledger = rig_next(ledger);
	assert_int_equal(undo(ledger, 2 | LEDGER_AGAIN), 0);
	assert_int_equal(ledger_node_lookups(ledger, place), 1);
	ledger_node_remove(ledger, place);
	assert_int_equal(undo(ledger, 4 | LEDGER_AGAIN), 0);
	ledger_destroy(ledger);
}

/* More raises than there are marks: what gave way stays raised, and nothing else is lowered for
 * it. */
static void test_undo__mark_gave_way__too_many_and_never_too_few(void **state)
{
	struct ledger *ledger = rig_create();
	uint32_t a = add(ledger, 8, "a", ""), b = add(ledger, 9, "b", "");

	(void)state;
	ledger_node_raise(ledger, a, 2);
	for (unsigned i = 0; i < MARKS_COUNT - 1; i++)
		ledger_node_raise(ledger, b, 4);
	ledger = rig_next(ledger);
	ledger_node_raise(ledger, b, 6); /* takes the place of the first */
	assert_int_equal(undo(ledger, 2 | LEDGER_AGAIN), 0);
	assert_int_equal(ledger_node_lookups(ledger, a), 1);
	assert_int_equal(ledger_node_lookups(ledger, b), MARKS_COUNT);
	assert_int_equal(undo(ledger, 4 | LEDGER_AGAIN), (MARKS_COUNT - 1) * 9);
	assert_int_equal(ledger_node_lookups(ledger, b), 1);
	ledger_destroy(ledger);
}

static void test_changed_ns__after_each_change__is_now(void **state)
{
	struct ledger *ledger = rig_create();
	uint64_t before = clock_now_ns(clock_system()), at[4];
	uint32_t place = add(ledger, 8, "a", "");

	(void)state;
	at[0] = ledger_node_changed_ns(ledger, place);
	ledger_node_raise(ledger, place, 2);
	at[1] = ledger_node_changed_ns(ledger, place);
	ledger_node_lower(ledger, place, 1);
	at[2] = ledger_node_changed_ns(ledger, place);
	assert_int_equal(ledger_adopted_ns(ledger), 0);
	ledger = rig_next(ledger);
	assert_int_equal(ledger_node_changed_ns(ledger, place), at[2]);
	at[3] = ledger_adopted_ns(ledger);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(at[i] >= before && at[i] <= clock_now_ns(clock_system()));
		before = at[i];
	}
	ledger_destroy(ledger);
}

static void test_id_base__above_all_that_were_given_out__those_removed_too(void **state)
{
	struct ledger *ledger = rig_create();

	(void)state;
	assert_true(ledger_id_base(ledger) == 0);
	ledger_node_remove(ledger, add(ledger, UINT64_C(1) << 62, "a", ""));
	add(ledger, 9, "b", "");
	ledger = rig_next(ledger);
	assert_int_equal(ledger_id_base(ledger), (UINT64_C(1) << 62) + 1);
	ledger_destroy(ledger);
}

struct removal {
	struct ledger *ledger;
	unsigned seen, end_at;
};

static int remove_some(void *context, uint32_t place, const struct ledger_node *node)
{
	struct removal *removal = context;

	if (node->id % 3)
		ledger_node_remove(removal->ledger, place);
	return ++removal->seen == removal->end_at ? -EINTR : 0;
}

static void test_each__may_remove_and_end_the_walk(void **state)
{
	struct removal removal = { .ledger = rig_create(), .end_at = 100 };
	char name[LEDGER_NAME_MAX + 1];

	(void)state;
	for (unsigned id = 1; id <= 300; id++) {
		rig_text(name, id % 256, id);
		add(removal.ledger, id, name, "etag");
	}
	assert_int_equal(ledger_nodes_each(removal.ledger, remove_some, &removal), -EINTR);
	assert_int_equal(removal.seen, 100);
	removal = (struct removal){ .ledger = removal.ledger };
	assert_int_equal(ledger_nodes_each(removal.ledger, remove_some, &removal), 0);
	assert_int_equal(rig_nodes(removal.ledger, found), 100);
	for (unsigned i = 0; i < 100; i++) {
		rig_text(name, (3 * i + 3) % 256, 3 * i + 3);
		assert_string_equal(found[i].name, name);
	}
	ledger_destroy(removal.ledger);
}

/* The table is made small by what is private of it. */
static void test_add__no_place_left__nothing_is_lost(void **state)
{
	struct ledger *ledger = rig_create();
	char name[LEDGER_NAME_MAX + 1];
	struct ledger_node node;
	uint32_t place;

	(void)state;
	rig_text(name, 255, 0);
	node = rig_node(5, name, ""); /* it needs three places */
	for (uint32_t places = 1; places < 4; places++) {
		places_fini(&ledger->nodes);
		assert_int_equal(places_init(&ledger->nodes, places), 0);
		assert_int_equal(ledger_node_add(ledger, &node, &place), places < 3 ? -ENOSPC : 0);
		assert_int_equal(rig_nodes(ledger, found), places < 3 ? 0 : 1);
	}
	assert_int_equal(place, 0);
	node = rig_node(6, "short", "");
	assert_int_equal(ledger_node_add(ledger, &node, &place), -ENOSPC);
	ledger_node_remove(ledger, 0);
	assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
	ledger_destroy(ledger);
}

static void test_remove__many__their_memory_is_given_back(void **state)
{
	enum { COUNT = 100000 };
	struct ledger *ledger = rig_create();
	uint64_t empty = rig_memory_used(ledger), full;
	uint32_t *places = calloc(COUNT, sizeof(*places));

	(void)state;
	assert_non_null(places);
	for (unsigned i = 0; i < COUNT; i++)
		places[i] = add(ledger, i + 1, "shorter than what makes two", "");
	full = rig_memory_used(ledger);
	assert_in_range(full - empty, COUNT * 128, COUNT * 128 + 65536 * 2);
	for (unsigned i = 0; i < COUNT; i++)
		if (i != COUNT / 2)
			ledger_node_remove(ledger, places[i]);
	/* The chunk of the one left, and the one that was emptied last. */
	assert_in_range(rig_memory_used(ledger) - empty, 4096, 3 * 65536);
	ledger = rig_next(ledger);
	assert_int_equal(rig_nodes(ledger, found), 1);
	assert_int_equal(found[0].node.id, COUNT / 2 + 1);
	assert_in_range(rig_memory_used(ledger) - empty, 4096, 3 * 65536);
	free(places);
	ledger_destroy(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add__text_of_any_length__the_next_worker_finds_it),
		cmocka_unit_test(
			test_remove__the_next_worker_does_not_find_it__its_places_are_taken_first),
		cmocka_unit_test(test_set__changes_what_it_says__the_next_worker_finds_it),
		cmocka_unit_test(test_raise_and_lower__counts__the_next_worker_goes_on),
		cmocka_unit_test(test_undo__requests_that_come_again__all_that_was_raised_for_them),
		cmocka_unit_test(test_undo__its_place_is_another_nodes__that_one_is_left_alone),
		cmocka_unit_test(test_undo__mark_gave_way__too_many_and_never_too_few),
		cmocka_unit_test(test_changed_ns__after_each_change__is_now),
		cmocka_unit_test(test_id_base__above_all_that_were_given_out__those_removed_too),
		cmocka_unit_test(test_each__may_remove_and_end_the_walk),
		cmocka_unit_test(test_add__no_place_left__nothing_is_lost),
		cmocka_unit_test(test_remove__many__their_memory_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
