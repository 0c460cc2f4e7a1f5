/*
 * owner_rig.h - an owner on a loop network, with a fake cache, and readers that speak its protocol.
 *
 * All of it is one thread's, on a clock that only rig_run() moves. What the owner asks the cache
 * for stays under way until the test tells how it ends. Whenever something has happened,
 * rig_check() looks at what must always hold.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/random.h"
#include "cache/peer/owner.h"
#include "fabric/keyring.h"
#include "fabric/transport/loop.h"

#define RIG_READERS_MAX 16
#define RIG_INBOX	2048
#define RIG_STAGES_MAX	4096 /* under way and lent */
#define RIG_BLOCK_LEN	(UINT64_C(2) * GRANULE_LEN)
#define RIG_BLOCKS	64 /* of the arena: 32 may be leased, 8 of them to LOCAL requests */
#define RIG_ARENA_LEN	(RIG_BLOCKS * RIG_BLOCK_LEN)
#define RIG_OBJECT_LEN	(40 * RIG_BLOCK_LEN + 100) /* the last block is short */

/* indexes of units */
#define BLOCK(n)   ((uint64_t)(n) << 1)
#define GRANULE(n) ((uint64_t)(n) << 1 | 1)

/* A stage that the owner has asked the fake cache for. */
struct rig_stage {
	struct cache_stage *stage;
	bool cancelled, lent; /* lent: done with 0 and not finished yet */
	uint64_t index;
	uint32_t len;
	LIST_ENTRY(rig_stage) link;
};

LIST_HEAD(rig_stage_list, rig_stage);

struct rig_reader {
	struct rig *rig;
	unsigned number; /* on the network; the owner's is 0 */
	struct transport *transport;
	struct transport_peer *owner; /* ACTIVE */
	struct identity identity;
	uint64_t last_request;
	unsigned downs;
	bool deaf; /* is not polled */
	/* what came, in order */
	struct peer_message inbox[RIG_INBOX];
	unsigned inbox_first, inbox_end;
	unsigned working; /* WORKING are only counted */
	uint64_t working_ns;
	uint8_t *pushed; /* what PUSH brought, of the last request that was pushed */
	uint64_t pushed_request;
	uint32_t pushed_len;
	/* takes each message as it comes: nothing is kept then; may be NULL */
	void (*hear)(struct rig_reader *reader, const struct peer_message *message);
};

struct rig {
	struct clock_manual clock;
	struct loop_network *network;
	struct keyring *ring;
	struct counters counters;
	struct peers_config config;
	struct identity identity;
	struct transport *transport;
	struct outbox *outbox;
	struct owner *owner;
	unsigned char *arena;
	struct transport_peer *passive[RIG_READERS_MAX + 1]; /* of readers, by number */
	struct rig_reader readers[RIG_READERS_MAX + 1];	     /* [0] is the owner's place */
	unsigned reader_count;
	struct rig_stage all_stages[RIG_STAGES_MAX];
	struct rig_stage_list stages, unused; /* the newest first */
	unsigned staging_max_seen;
	unsigned starts, cancels, finishes;
	struct window_key touched[PEER_HITS_MAX];
	unsigned touched_count;
};

/** rig_config() - stages_max 8 (2 of them LOCAL), queue_max 64, lease 10 s, hot_readers 0. */
struct peers_config rig_config(void);

/** rig_create() - an owner with @reader_count readers, which are connected. */
struct rig *rig_create(const struct peers_config *config, unsigned outbox_limit,
		       unsigned reader_count);

/** rig_destroy() - ends what is under way as peers_stop() does, and finds nothing left. */
void rig_destroy(struct rig *rig);

/** rig_reader_open() - (again) the transport of a reader. */
void rig_reader_open(struct rig *rig, unsigned number);

/** rig_reader_kill() - its process dies; the owner learns of it when it is run. */
void rig_reader_kill(struct rig *rig, unsigned number);

/** rig_faults() - of the network: quiet ones that notice a dead peer within 10 ms. */
struct loop_faults rig_faults(void);

/** rig_run() - for so long by the clock, and until nothing more happens at that moment. */
void rig_run(struct rig *rig, uint64_t ns);

/** rig_settle() - for a moment: until messages have arrived and were answered. */
void rig_settle(struct rig *rig);

/** rig_check() - what must always hold. */
void rig_check(struct rig *rig);

uint64_t rig_count(const struct rig *rig, enum peers_counter counter);

/* --- what a reader does; none of it waits */

/** rig_ask() - a STAGE of the unit @index of the only object. Return: its number. */
uint64_t rig_ask(struct rig_reader *reader, uint64_t index, unsigned flags);

/** rig_ask_for() - with its number and its time. */
void rig_ask_for(struct rig_reader *reader, uint64_t request, uint64_t index, unsigned flags,
		 uint32_t timeout_ms);

void rig_cancel(struct rig_reader *reader, uint64_t request);
void rig_release(struct rig_reader *reader, uint64_t request);

/** rig_send() - Return: as transport_send(). */
int rig_send(struct rig_reader *reader, const struct peer_message *message);

/** rig_expect() - the next message it got but for WORKING and PUSH, which is of @kind. */
const struct peer_message *rig_expect(struct rig_reader *reader, enum peer_kind kind);

/** rig_expect_refused() - REFUSED @request, for that. */
const struct peer_refused *rig_expect_refused(struct rig_reader *reader, uint64_t request,
					      enum peer_refusal why);

/** rig_expect_nothing() - but perhaps WORKING and PUSH. */
void rig_expect_nothing(const struct rig_reader *reader);

/** rig_staged() - asks for @index, lets it be staged and takes STAGED. Return: its number. */
uint64_t rig_staged(struct rig_reader *reader, uint64_t index, unsigned flags);

/** rig_say_nonsense() - @count STAGEs of units there are none of, from reader @number though it may
 *  be deaf: as many REFUSED are under way to it. */
void rig_say_nonsense(struct rig *rig, unsigned number, unsigned count);

/* --- what the cache does */

/** rig_stage_of() - the oldest stage of unit @index that is under way; NULL. */
struct rig_stage *rig_stage_of(struct rig *rig, uint64_t index);

/** rig_staging() - how many are under way; rig_lent() - how many frames are lent. */
unsigned rig_staging(const struct rig *rig);
unsigned rig_lent(const struct rig *rig);

/** rig_stage_end() - it is done, with @status. */
void rig_stage_end(struct rig *rig, struct rig_stage *stage, int status);

/** rig_stage_unit() - the stage of @index, which there is, is done with 0; rig_settle(). */
void rig_stage_unit(struct rig *rig, uint64_t index);

/** rig_end_stages() - the cache ends all that is under way, which was cancelled. */
void rig_end_stages(struct rig *rig);

/** rig_cache() - the fake one. */
struct owner_cache rig_cache(struct rig *rig);

/** rig_frame_off() - where the fake cache puts a unit; each its own place. */
uint64_t rig_frame_off(uint64_t index);

/** rig_byte() - what the arena holds at @off. */
uint8_t rig_byte(uint64_t off);
