/*
 * upgrade.c - another release takes over, under running readers.
 *
 *	worker          keeper                      standby (the new program's worker)
 *	  |-- UPGRADE path ->|-- starts it, with all that is held ->|
 *	  |                  |<- READY, or REFUSED why -------------|  config, versions, directories
 *	  |<- UPGRADED ------|                                      |
 *	  |  answers what it has in hand, commits, leaves           |
 *	  X                  |-- GO ------------------------------->|
 *	                     |<- SERVING ---------------------------|  it is the worker now
 *	                     |  becomes the new keeper by execve(): same process, same descriptors
 *
 * Until UPGRADED nothing has changed. A new worker that then does not serve within PROVE_NS is
 * killed, and the old program started again: it was held open all the while.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/inside.h"

#define TRY_NS	 (30 * NS_PER_S)
#define LEAVE_NS (120 * NS_PER_S)
#define PROVE_NS (60 * NS_PER_S)

static void programs_close(struct upgrade *upgrade)
{
	if (upgrade->worker_program >= 0)
		close(upgrade->worker_program);
	if (upgrade->keeper_program >= 0)
		close(upgrade->keeper_program);
	upgrade->worker_program = upgrade->keeper_program = -1;
}

/* Nothing has changed yet; the worker goes on. */
static void refuse(struct keeper *keeper, const char *reason)
{
	struct protocol_message answer = { .kind = PROTOCOL_UPGRADED };

	snprintf(answer.text, sizeof(answer.text), "%s", reason);
	keeper_say(&keeper->worker, &answer);
	log_warning("keeper.upgrade", "effect=\"none: this release goes on\" problem=\"%s\"",
		    reason);
	if (keeper->upgrade.standby.pid > 0) {
		keeper_kill(&keeper->upgrade.standby, SIGKILL);
		if (!hang_outlive(keeper, &keeper->upgrade.standby))
			spawn_forget(&keeper->upgrade.standby); /* reaped when we end */
		keeper->upgrade.standby = SPAWN_CHILD_NONE;
	}
	programs_close(&keeper->upgrade);
	keeper->upgrade.state = UPGRADE_NONE;
}

/* Where the program that runs was found, for who installed another one over it. */
static int own_path(char *out, size_t size)
{
	static const char deleted[] = " (deleted)";
	ssize_t len = readlink("/proc/self/exe", out, size - 1);

	if (len <= 0)
		return -ENOENT;
	out[len] = '\0';
	if ((size_t)len > sizeof(deleted) &&
	    strcmp(out + len - (sizeof(deleted) - 1), deleted) == 0)
		out[(size_t)len - (sizeof(deleted) - 1)] = '\0';
	return 0;
}

static int programs_open(struct upgrade *upgrade, const char *path)
{
	const char *name = strrchr(path, '/');

	upgrade->keeper_program = spawn_open(path, name ? name + 1 : path);
	if (upgrade->keeper_program < 0)
		return upgrade->keeper_program;
	upgrade->worker_program = spawn_open(path, "cenoted-worker");
	return upgrade->worker_program < 0 ? upgrade->worker_program : 0;
}

static int standby_start(struct keeper *keeper)
{
	struct protocol_start start;

	keeper_start(keeper, &start);
	start.standby = true;
	return spawn_worker(&keeper->spawn, keeper->upgrade.worker_program, &start,
			    &keeper->upgrade.standby);
}

void upgrade_begin(struct keeper *keeper, const char *path)
{
	struct upgrade *upgrade = &keeper->upgrade;
	char own[PATH_MAX], problem[PROTOCOL_TEXT_MAX];
	int error = 0;

	if (upgrade->state != UPGRADE_NONE || keeper->supervise.state != SUPERVISE_SERVING ||
	    keeper->told) {
		const struct protocol_message answer = {
			.kind = PROTOCOL_UPGRADED,
			.text = "it starts, stops, or is being upgraded already"
		};

		keeper_say(&keeper->worker, &answer);
		return;
	}
	if (!*path) {
		error = own_path(own, sizeof(own));
		path = own;
	}
	if (!error)
		error = programs_open(upgrade, path);
	if (!error)
		error = standby_start(keeper);
	if (error) {
		snprintf(problem, sizeof(problem),
			 "%.512s, or cenoted-worker beside it, cannot be started: %s", path,
			 error_text(error));
		refuse(keeper, problem);
		return;
	}
	log_notice("keeper.upgrade", "program=%s standby=%d", path, upgrade->standby.pid);
	upgrade->state = UPGRADE_TRYING;
	upgrade->deadline_ns = keeper_now_ns() + TRY_NS;
}

