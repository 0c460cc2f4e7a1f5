/*
 * transport.c - a transport as a whole: opened, polled, waited for, closed; and what a backend may
 * ask of it.
 *
 * The clock is read seldom: on some machines that costs as much as a poll. A poll that found
 * something looks at it only when a read is begun, and a look at deadlines, handshakes and queues
 * (housekeep()) is taken by polls that found nothing, and by one in BUSY_POLLS_MAX others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "fabric/transport/front.h"

#define BUSY_POLLS_MAX	32
#define SLEEP_MS_MAX	3600000
#define GREETER_LOOK_NS UINT64_C(50000) /* its poll is a system call */

uint64_t transport_now(struct transport *transport)
{
	if (!transport->polling)
		return clock_now_ns(transport->environment.clock);
	if (!transport->now_known) {
		transport->now_ns = clock_now_ns(transport->environment.clock);
		transport->now_known = true;
	}
	return transport->now_ns;
}

static int watch(struct transport *transport, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(transport->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_descriptors(struct transport *transport, char *problem, size_t problem_size)
{
	int error;

	transport->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	transport->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (transport->epoll_fd < 0 || transport->wake_fd < 0)
		error = -errno;
	else
		error = watch(transport, transport->wake_fd);
	if (error)
		snprintf(problem, problem_size,
			 "no descriptor for the transport's own use: %s; raise RLIMIT_NOFILE",
			 error_text(error));
	return error;
}

static void close_descriptors(struct transport *transport)
{
	if (transport->epoll_fd >= 0)
		close(transport->epoll_fd);
	if (transport->wake_fd >= 0)
		close(transport->wake_fd);
}

/* Who it was and why is in the greeter's log. */
static void greeting_refused(void *context, const struct address *from, int status,
			     const char *problem, int foreign)
{
	(void)from;
	(void)status;
	(void)problem;
	transport_refused(context, foreign);
}

static int make_greeter(struct transport *transport, char *problem, size_t problem_size)
{
	const struct greeter_events events = { .context = transport, .refused = greeting_refused };
	const struct transport_environment *environment = &transport->environment;
	int error;

	if (!transport->ops->greets)
		return 0;
	error = greeter_create(environment->identity, environment->clock, &transport->proofs,
			       &events, &transport->greeter);
	if (!error)
		error = watch(transport, greeter_fd(transport->greeter));
	if (error)
		snprintf(problem, problem_size, "cannot prepare handshakes: %s", error_text(error));
	return error;
}

static int watch_backend(struct transport *transport, char *problem, size_t problem_size)
{
	int fd = transport->ops->event_fd(transport->backend);
	int error = fd < 0 ? 0 : watch(transport, fd);

	if (error)
		snprintf(problem, problem_size, "cannot wait for the device's events: %s",
			 error_text(error));
	return error;
}

static struct transport *new_transport(const struct transport_environment *environment)
{
	struct transport *transport = calloc(1, sizeof(*transport));

	if (!transport)
		return NULL;
	transport->environment = *environment;
	transport->epoll_fd = transport->wake_fd = -1;
	transport->peers_timer_ns = CLOCK_NEVER;
	random_init(&transport->random, environment->seed);
	TAILQ_INIT(&transport->active);
	TAILQ_INIT(&transport->passive);
	TAILQ_INIT(&transport->queued);
	TAILQ_INIT(&transport->read_expiries);
	TAILQ_INIT(&transport->ended_reads);
	TAILQ_INIT(&transport->message_deadlines);
	TAILQ_INIT(&transport->ended_messages);
	return transport;
}

/* What is left when there is no backend (any more). */
static void free_transport(struct transport *transport)
{
	greeter_destroy(transport->greeter);
	close_descriptors(transport);
	option_free(&transport_options, &transport->config);
	free(transport);
}

int transport_open_with(const struct transport_ops *ops, void *argument,
			const struct transport_config *config,
			const struct transport_environment *environment,
			struct transport **out_transport, char *problem, size_t problem_size)
{
	struct transport *transport = new_transport(environment);
	int error = -ENOMEM;

	if (transport)
		error = config_copy(config, &transport->config);
	if (error) {
		snprintf(problem, problem_size, "no memory for a transport");
		free(transport);
		return error;
	}
	transport->ops = ops;
	transport->open_argument = argument;
	error = open_descriptors(transport, problem, problem_size);
	if (error)
		goto free_transport;
	error = choose_open(transport, problem, problem_size);
	if (error)
		goto free_transport;
	error = watch_backend(transport, problem, problem_size);
	if (error)
		goto close_backend;
	error = make_greeter(transport, problem, problem_size);
	if (error)
		goto close_backend;
	*out_transport = transport;
	return 0;

close_backend:
	transport->ops->close(transport->backend);
free_transport:
	free_transport(transport);
	return error;
}

int transport_open(const struct transport_config *config,
		   const struct transport_environment *environment,
		   struct transport **out_transport, char *problem, size_t problem_size)
{
	CHECK(config->kind != TRANSPORT_LOOP);
	return transport_open_with(NULL, NULL, config, environment, out_transport, problem,
				   problem_size);
}

void transport_close(struct transport *transport)
{
	if (!transport)
		return;
	CHECK(!transport->polling);
	transport->polling = transport->closing = true;
	transport->now_known = false;
	greeter_destroy(transport->greeter);
	transport->greeter = NULL;
	peers_cancel(transport);
	transport->ops->close(transport->backend);
	reads_call_ended(transport);
	messages_call_ended(transport);
	CHECK(!transport->reads);
	peers_free(transport);
	regions_free(transport);
	transport_publish_counts(transport);
	free_transport(transport);
}

enum transport_kind transport_kind(const struct transport *transport)
{
	return transport->ops->kind;
}

const char *transport_text(const struct transport *transport)
{
	return transport->text;
}

int transport_listen(struct transport *transport, struct address *out_address, char *problem,
		     size_t problem_size)
{
	const struct transport_ops *ops = transport->ops;
	uint8_t offer[TRANSPORT_OFFER_MAX];
	struct address address;
	int offer_len, error;

	error = address_parse(transport->config.listen, TRANSPORT_PORT, &address, problem,
			      problem_size);
	if (error)
		return error;
	offer_len = ops->listen(transport->backend, &address, offer, problem, problem_size);
	if (offer_len < 0)
		return offer_len;
	if (!transport->greeter) {
		*out_address = address;
		return 0;
	}
	return greeter_listen(transport->greeter, &address, (int)ops->kind, offer,
			      (size_t)offer_len, out_address, problem, problem_size);
}

void transport_refused(struct transport *transport, bool foreign)
{
	transport_count(transport, foreign ? TRANSPORT_FOREIGN : TRANSPORT_REFUSALS, 1);
}

static int progress_greeter(struct transport *transport, uint64_t now_ns)
{
	if (!transport->greeter || now_ns < transport->greeter_at_ns)
		return 0;
	transport->greeter_at_ns = now_ns + GREETER_LOOK_NS;
	return greeter_poll(transport->greeter);
}

static int housekeep(struct transport *transport)
{
	uint64_t now_ns = transport_now(transport);
	int count = progress_greeter(transport, now_ns);

	transport->busy_polls = 0;
	count += reads_expire(transport, now_ns);
	count += messages_expire(transport, now_ns);
	peers_progress(transport);
	return count;
}

int transport_poll(struct transport *transport)
{
	int count;

	CHECK(!transport->polling);
	transport->polling = true;
	transport->now_known = false;
	count = transport->ops->poll(transport->backend);
	if (!count || !TAILQ_EMPTY(&transport->queued) || ++transport->busy_polls >= BUSY_POLLS_MAX)
		count += housekeep(transport);
	if (!TAILQ_EMPTY(&transport->ended_reads))
		count += reads_call_ended(transport);
	if (!TAILQ_EMPTY(&transport->ended_messages))
		count += messages_call_ended(transport);
	if (transport->reap)
		peers_reap(transport);
	transport_publish_counts(transport);
	transport->polling = false;
	return count;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* When transport_poll() has something to do even if no descriptor says so. */
static uint64_t next_ns(const struct transport *transport, uint64_t until_ns)
{
	const struct transport_read *read = TAILQ_FIRST(&transport->read_expiries);
	const struct transport_message *message = TAILQ_FIRST(&transport->message_deadlines);
	uint64_t next = earlier(until_ns, transport->peers_timer_ns);

	if (read)
		next = earlier(next, read->expires_ns);
	if (message)
		next = earlier(next, message->deadline_ns);
	if (transport->greeter)
		next = earlier(next, greeter_next_ns(transport->greeter));
	return earlier(next, transport->ops->next_ns(transport->backend));
}

/* In epoll's milliseconds, rounded up: waking early would make a busy loop of the last one. */
static int timeout_ms(uint64_t now_ns, uint64_t next)
{
	uint64_t ms = next <= now_ns ? 0 : (next - now_ns - 1) / NS_PER_MS + 1;

	if (next == CLOCK_NEVER)
		return -1;
	return ms > SLEEP_MS_MAX ? SLEEP_MS_MAX : (int)ms;
}

/* Until a descriptor, the time, or transport_wake(). */
static void sleep_until(struct transport *transport, uint64_t now_ns, uint64_t until_ns)
{
	struct epoll_event events[4];
	uint64_t wakes;

	if (transport->ops->arm(transport->backend) == -EAGAIN)
		return;
	/* Whoever wakes sets woken, then looks at asleep; we the other way round: one of us sees
	   the other. */
	atomic_store(&transport->asleep, true);
	if (!atomic_load(&transport->woken))
		epoll_wait(transport->epoll_fd, events, ARRAY_COUNT(events),
			   timeout_ms(now_ns, next_ns(transport, until_ns)));
	atomic_store(&transport->asleep, false);
	while (read(transport->wake_fd, &wakes, sizeof(wakes)) > 0)
		;
	transport->greeter_at_ns = 0;
}

static bool take_wake(struct transport *transport)
{
	return atomic_load_explicit(&transport->woken, memory_order_relaxed) &&
	       atomic_exchange(&transport->woken, false);
}

int transport_wait(struct transport *transport, uint64_t until_ns)
{
	for (;;) {
		int count = transport_poll(transport);
		uint64_t now_ns;

		if (count || take_wake(transport)) {
			transport->idle_since_ns = 0;
			return count;
		}
		now_ns = transport->now_ns; /* a poll that found nothing has looked */
		if (now_ns >= until_ns)
			return 0;
		if (!transport->idle_since_ns)
			transport->idle_since_ns = now_ns;
		if (now_ns - transport->idle_since_ns >= transport->config.busy_poll)
			sleep_until(transport, now_ns, until_ns);
	}
}

void transport_wake(struct transport *transport)
{
	atomic_store(&transport->woken, true);
	if (atomic_load(&transport->asleep)) {
		const uint64_t one = 1;

		/* full means that it is awake already */
		(void)!write(transport->wake_fd, &one, sizeof(one));
	}
}

const struct clock *transport_clock(const struct transport *transport)
{
	return transport->environment.clock;
}

struct random *transport_random(struct transport *transport)
{
	return &transport->random;
}

const struct identity *transport_identity(const struct transport *transport)
{
	return transport->environment.identity;
}

const struct transport_config *transport_config(const struct transport *transport)
{
	return &transport->config;
}
