/*
 * node.c - GETATTR, STATFS, and how answers look. Everything here is known without asking anyone: a
 * node's attributes are its version's.
 *
 * access(2) is answered by the kernel from the modes (default_permissions).
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fuse/inside.h"

#define BLOCK_LEN 4096
#define STAT_UNIT 512 /* of st_blocks */

void attributes_stat(const struct namespace_attributes *attributes, struct stat *out)
{
	*out = (struct stat){
		.st_ino = attributes->ino,
		.st_mode = attributes->mode,
		.st_nlink = 1, /* of a directory: how many directories it has is not known */
		.st_uid = attributes->uid,
		.st_gid = attributes->gid,
		.st_size = (off_t)attributes->size,
		.st_blksize = CHANNEL_REQUEST_MAX, /* what tools take as their buffer's size */
		.st_blocks = (blkcnt_t)((attributes->size + STAT_UNIT - 1) / STAT_UNIT),
		.st_atim.tv_sec = attributes->mtime_s,
		.st_mtim.tv_sec = attributes->mtime_s,
		.st_ctim.tv_sec = attributes->mtime_s,
	};
}

void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info)
{
	struct mount *mount = mount_of(fuse);
	struct namespace_attributes attributes;
	struct stat st;
	int err = namespace_attributes(mount->ns, id, &attributes);

	(void)info;
	counter_add(&mount->counters, MOUNT_GETATTRS, 1);
	if (err) {
		reply_error(mount, fuse, err);
		return;
	}
	attributes_stat(&attributes, &st);
	fuse_reply_attr(fuse, &st, seconds(attributes.attribute_timeout));
}

/* A bucket has no size that could be asked for: nothing is free, since nothing can be written. */
void op_statfs(fuse_req_t fuse, fuse_ino_t id)
{
	struct statvfs st = {
		.f_bsize = CHANNEL_REQUEST_MAX,
		.f_frsize = BLOCK_LEN,
		.f_flag = ST_RDONLY,
		.f_namemax = 255,
	};

	(void)id;
	fuse_reply_statfs(fuse, &st);
}

/* What a backing store may say and a system call may not. */
static int caller_error(int status)
{
	switch (status) {
	case -ECANCELED:
		return -EINTR;
	case -ETIMEDOUT: /* the log and the counters tell it apart; read(2) knows EIO alone */
	case -EPROTO:
	case -EAGAIN: /* a queue of ours is full: not what the word means to a reader */
	case -EINVAL:
	case -ERANGE:
		return -EIO;
	default:
		return status;
	}
}

void reply_error(struct mount *mount, fuse_req_t fuse, int status)
{
	status = caller_error(status);
	if (status != -ENOENT && status != -ESTALE && status != -EINTR && status != -EROFS &&
	    status != -ENODATA)
		counter_add(&mount->counters, MOUNT_ERRORS, 1);
	fuse_reply_err(fuse, -status);
}
