/*
 * storer.c - see storer.h. The worker has threads when it forks: until its end the child calls
 * nothing but system calls.
 */
#include "fuse/storer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "fuse/child.h"
#include "fuse/connection.h"

#define END_MS 100 /* what one that is not in the kernel gets to be gone */

struct storer {
	pid_t pid;
	int socket;
	void *buffer;
};

struct order {
	uint64_t node;
	uint64_t len;
};

/* --- the process ------------------------------------------------------------------------------ */

static void serve(int socket, int connection, void *buffer)
{
	struct order order;
	int err;

	while (recv(socket, &order, sizeof(order), 0) == (ssize_t)sizeof(order)) {
		err = connection_store(connection, order.node, 0, buffer, order.len);
		if (send(socket, &err, sizeof(err), MSG_NOSIGNAL) != (ssize_t)sizeof(err))
			return;
	}
}

__attribute__((noreturn)) static void storer_main(int socket, int connection, void *buffer)
{
	sigset_t all;

	/* What the worker is told is not for us: its end is ours. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "cenoted-storer");
	/* locks and pipes and sockets end with the worker */
	child_keep_only(socket, connection);
	serve(socket, connection, buffer);
	_exit(0);
}

/* --- the worker's side ------------------------------------------------------------------------ */

static int storer_fork(struct storer *storer, int connection)
{
	int pair[2], err = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	storer->pid = fork();
	if (storer->pid == 0)
		storer_main(pair[1], connection, storer->buffer);
	if (storer->pid < 0)
		err = -errno;
	close(pair[1]);
	if (err)
		close(pair[0]);
	else
		storer->socket = pair[0];
	return err;
}

int storer_start(int connection, struct storer **out_storer)
{
	struct storer *storer = calloc(1, sizeof(*storer));
	int err;

	if (!storer)
		return -ENOMEM;
	storer->buffer = mmap(NULL, STORER_LEN_MAX, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	err = storer->buffer == MAP_FAILED ? -ENOMEM : storer_fork(storer, connection);
	if (err) {
		if (storer->buffer != MAP_FAILED)
			munmap(storer->buffer, STORER_LEN_MAX);
		free(storer);
		return err;
	}
	*out_storer = storer;
	return 0;
}

void *storer_buffer(struct storer *storer)
{
	return storer->buffer;
}

int storer_store(struct storer *storer, uint64_t node, size_t len)
{
	const struct order order = { .node = node, .len = len };
	ssize_t got;
	int err;

	if (send(storer->socket, &order, sizeof(order), MSG_NOSIGNAL) != (ssize_t)sizeof(order))
		return -ECANCELED;
	do
		got = recv(storer->socket, &err, sizeof(err), 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(err) ? err : -ECANCELED;
}

void storer_cancel(struct storer *storer)
{
	if (storer)
		shutdown(storer->socket, SHUT_RDWR);
}

/* One that is in the kernel is left to whoever reaps what we leave. */
static void reap(pid_t pid)
{
	struct pollfd end = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	if (end.fd >= 0) {
		(void)poll(&end, 1, END_MS);
		close(end.fd);
	}
	if (waitpid(pid, NULL, WNOHANG) == 0)
		log_info("mount.ahead",
			 "storer=%d text=\"it waits for a read that has no reply yet\"", pid);
}

void storer_destroy(struct storer *storer)
{
	if (!storer)
		return;
	close(storer->socket);
	reap(storer->pid);
	munmap(storer->buffer, STORER_LEN_MAX);
	free(storer);
}
