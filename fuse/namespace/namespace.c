/*
 * namespace.c - see namespace.h; and the order in which things end: what a backing store has in
 * hand keeps the namespace alive (outstanding), everything else is gone before it is destroyed.
 */
#include "fuse/namespace/namespace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuse/namespace/fetch.h"
#include "fuse/namespace/listing.h"
#include "fuse/namespace/lookup.h"
#include "fuse/namespace/restore.h"
#include "fuse/namespace/version.h"

/* --- what is to be done without the lock ----------------------------------------------------- */

void todo_init(struct todo *todo)
{
	TAILQ_INIT(&todo->flights);
	TAILQ_INIT(&todo->listings);
	TAILQ_INIT(&todo->lookups);
	TAILQ_INIT(&todo->reads);
}

void todo_run(struct namespace *ns, struct todo *todo)
{
	struct namespace_lookup *lookup;
	struct namespace_read *read;
	struct listing *listing;
	struct flight *flight;

	while ((flight = flight_take(&todo->flights)))
		flight_start(ns, flight);
	while ((listing = TAILQ_FIRST(&todo->listings))) {
		TAILQ_REMOVE(&todo->listings, listing, link);
		listing_fetch(ns, listing);
	}
	while ((lookup = TAILQ_FIRST(&todo->lookups))) {
		TAILQ_REMOVE(&todo->lookups, lookup, link);
		lookup->done(lookup);
	}
	while ((read = TAILQ_FIRST(&todo->reads))) {
		TAILQ_REMOVE(&todo->reads, read, link);
		read->done(read);
	}
}

void outstanding_end(struct namespace *ns)
{
	pthread_mutex_lock(&ns->lock);
	if (--ns->outstanding == 0)
		pthread_cond_broadcast(&ns->idle);
	pthread_mutex_unlock(&ns->lock);
}

const char *namespace_entry_path_check(const char *path)
{
	return names_entry_path_check(path);
}

bool namespace_entry_nested(const char *a, const char *b)
{
	return names_entry_nested(a, b);
}

/* --- life ----------------------------------------------------------------------------------- */

static struct backing *backing_find(const struct namespace_settings *settings, const char *id)
{
	for (unsigned i = 0; i < settings->backing_count; i++)
		if (strcmp(settings->backings[i]->id, id) == 0)
			return settings->backings[i];
	return NULL;
}

static int entries_init(struct namespace *ns, char *problem, size_t problem_size)
{
	const struct option_structs *structs = &ns->settings.config->entries;
	const struct mount_entry_config *configs = structs->items;

	ns->entries = calloc(structs->count ? structs->count : 1, sizeof(*ns->entries));
	if (!ns->entries)
		return -ENOMEM;
	for (unsigned i = 0; i < structs->count; i++) {
		struct namespace_entry *entry = &ns->entries[i];

		entry->config = &configs[i];
		entry->uid = configs[i].uid < 0 ? ns->uid : (uint32_t)configs[i].uid;
		entry->gid = configs[i].gid < 0 ? ns->gid : (uint32_t)configs[i].gid;
		entry->backing = backing_find(&ns->settings, configs[i].backing);
		if (!entry->backing) {
			snprintf(problem, problem_size,
				 "mount entry '%s': there is no backing store '%s'",
				 configs[i].path, configs[i].backing);
			return -EINVAL;
		}
		/* Non-nested: it is the only entry, and the root is its directory. */
		if (strcmp(configs[i].path, "/") == 0)
			ns->nodes.root->entry = (int16_t)i;
	}
	ns->entry_count = structs->count;
	return 0;
}

static int namespace_init(struct namespace *ns, char *problem, size_t problem_size)
{
	uint64_t start_s = (uint64_t)(clock_wall_ns(ns->settings.clock) / (int64_t)NS_PER_S);
	int err = node_table_init(&ns->nodes, ns->settings.ledger, start_s << 32);

	if (err)
		return err;
	ns->uid = geteuid();
	ns->gid = getegid();
	ns->start_s = (int64_t)start_s;
	ns->nodes.root->ino = NODE_ROOT_ID;
	err = entries_init(ns, problem, problem_size);
	return err ? err : restore(ns, problem, problem_size);
}

