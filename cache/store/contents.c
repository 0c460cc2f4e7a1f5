/*
 * contents.c - consistent changes to the index. A record that fails its check is treated as one
 * that is not there; what it should have accounted for is found by the sweep.
 */
#include "cache/store/contents.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

#define DROP_STEP 64 /* members looked up at once */

static struct contents_change *change_of(struct contents *contents, uint32_t dataset)
{
	struct contents_change *change;

	for (unsigned i = contents->change_count; i-- > 0;) {
		if (contents->changes[i].dataset == dataset)
			return &contents->changes[i];
	}
	CHECK(contents->change_count < CONTENTS_DATASETS_MAX);
	change = &contents->changes[contents->change_count++];
	*change = (struct contents_change){ .dataset = dataset };
	return change;
}

void contents_begin(struct contents *contents, struct index_txn *txn, uint64_t tick)
{
	contents->txn = txn;
	contents->tick = tick;
	contents->change_count = 0;
}

static int finish_dataset(struct contents *contents, const struct contents_change *change)
{
	struct record_dataset record = { 0 };
	int error = index_dataset_get(contents->txn, change->dataset, &record);

	if (error && error != -ENOENT && error != -EBADMSG)
		return error;
	if (error && !change->name)
		return 0;
	if (change->name) {
		size_t len = strlen(change->name);

		record.name.data = change->name;
		record.name.len = (uint16_t)(len < RECORD_STRING_MAX ? len : RECORD_STRING_MAX);
	}
	if (change->files < 0 && record.bytes < (uint64_t)-change->files)
		record.bytes = 0;
	else
		record.bytes += (uint64_t)change->files;
	if (change->segment)
		record.segment = change->segment;
	if (change->tick > record.tick)
		record.tick = change->tick;
	return index_dataset_put(contents->txn, change->dataset, &record);
}

int contents_finish(struct contents *contents)
{
	int error = 0;

	for (unsigned i = 0; i < contents->change_count && !error; i++)
		error = finish_dataset(contents, &contents->changes[i]);
	return error;
}

void contents_dataset_tick(struct contents *contents, uint32_t dataset, uint64_t tick)
{
	change_of(contents, dataset)->tick = tick;
}

static struct record_string string_of(const char *text)
{
	size_t len = strlen(text);

	CHECK(len <= RECORD_STRING_MAX);
	return (struct record_string){ .data = text, .len = (uint16_t)len };
}

static void record_of(const struct contents *contents, const struct contents_object *object,
		      struct record_object *out)
{
	*out = (struct record_object){
		.size = object->version.size,
		.mtime_s = object->mtime_s,
		.tick = contents->tick,
		.dataset = object->dataset,
		.identity = {
			[RECORD_BACKING] = string_of(object->version.backing),
			[RECORD_BUCKET] = string_of(object->version.bucket),
			[RECORD_KEY] = string_of(object->version.key),
			[RECORD_ETAG] = string_of(object->version.etag),
		},
	};
}

/* A damaged object record no longer says which blocks it counted: they go with it. */
static int forget_blocks(struct index_txn *txn, const struct object_id *id)
{
	int count;

	do {
		count = index_block_delete_some(txn, id, DROP_STEP);
		if (count < 0)
			return count;
	} while (count == DROP_STEP);
	return index_object_delete(txn, id);
}

/* Whether the object is there; a damaged record is removed. 1, 0 or an error. */
static int find_object(struct index_txn *txn, const struct object_id *id, struct record_object *out)
{
	int error = index_object_get(txn, id, out);

	if (error == -EBADMSG)
		error = forget_blocks(txn, id) ? -EIO : -ENOENT;
	if (error == -ENOENT)
		return 0;
	return error ? error : 1;
}

/* The same for a block. */
static int find_block(struct index_txn *txn, const struct object_id *id, uint64_t block,
		      struct record_block *out)
{
	int error = index_block_get(txn, id, block, out);

	if (error == -EBADMSG) {
		/* Its length is lost, and with it what the object counted: nearly right. */
		out->len = 0;
		error = 0;
	}
	if (error == -ENOENT)
		return 0;
	return error ? error : 1;
}

static struct contents_change *note_put(struct contents *contents,
					const struct contents_object *object, uint32_t dataset)
{
	struct contents_change *change = change_of(contents, dataset);

	if (dataset == object->dataset) {
		change->tick = object->dataset_tick;
		change->name = object->dataset_name;
	}
	return change;
}

