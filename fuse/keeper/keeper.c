/*
 * keeper.c - the poll loop: what the worker says, its end, signals, and time.
 *
 * An end is only acted upon when all that the worker had said before is read. What of the keeper
 * can be pending at once is in inside.h; each has a deadline, and the loop wakes for the first.
 */
#include "fuse/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/inside.h"

#define LOOK_NS	     NS_PER_S /* between two looks at a worker that serves */
#define CORE_PATTERN "/proc/sys/kernel/core_pattern"

uint64_t keeper_now_ns(void)
{
	return clock_now_ns(clock_system());
}

void keeper_kill(const struct spawn_child *child, int number)
{
	if (child->pidfd >= 0)
		(void)pidfd_send_signal(child->pidfd, number, NULL, 0);
}

void keeper_say(const struct spawn_child *child, const struct protocol_message *message)
{
	int error = child->socket >= 0 ? protocol_send(child->socket, message, -1) : -EPIPE;

	if (error)
		log_warning("keeper.say", "worker=%d kind=%d error=\"%s\"", child->pid,
			    message->kind, error_text(error));
}

void keeper_start(const struct keeper *keeper, struct protocol_start *out)
{
	protocol_start_init(out);
	out->board = keeper->board_fd;
	out->self = keeper->self;
	out->oom = keeper->spawn.oom;
	out->kept_count = keeper->hold.count;
	memcpy(out->kept, keeper->hold.kept, sizeof(out->kept));
}

static void signal_pass(struct keeper *keeper, int number)
{
	const struct protocol_message message = { .kind = PROTOCOL_SIGNAL,
						  .number = (uint64_t)number };

	keeper_say(&keeper->worker, &message);
}

void keeper_worker_runs(struct keeper *keeper, const struct spawn_child *child)
{
	keeper->worker = *child;
	supervise_started(&keeper->supervise, keeper_now_ns());
	if (keeper->started_once)
		atomic_fetch_add(&keeper->board->restarts, 1);
	keeper->started_once = true;
	if (keeper->told_to_reload)
		signal_pass(keeper, SIGHUP);
	keeper->told_to_reload = false;
	if (keeper->told)
		signal_pass(keeper, keeper->told);
}

void keeper_worker_start(struct keeper *keeper)
{
	struct spawn_child child;
	struct protocol_start start;
	int error;

	keeper_start(keeper, &start);
	error = spawn_worker(&keeper->spawn, keeper->program, &start, &child);
	if (error) {
		log_error("keeper.start", "problem=\"no worker could be started: %s\"",
			  error_text(error));
		supervise_failed(&keeper->supervise, keeper_now_ns());
		return;
	}
	if (keeper->started_once)
		log_notice("keeper.start", "worker=%d kept=%u restarts=%u", child.pid,
			   keeper->hold.count, keeper->board->restarts + 1);
	keeper_worker_runs(keeper, &child);
}

/* --- what the worker says --------------------------------------------------------------------- */

static void keep(struct keeper *keeper, const char *name, int fd)
{
	int error = strcmp(name, KEEPER_BOARD) == 0 ? -EINVAL : 0;

	if (error)
		close(fd);
	else
		error = hold_keep(&keeper->hold, name, fd);
	if (error)
		log_warning("keeper.keep", "name=%s error=\"%s\"", name, error_text(error));
}

static void message_take(struct keeper *keeper, const struct protocol_message *message, int fd)
{
	switch (message->kind) {
	case PROTOCOL_KEEP:
		keep(keeper, message->text, fd);
		return;
	case PROTOCOL_DROP:
		hold_drop(&keeper->hold, message->text);
		return;
	case PROTOCOL_SERVING:
		supervise_serving(&keeper->supervise, keeper_now_ns());
		watch_begin(&keeper->watch, keeper_now_ns());
		upgrade_serving(keeper);
		return;
	case PROTOCOL_STOPPING:
		upgrade_cancel(keeper);
		supervise_stopping(&keeper->supervise);
		return;
	case PROTOCOL_WATCH:
		keeper->watch.hang_after_ns = message->number;
		keeper->cores = message->flag;
		keeper->board->hang_after_ns = message->number;
		return;
	case PROTOCOL_UPGRADE:
		upgrade_begin(keeper, message->text);
		return;
	default:
		log_warning("keeper.hear", "worker=%d kind=%d problem=\"not for a keeper\"",
			    keeper->worker.pid, message->kind);
	}
}

/* All that is there. */
static void worker_hear(struct keeper *keeper)
{
	struct protocol_message message;
	int fd, error = 0;

	while (keeper->worker.socket >= 0 && error != -EAGAIN) {
		error = protocol_receive(keeper->worker.socket, &message, &fd);
		if (error == 0) {
			message_take(keeper, &message, fd);
		} else if (error == -EPIPE) {
			close(keeper->worker.socket);
			keeper->worker.socket = -1;
		} else if (error != -EAGAIN) {
			log_warning("keeper.hear", "worker=%d error=\"%s\"", keeper->worker.pid,
				    error_text(error));
		}
	}
}

