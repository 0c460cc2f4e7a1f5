/*
 * inside.h - what the files of the namespace share.
 *
 * One lock covers nodes, directories, listings and look-ups under way: nothing under it waits, and
 * what a request costs under it is a few hash look-ups. Backing stores are called, and done() runs,
 * without it: what is to be done then is collected in a struct todo.
 */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "fuse/namespace/directory.h"
#include "fuse/namespace/names.h"
#include "fuse/namespace/namespace.h"
#include "fuse/namespace/node.h"

static_assert(NAMES_KEY_MAX == BACKING_KEY_MAX, "a key must fit");

TAILQ_HEAD(lookup_list, namespace_lookup);
TAILQ_HEAD(read_list, namespace_read);
TAILQ_HEAD(flight_list, flight);
TAILQ_HEAD(listing_list, listing);
TAILQ_HEAD(chunk_list, listing_chunk);

struct listing_chunk;

#define NAMESPACE_YOUNG 64
/* A node that took its name from another is new for so long: longer than a caller takes from ESTALE
 * to its second OPEN. */
#define NAMESPACE_FRESH_NS (10 * NS_PER_S)

struct namespace_entry {
	const struct mount_entry_config *config;
	struct backing *backing;
	uint32_t uid, gid;
};

struct namespace
{
	struct namespace_settings settings;
	struct namespace_entry *entries;
	unsigned entry_count;
	_Atomic uint64_t lookup_timeout; /* ns */
	int64_t start_s;		 /* what directories show as mtime */
	uint32_t uid, gid;		 /* of the daemon */
	pthread_mutex_t lock;
	/* all below: guarded by lock */
	struct node_table nodes;
	struct flight *flights;		   /* by (parent id, name) */
	struct flight_list flights_queued; /* not yet with the backing store */
	unsigned flights_running;
	/* Nodes that have just taken over a name, pinned until others have: the kernel, when it
	 * finds another node than it had, forgets it at once and asks for it again. */
	struct node *young[NAMESPACE_YOUNG];
	unsigned young_next;
	/* What is known of nodes that are checked no later than that is from a former worker: which
	 * it was, but not of when. 0: there was none. */
	uint64_t restored_ns;
	uint64_t *suspects;				   /* ids of nodes: namespace_suspects() */
	size_t suspect_count, suspect_next, suspect_later; /* the last: kept at the front */
	struct chunk_list chunks; /* with entries in memory; the least recently read first */
	uint64_t listing_bytes;
	unsigned outstanding; /* requests in the hands of backing stores */
	pthread_cond_t idle;  /* outstanding fell to 0 */
};

/* What is to be done once the lock is released. */
struct todo {
	struct flight_list flights;   /* to be started */
	struct listing_list listings; /* whose next page is to be fetched */
	struct lookup_list lookups;   /* whose done() is to run */
	struct read_list reads;
};

/** todo_init(), todo_run() - run: with the lock released. */
void todo_init(struct todo *todo);
void todo_run(struct namespace *ns, struct todo *todo);

/** outstanding_end() - a backing store has given a request back. */
void outstanding_end(struct namespace *ns);

/** entry_of() - a node's mount entry, or NULL above them. */
static inline const struct namespace_entry *entry_of(const struct namespace *ns,
						     const struct node *node)
{
	return node->entry < 0 ? NULL : &ns->entries[node->entry];
}

/** node_known() - the node that a request names; NULL: -ESTALE, since what the kernel knows by that
 *  number is not of the namespace as it is now. Its path leads it to what is. */
static inline struct node *node_known(const struct namespace *ns, uint64_t id)
{
	struct node *node = node_find(&ns->nodes, id);

	return node && node->entry != NODE_ENTRY_GONE ? node : NULL;
}
