/*
 * mesh_matrix.c - medians, which links are slow, and that the largest answer fits.
 */
#include "tools/daemon/mesh_matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tools/control.h"

static struct mesh_member members[MESH_MEMBERS_MAX];
static struct mesh_matrix matrix;

static void make(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		memset(&members[i].id, (int)i + 1, sizeof(members[i].id));
		snprintf(members[i].name, sizeof(members[i].name), "n%u", i);
	}
	assert_int_equal(mesh_matrix_init(&matrix, members, count), 0);
}

static int teardown(void **state)
{
	(void)state;
	mesh_matrix_fini(&matrix);
	return 0;
}

static void set(unsigned reader, unsigned target, uint64_t bytes_per_s, uint64_t p50_ns)
{
	struct mesh_cell *cell = mesh_matrix_cell(&matrix, reader, target);

	cell->bytes_per_s = bytes_per_s;
	cell->p50_ns = p50_ns;
	cell->p99_ns = 2 * p50_ns;
}

static void set_all(uint64_t bytes_per_s, uint64_t p50_ns)
{
	for (unsigned reader = 0; reader < matrix.count; reader++)
		for (unsigned target = 0; target < matrix.count; target++)
			if (reader != target)
				set(reader, target, bytes_per_s, p50_ns);
}

static struct mesh_sum mark(void)
{
	struct mesh_sum sum;

	assert_int_equal(mesh_matrix_mark(&matrix, &sum), 0);
	return sum;
}

static void test_mesh_matrix_mark__all_alike__none_is_slow(void **state)
{
	struct mesh_sum sum;

	(void)state;
	make(4);
	set_all(1001, 7);
	sum = mark();
	assert_int_equal(sum.pairs, 12);
	assert_int_equal(sum.slow, 0);
	assert_int_equal(sum.failed, 0);
	assert_int_equal(matrix.bytes_per_s, 1001);
	assert_int_equal(matrix.p50_ns, 7);
}

static void test_mesh_matrix_mark__beyond_half_and_twice__is_slow(void **state)
{
	static const struct {
		uint64_t bytes_per_s, p50_ns;
		bool bandwidth, latency;
	} rows[] = {
		{ 500, 100, false, false },   { 499, 100, true, false },
		{ 1000, 200, false, false },  { 1000, 201, false, true },
		{ 1, 100000000, true, true }, { 5000, 1, false, false },
	};

	(void)state;
	make(5);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct mesh_cell *cell = mesh_matrix_cell(&matrix, 3, 1);

		set_all(1000, 100);
		set(3, 1, rows[i].bytes_per_s, rows[i].p50_ns);
		assert_int_equal(mark().slow, rows[i].bandwidth || rows[i].latency);
		assert_int_equal(cell->slow_bandwidth, rows[i].bandwidth);
		assert_int_equal(cell->slow_latency, rows[i].latency);
		assert_false(mesh_matrix_cell(&matrix, 1, 3)->slow_bandwidth);
	}
}

/* Half of the pairs of four are one's: the median is of the better half. */
static void test_mesh_matrix_mark__one_slow_member_of_four__all_its_links_are(void **state)
{
	(void)state;
	make(4);
	set_all(1000, 100);
	for (unsigned i = 0; i < 3; i++) {
		set(3, i, 100, 900);
		set(i, 3, 100, 900);
	}
	assert_int_equal(mark().slow, 6);
	assert_int_equal(matrix.bytes_per_s, 1000);
	assert_int_equal(matrix.p50_ns, 100);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(mesh_matrix_cell(&matrix, 3, i)->slow_bandwidth);
		assert_true(mesh_matrix_cell(&matrix, i, 3)->slow_bandwidth);
		assert_true(mesh_matrix_cell(&matrix, i, 3)->slow_latency);
		assert_false(mesh_matrix_cell(&matrix, i, (i + 1) % 3)->slow_bandwidth);
	}
}

static void test_mesh_matrix_mark__what_was_not_measured__counts_for_nothing(void **state)
{
	struct mesh_cell *cell;
	struct mesh_sum sum;

	(void)state;
	make(3);
	set_all(1000, 100);
	for (unsigned i = 0; i < 2; i++) {
		set(2, i, 0, 0);
		cell = mesh_matrix_cell(&matrix, 2, i);
		snprintf(cell->problem, sizeof(cell->problem), "n2 does not answer");
	}
	cell = mesh_matrix_cell(&matrix, 0, 2);
	cell->p50_ns = 0;
	snprintf(cell->problem, sizeof(cell->problem), "its latency was not measured");
	sum = mark();
	assert_int_equal(sum.failed, 3);
	assert_int_equal(sum.slow, 0);
	assert_int_equal(matrix.bytes_per_s, 1000);
	mesh_matrix_fini(&matrix);
	make(2);
	assert_int_equal(mark().slow, 0);
	assert_int_equal(matrix.bytes_per_s, 0);
}

