/*
 * opening.c - a cache directory from its files to a state that serves, and back. The index is the
 * truth: what it names is here, the rest is left to the sweep, whose length nobody waits for.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "cache/store/contents.h"
#include "cache/store/directory.h"

#define CAPACITY_USEFUL	       (UINT64_C(16) << 20)
#define SEGMENT_LEN_MAX	       (64u << 20)
#define SEGMENT_LEN_MIN	       (1u << 20)
#define UNCOMMITTED_MAX	       (UINT64_C(1) << 30)
#define UNCOMMITTED_MIN	       (UINT64_C(8) << 20)
#define CAPACITY_SHARE_SEGMENT 64 /* a segment is evicted whole: not too much at a time */
#define CAPACITY_SHARE_GROUP   8

struct loading {
	struct directory *directory;
	struct record_meta meta;
	bool empty; /* no meta record: the index was just made */
};

static int load_dataset(void *context, uint32_t number, const struct record_dataset *record)
{
	struct directory *d = ((struct loading *)context)->directory;

	if (!record)
		return 0;
	d->space.used += record->bytes;
	return datasets_load(&d->policy.datasets, number, record->name.data, record->name.len,
			     record->bytes, record->tick);
}

static int load_segment(void *context, uint32_t number, const struct record_segment *record)
{
	struct directory *d = ((struct loading *)context)->directory;

	if (number >= d->segments.next)
		d->segments.next = number + 1;
	if (!record)
		return 0;
	d->space.used += contents_charge(record->len);
	datasets_add(&d->policy.datasets, record->dataset, (int64_t)contents_charge(record->len));
	return 0;
}

static int load(struct index_txn *txn, void *argument)
{
	struct loading *loading = argument;
	struct directory *d = loading->directory;
	int error = index_meta_get(txn, &loading->meta);

	if (error == -ENOENT) {
		loading->empty = true;
		return 0;
	}
	/* Without it there is no telling whether the index belongs to these files at all. */
	if (error == -EBADMSG || loading->meta.block_len != d->block_len ||
	    memcmp(loading->meta.uuid, d->layout.uuid, RECORD_UUID_LEN) != 0)
		return -EUCLEAN;
	if (error)
		return error;
	d->tick = loading->meta.tick;
	d->segments.next = loading->meta.segment_next;
	d->objects = index_object_count(txn);
	error = index_dataset_each(txn, load_dataset, loading);
	return error ? error : index_segment_each(txn, load_segment, loading);
}

/* From here on a crash leaves files behind that nobody names. */
static int mark_unclean(struct index_txn *txn, void *argument)
{
	struct loading *loading = argument;
	struct directory *d = loading->directory;
	struct record_meta meta = {
		.tick = d->tick,
		.block_len = d->block_len,
		.segment_next = d->segments.next,
	};

	memcpy(meta.uuid, d->layout.uuid, RECORD_UUID_LEN);
	return index_meta_put(txn, &meta);
}

static void index_committed(void *context)
{
	const struct directory *d = context;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/index", d->path);
	d->files->committed(d->files, path);
}

static int open_index(struct directory *d, struct loading *loading)
{
	char path[PATH_MAX];
	struct index_options options = {
		.path = path,
		.map_len = d->index_map_len,
		.committed = d->files->committed ? index_committed : NULL,
		.context = d,
	};
	int error;

	snprintf(path, sizeof(path), "%s/index", d->path);
	if (d->drop_index || d->layout.fresh)
		error = index_remove(path);
	else
		error = 0;
	d->drop_index = false;
	if (!error)
		error = index_open(&options, &d->index);
	if (error)
		return error;
	*loading = (struct loading){ .directory = d };
	error = index_read(d->index, load, loading);
	if (!error)
		error = index_update(d->index, mark_unclean, loading);
	/* LMDB syncs its file, but not the folder that a new one is in. */
	if (!error && loading->empty)
		error = d->files->sync_directory(d->files, d->layout.root_fd, "index");
	if (error) {
		index_close(d->index);
		d->index = NULL;
	}
	return error;
}

static int reset(struct directory *d)
{
	d->space.used = 0;
	d->space.index = 0;
	d->space.orphans = 0;
	d->tick = 0;
	d->objects = 0;
	d->notes.touched_count = d->notes.obsolete_count = 0;
	d->turnover = false;
	d->replicas_known = d->owner ? DIRECTORY_REPLICAS_UNKNOWN : DIRECTORY_REPLICAS_NONE;
	segments_init(&d->segments);
	return policy_init(&d->policy, d->policy_kind);
}

static int load_index(struct directory *d, struct loading *loading)
{
	int error = reset(d);

	if (error)
		return error;
	error = open_index(d, loading);
	if (error == -EUCLEAN) {
		log_warning("store.index",
			    "directory=%s the index is damaged or of another layout: it starts "
			    "empty, its blocks will be fetched again",
			    d->path);
		policy_fini(&d->policy);
		error = reset(d);
		if (error)
			return error;
		d->drop_index = true;
		error = open_index(d, loading);
	}
	if (error)
		policy_fini(&d->policy);
	return error;
}

