/*
 * pending.c - two hash tables and two lists over blocks between admission and commit.
 */
#include "cache/store/pending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* An element that finds no memory for the table is not added, and its table stays NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct pending_object {
	struct pending_object_info info;
	struct object_id id;
	unsigned refs;	/* blocks here */
	bool held;	/* by eviction or the sweep: no writers */
	uint64_t bytes; /* written and uncommitted */
	UT_hash_handle hh;
	char text[]; /* the strings of info */
};

struct block_key {
	struct object_id id;
	uint64_t block;
};

struct pending_block {
	struct block_key key;
	struct pending_object *object; /* NULL: only dropped */
	struct pending_block_info info;
	enum pending_step step;
	enum pending_change change;	/* for the next group */
	enum pending_change committing; /* in the present one */
	bool doomed;
	bool started; /* in the list */
	uint64_t promised;
	uint64_t sequence;
	TAILQ_ENTRY(pending_block) started_link;
	TAILQ_ENTRY(pending_block) queued_link;
	UT_hash_handle hh;
};

void pending_init(struct pending *pending)
{
	*pending = (struct pending){ 0 };
	TAILQ_INIT(&pending->started);
	TAILQ_INIT(&pending->queued);
}

static struct pending_object *find_object(const struct pending *pending, const struct object_id *id)
{
	struct pending_object *object;

	HASH_FIND(hh, pending->objects, id, sizeof(*id), object);
	return object;
}

static struct pending_block *find_block(const struct pending *pending, const struct object_id *id,
					uint64_t block)
{
	struct block_key key = { .id = *id, .block = block };
	struct pending_block *found;

	HASH_FIND(hh, pending->blocks, &key, sizeof(key), found);
	return found;
}

enum pending_place pending_where(const struct pending *pending, const struct object_id *id,
				 uint64_t block, struct pending_block **out_block)
{
	struct pending_block *found = find_block(pending, id, block);
	enum pending_change change = PENDING_NONE;

	*out_block = found;
	if (found)
		change = found->change ? found->change : found->committing;
	if (change == PENDING_NONE)
		return PENDING_ASK_INDEX;
	return change == PENDING_PUT ? PENDING_HERE : PENDING_NOT_HERE;
}

static char *copy_text(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = memcpy(*at, text, len);

	*at += len;
	return copy;
}

static struct pending_object *new_object(const struct store_object *from, uint32_t dataset)
{
	const struct object_version *version = &from->version;
	size_t len = strlen(version->backing) + strlen(version->bucket) + strlen(version->key) +
		     strlen(version->etag) + strlen(from->dataset) + 5;
	struct pending_object *object = calloc(1, sizeof(*object) + len);
	char *at;

	if (!object)
		return NULL;
	at = object->text;
	object->id = from->id;
	object->info.fd = -1;
	object->info.contents = (struct contents_object){
		.id = from->id,
		.version = {
			.backing = copy_text(&at, version->backing),
			.bucket = copy_text(&at, version->bucket),
			.key = copy_text(&at, version->key),
			.etag = copy_text(&at, version->etag),
			.size = version->size,
		},
		.mtime_s = from->mtime_s,
		.dataset = dataset,
		.dataset_name = copy_text(&at, from->dataset),
	};
	return object;
}

static bool add_object(struct pending *pending, struct pending_object *object)
{
	HASH_ADD(hh, pending->objects, id, sizeof(object->id), object);
	if (object->hh.tbl)
		return true;
	free(object);
	return false;
}

/* The writer's descriptor, to be closed by the caller, or -1. */
static int put_object(struct pending *pending, struct pending_object *object)
{
	int fd = object->info.fd;

	if (--object->refs > 0)
		return -1;
	HASH_DELETE(hh, pending->objects, object);
	free(object);
	return fd;
}

static struct pending_block *new_block(struct pending *pending, const struct object_id *id,
				       uint64_t number)
{
	struct pending_block *block = calloc(1, sizeof(*block));

	if (!block)
		return NULL;
	block->key = (struct block_key){ .id = *id, .block = number };
	block->info.id = *id;
	block->info.block = number;
	HASH_ADD(hh, pending->blocks, key, sizeof(block->key), block);
	if (!block->hh.tbl) {
		free(block);
		return NULL;
	}
	pending->block_count++;
	return block;
}