/* --- its end ---------------------------------------------------------------------------------- */

static const char *core_note(char *out, size_t size)
{
	char pattern[128];
	ssize_t len;
	int fd = open(CORE_PATTERN, O_RDONLY | O_CLOEXEC);

	len = fd >= 0 ? read(fd, pattern, sizeof(pattern) - 1) : -1;
	if (fd >= 0)
		close(fd);
	pattern[len > 0 ? len : 0] = '\0';
	snprintf(out, size, ", core dumped (core_pattern %.*s)", (int)strcspn(pattern, "\n"),
		 pattern);
	return out;
}

static void ended_by_signal(struct keeper_end *ended, int number, bool core)
{
	char note[192] = "";

	ended->kind = BOARD_END_SIGNAL;
	ended->how = (struct supervise_end){ .signal = number };
	if (core)
		core_note(note, sizeof(note));
	else if (number == SIGKILL)
		snprintf(note, sizeof(note), " (kill -9, or the kernel's OOM killer)");
	snprintf(ended->reason, sizeof(ended->reason), "killed by SIG%s%s",
		 sigabbrev_np(number) ? sigabbrev_np(number) : "?", note);
}

/* How the worker ended. Return: false: it has not. */
static bool worker_wait(struct keeper *keeper, struct keeper_end *out)
{
	siginfo_t info = { 0 };

	*out = (struct keeper_end){ .kind = BOARD_END_EXIT };
	if (waitid(P_PIDFD, (id_t)keeper->worker.pidfd, &info, WEXITED | WNOHANG) != 0) {
		if (errno != ECHILD)
			return false;
		out->kind = BOARD_END_UNKNOWN;
		out->how.status = -1;
		snprintf(out->reason, sizeof(out->reason),
			 "not known: an earlier keeper had started it");
		return true;
	}
	if (info.si_pid == 0)
		return false;
	if (info.si_code == CLD_EXITED) {
		out->how.status = info.si_status;
		snprintf(out->reason, sizeof(out->reason), "it ended with exit status %d",
			 info.si_status);
	} else {
		ended_by_signal(out, info.si_status, info.si_code == CLD_DUMPED);
	}
	return true;
}

static void end_note(struct keeper *keeper, const struct keeper_end *ended)
{
	struct board *board = keeper->board;

	board->end = ended->kind;
	board->end_code = 0;
	if (ended->how.signal)
		board->end_code = (uint32_t)ended->how.signal;
	else if (ended->how.status > 0)
		board->end_code = (uint32_t)ended->how.status;
	board->end_ns = keeper_now_ns();
	board_set_reason(board, ended->reason);
}

static void quit(struct keeper *keeper, int status, const char *reason)
{
	bool as_told = keeper->supervise.state == SUPERVISE_STOPPING && status == 0;

	if (!as_told && (keeper->supervise.served || status < 0 || keeper->told))
		log_error("keeper.end", "worker=%d reason=\"%s\"", keeper->worker.pid, reason);
	/* Who starts anew reads its configuration anew; and who has stopped left nothing. */
	hold_drop(&keeper->hold, KEEPER_CONFIG);
	if (as_told) {
		hold_drop_state(&keeper->hold);
		hold_drop(&keeper->hold, HOLD_INSTANCE);
		notify_forget(&keeper->notify, KEEPER_BOARD);
	}
	keeper->quits = true;
	keeper->status = status;
}

void keeper_worker_gone(struct keeper *keeper, struct keeper_end *ended)
{
	enum supervise_next next;
	int status;

	if (keeper->hang.phase != HANG_NONE) {
		ended->kind = BOARD_END_HANG;
		snprintf(ended->reason, sizeof(ended->reason), "%s", keeper->hang.reason);
	} else if (keeper->supervise.state == SUPERVISE_LEAVING) {
		ended->kind = BOARD_END_UPGRADE;
		snprintf(ended->reason, sizeof(ended->reason), "an upgrade");
	}
	keeper->hang.phase = HANG_NONE;
	end_note(keeper, ended);
	if (upgrade_worker_ended(keeper))
		return;
	next = supervise_ended(&keeper->supervise, &ended->how, keeper_now_ns(), &status);
	if (next == SUPERVISE_QUIT) {
		if (ended->how.signal && !keeper->supervise.served)
			log_error("keeper.end", "worker=%d reason=\"%s\"", keeper->worker.pid,
				  ended->reason);
		quit(keeper, status, ended->reason);
		return;
	}
	log_error("keeper.lost", "worker=%d reason=\"%s\"", keeper->worker.pid, ended->reason);
	keeper->worker = SPAWN_CHILD_NONE;
	if (next == SUPERVISE_AGAIN)
		return;
	log_error("keeper.lost",
		  "reason=\"%d workers in a row died by themselves\" "
		  "effect=\"open files end with an error, it is mounted anew\"",
		  SUPERVISE_BROKEN_MAX);
	hold_drop_state(&keeper->hold);
}

