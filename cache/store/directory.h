/*
 * directory.h - one cache directory, as the files of the store that work on it see it.
 *
 *	OPEN    serving. Perhaps full (the file system said ENOSPC): then nothing is admitted for a
 *	        while
 *	FAILED  something said that the disk is not to be trusted (EIO, gone, read-only). No call
 *	        enters any more; those inside leave; then the keeper closes it
 *	CLOSED  tried again every minute, by the keeper
 *
 * Threads of a directory: the ring (all direct I/O, verification, done()), the writer (makes files,
 * appends to segments), the committer (groups), the keeper (eviction, sweep, probes, opening
 * again), the verifier (handout/). A call that uses the open directory is between directory_enter()
 * and directory_leave().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "cache/store/files.h"
#include "cache/store/handout/handouts.h"
#include "cache/store/index/index.h"
#include "cache/store/layout.h"
#include "cache/store/notes.h"
#include "cache/store/pending.h"
#include "cache/store/policy/policy.h"
#include "cache/store/ring.h"
#include "cache/store/segments.h"
#include "cache/store/space.h"
#include "cache/store/store.h"

#define DIRECTORY_GROUP_BLOCKS	  256
#define DIRECTORY_GROUP_NS	  (200 * NS_PER_MS)
#define DIRECTORY_RETRY_NS	  (60 * NS_PER_S) /* FAILED: opened again */
#define DIRECTORY_FULL_NS	  (10 * NS_PER_S) /* after ENOSPC: written again */
#define DIRECTORY_RING_DEPTH	  128
#define DIRECTORY_WRITES_MAX	  16 /* with the kernel at a time: reads come first */
#define DIRECTORY_READ_FAULTS_MAX 16 /* media errors within a minute: the disk is failing */

enum directory_state {
	DIRECTORY_OPEN,
	DIRECTORY_FAILED,
	DIRECTORY_CLOSED,
};

/* What is known of replicas in a directory: whether looking for them is worth the while. */
enum directory_replicas {
	DIRECTORY_REPLICAS_UNKNOWN,
	DIRECTORY_REPLICAS_SOME, /* some were written or seen */
	DIRECTORY_REPLICAS_NONE, /* none were found that could go, a short while ago */
};

enum directory_thread {
	DIRECTORY_WRITER,
	DIRECTORY_COMMITTER,
	DIRECTORY_KEEPER,
	DIRECTORY_VERIFIER,
	DIRECTORY_THREAD_COUNT,
};

STAILQ_HEAD(directory_writes, store_write);

#define REPLACES_MAX 64

/* Objects whose files were handed out, and must get a new one. */
struct replaces {
	unsigned count;
	struct object_id ids[REPLACES_MAX];
};

/* Who may have the bytes of a block that is missing. */
struct store_lost {
	void (*lost)(void *context, const struct object_id *id, uint64_t block);
	void *context;
};

struct directory {
	/* never change */
	char *path;
	uint32_t block_len;
	enum cache_policy policy_kind;
	const struct clock *clock;
	const struct files *files;
	struct counters *counters;
	struct ring *_Atomic ring; /* NULL until io_uring could be had; then for good */
	uint64_t hash;		   /* of the path, and */
	uint64_t weight;     /* ... the capacity: its voice in choosing a directory for an object */
	struct group *group; /* the committer's */
	struct replicas *replicas; /* the keeper's */
	struct replacer *replacer; /* the keeper's */
	struct handouts handouts;  /* has a lock of its own */
	pthread_t threads[DIRECTORY_THREAD_COUNT];
	uint32_t segment_len;
	uint64_t uncommitted_max; /* bytes written and not committed: the writer waits */
	uint64_t index_map_len;

	const struct store_lost *_Atomic lost;	 /* NULL: nobody */
	const struct store_owner *_Atomic owner; /* NULL: this node owns all there is */
	_Atomic uint64_t cuts; /* counts blocks about to be punched: a reader may have seen them */
	_Atomic bool no_punch; /* the file system cannot */

