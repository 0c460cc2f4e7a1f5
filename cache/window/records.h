/*
 * records.h - what lies where in the arena, written down in its tail for the process that takes the
 * memfd over when this one has died. Pure memory: no locks, no I/O, no clock.
 *
 *	superblock: of what shape
 *	records: one for each entry of the window
 *	checks: of their granules
 *
 * A record is believed when the check over it holds, and the bytes it speaks of when all their
 * granules match their checks. records.c documents the layout byte by byte, why the order in which
 * things are stored is not what this rests on, and what the kernel and devices may still write when
 * a process has died.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/object.h"
#include "cache/window/key.h"
#include "cache/window/owner.h"

#define RECORDS_VERSION 1
#define RECORDS_GROUP	128 /* slots come in groups of so many */
#define RECORDS_OWNERS	2

enum record_state {
	RECORD_NOTHING,
	RECORD_FILLING, /* something may be writing there */
	RECORD_CLEAN,
	RECORD_OWED,	/* complete; the SSD is to have it, and may not have it for good */
	RECORD_WRITING, /* the same, and the SSD may be reading it */
	RECORD_STATES,
};

struct record {
	struct window_key key;
	uint64_t off; /* of its frame in the arena */
	uint32_t len; /* of the payload */
	uint8_t order;
	uint8_t state;	/* enum record_state */
	uint64_t check; /* of a unit no longer than a granule; else unused */
};

/* What both processes must have the same. */
struct records_shape {
	uint64_t arena_len;
	uint64_t slot_count; /* at least; a multiple of RECORDS_GROUP */
	uint32_t block_len;
	bool huge_pages; /* wanted, whether they were to be had or not */
};

struct records {
	struct records_shape shape;
	uint8_t *memory;
	uint64_t *checks; /* one for each granule of the arena */
	bool sealed;
};

/** records_len() - bytes of tail that they take: a multiple of 4 KiB. */
size_t records_len(const struct records_shape *shape);

/** records_init() - in @tail, zeros, page-aligned; borrowed for life. Ours from now on. */
void records_init(struct records *records, const struct records_shape *shape, void *tail);

/**
 * records_init_over() - what another process wrote in @tail.
 * @out_owners: whose it was; and whose it was before, if that one was not gone by then, else pid 0.
 * It is not ours before records_take().
 * Return: 0; -EBADMSG: it is none, or not to be believed; -EPROTONOSUPPORT: of another version;
 *   -EINVAL: of another shape.
 */
int records_init_over(struct records *records, const struct records_shape *shape, void *tail,
		      struct owner out_owners[RECORDS_OWNERS]);

/** records_take() - this process is the owner now. @before: one that is not gone; pid 0: none. */
void records_take(struct records *records, const struct owner *before);

/** records_seal() - from now on no record changes any more: so it stays for the next process. */
void records_seal(struct records *records);

/** records_leave() - this process is done with the arena, though it may run on. @before: as above.
 */
void records_leave(struct records *records, const struct owner *before);

/** records_used() - slots that were in use at some time: all others hold nothing. */
uint64_t records_used(const struct records *records);

/** records_use() - slots below @count are in use from now on. */
void records_use(struct records *records, uint64_t count);

/** records_put() - @record lies in @slot from now on; of a unit longer than a granule the checks
 *  are in place, unless it is FILLING. */
void records_put(struct records *records, uint64_t slot, const struct record *record);

/** records_erase() - nothing lies in @slot. */
void records_erase(struct records *records, uint64_t slot);

/**
 * records_get() - any bytes at all are fine.
 * Return: 0 with a record, whose place lies within the arena; -ENOENT: nothing; -EBADMSG: something
 *   that is not to be believed.
 */
int records_get(const struct records *records, uint64_t slot, struct record *out_record);
