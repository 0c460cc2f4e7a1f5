/*
 * regions.c - the memory that reads land in and that peers may read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fabric/transport/front.h"

static int check_place(void *base, size_t len, char *problem, size_t problem_size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (!len || (uintptr_t)base % page)
		return option_problem(problem, problem_size,
				      "a region starts at a page's border and is not empty: %p, "
				      "%zu bytes",
				      base, len);
	return 0;
}

int transport_region_add(struct transport *transport, void *base, size_t len,
			 enum transport_access access, uint32_t *out_region, char *problem,
			 size_t problem_size)
{
	uint32_t index = transport->region_count;
	struct transport_region *region;
	int error = check_place(base, len, problem, problem_size);

	if (error)
		return error;
	if (index == TRANSPORT_REGIONS_MAX) {
		snprintf(problem, problem_size, "all %d regions of the transport are taken",
			 TRANSPORT_REGIONS_MAX);
		return -ENOSPC;
	}
	region = calloc(1, sizeof(*region));
	if (!region) {
		snprintf(problem, problem_size, "no memory for a region");
		return -ENOMEM;
	}
	*region = (struct transport_region){
		.index = index, .base = base, .len = len, .access = access
	};
	error = transport->ops->region_add(transport->backend, region, problem, problem_size);
	if (error) {
		free(region);
		return error;
	}
	transport_count(transport, TRANSPORT_REGISTERED, (int64_t)len);
	transport->regions[transport->region_count++] = region;
	*out_region = index;
	return 0;
}

static void remove_region(struct transport *transport, uint32_t index)
{
	struct transport_region *region = transport->regions[index];

	transport->regions[index] = NULL;
	transport_count(transport, TRANSPORT_REGISTERED, -(int64_t)region->len);
	free(region);
}

void transport_region_remove(struct transport *transport, uint32_t region)
{
	CHECK(region < transport->region_count && transport->regions[region]);
	transport->ops->region_remove(transport->backend, transport->regions[region]);
	remove_region(transport, region);
}

/* After the backend's close(), which has unregistered them. */
void regions_free(struct transport *transport)
{
	for (uint32_t i = 0; i < transport->region_count; i++) {
		if (transport->regions[i])
			remove_region(transport, i);
	}
}

struct transport_region *transport_region_at(struct transport *transport, uint32_t index)
{
	return index < transport->region_count ? transport->regions[index] : NULL;
}

struct transport_region *transport_region_of(struct transport *transport, const void *address,
					     size_t len)
{
	const uint8_t *start = address;

	for (uint32_t i = 0; i < transport->region_count; i++) {
		struct transport_region *region = transport->regions[i];

		if (region && start >= region->base &&
		    (size_t)(start - region->base) < region->len &&
		    len <= region->len - (size_t)(start - region->base))
			return region;
	}
	return NULL;
}
