/*
 * reader_storm.c - a reader among owners where everything goes wrong: delays, losses, reads that
 * never come, connections that break, fences that let late bytes through, cuts, processes killed
 * and started anew, owners that are silent, slow, busy, refer to others or stop, bits that flip in
 * their memory and in their directories, members that leave and come back. What must hold:
 *
 *	- done() runs once a fetch, by its deadline and what a fence takes
 *	- FETCHED means the right bytes, and their checks
 *	- not one byte of a destination changes after done()
 *	- afterwards, among healed owners, every block is fetched again
 *
 * usage: reader_storm [SEED]   without one, a few fixed seeds. A failure prints its seed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/unit/base/slow.h"
#include "tests/unit/cache/peer/reader_rig.h"

#define OWNERS	5
#define FETCHES ((unsigned)RIG_UNITS)
#define BLOCKS	30
#define SPAN_NS (25 * NS_PER_S)
#define LATE_NS (60 * NS_PER_MS) /* a busy transport looks at deadlines each 32nd poll */

struct storm {
	struct rig rig;
	uint64_t seed;
	struct random random;
	struct rig_fetch fetches[FETCHES];
	bool busy[FETCHES], filled[FETCHES];
	uint8_t fill;
	uint64_t fence_ns; /* the longest that was asked for */
	unsigned outcomes[3];
};

#define STORM_CHECK(storm, condition)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("seed %llu: %s", (unsigned long long)(storm)->seed, #condition);  \
	} while (0)

static uint64_t pick(struct storm *storm, uint64_t limit)
{
	return random_below(&storm->random, limit);
}

static struct rig_owner *any_owner(struct storm *storm)
{
	return rig_owner(&storm->rig, 1 + (unsigned)pick(storm, OWNERS));
}

static uint8_t *slot_of(struct storm *storm, unsigned i)
{
	return storm->rig.arena + (size_t)i * RIG_BLOCK_LEN;
}

static void check_filled(struct storm *storm, unsigned i)
{
	const uint8_t *at = slot_of(storm, i);

	if (!storm->filled[i])
		return;
	STORM_CHECK(storm, at[0] == at[1] && !memcmp(at, at + 1, RIG_BLOCK_LEN - 1));
}

static void start(struct storm *storm, unsigned i)
{
	static const uint64_t times_ns[] = { NS_PER_MS, 50 * NS_PER_MS, 700 * NS_PER_MS,
					     3 * NS_PER_S, 8 * NS_PER_S };
	uint64_t timeout_ns = 1 + pick(storm, times_ns[pick(storm, ARRAY_COUNT(times_ns))]);
	uint64_t block = pick(storm, BLOCKS);
	struct rig *rig = &storm->rig;

	check_filled(storm, i);
	storm->filled[i] = false;
	storm->busy[i] = true;
	rig->slots = i;
	switch (pick(storm, 8)) {
	case 0:
		rig_fetch_served(rig, &storm->fetches[i], block, timeout_ns);
		break;
	case 1:
	case 2:
		rig_fetch_granule(rig, &storm->fetches[i], block * 4 + pick(storm, 4), timeout_ns);
		break;
	default:
		rig_fetch(rig, &storm->fetches[i], block, timeout_ns);
		break;
	}
}

static void look(struct storm *storm, unsigned i)
{
	struct rig_fetch *fetch = &storm->fetches[i];
	uint64_t late_ns = storm->fence_ns + LATE_NS;

	if (!storm->busy[i])
		return;
	if (!fetch->calls) {
		STORM_CHECK(storm, rig_now(&storm->rig) < fetch->fetch.deadline_ns + late_ns);
		return;
	}
	STORM_CHECK(storm, fetch->done_ns <= fetch->fetch.deadline_ns + late_ns);
	STORM_CHECK(storm, fetch->fetch.outcome != PEER_FAILED ||
				   fetch->fetch.status == -ETIMEDOUT ||
				   fetch->fetch.status == -EAGAIN || fetch->fetch.status == -EIO);
	storm->outcomes[fetch->fetch.outcome]++;
	storm->busy[i] = false;
	storm->filled[i] = true;
	memset(slot_of(storm, i), storm->fill++, RIG_BLOCK_LEN);
}

