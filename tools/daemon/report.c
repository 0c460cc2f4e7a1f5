/*
 * report.c - the daemon's state as JSON. A failed allocation anywhere makes the whole NULL: jansson
 * passes NULL references through.
 */
#include "tools/daemon/report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counter.h"
#include "base/histogram.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/kept.h"
#include "tools/daemon/rooms.h"

static const char *const state_names[] = {
	[DAEMON_STARTING] = "starting",
	[DAEMON_RUNNING] = "running",
	[DAEMON_STOPPING] = "stopping",
};

static const char *const directory_state_names[] = {
	[CACHE_DIRECTORY_OK] = "ok",
	[CACHE_DIRECTORY_FULL] = "full",
	[CACHE_DIRECTORY_FAILED] = "failed",
};

/* Paths and keys may be any bytes; JSON may not. */
static json_t *text_json(const char *text)
{
	json_t *json;
	char clean[512];
	size_t len = 0;

	if (!text)
		text = "";
	json = json_string(text);
	if (json)
		return json;
	for (; *text && len < sizeof(clean) - 1; text++)
		clean[len++] = (char)((unsigned char)*text < 0x80 ? *text : '?');
	clean[len] = '\0';
	return json_string(clean);
}

/* A counter's name without its room's: "cache_reads" is "reads" of "cache". */
static const char *short_name(const struct counters *counters, unsigned index)
{
	const char *name = counters->specs[index].name;
	size_t room_len = strlen(counters->room);

	if (strncmp(name, counters->room, room_len) == 0 && name[room_len] == '_')
		return name + room_len + 1;
	return name;
}

static json_t *counters_json(const struct counters *counters)
{
	json_t *json = json_object();

	for (unsigned i = 0; i < counters->count; i++)
		json_object_set_new(json, short_name(counters, i),
				    json_integer((json_int_t)counter_get(counters, i)));
	return json;
}

/* Adds @from to the sums in the member @name of @json. */
static void counters_sum(json_t *json, const char *name, const struct counters *from)
{
	json_t *sum = json_object_get(json, name);

	if (!sum) {
		json_object_set_new(json, name, counters_json(from));
		return;
	}
	for (unsigned i = 0; i < from->count; i++) {
		json_t *value = json_object_get(sum, short_name(from, i));

		json_integer_set(value,
				 json_integer_value(value) + (json_int_t)counter_get(from, i));
	}
}

static json_t *all_counters_json(const struct daemon_rooms *rooms)
{
	json_t *json = json_object();

	json_object_set_new(json, "fuse", counters_json(mount_counters(rooms->mount)));
	json_object_set_new(json, "cache", counters_json(cache_counters(rooms->cache)));
	json_object_set_new(json, "store", counters_json(cache_store_counters(rooms->cache)));
	if (rooms->membership)
		json_object_set_new(json, "gossip",
				    counters_json(membership_counters(rooms->membership)));
	if (rooms->peers) {
		json_object_set_new(json, "peers", counters_json(peers_counters(rooms->peers)));
		json_object_set_new(json, "fabric",
				    counters_json(peers_transport_counters(rooms->peers)));
	}
	for (unsigned i = 0; i < rooms->settings->backings.count; i++) {
		const struct backing *backing = rooms->backings[i];
		const struct counters *counters =
			backing->ops->counters ? backing->ops->counters(backing) : NULL;
		char name[160];

		if (!counters)
			continue;
		snprintf(name, sizeof(name), "%s:%s", backing->ops->type, backing->id);
		json_object_set_new(json, name, counters_json(counters));
		counters_sum(json, backing->ops->type, counters);
	}
	return json;
}

static json_t *histogram_json(const struct histogram *histogram)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "count",
			 (json_int_t)atomic_load(&histogram->count), "mean",
			 (json_int_t)histogram_mean(histogram), "p50",
			 (json_int_t)histogram_quantile(histogram, 500), "p99",
			 (json_int_t)histogram_quantile(histogram, 990), "max",
			 (json_int_t)atomic_load(&histogram->max));
}

static json_t *passthrough_json(const struct daemon_rooms *rooms)
{
	char reason[512];
	uint64_t queued, verified = cache_handout_count(rooms->cache, &queued);
	bool used = mount_passthrough(rooms->mount, reason, sizeof(reason));

	return json_pack("{s:b, s:o, s:I, s:I}", "used", (int)used, "reason", text_json(reason),
			 "verified", (json_int_t)verified, "queued", (json_int_t)queued);
}

