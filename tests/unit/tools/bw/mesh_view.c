/*
 * mesh_view.c - what people see, without colors and with them.
 */
#include "tools/bw/mesh_view.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tools/bw/mesh_rig.h"

/* Return: heap memory. */
static char *shown(json_t *mesh, bool color)
{
	struct terminal terminal = { .color = color };
	struct mesh_result result;
	char *text = NULL;
	size_t len;

	rig_decode(mesh, &result);
	terminal.out = open_memstream(&text, &len);
	mesh_view_print(&result, &terminal);
	fclose(terminal.out);
	mesh_result_free(&result);
	return text;
}

static void expect(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in\n%s", part, text);
}

static void expect_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' is in\n%s", part, text);
}

static void test_mesh_view_print__none_is_slow__says_so(void **state)
{
	char *text = shown(rig_mesh(3, NULL), false);

	(void)state;
	expect(text, "BANDWIDTH, MB/s: the member of the row reads from that of the column\n"
		     "        n1       n2       n3 \n"
		     "n1       -      100      100 \n"
		     "n2     100        -      100 \n");
	expect(text, "LATENCY of 4 KiB, us: the median\n"
		     "        n1       n2       n3 \n"
		     "n1       -     80.0     80.0 \n");
	expect(text, "No link is slow: the medians are 100 MB/s and 80.0 us.\n");
	expect_not(text, "*");
	expect_not(text, "FAILED");
	free(text);
}

static void test_mesh_view_print__slow_ones__have_stars_and_are_listed(void **state)
{
	json_t *mesh = rig_mesh(4, NULL);
	char *text;

	(void)state;
	rig_slow(mesh, 1, 3);
	rig_slow(mesh, 3, 0);
	rig_late(mesh, 3, 2);
	text = shown(mesh, false);
	expect(text, "n2     100        -      100     2.40*\n");
	expect(text, "n4    80.0     80.0     5000*       - \n");
	expect(text, "SLOW: 3 of 12 links are below half of the median of 100 MB/s or above twice "
		     "that of 80.0 us\n");
	expect(text, "  n2 reads from n4: 2.40 MB/s, 80.0 us (99 %: 160 us)\n");
	expect(text, "  n4 reads from n3: 100 MB/s, 5000 us (99 %: 160 us)\n");
	expect(text, "n4 takes part in 3 of these 3: look at its NIC");
	free(text);
}

static void test_mesh_view_print__on_a_terminal__colors_and_no_stars(void **state)
{
	json_t *mesh = rig_mesh(4, NULL);
	char *text;

	(void)state;
	rig_slow(mesh, 1, 3);
	rig_slow(mesh, 2, 0);
	text = shown(mesh, true);
	expect(text, "\033[31m    2.40 \033[0m");
	expect(text, "No one member takes part in most of them.");
	expect_not(text, "*");
	free(text);
}

static void test_mesh_view_print__failed_ones__are_listed_with_their_reason(void **state)
{
	json_t *mesh = rig_mesh(3, NULL);
	char *text;

	(void)state;
	rig_failed(mesh, 0, 2, "n3 does not answer");
	text = shown(mesh, false);
	expect(text, "n1       -      100   failed \n");
	expect(text, "FAILED: 1 links were not measured, or in part\n"
		     "  n1 reads from n3: n3 does not answer\n");
	free(text);
	mesh = rig_mesh(2, NULL);
	rig_failed(mesh, 0, 1, "x");
	rig_failed(mesh, 1, 0, "x");
	json_object_set_new(mesh, "bytes_per_s", json_integer(0));
	text = shown(mesh, false);
	expect_not(text, "No link is slow");
	free(text);
}

static void test_mesh_view_print__long_names__columns_have_numbers(void **state)
{
	static const char *const names[] = { "gpu-node-1", "b" };
	char *text = shown(rig_mesh(2, names), false);

	(void)state;
	expect(text, "                   [1]      [2] \n"
		     "[1] gpu-node-1       -      100 \n"
		     "[2] b              100        - \n");
	free(text);
}

static void test_mesh_view_print__many_slow_ones__the_list_has_an_end(void **state)
{
	json_t *mesh = rig_mesh(12, NULL);
	unsigned lines = 0;
	char *text;

	(void)state;
	for (unsigned reader = 0; reader < 12; reader++)
		for (unsigned target = 0; target < 5; target++)
			if (reader != target)
				rig_slow(mesh, reader, target);
	text = shown(mesh, false);
	for (const char *at = text; (at = strstr(at, " reads from n")); at++)
		lines++;
	assert_int_equal(lines, 32);
	expect(text, "  and 23 more: --json has all\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_view_print__none_is_slow__says_so),
		cmocka_unit_test(test_mesh_view_print__slow_ones__have_stars_and_are_listed),
		cmocka_unit_test(test_mesh_view_print__on_a_terminal__colors_and_no_stars),
		cmocka_unit_test(test_mesh_view_print__failed_ones__are_listed_with_their_reason),
		cmocka_unit_test(test_mesh_view_print__long_names__columns_have_numbers),
		cmocka_unit_test(test_mesh_view_print__many_slow_ones__the_list_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
