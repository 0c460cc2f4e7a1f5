/*
 * mountpoint.c - see mountpoint.h.
 */
#include "fuse/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/child.h"
#include "fuse/mountinfo.h"

#define TYPE		"fuse.cenote"
#define SOURCE		"cenote"
#define PROBE_MS	2000 /* a daemon that takes longer to answer statfs is alive, but not well */
#define HELPER_MS	10000
#define DEAD_MOUNTS_MAX 16 /* one on top of the other */

extern char **environ;

static int complain(char *problem, size_t problem_size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int complain(char *problem, size_t problem_size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem, problem_size, format, args);
	va_end(args);
	return err;
}

/* --- children ------------------------------------------------------------------------------- */

static int is_dead(const void *context)
{
	struct statfs unused;

	return statfs(context, &unused) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Whether the daemon of the mount at @path is gone. */
static bool mount_dead(const char *path)
{
	return child_call(is_dead, path, -1, PROBE_MS) == 1;
}

static int helper_unmount(const char *path)
{
	char *const argv[] = { (char[]){ "fusermount3" },
			       (char[]){ "-u" },
			       (char[]){ "-q" },
			       (char[]){ "-z" },
			       (char[]){ "--" },
			       strdupa(path),
			       NULL };
	pid_t pid;
	int status, err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (err)
		return -err;
	status = child_wait(pid, HELPER_MS);
	if (status < 0)
		return status;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* --- before --------------------------------------------------------------------------------- */

/* The path as mountinfo has it, without touching its last component, which may be a dead mount.
 * Return: NULL with errno. */
static char *path_resolve(const char *path)
{
	char *copy = strdup(path), *again = strdup(path), *parent = NULL, *resolved = NULL;
	const char *name;

	if (!copy || !again)
		goto out;
	name = basename(again);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "/") == 0) {
		errno = EINVAL;
		goto out;
	}
	parent = realpath(dirname(copy), NULL);
	if (parent &&
	    asprintf(&resolved, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
		resolved = NULL;
out:
	free(copy);
	free(again);
	free(parent);
	return resolved;
}

static int dead_remove(const char *path, char *problem, size_t problem_size)
{
	if (!mount_dead(path))
		return complain(problem, problem_size, -EBUSY,
				"%s: a cenote mount is there and its daemon is alive: stop that "
				"one, or choose another path",
				path);
	log_notice("mount.dead", "path=%s action=unmounted text=\"left by a daemon that is gone\"",
		   path);
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || helper_unmount(path) == 0)
		return 0;
	return complain(problem, problem_size, -EBUSY,
			"%s: a dead cenote mount is there and cannot be taken away: as root, "
			"umount -l %s",
			path, path);
}

static int dead_remove_all(const char *path, char *problem, size_t problem_size)
{
	struct mountinfo info;

	for (unsigned i = 0; i < DEAD_MOUNTS_MAX; i++) {
		int err = mountinfo_top(path, &info);

		if (err || strcmp(info.type, TYPE) != 0)
			return 0;
		err = dead_remove(path, problem, problem_size);
		if (err)
			return err;
	}
	return 0;
}

static int directory_check(const char *path, bool allow_nonempty, char *problem,
			   size_t problem_size)
{
	const struct dirent *entry;
	bool empty = true;
	DIR *directory = opendir(path);

	if (!directory && errno == ENOENT)
		return complain(problem, problem_size, -ENOENT, "%s does not exist: mkdir -p %s",
				path, path);
	if (!directory)
		return complain(problem, problem_size, -errno, "%s: %s", path, error_text(-errno));
	while (empty && (entry = readdir(directory)))
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(directory);
	if (!empty && !allow_nonempty)
		return complain(problem, problem_size, -ENOTEMPTY,
				"%s is not empty, and a mount would hide what is there: choose "
				"another path, or set allow_nonempty",
				path);
	return 0;
}

/* What is at the resolved path. @out: where it leads, since it may be a symbolic link. */
static int place_prepare(const char *path, const struct mountpoint_options *options, char **out,
			 char *problem, size_t problem_size)
{
	char *final;
	int err = dead_remove_all(path, problem, problem_size);

	if (!err)
		err = directory_check(path, options->allow_nonempty, problem, problem_size);
	if (err)
		return err;
	final = realpath(path, NULL);
	if (!final)
		return complain(problem, problem_size, -errno, "%s: %s", path, error_text(-errno));
	if (strcmp(final, path) != 0)
		err = dead_remove_all(final, problem, problem_size);
	if (err) {
		free(final);
		return err;
	}
	*out = final;
	return 0;
}

static int detach(const void *context)
{
	return umount2(context, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : errno;
}

static int inside_prepare(const char *path, struct mountpoint *out, char *problem,
			  size_t problem_size)
{
	struct mountinfo info;
	int err = 0;

	for (unsigned i = 0; i < DEAD_MOUNTS_MAX && err == 0; i++) {
		if (mountinfo_top(path, &info) != 0 || strcmp(info.type, TYPE) != 0)
			break;
		err = child_call(detach, path, -1, HELPER_MS);
	}
	if (err)
		return complain(problem, problem_size, -EBUSY,
				"%s: a former mount is there and cannot be taken away: as root, "
				"umount -l %s",
				path, path);
	*out = (struct mountpoint){ .path = strdup(path), .inside = true };
	return out->path ? 0 : complain(problem, problem_size, -ENOMEM, "out of memory");
}

int mountpoint_prepare(const char *path, const struct mountpoint_options *options,
		       struct mountpoint *out, char *problem, size_t problem_size)
{
	char *resolved, *final = NULL;
	int err;

	if (options->inside)
		return inside_prepare(path, out, problem, problem_size);
	resolved = path_resolve(path);
	if (!resolved)
		return complain(problem, problem_size, -errno, "mountpoint %s: %s", path,
				error_text(-errno));
	err = place_prepare(resolved, options, &final, problem, problem_size);
	free(resolved);
	if (!err)
		*out = (struct mountpoint){ .path = final };
	return err;
}

/* --- during --------------------------------------------------------------------------------- */

struct mounting {
	const char *path, *data;
};

static int mount_call(const void *context)
{
	const struct mounting *mounting = context;
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV;

	return mount(SOURCE, mounting->path, TYPE, flags, mounting->data) == 0 ? 0 : errno;
}

static int mount_privileged(const struct mountpoint *mountpoint,
			    const struct mountpoint_options *options, int *out_fd)
{
	char data[192];
	const struct mounting mounting = { mountpoint->path, data };
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	snprintf(data, sizeof(data),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,max_read=%u%s",
		 fd, (unsigned)geteuid(), (unsigned)getegid(), options->max_read,
		 options->allow_other ? ",allow_other" : "");
	if (mountpoint->inside)
		err = child_call(mount_call, &mounting, fd, HELPER_MS);
	else
		err = mount_call(&mounting);
	if (err) {
		close(fd);
		return err > 0 ? -err : err;
	}
	*out_fd = fd;
	return 0;
}

static int mount_explain(int err, const char *path, char *problem, size_t problem_size)
{
	if (err == -ENOENT || err == -ENXIO)
		return complain(problem, problem_size, err,
				"/dev/fuse: %s: load the module (modprobe fuse); in a container, "
				"pass --device /dev/fuse",
				error_text(err));
	if (err == -ENODEV)
		return complain(problem, problem_size, err,
				"this kernel has no FUSE file system: modprobe fuse");
	return complain(problem, problem_size, err, "mounting %s: %s", path, error_text(err));
}

/* The device of the mount that @fd is the connection of: its major number is always 0. */
static bool connection_device(int fd, unsigned *out_minor)
{
	static const char word[] = "fuse_connection:";
	char path[64], line[128], *end = line;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && end == line && fgets(line, sizeof(line), file)) {
		char *number = line + strlen(word);

		if (strncmp(line, word, strlen(word)) != 0)
			continue;
		*out_minor = (unsigned)strtoul(number, &end, 10);
		if (end == number)
			end = line;
	}
	if (file)
		fclose(file);
	return end != line;
}

static bool mount_ours(const struct mountpoint *mountpoint)
{
	struct mountinfo info;

	return mountinfo_top(mountpoint->path, &info) == 0 && strcmp(info.type, TYPE) == 0 &&
	       info.device_major == mountpoint->device_major &&
	       info.device_minor == mountpoint->device_minor;
}

static void device_find(struct mountpoint *mountpoint, int fd)
{
	struct mountinfo info;

	if (connection_device(fd, &mountpoint->device_minor))
		return;
	if (mountinfo_top(mountpoint->path, &info) != 0)
		return;
	mountpoint->device_major = info.device_major;
	mountpoint->device_minor = info.device_minor;
}

/* A child of a former worker, which waited in what is served again by now, may have come to mount
 * after all: that one has no daemon. */
static void strangers_detach(const struct mountpoint *mountpoint)
{
	struct mountinfo info;

	for (unsigned i = 0; i < DEAD_MOUNTS_MAX && !mount_ours(mountpoint); i++)
		if (mountinfo_top(mountpoint->path, &info) != 0 ||
		    child_call(detach, mountpoint->path, -1, HELPER_MS) != 0)
			return;
}

int mountpoint_mount(struct mountpoint *mountpoint, const struct mountpoint_options *options,
		     struct fuse_session *session, int *out_fd, char *problem, size_t problem_size)
{
	int fd = -1, err = mount_privileged(mountpoint, options, &fd);

	if ((err == -EPERM || err == -EACCES) && mountpoint->inside) {
		return complain(problem, problem_size, -EPERM,
				"mounting %s: a small-files entry below the mountpoint takes "
				"CAP_SYS_ADMIN: run as root, or make it the only entry, with the "
				"path /",
				mountpoint->path);
	} else if (err == -EPERM || err == -EACCES) {
		mountpoint->helped = true;
		if (fuse_session_mount(session, mountpoint->path) != 0)
			return complain(problem, problem_size, -EPERM,
					"mounting %s without privilege through fusermount3 failed "
					"(its message is above): run as root, or install fuse3%s",
					mountpoint->path,
					options->allow_other ? " and put user_allow_other into "
							       "/etc/fuse.conf"
							     : "");
		fd = fuse_session_fd(session);
	} else if (err) {
		return mount_explain(err, mountpoint->path, problem, problem_size);
	}
	mountpoint->mounted = true;
	device_find(mountpoint, fd);
	if (mountpoint->inside)
		strangers_detach(mountpoint);
	*out_fd = fd;
	return 0;
}

void mountpoint_readahead(const struct mountpoint *mountpoint, unsigned len)
{
	char path[64];
	FILE *file;

	if (mountpoint->device_minor == 0)
		return; /* not known */
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", mountpoint->device_major,
		 mountpoint->device_minor);
	file = fopen(path, "we");
	if (!file || fprintf(file, "%u", len >> 10) < 0)
		log_debug("mount.readahead", "path=%s error=\"%s\"", path, error_text(-errno));
	if (file)
		fclose(file);
}

