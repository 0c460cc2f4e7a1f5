/*
 * passthrough.c - see passthrough.h.
 */
#include "fuse/passthrough.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/inside.h"

void passthrough_init(struct passthrough *passthrough, bool wanted)
{
	CHECK(pthread_mutex_init(&passthrough->lock, NULL) == 0);
	atomic_init(&passthrough->wanted, wanted);
	idle_init(&passthrough->idle);
}

/* --- what is possible ------------------------------------------------------------------------- */

static void reason_add(struct passthrough *passthrough, const char *path, int error)
{
	size_t len = strlen(passthrough->reason);
	char *at = passthrough->reason + len;
	size_t left = sizeof(passthrough->reason) - len;
	const char *comma = len ? "; " : "";

	if (error == -EPERM)
		snprintf(at, left, "%sthe daemon has no CAP_SYS_ADMIN outside of containers",
			 comma);
	else if (error == -ELOOP)
		snprintf(at, left, "%s%s is on overlayfs or another stacked file system", comma,
			 path);
	else
		snprintf(at, left, "%s%s: %s", comma, path, error_text(error));
}

/* What the kernel says to a file of a directory. Return: 0 or why not. */
static int probe(struct mount *mount, unsigned index)
{
	int fd = cache_handout_probe(mount->cache, index);
	int id;

	if (fd == -ENODEV)
		return 0; /* it may come back, and the first open will tell */
	if (fd < 0)
		return fd;
	id = channel_backing_open(mount->channel, fd);
	close(fd);
	if (id < 0)
		return id;
	channel_backing_close(mount->channel, id);
	return 0;
}

/* Files of this directory are not asked for any more, until the setting is read again. */
static void refuse_locked(struct mount *mount, unsigned index, int error)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct cache_directory_status status;

	cache_directory_status(mount->cache, index, &status);
	cache_handout_allow(mount->cache, index, false);
	if (error != -EPERM || !strstr(passthrough->reason, "CAP_SYS_ADMIN"))
		reason_add(passthrough, status.path, error);
	log_notice("mount.passthrough", "directory=%s refused: error=\"%s\"", status.path,
		   error_text(error));
}

static void find_out_locked(struct mount *mount)
{
	struct passthrough *passthrough = &mount->passthrough;
	unsigned count = cache_directory_count(mount->cache);
	bool wanted = atomic_load(&passthrough->wanted);

	passthrough->reason[0] = '\0';
	passthrough->usable = 0;
	if (!wanted)
		snprintf(passthrough->reason, sizeof(passthrough->reason),
			 "mount.passthrough is off");
	else if (!passthrough->possible)
		snprintf(passthrough->reason, sizeof(passthrough->reason),
			 "this kernel has no FUSE passthrough (6.9 and later do)");
	else if (count == 0)
		snprintf(passthrough->reason, sizeof(passthrough->reason),
			 "there is no cache directory");
	for (unsigned i = 0; i < count; i++) {
		int error = wanted && passthrough->possible ? probe(mount, i) : 0;
		bool allowed = wanted && passthrough->possible && !error;

		passthrough->usable += allowed;
		cache_handout_allow(mount->cache, i, allowed);
		if (error)
			refuse_locked(mount, i, error);
	}
	if (passthrough->usable)
		idle_start_locked(mount);
	log_notice("mount.passthrough", "%s%s%s", passthrough->usable ? "on" : "off",
		   passthrough->reason[0] ? ": " : "", passthrough->reason);
}

void passthrough_start(struct mount *mount)
{
	struct passthrough *passthrough = &mount->passthrough;

	pthread_mutex_lock(&passthrough->lock);
	passthrough->started = true;
	passthrough->possible = channel_passthrough(mount->channel);
	find_out_locked(mount);
	pthread_mutex_unlock(&passthrough->lock);
}

void passthrough_reload(struct mount *mount, bool wanted)
{
	struct passthrough *passthrough = &mount->passthrough;

	pthread_mutex_lock(&passthrough->lock);
	if (atomic_exchange(&passthrough->wanted, wanted) != wanted && passthrough->started)
		find_out_locked(mount);
	pthread_mutex_unlock(&passthrough->lock);
}

bool passthrough_status(struct mount *mount, char *out, size_t out_size)
{
	struct passthrough *passthrough = &mount->passthrough;
	bool used;

	pthread_mutex_lock(&passthrough->lock);
	used = passthrough->usable > 0;
	snprintf(out, out_size, "%s", passthrough->reason);
	pthread_mutex_unlock(&passthrough->lock);
	return used;
}

/* --- opens ------------------------------------------------------------------------------------ */