static json_t *mount_json(const struct daemon_rooms *rooms)
{
	json_t *entries = json_array();

	for (unsigned i = 0; i < rooms->settings->mount.entries.count; i++) {
		const struct mount_entry_config *entry = settings_mount_entry(rooms->settings, i);

		json_array_append_new(
			entries,
			json_pack("{s:o, s:s, s:b, s:o, s:o, s:o}", "path", text_json(entry->path),
				  "kind", mount_kind_name(entry->kind), "mounted",
				  (int)mount_entry_served(rooms->mount, entry), "backing",
				  text_json(entry->backing), "bucket", text_json(entry->bucket),
				  "prefix", text_json(entry->prefix)));
	}
	return json_pack("{s:o, s:o, s:o}", "path", text_json(mount_path(rooms->mount)), "entries",
			 entries, "passthrough", passthrough_json(rooms));
}

static json_t *backings_json(const struct daemon_rooms *rooms)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < rooms->settings->backings.count; i++) {
		struct backing *backing = rooms->backings[i];
		char description[256] = "";

		if (backing->ops->describe)
			backing->ops->describe(backing, description, sizeof(description));
		json_array_append_new(
			json, json_pack("{s:o, s:s, s:o}", "id", text_json(backing->id), "type",
					backing->ops->type, "description", text_json(description)));
	}
	return json;
}

/* A line "VmRSS:   123 kB" of /proc/self/status, in bytes; 0 when it cannot be had. */
static uint64_t process_memory(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	size_t name_len = strlen(name);
	char line[128];

	if (!file)
		return 0;
	while (!kib && fgets(line, sizeof(line), file))
		if (strncmp(line, name, name_len) == 0 && line[name_len] == ':')
			kib = strtoull(line + name_len + 1, NULL, 10);
	fclose(file);
	return kib * 1024;
}

static json_t *memory_json(const struct daemon_rooms *rooms)
{
	const struct counters *counters = cache_counters(rooms->cache);

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I}", "arena", (json_int_t)cache_memory_len(rooms->cache),
		"used", (json_int_t)counter_get(counters, CACHE_MEMORY_USED), "pinned",
		(json_int_t)counter_get(counters, CACHE_MEMORY_PINNED), "resident",
		(json_int_t)process_memory("VmRSS"), "peak", (json_int_t)process_memory("VmHWM"));
}

static json_t *directories_json(const struct daemon_rooms *rooms)
{
	json_t *json = json_array();

	for (unsigned i = 0; i < cache_directory_count(rooms->cache); i++) {
		struct cache_directory_status status;

		cache_directory_status(rooms->cache, i, &status);
		json_array_append_new(json, json_pack("{s:o, s:s, s:I, s:I, s:I, s:o}", "path",
						      text_json(status.path), "state",
						      directory_state_names[status.state],
						      "capacity", (json_int_t)status.capacity,
						      "used", (json_int_t)status.used, "objects",
						      (json_int_t)status.objects, "problem",
						      text_json(status.problem)));
	}
	return json;
}

static json_t *latencies_json(const struct daemon_rooms *rooms)
{
	json_t *json = json_pack("{s:o, s:o}", "cache_read",
				 histogram_json(cache_read_latency(rooms->cache)), "fuse_read",
				 histogram_json(mount_read_latency(rooms->mount)));

	if (rooms->peers)
		json_object_set_new(json, "peers_fetch",
				    histogram_json(peers_latency(rooms->peers)));
	return json;
}

json_t *report_make(const struct daemon_rooms *rooms)
{
	uint64_t now_ns = clock_now_ns(rooms->clock);

	return json_pack(
		"{s:s, s:i, s:o, s:o, s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, "
		"s:o}",
		"version", CENOTE_VERSION, "pid", (int)getpid(), "keeper", kept_json(rooms), "node",
		text_json(rooms->node_name), "config", text_json(rooms->config_path), "state",
		state_names[atomic_load(&rooms->state)], "uptime_ns",
		(json_int_t)(now_ns - rooms->started_ns), "time_ns", (json_int_t)now_ns, "mount",
		mount_json(rooms), "backings", backings_json(rooms), "memory", memory_json(rooms),
		"cluster", cluster_json(rooms), "directories", directories_json(rooms), "counters",
		all_counters_json(rooms), "latency_ns", latencies_json(rooms));
}
