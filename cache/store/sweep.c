/*
 * sweep.c - removing what the index does not name: files that a crash, a failed group or a lost
 * index left behind, and blocks inside files that it does name. It goes through the folders a few
 * names at a time, in the keeper's thread, and never gets in the way of a writer: a file is removed
 * only while its object is held, a block punched while the block is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/store/contents.h"
#include "cache/store/directory.h"

#define FOLDERS		256 /* of objects; one more for the segments */
#define NAMES_AT_ONCE	1024
#define REMOVED_AT_ONCE 64
#define BLOCKS_AT_ONCE	256

struct sweep {
	struct directory *directory;
	unsigned folder; /* FOLDERS: the segments; FOLDERS + 1: done */
	DIR *open;
	int file_fd; /* of a file in which there are more bytes than the index names; -1 */
	struct hole at;
	uint64_t removed;
};

struct sweep *sweep_create(struct directory *d)
{
	struct sweep *sweep = calloc(1, sizeof(*sweep));

	if (!sweep)
		return NULL;
	sweep->directory = d;
	sweep->file_fd = -1;
	return sweep;
}

void sweep_destroy(struct sweep *sweep)
{
	if (!sweep)
		return;
	if (sweep->open)
		closedir(sweep->open);
	if (sweep->file_fd >= 0)
		close(sweep->file_fd);
	free(sweep);
}

static void folder_path(const struct sweep *sweep, char out[STORE_PATH_LEN])
{
	if (sweep->folder == FOLDERS)
		snprintf(out, STORE_PATH_LEN, "segments");
	else
		snprintf(out, STORE_PATH_LEN, "objects/%02x", sweep->folder);
}

