/*
 * commit.c - groups: the data of up to 512 changes is synced, then one LMDB transaction names it.
 * A group is due when 256 blocks wait, when the first has waited for 200 ms, or when someone asks.
 *
 * A few files are synced one by one with the folders of new ones; many by syncfs, which costs about
 * the same for one file as for hundreds. When a group fails, its blocks are misses again, and what
 * they left in files is found by a sweep.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/store/contents.h"
#include "cache/store/directory.h"

#define SYNC_SINGLE_MAX 8 /* files; more: syncfs */

/* Everything that one transaction is to change. One a directory, made at the thread's start. */
struct group {
	struct directory *directory;
	struct pending_group blocks;
	unsigned touched_count, obsolete_count;
	struct object_id touched[NOTES_MAX];
	struct object_id obsolete[NOTES_MAX];
	uint64_t dataset_ticks[PENDING_GROUP_MAX]; /* by block */
	uint64_t tick, age;
	uint32_t segment_next;
	int fds[PENDING_GROUP_MAX];
	unsigned dropped_count; /* blocks that went, of objects that keep others */
	struct hole dropped[PENDING_GROUP_MAX];
	unsigned emptied_count; /* objects that lost their last block */
	struct object_id emptied[PENDING_GROUP_MAX];
	uint64_t objects; /* there are, after the transaction */
	struct contents contents;
};

/* --- syncing --- */

struct sync_list {
	unsigned count;
	int fds[SYNC_SINGLE_MAX];
	char folders[SYNC_SINGLE_MAX][STORE_PATH_LEN]; /* "" where the file is not new */
};

/* False when there are too many. */
static bool add_file(struct sync_list *list, int fd, const char *folder)
{
	for (unsigned i = 0; i < list->count; i++) {
		if (list->fds[i] == fd)
			return true;
	}
	if (list->count == SYNC_SINGLE_MAX)
		return false;
	list->fds[list->count] = fd;
	snprintf(list->folders[list->count], STORE_PATH_LEN, "%s", folder);
	list->count++;
	return true;
}

static bool add_block(struct directory *d, struct sync_list *list, struct pending_block *block)
{
	const struct pending_block_info *info = pending_block_of(block);
	struct pending_object_info *object = pending_object_of(block);
	char folder[STORE_PATH_LEN] = "";

	if (info->segment) {
		struct segment *segment = segments_get(&d->segments, info->segment);

		CHECK(segment && segment->refs > 0);
		if (segment->created)
			snprintf(folder, sizeof(folder), "segments");
		return add_file(list, segment->fd, folder);
	}
	if (object->created)
		layout_folder_path(&info->id, folder);
	return add_file(list, object->fd, folder);
}

/* Return: whether the files of the group are few. */
static bool list_files(struct group *group, struct sync_list *list)
{
	struct directory *d = group->directory;
	bool few = true;

	list->count = 0;
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < group->blocks.count && few; i++) {
		if (pending_change_of(group->blocks.blocks[i]) == PENDING_PUT)
			few = add_block(d, list, group->blocks.blocks[i]);
	}
	pthread_mutex_unlock(&d->lock);
	return few;
}

static int sync_group(struct group *group)
{
	struct directory *d = group->directory;
	const struct files *files = d->files;
	struct sync_list list;
	int error = 0;

	if (!list_files(group, &list))
		return files->sync_all(files, d->layout.root_fd);
	for (unsigned i = 0; i < list.count && !error; i++) {
		error = files->sync_data(files, list.fds[i]);
		if (!error && list.folders[i][0])
			error = files->sync_directory(files, d->layout.root_fd, list.folders[i]);
	}
	return error;
}

/* --- the transaction --- */

static int apply_block(struct group *group, struct pending_block *block, uint64_t dataset_tick)
{
	const struct pending_block_info *info = pending_block_of(block);
	struct contents_object object;
	bool empty;
	int error;

	if (pending_change_of(block) == PENDING_DROP) {
		error = contents_drop_block(&group->contents, &info->id, info->block, &empty);
		if (empty)
			group->emptied[group->emptied_count++] = info->id;
		else
			group->dropped[group->dropped_count++] =
				(struct hole){ .id = info->id, .block = info->block };
		return error;
	}
	object = pending_object_of(block)->contents;
	object.dataset_tick = dataset_tick;
	object.replica = info->replica;
	if (info->segment)
		return contents_put_packed(&group->contents, &object, info->segment,
					   info->segment_off, info->record.checks[0]);
	return contents_put_block(&group->contents, &object, info->block, &info->record);
}

