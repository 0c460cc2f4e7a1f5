/*
 * Tests of peer/inquiry.h: three nodes that ask each other and themselves.
 */
#include "cache/peer/inquiry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/unit/cache/peer/host.h"
#include "tests/unit/cache/peer/inquiry_rig.h"

static int setup(void **state)
{
	*state = rig_create();
	return 0;
}

static int teardown(void **state)
{
	rig_destroy(*state);
	return 0;
}

static bool has_clerks(void *context)
{
	return rig_clerks(context) > 0;
}

static bool has_all_clerks(void *context)
{
	return rig_clerks(context) == INQUIRY_CLERKS_MAX;
}

static bool has_no_clerks(void *context)
{
	return rig_clerks(context) == 0;
}

static bool was_asked(void *context)
{
	return ((struct rig_node *)context)->asked_count > 0;
}

static bool has_services(void *context)
{
	return ((struct rig_node *)context)->inquiry->service_count > 0;
}

static bool has_no_services(void *context)
{
	return ((struct rig_node *)context)->inquiry->service_count == 0;
}

/* --- each topic */

static void check_summary(struct rig *rig, unsigned asker, unsigned asked)
{
	struct rig_question question;
	const struct peers_inquiry *inquiry = &question.inquiry;

	rig_ask(&rig->nodes[asker], asked, PEER_TOPIC_SUMMARY, &question);
	rig_await(rig, &question);
	assert_int_equal(inquiry->status, 0);
	assert_string_equal(inquiry->problem, "");
	assert_int_equal(inquiry->report.topic, PEER_TOPIC_SUMMARY);
	/* its texts are its own */
	assert_ptr_equal(inquiry->report.summary.name, inquiry->name);
	assert_string_equal(inquiry->name, "n");
	assert_string_equal(inquiry->version, "0.1");
	assert_int_equal(inquiry->report.summary.numbers[PEER_NUMBER_COUNT - 1],
			 asked * 1000 + PEER_NUMBER_COUNT - 1);
}

static void test_start__summary__of_another_and_of_itself(void **state)
{
	check_summary(*state, 0, 1);
	check_summary(*state, 0, 0);
	check_summary(*state, 1, 0);
}

static void check_holdings(struct rig *rig, unsigned asker, unsigned asked)
{
	struct rig_question question;

	rig_ask(&rig->nodes[asker], asked, PEER_TOPIC_HOLDINGS, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, 0);
	assert_int_equal(question.inquiry.report.holdings.memory, 4097);
	assert_int_equal(question.inquiry.report.holdings.ssd, asked);
	assert_string_equal(rig->nodes[asked].texts[0], "s3");
	assert_string_equal(rig->nodes[asked].texts[1], "b");
	assert_string_equal(rig->nodes[asked].texts[2], "k/1");
	assert_string_equal(rig->nodes[asked].texts[3], "\"e\"");
}

static void test_start__holdings__of_another_and_of_itself(void **state)
{
	check_holdings(*state, 0, 1);
	check_holdings(*state, 2, 2);
}

static void check_take(struct rig *rig, unsigned asker, unsigned asked)
{
	struct member_id from = host_member(asker);
	struct rig_question question;

	rig_ask(&rig->nodes[asker], asked, PEER_TOPIC_TAKE, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, 0);
	assert_int_equal(question.inquiry.report.taken.blocks, 7);
	assert_int_equal(question.inquiry.report.taken.bytes, 77);
	assert_true(member_id_equal(&rig->nodes[asked].from, &from));
}

static void test_start__take__of_another_and_of_itself(void **state)
{
	check_take(*state, 0, 1);
	check_take(*state, 0, 0);
}

static void test_start__measure__reads_from_the_third(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_ask(&rig->nodes[0], 1, PEER_TOPIC_MEASURE, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, 0);
	assert_int_equal(question.inquiry.report.measured.bytes, 64 << 10);
	assert_int_equal(question.inquiry.report.measured.reads, 16);
	assert_true(question.inquiry.report.measured.ns > 0);
}

static void test_start__measure_of_itself__is_refused(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	/* node 2 is asked for READs from node 2 */
	rig_ask(&rig->nodes[0], 2, PEER_TOPIC_MEASURE, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, peer_refusal_status(PEER_UNKNOWN));
	assert_non_null(strstr(question.inquiry.problem, "from itself"));
}

static void test_start__answer_is_an_error__is_told(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig->nodes[1].status = -EIO;
	rig_ask(&rig->nodes[0], 1, PEER_TOPIC_HOLDINGS, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -EIO);
	assert_non_null(strstr(question.inquiry.problem, "EIO"));
	rig->nodes[0].status = -ENODEV;
	rig_ask(&rig->nodes[0], 0, PEER_TOPIC_TAKE, &question);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -ENODEV);
}

