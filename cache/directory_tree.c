/*
 * directory_tree.c - openat2, fstat, pread and readdir under the names of an object store.
 */
#include "cache/directory_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE_LEN  (1u << 20)
#define PATH_SPACE (2 * BACKING_KEY_MAX + 2)
#define DEPTH_MAX  64 /* of an undelimited listing */

/* openat2() knows no retry of its own: a rename elsewhere in the tree makes it say so. */
#define OPEN_TRIES 16

static int translate(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case EXDEV: /* would leave the tree */
	case ELOOP:
		return -ENOENT;
	case EACCES:
	case EPERM:
		return -EACCES;
	case EMFILE:
	case ENFILE:
		return -EMFILE;
	case ENOMEM:
		return -ENOMEM;
	case ENAMETOOLONG:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int open_beneath(int root, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	for (unsigned i = 0; i < OPEN_TRIES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return translate(errno);
	}
	return -EIO;
}

/* Whether the text between slashes is one that an object's name may have here: "a//b" and "a/../b"
 * would be second names of another object. */
static bool key_is_plain(const char *key)
{
	for (const char *part = key;; part++) {
		size_t len = strcspn(part, "/");

		if (len == 0 || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += len;
		if (!*part)
			return true;
	}
}

static int join(char path[PATH_SPACE], const char *bucket, const char *key)
{
	int len = snprintf(path, PATH_SPACE, "%s%s%s", bucket, bucket[0] ? "/" : "", key);

	return len >= PATH_SPACE ? -EINVAL : 0;
}

static int open_object(int root, const char *bucket, const char *key, uint64_t flags)
{
	char path[PATH_SPACE];
	int error;

	if ((bucket[0] && !key_is_plain(bucket)) || !key_is_plain(key))
		return -ENOENT;
	error = join(path, bucket, key);
	return error ? error : open_beneath(root, path, flags);
}

static int meta_of(const struct stat *st, struct backing_meta *out_meta)
{
	if (!S_ISREG(st->st_mode))
		return -ENOENT;
	out_meta->size = (uint64_t)st->st_size;
	out_meta->mtime_s = st->st_mtim.tv_sec;
	/* the change time tells a rewrite that put size and time of modification back */
	snprintf(out_meta->etag, sizeof(out_meta->etag),
		 "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx-%" PRIx64 ".%lx",
		 (uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
		 (uint64_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
		 (uint64_t)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec);
	return 0;
}

static int meta_of_fd(int fd, struct backing_meta *out_meta)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return translate(errno);
	return meta_of(&st, out_meta);
}

int tree_head(int root, const char *bucket, const char *key, struct backing_meta *out_meta)
{
	struct backing_meta meta;
	int fd = open_object(root, bucket, key, O_PATH);
	int error;

	if (fd < 0)
		return fd;
	error = meta_of_fd(fd, &meta);
	close(fd);
	if (!error)
		*out_meta = meta;
	return error;
}

static int check_version(int fd, const char *etag)
{
	struct backing_meta meta;
	int error = meta_of_fd(fd, &meta);

	if (error)
		return error;
	return strcmp(meta.etag, etag) == 0 ? 0 : -ESTALE;
}

static int read_piece(int fd, char *dst, size_t len, uint64_t off)
{
	while (len > 0) {
		ssize_t got = pread(fd, dst, len, (off_t)off);

		if (got < 0 && errno != EINTR)
			return -EIO;
		if (got == 0)
			return -ERANGE;
		if (got > 0) {
			dst += got;
			off += (uint64_t)got;
			len -= (size_t)got;
		}
	}
	return 0;
}

/* A piece is final only when the version was the same before and after it was read. */
static int read_pieces(int fd, const struct backing_get *get, int (*stop)(void *context),
		       void (*progress)(void *context, size_t filled), void *context)
{
	size_t filled = 0;
	int error = check_version(fd, get->etag);

	while (!error && filled < get->len) {
		size_t len = get->len - filled < PIECE_LEN ? get->len - filled : PIECE_LEN;

		error = stop(context);
		if (!error)
			error = read_piece(fd, (char *)get->dst + filled, len, get->off + filled);
		if (error && error != -ERANGE)
			break;
		/* a file cut short is another version before it is a wrong range */
		if (check_version(fd, get->etag) == -ESTALE)
			error = -ESTALE;
		filled += len;
		if (!error)
			progress(context, filled);
	}
	return error;
}

int tree_read(int root, const struct backing_get *get, int (*stop)(void *context),
	      void (*progress)(void *context, size_t filled), void *context)
{
	/* O_NONBLOCK: a pipe in the tree must not hold up the thread that opens it */
	int fd = open_object(root, get->request.bucket, get->request.key, O_RDONLY | O_NONBLOCK);
	int error;

	if (fd < 0)
		return fd;
	error = read_pieces(fd, get, stop, progress, context);
	close(fd);
	return error;
}

/* A listing under way: `key` is the path of the current directory below the bucket, ending in a
 * slash, or "". */
struct walk {
	int root;
	const struct backing_list *list;
	void (*entry)(void *context, const char *key, const struct backing_meta *meta);
	int (*stop)(void *context);
	void *context;
	const char *name_prefix; /* names in the first directory begin so */
	char path[PATH_SPACE];	 /* bucket, slash, key */
	size_t key_off;
	int delivered;
};

static int walk_directory(struct walk *walk, unsigned depth, char *token);

static int stat_entry(struct walk *walk, int directory, const char *name, struct stat *st,
		      bool *out_is_link)
{
	int fd, error = 0;

	if (fstatat(directory, name, st, AT_SYMLINK_NOFOLLOW) != 0)
		return translate(errno);
	*out_is_link = S_ISLNK(st->st_mode);
	if (!*out_is_link)
		return 0;
	fd = open_beneath(walk->root, walk->path, O_PATH);
	if (fd < 0)
		return fd;
	if (fstat(fd, st) != 0)
		error = translate(errno);
	close(fd);
	return error;
}

static void deliver(struct walk *walk, const struct backing_meta *meta)
{
	walk->delivered++;
	walk->entry(walk->context, walk->path + walk->key_off, meta);
}

static int visit_subdirectory(struct walk *walk, size_t len, unsigned depth, bool is_link)
{
	if (len + 1 >= PATH_SPACE)
		return 0;
	memcpy(walk->path + len, "/", 2);
	if (walk->list->delimited) {
		deliver(walk, NULL);
		return 0;
	}
	/* a linked directory could contain itself */
	if (is_link || depth + 1 >= DEPTH_MAX)
		return 0;
	int error = walk_directory(walk, depth + 1, NULL);
	/* gone meanwhile, or not for us: what can be read is listed */
	return error == -ENOENT || error == -EACCES ? 0 : error;
}

static int visit(struct walk *walk, int directory, size_t base, const struct dirent *dirent,
		 unsigned depth)
{
	size_t len = base + strlen(dirent->d_name);
	struct backing_meta meta;
	struct stat st;
	bool is_link = false;
	int error;

	if (len >= PATH_SPACE - 1 || len - walk->key_off >= BACKING_KEY_MAX)
		return 0; /* cannot be a key */
	memcpy(walk->path + base, dirent->d_name, len - base + 1);
	error = stat_entry(walk, directory, dirent->d_name, &st, &is_link);
	if (error == -ENOENT || error == -EACCES)
		return 0; /* went away meanwhile, or a link that leads out */
	if (error)
		return error;
	if (S_ISDIR(st.st_mode))
		return visit_subdirectory(walk, len, depth, is_link);
	if (meta_of(&st, &meta) == 0)
		deliver(walk, &meta);
	return 0;
}

static bool is_wanted(const struct walk *walk, const char *name, unsigned depth)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return depth > 0 || strncmp(name, walk->name_prefix, strlen(walk->name_prefix)) == 0;
}

static bool page_is_full(const struct walk *walk)
{
	return walk->list->delimited && walk->list->max_keys > 0 &&
	       walk->delivered >= walk->list->max_keys;
}

static int read_entries(struct walk *walk, DIR *directory, size_t base, unsigned depth, char *token)
{
	for (;;) {
		const struct dirent *dirent;
		int error = walk->stop(walk->context);

		if (error)
			return error;
		if (page_is_full(walk)) {
			snprintf(token, BACKING_TOKEN_MAX, "%ld", telldir(directory));
			return 0;
		}
		errno = 0;
		dirent = readdir(directory);
		if (!dirent)
			return errno ? translate(errno) : 0;
		if (is_wanted(walk, dirent->d_name, depth))
			error = visit(walk, dirfd(directory), base, dirent, depth);
		walk->path[base] = 0;
		if (error)
			return error;
	}
}

/* Lists the directory walk->path, from where @token says; @token gets where the next page begins.
 */
static int walk_directory(struct walk *walk, unsigned depth, char *token)
{
	size_t base = strlen(walk->path);
	int fd = open_beneath(walk->root, base ? walk->path : ".", O_RDONLY | O_DIRECTORY);
	DIR *directory;
	int error;

	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		error = translate(errno);
		close(fd);
		return error;
	}
	if (token && token[0])
		seekdir(directory, strtol(token, NULL, 10));
	if (token)
		token[0] = 0;
	error = read_entries(walk, directory, base, depth, token);
	closedir(directory);
	return error;
}

int tree_list(int root, const struct backing_list *list, char *token,
	      void (*entry)(void *context, const char *key, const struct backing_meta *meta),
	      int (*stop)(void *context), void *context)
{
	const char *slash = strrchr(list->prefix, '/');
	size_t directory_len = slash ? (size_t)(slash - list->prefix) + 1 : 0;
	struct walk walk = {
		.root = root,
		.list = list,
		.entry = entry,
		.stop = stop,
		.context = context,
		.name_prefix = list->prefix + directory_len,
	};
	int error;

	if (list->request.bucket[0] && !key_is_plain(list->request.bucket))
		return -ENOENT;
	error = join(walk.path, list->request.bucket, list->prefix);
	if (error)
		return error;
	walk.key_off = strlen(walk.path) - strlen(list->prefix);
	if (directory_len > 0) {
		walk.path[walk.key_off + directory_len - 1] = 0;
		if (!key_is_plain(walk.path + walk.key_off))
			return 0;
		memcpy(walk.path + walk.key_off + directory_len - 1, "/", 2);
	} else {
		walk.path[walk.key_off] = 0;
	}
	error = walk_directory(&walk, 0, token);
	/* a bucket must be there, a prefix need not */
	return error == -ENOENT && directory_len > 0 ? 0 : error;
}
