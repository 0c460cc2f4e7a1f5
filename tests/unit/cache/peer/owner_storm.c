/*
 * owner_storm.c - readers that ask, cancel, release, die, come back and break the rules at random,
 * over a network that delays, loses and breaks, of an owner whose cache answers at random and whose
 * outbox is small. At each step (rig_check()):
 *
 *	- what is leased and being staged is never more than half the arena, each frame counted once
 *	- no more is staged than may be, LOCAL or not
 *	- the gauges say what the cache has lent
 *
 * and of each answer, that it is one: of a request that is under way, once, what STAGED names still
 * being held, what was PUSHed in order and right. In the end all is given back.
 *
 * usage: owner_storm [SEED]   without one, a few fixed seeds. A failure prints its seed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/base/slow.h"
#include "tests/unit/cache/peer/owner_rig.h"

#define READERS	     12
#define STEPS	     6000
#define ASKS_MAX     96 /* that a reader follows up */
#define STEP_NS_MAX  (20 * NS_PER_MS)
#define OUTBOX_LIMIT 48
#define UNITS	     24

static uint64_t the_seed;

#define STORM_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %llu: %s", (unsigned long long)the_seed, #condition);       \
	} while (0)

enum ask_state {
	ASK_NONE,
	ASKED,
	GIVEN_UP, /* cancelled; an answer may still come */
	LEASED,
	MUDDLED, /* asked twice: whether that was too early depends on the lease */
};

struct ask {
	enum ask_state state;
	uint64_t request, index;
	unsigned flags;
	uint64_t asked_ns;
	uint32_t pushed; /* bytes that have come */
};

struct storm {
	struct rig *rig;
	struct random random;
	struct ask asks[READERS + 1][ASKS_MAX];
	unsigned downs[READERS + 1];
	unsigned staged, pushed, refused[PEER_STOPPING + 1];
};

static struct storm *the_storm; /* the rig's hear() has no context */

static uint64_t pick(uint64_t limit)
{
	return random_below(&the_storm->random, limit);
}

static uint64_t now_ns(void)
{
	return clock_now_ns(&the_storm->rig->clock.clock);
}

static struct ask *find_ask(unsigned reader, uint64_t request)
{
	for (unsigned i = 0; i < ASKS_MAX; i++) {
		struct ask *ask = &the_storm->asks[reader][i];

		if (ask->state != ASK_NONE && ask->request == request)
			return ask;
	}
	return NULL;
}

static bool is_lent(uint64_t index)
{
	const struct rig_stage *stage;

	LIST_FOREACH (stage, &the_storm->rig->stages, link)
		if (stage->lent && stage->index == index)
			return true;
	return false;
}

static uint32_t len_of(uint64_t index)
{
	const struct window_key key = { .index = index };

	return window_key_len(&key, RIG_OBJECT_LEN, RIG_BLOCK_LEN);
}

static void hear_staged(struct rig_reader *reader, struct ask *ask,
			const struct peer_staged *staged)
{
	STORM_CHECK(staged->len == len_of(ask->index));
	STORM_CHECK(staged->key.index == ask->index);
	STORM_CHECK(staged->checks[0] == ask->index * 1000);
	if (ask->flags & PEER_STAGE_PUSH) {
		STORM_CHECK(!staged->off && !staged->lease_ms);
		STORM_CHECK(ask->pushed == staged->len);
		the_storm->pushed++;
		ask->state = ASK_NONE;
		return;
	}
	STORM_CHECK(staged->off == rig_frame_off(ask->index));
	/* as the reader counts: from asking */
	if (ask->state == ASKED && transport_peer_is_up(reader->owner) &&
	    now_ns() < ask->asked_ns + staged->lease_ms * NS_PER_MS &&
	    the_storm->rig->passive[reader->number])
		STORM_CHECK(is_lent(ask->index));
	the_storm->staged++;
	ask->state = ask->state == ASKED ? LEASED : ASK_NONE;
}

static void hear_push(struct ask *ask, const struct peer_push *push)
{
	uint64_t off = rig_frame_off(ask->index) + push->off;

	STORM_CHECK(ask->flags & PEER_STAGE_PUSH);
	STORM_CHECK(push->off == ask->pushed && push->len <= len_of(ask->index) - push->off);
	for (uint32_t i = 0; i < push->len; i += 97)
		STORM_CHECK(((const uint8_t *)push->data)[i] == rig_byte(off + i));
	ask->pushed += push->len;
}

