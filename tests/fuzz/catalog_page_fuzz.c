/*
 * catalog_page_fuzz.c - any bytes as a page of a listing that another node made. What can be read
 * stays within the limits of a listing, and makes the same page again.
 */
/* fuzz-links: cenote_peer */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "cache/peer/catalog_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void build_again(const uint8_t *data, size_t len)
{
	struct catalog_builder builder = { 0 };
	struct catalog_page *page;
	struct backing_meta meta;
	struct catalog_walk walk;
	const char *key;
	bool is_prefix;

	CHECK(catalog_walk_begin(&walk, data, len) == 0);
	while (catalog_walk_next(&walk, &key, &is_prefix, &meta) > 0) {
		CHECK(strlen(key) <= BACKING_KEY_MAX);
		CHECK(is_prefix || memchr(meta.etag, 0, sizeof(meta.etag)));
		catalog_builder_add(&builder, key, is_prefix ? NULL : &meta);
	}
	CHECK(strlen(key) < BACKING_TOKEN_MAX);
	CHECK(catalog_builder_finish(&builder, key, &page) == 0);
	CHECK(page->len == len && memcmp(page->bytes, data, len) == 0);
	CHECK(catalog_page_is_empty(page) == (page->len == 6));
	catalog_page_put(page);
	catalog_builder_fini(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct backing_meta meta;
	struct catalog_walk walk;
	const char *key;
	bool is_prefix;

	if (catalog_page_check(data, len) == 0)
		build_again(data, len);
	else if (catalog_walk_begin(&walk, data, len) == 0)
		/* what comes before the fault is read, and the fault is found */
		while (catalog_walk_next(&walk, &key, &is_prefix, &meta) > 0)
			;
	return 0;
}
