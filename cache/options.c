/*
 * options.c - the settings of the cache and what must hold between them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cache/cache.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define TIB (MIB * MIB)

#define MEMORY_BLOCKS_MIN 16 /* of the block length */

static const char *const policy_names[] = { "epoch", "lru", NULL };

static const char *const replicate_names[] = { "off", "free", NULL };

static const struct option directory_option_table[] = {
	OPTION(struct cache_directory_config, path, OPTION_STRING, .flags = OPTION_REQUIRED,
	       .argument = "DIR",
	       .help = "Directory on a local SSD, used by one daemon only. Created when missing."),
	OPTION(struct cache_directory_config, capacity, OPTION_BYTES, .default_text = "0", .min = 0,
	       .max = INT64_MAX,
	       .help = "Bytes it may take. 0: what the file system has, less a reserve."),
};

static const struct option_group directory_options =
	OPTION_GROUP_OF("directory", struct cache_directory_config, directory_option_table);

static const struct option option_table[] = {
	OPTION(struct cache_config, memory, OPTION_BYTES, .default_text = "1 GiB", .min = 64 * MIB,
	       .max = 16 * TIB,
	       .help = "Memory for the bytes of blocks: a hard bound for all readers together."),
	OPTION(struct cache_config, block_len, OPTION_BYTES, .default_text = "4 MiB",
	       .min = 512 * KIB, .max = 4 * MIB,
	       .help = "Unit of fetching, storing and eviction; a power of two."),
	OPTION(struct cache_config, policy, OPTION_CHOICE, .default_text = "epoch",
	       .choices = policy_names,
	       .help = "What a full cache directory does. epoch: keeps what it has within a pass "
		       "over a dataset, and gives up the dataset that was not used for longest. "
		       "lru: the least recently used object goes."),
	OPTION(struct cache_config, directories, OPTION_STRUCTS, .group = &directory_options,
	       .min = 0, .max = 64, .help = "Cache directories. None: memory only."),
	OPTION(struct cache_config, high_watermark, OPTION_INT, .default_text = "95", .min = 2,
	       .max = 100, .flags = OPTION_LIVE,
	       .help = "Percent of a directory's capacity at which eviction starts."),
	OPTION(struct cache_config, low_watermark, OPTION_INT, .default_text = "90", .min = 1,
	       .max = 99, .flags = OPTION_LIVE, .help = "... and to which it goes down."),
	OPTION(struct cache_config, read_timeout, OPTION_DURATION, .default_text = "30 s",
	       .min = 100 * (int64_t)NS_PER_MS, .max = 3600 * (int64_t)NS_PER_S,
	       .flags = OPTION_LIVE, .help = "A read that takes longer fails with EIO."),
	OPTION(struct cache_config, prefetch_max, OPTION_BYTES, .default_text = "256 MiB", .min = 0,
	       .max = 16 * TIB,
	       .help = "Bytes that may be under way ahead of reads, for all readers together; "
		       "never "
		       "more than half of memory. 0: no prefetching."),
	OPTION(struct cache_config, fetch_max, OPTION_BYTES, .default_text = "16 MiB", .min = 0,
	       .max = 256 * MIB,
	       .help = "Bytes that one request to a backing store fetches ahead, in whole blocks "
		       "and "
		       "at least one. Each request costs the service CPU whatever its length; but "
		       "the longer they are, the fewer run side by side: less where a single "
		       "connection is slow, more where the service is near and busy."),
	OPTION(struct cache_config, huge_pages, OPTION_BOOL, .default_text = "false",
	       .help = "Take memory in 2 MiB pages, which vm.nr_hugepages must have set aside."),
	OPTION(struct cache_config, replicate, OPTION_CHOICE, .default_text = "free",
	       .choices = replicate_names,
	       .help = "What the cache directories keep of blocks that other nodes own and this "
		       "one reads. free: as many as fit into free space, and they are the first "
		       "to give way. off: none, but for what it had to fetch from a backing store "
		       "itself."),
	OPTION(struct cache_config, scrub, OPTION_BYTES, .default_text = "4 MiB", .min = 0,
	       .max = TIB, .flags = OPTION_LIVE,
	       .help = "Bytes a second that are read again in each cache directory and compared "
		       "with their checks, file by file, for what rots on the SSD. 0: none."),
};

static int validate_directories(const struct cache_config *config, char *problem,
				size_t problem_size)
{
	const struct cache_directory_config *directories = config->directories.items;

	for (unsigned i = 0; i < config->directories.count; i++) {
		if (directories[i].path[0] != '/') {
			snprintf(problem, problem_size,
				 "directories: path '%s' is not absolute: it starts with /",
				 directories[i].path);
			return -EINVAL;
		}
		for (unsigned j = 0; j < i; j++) {
			if (strcmp(directories[i].path, directories[j].path) != 0)
				continue;
			snprintf(problem, problem_size, "directories: '%s' is named twice",
				 directories[i].path);
			return -EINVAL;
		}
	}
	return 0;
}

static int validate(const void *value, char *problem, size_t problem_size)
{
	const struct cache_config *config = value;

	if (config->block_len & (config->block_len - 1)) {
		snprintf(problem, problem_size,
			 "block_len: %llu is not a power of two: 512 KiB, 1 MiB, 2 MiB or 4 MiB",
			 (unsigned long long)config->block_len);
		return -EINVAL;
	}
	if (config->memory / MEMORY_BLOCKS_MIN < config->block_len) {
		snprintf(problem, problem_size,
			 "memory: %llu bytes are too few: at least %d blocks of block_len",
			 (unsigned long long)config->memory, MEMORY_BLOCKS_MIN);
		return -EINVAL;
	}
	if (config->low_watermark >= config->high_watermark) {
		snprintf(problem, problem_size,
			 "low_watermark: %lld is not below high_watermark (%lld)",
			 (long long)config->low_watermark, (long long)config->high_watermark);
		return -EINVAL;
	}
	return validate_directories(config, problem, problem_size);
}

const struct option_group cache_options = {
	.name = "cache",
	.size = sizeof(struct cache_config),
	.options = option_table,
	.count = ARRAY_COUNT(option_table),
	.validate = validate,
};
