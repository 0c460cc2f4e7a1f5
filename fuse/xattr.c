/*
 * xattr.c - what only we know of a file, for people and programs:
 *
 *	user.cenote.etag	the version's etag
 *	user.cenote.object	the version's id, the name of its file in a cache directory
 *	user.cenote.resident	bytes of it that need no backing store now
 *	user.cenote.key		where it comes from: "backing/bucket/key"; directories have it too
 *
 * Anything else is ENODATA (ls asks for ACLs of each file).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/inside.h"

#define VALUE_MAX (BACKING_KEY_MAX + 512) /* "backing/bucket/key" */

struct xattr {
	const char *name;
	int (*get)(struct mount *mount, uint64_t id, char *out, size_t out_size);
	bool of_directories;
};

/* Calls @write for a file node's version. */
static int with_version(struct mount *mount, uint64_t id, char *out, size_t out_size,
			void (*write)(struct mount *mount, const struct object_version *version,
				      char *out, size_t out_size))
{
	struct namespace_file *file;
	int err = namespace_file(mount->ns, id, false, &file);

	if (err)
		return err == -EISDIR ? -ENODATA : err;
	write(mount, &file->version, out, out_size);
	namespace_file_free(file);
	return 0;
}

static void write_etag(struct mount *mount, const struct object_version *version, char *out,
		       size_t out_size)
{
	(void)mount;
	snprintf(out, out_size, "%s", version->etag);
}

static void write_object(struct mount *mount, const struct object_version *version, char *out,
			 size_t out_size)
{
	struct object_id id;
	char text[OBJECT_ID_TEXT_LEN];

	(void)mount;
	object_id_of(version, &id);
	object_id_text(&id, text);
	snprintf(out, out_size, "%s", text);
}

static void write_resident(struct mount *mount, const struct object_version *version, char *out,
			   size_t out_size)
{
	snprintf(out, out_size, "%" PRIu64, cache_object_resident(mount->cache, version));
}

static int get_etag(struct mount *mount, uint64_t id, char *out, size_t out_size)
{
	return with_version(mount, id, out, out_size, write_etag);
}

static int get_object(struct mount *mount, uint64_t id, char *out, size_t out_size)
{
	return with_version(mount, id, out, out_size, write_object);
}

static int get_resident(struct mount *mount, uint64_t id, char *out, size_t out_size)
{
	return with_version(mount, id, out, out_size, write_resident);
}

static int get_key(struct mount *mount, uint64_t id, char *out, size_t out_size)
{
	int err = namespace_describe(mount->ns, id, out, out_size);

	return err == 0 && *out == '\0' ? -ENODATA : err;
}

static const struct xattr xattrs[] = {
	{ "user.cenote.etag", get_etag, false },
	{ "user.cenote.object", get_object, false },
	{ "user.cenote.resident", get_resident, false },
	{ "user.cenote.key", get_key, true },
};

/* @size 0 asks how long the answer is. */
static void reply_value(struct mount *mount, fuse_req_t fuse, const char *value, size_t len,
			size_t size)
{
	if (size == 0)
		fuse_reply_xattr(fuse, len);
	else if (size < len)
		fuse_reply_err(fuse, ERANGE);
	else
		fuse_reply_buf(fuse, value, len);
	(void)mount;
}

void op_getxattr(fuse_req_t fuse, fuse_ino_t id, const char *name, size_t size)
{
	struct mount *mount = mount_of(fuse);
	char value[VALUE_MAX];
	int err = -ENODATA;

	for (unsigned i = 0; i < ARRAY_COUNT(xattrs); i++)
		if (strcmp(name, xattrs[i].name) == 0)
			err = xattrs[i].get(mount, id, value, sizeof(value));
	if (err)
		reply_error(mount, fuse, err);
	else
		reply_value(mount, fuse, value, strlen(value), size);
}

void op_listxattr(fuse_req_t fuse, fuse_ino_t id, size_t size)
{
	struct mount *mount = mount_of(fuse);
	struct namespace_attributes attributes;
	char names[256];
	size_t len = 0;
	int err = namespace_attributes(mount->ns, id, &attributes);

	if (err) {
		reply_error(mount, fuse, err);
		return;
	}
	for (unsigned i = 0; i < ARRAY_COUNT(xattrs); i++) {
		size_t name_size = strlen(xattrs[i].name) + 1;

		if (S_ISDIR(attributes.mode) && !xattrs[i].of_directories)
			continue;
		CHECK(name_size <= sizeof(names) - len);
		memcpy(names + len, xattrs[i].name, name_size);
		len += name_size;
	}
	reply_value(mount, fuse, names, len, size);
}
