/*
 * owner.c - /proc tells whether a process is dying, its pidfd whether all of it has ended: the
 * first thread may be a zombie long before the others are.
 */
#include "cache/window/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STAT_LEN_MAX   1024
#define FLAG_EXITING   0x4 /* PF_EXITING of the kernel */
#define SIGKILL_SIGNAL (UINT64_C(1) << (SIGKILL - 1))

/* Fields of /proc/PID/stat, counted from 1 as in proc(5). */
enum {
	FIELD_STATE = 3,
	FIELD_FLAGS = 9,
	FIELD_START = 22,
	FIELD_PENDING = 31,
};

/* The text behind its @count-th blank. */
static const char *skip(const char *at, unsigned count)
{
	while (at && count-- > 0) {
		at = strchr(at, ' ');
		if (at)
			at++;
	}
	return at;
}

static bool number(const char *at, uint64_t *out_value)
{
	char *end;

	if (!at)
		return false;
	*out_value = strtoull(at, &end, 10);
	return end > at;
}

int owner_parse(const char *text, uint64_t *out_start, enum owner_state *out_state)
{
	/* the second field is a name in brackets that may hold anything */
	const char *name_end = strrchr(text, ')'), *fields;
	uint64_t flags, start, pending;
	bool ended;

	if (!name_end || name_end[1] != ' ')
		return -EBADMSG;
	fields = name_end + 2;
	if (!number(skip(fields, FIELD_FLAGS - FIELD_STATE), &flags) ||
	    !number(skip(fields, FIELD_START - FIELD_STATE), &start) ||
	    !number(skip(fields, FIELD_PENDING - FIELD_STATE), &pending))
		return -EBADMSG;
	ended = fields[0] == 'Z' || fields[0] == 'X';
	*out_start = start;
	*out_state = ended || flags & FLAG_EXITING || pending & SIGKILL_SIGNAL ? OWNER_DYING
									       : OWNER_RUNNING;
	return 0;
}

/* Return: 0; -ENOENT: there is no such process; or that it could not be found out. */
static int look_up(uint64_t pid, uint64_t *out_start, enum owner_state *out_state)
{
	char path[64], text[STAT_LEN_MAX];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0) /* it ended in between */
		return -ENOENT;
	text[len] = 0;
	return owner_parse(text, out_start, out_state);
}

struct owner owner_self(void)
{
	struct owner self = { .pid = (uint64_t)getpid() };
	enum owner_state state;

	if (look_up(self.pid, &self.start, &state) != 0)
		self.start = 0;
	return self;
}

/* Whether no thread of it is left. */
static bool has_ended(uint64_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	bool ended;

	if (fd < 0)
		return errno == ESRCH;
	ended = poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN;
	close(fd);
	return ended;
}

enum owner_state owner_state(const struct owner *owner)
{
	enum owner_state state = OWNER_RUNNING;
	uint64_t start = 0;

	if (owner->pid == 0 || owner->pid == (uint64_t)getpid() || has_ended(owner->pid))
		return OWNER_GONE;
	if (look_up(owner->pid, &start, &state) != 0)
		return has_ended(owner->pid) ? OWNER_GONE : OWNER_RUNNING;
	/* another one has its number */
	if (owner->start && start != owner->start)
		return OWNER_GONE;
	return state;
}
