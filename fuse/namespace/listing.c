/*
 * listing.c - see listing.h. The life of a listing:
 *
 *	begun		by a reader or by many single look-ups; referred to by its directory
 *	fetching	one page at a time, as far as someone reads or wants it whole
 *	complete	answers look-ups too, until expires_ns
 *	left		replaced, expired, refused or dropped for memory: open directories finish
 *			reading it, then it is freed
 */
#include "fuse/namespace/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/namespace/page.h"
#include "fuse/namespace/version.h"

/* One page under way. */
struct listing_fetch {
	struct backing_list list;
	struct namespace *ns;
	struct listing *listing;
	struct page page;
	unsigned part;	 /* chunks that the page has given, counting those there before */
	uint64_t hidden; /* keys without a name */
	uint64_t started_ns;
	char prefix[NAMES_KEY_MAX + 1];
	char token[BACKING_TOKEN_MAX]; /* that the page was asked for with */
};

static const char *token_text(const char *token)
{
	return token ? token : "";
}

static size_t token_bytes(const char *token)
{
	return token ? strlen(token) + 1 : 0;
}

/* --- memory ------------------------------------------------------------------------------- */

static void account(struct namespace *ns, size_t before, size_t after)
{
	ns->listing_bytes += after - before;
	counter_add(ns->settings.counters, MOUNT_LISTING_BYTES, after - before);
}

/* Names are not searched in it any more. */
static void listing_unsearchable(struct namespace *ns, struct listing *listing)
{
	listing->searchable = false;
	account(ns, name_index_bytes(&listing->index), 0);
	name_index_clear(&listing->index);
}

static void chunk_drop(struct namespace *ns, struct listing_chunk *chunk)
{
	free(chunk->entries);
	chunk->entries = NULL;
	chunk->listing->dropped++;
	listing_unsearchable(ns, chunk->listing);
	TAILQ_REMOVE(&ns->chunks, chunk, link);
	account(ns, chunk->bytes, 0);
}

static void chunk_keep(struct namespace *ns, struct listing_chunk *chunk,
		       struct listing_entry *entries, char *text)
{
	chunk->entries = entries;
	chunk->text = text;
	TAILQ_INSERT_TAIL(&ns->chunks, chunk, link);
	account(ns, 0, chunk->bytes);
}

/* Makes room by dropping what was not read for longest, but for @spared. */
static void listings_squeeze(struct namespace *ns, const struct listing_chunk *spared)
{
	while (ns->listing_bytes > ns->settings.config->listing_memory) {
		struct listing_chunk *chunk = TAILQ_FIRST(&ns->chunks);
		struct listing *listing;

		if (!chunk || chunk == spared)
			return;
		listing = chunk->listing;
		listing->whole = false; /* what nobody reads is not worth the room */
		if (listing->readers == 0 && listing->node->directory->listing == listing &&
		    (!spared || listing != spared->listing))
			listing_forget(ns, listing->node); /* frees it unless it is fetching */
		else
			chunk_drop(ns, chunk);
	}
}

static void chunk_free(struct namespace *ns, struct listing_chunk *chunk)
{
	if (chunk->entries)
		chunk_drop(ns, chunk);
	free(chunk->token);
	free(chunk);
}

static struct listing *listing_create(struct namespace *ns, struct node *node)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (!listing)
		return NULL;
	listing->order = calloc(1, sizeof(*listing->order));
	if (!listing->order) {
		free(listing);
		return NULL;
	}
	listing->node = node;
	node_pin(node);
	listing->refs = 1;
	listing->sorted = listing->searchable = true;
	listing->started_ns = clock_now_ns(ns->settings.clock);
	listing->expires_ns =
		clock_after_ns(listing->started_ns, entry_of(ns, node)->config->listing_timeout);
	TAILQ_INIT(&listing->waiting);
	return listing;
}

struct listing *listing_get(struct listing *listing)
{
	listing->refs++;
	return listing;
}

