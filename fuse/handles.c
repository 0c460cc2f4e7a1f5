/*
 * handles.c - see handles.h. A slot holds the number beside the handle, so that a number that is
 * not known is found out without looking at a handle that may be another's.
 */
#include "fuse/handles.h"

#include <errno.h>
#include <stdlib.h>

/* For want of memory an element is not added, and its handle has no table. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/log.h"
#include "fuse/inside.h"

struct handle_slot {
	_Atomic uint64_t number; /* 0: free */
	struct handle *_Atomic handle;
};

/* Of a handle whose OPEN may come again. Few: the threads of a worker that died. */
struct handle_again {
	uint64_t unique; /* of that request, the first time */
	struct handle *handle;
	UT_hash_handle hh;
};

int handles_init(struct handles *handles)
{
	LIST_INIT(&handles->open);
	handles->slots = calloc(LEDGER_HANDLES_MAX, sizeof(*handles->slots));
	return handles->slots ? 0 : -ENOMEM;
}

static struct handle_slot *slot_of(struct mount *mount, uint64_t number)
{
	return &mount->handles.slots[ledger_handle_place(number)];
}

/* --- those that may be opened again ----------------------------------------------------------- */

static void again_remove_locked(struct mount *mount, struct handle *handle)
{
	struct handle_again *again = handle->again;

	if (!again)
		return;
	/* It is in the table, so there is one. */
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	HASH_DELETE(hh, mount->handles.again, again);
	handle->again = NULL;
	free(again);
}

static int again_add_locked(struct mount *mount, struct handle *handle, uint64_t unique)
{
	struct handle_again *again = calloc(1, sizeof(*again));

	if (!again)
		return -ENOMEM;
	again->unique = unique;
	again->handle = handle;
	HASH_ADD(hh, mount->handles.again, unique, sizeof(again->unique), again);
	if (!again->hh.tbl) {
		free(again);
		return -ENOMEM;
	}
	handle->again = again;
	return 0;
}

struct handle *handle_again(struct mount *mount, uint64_t unique, uint64_t node, bool directory)
{
	struct handle *handle = NULL;
	struct handle_again *again;

	if (!(unique & CHANNEL_AGAIN))
		return NULL;
	unique &= ~CHANNEL_AGAIN;
	pthread_mutex_lock(&mount->lock);
	HASH_FIND(hh, mount->handles.again, &unique, sizeof(unique), again);
	if (again && again->handle->node == node && again->handle->directory == directory) {
		handle = again->handle;
		handle_ref(handle);
		again_remove_locked(mount, handle);
	}
	pthread_mutex_unlock(&mount->lock);
	return handle;
}

/* --- the table -------------------------------------------------------------------------------- */

void handle_init(struct handle *handle, uint64_t node, bool directory)
{
	handle->node = node;
	handle->directory = directory;
	atomic_init(&handle->refs, 1);
}

static void insert_locked(struct mount *mount, struct handle *handle, uint64_t number)
{
	struct handle_slot *slot = slot_of(mount, number);

	handle->number = number;
	LIST_INSERT_HEAD(&mount->handles.open, handle, link);
	atomic_store(&slot->handle, handle);
	atomic_store(&slot->number, number);
}

int handle_add(struct mount *mount, struct handle *handle, uint64_t unique)
{
	const struct ledger_handle record = {
		.node = handle->node,
		.unique = unique & ~CHANNEL_AGAIN,
		.backing_id = handle->backing_id,
		.directory = handle->directory,
	};
	uint64_t number;
	int err;

	pthread_mutex_lock(&mount->lock);
	err = ledger_handle_add(mount->ledger, &record, &number);
	if (!err) {
		handle_ref(handle);
		insert_locked(mount, handle, number);
	}
	pthread_mutex_unlock(&mount->lock);
	return err;
}

void handle_replied(struct mount *mount, uint64_t number)
{
	pthread_mutex_lock(&mount->lock);
	ledger_handle_replied(mount->ledger, number);
	pthread_mutex_unlock(&mount->lock);
}

