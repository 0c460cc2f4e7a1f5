/*
 * options.c - the mount's configuration and what makes no sense in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuse/channel.h"
#include "fuse/mount.h"
#include "fuse/namespace/namespace.h"

#define MODE_MASK 0777u

static const char *const kind_names[] = { "ordinary", "small-files", NULL };

const char *mount_kind_name(int kind)
{
	return kind_names[kind];
}

static const struct option entry_option_table[] = {
	OPTION(struct mount_entry_config, path, OPTION_STRING, .default_text = "/",
	       .argument = "PATH",
	       .help = "where the entry appears below the mountpoint: / or /images; no entry "
		       "inside "
		       "another"),
	OPTION(struct mount_entry_config, backing, OPTION_STRING, .flags = OPTION_REQUIRED,
	       .argument = "ID", .help = "id of the backing store that it comes from"),
	OPTION(struct mount_entry_config, bucket, OPTION_STRING, .default_text = "",
	       .argument = "NAME", .help = "bucket of that store; none for a directory"),
	OPTION(struct mount_entry_config, prefix, OPTION_STRING, .default_text = "",
	       .argument = "KEY",
	       .help = "only keys below it, which ends with a slash: train/; it is not part of the "
		       "paths"),
	OPTION(struct mount_entry_config, kind, OPTION_CHOICE, .default_text = "ordinary",
	       .choices = kind_names,
	       .help = "small-files: files are read without being opened, and the kernel keeps "
		       "what "
		       "was "
		       "read until it needs the memory: once warm, nothing is asked of the daemon. "
		       "For entries whose files have some hundred KiB and are read whole; they are "
		       "not "
		       "read by passthrough. Such an entry is a mount of its own below "
		       "the mountpoint, at most 8 of them, which takes CAP_SYS_ADMIN, unless its "
		       "path "
		       "is /"),
	OPTION(struct mount_entry_config, uid, OPTION_INT, .default_text = "-1", .min = -1,
	       .max = UINT32_MAX - 1, .help = "owner of all files; -1: the daemon's user"),
	OPTION(struct mount_entry_config, gid, OPTION_INT, .default_text = "-1", .min = -1,
	       .max = UINT32_MAX - 1, .help = "group of all files; -1: the daemon's group"),
	OPTION(struct mount_entry_config, file_mode, OPTION_MODE, .default_text = "0444",
	       .help = "permissions of files; the kernel checks them"),
	OPTION(struct mount_entry_config, directory_mode, OPTION_MODE, .default_text = "0555",
	       .help = "permissions of directories"),
	OPTION(struct mount_entry_config, attribute_timeout, OPTION_DURATION,
	       .default_text = "1 min", .max = INT64_MAX,
	       .help = "how long the kernel may believe size and time of a file"),
	OPTION(struct mount_entry_config, entry_timeout, OPTION_DURATION, .default_text = "1 min",
	       .max = INT64_MAX,
	       .help = "how long the kernel may believe what a name stands for: after it, an "
		       "object "
		       "that was overwritten is seen"),
	OPTION(struct mount_entry_config, negative_timeout, OPTION_DURATION, .default_text = "5 s",
	       .max = INT64_MAX,
	       .help = "how long the kernel may believe that a name is not there"),
	OPTION(struct mount_entry_config, listing_timeout, OPTION_DURATION, .default_text = "1 min",
	       .max = INT64_MAX,
	       .help = "how long a directory's listing is used for names and for readdir"),
	OPTION(struct mount_entry_config, dataset_depth, OPTION_INT, .default_text = "1", .min = 0,
	       .max = 64,
	       .help = "how many directories below the path tell datasets apart, of which the "
		       "least "
		       "recently used one gives way; 0: the entry is one dataset"),
};

static int entry_problem(const struct mount_entry_config *entry, const char *what, char *problem,
			 size_t problem_size)
{
	snprintf(problem, problem_size, "mount entry '%s': %s", entry->path, what);
	return -EINVAL;
}

static int entry_validate(const void *value, char *problem, size_t problem_size)
{
	const struct mount_entry_config *entry = value;
	const char *wrong = namespace_entry_path_check(entry->path);
	size_t prefix_len = entry->prefix ? strlen(entry->prefix) : 0;

	if (wrong) {
		snprintf(problem, problem_size, "mount entry path '%s': %s", entry->path, wrong);
		return -EINVAL;
	}
	if (!entry->backing || !*entry->backing)
		return entry_problem(entry, "backing must name a backing store", problem,
				     problem_size);
	if (prefix_len > 0 && entry->prefix[prefix_len - 1] != '/')
		return entry_problem(entry, "prefix must end with a slash, as in 'train/'", problem,
				     problem_size);
	if (prefix_len >= BACKING_KEY_MAX)
		return entry_problem(entry, "prefix is longer than a key can be", problem,
				     problem_size);
	if ((entry->file_mode | entry->directory_mode) & ~MODE_MASK)
		return entry_problem(entry,
				     "file_mode and directory_mode are permissions, 0 to "
				     "0777",
				     problem, problem_size);
	return 0;
}

static const struct option_group entry_options = {
	.name = "entry",
	.size = sizeof(struct mount_entry_config),
	.options = entry_option_table,
	.count = ARRAY_COUNT(entry_option_table),
	.validate = entry_validate,
};

static const char *const passthrough_names[] = { "off", "auto", NULL };

static const struct option mount_option_table[] = {
	OPTION(struct mount_config, path, OPTION_STRING, .flags = OPTION_REQUIRED,
	       .argument = "DIR", .help = "the mountpoint, an empty directory"),
	OPTION(struct mount_config, allow_other, OPTION_BOOL, .default_text = "true",
	       .help = "other users than the daemon's may use it, as far as the modes let them"),
	OPTION(struct mount_config, allow_nonempty, OPTION_BOOL, .default_text = "false",
	       .help = "mount over a directory that is not empty, hiding what it has"),
	OPTION(struct mount_config, threads, OPTION_INT, .default_text = "4", .min = 1,
	       .max = CHANNEL_THREADS_MAX,
	       .help = "threads that take requests; they do not wait for data, so few are enough"),
	OPTION(struct mount_config, max_background, OPTION_INT, .default_text = "128", .min = 4,
	       .max = 65535,
	       .help = "requests of the kernel's own that may be under way (its read-ahead of "
		       "mapped "
		       "files)"),
	OPTION(struct mount_config, readahead_max, OPTION_BYTES, .default_text = "128 MiB",
	       .max = INT64_C(1) << 40, .flags = OPTION_LIVE,
	       .help = "bytes fetched ahead of a file that is read in sequence; 0: none"),
	OPTION(struct mount_config, sibling_max, OPTION_BYTES, .default_text = "32 MiB",
	       .max = INT64_C(1) << 40, .flags = OPTION_LIVE,
	       .help = "bytes fetched ahead in a directory whose files are read one after the "
		       "other, "
		       "at most 64 files; 0: none"),
	OPTION(struct mount_config, passthrough, OPTION_CHOICE, .default_text = "auto",
	       .choices = passthrough_names, .flags = OPTION_LIVE,
	       .help = "auto: a file that is complete on this node's SSD, and was verified whole "
		       "since "
		       "the daemon started, is read by the kernel straight from there. That takes "
		       "Linux 6.9, CAP_SYS_ADMIN and a cache directory that is not on overlayfs; "
		       "where one is missing files are read through the daemon, and status says "
		       "so. "
		       "off: all reads go through the daemon, which verifies each"),
	OPTION(struct mount_config, lookup_timeout, OPTION_DURATION, .default_text = "30 s",
	       .min = 100 * (int64_t)NS_PER_MS, .max = 3600 * (int64_t)NS_PER_S,
	       .flags = OPTION_LIVE,
	       .help = "a look-up or a page of a listing that takes longer fails"),
	OPTION(struct mount_config, hang_after, OPTION_DURATION, .default_text = "10 s",
	       .max = 3600 * (int64_t)NS_PER_S, .flags = OPTION_LIVE,
	       .help = "a process that has not answered a request for so long past the time that "
		       "the "
		       "request may take, or has taken none while some wait, is replaced; 0: "
		       "never"),
	OPTION(struct mount_config, listing_memory, OPTION_BYTES, .default_text = "16 MiB",
	       .min = 64 << 10, .max = INT64_C(1) << 40,
	       .help = "memory for listings; those least recently used are fetched again when "
		       "wanted. A name takes about 100 bytes"),
	OPTION(struct mount_config, entries, OPTION_STRUCTS, .group = &entry_options, .min = 1,
	       .max = 1024, .help = "what appears where"),
};

unsigned mount_config_parts(const struct mount_config *config,
			    const struct mount_entry_config *out[MOUNT_PARTS_MAX])
{
	const struct mount_entry_config *entries = config->entries.items;
	unsigned count = 0;

	for (unsigned i = 0; i < config->entries.count; i++) {
		if (entries[i].kind != MOUNT_SMALL_FILES || strcmp(entries[i].path, "/") == 0)
			continue;
		if (count < MOUNT_PARTS_MAX)
			out[count] = &entries[i];
		count++;
	}
	return count;
}

static int mount_validate(const void *value, char *problem, size_t problem_size)
{
	const struct mount_config *config = value;
	const struct mount_entry_config *entries = config->entries.items;
	const struct mount_entry_config *parts[MOUNT_PARTS_MAX];
	unsigned part_count = mount_config_parts(config, parts);

	if (part_count > MOUNT_PARTS_MAX) {
		snprintf(problem, problem_size,
			 "%u mount entries are of kind small-files: at most %d may be", part_count,
			 MOUNT_PARTS_MAX);
		return -EINVAL;
	}

	for (unsigned i = 0; i < config->entries.count; i++) {
		for (unsigned j = i + 1; j < config->entries.count; j++) {
			if (!namespace_entry_nested(entries[i].path, entries[j].path))
				continue;
			snprintf(problem, problem_size,
				 "mount entries '%s' and '%s': one path must not be the other's or "
				 "lie inside it",
				 entries[i].path, entries[j].path);
			return -EINVAL;
		}
	}
	return 0;
}

const struct option_group mount_options = {
	.name = "mount",
	.size = sizeof(struct mount_config),
	.options = mount_option_table,
	.count = ARRAY_COUNT(mount_option_table),
	.validate = mount_validate,
};
