/*
 * region.c - memory registered with every rail, in chunks of at most 1 GiB: a registration of all
 * at once is refused by some devices, and one key for everything would make a leaked key worth
 * more. Readable regions may be read by peers, landing ones by nobody; none may be written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "fabric/transport/verbs/verbs.h"

static void deregister(struct verbs_region *region, unsigned rail)
{
	for (unsigned i = 0; i < region->chunk_count; i++) {
		struct ibv_mr **mr = &region->mrs[(size_t)rail * region->chunk_count + i];

		if (*mr)
			ibv_dereg_mr(*mr);
		*mr = NULL;
	}
}

static int register_on(struct verbs_rail *rail, struct verbs_region *region, int access)
{
	const struct transport_region *whole = region->region;

	for (unsigned i = 0; i < region->chunk_count; i++) {
		uint64_t off = i * WIRE_CHUNK_LEN, len = whole->len - off;

		if (len > WIRE_CHUNK_LEN)
			len = WIRE_CHUNK_LEN;
		struct ibv_mr *mr = ibv_reg_mr(rail->pd, whole->base + off, len, access);
		if (!mr)
			return errno ? -errno : -ENOMEM;
		region->mrs[(size_t)rail->index * region->chunk_count + i] = mr;
	}
	return 0;
}

static void say_problem(const struct verbs_rail *rail, const struct transport_region *region,
			int error, char *problem, size_t problem_size)
{
	char limit[160];

	verbs_memlock_text(limit, sizeof(limit));
	snprintf(problem, problem_size, "%s: cannot register %zu MiB: %s%s%s",
		 verbs_rail_name(rail), region->len >> 20, error_text(error), limit[0] ? "; " : "",
		 limit);
}

static bool has_domain(const struct verbs_rail *rail)
{
	return rail->state == VERBS_RAIL_LIVE || rail->state == VERBS_RAIL_DOWN;
}

int verbs_region_add(void *backend, struct transport_region *region, char *problem,
		     size_t problem_size)
{
	struct verbs *verbs = backend;
	uint64_t chunks = wire_chunks(region->len);
	int access = IBV_ACCESS_LOCAL_WRITE, error = 0;

	if (chunks > WIRE_CHUNKS_MAX) {
		snprintf(problem, problem_size, "a region has at most %u GiB", WIRE_CHUNKS_MAX);
		return -EINVAL;
	}
	struct verbs_region *item = calloc(1, sizeof(*item));
	if (item)
		/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
		item->mrs = calloc(chunks * verbs->rail_count, sizeof(*item->mrs));
	if (!item || !item->mrs) {
		free(item);
		snprintf(problem, problem_size, "no memory for a region");
		return -ENOMEM;
	}
	item->region = region;
	item->chunk_count = (unsigned)chunks;
	if (region->access == TRANSPORT_READABLE)
		access |= IBV_ACCESS_REMOTE_READ;
	region->backend = item;
	TAILQ_INSERT_TAIL(&verbs->regions, item, by_verbs);
	for (unsigned i = 0; i < verbs->rail_count && !error; i++) {
		if (has_domain(verbs->rails[i]))
			error = register_on(verbs->rails[i], item, access);
		if (error)
			say_problem(verbs->rails[i], region, error, problem, problem_size);
	}
	if (error)
		verbs_region_remove(verbs, region);
	return error;
}

void verbs_region_remove(void *backend, struct transport_region *region)
{
	struct verbs *verbs = backend;
	struct verbs_region *item = region->backend;

	for (unsigned i = 0; i < verbs->rail_count; i++)
		deregister(item, i);
	TAILQ_REMOVE(&verbs->regions, item, by_verbs);
	free(item->mrs);
	free(item);
	region->backend = NULL;
}

void verbs_regions_release(struct verbs *verbs, unsigned rail)
{
	for (struct verbs_region *item = TAILQ_FIRST(&verbs->regions); item;
	     item = TAILQ_NEXT(item, by_verbs)) {
		deregister(item, rail);
	}
}

struct ibv_mr *verbs_region_mr(const struct transport_region *region, unsigned rail,
			       const void *address, size_t *out_left)
{
	const struct verbs_region *item = region->backend;
	uint64_t off = (uint64_t)((const uint8_t *)address - region->base);
	uint64_t chunk = off / WIRE_CHUNK_LEN, end = (chunk + 1) * WIRE_CHUNK_LEN;

	CHECK(off < region->len);
	*out_left = (end < region->len ? end : region->len) - off;
	return item->mrs[(size_t)rail * item->chunk_count + chunk];
}
