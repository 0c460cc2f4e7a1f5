/*
 * resume_rig.c - see resume_rig.h.
 */
#include "tests/unit/fuse/namespace/resume_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fuse/namespace/node.h"

struct rig rig;

/* Key @i of the directory: every tenth is a directory's. */
static void key_of(unsigned i, char key[32])
{
	snprintf(key, 32, i % 10 == 8 ? "n%05u/x" : "n%05u", i);
}

void numbers_put(unsigned from, unsigned end, unsigned step)
{
	char key[32];

	for (unsigned i = from; i < end; i += step) {
		key_of(i, key);
		fake_put(&rig.fake, key, i, "e1");
	}
}

void numbers_drop(unsigned from, unsigned end, unsigned step)
{
	char key[32];

	for (unsigned i = from; i < end; i += step) {
		key_of(i, key);
		fake_delete(&rig.fake, key);
	}
}

unsigned number_of(const char *name)
{
	assert_int_equal(name[0], 'n');
	return (unsigned)strtoul(name + 1, NULL, 10);
}

unsigned numbers_read(struct rig_reader *reader, unsigned room)
{
	reader->room = room;
	rig_read_start(&rig, reader);
	while (!reader->ended)
		assert_true(fake_run(&rig.fake));
	assert_int_equal(reader->read.status, 0);
	return reader->given;
}

void numbers_begin(struct rig_reader *reader, unsigned count, bool plus)
{
	rig_open(&rig, reader, NODE_ROOT_ID, plus);
	while (reader->count < count) {
		unsigned left = count - reader->count;

		assert_true(numbers_read(reader, left < 100 ? left : 100) > 0);
	}
}

void numbers_take_over(struct rig_reader *reader, struct ledger_cursor *cursor)
{
	*cursor = reader->read.last;
	assert_int_equal(cursor->off, reader->offset);
	assert_string_equal(cursor->name, reader->names[reader->count - 1]);
	assert_int_equal(cursor->name_len, strlen(cursor->name));
	rig_leave(&rig, reader);
	rig_take_over(&rig);
	clock_manual_advance(&rig.clock, NS_PER_S);
	rig_return(&rig, reader, NODE_ROOT_ID, cursor);
}

void numbers_assert_steady(const struct rig_reader *reader, unsigned step)
{
	static unsigned char times[100000];

	memset(times, 0, sizeof(times));
	for (unsigned i = 0; i < reader->count; i++)
		times[number_of(reader->names[i])]++;
	for (unsigned i = 0; i < NUMBERS; i++) {
		if (i % step == 0)
			assert_int_equal(times[i], 1);
		assert_true(times[i] <= 1);
	}
}

unsigned numbers_next(struct rig_reader *reader, uint64_t offset)
{
	reader->offset = offset;
	assert_int_equal(numbers_read(reader, 1), 1);
	return number_of(reader->names[--reader->count]);
}
