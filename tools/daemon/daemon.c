/*
 * daemon.c - the life of the daemon.
 *
 *	create  instance -> cluster -> backing stores -> cache -> peers -> mount      READY=1
 *	        -> tasks, control socket -> the cluster is told
 *	run     waits on signals and on the mount; SIGHUP: reload
 *	stop    tasks are cancelled -> the cluster is told                            STOPPING=1
 *	        -> mount (answers the reads in hand, unmounts) -> control socket
 *	        -> peers (nobody reads our memory any more) -> tasks -> cluster
 *	        -> cache commits to the SSD -> mount -> backing stores -> cache's memory
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
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/instance.h"
#include "tools/daemon/process.h"
#include "tools/daemon/reload.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/server.h"
#include "tools/daemon/tasks.h"
#include "tools/mounted.h"

enum stop_phase {
	STOP_ANSWERING,	 /* waits for reads in hand, then for the last writes to the SSD */
	STOP_LETTING_GO, /* all is safe; waits for backing stores to give requests back */
	STOP_DONE,
};

struct daemon {
	struct daemon_rooms rooms;
	struct settings *started; /* rooms.settings, owned */
	struct settings *current; /* with the live changes since; may be @started */
	struct instance instance;
	struct server *server;
	unsigned backings_up;
	int signals;		/* signalfd */
	int progressed;		/* eventfd: stop_phase has changed */
	_Atomic int stop_phase; /* enum stop_phase */
	pthread_t stop_thread;
	uint64_t stop_deadline_ns; /* CLOCK_NEVER while running */
	pthread_mutex_t cache_lock;
	bool cache_stopped; /* guarded by cache_lock */
};

