/*
 * stop.c - how a daemon ends; its order is in daemon.c. On a thread of its own, so that a second
 * signal is heard.
 */
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/keeper/link.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/inside.h"
#include "tools/daemon/server.h"
#include "tools/daemon/tasks.h"
#include "tools/mounted.h"

#define STOP_WRITING_NS	   (20 * NS_PER_S) /* what the last writes get beyond the others' times */
#define STOP_LETTING_GO_NS (2 * NS_PER_S)

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
	server_destroy(daemon->rooms.server);
	peers_stop(daemon->rooms.peers);
	tasks_stop(daemon->rooms.tasks);
	tasks_destroy(daemon->rooms.tasks);
	cluster_destroy(&daemon->rooms);
	sd_notify(0, "STATUS=writing the last blocks to the SSD");
	cache_stop_once(daemon);
	stop_progress(daemon, STOP_LETTING_GO);
	mount_destroy(daemon->rooms.mount);
	rooms_backings_destroy(&daemon->rooms);
	peers_destroy(daemon->rooms.peers);
	cache_destroy(daemon->rooms.cache);
}

/* What another process cannot do for us; the rest ends with this one. Readers wait meanwhile. */
static void rooms_leave(struct daemon *daemon)
{
	tasks_cancel(daemon->rooms.tasks);
	cluster_stop(&daemon->rooms);
	mount_leave(daemon->rooms.mount, daemon->current->node.stop_timeout);
	server_destroy(daemon->rooms.server);
	peers_stop(daemon->rooms.peers);
	cache_stop_once(daemon);
}

static void *stop_main(void *argument)
{
	struct daemon *daemon = argument;

	if (daemon->leaving)
		rooms_leave(daemon);
	else
		rooms_stop(daemon);
	stop_progress(daemon, STOP_DONE);
	return NULL;
}

bool daemon_stopping(const struct daemon *daemon)
{
	return daemon->stop_deadline_ns != CLOCK_NEVER;
}

void daemon_stop_begin(struct daemon *daemon, const char *reason)
{
	uint64_t now_ns = clock_now_ns(daemon->rooms.clock);

	log_notice("daemon.stop", "reason=\"%s\"", reason);
	if (daemon->leaving) {
		sd_notify(0, "STATUS=another program takes over");
	} else {
		link_stopping(daemon->rooms.link);
		sd_notify(0, "STOPPING=1\nSTATUS=answering the last reads");
	}
	atomic_store(&daemon->rooms.state, DAEMON_STOPPING);
	daemon->stop_deadline_ns = clock_after_ns(
		now_ns, daemon->started->gossip.leave_timeout + daemon->current->node.stop_timeout +
				STOP_WRITING_NS);
	if (thread_start(&daemon->stop_thread, "stop", stop_main, daemon) != 0) {
		stop_main(daemon);
		daemon->stop_thread = pthread_self();
	}
}

void daemon_end_log(const struct daemon *daemon)
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
_Noreturn void daemon_stop_cut_short(struct daemon *daemon, const char *reason)
{
	log_warning("daemon.stop", "reason=\"%s\" effect=\"%s\"", reason,
		    atomic_load(&daemon->stop_phase) == STOP_ANSWERING
			    ? "reads in hand end with an error"
			    : "requests to backing stores are dropped");
	pthread_detach(daemon->stop_thread);
	if (!daemon->leaving)
		mount_detach(daemon);
	cache_stop_once(daemon);
	daemon_end_log(daemon);
	if (!daemon->leaving)
		instance_release(&daemon->instance);
	_exit(EXIT_SUCCESS);
}

bool daemon_stop_progressed(struct daemon *daemon)
{
	uint64_t letting_go_ns =
		clock_after_ns(clock_now_ns(daemon->rooms.clock), STOP_LETTING_GO_NS);
	eventfd_t count;

	eventfd_read(daemon->progressed, &count);
	if (letting_go_ns < daemon->stop_deadline_ns)
		daemon->stop_deadline_ns = letting_go_ns;
	return atomic_load(&daemon->stop_phase) != STOP_DONE;
}
