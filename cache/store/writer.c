/*
 * writer.c - the thread that turns admitted blocks into files. Making and opening files waits for
 * the file system, so it is done here and not where blocks arrive.
 *
 * An object file gets its whole blocks of 4 KiB by O_DIRECT through the ring; the rest of its last
 * block goes through the page cache, to its exact length. (Padding to 4 KiB and cutting off with
 * ftruncate costs half as much again per file: the cut reads the block back.) A file of several
 * blocks is given its full size first: writes inside a file run in parallel, those that extend it
 * do not.
 *
 * At most DIRECTORY_WRITES_MAX writes are with the kernel, so that reads find room, and no more is
 * written ahead of the commits than uncommitted_max: that much may be lost or left over in a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/store/directory.h"

#define DIRECT_ALIGN 4096

static struct store_write *write_of(struct ring_op *op)
{
	return CONTAINER_OF(op, struct store_write, p.op);
}

static void log_failure(const struct directory *d, const struct store_write *write, int error)
{
	char id[OBJECT_ID_TEXT_LEN];

	digest_hex(write->object->id.bytes, OBJECT_ID_LEN, id);
	log_warning("store.write", "directory=%s object=%s block=%llu error=\"%s\"", d->path, id,
		    (unsigned long long)write->block, error_text(error));
}

static int public_status(int error)
{
	if (error == 0 || error == -ECANCELED)
		return error;
	return error == -ENOSPC || error == -EDQUOT ? -ENOSPC : -EIO;
}

/* Takes the block to where commits find it, or gives its room back; then done() runs. */
static void end(struct store_write *write, int error)
{
	struct directory *d = write->p.directory;
	uint64_t promised;
	int fd;

	if (error && error != -ECANCELED) {
		counter_add(d->counters, STORE_WRITE_ERRORS, 1);
		log_failure(d, write, error);
		directory_error(d, "write", error);
	}
	pthread_mutex_lock(&d->lock);
	if (!error && d->state != DIRECTORY_OPEN)
		error = -EIO;
	fd = pending_written(&d->pending, write->p.block, error == 0, clock_now_ns(d->clock),
			     &promised);
	d->space.promised -= promised;
	d->writes_under_way--;
	pthread_cond_signal(&d->wake_writer);
	if (error)
		pthread_cond_broadcast(&d->settled);
	if (commit_due_locked(d) || d->pending.queued_count == 1)
		pthread_cond_signal(&d->wake_committer);
	pthread_mutex_unlock(&d->lock);
	if (fd >= 0)
		close(fd);
	if (!error) {
		counter_add(d->counters, STORE_WRITES, 1);
		counter_add(d->counters, STORE_WRITE_BYTES, write->len);
	}
	write->status = public_status(error);
	write->done(write);
	directory_leave(d);
}

/* --- object files --- */

static void direct_start(struct store_write *write);

static void direct_done(struct ring_op *op)
{
	struct store_write *write = write_of(op);

	if (op->result == -EAGAIN || op->result == -EINTR) {
		direct_start(write);
		return;
	}
	if (op->result <= 0) {
		end(write, op->result ? op->result : -EIO);
		return;
	}
	write->p.got += (uint32_t)op->result;
	if (write->p.got >= write->p.want)
		end(write, 0);
	else if (op->result % DIRECT_ALIGN)
		end(write, -EIO);
	else /* cut short, as at the end of the space: the rest tells why */
		direct_start(write);
}

static void direct_start(struct store_write *write)
{
	struct directory *d = write->p.directory;
	uint64_t off = write->block * d->block_len + write->p.got;

	write->p.op = (struct ring_op){
		.kind = RING_WRITE,
		.fd = pending_object_of(write->p.block)->fd,
		.data = (char *)write->data + write->p.got,
		.len = write->p.want - write->p.got,
		.off = off,
		.done = direct_done,
	};
	ring_start_op(d->ring, &write->p.op);
}