/* --- what goes wrong */

static void flip_bits(struct storm *storm, struct rig_owner *owner)
{
	size_t len;
	uint8_t *memory = window_directory_memory(owner->directory, &len);

	if (pick(storm, 2)) {
		memory = owner->arena;
		len = RIG_ARENA_LEN;
	} else if (pick(storm, 8)) {
		len = len < 64 << 10 ? len : 64 << 10; /* superblock and buckets */
	}
	for (unsigned i = 0; i < 50; i++)
		memory[pick(storm, len)] ^= (uint8_t)(1u << pick(storm, 8));
}

static void change_faults(struct storm *storm)
{
	storm->rig.faults = (struct loop_faults){
		.delay_min_ns = 1000,
		.delay_max_ns = 1000 + pick(storm, 3 * NS_PER_MS),
		.loss_per_mille = (unsigned)pick(storm, 50),
		.resend_ns = NS_PER_MS + pick(storm, 10 * NS_PER_MS),
		.stall_per_mille = (unsigned)pick(storm, 20),
		.break_per_mille = (unsigned)pick(storm, 10),
		.fence_ns = pick(storm, 20 * NS_PER_MS),
		.late_bytes = true,
		.detect_ns = pick(storm, NS_PER_S),
	};
	if (storm->rig.faults.fence_ns > storm->fence_ns)
		storm->fence_ns = storm->rig.faults.fence_ns;
	loop_network_set_faults(storm->rig.network, &storm->rig.faults);
}

/* All that it says is true, of a unit that nobody asked for. */
static void answer_with_another(struct rig_owner *owner, struct peer_staged *staged)
{
	unsigned place = (unsigned)random_below(&owner->rig->random, RIG_UNITS);
	const struct rig_unit *unit = &owner->units[place];

	if (!unit->used)
		return;
	staged->key = unit->key;
	staged->off = (uint64_t)place * RIG_BLOCK_LEN;
	staged->len = unit->len;
	memcpy(staged->checks, unit->checks, sizeof(unit->checks));
}

static bool twist_something(struct rig_owner *owner, struct peer_message *message)
{
	struct random *random = &owner->rig->random;

	if (message->kind == PEER_STAGED) {
		switch (random_below(random, 6)) {
		case 0:
			message->staged.checks[0] ^= 1;
			break;
		case 1:
			message->staged.off = random_u64(random) >> random_below(random, 64);
			if (message->staged.off > UINT64_MAX - BLOCK_LEN_MAX)
				message->staged.off = 0;
			break;
		case 2:
			message->staged.len = 1 + (uint32_t)random_below(random, BLOCK_LEN_MAX);
			break;
		case 3:
			message->staged.epoch++;
			break;
		case 4:
			answer_with_another(owner, &message->staged);
			break;
		default:
			message->staged.request ^= UINT64_C(1) << 63;
			break;
		}
	}
	if (message->kind == PEER_PUSH && random_below(random, 20) == 0)
		message->push.off = (uint32_t)random_below(random, BLOCK_LEN_MAX - 4096);
	return random_below(random, 20) != 0;
}

static void make_refuse(struct storm *storm, struct rig_owner *owner)
{
	static const enum peer_refusal whys[] = { PEER_ABSENT_HERE, PEER_BUSY,	   PEER_REFERRED,
						  PEER_REFERRED,    PEER_REFERRED, PEER_IO,
						  PEER_LATE,	    PEER_UNKNOWN,  PEER_STOPPING };

	owner->refusals = 1 + (unsigned)pick(storm, 6);
	owner->refusal = (struct peer_refused){ .why = whys[pick(storm, ARRAY_COUNT(whys))],
						.retry_ms = (uint32_t)pick(storm, 200) };
	if (owner->refusal.why != PEER_REFERRED)
		return;
	owner->refusal.holder_count = 1 + (unsigned)pick(storm, PEER_HOLDERS_MAX);
	for (unsigned i = 0; i < owner->refusal.holder_count; i++) {
		struct rig_owner *holder = any_owner(storm);

		owner->refusal.holders[i] = holder->id;
		for (unsigned j = 0; holder->transport && j < 5; j++)
			rig_hold(holder, pick(storm, BLOCKS));
	}
}

