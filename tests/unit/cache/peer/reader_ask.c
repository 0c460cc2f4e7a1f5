/*
 * reader_ask.c - whom the reader asks when the owner is silent, slow, busy or stopping, and what it
 * makes of its answers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "tests/unit/cache/peer/reader_rig.h"

static struct rig rig;

static struct rig_fixture three = { &rig, { .owners = 3 } };

/* A block of owner 1, then 2. */
static uint64_t a_block(uint64_t from)
{
	return rig_block(&rig, from, 1, 2);
}

static void get(struct rig_fetch *fetch, uint64_t timeout_ns)
{
	rig_fetch(&rig, fetch, a_block(0), timeout_ns);
	rig_wait(&rig, fetch);
}

static void test_reader__owner_silent__second_is_asked_after_silence(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	owner->silent = true;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	rig_expect_within(&rig, begun_ns, RIG_SILENCE_NS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
	assert_int_equal(rig_count(&rig, PEERS_SILENT), 1);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 1);
	assert_int_equal(rig.evidence[1], 1);
	rig_wait_count(&rig, &owner->cancel_count, 1);
}

static void test_reader__owner_stopped__second_is_asked(void **state)
{
	(void)state;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	rig_owner(&rig, 1)->stopped = true;
	assert_int_equal(rig_get(&rig, a_block(a_block(0) + 1)), PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
	/* its memory is read all the same */
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_LOCATOR), 1);
}

static void test_reader__owner_slow__is_waited_for(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	owner->work_ns = 8 * NS_PER_S;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	rig_expect_within(&rig, begun_ns, owner->work_ns);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 0);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
	assert_true(rig_count(&rig, PEERS_STAGE_NS) >= 8 * NS_PER_S);
}

static void test_reader__slow_without_a_word__is_silent(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);

	(void)state;
	owner->work_ns = 8 * NS_PER_S;
	owner->wordless = true;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
}

static void test_reader__works_beyond_the_deadline__fails_and_cancels(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	owner->work_ns = 8 * NS_PER_S;
	get(&fetch, 3 * NS_PER_S);
	assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
	assert_int_equal(fetch.fetch.status, -ETIMEDOUT);
	rig_expect_within(&rig, begun_ns, 3 * NS_PER_S);
	rig_wait_count(&rig, &owner->cancel_count, 1);
	assert_int_equal(rig_count(&rig, PEERS_FETCH_ERRORS), 1);
}

static void test_reader__both_silent__budget_lets_it_go(void **state)
{
	uint64_t begun_ns = rig_now(&rig);
	struct rig_fetch fetch;

	(void)state;
	rig_owner(&rig, 1)->silent = rig_owner(&rig, 2)->silent = true;
	get(&fetch, 10 * NS_PER_S);
	assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
	assert_false(fetch.fetch.placed);
	rig_expect_within(&rig, begun_ns, 2 * RIG_SILENCE_NS);
	assert_int_equal(rig_owner(&rig, 3)->stage_count, 0);
	assert_int_equal(rig_count(&rig, PEERS_MISSED), 1);
	assert_int_equal(rig_count(&rig, PEERS_SILENT), 2);
}

static void test_reader__second_is_this_node__misses_after_the_first(void **state)
{
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	rig_owner(&rig, 1)->silent = true;
	assert_int_equal(rig_get(&rig, rig_block(&rig, 0, 1, 0)), PEER_MISSED);
	rig_expect_within(&rig, begun_ns, RIG_SILENCE_NS);
	assert_int_equal(rig_owner(&rig, 2)->stage_count + rig_owner(&rig, 3)->stage_count, 0);
}

/* 4 blocks are saved up; a share is a quarter of the site's rate: one block a second. */
static void test_reader__budget_used_up__waits_or_fails(void **state)
{
	struct rig_fetch fetches[7];
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	rig.config.failover_rate = UINT64_C(4) * RIG_BLOCK_LEN;
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 1)->id);
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 2)->id);
	for (unsigned i = 0; i < 7; i++)
		rig_fetch(&rig, &fetches[i], a_block(UINT64_C(50) * i), 2500 * NS_PER_MS);
	rig_wait(&rig, &fetches[3]);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 5 * NS_PER_MS);
	rig_wait(&rig, &fetches[4]);
	rig_expect_within(&rig, begun_ns, NS_PER_S);
	rig_wait(&rig, &fetches[5]);
	rig_expect_within(&rig, begun_ns, 2 * NS_PER_S);
	rig_wait(&rig, &fetches[6]);
	rig_expect_within(&rig, begun_ns, 2500 * NS_PER_MS);
	assert_int_equal(fetches[6].fetch.outcome, PEER_FAILED);
	assert_int_equal(fetches[6].fetch.status, -EAGAIN);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fetches[i].fetch.outcome, PEER_MISSED);
}

