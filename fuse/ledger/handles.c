/*
 * handles.c - a handle's record: 64 bytes, at the place that its number names.
 *
 *	number		64 bits: a sequence, and below it the 20 bits of the place
 *	record		  0	8  number; 0: free
 *			  8	8  node's id
 *			 16	8  request of its OPEN
 *			 24	8  1: the kernel has it
 *			 32	4  backing id
 *			 36	1  1: a directory
 *			 40	4  place of its cursors and 1; 0: none
 *
 * What a death leaves: the sequence is stored before the record that uses it, so that a number is
 * never given out twice even when the kernel may have heard of it and the record is gone. Then the
 * record, then its number. Removing stores 0 as the number.
 *
 * The sequence has 44 bits: at 100,000 opens a second they last for five years; after that numbers
 * of handles that are closed since come again.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"

#define SEQUENCE_MAX (UINT64_MAX / LEDGER_HANDLES_MAX)

struct record {
	_Atomic uint64_t number;
	uint64_t node;
	uint64_t unique;
	_Atomic uint64_t replied;
	int32_t backing_id;
	uint8_t directory, zero[3];
	uint32_t cursor;
	uint32_t unused[5];
};

static_assert(sizeof(struct record) == HANDLE_LEN, "as drawn");
static_assert((LEDGER_HANDLES_MAX & (LEDGER_HANDLES_MAX - 1)) == 0, "bits of a number");

static struct record *record_at(const struct ledger *ledger, uint32_t place)
{
	return (struct record *)ledger_part(ledger, PART_HANDLES) + place;
}

/* Return: NULL: there is no such handle. */
static struct record *handle_find(const struct ledger *ledger, uint64_t number)
{
	struct record *record = record_at(ledger, ledger_handle_place(number));

	return number && word_load(&record->number) == number ? record : NULL;
}

static uint64_t sequence_next(struct ledger *ledger)
{
	uint64_t sequence = word_load(&ledger->header->handle_sequence);

	sequence = sequence >= SEQUENCE_MAX ? 1 : sequence + 1;
	word_store_first(&ledger->header->handle_sequence, sequence);
	return sequence;
}

int ledger_handle_add(struct ledger *ledger, const struct ledger_handle *handle,
		      uint64_t *out_number)
{
	uint32_t place = places_take(&ledger->handles), cursor = PLACES_NONE;
	struct record *record;
	uint64_t number;

	if (place == PLACES_NONE)
		return -ENFILE;
	if (handle->directory)
		cursor = ledger_cursor_take(ledger);
	number = sequence_next(ledger) * LEDGER_HANDLES_MAX + place;
	record = record_at(ledger, place);
	record->node = handle->node;
	record->unique = handle->unique;
	record->backing_id = handle->backing_id;
	record->directory = handle->directory;
	record->cursor = cursor == PLACES_NONE ? 0 : cursor + 1;
	word_store(&record->replied, 0);
	word_release(&record->number, number);
	*out_number = number;
	return 0;
}

void ledger_handle_replied(struct ledger *ledger, uint64_t number)
{
	struct record *record = handle_find(ledger, number);

	if (record)
		word_store(&record->replied, 1);
}

void ledger_handle_remove(struct ledger *ledger, uint64_t number)
{
	struct record *record = handle_find(ledger, number);

	if (!record)
		return;
	word_store_first(&record->number, 0);
	if (record->cursor)
		places_free(&ledger->cursors, record->cursor - 1);
	places_free(&ledger->handles, ledger_handle_place(number));
}

static void handle_read(const struct record *record, struct ledger_handle *out)
{
	*out = (struct ledger_handle){
		.number = word_load(&record->number),
		.node = record->node,
		.unique = record->unique,
		.backing_id = record->backing_id,
		.directory = record->directory,
		.replied = word_load(&record->replied),
	};
}

bool ledger_handle(const struct ledger *ledger, uint64_t number, struct ledger_handle *out)
{
	const struct record *record = handle_find(ledger, number);

	if (record)
		handle_read(record, out);
	return record != NULL;
}

uint32_t ledger_handle_cursor(const struct ledger *ledger, uint64_t number)
{
	const struct record *record = handle_find(ledger, number);

	return record && record->cursor ? record->cursor - 1 : PLACES_NONE;
}

int ledger_handles_each(struct ledger *ledger,
			int (*each)(void *context, const struct ledger_handle *handle),
			void *context)
{
	uint32_t place = places_next(&ledger->handles, 0, LEDGER_HANDLES_MAX);
	int result = 0;

	while (place != PLACES_NONE && !result) {
		struct ledger_handle handle;

		handle_read(record_at(ledger, place), &handle);
		result = each(context, &handle);
		place = places_next(&ledger->handles, place + 1, LEDGER_HANDLES_MAX);
	}
	return result;
}

/* --- adopting */

static bool record_is_sane(const struct record *record, uint32_t place)
{
	uint64_t number = word_load(&record->number);

	return ledger_handle_place(number) == place && number >= LEDGER_HANDLES_MAX &&
	       record->node != 0 && record->backing_id >= 0 && record->directory <= 1 &&
	       word_load(&record->replied) <= 1;
}

static void record_adopt(struct ledger *ledger, uint32_t place)
{
	struct record *record = record_at(ledger, place);
	uint64_t number = word_load(&record->number), sequence = number / LEDGER_HANDLES_MAX;

	if (!number)
		return;
	if (!record_is_sane(record, place) || !places_claim(&ledger->handles, place)) {
		word_store(&record->number, 0);
		return;
	}
	/* Reading a directory can begin anew, so bad cursors do not cost the handle. */
	if (record->cursor &&
	    (!record->directory || !places_claim(&ledger->cursors, record->cursor - 1)))
		record->cursor = 0;
	if (sequence > word_load(&ledger->header->handle_sequence))
		word_store(&ledger->header->handle_sequence, sequence);
}

void ledger_handles_adopt(struct ledger *ledger)
{
	if (word_load(&ledger->header->handle_sequence) > SEQUENCE_MAX)
		word_store(&ledger->header->handle_sequence, 0);
	ledger_walk(ledger, PART_HANDLES, record_adopt);
}

int ledger_handles_init(struct ledger *ledger)
{
	int error = places_init(&ledger->handles, LEDGER_HANDLES_MAX);

	return error ? error : places_init(&ledger->cursors, LEDGER_DIRECTORIES_MAX);
}

void ledger_handles_fini(struct ledger *ledger)
{
	places_fini(&ledger->handles);
	places_fini(&ledger->cursors);
}
