/*
 * spawn.c - see spawn.h. A child is a fork() of a process of a few hundred pages that is not
 * threaded; all descriptors are close-on-exec, and those that it gets lose that in the child.
 */
#include "fuse/keeper/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define OOM_FILE      "/proc/self/oom_score_adj"
#define OOM_NEVER     (-1000)
#define VARIABLE_MAX  (sizeof(PROTOCOL_VARIABLE "=") + PROTOCOL_ENVIRONMENT_MAX)
#define EXIT_NO_START 127

const int spawn_signals[SPAWN_SIGNALS] = { SIGTERM, SIGINT, SIGHUP };

static int oom_read(void)
{
	int fd = open(OOM_FILE, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	return len > 0 ? (int)strtol(text, NULL, 10) : 0;
}

/* Lowering it needs a privilege; without, the kernel may kill us as it may anybody. */
static void oom_write(int score)
{
	int fd = open(OOM_FILE, O_WRONLY | O_CLOEXEC);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", score);

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)len) != len)
		errno = 0;
	close(fd);
}

int spawn_init(struct spawn *spawn, char **arguments, int oom)
{
	size_t count = 0, kept = 0;

	while (environ[count])
		count++;
	spawn->environment = calloc(count + 2, sizeof(*spawn->environment));
	spawn->variable = malloc(VARIABLE_MAX);
	if (!spawn->environment || !spawn->variable)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], PROTOCOL_VARIABLE "=", sizeof(PROTOCOL_VARIABLE)) != 0)
			spawn->environment[kept++] = environ[i];
	spawn->environment[kept] = spawn->variable;
	sigprocmask(SIG_BLOCK, NULL, &spawn->mask);
	for (size_t i = 0; i < ARRAY_COUNT(spawn_signals); i++)
		sigdelset(&spawn->mask, spawn_signals[i]);
	spawn->arguments = arguments;
	spawn->oom = oom == INT_MIN ? oom_read() : oom;
	oom_write(OOM_NEVER);
	return 0;
}

int spawn_open(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	char full[PATH_MAX];
	int fd, len;

	len = snprintf(full, sizeof(full), "%.*s%s", slash ? (int)(slash - path + 1) : 0, path,
		       name);
	if (len < 0 || (size_t)len >= sizeof(full))
		return -ENAMETOOLONG;
	if (access(full, X_OK) != 0)
		return -errno;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

/* @flags: 0: the next program gets them; FD_CLOEXEC: does not. */
static void hand_over(const struct protocol_start *start, int flags)
{
	const int given[] = { start->socket, start->board, start->self, start->program,
			      start->worker };

	for (unsigned i = 0; i < ARRAY_COUNT(given); i++)
		if (given[i] >= 0)
			fcntl(given[i], F_SETFD, flags);
	for (unsigned i = 0; i < start->kept_count; i++)
		fcntl(start->kept[i].fd, F_SETFD, flags);
}

/* Becomes @program, with what @start names. Return: not, unless it fails. */
static void become(struct spawn *spawn, int program, char *name, const struct protocol_start *start)
{
	char *first = spawn->arguments[0];
	int len = sprintf(spawn->variable, "%s=", PROTOCOL_VARIABLE);

	protocol_start_encode(start, spawn->variable + len);
	hand_over(start, 0);
	spawn->arguments[0] = name;
	execveat(program, "", spawn->arguments, spawn->environment, AT_EMPTY_PATH);
	spawn->arguments[0] = first;
}

static _Noreturn void child_main(struct spawn *spawn, int program,
				 const struct protocol_start *start)
{
	static char name[] = "cenoted-worker";
	static const char problem[] = "cenoted: cannot start cenoted-worker\n";

	oom_write(spawn->oom);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &spawn->mask, NULL);
	become(spawn, program, name, start);
	if (write(STDERR_FILENO, problem, sizeof(problem) - 1) < 0)
		_exit(EXIT_NO_START);
	_exit(EXIT_NO_START);
}

int spawn_worker(struct spawn *spawn, int program, struct protocol_start *start,
		 struct spawn_child *out_child)
{
	struct spawn_child child = SPAWN_CHILD_NONE;
	int sockets[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
		return -errno;
	start->socket = sockets[1];
	child.socket = sockets[0];
	fcntl(child.socket, F_SETFL,
	      O_NONBLOCK); /* a worker that does not read must not hold us up */
	child.pid = fork();
	if (child.pid == 0)
		child_main(spawn, program, start);
	error = child.pid < 0 ? -errno : 0;
	close(sockets[1]);
	if (error) {
		close(child.socket);
		return error;
	}
	child.pidfd = pidfd_open(child.pid, 0);
	CHECK(child.pidfd >= 0); /* there is room: a socket was just closed */
	*out_child = child;
	return 0;
}

int spawn_replace(struct spawn *spawn, int program, const struct protocol_start *start)
{
	int error;

	become(spawn, program, spawn->arguments[0], start);
	error = -errno;
	hand_over(start, FD_CLOEXEC);
	return error;
}

void spawn_forget(struct spawn_child *child)
{
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->socket >= 0)
		close(child->socket);
	*child = SPAWN_CHILD_NONE;
}
