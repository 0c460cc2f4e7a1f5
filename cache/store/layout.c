/*
 * layout.c - making, opening and locking a cache directory; names.
 */
#include "cache/store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"

#define FORMAT_MAGIC   "cenote-store "
#define FORMAT_VERSION 1
#define FORMAT_LEN_MAX 256

static const char *const folders[] = { "objects", "segments", "index" };

void layout_init(struct layout *layout)
{
	*layout = (struct layout){ .root_fd = -1, .lock_fd = -1 };
}

void layout_close(struct layout *layout)
{
	if (layout->lock_fd >= 0)
		close(layout->lock_fd);
	if (layout->root_fd >= 0)
		close(layout->root_fd);
	layout_init(layout);
}

static void tell(char *problem, size_t problem_size, const char *what, int error)
{
	snprintf(problem, problem_size, "%s: %s", what, error_text(error));
}

/* The directory with all those above it. */
static int make_root(const struct files *files, const char *path)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	int error = 0;

	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		error = files->make_directory(files, AT_FDCWD, part);
		if (error && error != -EEXIST)
			break;
	}
	return error;
}

static int open_root(struct layout *layout, const struct files *files, const char *path)
{
	struct stat st;
	int error = stat(path, &st) == 0 ? 0 : make_root(files, path);

	if (error && error != -EEXIST)
		return error;
	layout->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return layout->root_fd < 0 ? -errno : 0;
}

static int take_lock(struct layout *layout, const struct files *files, char *problem,
		     size_t problem_size)
{
	int fd = files->open(files, layout->root_fd, "lock", O_RDWR | O_CREAT);

	if (fd < 0) {
		tell(problem, problem_size, "lock", fd);
		return fd;
	}
	layout->lock_fd = fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	snprintf(problem, problem_size, "in use by another daemon: give each its own directory");
	return -EBUSY;
}

/* The format file's text, or a negative errno. */
static int read_format(const struct layout *layout, char out[FORMAT_LEN_MAX])
{
	int fd = openat(layout->root_fd, "format", O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = pread(fd, out, FORMAT_LEN_MAX - 1, 0);
	if (len < 0)
		len = -errno;
	close(fd);
	if (len >= 0)
		out[len] = 0;
	return len < 0 ? (int)len : 0;
}

/* Takes @word and a number off *@text. */
static bool parse_number(const char **text, const char *word, uint32_t *out)
{
	size_t len = strlen(word);
	unsigned long number;
	char *end;

	if (strncmp(*text, word, len) != 0 || (*text)[len] < '0' || (*text)[len] > '9')
		return false;
	errno = 0;
	number = strtoul(*text + len, &end, 10);
	if (errno || number > UINT32_MAX || *end != '\n')
		return false;
	*text = end + 1;
	*out = (uint32_t)number;
	return true;
}

/* Whether @text is a format file of this version with our block length. */
static bool parse_format(struct layout *layout, const char *text, uint32_t block_len)
{
	uint32_t version, len;

	if (!parse_number(&text, FORMAT_MAGIC, &version) || version != FORMAT_VERSION)
		return false;
	if (!parse_number(&text, "block_len ", &len) || len != block_len)
		return false;
	if (strncmp(text, "uuid ", 5) != 0 || strlen(text + 5) < (size_t)2 * RECORD_UUID_LEN)
		return false;
	return digest_unhex(text + 5, RECORD_UUID_LEN, layout->uuid);
}

static int write_format(struct layout *layout, const struct files *files, uint32_t block_len)
{
	char uuid[2 * RECORD_UUID_LEN + 1];
	char text[FORMAT_LEN_MAX];
	int fd, len, error;

	random_bytes(layout->uuid, RECORD_UUID_LEN);
	digest_hex(layout->uuid, RECORD_UUID_LEN, uuid);
	len = snprintf(text, sizeof(text), FORMAT_MAGIC "%d\nblock_len %u\nuuid %s\n",
		       FORMAT_VERSION, block_len, uuid);
	fd = files->open(files, layout->root_fd, "format.new", O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return fd;
	error = files->write(files, fd, text, (uint32_t)len, 0);
	if (!error)
		error = files->sync_data(files, fd);
	close(fd);
	if (!error)
		error = files->rename(files, layout->root_fd, "format.new", "format");
	if (!error)
		error = files->sync_directory(files, layout->root_fd, ".");
	layout->fresh = true;
	return error;
}

/* Someone else's folders must not be swept. */
static int check_unclaimed(const struct layout *layout, char *problem, size_t problem_size)
{
	struct stat st;

	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (fstatat(layout->root_fd, folders[i], &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		snprintf(problem, problem_size,
			 "has %s/ but no format file of ours: not a cache directory; empty it, or "
			 "name another",
			 folders[i]);
		return -EINVAL;
	}
	return 0;
}

static int take_format(struct layout *layout, const struct files *files, const char *path,
		       uint32_t block_len, char *problem, size_t problem_size)
{
	char text[FORMAT_LEN_MAX] = "";
	int error = read_format(layout, text);

	if (!error && parse_format(layout, text, block_len))
		return 0;
	if (error && error != -ENOENT) {
		tell(problem, problem_size, "format", error);
		return error;
	}
	if (error || strncmp(text, FORMAT_MAGIC, strlen(FORMAT_MAGIC)) != 0) {
		error = check_unclaimed(layout, problem, problem_size);
		if (error)
			return error;
	} else {
		log_warning("store.directory",
			    "directory=%s made by another version or with another block length: "
			    "its contents are dropped",
			    path);
	}
	error = write_format(layout, files, block_len);
	if (error)
		tell(problem, problem_size, "format", error);
	return error;
}

static int make_folders(const struct layout *layout, const struct files *files, char *problem,
			size_t problem_size)
{
	bool made = false;
	int error = 0;

	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]) && !error; i++) {
		error = files->make_directory(files, layout->root_fd, folders[i]);
		made |= error == 0;
		if (error == -EEXIST)
			error = 0;
		if (error)
			tell(problem, problem_size, folders[i], error);
	}
	if (error || !made)
		return error;
	error = files->sync_directory(files, layout->root_fd, ".");
	if (error)
		tell(problem, problem_size, "sync", error);
	return error;
}

