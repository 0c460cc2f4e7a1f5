/*
 * parts.c - see parts.h.
 */
#include "fuse/parts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fuse/inside.h"
#include "fuse/takeover.h"

struct part {
	const char *path; /* of the entry, in the namespace of the whole */
	struct mount *mount;
	/* what the mount is configured by: the whole's, with this one entry at its root */
	struct mount_config config;
	struct mount_entry_config entry;
	char *mountpoint;
};

static char root[] = "/";

static void config_derive(struct part *part, const struct mount_config *config)
{
	part->config = *config;
	part->config.path = part->mountpoint;
	part->config.passthrough = MOUNT_PASSTHROUGH_OFF;
	part->config.entries = (struct option_structs){ .items = &part->entry, .count = 1 };
}

static int part_init(struct part *part, const struct mount *whole,
		     const struct mount_entry_config *entry)
{
	part->path = entry->path;
	part->entry = *entry;
	part->entry.path = root;
	part->entry.dataset_path = entry->path;
	if (asprintf(&part->mountpoint, "%s%s", mount_path(whole), entry->path) < 0) {
		part->mountpoint = NULL;
		return -ENOMEM;
	}
	config_derive(part, whole->config);
	return 0;
}

static int part_serve(struct part *part, struct mount *whole, const struct mount_setup *setup,
		      struct mount_keepsake *kept, char *problem, size_t problem_size)
{
	struct mount_setup own = *setup;

	/* The kernel looks its paths up anew when the whole's ledger could not be read: what is
	 * mounted on a path goes with it. */
	if (ledger_adopted_ns(whole->ledger) == 0)
		keepsake_close(kept);
	own.config = &part->config;
	own.fd = -1;
	own.kept = kept;
	own.board = whole->board;
	own.whole = whole;
	own.index = (unsigned)(part - whole->parts) + 1;
	return mount_serve(&own, &part->mount, problem, problem_size);
}

int parts_create(struct mount *whole, const struct mount_setup *setup,
		 struct mount_heritage *heritage, char *problem, size_t problem_size)
{
	const struct mount_entry_config *entries[MOUNT_PARTS_MAX];
	unsigned count = mount_config_parts(whole->config, entries);
	int err = 0;

	if (count == 0)
		return 0;
	whole->parts = calloc(count, sizeof(*whole->parts));
	if (!whole->parts)
		return -ENOMEM;
	for (unsigned i = 0; i < count && !err; i++) {
		struct part *part = &whole->parts[whole->part_count++];

		err = part_init(part, whole, entries[i]);
		if (!err)
			err = part_serve(part, whole, setup, &heritage->kept[i + 1], problem,
					 problem_size);
		if (!err || !whole->taken_over)
			continue;
		log_error("mount.takeover",
			  "path=%s error=\"%s\" effect=\"nothing is mounted there\"",
			  part->mountpoint ? part->mountpoint : part->path, problem);
		err = 0;
	}
	return err;
}

static uint64_t time_left(const struct mount *whole, uint64_t deadline_ns)
{
	uint64_t now_ns = clock_now_ns(whole->clock);

	return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

void parts_stop(struct mount *whole, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < whole->part_count; i++)
		if (whole->parts[i].mount)
			mount_stop(whole->parts[i].mount, time_left(whole, deadline_ns));
}

void parts_leave(struct mount *whole, uint64_t deadline_ns)
{
	for (unsigned i = 0; i < whole->part_count; i++)
		if (whole->parts[i].mount)
			mount_leave(whole->parts[i].mount, time_left(whole, deadline_ns));
}

void parts_destroy(struct mount *whole)
{
	for (unsigned i = 0; i < whole->part_count; i++) {
		mount_destroy(whole->parts[i].mount);
		free(whole->parts[i].mountpoint);
	}
	free(whole->parts);
	whole->parts = NULL;
	whole->part_count = 0;
}

void parts_reload(struct mount *whole, const struct mount_config *config)
{
	for (unsigned i = 0; i < whole->part_count; i++) {
		struct mount_config own = whole->parts[i].config;

		own.readahead_max = config->readahead_max;
		own.sibling_max = config->sibling_max;
		own.lookup_timeout = config->lookup_timeout;
		if (whole->parts[i].mount)
			mount_reload(whole->parts[i].mount, &own);
	}
}

const struct mount *parts_mount(const struct mount *whole, unsigned index)
{
	return whole->parts[index].mount;
}

bool parts_served(const struct mount *whole, const struct mount_entry_config *entry)
{
	for (unsigned i = 0; i < whole->part_count; i++) {
		const struct part *part = &whole->parts[i];
		struct pollfd ended = { .fd = -1, .events = POLLIN };

		if (strcmp(part->path, entry->path) != 0)
			continue;
		if (part->mount)
			ended.fd = mount_ended(part->mount);
		return part->mount && poll(&ended, 1, 0) == 0;
	}
	return true;
}

struct mount *parts_find(const struct mount *whole, const char *path, size_t *out_root_len)
{
	for (unsigned i = 0; i < whole->part_count; i++) {
		const struct part *part = &whole->parts[i];
		size_t len = strlen(part->path);

		if (!part->mount || strncmp(path, part->path, len) != 0 ||
		    (path[len] != '/' && path[len] != '\0'))
			continue;
		*out_root_len = len;
		return part->mount;
	}
	return NULL;
}
