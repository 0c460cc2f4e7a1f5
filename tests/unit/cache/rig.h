/*
 * rig.h - a cache on a bench: a backing store whose answers the test gives one by one, a store in
 * memory in place of the one on SSDs (the symbols of store.h, linked instead of it), and readers
 * that check what they get. Nothing here sleeps; every wait is for an event and bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/cache.h"
#include "cache/core.h"

#define RIG_WAIT_NS (20 * NS_PER_S)
#define RIG_BLOCK   (UINT64_C(4) << 20)
#define RIG_MEMORY  (UINT64_C(64) << 20)
#define RIG_BLOCKS  (RIG_MEMORY / RIG_BLOCK)
#define KIB	    UINT64_C(1024)
#define MIB	    (KIB * KIB)

TAILQ_HEAD(fake_gets, backing_request);

/* A backing store that does nothing by itself. */
struct fake_backing {
	struct backing backing;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fake_gets gets; /* pending, in order of arrival */
	unsigned pending;
	unsigned started; /* since the beginning */
	unsigned promoted;
	bool automatic; /* a thread answers all with status 0 */
	bool ending;
	pthread_t thread;
};

/* The store's stand-in; the test sets the first part and looks at the second. */
struct fake_store {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic bool refuse;	  /* the policy admits nothing */
	_Atomic bool hold_writes; /* writes wait for fake_store_let_go() */
	_Atomic bool hold_reads;
	_Atomic bool hold_admit; /* store_admit() does not return */
	_Atomic int read_status; /* of all reads, when not 0 */
	_Atomic int write_status;
	int create_error;
	unsigned directory_count; /* what it says */
	_Atomic unsigned admits, reads, granules_read, writes_started, writes_done, touches;
	_Atomic unsigned looks;			     /* calls of store_has() */
	_Atomic uint64_t last_write_len, bytes_held; /* lent and not given back */
	_Atomic bool last_padding_clear;
};

extern struct fake_store fake_store;

struct rig {
	struct clock_manual clock;
	struct cache_config config;
	struct cache *cache;
	struct fake_backing backing;
	struct backing *backings[1]; /* that one */
};

/* One read, with the thread-safe news of its end. */
struct reader {
	struct cache_read read;
	struct rig *rig;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
	unsigned done_count;
};

/** rig_init() - a cache of 64 MiB with blocks of 4 MiB on a manual clock. */
void rig_init(struct rig *rig);

/** rig_init_over() - the same over an arena that rig_arena_copy() gave: taken. The SSD is empty. */
void rig_init_over(struct rig *rig, int arena_fd);

/** rig_arena_copy() - what another process would find of the arena if this one were killed now. */
int rig_arena_copy(const struct rig *rig);

/** rig_fini() - stops in the right order and checks that nothing is left pinned. */
void rig_fini(struct rig *rig);

/** rig_set_up(), rig_tear_down() - of a test whose state is a rig. */
int rig_set_up(void **state);
int rig_tear_down(void **state);

/** rig_open() - an object of @size; its bytes follow from its key and offset. */
struct cache_object *rig_open(struct rig *rig, const char *key, uint64_t size);

uint64_t rig_counter(const struct rig *rig, enum cache_counter counter);

/** rig_wait_counter() - until the counter is @value. */
void rig_wait_counter(const struct rig *rig, enum cache_counter counter, uint64_t value);

/** rig_wait() - until @condition holds; fails the test when it does not in time. */
void rig_wait(bool (*condition)(void *context), void *context);

/** backing_automatic() - from now on a thread answers everything well. */
void fake_backing_automatic(struct fake_backing *fake);

/** fake_backing_await() - the @index-th pending get, waited for. */
struct backing_get *fake_backing_await(struct fake_backing *fake, unsigned index);

unsigned fake_backing_pending(struct fake_backing *fake);
unsigned fake_backing_started(struct fake_backing *fake);

/** fake_backing_progress() - the first @filled bytes arrive. */
void fake_backing_progress(struct backing_get *get, size_t filled);

/** fake_backing_finish() - ends a pending get; with 0, all its bytes arrive first. */
void fake_backing_finish(struct fake_backing *fake, struct backing_get *get, int status);

/** fake_store_put() - a block is on the SSD. */
void fake_store_put(const struct cache_object *object, uint64_t block);
bool fake_store_holds(const struct cache_object *object, uint64_t block);
void fake_store_let_go(void);
void fake_store_wait_writes_started(unsigned count);
void fake_store_wait_reads_started(unsigned count);
void fake_store_wait_admits(unsigned count);

/** reader_start() - starts a read. Return: as cache_read_start(). */
int reader_start(struct reader *reader, struct rig *rig, struct cache_object *object, uint64_t off,
		 size_t len, bool random);

/** reader_wait() - the status of its end. */
int reader_wait(struct reader *reader);
bool reader_is_done(struct reader *reader);

/** reader_check() - the bytes are right; finishes the read. */
void reader_check(struct reader *reader);

/** rig_read() - starts, waits, checks. */
void rig_read(struct rig *rig, struct cache_object *object, uint64_t off, size_t len, bool random);