static void test_reader__no_budget_at_all__fails_at_the_deadline(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	rig.config.failover_rate = 0;
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 1)->id);
	neighbours_remove(rig.neighbours, &rig_owner(&rig, 2)->id);
	get(&fetch, NS_PER_S);
	assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
	assert_int_equal(fetch.fetch.status, -EAGAIN);
}

static void test_reader__breaker_open__owner_is_spared_but_for_probes(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = a_block(0), begun_ns;

	(void)state;
	owner->silent = true;
	for (unsigned i = 0; i < 3; i++, block = a_block(block + 1))
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_BREAKERS_OPEN), 1);
	assert_int_equal(owner->stage_count, 3);
	begun_ns = rig_now(&rig);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, 0, 5 * NS_PER_MS);
	assert_int_equal(owner->stage_count, 3);
	rig_run(&rig, rig.config.breaker_probe);
	block = a_block(block + 1);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED); /* a probe, silent too */
	assert_int_equal(owner->stage_count, 4);
	owner->silent = false;
	rig_run(&rig, rig.config.breaker_probe);
	block = a_block(block + 1);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(owner->stage_count, 5);
	assert_int_equal(rig_count(&rig, PEERS_BREAKERS_OPEN), 0);
}

static void test_reader__busy__asks_again(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	owner->refusals = 8;
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 200 };
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_BUSY), 8);
	assert_in_range(rig_now(&rig) - begun_ns, 1600 * NS_PER_MS, 2450 * NS_PER_MS);
	assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 0);
	assert_int_not_equal(owner->log[0].request, owner->log[1].request);
}

static void test_reader__busy_with_odd_times__neither_rushes_nor_sleeps(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t begun_ns = rig_now(&rig);

	(void)state;
	owner->refusals = 1;
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = PEER_TIMEOUT_MS_MAX };
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_in_range(rig_now(&rig) - begun_ns, NS_PER_S, 1510 * NS_PER_MS);
	begun_ns = rig_now(&rig);
	owner->refusals = 10;
	owner->refusal.retry_ms = 0;
	assert_int_equal(rig_get(&rig, a_block(a_block(0) + 1)), PEER_FETCHED);
	assert_true(rig_now(&rig) - begun_ns >= 10 * NS_PER_MS);
}

static void test_reader__busy_until_the_deadline__fails_eagain(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	rig_owner(&rig, 1)->refusals = 1000;
	rig_owner(&rig, 1)->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 100 };
	get(&fetch, 2 * NS_PER_S);
	assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
	assert_int_equal(fetch.fetch.status, -EAGAIN);
}

static void test_reader__busy_and_a_peer_waits_here__asks_local_then_misses(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetch;

	(void)state;
	owner->refusals = 5;
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 20 };
	rig_fetch(&rig, &fetch, a_block(0), 10 * NS_PER_S);
	rig_wait_count(&rig, &owner->stage_count, 2);
	atomic_store(&fetch.fetch.serving, true);
	owner->refusals = 0;
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
	assert_false(fetch.fetch.placed);
	assert_int_equal(owner->log[owner->stage_count - 1].flags,
			 PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0); /* the owner is an old member */
}

