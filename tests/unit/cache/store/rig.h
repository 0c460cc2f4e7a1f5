/*
 * rig.h - a store in a temporary folder of the build tree (which does O_DIRECT), objects whose
 * bytes follow from their number, and waiting for what is asynchronous.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/store/files.h"
#include "cache/store/store.h"

#define RIG_BLOCK_LEN	    (UINT64_C(512) << 10)
#define RIG_DIRECTORIES_MAX 4
#define RIG_REFUSED	    1

struct rig {
	char path[256];
	char directory_paths[RIG_DIRECTORIES_MAX][288];
	struct cache_directory_config directories[RIG_DIRECTORIES_MAX];
	struct cache_config config;
	const struct clock *clock;
	const struct files *files;
	struct store *store;
};

/* What a test says of ownership; may change at any time. */
enum rig_own {
	RIG_OWN_ALL,
	RIG_OWN_NONE,
	RIG_OWN_EVEN, /* blocks with an even number */
	RIG_OWN_ODD,
	RIG_OWN_OTHERS, /* all objects but those named by rig_disown() */
};

#define RIG_DISOWNED_MAX 4096

struct rig_roles {
	_Atomic int own; /* enum rig_own */
	_Atomic unsigned count;
	struct object_id disowned[RIG_DISOWNED_MAX];
};

/** rig_owns() - to be given to store_set_owner() with a struct rig_roles. */
bool rig_owns(void *context, const struct object_id *id, uint64_t block);

/** rig_make() - the folder and the configuration; directories are <path>/0, /1 ... */
void rig_make(struct rig *rig, unsigned directory_count, uint64_t capacity);

/** rig_remove() - the folder and all in it. */
void rig_remove(struct rig *rig);

void rig_open(struct rig *rig);
void rig_close(struct rig *rig);

struct rig_object {
	struct store_object store;
	char key[32];
	unsigned number;
};

/** rig_object() - object @number of @size bytes; the same number is the same object. */
void rig_object(struct rig_object *object, unsigned number, uint64_t size, const char *dataset);

/** rig_bytes() - what an object has at @off; @out: room for @len, rounded up to 8. */
void rig_bytes(const struct rig_object *object, uint64_t off, uint8_t *out, uint32_t len);

/** rig_disown() - the object is another node's, while RIG_OWN_OTHERS holds. */
void rig_disown(struct rig_roles *roles, const struct rig_object *object);

/** rig_write() - admits and writes a block. Return: its status, or RIG_REFUSED. */
int rig_write(struct rig *rig, const struct rig_object *object, uint64_t block);

/** rig_write_all() - all blocks. Return: the first status that is not 0. */
int rig_write_all(struct rig *rig, const struct rig_object *object);

/** rig_read() - reads granules; bytes that are not the object's fail the test. Return: status. */
int rig_read(struct rig *rig, const struct rig_object *object, uint64_t block, unsigned first,
	     unsigned count);

/** rig_read_all() - every granule of every block. Return: the first status that is not 0. */
int rig_read_all(struct rig *rig, const struct rig_object *object);

bool rig_has_all(struct rig *rig, const struct rig_object *object);
void rig_flush(struct rig *rig);
uint64_t rig_count(const struct rig *rig, enum store_counter counter);

/** rig_files_unsynced() - the machine's files without syncs, for where nothing is to survive. */
const struct files *rig_files_unsynced(void);

/** rig_object_file() - the path of an object's file in directory @index. */
void rig_object_file(const struct rig *rig, unsigned index, const struct rig_object *object,
		     char *out, size_t out_size);

/** rig_wait() - until @condition(@context) holds; a test that waits for 20 s fails. */
void rig_wait(bool (*condition)(void *context), void *context);

/** rig_disk_bytes() - what a directory takes, as du counts it. */
uint64_t rig_disk_bytes(const char *path);
