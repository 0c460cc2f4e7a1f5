/*
 * signals.c - a signalfd beside an eventfd.
 */
#include "tools/bw/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static void ending_signals(sigset_t *out)
{
	sigemptyset(out);
	sigaddset(out, SIGINT);
	sigaddset(out, SIGTERM);
}

int signals_block(int *out_fd)
{
	sigset_t set;
	int fd;

	ending_signals(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	*out_fd = fd;
	return 0;
}

void signals_wait(int signals_fd, int event_fd, uint64_t timeout_ns, int *out_signal)
{
	struct pollfd fds[] = { { .fd = signals_fd, .events = POLLIN },
				{ .fd = event_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	uint64_t ms = (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
	uint64_t count;
	sigset_t set;

	*out_signal = 0;
	(void)poll(fds, ARRAY_COUNT(fds), ms > 3600000 ? 3600000 : (int)ms);
	if (fds[1].revents)
		(void)!read(event_fd, &count, sizeof(count));
	if (!fds[0].revents || read(signals_fd, &info, sizeof(info)) != sizeof(info))
		return;
	*out_signal = (int)info.ssi_signo;
	ending_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
