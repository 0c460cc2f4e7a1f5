/*
 * reader.c - reading granules: looked up, opened, read, verified.
 *
 * An object file is read with O_DIRECT straight into the caller's memory; the length is rounded up
 * to 4 KiB, which at the end of a file simply ends early. A packed object lies at any offset, so
 * its segment is read through the page cache: for a few KiB that costs less than reading its
 * surroundings and copying, and small objects are often neighbours.
 *
 * A file is opened inline when that needs no I/O, else by the ring: no caller waits for a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "cache/store/directory.h"

#define DIRECT_ALIGN 4096
#define LOOKS_MAX    4 /* into the index, by one read */

static struct store_read *read_of(struct ring_op *op)
{
	return CONTAINER_OF(op, struct store_read, p.op);
}

/* Lets done() run; the read may be gone afterwards. */
static void end(struct store_read *read, int status)
{
	struct directory *d = read->p.directory;

	if (read->p.fd >= 0)
		close(read->p.fd);
	if (status == 0 && !read->background) {
		counter_add(d->counters, STORE_READS, 1);
		counter_add(d->counters, STORE_READ_BYTES, read->p.want);
	}
	read->status = status;
	read->done(read);
	directory_leave(d);
}

static void end_bad(struct store_read *read, uint64_t bad_granules)
{
	struct directory *d = read->p.directory;
	char id[OBJECT_ID_TEXT_LEN];

	digest_hex(read->id.bytes, OBJECT_ID_LEN, id);
	commit_drop(d, &read->id, read->block);
	counter_add(d->counters, STORE_BAD_CHECKS, bad_granules);
	log_warning("store.check",
		    "directory=%s object=%s block=%llu %llu granules do not match their checks: "
		    "dropped, will be fetched again",
		    d->path, id, (unsigned long long)read->block, (unsigned long long)bad_granules);
	end(read, -EBADMSG);
}

static bool find(struct store_read *read);
static void start_open(struct store_read *read);

/* Bytes that do not match may be of a block that was punched, as a replica, after it was looked
 * up: then the index says so by now. Return: false when that is not what happened. */
static bool look_again(struct store_read *read)
{
	if (read->p.looks == LOOKS_MAX || atomic_load(&read->p.directory->cuts) == read->p.cuts)
		return false;
	close(read->p.fd);
	read->p.fd = -1;
	if (find(read))
		start_open(read);
	else
		end(read, -ENOENT);
	return true;
}

static void verify(struct store_read *read)
{
	const uint8_t *at = read->dst;
	uint32_t left = read->p.want;
	uint64_t bad = 0;

	for (unsigned i = 0; i < read->granule_count; i++) {
		uint32_t len = left < GRANULE_LEN ? left : GRANULE_LEN;

		if (digest_crc64(at, len) != read->checks[i])
			bad++;
		at += len;
		left -= len;
	}
	if (!bad)
		end(read, 0);
	else if (!look_again(read))
		end_bad(read, bad);
}

/* One bad sector costs its block; many, or a directory that is gone, cost the directory. */
static void end_error(struct store_read *read, int error)
{
	struct directory *d = read->p.directory;
	bool too_many = false;
	uint64_t now_ns = clock_now_ns(d->clock);

	counter_add(d->counters, STORE_READ_ERRORS, 1);
	log_warning("store.read", "directory=%s block=%llu error=\"%s\"", d->path,
		    (unsigned long long)read->block, error_text(error));
	commit_drop(d, &read->id, read->block);
	pthread_mutex_lock(&d->lock);
	if (now_ns - d->fault_ns >= 60 * NS_PER_S) {
		d->fault_ns = now_ns;
		d->faults = 0;
	}
	too_many = ++d->faults >= DIRECTORY_READ_FAULTS_MAX;
	pthread_mutex_unlock(&d->lock);
	if (too_many)
		directory_error(d, "too many reads failed within a minute", error);
	else
		directory_doubt(d);
	end(read, -EIO);
}