void listing_put(struct namespace *ns, struct listing *listing)
{
	if (--listing->refs > 0)
		return;
	CHECK(TAILQ_EMPTY(&listing->waiting));
	for (unsigned i = 0; i < listing->chunk_count; i++)
		chunk_free(ns, listing->chunks[i]);
	listing_unsearchable(ns, listing);
	free(listing->chunks);
	free(listing->next_token);
	free(listing->order);
	node_unpin(&ns->nodes, listing->node);
	free(listing);
}

void listing_forget(struct namespace *ns, struct node *node)
{
	struct listing *listing = node->directory ? node->directory->listing : NULL;

	if (!listing)
		return;
	node->directory->listing = NULL;
	siblings_reset(&node->directory->siblings);
	listing_put(ns, listing);
}

struct listing *listing_current(struct namespace *ns, struct node *node)
{
	struct listing *listing = node->directory ? node->directory->listing : NULL;

	if (!listing || clock_now_ns(ns->settings.clock) >= listing->expires_ns)
		return NULL;
	return listing;
}

struct listing *listing_begin(struct namespace *ns, struct node *node)
{
	struct listing *listing = listing_current(ns, node);
	struct directory *directory = directory_of(node);

	if (listing || !directory)
		return listing;
	node_pin(node); /* the old listing may be all that holds it */
	listing_forget(ns, node);
	directory->listing = listing_create(ns, node);
	node_unpin(&ns->nodes, node);
	return directory->listing;
}

/* --- what comes in -------------------------------------------------------------------------- */

static struct listing_entry *entry_at(struct listing *listing, uint32_t position)
{
	struct listing_chunk *chunk = listing->chunks[position / LISTING_CHUNK_ENTRIES];

	return chunk->entries ? &chunk->entries[position % LISTING_CHUNK_ENTRIES] : NULL;
}

/* Takes the next key into account. Return: the position of a file that it hides, or -1. */
static int64_t order_step(struct listing_order *order, const char *name, size_t len, bool directory,
			  uint32_t position)
{
	int64_t hidden = -1;

	while (order->depth > 0) {
		size_t open_len = order->open[order->depth - 1].name_len;

		if (len >= open_len && memcmp(name, order->last, open_len) == 0 &&
		    (len == open_len || (unsigned char)name[open_len] < '/')) {
			if (len > open_len)
				break; /* "a" stays open over "a-1" */
			if (directory)
				hidden = order->open[order->depth - 1].position;
		}
		order->depth--;
	}
	memcpy(order->last, name, len);
	order->last_len = (uint8_t)len;
	order->last_directory = directory;
	if (!directory && order->depth < LISTING_OPEN_MAX) {
		order->open[order->depth].position = position;
		order->open[order->depth].name_len = (uint8_t)len;
		order->depth++;
	}
	return hidden;
}

static void chunk_order(struct namespace *ns, struct listing *listing, struct listing_order *order,
			unsigned index)
{
	const struct listing_chunk *chunk = listing->chunks[index];
	bool first = index == 0;

	for (unsigned i = 0; i < chunk->count; i++) {
		const struct listing_entry *entry = &chunk->entries[i];
		const char *name = listing_name(chunk, entry);
		uint32_t position = index * LISTING_CHUNK_ENTRIES + i;
		struct listing_entry *loser;
		int64_t hidden;

		if (!(first && i == 0) &&
		    page_key_compare(order->last, order->last_len, order->last_directory, name,
				     entry->name_len, entry->directory) >= 0)
			listing->sorted = false;
		hidden = order_step(order, name, entry->name_len, entry->directory, position);
		loser = hidden < 0 ? NULL : entry_at(listing, (uint32_t)hidden);
		if (loser) {
			loser->hidden = true;
			counter_add(ns->settings.counters, MOUNT_KEYS_HIDDEN, 1);
		}
	}
}

static struct listing_chunk *chunk_append(struct listing *listing, const char *token, unsigned part)
{
	struct listing_chunk *chunk;

