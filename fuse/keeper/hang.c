/*
 * hang.c - a worker that hangs: what its threads do is logged, it is killed, and the next one is
 * started even if the kernel does not let go of it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "fuse/keeper/inside.h"
#include "fuse/keeper/stacks.h"

#define STACKS_NS NS_PER_S	 /* what its threads get to say where they are */
#define REAP_NS	  (2 * NS_PER_S) /* what a killed worker gets to be gone */

static bool requests_wait(const struct keeper *keeper)
{
	for (unsigned i = 0; i < keeper->hold.count; i++) {
		const struct protocol_kept *kept = &keeper->hold.kept[i];
		struct pollfd connection = { .fd = kept->fd, .events = POLLIN };

		if (strncmp(kept->name, HOLD_CONNECTION, strlen(HOLD_CONNECTION)) == 0 &&
		    poll(&connection, 1, 0) == 1 && connection.revents & POLLIN)
			return true;
	}
	return false;
}

static bool hangs(struct keeper *keeper)
{
	uint64_t now_ns = keeper_now_ns();

	if (supervise_stuck(&keeper->supervise, now_ns)) {
		snprintf(keeper->hang.reason, sizeof(keeper->hang.reason),
			 "it hung: it did not get to serve within %llu s",
			 (unsigned long long)(SUPERVISE_START_NS / NS_PER_S));
		return true;
	}
	return keeper->supervise.state == SUPERVISE_SERVING &&
	       watch_look(&keeper->watch, keeper->board, requests_wait(keeper), now_ns,
			  keeper->hang.reason);
}

static void hang_look(struct keeper *keeper)
{
	struct hang *hang = &keeper->hang;

	if (!hangs(keeper))
		return;
	log_error("keeper.hang", "worker=%d reason=\"%s\" effect=\"it is killed and replaced\"",
		  keeper->worker.pid, hang->reason);
	stacks_log(keeper->worker.pid);
	hang->phase = HANG_STACKS;
	hang->at_ns = keeper_now_ns() + STACKS_NS;
	hang->aborted = false;
}

static void hang_kill(struct keeper *keeper)
{
	struct hang *hang = &keeper->hang;

	hang->aborted = keeper->cores && hang->phase == HANG_STACKS;
	keeper_kill(&keeper->worker, hang->aborted ? SIGABRT : SIGKILL);
	hang->phase = HANG_KILLED;
	hang->at_ns = keeper_now_ns() + REAP_NS;
}

bool hang_outlive(struct keeper *keeper, const struct spawn_child *child)
{
	for (unsigned i = 0; i < KEEPER_GHOSTS_MAX; i++) {
		if (keeper->ghosts[i].pid != 0)
			continue;
		keeper->ghosts[i] = *child;
		return true;
	}
	return false;
}

/* It is killed and not gone, in the kernel's hands or writing its core: the next one does not wait
 * for that. */
static void hang_give_up(struct keeper *keeper)
{
	struct keeper_end ended = { .how.signal = SIGKILL };

	if (!hang_outlive(keeper, &keeper->worker)) {
		keeper->hang.at_ns = keeper_now_ns() + REAP_NS; /* then it is waited for */
		return;
	}
	log_warning("keeper.hang", "worker=%d effect=\"it is killed and not gone yet\"",
		    keeper->worker.pid);
	keeper_worker_gone(keeper, &ended);
}

void hang_tick(struct keeper *keeper)
{
	struct hang *hang = &keeper->hang;

	if (hang->phase == HANG_NONE)
		hang_look(keeper);
	else if (keeper_now_ns() < hang->at_ns)
		return;
	else if (hang->phase == HANG_STACKS ||
		 (hang->aborted && !stacks_dumps_core(keeper->worker.pid)))
		hang_kill(keeper);
	else
		hang_give_up(keeper);
}

void hang_reap(struct keeper *keeper)
{
	for (unsigned i = 0; i < KEEPER_GHOSTS_MAX; i++) {
		struct pollfd end = { .fd = keeper->ghosts[i].pidfd, .events = POLLIN };

		if (keeper->ghosts[i].pid == 0 || poll(&end, 1, 0) != 1)
			continue;
		waitid(P_PIDFD, (id_t)end.fd, NULL, WEXITED | WNOHANG);
		spawn_forget(&keeper->ghosts[i]);
	}
}