static int put_meta(struct group *group, struct index_txn *txn)
{
	struct record_meta meta;
	int error = index_meta_get(txn, &meta);

	if (error)
		return error == -EBADMSG || error == -ENOENT ? -EUCLEAN : error;
	meta.tick = group->tick;
	meta.segment_next = group->segment_next;
	return index_meta_put(txn, &meta);
}

static int apply(struct index_txn *txn, void *argument)
{
	struct group *group = argument;
	struct contents *contents = &group->contents;
	int error = 0;

	contents_begin(contents, txn, group->tick);
	group->dropped_count = group->emptied_count = 0;
	for (unsigned i = 0; i < group->blocks.count && !error; i++)
		error = apply_block(group, group->blocks.blocks[i], group->dataset_ticks[i]);
	for (unsigned i = 0; i < group->touched_count && !error; i++)
		error = contents_touch(contents, &group->touched[i], group->tick, group->age);
	for (unsigned i = 0; i < group->obsolete_count && !error; i++)
		error = contents_obsolete(contents, &group->obsolete[i]);
	if (!error)
		error = put_meta(group, txn);
	if (!error)
		error = contents_finish(contents);
	group->objects = index_object_count(txn);
	return error;
}

/* --- one group --- */

static void take_group_locked(struct directory *d, struct group *group)
{
	struct notes *notes = &d->notes;

	pending_take(&d->pending, &group->blocks);
	group->touched_count = notes->touched_count;
	memcpy(group->touched, notes->touched, notes->touched_count * sizeof(notes->touched[0]));
	group->obsolete_count = notes->obsolete_count;
	memcpy(group->obsolete, notes->obsolete,
	       notes->obsolete_count * sizeof(notes->obsolete[0]));
	notes->touched_count = notes->obsolete_count = 0;
	for (unsigned i = 0; i < group->blocks.count; i++) {
		const struct pending_object_info *object =
			pending_object_of(group->blocks.blocks[i]);

		group->dataset_ticks[i] =
			object ? datasets_get(&d->policy.datasets, object->contents.dataset)->access
			       : 0;
	}
	group->tick = d->tick;
	group->age = policy_tick_age(d->space.capacity);
	group->segment_next = d->segments.next;
}

static void put_segments_locked(struct directory *d, const struct group *group, bool ok)
{
	for (unsigned i = 0; i < group->blocks.count; i++) {
		struct pending_block *block = group->blocks.blocks[i];
		const struct pending_block_info *info = pending_block_of(block);
		struct pending_object_info *object = pending_object_of(block);
		struct segment *segment;

		if (pending_change_of(block) != PENDING_PUT)
			continue;
		if (ok)
			object->created = false;
		if (!info->segment)
			continue;
		segment = segments_get(&d->segments, info->segment);
		segments_put(segment);
		if (ok)
			segment->created = false;
	}
}

static void change_space_locked(struct directory *d, const struct contents *contents)
{
	for (unsigned i = 0; i < contents->change_count; i++) {
		const struct contents_change *change = &contents->changes[i];

		space_change(&d->space, change->files + change->segments);
		datasets_add(&d->policy.datasets, change->dataset,
			     change->files + change->segments);
	}
}

static void end_group(struct group *group, bool ok)
{
	struct directory *d = group->directory;
	uint64_t promised;
	unsigned count;

	pthread_mutex_lock(&d->lock);
	put_segments_locked(d, group, ok);
	count = pending_committed(&d->pending, &group->blocks, &promised, group->fds);
	d->space.promised -= promised;
	if (ok) {
		change_space_locked(d, &group->contents);
		directory_account_locked(d);
		d->objects = group->objects;
	} else {
		d->space.orphans += promised;
		d->sweep = true;
	}
	if (group->obsolete_count > 0)
		d->spare = true;
	pthread_cond_broadcast(&d->settled);
	pthread_cond_signal(&d->wake_writer);
	if (d->state != DIRECTORY_OPEN || d->sweep)
		pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < count; i++)
		close(group->fds[i]);
}

