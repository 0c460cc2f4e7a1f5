/*
 * nodes.c - a node's record: what it is, the lookups that the kernel holds, its name and etag.
 *
 *	record: 128 bytes			what continues its text: 128 bytes
 *	  0	8  id; 0: free			  0	8  0: it is no record of its own
 *	  8	8  parent's id			  8	4  place of the next; 0: none
 *	 16	8  size				 12	116 text
 *	 24	8  mtime
 *	 32	8  made_ns
 *	 40	8  when lookups last changed
 *	 48	8  lookups
 *	 56	4  place that continues the text; 0: none
 *	 60	2  entry
 *	 62	1  kind
 *	 63	1  flags
 *	 64	1  length of the name
 *	 65	1  length of the etag
 *	 66	62 text: name and etag
 *
 * 62 bytes are a name of 30 and an S3 etag of 32: most nodes have one place. Place 0 is never what
 * continues another (places are handed out lowest first, and a record takes its own before), so 0
 * means none.
 *
 * What a death leaves, store by store:
 *
 *   - Adding: all of the record and what continues it, then the id. Without the id it is free, and
 *     so is what would have continued it: whether a place is free is private memory.
 *   - Removing: the id becomes 0, all else is private.
 *   - Setting: size, mtime, made_ns and flags are words of their own; each is as it was or as it is
 *     to be. The size belongs to the version: it is set before the kernel hears of the node, and
 *     never again.
 *   - Raising: the time, the lookups, the mark of the request. Without the lookups: nothing was
 *     raised, and the reply, which comes later, was not sent. With the lookups and without the mark
 *     the request comes again and raises again: one too many. The time comes first, so that what
 *     may be one too many is never among what has not changed for long.
 *   - Lowering: the lookups. The message that said so is to be marked as done before, so that it is
 *     not applied twice; a death in between leaves too many.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuse/ledger/inside.h"

#define RECORD_TEXT_LEN 62
#define MORE_TEXT_LEN	116
#define MORE_MAX	3
#define FLAGS_ALL                                                                                  \
	(LEDGER_NODE_OUTDATED | LEDGER_NODE_PASSTHROUGH | LEDGER_NODE_SUPERSEDED |                 \
	 LEDGER_NODE_CONFIRMED)
#define KIND_MAX   1		 /* NODE_FILE */
#define ENTRY_NONE (-1)		 /* NODE_ENTRY_NONE */
#define CHUNK	   UINT32_C(512) /* places: 64 KiB, given back to the system as one */
#define CHUNK_NONE UINT32_MAX

struct record {
	_Atomic uint64_t id;
	uint64_t parent;
	_Atomic uint64_t size, mtime, made_ns, changed_ns, lookups;
	uint32_t more;
	int16_t entry;
	uint8_t kind;
	_Atomic uint8_t flags;
	uint8_t name_len, etag_len;
	char text[RECORD_TEXT_LEN];
};

struct more {
	_Atomic uint64_t id;
	uint32_t more;
	char text[MORE_TEXT_LEN];
};

static_assert(sizeof(struct record) == NODE_LEN && sizeof(struct more) == NODE_LEN, "as drawn");
static_assert(offsetof(struct record, text) == 66 && offsetof(struct more, text) == 12, "as drawn");
static_assert(LEDGER_NAME_MAX + LEDGER_ETAG_MAX <= RECORD_TEXT_LEN + MORE_MAX * MORE_TEXT_LEN,
	      "there is room for all text");
static_assert(LEDGER_NODES_MAX % CHUNK == 0, "chunks are whole");

static struct record *record_at(const struct ledger *ledger, uint32_t place)
{
	CHECK(place < LEDGER_NODES_MAX);
	return (struct record *)ledger_part(ledger, PART_NODES) + place;
}

static struct more *more_at(const struct ledger *ledger, uint32_t place)
{
	return (struct more *)record_at(ledger, place);
}

/* The record of a node that is there. */
static struct record *node_at(const struct ledger *ledger, uint32_t place)
{
	struct record *record = record_at(ledger, place);

