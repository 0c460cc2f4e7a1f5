/*
 * mount.c - the life of a mount. See mount.h and inside.h.
 */
#include "fuse/mount.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/ahead.h"
#include "fuse/connection.h"
#include "fuse/inside.h"
#include "fuse/parts.h"
#include "fuse/request.h"
#include "fuse/sweep.h"
#include "fuse/takeover.h"

#define OWN_TIME    (5 * NS_PER_S) /* of a request that nobody else is asked for */
#define SWEEP_DELAY (60 * NS_PER_S)
#define SWEEP_PAUSE (64 * NS_PER_MS) /* after SWEEP_BATCH: 1000 a second */

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
	[MOUNT_STORED_FILES] = { "mount_stored_files", COUNTER_TOTAL, "files",
				 "files of small-files entries put into the kernel's page cache "
				 "before anybody asked" },
	[MOUNT_STORED_BYTES] = { "mount_stored_bytes", COUNTER_TOTAL, "bytes", "bytes of them" },
	[MOUNT_INTERRUPTS] = { "mount_interrupts", COUNTER_TOTAL, "requests",
			       "waiting requests whose caller was interrupted" },
	[MOUNT_ERRORS] = { "mount_errors", COUNTER_TOTAL, "requests",
			   "requests that failed, not counting names that are not there" },
	[MOUNT_HANDLES] = { "mount_handles", COUNTER_GAUGE, "", "open files" },
	[MOUNT_BACKING_FILES] = { "mount_backing_files", COUNTER_GAUGE, "",
				  "files open in passthrough, each counted once; those that are "
				  "kept registered for their next open are not" },
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

/* Without OPEN there is no RELEASE. */
static void small_files_ops(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open_never;
	ops->release = NULL;
}

static void obsolete(void *context, const struct object_version *version)
{
	struct mount *mount = context;

	cache_object_obsolete(mount->cache, version);
}

static void forget(void *userdata, uint64_t node, uint64_t count)
{
	struct mount *mount = userdata;

	namespace_forget(mount->ns, node, count);
}

static void ended(void *userdata)
{
	const struct mount *mount = userdata;

	log_warning("mount.ended", "path=%s text=\"it was unmounted from outside%s\"",
		    mount_path(mount), mount->whole ? "; it is there again after a restart" : "");
}

static uint64_t own_time(void *userdata, uint32_t opcode)
{
	struct mount *mount = userdata;

	switch (opcode) {
	case FUSE_READ:
		return cache_read_timeout(mount->cache);
	case FUSE_LOOKUP:
	case FUSE_OPEN:
	case FUSE_OPENDIR:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		return atomic_load_explicit(&mount->lookup_timeout, memory_order_relaxed);
	default:
		return OWN_TIME;
	}
}

static int mount_init(struct mount *mount, const struct mount_setup *setup, char *problem,
		      size_t problem_size)
{
	struct namespace_settings settings = {
		.config = mount->config,
		.backings = setup->backings,
		.backing_count = setup->backing_count,
		.clock = mount->clock,
		.counters = &mount->counters,
		.ledger = mount->ledger,
		.obsolete = obsolete,
		.passthrough = passthrough_wanted,
		.context = mount,
	};
	int err = counters_init(&mount->counters, "mount", counter_specs, MOUNT_COUNTER_COUNT);

	if (!err)
		err = counters_init(&mount->total, "mount", counter_specs, MOUNT_COUNTER_COUNT);
	if (!err)
		err = handles_init(&mount->handles);
	if (!err)
		err = namespace_create(&settings, &mount->ns, problem, problem_size);
	if (err)
		return err;
	mount->ops = operations;
	if (mount->kind == MOUNT_SMALL_FILES)
		small_files_ops(&mount->ops);
	readonly_ops(&mount->ops);
	mount->channel_config = (struct channel_config){
		.ops = &mount->ops,
		.userdata = mount,
		.ledger = mount->ledger,
		.board = mount->board,
		.board_tag = CHANNEL_TAG(setup->index),
		.forget = forget,
		.own_time = own_time,
		.interrupt = request_interrupt,
		.ended = ended,
		.allow_other = mount->config->allow_other,
		.threads = (unsigned)mount->config->threads,
		.max_background = (unsigned)mount->config->max_background,
	};
	return channel_create(&mount->channel_config, &mount->channel, problem, problem_size);
}