int namespace_create(const struct namespace_settings *settings, struct namespace **out_namespace,
		     char *problem, size_t problem_size)
{
	struct namespace *ns = calloc(1, sizeof(*ns));
	int err;

	if (!ns)
		return -ENOMEM;
	*problem = '\0';
	ns->settings = *settings;
	atomic_init(&ns->lookup_timeout, settings->config->lookup_timeout);
	pthread_mutex_init(&ns->lock, NULL);
	thread_cond_init(&ns->idle);
	TAILQ_INIT(&ns->flights_queued);
	TAILQ_INIT(&ns->chunks);
	err = namespace_init(ns, problem, problem_size);
	if (err) {
		namespace_destroy(ns);
		return err;
	}
	*out_namespace = ns;
	return 0;
}

void namespace_reload(struct namespace *ns, const struct mount_config *config)
{
	atomic_store(&ns->lookup_timeout, config->lookup_timeout);
}

/* Listings pin their nodes: they go first. */
static void listings_forget(struct namespace *ns)
{
	struct node *node;

	for (node = ns->nodes.by_id; node; node = node->by_id.next)
		node->pins++; /* so that none is freed under way */
	for (node = ns->nodes.by_id; node; node = node->by_id.next)
		if (node->kind == NODE_DIRECTORY)
			listing_forget(ns, node);
}

static void node_release(struct node *node)
{
	if (node->kind == NODE_DIRECTORY)
		directory_free(node->directory);
}

void namespace_destroy(struct namespace *ns)
{
	if (!ns)
		return;
	pthread_mutex_lock(&ns->lock);
	while (ns->outstanding > 0) /* bounded by their deadlines */
		pthread_cond_wait(&ns->idle, &ns->lock);
	if (ns->nodes.root) {
		listings_forget(ns);
		node_table_fini(&ns->nodes, node_release);
	}
	pthread_mutex_unlock(&ns->lock);
	free(ns->entries);
	free(ns->suspects);
	pthread_cond_destroy(&ns->idle);
	pthread_mutex_destroy(&ns->lock);
	free(ns);
}

/* --- nodes ---------------------------------------------------------------------------------- */

int namespace_attributes(struct namespace *ns, uint64_t id, struct namespace_attributes *out)
{
	const struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	if (node)
		version_attributes(ns, node, out);
	pthread_mutex_unlock(&ns->lock);
	return node ? 0 : -ESTALE;
}

void namespace_forget(struct namespace *ns, uint64_t id, uint64_t count)
{
	struct node *node;

	pthread_mutex_lock(&ns->lock);
	node = node_find(&ns->nodes, id);
	if (node)
		node_forget(&ns->nodes, node, count);
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
}

int namespace_describe(struct namespace *ns, uint64_t id, char *out, size_t out_size)
{
	const struct namespace_entry *entry;
	char key[NAMES_KEY_MAX + 1];
	const struct node *node;
	const char *bucket;
	int err = -ESTALE;

	pthread_mutex_lock(&ns->lock);
	node = node_known(ns, id);
	entry = node ? entry_of(ns, node) : NULL;
	if (entry)
		err = version_key(ns, node, key);
	pthread_mutex_unlock(&ns->lock);
	if (node && !entry) {
		*out = '\0';
		return 0;
	}
	if (err < 0)
		return err;
	bucket = entry->config->bucket ? entry->config->bucket : "";
	err = snprintf(out, out_size, "%s%s%s/%s", entry->backing->id, *bucket ? "/" : "", bucket,
		       key);
	return (size_t)err < out_size ? 0 : -ENAMETOOLONG;
}

/* --- look-ups -------------------------------------------------------------------------------- */

int namespace_lookup_start(struct namespace *ns, struct namespace_lookup *lookup)
{
	struct todo todo;
	int ended;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	node_undo(&ns->nodes, lookup->unique);
	ended = lookup_begin(ns, lookup, &todo);
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
	return ended;
}

void namespace_lookup_cancel(struct namespace *ns, struct namespace_lookup *lookup)
{
	struct todo todo;

	todo_init(&todo);
	pthread_mutex_lock(&ns->lock);
	lookup_cancel(lookup, &todo);
	pthread_mutex_unlock(&ns->lock);
	todo_run(ns, &todo);
}
