/*
 * page.h - one page of a listing while it comes in: collected, sorted by key, cut into chunks.
 * Owned by the fetch; no lock.
 *
 * S3 gives a page's files first and its common prefixes after them, so that order is made here; the
 * order of pages is the store's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "fuse/namespace/listing.h"

struct page {
	struct listing_entry *entries;
	size_t count, room;
	char *text;
	size_t text_len, text_room;
	int status; /* -ENOMEM once something could not be kept */
};

/** page_add() - one entry; @meta NULL for a directory. */
void page_add(struct page *page, const char *name, size_t name_len,
	      const struct backing_meta *meta);

/** page_sort() - by key. */
void page_sort(struct page *page);

/** page_cut() - a copy of entries [first, first + count) in one allocation, the text behind them.
 *  Return: NULL: no memory. */
struct listing_entry *page_cut(const struct page *page, size_t first, size_t count, char **out_text,
			       size_t *out_bytes);

/** page_clear() - empties it, keeping nothing. */
void page_clear(struct page *page);

/** page_key_compare() - orders (name, is a directory) as S3 orders keys: bytes, a directory's with
 *  its slash. */
int page_key_compare(const char *a, size_t a_len, bool a_directory, const char *b, size_t b_len,
		     bool b_directory);
