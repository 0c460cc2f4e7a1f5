/*
 * settings.h - the whole configuration of a node: one struct, one table, one file. The rooms bring
 * their own tables; this is where they hang together:
 *
 *	node = { ... };  log = { ... };  cache = { ... };  backings = ( { ... } );  mount = { ... };
 *	cluster = { ... };  gossip = { ... };  fabric = { ... };  peers = { ... };
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"
#include "cache/cache.h"
#include "cache/peer/peers.h"
#include "fabric/gossip/membership.h"
#include "fabric/transport/transport.h"
#include "fuse/mount.h"

#define SETTINGS_PATH_DEFAULT	   "/etc/cenote/cenote.conf"
#define SETTINGS_RUN_DIR_DEFAULT   "/run/cenote"
#define SETTINGS_STATE_DIR_DEFAULT "/var/lib/cenote"
#define SETTINGS_PROBLEM_MAX	   512

struct settings_node {
	char *name;	       /* NULL: the host's */
	char *run_dir;	       /* pid file and control socket */
	char *state_dir;       /* who this node is to its cluster */
	uint64_t stop_timeout; /* ns; what reads in hand get at SIGTERM; live */
	bool core_dumps;       /* secrets and payload may end up in a core file */
};

struct settings_log {
	int level; /* enum log_level; live */
};

struct settings_cluster {
	char *name; /* NULL: this node is alone, and gossip has nothing to do */
	char *secret_file;
	char *site;
};

struct settings {
	struct settings_node node;
	struct settings_log log;
	struct cache_config cache;
	struct option_structs backings; /* see settings_backing() */
	struct mount_config mount;
	struct settings_cluster cluster;
	struct membership_config gossip;
	struct transport_config fabric;
	struct peers_config peers;
};

extern const struct option_group settings_options; /* of struct settings */

/**
 * settings_load() - config_load() of the file at @path.
 * Return: as config_load(); @out is released by settings_free().
 */
int settings_load(const char *path, struct settings *out, char *problem, size_t problem_size);

/** settings_free() - releases what settings_load() filled in. */
void settings_free(struct settings *settings);

/** settings_backing() - the backing store at @index < settings->backings.count; borrowed. */
const struct backing_config *settings_backing(const struct settings *settings, unsigned index);

/** settings_backing_find() - the backing store called @id, or NULL; borrowed. */
const struct backing_config *settings_backing_find(const struct settings *settings, const char *id);

/** settings_mount_entry() - the mount entry at @index < settings->mount.entries.count; borrowed. */
const struct mount_entry_config *settings_mount_entry(const struct settings *settings,
						      unsigned index);
