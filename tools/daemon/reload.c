/*
 * reload.c - what SIGHUP does. The rooms copy their live settings in their reload calls; the
 * settings of the start stay allocated for everything else.
 */
#include "tools/daemon/reload.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "tools/daemon/rooms.h"
#include "tools/setting.h"

static void live_change(void *context, const struct setting_change *change)
{
	unsigned *count = context;

	if (!change->live)
		return;
	(*count)++;
	log_notice("reload.change", "setting=%s old=\"%s\" new=\"%s\"", change->path,
		   change->old_text, change->new_text);
}

static void restart_change(void *context, const struct setting_change *change)
{
	unsigned *count = context;

	if (change->live)
		return;
	(*count)++;
	log_warning("reload.needs_restart", "setting=%s running=\"%s\" config=\"%s\"", change->path,
		    change->old_text, change->new_text);
}

/* Live changes count against what was last in force, the others against the start: they are still
 * not in force, however often the config is read. */
static void changes_log(const struct daemon_rooms *rooms, const struct settings *current,
			const struct settings *next)
{
	unsigned live_count = 0, restart_count = 0;

	setting_diff(&settings_options, current, next, live_change, &live_count);
	setting_diff(&settings_options, rooms->settings, next, restart_change, &restart_count);
	log_notice("reload.done", "config=%s changed=%u needs_restart=%u", rooms->config_path,
		   live_count, restart_count);
}

static void rooms_reload(const struct daemon_rooms *rooms, const struct settings *next)
{
	log_set_level((enum log_level)next->log.level);
	for (unsigned i = 0; i < rooms->settings->backings.count; i++) {
		struct backing *backing = rooms->backings[i];
		const struct backing_config *config = settings_backing_find(next, backing->id);

		if (config && backing->ops->reload)
			backing->ops->reload(backing, config);
	}
	cache_reload(rooms->cache, &next->cache);
	if (rooms->peers)
		peers_reload(rooms->peers, &next->peers);
	mount_reload(rooms->mount, &next->mount);
}

int reload(const struct daemon_rooms *rooms, struct settings **current)
{
	struct settings *next = malloc(sizeof(*next));
	char problem[SETTINGS_PROBLEM_MAX] = "";
	int error = -ENOMEM;

	if (next)
		error = settings_load(rooms->config_path, next, problem, sizeof(problem));
	if (error) {
		log_error("reload.refuse",
			  "problem=\"%s\" effect=\"none: the settings in force stay\"",
			  problem[0] ? problem : error_text(error));
		free(next);
		return error;
	}
	changes_log(rooms, *current, next);
	rooms_reload(rooms, next);
	if (*current != rooms->settings) {
		settings_free(*current);
		free(*current);
	}
	*current = next;
	return 0;
}