static void hear(struct rig_reader *reader, const struct peer_message *message)
{
	uint64_t request = message->kind == PEER_STAGED	   ? message->staged.request
			   : message->kind == PEER_REFUSED ? message->refused.request
			   : message->kind == PEER_PUSH	   ? message->push.request
							   : message->request;
	struct ask *ask = find_ask(reader->number, request);

	STORM_CHECK(ask);
	if (ask->state == MUDDLED)
		return;
	STORM_CHECK(ask->state == ASKED || ask->state == GIVEN_UP);
	if (message->kind == PEER_STAGED) {
		hear_staged(reader, ask, &message->staged);
	} else if (message->kind == PEER_PUSH) {
		hear_push(ask, &message->push);
	} else if (message->kind == PEER_REFUSED) {
		STORM_CHECK(message->refused.why >= PEER_ABSENT_HERE &&
			    message->refused.why <= PEER_STOPPING);
		the_storm->refused[message->refused.why]++;
		ask->state = ASK_NONE;
	}
}

static void forget_asks(unsigned reader)
{
	memset(the_storm->asks[reader], 0, sizeof(the_storm->asks[reader]));
}

static struct ask *pick_ask(unsigned reader, enum ask_state state)
{
	unsigned first = (unsigned)pick(ASKS_MAX);

	for (unsigned i = 0; i < ASKS_MAX; i++) {
		struct ask *ask = &the_storm->asks[reader][(first + i) % ASKS_MAX];

		if (ask->state == state)
			return ask;
	}
	return NULL;
}

static uint64_t pick_index(void)
{
	/* half of all want the same few */
	uint64_t number = pick(2) ? pick(3) : pick(UNITS);

	return pick(4) ? number << 1 : (number + 40) << 1 | 1;
}

static void step_ask(unsigned reader)
{
	static const unsigned flags[] = { 0,
					  0,
					  0,
					  PEER_STAGE_LOCAL,
					  PEER_STAGE_HERE,
					  PEER_STAGE_PUSH,
					  PEER_STAGE_LOCAL | PEER_STAGE_PUSH };
	struct rig_reader *at = &the_storm->rig->readers[reader];
	struct ask *ask = pick_ask(reader, ASK_NONE);

	if (!ask || !transport_peer_is_up(at->owner))
		return;
	*ask = (struct ask){ .state = ASKED,
			     .request = ++at->last_request,
			     .index = pick_index(),
			     .flags = flags[pick(ARRAY_COUNT(flags))],
			     .asked_ns = now_ns() };
	rig_ask_for(at, ask->request, ask->index, ask->flags, (uint32_t)(1 + pick(3000)));
}

static void step_give_up(unsigned reader)
{
	struct ask *ask = pick_ask(reader, ASKED);

	if (!ask)
		return;
	rig_cancel(&the_storm->rig->readers[reader], ask->request);
	ask->state = GIVEN_UP;
}

static void step_release(unsigned reader)
{
	struct rig_reader *at = &the_storm->rig->readers[reader];
	struct ask *ask = pick_ask(reader, LEASED);

	if (!ask)
		return;
	rig_release(at, ask->request);
	if (!pick(20))
		rig_release(at, ask->request);
	ask->state = ASK_NONE;
}

/* Numbers in use, numbers never used, units there are none of. */
static void step_misbehave(unsigned reader)
{
	struct rig_reader *at = &the_storm->rig->readers[reader];
	struct ask *ask = pick_ask(reader, LEASED);

	if (!transport_peer_is_up(at->owner))
		return;
	if (ask) {
		rig_ask_for(at, ask->request, ask->index, 0, 1000);
		ask->state = MUDDLED;
	}
	rig_cancel(at, UINT64_MAX - pick(100));
	rig_release(at, UINT64_MAX - pick(100));
}

static void step_cache(void)
{
	static const int errors[] = { -ENOENT, -EIO, -ETIMEDOUT, -ESTALE, -EAGAIN };
	struct rig_stage *stage, *found = NULL;
	uint64_t seen = 0;
	int status = pick(5) ? 0 : errors[pick(ARRAY_COUNT(errors))];

	LIST_FOREACH (stage, &the_storm->rig->stages, link)
		if (!stage->lent && !pick(++seen))
			found = stage;
	if (!found)
		return;
	if (found->cancelled && pick(3))
		status = -ECANCELED;
	found->stage->origin = (enum cache_origin)pick(4);
	rig_stage_end(the_storm->rig, found, status);
}

