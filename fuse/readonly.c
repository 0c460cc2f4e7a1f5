/*
 * readonly.c - operations that would write: EROFS, each in its own signature.
 */
#include <errno.h>

#include "fuse/inside.h"

static void refuse(fuse_req_t fuse)
{
	reply_error(mount_of(fuse), fuse, -EROFS);
}

static void op_setattr(fuse_req_t fuse, fuse_ino_t id, struct stat *attr, int to_set,
		       struct fuse_file_info *info)
{
	(void)id, (void)attr, (void)to_set, (void)info;
	refuse(fuse);
}

static void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent, (void)name, (void)mode, (void)dev;
	refuse(fuse);
}

static void op_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	refuse(fuse);
}

static void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	refuse(fuse);
}

static void op_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target, (void)parent, (void)name;
	refuse(fuse);
}

static void op_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	(void)parent, (void)name, (void)new_parent, (void)new_name, (void)flags;
	refuse(fuse);
}

static void op_link(fuse_req_t fuse, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	(void)id, (void)parent, (void)name;
	refuse(fuse);
}

static void op_write(fuse_req_t fuse, fuse_ino_t id, const char *data, size_t size, off_t off,
		     struct fuse_file_info *info)
{
	(void)id, (void)data, (void)size, (void)off, (void)info;
	refuse(fuse);
}

static void op_setxattr(fuse_req_t fuse, fuse_ino_t id, const char *name, const char *value,
			size_t size, int flags)
{
	(void)id, (void)name, (void)value, (void)size, (void)flags;
	refuse(fuse);
}

static void op_removexattr(fuse_req_t fuse, fuse_ino_t id, const char *name)
{
	(void)id, (void)name;
	refuse(fuse);
}

static void op_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *info)
{
	(void)parent, (void)name, (void)mode, (void)info;
	refuse(fuse);
}

static void op_fallocate(fuse_req_t fuse, fuse_ino_t id, int mode, off_t off, off_t len,
			 struct fuse_file_info *info)
{
	(void)id, (void)mode, (void)off, (void)len, (void)info;
	refuse(fuse);
}

void readonly_ops(struct fuse_lowlevel_ops *ops)
{
	ops->setattr = op_setattr;
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->unlink = op_unlink;
	ops->rmdir = op_unlink;
	ops->symlink = op_symlink;
	ops->rename = op_rename;
	ops->link = op_link;
	ops->write = op_write;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
	ops->create = op_create;
	ops->fallocate = op_fallocate;
}
