/*
 * rooms.c - how the parts come up. See daemon.c for their life.
 */
#include "tools/daemon/rooms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/link.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/kept.h"
#include "tools/daemon/server.h"
#include "tools/daemon/tasks.h"

/* What a predecessor that is killed and not gone yet may take to let go of its ports. */
#define PORTS_NS  (5 * NS_PER_S)
#define PORTS_TRY (100 * NS_PER_MS)

void rooms_backings_destroy(struct daemon_rooms *rooms)
{
	while (rooms->backings_up > 0)
		backing_destroy(rooms->backings[--rooms->backings_up]);
	free(rooms->backings);
	rooms->backings = NULL;
}

static int backings_create(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	const struct settings *settings = rooms->settings;

	rooms->backings = calloc(settings->backings.count, sizeof(struct backing *));
	if (!rooms->backings)
		return -ENOMEM;
	for (unsigned i = 0; i < settings->backings.count; i++) {
		int error = backing_create(settings_backing(settings, i), rooms->clock,
					   &rooms->backings[i], problem, problem_size);

		if (error) {
			rooms_backings_destroy(rooms);
			return error;
		}
		rooms->backings_up++;
	}
	return 0;
}

/*
 * A part of the cluster. Where readers wait for us, as a mount is to be taken over, a node alone is
 * better than none: after PORTS_NS we go on without.
 */
static int cluster_part(struct daemon_rooms *rooms, const char *what,
			int (*create)(struct daemon_rooms *rooms, char *problem,
				      size_t problem_size),
			char *problem, size_t problem_size)
{
	const struct timespec pause = { .tv_nsec = PORTS_TRY };
	uint64_t until_ns = clock_after_ns(clock_now_ns(rooms->clock), PORTS_NS);
	int error = create(rooms, problem, problem_size);

	while (error && rooms->heir && clock_now_ns(rooms->clock) < until_ns) {
		nanosleep(&pause, NULL);
		error = create(rooms, problem, problem_size);
	}
	if (!error || !rooms->heir)
		return error;
	log_error("daemon.takeover",
		  "problem=\"%s\" without=%s effect=\"this node is alone until it is restarted\"",
		  problem[0] ? problem : error_text(error), what);
	problem[0] = '\0';
	return 0;
}

static int cache_begin(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	int arena = link_kept(rooms->link, "arena");
	int error = cache_create_over(&rooms->settings->cache, rooms->clock, arena, &rooms->cache,
				      problem, problem_size);

	if (error && arena >= 0)
		close(arena);
	return error;
}

static int mount_begin(struct daemon_rooms *rooms, struct mount_heritage *heritage, char *problem,
		       size_t problem_size)
{
	return mount_create(&rooms->settings->mount, rooms->cache,
			    rooms->peers ? peers_backings(rooms->peers) : rooms->backings,
			    rooms->settings->backings.count, rooms->clock, heritage, &rooms->mount,
			    problem, problem_size);
}

static void mount_end(struct daemon_rooms *rooms)
{
	if (rooms->heir)
		mount_leave(rooms->mount, 0);
	else
		mount_stop(rooms->mount, 0);
}

static int rooms_start_with(struct daemon_rooms *rooms, struct mount_heritage *heritage,
			    char *problem, size_t problem_size)
{
	int error;

	rooms->heir = heritage->kept[0].connection >= 0;
	error = cluster_part(rooms, "gossip", cluster_create, problem, problem_size);
	if (error)
		return error;
	error = backings_create(rooms, problem, problem_size);
	if (error)
		goto destroy_cluster;
	error = cache_begin(rooms, problem, problem_size);
	if (error)
		goto destroy_backings;
	error = cluster_part(rooms, "fabric", cluster_peers_create, problem, problem_size);
	if (error)
		goto stop_cache;
	if (!rooms->peers) /* a member that nobody can read from is of no use to the others */
		cluster_destroy(rooms);
	error = mount_begin(rooms, heritage, problem, problem_size);
	if (error)
		goto stop_peers;
	error = tasks_create(rooms, &rooms->tasks);
	if (error)
		goto stop_mount;
	error = server_create(rooms->settings->node.run_dir, rooms, &rooms->server, problem,
			      problem_size);
	if (error)
		goto stop_tasks;
	error = cluster_start(rooms);
	if (error)
		goto destroy_server;
	return 0;
destroy_server:
	server_destroy(rooms->server);
stop_tasks:
	tasks_stop(rooms->tasks);
	tasks_destroy(rooms->tasks);
stop_mount:
	mount_end(rooms);
	mount_destroy(rooms->mount);
stop_peers:
	peers_stop(rooms->peers);
stop_cache:
	cache_stop(rooms->cache);
destroy_backings:
	rooms_backings_destroy(rooms);
	peers_destroy(rooms->peers);
	cache_destroy(rooms->cache);
destroy_cluster:
	cluster_destroy(rooms);
	return error;
}

int rooms_start(struct daemon_rooms *rooms, char *problem, size_t problem_size)
{
	struct mount_heritage heritage;
	int error;

	kept_heritage(rooms->link, &heritage);
	error = rooms_start_with(rooms, &heritage, problem, problem_size);
	if (error)
		mount_heritage_close(&heritage);
	return error;
}