/* The next folder that is there. Return: false when there is none. */
static bool open_next(struct sweep *sweep)
{
	for (; sweep->folder <= FOLDERS; sweep->folder++) {
		char path[STORE_PATH_LEN];
		int fd;

		folder_path(sweep, path);
		fd = openat(sweep->directory->layout.root_fd, path,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			continue;
		sweep->open = fdopendir(fd);
		if (sweep->open)
			return true;
		close(fd);
	}
	return false;
}

struct object_query {
	const struct object_id *id;
	uint64_t size, resident;
	bool packed;
};

static int query_object(struct index_txn *txn, void *argument)
{
	struct object_query *query = argument;
	struct record_object record;
	int error = index_object_get(txn, query->id, &record);

	if (error)
		return error;
	query->size = record.size;
	query->resident = record.resident;
	query->packed = record.segment != 0;
	return 0;
}

static int query_segment(struct index_txn *txn, void *argument)
{
	struct record_segment record;

	return index_segment_get(txn, *(const uint32_t *)argument, &record);
}

static bool remove_file(struct sweep *sweep, const char *path)
{
	struct directory *d = sweep->directory;
	int error = d->files->unlink(d->files, d->layout.root_fd, path);

	if (error && error != -ENOENT && error != -EISDIR)
		directory_error(d, "sweep", error);
	if (error)
		return false;
	counter_add(d->counters, STORE_ORPHANS, 1);
	sweep->removed++;
	return true;
}

/* Whether a file that the index names holds more than is named. A file of one block does not. */
static void look_inside(struct sweep *sweep, const struct object_query *query)
{
	struct directory *d = sweep->directory;
	char path[STORE_PATH_LEN];
	struct stat st;

	if (query->packed || query->size <= d->block_len || !holes_allowed(d, query->id))
		return;
	layout_object_path(query->id, path);
	if (fstatat(d->layout.root_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    (uint64_t)st.st_blocks * 512 + CONTENTS_FILE_CHARGE <= contents_charge(query->resident))
		return;
	sweep->file_fd = openat(d->layout.root_fd, path, O_RDONLY | O_CLOEXEC);
	sweep->at = (struct hole){ .id = *query->id };
}

static int query_block(struct index_txn *txn, void *argument)
{
	const struct hole *at = argument;
	struct record_block record;

	return index_block_get(txn, &at->id, at->block, &record);
}

/* Some blocks of the file that have bytes. Return: how many were looked at; fewer than
 * BLOCKS_AT_ONCE: those were the last. */
static unsigned sweep_inside(struct sweep *sweep)
{
	struct directory *d = sweep->directory;
	unsigned count;

	for (count = 0; count < BLOCKS_AT_ONCE; count++) {
		off_t off =
			lseek(sweep->file_fd, (off_t)(sweep->at.block * d->block_len), SEEK_DATA);

		if (off < 0)
			break;
		sweep->at.block = (uint64_t)off / d->block_len;
		if (index_read(d->index, query_block, &sweep->at) == -ENOENT)
			holes_forgotten(d, &sweep->at);
		sweep->at.block++;
	}
	if (count < BLOCKS_AT_ONCE) {
		close(sweep->file_fd);
		sweep->file_fd = -1;
	}
	return count;
}

static bool sweep_object(struct sweep *sweep, const struct object_id *id)
{
	struct directory *d = sweep->directory;
	struct object_query query = { .id = id };
	char path[STORE_PATH_LEN];
	bool held, removed = false;
	int error = index_read(d->index, query_object, &query);

	if (!error)
		look_inside(sweep, &query);
	if (error != -ENOENT)
		return false;
	pthread_mutex_lock(&d->lock);
	held = pending_hold(&d->pending, id);
	pthread_mutex_unlock(&d->lock);
	if (!held)
		return false;
	/* It may have been committed between the first look and the hold. */
	if (index_read(d->index, query_object, &query) == -ENOENT) {
		layout_object_path(id, path);
		removed = remove_file(sweep, path);
	}
	pthread_mutex_lock(&d->lock);
	pending_release(&d->pending, id);
	pthread_mutex_unlock(&d->lock);
	return removed;
}

static bool sweep_segment(struct sweep *sweep, uint32_t segment)
{
	struct directory *d = sweep->directory;
	char path[LAYOUT_SEGMENT_LEN];
	bool held = false, removed = false;
	int fd = -1;

	if (index_read(d->index, query_segment, &segment) != -ENOENT)
		return false;
	pthread_mutex_lock(&d->lock);
	if (!segments_known(&d->segments, segment))
		held = segments_hold(&d->segments, segment, &fd);
	pthread_mutex_unlock(&d->lock);
	if (!held)
		return false;
	if (index_read(d->index, query_segment, &segment) == -ENOENT) {
		layout_segment_path(segment, path);
		removed = remove_file(sweep, path);
	}
	pthread_mutex_lock(&d->lock);
	segments_release(&d->segments, segment);
	pthread_mutex_unlock(&d->lock);
	return removed;
}

/* What is not named as we name files was not made by us, but it lies in our folder. */
static bool sweep_stranger(struct sweep *sweep, const char *name)
{
	char folder[STORE_PATH_LEN];
	char path[STORE_PATH_LEN + NAME_MAX + 2];

	folder_path(sweep, folder);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return remove_file(sweep, path);
}

static bool sweep_name(struct sweep *sweep, const char *name)
{
	struct object_id id;
	uint32_t segment;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (sweep->folder == FOLDERS)
		return layout_segment_name(name, &segment) ? sweep_segment(sweep, segment)
							   : sweep_stranger(sweep, name);
	if (layout_object_name(name, &id) && id.bytes[0] == sweep->folder)
		return sweep_object(sweep, &id);
	return sweep_stranger(sweep, name);
}

bool sweep_some(struct sweep *sweep)
{
	unsigned names = 0, removed = 0;

	while (names < NAMES_AT_ONCE && removed < REMOVED_AT_ONCE) {
		const struct dirent *entry;

		if (sweep->file_fd >= 0) {
			names += sweep_inside(sweep);
			continue;
		}
		if (!sweep->open && !open_next(sweep))
			break;
		entry = readdir(sweep->open);
		if (!entry) {
			closedir(sweep->open);
			sweep->open = NULL;
			sweep->folder++;
			continue;
		}
		names++;
		if (sweep_name(sweep, entry->d_name))
			removed++;
	}
	if (sweep->folder <= FOLDERS)
		return true;
	if (sweep->removed > 0)
		log_info("store.sweep", "directory=%s files=%llu that the index does not name",
			 sweep->directory->path, (unsigned long long)sweep->removed);
	return false;
}

void sweep_forgotten(struct directory *d, const struct object_id *id)
{
	struct sweep sweep = { .directory = d, .file_fd = -1 };

	sweep_object(&sweep, id);
	if (sweep.file_fd >= 0)
		close(sweep.file_fd);
}
