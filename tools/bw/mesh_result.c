/*
 * mesh_result.c - out of JSON, and who is behind the slow links.
 */
#include "tools/bw/mesh_result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX 64

/* Return: heap memory, or NULL. */
static char *text_take(const char *text)
{
	char *copy = strdup(text);

	for (char *at = copy; at && *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	return copy;
}

static uint64_t number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value > 0 ? (uint64_t)value : 0;
}

void mesh_result_free(struct mesh_result *result)
{
	for (size_t i = 0; result->names && i < result->count; i++)
		free(result->names[i]);
	for (size_t i = 0; result->links && i < (size_t)result->count * result->count; i++)
		free(result->links[i].problem);
	free(result->names);
	free(result->links);
	*result = (struct mesh_result){ 0 };
}

static int names_decode(const json_t *members, struct mesh_result *out)
{
	for (unsigned i = 0; i < out->count; i++) {
		const char *name =
			json_string_value(json_object_get(json_array_get(members, i), "name"));

		if (!name)
			return -EPROTO;
		out->names[i] = text_take(name);
		if (!out->names[i])
			return -ENOMEM;
	}
	return 0;
}

static int link_decode(const json_t *cell, struct mesh_result *out)
{
	json_int_t reader = json_integer_value(json_object_get(cell, "reader"));
	json_int_t target = json_integer_value(json_object_get(cell, "target"));
	const char *problem = json_string_value(json_object_get(cell, "problem"));
	struct mesh_link *link;

	if (reader < 0 || target < 0 || reader >= out->count || target >= out->count ||
	    reader == target)
		return -EPROTO;
	link = &out->links[(size_t)reader * out->count + (size_t)target];
	free(link->problem); /* told twice: the last one counts */
	*link = (struct mesh_link){
		.reader = (unsigned)reader,
		.target = (unsigned)target,
		.bytes_per_s = number(cell, "bytes_per_s"),
		.p50_ns = number(cell, "p50_ns"),
		.p99_ns = number(cell, "p99_ns"),
		.slow_bandwidth = json_is_true(json_object_get(cell, "slow_bandwidth")),
		.slow_latency = json_is_true(json_object_get(cell, "slow_latency")),
	};
	if (problem)
		link->problem = text_take(problem);
	return problem && !link->problem ? -ENOMEM : 0;
}

static int links_decode(const json_t *cells, struct mesh_result *out)
{
	size_t expected = (size_t)out->count * (out->count - 1);
	int error = json_array_size(cells) == expected ? 0 : -EPROTO;

	for (size_t i = 0; i < json_array_size(cells) && !error; i++)
		error = link_decode(json_array_get(cells, i), out);
	return error;
}

int mesh_result_decode(const json_t *json, struct mesh_result *out)
{
	const json_t *members = json_object_get(json, "members");
	struct mesh_result result = { 0 };
	size_t count = json_array_size(members);
	int error;

	if (count < 2 || count > MEMBERS_MAX)
		return -EPROTO;
	result.count = (unsigned)count;
	result.bytes_per_s = number(json, "bytes_per_s");
	result.p50_ns = number(json, "p50_ns");
	result.names = calloc(count, sizeof(*result.names));
	result.links = calloc(count * count, sizeof(*result.links));
	error = result.names && result.links ? names_decode(members, &result) : -ENOMEM;
	if (!error)
		error = links_decode(json_object_get(json, "cells"), &result);
	if (error)
		mesh_result_free(&result);
	else
		*out = result;
	return error;
}

/* --- who is behind them */

static void shared_find(const unsigned *counts, unsigned count, struct mesh_sum *sum)
{
	unsigned best = 0, rivals = 0;

	sum->shared = -1;
	for (unsigned i = 1; i < count; i++)
		if (counts[i] > counts[best])
			best = i;
	for (unsigned i = 0; i < count; i++)
		rivals += i != best && counts[i] == counts[best];
	if (sum->slow < 2 || rivals > 0 || counts[best] * 2 <= sum->slow)
		return;
	sum->shared = (int)best;
	sum->shared_count = counts[best];
}

struct mesh_sum mesh_result_sum(const struct mesh_result *result)
{
	struct mesh_sum sum = { .links = result->count * (result->count - 1) };
	unsigned counts[MEMBERS_MAX] = { 0 };
	size_t links = (size_t)result->count * result->count;

	for (size_t i = 0; i < links; i++) {
		const struct mesh_link *link = &result->links[i];

		sum.failed += link->problem != NULL;
		if (!mesh_link_is_slow(link))
			continue;
		sum.slow++;
		counts[link->reader]++;
		counts[link->target]++;
	}
	shared_find(counts, result->count, &sum);
	return sum;
}
