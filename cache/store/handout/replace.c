/*
 * replace.c - a new file in the place of one that was handed out and must change: a block of it has
 * rotted, or gave way as a replica, or is to be written again. The blocks that the index still
 * names are copied, each verified on the way, into <dir>/replacement, which is synced and then
 * renamed over the old file. Who has that one open or mapped goes on with it; nobody sees a hole.
 *
 * Against power cuts: the index has forgotten the blocks that go before this begins (as holes.c
 * wants it), and the new file has all the others, synced, before it gets the name. Cut before the
 * rename, the old file is there with bytes that nobody names, and the sweep sends it here again.
 *
 * While it goes on the object is held: nothing is written to it, and what is missing of it is
 * served from memory. A portion a round, since the keeper has other things to do. Without space for
 * the copy the object goes as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "cache/store/directory.h"
#include "cache/store/handout/piece.h"

#define NAME	  "replacement"
#define PORTION	  16   /* blocks copied a round */
#define LOOKS_MAX 1000 /* rounds in which the object was in use */

struct replacer {
	struct directory *directory;
	struct piece piece;
	int fd; /* of the new file; -1: none is being made */
	unsigned looks;
	struct object_id id;
	uint64_t size;
	uint64_t block; /* where it goes on */
};

void replace_queue(struct directory *d, const struct object_id *id)
{
	struct replaces *replaces = &d->replaces;
	bool known = false;

	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < replaces->count; i++)
		known |= object_id_equal(&replaces->ids[i], id);
	/* Full: who meets the file again asks again, the next sweep at the latest. */
	if (!known && replaces->count < REPLACES_MAX)
		replaces->ids[replaces->count++] = *id;
	pthread_cond_broadcast(&d->wake_keeper);
	pthread_mutex_unlock(&d->lock);
}

int replace_clean(struct directory *d)
{
	int error = d->files->unlink(d->files, d->layout.root_fd, NAME);

	return error == -ENOENT ? 0 : error;
}

static bool pop(struct directory *d, struct object_id *out_id, bool *out_held)
{
	struct replaces *replaces = &d->replaces;
	bool any;

	pthread_mutex_lock(&d->lock);
	any = replaces->count > 0;
	if (any) {
		*out_id = replaces->ids[0];
		for (unsigned i = 1; i < replaces->count; i++)
			replaces->ids[i - 1] = replaces->ids[i];
		replaces->count--;
		*out_held = pending_hold(&d->pending, out_id);
	}
	pthread_mutex_unlock(&d->lock);
	return any;
}

static void let_go(struct replacer *r)
{
	struct directory *d = r->directory;

	if (r->fd >= 0) {
		close(r->fd);
		d->files->unlink(d->files, d->layout.root_fd, NAME);
	}
	r->fd = -1;
	pthread_mutex_lock(&d->lock);
	pending_release(&d->pending, &r->id);
	pthread_mutex_unlock(&d->lock);
}

