/*
 * start.c - how a window begins: the arena, new or another process's; the tables; the reserves.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/window/room.h"

#define BYTES_PER_ENTRY 16384 /* of the arena: bounds the number of entries */
#define SERVE_SHARE	4     /* of the regions: those that demand leaves to serve */
#define SERVE_MIN	2
#define FORWARD_SHARE	16
#define FORWARD_MIN	1

static struct records_shape shape_of(const struct window_config *config)
{
	uint64_t len = arena_payload_len(config->memory);
	uint64_t groups = (len / BYTES_PER_ENTRY + RECORDS_GROUP - 1) / RECORDS_GROUP;

	return (struct records_shape){
		.arena_len = len,
		.slot_count = groups * RECORDS_GROUP,
		.block_len = config->block_len,
		.huge_pages = config->huge_pages,
	};
}

static uint64_t table_len(uint64_t entries)
{
	uint64_t len = 1024;

	while (len < entries)
		len *= 2;
	return len;
}

static void limit_pins(struct window *window, enum window_class class, uint64_t regions)
{
	struct window_pins *pins = &window->pins[class];

	pins->regions_max = regions;
	pins->entries_max = window->entry_max / window->region_count * regions;
}

static void fini_tables(struct window *window)
{
	struct window_slab *slab;

	while ((slab = LIST_FIRST(&window->slabs))) {
		LIST_REMOVE(slab, link);
		free(slab);
	}
	free(window->regions);
	free(window->buckets);
}

static int init_tables(struct window *window, uint64_t len)
{
	window->entry_max = len / BYTES_PER_ENTRY;
	window->bucket_mask = table_len(window->entry_max) - 1;
	window->region_count = len >> WINDOW_REGION_ORDER;
	window->buckets = calloc(window->bucket_mask + 1, sizeof(*window->buckets));
	window->regions = calloc(window->region_count, sizeof(*window->regions));
	TAILQ_INIT(&window->orphans);
	TAILQ_INIT(&window->held);
	for (unsigned i = 0; i < WINDOW_LIST_COUNT; i++)
		TAILQ_INIT(&window->lists[i]);
	for (unsigned i = 0; i < WINDOW_CLASS_COUNT; i++)
		limit_pins(window, i, window->region_count);
	if (window->buckets && window->regions)
		return 0;
	fini_tables(window);
	return -ENOMEM;
}

static int init_new(struct window *window, const struct window_config *config,
		    const struct records_shape *shape)
{
	int error =
		arena_init(&window->arena, config->memory, config->huge_pages, records_len(shape));

	if (error)
		return error;
	records_init(&window->records, shape, arena_tail(&window->arena));
	error = init_tables(window, shape->arena_len);
	if (error)
		arena_fini(&window->arena);
	return error;
}

static int init_over(struct window *window, const struct records_shape *shape, int fd)
{
	const char *problem = "";
	int error = window_inherit(window, shape, fd, &problem);

	if (error)
		goto report;
	problem = "no memory";
	error = init_tables(window, shape->arena_len);
	if (error)
		goto unmap;
	error = window_inherit_entries(window, &problem);
	if (error)
		goto free_tables;
	return 0;

free_tables:
	fini_tables(window);
unmap:
	arena_fini(&window->arena);
report:
	log_warning("cache.memory",
		    "kept_arena=refused problem=\"%s\" error=\"%s\" hint=\"memory is empty at "
		    "first; nothing else is lost\"",
		    problem, error_text(error));
	return error;
}

int window_init(struct window *window, const struct window_config *config,
		struct counters *counters, void (*drop_dirty)(struct window_entry *entry))
{
	const struct window nothing = { .counters = counters, .drop_dirty = drop_dirty };
	struct records_shape shape = shape_of(config);
	int error = -ENOENT;

	*window = nothing;
	if (config->arena_fd >= 0)
		error = init_over(window, &shape, config->arena_fd);
	if (error) {
		*window = nothing;
		error = init_new(window, config, &shape);
	}
	if (error)
		return error;
	populate_start(&window->populate, window->arena.memory, shape.arena_len, counters,
		       CACHE_MEMORY_POPULATED);
	return 0;
}

void window_fini(struct window *window)
{
	populate_stop(&window->populate);
	fini_tables(window);
	arena_fini(&window->arena);
}

struct window_entry *window_grow_pool(struct window *window)
{
	struct window_slab *slab = calloc(1, sizeof(*slab));

	if (!slab)
		return NULL;
	LIST_INSERT_HEAD(&window->slabs, slab, link);
	for (unsigned i = 0; i < RECORDS_GROUP; i++) {
		slab->entries[i].slot = (uint32_t)window->slot_count++;
		LIST_INSERT_HEAD(&window->pool, &slab->entries[i], by_key);
	}
	records_use(&window->records, window->slot_count);
	return slab->entries;
}

static uint64_t share(uint64_t regions, uint64_t divisor, uint64_t min)
{
	return regions / divisor > min ? regions / divisor : min;
}

void window_attach(struct window *window, struct window_directory *directory)
{
	uint64_t regions = window->region_count;
	uint64_t forward = share(regions, FORWARD_SHARE, FORWARD_MIN);
	uint64_t serve = share(regions, SERVE_SHARE, SERVE_MIN);

	CHECK(window->pins[WINDOW_SERVE].entries == 0 && serve + forward < regions);
	limit_pins(window, WINDOW_DEMAND, regions - serve - forward);
	limit_pins(window, WINDOW_SERVE, regions - forward);
	window->directory = directory;
	/* of what was kept, that which is verified already */
	for (uint64_t i = 0; i < regions; i++) {
		struct window_entry *entry;

		LIST_FOREACH (entry, &window->regions[i].entries, by_region)
			if (entry->state == WINDOW_CLEAN || entry->state == WINDOW_DIRTY ||
			    entry->state == WINDOW_WRITING)
				window_publish(window, entry);
	}
}