	if (listing->chunk_count == listing->chunk_room) {
		unsigned room = listing->chunk_room ? listing->chunk_room * 2 : 4;
		struct listing_chunk **chunks =
			reallocarray(listing->chunks, room, sizeof(struct listing_chunk *));

		if (!chunks)
			return NULL;
		listing->chunks = chunks;
		listing->chunk_room = room;
	}
	chunk = calloc(1, sizeof(*chunk));
	if (!chunk)
		return NULL;
	if (*token) {
		chunk->token = strdup(token);
		if (!chunk->token) {
			free(chunk);
			return NULL;
		}
	}
	chunk->listing = listing;
	chunk->part = part;
	chunk->first = listing->entry_count;
	listing->chunks[listing->chunk_count++] = chunk;
	return chunk;
}

static void chunk_fill(struct listing_fetch *fetch, struct listing_chunk *chunk, unsigned count,
		       struct listing_entry *entries, char *text, size_t bytes)
{
	chunk->count = count;
	chunk->fetched_ns = fetch->started_ns;
	chunk->bytes = bytes + sizeof(*chunk) + sizeof(chunk) + token_bytes(chunk->token);
	if (chunk == chunk->listing->chunks[0])
		chunk->bytes += sizeof(struct listing) + sizeof(struct directory);
	chunk_keep(fetch->ns, chunk, entries, text);
}

/* The chunks that are not in the index yet, the last one at least. */
static void chunks_index(struct namespace *ns, struct listing *listing)
{
	size_t before = name_index_bytes(&listing->index);
	unsigned chunk = before ? listing->chunk_count - 1 : 0;
	uint64_t hidden = 0;
	int err = 0;

	for (; !err && chunk < listing->chunk_count; chunk++)
		err = name_index_add(&listing->index, listing, chunk, &hidden);
	account(ns, before, name_index_bytes(&listing->index));
	if (err)
		listing_unsearchable(ns, listing);
	counter_add(ns->settings.counters, MOUNT_KEYS_HIDDEN, hidden);
}

/* A chunk more at the end of what is there. */
static int publish_next(struct listing_fetch *fetch, unsigned count, struct listing_entry *entries,
			char *text, size_t bytes)
{
	struct listing *listing = fetch->listing;
	struct listing_chunk *chunk = chunk_append(listing, fetch->token, fetch->part);

	if (!chunk)
		return -ENOMEM;
	chunk_fill(fetch, chunk, count, entries, text, bytes);
	listing->entry_count += count;
	listing->next_part = fetch->part + 1;
	chunk_order(fetch->ns, listing, listing->order, listing->chunk_count - 1);
	if (listing->searchable && !listing->sorted)
		chunks_index(fetch->ns, listing);
	listing->settled = listing->order->depth > 0 ? listing->order->open[0].position
						     : listing->chunk_count * LISTING_CHUNK_ENTRIES;
	return 0;
}

/* A dropped chunk is there again. Keys may have come and gone meanwhile, so that it may overlap its
 * neighbours: good enough for readdir, but names are not searched in such a listing any more. */
