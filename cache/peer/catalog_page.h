/*
 * catalog_page.h - a page of a listing as bytes, for those nodes that did not ask for it. Pure.
 *
 *	version 1, count 4, the entries, text token
 *	entry: 0, text key, size 8, mtime_s 8, text etag	a key
 *	       1, text prefix					a common prefix
 *
 * Integers are little-endian, texts end with a NUL. What decodes encodes to the same bytes.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/backing.h"
#include "cache/peer/wire.h"

#define CATALOG_PAGE_VERSION 1

/* A page that several have in hand. */
struct catalog_page {
	_Atomic unsigned refs;
	uint64_t number; /* its name at the node that keeps it; 0: of another node */
	uint32_t len;	 /* 1 .. PEER_PAGE_LEN_MAX */
	uint8_t bytes[];
};

/** catalog_page_create() - of @len bytes that are still to be filled in. NULL: no memory. */
struct catalog_page *catalog_page_create(uint32_t len);

struct catalog_page *catalog_page_get(struct catalog_page *page);
void catalog_page_put(struct catalog_page *page); /* NULL is fine */

/* A page in the making. */
struct catalog_builder {
	uint8_t *bytes;
	size_t len, room;
	uint32_t count;
	int status; /* 0; -EFBIG more than PEER_PAGE_LEN_MAX; -EINVAL no entry; -ENOMEM */
};

/** catalog_builder_init() - zeroed memory is as good. */
void catalog_builder_init(struct catalog_builder *builder);
void catalog_builder_fini(struct catalog_builder *builder);

/** catalog_builder_add() - @meta: NULL: a common prefix. What fails is in status, and stays. */
void catalog_builder_add(struct catalog_builder *builder, const char *key,
			 const struct backing_meta *meta);

/** catalog_builder_finish() - Return: 0, or as status. The builder is to be fini()shed anyway. */
int catalog_builder_finish(struct catalog_builder *builder, const char *token,
			   struct catalog_page **out_page);

/* A page being read. */
struct catalog_walk {
	const uint8_t *at, *end;
	uint32_t left;
	bool token; /* it was read */
};

/** catalog_walk_begin() - Return: 0; -EBADMSG; -EPROTONOSUPPORT another version. */
int catalog_walk_begin(struct catalog_walk *walk, const void *bytes, size_t len);

/**
 * catalog_walk_next() - the next entry.
 * @out_key: in the page. @out_is_prefix: then there is no meta.
 * Return: 1; 0 after the last one, then @out_key is the token; -EBADMSG.
 */
int catalog_walk_next(struct catalog_walk *walk, const char **out_key, bool *out_is_prefix,
		      struct backing_meta *out_meta);

/** catalog_page_check() - Return: 0 when all of it can be read; as the two above. */
int catalog_page_check(const void *bytes, size_t len);

/** catalog_page_is_empty() - no entry, and none to come. The page is one that can be read. */
bool catalog_page_is_empty(const struct catalog_page *page);
