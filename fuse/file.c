/*
 * file.c - OPEN, READ, RELEASE.
 *
 * A file that is complete on the SSD is opened in passthrough (passthrough.h): the kernel reads it
 * there, and no READ comes. Others are opened for direct I/O: bytes go from the arena's frames to
 * the reader in one writev(2), and the kernel keeps no second copy. An open file holds a reference
 * to its object version, so that an old one goes on while a new one has its name.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/ahead.h"
#include "fuse/connection.h"
#include "fuse/inside.h"
#include "fuse/readahead.h"
#include "fuse/request.h"

#define SIBLINGS_MAX	80 /* files fetched ahead by one call */
#define READAHEAD_BLOCK (4u << 20)

struct open_file {
	struct handle handle;
	struct mount *mount;
	_Atomic bool ready;	     /* object and size are there, for good */
	struct cache_object *object; /* of a former worker's handle: after the first READ */
	uint64_t size;
	_Atomic bool read; /* the siblings have been thought of */
	pthread_mutex_t lock;
	struct readahead readahead; /* guarded by lock */
};

struct file_read {
	struct request request;
	struct cache_read read;
	struct open_file *file;
	uint64_t started_ns;
};

static struct open_file *open_file_of(struct handle *handle)
{
	return CONTAINER_OF(handle, struct open_file, handle);
}

static void file_put(struct open_file *file)
{
	handle_put(file->mount, &file->handle);
}

void open_file_free(struct mount *mount, struct handle *handle)
{
	struct open_file *file = open_file_of(handle);

	(void)mount;
	cache_object_put(file->object);
	pthread_mutex_destroy(&file->lock);
	free(file);
}

static struct open_file *file_create(struct mount *mount, uint64_t id)
{
	struct open_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	handle_init(&file->handle, id, false);
	file->mount = mount;
	pthread_mutex_init(&file->lock, NULL);
	return file;
}

/* Takes @object. */
static void file_fill(struct open_file *file, const struct namespace_file *named,
		      struct cache_object *object)
{
	file->object = object;
	file->size = named->version.size;
	atomic_store(&file->ready, true);
}

void open_file_close(struct mount *mount, uint64_t number, uint64_t node)
{
	struct handle *handle = handle_remove(mount, number, node, false);

	if (!handle)
		return;
	counter_sub(&mount->counters, MOUNT_HANDLES, 1);
	if (handle->backing_id)
		passthrough_release(mount, node, handle->backing_id);
	handle_put(mount, handle);
}

/* --- of a former worker ----------------------------------------------------------------------- */

struct handle *open_file_adopt(struct mount *mount, uint64_t node, int backing_id)
{
	struct open_file *file = file_create(mount, node);

	if (!file)
		return NULL;
	file->handle.backing_id = backing_id;
	counter_add(&mount->counters, MOUNT_HANDLES, 1);
	return &file->handle;
}

/* What was opened stays open, be it outdated meanwhile. */
static int file_find_locked(struct open_file *file)
{
	struct mount *mount = file->mount;
	struct namespace_file *named;
	struct cache_object *object;
	int err = namespace_file(mount->ns, file->handle.node, false, &named);

	if (err)
		return err;
	err = cache_object_open(mount->cache, &named->version, named->mtime_s, named->backing,
				named->dataset, &object);
	if (!err)
		file_fill(file, named, object);
	namespace_file_free(named);
	return err;
}

static int file_ready(struct open_file *file)
{
	int err = 0;

	if (atomic_load(&file->ready))
		return 0;
	pthread_mutex_lock(&file->lock);
	if (!atomic_load(&file->ready))
		err = file_find_locked(file);
	pthread_mutex_unlock(&file->lock);
	return err;
}

/* A reference to the open file, ready to be read. Of a number that is not known, which should not
 * be, the node still says what is to be read. */
