/*
 * resume_rig.h - a directory whose names are numbers, its reader, and the death of the worker
 * meanwhile.
 */
#pragma once

#include "tests/unit/fuse/namespace/rig.h"

#define NUMBERS 3000

/* All below is of this one. */
extern struct rig rig;

/** numbers_put(), numbers_drop() - the keys of numbers @from to below @end: every tenth name is
 *  a directory's. */
void numbers_put(unsigned from, unsigned end, unsigned step);
void numbers_drop(unsigned from, unsigned end, unsigned step);

/** number_of() - of a name. */
unsigned number_of(const char *name);

/** numbers_read() - one read. Return: entries that it gave. */
unsigned numbers_read(struct rig_reader *reader, unsigned room);

/** numbers_begin() - the first worker: entries up to @count at least, "." and ".." not counted. */
void numbers_begin(struct rig_reader *reader, unsigned count, bool plus);

/** numbers_take_over() - by the next worker. @cursor: where @reader was, lent to it from now on. */
void numbers_take_over(struct rig_reader *reader, struct ledger_cursor *cursor);

/** numbers_assert_steady() - numbers that are a multiple of @step are there all the time: each was
 *  given exactly once, and of the others none twice. */
void numbers_assert_steady(const struct rig_reader *reader, unsigned step);

/** numbers_next() - the number of the entry behind @offset. */
unsigned numbers_next(struct rig_reader *reader, uint64_t offset);
