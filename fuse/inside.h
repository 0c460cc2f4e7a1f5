/*
 * inside.h - what the files of the mount share: struct mount, and what answers requests.
 *
 * Life: created -> serving -> refusing (mount_stop) -> stopped -> destroyed. Whoever works on a
 * request that waits counts in `working`; mount_destroy() waits for it to be 0.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "fuse/channel.h"
#include "fuse/handles.h"
#include "fuse/keeper/board.h"
#include "fuse/ledger/ledger.h"
#include "fuse/mount.h"
#include "fuse/mountpoint.h"
#include "fuse/namespace/namespace.h"
#include "fuse/passthrough.h"

#define MOUNT_WAITING_BUCKETS 1024

LIST_HEAD(requests, request);

struct ahead;
struct part;

struct mount {
	const struct mount_config *config;
	enum mount_kind kind;
	struct cache *cache;
	const struct clock *clock;
	/* What the kernel was promised: never NULL, also where nobody keeps it. */
	struct ledger *ledger;
	struct board *board;	 /* what is in hand; the keeper's, the whole's, or own_board */
	struct board *own_board; /* or NULL */
	struct namespace *ns;
	struct channel *channel;
	struct fuse_lowlevel_ops ops;
	struct channel_config channel_config; /* borrowed by channel */
	struct mountpoint mountpoint;
	struct passthrough passthrough; /* has a lock of its own */
	struct counters counters;
	struct histogram read_latency;
	struct counters total; /* with those of the parts; of the whole, on demand */
	struct mount *whole;   /* whose part it is; or NULL */
	struct part *parts;    /* part_count of them: parts.h */
	unsigned part_count;
	_Atomic uint64_t readahead_max, sibling_max; /* bytes; live */
	_Atomic uint64_t lookup_timeout;	     /* ns; live */
	struct sweep *sweep;			     /* after a takeover */
	struct ahead *ahead; /* of a small-files mount; NULL: it goes without */
	bool taken_over;     /* from a former worker */
	bool stopped;
	bool left; /* another worker goes on: what the kernel was promised stays */
	pthread_mutex_t lock;
	pthread_cond_t idle; /* working fell to 0 */
	/* guarded by lock */
	unsigned working; /* requests that wait, and replies that are being made for them */
	struct requests waiting[MOUNT_WAITING_BUCKETS]; /* by their number: request.h */
	struct handles handles;				/* but for its slots */
};

/* What a mount is made of: the arguments of mount_create(), and of one of its connections. */
struct mount_setup {
	const struct mount_config *config;
	struct cache *cache;
	struct backing *const *backings;
	unsigned backing_count;
	const struct clock *clock;
	/* of a new connection that is there already, which is taken; -1: the kept one, or mounts */
	int fd;
	struct mount_keepsake *kept; /* taken on success; may be NULL */
	struct board *board;	     /* or NULL */
	struct mount *whole;	     /* of a part, whose number among them is @index, from 1 on */
	unsigned index;
};

/** mount_serve() - one connection of a mount, without its parts. Return: as mount_create(). */
int mount_serve(const struct mount_setup *setup, struct mount **out_mount, char *problem,
		size_t problem_size);

/** mount_work_begin(), mount_work_end() - around a request that is answered later. */
void mount_work_begin(struct mount *mount);
void mount_work_end(struct mount *mount);

static inline struct mount *mount_of(fuse_req_t fuse)
{
	return channel_userdata(fuse);
}

/** reply_error() - answers with @status, a negative errno, as a caller may see it. */
void reply_error(struct mount *mount, fuse_req_t fuse, int status);

/** attributes_stat() - as fuse_reply_attr() wants it. */
void attributes_stat(const struct namespace_attributes *attributes, struct stat *out);

static inline double seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_S;
}

/* The operations, by file: file.c, directory.c, node.c, xattr.c, readonly.c. */
void op_open(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_open_never(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_read(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off, struct fuse_file_info *info);
void op_release(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off,
		struct fuse_file_info *info);
void op_readdirplus(fuse_req_t fuse, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *info);
void op_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *info);
void op_statfs(fuse_req_t fuse, fuse_ino_t id);
void op_getxattr(fuse_req_t fuse, fuse_ino_t id, const char *name, size_t size);
void op_listxattr(fuse_req_t fuse, fuse_ino_t id, size_t size);

/** readonly_ops() - sets every operation that would write to one that answers EROFS. The kernel
 *  asks for none of them while the mount is read-only, but root can remount it. */
void readonly_ops(struct fuse_lowlevel_ops *ops);