static void step_network(unsigned reader)
{
	struct rig *rig = the_storm->rig;
	struct loop_faults faults = rig_faults();

	switch (pick(6)) {
	case 0:
		rig_reader_kill(rig, reader);
		forget_asks(reader);
		rig_reader_open(rig, reader);
		the_storm->downs[reader] = rig->readers[reader].downs;
		break;
	case 1:
		loop_cut_node(rig->network, reader, true);
		break;
	case 2:
		transport_peer_disconnect(rig->readers[reader].owner);
		break;
	case 3:
		if (rig->passive[reader])
			transport_peer_disconnect(rig->passive[reader]);
		break;
	default:
		faults.delay_max_ns = 1000 + pick(5 * NS_PER_MS);
		faults.loss_per_mille = (unsigned)pick(30);
		faults.break_per_mille = (unsigned)pick(3);
		faults.fence_ns = 1000 + pick(NS_PER_MS);
		faults.detect_ns = 50 * NS_PER_MS;
		loop_network_set_faults(rig->network, &faults);
		break;
	}
}

/* With a connection end its requests; what was heard of them so far stays true. */
static void notice_downs(void)
{
	for (unsigned r = 1; r <= READERS; r++) {
		struct rig_reader *at = &the_storm->rig->readers[r];

		if (at->downs != the_storm->downs[r])
			forget_asks(r);
		the_storm->downs[r] = at->downs;
		if (!transport_peer_is_up(at->owner))
			(void)transport_peer_connect(at->owner);
	}
}

static void step(void)
{
	struct rig *rig = the_storm->rig;
	unsigned reader = 1 + (unsigned)pick(READERS);
	uint64_t what = pick(1000);

	if (what < 380)
		step_ask(reader);
	else if (what < 430)
		step_give_up(reader);
	else if (what < 620)
		step_release(reader);
	else if (what < 640)
		step_misbehave(reader);
	else if (what < 985)
		step_cache();
	else if (what < 991)
		step_network(reader);
	else if (what < 996)
		loop_cut_node(rig->network, reader, false);
	else
		rig->config.lease = (1 + pick(3000)) * NS_PER_MS;
	rig_run(rig, pick(3) ? pick(50000) : pick(20) ? pick(NS_PER_MS) : pick(STEP_NS_MAX));
	notice_downs();
}

static void heal(void)
{
	struct rig *rig = the_storm->rig;
	struct loop_faults faults = rig_faults();

	loop_network_set_faults(rig->network, &faults);
	for (unsigned r = 1; r <= READERS; r++)
		loop_cut_node(rig->network, r, false);
	for (unsigned i = 0; i < 400; i++) {
		while (rig_staging(rig))
			step_cache();
		rig_run(rig, 50 * NS_PER_MS);
		notice_downs();
	}
}

/* Either ends by itself or is stopped in the middle. */
static void run(uint64_t seed, bool stopped)
{
	struct peers_config config = rig_config();
	struct storm storm = { 0 };
	struct rig *rig;

	the_seed = seed;
	the_storm = &storm;
	config.hot_readers = 3;
	config.queue_max = 32;
	config.lease = NS_PER_S;
	random_init(&storm.random, seed);
	storm.rig = rig = rig_create(&config, OUTBOX_LIMIT, READERS);
	for (unsigned r = 1; r <= READERS; r++)
		rig->readers[r].hear = hear;
	for (unsigned i = 0; i < STEPS; i++)
		step();
	if (!stopped) {
		heal();
		STORM_CHECK(owner_is_idle(rig->owner));
		STORM_CHECK(owner_tick(rig->owner) == CLOCK_NEVER);
		STORM_CHECK(storm.staged > 100 && storm.pushed > 10);
		STORM_CHECK(storm.refused[PEER_BUSY] && storm.refused[PEER_REFERRED]);
		STORM_CHECK(rig_count(rig, PEERS_LEASES_EXPIRED));
		STORM_CHECK(rig->starts >= rig->finishes && rig->cancels);
	}
	rig_destroy(rig);
}

static uint64_t given_seed;

static void test_owner__storm__ends_idle(void **state)
{
	(void)state;
	if (given_seed) {
		run(given_seed, false);
		run(given_seed, true);
		return;
	}
	for (uint64_t seed = 1; seed <= SLOWED(6); seed++)
		run(seed, seed % 3 == 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner__storm__ends_idle),
	};

	if (argc > 1)
		given_seed = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
