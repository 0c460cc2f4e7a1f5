/*
 * reader.c - the reader's drawing, arrow by arrow, and its own life.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/base/allocation_fault.h"
#include "tests/unit/cache/peer/reader_rig.h"

static struct rig rig;

/* Two owners and this node, all of them old; directories are not looked at. */
static struct rig_fixture two = { &rig, { .owners = 2 } };
static struct rig_fixture two_directory = { &rig, { .owners = 2, .directory = true } };

static void expect_sources(unsigned locator, unsigned directory, unsigned stage)
{
	assert_int_equal(rig_count(&rig, PEERS_FROM_LOCATOR), locator);
	assert_int_equal(rig_count(&rig, PEERS_FROM_DIRECTORY), directory);
	assert_int_equal(rig_count(&rig, PEERS_FROM_STAGE), stage);
}

static void test_reader__nothing_known__stages_reads_and_releases(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = rig_block(&rig, 0, 1, -1);
	struct rig_fetch fetch;

	(void)state;
	rig_fetch(&rig, &fetch, block, NS_PER_S);
	assert_int_equal(rig_count(&rig, PEERS_INFLIGHT), 1);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_false(fetch.fetch.placed);
	assert_int_equal(owner->stage_count, 1);
	assert_int_equal(owner->log[0].flags, 0);
	assert_int_equal(owner->log[0].mtime_s, 77);
	assert_in_range(owner->log[0].timeout_ms, 900, 1000);
	expect_sources(0, 0, 1);
	assert_int_equal(rig_reads(&rig), 1);
	assert_int_equal(rig_count(&rig, PEERS_FETCHED_BYTES), RIG_BLOCK_LEN);
	assert_int_equal(rig_count(&rig, PEERS_INFLIGHT), 0);
	assert_int_equal(rig.latency.count, 1);
	rig_wait_count(&rig, &owner->release_count, 1);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(owner->release_count, 1);
	assert_int_equal(owner->hit_count, 0);
}

static void test_reader__second_time__is_one_read_by_locator(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = rig_block(&rig, 0, 1, -1);

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(owner->stage_count, 1);
	assert_int_equal(rig_reads(&rig), 2);
	expect_sources(1, 0, 1);
	assert_true(rig_count(&rig, PEERS_LOCATOR_BYTES) > 0);
	rig_wait_count(&rig, &owner->hit_count, 1);
}

static void test_reader__granule__is_a_unit_of_its_own(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t granule = rig_block(&rig, 0, 1, -1) * (RIG_BLOCK_LEN / GRANULE_LEN) + 2;
	struct rig_fetch fetch;

	(void)state;
	rig_fetch_granule(&rig, &fetch, granule, NS_PER_S);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(owner->log[0].index, granule << 1 | 1);
	assert_int_equal(rig_count(&rig, PEERS_FETCHED_BYTES), GRANULE_LEN);
}

static void test_reader__in_the_directory__no_message_until_the_hits(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t block = rig_block(&rig, 0, 1, -1), other = rig_block(&rig, block + 1, 1, -1);

	(void)state;
	rig_hold(owner, block);
	rig_hold(owner, other);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_reads(&rig), 4); /* superblock, bucket, checks, bytes */
	assert_int_equal(rig_get(&rig, other), PEER_FETCHED);
	assert_int_equal(rig_reads(&rig), 7);
	expect_sources(0, 2, 0);
	assert_int_equal(owner->stage_count, 0);
	assert_true(rig_count(&rig, PEERS_LOOKUP_NS) > 0);
	rig_wait_count(&rig, &owner->hit_count, 2);
	rig_run(&rig, NS_PER_S);
	assert_int_equal(owner->release_count, 0);
}

static void test_reader__granule_in_the_directory__has_its_check_there(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t granule = rig_block(&rig, 0, 1, -1) * (RIG_BLOCK_LEN / GRANULE_LEN);
	struct rig_fetch first, second;

	(void)state;
	rig_fetch_granule(&rig, &first, granule, NS_PER_S);
	rig_wait(&rig, &first); /* staged */
	rig_fetch_granule(&rig, &second, granule + 1, NS_PER_S);
	rig_wait(&rig, &second);
	assert_int_equal(owner->stage_count, 2);
	rig.config.locators_age = 0;
	rig_run(&rig, 61 * NS_PER_S); /* the locators' age */
	rig_fetch_granule(&rig, &first, granule, NS_PER_S);
	rig_wait(&rig, &first);
	assert_int_equal(first.fetch.outcome, PEER_FETCHED);
	expect_sources(0, 1, 2);
}

