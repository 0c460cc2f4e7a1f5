/*
 * directory.c - LOOKUP, FORGET, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse/ahead.h"
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
	struct handle handle;
	struct namespace_directory directory; /* its node is NULL: the namespace knows it not */
	bool adopted; /* a former worker's: the ledger knows where its reader is */
};

struct directory_read {
	struct request request;
	struct namespace_read read;
	struct open_directory *directory;
	struct ledger_cursor resume; /* of read */
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
	lookup->lookup.unique = channel_request();
	lookup->lookup.parent = parent;
	lookup->lookup.name = memcpy(lookup->name, name, size);
	lookup->lookup.done = lookup_done;
	if (namespace_lookup_start(mount->ns, &lookup->lookup) == 1)
		request_answer(&lookup->request);
	else
		request_wait(&lookup->request);
}

/* --- OPENDIR, RELEASEDIR ---------------------------------------------------------------------- */

static struct open_directory *open_directory_of(struct handle *handle)
{
	return CONTAINER_OF(handle, struct open_directory, handle);
}

void open_directory_free(struct mount *mount, struct handle *handle)
{
	struct open_directory *directory = open_directory_of(handle);

	if (directory->directory.node)
		namespace_directory_close(mount->ns, &directory->directory);
	free(directory);
}

static int directory_create(struct mount *mount, uint64_t id, struct open_directory **out_directory)
{
	struct open_directory *directory = calloc(1, sizeof(*directory));
	int err;

	if (!directory)
		return -ENOMEM;
	handle_init(&directory->handle, id, true);
	err = namespace_directory_open(mount->ns, id, &directory->directory);
	if (err)
		directory->directory.node = NULL;
	*out_directory = directory;
	return err;
}

struct handle *open_directory_adopt(struct mount *mount, uint64_t node)
{
	struct open_directory *directory = NULL;

	/* Of a node that is not known, reading it says so. */
	(void)directory_create(mount, node, &directory);
	if (!directory)
		return NULL;
	directory->adopted = true;
	return &directory->handle;
}

void open_directory_close(struct mount *mount, uint64_t number, uint64_t node)
{
	struct handle *handle = handle_remove(mount, number, node, true);

	if (handle)
		handle_put(mount, handle);
}

static int directory_open(struct mount *mount, uint64_t id, struct handle **out_handle)
{
	struct open_directory *directory = NULL;
	int err = directory_create(mount, id, &directory);

	if (!err)
		err = handle_add(mount, &directory->handle, channel_request());
	if (!err)
		*out_handle = &directory->handle;
	else if (directory)
		handle_put(mount, &directory->handle);
	return err;
}

void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	/* What a former worker opened for this request, or anew. */
	struct handle *handle = handle_again(mount, channel_request(), id, true);
	int err = handle ? 0 : directory_open(mount, id, &handle);

	if (err) {
		reply_error(mount, fuse, err);
		return;
	}
	info->fh = handle->number;
	if (fuse_reply_open(fuse, info) == 0)
		handle_replied(mount, handle->number);
	else
		open_directory_close(mount, handle->number, id);
	handle_put(mount, handle);
}

void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	open_directory_close(mount_of(fuse), info->fh, id);
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
	/* Before the reply: a worker that dies after it leaves where the reader goes on. */
	handle_cursor_set(mount, answer->directory->handle.number, &answer->read.last);
	if (fuse_reply_buf(request->fuse, answer->buffer, answer->used) == 0) {
		ahead_listed(mount->ahead, answer->ids, answer->id_count);
		return;
	}
	for (unsigned i = 0; i < answer->id_count; i++)
		namespace_forget(mount->ns, answer->ids[i], 1);
}

static void directory_release(struct request *request)
{
	struct directory_read *answer = CONTAINER_OF(request, struct directory_read, request);

	handle_put(request->mount, &answer->directory->handle);
	free(answer->ids);
	free(answer);
}

static void directory_done(struct namespace_read *read)
{
	request_done(&CONTAINER_OF(read, struct directory_read, read)->request);
}

static struct directory_read *answer_create(size_t size, bool plus)
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
	answer->read.plus = plus;
	answer->read.emit = directory_emit;
	answer->read.done = directory_done;
	return answer;
}

/* Takes a reference to @directory. */
static void answer_start(struct directory_read *answer, fuse_req_t fuse,
			 struct open_directory *directory, uint64_t off)
{
	struct mount *mount = mount_of(fuse);

	request_init(&answer->request, mount, fuse);
	answer->request.cancel = directory_cancel;
	answer->request.finish = directory_reply;
	answer->request.release = directory_release;
	answer->directory = directory;
	answer->read.directory = &directory->directory;
	answer->read.offset = off;
	answer->read.unique = channel_request();
	if (directory->adopted &&
	    handle_cursor_get(mount, directory->handle.number, off, &answer->resume))
		answer->read.resume = &answer->resume;
	if (namespace_read_start(mount->ns, &answer->read) == 1)
		request_answer(&answer->request);
	else
		request_wait(&answer->request);
}

/* A reference to the open directory. Of a number that is not known, which should not be, the node
 * still says what is to be read. */
static int directory_get(struct mount *mount, uint64_t id, uint64_t number,
			 struct open_directory **out_directory)
{
	struct handle *handle = handle_get(mount, number, id, true);
	struct open_directory *directory = handle ? open_directory_of(handle) : NULL;
	int err = 0;

	if (!directory)
		err = directory_create(mount, id, &directory);
	else if (!directory->directory.node)
		err = -ESTALE;
	if (!err)
		*out_directory = directory;
	else if (directory)
		handle_put(mount, &directory->handle);
	return err;
}

static void directory_read(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off,
			   const struct fuse_file_info *info, bool plus)
{
	struct mount *mount = mount_of(fuse);
	struct open_directory *directory;
	struct directory_read *answer;
	int err = directory_get(mount, id, info->fh, &directory);

	counter_add(&mount->counters, MOUNT_READDIRS, 1);
	if (err) {
		reply_error(mount, fuse, err);
		return;
	}
	answer = answer_create(size < READDIR_MAX ? size : READDIR_MAX, plus);
	if (answer) {
		answer_start(answer, fuse, directory, (uint64_t)off);
		return;
	}
	handle_put(mount, &directory->handle);
	reply_error(mount, fuse, -ENOMEM);
}

void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *info)
{
	directory_read(fuse, id, size, off, info, false);
}

void op_readdirplus(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *info)
{
	directory_read(fuse, id, size, off, info, true);
}
