/*
 * mount.h - the door of the mount: one namespace over several mount entries, served read-only
 * through FUSE from the cache.
 *
 * The mount owns its threads. Nothing in it waits for a backing store while holding a thread: a
 * request is answered when its bytes are there, from whichever thread brought them.
 *
 * Which keys have a path, and which are hidden: namespace/names.h. What is seen of a change in a
 * backing store: another etag or size under a name is seen after entry_timeout or listing_timeout,
 * whichever is longer, or at once by who opens the file after a read of the old version was
 * refused; who has the old version open gets its bytes as far as they are resident, and then
 * ESTALE. The same bytes written again are the same version.
 *
 * Extended attributes: user.cenote.etag, user.cenote.object (the version's id, the name of its file
 * in a cache directory), user.cenote.resident (bytes that need no backing store), user.cenote.key
 * ("backing/bucket/key", of directories too).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "base/option.h"
#include "cache/cache.h"

enum mount_kind {
	MOUNT_ORDINARY,
	/* Never opened: the kernel keeps what was read until it needs the memory, and asks for
	 * nothing that it has. A connection of its own, which is where the kernel remembers that.
	 */
	MOUNT_SMALL_FILES,
};

/** mount_kind_name() - as it is configured. */
const char *mount_kind_name(int kind);

struct mount_entry_config {
	char *path;    /* "/", "/images": where in the namespace; no nesting in another entry */
	char *backing; /* id of a configured backing store */
	char *bucket;
	char *prefix;	  /* "" or "train/": keys below it appear below path */
	int kind;	  /* enum mount_kind */
	int64_t uid, gid; /* -1: those of the daemon */
	uint32_t file_mode, directory_mode;
	uint64_t attribute_timeout; /* ns; how long the kernel may believe size and mtime */
	uint64_t entry_timeout;	    /* ns; ... a name */
	uint64_t negative_timeout;  /* ns; ... that a name is not there */
	uint64_t listing_timeout;   /* ns; how long a listing answers lookups and readdir */
	int64_t dataset_depth; /* directories below path that tell datasets apart; 0: all is one */
	/* No setting: the path that datasets are named by, of an entry that is mounted by itself.
	 * NULL: path. Borrowed. */
	const char *dataset_path;
};

/* Small-files entries below the mountpoint, each a mount of its own there. One whose path is "/" is
 * the mount itself. */
#define MOUNT_PARTS_MAX 8

enum mount_passthrough {
	MOUNT_PASSTHROUGH_OFF,
	MOUNT_PASSTHROUGH_AUTO, /* files that are complete and verified, where it is possible */
};

struct mount_config {
	char *path; /* the mountpoint */
	bool allow_other;
	bool allow_nonempty;
	int64_t threads;
	int64_t max_background;
	uint64_t readahead_max;	 /* bytes ahead of one sequential handle; live */
	uint64_t sibling_max;	 /* bytes ahead in a directory read file by file; live */
	uint64_t lookup_timeout; /* ns: a lookup or listing that takes longer fails; live */
	int passthrough;	 /* enum mount_passthrough; live */
	uint64_t hang_after;	 /* ns past a request's own time; 0: never. The keeper's; live */
	uint64_t listing_memory; /* bytes that cached listings may take */
	struct option_structs entries; /* of struct mount_entry_config */
};

#define MOUNT_PATH_MAX 4096 /* of a path that is resolved, with its NUL */

extern const struct option_group mount_options; /* of struct mount_config */

enum mount_counter {
	MOUNT_LOOKUPS,
	MOUNT_LOOKUPS_LISTED, /* of them, answered from a listing */
	MOUNT_GETATTRS,
	MOUNT_OPENS,
	MOUNT_OPENS_STALE,	 /* answered ESTALE: the kernel looked up again */
	MOUNT_OPENS_PASSTHROUGH, /* the kernel reads the SSD by itself */
	MOUNT_PASSTHROUGH_BYTES, /* sizes of the files so opened; what is read of them is unseen */
	MOUNT_READS,
	MOUNT_READ_BYTES,
	MOUNT_READDIRS,
	MOUNT_STORED_FILES, /* of small-files entries, put into the kernel's page cache unasked */
	MOUNT_STORED_BYTES,
	MOUNT_INTERRUPTS,
	MOUNT_ERRORS,  /* replies with an error other than ENOENT, ESTALE, EINTR, EROFS, ENODATA */
	MOUNT_HANDLES, /* gauge */
	MOUNT_BACKING_FILES, /* gauge: files open in passthrough */
	MOUNT_NODES,	     /* gauge */
	MOUNT_LISTING_BYTES, /* gauge */
	MOUNT_KEYS_HIDDEN,   /* keys that cannot be file names, left out of listings */
	MOUNT_COUNTER_COUNT,
};

struct board;
struct mount;
struct namespace_file;

/* What outlives a worker: a connection to the kernel, and the ledger of what the kernel was
 * promised over it. Descriptors; -1: none. */
struct mount_keepsake {
	int connection, ledger;
};

/* What a former worker left; and the board of the keeper, who watches. */
struct mount_heritage {
	/* first that of the mount, then those of its small-files entries in their order. Taken on
	 * success */
	struct mount_keepsake kept[1 + MOUNT_PARTS_MAX];
	struct board *board; /* lent for life; NULL: none watches */
};

/** mount_heritage_none() - nothing. */
void mount_heritage_none(struct mount_heritage *out);