#define STOP_WRITING_NS	   (20 * NS_PER_S) /* what the last writes get beyond the others' times */
#define STOP_LETTING_GO_NS (2 * NS_PER_S)

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
	error = settings_load(config_path, daemon->started, problem, problem_size);
	if (error)
		goto free_settings;
	/* Absolute: SIGHUP reads the same file wherever we are then. */
	daemon->rooms.config_path = realpath(config_path, NULL);
	if (!daemon->rooms.config_path) {
		error = -ENOENT; /* it was there a moment ago */
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

static void backings_destroy(struct daemon *daemon)
{
	while (daemon->backings_up > 0)
		backing_destroy(daemon->rooms.backings[--daemon->backings_up]);
	free(daemon->rooms.backings);
	daemon->rooms.backings = NULL;
}

static int backings_create(struct daemon *daemon, char *problem, size_t problem_size)
{
	const struct settings *settings = daemon->started;

	daemon->rooms.backings = calloc(settings->backings.count, sizeof(struct backing *));
	if (!daemon->rooms.backings)
		return -ENOMEM;
	for (unsigned i = 0; i < settings->backings.count; i++) {
		const struct backing_config *config = settings_backing(settings, i);
		int error = backing_create(config, daemon->rooms.clock, &daemon->rooms.backings[i],
					   problem, problem_size);

		if (error) {
			backings_destroy(daemon);
			return error;
		}
		daemon->backings_up++;
	}
	return 0;
}

static int rooms_start(struct daemon *daemon, char *problem, size_t problem_size)
{
	struct daemon_rooms *rooms = &daemon->rooms;
	const struct settings *settings = daemon->started;
	int error;

	error = cluster_create(rooms, problem, problem_size);
	if (error)
		return error;
	error = backings_create(daemon, problem, problem_size);
	if (error)
		goto destroy_cluster;
	error = cache_create(&settings->cache, rooms->clock, &rooms->cache, problem, problem_size);
	if (error)
		goto destroy_backings;
	error = cluster_peers_create(rooms, problem, problem_size);
	if (error)
		goto stop_cache;
	error = mount_create(&settings->mount, rooms->cache,
			     rooms->peers ? peers_backings(rooms->peers) : rooms->backings,
			     settings->backings.count, rooms->clock, &rooms->mount, problem,
			     problem_size);
	if (error)
		goto stop_peers;
	error = tasks_create(rooms, &rooms->tasks);
	if (error)
		goto stop_mount;
	error = server_create(settings->node.run_dir, rooms, &daemon->server, problem,
			      problem_size);
	if (error)
		goto stop_tasks;
	error = cluster_start(rooms);
	if (error)
		goto destroy_server;
	return 0;
destroy_server:
	server_destroy(daemon->server);
stop_tasks:
	tasks_stop(rooms->tasks);
	tasks_destroy(rooms->tasks);
stop_mount:
	mount_stop(rooms->mount, 0);
	mount_destroy(rooms->mount);
stop_peers:
	peers_stop(rooms->peers);
stop_cache:
	cache_stop(rooms->cache);
destroy_backings:
	backings_destroy(daemon);
	peers_destroy(rooms->peers);
	cache_destroy(rooms->cache);
destroy_cluster:
	cluster_destroy(rooms);
	return error;
}

static int daemon_start(struct daemon *daemon, const char *config_path, char *problem,
			size_t problem_size)
{
	int error;

	error = settings_read(daemon, config_path, problem, problem_size);
	if (error)
		return error;
	process_prepare(daemon->started->node.core_dumps);
	error = instance_claim(daemon->started->node.run_dir, &daemon->instance, problem,
			       problem_size);
	if (error)
		goto drop_settings;
	log_notice("daemon.start", "version=" CENOTE_VERSION " node=%s config=%s",
		   daemon->rooms.node_name, daemon->rooms.config_path);
	error = rooms_start(daemon, problem, problem_size);
	if (error)
		goto release_instance;
	return 0;
release_instance:
	instance_release(&daemon->instance);
drop_settings:
	settings_drop(daemon);
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
	daemon->stop_deadline_ns = CLOCK_NEVER;
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

static void cache_stop_once(struct daemon *daemon)
{
	pthread_mutex_lock(&daemon->cache_lock);
	if (!daemon->cache_stopped)
		cache_stop(daemon->rooms.cache);
	daemon->cache_stopped = true;
	pthread_mutex_unlock(&daemon->cache_lock);
}

static void stop_progress(struct daemon *daemon, enum stop_phase phase)
{
	atomic_store(&daemon->stop_phase, phase);
	CHECK(eventfd_write(daemon->progressed, 1) == 0);
}

static void rooms_stop(struct daemon *daemon)
{
	tasks_cancel(daemon->rooms.tasks);
	cluster_stop(&daemon->rooms);
	mount_stop(daemon->rooms.mount, daemon->current->node.stop_timeout);
	server_destroy(daemon->server);
	peers_stop(daemon->rooms.peers);
	tasks_stop(daemon->rooms.tasks);
	tasks_destroy(daemon->rooms.tasks);
	cluster_destroy(&daemon->rooms);
	sd_notify(0, "STATUS=writing the last blocks to the SSD");
	cache_stop_once(daemon);
	stop_progress(daemon, STOP_LETTING_GO);
	mount_destroy(daemon->rooms.mount);
	backings_destroy(daemon);
	peers_destroy(daemon->rooms.peers);
	cache_destroy(daemon->rooms.cache);
}

static void *stop_main(void *argument)
{
	struct daemon *daemon = argument;

	rooms_stop(daemon);
	stop_progress(daemon, STOP_DONE);
	return NULL;
}

static bool is_stopping(const struct daemon *daemon)
{
	return daemon->stop_deadline_ns != CLOCK_NEVER;
}

static void stop_begin(struct daemon *daemon, const char *reason)
{
	uint64_t now_ns = clock_now_ns(daemon->rooms.clock);

	log_notice("daemon.stop", "reason=\"%s\"", reason);
	sd_notify(0, "STOPPING=1\nSTATUS=answering the last reads");
	atomic_store(&daemon->rooms.state, DAEMON_STOPPING);
	daemon->stop_deadline_ns = clock_after_ns(
		now_ns, daemon->started->gossip.leave_timeout + daemon->current->node.stop_timeout +
				STOP_WRITING_NS);
	if (thread_start(&daemon->stop_thread, "stop", stop_main, daemon) != 0) {
		stop_main(daemon);
		daemon->stop_thread = pthread_self();
	}
}

static void end_log(const struct daemon *daemon)
{
	uint64_t uptime_ns = clock_now_ns(daemon->rooms.clock) - daemon->rooms.started_ns;

	log_notice("daemon.end", "uptime_s=%llu", (unsigned long long)(uptime_ns / NS_PER_S));
}

/* Only what is ours: after our mount another one, below it, may have come to light there. */
static void mount_detach(const struct daemon *daemon)
{
	char type[64];

	mounted_type(daemon->started->mount.path, type, sizeof(type));
	if (strcmp(type, MOUNTED_TYPE_OURS) == 0)
		umount2(daemon->started->mount.path, MNT_DETACH);
}

/* Readers that still wait get an error from the cache, or from the kernel when we are gone. A mount
 * that only fusermount3 can take away stays; the next start takes it off. */
static _Noreturn void stop_cut_short(struct daemon *daemon, const char *reason)
{
	log_warning("daemon.stop", "reason=\"%s\" effect=\"%s\"", reason,
		    atomic_load(&daemon->stop_phase) == STOP_ANSWERING
			    ? "reads in hand end with an error"
			    : "requests to backing stores are dropped");
	pthread_detach(daemon->stop_thread);
	mount_detach(daemon);
	cache_stop_once(daemon);
	end_log(daemon);
	instance_release(&daemon->instance);
	_exit(EXIT_SUCCESS);
}

static void stop_signal(struct daemon *daemon, uint32_t number)
{
	if (is_stopping(daemon))
		stop_cut_short(daemon, "told again");
	stop_begin(daemon, number == SIGINT ? "SIGINT" : "SIGTERM");
}

static void notify_ready(const struct daemon *daemon)
{
	sd_notifyf(0, "READY=1\nSTATUS=mounted at %s, %u entries", mount_path(daemon->rooms.mount),
		   daemon->started->mount.entries.count);
}

/* Return: false when the stop is done. */
static bool progress_handle(struct daemon *daemon)
{
	uint64_t letting_go_ns =
		clock_after_ns(clock_now_ns(daemon->rooms.clock), STOP_LETTING_GO_NS);
	eventfd_t count;

	eventfd_read(daemon->progressed, &count);
	if (letting_go_ns < daemon->stop_deadline_ns)
		daemon->stop_deadline_ns = letting_go_ns;
	return atomic_load(&daemon->stop_phase) != STOP_DONE;
}

static void daemon_reload(struct daemon *daemon)
{
	if (is_stopping(daemon))
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)(clock_now_ns(daemon->rooms.clock) / 1000));
	reload(&daemon->rooms, &daemon->current);
	notify_ready(daemon);
}