	CHECK(word_load(&record->id) != 0 || atomic_load(&ledger->disowned));
	return record;
}

/* How many places continue a text of @len. */
static unsigned more_count(size_t len)
{
	if (len <= RECORD_TEXT_LEN)
		return 0;
	return (unsigned)((len - RECORD_TEXT_LEN + MORE_TEXT_LEN - 1) / MORE_TEXT_LEN);
}

/* --- places */

static bool chunk_is_free(const struct ledger *ledger, uint32_t chunk)
{
	uint32_t first = chunk * CHUNK;

	return places_next(&ledger->nodes, first, first + CHUNK) == PLACES_NONE;
}

/* A chunk that becomes free is kept until another one does: adding and removing at its edge shall
 * not give memory back and ask for it again each time. */
static void place_free(struct ledger *ledger, uint32_t place)
{
	uint32_t chunk = place / CHUNK, before = ledger->nodes_emptied;

	places_free(&ledger->nodes, place);
	if (!ledger->nodes_settled || before == chunk || !chunk_is_free(ledger, chunk))
		return;
	ledger->nodes_emptied = chunk;
	if (before != CHUNK_NONE && chunk_is_free(ledger, before))
		(void)madvise(record_at(ledger, before * CHUNK), (size_t)CHUNK * NODE_LEN,
			      MADV_REMOVE);
}

/* Frees the places of a record's text, of which @count were taken, the first at @place. */
static void more_free(struct ledger *ledger, uint32_t place, unsigned count)
{
	while (count-- > 0) {
		uint32_t next = more_at(ledger, place)->more;

		place_free(ledger, place);
		place = next;
	}
}

/* --- text */

/* A text that lies in several places: what is at @text, then what continues it. */
struct text {
	char *at;
	size_t left;   /* there */
	uint32_t more; /* what continues it */
};

static struct text text_of(struct record *record)
{
	return (struct text){ record->text, RECORD_TEXT_LEN, record->more };
}

static void text_continue(const struct ledger *ledger, struct text *text)
{
	struct more *more = more_at(ledger, text->more);

	*text = (struct text){ more->text, MORE_TEXT_LEN, more->more };
}

static void text_write(const struct ledger *ledger, struct text *text, const char *from, size_t len)
{
	while (len > 0) {
		size_t part;

		if (text->left == 0)
			text_continue(ledger, text);
		part = len < text->left ? len : text->left;
		memcpy(text->at, from, part);
		text->at += part;
		text->left -= part;
		from += part;
		len -= part;
	}
}

static void text_read(const struct ledger *ledger, struct text *text, char *to, size_t len)
{
	while (len > 0) {
		size_t part;

		if (text->left == 0)
			text_continue(ledger, text);
		part = len < text->left ? len : text->left;
		memcpy(to, text->at, part);
		text->at += part;
		text->left -= part;
		to += part;
		len -= part;
	}
}

/* Takes @count places for what continues a text and joins them. Return: the first; 0: none is
 * needed; PLACES_NONE: there are not enough. */
static uint32_t more_take(struct ledger *ledger, unsigned count)
{
	uint32_t first = 0;

	for (unsigned taken = 0; taken < count; taken++) {
		uint32_t place = places_take(&ledger->nodes);

		if (place == PLACES_NONE) {
			more_free(ledger, first, taken);
			return PLACES_NONE;
		}
		word_store(&more_at(ledger, place)->id, 0);
		more_at(ledger, place)->more = first;
		first = place;
	}
	return first;
}

/* --- the life of a record */

static void changed(struct record *record)
{
	word_store_first(&record->changed_ns, clock_now_ns(clock_system()));
}

static void details_store(struct record *record, const struct ledger_node *node)
{
	word_store(&record->size, node->size);
	word_store(&record->mtime, (uint64_t)node->mtime_s);
	word_store(&record->made_ns, node->made_ns);
	atomic_store_explicit(&record->flags, node->flags, memory_order_relaxed);
}

