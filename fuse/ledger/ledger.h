/*
 * ledger.h - what the kernel was promised and has not yet given back: nodes and how often it looked
 * them up, open handles, backing files, the connection's INIT. It lies in shared memory (a memfd)
 * that outlives the worker which wrote it: the next one adopts it and goes on, and who uses the
 * mount sees a pause.
 *
 * A worker may die at any instruction, so each record is written whole before the word that makes
 * it count, and a change of one is a store of one word. What is recorded before the kernel hears of
 * it may be one too many after a death, never one too few: lookups are raised before the reply and
 * lowered after FORGET; handles and backing files are recorded before the reply to OPEN and erased
 * after RELEASE. What can be one too many, the next worker finds and sweeps.
 *
 * The memory is a plain file of fixed tables, sparse: a page costs memory once it was used. It
 * begins with a version; what a worker cannot read it does not read, and starts anew.
 *
 * Locks: none of its own. Each section names who serialises its calls. Sections do not share state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

#define LEDGER_VERSION 1

#define LEDGER_NODES_MAX       (UINT32_C(16) << 20) /* records; one that has a long name takes more */
#define LEDGER_HANDLES_MAX     (UINT32_C(1) << 20)
#define LEDGER_DIRECTORIES_MAX (UINT32_C(1) << 16) /* of the handles: they have a cursor */
#define LEDGER_BACKING_MAX     (UINT32_C(1) << 18)
#define LEDGER_ENTRIES_MAX     2048 /* those of former configurations included */
#define LEDGER_NAME_MAX	       255
#define LEDGER_ETAG_MAX	       127
#define LEDGER_INIT_MAX	       4096
#define LEDGER_INBOXES	       64
#define LEDGER_INBOX_LEN       65536

/* Of a request's number: it comes again, the worker that had it in hand died. */
#define LEDGER_AGAIN (UINT64_C(1) << 63)

struct ledger;

/** ledger_create() - an empty one. Return: 0; -ENOMEM, -EMFILE. */
int ledger_create(struct ledger **out_ledger);

/**
 * ledger_adopt() - the one that a former worker left in @fd, which is taken on success.
 * Return: 0; -EPROTONOSUPPORT another version's; -EBADMSG not one, or not whole; -ENOMEM.
 */
int ledger_adopt(int fd, struct ledger **out_ledger);

/** ledger_check() - whether ledger_adopt() could read it: only its head is looked at, and nothing
 *  changed, while another may be writing it. Return: 0, or as ledger_adopt(). */
int ledger_check(int fd);

/** ledger_fd() - the descriptor of its memory, for who keeps it. Borrowed. */
int ledger_fd(const struct ledger *ledger);

/**
 * ledger_disown() - another worker goes on with it as it is now: what this process still changes is
 * seen by nobody else. Any thread may be using it meanwhile.
 */
void ledger_disown(struct ledger *ledger);

/** ledger_destroy() - lets go of it; the memory lives while another holds its descriptor. NULL is
 *  fine. */
void ledger_destroy(struct ledger *ledger);

/** ledger_adopted() - CLOCK_MONOTONIC of ledger_adopt(); 0: it was created. */
uint64_t ledger_adopted_ns(const struct ledger *ledger);

/* --- the connection. Threads: before others run. ---------------------------------------------- */

/** ledger_set_init() - the kernel's INIT message, as read. @len: at most LEDGER_INIT_MAX. */
void ledger_set_init(struct ledger *ledger, const void *message, size_t len);

/** ledger_init() - Return: its length, 0: none was saved. @out: LEDGER_INIT_MAX bytes. */
size_t ledger_init(const struct ledger *ledger, void *out);

/** ledger_init_of() - the same from a ledger that could not be adopted: INIT is at the same place
 *  in all versions. Return: its length; 0: none was saved, or @fd is no ledger. */
size_t ledger_init_of(int fd, void *out);

/**
 * ledger_inbox() - where thread @index of the channel reads its requests: what was read and not
 * processed when the worker died is still there. FORGET is never sent again: without this it would
 * be lost, and the node with it.
 */
void *ledger_inbox(struct ledger *ledger, unsigned index);

/** ledger_entries_digest() - tells mount entry @index of the writer's configuration apart from
 *  others; 0: none. ledger_set_entries(): @digests of all, at most LEDGER_ENTRIES_MAX. A death
 *  leaves each as it was or as it is to be: one that nodes still name must not be replaced. */
uint64_t ledger_entries_digest(const struct ledger *ledger, unsigned index);
void ledger_set_entries(struct ledger *ledger, const uint64_t *digests, unsigned count);

/* --- nodes. Threads: the namespace's lock. ---------------------------------------------------- */

enum ledger_node_flag {
	LEDGER_NODE_OUTDATED = 1,
	LEDGER_NODE_PASSTHROUGH = 2,
	LEDGER_NODE_SUPERSEDED = 4,
	LEDGER_NODE_CONFIRMED = 8,
};

struct ledger_node {
	uint64_t id, parent;
	uint64_t size;
	int64_t mtime_s;
	uint64_t made_ns; /* as in struct node */
	int16_t entry;
	uint8_t kind;	  /* enum node_kind */
	uint8_t flags;	  /* enum ledger_node_flag */
	const char *name; /* when read: the ledger's until the next is read, NUL-ended */
	size_t name_len;
	const char *etag;
};

/** ledger_node_add() - Return: 0 with its place; -ENOSPC. */
int ledger_node_add(struct ledger *ledger, const struct ledger_node *node, uint32_t *out_place);

