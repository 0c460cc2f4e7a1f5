/*
 * inherit.c - a window over an arena that another process had: what is on record becomes entries.
 *
 * First of all what may still be written to is taken out of use, then the rest is looked at: so
 * that of two records which speak of the same place, which cannot be, the careful one counts. What
 * the SSD may be reading is verified here, and gets other pages or is held (records.c): some tenths
 * of a second for a GiB of it. All the rest is verified later, by who wants it or in the
 * background.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cache/window/room.h"

#define HELD_SHARE 2 /* of the arena: more than that must not be out of use */

struct inheritance {
	struct window *window;
	bool renewable; /* pages can be taken out of the arena, and nobody writes to the new ones */
	uint64_t doubtful; /* records that are not believed, or cannot be */
	uint64_t blocks, bytes, in_flight, held_bytes;
};

int window_inherit(struct window *window, const struct records_shape *shape, int fd,
		   const char **out_problem)
{
	struct owner *owners = window->owners;
	int error = arena_init_over(&window->arena, shape->arena_len, shape->huge_pages,
				    records_len(shape), fd);

	*out_problem = "it is not of the length that cache.memory asks for";
	if (error)
		return error;
	*out_problem = "cache.block_len, cache.memory or cache.huge_pages was another";
	error = records_init_over(&window->records, shape, arena_tail(&window->arena), owners);
	if (error == -EPROTONOSUPPORT)
		*out_problem = "another version of this program wrote it";
	else if (error == -EBADMSG)
		*out_problem = "what it says of itself is damaged";
	if (!error && (owner_state(&owners[0]) == OWNER_RUNNING ||
		       (owners[1].pid && owner_state(&owners[0]) != OWNER_GONE))) {
		*out_problem = "the process that had it is still running";
		error = -EBUSY;
	}
	if (error) {
		arena_fini(&window->arena);
		return error;
	}
	if (owner_state(&owners[0]) != OWNER_GONE)
		owners[1] = owners[0];
	window->inherited = true;
	return 0;
}

bool window_owner_gone(const struct window *window)
{
	const struct owner *before = &window->owners[1];

	return before->pid == 0 || owner_state(before) == OWNER_GONE;
}

static void hold(struct inheritance *heir, struct window_entry *entry)
{
	entry->held = true;
	entry->refs[WINDOW_FORWARD]++;
	TAILQ_INSERT_TAIL(&heir->window->held, entry, by_held);
	heir->held_bytes += buddy_frame_len(entry->order);
}

/* The frame, if it is free, and the entry of that slot. Return: false: some of it is taken. */
static bool enter(struct inheritance *heir, struct window_entry *entry, const struct record *record)
{
	struct window *window = heir->window;

	if (buddy_alloc_at(&window->arena.buddy, record->order, record->off) != 0)
		return false;
	LIST_REMOVE(entry, by_key); /* from the pool */
	window_enter(window, entry, &record->key, record->off, record->len);
	return true;
}

/* Something may be writing there: nobody is to find it, and nobody to use its frame. */
static void enter_in_flight(struct inheritance *heir, struct window_entry *entry,
			    const struct record *record)
{
	if (!enter(heir, entry, record)) {
		heir->doubtful++;
		return;
	}
	LIST_REMOVE(entry, by_key);
	entry->state = WINDOW_DEAD;
	hold(heir, entry);
	window_place(heir->window, entry);
	heir->in_flight++;
}

static bool key_is_sane(const struct inheritance *heir, const struct record *record)
{
	struct window *window = heir->window;
	uint32_t len_max =
		window_key_is_granule(&record->key) ? GRANULE_LEN : window->records.shape.block_len;

	return record->len <= len_max && !window_find(window, &record->key) &&
	       !window_find_kept(window, &record->key);
}

static void enter_complete(struct inheritance *heir, struct window_entry *entry,
			   const struct record *record)
{
	struct window *window = heir->window;
	bool lent = record->state == RECORD_WRITING;

	if (!key_is_sane(heir, record) || !enter(heir, entry, record)) {
		heir->doubtful++;
		return;
	}
	entry->state = WINDOW_KEPT;
	entry->check = record->check;
	entry->filled = entry->len;
	entry->unverified = entry->inherited = true;
	entry->owed = record->state != RECORD_CLEAN && !window_key_is_granule(&entry->key);
	window_set_orphan(window, entry, entry->owed);
	if (lent)
		hold(heir, entry);
	window_place(window, entry);
	if (lent && !window_verify(window, entry)) {
		counter_add(window->counters, CACHE_KEPT_REFUSED, 1);
		window_set_state(window, entry, WINDOW_DEAD);
		return;
	}
	heir->blocks++;
	heir->bytes += entry->len;
	if (lent) {
		counter_add(window->counters, CACHE_KEPT_VERIFIED, 1);
		window_set_state(window, entry, WINDOW_CLEAN);
	}
}

