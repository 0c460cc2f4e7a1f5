/*
 * rooms.h - the parts of a running daemon, in the order in which they come up. daemon.c owns them;
 * the control server reads them while they live.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/cache.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"
#include "fabric/keyring.h"
#include "fuse/mount.h"
#include "tools/settings.h"

struct link;
struct server;
struct tasks;
struct upgrade;

enum daemon_state {
	DAEMON_STARTING, /* waits for the cache directories to open and the mount to appear */
	DAEMON_RUNNING,	 /* waits for signals */
	DAEMON_STOPPING, /* waits for reads in hand to be answered */
};

struct daemon_rooms {
	const struct clock *clock;
	uint64_t started_ns;
	struct link *link;		 /* to the keeper, who may hold what another process left */
	struct upgrade *upgrade;	 /* that operators ask for */
	char resend_reason[160];	 /* why a crash ends open files; "": it does not */
	char *config_path;		 /* absolute */
	const struct settings *settings; /* those of the start: all that is not live is in force */
	char node_name[256];
	struct backing **backings; /* settings->backings.count of them, in that order */
	struct cache *cache;
	struct mount *mount;
	struct keyring *ring;	       /* NULL: this node is alone */
	struct membership *membership; /* NULL likewise */
	struct peers *peers;	       /* NULL likewise */
	struct address fabric;	       /* of @peers, as it listens */
	struct tasks *tasks;	       /* what operators ask for */
	struct server *server;
	unsigned backings_up;
	bool heir;	   /* the mount is one that a former worker left */
	_Atomic int state; /* enum daemon_state */
};

/**
 * rooms_start() - backing stores, cache, cluster, mount, control socket, in this order; where a
 * former worker was, if the keeper has something of it. What of the cluster cannot be had at once
 * then is waited for some seconds at most: readers wait for the mount.
 * Return: 0, or an error with @problem; nothing is left behind then, and a mount that was taken
 * over is left as it was.
 */
int rooms_start(struct daemon_rooms *rooms, char *problem, size_t problem_size);

/** rooms_backings_destroy() - after the cache has stopped. */
void rooms_backings_destroy(struct daemon_rooms *rooms);