static void heal(struct rig_owner *owner)
{
	struct address address = loop_address(owner->number);
	struct rig *rig = owner->rig;

	loop_cut_node(rig->network, owner->number, false);
	owner->stopped = owner->silent = owner->wordless = false;
	owner->work_ns = 0;
	owner->refusals = owner->twists = owner->rotten_pushes = owner->rotten_stages = 0;
	if (!owner->transport)
		rig_start(owner);
	neighbours_restarting(rig->neighbours, &owner->id, 0);
	assert_int_equal(neighbours_update(rig->neighbours, &owner->id, &address), 0);
}

static void replace_members(struct storm *storm)
{
	const struct rig_plan plan = { .newcomer = pick(storm, 2),
				       .guest = pick(storm, 4) == 0,
				       .newcomers = (unsigned)pick(storm, OWNERS + 1) };

	rig_place(&storm->rig, &plan);
}

static void leave(struct storm *storm, struct rig_owner *owner)
{
	struct rig *rig = owner->rig;

	if (pick(storm, 3) == 0) {
		neighbours_remove(rig->neighbours, &owner->id);
		return;
	}
	if (pick(storm, 2))
		neighbours_restarting(rig->neighbours, &owner->id,
				      rig_now(rig) + pick(storm, 3 * NS_PER_S));
	if (owner->transport)
		rig_kill(owner);
}

static void strike(struct storm *storm)
{
	struct rig_owner *owner = any_owner(storm);

	switch (pick(storm, 18)) {
	case 0:
		change_faults(storm);
		break;
	case 1:
		loop_cut_node(storm->rig.network, owner->number, true);
		break;
	case 2:
		loop_cut(storm->rig.network, owner->number, 0, true);
		break;
	case 3:
		leave(storm, owner);
		break;
	case 4:
		owner->silent = true;
		break;
	case 5:
		owner->stopped = true;
		break;
	case 6:
		owner->work_ns = pick(storm, 3 * NS_PER_S);
		owner->wordless = pick(storm, 4) == 0;
		break;
	case 7:
		make_refuse(storm, owner);
		break;
	case 8:
		owner->twist = twist_something;
		owner->twists = (unsigned)pick(storm, 30);
		break;
	case 9:
		owner->rotten_stages = (unsigned)pick(storm, 4);
		owner->rotten_pushes = (unsigned)pick(storm, 3);
		break;
	case 10:
		if (owner->transport)
			flip_bits(storm, owner);
		break;
	default:
		heal(owner);
		break;
	}
}

/* --- a run */

static void turn(struct storm *storm)
{
	rig_step(&storm->rig);
	for (unsigned i = 0; i < FETCHES; i++) {
		look(storm, i);
		if (storm->busy[i] && pick(storm, 5000) == 0)
			atomic_store(&storm->fetches[i].fetch.serving, true);
	}
}

static void rage(struct storm *storm)
{
	uint64_t until_ns = rig_now(&storm->rig) + SPAN_NS;

	for (unsigned steps = 0; rig_now(&storm->rig) < until_ns; steps++) {
		unsigned i = (unsigned)pick(storm, FETCHES);

		if (!storm->busy[i] && pick(storm, 20) == 0)
			start(storm, i);
		if (pick(storm, 300) == 0)
			strike(storm);
		if (steps == 15000)
			replace_members(storm);
		turn(storm);
	}
}

