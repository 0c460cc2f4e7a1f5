/*
 * daemon.c - the life of the daemon.
 *
 *	create  config -> (a standby looks around and waits for its turn) -> instance
 *	        -> rooms: cluster -> backing stores -> cache -> peers -> mount        READY=1
 *	        -> tasks, control socket -> the cluster is told -> the keeper gets what it keeps
 *	run     waits on signals, the keeper and the mount; SIGHUP: reload
 *	stop    tasks are cancelled -> the cluster is told                            STOPPING=1
 *	        -> mount (answers the reads in hand, unmounts) -> control socket
 *	        -> peers (nobody reads our memory any more) -> tasks -> cluster
 *	        -> cache commits to the SSD -> mount -> backing stores -> cache's memory
 *	leave   as stop, for another program to go on: the mount stays, and the process ends behind
 *	        the commit
 *
 * Peers are served until the reads in hand are answered, and the cluster is told before, so that
 * they wait for a member that restarts. The cache's memory goes last: a fetch lands in it until its
 * backing store has let go. The stop runs on a thread of its own, so that a second signal is heard.
 * That one, or a stop that takes too long, cuts it short behind the commit: what was fetched is
 * safe, and nobody needs the rest to be tidy.
 */
#include "tools/daemon/daemon.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/link.h"
#include "tools/daemon/inside.h"
#include "tools/daemon/kept.h"
#include "tools/daemon/process.h"
#include "tools/daemon/reload.h"
#include "tools/daemon/upgrade.h"

#define REVIVE_PAUSE_NS NS_PER_S