/* --- who cannot be asked */

static void test_start__not_known__says_so(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_ask(&rig->nodes[0], RIG_NODES, PEER_TOPIC_SUMMARY, &question);
	assert_int_equal(question.done, 1);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
	assert_non_null(strstr(question.inquiry.problem, "not known"));
}

static void test_start__time_is_over__says_so(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_SUMMARY, 0, &question);
	assert_int_equal(question.done, 1);
	assert_int_equal(question.inquiry.status, -ETIMEDOUT);
}

static void test_start__breaker_is_open__is_spared(void **state)
{
	struct rig *rig = *state;
	struct rig_node *node = &rig->nodes[0];
	struct member_id id = host_member(1);
	struct neighbour *neighbour = neighbours_find(node->neighbours, &id);
	struct rig_question question;

	for (int i = 0; i < 3; i++)
		neighbour_failed(node->neighbours, neighbour, clock_now_ns(&rig->clock.clock), "x");
	rig_ask(node, 1, PEER_TOPIC_SUMMARY, &question);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
	assert_non_null(strstr(question.inquiry.problem, "spared"));
	/* not for long */
	rig_run(rig, 500 * NS_PER_MS);
	check_summary(rig, 0, 1);
}

static void test_start__member_is_stopped__is_silent(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig->nodes[1].deaf = true;
	rig_ask(&rig->nodes[0], 1, PEER_TOPIC_SUMMARY, &question);
	rig_run(rig, INQUIRY_FIRST_NS - 10 * NS_PER_MS);
	assert_int_equal(question.done, 0);
	rig_run(rig, 20 * NS_PER_MS);
	assert_int_equal(question.done, 1);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
	assert_non_null(strstr(question.inquiry.problem, "does not answer"));
}

/* --- while it works */

static void test_tick__works_for_long__says_so_and_is_waited_for(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_hold(&rig->nodes[1], true);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &question);
	rig_until(rig, has_clerks, &rig->nodes[1]);
	rig_run(rig, 10 * NS_PER_S);
	assert_int_equal(question.done, 0);
	rig_hold(&rig->nodes[1], false);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, 0);
}

static void test_tick__falls_silent_while_it_works__is_given_up(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_hold(&rig->nodes[1], true);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &question);
	rig_until(rig, has_clerks, &rig->nodes[1]);
	rig_run(rig, NS_PER_S);
	rig->nodes[1].deaf = true;
	rig_run(rig, 400 * NS_PER_MS);
	assert_int_equal(question.done, 0);
	rig_run(rig, 300 * NS_PER_MS);
	assert_int_equal(question.done, 1);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
}

static void test_tick__deadline__is_late_whoever_is_asked(void **state)
{
	struct rig *rig = *state;

	for (unsigned asked = 0; asked < 2; asked++) {
		struct rig_question question;

		rig_hold(&rig->nodes[asked], true);
		rig_ask_for(&rig->nodes[0], asked, PEER_TOPIC_HOLDINGS, NS_PER_S, &question);
		rig_run(rig, NS_PER_S + 10 * NS_PER_MS);
		assert_int_equal(question.done, 1);
		assert_int_equal(question.inquiry.status, -ETIMEDOUT);
		rig_hold(&rig->nodes[asked], false);
		/* what comes too late hurts nobody */
		rig_until(rig, has_no_services, &rig->nodes[asked]);
	}
}

static void test_tick__no_clerk_has_time__the_answerer_says_late(void **state)
{
	struct rig_question held[INQUIRY_CLERKS_MAX], late;
	struct rig *rig = *state;

	rig_hold(&rig->nodes[1], true);
	for (unsigned i = 0; i < INQUIRY_CLERKS_MAX; i++)
		rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_HOLDINGS, RIG_TIMEOUT_NS, &held[i]);
	rig_until(rig, has_all_clerks, &rig->nodes[1]);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_SUMMARY, 300 * NS_PER_MS, &late);
	rig_await(rig, &late);
	assert_int_equal(late.inquiry.status, -ETIMEDOUT);
	rig_run(rig, 300 * NS_PER_MS);
	assert_int_equal(rig->nodes[1].inquiry->service_count, INQUIRY_CLERKS_MAX);
	rig_hold(&rig->nodes[1], false);
	for (unsigned i = 0; i < INQUIRY_CLERKS_MAX; i++)
		rig_await(rig, &held[i]);
}