/* Forgets a block to which nothing more will happen. Return: a descriptor to close, or -1. */
static int settle_block(struct pending *pending, struct pending_block *block)
{
	int fd = -1;

	if (block->step || block->change || block->committing)
		return -1;
	if (block->started)
		TAILQ_REMOVE(&pending->started, block, started_link);
	if (block->object)
		fd = put_object(pending, block->object);
	CHECK(pending->blocks);
	HASH_DELETE(hh, pending->blocks, block);
	pending->block_count--;
	free(block);
	return fd;
}

struct pending_block *pending_admit(struct pending *pending, const struct store_object *object,
				    uint64_t number, uint32_t len, uint32_t dataset,
				    uint64_t promised)
{
	struct pending_block *block;
	struct pending_object *of = find_object(pending, &object->id);

	if (pending->block_count >= PENDING_BLOCKS_MAX || (of && of->held))
		return NULL;
	if (pending_where(pending, &object->id, number, &block) == PENDING_HERE)
		return NULL;
	/* The commit under way still reads what the block's last write left here. */
	if (block && (block->step || block->committing == PENDING_PUT))
		return NULL;
	if (!of) {
		of = new_object(object, dataset);
		if (!of || !add_object(pending, of))
			return NULL;
	}
	of->refs++;
	if (!block)
		block = new_block(pending, &object->id, number);
	if (!block) {
		/* Nothing was opened yet for an object that had no block. */
		put_object(pending, of);
		return NULL;
	}
	if (block->object)
		of->refs--;
	block->object = of;
	block->step = PENDING_ADMITTED;
	block->info.record.len = len;
	block->promised += promised; /* on top of that of a write that was dropped meanwhile */
	block->doomed = false;
	return block;
}

struct pending_block *pending_find_admitted(const struct pending *pending,
					    const struct object_id *id, uint64_t number)
{
	struct pending_block *block = find_block(pending, id, number);

	return block && block->step == PENDING_ADMITTED ? block : NULL;
}

void pending_write(struct pending *pending, struct pending_block *block, const uint64_t *checks)
{
	struct record_block *record = &block->info.record;

	CHECK(block->step == PENDING_ADMITTED);
	block->step = PENDING_WRITING;
	record->check_count = object_granule_count(record->len);
	memcpy(record->checks, checks, record->check_count * sizeof(*checks));
	block->sequence = ++pending->sequence;
	if (block->started)
		TAILQ_REMOVE(&pending->started, block, started_link);
	TAILQ_INSERT_TAIL(&pending->started, block, started_link);
	block->started = true;
}

static void queue_change(struct pending *pending, struct pending_block *block,
			 enum pending_change change, uint64_t now_ns)
{
	if (!block->change) {
		if (TAILQ_EMPTY(&pending->queued))
			pending->queued_since_ns = now_ns;
		TAILQ_INSERT_TAIL(&pending->queued, block, queued_link);
		pending->queued_count++;
	}
	block->change = change;
}

/* What a written block adds to the uncommitted ones, or takes from them. */
static void count_put(struct pending *pending, struct pending_block *block, bool add)
{
	uint32_t len = block->info.record.len;

	if (add) {
		pending->put_count++;
		pending->put_bytes += len;
		block->object->bytes += len;
	} else {
		pending->put_count--;
		pending->put_bytes -= len;
		block->object->bytes -= len;
	}
}

int pending_written(struct pending *pending, struct pending_block *block, bool ok, uint64_t now_ns,
		    uint64_t *out_promised)
{
	*out_promised = 0;
	block->step = PENDING_IDLE;
	if (ok) {
		queue_change(pending, block, PENDING_PUT, now_ns);
		count_put(pending, block, true);
		return -1;
	}
	*out_promised = block->promised;
	block->promised = 0;
	if (block->started && !block->committing) {
		TAILQ_REMOVE(&pending->started, block, started_link);
		block->started = false;
	}
	return settle_block(pending, block);
}

int pending_drop(struct pending *pending, const struct object_id *id, uint64_t number,
		 uint64_t now_ns, uint32_t *out_segment)
{
	struct pending_block *block = find_block(pending, id, number);

	*out_segment = 0;
	if (!block && pending->block_count >= PENDING_DROPS_MAX)
		return -ENOBUFS;
	if (!block)
		block = new_block(pending, id, number);
	if (!block)
		return -ENOMEM;
	if (block->change == PENDING_PUT) {
		count_put(pending, block, false);
		*out_segment = block->info.segment;
	}
	if (block->change != PENDING_DROP)
		queue_change(pending, block, PENDING_DROP, now_ns);
	return 0;
}

