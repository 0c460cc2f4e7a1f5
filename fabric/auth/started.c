/*
 * started.c - greetings that we began. Each ends in finish(), or by greeting_cancel(), whichever
 * comes first; until the end of the poll that it ended in, its memory stays for the events that
 * name it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "fabric/auth/greeter.h"

#define PROBLEM_MAX (ADDRESS_TEXT_MAX + HANDSHAKE_PROBLEM_MAX + 64)

static void greeting_free(struct greeting *greeting)
{
	carrier_close(&greeting->carrier);
	free(greeting);
}

static void describe(const struct greeting *greeting, int status, char out[PROBLEM_MAX])
{
	const struct handshake *handshake = &greeting->carrier.handshake;
	char at[ADDRESS_TEXT_MAX];

	address_text(&greeting->address, at);
	if (handshake->state == HANDSHAKE_REFUSED)
		snprintf(out, PROBLEM_MAX, "handshake with %s: %s", at, handshake->problem);
	else if (status == -ENOENT)
		snprintf(out, PROBLEM_MAX, "handshake with %s: this node's key ring has no key",
			 at);
	else if (status == -ECONNREFUSED)
		snprintf(out, PROBLEM_MAX, "nobody listens at %s: does its daemon run?", at);
	else if (status == -ETIMEDOUT && greeting->carrier.connecting)
		snprintf(out, PROBLEM_MAX,
			 "no answer from %s: is the host up, does a firewall drop packets?", at);
	else if (status == -ETIMEDOUT)
		snprintf(out, PROBLEM_MAX,
			 "%s took the connection but did not finish the handshake in time: is it "
			 "a daemon of ours, and not stopped?",
			 at);
	else if (status == -ECONNRESET)
		snprintf(out, PROBLEM_MAX,
			 "%s closed the connection in the middle of the handshake", at);
	else if (status == -EHOSTUNREACH)
		snprintf(out, PROBLEM_MAX,
			 "%s cannot be reached: there is no route, or a firewall forbids it", at);
	else
		snprintf(out, PROBLEM_MAX, "cannot connect to %s: %s", at, error_text(status));
}

/* It is not among the started any more; its socket is closed before anybody is told. */
static void leave(struct greeting *greeting)
{
	struct greeter *greeter = greeting->greeter;

	greeting->over = true;
	TAILQ_REMOVE(&greeter->started, greeting, link);
	greeter->started_count--;
}

static void finish(struct greeting *greeting, int status)
{
	struct handshake handshake = greeting->carrier.handshake;
	char problem[PROBLEM_MAX] = "";

	if (status)
		describe(greeting, status, problem);
	leave(greeting);
	carrier_close(&greeting->carrier);
	TAILQ_INSERT_TAIL(&greeting->greeter->over, greeting, link);
	greeting->done(greeting->context, status, status ? NULL : &handshake, problem);
	handshake_fini(&handshake);
}

/* Return: 0: goes on, or the handshake has ended; else why the connection has. */
static int exchange(struct carrier *carrier)
{
	int status, received;

	status = carrier->connecting ? carrier_connected(carrier) : 0;
	if (!status)
		status = carrier_send(carrier);
	/* Also when the connection is lost: a refusal may have come before. */
	received = carrier_receive(carrier);
	if (received > 0)
		return 0;
	if (received < 0 && (!status || status == -EAGAIN))
		status = received;
	if (!status)
		status = carrier_send(carrier);
	return status == -EAGAIN ? 0 : status;
}

void started_move(struct greeting *greeting)
{
	struct carrier *carrier = &greeting->carrier;
	int status = exchange(carrier);

	if (carrier->handshake.state == HANDSHAKE_DONE) {
		finish(greeting, 0);
	} else if (carrier->handshake.state == HANDSHAKE_REFUSED) {
		carrier_send(carrier); /* as much as goes at once: nobody waits for it */
		finish(greeting, carrier->handshake.status);
	} else if (status) {
		finish(greeting, status);
	} else {
		carrier_watch(carrier);
	}
}

