/*
 * ledger_fuzz.c - a ledger that a worker gone mad wrote over: any bytes at any place of a few good
 * records, or of none, adopted by the next worker. Whatever it finds is well-formed, can be used
 * and removed; what is added to it is found again; and the worker after that finds the same.
 *
 * Input: a byte (1: without the good records; 2: the header's check is made to hold), then patches:
 * part (1 byte), record (2), off in the record (1, times 4), how many bytes (1), those.
 */
/* fuzz-links: cenote_fuse */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "fuse/ledger/inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define WITHOUT_RECORDS 1
#define SEAL_HEADER	2
#define PATCH_HEAD_LEN	5
#define GOOD		12
#define PART_HOLDS	16 /* records of a part that can be patched: the good ones and a few */

static const size_t record_len[PART_COUNT] = {
	[PART_HEADER] = 256,	     [PART_CONNECTION] = CONNECTION_LEN,
	[PART_INBOXES] = 4096,	     [PART_MARKS] = MARK_LEN,
	[PART_NODES] = NODE_LEN,     [PART_HANDLES] = HANDLE_LEN,
	[PART_CURSORS] = CURSOR_LEN, [PART_BACKINGS] = BACKING_LEN,
};

/* --- the good records */

static void records_add(struct ledger *ledger)
{
	static const char text[] =
		"a name of a length that is continued elsewhere, or cut off before";
	struct ledger_cursor cursor = { .name_len = 4, .name = "name" };

	for (unsigned i = 0; i < GOOD; i++) {
		struct ledger_node node = {
			.id = i + 1,
			.parent = i,
			.name = text + sizeof(text) - 1 - (size_t)(i * 5),
			.name_len = (size_t)(i * 5),
			.etag = i % 3 ? "0123456789abcdef0123456789abcdef" : "",
		};
		struct ledger_handle handle = { .node = i + 1, .directory = i % 2 };
		struct ledger_backing backing = { .id = (int32_t)i + 1, .node = i + 1 };
		uint64_t number;
		uint32_t place;

		CHECK(ledger_node_add(ledger, &node, &place) == 0);
		ledger_node_raise(ledger, place, (uint64_t)i << 1);
		CHECK(ledger_handle_add(ledger, &handle, &number) == 0);
		for (cursor.off = 1; cursor.off < 4; cursor.off++)
			ledger_cursor_set(ledger, number, &cursor);
		CHECK(ledger_backing_add(ledger, &backing) == 0);
	}
}

/* --- the bytes */

static void patch(struct ledger *ledger, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	enum ledger_part part = head[0] % PART_COUNT;
	size_t record = bytes_get_u16(head + 1) % PART_HOLDS, off = (size_t)head[3] * 4;

	if (part < PART_MARKS) /* of these, the first alone, and of the header the beginning */
		record = 0;
	if (off >= record_len[part])
		return;
	if (len > record_len[part] - off)
		len = record_len[part] - off;
	memcpy((uint8_t *)ledger_part(ledger, part) + record * record_len[part] + off, bytes, len);
}

static void patch_all(struct ledger *ledger, const uint8_t *data, size_t len)
{
	while (len > PATCH_HEAD_LEN) {
		const uint8_t *head = data;
		size_t bytes = head[4];

		data += PATCH_HEAD_LEN;
		len -= PATCH_HEAD_LEN;
		if (bytes > len)
			bytes = len;
		patch(ledger, head, data, bytes);
		data += bytes;
		len -= bytes;
	}
}

/* --- what the next worker finds */

/* Of all records, in the order of their places; equal sums are equal finds. */
struct found {
	struct ledger *ledger;
	uint64_t sum;
	unsigned nodes, handles, backings;
	bool remove;
};

static void sum_add(struct found *found, const void *data, size_t len)
{
	found->sum = found->sum * UINT64_C(0x9e3779b97f4a7c15) + digest_xxh3(data, len);
}

static int see_node(void *context, uint32_t place, const struct ledger_node *node)
{
	struct found *found = context;
	uint64_t words[] = { node->id,
			     node->parent,
			     node->size,
			     (uint64_t)node->mtime_s,
			     node->made_ns,
			     node->kind,
			     node->flags,
			     (uint64_t)node->entry,
			     ledger_node_lookups(found->ledger, place),
			     ledger_node_changed_ns(found->ledger, place) };

	CHECK(node->id != 0 && node->id < ledger_id_base(found->ledger));
	CHECK(node->name_len <= LEDGER_NAME_MAX && strlen(node->name) == node->name_len);
	CHECK(!strchr(node->name, '/') && strlen(node->etag) <= LEDGER_ETAG_MAX);
	CHECK(node->kind <= 1 && node->entry >= -1 && node->flags < 16);
	sum_add(found, words, sizeof(words));
	sum_add(found, node->name, node->name_len + 1);
	sum_add(found, node->etag, strlen(node->etag) + 1);
	found->nodes++;
	if (found->remove)
		ledger_node_remove(found->ledger, place);
	return 0;
}

