/*
 * lookup.c - what a name is, from the cheapest source that knows:
 *
 *	1. above the mount entries: the configuration;
 *	2. a node whose entry_timeout has not passed (the kernel dropped its own entry for want of
 *	   memory and asks again);
 *	3. the directory's listing, if there is a fresh one; that a name is not there it says for
 *	   negative_timeout only;
 *	4. the backing store: a HEAD of the key and a LIST of "key/" with one key, in parallel.
 *
 * Only both together tell a file from a directory. One such flight per name, however many ask.
 *
 *		LIST \ HEAD	200		404		403		other
 *		a key		directory	directory	directory	directory
 *		nothing		file		ENOENT		EACCES		error
 *		403		file		EACCES		EACCES		error
 *		404		file		ENOENT		EACCES		error	(no bucket)
 *		other		error		error		error		error
 *
 * An error is never taken for "not there". When many names of a directory had to be asked one by
 * one, the directory is listed in the background: a page tells of 1,000 names in one round trip.
 */
#include "fuse/namespace/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/namespace/above.h"
#include "fuse/namespace/fetch.h"
#include "fuse/namespace/listing.h"
#include "fuse/namespace/version.h"

struct flight {
	struct backing_head head;
	struct backing_list list;
	struct namespace *ns;
	struct node *parent; /* pinned */
	struct lookup_list waiting;
	uint64_t asked_ns, deadline_ns;
	uint64_t known_ns; /* what is known of the name is from then; 0: nothing is */
	bool queued;
	bool below;		  /* the LIST found a key */
	unsigned pending;	  /* of head and list */
	TAILQ_ENTRY(flight) link; /* flights_queued, todo.flights */
	UT_hash_handle by_name;
	size_t name_len;
	char refused[BACKING_ETAG_MAX];			   /* of the version that was; or "" */
	char key[NAMES_KEY_MAX + 1];			   /* the name is its last name_len bytes */
	char prefix[NAMES_KEY_MAX + 2];			   /* key and a slash */
	char text[sizeof(uint64_t) + NAMES_COMPONENT_MAX]; /* parent id, name */
};

static const char *flight_name(const struct flight *flight)
{
	return flight->text + sizeof(uint64_t);
}

/* --- answers -------------------------------------------------------------------------------- */

static int answer(struct namespace *ns, struct namespace_lookup *lookup, struct node *node,
		  int status)
{
	lookup->status = node ? 0 : status;
	if (node) {
		version_attributes(ns, node, &lookup->attributes);
		node_refer(&ns->nodes, node, lookup->unique);
	}
	return 1;
}

static int answer_nothing(struct namespace_lookup *lookup, uint64_t negative_timeout)
{
	lookup->status = -ENOENT;
	lookup->negative_timeout = negative_timeout;
	return 1;
}

static int lookup_above(struct namespace *ns, struct namespace_lookup *lookup, struct node *parent)
{
	size_t len = strlen(lookup->name);
	int entry = above_find(ns, parent, lookup->name, len);
	struct node *node;

	if (entry == NODE_ENTRY_GONE && above_elsewhere(ns, parent))
		return answer(ns, lookup, NULL, -ENOTCONN);
	if (entry == NODE_ENTRY_GONE)
		return answer_nothing(lookup, 0);
	node = version_directory(ns, parent, lookup->name, len, entry,
				 clock_now_ns(ns->settings.clock));
	return answer(ns, lookup, node, -ENOMEM);
}

static int lookup_listed(struct namespace *ns, struct namespace_lookup *lookup, struct node *parent,
			 size_t name_len)
{
	struct listing *listing = listing_current(ns, parent);
	uint64_t now_ns = clock_now_ns(ns->settings.clock), negative_ns;
	struct node *known = node_child(&ns->nodes, parent, lookup->name, name_len);
	const struct listing_chunk *chunk;
	const struct listing_entry *entry;
	struct version_meta meta;
	struct node *node;

	if (!listing)
		return 0;
	switch (listing_find(ns, listing, lookup->name, name_len, &chunk, &entry)) {
	case LISTING_UNKNOWN:
		return 0;
	case LISTING_ABSENT:
		negative_ns = clock_after_ns(listing->started_ns,
					     entry_of(ns, parent)->config->negative_timeout);
		if (now_ns >= negative_ns || (known && known->checked_ns > listing->started_ns))
			return 0; /* by now it may be */
		counter_add(ns->settings.counters, MOUNT_LOOKUPS_LISTED, 1);
		version_gone(ns, parent, lookup->name, name_len);
		return answer_nothing(lookup, negative_ns - now_ns);
	case LISTING_FOUND:
		if (known && known->checked_ns > chunk->fetched_ns)
			return 0; /* we know better since */
		break;
	}
	counter_add(ns->settings.counters, MOUNT_LOOKUPS_LISTED, 1);
	meta = (struct version_meta){ entry->size, entry->mtime_s, listing_etag(chunk, entry) };
	node = entry->directory
		       ? version_directory(ns, parent, lookup->name, name_len, parent->entry,
					   chunk->fetched_ns)
		       : version_file(ns, parent, lookup->name, name_len, &meta, chunk->fetched_ns);
	return answer(ns, lookup, node, -ENOMEM);
}