static bool folder_is_empty(const struct directory *d, const char *name)
{
	int fd = openat(d->layout.root_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool empty = true;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	while (empty && (entry = readdir(folder)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(folder);
	return empty;
}

/* How much may lie here that the index does not name: all that the file system holds beside it. */
static uint64_t unnamed_bytes(const struct directory *d, const struct loading *loading)
{
	uint64_t taken, ours = d->space.used + d->space.index;
	struct statvfs fs;

	if (!loading->empty && loading->meta.clean)
		return 0;
	if (loading->empty && folder_is_empty(d, "objects") && folder_is_empty(d, "segments"))
		return 0;
	if (fstatvfs(d->layout.root_fd, &fs) != 0)
		return d->space.capacity;
	taken = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	taken = taken > ours ? taken - ours : 0;
	return taken < d->space.capacity ? taken : d->space.capacity;
}

static uint64_t between(uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min)
		return min;
	return value < max ? value : max;
}

/* Sizes that follow from the capacity. */
static void size_limits(struct directory *d)
{
	uint64_t capacity = d->space.capacity;

	d->segment_len = (uint32_t)between(capacity / CAPACITY_SHARE_SEGMENT, SEGMENT_LEN_MIN,
					   SEGMENT_LEN_MAX);
	d->uncommitted_max =
		between(capacity / CAPACITY_SHARE_GROUP, UNCOMMITTED_MIN, UNCOMMITTED_MAX);
}

/* The ring stays for the life of the directory, once there is one. */
static int open_ring(struct directory *d, char *problem, size_t problem_size)
{
	struct ring *ring;
	int error;

	if (d->ring)
		return 0;
	error = ring_create(DIRECTORY_RING_DEPTH, "store-ring", d->files, &ring);
	if (!error)
		d->ring = ring;
	else if (error == -EPERM || error == -EACCES || error == -ENOSYS)
		snprintf(problem, problem_size,
			 "io_uring is not allowed here (%s): see kernel.io_uring_disabled and the "
			 "container's seccomp profile",
			 error_text(error));
	else
		snprintf(problem, problem_size, "io_uring: %s", error_text(error));
	return error;
}

int directory_open(struct directory *d, char *problem, size_t problem_size)
{
	struct loading loading;
	int error = open_ring(d, problem, problem_size);

	if (error)
		return error;
	error = layout_open(&d->layout, d->files, d->path, d->block_len, problem, problem_size);

	if (error)
		return error;
	error = replace_clean(d);
	if (error) {
		snprintf(problem, problem_size, "replacement: %s", error_text(error));
		layout_close(&d->layout);
		return error;
	}
	error = load_index(d, &loading);
	if (error) {
		snprintf(problem, problem_size, "index: %s", error_text(error));
		layout_close(&d->layout);
		return error;
	}
	d->space.index = index_bytes(d->index);
	directory_measure(d);
	size_limits(d);
	d->space.orphans = unnamed_bytes(d, &loading);
	if (d->space.capacity < CAPACITY_USEFUL)
		log_warning("store.directory",
			    "directory=%s there is room for %llu MiB only, which is too little to "
			    "be of use: raise its capacity or free space",
			    d->path, (unsigned long long)(d->space.capacity >> 20));
	d->spare = true;
	d->sweep = true;
	log_info("store.directory",
		 "directory=%s open capacity=%llu MiB used=%llu MiB objects=%llu clean=%s", d->path,
		 (unsigned long long)(d->space.capacity >> 20),
		 (unsigned long long)(d->space.used >> 20), (unsigned long long)d->objects,
		 !loading.empty && loading.meta.clean ? "yes" : "no");
	return 0;
}

/* Nothing was lost and nothing is left over; the order of the datasets is kept. */
static int mark_clean(struct index_txn *txn, void *argument)
{
	struct directory *d = argument;
	const struct datasets *datasets = &d->policy.datasets;
	struct record_meta meta;
	int error = 0;

	for (uint32_t i = 0; i < datasets->count && !error; i++) {
		struct record_dataset record;

		error = index_dataset_get(txn, i, &record);
		if (error == -ENOENT || error == -EBADMSG) {
			error = 0;
			continue;
		}
		if (error || record.tick == datasets_get(datasets, i)->access)
			continue;
		record.tick = datasets_get(datasets, i)->access;
		error = index_dataset_put(txn, i, &record);
	}
	if (!error)
		error = index_meta_get(txn, &meta);
	if (error)
		return error;
	meta.clean = d->space.orphans == 0;
	meta.tick = d->tick;
	return index_meta_put(txn, &meta);
}

void directory_close(struct directory *d)
{
	if (!d->index)
		return;
	if (d->state == DIRECTORY_OPEN) {
		int error = index_update(d->index, mark_clean, d);

		if (error)
			log_warning("store.index", "directory=%s last commit: error=\"%s\"",
				    d->path, error_text(error));
	}
	handouts_clear(&d->handouts);
	index_close(d->index);
	d->index = NULL;
	segments_fini(&d->segments);
	policy_fini(&d->policy);
	layout_close(&d->layout);
}