static void agree(struct keeper *keeper)
{
	const struct protocol_message answer = { .kind = PROTOCOL_UPGRADED, .flag = true };

	keeper_say(&keeper->worker, &answer);
	supervise_leaving(&keeper->supervise);
	keeper->upgrade.state = UPGRADE_LEAVING;
	keeper->upgrade.deadline_ns = keeper_now_ns() + LEAVE_NS;
}

void upgrade_standby_look(struct keeper *keeper)
{
	struct protocol_message message;
	int fd, error;

	error = protocol_receive(keeper->upgrade.standby.socket, &message, &fd);
	if (error == -EAGAIN)
		return;
	if (!error && message.kind == PROTOCOL_READY && keeper->upgrade.state == UPGRADE_TRYING) {
		agree(keeper);
		return;
	}
	if (!error && fd >= 0)
		close(fd);
	if (keeper->upgrade.state == UPGRADE_TRYING) {
		refuse(keeper, !error && message.kind == PROTOCOL_REFUSED
				       ? message.text
				       : "the new program ended before it had looked around: its "
					 "log says why");
		return;
	}
	/* The worker is leaving: what ends now is only seen when it is the standby's turn. */
	close(keeper->upgrade.standby.socket);
	keeper->upgrade.standby.socket = -1;
}

void upgrade_cancel(struct keeper *keeper)
{
	if (keeper->upgrade.state == UPGRADE_TRYING)
		refuse(keeper, "told to stop");
}

/* The old program takes over again. */
static void fall_back(struct keeper *keeper)
{
	log_error("keeper.upgrade", "problem=\"the new program did not get to serve\" "
				    "effect=\"the old one is started again\"");
	board_set_reason(keeper->board, "an upgrade that failed: the old program runs again");
	programs_close(&keeper->upgrade);
	keeper->upgrade.state = UPGRADE_NONE;
	keeper_worker_start(keeper);
}

bool upgrade_worker_ended(struct keeper *keeper)
{
	const struct protocol_message go = { .kind = PROTOCOL_GO };
	struct upgrade *upgrade = &keeper->upgrade;
	struct spawn_child standby = upgrade->standby;

	switch (upgrade->state) {
	case UPGRADE_NONE:
		return false;
	case UPGRADE_TRYING: /* it died by itself: the old program is what we know */
		refuse(keeper, "the worker that asked is gone");
		return false;
	case UPGRADE_LEAVING:
		upgrade->standby = SPAWN_CHILD_NONE;
		upgrade->state = UPGRADE_PROVING;
		upgrade->deadline_ns = keeper_now_ns() + PROVE_NS;
		keeper_say(&standby, &go);
		keeper_worker_runs(keeper, &standby);
		return true;
	case UPGRADE_PROVING:
		if (keeper->supervise.state == SUPERVISE_STOPPING)
			return false;
		fall_back(keeper);
		return true;
	}
	return false;
}

/* This process becomes the new keeper. If it cannot, the old one is as good, until next time. */
static void follow(struct keeper *keeper, int program)
{
	struct protocol_start start;
	int error;

	keeper_start(keeper, &start);
	start.self = -1;
	start.socket = keeper->worker.socket;
	start.worker = keeper->worker.pidfd;
	start.pid = keeper->worker.pid;
	start.program = keeper->program;
	start.oom = keeper->spawn.oom;
	error = spawn_replace(&keeper->spawn, program, &start);
	log_error("keeper.upgrade",
		  "problem=\"the new cenoted cannot be started: %s\" "
		  "effect=\"the old one keeps the new worker\"",
		  error_text(error));
}

void upgrade_serving(struct keeper *keeper)
{
	struct upgrade *upgrade = &keeper->upgrade;

	if (upgrade->state != UPGRADE_PROVING)
		return;
	close(keeper->program);
	keeper->program = upgrade->worker_program;
	upgrade->worker_program = -1;
	upgrade->state = UPGRADE_NONE;
	log_notice("keeper.upgrade", "worker=%d effect=done", keeper->worker.pid);
	follow(keeper, upgrade->keeper_program);
	programs_close(upgrade);
}

void upgrade_tick(struct keeper *keeper)
{
	struct upgrade *upgrade = &keeper->upgrade;

	if (upgrade->state == UPGRADE_NONE || keeper_now_ns() < upgrade->deadline_ns)
		return;
	upgrade->deadline_ns = CLOCK_NEVER;
	if (upgrade->state == UPGRADE_TRYING)
		refuse(keeper, "the new program did not say within 30 s whether it would go");
	else
		keeper_kill(&keeper->worker, SIGKILL); /* its end is what is waited for */
}