	pthread_mutex_t lock;
	pthread_cond_t wake_writer, wake_committer, wake_keeper;
	pthread_cond_t settled; /* a group ended, a user left */

	/* guarded by lock */
	enum directory_state state;
	bool stopping; /* nothing new; what is under way ends */
	bool ending;   /* threads end */
	bool ended[DIRECTORY_THREAD_COUNT];
	unsigned users; /* calls inside, reads and writes under way */
	char problem[128];
	uint64_t retry_ns;
	uint64_t full_until_ns; /* 0: not full */
	uint64_t fault_ns;	/* start of the minute that read faults are counted in */
	unsigned faults;
	bool probe; /* an error made someone doubt the directory: the keeper looks */
	struct space space;
	struct pending pending;
	struct segments segments;
	struct notes notes;
	struct policy policy;
	struct directory_writes writes; /* admitted and handed over, not yet begun */
	unsigned writes_under_way;
	unsigned flush_waiters;
	uint64_t tick; /* bytes admitted: the time of lru */
	bool spare;    /* obsolete things may be there to evict */
	bool evict;    /* eviction is wanted */
	bool turnover; /* lru: ... of replicas, for a new one */
	enum directory_replicas replicas_known;
	uint64_t replicas_none_ns; /* since when it says NONE */
	uint64_t replicas_news;	   /* counts replicas admitted, and changes of ownership */
	bool sweep;		   /* ... and a sweep, from the start */
	uint64_t objects;	   /* that the index names, as of the last commit */
	struct replaces replaces;
	uint64_t counted_used, counted_capacity; /* what the gauges hold of this directory */

	bool drop_index; /* it was found damaged: the next opening starts with an empty one */

	/* set while no call is inside; used inside */
	struct layout layout;
	struct index *index;
};

struct directory_config {
	const char *path;
	uint64_t capacity;
	uint32_t block_len;
	enum cache_policy policy;
	unsigned high_percent, low_percent;
	uint64_t scrub;		/* bytes a second */
	uint64_t index_map_len; /* 0: the index's default */
	const struct clock *clock;
	const struct files *files;
	struct counters *counters;
};

/* --- directory.c --- */

/** directory_create() - opens the directory (failing to is not an error) and starts its threads.
 *  Return: 0, -ENOMEM, -EAGAIN. */
int directory_create(const struct directory_config *config, struct directory **out_directory);

/** directory_finish() - nothing more is admitted. */
void directory_finish(struct directory *directory);

/** directory_stop() - ends what is under way, commits it, ends the threads. Return: 0, or
 * -ETIMEDOUT when the disk held something longer than until @deadline_ns: then the directory must
 * not be destroyed. */
int directory_stop(struct directory *directory, uint64_t deadline_ns);

/** directory_destroy() - after directory_stop() returned 0. NULL is fine. */
void directory_destroy(struct directory *directory);

/** directory_enter() - Return: false when it is not open. */
bool directory_enter(struct directory *directory);
void directory_leave(struct directory *directory);
void directory_leave_locked(struct directory *directory);

/** directory_error() - @what failed with @error: judges what it means for the directory. Takes the
 *  lock. */
void directory_error(struct directory *directory, const char *what, int error);

/** directory_fail() - the directory is not to be used any more. Takes the lock. */
void directory_fail(struct directory *directory, const char *problem);

/** directory_doubt() - the keeper shall look whether it is still there. Takes the lock. */
void directory_doubt(struct directory *directory);

/** directory_measure() - asks the file system for its room. Not under the lock. */
void directory_measure(struct directory *directory);

/** directory_account_locked() - the gauges follow the room. */
void directory_account_locked(struct directory *directory);

/** directory_admits_locked() - open, not full, not stopping. */
bool directory_admits_locked(const struct directory *directory);

/** directory_space_locked() - the room as the policy sees it. */
struct policy_space directory_space_locked(const struct directory *directory);