static void test_reader__not_in_the_directory__stages(void **state)
{
	uint64_t block = rig_block(&rig, 0, 1, -1);

	(void)state;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_owner(&rig, 1)->stage_count, 1);
	assert_int_equal(rig_reads(&rig), 3); /* superblock, bucket, bytes */
	expect_sources(0, 0, 1);
}

static void test_reader__many_at_once__read_the_superblock_once(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct rig_fetch fetches[8];
	uint64_t block = 0;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		block = rig_block(&rig, block + 1, 1, -1);
		rig_fetch(&rig, &fetches[i], block, NS_PER_S);
	}
	for (unsigned i = 0; i < 8; i++) {
		rig_wait(&rig, &fetches[i]);
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
	}
	assert_int_equal(owner->stage_count, 8);
	assert_int_equal(rig_reads(&rig), 2 + 8); /* the first one's bucket, too */
}

static void test_reader__more_than_there_is_scratch__stages_the_rest(void **state)
{
	struct rig_fetch *fetches = calloc(300, sizeof(*fetches));
	struct rig_owner *owner = rig_owner(&rig, 1);
	uint64_t granule, held = rig_block(&rig, 0, 1, -1);

	(void)state;
	assert_non_null(fetches);
	rig_hold(owner, held);
	assert_int_equal(rig_get(&rig, held), PEER_FETCHED); /* the shape is known */
	granule = rig_block(&rig, held + 1, 1, -1) * (RIG_BLOCK_LEN / GRANULE_LEN);
	for (unsigned i = 0; i < 300; i++)
		rig_fetch_granule(&rig, &fetches[i], granule, 10 * NS_PER_S);
	for (unsigned i = 0; i < 300; i++) {
		rig_wait(&rig, &fetches[i]);
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
	}
	assert_true(owner->stage_count > 0);
	free(fetches);
}

static void test_reader__transport_full__reads_wait_in_order(void **state)
{
	struct rig_fetch fetches[RIG_UNITS];
	uint64_t block = 0;

	(void)state;
	rig_close(&rig);
	rig_open(&rig, &(struct rig_plan){ .owners = 2, .reads_max = 1, .directory = true });
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		block = rig_block(&rig, block + 1, 1, -1);
		rig_hold(rig_owner(&rig, 1), block);
		rig_fetch(&rig, &fetches[i], block, 10 * NS_PER_S);
	}
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		rig_wait(&rig, &fetches[i]);
		assert_int_equal(fetches[i].fetch.outcome, PEER_FETCHED);
	}
}

static void test_reader__transport_full_until_the_deadline__fails(void **state)
{
	uint64_t block = rig_block(&rig, 0, 1, 2), other = rig_block(&rig, block + 1, 1, 2);
	struct rig_fetch first, second;
	uint64_t begun_ns;

	(void)state;
	rig_close(&rig);
	rig_open(&rig, &(struct rig_plan){ .owners = 2, .reads_max = 1 });
	rig_hold(rig_owner(&rig, 1), block);
	rig_hold(rig_owner(&rig, 1), other);
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_int_equal(rig_get(&rig, other), PEER_FETCHED);
	rig.faults.stall_per_mille = 1000;
	loop_network_set_faults(rig.network, &rig.faults);
	begun_ns = rig_now(&rig);
	rig_fetch(&rig, &first, block, 10 * NS_PER_S);
	rig_fetch(&rig, &second, other, 50 * NS_PER_MS);
	rig_wait(&rig, &second);
	assert_int_equal(second.fetch.outcome, PEER_FAILED);
	assert_int_equal(second.fetch.status, -ETIMEDOUT);
	assert_in_range(second.done_ns - begun_ns, 50 * NS_PER_MS, 60 * NS_PER_MS);
	assert_int_equal(first.calls, 0);
	rig.faults.stall_per_mille = 0;
	loop_network_set_faults(rig.network, &rig.faults);
	rig_wait(&rig, &first);
	assert_int_equal(first.fetch.outcome, PEER_FETCHED);
}

