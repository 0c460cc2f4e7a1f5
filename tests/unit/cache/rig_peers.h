/*
 * rig_peers.h - the rig's neighbours: peers whose answers the test gives one by one, and stages as
 * a peer would ask for them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/stage.h"
#include "cache/window/directory.h"
#include "tests/unit/cache/rig.h"

/* The index of a unit: the whole block, or a granule of the object. */
#define UNIT_BLOCK(number)   ((uint64_t)(number) << 1)
#define UNIT_GRANULE(number) ((uint64_t)(number) << 1 | 1)

/* Peers that do nothing by themselves. */
struct fake_peers {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct peer_fetches asks; /* pending, in order of arrival */
	unsigned started;	  /* since the beginning */
	bool stopped;
	_Atomic bool owns; /* this node owns every block */
	bool lies;	   /* what it brings is wrong in the last granule, and matches its checks */
	struct member_id id;
};

/* One stage, with the thread-safe news of its end. */
struct stager {
	struct cache_stage stage;
	struct rig *rig;
	char key[16]; /* of its object */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned done_count;
};

/** fake_peers_attach() - to the rig's cache, before its first read. @directory: may be NULL. */
void fake_peers_attach(struct fake_peers *fake, struct rig *rig,
		       struct window_directory *directory);

/** fake_peers_stop() - ends what is pending, and what comes later at once, with -ECANCELED. Before
 *  rig_fini(). */
void fake_peers_stop(struct fake_peers *fake);

/** fake_peers_await() - the @index-th pending fetch, waited for. */
struct peer_fetch *fake_peers_await(struct fake_peers *fake, unsigned index);

unsigned fake_peers_pending(struct fake_peers *fake);
unsigned fake_peers_started(struct fake_peers *fake);

/** fake_peers_answer() - ends a pending fetch; when FETCHED its bytes and checks are there first.
 */
void fake_peers_answer(struct fake_peers *fake, struct peer_fetch *ask, enum peer_outcome outcome,
		       int status, bool placed);

/** stager_start() - asks for the unit @index of the object that rig_open(@key, @size) opens. */
void stager_start(struct stager *stager, struct rig *rig, const char *key, uint64_t size,
		  uint64_t index, bool local);

bool stager_is_done(struct stager *stager);

/** stager_wait() - the status of its end. */
int stager_wait(struct stager *stager);

/** stager_look() - what it holds are the right bytes of the right unit with the right checks, and
 *  they come from @origin. */
void stager_look(struct stager *stager, enum cache_origin origin);

/** stager_check() - looks and finishes. */
void stager_check(struct stager *stager, enum cache_origin origin);

/* A rig among peers. */
struct peers_rig {
	struct rig rig;
	struct fake_peers peers;
	struct cache_object *object; /* NULL, or a reference for peers_rig_tear_down() to put */
};

struct peers_rig *peers_rig_create(void);

/** peers_rig_set_up(), peers_rig_tear_down() - of a test whose state is one. */
int peers_rig_set_up(void **state);
int peers_rig_tear_down(void **state);
