/*
 * Tests of peers_inquire() and of what a node answers: whole nodes in one process (peers_rig.h).
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/peer/peers.h"
#include "tests/unit/cache/peer/peers_rig.h"

#define BLOCKS	  6
#define SIZE	  ((uint64_t)BLOCKS * RIG_BLOCK_LEN - 12345)
#define SEVERAL	  16
#define PATIENCE  (60 * NS_PER_S)
#define EARLIER_S 3600

struct question {
	struct peers_inquiry inquiry;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned done; /* guarded by lock */
};

static void asked_done(struct peers_inquiry *inquiry)
{
	struct question *question = CONTAINER_OF(inquiry, struct question, inquiry);

	pthread_mutex_lock(&question->lock);
	question->done++;
	pthread_cond_signal(&question->changed);
	pthread_mutex_unlock(&question->lock);
}

static void ask(struct rig_node *asker, const struct rig_node *asked, enum peer_topic topic,
		struct question *question)
{
	*question = (struct question){
		.inquiry = { .member = membership_identity(asked->membership)->member,
			     .asked = { .topic = topic },
			     .deadline_ns = clock_now_ns(clock_system()) + PATIENCE,
			     .done = asked_done },
	};
	pthread_mutex_init(&question->lock, NULL);
	thread_cond_init(&question->changed);
	peers_inquire(asker->peers, &question->inquiry);
}

static void await(struct question *question)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + 2 * PATIENCE;

	pthread_mutex_lock(&question->lock);
	while (!question->done)
		assert_int_equal(
			thread_cond_wait_until(&question->changed, &question->lock, until_ns), 0);
	assert_int_equal(question->done, 1);
	pthread_mutex_unlock(&question->lock);
	pthread_cond_destroy(&question->changed);
	pthread_mutex_destroy(&question->lock);
}

static void two_up(struct rig *rig, struct rig_node **a, struct rig_node **b)
{
	*a = rig_up(rig, 0, -1);
	*b = rig_up(rig, 1, 0);
	rig_wait_placed(*a, 2);
	rig_wait_placed(*b, 2);
}

static void check_summary(struct rig_node *asker, const struct rig_node *asked)
{
	const struct counters *counters = cache_counters(asked->cache);
	struct membership_member self;
	struct question question;
	const uint64_t *numbers;

	assert_int_equal(membership_members(asked->membership, 0, 1, &self), 1);
	ask(asker, asked, PEER_TOPIC_SUMMARY, &question);
	await(&question);
	numbers = question.inquiry.report.summary.numbers;
	assert_int_equal(question.inquiry.status, 0);
	assert_string_equal(question.inquiry.name, self.details.name);
	assert_string_equal(question.inquiry.version, self.details.version);
	assert_in_range(numbers[PEER_NUMBER_UPTIME_S], 0, EARLIER_S);
	assert_int_equal(numbers[PEER_NUMBER_MEMORY], cache_memory_len(asked->cache));
	assert_int_equal(numbers[PEER_NUMBER_READ_BYTES], counter_get(counters, CACHE_READ_BYTES));
	assert_int_equal(numbers[PEER_NUMBER_PEER_BYTES], counter_get(counters, CACHE_BYTES_PEER));
	assert_int_equal(numbers[PEER_NUMBER_FETCHED_BYTES],
			 counter_get(counters, CACHE_FETCH_BYTES));
	assert_int_equal(numbers[PEER_NUMBER_SERVED_BYTES],
			 counter_get(peers_counters(asked->peers), PEERS_STAGED_BYTES));
	assert_int_equal(numbers[PEER_NUMBER_MEMBERS], 2);
	assert_int_equal(numbers[PEER_NUMBER_SSD_CAPACITY], 0);
	assert_int_equal(numbers[PEER_NUMBER_READ_ERRORS], 0);
}

static void test_inquire__summary_after_reads__is_what_was_counted(void **state)
{
	struct rig_node *a, *b;

	two_up(*state, &a, &b);
	rig_read(a, "k", SIZE);
	assert_int_equal(counter_get(cache_counters(a->cache), CACHE_READ_BYTES), SIZE);
	check_summary(a, b);
	check_summary(b, a);
	check_summary(a, a);
}

static void test_inquire__many_at_once__each_is_answered(void **state)
{
	struct question questions[SEVERAL];
	struct rig_node *a, *b;

	two_up(*state, &a, &b);
	for (unsigned i = 0; i < SEVERAL; i++)
		ask(a, i % 2 ? a : b, PEER_TOPIC_SUMMARY, &questions[i]);
	for (unsigned i = 0; i < SEVERAL; i++) {
		await(&questions[i]);
		assert_int_equal(questions[i].inquiry.status, 0);
	}
}

static void test_inquire__measure__reads_the_asker(void **state)
{
	struct rig_node *a, *b;
	struct question question;

	two_up(*state, &a, &b);
	question = (struct question){
		.inquiry = { .member = membership_identity(b->membership)->member,
			     .asked = { .topic = PEER_TOPIC_MEASURE,
					.measure = { .target = membership_identity(a->membership)
								       ->member,
						     .duration_ms = PEER_MEASURE_MS_MAX,
						     .bytes = 1 << 20,
						     .read_len = 64 << 10,
						     .depth = 4 } },
			     .deadline_ns = clock_now_ns(clock_system()) + PATIENCE,
			     .done = asked_done },
	};
	pthread_mutex_init(&question.lock, NULL);
	thread_cond_init(&question.changed);
	peers_inquire(a->peers, &question.inquiry);
	await(&question);
	assert_int_equal(question.inquiry.status, 0);
	assert_int_equal(question.inquiry.report.measured.bytes, 1 << 20);
}

static void test_inquire__asker_stopped__is_cancelled_inside(void **state)
{
	struct rig_node *a, *b;
	struct question question;

	two_up(*state, &a, &b);
	rig_stop(a);
	ask(a, b, PEER_TOPIC_SUMMARY, &question);
	assert_int_equal(question.done, 1);
	assert_int_equal(question.inquiry.status, -ECANCELED);
	await(&question);
	rig_down(a);
}

static void *stop_main(void *argument)
{
	rig_stop(argument);
	return NULL;
}

/* While they are asked and answered; each ends once, whatever of it is under way. */
static void test_inquire__asker_stops_meanwhile__all_end(void **state)
{
	struct question questions[4 * SEVERAL];
	struct rig_node *a, *b;
	pthread_t thread;

	two_up(*state, &a, &b);
	for (unsigned i = 0; i < ARRAY_COUNT(questions); i++) {
		if (i == SEVERAL)
			assert_int_equal(thread_start(&thread, "stop", stop_main, a), 0);
		ask(a, i % 2 ? a : b, PEER_TOPIC_SUMMARY, &questions[i]);
	}
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < ARRAY_COUNT(questions); i++) {
		await(&questions[i]);
		assert_true(questions[i].inquiry.status == 0 ||
			    questions[i].inquiry.status == -ECANCELED);
	}
	rig_down(a);
}

#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_inquire__summary_after_reads__is_what_was_counted),
		RIG_TEST(test_inquire__many_at_once__each_is_answered),
		RIG_TEST(test_inquire__measure__reads_the_asker),
		RIG_TEST(test_inquire__asker_stopped__is_cancelled_inside),
		RIG_TEST(test_inquire__asker_stops_meanwhile__all_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
