/*
 * inside.h - what the files of the ledger share: its memory and what of it is free.
 *
 *	off 0	header (a page)		what it is, and the few words that are not of one record
 *		connection		INIT, digests of the mount entries
 *		inboxes			64 KiB each
 *		marks			16 bytes each: what was raised lately, for which request
 *		nodes			128 bytes each
 *		handles			64 bytes each
 *		cursors			576 bytes each
 *		backing files		32 bytes each
 *
 * Each begins at a page. Integers are the machine's: the memory never leaves it.
 *
 * What a death leaves. A worker dies between two of its instructions, all its threads at once, and
 * each of its stores before that is in the memory: the one who adopts it does not read beside a
 * writer. So what has to be settled is only in which order the compiler lets the stores of one
 * thread be made, and that what one thread stored under a lock comes before what the next one
 * stores under it. The first is said with a release store wherever an order matters; the second is
 * the lock. Words that are changed on their own are atomic, so that none is ever torn.
 *
 * A free record is one whose first word is 0; the rest of it may be anything.
 */
#pragma once

#include <stdatomic.h>

#include "fuse/ledger/ledger.h"
#include "fuse/ledger/places.h"

struct header {
	uint64_t magic;
	uint32_t version, zero;
	uint64_t shape[16]; /* where each part begins and how long a record is; ledger.c */
	uint64_t check;	    /* over all before it */
	/* words that change */
	_Atomic uint64_t node_id_top;	  /* above every id recorded */
	_Atomic uint64_t handle_sequence; /* of the latest number */
	_Atomic uint64_t backing_last;
	_Atomic uint64_t mark_next; /* marks made so far */
};

/* A mark that a former worker made. */
struct ledger_raise {
	uint64_t unique;
	uint32_t index; /* of the mark */
};

enum ledger_part {
	PART_HEADER,
	PART_CONNECTION,
	PART_INBOXES,
	PART_MARKS,
	PART_NODES,
	PART_HANDLES,
	PART_CURSORS,
	PART_BACKINGS,
	PART_COUNT,
};

struct ledger {
	int fd;
	uint8_t *memory;
	uint8_t *parts[PART_COUNT]; /* in memory, as is header */
	struct header *header;
	uint64_t adopted_ns;
	atomic_bool disowned; /* another changes the records meanwhile */
	struct places nodes;
	bool nodes_settled;	/* all that is there is taken in nodes: what looks free, is */
	uint32_t nodes_emptied; /* a chunk of them that is free and still costs memory; nodes.c */
	struct ledger_raise *raises; /* when adopted: by ascending unique; marks.c */
	uint32_t raise_count;
	struct places handles, cursors, backings;
	uint32_t *backing_places;	/* by a hash of the id: place and 1, or 0; backings.c */
	char name[LEDGER_NAME_MAX + 1]; /* of the node that was read last */
	char etag[LEDGER_ETAG_MAX + 1];
};

/** ledger_part() - where the part @part begins. */
static inline void *ledger_part(const struct ledger *ledger, enum ledger_part part)
{
	return ledger->parts[part];
}

/**
 * ledger_walk() - calls @visit for each record of @part that may have been written to: a page that
 * never was is not looked at, since looking at it would make it cost memory.
 */
void ledger_walk(struct ledger *ledger, enum ledger_part part,
		 void (*visit)(struct ledger *ledger, uint32_t place));

/* Of each section: what is private of it (-ENOMEM), taking in what is in the memory, and its end.
 * Adopting drops each record that cannot be one. */
int ledger_nodes_init(struct ledger *ledger);
int ledger_marks_init(struct ledger *ledger);
int ledger_handles_init(struct ledger *ledger);
int ledger_backings_init(struct ledger *ledger);
void ledger_nodes_adopt(struct ledger *ledger);
void ledger_marks_adopt(struct ledger *ledger);
void ledger_handles_adopt(struct ledger *ledger);
void ledger_backings_adopt(struct ledger *ledger);
void ledger_nodes_fini(struct ledger *ledger);
void ledger_marks_fini(struct ledger *ledger);
void ledger_handles_fini(struct ledger *ledger);
void ledger_backings_fini(struct ledger *ledger);

/** ledger_mark() - the node at @place was raised for request @unique. */
void ledger_mark(struct ledger *ledger, uint64_t unique, uint32_t place, uint64_t id);

/** ledger_node_undo() - one lookup less of the node at @place, if its id ends with @id_low.
 *  Return: its id; 0: it is not there. */
uint64_t ledger_node_undo(struct ledger *ledger, uint32_t place, uint32_t id_low);

/** ledger_cursor_take() - Return: a place for two cursors of a directory's handle, none set;
 * PLACES_NONE: none is free. */
uint32_t ledger_cursor_take(struct ledger *ledger);

/* Lengths of records; each file asserts its own. */
#define MARK_LEN       16
#define MARKS_COUNT    (UINT32_C(1) << 16)
#define NODE_LEN       128
#define HANDLE_LEN     64
#define CURSOR_LEN     576
#define BACKING_LEN    32
#define CONNECTION_LEN 24576

/** ledger_handle_cursor() - Return: the place of the cursors of handle @number; PLACES_NONE: it has
 * none, or there is no such handle. */
uint32_t ledger_handle_cursor(const struct ledger *ledger, uint64_t number);

/** ledger_text_is_name() - whether @len bytes can be a name: no NUL, no slash. */
bool ledger_text_is_name(const char *text, size_t len);

static inline uint64_t word_load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void word_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* All that was stored before is there when this is. */
static inline void word_release(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* All that this thread stores after is not there before this is: a death is like a signal, which
 * sees the stores of the thread that it stops in the order that the compiler gave them. */
static inline void word_store_first(_Atomic uint64_t *word, uint64_t value)
{
	word_store(word, value);
	atomic_signal_fence(memory_order_release);
}