static int lookup_remembered(struct namespace *ns, struct namespace_lookup *lookup,
			     struct node *parent, size_t name_len)
{
	struct node *node = node_child(&ns->nodes, parent, lookup->name, name_len);
	uint64_t timeout;

	if (!node || node->outdated || node->checked_ns <= ns->restored_ns)
		return 0;
	timeout = entry_of(ns, parent)->config->entry_timeout;
	if (clock_now_ns(ns->settings.clock) >= clock_after_ns(node->checked_ns, timeout))
		return 0;
	if (node->superseded)
		node = version_successor(ns, node);
	return answer(ns, lookup, node, -ENOMEM);
}

/* --- flights -------------------------------------------------------------------------------- */

static void flight_end(struct namespace *ns, struct flight *flight, struct todo *todo)
{
	struct flight *next = TAILQ_FIRST(&ns->flights_queued);

	HASH_DELETE(by_name, ns->flights, flight);
	node_unpin(&ns->nodes, flight->parent);
	ns->flights_running--;
	if (next && ns->flights_running < LOOKUP_FLIGHTS_MAX) {
		TAILQ_REMOVE(&ns->flights_queued, next, link);
		next->queued = false;
		ns->flights_running++;
		TAILQ_INSERT_TAIL(&todo->flights, next, link);
	}
}

/* The table in this file's first comment. */
static int flight_status(const struct flight *flight)
{
	int head = flight->head.request.status, list = flight->list.request.status;

	if (flight->below)
		return 0;
	if (head != 0 && head != -ENOENT && head != -EACCES)
		return head;
	if (list != 0 && list != -ENOENT && list != -EACCES)
		return list;
	if (head == 0)
		return 0;
	return head == -EACCES || list == -EACCES ? -EACCES : -ENOENT;
}

/* What the backing store said with the status that counts. */
static const char *flight_problem(const struct flight *flight, int status)
{
	return flight->list.request.status == status ? flight->list.request.problem
						     : flight->head.request.problem;
}

static void flight_log(const struct flight *flight, int status)
{
	const struct namespace_entry *entry = entry_of(flight->ns, flight->parent);

	log_warning("mount.lookup", "backing=%s bucket=%s key=%s error=\"%s\" problem=\"%s\"",
		    entry->backing->id, entry->config->bucket ? entry->config->bucket : "",
		    flight->key, error_text(status), flight_problem(flight, status));
}

static struct node *flight_node(struct namespace *ns, struct flight *flight)
{
	const struct backing_meta *meta = &flight->head.meta;
	struct version_meta found = { meta->size, meta->mtime_s, meta->etag };

	if (flight->below)
		return version_directory(ns, flight->parent, flight_name(flight), flight->name_len,
					 flight->parent->entry, flight->asked_ns);
	return version_file(ns, flight->parent, flight_name(flight), flight->name_len, &found,
			    flight->asked_ns);
}

/* As far as both answers were got from others, they are as old as the older one. */
static uint64_t flight_age(const struct flight *flight)
{
	uint64_t head = flight->head.request.age_ns, list = flight->list.request.age_ns;

	return head > list ? head : list;
}

static void flight_answer(struct namespace *ns, struct flight *flight, struct todo *todo)
{
	int status = flight_status(flight);
	struct node *node = status == 0 ? flight_node(ns, flight) : NULL;
	uint64_t negative = clock_before_ns(entry_of(ns, flight->parent)->config->negative_timeout,
					    flight_age(flight));
	struct namespace_lookup *lookup;

	if (status == -ENOENT)
		version_gone(ns, flight->parent, flight_name(flight), flight->name_len);
	/* That a LIST finds nothing is no error: there is no such bucket. */
	if (status != 0 && (status != -ENOENT || flight->list.request.status == -ENOENT))
		flight_log(flight, status);
	while ((lookup = TAILQ_FIRST(&flight->waiting))) {
		TAILQ_REMOVE(&flight->waiting, lookup, link);
		lookup->flight = NULL;
		if (status != 0 && lookup->problem)
			snprintf(lookup->problem, BACKING_PROBLEM_MAX, "%s",
				 flight_problem(flight, status));
		if (status == -ENOENT)
			answer_nothing(lookup, negative);
		else
			answer(ns, lookup, node, status ? status : -ENOMEM);
		TAILQ_INSERT_TAIL(&todo->lookups, lookup, link);
	}
	if (node)
		node_settle(&ns->nodes, node); /* nobody waits any more */
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
}