static void calm_down(struct storm *storm)
{
	struct loop_faults faults = loop_faults_none();
	struct rig *rig = &storm->rig;
	bool busy = true;

	faults.detect_ns = 100 * NS_PER_MS;
	faults.fence_ns = storm->fence_ns;
	loop_network_set_faults(rig->network, &faults);
	for (unsigned i = 1; i <= OWNERS; i++) {
		struct rig_owner *owner = rig_owner(rig, i);

		heal(owner);
		rig_restart(owner); /* what was flipped is gone */
	}
	while (busy) { /* look() bounds this */
		busy = false;
		turn(storm);
		for (unsigned i = 0; i < FETCHES; i++)
			busy = busy || storm->busy[i];
	}
	for (uint64_t until_ns = rig_now(rig) + 3 * NS_PER_S; rig_now(rig) < until_ns;)
		turn(storm);
	for (unsigned i = 0; i < FETCHES; i++)
		check_filled(storm, i);
}

/* The second half is new, so that all owners are asked once a breaker that a void locator wasted
   the probe of lets the next one by. */
static void fetch_all(struct storm *storm)
{
	struct rig *rig = &storm->rig;

	rig_place(rig, &(struct rig_plan){ .guest = true });
	for (uint64_t block = 0; block < (uint64_t)2 * BLOCKS; block++) {
		enum peer_outcome outcome = rig_get(rig, block);

		STORM_CHECK(storm, outcome == PEER_FETCHED);
		if (block == BLOCKS)
			rig_run(rig, rig->config.breaker_probe);
	}
	STORM_CHECK(storm, rig_count(rig, PEERS_BREAKERS_OPEN) == 0);
}

static void run(uint64_t seed, bool directory)
{
	struct storm *storm = calloc(1, sizeof(*storm));

	assert_non_null(storm);
	storm->seed = seed;
	random_init(&storm->random, seed);
	rig_open(&storm->rig, &(struct rig_plan){ .owners = OWNERS,
						  .directory = directory,
						  .reads_max = 6,
						  .newcomer = true });
	random_init(&storm->rig.random, seed);
	storm->rig.config.failover_rate = UINT64_C(50) * RIG_BLOCK_LEN;
	change_faults(storm);
	rage(storm);
	calm_down(storm);
	fetch_all(storm);
	print_message("seed %llu: %u fetched, %u missed, %u failed; locator %llu directory %llu "
		      "stage %llu former %llu holder %llu push %llu; mismatches %llu failovers "
		      "%llu silent %llu malformed %llu\n",
		      (unsigned long long)seed, storm->outcomes[PEER_FETCHED],
		      storm->outcomes[PEER_MISSED], storm->outcomes[PEER_FAILED],
		      (unsigned long long)rig_count(&storm->rig, PEERS_FROM_LOCATOR),
		      (unsigned long long)rig_count(&storm->rig, PEERS_FROM_DIRECTORY),
		      (unsigned long long)rig_count(&storm->rig, PEERS_FROM_STAGE),
		      (unsigned long long)rig_count(&storm->rig, PEERS_FROM_FORMER),
		      (unsigned long long)rig_count(&storm->rig, PEERS_FROM_HOLDER),
		      (unsigned long long)rig_count(&storm->rig, PEERS_PUSHED),
		      (unsigned long long)rig_count(&storm->rig, PEERS_MISMATCHES),
		      (unsigned long long)rig_count(&storm->rig, PEERS_FAILOVERS),
		      (unsigned long long)rig_count(&storm->rig, PEERS_SILENT),
		      (unsigned long long)rig_count(&storm->rig, PEERS_MALFORMED));
	rig_close(&storm->rig);
	free(storm);
}

static uint64_t only_seed;

static void test_reader__a_storm_of_faults__keeps_its_contract(void **state)
{
	(void)state;
	if (only_seed) {
		run(only_seed, only_seed % 2);
		return;
	}
	for (uint64_t seed = 1; seed <= SLOWED(4); seed++)
		run(seed, seed % 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader__a_storm_of_faults__keeps_its_contract),
	};

	if (argc > 1)
		only_seed = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