void pending_take(struct pending *pending, struct pending_group *group)
{
	struct pending_block *block;

	group->count = 0;
	pending->taken = group;
	pending->generation++;
	while ((block = TAILQ_FIRST(&pending->queued)) && group->count < PENDING_GROUP_MAX) {
		TAILQ_REMOVE(&pending->queued, block, queued_link);
		pending->queued_count--;
		block->committing = block->change;
		block->change = PENDING_NONE;
		pending->committing_count++;
		group->blocks[group->count++] = block;
	}
}

unsigned pending_committed(struct pending *pending, const struct pending_group *group,
			   uint64_t *out_promised, int *out_fds)
{
	unsigned fd_count = 0;

	*out_promised = 0;
	pending->taken = NULL;
	for (unsigned i = 0; i < group->count; i++) {
		struct pending_block *block = group->blocks[i];
		int fd;

		if (block->committing == PENDING_PUT)
			count_put(pending, block, false);
		block->committing = PENDING_NONE;
		pending->committing_count--;
		if (block->step == PENDING_IDLE) {
			*out_promised += block->promised;
			block->promised = 0;
		}
		fd = settle_block(pending, block);
		if (fd >= 0)
			out_fds[fd_count++] = fd;
	}
	return fd_count;
}

void pending_doom(struct pending *pending)
{
	for (struct pending_block *block = pending->blocks; block; block = block->hh.next) {
		if (block->step == PENDING_ADMITTED)
			block->doomed = true;
	}
}

bool pending_doomed(const struct pending_block *block)
{
	return block->doomed;
}

bool pending_busy(const struct pending *pending)
{
	return !TAILQ_EMPTY(&pending->started) || pending->queued_count > 0 ||
	       pending->committing_count > 0;
}

uint64_t pending_oldest(const struct pending *pending)
{
	const struct pending_block *block = TAILQ_FIRST(&pending->started);

	return block ? block->sequence : UINT64_MAX;
}

uint64_t pending_bytes(const struct pending *pending, const struct object_id *id,
		       struct pending_unsure *out_unsure)
{
	const struct pending_object *object = find_object(pending, id);
	uint64_t bytes = object ? object->bytes : 0;

	out_unsure->count = 0;
	for (unsigned i = 0; pending->taken && bytes > 0 && i < pending->taken->count; i++) {
		const struct pending_block *block = pending->taken->blocks[i];

		if (block->object != object || block->committing != PENDING_PUT)
			continue;
		out_unsure->blocks[out_unsure->count].block = block->key.block;
		out_unsure->blocks[out_unsure->count++].len = block->info.record.len;
		bytes -= block->info.record.len;
	}
	return bytes;
}

bool pending_hold(struct pending *pending, const struct object_id *id)
{
	struct pending_object *object = find_object(pending, id);

	if (object)
		return false;
	object = calloc(1, sizeof(*object));
	if (!object)
		return false;
	object->id = *id;
	object->info.fd = -1;
	object->refs = 1;
	object->held = true;
	return add_object(pending, object);
}

void pending_release(struct pending *pending, const struct object_id *id)
{
	struct pending_object *object = find_object(pending, id);

	CHECK(object && object->held);
	put_object(pending, object);
}

bool pending_hold_block(struct pending *pending, const struct object_id *id, uint64_t number)
{
	struct pending_block *block;

	if (find_block(pending, id, number))
		return false;
	block = new_block(pending, id, number);
	if (!block)
		return false;
	block->step = PENDING_HELD;
	return true;
}

void pending_release_block(struct pending *pending, const struct object_id *id, uint64_t number)
{
	struct pending_block *block = find_block(pending, id, number);

	CHECK(block && block->step == PENDING_HELD);
	block->step = PENDING_IDLE;
	settle_block(pending, block); /* it has no object: nothing to close */
}

void pending_fini(struct pending *pending)
{
	struct pending_object *object = pending->objects;
	struct pending_block *block = pending->blocks;

	/* Only what was admitted and never started can be left. */
	HASH_CLEAR(hh, pending->objects);
	HASH_CLEAR(hh, pending->blocks);
	while (object) {
		struct pending_object *next = object->hh.next;

		free(object);
		object = next;
	}
	while (block) {
		struct pending_block *next = block->hh.next;

		free(block);
		block = next;
	}
}

struct pending_object_info *pending_object_of(struct pending_block *block)
{
	return block->object ? &block->object->info : NULL;
}

struct pending_block_info *pending_block_of(struct pending_block *block)
{
	return &block->info;
}

enum pending_change pending_change_of(const struct pending_block *block)
{
	return block->committing;
}
