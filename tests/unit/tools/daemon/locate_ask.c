/*
 * Tests of tools/daemon/locate_ask.h: members that answer in any order, from another thread or
 * inside the call, or never.
 */
#include "tools/daemon/locate_ask.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/thread.h"

#define MEMBERS 200

enum manner {
	AT_ONCE, /* inside the call */
	LATER,	 /* by a thread, the last one first */
	SILENT,	 /* once it is told to stop, as peers_stop() does */
};

TAILQ_HEAD(inquiries, peers_inquiry);

struct peers_fake {
	enum manner manner;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct inquiries waiting; /* guarded by lock, with all below */
	unsigned under_way, under_way_max, asked;
	bool stops, ends;
	_Atomic unsigned told;	   /* the last number */
	unsigned stop_at;	   /* tell() says stop from that number on */
	struct clock_manual clock; /* deadlines are by it */
};

static unsigned number_of(const struct member_id *id)
{
	unsigned number;

	memcpy(&number, id->bytes, sizeof(number));
	return number;
}

/* Each member says something else; every tenth that it cannot. */
static void answer(struct peers_inquiry *inquiry, int status)
{
	unsigned number = number_of(&inquiry->member);

	assert_int_equal(inquiry->asked.topic, PEER_TOPIC_HOLDINGS);
	assert_string_equal(inquiry->asked.version.key, "key");
	inquiry->status = status ? status : number % 10 == 9 ? -EHOSTUNREACH : 0;
	inquiry->problem[0] = '\0';
	if (inquiry->status == -EHOSTUNREACH && number % 20 == 9)
		snprintf(inquiry->problem, sizeof(inquiry->problem), "%u is silent", number);
	inquiry->report.holdings = (struct peer_holdings){
		.memory = number, .ssd = number + 1, .owned = number + 2, .replicas = number + 3
	};
	inquiry->done(inquiry);
}

static void ask(void *context, struct peers_inquiry *inquiry)
{
	struct peers_fake *fake = context;

	assert_int_equal(inquiry->deadline_ns, clock_now_ns(&fake->clock.clock) + LOCATE_ASK_NS);
	if (fake->manner == AT_ONCE) {
		fake->asked++;
		answer(inquiry, 0);
		return;
	}
	pthread_mutex_lock(&fake->lock);
	TAILQ_INSERT_HEAD(&fake->waiting, inquiry, p.link);
	fake->asked++;
	if (++fake->under_way > fake->under_way_max)
		fake->under_way_max = fake->under_way;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static bool tell(void *context, unsigned done)
{
	struct peers_fake *fake = context;
	bool stop = done >= fake->stop_at;

	atomic_store(&fake->told, done);
	pthread_mutex_lock(&fake->lock);
	fake->stops = fake->stops || stop;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
	return !stop;
}

static void *fake_main(void *argument)
{
	struct peers_fake *fake = argument;

	pthread_mutex_lock(&fake->lock);
	while (!fake->ends) {
		struct peers_inquiry *inquiry = TAILQ_FIRST(&fake->waiting);
		int status = fake->manner == SILENT ? -ECANCELED : 0;

		if (!inquiry || (fake->manner == SILENT && !fake->stops)) {
			pthread_cond_wait(&fake->changed, &fake->lock);
			continue;
		}
		TAILQ_REMOVE(&fake->waiting, inquiry, p.link);
		fake->under_way--;
		pthread_mutex_unlock(&fake->lock);
		answer(inquiry, status);
		pthread_mutex_lock(&fake->lock);
	}
	pthread_mutex_unlock(&fake->lock);
	return NULL;
}

static void run(struct peers_fake *fake, struct locate_answer *answers, unsigned count)
{
	struct locate_asking asking = { .clock = &fake->clock.clock,
					.version = { .key = "key" },
					.context = fake,
					.ask = ask,
					.tell = tell };
	pthread_t thread;

	clock_manual_init(&fake->clock, NS_PER_S, 0);
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->changed, NULL);
	TAILQ_INIT(&fake->waiting);
	memset(answers, 0, count * sizeof(*answers));
	for (unsigned i = 0; i < count; i++)
		memcpy(answers[i].member.bytes, &i, sizeof(i));
	assert_int_equal(thread_start(&thread, "fake-peers", fake_main, fake), 0);
	assert_int_equal(locate_ask(&asking, answers, count), 0);
	pthread_mutex_lock(&fake->lock);
	assert_int_equal(fake->under_way, 0);
	fake->ends = true;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->lock);
}

static void check(const struct locate_answer *heard, unsigned number)
{
	char silent[32];

	snprintf(silent, sizeof(silent), "%u is silent", number);
	if (number % 10 == 9) {
		assert_int_equal(heard->status, -EHOSTUNREACH);
		if (number % 20 == 9)
			assert_string_equal(heard->problem, silent);
		else /* a text there is always */
			assert_non_null(strstr(heard->problem, "EHOSTUNREACH"));
		return;
	}
	assert_int_equal(heard->status, 0);
	assert_int_equal(heard->holdings.memory, number);
	assert_int_equal(heard->holdings.ssd, number + 1);
	assert_int_equal(heard->holdings.owned, number + 2);
	assert_int_equal(heard->holdings.replicas, number + 3);
}

static void test_ask__many_members__each_answer_is_its_own(void **state)
{
	static const struct {
		enum manner manner;
		unsigned count;
	} rows[] = { { AT_ONCE, 0 }, { AT_ONCE, 1 },	{ AT_ONCE, MEMBERS },
		     { LATER, 0 },   { LATER, 1 },	{ LATER, LOCATE_ASKED_AT_ONCE },
		     { LATER, 33 },  { LATER, MEMBERS } };
	static struct locate_answer answers[MEMBERS];

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct peers_fake fake = { .manner = rows[i].manner, .stop_at = UINT32_MAX };

		run(&fake, answers, rows[i].count);
		assert_int_equal(fake.asked, rows[i].count);
		assert_int_equal(atomic_load(&fake.told), rows[i].count);
		assert_true(fake.under_way_max <= LOCATE_ASKED_AT_ONCE);
		for (unsigned j = 0; j < rows[i].count; j++)
			check(&answers[j], j);
	}
}

static void test_ask__told_to_stop__asks_no_more_and_waits_for_those_asked(void **state)
{
	static struct locate_answer answers[MEMBERS];
	struct peers_fake fake = { .manner = SILENT, .stop_at = 0 };

	(void)state;
	run(&fake, answers, MEMBERS);
	assert_int_equal(fake.asked, LOCATE_ASKED_AT_ONCE);
	for (unsigned i = 0; i < MEMBERS; i++) {
		assert_int_equal(answers[i].status, -ECANCELED);
		assert_true(answers[i].problem[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask__many_members__each_answer_is_its_own),
		cmocka_unit_test(test_ask__told_to_stop__asks_no_more_and_waits_for_those_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