static int file_get(struct mount *mount, uint64_t id, uint64_t number, struct open_file **out_file)
{
	struct handle *handle = handle_get(mount, number, id, false);
	struct open_file *file = handle ? open_file_of(handle) : file_create(mount, id);
	int err = file ? file_ready(file) : -ENOMEM;

	if (!err)
		*out_file = file;
	else if (file)
		file_put(file);
	return err;
}

/* --- OPEN ----------------------------------------------------------------------------------- */

/* Takes @object. *out_file: with a reference beside the kernel's. */
static int file_make(struct mount *mount, const struct namespace_file *named,
		     struct cache_object *object, struct open_file **out_file)
{
	struct open_file *file = file_create(mount, named->id);
	int id, err;

	if (!file) {
		cache_object_put(object);
		return -ENOMEM;
	}
	file_fill(file, named, object);
	id = passthrough_open(mount, named, object);
	file->handle.backing_id = id;
	err = id < 0 ? id : handle_add(mount, &file->handle, channel_request());
	if (err) {
		if (id > 0)
			passthrough_release(mount, named->id, id);
		file_put(file);
		return err;
	}
	counter_add(&mount->counters, MOUNT_HANDLES, 1);
	*out_file = file;
	return 0;
}

/* A version that the backing store has refused is not opened again: ESTALE makes the kernel look
 * the name up, and what it then finds is opened, be it the same version. */
static int file_open(struct mount *mount, uint64_t id, struct open_file **out_file)
{
	struct namespace_file *named;
	struct cache_object *object;
	int err = namespace_file(mount->ns, id, true, &named);

	if (err)
		return err;
	err = cache_object_open(mount->cache, &named->version, named->mtime_s, named->backing,
				named->dataset, &object);
	if (!err && !named->confirmed && cache_object_stale(object)) {
		cache_object_put(object);
		namespace_refused(mount->ns, id);
		err = -ESTALE;
	} else if (!err) {
		err = file_make(mount, named, object, out_file);
	}
	namespace_file_free(named);
	return err;
}

static void siblings_fetch(struct mount *mount, uint64_t id);

/* No READ of it will come. */
static void opened_passthrough(struct mount *mount, uint64_t id, uint64_t size)
{
	counter_add(&mount->counters, MOUNT_OPENS_PASSTHROUGH, 1);
	counter_add(&mount->counters, MOUNT_PASSTHROUGH_BYTES, size);
	siblings_fetch(mount, id);
}

static void open_reply(fuse_req_t fuse, struct fuse_file_info *info, const struct open_file *file)
{
	struct mount *mount = file->mount;
	const struct handle *handle = &file->handle;

	info->fh = handle->number;
	if (handle->backing_id == 0) {
		info->direct_io = 1;
		info->keep_cache = 1; /* pages that a mapping brought in are this version's */
	}
	/* RELEASE may follow the reply at once. */
	if (channel_reply_open(fuse, info, handle->backing_id) != 0) {
		/* Interrupted: there will be none. */
		open_file_close(mount, handle->number, handle->node);
		return;
	}
	handle_replied(mount, handle->number);
	if (handle->backing_id)
		opened_passthrough(mount, handle->node, file->size);
}

/* What a former worker opened for this request, or anew. */
static int file_open_once(struct mount *mount, uint64_t id, struct open_file **out_file)
{
	struct handle *again = handle_again(mount, channel_request(), id, false);

	if (!again)
		return file_open(mount, id, out_file);
	*out_file = open_file_of(again);
	(void)file_ready(*out_file); /* for its size; a READ says what is wrong */
	return 0;
}

void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	struct open_file *file;
	int err;

	counter_add(&mount->counters, MOUNT_OPENS, 1);
	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		reply_error(mount, fuse, -EROFS);
		return;
	}
	err = file_open_once(mount, id, &file);
	if (err) {
		if (err == -ESTALE)
			counter_add(&mount->counters, MOUNT_OPENS_STALE, 1);
		reply_error(mount, fuse, err);
		return;
	}
	open_reply(fuse, info, file);
	file_put(file);
}

