/*
 * holes.c - giving back the bytes of single blocks inside an object's file: replicas among blocks
 * that this node owns, blocks that were found bad, and what a crash left.
 *
 * A block is punched only when the index does not name it, durably, and while it is held, so that
 * no writer puts it there anew. So a power cut never leaves an index that names punched bytes; what
 * it leaves are bytes that nobody names, for the sweep. A reader that looked the block up before it
 * was dropped may read zeros: its check says so, and directory.cuts tells it from damage.
 *
 * A file that was ever handed out keeps its bytes: it gets a successor (handout/replace.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "cache/store/directory.h"

bool holes_allowed(const struct directory *d, const struct object_id *id)
{
	(void)id;
	return !d->no_punch;
}

/* The bytes stay where they are until the block is written again or its object goes. */
static void note_failure(struct directory *d, int error)
{
	if (error == -EOPNOTSUPP || error == -ENOSYS) {
		if (!atomic_exchange(&d->no_punch, true))
			log_warning("store.directory",
				    "directory=%s its file system cannot punch holes: single "
				    "blocks give back no space",
				    d->path);
	} else if (error && error != -ENOENT) {
		directory_error(d, "punch", error);
	}
}

static int punch_in(struct directory *d, int fd, const struct hole *holes, unsigned count)
{
	int error = 0;

	/* Somebody may have it mapped: its blocks stay, and others come in their place. */
	if (handout_sealed(fd)) {
		replace_queue(d, &holes[0].id);
		return 0;
	}
	for (unsigned i = 0; i < count && !error; i++)
		error = d->files->punch(d->files, fd, holes[i].block * d->block_len, d->block_len);
	return error;
}

void holes_punch(struct directory *d, const struct hole *holes, unsigned count)
{
	unsigned first = 0;
	int error = 0;

	/* Whoever has looked one of them up has seen the count as it was before. */
	atomic_fetch_add(&d->cuts, 1);
	while (first < count && !error) {
		const struct object_id *id = &holes[first].id;
		char path[STORE_PATH_LEN];
		unsigned end = first + 1;
		int fd;

		while (end < count && object_id_equal(&holes[end].id, id))
			end++;
		layout_object_path(id, path);
		fd = d->files->open(d->files, d->layout.root_fd, path, O_WRONLY);
		if (fd == -EACCES && handout_sealed_at(d, path)) {
			replace_queue(d, id);
			fd = -ENOENT;
		}
		error = fd < 0 ? fd : punch_in(d, fd, holes + first, end - first);
		if (fd >= 0)
			close(fd);
		if (error == -ENOENT)
			error = 0; /* the file is gone, and its bytes */
		first = end;
	}
	note_failure(d, error);
}

static int query_block(struct index_txn *txn, void *argument)
{
	const struct hole *hole = argument;
	struct record_block record;

	return index_block_get(txn, &hole->id, hole->block, &record);
}

void holes_forgotten(struct directory *d, const struct hole *hole)
{
	struct hole copy = *hole;
	bool held;

	if (!holes_allowed(d, &copy.id))
		return;
	pthread_mutex_lock(&d->lock);
	held = pending_hold_block(&d->pending, &copy.id, copy.block);
	pthread_mutex_unlock(&d->lock);
	if (!held)
		return;
	if (index_read(d->index, query_block, &copy) == -ENOENT)
		holes_punch(d, &copy, 1);
	pthread_mutex_lock(&d->lock);
	pending_release_block(&d->pending, &copy.id, copy.block);
	pthread_mutex_unlock(&d->lock);
}