int contents_put_block(struct contents *contents, const struct contents_object *object,
		       uint64_t block, const struct record_block *record)
{
	struct record_object there;
	struct record_block old;
	uint64_t before;
	int found = find_object(contents->txn, &object->id, &there);
	int error = 0;

	if (found < 0)
		return found;
	if (!found) {
		record_of(contents, object, &there);
		error = index_member_put(contents->txn, INDEX_MEMBER_FILE, there.dataset,
					 &object->id);
		if (error)
			return error;
	}
	before = contents_charge(there.resident);
	found = find_block(contents->txn, &object->id, block, &old);
	if (found < 0)
		return found;
	if (!found)
		there.resident += record->len;
	if (there.resident > there.size)
		there.resident = there.size;
	there.tick = contents->tick;
	note_put(contents, object, there.dataset)->files +=
		(int64_t)(contents_charge(there.resident) - before);
	error = index_object_put(contents->txn, &object->id, &there);
	if (!error)
		error = index_block_put(contents->txn, &object->id, block, record);
	return error;
}

/* @len bytes of @segment are no longer named by an object record. */
static int segment_lost(struct contents *contents, uint32_t segment, uint64_t len)
{
	struct record_segment record;
	int error = index_segment_get(contents->txn, segment, &record);

	if (error == -ENOENT || error == -EBADMSG)
		return 0;
	if (error)
		return error;
	record.live = record.live > len ? record.live - (uint32_t)len : 0;
	return index_segment_put(contents->txn, segment, &record);
}

static int unpack(struct contents *contents, const struct object_id *id,
		  const struct record_object *there)
{
	int error = index_member_delete(contents->txn, INDEX_MEMBER_PACKED, there->segment, id);

	if (!error)
		error = segment_lost(contents, there->segment, there->resident);
	if (!error)
		error = index_object_delete(contents->txn, id);
	return error;
}

static int segment_append(struct contents *contents, const struct contents_object *object,
			  uint32_t segment, uint32_t off)
{
	uint32_t len = (uint32_t)object->version.size;
	struct contents_change *change;
	struct record_segment record;
	struct object_id name;
	uint64_t before;
	int error = index_segment_get(contents->txn, segment, &record);

	if (error == -ENOENT || error == -EBADMSG) {
		record = (struct record_segment){ .dataset = object->dataset };
		index_segment_id(segment, &name);
		error = index_member_put(contents->txn, INDEX_MEMBER_SEGMENT, object->dataset,
					 &name);
	}
	if (error)
		return error;
	before = contents_charge(record.len);
	if (record.len < off + len)
		record.len = off + len;
	record.live += len;
	if (record.live > record.len)
		record.live = record.len;
	record.count++;
	record.tick = contents->tick;
	change = note_put(contents, object, record.dataset);
	change->segments += (int64_t)(contents_charge(record.len) - before);
	if (!object->replica)
		change->segment = segment;
	return index_segment_put(contents->txn, segment, &record);
}

int contents_put_packed(struct contents *contents, const struct contents_object *object,
			uint32_t segment, uint32_t off, uint64_t check)
{
	struct record_object there;
	int found = find_object(contents->txn, &object->id, &there);
	int error = found < 0 ? found : 0;

	if (found > 0)
		error = unpack(contents, &object->id, &there);
	if (!error)
		error = segment_append(contents, object, segment, off);
	if (!error)
		error = index_member_put(contents->txn, INDEX_MEMBER_PACKED, segment, &object->id);
	if (error)
		return error;
	record_of(contents, object, &there);
	there.resident = there.size;
	there.segment = segment;
	there.segment_off = off;
	there.check = check;
	return index_object_put(contents->txn, &object->id, &there);
}

/* The last trace of an object in a file of its own, without its blocks. */
static int forget_file(struct contents *contents, const struct object_id *id,
		       const struct record_object *there)
{
	int error = index_member_delete(contents->txn, INDEX_MEMBER_FILE, there->dataset, id);

	if (!error && there->obsolete)
		error = index_member_delete(contents->txn, INDEX_MEMBER_OBSOLETE, 0, id);
	if (!error)
		error = index_object_delete(contents->txn, id);
	if (!error)
		change_of(contents, there->dataset)->files -=
			(int64_t)contents_charge(there->resident);
	return error;
}