static int see_handle(void *context, const struct ledger_handle *handle)
{
	struct found *found = context;
	uint64_t words[] = { handle->number,	handle->node,	 handle->unique,
			     handle->directory, handle->replied, (uint64_t)handle->backing_id };
	struct ledger_handle same;
	struct ledger_cursor cursor;

	CHECK(handle->number >= LEDGER_HANDLES_MAX && handle->node != 0);
	CHECK(ledger_handle(found->ledger, handle->number, &same) && same.node == handle->node);
	sum_add(found, words, sizeof(words));
	for (uint64_t off = 0; off < 8; off++) {
		if (!ledger_cursor(found->ledger, handle->number, off, &cursor))
			continue;
		CHECK(handle->directory && strlen(cursor.name) == cursor.name_len);
		CHECK(cursor.off == off && off != 0 && !strchr(cursor.name, '/'));
		sum_add(found, &cursor.name, cursor.name_len);
	}
	found->handles++;
	if (found->remove)
		ledger_handle_remove(found->ledger, handle->number);
	return 0;
}

static int see_backing(void *context, const struct ledger_backing *backing)
{
	struct found *found = context;
	uint64_t words[] = { (uint64_t)backing->id, backing->directory, backing->node };

	CHECK(backing->id > 0 && backing->node != 0);
	CHECK(backing->id <= ledger_backing_last(found->ledger));
	sum_add(found, words, sizeof(words));
	sum_add(found, &backing->object, sizeof(backing->object));
	found->backings++;
	if (found->remove)
		ledger_backing_remove(found->ledger, backing->id);
	return 0;
}

static struct found see_all(struct ledger *ledger, bool remove)
{
	struct found found = { .ledger = ledger, .remove = remove };

	CHECK(ledger_nodes_each(ledger, see_node, &found) == 0);
	CHECK(ledger_handles_each(ledger, see_handle, &found) == 0);
	CHECK(ledger_backings_each(ledger, see_backing, &found) == 0);
	for (unsigned i = 0; i < LEDGER_ENTRIES_MAX; i++) {
		uint64_t digest = ledger_entries_digest(ledger, i);

		sum_add(&found, &digest, sizeof(digest));
	}
	return found;
}

static void see_undone(void *context, uint64_t id)
{
	CHECK(id != 0 && id < ledger_id_base(context));
}

static int adopt(const struct ledger *ledger, struct ledger **out_next)
{
	int fd = dup(ledger_fd(ledger)), error;

	CHECK(fd >= 0);
	error = ledger_adopt(fd, out_next);
	if (error) {
		CHECK(error == -EBADMSG || error == -EPROTONOSUPPORT);
		close(fd);
	}
	return error;
}

static void go_on(struct ledger *ledger)
{
	struct found first, second, removed, left;
	uint8_t init[LEDGER_INIT_MAX];
	struct ledger *next;

	CHECK(ledger_init(ledger, init) <= sizeof(init));
	see_all(ledger, false);
	for (uint64_t unique = 0; unique < UINT64_C(2) * GOOD; unique++)
		ledger_undo(ledger, unique | LEDGER_AGAIN, see_undone, ledger);
	records_add(ledger);
	first = see_all(ledger, false);
	CHECK(first.nodes >= GOOD && first.handles >= GOOD && first.backings >= GOOD);
	CHECK(adopt(ledger, &next) == 0);
	second = see_all(next, false);
	CHECK(second.sum == first.sum && second.nodes == first.nodes);
	CHECK(second.handles == first.handles && second.backings == first.backings);
	removed = see_all(next, true);
	CHECK(removed.nodes == first.nodes);
	left = see_all(next, false);
	CHECK(left.nodes + left.handles + left.backings == 0);
	CHECK(places_next(&next->nodes, 0, LEDGER_NODES_MAX) == PLACES_NONE);
	CHECK(places_next(&next->handles, 0, LEDGER_HANDLES_MAX) == PLACES_NONE);
	CHECK(places_next(&next->cursors, 0, LEDGER_DIRECTORIES_MAX) == PLACES_NONE);
	CHECK(places_next(&next->backings, 0, LEDGER_BACKING_MAX) == PLACES_NONE);
	ledger_destroy(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ledger *ledger, *next;

	if (len == 0)
		return 0;
	CHECK(ledger_create(&ledger) == 0);
	if (!(data[0] & WITHOUT_RECORDS))
		records_add(ledger);
	patch_all(ledger, data + 1, len - 1);
	if (data[0] & SEAL_HEADER)
		ledger->header->check =
			digest_crc64(ledger->header, offsetof(struct header, check));
	if (adopt(ledger, &next) == 0) {
		go_on(next);
		ledger_destroy(next);
	}
	ledger_destroy(ledger);
	return 0;
}
