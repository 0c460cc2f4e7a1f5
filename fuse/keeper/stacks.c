/*
 * stacks.c - see stacks.h. Directories are read by getdents64(2): opendir(3) allocates, and the
 * keeper does not.
 */
#include "fuse/keeper/stacks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "fuse/keeper/link.h"

#define THREADS_MAX 64
#define FIELD_MAX   1024

/* A file of /proc as one line: newlines become " < ". */
static void field_read(pid_t pid, const char *tid, const char *name, char out[FIELD_MAX])
{
	char path[128], text[FIELD_MAX / 3];
	size_t filled = 0;
	ssize_t len;
	int fd;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, text, sizeof(text));
	close(fd);
	while (len > 0 && text[len - 1] == '\n')
		len--;
	for (ssize_t i = 0; i < len; i++) {
		bool ends = text[i] == '\n';

		filled += (size_t)snprintf(out + filled, FIELD_MAX - filled, "%.*s", ends ? 3 : 1,
					   ends ? " < " : &text[i]);
	}
}

/* The letter behind the name, which is in brackets and may hold anything. */
static char state_read(pid_t pid, const char *tid)
{
	char stat[FIELD_MAX];
	const char *behind;

	field_read(pid, tid, "stat", stat);
	behind = strrchr(stat, ')');
	if (!behind || behind[1] != ' ')
		return '?';
	return behind[2];
}

/* A site of its own each time: these lines are wanted all. */
static void thread_log(pid_t pid, const char *tid)
{
	char comm[FIELD_MAX], wchan[FIELD_MAX], call[FIELD_MAX], stack[FIELD_MAX];
	struct log_site site = { 0 };

	field_read(pid, tid, "comm", comm);
	field_read(pid, tid, "wchan", wchan);
	field_read(pid, tid, "syscall", call);
	field_read(pid, tid, "stack", stack);
	log_write(&site, LOG_LEVEL_WARNING, "keeper.thread",
		  "pid=%d tid=%s name=\"%s\" state=%c waits_in=%s syscall=\"%s\" stack=\"%s\"", pid,
		  tid, comm, state_read(pid, tid), wchan, call, stack);
	syscall(SYS_tgkill, pid, (pid_t)strtol(tid, NULL, 10), LINK_STACKS_SIGNAL);
}

void stacks_log(pid_t pid)
{
	static _Alignas(struct dirent64) char entries[8192];
	unsigned logged = 0;
	char path[64];
	long len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((len = getdents64(fd, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < len && logged < THREADS_MAX;) {
			const struct dirent64 *entry = (const void *)(entries + at);

			if (entry->d_name[0] != '.') {
				thread_log(pid, entry->d_name);
				logged++;
			}
			at += entry->d_reclen;
		}
	}
	close(fd);
}

bool stacks_dumps_core(pid_t pid)
{
	char path[64], text[4096];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	return strstr(text, "\nCoreDumping:\t1") != NULL;
}