static int publish_again(struct listing_fetch *fetch, unsigned count, struct listing_entry *entries,
			 char *text, size_t bytes)
{
	struct listing *listing = fetch->listing;
	struct listing_chunk *chunk = listing->chunks[listing->target];
	struct listing_order *order = calloc(1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	chunk_fill(fetch, chunk, count, entries, text, bytes);
	listing->dropped--;
	chunk_order(fetch->ns, listing, order, listing->target);
	free(order);
	return 0;
}

/* Gives entries [first, first + count) of the page to the listing, if they are wanted. */
static int page_publish(struct listing_fetch *fetch, size_t first, unsigned count)
{
	struct listing *listing = fetch->listing;
	bool next = listing->target == listing->chunk_count;
	struct listing_entry *entries;
	size_t bytes;
	char *text;
	int err;

	if (next ? fetch->part < listing->next_part
		 : fetch->part != listing->chunks[listing->target]->part)
		return 0;
	entries = page_cut(&fetch->page, first, count, &text, &bytes);
	if (!entries)
		return -ENOMEM;
	if (next) {
		err = publish_next(fetch, count, entries, text, bytes);
		listing->target = listing->chunk_count;
	} else {
		err = publish_again(fetch, count, entries, text, bytes);
	}
	if (err)
		free(entries);
	return err;
}

static int page_publish_all(struct listing_fetch *fetch)
{
	size_t first = 0;
	int err = 0;

	while (!err && first < fetch->page.count) {
		size_t left = fetch->page.count - first;
		unsigned count =
			left < LISTING_CHUNK_ENTRIES ? (unsigned)left : LISTING_CHUNK_ENTRIES;

		err = page_publish(fetch, first, count);
		fetch->part++;
		first += count;
	}
	page_clear(&fetch->page);
	return err;
}

static void fetch_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	struct listing_fetch *fetch = CONTAINER_OF(list, struct listing_fetch, list);
	const char *name;
	size_t len;

	switch (names_classify(fetch->prefix, key, &name, &len)) {
	case NAMES_FILE:
		/* A common prefix ends with a slash: without one, it is nothing that we know. */
		if (meta)
			page_add(&fetch->page, name, len, meta);
		break;
	case NAMES_DIRECTORY:
		page_add(&fetch->page, name, len, NULL);
		break;
	case NAMES_SELF:
		fetch->hidden += meta && meta->size > 0;
		break;
	case NAMES_HIDDEN:
		fetch->hidden++;
		break;
	}
}

/* --- fetching ------------------------------------------------------------------------------- */

/* An empty chunk: of an empty listing, so that its memory is accounted and reclaimed; or of a
 * chunk whose keys are gone. */
static int publish_nothing(struct listing_fetch *fetch)
{
	bool next = fetch->listing->target == fetch->listing->chunk_count;
	struct listing_entry *none = calloc(1, sizeof(*none));
	int err = -ENOMEM;

	if (none)
		err = next ? publish_next(fetch, 0, none, NULL, sizeof(*none))
			   : publish_again(fetch, 0, none, NULL, sizeof(*none));
	if (err)
		free(none);
	return err;
}

static void listing_complete(struct namespace *ns, struct listing *listing)
{
	listing->complete = true;
	listing->settled = listing->chunk_count * LISTING_CHUNK_ENTRIES;
	free(listing->order);
	listing->order = NULL;
	listing->expires_ns = clock_after_ns(clock_now_ns(ns->settings.clock),
					     entry_of(ns, listing->node)->config->listing_timeout);
}

/* The page is here as a whole. */
static int fetch_finish(struct listing_fetch *fetch)
{
	struct listing *listing = fetch->listing;
	bool next = listing->target == listing->chunk_count;
	char *token = NULL;
	int err = fetch->page.status;

	if (err)
		return err;
	page_sort(&fetch->page);
	err = page_publish_all(fetch);
	if (err || !next) {
		/* Fewer entries than before: what is gone is gone. */
		if (!err && !listing->chunks[listing->target]->entries)
			err = publish_nothing(fetch);
		return err;
	}
	if (!fetch->list.token[0] && listing->chunk_count == 0)
		err = publish_nothing(fetch);
	if (err)
		return err;
	if (fetch->list.token[0]) {
		token = strdup(fetch->list.token);
		if (!token)
			return -ENOMEM;
	}
	free(listing->next_token);
	listing->next_token = token;
	listing->next_part = 0;
	if (!token)
		listing_complete(fetch->ns, listing);
	return 0;
}

