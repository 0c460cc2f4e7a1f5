/*
 * fetch.c - see fetch.h. A page comes in (page.h), is sorted and cut, and becomes chunks.
 */
#include "fuse/namespace/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/namespace/chunk.h"
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
	char token[BACKING_TOKEN_MAX];			     /* that the page was asked for with */
	char after[NAMES_KEY_MAX + NAMES_COMPONENT_MAX + 2]; /* the key that it begins behind */
};

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static bool wants_next(const struct listing *listing)
{
	return listing->target == listing->chunk_count;
}

static int publish(struct listing_fetch *fetch, const struct chunk_content *content)
{
	struct listing *listing = fetch->listing;
	int err;

	if (!wants_next(listing))
		return chunk_restore(fetch->ns, listing, listing->target, content);
	err = chunk_add(fetch->ns, listing, content);
	if (err)
		return err;
	listing->next_part = content->part + 1;
	listing->target = listing->chunk_count;
	return 0;
}

/* Gives entries [first, first + count) of the page to the listing, if they are wanted. */
static int page_publish(struct listing_fetch *fetch, size_t first, unsigned count)
{
	const struct listing *listing = fetch->listing;
	struct chunk_content content = { .token = fetch->token,
					 .part = fetch->part,
					 .fetched_ns = fetch->started_ns,
					 .count = count };
	int err;

	if (wants_next(listing) ? fetch->part < listing->next_part
				: fetch->part != listing->chunks[listing->target]->part)
		return 0;
	content.entries = page_cut(&fetch->page, first, count, &content.text, &content.bytes);
	if (!content.entries)
		return -ENOMEM;
	err = publish(fetch, &content);
	if (err)
		free(content.entries);
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

/* A store that is to begin behind a directory may begin with it: there are keys behind its own. */
static void fetch_add(struct listing_fetch *fetch, const char *name, size_t len,
		      const struct backing_meta *meta)
{
	const struct ledger_cursor *after = fetch->listing->after; /* does not change */

	if (!after ||
	    page_key_compare(name, len, !meta, after->name, after->name_len, after->directory) > 0)
		page_add(&fetch->page, name, len, meta);
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
			fetch_add(fetch, name, len, meta);
		break;
	case NAMES_DIRECTORY:
		fetch_add(fetch, name, len, NULL);
		break;
	case NAMES_SELF:
		fetch->hidden += meta && meta->size > 0;
		break;
	case NAMES_HIDDEN:
		fetch->hidden++;
		break;
	}
}

/* An empty chunk: of an empty listing, so that its memory is accounted and reclaimed; or of a
 * chunk whose keys are gone. */
static int publish_nothing(struct listing_fetch *fetch)
{
	struct chunk_content none = { .token = fetch->token, .fetched_ns = fetch->started_ns };
	int err;

	none.bytes = sizeof(*none.entries);
	none.entries = calloc(1, none.bytes);
	if (!none.entries)
		return -ENOMEM;
	err = publish(fetch, &none);
	if (err)
		free(none.entries);
	return err;
}

static void listing_complete(struct namespace *ns, struct listing *listing)
{
	uint64_t now_ns = clock_now_ns(ns->settings.clock);

	listing->complete = true;
	listing->settled = listing->chunk_count * LISTING_CHUNK_ENTRIES;
	free(listing->order);
	listing->order = NULL;
	listing->expires_ns = clock_after_ns(clock_before_ns(now_ns, listing->age_ns),
					     entry_of(ns, listing->node)->config->listing_timeout);
}

/* The page is here as a whole. */
static int fetch_finish(struct listing_fetch *fetch)
{
	struct listing *listing = fetch->listing;
	bool next = wants_next(listing);
	char *token = NULL;
	int err = fetch->page.status;

	if (err)
		return err;
	listing_aged(fetch->ns, listing, fetch->list.request.age_ns, fetch->started_ns);
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
		    entry->backing->id, text_or_empty(entry->config->bucket), fetch->prefix,
		    error_text(status), fetch->list.request.problem);
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
	fetch->started_ns = clock_before_ns(fetch->started_ns, list->request.age_ns);
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

/* How old a page may be that another node had asked for. */
static uint64_t age_max(const struct namespace_entry *entry, uint64_t now_ns, uint64_t fresh_ns)
{
	uint64_t timeout = entry->config->listing_timeout;
	uint64_t since_ns = clock_before_ns(now_ns, fresh_ns);

	return since_ns < timeout ? since_ns : timeout;
}

/* Where the first page begins. If the key would be too long, at the start: fetch_add() leaves out
 * what is before. */
static void fetch_set_after(struct listing_fetch *fetch)
{
	const struct ledger_cursor *after = fetch->listing->after;

	if (!after || fetch->token[0] ||
	    (size_t)after->name_len + after->directory > NAMES_KEY_MAX - strlen(fetch->prefix))
		return;
	snprintf(fetch->after, sizeof(fetch->after), "%s%s%s", fetch->prefix, after->name,
		 after->directory ? "/" : "");
	fetch->list.after = fetch->after;
}

/* Who looks for its place in many pages shall be told in time that it did not find it. */
static uint64_t fetch_deadline(struct namespace *ns, const struct listing *listing)
{
	uint64_t deadline_ns =
		clock_after_ns(clock_now_ns(ns->settings.clock), atomic_load(&ns->lookup_timeout));
	const struct namespace_read *read = TAILQ_FIRST(&listing->waiting);

	return read && !read->placed && read->deadline_ns < deadline_ns ? read->deadline_ns
									: deadline_ns;
}

void listing_fetch(struct namespace *ns, struct listing *listing)
{
	const struct namespace_entry *entry = entry_of(ns, listing->node);
	struct listing_fetch *fetch = calloc(1, sizeof(*fetch));
	const struct listing_chunk *again = NULL;
	uint64_t fresh_ns = 0;
	int err = fetch ? 0 : -ENOMEM;

	if (!err) {
		pthread_mutex_lock(&ns->lock);
		err = version_key(ns, listing->node, fetch->prefix);
		if (listing->target < listing->chunk_count)
			again = listing->chunks[listing->target];
		snprintf(fetch->token, sizeof(fetch->token), "%s",
			 text_or_empty(again ? again->token : listing->next_token));
		fresh_ns = listing->node->directory->fresh_ns;
		fetch->list.request.deadline_ns = fetch_deadline(ns, listing);
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
	fetch->list.request.bucket = text_or_empty(entry->config->bucket);
	fetch->list.request.max_age_ns = age_max(entry, fetch->started_ns, fresh_ns);
	fetch->list.request.absent_age_ns = fetch->list.request.max_age_ns;
	fetch->list.prefix = fetch->prefix;
	fetch->list.delimited = true;
	fetch->list.max_keys = LISTING_PAGE_KEYS;
	memcpy(fetch->list.token, fetch->token, sizeof(fetch->list.token));
	fetch_set_after(fetch);
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
