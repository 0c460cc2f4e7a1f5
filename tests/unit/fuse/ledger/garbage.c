/*
 * Tests of ledger/ledger.h: memory that no ledger would have written is adopted without what cannot
 * be. The offsets are those of the drawings in nodes.c, handles.c, cursors.c and backings.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/fuse/ledger/rig.h"

static struct rig_node nodes[RIG_MAX];
static struct ledger_handle handles[RIG_MAX];
static struct ledger_backing backings[RIG_MAX];

struct patch {
	enum ledger_part part;
	size_t off;
	unsigned len;
	uint64_t value;
};

static void apply(struct ledger *ledger, const struct patch *patch)
{
	memcpy((uint8_t *)ledger_part(ledger, patch->part) + patch->off, &patch->value, patch->len);
}

/* Three nodes: at 0, at 1 (continued at 3, 2), at 4 (continued at 6, 5). */
static struct ledger *three_nodes(void)
{
	struct ledger *ledger = rig_create();
	char text[201];

	rig_text(text, 200, 0);
	for (uint64_t id = 10; id < 13; id++) {
		struct ledger_node node = rig_node(id, id == 10 ? "short" : text, "etag");
		uint32_t place;

		assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
		ledger_node_raise(ledger, place, id);
	}
	return ledger;
}

static void test_adopt__a_node_that_cannot_be_one__is_left_out(void **state)
{
	static const struct {
		struct patch patch;
		uint64_t left_out;
	} rows[] = {
		{ { PART_NODES, 0, 8, UINT64_MAX }, 10 },
		{ { PART_NODES, 60, 2, UINT16_MAX - 1 }, 10 }, /* entry -2 */
		{ { PART_NODES, 62, 1, 2 }, 10 },	       /* kind */
		{ { PART_NODES, 63, 1, 16 }, 10 },	       /* flags */
		{ { PART_NODES, 64, 1, 6 }, 0 },	       /* name "shorte", etag "tag?" */
		{ { PART_NODES, 64, 1, 255 }, 10 },	       /* name: continued nowhere */
		{ { PART_NODES, 65, 1, 128 }, 10 },	       /* etag */
		{ { PART_NODES, 66, 1, '/' }, 10 },	       /* name */
		{ { PART_NODES, 67, 1, 0 }, 10 },
		{ { PART_NODES, 71, 1, 0 }, 10 },	  /* etag */
		{ { PART_NODES, 128 + 56, 4, 0 }, 11 },	  /* continued: nowhere */
		{ { PART_NODES, 128 + 56, 4, 1 }, 11 },	  /* by itself */
		{ { PART_NODES, 128 + 56, 4, 4 }, 11 },	  /* by a node */
		{ { PART_NODES, 128 + 56, 4, 100 }, 11 }, /* by zeros */
		{ { PART_NODES, 128 + 56, 4, LEDGER_NODES_MAX }, 11 },
		{ { PART_NODES, 128 + 56, 4, UINT32_MAX }, 11 },
		{ { PART_NODES, 3 * 128 + 8, 4, 3 }, 11 }, /* in a circle */
		{ { PART_NODES, 3 * 128 + 100, 1, 0 }, 11 },
		{ { PART_NODES, 3 * 128 + 100, 1, '/' }, 11 },
		{ { PART_NODES, 4 * 128 + 56, 4, 3 }, 12 }, /* by what continues another */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ledger *ledger = three_nodes();
		unsigned count = 0;

		apply(ledger, &rows[i].patch);
		if (rows[i].left_out == 0) /* one letter further on is the etag's: still a text */
			apply(ledger, &(struct patch){ PART_NODES, 75, 1, 'x' });
		for (unsigned workers = 0; workers < 2; workers++) {
			ledger = rig_next(ledger);
			count = rig_nodes(ledger, nodes);
			assert_int_equal(count, rows[i].left_out ? 2 : 3);
			for (unsigned k = 0; k < count; k++) {
				assert_int_not_equal(nodes[k].node.id, rows[i].left_out);
				assert_int_equal(ledger_node_lookups(ledger, nodes[k].place), 1);
			}
		}
		/* Their places are as if it had never been. */
		for (unsigned k = 0; k < count; k++)
			ledger_node_remove(ledger, nodes[k].place);
		assert_int_equal(places_next(&ledger->nodes, 0, LEDGER_NODES_MAX), PLACES_NONE);
		ledger_destroy(ledger);
	}
}