static int signals_block(int *out_fd)
{
	static const int handled[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_COUNT(handled); i++)
		sigaddset(&set, handled[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	*out_fd = fd;
	return 0;
}

static int settings_read(struct daemon *daemon, const char *config_path, char *problem,
			 size_t problem_size)
{
	int error;

	daemon->started = calloc(1, sizeof(*daemon->started));
	if (!daemon->started)
		return -ENOMEM;
	error = kept_settings_load(daemon->rooms.link, config_path,
				   link_standby(daemon->rooms.link), daemon->started, problem,
				   problem_size);
	if (error)
		goto free_settings;
	/* Absolute: SIGHUP reads the same file wherever we are then. What is kept needs none. */
	daemon->rooms.config_path = realpath(config_path, NULL);
	if (!daemon->rooms.config_path)
		daemon->rooms.config_path = strdup(config_path);
	if (!daemon->rooms.config_path) {
		error = -ENOMEM;
		settings_free(daemon->started);
		goto free_settings;
	}
	daemon->rooms.settings = daemon->current = daemon->started;
	log_set_level((enum log_level)daemon->started->log.level);
	if (daemon->started->node.name)
		snprintf(daemon->rooms.node_name, sizeof(daemon->rooms.node_name), "%s",
			 daemon->started->node.name);
	else if (gethostname(daemon->rooms.node_name, sizeof(daemon->rooms.node_name) - 1) != 0)
		snprintf(daemon->rooms.node_name, sizeof(daemon->rooms.node_name), "localhost");
	return 0;
free_settings:
	free(daemon->started);
	daemon->started = NULL;
	return error;
}

static void settings_drop(struct daemon *daemon)
{
	if (daemon->current != daemon->started) {
		settings_free(daemon->current);
		free(daemon->current);
	}
	settings_free(daemon->started);
	free(daemon->started);
	free(daemon->rooms.config_path);
}

/* Of a standby: whether it would do; then until it is its turn. Return: 0; -ECANCELED with what is
 * in @problem already said. */
static int turn_wait(struct daemon *daemon, char *problem, size_t problem_size)
{
	struct link *link = daemon->rooms.link;
	int error;

	if (!link_standby(link))
		return 0;
	error = kept_look(link, daemon->rooms.config_path, daemon->started, problem, problem_size);
	if (error)
		log_error("daemon.standby", "problem=\"%s\"", problem);
	else
		log_notice("daemon.standby", "version=" CENOTE_VERSION " effect=\"waits for its "
					     "turn\"");
	return link_standby_wait(link, error ? problem : NULL);
}

static void keeper_tell(struct daemon *daemon)
{
	link_watch(daemon->rooms.link, daemon->current->mount.hang_after,
		   daemon->started->node.core_dumps);
	link_serving(daemon->rooms.link);
}

static int daemon_begin(struct daemon *daemon, bool standby, char *problem, size_t problem_size)
{
	const struct settings_node *node = &daemon->started->node;
	struct daemon_rooms *rooms = &daemon->rooms;
	bool in_force = link_is_kept(rooms->link, "config");
	int error;

	error = kept_instance_claim(rooms->link, node->run_dir, &daemon->instance, problem,
				    problem_size);
	if (error)
		return error;
	if (standby || !in_force)
		kept_settings_keep(rooms->link, rooms->config_path);
	log_notice("daemon.start", "version=" CENOTE_VERSION " node=%s config=%s", rooms->node_name,
		   rooms->config_path);
	error = rooms_start(rooms, problem, problem_size);
	if (error) {
		if (link_is_kept(rooms->link, "connection.0"))
			instance_leave(&daemon->instance);
		else
			instance_release(&daemon->instance);
		return error;
	}
	kept_rooms_keep(rooms);
	keeper_tell(daemon);
	return 0;
}

static int daemon_start(struct daemon *daemon, const char *config_path, char *problem,
			size_t problem_size)
{
	bool standby;
	int error;

	error = link_open(&daemon->rooms.link, problem, problem_size);
	if (error)
		return error;
	standby = link_standby(daemon->rooms.link);
	error = upgrade_create(&daemon->rooms.upgrade);
	if (error)
		goto close_link;
	error = settings_read(daemon, config_path, problem, problem_size);
	if (error) {
		if (standby)
			link_standby_wait(daemon->rooms.link, problem);
		goto destroy_upgrade;
	}
	process_prepare(daemon->started->node.core_dumps);
	error = turn_wait(daemon, problem, problem_size);
	if (!error)
		error = daemon_begin(daemon, standby, problem, problem_size);
	if (!error)
		return 0;
	settings_drop(daemon);
destroy_upgrade:
	upgrade_destroy(daemon->rooms.upgrade);
close_link:
	link_close(daemon->rooms.link);
	return error;
}

int daemon_create(const char *config_path, struct daemon **out_daemon, char *problem,
		  size_t problem_size)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	int error;

	problem[0] = '\0';
	if (!daemon)
		return -ENOMEM;
	daemon->rooms.clock = clock_system();
	daemon->rooms.started_ns = clock_now_ns(daemon->rooms.clock);
	daemon->stop_deadline_ns = daemon->revive_ns = CLOCK_NEVER;
	pthread_mutex_init(&daemon->cache_lock, NULL);
	error = signals_block(&daemon->signals);
	if (error)
		goto free_daemon;
	daemon->progressed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (daemon->progressed < 0) {
		error = -errno;
		goto close_signals;
	}
	error = daemon_start(daemon, config_path, problem, problem_size);
	if (error)
		goto close_stopped;
	*out_daemon = daemon;
	return 0;
close_stopped:
	close(daemon->progressed);
close_signals:
	close(daemon->signals);
free_daemon:
	free(daemon);
	return error;
}

static void stop_signal(struct daemon *daemon, uint32_t number)
{
	if (daemon_stopping(daemon))
		daemon_stop_cut_short(daemon, "told again");
	daemon_stop_begin(daemon, number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void notify_ready(const struct daemon *daemon)
{
	sd_notifyf(0, "READY=1\nSTATUS=mounted at %s, %u entries", mount_path(daemon->rooms.mount),
		   daemon->started->mount.entries.count);
}

static void daemon_reload(struct daemon *daemon)
{
	const char *another;

	if (daemon_stopping(daemon))
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)(clock_now_ns(daemon->rooms.clock) / 1000));
	if (reload(&daemon->rooms, &daemon->current) == 0) {
		/* What needs a restart is in force after a death, too, but not another place. */
		if (kept_same_place(daemon->started, daemon->current, &another))
			kept_settings_keep(daemon->rooms.link, daemon->rooms.config_path);
		link_watch(daemon->rooms.link, daemon->current->mount.hang_after,
			   daemon->started->node.core_dumps);
	}
	notify_ready(daemon);
}

static void signal_take(struct daemon *daemon, uint32_t number)
{
	if (number == SIGHUP)
		daemon_reload(daemon);
	else if (!daemon->leaving)
		stop_signal(daemon, number);
}

/* What is sent to us and to the keeper, as a terminal does, must not count twice. */
static void signals_handle(struct daemon *daemon)
{
	int keeper = link_keeper_pid(daemon->rooms.link);
	struct signalfd_siginfo info;

	while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (keeper == 0)
			signal_take(daemon, info.ssi_signo);
		else
			log_info(
				"daemon.signal",
				"signal=%u effect=\"none: the keeper, pid %d, passes on what it is "
				"sent\"",
				info.ssi_signo, keeper);
	}
}

/* --- the keeper */

static void keeper_revive(struct daemon *daemon)
{
	int error;

	daemon->revive_ns = CLOCK_NEVER;
	if (daemon_stopping(daemon))
		return;
	error = link_revive(daemon->rooms.link);
	if (error) {
		log_error("daemon.keeper",
			  "problem=\"the keeper is gone, and another one cannot be "
			  "started: %s\"",
			  error_text(error));
		daemon->revive_ns =
			clock_after_ns(clock_now_ns(daemon->rooms.clock), REVIVE_PAUSE_NS);
		return;
	}
	log_warning("daemon.keeper",
		    "problem=\"the keeper was gone\" effect=\"started another one, "
		    "pid %d\"",
		    link_keeper_pid(daemon->rooms.link));
	error = instance_name(&daemon->instance, link_keeper_pid(daemon->rooms.link));
	if (error)
		log_warning("daemon.keeper", "error=\"%s\"", error_text(error));
}