static void test_reader__unknown_answers__are_released_cancelled_or_malformed(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1);
	struct peer_message message = { .kind = PEER_STAGED };

	(void)state;
	assert_int_equal(rig_get(&rig, rig_block(&rig, 0, 1, -1)), PEER_FETCHED);
	rig_wait_count(&rig, &owner->release_count, 1);
	message.staged =
		(struct peer_staged){ .request = 4711, .len = GRANULE_LEN, .lease_ms = 1000 };
	rig_say(owner, &message);
	rig_wait_count(&rig, &owner->release_count, 2);
	message.kind = PEER_WORKING;
	message.request = 4712;
	rig_say(owner, &message);
	rig_wait_count(&rig, &owner->cancel_count, 1);
	assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 0);
	message.kind = PEER_CANCEL;
	rig_say(owner, &message);
	rig_run(&rig, 10 * NS_PER_MS);
	assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 1);
}

static void test_reader__answer_to_anothers_question__is_malformed(void **state)
{
	struct rig_owner *owner = rig_owner(&rig, 1), *other = rig_owner(&rig, 2);
	struct peer_message message = { .kind = PEER_REFUSED };
	struct rig_fetch fetch;

	(void)state;
	assert_int_equal(rig_get(&rig, rig_block(&rig, 0, 2, -1)), PEER_FETCHED);
	owner->work_ns = 200 * NS_PER_MS;
	rig_fetch(&rig, &fetch, rig_block(&rig, 0, 1, -1), NS_PER_S);
	rig_wait_count(&rig, &owner->stage_count, 1);
	message.refused = (struct peer_refused){ .request = owner->last_request, .why = PEER_GONE };
	rig_say(other, &message);
	rig_wait(&rig, &fetch);
	assert_int_equal(fetch.fetch.outcome, PEER_FETCHED);
	assert_int_equal(rig_count(&rig, PEERS_MALFORMED), 1);
}

/* Where a fetch is when the reader is stopped. */
static void stop_asking(struct rig_owner *owner)
{
	owner->work_ns = 20 * NS_PER_S;
}

static void stop_busy(struct rig_owner *owner)
{
	owner->refusals = 1000;
	owner->refusal = (struct peer_refused){ .why = PEER_BUSY, .retry_ms = 1000 };
}

static void stop_reading(struct rig_owner *owner)
{
	(void)owner;
	rig.faults.stall_per_mille = 1000;
	rig.faults.fence_ns = 20 * NS_PER_MS;
	rig.faults.late_bytes = true;
	loop_network_set_faults(rig.network, &rig.faults);
}

static void stop_waiting(struct rig_owner *owner)
{
	neighbours_restarting(rig.neighbours, &owner->id, rig_now(&rig) + 60 * NS_PER_S);
	rig_kill(owner);
}

static void stop_connecting(struct rig_owner *owner)
{
	loop_cut_node(rig.network, owner->number, true);
}

static void stop_budget(struct rig_owner *owner)
{
	(void)owner;
	rig.config.failover_rate = 0;
	neighbours_remove(rig.neighbours, &rig.owners[1].id);
	neighbours_remove(rig.neighbours, &rig.owners[2].id);
}

static void test_reader_stop__in_each_state__ends_everything_once(void **state)
{
	static void (*const rows[])(struct rig_owner *) = { stop_asking,     stop_busy,
							    stop_reading,    stop_waiting,
							    stop_connecting, stop_budget };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows) * 2; i++) {
		struct rig_fetch fetch, late;
		uint64_t begun_ns;

		rig_close(&rig);
		rig_open(&rig, &(struct rig_plan){ .owners = 2, .directory = i % 2 });
		rows[i / 2](rig_owner(&rig, 1));
		rig_fetch(&rig, &fetch, rig_block(&rig, 0, 1, 2), 10 * NS_PER_S);
		rig_run(&rig, 100 * NS_PER_MS);
		assert_int_equal(fetch.calls, 0);
		begun_ns = rig_now(&rig);
		reader_stop(rig.reader);
		assert_int_equal(fetch.calls, 0);
		rig_fetch(&rig, &late, rig_block(&rig, 0, 1, 2), 10 * NS_PER_S);
		rig_wait(&rig, &fetch);
		rig_wait(&rig, &late);
		assert_int_equal(fetch.fetch.outcome, PEER_FAILED);
		assert_int_equal(fetch.fetch.status, -ECANCELED);
		assert_int_equal(late.fetch.status, -ECANCELED);
		assert_true(rig_now(&rig) - begun_ns < 30 * NS_PER_MS);
		assert_true(reader_is_idle(rig.reader));
		memset(fetch.fetch.dst, 0x77, RIG_BLOCK_LEN);
		rig_run(&rig, 100 * NS_PER_MS);
		for (unsigned at = 0; at < RIG_BLOCK_LEN; at++)
			assert_int_equal(((uint8_t *)fetch.fetch.dst)[at], 0x77);
	}
}