/** directory_flush() - until all started writes are committed. Return: 0 or -ETIMEDOUT. */
int directory_flush(struct directory *directory, uint64_t deadline_ns);

void directory_status(struct directory *directory, struct cache_directory_status *out_status);
void directory_reload(struct directory *directory, unsigned high_percent, unsigned low_percent,
		      uint64_t scrub);

/* --- opening.c: called when no call is inside --- */
int directory_open(struct directory *directory, char *problem, size_t problem_size);
void directory_close(struct directory *directory);

/* --- lookup.c --- */

/* Where a block is. */
struct lookup {
	uint64_t object_size;
	uint32_t len; /* of the block */
	uint32_t segment, segment_off;
	uint32_t dataset;
	bool packed;
	/* in: which granules' checks are wanted */
	unsigned first_granule, granule_count;
	uint64_t *checks;
};

/** lookup_block() - inside. Return: 0; -ENOENT; -ERANGE: no such granules; or the index's error,
 *  already judged. */
int lookup_block(struct directory *directory, const struct object_id *id, uint64_t block,
		 struct lookup *lookup);

bool directory_has(struct directory *directory, const struct object_id *id, uint64_t block);
uint64_t directory_resident(struct directory *directory, const struct object_id *id);
void directory_touch(struct directory *directory, const struct object_id *id, const char *dataset);
void directory_obsolete(struct directory *directory, const struct object_id *id);

/* --- reader.c --- */

/** directory_read() - Return: false when the block is not here; true: done() runs. */
bool directory_read(struct directory *directory, struct store_read *read);

/* --- admit.c --- */
bool directory_admit(struct directory *directory, const struct store_object *object, uint64_t block,
		     uint32_t len);
bool directory_would_admit(struct directory *directory, const struct store_object *object,
			   bool owned, uint32_t len);

/* --- writer.c --- */

/** directory_write() - Return: false when the block was not admitted here. */
bool directory_write(struct directory *directory, struct store_write *write);
void writer_main(struct directory *directory);

/* --- commit.c --- */
struct group *group_create(struct directory *directory); /* NULL: no memory */
void group_destroy(struct group *group);
void committer_main(struct directory *directory);

/** commit_due_locked() - whether a group shall be committed now. */
bool commit_due_locked(const struct directory *directory);

/** commit_drop() - a block's bytes are bad or gone: not found from now on. Takes the lock. */
void commit_drop(struct directory *directory, const struct object_id *id, uint64_t block);

/* --- keeper.c, evict.c, sweep.c --- */
void keeper_main(struct directory *directory);

/** evict_some() - inside: one batch. Return: whether there may be more to do. */
bool evict_some(struct directory *directory);

/** evict_object() - inside, in the keeper's thread: one object goes as a whole, unless it is in
 *  use. Return: 0 or an error. */
int evict_object(struct directory *directory, const struct object_id *id);

/* --- handout/ --- */

/** directory_handout() - an open descriptor of a verified object's file, for reading. May do a
 *  little I/O. Return: 0; -EAGAIN it is not to be had (now). */
int directory_handout(struct directory *directory, const struct object_id *id, int *out_fd,
		      uint64_t *out_ticket);

/** directory_handout_adopt() - what directory_handout() gave a worker that has died is handed out
 *  still, as verified as it was. Return: 0; -EAGAIN the object is not here any more as it was. */
int directory_handout_adopt(struct directory *directory, const struct object_id *id,
			    uint64_t *out_ticket);

/** directory_probe() - Return: an open descriptor of a file in the directory, or an error. */
int directory_probe(struct directory *directory);

/** handout_sealed() - whether an object's file was ever handed out: then it is not to be changed,
 *  only replaced. handout_sealed_at(): the same for what is at @path. */
bool handout_sealed(int fd);
bool handout_sealed_at(const struct directory *directory, const char *path);

struct handout_query {
	struct object_id id;
	uint64_t size, resident;
	uint32_t dataset;
	bool complete; /* in a file of its own, all blocks committed */
};