/* Whether a new file is needed for what the index names. */
static bool is_wanted(struct replacer *r, bool *out_named)
{
	struct directory *d = r->directory;
	struct handout_query query = { .id = r->id };
	char path[STORE_PATH_LEN];
	struct stat st;

	*out_named = handout_look(d, &query) != -ENOENT;
	r->size = query.size;
	layout_object_path(&r->id, path);
	if (!*out_named || query.size == 0 ||
	    fstatat(d->layout.root_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	if ((uint64_t)st.st_size != query.size)
		return true;
	return !query.complete && handout_sealed_at(d, path);
}

/* Return: whether there is something to copy. */
static bool begin(struct replacer *r)
{
	struct directory *d = r->directory;
	bool held = false, named, wanted;
	int error;

	if (!pop(d, &r->id, &held))
		return false;
	if (!held) {
		/* In use for a moment, as a rule. */
		if (++r->looks < LOOKS_MAX)
			replace_queue(d, &r->id);
		return false;
	}
	r->looks = 0;
	wanted = is_wanted(r, &named);
	if (!wanted) {
		let_go(r);
		if (!named)
			sweep_forgotten(d, &r->id); /* left over: its file goes */
		return false;
	}
	handouts_forget(&d->handouts, &r->id);
	error = d->files->unlink(d->files, d->layout.root_fd, NAME);
	r->fd = error && error != -ENOENT ? error
					  : d->files->open(d->files, d->layout.root_fd, NAME,
							   O_WRONLY | O_CREAT | O_EXCL);
	error = r->fd < 0 ? r->fd : d->files->truncate(d->files, r->fd, r->size);
	r->block = 0;
	if (!error)
		return true;
	let_go(r);
	directory_error(d, "replacement", error);
	return false;
}

/* Blocks that do not match on the way are dropped from the index, and do not come along. */
static int copy_block(struct replacer *r, uint64_t block)
{
	struct directory *d = r->directory;
	uint32_t left = object_block_len(r->size, block, d->block_len);
	uint64_t off = block * d->block_len;
	unsigned granule = 0;

	while (left > 0) {
		uint32_t len = left < PIECE_LEN ? left : PIECE_LEN;
		int error = piece_read(&r->piece, d, &r->id, block, granule, len);

		if (error == -EBADMSG || error == -ENOENT)
			return 0;
		if (!error)
			error = d->files->write(d->files, r->fd, r->piece.data, len, off);
		if (error)
			return error;
		off += len;
		left -= len;
		granule += len / GRANULE_LEN;
	}
	return 0;
}

struct portion {
	struct object_id id;
	uint64_t from;
	uint64_t blocks[PORTION];
	int count;
};

static int list_portion(struct index_txn *txn, void *argument)
{
	struct portion *portion = argument;

	portion->count =
		index_block_list(txn, &portion->id, portion->from, portion->blocks, PORTION);
	return portion->count < 0 ? portion->count : 0;
}

/* Return: 1: there are more; 0: those were the last; or an error. */
static int copy_portion(struct replacer *r)
{
	struct portion portion = { .id = r->id, .from = r->block };
	int error = index_read(r->directory->index, list_portion, &portion);

	for (int i = 0; i < portion.count && !error; i++) {
		error = copy_block(r, portion.blocks[i]);
		r->block = portion.blocks[i] + 1;
	}
	return error ? error : portion.count == PORTION;
}

static int put_in_place(struct replacer *r)
{
	struct directory *d = r->directory;
	char path[STORE_PATH_LEN], folder[STORE_PATH_LEN];
	int error = d->files->sync_data(d->files, r->fd);

	layout_object_path(&r->id, path);
	layout_folder_path(&r->id, folder);
	/* A reader that looked a block up before it was dropped may read the new file's hole. */
	atomic_fetch_add(&d->cuts, 1);
	if (!error)
		error = d->files->rename(d->files, d->layout.root_fd, NAME, path);
	if (!error)
		error = d->files->sync_directory(d->files, d->layout.root_fd, folder);
	if (!error)
		error = d->files->sync_directory(d->files, d->layout.root_fd, ".");
	return error;
}

static void end(struct replacer *r, int error)
{
	struct directory *d = r->directory;
	struct object_id id = r->id;
	char text[OBJECT_ID_TEXT_LEN];

	if (!error)
		error = put_in_place(r);
	if (!error) {
		close(r->fd);
		r->fd = -1;
	}
	let_go(r);
	digest_hex(id.bytes, OBJECT_ID_LEN, text);
	if (!error) {
		counter_add(d->counters, STORE_REPLACED, 1);
		handouts_queue(&d->handouts, &id); /* to find what is missing now */
		log_info("store.replace", "directory=%s object=%s has a new file", d->path, text);
	} else if (error == -ENOSPC || error == -EDQUOT) {
		log_notice("store.replace",
			   "directory=%s object=%s no space for a new file: it goes as a whole",
			   d->path, text);
		error = evict_object(d, &id);
		if (error)
			directory_error(d, "eviction", error);
	} else {
		directory_error(d, "replacement", error);
	}
	directory_measure(d);
}

bool replace_some(struct replacer *r)
{
	int more;

	if (r->fd < 0 && !begin(r))
		return false;
	more = copy_portion(r);
	if (more <= 0)
		end(r, more);
	return true;
}

struct replacer *replacer_create(struct directory *d)
{
	struct replacer *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->directory = d;
	r->fd = -1;
	if (piece_init(&r->piece)) {
		free(r);
		return NULL;
	}
	return r;
}

void replacer_stop(struct replacer *r)
{
	if (r->fd >= 0)
		let_go(r);
}

void replacer_destroy(struct replacer *r)
{
	if (!r)
		return;
	piece_fini(&r->piece);
	free(r);
}