bool passthrough_wanted(void *context, const struct object_id *id)
{
	struct mount *mount = context;

	return atomic_load(&mount->passthrough.wanted) &&
	       cache_handout_ready(mount->cache, id, false);
}

/* Its last open has ended. Return: whether it might be opened again. */
static bool give_back_locked(struct mount *mount, struct backing_file *file)
{
	counter_sub(&mount->counters, MOUNT_BACKING_FILES, 1);
	return cache_handback(mount->cache, &file->handout);
}

/* Closed first: a record too many is closed once more by the next worker, an id too many by nobody.
 */
void backing_file_close_locked(struct mount *mount, struct backing_file *file)
{
	channel_backing_close(mount->channel, file->id);
	ledger_backing_remove(mount->ledger, file->id);
	free(file);
}

void passthrough_stop(struct mount *mount)
{
	idle_stop(mount);
}

void passthrough_fini(struct mount *mount)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file = passthrough->files, *next;

	HASH_CLEAR(hh, passthrough->files);
	for (; file; file = next) {
		next = file->hh.next;
		if (file->opens > 0)
			(void)give_back_locked(mount, file);
		if (mount->left)
			free(file);
		else
			backing_file_close_locked(mount, file);
	}
	idle_fini(&passthrough->idle);
	pthread_mutex_destroy(&passthrough->lock);
}

/* Registers a file, and records it. Return: an id, or an error. */
static int register_locked(struct mount *mount, uint64_t node, const struct cache_handout *handout)
{
	struct ledger_backing record = { .directory = handout->directory,
					 .node = node,
					 .object = handout->id };
	int id = channel_backing_open(mount->channel, handout->fd);
	int err;

	if (id <= 0)
		return id;
	record.id = id;
	err = ledger_backing_add(mount->ledger, &record);
	if (err)
		channel_backing_close(mount->channel, id);
	return err ? err : id;
}

/* The kernel took the file, or says why not. Return: an id, or an error. */
static int hand_over_locked(struct mount *mount, uint64_t node, struct cache_object *object,
			    struct cache_handout *out)
{
	int err = cache_handout(object, out);
	int id;

	if (err)
		return err;
	id = register_locked(mount, node, out);
	close(out->fd); /* the kernel holds it */
	out->fd = -1;
	if (id > 0)
		return id;
	(void)cache_handback(mount->cache, out);
	if (id == -EPERM || id == -ELOOP || id == -EOPNOTSUPP) {
		refuse_locked(mount, out->directory, id);
		mount->passthrough.usable -= mount->passthrough.usable > 0;
	}
	return id;
}

/* Return: an id above 0, or 0. */
static int first_open_locked(struct mount *mount, uint64_t node, struct cache_object *object)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file = calloc(1, sizeof(*file));

	if (!file)
		return 0;
	file->node = node;
	file->opens = 1;
	file->id = hand_over_locked(mount, node, object, &file->handout);
	if (file->id <= 0) {
		free(file);
		return 0;
	}
	counter_add(&mount->counters, MOUNT_BACKING_FILES, 1);
	HASH_ADD(hh, passthrough->files, node, sizeof(file->node), file);
	if (!file->hh.tbl) {
		(void)give_back_locked(mount, file);
		backing_file_close_locked(mount, file);
		return 0;
	}
	return file->id;
}

/* Opens by the id that is idle, or closes it. Return: whether it is open. */
static bool open_again_locked(struct mount *mount, struct backing_file *file,
			      struct cache_object *object)
{
	struct passthrough *passthrough = &mount->passthrough;

	idle_take_locked(mount, file);
	if (atomic_load(&passthrough->wanted) && cache_handout_again(object, &file->handout)) {
		file->opens = 1;
		counter_add(&mount->counters, MOUNT_BACKING_FILES, 1);
		return true;
	}
	HASH_DELETE(hh, passthrough->files, file);
	backing_file_close_locked(mount, file);
	return false;
}

static bool may_share(struct mount *mount, const struct namespace_file *named,
		      const struct backing_file *file, bool wanted)
{
	if (wanted && cache_handout_current(mount->cache, &file->handout))
		return true;
	return named->fresh && cache_handout_sound(mount->cache, &file->handout);
}

static int open_locked(struct mount *mount, const struct namespace_file *named,
		       struct cache_object *object)
{
	struct passthrough *passthrough = &mount->passthrough;
	bool wanted = atomic_load(&passthrough->wanted);
	struct backing_file *file;
	int id;