static void upgrade_ask(struct daemon *daemon)
{
	char program[UPGRADE_PROGRAM_MAX];
	int error;

	if (!upgrade_take(daemon->rooms.upgrade, program))
		return;
	error = daemon_stopping(daemon) ? -ECANCELED : link_upgrade(daemon->rooms.link, program);
	if (error)
		upgrade_end(daemon->rooms.upgrade, UPGRADE_REFUSED, error_text(error));
}

static void leave_begin(struct daemon *daemon)
{
	upgrade_end(daemon->rooms.upgrade, UPGRADE_LEAVING, "");
	if (daemon_stopping(daemon))
		return;
	daemon->leaving = true;
	daemon_stop_begin(daemon, "an upgrade");
}

static void keeper_hear(struct daemon *daemon)
{
	char problem[LINK_PROBLEM_MAX];
	int number;

	for (;;) {
		switch (link_poll(daemon->rooms.link, &number, problem)) {
		case LINK_NOTHING:
			return;
		case LINK_KEEPER_GONE:
			keeper_revive(daemon);
			return;
		case LINK_SIGNAL:
			signal_take(daemon, (uint32_t)number);
			break;
		case LINK_UPGRADE_REFUSED:
			upgrade_end(daemon->rooms.upgrade, UPGRADE_REFUSED, problem);
			break;
		case LINK_UPGRADE_AGREED:
			leave_begin(daemon);
			break;
		}
	}
}

/* Milliseconds until a stop takes too long, or a keeper is to be started; -1: neither. */
static int run_timeout(const struct daemon *daemon)
{
	uint64_t now_ns = clock_now_ns(daemon->rooms.clock);
	uint64_t due_ns = daemon->stop_deadline_ns < daemon->revive_ns ? daemon->stop_deadline_ns
								       : daemon->revive_ns;

	if (due_ns == CLOCK_NEVER)
		return -1;
	return due_ns > now_ns ? (int)((due_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

static void run_due(struct daemon *daemon)
{
	uint64_t now_ns = clock_now_ns(daemon->rooms.clock);

	if (now_ns >= daemon->stop_deadline_ns)
		daemon_stop_cut_short(daemon, "took too long");
	if (now_ns >= daemon->revive_ns)
		keeper_revive(daemon);
}

/* Return: false when the stop is done. */
static bool run_once(struct daemon *daemon)
{
	struct pollfd pollfds[] = {
		{ .fd = daemon->signals, .events = POLLIN },
		{ .fd = daemon->progressed, .events = POLLIN },
		{ .fd = daemon_stopping(daemon) ? -1 : mount_ended(daemon->rooms.mount),
		  .events = POLLIN },
		{ .fd = link_fd(daemon->rooms.link), .events = POLLIN },
		{ .fd = upgrade_fd(daemon->rooms.upgrade), .events = POLLIN },
	};

	if (poll(pollfds, ARRAY_COUNT(pollfds), run_timeout(daemon)) < 0)
		return true;
	if (pollfds[1].revents && !daemon_stop_progressed(daemon))
		return false;
	if (pollfds[0].revents)
		signals_handle(daemon);
	if (pollfds[2].revents && !daemon_stopping(daemon))
		daemon_stop_begin(daemon, "the mount was unmounted from outside");
	if (pollfds[3].revents)
		keeper_hear(daemon);
	if (pollfds[4].revents)
		upgrade_ask(daemon);
	run_due(daemon);
	return true;
}

void daemon_run(struct daemon *daemon)
{
	atomic_store(&daemon->rooms.state, DAEMON_RUNNING);
	log_notice("daemon.ready", "mount=%s entries=%u memory=%llu directories=%u",
		   mount_path(daemon->rooms.mount), daemon->started->mount.entries.count,
		   (unsigned long long)cache_memory_len(daemon->rooms.cache),
		   cache_directory_count(daemon->rooms.cache));
	notify_ready(daemon);
	while (run_once(daemon))
		;
	if (!pthread_equal(daemon->stop_thread, pthread_self()))
		pthread_join(daemon->stop_thread, NULL);
	if (daemon->leaving) {
		daemon_end_log(daemon);
		_exit(EXIT_SUCCESS);
	}
}

void daemon_destroy(struct daemon *daemon)
{
	daemon_end_log(daemon);
	instance_release(&daemon->instance);
	upgrade_destroy(daemon->rooms.upgrade);
	link_close(daemon->rooms.link);
	settings_drop(daemon);
	pthread_mutex_destroy(&daemon->cache_lock);
	close(daemon->progressed);
	close(daemon->signals);
	free(daemon);
}
