/*
 * mounted.h - what /proc says is mounted somewhere. Looking into a mount itself could hang.
 */
#pragma once

#include <stddef.h>

#define MOUNTED_TYPE_OURS "fuse.cenote"

/**
 * mounted_type() - the type of the topmost mount on @path, "ext4", "fuse.cenote"; "" when nothing
 * is mounted there.
 */
void mounted_type(const char *path, char *out, size_t out_size);
