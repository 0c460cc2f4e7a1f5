/*
 * tables.c - the records of the index inside a transaction: keys, encoding, cursors.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "cache/store/index/txn.h"

#define OBJECT_KEY_LEN OBJECT_ID_LEN
#define BLOCK_KEY_LEN  (OBJECT_ID_LEN + 8)
#define NUMBER_KEY_LEN 4
#define MEMBER_KEY_LEN (1 + 4 + OBJECT_ID_LEN)

static void put_be(uint8_t *p, uint64_t v, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

static uint64_t get_be(const uint8_t *p, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v = v << 8 | p[i];
	return v;
}

/* A key as LMDB takes it, which wants memory that is not const. */
struct key {
	size_t len;
	uint8_t bytes[BLOCK_KEY_LEN];
};

static_assert(MEMBER_KEY_LEN <= BLOCK_KEY_LEN, "the longest key");

static struct key object_key(const struct object_id *id)
{
	struct key key = { .len = OBJECT_KEY_LEN };

	memcpy(key.bytes, id->bytes, OBJECT_ID_LEN);
	return key;
}

static struct key block_key(const struct object_id *id, uint64_t block)
{
	struct key key = { .len = BLOCK_KEY_LEN };

	memcpy(key.bytes, id->bytes, OBJECT_ID_LEN);
	put_be(key.bytes + OBJECT_ID_LEN, block, 8);
	return key;
}

static struct key number_key(uint32_t number)
{
	struct key key = { .len = NUMBER_KEY_LEN };

	put_be(key.bytes, number, NUMBER_KEY_LEN);
	return key;
}

static struct key meta_key(void)
{
	return (struct key){ .len = 4, .bytes = { 'm', 'e', 't', 'a' } };
}

static struct key member_key(enum index_member kind, uint32_t number, const struct object_id *id)
{
	struct key key = { .len = MEMBER_KEY_LEN, .bytes = { (uint8_t)kind } };

	put_be(key.bytes + 1, number, 4);
	if (id)
		memcpy(key.bytes + 5, id->bytes, OBJECT_ID_LEN);
	return key;
}

static int get(struct index_txn *txn, enum index_table table, struct key key, MDB_val *out_value)
{
	MDB_val k = { .mv_size = key.len, .mv_data = key.bytes };

	return index_error(mdb_get(txn->txn, txn->tables[table], &k, out_value));
}

static int put(struct index_txn *txn, enum index_table table, struct key key, void *data,
	       size_t len)
{
	MDB_val k = { .mv_size = key.len, .mv_data = key.bytes };
	MDB_val v = { .mv_size = len, .mv_data = data };

	return index_error(mdb_put(txn->txn, txn->tables[table], &k, &v, 0));
}

static int delete (struct index_txn *txn, enum index_table table, struct key key)
{
	MDB_val k = { .mv_size = key.len, .mv_data = key.bytes };
	int error = index_error(mdb_del(txn->txn, txn->tables[table], &k, NULL));

	return error == -ENOENT ? 0 : error;
}

int index_object_get(struct index_txn *txn, const struct object_id *id,
		     struct record_object *out_object)
{
	MDB_val value;
	int error = get(txn, INDEX_OBJECTS, object_key(id), &value);

	return error ? error : record_object_decode(value.mv_data, value.mv_size, out_object);
}

int index_object_put(struct index_txn *txn, const struct object_id *id,
		     const struct record_object *object)
{
	uint8_t data[RECORD_OBJECT_MAX];

	return put(txn, INDEX_OBJECTS, object_key(id), data, record_object_encode(object, data));
}

int index_object_delete(struct index_txn *txn, const struct object_id *id)
{
	return delete (txn, INDEX_OBJECTS, object_key(id));
}

int index_block_get(struct index_txn *txn, const struct object_id *id, uint64_t block,
		    struct record_block *out_block)
{
	MDB_val value;
	int error;

	error = get(txn, INDEX_BLOCKS, block_key(id, block), &value);
	return error ? error : record_block_decode(value.mv_data, value.mv_size, out_block);
}

int index_block_put(struct index_txn *txn, const struct object_id *id, uint64_t block,
		    const struct record_block *record)
{
	uint8_t data[RECORD_BLOCK_MAX];

	return put(txn, INDEX_BLOCKS, block_key(id, block), data,
		   record_block_encode(record, data));
}

int index_block_delete(struct index_txn *txn, const struct object_id *id, uint64_t block)
{

	return delete (txn, INDEX_BLOCKS, block_key(id, block));
}

int index_segment_get(struct index_txn *txn, uint32_t segment, struct record_segment *out_segment)
{
	MDB_val value;
	int error;

	error = get(txn, INDEX_SEGMENTS, number_key(segment), &value);
	return error ? error : record_segment_decode(value.mv_data, value.mv_size, out_segment);
}