static void flight_part_done(struct flight *flight)
{
	struct namespace *ns = flight->ns;
	struct todo todo;
	bool last;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	last = --flight->pending == 0;
	if (last) {
		flight->asked_ns = clock_before_ns(flight->asked_ns, flight_age(flight));
		flight_answer(ns, flight, &todo);
		flight_end(ns, flight, &todo);
	}
	pthread_mutex_unlock(&ns->lock);
	if (!last)
		return;
	free(flight);
	todo_run(ns, &todo);
	outstanding_end(ns);
}

static void head_done(struct backing_head *head)
{
	flight_part_done(CONTAINER_OF(head, struct flight, head));
}

static void list_done(struct backing_list *list)
{
	flight_part_done(CONTAINER_OF(list, struct flight, list));
}

static void list_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	struct flight *flight = CONTAINER_OF(list, struct flight, list);

	(void)meta; /* that there is a key is all we ask */
	flight->below |= strncmp(key, flight->prefix, strlen(flight->prefix)) == 0;
}

static void flight_time_out(struct flight *flight)
{
	flight->head.request.status = flight->list.request.status = -ETIMEDOUT;
	snprintf(flight->head.request.problem, sizeof(flight->head.request.problem),
		 "waited for %d other look-ups", LOOKUP_FLIGHTS_MAX);
	flight->pending = 1;
	flight_part_done(flight);
}

struct flight *flight_take(struct flight_list *list)
{
	struct flight *flight = TAILQ_FIRST(list);

	if (flight)
		TAILQ_REMOVE(list, flight, link);
	return flight;
}

/* How old the answers may be that other nodes had got: nothing older than what we know already. */
static void flight_set_ages(const struct namespace_entry *entry, struct flight *flight)
{
	uint64_t known_ns = clock_before_ns(flight->asked_ns, flight->known_ns);
	uint64_t found_ns = entry->config->entry_timeout;
	uint64_t absent_ns = entry->config->negative_timeout;

	found_ns = known_ns < found_ns ? known_ns : found_ns;
	absent_ns = known_ns < absent_ns ? known_ns : absent_ns;
	flight->head.request.max_age_ns = flight->list.request.max_age_ns = found_ns;
	flight->head.request.absent_age_ns = flight->list.request.absent_age_ns = absent_ns;
	flight->head.refused = flight->refused[0] ? flight->refused : NULL;
}

void flight_start(struct namespace *ns, struct flight *flight)
{
	const struct namespace_entry *entry = entry_of(ns, flight->parent);
	bool two;

	flight->asked_ns = clock_now_ns(ns->settings.clock);
	if (flight->asked_ns >= flight->deadline_ns) {
		flight_time_out(flight);
		return;
	}
	flight_set_ages(entry, flight);
	flight->head.request.bucket = entry->config->bucket ? entry->config->bucket : "";
	flight->head.request.key = flight->key;
	flight->head.request.deadline_ns = flight->deadline_ns;
	flight->head.done = head_done;
	flight->list.request.bucket = flight->head.request.bucket;
	flight->list.request.deadline_ns = flight->deadline_ns;
	flight->list.prefix = flight->prefix;
	flight->list.max_keys = 1;
	flight->list.entry = list_entry;
	flight->list.done = list_done;
	two = flight->pending == 2;
	backing_head(entry->backing, &flight->head);
	if (two) /* and until it is done, the flight stays */
		backing_list(entry->backing, &flight->list);
}

static void flight_set_known(struct namespace *ns, struct flight *flight, const char *name)
{
	const struct node *known = node_child(&ns->nodes, flight->parent, name, flight->name_len);

	if (!known)
		return;
	flight->known_ns = known->checked_ns;
	if (!known->outdated || !known->refused_ns)
		return;
	flight->known_ns = known->refused_ns;
	snprintf(flight->refused, sizeof(flight->refused), "%s", node_etag(known));
}

