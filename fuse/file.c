/*
 * file.c - OPEN, READ, RELEASE.
 *
 * A file that is complete on the SSD is opened in passthrough (passthrough.h): the kernel reads it
 * there, and no READ comes. Others are opened for direct I/O: bytes go from the arena's frames to
 * the reader in one writev(2), and the kernel keeps no second copy. A handle holds a reference to
 * its object version, so that an old one goes on while a new one has its name.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/inside.h"
#include "fuse/readahead.h"
#include "fuse/request.h"

#define SIBLINGS_MAX	80 /* files fetched ahead by one call */
#define READAHEAD_BLOCK (4u << 20)

/* References: the kernel's, from OPEN to RELEASE, and one of each read under way. */
struct open_file {
	struct mount *mount;
	uint64_t id;
	struct cache_object *object;
	uint64_t size;
	int backing_id; /* passthrough; or 0 */
	_Atomic unsigned refs;
	_Atomic bool read; /* the siblings have been thought of */
	pthread_mutex_t lock;
	struct readahead readahead; /* guarded by lock */
	LIST_ENTRY(open_file) link; /* mount.files */
};

struct file_read {
	struct request request;
	struct cache_read read;
	struct open_file *handle;
	uint64_t started_ns;
};

static void handle_put(struct open_file *handle)
{
	if (atomic_fetch_sub(&handle->refs, 1) > 1)
		return;
	cache_object_put(handle->object);
	pthread_mutex_destroy(&handle->lock);
	free(handle);
}

static struct open_file *handle_create(struct mount *mount, const struct namespace_file *file,
				       struct cache_object *object)
{
	struct open_file *handle = calloc(1, sizeof(*handle));

	if (!handle)
		return NULL;
	handle->mount = mount;
	handle->id = file->id;
	handle->object = object;
	handle->size = file->version.size;
	atomic_init(&handle->refs, 1);
	pthread_mutex_init(&handle->lock, NULL);
	pthread_mutex_lock(&mount->lock);
	LIST_INSERT_HEAD(&mount->files, handle, link);
	pthread_mutex_unlock(&mount->lock);
	counter_add(&mount->counters, MOUNT_HANDLES, 1);
	return handle;
}

static void handle_close(struct open_file *handle)
{
	struct mount *mount = handle->mount;

	pthread_mutex_lock(&mount->lock);
	LIST_REMOVE(handle, link);
	pthread_mutex_unlock(&mount->lock);
	counter_sub(&mount->counters, MOUNT_HANDLES, 1);
	if (handle->backing_id)
		passthrough_release(mount, handle->id);
	handle_put(handle);
}

void files_close(struct mount *mount)
{
	struct open_file *handle, *next;

	for (handle = LIST_FIRST(&mount->files); handle; handle = next) {
		next = LIST_NEXT(handle, link);
		handle_close(handle);
	}
}

/* --- OPEN ----------------------------------------------------------------------------------- */

static int handle_make(struct mount *mount, const struct namespace_file *file,
		       struct cache_object *object, struct open_file **out_handle)
{
	struct open_file *handle;
	int id = passthrough_open(mount, file, object);

	if (id < 0)
		return id;
	handle = handle_create(mount, file, object);
	if (handle)
		handle->backing_id = id;
	else if (id > 0)
		passthrough_release(mount, file->id);
	*out_handle = handle;
	return handle ? 0 : -ENOMEM;
}

/* A version that the backing store has refused is not opened again: ESTALE makes the kernel look
 * the name up, and what it then finds is opened, be it the same version. */
static int handle_open(struct mount *mount, uint64_t id, struct open_file **out_handle)
{
	struct namespace_file *file;
	struct cache_object *object = NULL;
	int err = namespace_file(mount->ns, id, true, &file);

	if (err)
		return err;
	err = cache_object_open(mount->cache, &file->version, file->mtime_s, file->backing,
				file->dataset, &object);
	if (!err && !file->confirmed && cache_object_stale(object)) {
		namespace_refused(mount->ns, id);
		err = -ESTALE;
	}
	if (!err)
		err = handle_make(mount, file, object, out_handle);
	if (err)
		cache_object_put(object);
	namespace_file_free(file);
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

void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	struct open_file *handle;
	int err, backing_id;
	uint64_t size;

	counter_add(&mount->counters, MOUNT_OPENS, 1);
	if ((info->flags & O_ACCMODE) != O_RDONLY) {
		reply_error(mount, fuse, -EROFS);
		return;
	}
	err = handle_open(mount, id, &handle);
	if (err) {
		if (err == -ESTALE)
			counter_add(&mount->counters, MOUNT_OPENS_STALE, 1);
		reply_error(mount, fuse, err);
		return;
	}
	info_set_handle(info, handle);
	if (handle->backing_id == 0) {
		info->direct_io = 1;
		info->keep_cache = 1; /* pages that a mapping brought in are this version's */
	}
	size = handle->size;
	backing_id = handle->backing_id;
	/* RELEASE may follow the reply at once: the handle is not ours any more. */
	if (channel_reply_open(fuse, info, backing_id) != 0)
		handle_close(handle); /* interrupted: there will be no RELEASE */
	else if (backing_id)
		opened_passthrough(mount, id, size);
}

void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	(void)id;
	handle_close(info_handle(info));
	fuse_reply_err(fuse, 0);
}

/* --- fetching ahead -------------------------------------------------------------------------- */

/* How the read fits in with those before it. */
static void read_judge(struct open_file *handle, uint64_t off, uint64_t len,
		       struct readahead_advice *out)
{
	struct readahead_limits limits = { .size = handle->size,
					   .block = READAHEAD_BLOCK,
					   .max = atomic_load(&handle->mount->readahead_max) };