static void record_write(struct ledger *ledger, struct record *record,
			 const struct ledger_node *node, size_t etag_len)
{
	struct text text = text_of(record);

	record->parent = node->parent;
	record->entry = node->entry;
	record->kind = node->kind;
	record->name_len = (uint8_t)node->name_len;
	record->etag_len = (uint8_t)etag_len;
	text_write(ledger, &text, node->name, node->name_len);
	text_write(ledger, &text, node->etag, etag_len);
	details_store(record, node);
	word_store(&record->lookups, 0);
	changed(record);
}

int ledger_node_add(struct ledger *ledger, const struct ledger_node *node, uint32_t *out_place)
{
	uint32_t place = places_take(&ledger->nodes), more;
	size_t etag_len = strlen(node->etag);
	struct record *record;

	CHECK(node->id != 0 && node->id != UINT64_MAX && node->flags <= FLAGS_ALL);
	CHECK(node->kind <= KIND_MAX && node->entry >= ENTRY_NONE);
	CHECK(node->name_len <= LEDGER_NAME_MAX && etag_len <= LEDGER_ETAG_MAX);
	if (place == PLACES_NONE)
		return -ENOSPC;
	more = more_take(ledger, more_count(node->name_len + etag_len));
	if (more == PLACES_NONE) {
		place_free(ledger, place);
		return -ENOSPC;
	}
	record = record_at(ledger, place);
	record->more = more;
	record_write(ledger, record, node, etag_len);
	if (node->id >= word_load(&ledger->header->node_id_top))
		word_store(&ledger->header->node_id_top, node->id + 1);
	word_release(&record->id, node->id);
	*out_place = place;
	return 0;
}

void ledger_node_set(struct ledger *ledger, uint32_t place, const struct ledger_node *node)
{
	CHECK(node->flags <= FLAGS_ALL);
	details_store(node_at(ledger, place), node);
}

void ledger_node_remove(struct ledger *ledger, uint32_t place)
{
	struct record *record = node_at(ledger, place);

	if (atomic_load(&ledger->disowned)) /* what continues it may be another's by now */
		return;
	word_store_first(&record->id, 0);
	more_free(ledger, record->more, more_count((size_t)record->name_len + record->etag_len));
	place_free(ledger, place);
}

/* --- lookups */

void ledger_node_raise(struct ledger *ledger, uint32_t place, uint64_t unique)
{
	struct record *record = node_at(ledger, place);

	changed(record);
	word_store_first(&record->lookups, word_load(&record->lookups) + 1);
	ledger_mark(ledger, unique, place, word_load(&record->id));
}

uint64_t ledger_node_undo(struct ledger *ledger, uint32_t place, uint32_t id_low)
{
	struct record *record = record_at(ledger, place);
	uint64_t id = word_load(&record->id), lookups = word_load(&record->lookups);

	if (id == 0 || (uint32_t)id != id_low || lookups == 0)
		return 0;
	word_store(&record->lookups, lookups - 1);
	return id;
}

uint64_t ledger_node_lower(struct ledger *ledger, uint32_t place, uint64_t count)
{
	struct record *record = node_at(ledger, place);
	uint64_t lookups = word_load(&record->lookups);

	lookups -= count < lookups ? count : lookups;
	changed(record);
	word_store(&record->lookups, lookups);
	return lookups;
}

uint64_t ledger_node_lookups(const struct ledger *ledger, uint32_t place)
{
	return word_load(&node_at(ledger, place)->lookups);
}

uint64_t ledger_node_changed_ns(const struct ledger *ledger, uint32_t place)
{
	return word_load(&node_at(ledger, place)->changed_ns);
}

uint64_t ledger_id_base(const struct ledger *ledger)
{
	return word_load(&ledger->header->node_id_top);
}

/* --- reading */

