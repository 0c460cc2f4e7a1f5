/*
 * catalog_page.c - pages as bytes: there and back, cut anywhere, and too large.
 */
#include "cache/peer/catalog_page.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"

static void key_of(unsigned index, size_t len, char out[BACKING_KEY_MAX + 2])
{
	int used = snprintf(out, BACKING_KEY_MAX + 2, "dir/%06u", index);

	memset(out + used, 'k', len - (size_t)used);
	out[len] = '\0';
}

static struct backing_meta meta_of(unsigned index)
{
	struct backing_meta meta = { .size = index * UINT64_C(1000003), .mtime_s = -(int)index };

	memset(meta.etag, 'e', index % BACKING_ETAG_MAX);
	return meta;
}

static bool is_prefix(unsigned index)
{
	return index % 7 == 3;
}

static struct catalog_page *page_of(unsigned count, size_t key_len, const char *token)
{
	struct catalog_builder builder;
	struct catalog_page *page;

	catalog_builder_init(&builder);
	for (unsigned i = 0; i < count; i++) {
		char key[BACKING_KEY_MAX + 2];
		struct backing_meta meta = meta_of(i);

		key_of(i, key_len, key);
		catalog_builder_add(&builder, key, is_prefix(i) ? NULL : &meta);
	}
	assert_int_equal(catalog_builder_finish(&builder, token, &page), 0);
	catalog_builder_fini(&builder);
	return page;
}

static void check_entry(unsigned index, size_t key_len, const char *key, bool prefix,
			const struct backing_meta *meta)
{
	char expected[BACKING_KEY_MAX + 2];
	struct backing_meta of = meta_of(index);

	key_of(index, key_len, expected);
	assert_string_equal(key, expected);
	assert_int_equal(prefix, is_prefix(index));
	if (prefix)
		return;
	assert_int_equal(meta->size, of.size);
	assert_int_equal(meta->mtime_s, of.mtime_s);
	assert_string_equal(meta->etag, of.etag);
}

static void test_page__there_and_back__the_same(void **state)
{
	static char longest[BACKING_TOKEN_MAX];
	const struct {
		unsigned count;
		size_t key_len;
		const char *token;
	} rows[] = {
		{ 0, 10, "" },
		{ 0, 10, "more" },
		{ 1, 10, "" },
		{ 1000, 10, "token" },
		{ 1000, BACKING_KEY_MAX, longest },
	};

	(void)state;
	memset(longest, 't', sizeof(longest) - 1);
	for (unsigned r = 0; r < ARRAY_COUNT(rows); r++) {
		struct catalog_page *page = page_of(rows[r].count, rows[r].key_len, rows[r].token);
		struct backing_meta meta;
		struct catalog_walk walk;
		const char *key;
		bool prefix;

		assert_int_equal(catalog_page_check(page->bytes, page->len), 0);
		assert_int_equal(catalog_walk_begin(&walk, page->bytes, page->len), 0);
		for (unsigned i = 0; i < rows[r].count; i++) {
			assert_int_equal(catalog_walk_next(&walk, &key, &prefix, &meta), 1);
			check_entry(i, rows[r].key_len, key, prefix, &meta);
		}
		assert_int_equal(catalog_walk_next(&walk, &key, &prefix, &meta), 0);
		assert_string_equal(key, rows[r].token);
		assert_int_equal(catalog_walk_next(&walk, &key, &prefix, &meta), -EBADMSG);
		assert_int_equal(catalog_page_is_empty(page),
				 rows[r].count == 0 && !rows[r].token[0]);
		catalog_page_put(page);
	}
}

static void test_page_check__every_truncation__is_refused(void **state)
{
	struct catalog_page *page = page_of(20, 40, "token");

	(void)state;
	for (uint32_t len = 0; len < page->len; len++) {
		uint8_t *cut = malloc(len + 1); /* so that a sanitizer sees what lies behind */

		assert_non_null(cut);
		memcpy(cut + 1, page->bytes, len);
		assert_int_equal(catalog_page_check(cut + 1, len), -EBADMSG);
		free(cut);
	}
	catalog_page_put(page);
}