static int mount_new(struct mount *mount, char *problem, size_t problem_size)
{
	struct mountpoint_options options = {
		.allow_other = mount->config->allow_other,
		.allow_nonempty = mount->config->allow_nonempty,
		.inside = mount->whole,
		.max_read = CHANNEL_REQUEST_MAX,
	};
	int fd, err;

	err = mountpoint_prepare(mount->config->path, &options, &mount->mountpoint, problem,
				 problem_size);
	if (!err)
		err = mountpoint_mount(&mount->mountpoint, &options,
				       channel_session(mount->channel), &fd, problem, problem_size);
	if (!err)
		err = channel_connect(mount->channel, fd, NULL, 0, problem, problem_size);
	if (!err && mount->kind == MOUNT_SMALL_FILES)
		mountpoint_readahead(&mount->mountpoint, CHANNEL_REQUEST_MAX);
	return err;
}

/* Nothing here may touch the mount, by its path or by an open file: nobody would answer. */
static int mount_again(struct mount *mount, struct takeover *takeover, char *problem,
		       size_t problem_size)
{
	int fd = takeover->connection, err;

	err = mountpoint_adopt(mount->config->path, mount->whole, fd, &mount->mountpoint, problem,
			       problem_size);
	if (err)
		return err;
	takeover->connection = -1;
	err = channel_connect(mount->channel, fd, takeover->init, takeover->init_len, problem,
			      problem_size);
	if (!err)
		err = handles_adopt(mount);
	if (!err)
		passthrough_adopt(mount);
	return err;
}

static int connect_somehow(struct mount *mount, int fd, struct takeover *takeover, char *problem,
			   size_t problem_size)
{
	if (fd >= 0)
		return channel_connect(mount->channel, fd, NULL, 0, problem, problem_size);
	if (takeover->connection >= 0)
		return mount_again(mount, takeover, problem, problem_size);
	return mount_new(mount, problem, problem_size);
}

static int sweep_begin(struct mount *mount)
{
	const struct sweep_settings settings = {
		.ns = mount->ns,
		.connection = channel_fd(mount->channel),
		.knows = connection_knows,
		.delay_ns = SWEEP_DELAY,
		.pause_ns = SWEEP_PAUSE,
	};

	return mount->taken_over ? sweep_start(&settings, &mount->sweep) : 0;
}

/* Without it, the files are read. */
static void ahead_begin(struct mount *mount)
{
	const struct ahead_settings settings = {
		.ns = mount->ns,
		.cache = mount->cache,
		.counters = &mount->counters,
		.bytes_max = &mount->sibling_max,
		.connection = channel_fd(mount->channel),
	};
	int err = mount->kind == MOUNT_SMALL_FILES ? ahead_start(&settings, &mount->ahead) : 0;

	if (err)
		log_warning("mount.ahead", "error=\"%s\" effect=\"nothing is stored ahead\"",
			    error_text(err));
}

static int mount_start(struct mount *mount, const struct mount_setup *setup,
		       struct takeover *takeover, char *problem, size_t problem_size)
{
	int err = mount_init(mount, setup, problem, problem_size);

	if (!err)
		err = connect_somehow(mount, setup->fd, takeover, problem, problem_size);
	if (err)
		return err;
	if (!mount->whole) {
		board_clear(mount->board);
		passthrough_start(mount);
	}
	ahead_begin(mount);
	err = channel_serve(mount->channel, problem, problem_size);
	if (!err)
		err = sweep_begin(mount);
	if (!err && setup->fd < 0)
		log_notice("mount.ready", "path=%s entries=%u taken_over=%s%s",
			   mount->mountpoint.path, mount->config->entries.count,
			   mount->taken_over ? "yes" : "no",
			   mount->kind == MOUNT_SMALL_FILES ? " kind=small-files" : "");
	return err;
}

static int board_find(struct mount *mount, struct board *board)
{
	mount->board = board;
	if (mount->board)
		return 0;
	mount->board = mount->own_board = calloc(1, sizeof(*mount->own_board));
	if (!mount->board)
		return -ENOMEM;
	board_init(mount->board);
	return 0;
}

