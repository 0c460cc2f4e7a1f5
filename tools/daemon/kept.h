/*
 * kept.h - what the daemon has its keeper hold, and finds there when it takes over: the connection
 * and the ledger ("connection.0", "ledger.0"; those of small-files entries from 1 on), the memory
 * ("arena"), the pid file's lock
 * ("instance"), and the configuration in force ("config"): a file that somebody is editing must not
 * keep the daemon from coming back. Without a keeper all of it does nothing.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "tools/daemon/instance.h"

struct daemon_rooms;
struct link;
struct mount_heritage;
struct settings;

/**
 * kept_settings_load() - of the file at @path; or, after a death, of what was in force.
 * @from_file: whatever is kept (an upgrade).
 * Return: as settings_load().
 */
int kept_settings_load(const struct link *link, const char *path, bool from_file,
		       struct settings *out, char *problem, size_t problem_size);

/** kept_same_place() - whether who runs with one can go on where who runs with the other has left:
 *  the same mountpoint, small-files entries and run directory. @out_name: of the setting that is
 * another. */
bool kept_same_place(const struct settings *a, const struct settings *b, const char **out_name);

/** kept_settings_keep() - the file at @path is in force. What goes wrong is logged. */
void kept_settings_keep(struct link *link, const char *path);

/** kept_instance_claim() - the pid file's lock, kept or claimed; names the keeper, if there is one.
 *  Return: as instance_claim(). */
int kept_instance_claim(struct link *link, const char *run_dir, struct instance *out, char *problem,
			size_t problem_size);

/** kept_heritage() - what mount_create() gets; descriptors are the caller's. */
void kept_heritage(const struct link *link, struct mount_heritage *out);

/** kept_rooms_keep() - the daemon serves: all that another one needs to go on with it. */
void kept_rooms_keep(struct daemon_rooms *rooms);

/** kept_look() - for a standby: whether this process could take over what is kept. @settings: of
 * the file at @path. Return: 0, or an error with @problem. */
int kept_look(const struct link *link, const char *path, const struct settings *settings,
	      char *problem, size_t problem_size);

/** kept_json() - the section of the report: null without a keeper. */
json_t *kept_json(const struct daemon_rooms *rooms);