static void test_page_check__what_no_builder_writes__is_refused(void **state)
{
	static const struct {
		int off; /* < 0: from the end */
		uint8_t byte;
		int error;
	} rows[] = {
		{ 0, 0, -EPROTONOSUPPORT }, { 0, 2, -EPROTONOSUPPORT },
		{ 1, 3, -EBADMSG },	    { 1, 1, -EBADMSG }, /* the count */
		{ 4, 1, -EBADMSG },	    { 5, 2, -EBADMSG }, /* the kind */
		{ 5, 1, -EBADMSG },				/* a prefix has no meta */
		{ 25, 0x80, -EBADMSG },				/* the highest byte of the size */
		{ -1, 'x', -EBADMSG },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct catalog_page *page = page_of(2, 11, "");

		page->bytes[rows[i].off < 0 ? page->len - 1 : (unsigned)rows[i].off] = rows[i].byte;
		assert_int_equal(catalog_page_check(page->bytes, page->len), rows[i].error);
		catalog_page_put(page);
	}
}

static void test_builder_add__no_entry__is_an_error_that_stays(void **state)
{
	static char longer[BACKING_KEY_MAX + 2];
	struct backing_meta fine = { .etag = "e" }, etag = { .size = 1 },
			    size = { .size = UINT64_MAX };
	const struct {
		const char *key;
		const struct backing_meta *meta;
	} rows[] = { { longer, NULL }, { longer, &fine }, { "k", &etag }, { "k", &size } };

	(void)state;
	memset(longer, 'k', sizeof(longer) - 1);
	memset(etag.etag, 'e', sizeof(etag.etag));
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct catalog_builder builder = { 0 };
		struct catalog_page *page;

		catalog_builder_add(&builder, "before", &fine);
		catalog_builder_add(&builder, rows[i].key, rows[i].meta);
		catalog_builder_add(&builder, "after", &fine);
		assert_int_equal(catalog_builder_finish(&builder, "", &page), -EINVAL);
		catalog_builder_fini(&builder);
	}
}

static void test_builder_add__more_than_a_page__is_refused(void **state)
{
	struct catalog_builder builder = { 0 };
	struct catalog_page *page;
	char key[BACKING_KEY_MAX + 2];

	(void)state;
	key_of(0, BACKING_KEY_MAX, key);
	while (!builder.status)
		catalog_builder_add(&builder, key, NULL);
	assert_int_equal(builder.status, -EFBIG);
	assert_in_range(builder.len, PEER_PAGE_LEN_MAX - 2 * BACKING_KEY_MAX, PEER_PAGE_LEN_MAX);
	assert_in_range(builder.room, builder.len, PEER_PAGE_LEN_MAX);
	assert_int_equal(catalog_builder_finish(&builder, "", &page), -EFBIG);
	catalog_builder_fini(&builder);
}

static void test_builder__no_memory__is_said_and_nothing_leaks(void **state)
{
	bool failed = true;

	(void)state;
	for (unsigned nth = 1; failed; nth++) {
		struct catalog_builder builder = { 0 };
		struct catalog_page *page = NULL;
		int error;

		allocation_fault_arm(nth);
		for (unsigned i = 0; i < 100; i++)
			catalog_builder_add(&builder, "a key of some length", NULL);
		error = catalog_builder_finish(&builder, "", &page);
		failed = allocation_fault_disarm();
		assert_int_equal(error, failed ? -ENOMEM : 0);
		catalog_builder_fini(&builder);
		catalog_page_put(page);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page__there_and_back__the_same),
		cmocka_unit_test(test_page_check__every_truncation__is_refused),
		cmocka_unit_test(test_page_check__what_no_builder_writes__is_refused),
		cmocka_unit_test(test_builder_add__no_entry__is_an_error_that_stays),
		cmocka_unit_test(test_builder_add__more_than_a_page__is_refused),
		cmocka_unit_test(test_builder__no_memory__is_said_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