static enum mount_kind kind_of(const struct mount_config *config)
{
	const struct mount_entry_config *entry = config->entries.items;
	bool whole = config->entries.count == 1 && strcmp(entry->path, "/") == 0;

	return whole && entry->kind == MOUNT_SMALL_FILES ? MOUNT_SMALL_FILES : MOUNT_ORDINARY;
}

static bool wants_passthrough(const struct mount *mount, const struct mount_config *config)
{
	return config->passthrough == MOUNT_PASSTHROUGH_AUTO && mount->kind == MOUNT_ORDINARY;
}

static struct mount *mount_alloc(const struct mount_setup *setup)
{
	const struct mount_config *config = setup->config;
	struct mount *mount = calloc(1, sizeof(*mount));

	if (!mount)
		return NULL;
	mount->config = config;
	mount->kind = kind_of(config);
	mount->whole = setup->whole;
	mount->cache = setup->cache;
	mount->clock = setup->clock;
	pthread_mutex_init(&mount->lock, NULL);
	thread_cond_init(&mount->idle);
	passthrough_init(&mount->passthrough, wants_passthrough(mount, config));
	atomic_init(&mount->readahead_max, config->readahead_max);
	atomic_init(&mount->sibling_max, config->sibling_max);
	atomic_init(&mount->lookup_timeout, config->lookup_timeout);
	return mount;
}

int mount_serve(const struct mount_setup *setup, struct mount **out_mount, char *problem,
		size_t problem_size)
{
	const struct mount_keepsake none = { -1, -1 };
	struct mount *mount = mount_alloc(setup);
	struct takeover takeover = { .connection = -1 };
	int err;

	snprintf(problem, problem_size, "out of memory");
	if (!mount)
		return -ENOMEM;
	err = board_find(mount, setup->board);
	if (!err)
		err = takeover_look(setup->kept ? setup->kept : &none, mount->config->path,
				    mount->whole, &takeover, problem, problem_size);
	if (!err) {
		mount->ledger = takeover.ledger;
		mount->taken_over = takeover.connection >= 0;
		err = mount_start(mount, setup, &takeover, problem, problem_size);
	}
	if (takeover.connection >= 0)
		close(takeover.connection);
	if (err) {
		/* Another attempt may go on with what this one could not. */
		if (mount->taken_over)
			mount_leave(mount, 0);
		mount_destroy(mount);
		return err;
	}
	if (setup->kept)
		keepsake_close(setup->kept);
	*out_mount = mount;
	return 0;
}

int mount_create(const struct mount_config *config, struct cache *cache,
		 struct backing *const *backings, unsigned backing_count, const struct clock *clock,
		 struct mount_heritage *heritage, struct mount **out_mount, char *problem,
		 size_t problem_size)
{
	const struct mount_setup setup = {
		.config = config,
		.cache = cache,
		.backings = backings,
		.backing_count = backing_count,
		.clock = clock,
		.fd = -1,
		.kept = &heritage->kept[0],
		.board = heritage->board,
	};
	struct mount *mount;
	int err = mount_serve(&setup, &mount, problem, problem_size);

	if (err)
		return err;
	err = parts_create(mount, &setup, heritage, problem, problem_size);
	if (err) {
		if (mount->taken_over)
			mount_leave(mount, 0);
		mount_destroy(mount);
		return err;
	}
	mount_heritage_close(heritage);
	*out_mount = mount;
	return 0;
}

int mount_keepsakes(const struct mount *mount, struct mount_keepsake out[1 + MOUNT_PARTS_MAX],
		    unsigned *out_count, char *reason, size_t reason_size)
{
	if (!channel_resends(mount->channel)) {
		snprintf(reason, reason_size,
			 "this kernel cannot resend requests (6.9 and later do): a crash of the "
			 "worker ends open files");
		return -EOPNOTSUPP;
	}
	for (unsigned i = 0; i <= mount->part_count; i++) {
		const struct mount *each = i == 0 ? mount : parts_mount(mount, i - 1);

		out[i].connection = each ? channel_fd(each->channel) : -1;
		out[i].ledger = each ? ledger_fd(each->ledger) : -1;
	}
	*out_count = 1 + mount->part_count;
	return 0;
}

