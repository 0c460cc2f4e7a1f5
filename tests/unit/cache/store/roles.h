/*
 * roles.h - a store in which this node owns what a test says at the moment, full or filling up, and
 * waiting for what gives way.
 */
#pragma once

#include "tests/unit/cache/store/rig.h"

#define ROLES_MIB      (UINT64_C(1) << 20)
#define ROLES_CAPACITY (32 * ROLES_MIB)
#define ROLES_OWNED    100000 /* by custom: objects from this number on are this node's */
#define ROLES_TRIES    20000  /* of a millisecond */

extern struct rig_roles roles;

/** roles_open() - rig_open() with an owner, who starts with @own. */
void roles_open(struct rig *rig, enum rig_own own);

/** roles_make() - one directory of ROLES_CAPACITY, without syncs. */
void roles_make(struct rig *rig, enum cache_policy policy, enum rig_own own);

/** roles_end() - closes and removes; fails the test when a check did not match. */
void roles_end(struct rig *rig);

/** roles_used() - the gauge. */
uint64_t roles_used(struct rig *rig);

/** roles_fill() - writes objects from number @first on until nothing more is admitted, even when
 *  all promises were given back. Return: how many. */
unsigned roles_fill(struct rig *rig, unsigned first, uint64_t size);

/** roles_write() - writes what is missing of an object, for which there will be room. */
void roles_write(struct rig *rig, const struct rig_object *object);

void roles_wait(_Atomic bool *flag);
void roles_wait_evicted(struct rig *rig, uint64_t blocks);

/** roles_count() - how many of @count objects from number @first on are here as a whole. */
unsigned roles_count(struct rig *rig, unsigned first, unsigned count, uint64_t size);

/** roles_check_books() - opens the store again: what the books said is what is counted then, and
 *  what lies on the disk. */
void roles_check_books(struct rig *rig);

/** roles_file_bytes() - what an object's file takes. */
uint64_t roles_file_bytes(const struct rig *rig, const struct rig_object *object);
