/*
 * handout.c - giving the file of a complete, verified object to who hands it to the kernel.
 *
 * What the kernel was given it may read, and programs may have mapped, for as long as they please:
 * after their close(2), and after this daemon. So a file that was ever handed out is never written,
 * cut or punched again; it is only unlinked. It says so itself: before the first hand-out it loses
 * its permission to be written (0400), and whoever is about to change an object's file looks for
 * that on the descriptor it is about to use (handout_sealed()). That is not synced, and need not
 * be: it must outlive a daemon, not the machine, whose end ends all mappings too. The mark goes
 * with the inode: the file that replaces this one under its name (replace.c) does not have it.
 *
 * While a file is made ready its object is held, so that no writer has it open.
 *
 * A worker that takes over from one that died finds files that the kernel has open from before
 * (directory_handout_adopt()). They count as verified: the dead one had verified them, since the
 * machine was started, and a sealed file changes no more. What was found bad meanwhile, or has
 * given blocks away, is no longer complete in the index, and what came anew under the same name is
 * not sealed: neither is adopted. Their bytes are not read again before the scrub gets to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "cache/store/directory.h"

#define WRITE_BITS 0222

bool handout_sealed(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && !(st.st_mode & WRITE_BITS);
}

bool handout_sealed_at(const struct directory *d, const char *path)
{
	struct stat st;

	return fstatat(d->layout.root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       !(st.st_mode & WRITE_BITS);
}

static int query_complete(struct index_txn *txn, void *argument)
{
	struct handout_query *query = argument;
	struct record_object record;
	int error = index_object_get(txn, &query->id, &record);

	if (error)
		return error;
	query->size = record.size;
	query->resident = record.segment ? record.size : record.resident;
	query->dataset = record.dataset;
	query->complete = !record.segment && record.size > 0 && record.resident == record.size;
	return 0;
}

int handout_look(struct directory *d, struct handout_query *query)
{
	query->complete = false;
	return index_read(d->index, query_complete, query);
}

/* The file, opened and sealed; or why it is not to be handed out. */
static int open_sealed(struct directory *d, const struct object_id *id, uint32_t *out_dataset)
{
	struct handout_query query = { .id = *id };
	char path[STORE_PATH_LEN];
	struct stat st;
	int error, fd;

	error = handout_look(d, &query);
	if (error || !query.complete)
		return -ESTALE;
	*out_dataset = query.dataset;
	layout_object_path(id, path);
	fd = openat(d->layout.root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	/* The kernel takes the end of this file for the end of the object. */
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != query.size) {
		close(fd);
		replace_queue(d, id);
		return -ESTALE;
	}
	error = st.st_mode & WRITE_BITS ? d->files->seal(d->files, fd) : 0;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

static int take_fd(struct directory *d, const struct object_id *id, uint32_t *out_dataset)
{
	bool held;
	int fd;

	pthread_mutex_lock(&d->lock);
	held = pending_hold(&d->pending, id);
	pthread_mutex_unlock(&d->lock);
	if (!held)
		return -EAGAIN;
	fd = open_sealed(d, id, out_dataset);
	pthread_mutex_lock(&d->lock);
	pending_release(&d->pending, id);
	pthread_mutex_unlock(&d->lock);
	return fd;
}

int directory_handout(struct directory *d, const struct object_id *id, int *out_fd,
		      uint64_t *out_ticket)
{
	uint32_t dataset = 0;
	uint64_t ticket;
	int fd = -EAGAIN;

	if (!directory_enter(d))
		return -EAGAIN;
	ticket = handouts_ticket(&d->handouts, id);
	if (ticket)
		fd = take_fd(d, id, &dataset);
	/* Whoever takes a block away forgets the verification first: what still has it is whole. */
	if (fd >= 0 && !handouts_use(&d->handouts, id, ticket, dataset)) {
		close(fd);
		fd = -EAGAIN;
	}
	if (fd == -ESTALE || fd == -ENOENT)
		handouts_forget(&d->handouts, id);
	else if (fd < 0 && fd != -EAGAIN)
		log_warning("store.handout", "directory=%s error=\"%s\"", d->path, error_text(fd));
	directory_leave(d);
	if (fd < 0)
		return -EAGAIN;
	counter_add(d->counters, STORE_HANDOUTS, 1);
	*out_fd = fd;
	*out_ticket = ticket;
	return 0;
}

/* Whether the object's file is still one that was handed out. */
static bool is_as_handed_out(struct directory *d, struct handout_query *query)
{
	char path[STORE_PATH_LEN];
	struct stat st;

	layout_object_path(&query->id, path);
	return handout_look(d, query) == 0 && query->complete &&
	       fstatat(d->layout.root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && !(st.st_mode & WRITE_BITS) &&
	       (uint64_t)st.st_size == query->size;
}

int directory_handout_adopt(struct directory *d, const struct object_id *id, uint64_t *out_ticket)
{
	struct handout_query query = { .id = *id };
	uint64_t ticket;
	bool ok = false;

	if (!directory_enter(d))
		return -EAGAIN;
	/* First trusted, then looked at: who takes a block away in between makes it fail. */
	ticket = handouts_trust(&d->handouts, id);
	if (ticket && is_as_handed_out(d, &query))
		ok = handouts_use(&d->handouts, id, ticket, query.dataset);
	else if (ticket)
		handouts_forget(&d->handouts, id);
	directory_leave(d);
	if (!ok)
		return -EAGAIN;
	*out_ticket = ticket;
	return 0;
}

int directory_probe(struct directory *d)
{
	int fd;

	if (!directory_enter(d))
		return -ENODEV;
	fd = openat(d->layout.root_fd, "format", O_RDONLY | O_CLOEXEC);
	fd = fd < 0 ? -errno : fd;
	directory_leave(d);
	return fd;
}