static void enter_all(struct inheritance *heir, bool in_flight)
{
	struct window *window = heir->window;
	struct window_slab *slab;

	LIST_FOREACH (slab, &window->slabs, link) {
		for (unsigned i = 0; i < RECORDS_GROUP; i++) {
			struct window_entry *entry = &slab->entries[i];
			struct record record;
			int error = records_get(&window->records, entry->slot, &record);

			if (error) {
				heir->doubtful += in_flight && error == -EBADMSG;
				continue;
			}
			if ((record.state == RECORD_FILLING) != in_flight)
				continue;
			if (in_flight)
				enter_in_flight(heir, entry, &record);
			else
				enter_complete(heir, entry, &record);
		}
	}
}

static int renew_free(void *context, uint64_t off, uint64_t len)
{
	struct inheritance *heir = context;

	return arena_renew(&heir->window->arena, off, len);
}

static void let_go(struct inheritance *heir, struct window_entry *entry)
{
	TAILQ_REMOVE(&heir->window->held, entry, by_held);
	entry->held = false;
	heir->held_bytes -= buddy_frame_len(entry->order);
	window_put_on_record(heir->window, entry);
	window_unref(heir->window, entry, WINDOW_FORWARD);
}

/* The frame gets other pages with the same bytes, and who has the old ones finds them unchanged. */
static int renew_copy(struct inheritance *heir, struct window_entry *entry, void *copy)
{
	unsigned char *data = window_data(heir->window, entry);
	int error;

	memcpy(copy, data, entry->len);
	error = arena_renew(&heir->window->arena, entry->off, buddy_frame_len(entry->order));
	memcpy(data, copy, entry->len);
	return error;
}

/* What was in flight, in either direction, may be used as soon as it has other pages. */
static void renew_held(struct inheritance *heir)
{
	struct window *window = heir->window;
	struct window_entry *entry, *next;
	void *copy = malloc(BLOCK_LEN_MAX);

	for (entry = TAILQ_FIRST(&window->held); entry; entry = next) {
		int error = -ENOMEM;

		next = TAILQ_NEXT(entry, by_held);
		if (entry->state == WINDOW_DEAD)
			error = arena_renew(&window->arena, entry->off,
					    buddy_frame_len(entry->order));
		else if (copy)
			error = renew_copy(heir, entry, copy);
		if (!error)
			let_go(heir, entry);
	}
	free(copy);
}

/* Slots without an entry hold no record, from now on. */
static void erase_rest(struct inheritance *heir)
{
	struct window *window = heir->window;
	struct window_slab *slab;

	LIST_FOREACH (slab, &window->slabs, link)
		for (unsigned i = 0; i < RECORDS_GROUP; i++)
			if (slab->entries[i].state == WINDOW_FREE)
				records_erase(&window->records, slab->entries[i].slot);
}

/* All entries go: nothing but the counters would know of them. */
static void renounce(struct inheritance *heir)
{
	struct window *window = heir->window;

	records_seal(&window->records);
	window_let_go(window);
	for (uint64_t i = 0; i < window->region_count; i++) {
		struct window_entry *entry;

		while ((entry = LIST_FIRST(&window->regions[i].entries)))
			window_release(window, entry);
	}
}

/* Return: whether all that may be written to is out of use, and not too much of the arena. */
static int settle(struct inheritance *heir, const char **out_problem)
{
	struct window *window = heir->window;
	int error = 0;

	*out_problem = "records that are damaged, of memory that the kernel may still write to";
	if (heir->doubtful > 0)
		error = heir->renewable ? buddy_each_free(&window->arena.buddy, renew_free, heir)
					: -EBUSY;
	if (error)
		return error;
	if (heir->renewable)
		renew_held(heir);
	*out_problem = "the kernel may still write to the most of it";
	return heir->held_bytes > window->records.shape.arena_len / HELD_SHARE ? -EBUSY : 0;
}

int window_inherit_entries(struct window *window, const char **out_problem)
{
	struct inheritance heir = {
		.window = window,
		.renewable = window->arena.renewable && window_owner_gone(window),
	};
	uint64_t used = records_used(&window->records);
	int error;

	*out_problem = "no memory";
	while (window->slot_count < used)
		if (!window_grow_pool(window))
			return -ENOMEM;
	enter_all(&heir, true);
	enter_all(&heir, false);
	error = settle(&heir, out_problem);
	if (error) {
		renounce(&heir);
		return error;
	}
	erase_rest(&heir);
	records_take(&window->records, &window->owners[1]);
	counter_add(window->counters, CACHE_KEPT_BLOCKS, heir.blocks);
	counter_add(window->counters, CACHE_KEPT_BYTES, heir.bytes);
	counter_add(window->counters, CACHE_KEPT_REFUSED, heir.doubtful);
	log_info("cache.memory",
		 "kept_blocks=%llu kept_bytes=%llu in_flight=%llu held_bytes=%llu refused=%llu",
		 (unsigned long long)heir.blocks, (unsigned long long)heir.bytes,
		 (unsigned long long)heir.in_flight, (unsigned long long)heir.held_bytes,
		 (unsigned long long)heir.doubtful);
	return 0;
}