/* Many bad records among the good: none of the good is given back to the system with them. */
static void test_adopt__half_of_all_nodes_bad__the_other_half_is_there(void **state)
{
	struct ledger *ledger = rig_create();
	unsigned count;

	(void)state;
	for (uint64_t id = 1; id <= RIG_MAX * UINT64_C(2); id++) {
		struct ledger_node node = rig_node(id, "name", "");
		uint32_t place;

		assert_int_equal(ledger_node_add(ledger, &node, &place), 0);
		/* all in the first half of each 1,024 are bad, and are continued far away */
		if (id % 1024 < 512) {
			apply(ledger, &(struct patch){ PART_NODES, place * 128ul + 64, 1, 255 });
			apply(ledger, &(struct patch){ PART_NODES, place * 128ul + 56, 4,
						       (place + 100000ul) % 300000 });
		}
	}
	ledger = rig_next(ledger);
	count = rig_nodes(ledger, nodes);
	assert_int_equal(count, RIG_MAX);
	for (unsigned i = 0; i < count; i++)
		assert_true(nodes[i].node.id % 1024 >= 512);
	ledger_destroy(ledger);
}

static void test_adopt__a_handle_that_cannot_be_one__is_left_out(void **state)
{
	static const struct {
		struct patch patch;
		unsigned left; /* of the two */
	} rows[] = {
		{ { PART_HANDLES, 0, 8, 3 }, 1 },		       /* no sequence */
		{ { PART_HANDLES, 0, 8, LEDGER_HANDLES_MAX + 1 }, 1 }, /* another's place */
		{ { PART_HANDLES, 8, 8, 0 }, 1 },		       /* node */
		{ { PART_HANDLES, 24, 8, 2 }, 1 },		       /* replied */
		{ { PART_HANDLES, 32, 4, UINT32_MAX }, 1 },	       /* backing id */
		{ { PART_HANDLES, 36, 1, 2 }, 1 },		       /* directory */
		{ { PART_HANDLES, 36, 1, 0 }, 2 },		       /* a file with cursors */
		{ { PART_HANDLES, 40, 4, UINT32_MAX }, 2 },	       /* cursors */
		{ { PART_HANDLES, 40, 4, 2 }, 2 },		       /* those of the other, too */
	};
	struct ledger_handle directory = { .node = 5, .directory = true };
	struct ledger_cursor cursor = { .off = 9, .name_len = 1, .name = "a" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct ledger *ledger = rig_create();
		uint64_t numbers[2];

		for (unsigned k = 0; k < 2; k++)
			assert_int_equal(ledger_handle_add(ledger, &directory, &numbers[k]), 0);
		apply(ledger, &rows[i].patch);
		ledger = rig_next(ledger);
		assert_int_equal(rig_handles(ledger, handles), rows[i].left);
		for (unsigned k = 0; k < rows[i].left; k++) {
			ledger_cursor_set(ledger, handles[k].number, &cursor);
			ledger_handle_remove(ledger, handles[k].number);
		}
		assert_int_equal(places_next(&ledger->handles, 0, LEDGER_HANDLES_MAX), PLACES_NONE);
		assert_int_equal(places_next(&ledger->cursors, 0, LEDGER_DIRECTORIES_MAX),
				 PLACES_NONE);
		ledger_destroy(ledger);
	}
}

