/*
 * child.c - see child.h.
 */
#include "fuse/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_MS 1000

void child_keep_only(int one, int other)
{
	int low = one < other ? one : other;
	int high = one < other ? other : one;

	if (low > 0)
		(void)close_range(0, (unsigned)low - 1, 0);
	if (high - low > 1)
		(void)close_range((unsigned)(low + 1), (unsigned)high - 1, 0);
	(void)close_range((unsigned)(high + 1), ~0U, 0);
}

int child_wait(pid_t pid, int timeout_ms)
{
	int fd = pidfd_open(pid, 0);
	struct pollfd ended = { .fd = fd, .events = POLLIN };
	bool killed = fd < 0 || poll(&ended, 1, timeout_ms) <= 0;
	int status = 0;

	if (killed) {
		kill(pid, SIGKILL);
		(void)poll(&ended, 1, KILLED_MS);
	}
	if (fd >= 0)
		close(fd);
	while (waitpid(pid, &status, killed ? WNOHANG : 0) < 0 && errno == EINTR)
		;
	return killed ? -ETIMEDOUT : status;
}

int child_call(int (*action)(const void *context), const void *context, int kept, int timeout_ms)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child_keep_only(kept, kept);
		_exit(action(context));
	}
	status = child_wait(pid, timeout_ms);
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -ETIMEDOUT;
}