int index_segment_put(struct index_txn *txn, uint32_t segment, const struct record_segment *record)
{
	uint8_t data[RECORD_SEGMENT_MAX];

	return put(txn, INDEX_SEGMENTS, number_key(segment), data,
		   record_segment_encode(record, data));
}

int index_segment_delete(struct index_txn *txn, uint32_t segment)
{

	return delete (txn, INDEX_SEGMENTS, number_key(segment));
}

int index_dataset_get(struct index_txn *txn, uint32_t dataset, struct record_dataset *out_dataset)
{
	MDB_val value;
	int error;

	error = get(txn, INDEX_DATASETS, number_key(dataset), &value);
	return error ? error : record_dataset_decode(value.mv_data, value.mv_size, out_dataset);
}

int index_dataset_put(struct index_txn *txn, uint32_t dataset, const struct record_dataset *record)
{
	uint8_t data[RECORD_DATASET_MAX];

	return put(txn, INDEX_DATASETS, number_key(dataset), data,
		   record_dataset_encode(record, data));
}

int index_meta_get(struct index_txn *txn, struct record_meta *out_meta)
{
	MDB_val value;
	int error = get(txn, INDEX_META, meta_key(), &value);

	return error ? error : record_meta_decode(value.mv_data, value.mv_size, out_meta);
}

int index_meta_put(struct index_txn *txn, const struct record_meta *meta)
{
	uint8_t data[RECORD_META_MAX];

	return put(txn, INDEX_META, meta_key(), data, record_meta_encode(meta, data));
}

int index_member_put(struct index_txn *txn, enum index_member kind, uint32_t number,
		     const struct object_id *id)
{

	uint8_t nothing = 0;

	return put(txn, INDEX_MEMBERS, member_key(kind, number, id), &nothing, 0);
}

int index_member_delete(struct index_txn *txn, enum index_member kind, uint32_t number,
			const struct object_id *id)
{

	return delete (txn, INDEX_MEMBERS, member_key(kind, number, id));
}

void index_segment_id(uint32_t segment, struct object_id *out_id)
{
	memset(out_id->bytes, 0, OBJECT_ID_LEN);
	put_be(out_id->bytes, segment, 4);
}

uint32_t index_segment_of_id(const struct object_id *id)
{
	return (uint32_t)get_be(id->bytes, 4);
}

/* --- cursors --- */

int index_object_next(struct index_txn *txn, const struct object_id *from, struct object_id *out_id,
		      struct record_object *out_object)
{
	struct key first = object_key(from);
	MDB_val key = { .mv_size = first.len, .mv_data = first.bytes };
	MDB_cursor *cursor;
	MDB_val value;
	int error = mdb_cursor_open(txn->txn, txn->tables[INDEX_OBJECTS], &cursor);

	if (error)
		return index_error(error);
	error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE));
	if (!error && key.mv_size != OBJECT_KEY_LEN)
		error = -EUCLEAN;
	if (!error) {
		memcpy(out_id->bytes, key.mv_data, OBJECT_ID_LEN);
		if (record_object_decode(value.mv_data, value.mv_size, out_object))
			*out_object = (struct record_object){ 0 };
	}
	mdb_cursor_close(cursor);
	return error;
}

/* A cursor at the first key from @first on. Return: 0; -ENOENT there is none; -EIO ...: then there
 * is no cursor to close. */
static int cursor_seek(struct index_txn *txn, unsigned table, struct key *first,
		       MDB_cursor **out_cursor, MDB_val *key, MDB_val *value)
{
	int error = mdb_cursor_open(txn->txn, txn->tables[table], out_cursor);

	if (error)
		return index_error(error);
	*key = (MDB_val){ .mv_size = first->len, .mv_data = first->bytes };
	error = index_error(mdb_cursor_get(*out_cursor, key, value, MDB_SET_RANGE));
	if (error)
		mdb_cursor_close(*out_cursor);
	return error;
}

static bool is_block_of(const MDB_val *key, const struct object_id *id)
{
	return key->mv_size == BLOCK_KEY_LEN && memcmp(key->mv_data, id->bytes, OBJECT_ID_LEN) == 0;
}

int index_block_list(struct index_txn *txn, const struct object_id *id, uint64_t from,
		     uint64_t *out_blocks, unsigned max)
{
	struct key first = block_key(id, from);
	MDB_cursor *cursor;
	MDB_val key = { 0 }, value;
	unsigned count = 0;
	int error = cursor_seek(txn, INDEX_BLOCKS, &first, &cursor, &key, &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	while (!error && count < max && is_block_of(&key, id)) {
		out_blocks[count++] = get_be((uint8_t *)key.mv_data + OBJECT_ID_LEN, 8);
		error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
	}
	mdb_cursor_close(cursor);
	return error && error != -ENOENT ? error : (int)count;
}

int index_block_delete_some(struct index_txn *txn, const struct object_id *id, unsigned max)
{
	struct key first = block_key(id, 0);
	MDB_cursor *cursor;
	MDB_val key = { 0 }, value;
	unsigned count = 0;
	int error = cursor_seek(txn, INDEX_BLOCKS, &first, &cursor, &key, &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	while (!error && count < max && is_block_of(&key, id)) {
		error = index_error(mdb_cursor_del(cursor, 0));
		if (error)
			break;
		count++;
		/* After a deletion the cursor stands on what followed. */
		error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT));
		if (error == -EINVAL)
			error = -ENOENT;
	}
	mdb_cursor_close(cursor);
	return error && error != -ENOENT ? error : (int)count;
}