static void test_reader_create__out_of_memory__leaves_nothing(void **state)
{
	struct reader_setup setup = { .config = &rig.config,
				      .clock = &rig.clock.clock,
				      .neighbours = rig.neighbours };
	struct reader *reader;
	unsigned n = 1;
	int error;

	(void)state;
	for (;; n++) {
		allocation_fault_arm(n);
		error = reader_create(&setup, &reader);
		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
	}
	assert_int_equal(error, 0);
	assert_true(n > 1);
	reader_destroy(reader);
}

static void test_reader_start__out_of_memory__each_allocation__ends_once(void **state)
{
	uint64_t block = rig_block(&rig, 0, 1, -1);
	bool failed = true;

	(void)state;
	for (unsigned n = 1; failed; n++) {
		struct rig_fetch fetch;

		allocation_fault_arm(n);
		rig_fetch(&rig, &fetch, block++, 10 * NS_PER_S);
		failed = allocation_fault_disarm();
		rig_wait(&rig, &fetch);
		if (fetch.fetch.outcome == PEER_FAILED)
			assert_int_equal(fetch.fetch.status, -EAGAIN);
	}
}

static bool twist_garbage(struct rig_owner *owner, struct peer_message *message)
{
	(void)owner;
	message->kind = PEER_HITS; /* that no owner says, on this connection */
	message->hits = (struct peer_hits){ .count = 1 };
	return true;
}

static void test_reader__garbage__closes_and_goes_on(void **state)
{
	uint64_t block = rig_block(&rig, 0, 1, 2);
	struct rig_owner *owner = rig_owner(&rig, 1);

	(void)state;
	owner->twist = twist_garbage;
	owner->twists = 1000000;
	assert_int_equal(rig_get(&rig, block), PEER_FETCHED);
	assert_true(rig_count(&rig, PEERS_MALFORMED) > 0);
	assert_int_equal(rig_owner(&rig, 2)->stage_count, 1);
}

#define READER_TEST(test)    RIG_TEST(&two, test)
#define DIRECTORY_TEST(test) RIG_TEST(&two_directory, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		READER_TEST(test_reader__nothing_known__stages_reads_and_releases),
		READER_TEST(test_reader__second_time__is_one_read_by_locator),
		READER_TEST(test_reader__granule__is_a_unit_of_its_own),
		DIRECTORY_TEST(test_reader__in_the_directory__no_message_until_the_hits),
		DIRECTORY_TEST(test_reader__granule_in_the_directory__has_its_check_there),
		DIRECTORY_TEST(test_reader__not_in_the_directory__stages),
		DIRECTORY_TEST(test_reader__many_at_once__read_the_superblock_once),
		DIRECTORY_TEST(test_reader__more_than_there_is_scratch__stages_the_rest),
		READER_TEST(test_reader__transport_full__reads_wait_in_order),
		READER_TEST(test_reader__transport_full_until_the_deadline__fails),
		READER_TEST(test_reader__unknown_answers__are_released_cancelled_or_malformed),
		READER_TEST(test_reader__answer_to_anothers_question__is_malformed),
		READER_TEST(test_reader__garbage__closes_and_goes_on),
		READER_TEST(test_reader_stop__in_each_state__ends_everything_once),
		READER_TEST(test_reader_create__out_of_memory__leaves_nothing),
		READER_TEST(test_reader_start__out_of_memory__each_allocation__ends_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
