/*
 * Tests of object.c: identity.
 */
#include "cache/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

static void test_id__of_a_version__stays_what_it_is(void **state)
{
	static const struct object_version version = { "s3", "data", "train/00001.jpg",
						       "d41d8cd98f00b204e9800998ecf8427e", 112640 };
	struct object_id id;
	char text[OBJECT_ID_TEXT_LEN];

	(void)state;
	object_id_of(&version, &id);
	object_id_text(&id, text);
	/* ids name files on SSDs and blocks of peers: they must not change with a release. Python:
	 * sha256(b"".join(pack("<Q", len(f)) + f for f in fields) + pack("<Q", size)) */
	assert_string_equal(text, "f61977a025f05eb6656b669a074fc40f");
}

static void test_id__of_versions_that_differ__differs(void **state)
{
	static const struct object_version versions[] = {
		{ "a", "b", "c", "d", 1 }, { "a", "b", "c", "d", 2 }, { "a", "b", "c", "e", 1 },
		{ "a", "b", "x", "d", 1 }, { "a", "x", "c", "d", 1 }, { "x", "b", "c", "d", 1 },
		{ "ab", "", "c", "d", 1 }, { "a", "bc", "", "d", 1 }, { "", "ab", "c", "d", 1 },
		{ "", "", "abcd", "", 1 }, { "", "", "", "abcd", 1 }, { "a", "b", "cd", "", 1 },
	};
	struct object_id ids[ARRAY_COUNT(versions)];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(versions); i++) {
		object_id_of(&versions[i], &ids[i]);
		for (unsigned j = 0; j < i; j++)
			assert_false(object_id_equal(&ids[i], &ids[j]));
	}
}

static void test_block_len__of_each_block__adds_up_to_the_size(void **state)
{
	static const struct {
		uint64_t size, block;
		uint32_t len;
	} rows[] = {
		{ 0, 0, 0 },
		{ 1, 0, 1 },
		{ 1, 1, 0 },
		{ 4194304, 0, 4194304 },
		{ 4194304, 1, 0 },
		{ 4194305, 1, 1 },
		{ 4194305, 2, 0 },
		{ UINT64_C(1) << 44, (UINT64_C(1) << 22) - 1, 4194304 },
		{ 10000000, 2, 1611392 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++)
		assert_int_equal(object_block_len(rows[i].size, rows[i].block, BLOCK_LEN_MAX),
				 rows[i].len);
	assert_int_equal(object_granule_count(1), 1);
	assert_int_equal(object_granule_count(65536), 1);
	assert_int_equal(object_granule_count(65537), 2);
	assert_int_equal(object_granule_count(BLOCK_LEN_MAX), BLOCK_GRANULES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id__of_a_version__stays_what_it_is),
		cmocka_unit_test(test_id__of_versions_that_differ__differs),
		cmocka_unit_test(test_block_len__of_each_block__adds_up_to_the_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