/* @path's file for writing, made if need be with the folder it is in. */
static int open_file(struct directory *d, const struct object_id *id, const char *path)
{
	const struct files *files = d->files;
	int flags = O_WRONLY | O_CREAT | O_DIRECT;
	int fd = files->open(files, d->layout.root_fd, path, flags);
	char folder[STORE_PATH_LEN];
	int error;

	if (fd != -ENOENT)
		return fd;
	layout_folder_path(id, folder);
	error = files->make_directory(files, d->layout.root_fd, folder);
	if (!error)
		error = files->sync_directory(files, d->layout.root_fd, "objects");
	if (error && error != -EEXIST)
		return error;
	return files->open(files, d->layout.root_fd, path, flags);
}

static int open_object(struct directory *d, struct pending_object_info *object)
{
	uint64_t size = object->contents.version.size;
	char path[STORE_PATH_LEN];
	int error = 0;
	int fd;

	if (object->fd >= 0)
		return 0;
	layout_object_path(&object->contents.id, path);
	fd = open_file(d, &object->contents.id, path);
	if (fd == -EACCES && handout_sealed_at(d, path))
		return -EBUSY;
	if (fd < 0)
		return fd;
	if (handout_sealed(fd)) {
		close(fd);
		return -EBUSY;
	}
	if (size > d->block_len)
		error = d->files->truncate(d->files, fd, size);
	if (error) {
		close(fd);
		return error;
	}
	pthread_mutex_lock(&d->lock);
	object->fd = fd;
	object->created = true;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

/* The bytes behind the last whole 4 KiB of the object. */
static int write_tail(struct directory *d, const struct store_write *write)
{
	uint32_t tail = write->len % DIRECT_ALIGN;
	char path[STORE_PATH_LEN];
	int fd, error;

	if (tail == 0)
		return 0;
	layout_object_path(&write->object->id, path);
	fd = d->files->open(d->files, d->layout.root_fd, path, O_WRONLY);
	if (fd < 0)
		return fd;
	error = d->files->write(d->files, fd, (char *)write->data + write->len - tail, tail,
				write->block * d->block_len + write->len - tail);
	close(fd);
	return error;
}

static void write_object(struct directory *d, struct store_write *write)
{
	int error = open_object(d, pending_object_of(write->p.block));

	/* The file was handed out: it is not written any more, and there will be another. */
	if (error == -EBUSY) {
		replace_queue(d, &write->object->id);
		end(write, -ECANCELED);
		return;
	}
	if (!error)
		error = write_tail(d, write);
	write->p.got = 0;
	write->p.want = write->len - write->len % DIRECT_ALIGN;
	if (error || write->p.want == 0)
		end(write, error);
	else
		direct_start(write);
}

/* --- packed objects --- */

struct segment_query {
	uint32_t dataset;
	uint32_t replicas; /* of it: where the last one went, 0: to none; not asked for: NOT_WANTED
			    */
	uint32_t number;
	struct record_segment record;
};

#define NOT_WANTED UINT32_MAX

/* The segment that the dataset was last appended to; number 0: there is none. */
static int query_segment(struct index_txn *txn, void *argument)
{
	struct segment_query *query = argument;
	struct record_dataset dataset;
	uint32_t last = query->replicas;
	int error = 0;

	query->number = 0;
	if (query->replicas == NOT_WANTED) {
		error = index_dataset_get(txn, query->dataset, &dataset);
		last = error ? 0 : dataset.segment;
	}
	if (!error && last) {
		error = index_segment_get(txn, last, &query->record);
		if (!error && query->record.dataset == query->dataset)
			query->number = last;
	}
	return error == -ENOENT || error == -EBADMSG ? 0 : error;
}

static struct segment_query start_query(struct directory *d, uint32_t dataset)
{
	struct segment_query query = { .dataset = dataset & ~SEGMENTS_REPLICAS,
				       .replicas = NOT_WANTED };

	if (dataset & SEGMENTS_REPLICAS) {
		pthread_mutex_lock(&d->lock);
		query.replicas = datasets_get(&d->policy.datasets, query.dataset)->replica_segment;
		pthread_mutex_unlock(&d->lock);
	}
	return query;
}

static bool segment_has_room(const struct directory *d, uint32_t len, uint32_t count, uint32_t more)
{
	return len <= d->segment_len && more <= d->segment_len - len && count < SEGMENT_OBJECTS_MAX;
}

/* Opens the file of a segment that was just given its place. What lies behind the committed length
 * is left from a crash. */
static int open_segment(struct directory *d, struct segment *segment, uint32_t len, uint32_t count)
{
	char path[LAYOUT_SEGMENT_LEN];
	int error, fd;

	layout_segment_path(segment->number, path);
	fd = d->files->open(d->files, d->layout.root_fd, path, O_WRONLY | O_CREAT);
	if (fd < 0)
		return fd;
	error = d->files->truncate(d->files, fd, len);
	if (error) {
		close(fd);
		return error;
	}
	pthread_mutex_lock(&d->lock);
	segment->fd = fd;
	segment->len = len;
	segment->count = count;
	segment->created = true;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

/* All places are taken by segments with uncommitted objects: a commit frees them. */
static void wait_group(struct directory *d)
{
	d->flush_waiters++;
	pthread_cond_signal(&d->wake_committer);
	thread_cond_wait_until(&d->settled, &d->lock,
			       clock_after_ns(clock_now_ns(clock_system()), NS_PER_S));
	d->flush_waiters--;
}

static int add_segment(struct directory *d, uint32_t dataset, uint32_t number,
		       struct segment **out_segment)
{
	int old_fd;

	pthread_mutex_lock(&d->lock);
	*out_segment = segments_add(&d->segments, dataset, number, &old_fd);
	if (!*out_segment && !number) {
		wait_group(d);
		*out_segment = segments_add(&d->segments, dataset, number, &old_fd);
	}
	if (*out_segment && (dataset & SEGMENTS_REPLICAS))
		datasets_replica_segment(&d->policy.datasets, dataset & ~SEGMENTS_REPLICAS,
					 (*out_segment)->number);
	pthread_mutex_unlock(&d->lock);
	if (old_fd >= 0)
		close(old_fd);
	return *out_segment ? 0 : -EAGAIN;
}

static void retire(struct directory *d, struct segment *segment)
{
	pthread_mutex_lock(&d->lock);
	segments_retire(segment);
	pthread_mutex_unlock(&d->lock);
}

/* A segment that the index knows, if it has room; or a new one. Referenced. */
static int another_segment(struct directory *d, uint32_t dataset, uint32_t more,
			   struct segment **out_segment)
{
	struct segment_query query = start_query(d, dataset);
	int error = index_read(d->index, query_segment, &query);

	if (error)
		return error;
	if (query.number && segment_has_room(d, query.record.len, query.record.count, more) &&
	    add_segment(d, dataset, query.number, out_segment) == 0) {
		/* Eviction may have removed it before it was known to be in use. */
		error = index_read(d->index, query_segment, &query);
		if (!error && query.number == (*out_segment)->number)
			error = open_segment(d, *out_segment, query.record.len, query.record.count);
		else if (!error)
			error = -ENOENT;
		if (!error)
			return 0;
		retire(d, *out_segment);
		if (error != -ENOENT)
			return error;
	}
	error = add_segment(d, dataset, 0, out_segment);
	if (error)
		return error;
	error = open_segment(d, *out_segment, 0, 0);
	if (error)
		retire(d, *out_segment);
	return error;
}

static int take_segment(struct directory *d, uint32_t dataset, uint32_t more,
			struct segment **out_segment)
{
	struct segment *segment;

	pthread_mutex_lock(&d->lock);
	segment = segments_find(&d->segments, dataset);
	pthread_mutex_unlock(&d->lock);
	*out_segment = segment;
	if (segment && segment_has_room(d, segment->len, segment->count, more))
		return 0;
	if (segment)
		retire(d, segment);
	return another_segment(d, dataset, more, out_segment);
}

static void write_packed(struct directory *d, struct store_write *write)
{
	struct pending_block_info *block = pending_block_of(write->p.block);
	uint32_t dataset = pending_object_of(write->p.block)->contents.dataset;
	bool replica = !directory_owns(d, &write->object->id, write->block);
	struct segment *segment;
	int error;

	if (replica)
		dataset |= SEGMENTS_REPLICAS;
	error = take_segment(d, dataset, write->len, &segment);
	if (error) {
		end(write, error);
		return;
	}
	error = d->files->write(d->files, segment->fd, write->data, write->len, segment->len);
	if (error) {
		retire(d, segment);
		end(write, error);
		return;
	}
	pthread_mutex_lock(&d->lock);
	block->segment = segment->number;
	block->segment_off = segment->len;
	block->replica = replica;
	segment->len += write->len;
	segment->count++;
	pthread_mutex_unlock(&d->lock);
	end(write, 0); /* the committer gives the reference back */
}

/* --- the thread --- */

static bool may_write_locked(const struct directory *d)
{
	if (STAILQ_EMPTY(&d->writes))
		return false;
	if (d->ending || d->state != DIRECTORY_OPEN)
		return true; /* to end what waits */
	return d->writes_under_way < DIRECTORY_WRITES_MAX &&
	       d->pending.put_bytes < d->uncommitted_max &&
	       d->pending.put_count < 2 * DIRECTORY_GROUP_BLOCKS;
}

static struct store_write *take_write(struct directory *d, int *out_error)
{
	struct store_write *write = NULL;

	pthread_mutex_lock(&d->lock);
	while (!may_write_locked(d) && !d->ending)
		pthread_cond_wait(&d->wake_writer, &d->lock);
	write = STAILQ_FIRST(&d->writes);
	if (write) {
		STAILQ_REMOVE_HEAD(&d->writes, p.link);
		d->writes_under_way++;
		*out_error = d->ending ? -ECANCELED : d->state != DIRECTORY_OPEN ? -EIO : 0;
	}
	pthread_mutex_unlock(&d->lock);
	return write;
}

void writer_main(struct directory *d)
{
	struct store_write *write;
	int error = 0;

	while ((write = take_write(d, &error)) != NULL) {
		if (error)
			end(write, error);
		else if (write->object->version.size <= STORE_PACKED_MAX)
			write_packed(d, write);
		else
			write_object(d, write);
	}
}

static void refused_done(struct ring_op *op)
{
	struct store_write *write = write_of(op);

	write->status = op->result;
	write->done(write);
}

bool directory_write(struct directory *d, struct store_write *write)
{
	struct pending_block *block;
	uint64_t promised;
	int refused = 0;
	int fd = -1;

	CHECK(((uintptr_t)write->data & (DIRECT_ALIGN - 1)) == 0 && write->len > 0);
	write->p.directory = d;
	pthread_mutex_lock(&d->lock);
	block = pending_find_admitted(&d->pending, &write->object->id, write->block);
	write->p.block = block;
	if (block && (d->stopping || d->state != DIRECTORY_OPEN || pending_doomed(block))) {
		refused = d->stopping ? -ECANCELED : -EIO;
		fd = pending_written(&d->pending, block, false, 0, &promised);
		d->space.promised -= promised;
	} else if (block) {
		pending_write(&d->pending, block, write->checks);
		d->users++;
		STAILQ_INSERT_TAIL(&d->writes, write, p.link);
		pthread_cond_signal(&d->wake_writer);
	}
	pthread_mutex_unlock(&d->lock);
	if (fd >= 0)
		close(fd);
	if (refused) {
		write->p.op = (struct ring_op){ .kind = RING_NONE,
						.result = refused,
						.done = refused_done };
		ring_start_op(d->ring, &write->p.op);
	}
	return block != NULL;
}