	HASH_FIND(hh, passthrough->files, &named->id, sizeof(named->id), file);
	if (file && file->opens == 0) {
		if (open_again_locked(mount, file, object))
			return file->id;
		file = NULL;
	}
	if (file && may_share(mount, named, file, wanted)) {
		file->opens++;
		return file->id;
	}
	if (file)
		return -ESTALE;
	/* Another open of this node may have turned it meanwhile. */
	if (!namespace_is_passthrough(mount->ns, named->id))
		return 0;
	id = wanted ? first_open_locked(mount, named->id, object) : 0;
	if (id == 0)
		namespace_fall_back(mount->ns, named->id);
	return id;
}

int passthrough_open(struct mount *mount, const struct namespace_file *named,
		     struct cache_object *object)
{
	struct passthrough *passthrough = &mount->passthrough;
	int id = 0;

	if (named->passthrough) {
		pthread_mutex_lock(&passthrough->lock);
		id = open_locked(mount, named, object);
		pthread_mutex_unlock(&passthrough->lock);
	} else if (atomic_load(&passthrough->wanted) &&
		   cache_handout_ready(mount->cache, cache_object_id(object), true) &&
		   !named->fresh) {
		id = -ESTALE;
	}
	if (id == -ESTALE)
		namespace_supersede(mount->ns, named->id);
	return id;
}

void passthrough_release(struct mount *mount, uint64_t node, int backing_id)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file;

	pthread_mutex_lock(&passthrough->lock);
	HASH_FIND(hh, passthrough->files, &node, sizeof(node), file);
	if (file && file->id == backing_id && --file->opens == 0) {
		if (!give_back_locked(mount, file) || !idle_put_locked(mount, file)) {
			HASH_DELETE(hh, passthrough->files, file);
			backing_file_close_locked(mount, file);
		}
	}
	pthread_mutex_unlock(&passthrough->lock);
}

/* --- of a former worker ----------------------------------------------------------------------- */

#define UNRECORDED_MAX 4096 /* ids that are closed on suspicion; threads of a worker are fewer */

/* The node of a handle that is open in passthrough. Return: NULL: no memory. */
static struct backing_file *file_of_handle_locked(struct mount *mount, const struct handle *handle)
{
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file;

	HASH_FIND(hh, passthrough->files, &handle->node, sizeof(handle->node), file);
	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->node = handle->node;
	file->id = handle->backing_id;
	file->handout.directory = UINT_MAX; /* of none, until its record is found: never current */
	HASH_ADD(hh, passthrough->files, node, sizeof(file->node), file);
	if (!file->hh.tbl) {
		free(file);
		return NULL;
	}
	counter_add(&mount->counters, MOUNT_BACKING_FILES, 1);
	return file;
}

static int opens_count_locked(struct mount *mount)
{
	const struct handle *handle = LIST_FIRST(&mount->handles.open);
	struct backing_file *file;

	for (; handle; handle = LIST_NEXT(handle, link)) {
		if (handle->backing_id <= 0)
			continue;
		file = file_of_handle_locked(mount, handle);
		if (!file)
			return -ENOMEM;
		file->opens += file->id == handle->backing_id;
	}
	return 0;
}

/* An id that no handle has was for an OPEN that will come again, or was about to be closed. */
static int adopt_locked(void *context, const struct ledger_backing *record)
{
	struct mount *mount = context;
	struct passthrough *passthrough = &mount->passthrough;
	struct backing_file *file;

	HASH_FIND(hh, passthrough->files, &record->node, sizeof(record->node), file);
	if (file && file->id == record->id) {
		cache_handout_adopt(mount->cache, record->directory, &record->object,
				    &file->handout);
		return 0;
	}
	channel_backing_close(mount->channel, record->id);
	ledger_backing_remove(mount->ledger, record->id);
	return 0;
}

/* What was registered after the last one that is recorded, by a worker that died at once: it lies
 * below what a file gets that is registered now. Once the kernel begins at 1 again, after 2^31
 * registrations, nothing is found. */
static void unrecorded_close_locked(struct mount *mount)
{
	int last = ledger_backing_last(mount->ledger);
	int probe = channel_backing_open(mount->channel, ledger_fd(mount->ledger));

	if (probe <= 0)
		return;
	if (last < probe - UNRECORDED_MAX)
		last = probe - UNRECORDED_MAX;
	for (int id = probe - 1; id > last && id > 0; id--)
		channel_backing_close(mount->channel, id);
	channel_backing_close(mount->channel, probe);
}

int passthrough_adopt(struct mount *mount)
{
	struct passthrough *passthrough = &mount->passthrough;
	int err;

	pthread_mutex_lock(&passthrough->lock);
	err = opens_count_locked(mount);
	if (!err)
		err = ledger_backings_each(mount->ledger, adopt_locked, mount);
	if (!err && channel_passthrough(mount->channel))
		unrecorded_close_locked(mount);
	pthread_mutex_unlock(&passthrough->lock);
	return err;
}