int contents_drop_block(struct contents *contents, const struct object_id *id, uint64_t block,
			bool *out_empty)
{
	struct record_object there;
	struct record_block old;
	uint64_t before;
	int error;
	int found = find_object(contents->txn, id, &there);

	*out_empty = found == 0;
	if (found <= 0)
		return found;
	if (there.segment) {
		*out_empty = true;
		return unpack(contents, id, &there);
	}
	found = find_block(contents->txn, id, block, &old);
	if (found <= 0)
		return found;
	error = index_block_delete(contents->txn, id, block);
	if (error)
		return error;
	before = contents_charge(there.resident);
	*out_empty = there.resident <= old.len;
	if (*out_empty)
		return forget_file(contents, id, &there);
	there.resident -= old.len;
	change_of(contents, there.dataset)->files +=
		(int64_t)(contents_charge(there.resident) - before);
	return index_object_put(contents->txn, id, &there);
}

int contents_drop_object(struct contents *contents, const struct object_id *id, unsigned max,
			 bool *out_done)
{
	struct record_object there;
	int found = find_object(contents->txn, id, &there);
	int count;

	*out_done = true;
	if (found <= 0)
		return found;
	if (there.segment)
		return unpack(contents, id, &there);
	count = index_block_delete_some(contents->txn, id, max);
	if (count < 0)
		return count;
	*out_done = (unsigned)count < max;
	/* In between the records name fewer blocks than are counted, which hurts nobody: the object
	 * is being removed, and a crash leaves the rest to the next eviction. */
	return *out_done ? forget_file(contents, id, &there) : 0;
}

static int forget_segment(struct contents *contents, uint32_t segment)
{
	struct record_segment record;
	struct object_id name;
	int error = index_segment_get(contents->txn, segment, &record);

	if (error == -ENOENT)
		return 0;
	if (error == -EBADMSG)
		return index_segment_delete(contents->txn, segment);
	if (error)
		return error;
	index_segment_id(segment, &name);
	error = index_member_delete(contents->txn, INDEX_MEMBER_SEGMENT, record.dataset, &name);
	if (!error)
		error = index_segment_delete(contents->txn, segment);
	if (!error)
		change_of(contents, record.dataset)->segments -=
			(int64_t)contents_charge(record.len);
	return error;
}

int contents_drop_segment(struct contents *contents, uint32_t segment, unsigned max, bool *out_done)
{
	struct object_id ids[DROP_STEP];
	unsigned dropped = 0;
	int count = DROP_STEP;

	while (count == DROP_STEP && dropped < max) {
		count = index_member_list(contents->txn, INDEX_MEMBER_PACKED, segment, NULL, ids,
					  DROP_STEP);
		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			struct record_object there;
			int error = index_object_get(contents->txn, &ids[i], &there);

			if (error == -EBADMSG || (!error && there.segment == segment))
				error = index_object_delete(contents->txn, &ids[i]);
			else if (error == -ENOENT)
				error = 0;
			if (!error)
				error = index_member_delete(contents->txn, INDEX_MEMBER_PACKED,
							    segment, &ids[i]);
			if (error)
				return error;
			dropped++;
		}
	}
	*out_done = count < DROP_STEP;
	return *out_done ? forget_segment(contents, segment) : 0;
}

static int touch_segment(struct contents *contents, uint32_t segment, uint64_t tick, uint64_t age)
{
	struct record_segment record;
	int error = index_segment_get(contents->txn, segment, &record);

	if (error == -ENOENT || error == -EBADMSG)
		return 0;
	if (error || tick < record.tick || tick - record.tick < age)
		return error;
	record.tick = tick;
	return index_segment_put(contents->txn, segment, &record);
}

int contents_touch(struct contents *contents, const struct object_id *id, uint64_t tick,
		   uint64_t age)
{
	struct record_object there;
	int found = find_object(contents->txn, id, &there);

	if (found <= 0)
		return found;
	if (there.segment)
		return touch_segment(contents, there.segment, tick, age);
	if (tick < there.tick || tick - there.tick < age)
		return 0;
	there.tick = tick;
	return index_object_put(contents->txn, id, &there);
}

int contents_obsolete(struct contents *contents, const struct object_id *id)
{
	struct record_object there;
	int found = find_object(contents->txn, id, &there);
	int error;

	if (found <= 0)
		return found;
	if (there.segment)
		return unpack(contents, id, &there);
	if (there.obsolete)
		return 0;
	there.obsolete = true;
	error = index_object_put(contents->txn, id, &there);
	if (!error)
		error = index_member_put(contents->txn, INDEX_MEMBER_OBSOLETE, 0, id);
	return error;
}
