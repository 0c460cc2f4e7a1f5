/*
 * page.c - see page.h.
 */
#include "fuse/namespace/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_ROOM_MIN 64
#define TEXT_ROOM_MIN	 4096

static int page_grow(struct page *page, size_t text_len)
{
	if (page->count == page->room) {
		size_t room = page->room ? page->room * 2 : ENTRIES_ROOM_MIN;
		struct listing_entry *entries = reallocarray(page->entries, room, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		page->entries = entries;
		page->room = room;
	}
	if (page->text_room - page->text_len < text_len) {
		size_t room = page->text_room ? page->text_room * 2 : TEXT_ROOM_MIN;
		char *text = realloc(page->text, room); /* a name and an etag fit the minimum */

		if (!text || room > UINT32_MAX) {
			page->text = text ? text : page->text;
			return -ENOMEM;
		}
		page->text = text;
		page->text_room = room;
	}
	return 0;
}

void page_add(struct page *page, const char *name, size_t name_len, const struct backing_meta *meta)
{
	size_t etag_len = meta ? strnlen(meta->etag, sizeof(meta->etag)) : 0;
	size_t text_len = name_len + 1 + etag_len + 1;
	struct listing_entry *entry;
	char *text;

	if (page->status == 0)
		page->status = page_grow(page, text_len);
	if (page->status != 0)
		return;
	entry = &page->entries[page->count++];
	*entry = (struct listing_entry){
		.size = meta ? meta->size : 0,
		.mtime_s = meta ? meta->mtime_s : 0,
		.text = (uint32_t)page->text_len,
		.name_len = (uint8_t)name_len,
		.directory = !meta,
	};
	text = page->text + page->text_len;
	memcpy(text, name, name_len);
	text[name_len] = '\0';
	if (meta)
		memcpy(text + name_len + 1, meta->etag, etag_len);
	text[text_len - 1] = '\0';
	page->text_len += text_len;
}

int page_key_compare(const char *a, size_t a_len, bool a_directory, const char *b, size_t b_len,
		     bool b_directory)
{
	size_t common = a_len < b_len ? a_len : b_len;
	int order = memcmp(a, b, common);

	if (order != 0)
		return order;
	if (a_len == b_len)
		return (int)a_directory - (int)b_directory;
	/* One ends where the other has a byte more: compare what the key has there. */
	if (a_len < b_len)
		return a_directory ? '/' - (unsigned char)b[common] : -1;
	return b_directory ? (unsigned char)a[common] - '/' : 1;
}

static int entry_compare(const void *a, const void *b, void *context)
{
	const struct listing_entry *left = a, *right = b;
	const char *text = context;

	return page_key_compare(text + left->text, left->name_len, left->directory,
				text + right->text, right->name_len, right->directory);
}

void page_sort(struct page *page)
{
	if (page->count > 1)
		qsort_r(page->entries, page->count, sizeof(*page->entries), entry_compare,
			page->text);
}

static size_t entry_text_len(const char *text)
{
	size_t name_size = strlen(text) + 1;

	return name_size + strlen(text + name_size) + 1;
}

struct listing_entry *page_cut(const struct page *page, size_t first, size_t count, char **out_text,
			       size_t *out_bytes)
{
	size_t bytes = count * sizeof(*page->entries);
	struct listing_entry *entries;
	char *text;
	uint32_t len = 0;

	for (size_t i = 0; i < count; i++)
		bytes += entry_text_len(page->text + page->entries[first + i].text);
	entries = malloc(bytes ? bytes : 1);
	if (!entries)
		return NULL;
	text = (char *)(entries + count);
	for (size_t i = 0; i < count; i++) {
		const struct listing_entry *from = &page->entries[first + i];
		size_t size = entry_text_len(page->text + from->text);

		entries[i] = *from;
		entries[i].text = len;
		memcpy(text + len, page->text + from->text, size);
		len += (uint32_t)size;
	}
	*out_text = text;
	*out_bytes = bytes;
	return entries;
}

void page_clear(struct page *page)
{
	free(page->entries);
	free(page->text);
	*page = (struct page){ 0 };
}
