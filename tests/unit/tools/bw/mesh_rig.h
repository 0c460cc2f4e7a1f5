/*
 * mesh_rig.h - meshes made to order, as the daemon would tell of them.
 */
#pragma once

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "tools/bw/mesh_result.h"

#define RIG_BYTES_PER_S 100000000
#define RIG_P50_NS	80000

/* @count members, called @names (NULL: n1, n2 ...); all links alike. */
static inline json_t *rig_mesh(unsigned count, const char *const *names)
{
	json_t *members = json_array(), *cells = json_array();

	for (unsigned reader = 0; reader < count; reader++) {
		char name[32];

		snprintf(name, sizeof(name), "n%u", reader + 1);
		json_array_append_new(members, json_pack("{s:s, s:s}", "id", "00", "name",
							 names ? names[reader] : name));
		for (unsigned target = 0; target < count; target++) {
			if (reader == target)
				continue;
			json_array_append_new(cells,
					      json_pack("{s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:n}",
							"reader", (int)reader, "target",
							(int)target, "bytes_per_s", RIG_BYTES_PER_S,
							"p50_ns", RIG_P50_NS, "p99_ns",
							2 * RIG_P50_NS, "slow_bandwidth", 0,
							"slow_latency", 0, "problem"));
		}
	}
	return json_pack("{s:o, s:o, s:i, s:i}", "members", members, "cells", cells, "bytes_per_s",
			 RIG_BYTES_PER_S, "p50_ns", RIG_P50_NS);
}

static inline json_t *rig_cell(const json_t *mesh, unsigned reader, unsigned target)
{
	json_t *cells = json_object_get(mesh, "cells");

	for (size_t i = 0; i < json_array_size(cells); i++) {
		json_t *cell = json_array_get(cells, i);

		if (json_integer_value(json_object_get(cell, "reader")) == reader &&
		    json_integer_value(json_object_get(cell, "target")) == target)
			return cell;
	}
	fail_msg("no cell %u %u", reader, target);
	return NULL;
}

static inline void rig_slow(const json_t *mesh, unsigned reader, unsigned target)
{
	json_t *cell = rig_cell(mesh, reader, target);

	json_object_set_new(cell, "bytes_per_s", json_integer(2400000));
	json_object_set_new(cell, "slow_bandwidth", json_true());
}

static inline void rig_late(const json_t *mesh, unsigned reader, unsigned target)
{
	json_t *cell = rig_cell(mesh, reader, target);

	json_object_set_new(cell, "p50_ns", json_integer(5000000));
	json_object_set_new(cell, "slow_latency", json_true());
}

static inline void rig_failed(const json_t *mesh, unsigned reader, unsigned target,
			      const char *problem)
{
	json_t *cell = rig_cell(mesh, reader, target);

	json_object_set_new(cell, "bytes_per_s", json_integer(0));
	json_object_set_new(cell, "p50_ns", json_integer(0));
	json_object_set_new(cell, "problem", json_string(problem));
}

static inline void rig_decode(json_t *mesh, struct mesh_result *out)
{
	assert_int_equal(mesh_result_decode(mesh, out), 0);
	json_decref(mesh);
}
