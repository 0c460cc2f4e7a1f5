/*
 * mount.c - the life of a mount. See mount.h and inside.h.
 */
#include "fuse/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/inside.h"
#include "fuse/request.h"

static const struct counter_spec counter_specs[MOUNT_COUNTER_COUNT] = {
	[MOUNT_LOOKUPS] = { "mount_lookups", COUNTER_TOTAL, "requests", "names looked up" },
	[MOUNT_LOOKUPS_LISTED] = { "mount_lookups_listed", COUNTER_TOTAL, "requests",
				   "of them, answered from a directory's listing" },
	[MOUNT_GETATTRS] = { "mount_getattrs", COUNTER_TOTAL, "requests", "attributes asked for" },
	[MOUNT_OPENS] = { "mount_opens", COUNTER_TOTAL, "requests", "files opened" },
	[MOUNT_OPENS_STALE] = { "mount_opens_stale", COUNTER_TOTAL, "requests",
				"opens of a replaced version: the kernel looked up again" },
	[MOUNT_OPENS_PASSTHROUGH] = { "mount_opens_passthrough", COUNTER_TOTAL, "requests",
				      "of the files opened, those that the kernel reads from the "
				      "SSD by itself; the others are read through the daemon" },
	[MOUNT_PASSTHROUGH_BYTES] = { "mount_passthrough_bytes", COUNTER_TOTAL, "bytes",
				      "sizes of the files so opened: what is read of them, the "
				      "daemon does not see" },
	[MOUNT_READS] = { "mount_reads", COUNTER_TOTAL, "requests", "reads" },
	[MOUNT_READ_BYTES] = { "mount_read_bytes", COUNTER_TOTAL, "bytes", "bytes read" },
	[MOUNT_READDIRS] = { "mount_readdirs", COUNTER_TOTAL, "requests", "directory reads" },
	[MOUNT_INTERRUPTS] = { "mount_interrupts", COUNTER_TOTAL, "requests",
			       "waiting requests whose caller was interrupted" },
	[MOUNT_ERRORS] = { "mount_errors", COUNTER_TOTAL, "requests",
			   "requests that failed, not counting names that are not there" },
	[MOUNT_HANDLES] = { "mount_handles", COUNTER_GAUGE, "", "open files" },
	[MOUNT_BACKING_FILES] = { "mount_backing_files", COUNTER_GAUGE, "",
				  "files open in passthrough, each counted once" },
	[MOUNT_NODES] = { "mount_nodes", COUNTER_GAUGE, "", "names that the kernel remembers" },
	[MOUNT_LISTING_BYTES] = { "mount_listing_bytes", COUNTER_GAUGE, "bytes",
				  "memory of directory listings" },
	[MOUNT_KEYS_HIDDEN] = { "mount_keys_hidden", COUNTER_TOTAL, "keys",
				"keys met in listings that cannot be shown as files" },
};

void mount_work_begin(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	mount->working++;
	pthread_mutex_unlock(&mount->lock);
}

void mount_work_end(struct mount *mount)
{
	pthread_mutex_lock(&mount->lock);
	if (--mount->working == 0)
		pthread_cond_broadcast(&mount->idle);
	pthread_mutex_unlock(&mount->lock);
}

/* Return: whether nothing is under way any more. */
static bool work_wait(struct mount *mount, uint64_t deadline_ns)
{
	int err = 0;
	bool idle;

	pthread_mutex_lock(&mount->lock);
	while (mount->working > 0 && !err)
		err = thread_cond_wait_until(&mount->idle, &mount->lock, deadline_ns);
	idle = mount->working == 0;
	pthread_mutex_unlock(&mount->lock);
	return idle;
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.statfs = op_statfs,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	/* No flush: without it, close(2) asks us nothing but RELEASE. */
};

static void obsolete(void *context, const struct object_version *version)
{
	struct mount *mount = context;

	cache_object_obsolete(mount->cache, version);
}

static int mount_init(struct mount *mount, struct backing *const *backings, unsigned backing_count,
		      char *problem, size_t problem_size)
{
	struct namespace_settings settings = {
		.config = mount->config,
		.backings = backings,
		.backing_count = backing_count,
		.clock = mount->clock,
		.counters = &mount->counters,
		.obsolete = obsolete,
		.passthrough = passthrough_wanted,
		.context = mount,
	};
	int err = counters_init(&mount->counters, "mount", counter_specs, MOUNT_COUNTER_COUNT);

	if (!err)
		err = namespace_create(&settings, &mount->ns, problem, problem_size);
	if (err)
		return err;
	mount->ops = operations;
	readonly_ops(&mount->ops);
	mount->channel_config = (struct channel_config){
		.ops = &mount->ops,
		.userdata = mount,
		.interrupt = request_interrupt,
		.allow_other = mount->config->allow_other,
		.threads = (unsigned)mount->config->threads,
		.max_background = (unsigned)mount->config->max_background,
	};
	return channel_create(&mount->channel_config, &mount->channel, problem, problem_size);
}

