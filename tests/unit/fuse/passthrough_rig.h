/*
 * passthrough_rig.h - a mount whose kernel is a test, with a cache directory, and a table of
 * backing files in place of the kernel's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/unit/fuse/kernel.h"

#define SIZE		 100000
#define FRESH		 (11 * NS_PER_S)
#define IDS_MAX		 10000
#define OPEN_PASSTHROUGH (1u << 7) /* of open_flags */

/* The kernel's table of backing files, as a test sees it. */
struct backing_table {
	_Atomic int next, open, error;
	_Atomic unsigned opens, closes, missed; /* closed although not open */
	_Atomic bool ids[IDS_MAX];
	char bytes[SIZE + 1]; /* of the last file registered */
	ssize_t len;
};

extern struct backing_table table;
extern struct kernel kernel;

int table_open(int connection, int fd);
int table_close(int connection, int id);

/** pass_make() - a mount. @flags2: that INIT offers; @error: of all that is registered, or 0. */
int pass_make(uint32_t flags2, int error);
int pass_setup(void **state);

/** pass_teardown() - checks that no id is left registered. */
int pass_teardown(void **state);

/** pass_look_up() - "a". */
struct fuse_entry_out pass_look_up(void);

/** pass_open() - OPEN. Return: the error; *out_id: the backing id, or 0: direct. */
int pass_open(uint64_t node, uint64_t *out_handle, int *out_id);
void pass_release(uint64_t node, uint64_t handle);
void pass_read_whole(uint64_t node, uint64_t handle);

/** pass_verified() - how many objects are. pass_await_verified(): until so many are. */
uint64_t pass_verified(void);
void pass_await_verified(unsigned count);

/** pass_fill() - "a" is whole on the SSD and verified. Return: its first node, a direct one that is
 *  open. */
uint64_t pass_fill(uint64_t *out_handle);

/** pass_fill_and_follow() - the same, and the node that follows it, in passthrough mode.
 *  pass_follow_alone(): and nobody has the first one open. */
uint64_t pass_fill_and_follow(void);
uint64_t pass_follow_alone(void);

/** pass_object_path() - of the file of "a" on the SSD. */
void pass_object_path(char out[500]);

/** pass_cache_again() - the cache of another worker. pass_replace(): the worker dies with its
 *  cache, and another takes over what is on the SSD. */
void pass_cache_again(void);
void pass_replace(void);

/** pass_recorded() - ids in the ledger. */
unsigned pass_recorded(void);

/** pass_await_open() - until so many ids are registered and recorded. */
void pass_await_open(unsigned count);

/** pass_check_nothing_left() - nothing is open, and what is idle goes with time. */
void pass_check_nothing_left(void);
