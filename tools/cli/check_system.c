/*
 * check_system.c - each look is one function: what it found, and what to do about it.
 */
#include "tools/cli/check_system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/cli/check_report.h"
#include "tools/mounted.h"
#include "tools/terminal.h"

#define FUSE_SYSCTL "/proc/sys/fs/fuse/"

/* A whole number of a file in /proc. Return: 0, -ENOENT when this kernel has none. */
static int number_read(const char *path, uint64_t *out)
{
	FILE *file = fopen(path, "re");
	int error = 0;

	if (!file)
		return -ENOENT;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel wrote the number */
	if (fscanf(file, "%" SCNu64, out) != 1)
		error = -EINVAL;
	fclose(file);
	return error;
}

static bool kernel_is_at_least(unsigned wanted_major, unsigned wanted_minor)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel wrote the numbers */
	sscanf(name.release, "%u.%u", &major, &minor);
	return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
}

static void kernel_check(struct check_report *report)
{
	struct utsname name;

	uname(&name);
	if (kernel_is_at_least(6, 6))
		check_report_add(report, CHECK_OK, "kernel", "Linux %s", name.release);
	else
		check_report_add(report, CHECK_WARN, "kernel",
				 "Linux %s: reading works, but shared mappings of files "
				 "(numpy.memmap, Arrow, safetensors) fail with ENODEV before 6.6",
				 name.release);
}

static void fuse_device_check(struct check_report *report)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		check_report_add(report, CHECK_OK, "/dev/fuse", "can be opened");
	} else if (errno == ENOENT || errno == ENXIO || errno == ENODEV) {
		check_report_add(
			report, CHECK_FAIL, "/dev/fuse",
			"is missing: modprobe fuse; in a container pass the device through "
			"(--device /dev/fuse --cap-add SYS_ADMIN)");
	} else {
		check_report_add(report, CHECK_FAIL, "/dev/fuse",
				 "cannot be opened: %s; run as root, or let this user open it",
				 error_text(-errno));
	}
}

static bool config_has_line(const char *path, const char *wanted)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\r\n#")] = '\0';
		found = strcmp(line, wanted) == 0;
	}
	if (file)
		fclose(file);
	return found;
}

/* Root mounts by itself; others go through the setuid helper. */
static void fusermount_check(struct check_report *report, bool allow_other)
{
	static const char *const places[] = { "/usr/bin/fusermount3", "/bin/fusermount3",
					      "/usr/local/bin/fusermount3" };
	bool root = geteuid() == 0;

	if (!root && allow_other && !config_has_line("/etc/fuse.conf", "user_allow_other"))
		check_report_add(report, CHECK_FAIL, "allow_other",
				 "is for root only until /etc/fuse.conf has the line "
				 "user_allow_other; add it, or set mount.allow_other = false");
	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		struct stat st;

		if (stat(places[i], &st) != 0)
			continue;
		if (root || st.st_mode & S_ISUID)
			check_report_add(report, CHECK_OK, "fusermount3", "%s", places[i]);
		else
			check_report_add(report, CHECK_FAIL, "fusermount3",
					 "%s is not setuid root, so this user cannot mount",
					 places[i]);
		return;
	}
	check_report_add(report, root ? CHECK_WARN : CHECK_FAIL, "fusermount3",
			 "is missing%s: apt-get install fuse3",
			 root ? " (root mounts without it, but users cannot unmount)" : "");
}

static void fuse_pages_check(struct check_report *report)
{
	uint64_t pages;

	if (number_read(FUSE_SYSCTL "max_pages_limit", &pages) != 0)
		check_report_add(report, CHECK_OK, "fs.fuse.max_pages_limit",
				 "this kernel has no such setting: requests of 1 MiB");
	else if (pages >= 256)
		check_report_add(report, CHECK_OK, "fs.fuse.max_pages_limit",
				 "%" PRIu64 " pages: requests of 1 MiB", pages);
	else
		check_report_add(report, CHECK_WARN, "fs.fuse.max_pages_limit",
				 "%" PRIu64 " pages make for small, slow reads: sysctl "
				 "fs.fuse.max_pages_limit=256",
				 pages);
}

/* With such a time-out the kernel aborts the whole connection when one read waits too long. */
static void fuse_timeout_check(struct check_report *report, const char *name)
{
	char path[128], subject[96];
	uint64_t seconds;

	snprintf(path, sizeof(path), FUSE_SYSCTL "%s", name);
	snprintf(subject, sizeof(subject), "fs.fuse.%s", name);
	if (number_read(path, &seconds) != 0)
		return; /* an older kernel: there is no such danger */
	if (seconds == 0)
		check_report_add(report, CHECK_OK, subject,
				 "0: the kernel never cuts the mount off");
	else
		check_report_add(report, CHECK_FAIL, subject,
				 "%" PRIu64
				 " s: the kernel ends the whole mount when one read takes "
				 "longer; sysctl %s=0",
				 seconds, subject);
}

