/*
 * namespace.h - the door of the namespace: names, nodes, directories and their listings, over
 * several mount entries. It knows nothing of FUSE and nothing of payload: who serves requests asks
 * it what a name is, what a directory holds and which object version a node stands for.
 *
 * Look-ups and directory reads are structs of the caller, lent until done() has run. A start that
 * returns 1 has ended (done() does not run); one that returns 0 is under way and done() runs
 * exactly once, on any thread, perhaps before the start returns, without locks. Each ends by
 * lookup_timeout at the latest, if the backing store keeps its deadlines.
 *
 * Any thread may call anything. Nothing here waits for a backing store.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "cache/cache.h"
#include "fuse/ledger/ledger.h"
#include "fuse/mount.h"

struct namespace;
struct node;
struct listing;
struct flight;

struct namespace_settings {
	const struct mount_config *config; /* borrowed for life: entries and their lifetimes */
	struct backing *const *backings;   /* borrowed for life */
	unsigned backing_count;
	const struct clock *clock;
	struct ledger *ledger;	   /* borrowed for life: the nodes of it are the namespace's */
	struct counters *counters; /* of enum mount_counter; borrowed for life */
	/* A version was seen to be replaced. May be NULL. Called with a lock held: must not call
	 * back. */
	void (*obsolete)(void *context, const struct object_version *version);
	/* Whether a file that gets a node now shall be opened in passthrough mode. May be NULL.
	 * Called with a lock held: must not call back. */
	bool (*passthrough)(void *context, const struct object_id *id);
	void *context;
};

/** namespace_entry_path_check(), namespace_entry_nested() - for the configuration: names.h. */
const char *namespace_entry_path_check(const char *path);
bool namespace_entry_nested(const char *a, const char *b);

/**
 * namespace_create() - an empty namespace: its entries' directories, nothing listed. Over a ledger
 * that was adopted it is what the kernel remembers: nodes have the numbers, attributes and modes
 * that they had, and are found by number as before; by name they are looked up anew. A node whose
 * mount entry or parent is there no more is stale, and waits to be forgotten.
 * Return: 0; -EINVAL with @problem (an entry names no configured backing store); -ENOSPC with
 *         @problem (too many former mount entries have nodes); -ENOMEM.
 */
int namespace_create(const struct namespace_settings *settings, struct namespace **out_namespace,
		     char *problem, size_t problem_size);

/** namespace_reload() - takes over the live settings. */
void namespace_reload(struct namespace *ns, const struct mount_config *config);

/** namespace_destroy() - waits for what backing stores have in hand (their deadlines bound it, and
 *  so does destroying them first). Nothing may be open or waiting. What the kernel remembers stays
 *  in the ledger. NULL is fine. */
void namespace_destroy(struct namespace *ns);

/* What stat(2) shows of a node. */
struct namespace_attributes {
	uint64_t id;
	uint64_t ino;
	uint64_t size;
	int64_t mtime_s;
	uint32_t mode; /* S_IFDIR or S_IFREG included */
	uint32_t uid, gid;
	uint64_t attribute_timeout, entry_timeout; /* ns */
};

/** namespace_attributes() - Return: 0 or -ESTALE. That is the answer for a node that is not known,
 *  here and below: the kernel then looks up its path, which may well be there. */
int namespace_attributes(struct namespace *ns, uint64_t id, struct namespace_attributes *out);

struct namespace_lookup {
	/* set by the caller */
	uint64_t parent;
	const char *name; /* borrowed until done */
	/* The kernel's number for its request; 0: it is not the kernel's, and the reference is one
	 * of this process alone, which only the namespace itself can give back. */
	uint64_t unique;
	void (*done)(struct namespace_lookup *lookup);
	char *problem; /* NULL, or BACKING_PROBLEM_MAX bytes for what the backing store said */
	/* set before done; 0: the kernel's reference is counted, namespace_forget() gives it back.
	 * -ENOENT, -ENOTDIR, -ENAMETOOLONG, -EACCES, -EIO, -ETIMEDOUT, -ECANCELED, -ENOMEM (no
	 * room in the ledger, too), -ESTALE the parent */
	int status;
	struct namespace_attributes attributes;
	uint64_t negative_timeout; /* ns; with -ENOENT: how long it may be believed */
	/* private */
	TAILQ_ENTRY(namespace_lookup) link;
	struct flight *flight;
};

/** namespace_lookup_start() - what @name is in directory @parent now. */
int namespace_lookup_start(struct namespace *ns, struct namespace_lookup *lookup);

/** namespace_lookup_cancel() - ends a look-up that waits with -ECANCELED, in its done(); one that
 *  has ended stays as it is. The caller keeps the struct alive until this and done() have
 *  returned. */
void namespace_lookup_cancel(struct namespace *ns, struct namespace_lookup *lookup);

/** namespace_forget() - the kernel gives back @count references. */
void namespace_forget(struct namespace *ns, uint64_t id, uint64_t count);

/* A node whose references changed shortly before the former worker died: it may have counted one
 * for a reply that the kernel never got. What changed since may have changed by what was right: it
 * is a suspect again when it was left alone for a while. */
struct namespace_suspect {
	uint64_t id;
	uint64_t lookups, changed_ns; /* when it was suspected */
};

/**
 * namespace_suspects() - the next of them: to be asked about, and forgotten if the kernel does not
 * know them. Each is given once. One thread at a time.
 * @out: room for @max. Return: how many; 0: those were all for now.
 */
unsigned namespace_suspects(struct namespace *ns, struct namespace_suspect *out, unsigned max);

/** namespace_suspects_later() - whether some were in use and are to be looked at again later. After
 *  namespace_suspects() returned 0. */
bool namespace_suspects_later(struct namespace *ns);

