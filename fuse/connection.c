/*
 * connection.c - see connection.h.
 */
#include "fuse/connection.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* This libfuse's headers end before. */
#define NOTIFY_RESEND	 7 /* of protocol 7.40 */
#define NOTIFY_INC_EPOCH 8 /* of protocol 7.44 */

bool connection_dead(int fd)
{
	struct pollfd connection = { .fd = fd, .events = POLLIN };

	return poll(&connection, 1, 0) < 0 || connection.revents & (POLLERR | POLLHUP | POLLNVAL);
}

/* @code: an error, or of a notification, which has no @unique. */
static int say(int fd, uint64_t unique, int code, void *body, size_t len)
{
	struct fuse_out_header header = { .len = (uint32_t)(sizeof(header) + len),
					  .error = code,
					  .unique = unique };
	const struct iovec iov[] = { { &header, sizeof(header) }, { body, len } };

	return writev(fd, iov, body ? 2 : 1) < 0 ? -errno : 0;
}

int connection_answer(int fd, uint64_t unique, int error)
{
	return say(fd, unique, error, NULL, 0);
}

int connection_resend(int fd)
{
	return say(fd, 0, NOTIFY_RESEND, NULL, 0);
}

int connection_forget_names(int fd)
{
	return say(fd, 0, NOTIFY_INC_EPOCH, NULL, 0);
}

int connection_knows(int fd, uint64_t node)
{
	/* Attributes only: an offset below 0 leaves the pages alone. */
	struct fuse_notify_inval_inode_out out = { .ino = node, .off = -1 };

	return say(fd, 0, FUSE_NOTIFY_INVAL_INODE, &out, sizeof(out));
}

int connection_store(int fd, uint64_t node, uint64_t off, void *bytes, size_t len)
{
	struct fuse_notify_store_out out = { .nodeid = node, .offset = off, .size = (uint32_t)len };
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + sizeof(out) + len),
		.error = FUSE_NOTIFY_STORE,
	};
	const struct iovec iov[] = { { &header, sizeof(header) },
				     { &out, sizeof(out) },
				     { bytes, len } };

	return writev(fd, iov, 3) < 0 ? -errno : 0;
}

/* --- backing files ---------------------------------------------------------------------------- */

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

int connection_backing_open(int fd, int fd_backing)
{
	struct backing_map map = { .fd = fd_backing };
	int id = ioctl(fd, BACKING_OPEN, &map);

	if (id > 0)
		return id;
	return id < 0 ? -errno : -EPROTO;
}

int connection_backing_close(int fd, int id)
{
	uint32_t number = (uint32_t)id;

	return ioctl(fd, BACKING_CLOSE, &number) ? -errno : 0;
}
