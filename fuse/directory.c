/*
 * directory.c - LOOKUP, FORGET, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/inside.h"
#include "fuse/request.h"

#define READDIR_MAX (256u << 10) /* bytes of one answer */
/* No entry with attributes is shorter: bounds the references that one answer can carry. */
#define PLUS_ENTRY_MIN 152

struct name_lookup {
	struct request request;
	struct namespace_lookup lookup;
	char name[];
};

struct open_directory {
	struct mount *mount;
	struct namespace_directory directory;
	LIST_ENTRY(open_directory) link; /* mount.directories */
};

struct directory_read {
	struct request request;
	struct namespace_read read;
	size_t size, used;
	uint64_t *ids; /* that the answer refers to; NULL: not plus */
	unsigned id_count;
	char buffer[];
};

static void entry_param(const struct namespace_attributes *attributes, struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){
		.ino = attributes->id,
		.attr_timeout = seconds(attributes->attribute_timeout),
		.entry_timeout = seconds(attributes->entry_timeout),
	};
	attributes_stat(attributes, &out->attr);
}

/* --- LOOKUP, FORGET -------------------------------------------------------------------------- */

static void lookup_cancel(struct request *request)
{
	struct name_lookup *lookup = CONTAINER_OF(request, struct name_lookup, request);

	namespace_lookup_cancel(request->mount->ns, &lookup->lookup);
}

static void lookup_reply(struct request *request)
{
	const struct name_lookup *lookup = CONTAINER_OF(request, struct name_lookup, request);
	const struct namespace_attributes *attributes = &lookup->lookup.attributes;
	struct fuse_entry_param entry = { 0 };
	uint64_t negative = lookup->lookup.negative_timeout;

	if (lookup->lookup.status == -ENOENT && negative > 0) {
		entry.entry_timeout = seconds(negative); /* node 0: the name is not there */
		fuse_reply_entry(request->fuse, &entry);
		return;
	}
	if (lookup->lookup.status != 0) {
		reply_error(request->mount, request->fuse, lookup->lookup.status);
		return;
	}
	entry_param(attributes, &entry);
	if (fuse_reply_entry(request->fuse, &entry) != 0)
		namespace_forget(request->mount->ns, attributes->id, 1);
}

static void lookup_release(struct request *request)
{
	free(CONTAINER_OF(request, struct name_lookup, request));
}

static void lookup_done(struct namespace_lookup *lookup)
{
	request_done(&CONTAINER_OF(lookup, struct name_lookup, lookup)->request);
}

void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct mount *mount = mount_of(fuse);
	size_t size = strlen(name) + 1;
	struct name_lookup *lookup = calloc(1, sizeof(*lookup) + size);

	if (!lookup) {
		reply_error(mount, fuse, -ENOMEM);
		return;
	}
	request_init(&lookup->request, mount, fuse);
	lookup->request.cancel = lookup_cancel;
	lookup->request.finish = lookup_reply;
	lookup->request.release = lookup_release;
	lookup->lookup.parent = parent;
	lookup->lookup.name = memcpy(lookup->name, name, size);
	lookup->lookup.done = lookup_done;
	if (namespace_lookup_start(mount->ns, &lookup->lookup) == 1)
		request_answer(&lookup->request);
	else
		request_wait(&lookup->request);
}

void op_forget(fuse_req_t fuse, fuse_ino_t id, uint64_t count)
{
	namespace_forget(mount_of(fuse)->ns, id, count);
	fuse_reply_none(fuse);
}

void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		namespace_forget(mount_of(fuse)->ns, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

/* --- OPENDIR, RELEASEDIR ---------------------------------------------------------------------- */

static void directory_close(struct open_directory *handle)
{
	struct mount *mount = handle->mount;

	pthread_mutex_lock(&mount->lock);
	LIST_REMOVE(handle, link);
	pthread_mutex_unlock(&mount->lock);
	namespace_directory_close(mount->ns, &handle->directory);
	free(handle);
}

void directories_close(struct mount *mount)
{
	struct open_directory *handle, *next;

	for (handle = LIST_FIRST(&mount->directories); handle; handle = next) {
		next = LIST_NEXT(handle, link);
		directory_close(handle);
	}
}

void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	struct open_directory *handle = calloc(1, sizeof(*handle));
	int err = handle ? namespace_directory_open(mount->ns, id, &handle->directory) : -ENOMEM;

	if (err) {
		free(handle);
		reply_error(mount, fuse, err);
		return;
	}
	handle->mount = mount;
	pthread_mutex_lock(&mount->lock);
	LIST_INSERT_HEAD(&mount->directories, handle, link);
	pthread_mutex_unlock(&mount->lock);
	info_set_handle(info, handle);
	if (fuse_reply_open(fuse, info) != 0)
		directory_close(handle);
}