int mountpoint_adopt(const char *path, bool inside, int fd, struct mountpoint *out, char *problem,
		     size_t problem_size)
{
	char *resolved = inside ? strdup(path) : path_resolve(path);
	struct mountpoint found = { .path = resolved, .inside = inside };
	struct mountinfo *info;
	unsigned minor = 0;

	if (!resolved)
		return complain(problem, problem_size, -errno, "mountpoint %s: %s", path,
				error_text(-errno));
	info = malloc(sizeof(*info));
	if (!info) {
		free(resolved);
		return complain(problem, problem_size, -ENOMEM, "out of memory");
	}
	found.mounted = (connection_device(fd, &minor) ? mountinfo_of_device(minor, resolved, info)
						       : mountinfo_top(resolved, info)) == 0 &&
			strcmp(info->type, TYPE) == 0;
	if (found.mounted && strcmp(info->path, resolved) != 0) {
		found.path = strdup(info->path);
		free(resolved);
	}
	if (found.mounted) {
		found.device_major = info->device_major;
		found.device_minor = info->device_minor;
	}
	free(info);
	if (!found.path)
		return complain(problem, problem_size, -ENOMEM, "out of memory");
	*out = found;
	return 0;
}

/* --- after ---------------------------------------------------------------------------------- */

/* MNT_FORCE aborts the connection, which wakes everyone who waits for it. */
static int unmount_call(const void *context)
{
	const int flags = MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW;

	return umount2(context, flags) == 0 ? 0 : errno;
}

void mountpoint_unmount(struct mountpoint *mountpoint)
{
	int err = 0;

	if (!mountpoint->mounted)
		return;
	mountpoint->mounted = false;
	if (!mount_ours(mountpoint))
		return;
	if (mountpoint->inside)
		err = child_call(unmount_call, mountpoint->path, -1, HELPER_MS);
	else if (!mountpoint->helped)
		err = unmount_call(mountpoint->path);
	err = err > 0 ? -err : err;
	/* EPERM: a mount that was taken over, of which it is not known whether it was helped. */
	if (mountpoint->helped || err == -EPERM)
		err = helper_unmount(mountpoint->path);
	if (err)
		log_error("mount.unmount", "path=%s error=\"%s\"", mountpoint->path,
			  error_text(err));
}

void mountpoint_fini(struct mountpoint *mountpoint)
{
	free(mountpoint->path);
	mountpoint->path = NULL;
}