/* Said once, at the start, and not by every write. */
static int check_direct(const struct layout *layout, char *problem, size_t problem_size)
{
	int fd = openat(layout->root_fd, "format", O_RDONLY | O_DIRECT | O_CLOEXEC);
	int error = fd < 0 ? -errno : 0;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (error == -EINVAL)
		snprintf(problem, problem_size,
			 "its file system does not do O_DIRECT: use ext4 or xfs on a local SSD");
	else
		tell(problem, problem_size, "format", error);
	return error;
}

int layout_open(struct layout *layout, const struct files *files, const char *path,
		uint32_t block_len, char *problem, size_t problem_size)
{
	int error;

	layout_init(layout);
	error = open_root(layout, files, path);
	if (error)
		tell(problem, problem_size, "cannot be opened", error);
	if (!error)
		error = take_lock(layout, files, problem, problem_size);
	if (!error)
		error = take_format(layout, files, path, block_len, problem, problem_size);
	if (!error)
		error = check_direct(layout, problem, problem_size);
	if (!error)
		error = make_folders(layout, files, problem, problem_size);
	if (error)
		layout_close(layout);
	return error;
}

int layout_same(const struct layout *layout, const char *path)
{
	struct stat now, then;

	if (stat(path, &now) != 0 || fstat(layout->root_fd, &then) != 0)
		return -errno;
	return now.st_dev == then.st_dev && now.st_ino == then.st_ino ? 0 : -ESTALE;
}

void layout_folder_path(const struct object_id *id, char out[STORE_PATH_LEN])
{
	snprintf(out, STORE_PATH_LEN, "objects/%02x", id->bytes[0]);
}

void layout_object_path(const struct object_id *id, char out[STORE_PATH_LEN])
{
	layout_folder_path(id, out);
	out[10] = '/';
	digest_hex(id->bytes, OBJECT_ID_LEN, out + 11);
}

void layout_segment_path(uint32_t segment, char out[LAYOUT_SEGMENT_LEN])
{
	snprintf(out, LAYOUT_SEGMENT_LEN, "segments/%" PRIu32, segment);
}

bool layout_object_name(const char *name, struct object_id *out_id)
{
	return strlen(name) == (size_t)2 * OBJECT_ID_LEN &&
	       digest_unhex(name, OBJECT_ID_LEN, out_id->bytes);
}

bool layout_segment_name(const char *name, uint32_t *out_segment)
{
	uint64_t number = 0;

	if (!*name || *name == '0' || strlen(name) > 10)
		return false;
	for (; *name >= '0' && *name <= '9'; name++)
		number = number * 10 + (uint64_t)(*name - '0');
	*out_segment = (uint32_t)number;
	return *name == 0 && number <= UINT32_MAX;
}

int layout_open_cached(const struct layout *layout, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_CACHED };
	long fd = syscall(SYS_openat2, layout->root_fd, path, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	/* ENOSYS, EINVAL: an old kernel, or a filter that knows no openat2. */
	return errno == ENOSYS || errno == EINVAL || errno == EPERM ? -EAGAIN : -errno;
}
