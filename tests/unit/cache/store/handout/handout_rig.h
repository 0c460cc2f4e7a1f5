/*
 * handout_rig.h - a store of one directory whose files may be handed out, for the tests of that.
 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "tests/unit/cache/store/faults.h"
#include "tests/unit/cache/store/roles.h"

#define BLOCKS 6
#define LARGE  (BLOCKS * RIG_BLOCK_LEN - 3000)
#define NONE   UINT64_MAX

struct handout_fixture {
	struct rig rig;
	struct faults faults;
};

/** handout_make(), handout_end() - the store, without a scrub. */
void handout_make(struct handout_fixture *fixture, enum rig_own own);
void handout_end(struct handout_fixture *fixture);

void handout_write_whole(struct rig *rig, struct rig_object *object, unsigned number,
			 uint64_t size);

/** handout_wait_ready() - until it may be handed out. handout_take(): it is then. */
void handout_wait_ready(struct rig *rig, const struct rig_object *object);
int handout_take(struct rig *rig, const struct rig_object *object, struct cache_handout *out);

/** handout_given() - handout_make(), and a LARGE object, number 1, that is handed out. */
void handout_given(struct handout_fixture *fixture, struct rig_object *object,
		   struct cache_handout *out);

/** handout_wait_queue() - until all that is queued has been verified, by another object @number. */
void handout_wait_queue(struct rig *rig, unsigned number);

/** handout_check_bytes() - the file has the object's bytes, all of them and no more; but for a bit
 *  at @flipped, or NONE. */
void handout_check_bytes(int fd, const struct rig_object *object, uint64_t flipped);

/** handout_flip() - a bit of the file on the disk. */
void handout_flip(struct rig *rig, const struct rig_object *object, uint64_t off);

/** handout_stat() - of the object's file; st_ino is 0 when there is none. */
struct stat handout_stat(struct rig *rig, const struct rig_object *object);

void handout_wait_count(struct rig *rig, enum store_counter counter, uint64_t least);

/** handout_evict_one() - others are written until something had to go. */
void handout_evict_one(struct rig *rig);
