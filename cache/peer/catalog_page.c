/*
 * catalog_page.c - see catalog_page.h.
 */
#include "cache/peer/catalog_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define HEADER_LEN 5
#define META_LEN   16 /* up to the etag */
#define ROOM_MIN   1024
#define EMPTY_LEN  (HEADER_LEN + 1) /* no entry, and "" */

enum entry_kind {
	ENTRY_KEY,
	ENTRY_PREFIX,
};

struct catalog_page *catalog_page_create(uint32_t len)
{
	struct catalog_page *page = malloc(sizeof(*page) + len);

	CHECK(len > 0 && len <= PEER_PAGE_LEN_MAX);
	if (!page)
		return NULL;
	page->refs = 1;
	page->number = 0;
	page->len = len;
	return page;
}

struct catalog_page *catalog_page_get(struct catalog_page *page)
{
	atomic_fetch_add(&page->refs, 1);
	return page;
}

void catalog_page_put(struct catalog_page *page)
{
	if (page && atomic_fetch_sub(&page->refs, 1) == 1)
		free(page);
}

bool catalog_page_is_empty(const struct catalog_page *page)
{
	return page->len == EMPTY_LEN;
}

/* --- making */

void catalog_builder_init(struct catalog_builder *builder)
{
	*builder = (struct catalog_builder){ 0 };
}

void catalog_builder_fini(struct catalog_builder *builder)
{
	free(builder->bytes);
	catalog_builder_init(builder);
}

/* Return: where @len more bytes go, or NULL with the status. */
static uint8_t *builder_grow(struct catalog_builder *builder, size_t len)
{
	size_t start = builder->len ? builder->len : HEADER_LEN;
	size_t room = builder->room ? builder->room : ROOM_MIN;
	uint8_t *bytes;

	if (builder->status)
		return NULL;
	if (len > PEER_PAGE_LEN_MAX - start) {
		builder->status = -EFBIG;
		return NULL;
	}
	while (room - start < len)
		room *= 2;
	if (room > builder->room) {
		bytes = realloc(builder->bytes, room);
		if (!bytes) {
			builder->status = -ENOMEM;
			return NULL;
		}
		builder->bytes = bytes;
		builder->room = room;
	}
	builder->len = start + len;
	return builder->bytes + start;
}

void catalog_builder_add(struct catalog_builder *builder, const char *key,
			 const struct backing_meta *meta)
{
	size_t key_len = strnlen(key, BACKING_KEY_MAX + 1);
	size_t etag_len = meta ? strnlen(meta->etag, BACKING_ETAG_MAX) : 0;
	uint8_t *at;

	/* what could not be read again; the other way to list is to ask oneself */
	if (key_len > BACKING_KEY_MAX || etag_len >= BACKING_ETAG_MAX ||
	    (meta && meta->size > INT64_MAX)) {
		builder->status = builder->status ? builder->status : -EINVAL;
		return;
	}
	at = builder_grow(builder, 1 + key_len + 1 + (meta ? META_LEN + etag_len + 1 : 0));
	if (!at)
		return;
	builder->count++;
	*at++ = meta ? ENTRY_KEY : ENTRY_PREFIX;
	memcpy(at, key, key_len + 1);
	if (!meta)
		return;
	at += key_len + 1;
	bytes_put_u64(at, meta->size);
	bytes_put_u64(at + 8, (uint64_t)meta->mtime_s);
	memcpy(at + META_LEN, meta->etag, etag_len + 1);
}

int catalog_builder_finish(struct catalog_builder *builder, const char *token,
			   struct catalog_page **out_page)
{
	size_t token_len = strnlen(token, BACKING_TOKEN_MAX - 1);
	uint8_t *at = builder_grow(builder, token_len + 1);
	struct catalog_page *page;

	if (!at)
		return builder->status;
	memcpy(at, token, token_len);
	at[token_len] = 0;
	builder->bytes[0] = CATALOG_PAGE_VERSION;
	bytes_put_u32(builder->bytes + 1, builder->count);
	page = catalog_page_create((uint32_t)builder->len);
	if (!page)
		return -ENOMEM;
	memcpy(page->bytes, builder->bytes, builder->len);
	*out_page = page;
	return 0;
}

/* --- reading */

int catalog_walk_begin(struct catalog_walk *walk, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	if (len < 1)
		return -EBADMSG;
	if (at[0] != CATALOG_PAGE_VERSION)
		return -EPROTONOSUPPORT;
	if (len < HEADER_LEN || len > PEER_PAGE_LEN_MAX)
		return -EBADMSG;
	*walk = (struct catalog_walk){
		.at = at + HEADER_LEN,
		.end = at + len,
		.left = bytes_get_u32(at + 1),
	};
	return 0;
}

/* A text of at most @max bytes with its NUL. NULL: there is none. */
static const char *walk_text(struct catalog_walk *walk, size_t max)
{
	size_t room = (size_t)(walk->end - walk->at);
	const char *text = (const char *)walk->at;
	const uint8_t *nul = memchr(walk->at, 0, room < max ? room : max);

	if (!nul)
		return NULL;
	walk->at = nul + 1;
	return text;
}

static int walk_meta(struct catalog_walk *walk, struct backing_meta *out_meta)
{
	const char *etag;

	if (walk->end - walk->at < META_LEN)
		return -EBADMSG;
	out_meta->size = bytes_get_u64(walk->at);
	out_meta->mtime_s = (int64_t)bytes_get_u64(walk->at + 8);
	walk->at += META_LEN;
	etag = walk_text(walk, BACKING_ETAG_MAX);
	if (!etag || out_meta->size > INT64_MAX)
		return -EBADMSG;
	memcpy(out_meta->etag, etag, strlen(etag) + 1);
	return 0;
}

/* Behind the last entry. */
static int walk_token(struct catalog_walk *walk, const char **out_key)
{
	*out_key = walk->token ? NULL : walk_text(walk, BACKING_TOKEN_MAX);
	walk->token = true;
	return *out_key && walk->at == walk->end ? 0 : -EBADMSG;
}

int catalog_walk_next(struct catalog_walk *walk, const char **out_key, bool *out_is_prefix,
		      struct backing_meta *out_meta)
{
	if (walk->left == 0)
		return walk_token(walk, out_key);
	if (walk->at == walk->end || *walk->at > ENTRY_PREFIX)
		return -EBADMSG;
	*out_is_prefix = *walk->at++ == ENTRY_PREFIX;
	*out_key = walk_text(walk, BACKING_KEY_MAX + 1);
	if (!*out_key || (!*out_is_prefix && walk_meta(walk, out_meta) != 0))
		return -EBADMSG;
	walk->left--;
	return 1;
}

int catalog_page_check(const void *bytes, size_t len)
{
	struct backing_meta meta;
	struct catalog_walk walk;
	const char *key;
	bool is_prefix;
	int status = catalog_walk_begin(&walk, bytes, len);

	if (status)
		return status;
	do {
		status = catalog_walk_next(&walk, &key, &is_prefix, &meta);
	} while (status > 0);
	return status;
}