/* What may have become complete. The verifier finds out: here that would be a look each. */
static void queue_written(struct group *group)
{
	for (unsigned i = 0; i < group->blocks.count; i++) {
		struct pending_block *block = group->blocks.blocks[i];
		const struct pending_block_info *info = pending_block_of(block);

		if (pending_change_of(block) == PENDING_PUT && !info->segment)
			handouts_queue(&group->directory->handouts, &info->id);
	}
}

static void commit_group(struct group *group)
{
	struct directory *d = group->directory;
	int error = sync_group(group);

	if (error) {
		directory_error(d, "sync", error);
	} else {
		error = index_update(d->index, apply, group);
		if (error)
			directory_error(d, "index", error);
	}
	if (!error)
		counter_add(d->counters, STORE_COMMITS, 1);
	if (!error)
		queue_written(group);
	end_group(group, error == 0);
	for (unsigned i = 0; i < group->dropped_count && !error; i++) {
		holes_forgotten(d, &group->dropped[i]);
		handouts_queue(&d->handouts, &group->dropped[i].id); /* to be made whole */
	}
	for (unsigned i = 0; i < group->emptied_count && !error; i++)
		sweep_forgotten(d, &group->emptied[i]);
	directory_measure(d);
}

/* --- the thread --- */

bool commit_due_locked(const struct directory *d)
{
	const struct pending *pending = &d->pending;
	const struct notes *notes = &d->notes;

	/* Only lru lives by the accesses: for replicas those noted when a group is due will do. */
	if (notes->touched_count == NOTES_MAX && d->policy_kind == CACHE_POLICY_LRU)
		return true;
	if (notes->obsolete_count > NOTES_MAX / 2)
		return true;
	if (pending->queued_count == 0)
		return (d->flush_waiters > 0 || d->ending) && notes->obsolete_count > 0;
	return pending->queued_count >= DIRECTORY_GROUP_BLOCKS || d->flush_waiters > 0 ||
	       d->ending || d->state != DIRECTORY_OPEN ||
	       pending->put_bytes >= d->uncommitted_max ||
	       clock_now_ns(d->clock) - pending->queued_since_ns >= DIRECTORY_GROUP_NS;
}

/* Waits until a group is due, looking at the clock as often as a group may be old. */
static bool wait_due(struct directory *d, struct group *group, bool *out_open)
{
	bool due;

	pthread_mutex_lock(&d->lock);
	while (!(due = commit_due_locked(d))) {
		if (d->ending && !pending_busy(&d->pending))
			break;
		if (d->pending.queued_count > 0)
			thread_cond_wait_until(
				&d->wake_committer, &d->lock,
				clock_after_ns(clock_now_ns(clock_system()), DIRECTORY_GROUP_NS));
		else
			pthread_cond_wait(&d->wake_committer, &d->lock);
	}
	if (due) {
		*out_open = d->state == DIRECTORY_OPEN;
		if (*out_open)
			d->users++;
		take_group_locked(d, group);
	}
	pthread_mutex_unlock(&d->lock);
	return due;
}

struct group *group_create(struct directory *d)
{
	struct group *group = calloc(1, sizeof(*group));

	if (group)
		group->directory = d;
	return group;
}

void group_destroy(struct group *group)
{
	free(group);
}

void committer_main(struct directory *d)
{
	struct group *group = d->group;
	bool open;

	while (wait_due(d, group, &open)) {
		if (open) {
			commit_group(group);
			directory_leave(d);
		} else {
			end_group(group, false);
		}
	}
}

void commit_drop(struct directory *d, const struct object_id *id, uint64_t block)
{
	uint32_t segment = 0;
	int error = 0;

	handouts_spoil(&d->handouts, id);
	pthread_mutex_lock(&d->lock);
	if (d->state == DIRECTORY_OPEN) {
		error = pending_drop(&d->pending, id, block, clock_now_ns(d->clock), &segment);
		if (segment)
			segments_put(segments_get(&d->segments, segment));
		if (d->pending.queued_count == 1 || commit_due_locked(d))
			pthread_cond_signal(&d->wake_committer);
	}
	pthread_mutex_unlock(&d->lock);
	if (error == -ENOBUFS)
		directory_fail(d, "too many blocks with bad bytes wait to be forgotten");
}