/* The kernel does not ask again, of any file, and reads by node. */
void op_open_never(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	(void)id;
	(void)info;
	fuse_reply_err(fuse, ENOSYS);
}

void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	open_file_close(mount_of(fuse), info->fh, id);
	fuse_reply_err(fuse, 0);
}

/* --- fetching ahead -------------------------------------------------------------------------- */

/* How the read fits in with those before it. */
static void read_judge(struct open_file *file, uint64_t off, uint64_t len,
		       struct readahead_advice *out)
{
	struct readahead_limits limits = { .size = file->size,
					   .block = READAHEAD_BLOCK,
					   .max = atomic_load(&file->mount->readahead_max) };

	pthread_mutex_lock(&file->lock);
	readahead_read(&file->readahead, &limits, off, len, out);
	pthread_mutex_unlock(&file->lock);
}

static void ahead_fetch(struct open_file *file, const struct readahead_advice *advice)
{
	for (unsigned i = 0; i < advice->count; i++) {
		const struct readahead_range *range = &advice->ranges[i];
		uint64_t taken =
			cache_prefetch(file->mount->cache, file->object, range->off, range->len);

		if (taken >= range->len)
			continue;
		pthread_mutex_lock(&file->lock);
		readahead_refused(&file->readahead, range->off + taken);
		pthread_mutex_unlock(&file->lock);
		break;
	}
}

static bool sibling_fetch(struct mount *mount, const struct namespace_file *file)
{
	uint64_t len = file->version.size < NAMESPACE_SIBLING_MAX ? file->version.size
								  : NAMESPACE_SIBLING_MAX;
	struct cache_object *object;
	struct object_id id;
	uint64_t taken;

	object_id_of(&file->version, &id);
	if (passthrough_wanted(mount, &id))
		return true; /* the kernel will read it from the SSD, past our memory */
	if (cache_object_open(mount->cache, &file->version, file->mtime_s, file->backing,
			      file->dataset, &object) != 0)
		return false;
	taken = cache_prefetch(mount->cache, object, 0, len);
	cache_object_put(object);
	return taken >= len;
}

/* Of files that are being fetched, and will be read in this order: all but the last, and but those
 * whose READs have to be seen for the sequence to go on in time. */
static void siblings_store(struct mount *mount, struct namespace_file *const *files, unsigned count)
{
	for (unsigned i = 0; i + 1 < count; i++)
		if (files[i]->id != 0 && !files[i]->awaited)
			ahead_next(mount->ahead, files[i]->id);
}

/* A reader begins with a file: those that come next in the directory. */
static void siblings_fetch(struct mount *mount, uint64_t id)
{
	struct namespace_file *files[SIBLINGS_MAX];
	uint64_t bytes_max = atomic_load(&mount->sibling_max);
	unsigned count = 0, fetched = 0;

	if (bytes_max > 0)
		count = namespace_siblings(mount->ns, id, bytes_max, files, SIBLINGS_MAX);
	while (fetched < count && sibling_fetch(mount, files[fetched]))
		fetched++;
	if (fetched < count)
		namespace_siblings_refused(mount->ns, id, files[fetched]->index);
	siblings_store(mount, files, fetched);
	for (unsigned i = 0; i < count; i++)
		namespace_file_free(files[i]);
}

/* --- READ ----------------------------------------------------------------------------------- */

static void read_cancel(struct request *request)
{
	cache_read_cancel(&CONTAINER_OF(request, struct file_read, request)->read);
}

static void read_log(const struct file_read *read, int status)
{
	char where[BACKING_KEY_MAX + 256];

	if (namespace_describe(read->file->mount->ns, read->file->handle.node, where,
			       sizeof(where)))
		snprintf(where, sizeof(where), "?");
	log_warning("mount.read", "object=\"%s\" off=%llu len=%zu error=\"%s\"", where,
		    (unsigned long long)read->read.off, read->read.len, error_text(status));
}

/* Who opens it next is sent to the new version by ESTALE; where files are not opened, by forgetting
 * what the kernel knows of names. An older kernel finds it when that is too old. */
