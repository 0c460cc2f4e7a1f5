/*
 * mountpoint.h - the place of the mount: what is there before, putting it there, taking it away.
 *
 * What may be a FUSE mount, ours of now or a dead one of before, is only looked at through
 * /proc/self/mountinfo: a stat(2) of a mount whose daemon hangs would hang with it. The one
 * question that mountinfo does not answer, whether a mount still has its daemon, is asked by a
 * child process that can be killed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fuse_session;

struct mountpoint {
	char *path; /* absolute, as in mountinfo */
	/* Of our mount: what another one put on top of it is not ours to take away. */
	unsigned device_major, device_minor;
	bool mounted;
	bool helped; /* by fusermount3: we have no privilege */
	bool inside;
};

struct mountpoint_options {
	bool allow_other, allow_nonempty;
	/* The place is inside a mount that this process serves: named as in mountinfo, and only
	 * child processes that can be killed go there. */
	bool inside;
	unsigned max_read;
};

/**
 * mountpoint_prepare() - finds the directory, takes a dead cenote mount off it. Inside a mount of
 * ours, any cenote mount: it can only be of a former worker.
 * Return: 0 with @out; -ENOENT, -ENOTDIR, -ENOTEMPTY, -EBUSY (a living cenote mount), -EACCES,
 *         -EINVAL, -ENOMEM with @problem.
 */
int mountpoint_prepare(const char *path, const struct mountpoint_options *options,
		       struct mountpoint *out, char *problem, size_t problem_size);

/**
 * mountpoint_mount() - mounts read-only.
 * @session: mounts itself when we have no privilege; not inside a mount of ours.
 * @out_fd: the connection's descriptor; the session's own once it was given to
 *          fuse_session_custom_io(), which is the caller's to do.
 * Return: 0; -EPERM, -ENOENT (no /dev/fuse), -EIO, -ETIMEDOUT ... with @problem.
 */
int mountpoint_mount(struct mountpoint *mountpoint, const struct mountpoint_options *options,
		     struct fuse_session *session, int *out_fd, char *problem, size_t problem_size);

/** mountpoint_readahead() - the kernel reads ahead requests of @len bytes where it keeps pages;
 *  otherwise of 128 KiB. Without the right to say so nothing happens. */
void mountpoint_readahead(const struct mountpoint *mountpoint, unsigned len);

/**
 * mountpoint_adopt() - finds the mount that the connection @fd belongs to, without touching it:
 * nobody serves it yet. Where the kernel does not tell (before 6.16), it is the cenote mount at
 * @path.
 * @inside: as in the options.
 * Return: 0 with @out; not mounted when it is nowhere any more (umount -l, and still used);
 *         -EINVAL, -ENOENT, -ENOMEM with @problem.
 */
int mountpoint_adopt(const char *path, bool inside, int fd, struct mountpoint *out, char *problem,
		     size_t problem_size);

/** mountpoint_unmount() - takes the mount away, whoever uses it; with privilege, the connection is
 *  aborted too: whoever waits for it gets an error. Nothing when it is gone already. */
void mountpoint_unmount(struct mountpoint *mountpoint);

/** mountpoint_fini() - frees; does not unmount. */
void mountpoint_fini(struct mountpoint *mountpoint);
