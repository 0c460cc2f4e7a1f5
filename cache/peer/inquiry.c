/*
 * inquiry.c - up and down, and what is due. Both sides keep a list and one time at which somebody
 * has to look through both of them: there are few, and mostly none.
 */
#include "cache/peer/inquiry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/peer/inquiry_inside.h"

int inquiry_create(const struct inquiry_setup *setup, struct inquiry **out_inquiry)
{
	struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

	if (!inquiry)
		return -ENOMEM;
	inquiry->setup = *setup;
	inquiry->due_ns = CLOCK_NEVER;
	TAILQ_INIT(&inquiry->asked);
	TAILQ_INIT(&inquiry->services);
	clerks_init(&inquiry->clerks);
	*out_inquiry = inquiry;
	return 0;
}

void inquiry_stop(struct inquiry *inquiry)
{
	if (inquiry->stopped)
		return;
	inquiry->stopped = true;
	asking_stop(inquiry);
	service_stop(inquiry);
}

bool inquiry_is_idle(const struct inquiry *inquiry)
{
	return TAILQ_EMPTY(&inquiry->asked) && TAILQ_EMPTY(&inquiry->services);
}

void inquiry_destroy(struct inquiry *inquiry)
{
	if (!inquiry)
		return;
	CHECK(inquiry_is_idle(inquiry));
	clerks_fini(&inquiry->clerks);
	free(inquiry);
}

void inquiry_message(struct inquiry *inquiry, struct transport_peer *from,
		     const struct peer_message *message)
{
	if (message->kind == PEER_INQUIRE)
		service_begin(inquiry, from, &message->inquire);
	else
		asking_report(inquiry, from, &message->report);
}

void inquiry_down(struct inquiry *inquiry, struct transport_peer *peer)
{
	asking_down(inquiry, peer);
	service_down(inquiry, peer);
}

static void clerks_look(struct inquiry *inquiry)
{
	struct service_queue done;
	struct service *service;

	if (!atomic_exchange(&inquiry->has_done, false))
		return;
	clerks_collect(&inquiry->clerks, &done);
	while ((service = STAILQ_FIRST(&done))) {
		STAILQ_REMOVE_HEAD(&done, queued);
		service_clerk_done(service);
	}
}

uint64_t inquiry_tick(struct inquiry *inquiry)
{
	uint64_t now_ns;

	clerks_look(inquiry);
	if (inquiry->due_ns == CLOCK_NEVER)
		return CLOCK_NEVER;
	now_ns = inquiry_now(inquiry);
	if (inquiry->due_ns > now_ns)
		return inquiry->due_ns;
	inquiry->due_ns = CLOCK_NEVER;
	asking_look(inquiry, now_ns);
	service_look(inquiry, now_ns);
	return inquiry->due_ns;
}