/* Return: one that failed at its start or whose time is over; NULL: none. */
static struct greeting *find_due(const struct greeter *greeter, uint64_t now_ns)
{
	struct greeting *greeting;

	TAILQ_FOREACH (greeting, &greeter->started, link)
		if (greeting->failed || greeting->deadline_ns <= now_ns)
			return greeting;
	return NULL;
}

int started_expire(struct greeter *greeter, uint64_t now_ns)
{
	int ended = 0;

	/* Looked for anew each time: done() may start and cancel others. Not more often than there
	   were greetings, or one that starts anew at each failure would keep us here. */
	for (unsigned n = greeter->started_count; n > 0; n--) {
		struct greeting *greeting = find_due(greeter, now_ns);

		if (!greeting)
			break;
		finish(greeting, greeting->failed ? greeting->failed : -ETIMEDOUT);
		ended++;
	}
	return ended;
}

uint64_t started_next_ns(const struct greeter *greeter)
{
	const struct greeting *greeting = NULL;
	uint64_t next_ns = CLOCK_NEVER;

	TAILQ_FOREACH (greeting, &greeter->started, link) {
		uint64_t due_ns = greeting->failed ? 0 : greeting->deadline_ns;

		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	return next_ns;
}

void started_free_over(struct greeter *greeter)
{
	struct greeting *greeting;

	while ((greeting = TAILQ_FIRST(&greeter->over))) {
		TAILQ_REMOVE(&greeter->over, greeting, link);
		greeting_free(greeting);
	}
}

void started_close_all(struct greeter *greeter)
{
	struct greeting *greeting;

	while ((greeting = TAILQ_FIRST(&greeter->started))) {
		leave(greeting);
		TAILQ_INSERT_TAIL(&greeter->over, greeting, link);
	}
	started_free_over(greeter);
}

/* What is wrong with this node is returned; what is wrong with the way there is told by done(). */
static int begin(struct greeting *greeting, const struct member_id *expected)
{
	struct greeter *greeter = greeting->greeter;
	uint8_t nonce[HANDSHAKE_NONCE_LEN];
	int error;

	greeting->carrier.fd = -1;
	random_bytes(nonce, sizeof(nonce));
	error = handshake_init_client(&greeting->carrier.handshake, greeter->identity, expected,
				      nonce);
	if (!error)
		error = carrier_connect(&greeting->carrier, greeter->epoll_fd, &greeting->address,
					&greeting->source);
	switch (error) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ENOBUFS:
	case -ENOSPC: /* fs.epoll.max_user_watches */
		return error;
	default:
		greeting->failed = error;
		return 0;
	}
}

int greeter_start(struct greeter *greeter, const struct address *address,
		  const struct member_id *expected, uint64_t deadline_ns,
		  void (*done)(void *context, int status, const struct handshake *handshake,
			       const char *problem),
		  void *context, struct greeting **out_greeting)
{
	struct greeting *greeting;
	int error;

	if (greeter->started_count == GREETINGS_STARTED_MAX)
		return -EAGAIN;
	greeting = calloc(1, sizeof(*greeting));
	if (!greeting)
		return -ENOMEM;
	greeting->source = SOURCE_STARTED;
	greeting->greeter = greeter;
	greeting->address = *address;
	greeting->deadline_ns = deadline_ns;
	greeting->done = done;
	greeting->context = context;
	error = begin(greeting, expected);
	if (error) {
		greeting_free(greeting);
		return error;
	}
	TAILQ_INSERT_TAIL(&greeter->started, greeting, link);
	greeter->started_count++;
	*out_greeting = greeting;
	return 0;
}

void greeting_cancel(struct greeting *greeting)
{
	struct greeter *greeter = greeting->greeter;

	CHECK(!greeting->over);
	leave(greeting);
	carrier_close(&greeting->carrier);
	TAILQ_INSERT_TAIL(&greeter->over, greeting, link);
	if (!greeter->polling)
		started_free_over(greeter);
}
