/*
 * Tests of names.h.
 */
#include "fuse/namespace/names.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

#define NAME_255                                                                                   \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"    \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"    \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_component_valid__rows(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} rows[] = {
		{ "a", true },		 { "", false },	 { ".", false },   { "..", false },
		{ "...", true },	 { ".a", true }, { "..a", true },  { "a/b", false },
		{ " ", true },		 { "\n", true }, { "\xff", true }, { NAME_255, true },
		{ NAME_255 "b", false },
	};

	(void)state;
	assert_int_equal(strlen(NAME_255), 255);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(names_component_valid(rows[i].name, strlen(rows[i].name)),
				 rows[i].valid);
}

static void test_classify__rows(void **state)
{
	static const struct {
		const char *prefix, *key;
		enum names_kind kind;
		const char *name;
	} rows[] = {
		{ "", "a", NAMES_FILE, "a" },
		{ "", "a/", NAMES_DIRECTORY, "a" },
		{ "", "a/b", NAMES_DIRECTORY, "a" },
		{ "p/", "p/a", NAMES_FILE, "a" },
		{ "p/", "p/a/", NAMES_DIRECTORY, "a" },
		{ "p/", "p/", NAMES_SELF, NULL },
		{ "", "", NAMES_SELF, NULL },
		{ "p/", "q/a", NAMES_HIDDEN, NULL },
		{ "p/", "p", NAMES_HIDDEN, NULL },
		{ "", "/", NAMES_HIDDEN, NULL },
		{ "", "/a", NAMES_HIDDEN, NULL },
		{ "a/", "a//", NAMES_HIDDEN, NULL },
		{ "a/", "a//b", NAMES_HIDDEN, NULL },
		{ "", ".", NAMES_HIDDEN, NULL },
		{ "", "./a", NAMES_HIDDEN, NULL },
		{ "", "../a", NAMES_HIDDEN, NULL },
		{ "", "..a", NAMES_FILE, "..a" },
		{ "", NAME_255, NAMES_FILE, NAME_255 },
		{ "", NAME_255 "b", NAMES_HIDDEN, NULL },
		{ "", NAME_255 "b/c", NAMES_HIDDEN, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const char *name = NULL;
		size_t len = 0;

		assert_int_equal(names_classify(rows[i].prefix, rows[i].key, &name, &len),
				 rows[i].kind);
		if (!rows[i].name)
			continue;
		assert_int_equal(len, strlen(rows[i].name));
		assert_memory_equal(name, rows[i].name, len);
	}
}

static void test_key_of_path__and_back(void **state)
{
	static const struct {
		const char *prefix, *path, *key;
	} rows[] = {
		{ "", "a", "a" },
		{ "", "a/b/c.bin", "a/b/c.bin" },
		{ "train/", "a b/+%~\xc3\xbc", "train/a b/+%~\xc3\xbc" },
		{ "/x/", "a", "/x/a" },
	};
	char text[NAMES_KEY_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(names_key_of_path(rows[i].prefix, rows[i].path, text),
				 strlen(rows[i].key));
		assert_string_equal(text, rows[i].key);
		assert_int_equal(names_path_of_key(rows[i].prefix, rows[i].key, text),
				 strlen(rows[i].path));
		assert_string_equal(text, rows[i].path);
	}
}

static void test_key_of_path__too_long__is_refused(void **state)
{
	char path[NAMES_KEY_MAX + 2], key[NAMES_KEY_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 8 == 7 ? '/' : 'a';
	path[NAMES_KEY_MAX] = 'a';
	path[NAMES_KEY_MAX + 1] = '\0';
	assert_int_equal(names_key_of_path("", path, key), -ENAMETOOLONG);
	path[NAMES_KEY_MAX - 1] = 'a';
	path[NAMES_KEY_MAX] = '\0';
	assert_int_equal(names_key_of_path("", path, key), NAMES_KEY_MAX);
	assert_int_equal(names_key_of_path("p/", path, key), -ENAMETOOLONG);
}

static void test_path_of_key__without_a_path__is_refused(void **state)
{
	static const struct {
		const char *prefix, *key;
	} rows[] = {
		{ "", "" },	{ "", "a/" },	 { "", "/a" },	 { "", "a//b" }, { "", "." },
		{ "", "a/.." }, { "", "a/./b" }, { "p/", "p/" }, { "p/", "q" },	 { "p/", "p" },
	};
	char path[NAMES_KEY_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(names_path_of_key(rows[i].prefix, rows[i].key, path), -EINVAL);
}

static void test_entry_path_check__rows(void **state)
{
	static const struct {
		const char *path;
		bool good;
	} rows[] = {
		{ "/", true },	    { "/a", true },	    { "/a/b", true },
		{ "", false },	    { "a", false },	    { "/a/", false },
		{ "//", false },    { "/a//b", false },	    { "/.", false },
		{ "/a/..", false }, { "/" NAME_255, true }, { "/" NAME_255 "x", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(!names_entry_path_check(rows[i].path), rows[i].good);
}

static void test_entry_nested__rows(void **state)
{
	static const struct {
		const char *a, *b;
		bool nested;
	} rows[] = {
		{ "/", "/a", true },	   { "/", "/", true },	   { "/a", "/a", true },
		{ "/a", "/a/b", true },	   { "/a", "/ab", false }, { "/a", "/b", false },
		{ "/a/b", "/a/c", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		assert_int_equal(names_entry_nested(rows[i].a, rows[i].b), rows[i].nested);
		assert_int_equal(names_entry_nested(rows[i].b, rows[i].a), rows[i].nested);
	}
}

static void test_below__rows(void **state)
{
	static const struct {
		const char *directory, *path, *name;
		bool last;
	} rows[] = {
		{ "/", "/a/b", "a", false }, { "/", "/a", "a", true },
		{ "/a", "/a/b", "b", true }, { "/a", "/ab/c", NULL, false },
		{ "/a", "/a", NULL, false }, { "/", "/", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		size_t len = 0;
		bool last = false;
		const char *name = names_below(rows[i].directory, rows[i].path, &len, &last);

		assert_int_equal(name != NULL, rows[i].name != NULL);
		if (!name || !rows[i].name)
			continue;
		assert_int_equal(len, strlen(rows[i].name));
		assert_memory_equal(name, rows[i].name, len);
		assert_int_equal(last, rows[i].last);
	}
}

static void test_dataset__rows(void **state)
{
	static const struct {
		const char *entry, *path;
		unsigned depth;
		const char *dataset;
	} rows[] = {
		{ "/images", "train/cats/1.jpg", 1, "/images/train" },
		{ "/images", "train/cats/1.jpg", 2, "/images/train/cats" },
		{ "/images", "train/cats/1.jpg", 9, "/images/train/cats" },
		{ "/images", "train/cats/1.jpg", 0, "/images" },
		{ "/images", "1.jpg", 1, "/images" },
		{ "/", "train/1.jpg", 1, "/train" },
		{ "/", "1.jpg", 1, "/" },
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		names_dataset(rows[i].entry, rows[i].path, rows[i].depth, out, sizeof(out));
		assert_string_equal(out, rows[i].dataset);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_component_valid__rows),
		cmocka_unit_test(test_classify__rows),
		cmocka_unit_test(test_key_of_path__and_back),
		cmocka_unit_test(test_key_of_path__too_long__is_refused),
		cmocka_unit_test(test_path_of_key__without_a_path__is_refused),
		cmocka_unit_test(test_entry_path_check__rows),
		cmocka_unit_test(test_entry_nested__rows),
		cmocka_unit_test(test_below__rows),
		cmocka_unit_test(test_dataset__rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
