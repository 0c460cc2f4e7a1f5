/*
 * mesh_matrix.h - what was measured between each two members, and which links are slow. Pure.
 *
 * A link is slow when its bandwidth is below half of the median of all bandwidths, or its median
 * latency above twice the median of all median latencies. Of an even number the median is the
 * better one of the two in the middle.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/daemon/mesh_pick.h"

#define MESH_PROBLEM_MAX 96 /* 64 * 63 of them fit into an answer */

struct mesh_cell {
	/* set by the caller; 0: not measured, and `problem` says why */
	uint64_t bytes_per_s;
	uint64_t p50_ns, p99_ns; /* of small READs */
	char problem[MESH_PROBLEM_MAX];
	/* set by mesh_matrix_mark() */
	bool slow_bandwidth, slow_latency;
};

struct mesh_matrix {
	unsigned count;
	const struct mesh_member *members; /* borrowed */
	struct mesh_cell *cells;	   /* count * count; mesh_matrix_cell() */
	uint64_t bytes_per_s, p50_ns;	   /* the medians; 0: of nothing */
};

/** mesh_matrix_init() - Return: 0 or -ENOMEM. */
int mesh_matrix_init(struct mesh_matrix *matrix, const struct mesh_member *members, unsigned count);
void mesh_matrix_fini(struct mesh_matrix *matrix);

struct mesh_cell *mesh_matrix_cell(const struct mesh_matrix *matrix, unsigned reader,
				   unsigned target);

/** mesh_cell_fail() - says why it was not measured, as far as there is room. */
void mesh_cell_fail(struct mesh_cell *cell, const char *why);

struct mesh_sum {
	unsigned pairs, failed, slow;
};

/** mesh_matrix_mark() - works out medians and marks. Return: 0 or -ENOMEM. */
int mesh_matrix_mark(struct mesh_matrix *matrix, struct mesh_sum *out_sum);

/** mesh_matrix_json() - members: [{id, name}], cells: [{reader, target (indices of members),
 *  bytes_per_s, p50_ns, p99_ns, slow_bandwidth, slow_latency, problem or null}], and the medians as
 *  bytes_per_s and p50_ns. NULL: out of memory. */
json_t *mesh_matrix_json(const struct mesh_matrix *matrix);
