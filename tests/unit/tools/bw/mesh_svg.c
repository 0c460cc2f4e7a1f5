/*
 * mesh_svg.c - the picture is XML whatever members are called, and has what it should have.
 */
#include "tools/bw/mesh_svg.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tools/bw/mesh_rig.h"

struct seen {
	unsigned texts, groups, tooltips, slow, failed;
	unsigned depth;
	bool has_link;	     /* to something outside */
	char words[1 << 20]; /* all character data, a line an element */
	size_t len;
};

static struct seen seen;

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	(void)context;
	seen.depth++;
	seen.texts += strcmp(name, "text") == 0;
	seen.groups += strcmp(name, "g") == 0;
	seen.tooltips += strcmp(name, "title") == 0 && seen.depth == 3;
	for (; *attributes; attributes += 2) {
		seen.slow +=
			strcmp(attributes[0], "class") == 0 && strcmp(attributes[1], "slow") == 0;
		seen.failed +=
			strcmp(attributes[0], "class") == 0 && strcmp(attributes[1], "none") == 0;
		seen.has_link |= strstr(attributes[0], "href") != NULL;
	}
}

static void on_end(void *context, const XML_Char *name)
{
	(void)context;
	(void)name;
	seen.depth--;
	assert_true(seen.len < sizeof(seen.words) - 1);
	seen.words[seen.len++] = '\n';
}

static void on_words(void *context, const XML_Char *words, int len)
{
	(void)context;
	assert_true(seen.len + (size_t)len < sizeof(seen.words) - 1);
	memcpy(seen.words + seen.len, words, (size_t)len);
	seen.len += (size_t)len;
}

/* Draws it, and reads it with a parser that takes well-formed XML alone. */
static void draw(json_t *mesh)
{
	XML_Parser parser = XML_ParserCreate(NULL);
	struct mesh_result result;
	char *text = NULL;
	size_t len;
	FILE *out;

	memset(&seen, 0, sizeof(seen));
	rig_decode(mesh, &result);
	out = open_memstream(&text, &len);
	mesh_svg_print(&result, "Reads between <members> & \"others\"", out);
	fclose(out);
	mesh_result_free(&result);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_words);
	if (XML_Parse(parser, text, (int)len, 1) != XML_STATUS_OK)
		fail_msg("line %lu: %s", XML_GetCurrentLineNumber(parser),
			 XML_ErrorString(XML_GetErrorCode(parser)));
	XML_ParserFree(parser);
	free(text);
	seen.words[seen.len] = '\0';
	assert_false(seen.has_link);
}

static void expect(const char *words)
{
	if (!strstr(seen.words, words))
		fail_msg("'%s' is not in\n%s", words, seen.words);
}

static void test_mesh_svg_print__a_mesh__has_a_cell_and_a_tooltip_a_link(void **state)
{
	json_t *mesh = rig_mesh(4, NULL);

	(void)state;
	rig_slow(mesh, 1, 3);
	rig_slow(mesh, 3, 0);
	rig_late(mesh, 3, 2);
	rig_failed(mesh, 0, 1, "n2 <does> not & will not answer");
	draw(mesh);
	assert_int_equal(seen.groups, 12);
	assert_int_equal(seen.tooltips, 12);
	assert_int_equal(seen.slow, 3 + 1);   /* and the legend's */
	assert_int_equal(seen.failed, 1 + 1); /* likewise */
	expect("n1 reads from n3: 100 MB/s; 4 KiB in 80.0 us, 99 % in 160.0 us; not slow\n");
	expect("n2 reads from n4: 2.40 MB/s; 4 KiB in 80.0 us, 99 % in 160.0 us; slow\n");
	expect("n4 reads from n3: 100 MB/s; 4 KiB in 5000.0 us, 99 % in 160.0 us; slow to "
	       "answer\n");
	expect("n1 reads from n2: n2 <does> not & will not answer\n");
	expect("3 of 12 links are slow, 3 of them of n4; 1 failed\n");
	expect("Reads between <members> & \"others\"\n");
}

static void test_mesh_svg_print__any_names__is_well_formed(void **state)
{
	static const char *const names[] = {
		"<&>\"'", "]]>", "\x01\x1f\t\n", "\xc3\xa9\xe2\x82\xac", "\xef\xbf\xbe\xef\xbf\xbf",
		""
	};

	(void)state;
	draw(rig_mesh(6, names));
	expect("<&>\"' reads from ]]>: ");
	expect("???? reads from \xc3\xa9\xe2\x82\xac: ");
	expect("?? reads from : ");
}

static void test_mesh_svg_print__many_members__has_them_all(void **state)
{
	(void)state;
	draw(rig_mesh(64, NULL));
	assert_int_equal(seen.groups, 64 * 63);
	assert_true(seen.texts < 200); /* no figures where there is no room for them */
	draw(rig_mesh(2, NULL));
	assert_int_equal(seen.groups, 2);
}

static void test_mesh_svg_print__nothing_was_measured__is_a_picture_all_the_same(void **state)
{
	json_t *mesh = rig_mesh(2, NULL);

	(void)state;
	rig_failed(mesh, 0, 1, "x");
	rig_failed(mesh, 1, 0, "x");
	json_object_set_new(mesh, "bytes_per_s", json_integer(0));
	draw(mesh);
	assert_int_equal(seen.failed, 2 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_svg_print__a_mesh__has_a_cell_and_a_tooltip_a_link),
		cmocka_unit_test(test_mesh_svg_print__any_names__is_well_formed),
		cmocka_unit_test(test_mesh_svg_print__many_members__has_them_all),
		cmocka_unit_test(
			test_mesh_svg_print__nothing_was_measured__is_a_picture_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
