/* greeting.c - a greeter's life, and its poll. The two sides are in served.c and started.c. */
#include "fabric/auth/greeting.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "fabric/auth/greeter.h"

#define EVENTS_MAX 64

int greeter_create(const struct identity *identity, const struct clock *clock,
		   struct proofs *proofs, const struct greeter_events *events,
		   struct greeter **out_greeter)
{
	struct greeter *greeter = calloc(1, sizeof(*greeter));

	if (!greeter)
		return -ENOMEM;
	greeter->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (greeter->epoll_fd < 0) {
		int error = -errno;

		free(greeter);
		return error;
	}
	greeter->identity = identity;
	greeter->clock = clock;
	greeter->proofs = proofs;
	greeter->events = *events;
	greeter->listener = -1;
	greeter->listener_source = SOURCE_LISTENER;
	greeter->resume_ns = CLOCK_NEVER;
	TAILQ_INIT(&greeter->started);
	TAILQ_INIT(&greeter->over);
	*out_greeter = greeter;
	return 0;
}

void greeter_destroy(struct greeter *greeter)
{
	if (!greeter)
		return;
	CHECK(!greeter->polling);
	served_close_all(greeter);
	started_close_all(greeter);
	close(greeter->epoll_fd);
	free(greeter->served);
	free(greeter);
}

int greeter_fd(const struct greeter *greeter)
{
	return greeter->epoll_fd;
}

uint64_t greeter_next_ns(const struct greeter *greeter)
{
	uint64_t served_ns = served_next_ns(greeter), started_ns = started_next_ns(greeter);

	return served_ns < started_ns ? served_ns : started_ns;
}

/* Return: whether it is the listener's, which comes last: a place that becomes free in this round
   is not given away while events of its former connection are still to come. */
static bool handle(struct greeter *greeter, enum source *source)
{
	struct greeting *greeting;

	switch (*source) {
	case SOURCE_LISTENER:
		return true;
	case SOURCE_SERVED:
		served_move(greeter, CONTAINER_OF(source, struct served, source));
		break;
	case SOURCE_STARTED:
		greeting = CONTAINER_OF(source, struct greeting, source);
		if (!greeting->over)
			started_move(greeting);
		break;
	}
	return false;
}

int greeter_poll(struct greeter *greeter)
{
	struct epoll_event events[EVENTS_MAX];
	bool accepting = false;
	uint64_t now_ns;
	int count, moved;

	CHECK(!greeter->polling);
	if (greeter->listener < 0 && !greeter->started_count)
		return 0;
	greeter->polling = true;
	count = epoll_wait(greeter->epoll_fd, events, EVENTS_MAX, 0);
	if (count < 0)
		count = 0; /* EINTR */
	for (int i = 0; i < count; i++)
		accepting |= handle(greeter, events[i].data.ptr);
	if (accepting)
		served_accept(greeter);
	now_ns = clock_now_ns(greeter->clock);
	moved = count + served_expire(greeter, now_ns) + started_expire(greeter, now_ns);
	started_free_over(greeter);
	greeter->polling = false;
	return moved;
}
