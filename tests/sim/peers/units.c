/*
 * units.c - what there is to read, and who owns it. Names are chosen so that units 0 to 4 belong to
 * node 1, 5 and 6 to node 0 and 7 to node 2, and so that all of a node's share one bucket of its
 * directory: that is where torn entries are.
 */
#include <stdio.h>

#include "base/log.h"
#include "cache/window/directory.h"
#include "tests/sim/peers/model.h"

#define BUCKET_MASK 63 /* of an arena of 16 MiB: 64 buckets */

struct model_unit model_units[MODEL_UNITS];
struct placement *model_placement[MODEL_NODES_MAX + 1];

static const unsigned unit_owners[MODEL_UNITS] = { 1, 1, 1, 1, 1, 0, 0, 2 };

struct member_id model_member(unsigned number)
{
	struct member_id id;

	memset(id.bytes, (int)number + 1, sizeof(id.bytes));
	return id;
}

unsigned model_unit_of(const struct window_key *key)
{
	unsigned unit = 0;

	while (unit < MODEL_UNITS && !window_key_equal(&model_units[unit].window_key, key))
		unit++;
	return unit;
}

static struct placement *placement_of(unsigned nodes)
{
	struct placement_member members[MODEL_NODES_MAX];

	if (model_placement[nodes])
		return model_placement[nodes];
	CHECK(placement_create(&model_placement[nodes]) == 0);
	for (unsigned i = 0; i < nodes; i++)
		members[i] = (struct placement_member){ .id = model_member(i),
							.weight = 1 << 30,
							.storing_since_ns = 1 };
	CHECK(placement_update(model_placement[nodes], members, nodes, NULL) == 0);
	return model_placement[nodes];
}

static unsigned owner_of(struct placement *placement, const struct object_id *id)
{
	const struct placement_table *table = placement_acquire(placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	unsigned number = 0;

	CHECK(placement_owners(table, placement_slot(id, 0), owners) > 0);
	number = owners[0]->id.bytes[0] - 1u;
	placement_release(placement, table);
	return number;
}

static bool same_bucket(const struct model_unit *unit)
{
	const struct directory_shape shape = { .bucket_count = BUCKET_MASK + 1 };

	return directory_bucket_off(&shape, &unit->window_key) ==
	       directory_bucket_off(&shape, &model_units[0].window_key);
}

static void unit_make(unsigned number, const struct model_scenario *scenario, unsigned nodes)
{
	struct placement *placement = placement_of(nodes);
	struct model_unit *unit = &model_units[number];
	struct object_id id;

	unit->owner = unit_owners[number] < nodes ? unit_owners[number] : 1;
	for (unsigned try = 0;; try++) {
		snprintf(unit->key, sizeof(unit->key), "u%u.%u", number, try);
		unit->version = (struct object_version){ .backing = "model",
							 .bucket = "",
							 .key = unit->key,
							 .etag = "1",
							 .size = scenario->unit_len };
		object_id_of(&unit->version, &id);
		unit->window_key = window_block_key(&id, 0);
		if (owner_of(placement, &id) == unit->owner && (number == 0 || same_bucket(unit)))
			break;
	}
	for (uint32_t i = 0; i < scenario->unit_len; i++)
		unit->bytes[i] = (uint8_t)((i * 2654435761u >> 13) + number * 37 + 1);
}

void model_units_make(const struct model_scenario *scenario)
{
	CHECK(scenario->unit_len <= MODEL_LEN_MAX);
	for (unsigned i = 0; i < MODEL_UNITS; i++)
		unit_make(i, scenario, scenario->nodes);
}

void model_units_free(void)
{
	for (unsigned i = 0; i <= MODEL_NODES_MAX; i++) {
		placement_destroy(model_placement[i]);
		model_placement[i] = NULL;
	}
}