static void node_read(struct ledger *ledger, struct record *record, struct ledger_node *out)
{
	struct text text = text_of(record);

	text_read(ledger, &text, ledger->name, record->name_len);
	ledger->name[record->name_len] = '\0';
	text_read(ledger, &text, ledger->etag, record->etag_len);
	ledger->etag[record->etag_len] = '\0';
	*out = (struct ledger_node){
		.id = word_load(&record->id),
		.parent = record->parent,
		.size = word_load(&record->size),
		.mtime_s = (int64_t)word_load(&record->mtime),
		.made_ns = word_load(&record->made_ns),
		.entry = record->entry,
		.kind = record->kind,
		.flags = atomic_load_explicit(&record->flags, memory_order_relaxed),
		.name = ledger->name,
		.name_len = record->name_len,
		.etag = ledger->etag,
	};
}

int ledger_nodes_each(struct ledger *ledger,
		      int (*each)(void *context, uint32_t place, const struct ledger_node *node),
		      void *context)
{
	uint32_t place = places_next(&ledger->nodes, 0, LEDGER_NODES_MAX);
	int result = 0;

	while (place != PLACES_NONE && !result) {
		struct record *record = record_at(ledger, place);
		struct ledger_node node;

		if (word_load(&record->id)) { /* else it continues another */
			node_read(ledger, record, &node);
			result = each(context, place, &node);
		}
		place = places_next(&ledger->nodes, place + 1, LEDGER_NODES_MAX);
	}
	return result;
}

/* --- adopting: bytes that a worker gone mad may have written */

static bool record_is_sane(const struct record *record)
{
	uint64_t id = word_load(&record->id);

	return id != UINT64_MAX && record->kind <= KIND_MAX && record->entry >= ENTRY_NONE &&
	       atomic_load_explicit(&record->flags, memory_order_relaxed) <= FLAGS_ALL &&
	       record->etag_len <= LEDGER_ETAG_MAX;
}

/* Claims what continues @record. Return: false, with nothing claimed: it is not as it should be.
 * One that is claimed cannot be met again, so there is no going in circles. */
static bool more_claim(struct ledger *ledger, const struct record *record)
{
	unsigned count = more_count((size_t)record->name_len + record->etag_len);
	uint32_t place = record->more;

	for (unsigned claimed = 0; claimed < count; claimed++) {
		if (place == 0 || place >= LEDGER_NODES_MAX ||
		    word_load(&more_at(ledger, place)->id) != 0 ||
		    !places_claim(&ledger->nodes, place)) {
			more_free(ledger, record->more, claimed);
			return false;
		}
		place = more_at(ledger, place)->more;
	}
	return true;
}

static void record_adopt(struct ledger *ledger, uint32_t place)
{
	struct record *record = record_at(ledger, place);
	uint64_t id = word_load(&record->id);
	struct ledger_node node;

	if (!id)
		return;
	if (!record_is_sane(record) || !places_claim(&ledger->nodes, place)) {
		word_store(&record->id, 0);
		return;
	}
	if (!more_claim(ledger, record)) {
		word_store(&record->id, 0);
		place_free(ledger, place);
		return;
	}
	node_read(ledger, record, &node);
	if (!ledger_text_is_name(node.name, node.name_len) || strlen(node.etag) != record->etag_len)
		ledger_node_remove(ledger, place);
	else if (id >= word_load(&ledger->header->node_id_top))
		word_store(&ledger->header->node_id_top, id + 1);
}

void ledger_nodes_adopt(struct ledger *ledger)
{
	if (word_load(&ledger->header->node_id_top) == UINT64_MAX)
		word_store(&ledger->header->node_id_top, 0);
	ledger->nodes_settled = false;
	ledger_walk(ledger, PART_NODES, record_adopt);
	ledger->nodes_settled = true;
}

int ledger_nodes_init(struct ledger *ledger)
{
	ledger->nodes_emptied = CHUNK_NONE;
	ledger->nodes_settled = true;
	return places_init(&ledger->nodes, LEDGER_NODES_MAX);
}

void ledger_nodes_fini(struct ledger *ledger)
{
	places_fini(&ledger->nodes);
}