static int mount_start(struct mount *mount, char *problem, size_t problem_size)
{
	struct mountpoint_options options = {
		.allow_other = mount->config->allow_other,
		.allow_nonempty = mount->config->allow_nonempty,
		.max_read = CHANNEL_REQUEST_MAX,
	};
	int fd, err;

	err = mountpoint_prepare(mount->config->path, &options, &mount->mountpoint, problem,
				 problem_size);
	if (!err)
		err = mountpoint_mount(&mount->mountpoint, &options,
				       channel_session(mount->channel), &fd, problem, problem_size);
	if (!err)
		err = channel_start(mount->channel, fd, problem, problem_size);
	if (!err)
		log_notice("mount.ready", "path=%s entries=%u", mount->mountpoint.path,
			   mount->config->entries.count);
	return err;
}

int mount_serve(const struct mount_config *config, struct cache *cache,
		struct backing *const *backings, unsigned backing_count, const struct clock *clock,
		int fd, struct mount **out_mount, char *problem, size_t problem_size)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	int err;

	snprintf(problem, problem_size, "out of memory");
	if (!mount)
		return -ENOMEM;
	mount->config = config;
	mount->cache = cache;
	mount->clock = clock;
	pthread_mutex_init(&mount->lock, NULL);
	thread_cond_init(&mount->idle);
	LIST_INIT(&mount->files);
	LIST_INIT(&mount->directories);
	passthrough_init(&mount->passthrough, config->passthrough == MOUNT_PASSTHROUGH_AUTO);
	atomic_init(&mount->readahead_max, config->readahead_max);
	atomic_init(&mount->sibling_max, config->sibling_max);
	err = mount_init(mount, backings, backing_count, problem, problem_size);
	if (!err)
		err = fd < 0 ? mount_start(mount, problem, problem_size)
			     : channel_start(mount->channel, fd, problem, problem_size);
	if (err) {
		mount_destroy(mount);
		return err;
	}
	passthrough_start(mount);
	*out_mount = mount;
	return 0;
}

int mount_create(const struct mount_config *config, struct cache *cache,
		 struct backing *const *backings, unsigned backing_count, const struct clock *clock,
		 struct mount **out_mount, char *problem, size_t problem_size)
{
	return mount_serve(config, cache, backings, backing_count, clock, -1, out_mount, problem,
			   problem_size);
}

int mount_ended(const struct mount *mount)
{
	return channel_ended(mount->channel);
}

void mount_stop(struct mount *mount, uint64_t timeout_ns)
{
	bool mounted = mount->mountpoint.mounted;

	if (mount->stopped || !mount->channel)
		return;
	mount->stopped = true;
	channel_refuse(mount->channel);
	if (!work_wait(mount, clock_after_ns(clock_now_ns(mount->clock), timeout_ns)))
		log_warning("mount.stop",
			    "path=%s text=\"requests are still waiting; their "
			    "callers get an error\"",
			    mount->config->path);
	mountpoint_unmount(&mount->mountpoint);
	channel_stop(mount->channel);
	if (mounted)
		log_notice("mount.stopped", "path=%s", mount->config->path);
}

void mount_destroy(struct mount *mount)
{
	if (!mount)
		return;
	mount_stop(mount, 0);
	/* What still waits does so in the cache or at a backing store, and ends with it. */
	work_wait(mount, CLOCK_NEVER);
	if (mount->ns) {
		files_close(mount);
		directories_close(mount);
	}
	passthrough_fini(mount);
	channel_destroy(mount->channel);
	namespace_destroy(mount->ns);
	mountpoint_fini(&mount->mountpoint);
	counters_fini(&mount->counters);
	pthread_cond_destroy(&mount->idle);
	pthread_mutex_destroy(&mount->lock);
	free(mount);
}

void mount_reload(struct mount *mount, const struct mount_config *config)
{
	atomic_store(&mount->readahead_max, config->readahead_max);
	atomic_store(&mount->sibling_max, config->sibling_max);
	passthrough_reload(mount, config->passthrough == MOUNT_PASSTHROUGH_AUTO);
	namespace_reload(mount->ns, config);
}

bool mount_passthrough(struct mount *mount, char *reason, size_t reason_size)
{
	return passthrough_status(mount, reason, reason_size);
}

const struct counters *mount_counters(const struct mount *mount)
{
	return &mount->counters;
}

const struct histogram *mount_read_latency(const struct mount *mount)
{
	return &mount->read_latency;
}

const char *mount_path(const struct mount *mount)
{
	return mount->mountpoint.path ? mount->mountpoint.path : mount->config->path;
}
