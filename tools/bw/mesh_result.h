/*
 * mesh_result.h - what the daemon has measured between each two members, read out of its answer.
 * Names and problems come from other nodes: control characters in them have become '?'.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mesh_link {
	unsigned reader, target;
	uint64_t bytes_per_s;	 /* 0: not measured */
	uint64_t p50_ns, p99_ns; /* of a small read; 0: not measured */
	bool slow_bandwidth, slow_latency;
	char *problem; /* NULL: all was measured */
};

struct mesh_result {
	unsigned count;
	char **names;
	uint64_t bytes_per_s, p50_ns; /* the medians of all; 0: of nothing */
	struct mesh_link *links; /* count * count: reader * count + target; unused: with itself */
};

/** mesh_result_decode() - Return: 0; -EPROTO: it is no such answer; -ENOMEM. */
int mesh_result_decode(const json_t *json, struct mesh_result *out);
void mesh_result_free(struct mesh_result *result);

static inline const struct mesh_link *mesh_result_link(const struct mesh_result *result,
						       unsigned reader, unsigned target)
{
	return &result->links[(size_t)reader * result->count + target];
}

static inline bool mesh_link_is_slow(const struct mesh_link *link)
{
	return link->slow_bandwidth || link->slow_latency;
}

struct mesh_sum {
	unsigned links, slow, failed;
	int shared; /* the member that most of the slow links have in common; -1: no such one */
	unsigned shared_count; /* slow links that it takes part in */
};

/** mesh_result_sum() - @shared is in more than half of at least two slow links, and nobody else is
 *  in as many. */
struct mesh_sum mesh_result_sum(const struct mesh_result *result);
