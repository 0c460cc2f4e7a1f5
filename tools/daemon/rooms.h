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

struct tasks;

enum daemon_state {
	DAEMON_STARTING, /* waits for the cache directories to open and the mount to appear */
	DAEMON_RUNNING,	 /* waits for signals */
	DAEMON_STOPPING, /* waits for reads in hand to be answered */
};

struct daemon_rooms {
	const struct clock *clock;
	uint64_t started_ns;
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
	_Atomic int state;	       /* enum daemon_state */
};