int index_member_list(struct index_txn *txn, enum index_member kind, uint32_t number,
		      const struct object_id *from, struct object_id *out_ids, unsigned max)
{
	struct key first = member_key(kind, number, from);
	MDB_cursor *cursor;
	MDB_val key = { 0 }, value;
	unsigned count = 0;
	int error = cursor_seek(txn, INDEX_MEMBERS, &first, &cursor, &key, &value);

	if (error)
		return error == -ENOENT ? 0 : error;
	while (!error && count < max) {
		if (key.mv_size != MEMBER_KEY_LEN || memcmp(key.mv_data, first.bytes, 5) != 0)
			break;
		memcpy(out_ids[count++].bytes, (uint8_t *)key.mv_data + 5, OBJECT_ID_LEN);
		error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
	}
	mdb_cursor_close(cursor);
	return error && error != -ENOENT ? error : (int)count;
}

/* Calls @visit for each record of a table with numbers as keys. */
static int each_number(struct index_txn *txn, enum index_table table,
		       int (*visit)(void *context, uint32_t number, const MDB_val *value),
		       void *context)
{
	MDB_cursor *cursor;
	MDB_val key = { 0 }, value;
	int error = mdb_cursor_open(txn->txn, txn->tables[table], &cursor);

	if (error)
		return index_error(error);
	error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_FIRST));
	while (!error) {
		if (key.mv_size != NUMBER_KEY_LEN) {
			error = -EUCLEAN;
			break;
		}
		error = visit(context, (uint32_t)get_be(key.mv_data, NUMBER_KEY_LEN), &value);
		if (!error)
			error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
	}
	mdb_cursor_close(cursor);
	return error == -ENOENT ? 0 : error;
}

struct segment_visit {
	int (*visit)(void *context, uint32_t segment, const struct record_segment *record);
	void *context;
};

static int visit_segment(void *context, uint32_t number, const MDB_val *value)
{
	const struct segment_visit *to = context;
	struct record_segment record;
	int error = record_segment_decode(value->mv_data, value->mv_size, &record);

	return to->visit(to->context, number, error ? NULL : &record);
}

int index_segment_each(struct index_txn *txn,
		       int (*visit)(void *context, uint32_t segment,
				    const struct record_segment *record),
		       void *context)
{
	struct segment_visit to = { .visit = visit, .context = context };

	return each_number(txn, INDEX_SEGMENTS, visit_segment, &to);
}

struct dataset_visit {
	int (*visit)(void *context, uint32_t dataset, const struct record_dataset *record);
	void *context;
};

static int visit_dataset(void *context, uint32_t number, const MDB_val *value)
{
	const struct dataset_visit *to = context;
	struct record_dataset record;
	int error = record_dataset_decode(value->mv_data, value->mv_size, &record);

	return to->visit(to->context, number, error ? NULL : &record);
}

int index_dataset_each(struct index_txn *txn,
		       int (*visit)(void *context, uint32_t dataset,
				    const struct record_dataset *record),
		       void *context)
{
	struct dataset_visit to = { .visit = visit, .context = context };

	return each_number(txn, INDEX_DATASETS, visit_dataset, &to);
}

uint64_t index_object_count(struct index_txn *txn)
{
	MDB_stat stat;

	return mdb_stat(txn->txn, txn->tables[INDEX_OBJECTS], &stat) == 0 ? stat.ms_entries : 0;
}

static int walk_table(struct index_txn *txn, enum index_table table)
{
	volatile uint8_t last = 0;
	MDB_cursor *cursor;
	MDB_val key = { 0 }, value;
	int error = mdb_cursor_open(txn->txn, txn->tables[table], &cursor);

	if (error)
		return index_error(error);
	while ((error = index_error(mdb_cursor_get(cursor, &key, &value, MDB_NEXT))) == 0) {
		/* Long values lie in pages of their own: touch their end. */
		if (value.mv_size > 0)
			last = ((const uint8_t *)value.mv_data)[value.mv_size - 1];
	}
	(void)last;
	mdb_cursor_close(cursor);
	return error == -ENOENT ? 0 : error;
}

int index_walk(struct index_txn *txn)
{
	int error = 0;

	for (int i = 0; i < INDEX_TABLE_COUNT && !error; i++)
		error = walk_table(txn, i);
	return error;
}