static void test_reader__a_peer_waits_here__only_local_asks(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t held = a_block(0);
	struct rig_fetch fetch;

	(void)state;
	rig_hold(owner, held);
	rig_fetch_served(&rig, &fetch, held, NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_false(fetch.fetch.placed);
	assert_int_equal(rig_count(&rig, PEERS_FROM_FORMER), 1);
	rig_fetch_served(&rig, &fetch, a_block(held + 1), NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
	assert_false(fetch.fetch.placed);
	for (unsigned i = 0; i < owner->stage_count; i++)
		assert_int_equal(owner->log[i].flags, PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
}

static void test_reader__final_refusals__end_with_their_status(void **state)
{
	static const struct {
		enum peer_refusal why;
		int status;
	} rows[] = {
		{ PEER_STALE, -ESTALE }, { PEER_GONE, -ENOENT },    { PEER_DENIED, -EACCES },
		{ PEER_IO, -EIO },	 { PEER_LATE, -ETIMEDOUT },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_owner *owner = rig_owner(&rig, 1);
		struct rig_fetch fetch;

		owner->refusals = 1;
		owner->refusal = (struct peer_refused){ .why = rows[i].why };
		get(&fetch, 10 * NS_PER_S);
		assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
		assert_int_equal(fetch.fetch.status, rows[i].status);
		assert_int_equal(rig_owner(&rig, 2)->stage_count, 0);
	}
}

static void test_reader__other_refusals__go_to_the_next(void **state)
{
	static const enum peer_refusal rows[] = { PEER_UNKNOWN, PEER_ABSENT_HERE, PEER_STOPPING };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_owner *owner = rig_owner(&rig, 1);
		uint64_t block = a_block(UINT64_C(1000) * i), begun_ns = rig_now(&rig);

		owner->refusals = 1000;
		owner->refusal = (struct peer_refused){ .why = rows[i] };
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
		assert_int_equal(rig_owner(&rig, 2)->stage_count, i + 1);
		/* it stops: the news that it restarts may be on their way */
		if (rows[i] == PEER_STOPPING)
			rig_expect_within(&rig, begun_ns, RIG_SILENCE_NS);
		assert_int_equal(rig.evidence[1], 0);
	}
}

static void refer_to(struct rig_owner *owner, unsigned count, const unsigned *numbers)
{
	owner->refusals = 1;
	owner->refusal = (struct peer_refused){ .why = PEER_REFERRED, .holder_count = count };
	for (unsigned i = 0; i < count; i++)
		memset(owner->refusal.holders[i].bytes, (int)numbers[i] + 1, MEMBER_ID_LEN);
}

static void test_reader__referred__reads_from_the_holder(void **state)
{
	uint64_t block = a_block(0);

	(void)state;
	refer_to(rig_owner(&rig, 1), 1, (unsigned[]){ 3 });
	rig_hold(rig_owner(&rig, 3), block);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_HOLDER), 1);
	assert_int_equal(rig_owner(&rig, 3)->log[0].flags, PEER_STAGE_LOCAL | PEER_STAGE_HERE);
	/* and knows from then on where it lies */
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_FROM_LOCATOR), 1);
	assert_int_equal(rig_owner(&rig, 1)->stage_count, 1);
}

static void test_reader__holder_of_no_use__back_to_the_owner(void **state)
{
	static const struct {
		unsigned holders[2], count;
		bool silent, rotten, busy;
	} rows[] = {
		{ { 3 }, 1, false, false, false },    /* does not have it any more */
		{ { 3 }, 1, true, false, false },     /* silent */
		{ { 3 }, 1, false, true, false },     /* its memory is bad */
		{ { 3 }, 1, false, false, true },     /* busy, for ever */
		{ { 77 }, 1, false, false, false },   /* nobody we know */
		{ { 0 }, 1, false, false, false },    /* this node */
		{ { 1, 0 }, 2, false, false, false }, /* the owner itself */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct rig_owner *owner = rig_owner(&rig, 1), *holder = rig_owner(&rig, 3);
		uint64_t block = a_block(UINT64_C(1000) * i);

		refer_to(owner, rows[i].count, rows[i].holders);
		holder->silent = rows[i].silent;
		holder->rotten_stages = rows[i].rotten;
		holder->refusals = rows[i].busy ? 1000 : 0;
		holder->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 1 };
		if (rows[i].rotten)
			rig_hold(holder, block);
		assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
		assert_int_equal(owner->stage_count, 2 * (i + 1));
		assert_int_equal(owner->log[2 * i + 1].flags, PEER_STAGE_HERE);
		assert_int_equal(rig_count(&rig, PEERS_FROM_HOLDER), 0);
		assert_int_equal(rig_count(&rig, PEERS_FAILOVERS), 0);
	}
}

