/*
 * handles.h - what OPEN and OPENDIR gave out and RELEASE gives back: numbers, and behind each an
 * open file or directory (file.c, directory.c), of which a struct handle is the beginning.
 *
 *	OPEN	handle_add()	recorded in the ledger, then known by its number
 *		the reply	the kernel took it: handle_replied(); else handle_remove()
 *	READ	handle_get()	a reference, until handle_put()
 *	RELEASE	handle_remove()	first from the ledger, then replied: a death in between brings
 *				the RELEASE again, of a number that nobody knows: it succeeds
 *
 * A number is never given out twice, and is not a pointer: the next worker knows it, too. It finds
 * the handles of its predecessor in the ledger and makes each again, without asking anyone: what
 * stands behind one is found at its first READ. Of some it is not known whether the kernel has
 * them, since the worker died about the time of its reply. If the kernel does not have it, the OPEN
 * comes again, and is given that same handle (handle_again()). If it does, the OPEN does not come,
 * and a RELEASE will. An opener that is killed in between sends neither: its handle stays, at most
 * one for each thread of the worker that died.
 *
 * A READ takes no lock here: the table is read by place, and the kernel sends no RELEASE of a
 * handle that it has requests under way for. One number may be another handle's in a ledger that
 * had to be begun anew under an old connection: the node is compared as well.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct ledger_cursor;
struct mount;
struct handle;
struct handle_slot;
struct handle_again;

/* References: the kernel's, from OPEN to RELEASE, and one of each request under way. */
struct handle {
	/* set by the maker */
	uint64_t node;
	bool directory;
	int backing_id; /* passthrough; or 0 */
	/* private */
	uint64_t number; /* 0: nobody knows it by a number */
	_Atomic unsigned refs;
	struct handle_again *again; /* its OPEN may come again */
	LIST_ENTRY(handle) link;    /* handles.open */
};

LIST_HEAD(open_handles, handle);

struct handles {
	struct handle_slot *slots; /* LEDGER_HANDLES_MAX, by place; memory as far as used */
	/* guarded by mount.lock */
	struct open_handles open;
	struct handle_again *again; /* by the request that opened: those that may come again */
};

/** handles_init() - Return: 0 or -ENOMEM. */
int handles_init(struct handles *handles);

/** handles_adopt() - makes those again that the ledger has. After the namespace has its nodes and
 *  before the first request. Return: 0 or -ENOMEM. */
int handles_adopt(struct mount *mount);

/** handles_fini() - closes those that the kernel will not release any more; when the mount was
 *  left, only forgets them. Before passthrough_fini(). */
void handles_fini(struct mount *mount);

/** handle_init() - one reference: the maker's. */
void handle_init(struct handle *handle, uint64_t node, bool directory);

/** handle_add() - gives it a number, and the kernel a reference of its own. Nothing of it may be
 *  changed any more. @unique: of the request that opens. Return: 0; -ENFILE. */
int handle_add(struct mount *mount, struct handle *handle, uint64_t unique);

/** handle_replied() - the kernel has @number, and may have released it already. */
void handle_replied(struct mount *mount, uint64_t number);

/**
 * handle_again() - what a former worker opened of @node for request @unique, which comes again.
 * Once.
 * Return: it, with a reference more; NULL: none was, or it is a new request.
 */
struct handle *handle_again(struct mount *mount, uint64_t unique, uint64_t node, bool directory);

/** handle_ref() - one more reference, for handle_put(). */
static inline void handle_ref(struct handle *handle)
{
	atomic_fetch_add(&handle->refs, 1);
}

/** handle_get() - a reference to @node's handle of that number. Return: NULL: there is none. */
struct handle *handle_get(struct mount *mount, uint64_t number, uint64_t node, bool directory);

/** handle_remove() - takes the number away. Return: it, with the kernel's reference; or NULL. */
struct handle *handle_remove(struct mount *mount, uint64_t number, uint64_t node, bool directory);

/**
 * handle_cursor_set() - what the next READDIR of that open directory continues behind; nothing when
 * @cursor->off is 0, or of no number. handle_cursor_get() - behind what one of offset @off does,
 * for a former worker's. Return: false: not known.
 */
void handle_cursor_set(struct mount *mount, uint64_t number, const struct ledger_cursor *cursor);
bool handle_cursor_get(struct mount *mount, uint64_t number, uint64_t off,
		       struct ledger_cursor *out);

/** handle_put() - the last one frees it. */
void handle_put(struct mount *mount, struct handle *handle);

/* What file.c and directory.c do for handles.c. Of each pair, the one that fits. */

/** open_file_adopt(), open_directory_adopt() - of a former worker: the same handle as it had.
 *  Return: NULL: no memory. */
struct handle *open_file_adopt(struct mount *mount, uint64_t node, int backing_id);
struct handle *open_directory_adopt(struct mount *mount, uint64_t node);

/** open_file_close(), open_directory_close() - RELEASE of a handle; nothing when it is unknown. */
void open_file_close(struct mount *mount, uint64_t number, uint64_t node);
void open_directory_close(struct mount *mount, uint64_t number, uint64_t node);

/** open_file_free(), open_directory_free() - nobody refers to it any more. */
void open_file_free(struct mount *mount, struct handle *handle);
void open_directory_free(struct mount *mount, struct handle *handle);