static void read_refused(struct mount *mount, uint64_t node)
{
	namespace_refused(mount->ns, node);
	if (mount->kind == MOUNT_SMALL_FILES)
		(void)connection_forget_names(channel_fd(mount->channel));
}

static void read_reply(struct request *request)
{
	struct file_read *read = CONTAINER_OF(request, struct file_read, request);
	struct mount *mount = request->mount;
	int status = read->read.status;

	histogram_record(&(mount->whole ? mount->whole : mount)->read_latency,
			 clock_now_ns(mount->clock) - read->started_ns);
	if (status == 0) {
		counter_add(&mount->counters, MOUNT_READ_BYTES, read->read.len);
		fuse_reply_iov(request->fuse, read->read.iov, read->read.iov_count);
		cache_read_finish(&read->read);
		return;
	}
	if (status == -ENOENT)
		status = -ESTALE; /* deleted: to who has it open, that is no missing name */
	if (status == -ESTALE)
		read_refused(mount, read->file->handle.node);
	else if (status != -ECANCELED)
		read_log(read, status);
	reply_error(mount, request->fuse, status);
}

static void read_release(struct request *request)
{
	struct file_read *read = CONTAINER_OF(request, struct file_read, request);

	file_put(read->file);
	free(read);
}

static void read_done(struct cache_read *read)
{
	request_done(&CONTAINER_OF(read, struct file_read, read)->request);
}

static struct file_read *read_create(struct open_file *file, fuse_req_t fuse, uint64_t off,
				     size_t len)
{
	struct file_read *read = calloc(1, sizeof(*read));

	if (!read)
		return NULL;
	request_init(&read->request, file->mount, fuse);
	read->request.cancel = read_cancel;
	read->request.finish = read_reply;
	read->request.release = read_release;
	handle_ref(&file->handle);
	read->file = file;
	read->started_ns = clock_now_ns(file->mount->clock);
	read->read.object = file->object;
	read->read.off = off;
	read->read.len = len;
	read->read.done = read_done;
	return read;
}

/* Whether a reader begins with the file. Where there are no handles, who reads its start does. */
static bool read_begins(struct open_file *file, uint64_t off)
{
	if (file->mount->kind != MOUNT_SMALL_FILES)
		return !atomic_exchange(&file->read, true);
	return off == 0;
}

/* @size: at most what is left of the file. */
static void read_start(struct open_file *file, fuse_req_t fuse, uint64_t off, size_t size)
{
	struct mount *mount = file->mount;
	struct readahead_advice advice;
	struct file_read *read = read_create(file, fuse, off, size);
	bool begins = read_begins(file, off);

	if (!read) {
		reply_error(mount, fuse, -ENOMEM);
		return;
	}
	read_judge(file, off, size, &advice);
	/* Without a handle, none has a sequence to it. */
	read->read.random = advice.random && mount->kind != MOUNT_SMALL_FILES;
	if (begins && mount->ahead)
		(void)namespace_give(mount->ns, file->handle.node);
	/* What was asked for goes before what is fetched ahead. */
	if (cache_read_start(mount->cache, &read->read) == 1)
		request_answer(&read->request);
	else
		request_wait(&read->request);
	ahead_fetch(file, &advice);
	if (begins)
		siblings_fetch(mount, file->handle.node);
}

void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	uint64_t at = (uint64_t)off;
	struct open_file *file;
	int err = file_get(mount, id, info->fh, &file);

	counter_add(&mount->counters, MOUNT_READS, 1);
	if (err) {
		reply_error(mount, fuse, err);
		return;
	}
	if (size > CACHE_READ_LEN_MAX)
		size = CACHE_READ_LEN_MAX;
	if (at >= file->size || size == 0)
		fuse_reply_buf(fuse, NULL, 0);
	else
		read_start(file, fuse, at,
			   size > file->size - at ? (size_t)(file->size - at) : size);
	file_put(file); /* RELEASE may have followed the reply at once: not before now */
}