/** mount_heritage_close() - of who could not pass it on. */
void mount_heritage_close(struct mount_heritage *heritage);

/** mount_heritage_check() - whether mount_create() could go on with all of it, while another
 * process does. Return: 0; -EPROTONOSUPPORT, -EBADMSG with @problem. */
int mount_heritage_check(const struct mount_heritage *heritage, char *problem, size_t problem_size);

/**
 * mount_create() - mounts and starts serving; or goes on where a former worker was, over the
 * connection and the ledger that it left: what was in hand comes again, and who uses the mount has
 * waited. A heritage that is of no use any more (unmounted meanwhile) is replaced by a new mount;
 * of a ledger that cannot be read, INIT is enough to serve on: the kernel looks up again what it
 * knew.
 * @config: borrowed until mount_destroy(). @backings: borrowed; looked up by id.
 * @heritage: taken on success, but for the board.
 * Return: 0 with the mount visible; -EINVAL, -ENOENT (no such mountpoint), -ENOTEMPTY, -EPERM,
 *         -EBUSY (already a cenote mount) ... with @problem saying what to do.
 */
int mount_create(const struct mount_config *config, struct cache *cache,
		 struct backing *const *backings, unsigned backing_count, const struct clock *clock,
		 struct mount_heritage *heritage, struct mount **out_mount, char *problem,
		 size_t problem_size);

/**
 * mount_keepsakes() - what must outlive this process for another one to go on with the mount.
 * Borrowed: for who keeps duplicates.
 * @out: as in struct mount_heritage; -1 of an entry that could not be mounted. @out_count: how
 * many. Return: 0; -EOPNOTSUPP with @reason: this kernel cannot.
 */
int mount_keepsakes(const struct mount *mount, struct mount_keepsake out[1 + MOUNT_PARTS_MAX],
		    unsigned *out_count, char *reason, size_t reason_size);

/** mount_config_parts() - the small-files entries that are mounted by themselves.
 *  Return: how many; the first MOUNT_PARTS_MAX are in @out. */
unsigned mount_config_parts(const struct mount_config *config,
			    const struct mount_entry_config *out[MOUNT_PARTS_MAX]);

/** mount_ended() - a descriptor that becomes readable when the mount ended from outside (umount).
 */
int mount_ended(const struct mount *mount);

/**
 * mount_stop() - no new requests are accepted (ENOTCONN), those in hand are answered, at most until
 * @timeout_ns from now; then it unmounts, whoever uses it. cache_stop() comes after it, and ends
 * what is still waiting.
 */
void mount_stop(struct mount *mount, uint64_t timeout_ns);

/**
 * mount_leave() - in place of mount_stop(), for another worker to go on: takes no more requests,
 * answers those in hand, at most until @timeout_ns from now, and leaves everything else as it is,
 * mount and ledger. What is unanswered then is not answered any more: the kernel will give it to
 * the next one.
 */
void mount_leave(struct mount *mount, uint64_t timeout_ns);

/**
 * mount_destroy() - after mount_stop() or mount_leave(), and cache_stop(), while the cache is still
 * there. Waits for what backing stores have in hand, which is at most lookup_timeout; if they were
 * destroyed before, there is nothing to wait for. NULL is fine.
 */
void mount_destroy(struct mount *mount);

/* What a path of the mount is. */
struct mount_object {
	struct object_version version; /* strings live as long as this */
	int64_t mtime_s;
	const char *dataset;
	char path[MOUNT_PATH_MAX]; /* in the namespace: "/images/cat.jpg" */
	bool confirmed; /* false: its backing store does not answer, and this was last known */
	struct namespace_file *file; /* private */
};

struct mount_question {
	const char *path;     /* absolute: below the mountpoint, or of the namespace */
	uint64_t deadline_ns; /* of the system's monotonic clock */
	/* Asked some times a second; true: gives up. NULL: never. */
	bool (*cancelled)(void *context);
	void *context;
};

/**
 * mount_resolve() - which object version a path stands for now, by the same look-ups as the
 * kernel's, of which it sees nothing. "//", "." and ".." are taken as text. Blocks.
 * @out_object: for mount_object_fini(). Not confirmed: @problem says why.
 * Return: 0; -ENOENT, -ENOTDIR, -EISDIR, -ENAMETOOLONG, -EINVAL (not absolute), -EACCES, -EIO,
 *         -ETIMEDOUT, -ECANCELED or -ENOMEM with @problem saying what is wrong.
 *         Any thread, before mount_destroy().
 */
int mount_resolve(struct mount *mount, const struct mount_question *question,
		  struct mount_object *out_object, char *problem, size_t problem_size);
void mount_object_fini(struct mount_object *object);

/** mount_entry_served() - whether that entry of the configuration is mounted; false of a
 * small-files entry that was unmounted from outside, or could not be mounted after a takeover. */
bool mount_entry_served(const struct mount *mount, const struct mount_entry_config *entry);

/** mount_reload() - takes over the live settings. */
void mount_reload(struct mount *mount, const struct mount_config *config);

/** mount_passthrough() - whether complete files are served by passthrough. @reason: "" or why not,
 * or not in all cache directories; a line. */
bool mount_passthrough(struct mount *mount, char *reason, size_t reason_size);

/** mount_counters() - those of small-files entries included: as of now. */
const struct counters *mount_counters(struct mount *mount);
const struct histogram *mount_read_latency(const struct mount *mount); /* ns, FUSE read to reply */
const char *mount_path(const struct mount *mount);
