/*
 * listing.c - what a directory holds, as a page at a time: objects in the order of their ids, each
 * with the blocks that the index names. A page is filled in one read transaction, until one of its
 * parts is full; nothing is kept between pages but the place, which is an id and a block.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cache/store/directory.h"

static_assert(STORE_PAGE_TEXT >= (RECORD_IDENTITY_COUNT + 1) * (RECORD_STRING_MAX + 1),
	      "the longest strings fit into an empty page");

struct listing {
	struct store_page *page;
	struct object_id id; /* where it goes on, */
	uint64_t block;	     /* and with which block of that object */
	bool end;
};

bool listing_next_id(struct object_id *id)
{
	for (unsigned i = OBJECT_ID_LEN; i-- > 0;) {
		if (++id->bytes[i] != 0)
			return true;
	}
	return false;
}

static const char *copy_string(struct store_page *page, const struct record_string *string)
{
	char *at = page->text + page->text_len;

	memcpy(at, string->data, string->len);
	at[string->len] = 0;
	page->text_len += string->len + 1u;
	return at;
}

static uint32_t text_len(const struct record_object *record, const struct record_string *dataset)
{
	uint32_t len = dataset->len + 1u;

	for (unsigned i = 0; i < RECORD_IDENTITY_COUNT; i++)
		len += record->identity[i].len + 1u;
	return len;
}

/* Numbers of blocks that are here into the page. Return: how many, or an error. */
static int list_blocks(struct index_txn *txn, const struct object_id *id,
		       const struct record_object *record, uint64_t from, struct store_page *page)
{
	uint64_t *out = page->blocks + page->block_count;

	if (!record->segment)
		return index_block_list(txn, id, from, out, STORE_PAGE_BLOCKS - page->block_count);
	*out = 0;
	return from == 0;
}

static int name_of_dataset(struct index_txn *txn, uint32_t number, struct record_string *out)
{
	struct record_dataset dataset;
	int error = index_dataset_get(txn, number, &dataset);

	*out = (struct record_string){ .data = "" };
	if (!error)
		*out = dataset.name;
	return error == -ENOENT || error == -EBADMSG ? 0 : error;
}

static void add(struct store_page *page, const struct object_id *id,
		const struct record_object *record, const struct record_string *dataset,
		unsigned count)
{
	struct store_listed *listed = &page->objects[page->count++];

	*listed = (struct store_listed){
		.object = { .id = *id, .mtime_s = record->mtime_s },
		.resident = record->resident,
		.blocks = page->blocks + page->block_count,
		.block_count = count,
		.obsolete = record->obsolete,
	};
	listed->object.version = (struct object_version){
		.backing = copy_string(page, &record->identity[RECORD_BACKING]),
		.bucket = copy_string(page, &record->identity[RECORD_BUCKET]),
		.key = copy_string(page, &record->identity[RECORD_KEY]),
		.etag = copy_string(page, &record->identity[RECORD_ETAG]),
		.size = record->size,
	};
	listed->object.dataset = copy_string(page, dataset);
	page->block_count += count;
}

/* One object, or what fits of it. 1: it is listed to its end; 0: the page is full; or an error. */
static int list_object(struct listing *listing, struct index_txn *txn, const struct object_id *id,
		       const struct record_object *record)
{
	struct store_page *page = listing->page;
	unsigned room = STORE_PAGE_BLOCKS - page->block_count;
	struct record_string dataset;
	int count, error;

	error = name_of_dataset(txn, record->dataset, &dataset);
	if (error)
		return error;
	if (text_len(record, &dataset) > STORE_PAGE_TEXT - page->text_len)
		return 0;
	count = list_blocks(txn, id, record, listing->block, page);
	if (count <= 0)
		return count < 0 ? count : 1;
	listing->block = page->blocks[page->block_count + (unsigned)count - 1] + 1;
	add(page, id, record, &dataset, (unsigned)count);
	return record->segment != 0 || (unsigned)count < room;
}

static int fill_page(struct index_txn *txn, void *argument)
{
	struct listing *listing = argument;
	struct store_page *page = listing->page;

	while (page->count < STORE_PAGE_OBJECTS && page->block_count < STORE_PAGE_BLOCKS) {
		struct record_object record;
		struct object_id id;
		int whole = 1;
		int error = index_object_next(txn, &listing->id, &id, &record);

		if (error) {
			listing->end = error == -ENOENT;
			return listing->end ? 0 : error;
		}
		if (!object_id_equal(&id, &listing->id))
			listing->block = 0;
		listing->id = id;
		if (record.size > 0) /* else it is damaged */
			whole = list_object(listing, txn, &id, &record);
		if (whole <= 0)
			return whole;
		listing->block = 0;
		listing->end = !listing_next_id(&listing->id);
		if (listing->end)
			break;
	}
	return 0;
}

int directory_list(struct directory *d, struct object_id *id, uint64_t *block,
		   struct store_page *page)
{
	struct listing listing = { .page = page, .id = *id, .block = *block };
	int error = index_read(d->index, fill_page, &listing);

	if (error) {
		page->count = 0;
		directory_error(d, "index", error);
		return error == -ENOMEM || error == -EAGAIN ? -ENOMEM : -EIO;
	}
	*id = listing.id;
	*block = listing.block;
	return !listing.end;
}
