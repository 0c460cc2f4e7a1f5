/*
 * mesh_matrix.c - medians, marks, JSON.
 */
#include "tools/daemon/mesh_matrix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

int mesh_matrix_init(struct mesh_matrix *matrix, const struct mesh_member *members, unsigned count)
{
	*matrix = (struct mesh_matrix){ .count = count, .members = members };
	matrix->cells = calloc((size_t)count * count, sizeof(*matrix->cells));
	return matrix->cells ? 0 : -ENOMEM;
}

void mesh_matrix_fini(struct mesh_matrix *matrix)
{
	free(matrix->cells);
	*matrix = (struct mesh_matrix){ 0 };
}

struct mesh_cell *mesh_matrix_cell(const struct mesh_matrix *matrix, unsigned reader,
				   unsigned target)
{
	CHECK(reader < matrix->count && target < matrix->count && reader != target);
	return &matrix->cells[(size_t)reader * matrix->count + target];
}

void mesh_cell_fail(struct mesh_cell *cell, const char *why)
{
	size_t len = strnlen(why, sizeof(cell->problem));

	if (len == sizeof(cell->problem)) /* no character of UTF-8 in half */
		for (len--; len && ((unsigned char)why[len] & 0xc0) == 0x80;)
			len--;
	memcpy(cell->problem, why, len);
	cell->problem[len] = '\0';
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *first = a, *second = b;

	return *first < *second ? -1 : *first > *second;
}

/* Of an even number the better one in the middle: of four members half of all links are those of
 * one. */
static uint64_t median(uint64_t *values, size_t count, bool more_is_better)
{
	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), by_size);
	return values[more_is_better ? count / 2 : (count - 1) / 2];
}

/* The cells of a member with itself stay zero, as those that were not measured are. */
static uint64_t median_of(const struct mesh_matrix *matrix, uint64_t *values, size_t offset,
			  bool more_is_better)
{
	size_t count = 0, cells = (size_t)matrix->count * matrix->count;

	for (size_t i = 0; i < cells; i++) {
		const uint64_t *value = (const void *)((const char *)&matrix->cells[i] + offset);

		if (*value)
			values[count++] = *value;
	}
	return median(values, count, more_is_better);
}

int mesh_matrix_mark(struct mesh_matrix *matrix, struct mesh_sum *out_sum)
{
	size_t cells = (size_t)matrix->count * matrix->count;
	uint64_t *values = calloc(cells, sizeof(*values));
	struct mesh_sum sum = { .pairs = matrix->count * (matrix->count - 1) };

	if (!values)
		return -ENOMEM;
	matrix->bytes_per_s =
		median_of(matrix, values, offsetof(struct mesh_cell, bytes_per_s), true);
	matrix->p50_ns = median_of(matrix, values, offsetof(struct mesh_cell, p50_ns), false);
	free(values);
	for (size_t i = 0; i < cells; i++) {
		struct mesh_cell *cell = &matrix->cells[i];

		cell->slow_bandwidth =
			cell->bytes_per_s && cell->bytes_per_s < matrix->bytes_per_s / 2;
		cell->slow_latency = cell->p50_ns > matrix->p50_ns * 2;
		sum.slow += cell->slow_bandwidth || cell->slow_latency;
		sum.failed += cell->problem[0] != '\0';
	}
	*out_sum = sum;
	return 0;
}

/* Names and problems are other nodes' words: any bytes, and JSON takes UTF-8. */
static json_t *text_json(const char *text, const char *otherwise)
{
	json_t *json = json_string(text);

	return json ? json : json_string(otherwise);
}

static json_t *member_json(const struct mesh_member *member)
{
	char id[MEMBER_ID_TEXT];

	digest_hex(member->id.bytes, MEMBER_ID_LEN, id);
	return json_pack("{s:s, s:o}", "id", id, "name", text_json(member->name, id));
}

static json_t *cell_json(const struct mesh_cell *cell, unsigned reader, unsigned target)
{
	return json_pack("{s:i, s:i, s:I, s:I, s:I, s:b, s:b, s:o}", "reader", (int)reader,
			 "target", (int)target, "bytes_per_s", (json_int_t)cell->bytes_per_s,
			 "p50_ns", (json_int_t)cell->p50_ns, "p99_ns", (json_int_t)cell->p99_ns,
			 "slow_bandwidth", cell->slow_bandwidth, "slow_latency", cell->slow_latency,
			 "problem", cell->problem[0] ? text_json(cell->problem, "?") : json_null());
}

static json_t *cells_json(const struct mesh_matrix *matrix)
{
	json_t *cells = json_array();

	for (unsigned reader = 0; reader < matrix->count; reader++) {
		for (unsigned target = 0; target < matrix->count; target++) {
			if (reader == target)
				continue;
			json_array_append_new(cells,
					      cell_json(mesh_matrix_cell(matrix, reader, target),
							reader, target));
		}
	}
	return cells;
}

json_t *mesh_matrix_json(const struct mesh_matrix *matrix)
{
	json_t *members = json_array();

	for (unsigned i = 0; i < matrix->count; i++)
		json_array_append_new(members, member_json(&matrix->members[i]));
	return json_pack("{s:o, s:o, s:I, s:I}", "members", members, "cells", cells_json(matrix),
			 "bytes_per_s", (json_int_t)matrix->bytes_per_s, "p50_ns",
			 (json_int_t)matrix->p50_ns);
}
