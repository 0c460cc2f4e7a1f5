/*
 * revive.c - see revive.h. With vfork(): the worker may have terabytes mapped, and is threaded;
 * between vfork() and execveat() the child only changes flags of its own descriptors.
 */
#include "fuse/keeper/revive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct revival {
	struct protocol_start start;
	char variable[sizeof(PROTOCOL_VARIABLE "=") + PROTOCOL_ENVIRONMENT_MAX];
	char **environment;
	char *arguments[REVIVE_ARGUMENTS_MAX + 1];
};

static int environment_make(struct revival *revival)
{
	size_t count = 0;
	int len;

	while (environ[count])
		count++;
	revival->environment = calloc(count + 2, sizeof(*revival->environment));
	if (!revival->environment)
		return -ENOMEM;
	memcpy(revival->environment, environ, count * sizeof(*environ));
	len = snprintf(revival->variable, sizeof(revival->variable), "%s=", PROTOCOL_VARIABLE);
	protocol_start_encode(&revival->start, revival->variable + len);
	revival->environment[count] = revival->variable;
	return 0;
}

static void arguments_make(struct revival *revival, char *arguments, size_t len)
{
	static char name[] = "cenoted";
	size_t count = 0, at = strnlen(arguments, len) + 1;

	revival->arguments[count++] = name;
	while (at < len && count < REVIVE_ARGUMENTS_MAX) {
		revival->arguments[count++] = arguments + at;
		at += strlen(arguments + at) + 1;
	}
	revival->arguments[count] = NULL;
}

/* The child shares our memory until it has become the keeper: it writes nothing. */
static pid_t keeper_spawn(const struct revival *revival)
{
	const struct protocol_start *start = &revival->start;
	/* NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
	pid_t pid = vfork();

	if (pid != 0)
		return pid > 0 ? pid : -errno;
	fcntl(start->socket, F_SETFD, 0);
	fcntl(start->board, F_SETFD, 0);
	fcntl(start->program, F_SETFD, 0);
	fcntl(start->worker, F_SETFD, 0);
	for (unsigned i = 0; i < start->kept_count; i++)
		fcntl(start->kept[i].fd, F_SETFD, 0);
	execveat(start->self, "", revival->arguments, revival->environment, AT_EMPTY_PATH);
	_exit(127);
	/* NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
}

static int keeper_start(struct revival *revival, struct revive_keeper *out)
{
	int sockets[2], error;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
		return -errno;
	revival->start.socket = sockets[1];
	error = environment_make(revival);
	pid = error ? error : keeper_spawn(revival);
	close(sockets[1]);
	if (pid < 0) {
		close(sockets[0]);
		return pid;
	}
	*out = (struct revive_keeper){ .pid = pid, .socket = sockets[0] };
	return 0;
}

int revive(const struct protocol_start *kept, char *arguments, size_t arguments_len,
	   struct revive_keeper *out)
{
	struct revival revival = { .start = *kept };
	int error;

	revival.start.pid = getpid();
	revival.start.standby = false;
	revival.start.worker = pidfd_open(getpid(), 0);
	revival.start.program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	arguments_make(&revival, arguments, arguments_len);
	error = revival.start.worker < 0 || revival.start.program < 0 ? -EMFILE
								      : keeper_start(&revival, out);
	free(revival.environment);
	if (revival.start.worker >= 0)
		close(revival.start.worker);
	if (revival.start.program >= 0)
		close(revival.start.program);
	return error;
}