static struct flight *flight_create(struct namespace *ns, struct node *parent, const char *name,
				    size_t name_len)
{
	struct flight *flight = calloc(1, sizeof(*flight));
	int prefix_len;

	if (!flight)
		return NULL;
	prefix_len = version_key(ns, parent, flight->key);
	CHECK(prefix_len >= 0);
	memcpy(flight->key + prefix_len, name, name_len + 1);
	snprintf(flight->prefix, sizeof(flight->prefix), "%s/", flight->key);
	memcpy(flight->text, &parent->id, sizeof(parent->id));
	memcpy(flight->text + sizeof(parent->id), name, name_len);
	flight->name_len = name_len;
	flight->ns = ns;
	flight->parent = parent;
	node_pin(parent);
	flight_set_known(ns, flight, name);
	/* Nothing can lie below a key of the greatest length. */
	flight->pending = strlen(flight->prefix) > NAMES_KEY_MAX ? 1 : 2;
	flight->deadline_ns =
		clock_after_ns(clock_now_ns(ns->settings.clock), atomic_load(&ns->lookup_timeout));
	TAILQ_INIT(&flight->waiting);
	HASH_ADD_KEYPTR(by_name, ns->flights, flight->text, sizeof(parent->id) + name_len, flight);
	if (!HASH_ADDED(flight->by_name)) {
		node_unpin(&ns->nodes, parent);
		free(flight);
		return NULL;
	}
	ns->outstanding++;
	return flight;
}

static struct flight *flight_of(struct namespace *ns, struct node *parent, const char *name,
				size_t name_len, struct todo *todo)
{
	char text[sizeof(uint64_t) + NAMES_COMPONENT_MAX];
	struct flight *flight;

	memcpy(text, &parent->id, sizeof(parent->id));
	memcpy(text + sizeof(parent->id), name, name_len);
	HASH_FIND(by_name, ns->flights, text, sizeof(parent->id) + name_len, flight);
	if (flight)
		return flight;
	flight = flight_create(ns, parent, name, name_len);
	if (!flight)
		return NULL;
	flight->queued = ns->flights_running >= LOOKUP_FLIGHTS_MAX;
	if (flight->queued) {
		TAILQ_INSERT_TAIL(&ns->flights_queued, flight, link);
	} else {
		ns->flights_running++;
		TAILQ_INSERT_TAIL(&todo->flights, flight, link);
	}
	return flight;
}

/* Counts single look-ups; many of them make the directory be listed. */
static void singles_count(struct namespace *ns, struct node *parent, struct todo *todo)
{
	struct directory *directory = directory_of(parent);
	uint64_t now_ns = clock_now_ns(ns->settings.clock);
	uint64_t timeout = entry_of(ns, parent)->config->listing_timeout;
	struct listing *listing;

	if (!directory || timeout == 0)
		return;
	if (now_ns >= clock_after_ns(directory->singles_since_ns, timeout)) {
		directory->singles_since_ns = now_ns;
		directory->singles = 0;
	}
	if (++directory->singles != LOOKUP_SINGLES_MAX)
		return;
	listing = listing_begin(ns, parent);
	if (!listing)
		return;
	listing->whole = true;
	listing_continue(ns, listing, todo);
}

int lookup_begin(struct namespace *ns, struct namespace_lookup *lookup, struct todo *todo)
{
	struct node *parent = node_known(ns, lookup->parent);
	size_t len = strlen(lookup->name);
	char key[NAMES_KEY_MAX + 1];
	struct flight *flight;
	int key_len;

	lookup->flight = NULL;
	counter_add(ns->settings.counters, MOUNT_LOOKUPS, 1);
	if (!parent || parent->kind != NODE_DIRECTORY)
		return answer(ns, lookup, NULL, parent ? -ENOTDIR : -ESTALE);
	if (len > NAMES_COMPONENT_MAX)
		return answer(ns, lookup, NULL, -ENAMETOOLONG);
	if (parent->entry == NODE_ENTRY_NONE)
		return lookup_above(ns, lookup, parent);
	key_len = version_key(ns, parent, key);
	if (key_len < 0 || !names_component_valid(lookup->name, len) ||
	    (size_t)key_len + len > NAMES_KEY_MAX)
		return answer_nothing(lookup, entry_of(ns, parent)->config->negative_timeout);
	if (lookup_remembered(ns, lookup, parent, len) || lookup_listed(ns, lookup, parent, len))
		return 1;
	singles_count(ns, parent, todo);
	flight = flight_of(ns, parent, lookup->name, len, todo);
	if (!flight)
		return answer(ns, lookup, NULL, -ENOMEM);
	lookup->flight = flight;
	TAILQ_INSERT_TAIL(&flight->waiting, lookup, link);
	return 0;
}

void lookup_cancel(struct namespace_lookup *lookup, struct todo *todo)
{
	if (!lookup->flight)
		return;
	TAILQ_REMOVE(&lookup->flight->waiting, lookup, link);
	lookup->flight = NULL;
	lookup->status = -ECANCELED;
	TAILQ_INSERT_TAIL(&todo->lookups, lookup, link);
}