int mount_ended(const struct mount *mount)
{
	return channel_ended(mount->channel);
}

void mount_stop(struct mount *mount, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(mount->clock), timeout_ns);
	bool mounted = mount->mountpoint.mounted;

	if (mount->stopped || !mount->channel)
		return;
	mount->stopped = true;
	parts_stop(mount, deadline_ns); /* they are in what this one serves */
	sweep_stop(mount->sweep);
	passthrough_stop(mount);
	ahead_stop(mount->ahead);
	channel_refuse(mount->channel);
	if (!work_wait(mount, deadline_ns))
		log_warning("mount.stop",
			    "path=%s text=\"requests are still waiting; their "
			    "callers get an error\"",
			    mount->config->path);
	mountpoint_unmount(&mount->mountpoint);
	channel_stop(mount->channel);
	if (mounted)
		log_notice("mount.stopped", "path=%s", mount->config->path);
}

void mount_leave(struct mount *mount, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_after_ns(clock_now_ns(mount->clock), timeout_ns);

	if (mount->stopped)
		return;
	mount->stopped = mount->left = true;
	parts_leave(mount, deadline_ns);
	sweep_stop(mount->sweep);
	passthrough_stop(mount);
	ahead_stop(mount->ahead);
	if (mount->channel)
		channel_stop(mount->channel);
	if (!work_wait(mount, deadline_ns))
		log_notice("mount.leave",
			   "path=%s text=\"requests are still waiting; they come "
			   "again to who goes on\"",
			   mount->config->path);
	/* In this order: what finds itself unable to reply takes back what it has promised, in a
	 * ledger that is by then its own. The next worker finds the promise, as after a death. */
	if (mount->channel)
		channel_mute(mount->channel);
	ledger_disown(mount->ledger);
	log_notice("mount.left", "path=%s", mount->config->path);
}

void mount_destroy(struct mount *mount)
{
	if (!mount)
		return;
	mount_stop(mount, 0);
	parts_destroy(mount);
	/* What still waits does so in the cache or at a backing store, and ends with it. */
	work_wait(mount, CLOCK_NEVER);
	ahead_destroy(mount->ahead);
	handles_fini(mount);
	passthrough_fini(mount);
	channel_destroy(mount->channel);
	namespace_destroy(mount->ns);
	ledger_destroy(mount->ledger);
	free(mount->own_board);
	mountpoint_fini(&mount->mountpoint);
	counters_fini(&mount->counters);
	counters_fini(&mount->total);
	pthread_cond_destroy(&mount->idle);
	pthread_mutex_destroy(&mount->lock);
	free(mount);
}

void mount_reload(struct mount *mount, const struct mount_config *config)
{
	atomic_store(&mount->readahead_max, config->readahead_max);
	atomic_store(&mount->sibling_max, config->sibling_max);
	atomic_store(&mount->lookup_timeout, config->lookup_timeout);
	passthrough_reload(mount, wants_passthrough(mount, config));
	namespace_reload(mount->ns, config);
	parts_reload(mount, config);
}

bool mount_passthrough(struct mount *mount, char *reason, size_t reason_size)
{
	return passthrough_status(mount, reason, reason_size);
}

bool mount_entry_served(const struct mount *mount, const struct mount_entry_config *entry)
{
	return parts_served(mount, entry);
}

const struct counters *mount_counters(struct mount *mount)
{
	if (mount->part_count == 0)
		return &mount->counters;
	for (unsigned counter = 0; counter < MOUNT_COUNTER_COUNT; counter++) {
		uint64_t sum = counter_get(&mount->counters, counter);

		for (unsigned i = 0; i < mount->part_count; i++) {
			const struct mount *part = parts_mount(mount, i);

			sum += part ? counter_get(&part->counters, counter) : 0;
		}
		counter_set(&mount->total, counter, sum);
	}
	return &mount->total;
}

const struct histogram *mount_read_latency(const struct mount *mount)
{
	return &mount->read_latency;
}

const char *mount_path(const struct mount *mount)
{
	return mount->mountpoint.path ? mount->mountpoint.path : mount->config->path;
}