/* The file that the index names is not there: removed by eviction a moment ago, or by someone. */
static void end_missing(struct store_read *read)
{
	commit_drop(read->p.directory, &read->id, read->block);
	directory_doubt(read->p.directory);
	end(read, -ENOENT);
}

static void start_io(struct store_read *read);

static void io_done(struct ring_op *op)
{
	struct store_read *read = read_of(op);

	if (op->result == -EAGAIN || op->result == -EINTR) {
		start_io(read);
		return;
	}
	if (op->result == -ECANCELED) {
		end(read, -EIO);
		return;
	}
	if (op->result < 0) {
		end_error(read, op->result);
		return;
	}
	read->p.got += (uint32_t)op->result;
	if (read->p.got >= read->p.want)
		verify(read);
	else if (op->result == 0 || (read->p.direct && read->p.got % DIRECT_ALIGN))
		end_bad(read,
			read->granule_count); /* the file is shorter than what was committed */
	else
		start_io(read);
}

static void start_io(struct store_read *read)
{
	uint32_t len = read->p.want - read->p.got;

	if (read->p.direct)
		len = (len + DIRECT_ALIGN - 1) & ~(uint32_t)(DIRECT_ALIGN - 1);
	read->p.op = (struct ring_op){
		.kind = RING_READ,
		.fd = read->p.fd,
		.data = (char *)read->dst + read->p.got,
		.len = len,
		.off = read->p.off + read->p.got,
		.done = io_done,
	};
	ring_start_op(read->p.directory->ring, &read->p.op);
}

static void opened(struct store_read *read, int fd)
{
	if (fd == -ECANCELED) {
		end(read, -EIO);
	} else if (fd == -ENOENT) {
		end_missing(read);
	} else if (fd < 0) {
		end_error(read, fd);
	} else {
		read->p.fd = fd;
		start_io(read);
	}
}

static void open_done(struct ring_op *op)
{
	opened(read_of(op), op->result);
}

static void start_open(struct store_read *read)
{
	struct directory *d = read->p.directory;
	int flags = O_RDONLY | O_CLOEXEC | (read->p.direct ? O_DIRECT : 0);
	int fd = layout_open_cached(&d->layout, read->p.path, flags);

	if (fd >= 0) {
		opened(read, fd);
		return;
	}
	/* What is not cached may need the disk; what failed is reported from the ring's thread. */
	read->p.op = (struct ring_op){
		.kind = fd == -EAGAIN ? RING_OPEN : RING_NONE,
		.fd = d->layout.root_fd,
		.path = read->p.path,
		.flags = flags,
		.done = open_done,
		.result = fd,
	};
	ring_start_op(d->ring, &read->p.op);
}

static void place(struct store_read *read, const struct lookup *lookup)
{
	uint32_t first = read->first_granule * GRANULE_LEN;
	uint32_t want = lookup->len - first;

	if (want > read->granule_count * GRANULE_LEN)
		want = read->granule_count * GRANULE_LEN;
	read->p.want = want;
	read->p.direct = !lookup->packed;
	if (lookup->packed) {
		read->p.off = lookup->segment_off;
		layout_segment_path(lookup->segment, read->p.path);
	} else {
		read->p.off = read->block * read->p.directory->block_len + first;
		layout_object_path(&read->id, read->p.path);
	}
}

static bool find(struct store_read *read)
{
	struct directory *d = read->p.directory;
	struct lookup lookup = {
		.first_granule = read->first_granule,
		.granule_count = read->granule_count,
		.checks = read->checks,
	};

	read->p.looks++;
	read->p.cuts = atomic_load(&d->cuts);
	read->p.got = 0;
	if (lookup_block(d, &read->id, read->block, &lookup) != 0)
		return false;
	place(read, &lookup);
	return true;
}

bool directory_read(struct directory *d, struct store_read *read)
{
	CHECK(((uintptr_t)read->dst & (DIRECT_ALIGN - 1)) == 0 && read->granule_count > 0);
	if (!directory_enter(d))
		return false;
	read->p.directory = d;
	read->p.fd = -1;
	read->p.looks = 0;
	if (!find(read)) {
		directory_leave(d);
		return false;
	}
	start_open(read);
	return true;
}