/** handout_look() - inside: what the index says of an object. Return: 0, -ENOENT or its error. */
int handout_look(struct directory *directory, struct handout_query *query);

void verifier_main(struct directory *directory);

/** replace_queue() - an object's file was handed out, and must change. Takes the lock. */
void replace_queue(struct directory *directory, const struct object_id *id);

/** replace_clean() - removes what a crash left half made. Return: 0 or an error. */
int replace_clean(struct directory *directory);

struct replacer *replacer_create(struct directory *directory); /* NULL: no memory */
void replacer_destroy(struct replacer *replacer);

/** replace_some() - inside, in the keeper's thread: a portion. Return: whether there is more to do
 *  at once. */
bool replace_some(struct replacer *replacer);

/** replacer_stop() - gives up what it has begun; it is found again by a sweep. */
void replacer_stop(struct replacer *replacer);

/* --- replicas/ --- */
struct store_owner {
	bool (*owns)(void *context, const struct object_id *id, uint64_t block);
	void *context;
};

struct evict_batch;

/** directory_set_owner() - @owner is borrowed for life. Before the first admission. */
void directory_set_owner(struct directory *directory, const struct store_owner *owner);

/** directory_owner_changed() - what was owned may be a replica now. */
void directory_owner_changed(struct directory *directory);

/** directory_owns() - whether a block is this node's own. */
bool directory_owns(const struct directory *directory, const struct object_id *id, uint64_t block);

/** directory_replica_bytes() - of replicas; counted, or estimated when there are many objects. */
uint64_t directory_replica_bytes(struct directory *directory);

struct replicas *replicas_create(struct directory *directory); /* NULL: no memory */
void replicas_destroy(struct replicas *replicas);

/**
 * replicas_some() - inside, in the keeper's thread: one step towards giving back @wanted bytes of
 * replicas. Looks at some objects; or takes the least recently used ones among those it saw, puts
 * whole files into @batch, which the caller removes, and gives back single blocks itself.
 * Return: 1: there is more to do; 0: there are no more replicas; or an error.
 */
int replicas_some(struct replicas *replicas, struct evict_batch *batch, uint64_t wanted);

/** replicas_look_again_locked() - time may have made replicas of what was none. */
void replicas_look_again_locked(struct directory *directory, uint64_t now_ns);

/* --- holes.c --- */
struct hole {
	struct object_id id;
	uint64_t block;
};

/** holes_allowed() - whether blocks of an object's file may be punched out. */
bool holes_allowed(const struct directory *directory, const struct object_id *id);

/** holes_punch() - gives back the bytes of blocks that the index does not name (committed) and that
 *  are held. Those of one object stand together. */
void holes_punch(struct directory *directory, const struct hole *holes, unsigned count);

/** holes_forgotten() - inside: punches a block unless it is named, or being written (again). */
void holes_forgotten(struct directory *directory, const struct hole *hole);

/* --- listing.c --- */

/** directory_list() - inside: what is behind (@id, @block), into the free rest of @page; moves
 *  them on. Return: whether there is more; or an error. */
int directory_list(struct directory *directory, struct object_id *id, uint64_t *block,
		   struct store_page *page);

/** listing_next_id() - the id behind @id. Return: false when there is none. */
bool listing_next_id(struct object_id *id);

struct sweep;

/** sweep_create() - NULL when memory is short. */
struct sweep *sweep_create(struct directory *directory);

/** sweep_some() - inside: a few files. Return: false when all was looked at. */
bool sweep_some(struct sweep *sweep);
void sweep_destroy(struct sweep *sweep);

/** sweep_forgotten() - inside: removes the file of an object whose last block was dropped. */
void sweep_forgotten(struct directory *directory, const struct object_id *id);

/* --- store.c --- */

/** store_create_with() - store_create() over other system calls, for tests. */
int store_create_with(const struct cache_config *config, const struct clock *clock,
		      const struct files *files, struct store **out_store);