static void test_reader__referred_although_told_not_to__next(void **state)
{
	(void)state;
	refer_to(rig_owner(&rig, 1), 1, (unsigned[]){ 3 });
	rig_owner(&rig, 1)->refusals = 2;
	assert_int_equal(rig_get(&rig, a_block(0)), PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
}

static void test_reader__deadline_in_the_past__fails_at_once(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	get(&fetch, 0);
	assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
	assert_int_equal(fetch.fetch.status, -ETIMEDOUT);
	assert_int_equal(rig_owner(&rig, 1)->stage_count, 0);
}

static void test_reader__deadline_before_silence__fails_without_evidence(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	rig_owner(&rig, 1)->silent = true;
	get(&fetch, 100 * NS_PER_MS);
	assert_int_equal(fetch.fetch.status, -ETIMEDOUT);
	assert_int_equal(rig.evidence[1], 0);
}

static void test_reader__name_too_long_for_a_message__misses(void **state)
{
	static char name[8000];
	struct rig_fetch fetch;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	rig.object.version.key = name;
	get(&fetch, NS_PER_S);
	assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
	rig_fetch(&rig, &fetch, rig_block(&rig, 0, 0, -1), NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
	rig.object.version.key = "some/key";
}

/* --- pages of listings, which one member has */

static void pin_to(const char *id)
{
	static char text[2 * MEMBER_ID_LEN + 8];

	snprintf(text, sizeof(text), "%s", id);
	rig.object.version.backing = ".catalog";
	rig.object.version.bucket = text;
	object_id_of(&rig.object.version, &rig.object.id);
}

static void pin_to_owner(unsigned number)
{
	char text[2 * MEMBER_ID_LEN + 1];

	digest_hex(rig_owner(&rig, number)->id.bytes, MEMBER_ID_LEN, text);
	pin_to(text);
}

static void test_reader__pinned__asks_that_member_whoever_owns_it(void **state)
{
	struct rig_fetch fetch;

	(void)state;
	pin_to_owner(3);
	for (unsigned i = 0; i < 3; i++) {
		rig_fetch(&rig, &fetch, rig_block(&rig, 0, (int)i, -1), NS_PER_S);
		rig_wait(&rig, &fetch);
		assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
		assert_false(fetch.fetch.placed);
	}
	assert_int_equal(rig_owner(&rig, 3)->stage_count, 3);
	/* also while a peer waits for it here: who has it asks nobody */
	rig_fetch_served(&rig, &fetch, rig_block(&rig, 5000, 0, -1), NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 3)->log[3].flags, 0);
}

static void test_reader__pinned_and_that_member_is_no_use__misses_at_once(void **state)
{
	static const char *const ids[] = { "",
					   "xyz",
					   "01010101010101010101010101010101",
					   "0101010101010101010101010101010",
					   "77777777777777777777777777777777",
					   "G1010101010101010101010101010101" };
	struct rig_fetch fetch;
	uint64_t begun_ns;

	(void)state;
	rig.config.failover_rate = 0;
	for (unsigned i = 0; i < ARRAY_COUNT(ids) + 4; i++) {
		begun_ns = rig_now(&rig);
		if (i < ARRAY_COUNT(ids)) {
			pin_to(ids[i]);
		} else {
			pin_to_owner(2);
			rig_owner(&rig, 2)->silent = i == ARRAY_COUNT(ids);
			rig_owner(&rig, 2)->refusals = i == ARRAY_COUNT(ids) + 1;
			rig_owner(&rig, 2)->refusal.why = PEER_STOPPING;
		}
		if (i == ARRAY_COUNT(ids) + 2)
			rig_kill(rig_owner(&rig, 2));
		if (i == ARRAY_COUNT(ids) + 3)
			neighbours_restarting(rig.neighbours, &rig_owner(&rig, 2)->id,
					      begun_ns + NS_PER_S);
		get(&fetch, 10 * NS_PER_S);
		assert_int_equal(fetch.fetch.outcome, PEER_MISSED);
		assert_false(fetch.fetch.placed);
		assert_in_range(rig_now(&rig) - begun_ns, 0, RIG_SILENCE_NS + 10 * NS_PER_MS);
	}
	assert_int_equal(rig_owner(&rig, 1)->stage_count + rig_owner(&rig, 3)->stage_count, 0);
}

#define ASK_TEST(test) RIG_TEST(&three, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ASK_TEST(test_reader__owner_silent__second_is_asked_after_silence),
		ASK_TEST(test_reader__owner_stopped__second_is_asked),
		ASK_TEST(test_reader__owner_slow__is_waited_for),
		ASK_TEST(test_reader__slow_without_a_word__is_silent),
		ASK_TEST(test_reader__works_beyond_the_deadline__fails_and_cancels),
		ASK_TEST(test_reader__both_silent__budget_lets_it_go),
		ASK_TEST(test_reader__second_is_this_node__misses_after_the_first),
		ASK_TEST(test_reader__budget_used_up__waits_or_fails),
		ASK_TEST(test_reader__no_budget_at_all__fails_at_the_deadline),
		ASK_TEST(test_reader__breaker_open__owner_is_spared_but_for_probes),
		ASK_TEST(test_reader__busy__asks_again),
		ASK_TEST(test_reader__busy_with_odd_times__neither_rushes_nor_sleeps),
		ASK_TEST(test_reader__busy_until_the_deadline__fails_eagain),
		ASK_TEST(test_reader__busy_and_a_peer_waits_here__asks_local_then_misses),
		ASK_TEST(test_reader__a_peer_waits_here__only_local_asks),
		ASK_TEST(test_reader__final_refusals__end_with_their_status),
		ASK_TEST(test_reader__other_refusals__go_to_the_next),
		ASK_TEST(test_reader__referred__reads_from_the_holder),
		ASK_TEST(test_reader__holder_of_no_use__back_to_the_owner),
		ASK_TEST(test_reader__referred_although_told_not_to__next),
		ASK_TEST(test_reader__deadline_in_the_past__fails_at_once),
		ASK_TEST(test_reader__deadline_before_silence__fails_without_evidence),
		ASK_TEST(test_reader__name_too_long_for_a_message__misses),
		ASK_TEST(test_reader__pinned__asks_that_member_whoever_owns_it),
		ASK_TEST(test_reader__pinned_and_that_member_is_no_use__misses_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