/** ledger_node_set() - size, mtime, made_ns and flags; the rest of @node is not looked at. */
void ledger_node_set(struct ledger *ledger, uint32_t place, const struct ledger_node *node);

/** ledger_node_remove() - the kernel does not know it. */
void ledger_node_remove(struct ledger *ledger, uint32_t place);

/**
 * ledger_node_raise() - one lookup more, for the reply to request @unique.
 * @unique: of struct fuse_in_header, with or without LEDGER_AGAIN.
 */
void ledger_node_raise(struct ledger *ledger, uint32_t place, uint64_t unique);

/**
 * ledger_undo() - request @unique comes again: the kernel never had its reply, so what a
 * former worker raised for it is lowered, each by one. To be called before it is served.
 * @each: told of each node that was lowered, by its id; may remove it.
 */
void ledger_undo(struct ledger *ledger, uint64_t unique, void (*each)(void *context, uint64_t id),
		 void *context);

/** ledger_node_lower() - @count lookups less, at least 0 remain. Return: what remains. */
uint64_t ledger_node_lower(struct ledger *ledger, uint32_t place, uint64_t count);

uint64_t ledger_node_lookups(const struct ledger *ledger, uint32_t place);

/** ledger_node_changed_ns() - when its lookups last changed, CLOCK_MONOTONIC. */
uint64_t ledger_node_changed_ns(const struct ledger *ledger, uint32_t place);

/** ledger_nodes_each() - all that were there at ledger_adopt(), in no order. @each: may remove the
 *  one it is given; not 0 ends the walk. Return: what @each last returned. */
int ledger_nodes_each(struct ledger *ledger,
		      int (*each)(void *context, uint32_t place, const struct ledger_node *node),
		      void *context);

/** ledger_id_base() - above every node id that was given out: node ids are recorded by
 * ledger_node_add(). */
uint64_t ledger_id_base(const struct ledger *ledger);

/* --- handles. Threads: the mount's lock. ------------------------------------------------------ */

struct ledger_handle {
	uint64_t number; /* what OPEN gave out: never 0, never used twice */
	uint64_t node;
	uint64_t unique;    /* of its OPEN, without bit 63 */
	int32_t backing_id; /* or 0 */
	bool directory;
	bool replied; /* the kernel has it: a RELEASE will come */
};

/** ledger_handle_add() - @handle: number and replied are not looked at.
 *  Return: 0 with its number; -ENFILE. */
int ledger_handle_add(struct ledger *ledger, const struct ledger_handle *handle,
		      uint64_t *out_number);

/** ledger_handle_replied() - nothing happens when it is no longer there. */
void ledger_handle_replied(struct ledger *ledger, uint64_t number);
void ledger_handle_remove(struct ledger *ledger, uint64_t number);

/** ledger_handle_place() - a small number of its own while it lives, below LEDGER_HANDLES_MAX, to
 *  index by. */
static inline uint32_t ledger_handle_place(uint64_t number)
{
	return (uint32_t)(number & (LEDGER_HANDLES_MAX - 1));
}

/** ledger_handle() - Return: false when there is none of that number. */
bool ledger_handle(const struct ledger *ledger, uint64_t number, struct ledger_handle *out);

/** ledger_handles_each() - as ledger_nodes_each(). */
int ledger_handles_each(struct ledger *ledger,
			int (*each)(void *context, const struct ledger_handle *handle),
			void *context);

/* Where a directory's reader is: the entry behind which offset @off continues. */
struct ledger_cursor {
	uint64_t off;
	uint8_t name_len;
	char name[LEDGER_NAME_MAX + 1];
	bool directory; /* the entry is one: it sorts as its name and a slash */
};

/** ledger_cursor_set() - what the reply that is about to go continues with. The one before it is
 *  kept, too: the request may come again. Nothing for a handle that has no room for one. */
void ledger_cursor_set(struct ledger *ledger, uint64_t number, const struct ledger_cursor *cursor);

/** ledger_cursor() - the entry behind which @off continues. Return: false: not known. */
bool ledger_cursor(const struct ledger *ledger, uint64_t number, uint64_t off,
		   struct ledger_cursor *out);

/**
 * ledger_cursor_near() - the same; when @off is not known, what is known nearest before it, or else
 * behind it: @out->off says where. A reader whose memory is shorter than a reply goes on in the
 * middle of it.
 */
bool ledger_cursor_near(const struct ledger *ledger, uint64_t number, uint64_t off,
			struct ledger_cursor *out);

/* --- backing files. Threads: the passthrough's lock. ------------------------------------------ */

struct ledger_backing {
	int32_t id;	    /* of the kernel, above 0 */
	uint32_t directory; /* index of the cache directory */
	uint64_t node;
	struct object_id object;
};

/** ledger_backing_add() - Return: 0 or -ENOSPC. */
int ledger_backing_add(struct ledger *ledger, const struct ledger_backing *backing);
void ledger_backing_remove(struct ledger *ledger, int32_t id);

/** ledger_backings_each() - as ledger_nodes_each(). */
int ledger_backings_each(struct ledger *ledger,
			 int (*each)(void *context, const struct ledger_backing *backing),
			 void *context);

/** ledger_backing_last() - the highest id ever recorded; the kernel gives them out in ascending
 *  order, so that one taken and not recorded before a death lies above it. */
int32_t ledger_backing_last(const struct ledger *ledger);