static void test_mesh_cell_fail__too_long__ends_with_a_whole_character(void **state)
{
	char why[2 * MESH_PROBLEM_MAX];
	struct mesh_cell cell;

	(void)state;
	mesh_cell_fail(&cell, "short");
	assert_string_equal(cell.problem, "short");
	for (unsigned lead = 0; lead < 2; lead++) {
		memset(why, 'x', sizeof(why));
		for (unsigned i = lead; i + 2 < sizeof(why); i += 2)
			memcpy(why + i, "\xc3\xa9", 2);
		why[sizeof(why) - 1] = '\0';
		mesh_cell_fail(&cell, why);
		assert_int_equal(strlen(cell.problem), MESH_PROBLEM_MAX - 2 + lead);
		assert_memory_equal(cell.problem, why, strlen(cell.problem));
	}
	memset(why, 'x', sizeof(why) - 1);
	mesh_cell_fail(&cell, why);
	assert_int_equal(strlen(cell.problem), MESH_PROBLEM_MAX - 1);
}

static void test_mesh_matrix_json__tells_each_ordered_pair(void **state)
{
	json_t *json, *cells, *cell;

	(void)state;
	make(3);
	set_all(1000, 100);
	set(1, 2, 10, 100);
	snprintf(mesh_matrix_cell(&matrix, 2, 0)->problem, MESH_PROBLEM_MAX, "\xff");
	snprintf(members[1].name, sizeof(members[1].name), "\xfe");
	mark();
	json = mesh_matrix_json(&matrix);
	cells = json_object_get(json, "cells");
	assert_int_equal(json_array_size(cells), 6);
	assert_int_equal(json_integer_value(json_object_get(json, "bytes_per_s")), 1000);
	cell = json_array_get(cells, 3);
	assert_int_equal(json_integer_value(json_object_get(cell, "reader")), 1);
	assert_int_equal(json_integer_value(json_object_get(cell, "target")), 2);
	assert_int_equal(json_integer_value(json_object_get(cell, "bytes_per_s")), 10);
	assert_true(json_is_true(json_object_get(cell, "slow_bandwidth")));
	assert_true(json_is_null(json_object_get(cell, "problem")));
	/* bytes that are no UTF-8 */
	assert_string_equal(json_string_value(json_object_get(json_array_get(cells, 4), "problem")),
			    "?");
	cell = json_array_get(json_object_get(json, "members"), 1);
	assert_string_equal(json_string_value(json_object_get(cell, "name")),
			    "02020202020202020202020202020202");
	json_decref(json);
}

static void test_mesh_matrix_json__the_largest__fits_into_an_answer(void **state)
{
	char *answer;

	(void)state;
	make(MESH_MEMBERS_MAX);
	for (unsigned reader = 0; reader < matrix.count; reader++) {
		for (unsigned target = 0; target < matrix.count; target++) {
			if (reader == target)
				continue;
			set(reader, target, UINT64_C(123456789012), UINT64_C(12345678901));
			memset(mesh_matrix_cell(&matrix, reader, target)->problem, 'x',
			       MESH_PROBLEM_MAX - 1);
		}
	}
	mark();
	answer = control_answer_ok(mesh_matrix_json(&matrix));
	assert_non_null(answer);
	assert_true(strlen(answer) < CONTROL_ANSWER_MAX - 4096);
	free(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_mesh_matrix_mark__all_alike__none_is_slow, teardown),
		cmocka_unit_test_teardown(test_mesh_matrix_mark__beyond_half_and_twice__is_slow,
					  teardown),
		cmocka_unit_test_teardown(
			test_mesh_matrix_mark__one_slow_member_of_four__all_its_links_are,
			teardown),
		cmocka_unit_test_teardown(
			test_mesh_matrix_mark__what_was_not_measured__counts_for_nothing, teardown),
		cmocka_unit_test(test_mesh_cell_fail__too_long__ends_with_a_whole_character),
		cmocka_unit_test_teardown(test_mesh_matrix_json__tells_each_ordered_pair, teardown),
		cmocka_unit_test_teardown(test_mesh_matrix_json__the_largest__fits_into_an_answer,
					  teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
