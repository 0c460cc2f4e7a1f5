/*
 * cursors.c - where the reader of a directory is: the two latest entries behind which a reply
 * ended.
 *
 *	record: 576 bytes		cursor: 280 bytes
 *	  0	8  the later one's index	  0	8  off; 0: none
 *	  8	2 cursors			  8	1  length of the name
 *						  9	1  1: the entry is a directory
 *						 10	255 name
 *
 * Why two: a READDIR at p is answered with entries up to q, and q's cursor is stored before. If the
 * worker dies before the kernel has the reply, READDIR at p comes again and needs p's cursor. If it
 * has it, READDIR at q comes. So a new cursor takes the place of the earlier one.
 *
 * What a death leaves: a cursor's off is 0 while the rest of it is written, and the off is stored
 * before the index of the later one. In between, the later one is held for the earlier one; what
 * comes next is READDIR at p again, whose q is the one that is there already and is written in its
 * own place.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"

#define CURSORS 2

struct cursor {
	_Atomic uint64_t off;
	uint8_t name_len, directory;
	char name[LEDGER_NAME_MAX];
	uint8_t zero[7 + 8];
};

struct record {
	_Atomic uint64_t later;
	struct cursor cursors[CURSORS];
	uint8_t zero[8];
};

static_assert(sizeof(struct cursor) == 280 && sizeof(struct record) == CURSOR_LEN, "as drawn");

static struct record *record_at(const struct ledger *ledger, uint32_t place)
{
	CHECK(place < LEDGER_DIRECTORIES_MAX);
	return (struct record *)ledger_part(ledger, PART_CURSORS) + place;
}

uint32_t ledger_cursor_take(struct ledger *ledger)
{
	uint32_t place = places_take(&ledger->cursors);
	struct record *record;

	if (place == PLACES_NONE)
		return PLACES_NONE;
	record = record_at(ledger, place);
	word_store(&record->later, 0);
	word_store(&record->cursors[0].off, 0);
	word_store(&record->cursors[1].off, 0);
	return place;
}

/* Return: the index of the one of @off; CURSORS: there is none. */
static unsigned cursor_find(const struct record *record, uint64_t off)
{
	unsigned index = 0;

	while (index < CURSORS && word_load(&record->cursors[index].off) != off)
		index++;
	return index;
}

void ledger_cursor_set(struct ledger *ledger, uint64_t number, const struct ledger_cursor *cursor)
{
	uint32_t place = ledger_handle_cursor(ledger, number);
	struct record *record;
	struct cursor *to;
	unsigned index;

	if (place == PLACES_NONE || cursor->off == 0)
		return;
	record = record_at(ledger, place);
	index = cursor_find(record, cursor->off);
	if (index == CURSORS)
		index = word_load(&record->later) ? 0 : 1;
	to = &record->cursors[index];
	word_store_first(&to->off, 0);
	to->name_len = cursor->name_len;
	to->directory = cursor->directory;
	memcpy(to->name, cursor->name, cursor->name_len);
	word_release(&to->off, cursor->off);
	word_release(&record->later, index);
}

static bool cursor_read(const struct cursor *found, struct ledger_cursor *out)
{
	/* A former worker may have written it. */
	if (found->directory > 1 || !ledger_text_is_name(found->name, found->name_len))
		return false;
	*out = (struct ledger_cursor){
		.off = word_load(&found->off),
		.name_len = found->name_len,
		.directory = found->directory,
	};
	memcpy(out->name, found->name, found->name_len);
	return true;
}

bool ledger_cursor(const struct ledger *ledger, uint64_t number, uint64_t off,
		   struct ledger_cursor *out)
{
	uint32_t place = ledger_handle_cursor(ledger, number);
	const struct record *record;
	unsigned index;

	if (place == PLACES_NONE || off == 0)
		return false;
	record = record_at(ledger, place);
	index = cursor_find(record, off);
	return index < CURSORS && cursor_read(&record->cursors[index], out);
}

/* Whether @a serves @off better than @b: as the latest before it, else as the first behind it. */
static bool is_nearer(uint64_t a, uint64_t b, uint64_t off)
{
	if ((a <= off) != (b <= off))
		return a <= off;
	return a <= off ? a > b : a < b;
}

bool ledger_cursor_near(const struct ledger *ledger, uint64_t number, uint64_t off,
			struct ledger_cursor *out)
{
	uint32_t place = ledger_handle_cursor(ledger, number);
	struct ledger_cursor cursor;
	const struct record *record;
	bool known = false;

	if (place == PLACES_NONE || off == 0)
		return false;
	record = record_at(ledger, place);
	for (unsigned i = 0; i < CURSORS; i++) {
		if (word_load(&record->cursors[i].off) == 0 ||
		    !cursor_read(&record->cursors[i], &cursor) ||
		    (known && !is_nearer(cursor.off, out->off, off)))
			continue;
		*out = cursor;
		known = true;
	}
	return known;
}