static void test_clerks__many_takes__one_is_left_to_the_rest(void **state)
{
	struct rig_question takes[8];
	struct rig *rig = *state;
	struct rig_node *node = &rig->nodes[1];

	node->only_takes = true;
	rig_hold(node, true);
	for (unsigned i = 0; i < ARRAY_COUNT(takes); i++)
		rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &takes[i]);
	rig_until(rig, has_clerks, node);
	check_holdings(rig, 0, 1);
	check_holdings(rig, 2, 1);
	rig_hold(node, false);
	for (unsigned i = 0; i < ARRAY_COUNT(takes); i++) {
		rig_await(rig, &takes[i]);
		assert_int_equal(takes[i].inquiry.status, 0);
	}
	assert_in_range(node->most_takes, 1, INQUIRY_CLERKS_MAX - 1);
}

/* --- limits */

static void test_start__beyond_the_limit__is_busy(void **state)
{
	struct rig_question *questions = calloc(INQUIRIES_MAX + 1, sizeof(*questions)), other;
	struct rig *rig = *state;

	assert_non_null(questions);
	rig_hold(&rig->nodes[1], true);
	for (unsigned i = 0; i <= INQUIRIES_MAX; i++)
		rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &questions[i]);
	assert_int_equal(questions[INQUIRIES_MAX].done, 1);
	assert_int_equal(questions[INQUIRIES_MAX].inquiry.status, -EAGAIN);
	rig_run(rig, 50 * NS_PER_MS);
	assert_int_equal(rig->nodes[1].inquiry->service_count, INQUIRIES_MAX);
	/* the answerer's limit, seen by somebody else */
	rig_ask(&rig->nodes[2], 1, PEER_TOPIC_SUMMARY, &other);
	rig_await(rig, &other);
	assert_int_equal(other.inquiry.status, -EAGAIN);
	assert_non_null(strstr(other.inquiry.problem, "too much"));
	rig_hold(&rig->nodes[1], false);
	for (unsigned i = 0; i < INQUIRIES_MAX; i++) {
		rig_await(rig, &questions[i]);
		assert_int_equal(questions[i].inquiry.status, 0);
	}
	free(questions);
}

/* --- connections */

static void test_down__asker__is_told_and_the_answerer_gives_up(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	rig_hold(&rig->nodes[1], true);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &question);
	rig_until(rig, has_clerks, &rig->nodes[1]);
	loop_cut(rig->network, 0, 1, true);
	loop_cut(rig->network, 1, 0, true);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
	/* still held: it was told, not let go */
	rig_until(rig, has_no_services, &rig->nodes[1]);
	rig_until(rig, has_no_clerks, &rig->nodes[1]);
	assert_int_equal(rig->nodes[1].given_up, 1);
}

static void test_tick__member_is_removed__ends_it(void **state)
{
	struct rig *rig = *state;
	struct member_id id = host_member(1);
	struct rig_question question;

	rig_hold(&rig->nodes[1], true);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &question);
	rig_until(rig, has_clerks, &rig->nodes[1]);
	neighbours_remove(rig->nodes[0].neighbours, &id);
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -EHOSTUNREACH);
}

/* --- the end */

static void test_stop__under_way__ends_all_and_clerks_give_up(void **state)
{
	struct rig_question mine[2], own, theirs, late;
	struct rig *rig = *state;

	rig_hold(&rig->nodes[0], true);
	rig_hold(&rig->nodes[1], true);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &mine[0]);
	rig_ask_for(&rig->nodes[0], 1, PEER_TOPIC_MEASURE, RIG_TIMEOUT_NS, &mine[1]);
	rig_ask_for(&rig->nodes[0], 0, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &own);
	rig_ask_for(&rig->nodes[2], 0, PEER_TOPIC_TAKE, RIG_TIMEOUT_NS, &theirs);
	rig_until(rig, has_services, &rig->nodes[1]);
	rig_until(rig, has_clerks, &rig->nodes[0]);
	inquiry_stop(rig->nodes[0].inquiry);
	assert_int_equal(mine[0].inquiry.status, -ECANCELED);
	assert_true(mine[1].done && own.done);
	assert_int_equal(own.inquiry.status, -ECANCELED);
	/* what comes now is refused */
	rig_ask(&rig->nodes[2], 0, PEER_TOPIC_SUMMARY, &late);
	rig_await(rig, &late);
	assert_int_equal(late.inquiry.status, -EHOSTUNREACH);
	assert_string_equal(late.inquiry.problem, "it stops");
	rig_await(rig, &theirs);
	assert_int_equal(theirs.inquiry.status, -EHOSTUNREACH);
	rig_ask(&rig->nodes[0], 1, PEER_TOPIC_SUMMARY, &late);
	assert_int_equal(late.inquiry.status, -ECANCELED);
	/* the held clerks have ended by themselves */
	rig_node_stop(&rig->nodes[0]);
	assert_true(rig->nodes[0].given_up >= 1);
}