/* The number behind "NAME:" in a file of /proc; 0 when there is none. */
static unsigned long long proc_number(const char *path, const char *name, int base)
{
	FILE *file = fopen(path, "re");
	size_t name_len = strlen(name);
	unsigned long long number = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, name_len) == 0 && line[name_len] == ':')
			number = strtoull(line + name_len + 1, NULL, base);
	if (file)
		fclose(file);
	return number;
}

#define CAPABILITY_IPC_LOCK (1ULL << 14)

/* Before 5.12, io_uring's own memory counted. Registering memory for RDMA still does. */
#define RING_MEMORY (UINT64_C(1) << 20)

static void memlock_check(struct check_report *report, unsigned rings)
{
	char have[TERMINAL_TEXT_MAX];
	struct rlimit limit;

	if (proc_number("/proc/self/status", "CapEff", 16) & CAPABILITY_IPC_LOCK) {
		check_report_add(report, CHECK_OK, "memlock",
				 "unlimited (this user has CAP_IPC_LOCK)");
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return;
	text_bytes(limit.rlim_max, have);
	if (limit.rlim_max == RLIM_INFINITY)
		check_report_add(report, CHECK_OK, "memlock", "unlimited");
	else if (limit.rlim_max >= rings * RING_MEMORY || kernel_is_at_least(5, 12))
		check_report_add(report, CHECK_OK, "memlock", "%s is enough on this kernel", have);
	else
		check_report_add(report, CHECK_FAIL, "memlock",
				 "%s is too little for io_uring on this kernel: set "
				 "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited",
				 have);
}

static void descriptors_check(struct check_report *report)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_max >= 4096)
		check_report_add(report, CHECK_OK, "open files", "up to %llu",
				 (unsigned long long)limit.rlim_max);
	else
		check_report_add(
			report, CHECK_WARN, "open files",
			"only %llu: set LimitNOFILE=65536 in the unit, or ulimit -Hn 65536",
			(unsigned long long)limit.rlim_max);
}

static void memory_check(struct check_report *report, uint64_t arena_len, uint64_t reserve_len)
{
	char arena_text[TERMINAL_TEXT_MAX], reserve_text[TERMINAL_TEXT_MAX];
	char available_text[TERMINAL_TEXT_MAX];
	uint64_t available = proc_number("/proc/meminfo", "MemAvailable", 10) * 1024;

	text_bytes(arena_len, arena_text);
	text_bytes(reserve_len, reserve_text);
	text_bytes(available, available_text);
	if (available >= arena_len + reserve_len)
		check_report_add(report, CHECK_OK, "memory",
				 "arena %s and at most %s of network buffers; %s available",
				 arena_text, reserve_text, available_text);
	else
		check_report_add(report, CHECK_FAIL, "memory",
				 "arena %s and %s of network buffers do not fit into the %s "
				 "available: lower cache.memory",
				 arena_text, reserve_text, available_text);
}

static void mountpoint_check(struct check_report *report, const char *path, bool daemon_runs)
{
	char type[64];
	struct stat st;

	mounted_type(path, type, sizeof(type));
	if (strncmp(type, "fuse", 4) == 0 && daemon_runs) {
		check_report_add(report, CHECK_OK, "mountpoint", "%s, mounted now", path);
	} else if (strncmp(type, "fuse", 4) == 0) {
		check_report_add(
			report, CHECK_WARN, "mountpoint",
			"%s has a %s mount, and no daemon of this configuration runs: if a "
			"killed one left it behind, the next start takes it off",
			path, type);
	} else if (stat(path, &st) != 0) {
		check_report_add(report, CHECK_FAIL, "mountpoint",
				 "%s cannot be reached: %s; mkdir -p %s", path, error_text(-errno),
				 path);
	} else if (!S_ISDIR(st.st_mode)) {
		check_report_add(report, CHECK_FAIL, "mountpoint",
				 "%s is not a directory; choose another mount.path", path);
	} else {
		check_report_add(report, CHECK_OK, "mountpoint", "%s", path);
	}
}

static bool may_mount(void)
{
	static const char word[] = "CapEff:";
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long effective = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, word, strlen(word)) == 0)
			effective = strtoull(line + strlen(word), NULL, 16);
	if (file)
		fclose(file);
	return effective >> CAP_SYS_ADMIN & 1;
}

static void parts_check(struct check_report *report, unsigned count)
{
	if (count == 0)
		return;
	if (may_mount())
		check_report_add(report, CHECK_OK, "small-files", "%u mounted by themselves",
				 count);
	else
		check_report_add(report, CHECK_FAIL, "small-files",
				 "an entry below the mountpoint is a mount of its own, which takes "
				 "CAP_SYS_ADMIN: run as root, or make it the only entry, with the "
				 "path /");
}

void check_system(struct check_report *report, const struct check_system_needs *needs)
{
	kernel_check(report);
	fuse_device_check(report);
	fusermount_check(report, needs->allow_other);
	parts_check(report, needs->part_count);
	fuse_pages_check(report);
	fuse_timeout_check(report, "default_request_timeout");
	fuse_timeout_check(report, "max_request_timeout");
	memory_check(report, needs->arena_len, needs->reserve_len);
	memlock_check(report, needs->directory_count);
	descriptors_check(report);
	mountpoint_check(report, needs->mountpoint, needs->daemon_runs);
}
