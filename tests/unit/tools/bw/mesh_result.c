/*
 * mesh_result.c - answers that are one, answers that are none, and who is behind slow links.
 */
#include "tests/unit/tools/bw/mesh_rig.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/base/allocation_fault.h"

static void test_mesh_result_decode__all_of_it__is_there(void **state)
{
	static const char *const names[] = { "a", "b\x1b[31m\x7f", "c" };
	struct mesh_result result;
	json_t *mesh = rig_mesh(3, names);

	(void)state;
	rig_slow(mesh, 2, 0);
	rig_failed(mesh, 0, 1, "gone\n");
	rig_decode(mesh, &result);
	assert_int_equal(result.count, 3);
	assert_int_equal(result.bytes_per_s, RIG_BYTES_PER_S);
	assert_int_equal(result.p50_ns, RIG_P50_NS);
	assert_string_equal(result.names[1], "b?[31m?"); /* no terminal obeys it */
	assert_string_equal(mesh_result_link(&result, 0, 1)->problem, "gone?");
	assert_int_equal(mesh_result_link(&result, 0, 1)->bytes_per_s, 0);
	assert_true(mesh_result_link(&result, 2, 0)->slow_bandwidth);
	assert_false(mesh_result_link(&result, 0, 2)->slow_bandwidth);
	assert_int_equal(mesh_result_link(&result, 2, 1)->p99_ns, 2 * RIG_P50_NS);
	assert_int_equal(mesh_result_link(&result, 2, 1)->reader, 2);
	mesh_result_free(&result);
}

static void test_mesh_result_decode__no_such_answer__is_refused(void **state)
{
	static const char *const rows[] = {
		"{}",
		"{\"members\": [], \"cells\": []}",
		"{\"members\": [{\"name\": \"a\"}], \"cells\": []}",
		"{\"members\": [{\"name\": \"a\"}, {\"name\": \"b\"}], \"cells\": []}",
		"{\"members\": [{\"name\": \"a\"}, {}], \"cells\": [{\"reader\": 0, \"target\": "
		"1}, "
		"{\"reader\": 1, \"target\": 0}]}",
		"{\"members\": [{\"name\": \"a\"}, {\"name\": \"b\"}], \"cells\": [{\"reader\": 0, "
		"\"target\": 2}, {\"reader\": 1, \"target\": 0}]}",
		"{\"members\": [{\"name\": \"a\"}, {\"name\": \"b\"}], \"cells\": [{\"reader\": 0, "
		"\"target\": 0}, {\"reader\": 1, \"target\": 0}]}",
		"{\"members\": [{\"name\": \"a\"}, {\"name\": \"b\"}], \"cells\": [{\"reader\": "
		"-1, "
		"\"target\": 0}, {\"reader\": 1, \"target\": 0}]}",
	};
	struct mesh_result result;
	json_t *many = rig_mesh(65, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *json = json_loads(rows[i], 0, NULL);

		assert_non_null(json);
		assert_int_equal(mesh_result_decode(json, &result), -EPROTO);
		json_decref(json);
	}
	assert_int_equal(mesh_result_decode(many, &result), -EPROTO);
	json_decref(many);
	assert_int_equal(mesh_result_decode(NULL, &result), -EPROTO);
}

static void test_mesh_result_decode__each_allocation_fails__leaks_nothing(void **state)
{
	struct mesh_result result;
	json_t *mesh = rig_mesh(3, NULL);
	int error;

	(void)state;
	rig_failed(mesh, 0, 1, "gone");
	for (unsigned n = 1;; n++) {
		allocation_fault_arm(n);
		error = mesh_result_decode(mesh, &result);
		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
	}
	assert_int_equal(error, 0);
	mesh_result_free(&result);
	json_decref(mesh);
}

static void test_mesh_result_sum__who_the_slow_links_have_in_common(void **state)
{
	static const struct {
		unsigned pairs[8][2]; /* slow ones; ended by two zeros */
		int shared;
		unsigned count;
	} rows[] = {
		{ { { 0, 0 } }, -1, 0 },
		{ { { 3, 0 } }, -1, 0 }, /* of one link it is anybody's guess */
		{ { { 3, 0 }, { 0, 3 } }, -1, 0 },
		{ { { 3, 0 }, { 1, 3 } }, 3, 2 },
		{ { { 3, 0 }, { 3, 1 }, { 3, 2 }, { 0, 1 } }, 3, 3 },
		{ { { 3, 0 }, { 3, 1 }, { 2, 4 }, { 2, 5 } }, -1, 0 }, /* half is not most */
		{ { { 0, 1 }, { 2, 3 }, { 4, 5 } }, -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *mesh = rig_mesh(6, NULL);
		struct mesh_result result;
		struct mesh_sum sum;
		unsigned slow = 0;

		for (; rows[i].pairs[slow][0] || rows[i].pairs[slow][1]; slow++)
			rig_slow(mesh, rows[i].pairs[slow][0], rows[i].pairs[slow][1]);
		rig_failed(mesh, 5, 0, "x");
		rig_decode(mesh, &result);
		sum = mesh_result_sum(&result);
		assert_int_equal(sum.links, 30);
		assert_int_equal(sum.slow, slow);
		assert_int_equal(sum.failed, 1);
		assert_int_equal(sum.shared, rows[i].shared);
		assert_int_equal(sum.shared_count, rows[i].count);
		mesh_result_free(&result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_result_decode__all_of_it__is_there),
		cmocka_unit_test(test_mesh_result_decode__no_such_answer__is_refused),
		cmocka_unit_test(test_mesh_result_decode__each_allocation_fails__leaks_nothing),
		cmocka_unit_test(test_mesh_result_sum__who_the_slow_links_have_in_common),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
