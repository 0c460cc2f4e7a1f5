/*
 * rig.h - sets of members and their tables, for the tests of cache/placement.
 */
#pragma once

#include "base/random.h"
#include "cache/placement/placement.h"
#include "cache/placement/table.h"

#define TIB (UINT64_C(1) << 40)

/** rig_members() - @count members of one weight, with ids that @seed chooses; count <= 4096. */
void rig_members(struct placement_member *members, unsigned count, uint64_t seed);

/** rig_weigh() - gives each a weight of its own, from 1/8 TiB to 8 TiB. */
void rig_weigh(struct placement_member *members, unsigned count, uint64_t seed);

/** rig_place() - a placement with @members, made in one step. */
struct placement *rig_place(const struct placement_member *members, unsigned count);

/** rig_update() - placement_update(), which must succeed. */
void rig_update(struct placement *placement, const struct placement_member *members,
		unsigned count);

/** rig_assert_fresh() - the table in use is, byte for byte, what a new placement would make. */
void rig_assert_fresh(struct placement *placement, const struct placement_member *members,
		      unsigned count);
