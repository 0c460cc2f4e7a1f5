/*
 * roles.c - a store whose blocks are owned as a test says.
 */
#include "tests/unit/cache/store/roles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct rig_roles roles;

void roles_open(struct rig *rig, enum rig_own own)
{
	roles.own = (int)own;
	roles.count = 0;
	rig_open(rig);
	store_set_owner(rig->store, rig_owns, &roles);
}

void roles_make(struct rig *rig, enum cache_policy policy, enum rig_own own)
{
	rig_make(rig, 1, ROLES_CAPACITY);
	rig->files = rig_files_unsynced();
	rig->config.policy = (int)policy;
	roles_open(rig, own);
}

void roles_end(struct rig *rig)
{
	assert_int_equal(rig_count(rig, STORE_BAD_CHECKS), 0);
	assert_int_equal(rig_count(rig, STORE_READ_ERRORS), 0);
	rig_close(rig);
	rig_remove(rig);
}

uint64_t roles_used(struct rig *rig)
{
	return rig_count(rig, STORE_USED_BYTES);
}

/* Writes until nothing more is admitted, even when all promises were given back. */
unsigned roles_fill(struct rig *rig, unsigned first, uint64_t size)
{
	struct rig_object object;
	unsigned count = 0, refused = 0;

	while (refused < 2) {
		rig_object(&object, first + count, size, "/images");
		if (rig_write_all(rig, &object) == 0) {
			count++;
			refused = 0;
		} else {
			rig_flush(rig);
			refused++;
		}
	}
	return count;
}

/* Writes an object that the store must find room for, sooner or later. */
void roles_write(struct rig *rig, const struct rig_object *object)
{
	uint64_t count = (object->store.version.size + RIG_BLOCK_LEN - 1) / RIG_BLOCK_LEN;

	for (uint64_t block = 0; block < count; block++) {
		unsigned tries = 0;

		while (!store_has(rig->store, &object->store.id, block) &&
		       rig_write(rig, object, block) == RIG_REFUSED) {
			assert_true(++tries < ROLES_TRIES);
			usleep(1000);
			if (tries % 10 == 0)
				rig_flush(rig);
		}
	}
}

void roles_wait(_Atomic bool *flag)
{
	for (unsigned tries = 0; !*flag; tries++) {
		assert_true(tries < ROLES_TRIES);
		usleep(1000);
	}
}

void roles_wait_evicted(struct rig *rig, uint64_t blocks)
{
	for (unsigned tries = 0; rig_count(rig, STORE_REPLICAS_EVICTED) < blocks; tries++) {
		assert_true(tries < ROLES_TRIES);
		usleep(1000);
	}
}

unsigned roles_count(struct rig *rig, unsigned first, unsigned count, uint64_t size)
{
	struct rig_object object;
	unsigned here = 0;

	for (unsigned i = first; i < first + count; i++) {
		rig_object(&object, i, size, "/images");
		here += rig_has_all(rig, &object);
	}
	return here;
}

/* What the books say is what a restart counts, and what lies on the disk. */
void roles_check_books(struct rig *rig)
{
	uint64_t before, disk;

	store_stop(rig->store); /* eviction, too */
	before = roles_used(rig);
	store_destroy(rig->store);
	disk = rig_disk_bytes(rig->directory_paths[0]);
	assert_in_range(disk, before - 2 * ROLES_MIB, before + 2 * ROLES_MIB);
	rig_open(rig);
	store_set_owner(rig->store, rig_owns, &roles);
	assert_in_range(roles_used(rig), before - ROLES_MIB, before + ROLES_MIB);
}

uint64_t roles_file_bytes(const struct rig *rig, const struct rig_object *object)
{
	char path[512];
	struct stat st;

	rig_object_file(rig, 0, object, path, sizeof(path));
	return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