static void test_stop__queued_behind_busy_clerks__are_refused(void **state)
{
	struct rig_question held[INQUIRY_CLERKS_MAX], queued;
	struct rig *rig = *state;

	rig_hold(&rig->nodes[0], true);
	for (unsigned i = 0; i < INQUIRY_CLERKS_MAX; i++)
		rig_ask_for(&rig->nodes[1], 0, PEER_TOPIC_HOLDINGS, RIG_TIMEOUT_NS, &held[i]);
	rig_until(rig, has_all_clerks, &rig->nodes[0]);
	rig_ask_for(&rig->nodes[1], 0, PEER_TOPIC_SUMMARY, RIG_TIMEOUT_NS, &queued);
	rig_run(rig, 50 * NS_PER_MS);
	inquiry_stop(rig->nodes[0].inquiry);
	rig_await(rig, &queued);
	assert_int_equal(queued.inquiry.status, -EHOSTUNREACH);
	rig_hold(&rig->nodes[0], false);
	for (unsigned i = 0; i < INQUIRY_CLERKS_MAX; i++)
		rig_await(rig, &held[i]);
}

/* --- answers that make no sense */

static void ask_scripted(struct rig *rig, struct rig_question *question)
{
	struct rig_node *node = &rig->nodes[1];

	rig_script(node);
	node->asked_count = 0;
	rig_ask(&rig->nodes[0], 1, PEER_TOPIC_HOLDINGS, question);
	rig_until(rig, was_asked, node);
}

static void test_message__another_topics_answer__is_eproto(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	ask_scripted(rig, &question);
	rig_report(&rig->nodes[1], (struct peer_report){ .request = rig->nodes[1].asked.request,
							 .form = PEER_REPORT_DONE,
							 .topic = PEER_TOPIC_TAKE });
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -EPROTO);
}

static void test_message__another_request__is_not_heard(void **state)
{
	struct rig *rig = *state;
	struct rig_question question;

	ask_scripted(rig, &question);
	rig_report(&rig->nodes[1], (struct peer_report){ .request = 4711,
							 .form = PEER_REPORT_DONE,
							 .topic = PEER_TOPIC_HOLDINGS });
	rig_run(rig, 100 * NS_PER_MS);
	assert_int_equal(question.done, 0);
	rig_report(&rig->nodes[1], (struct peer_report){ .request = rig->nodes[1].asked.request,
							 .form = PEER_REPORT_FAILED,
							 .why = PEER_DENIED,
							 .problem = "not to you" });
	rig_await(rig, &question);
	assert_int_equal(question.inquiry.status, -EACCES);
	assert_string_equal(question.inquiry.problem, "not to you");
	/* twice is too late */
	rig_report(&rig->nodes[1], (struct peer_report){ .request = rig->nodes[1].asked.request,
							 .form = PEER_REPORT_WORKING });
	rig_run(rig, 100 * NS_PER_MS);
	assert_int_equal(question.done, 1);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_start__summary__of_another_and_of_itself),
		WITH_RIG(test_start__holdings__of_another_and_of_itself),
		WITH_RIG(test_start__take__of_another_and_of_itself),
		WITH_RIG(test_start__measure__reads_from_the_third),
		WITH_RIG(test_start__measure_of_itself__is_refused),
		WITH_RIG(test_start__answer_is_an_error__is_told),
		WITH_RIG(test_start__not_known__says_so),
		WITH_RIG(test_start__time_is_over__says_so),
		WITH_RIG(test_start__breaker_is_open__is_spared),
		WITH_RIG(test_start__member_is_stopped__is_silent),
		WITH_RIG(test_tick__works_for_long__says_so_and_is_waited_for),
		WITH_RIG(test_tick__falls_silent_while_it_works__is_given_up),
		WITH_RIG(test_tick__deadline__is_late_whoever_is_asked),
		WITH_RIG(test_tick__no_clerk_has_time__the_answerer_says_late),
		WITH_RIG(test_clerks__many_takes__one_is_left_to_the_rest),
		WITH_RIG(test_start__beyond_the_limit__is_busy),
		WITH_RIG(test_down__asker__is_told_and_the_answerer_gives_up),
		WITH_RIG(test_tick__member_is_removed__ends_it),
		WITH_RIG(test_stop__under_way__ends_all_and_clerks_give_up),
		WITH_RIG(test_stop__queued_behind_busy_clerks__are_refused),
		WITH_RIG(test_message__another_topics_answer__is_eproto),
		WITH_RIG(test_message__another_request__is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