static void test_adopt__a_cursor_that_cannot_be_one__is_not_known(void **state)
{
	static const struct patch patches[] = {
		{ PART_CURSORS, 288 + 9, 1, 2 }, /* directory */
		{ PART_CURSORS, 288 + 8, 1, 9 }, /* length: a NUL in the name */
		{ PART_CURSORS, 288 + 10, 1, 0 }, { PART_CURSORS, 288 + 10, 1, '/' },
		{ PART_CURSORS, 0, 8, 77 }, /* the later one: either will do */
	};
	struct ledger_handle directory = { .node = 5, .directory = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(patches); i++) {
		struct ledger *ledger = rig_create();
		struct ledger_cursor cursor = { .off = 9, .name_len = 3, .name = "abc" };
		bool known = i == ARRAY_COUNT(patches) - 1;
		uint64_t number;

		assert_int_equal(ledger_handle_add(ledger, &directory, &number), 0);
		ledger_cursor_set(ledger, number, &cursor);
		apply(ledger, &patches[i]);
		ledger = rig_next(ledger);
		assert_int_equal(ledger_cursor(ledger, number, 9, &cursor), known);
		ledger_cursor_set(ledger, number, &cursor);
		assert_true(ledger_cursor(ledger, number, 9, &cursor));
		ledger_destroy(ledger);
	}
}

static void test_adopt__a_backing_file_that_cannot_be_one__is_left_out(void **state)
{
	static const struct patch patches[] = {
		{ PART_BACKINGS, 0, 4, 0 },	     /* id: none, of a directory */
		{ PART_BACKINGS, 0, 4, UINT32_MAX }, /* id */
		{ PART_BACKINGS, 8, 8, 0 },	     /* node */
		{ PART_BACKINGS, 32, 4, 7 },	     /* the second has the same id */
	};
	struct ledger_backing first = { .id = 7, .directory = 1, .node = 5 };
	struct ledger_backing second = { .id = 8, .directory = 1, .node = 6 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(patches); i++) {
		struct ledger *ledger = rig_create();

		assert_int_equal(ledger_backing_add(ledger, &first), 0);
		assert_int_equal(ledger_backing_add(ledger, &second), 0);
		apply(ledger, &patches[i]);
		ledger = rig_next(ledger);
		assert_int_equal(rig_backings(ledger, backings), 1);
		assert_int_equal(ledger_backing_last(ledger), 8);
		ledger_backing_remove(ledger, backings[0].id);
		assert_int_equal(places_next(&ledger->backings, 0, LEDGER_BACKING_MAX),
				 PLACES_NONE);
		ledger_destroy(ledger);
	}
}

/* The words of the header that change are not under its check. */
static void test_adopt__header_words_that_cannot_be__are_made_anew(void **state)
{
	struct ledger *ledger = three_nodes();
	struct ledger_handle handle = { .node = 5 };
	struct ledger_backing backing = { .id = 7, .node = 5 };
	uint64_t number, next;
	uint8_t out[LEDGER_INIT_MAX];

	(void)state;
	assert_int_equal(ledger_handle_add(ledger, &handle, &number), 0);
	assert_int_equal(ledger_backing_add(ledger, &backing), 0);
	ledger_set_init(ledger, "init", 4);
	ledger_set_entries(ledger, &number, 1);
	word_store(&ledger->header->node_id_top, UINT64_MAX);
	word_store(&ledger->header->handle_sequence, UINT64_MAX);
	word_store(&ledger->header->backing_last, UINT64_MAX);
	apply(ledger, &(struct patch){ PART_CONNECTION, 0, 8, LEDGER_INIT_MAX + 1 });
	apply(ledger, &(struct patch){ PART_CONNECTION, 8, 8, LEDGER_ENTRIES_MAX + 1 });
	ledger = rig_next(ledger);
	assert_int_equal(ledger_id_base(ledger), 13);
	assert_int_equal(ledger_backing_last(ledger), 7);
	assert_int_equal(ledger_init(ledger, out), 0);
	assert_int_equal(ledger_entries_digest(ledger, 0), 0);
	assert_int_equal(ledger_handle_add(ledger, &handle, &next), 0);
	assert_int_not_equal(next, number);
	ledger_destroy(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopt__a_node_that_cannot_be_one__is_left_out),
		cmocka_unit_test(test_adopt__half_of_all_nodes_bad__the_other_half_is_there),
		cmocka_unit_test(test_adopt__a_handle_that_cannot_be_one__is_left_out),
		cmocka_unit_test(test_adopt__a_cursor_that_cannot_be_one__is_not_known),
		cmocka_unit_test(test_adopt__a_backing_file_that_cannot_be_one__is_left_out),
		cmocka_unit_test(test_adopt__header_words_that_cannot_be__are_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