/** namespace_forget_suspect() - the kernel does not know it. Return: false: its references have
 *  changed since it was suspected, and it stays. */
bool namespace_forget_suspect(struct namespace *ns, const struct namespace_suspect *suspect);

/* The object version that a file node stands for. */
struct namespace_file {
	uint64_t id;
	struct backing *backing;
	struct object_version version; /* strings live as long as this struct */
	int64_t mtime_s;
	bool passthrough; /* the node's I/O mode */
	bool fresh;	  /* the node has just taken over the name: who opens it may have been sent
			     here by ESTALE, and must not get another */
	bool confirmed; /* the version had been refused and was then found again: open it anyway */
	bool given;	/* namespace_give() */
	char *dataset;
	/* only from namespace_siblings(); there, id is 0 when the kernel knows no current node */
	uint32_t index; /* in the listing */
	bool awaited; /* its own read has to be seen, for what comes later to be fetched in time */
};

/**
 * namespace_file() - the version behind a node, as one allocation, for namespace_file_free().
 * Return: 0; -EISDIR; -ENOMEM. -ESTALE not known, or @current is asked for and the node is
 *         outdated: the kernel looks the name up again and nobody sees an error.
 */
int namespace_file(struct namespace *ns, uint64_t id, bool current,
		   struct namespace_file **out_file);
void namespace_file_free(struct namespace_file *file); /* NULL is fine */

/** namespace_refused() - the version behind a node is gone from its backing store: the next look-up
 *  of the name asks anew, opening the node gives -ESTALE. */
void namespace_refused(struct namespace *ns, uint64_t id);

/** namespace_supersede() - the file is to be opened in another I/O mode: opening this node gives
 *  -ESTALE, and the next look-up a new node with the same st_ino. */
void namespace_supersede(struct namespace *ns, uint64_t id);

/** namespace_is_passthrough() - the node's I/O mode now. */
bool namespace_is_passthrough(struct namespace *ns, uint64_t id);

/** namespace_fall_back() - the node's mode is direct from now on. Only while no one has it open. */
void namespace_fall_back(struct namespace *ns, uint64_t id);

/** namespace_give() - the file's bytes go to the kernel's page cache, which asks for them or not.
 *  Return: whether for the first time in the life of this node; false of one that is not known. */
bool namespace_give(struct namespace *ns, uint64_t id);

/* Of a sibling, so much counts and should be fetched: a large file read next to others has a
 * read-ahead of its own. */
#define NAMESPACE_SIBLING_MAX (8u << 20)

/**
 * namespace_siblings() - file @id is being read by a new handle; which of its siblings come next.
 * @bytes_max: how many bytes may be ahead. @out_files: room for @max; each to be freed.
 * Return: how many.
 */
unsigned namespace_siblings(struct namespace *ns, uint64_t id, uint64_t bytes_max,
			    struct namespace_file **out_files, unsigned max);

/** namespace_siblings_refused() - of the files that namespace_siblings() gave, those from @index on
 *  were not fetched. */
void namespace_siblings_refused(struct namespace *ns, uint64_t id, uint32_t index);

/**
 * namespace_describe() - where a node comes from: "backing/bucket/key"; a directory's ends with a
 * slash, of one above the entries it is "".
 * Return: 0, -ESTALE, -ENAMETOOLONG.
 */
int namespace_describe(struct namespace *ns, uint64_t id, char *out, size_t out_size);

/* An open directory. */
struct namespace_directory {
	struct node *node;
	struct listing *listing; /* what it reads from; NULL before the first read */
	bool placed;		 /* what offsets mean is settled */
	int64_t shift; /* by how much they are higher than those of a reader from the start */
};

/** namespace_directory_open() - also for a handle of a former worker. Return: 0, -ESTALE,
 *  -ENOTDIR. */
int namespace_directory_open(struct namespace *ns, uint64_t id,
			     struct namespace_directory *directory);
void namespace_directory_close(struct namespace *ns, struct namespace_directory *directory);

struct namespace_read {
	/* set by the caller */
	struct namespace_directory *directory;
	uint64_t offset; /* 0, or as emit() gave it */
	bool plus;	 /* entries come with nodes, each of which the kernel then refers to */
	uint64_t unique; /* the kernel's number for its request; plus: not 0 */
	/* NULL; or, of a handle that a former worker gave out, the entry behind which @offset
	 * continues, or what is known near it: ledger_cursor_near(). Borrowed until done. It has no
	 * effect once this worker knows what the handle's offsets mean. */
	const struct ledger_cursor *resume;
	/* One entry; false when there is no room for it, and it counts as not given. With a lock
	 * held: must not call back. Not @plus: only ino and mode are set. "." and ".." come with
	 * id 0: no reference. */
	bool (*emit)(struct namespace_read *read, const char *name, uint64_t next_offset,
		     const struct namespace_attributes *attributes);
	void (*done)(struct namespace_read *read);
	/* set before done; 0 with nothing emitted: the end */
	int status;
	struct ledger_cursor last; /* the entry emitted last; its off is 0: none that has a name */
	/* private */
	TAILQ_ENTRY(namespace_read) link;
	struct listing *waits; /* for this listing's next entries, or NULL */
	unsigned chunk;	       /* of it */
	bool placed;
	uint32_t position;    /* where it goes on, once it is placed */
	uint64_t deadline_ns; /* ... and by when it must be */
};

/** namespace_read_start() - the entries from an offset on, as soon as the next ones are there. Two
 *  reads of one open directory may run at once. */
int namespace_read_start(struct namespace *ns, struct namespace_read *read);

/** namespace_read_cancel() - as namespace_lookup_cancel(). */
void namespace_read_cancel(struct namespace *ns, struct namespace_read *read);