	pthread_mutex_lock(&handle->lock);
	readahead_read(&handle->readahead, &limits, off, len, out);
	pthread_mutex_unlock(&handle->lock);
}

static void ahead_fetch(struct open_file *handle, const struct readahead_advice *advice)
{
	for (unsigned i = 0; i < advice->count; i++) {
		const struct readahead_range *range = &advice->ranges[i];
		uint64_t taken = cache_prefetch(handle->mount->cache, handle->object, range->off,
						range->len);

		if (taken >= range->len)
			continue;
		pthread_mutex_lock(&handle->lock);
		readahead_refused(&handle->readahead, range->off + taken);
		pthread_mutex_unlock(&handle->lock);
		break;
	}
}

static bool sibling_fetch(struct mount *mount, const struct namespace_file *file)
{
	uint64_t len = file->version.size < NAMESPACE_SIBLING_MAX ? file->version.size
								  : NAMESPACE_SIBLING_MAX;
	struct cache_object *object;
	uint64_t taken;

	if (cache_object_open(mount->cache, &file->version, file->mtime_s, file->backing,
			      file->dataset, &object) != 0)
		return false;
	taken = cache_prefetch(mount->cache, object, 0, len);
	cache_object_put(object);
	return taken >= len;
}

/* The first read of a handle: the files that come next in the directory. */
static void siblings_fetch(struct mount *mount, uint64_t id)
{
	struct namespace_file *files[SIBLINGS_MAX];
	uint64_t bytes_max = atomic_load(&mount->sibling_max);
	unsigned count = 0;
	bool going = true;

	if (bytes_max > 0)
		count = namespace_siblings(mount->ns, id, bytes_max, files, SIBLINGS_MAX);
	for (unsigned i = 0; i < count; i++) {
		if (going && !sibling_fetch(mount, files[i])) {
			namespace_siblings_refused(mount->ns, id, files[i]->index);
			going = false;
		}
		namespace_file_free(files[i]);
	}
}

/* --- READ ----------------------------------------------------------------------------------- */

static void read_cancel(struct request *request)
{
	cache_read_cancel(&CONTAINER_OF(request, struct file_read, request)->read);
}

static void read_log(const struct file_read *read, int status)
{
	char where[BACKING_KEY_MAX + 256];

	if (namespace_describe(read->handle->mount->ns, read->handle->id, where, sizeof(where)))
		snprintf(where, sizeof(where), "?");
	log_warning("mount.read", "object=\"%s\" off=%llu len=%zu error=\"%s\"", where,
		    (unsigned long long)read->read.off, read->read.len, error_text(status));
}

static void read_reply(struct request *request)
{
	struct file_read *read = CONTAINER_OF(request, struct file_read, request);
	struct mount *mount = request->mount;
	int status = read->read.status;

	histogram_record(&mount->read_latency, clock_now_ns(mount->clock) - read->started_ns);
	if (status == 0) {
		counter_add(&mount->counters, MOUNT_READ_BYTES, read->read.len);
		fuse_reply_iov(request->fuse, read->read.iov, read->read.iov_count);
		cache_read_finish(&read->read);
		return;
	}
	if (status == -ENOENT)
		status = -ESTALE; /* deleted: to who has it open, that is no missing name */
	if (status == -ESTALE)
		namespace_refused(mount->ns, read->handle->id);
	else if (status != -ECANCELED)
		read_log(read, status);
	reply_error(mount, request->fuse, status);
}

static void read_release(struct request *request)
{
	struct file_read *read = CONTAINER_OF(request, struct file_read, request);

	handle_put(read->handle);
	free(read);
}

static void read_done(struct cache_read *read)
{
	request_done(&CONTAINER_OF(read, struct file_read, read)->request);
}

static struct file_read *read_create(struct open_file *handle, fuse_req_t fuse, uint64_t off,
				     size_t len)
{
	struct file_read *read = calloc(1, sizeof(*read));

	if (!read)
		return NULL;
	request_init(&read->request, handle->mount, fuse);
	read->request.cancel = read_cancel;
	read->request.finish = read_reply;
	read->request.release = read_release;
	atomic_fetch_add(&handle->refs, 1);
	read->handle = handle;
	read->started_ns = clock_now_ns(handle->mount->clock);
	read->read.object = handle->object;
	read->read.off = off;
	read->read.len = len;
	read->read.done = read_done;
	return read;
}

void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *info)
{
	struct open_file *handle = info_handle(info);
	struct mount *mount = handle->mount;
	uint64_t at = (uint64_t)off;
	struct readahead_advice advice;
	struct file_read *read;

	(void)id;
	counter_add(&mount->counters, MOUNT_READS, 1);
	if (at >= handle->size || size == 0) {
		fuse_reply_buf(fuse, NULL, 0);
		return;
	}
	if (size > CACHE_READ_LEN_MAX)
		size = CACHE_READ_LEN_MAX;
	if (size > handle->size - at)
		size = (size_t)(handle->size - at);
	read = read_create(handle, fuse, at, size);
	if (!read) {
		reply_error(mount, fuse, -ENOMEM);
		return;
	}
	read_judge(handle, at, size, &advice);
	read->read.random = advice.random;
	atomic_fetch_add(&handle->refs, 1); /* for us: RELEASE may follow the reply at once */
	/* What was asked for goes before what is fetched ahead. */
	if (cache_read_start(mount->cache, &read->read) == 1)
		request_answer(&read->request);
	else
		request_wait(&read->request);
	ahead_fetch(handle, &advice);
	if (!atomic_exchange(&handle->read, true))
		siblings_fetch(mount, handle->id);
	handle_put(handle);
}
