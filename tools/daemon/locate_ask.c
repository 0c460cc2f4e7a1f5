/*
 * locate_ask.c - LOCATE_ASKED_AT_ONCE places; who has answered gives its place to the next.
 */
#include "tools/daemon/locate_ask.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/thread.h"

#define TELL_NS (100 * NS_PER_MS)

struct asks;

struct place {
	struct peers_inquiry inquiry;
	struct asks *asks;
	struct locate_answer *answer;
	bool busy; /* guarded by asks->lock */
};

struct asks {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned busy, done; /* guarded by lock */
	struct place places[LOCATE_ASKED_AT_ONCE];
};

static void answer_take(struct locate_answer *answer, const struct peers_inquiry *inquiry)
{
	answer->status = inquiry->status;
	if (inquiry->status == 0)
		answer->holdings = inquiry->report.holdings;
	else
		snprintf(answer->problem, sizeof(answer->problem), "%s",
			 inquiry->problem[0] ? inquiry->problem : error_text(inquiry->status));
}

/* On the peers' thread. */
static void inquiry_done(struct peers_inquiry *inquiry)
{
	struct place *place = CONTAINER_OF(inquiry, struct place, inquiry);
	struct asks *asks = place->asks;

	pthread_mutex_lock(&asks->lock);
	answer_take(place->answer, inquiry);
	place->busy = false;
	asks->busy--;
	asks->done++;
	pthread_cond_broadcast(&asks->changed);
	pthread_mutex_unlock(&asks->lock);
}

/* NULL: all are taken. */
static struct place *place_take(struct asks *asks)
{
	struct place *place = NULL;

	pthread_mutex_lock(&asks->lock);
	for (unsigned i = 0; i < LOCATE_ASKED_AT_ONCE && !place; i++)
		if (!asks->places[i].busy)
			place = &asks->places[i];
	if (place) {
		place->busy = true;
		asks->busy++;
	}
	pthread_mutex_unlock(&asks->lock);
	return place;
}

/* Without the lock: done() may run inside the call. */
static void place_start(const struct locate_asking *asking, struct asks *asks, struct place *place,
			struct locate_answer *answer)
{
	place->asks = asks;
	place->answer = answer;
	place->inquiry = (struct peers_inquiry){
		.member = answer->member,
		.asked = { .topic = PEER_TOPIC_HOLDINGS, .version = asking->version },
		.deadline_ns = clock_after_ns(clock_now_ns(asking->clock), LOCATE_ASK_NS),
		.done = inquiry_done,
	};
	asking->ask(asking->context, &place->inquiry);
}

/* A moment, or until one has ended that was not told yet. Return: how many have. */
static unsigned moment_wait(struct asks *asks, unsigned told)
{
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), TELL_NS);
	unsigned done;

	pthread_mutex_lock(&asks->lock);
	while (asks->done == told)
		if (thread_cond_wait_until(&asks->changed, &asks->lock, until_ns) == -ETIMEDOUT)
			break;
	done = asks->done;
	pthread_mutex_unlock(&asks->lock);
	return done;
}

/* Return: how many were asked. */
static unsigned ask_all(const struct locate_asking *asking, struct asks *asks,
			struct locate_answer *answers, unsigned count)
{
	unsigned asked = 0, done = 0;
	bool goes_on = true;

	while (goes_on ? done < count : done < asked) {
		struct place *place = goes_on && asked < count ? place_take(asks) : NULL;

		if (place) {
			place_start(asking, asks, place, &answers[asked++]);
			continue;
		}
		done = moment_wait(asks, done);
		goes_on = asking->tell(asking->context, done) && goes_on;
	}
	return asked;
}

int locate_ask(const struct locate_asking *asking, struct locate_answer *answers, unsigned count)
{
	struct asks *asks = calloc(1, sizeof(*asks));

	if (!asks)
		return -ENOMEM;
	pthread_mutex_init(&asks->lock, NULL);
	thread_cond_init(&asks->changed);
	for (unsigned i = ask_all(asking, asks, answers, count); i < count; i++) {
		answers[i].status = -ECANCELED;
		snprintf(answers[i].problem, sizeof(answers[i].problem), "not asked any more");
	}
	pthread_cond_destroy(&asks->changed);
	pthread_mutex_destroy(&asks->lock);
	free(asks);
	return 0;
}
