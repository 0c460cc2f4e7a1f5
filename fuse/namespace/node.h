/*
 * node.h - nodes: what the kernel knows by number.
 *
 * A node id names one (path, object version, I/O mode) and is never reused, not by the next run
 * either. An overwritten object is a new node under the same name; the old one becomes outdated and
 * goes on for who has it open. So is the node of a file that is to be opened in another I/O mode,
 * since the kernel takes one mode an inode at a time. A node lives while the kernel remembers it
 * (lookups) or something of ours stands on it (pins: its children, open directories, listings and
 * look-ups under way; and for a while, that it is new).
 *
 * What the kernel remembers outlives this process: each node but the root has a record in the
 * ledger, written before anybody is told of the node. How often the kernel looked it up stands
 * there alone; the rest is copied to there by node_record() whenever it changes.
 *
 * A table is plain data: the caller holds the namespace's lock. There may be hundreds of thousands
 * of nodes, as many as the kernel cares to remember: a node is about 200 bytes and its name, and as
 * much again in the ledger.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For want of memory an element is not added, and its handle has no table: HASH_ADDED(). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HASH_ADDED(handle) ((handle).tbl != NULL)

#include "base/check.h"
#include "fuse/ledger/ledger.h"

#define NODE_ROOT_ID	 1
#define NODE_ENTRY_NONE	 (-1) /* a directory above the mount entries */
#define NODE_ENTRY_GONE	 (-2) /* restored, and its mount entry or parent is there no more */
#define NODE_ENTRIES_MAX 1024 /* mount entries */

struct listing;
struct directory;

enum node_kind {
	NODE_DIRECTORY,
	NODE_FILE,
};

struct node {
	uint64_t id;
	uint64_t ino;	     /* st_ino: of the version (file), of the path (directory) */
	struct node *parent; /* pinned; NULL of the root */
	uint32_t place; /* its record in the ledger, with the references that the kernel holds */
	uint32_t pins;
	int16_t entry;	      /* index of the mount entry, NODE_ENTRY_NONE or NODE_ENTRY_GONE */
	uint8_t kind;	      /* enum node_kind */
	bool outdated : 1;    /* the name has, or will have, another node: OPEN answers ESTALE */
	bool passthrough : 1; /* its I/O mode: all opens by one backing file; else direct */
	bool superseded : 1;  /* the same version in another mode is to have the name: ESTALE */
	bool given : 1;	      /* its bytes went to the kernel's page cache: namespace_give() */
	bool confirmed : 1; /* made for a version that had been refused, and was then found again */
	uint8_t name_len;
	uint64_t checked_ns; /* when the backing store last said so; outdated: no longer did */
	uint64_t made_ns;    /* 0, or: when it took the name from another */
	uint64_t refused_ns; /* 0, or: its version was refused since; what checked_ns was before */
	union {
		struct {
			uint64_t size;
			int64_t mtime_s;
		};
		struct directory *directory; /* NULL until someone reads below it */
	};
	UT_hash_handle by_id;
	UT_hash_handle by_name; /* key: text, parent id and name; outdated nodes until replaced */
	bool named;		/* is in by_name */
	char text[];		/* parent id (8 bytes), name, NUL, etag, NUL */
};

struct node_table {
	struct node *by_id;
	struct node *by_name;
	struct node *root;
	struct ledger *ledger; /* borrowed */
	uint64_t next_id;
	uint64_t count;
	bool full_said;			     /* that the ledger is full was logged */
	uint16_t recorded[NODE_ENTRIES_MAX]; /* by mount entry: its index in the ledger's list */
};

/**
 * node_table_init() - a table with a root directory.
 * @ledger: borrowed for life; nothing of what is in it already is looked at, but for the ids that
 *          were given out.
 * @id_base: above every id of earlier runs: the seconds since 1970, shifted up by 32 bits, leave
 *           4 billion nodes a second.
 * Return: 0 or -ENOMEM.
 */
int node_table_init(struct node_table *table, struct ledger *ledger, uint64_t id_base);

/** node_table_fini() - frees all nodes, whoever remembers them; their records stay. @release is
 *  called for each first, may be NULL. */
void node_table_fini(struct node_table *table, void (*release)(struct node *node));

/** node_find() - by id, or NULL. */
struct node *node_find(const struct node_table *table, uint64_t id);

/** node_child() - by name, outdated ones included, or NULL. */
struct node *node_child(const struct node_table *table, const struct node *parent, const char *name,
			size_t name_len);

/**
 * node_create() - a node under a name; one that has the name already loses it and is outdated.
 * @etag: "" for directories.
 * Return: the node with no lookups and no pins (use node_settle() when giving it up), or NULL: no
 *         memory, or no room in the ledger, which is logged once.
 */
struct node *node_create(struct node_table *table, struct node *parent, enum node_kind kind,
			 int entry, const char *name, size_t name_len, const char *etag);

/**
 * node_restore() - the node of record @place, as @record says; without parent and name, until
 * node_link(). Return: NULL: no memory, or there is one of that id.
 */
struct node *node_restore(struct node_table *table, uint32_t place,
			  const struct ledger_node *record);

/** node_link() - puts a restored node below its parent, which is pinned. The name is its own, if
 *  @named, and no longer that of who had it. Return: 0 or -ENOMEM. */
int node_link(struct node_table *table, struct node *node, struct node *parent, bool named);

/** node_parent_id() - also of one that is not linked yet. */
uint64_t node_parent_id(const struct node *node);

/** node_record() - takes what was changed of a node's size, mtime, made_ns and flags over to its
 *  record. */
void node_record(struct node_table *table, const struct node *node);

static inline const char *node_name(const struct node *node)
{
	return node->text + sizeof(uint64_t);
}

static inline const char *node_etag(const struct node *node)
{
	return node_name(node) + node->name_len + 1;
}

/** node_outdate() - as known at @now_ns: the name is looked up afresh from now on. */
void node_outdate(struct node_table *table, struct node *node, uint64_t now_ns);

static inline void node_pin(struct node *node)
{
	node->pins++;
}

/** node_unpin() - frees the node when it was the last to stand on it. */
void node_unpin(struct node_table *table, struct node *node);

/** node_refer() - one reference more: the kernel's, which the reply to its request @unique brings
 *  it; or ours, a pin, when @unique is 0. */
void node_refer(struct node_table *table, struct node *node, uint64_t unique);

/**
 * node_undo() - request @unique is about to be served. If it comes again, from a worker that died
 * with it in hand, the kernel never had its reply: the references that were raised for it go.
 */
void node_undo(struct node_table *table, uint64_t unique);

/** node_lookups() - references that the kernel holds; of the root, which is never looked up, 0. */
uint64_t node_lookups(const struct node_table *table, const struct node *node);

/** node_forget() - the kernel gives back @count lookups. */
void node_forget(struct node_table *table, struct node *node, uint64_t count);

/** node_settle() - frees the node if nobody refers to it, and then its parents alike. */
void node_settle(struct node_table *table, struct node *node);

/**
 * node_path() - the path below the node's mount entry ("train/a.bin", "" for its root), or, above
 * the entries, from the namespace's root ("/images").
 * Return: the length, -ENAMETOOLONG.
 */
int node_path(const struct node *node, char *out, size_t out_size);