static void signals_handle(struct daemon *daemon)
{
	struct signalfd_siginfo info;

	while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			daemon_reload(daemon);
		else
			stop_signal(daemon, info.ssi_signo);
	}
}

/* Milliseconds until a stop takes too long; -1 while there is none. */
static int run_timeout(const struct daemon *daemon)
{
	uint64_t now_ns = clock_now_ns(daemon->rooms.clock);

	if (!is_stopping(daemon))
		return -1;
	if (now_ns >= daemon->stop_deadline_ns)
		return 0;
	return (int)((daemon->stop_deadline_ns - now_ns) / NS_PER_MS) + 1;
}

/* Return: false when the stop is done. */
static bool run_once(struct daemon *daemon)
{
	bool stopping = is_stopping(daemon);
	struct pollfd pollfds[] = {
		{ .fd = daemon->signals, .events = POLLIN },
		{ .fd = daemon->progressed, .events = POLLIN },
		{ .fd = stopping ? -1 : mount_ended(daemon->rooms.mount), .events = POLLIN },
	};
	int ready = poll(pollfds, ARRAY_COUNT(pollfds), run_timeout(daemon));

	if (ready < 0)
		return true;
	if (ready == 0)
		stop_cut_short(daemon, "took too long");
	if (pollfds[1].revents && !progress_handle(daemon))
		return false;
	if (pollfds[0].revents)
		signals_handle(daemon);
	if (pollfds[2].revents && !is_stopping(daemon))
		stop_begin(daemon, "the mount was unmounted from outside");
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
}

void daemon_destroy(struct daemon *daemon)
{
	end_log(daemon);
	instance_release(&daemon->instance);
	settings_drop(daemon);
	pthread_mutex_destroy(&daemon->cache_lock);
	close(daemon->progressed);
	close(daemon->signals);
	free(daemon);
}