void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	(void)id;
	directory_close(info_handle(info));
	fuse_reply_err(fuse, 0);
}

/* --- READDIR, READDIRPLUS --------------------------------------------------------------------- */

static bool directory_emit(struct namespace_read *read, const char *name, uint64_t next_offset,
			   const struct namespace_attributes *attributes)
{
	struct directory_read *answer = CONTAINER_OF(read, struct directory_read, read);
	size_t left = answer->size - answer->used, len;
	struct fuse_entry_param entry;

	if (read->plus) {
		entry_param(attributes, &entry);
		len = fuse_add_direntry_plus(answer->request.fuse, answer->buffer + answer->used,
					     left, name, &entry, (off_t)next_offset);
	} else {
		struct stat st = { .st_ino = attributes->ino, .st_mode = attributes->mode };

		len = fuse_add_direntry(answer->request.fuse, answer->buffer + answer->used, left,
					name, &st, (off_t)next_offset);
	}
	if (len > left)
		return false;
	answer->used += len;
	if (read->plus && attributes->id != 0)
		answer->ids[answer->id_count++] = attributes->id;
	return true;
}

static void directory_cancel(struct request *request)
{
	struct directory_read *answer = CONTAINER_OF(request, struct directory_read, request);

	namespace_read_cancel(request->mount->ns, &answer->read);
}

static void directory_reply(struct request *request)
{
	const struct directory_read *answer = CONTAINER_OF(request, struct directory_read, request);
	struct mount *mount = request->mount;

	if (answer->read.status != 0) {
		reply_error(mount, request->fuse, answer->read.status);
		return;
	}
	if (fuse_reply_buf(request->fuse, answer->buffer, answer->used) == 0)
		return;
	for (unsigned i = 0; i < answer->id_count; i++)
		namespace_forget(mount->ns, answer->ids[i], 1);
}

static void directory_release(struct request *request)
{
	struct directory_read *answer = CONTAINER_OF(request, struct directory_read, request);

	free(answer->ids);
	free(answer);
}

static void directory_done(struct namespace_read *read)
{
	request_done(&CONTAINER_OF(read, struct directory_read, read)->request);
}

static struct directory_read *answer_create(fuse_req_t fuse, size_t size, bool plus)
{
	struct directory_read *answer = malloc(sizeof(*answer) + size);

	if (!answer)
		return NULL;
	memset(answer, 0, sizeof(*answer));
	if (plus) {
		answer->ids = calloc(size / PLUS_ENTRY_MIN + 1, sizeof(*answer->ids));
		if (!answer->ids) {
			free(answer);
			return NULL;
		}
	}
	answer->size = size;
	request_init(&answer->request, mount_of(fuse), fuse);
	answer->request.cancel = directory_cancel;
	answer->request.finish = directory_reply;
	answer->request.release = directory_release;
	return answer;
}

static void directory_read(fuse_req_t fuse, size_t size, off_t off,
			   const struct fuse_file_info *info, bool plus)
{
	struct mount *mount = mount_of(fuse);
	struct open_directory *handle = info_handle(info);
	struct directory_read *answer;

	counter_add(&mount->counters, MOUNT_READDIRS, 1);
	answer = answer_create(fuse, size < READDIR_MAX ? size : READDIR_MAX, plus);
	if (!answer) {
		reply_error(mount, fuse, -ENOMEM);
		return;
	}
	answer->read.directory = &handle->directory;
	answer->read.offset = (uint64_t)off;
	answer->read.plus = plus;
	answer->read.emit = directory_emit;
	answer->read.done = directory_done;
	if (namespace_read_start(mount->ns, &answer->read) == 1)
		request_answer(&answer->request);
	else
		request_wait(&answer->request);
}

void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *info)
{
	(void)id;
	directory_read(fuse, size, off, info, false);
}

void op_readdirplus(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *info)
{
	(void)id;
	directory_read(fuse, size, off, info, true);
}