static void worker_ended(struct keeper *keeper)
{
	struct spawn_child old;
	struct keeper_end ended;

	worker_hear(keeper);
	if (!worker_wait(keeper, &ended))
		return;
	old = keeper->worker;
	keeper_worker_gone(keeper, &ended);
	spawn_forget(&old);
}

static bool is_ours(const struct keeper *keeper, pid_t pid)
{
	if (pid == keeper->worker.pid || pid == keeper->upgrade.standby.pid)
		return true;
	for (unsigned i = 0; i < KEEPER_GHOSTS_MAX; i++)
		if (pid == keeper->ghosts[i].pid)
			return true;
	return false;
}

/* Children of dead workers, which come to us where we are process 1 of a container. */
static void orphans_reap(const struct keeper *keeper)
{
	siginfo_t info = { 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
	       !is_ours(keeper, info.si_pid)) {
		(void)waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
		info.si_pid = 0;
	}
}

/* --- the loop --------------------------------------------------------------------------------- */

static void signal_take(struct keeper *keeper, const struct signalfd_siginfo *info)
{
	int number = (int)info->ssi_signo;

	if (number == SIGHUP) {
		if (keeper->supervise.state == SUPERVISE_PAUSED)
			keeper->told_to_reload = true;
		else
			signal_pass(keeper, number);
		return;
	}
	upgrade_cancel(keeper);
	keeper->told = number;
	if (supervise_told(&keeper->supervise))
		keeper_worker_start(keeper);
	else if (keeper->supervise.state != SUPERVISE_LEAVING)
		signal_pass(keeper, number);
}

static void signals_take(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		signal_take(keeper, &info);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Milliseconds until something is due; -1: only events count. */
static int loop_timeout(const struct keeper *keeper)
{
	uint64_t now_ns = keeper_now_ns();
	uint64_t due_ns = supervise_due_ns(&keeper->supervise);

	if (keeper->hang.phase != HANG_NONE)
		due_ns = earlier(due_ns, keeper->hang.at_ns);
	else if (keeper->supervise.state == SUPERVISE_STARTING)
		due_ns = earlier(due_ns, now_ns + LOOK_NS);
	else if (keeper->watch.hang_after_ns && keeper->supervise.state == SUPERVISE_SERVING)
		due_ns = earlier(due_ns, keeper->watch.seen_ns + LOOK_NS);
	if (keeper->upgrade.state != UPGRADE_NONE)
		due_ns = earlier(due_ns, keeper->upgrade.deadline_ns);
	for (unsigned i = 0; i < KEEPER_GHOSTS_MAX; i++)
		if (keeper->ghosts[i].pid != 0)
			due_ns = earlier(due_ns, now_ns + LOOK_NS);
	if (due_ns == CLOCK_NEVER)
		return -1;
	return due_ns > now_ns ? (int)((due_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

static void loop_once(struct keeper *keeper)
{
	struct pollfd events[] = {
		{ .fd = keeper->signals, .events = POLLIN },
		{ .fd = keeper->worker.socket, .events = POLLIN },
		{ .fd = keeper->worker.pidfd, .events = POLLIN },
		{ .fd = keeper->upgrade.standby.socket, .events = POLLIN },
	};

	if (poll(events, ARRAY_COUNT(events), loop_timeout(keeper)) < 0)
		return;
	if (events[3].revents)
		upgrade_standby_look(keeper);
	if (events[1].revents)
		worker_hear(keeper);
	if (events[2].revents)
		worker_ended(keeper);
	if (events[0].revents)
		signals_take(keeper);
	if (keeper_now_ns() >= supervise_due_ns(&keeper->supervise) && !keeper->quits)
		keeper_worker_start(keeper);
	hang_tick(keeper);
	upgrade_tick(keeper);
	hang_reap(keeper);
	orphans_reap(keeper);
}

int keeper_run(char **arguments)
{
	static struct keeper keeper = {
		.worker = { 0, -1, -1 },
		.program = -1,
		.self = -1,
		.board_fd = -1,
		.upgrade = { .standby = { 0, -1, -1 }, .worker_program = -1, .keeper_program = -1 }
	};
	int error;

	prctl(PR_SET_NAME, "cenoted");
	for (unsigned i = 0; i < KEEPER_GHOSTS_MAX; i++)
		keeper.ghosts[i] = SPAWN_CHILD_NONE;
	error = keeper_begin(&keeper, arguments);
	if (error) {
		log_error("keeper.fail", "error=\"%s\" problem=\"%s\"", error_text(error),
			  error == -EBADMSG || error == -EPROTONOSUPPORT
				  ? "the variable " PROTOCOL_VARIABLE
				    " is not from a cenoted of this release: unset it"
				  : "cannot start; cenoted-worker must lie beside cenoted");
		return EXIT_FAILURE;
	}
	keeper.board->keeper_pid = getpid();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		log_info("keeper.start", "problem=\"not locked in memory: %s\"",
			 error_text(-errno));
	if (keeper.worker.pid == 0)
		keeper_worker_start(&keeper);
	while (!keeper.quits)
		loop_once(&keeper);
	return keeper.status;
}