static struct handle *find(struct mount *mount, uint64_t number, uint64_t node, bool directory)
{
	const struct handle_slot *slot = slot_of(mount, number);
	struct handle *handle;

	if (number == 0 || atomic_load(&slot->number) != number)
		return NULL;
	handle = atomic_load(&slot->handle);
	return handle->node == node && handle->directory == directory ? handle : NULL;
}

struct handle *handle_get(struct mount *mount, uint64_t number, uint64_t node, bool directory)
{
	struct handle *handle = find(mount, number, node, directory);

	if (handle)
		handle_ref(handle);
	return handle;
}

/* The slot's handle is left: only its number says that there is one. */
static void take_out_locked(struct mount *mount, struct handle *handle)
{
	atomic_store(&slot_of(mount, handle->number)->number, 0);
	LIST_REMOVE(handle, link);
	again_remove_locked(mount, handle);
}

struct handle *handle_remove(struct mount *mount, uint64_t number, uint64_t node, bool directory)
{
	struct handle *handle;

	pthread_mutex_lock(&mount->lock);
	handle = find(mount, number, node, directory);
	if (handle) {
		take_out_locked(mount, handle);
		ledger_handle_remove(mount->ledger, number);
	}
	pthread_mutex_unlock(&mount->lock);
	return handle;
}

void handle_put(struct mount *mount, struct handle *handle)
{
	if (atomic_fetch_sub(&handle->refs, 1) > 1)
		return;
	if (handle->directory)
		open_directory_free(mount, handle);
	else
		open_file_free(mount, handle);
}

/* --- where a directory's reader is ------------------------------------------------------------ */

void handle_cursor_set(struct mount *mount, uint64_t number, const struct ledger_cursor *cursor)
{
	if (number == 0 || cursor->off == 0)
		return;
	pthread_mutex_lock(&mount->lock);
	ledger_cursor_set(mount->ledger, number, cursor);
	pthread_mutex_unlock(&mount->lock);
}

bool handle_cursor_get(struct mount *mount, uint64_t number, uint64_t off,
		       struct ledger_cursor *out)
{
	bool known;

	pthread_mutex_lock(&mount->lock);
	known = ledger_cursor_near(mount->ledger, number, off, out);
	pthread_mutex_unlock(&mount->lock);
	return known;
}

/* --- the next worker -------------------------------------------------------------------------- */

struct adoption {
	struct mount *mount;
	unsigned count, unanswered;
};

static int adopt(void *context, const struct ledger_handle *record)
{
	struct adoption *adoption = context;
	struct mount *mount = adoption->mount;
	struct handle *handle = record->directory
					? open_directory_adopt(mount, record->node)
					: open_file_adopt(mount, record->node, record->backing_id);

	if (!handle)
		return -ENOMEM;
	insert_locked(mount, handle, record->number);
	adoption->count++;
	if (record->replied)
		return 0;
	adoption->unanswered++;
	return again_add_locked(mount, handle, record->unique);
}

int handles_adopt(struct mount *mount)
{
	struct adoption adoption = { .mount = mount };
	int err = ledger_handles_each(mount->ledger, adopt, &adoption); /* nobody else runs yet */

	if (!err && adoption.count > 0)
		log_notice("mount.handles", "count=%u unanswered=%u", adoption.count,
			   adoption.unanswered);
	return err;
}

static void forget_all(struct mount *mount)
{
	struct handle *handle;

	while ((handle = LIST_FIRST(&mount->handles.open))) {
		pthread_mutex_lock(&mount->lock);
		take_out_locked(mount, handle);
		pthread_mutex_unlock(&mount->lock);
		handle_put(mount, handle);
	}
}

void handles_fini(struct mount *mount)
{
	struct handle *handle, *next;

	for (handle = LIST_FIRST(&mount->handles.open); handle && !mount->left; handle = next) {
		next = LIST_NEXT(handle, link);
		if (handle->directory)
			open_directory_close(mount, handle->number, handle->node);
		else
			open_file_close(mount, handle->number, handle->node);
	}
	forget_all(mount);
	free(mount->handles.slots);
	mount->handles.slots = NULL;
}