static void fetch_log(const struct listing_fetch *fetch, int status)
{
	const struct namespace_entry *entry = entry_of(fetch->ns, fetch->listing->node);

	log_warning("mount.list", "backing=%s bucket=%s prefix=%s error=\"%s\" problem=\"%s\"",
		    entry->backing->id, entry->config->bucket ? entry->config->bucket : "",
		    fetch->prefix, error_text(status), fetch->list.request.problem);
}

static void fetch_done(struct backing_list *list)
{
	struct listing_fetch *fetch = CONTAINER_OF(list, struct listing_fetch, list);
	struct namespace *ns = fetch->ns;
	struct listing *listing = fetch->listing;
	int status = list->request.status;
	struct todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	counter_add(ns->settings.counters, MOUNT_KEYS_HIDDEN, fetch->hidden);
	listing->fetching = false;
	if (status == 0)
		status = fetch_finish(fetch);
	if (status != 0)
		fetch_log(fetch, status);
	listing_wake(ns, listing, status, &todo);
	if (status == 0)
		listing_continue(ns, listing, &todo);
	else if (listing->chunk_count == 0 && listing->node->directory->listing == listing)
		listing_forget(ns, listing->node);
	listings_squeeze(ns,
			 listing->chunk_count ? listing->chunks[listing->chunk_count - 1] : NULL);
	listing_put(ns, listing);
	pthread_mutex_unlock(&ns->lock);
	page_clear(&fetch->page);
	free(fetch);
	todo_run(ns, &todo);
	outstanding_end(ns);
}

static void fetch_fail(struct namespace *ns, struct listing *listing, int status)
{
	struct todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	listing->fetching = false;
	listing_wake(ns, listing, status, &todo);
	listing_put(ns, listing);
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
	outstanding_end(ns);
}

void listing_fetch(struct namespace *ns, struct listing *listing)
{
	const struct namespace_entry *entry = entry_of(ns, listing->node);
	struct listing_fetch *fetch = calloc(1, sizeof(*fetch));
	const struct listing_chunk *again = NULL;
	int err = fetch ? 0 : -ENOMEM;

	if (!err) {
		pthread_mutex_lock(&ns->lock);
		err = version_key(ns, listing->node, fetch->prefix);
		if (listing->target < listing->chunk_count)
			again = listing->chunks[listing->target];
		snprintf(fetch->token, sizeof(fetch->token), "%s",
			 token_text(again ? again->token : listing->next_token));
		pthread_mutex_unlock(&ns->lock);
	}
	if (err < 0) {
		free(fetch);
		fetch_fail(ns, listing, err);
		return;
	}
	fetch->ns = ns;
	fetch->listing = listing;
	fetch->started_ns = clock_now_ns(ns->settings.clock);
	fetch->list.request.bucket = entry->config->bucket ? entry->config->bucket : "";
	fetch->list.request.deadline_ns =
		clock_after_ns(fetch->started_ns, atomic_load(&ns->lookup_timeout));
	fetch->list.prefix = fetch->prefix;
	fetch->list.delimited = true;
	fetch->list.max_keys = LISTING_PAGE_KEYS;
	memcpy(fetch->list.token, fetch->token, sizeof(fetch->list.token));
	fetch->list.entry = fetch_entry;
	fetch->list.done = fetch_done;
	backing_list(entry->backing, &fetch->list);
}

void listing_continue(struct namespace *ns, struct listing *listing, struct todo *todo)
{
	const struct namespace_read *read = TAILQ_FIRST(&listing->waiting);
	unsigned chunk;

	if (listing->fetching)
		return;
	if (read && read->chunk < listing->chunk_count && !listing->chunks[read->chunk]->entries)
		chunk = read->chunk;
	else if (!listing->complete &&
		 (read || listing->whole ||
		  (listing->readers > 0 &&
		   listing->chunk_count <= listing->furthest + LISTING_PAGES_AHEAD)))
		chunk = listing->chunk_count;
	else
		return;
	listing->fetching = true;
	listing->target = chunk;
	ns->outstanding++;
	listing_get(listing);
	TAILQ_INSERT_TAIL(&todo->listings, listing, link);
}

/* --- reading -------------------------------------------------------------------------------- */

int listing_at(struct namespace *ns, struct listing *listing, uint32_t *position,
	       const struct listing_chunk **out_chunk, const struct listing_entry **out_entry)
{
	for (;;) {
		unsigned index = *position / LISTING_CHUNK_ENTRIES;
		unsigned within = *position % LISTING_CHUNK_ENTRIES;
		struct listing_chunk *chunk;

		if (index > listing->furthest)
			listing->furthest = index;
		if (index >= listing->chunk_count)
			return listing->complete ? 0 : -EAGAIN;
		if (*position >= listing->settled)
			return -EAGAIN;
		chunk = listing->chunks[index];
		if (within >= chunk->count) {
			*position = (index + 1) * LISTING_CHUNK_ENTRIES;
			continue;
		}
		if (!chunk->entries)
			return -EAGAIN;
		TAILQ_REMOVE(&ns->chunks, chunk, link);
		TAILQ_INSERT_TAIL(&ns->chunks, chunk, link);
		*out_chunk = chunk;
		*out_entry = &chunk->entries[within];
		return 1;
	}
}

static int chunk_compare_last(const struct listing_chunk *chunk, const char *name, size_t name_len,
			      bool directory)
{
	const struct listing_entry *last = &chunk->entries[chunk->count - 1];

	return page_key_compare(listing_name(chunk, last), last->name_len, last->directory, name,
				name_len, directory);
}

/* The position of the first key that is not below the one asked for, or of the end. */
static uint32_t listing_search(const struct listing *listing, const char *name, size_t name_len,
			       bool directory)
{
	unsigned low = 0, high = listing->chunk_count, first = 0, end;
	const struct listing_chunk *chunk;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (chunk_compare_last(listing->chunks[middle], name, name_len, directory) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == listing->chunk_count)
		return low * LISTING_CHUNK_ENTRIES;
	chunk = listing->chunks[low];
	end = chunk->count;
	while (first < end) {
		unsigned middle = first + (end - first) / 2;
		const struct listing_entry *entry = &chunk->entries[middle];

		if (page_key_compare(listing_name(chunk, entry), entry->name_len, entry->directory,
				     name, name_len, directory) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return low * LISTING_CHUNK_ENTRIES + first;
}

static bool listing_has(const struct listing *listing, const char *name, size_t name_len,
			bool directory, uint32_t *out_position)
{
	uint32_t position = listing_search(listing, name, name_len, directory);
	const struct listing_chunk *chunk;
	const struct listing_entry *entry;

	if (position / LISTING_CHUNK_ENTRIES >= listing->chunk_count)
		return false;
	chunk = listing->chunks[position / LISTING_CHUNK_ENTRIES];
	entry = &chunk->entries[position % LISTING_CHUNK_ENTRIES];
	if (entry->directory != directory || entry->name_len != name_len ||
	    memcmp(listing_name(chunk, entry), name, name_len) != 0)
		return false;
	*out_position = position;
	return true;
}

enum listing_answer listing_find(struct namespace *ns, struct listing *listing, const char *name,
				 size_t name_len, const struct listing_chunk **out_chunk,
				 const struct listing_entry **out_entry)
{
	uint32_t position;
	bool found;

	if (!listing->searchable)
		return LISTING_UNKNOWN;
	if (listing->entry_count == 0)
		found = false;
	else if (!listing->sorted)
		found = name_index_find(&listing->index, listing, name, name_len, &position);
	else
		found = listing_has(listing, name, name_len, true, &position) ||
			listing_has(listing, name, name_len, false, &position);
	if (!found)
		return listing->complete ? LISTING_ABSENT : LISTING_UNKNOWN;
	/* An unsettled file may turn out to be a directory. */
	if (listing_at(ns, listing, &position, out_chunk, out_entry) != 1)
		return LISTING_UNKNOWN;
	return LISTING_FOUND;
}
