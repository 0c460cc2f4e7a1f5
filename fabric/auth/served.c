/*
 * served.c - the listener, and the handshakes of those who connect to it.
 *
 *	FREE --> TALKING --> FLUSHING --> FREE                  a proof was agreed
 *	            |            \-----> LINGERING --> FREE     refused by us
 *	            \--> FREE                                   it left, or its time is over
 *
 * Nobody is trusted before his PROOF, so all of it is bounded: how many, how many from one address,
 * how long, and how many bytes. When all places are taken, the oldest that has not said HELLO for
 * SILENCE_NS gives way: opening connections and keeping silent shuts nobody out.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "fabric/auth/greeter.h"

#define ACCEPTS_MAX	 16 /* in one poll: those who are here come first */
#define BACKLOG		 256
#define SAME_ADDRESS_MAX (GREETINGS_SERVED_MAX / 4)
#define SILENCE_NS	 NS_PER_S
#define LINGER_NS	 NS_PER_S
#define DRAINED_MAX	 65536
#define PAUSE_NS	 (100 * NS_PER_MS) /* without descriptors, until we try again */

/* The one place where a refusal of this side ends: it is logged and told. */
static void tell(struct greeter *greeter, const struct address *from, int status, bool foreign,
		 const char *problem)
{
	char text[ADDRESS_TEXT_MAX];

	address_text(from, text);
	if (foreign)
		log_info("auth.foreign", "from=%s problem=\"%s\"", text, problem);
	else
		log_warning("auth.refuse", "from=%s problem=\"%s\"", text, problem);
	if (greeter->events.refused)
		greeter->events.refused(greeter->events.context, from, status, problem, foreign);
}

static void served_close(struct greeter *greeter, struct served *served)
{
	carrier_close(&served->carrier);
	served->state = SERVED_FREE;
	greeter->served_count--;
}

/* Its connection, or its time, ended before the handshake did. */
static void lose(struct greeter *greeter, struct served *served, int status)
{
	const struct handshake *handshake = &served->carrier.handshake;
	bool foreign = handshake->state == HANDSHAKE_WAITS_HELLO;
	bool late = status == -ETIMEDOUT;
	const char *problem;

	if (foreign && !handshake->in_len)
		problem = late ? "it connected and said nothing"
			       : "it connected and left without a word";
	else
		problem = late ? "it did not finish the handshake in time"
			       : "it left in the middle of the handshake";
	tell(greeter, &served->from, status, foreign, problem);
	served_close(greeter, served);
}

static void linger(struct greeter *greeter, struct served *served)
{
	uint64_t until_ns = clock_after_ns(clock_now_ns(greeter->clock), LINGER_NS);

	shutdown(served->carrier.fd, SHUT_WR);
	served->state = SERVED_LINGERING;
	served->drained = 0;
	if (until_ns < served->deadline_ns)
		served->deadline_ns = until_ns;
	carrier_watch(&served->carrier);
}

static void flush(struct greeter *greeter, struct served *served)
{
	const struct handshake *handshake = &served->carrier.handshake;
	int error = carrier_send(&served->carrier);

	if (error == -EAGAIN)
		carrier_watch(&served->carrier);
	else if (error || handshake->state == HANDSHAKE_DONE || handshake->by_other)
		served_close(greeter, served);
	else
		linger(greeter, served);
}

static void drain(struct greeter *greeter, struct served *served)
{
	uint8_t piece[4096];
	ssize_t got = recv(served->carrier.fd, piece, sizeof(piece), 0);

	if (got > 0)
		served->drained += (size_t)got;
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) ||
	    served->drained > DRAINED_MAX)
		served_close(greeter, served);
}

/* The handshake has ended; what there is to say about it was not sent yet. */
static void conclude(struct greeter *greeter, struct served *served)
{
	struct handshake *handshake = &served->carrier.handshake;

	if (handshake->state == HANDSHAKE_DONE &&
	    proofs_add(greeter->proofs, handshake, clock_now_ns(greeter->clock)))
		handshake_refuse(handshake, -EBUSY,
				 "the server is busy: too many connections are about to be made");
	if (handshake->state == HANDSHAKE_REFUSED)
		tell(greeter, &served->from, handshake->status, handshake->foreign,
		     handshake->problem);
	served->state = SERVED_FLUSHING;
	flush(greeter, served);
}

static void talk(struct greeter *greeter, struct served *served)
{
	int status = carrier_receive(&served->carrier);

	if (status > 0) {
		conclude(greeter, served);
		return;
	}
	if (!status) {
		status = carrier_send(&served->carrier);
		if (status == -EAGAIN)
			status = 0;
	}
	if (status)
		lose(greeter, served, status);
	else
		carrier_watch(&served->carrier);
}

void served_move(struct greeter *greeter, struct served *served)
{
	switch (served->state) {
	case SERVED_FREE:
		break;
	case SERVED_TALKING:
		talk(greeter, served);
		break;
	case SERVED_FLUSHING:
		flush(greeter, served);
		break;
	case SERVED_LINGERING:
		drain(greeter, served);
		break;
	}
}

int served_expire(struct greeter *greeter, uint64_t now_ns)
{
	int ended = 0;

	for (unsigned i = 0; i < GREETINGS_SERVED_MAX && greeter->served_count; i++) {
		struct served *served = &greeter->served[i];

		if (served->state == SERVED_FREE || served->deadline_ns > now_ns)
			continue;
		if (served->state == SERVED_TALKING)
			lose(greeter, served, -ETIMEDOUT);
		else
			served_close(greeter, served);
		ended++;
	}
	if (greeter->resume_ns <= now_ns) {
		struct epoll_event event = { .events = EPOLLIN,
					     .data.ptr = &greeter->listener_source };

		greeter->resume_ns = CLOCK_NEVER;
		CHECK(!epoll_ctl(greeter->epoll_fd, EPOLL_CTL_MOD, greeter->listener, &event));
		ended++;
	}
	return ended;
}

uint64_t served_next_ns(const struct greeter *greeter)
{
	uint64_t next_ns = greeter->resume_ns;

	for (unsigned i = 0; i < GREETINGS_SERVED_MAX && greeter->served_count; i++)
		if (greeter->served[i].state != SERVED_FREE &&
		    greeter->served[i].deadline_ns < next_ns)
			next_ns = greeter->served[i].deadline_ns;
	return next_ns;
}

void served_close_all(struct greeter *greeter)
{
	for (unsigned i = 0; i < GREETINGS_SERVED_MAX && greeter->served_count; i++)
		if (greeter->served[i].state != SERVED_FREE)
			served_close(greeter, &greeter->served[i]);
	if (greeter->listener >= 0)
		close(greeter->listener);
	greeter->listener = -1;
}

static bool same_host(struct address a, struct address b)
{
	address_set_port(&a, 0);
	address_set_port(&b, 0);
	return address_equal(&a, &b);
}

static unsigned served_from(const struct greeter *greeter, const struct address *from)
{
	unsigned count = 0;

	for (unsigned i = 0; i < GREETINGS_SERVED_MAX; i++)
		count += greeter->served[i].state != SERVED_FREE &&
			 same_host(greeter->served[i].from, *from);
	return count;
}

/* A free place; else that of the oldest who keeps silent. NULL: none. */
static struct served *find_place(struct greeter *greeter, uint64_t now_ns)
{
	struct served *silent = NULL;

	for (unsigned i = 0; i < GREETINGS_SERVED_MAX; i++) {
		struct served *served = &greeter->served[i];

		if (served->state == SERVED_FREE)
			return served;
		if (served->state == SERVED_TALKING &&
		    served->carrier.handshake.state == HANDSHAKE_WAITS_HELLO &&
		    clock_after_ns(served->since_ns, SILENCE_NS) <= now_ns &&
		    (!silent || served->since_ns < silent->since_ns))
			silent = served;
	}
	if (silent)
		lose(greeter, silent, -ETIMEDOUT);
	return silent;
}

/* Without a place of its own: what can be sent at once is. */
static void turn_away(struct greeter *greeter, int fd, const struct address *from, const char *why)
{
	static const uint8_t no_nonce[HANDSHAKE_NONCE_LEN];
	struct handshake handshake;
	uint8_t hello[HANDSHAKE_MESSAGE_MAX];

	handshake_init_server(&handshake, greeter->identity, no_nonce, 0, NULL, 0);
	handshake_refuse(&handshake, -EBUSY, why);
	send(fd, handshake.out, handshake.out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	recv(fd, hello, sizeof(hello), MSG_DONTWAIT);
	close(fd);
	tell(greeter, from, -EBUSY, false, handshake.problem);
	handshake_fini(&handshake);
}

static void serve(struct greeter *greeter, struct served *served, int fd,
		  const struct address *from, uint64_t now_ns)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN];

	random_bytes(nonce, sizeof(nonce));
	handshake_init_server(&served->carrier.handshake, greeter->identity, nonce, greeter->kind,
			      greeter->offer, greeter->offer_len);
	if (carrier_adopt(&served->carrier, greeter->epoll_fd, fd, &served->source)) {
		carrier_close(&served->carrier);
		return;
	}
	served->source = SOURCE_SERVED;
	served->state = SERVED_TALKING;
	served->from = *from;
	served->since_ns = now_ns;
	served->deadline_ns = clock_after_ns(now_ns, GREETING_PATIENCE_NS);
	greeter->served_count++;
}

static void admit(struct greeter *greeter, int fd, const struct address *from)
{
	uint64_t now_ns = clock_now_ns(greeter->clock);
	struct served *place;

	if (served_from(greeter, from) >= SAME_ADDRESS_MAX) {
		turn_away(greeter, fd, from,
			  "the server is busy: too many handshakes with the client's address");
		return;
	}
	place = find_place(greeter, now_ns);
	if (place)
		serve(greeter, place, fd, from, now_ns);
	else
		turn_away(greeter, fd, from, "the server is busy: too many handshakes");
}

/* No descriptors, or no memory: whoever waits goes on waiting, and the listener would stay readable
   and keep us turning. */
static void pause_accepting(struct greeter *greeter, int error)
{
	struct epoll_event event = { .data.ptr = &greeter->listener_source };

	log_warning("auth.accept", "error=\"%s\"", error_text(error));
	CHECK(!epoll_ctl(greeter->epoll_fd, EPOLL_CTL_MOD, greeter->listener, &event));
	greeter->resume_ns = clock_after_ns(clock_now_ns(greeter->clock), PAUSE_NS);
}

void served_accept(struct greeter *greeter)
{
	for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
		struct address from = { 0 };
		socklen_t len = sizeof(from.storage);
		int fd = accept4(greeter->listener, (struct sockaddr *)&from.storage, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(greeter, fd, &from);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			pause_accepting(greeter, -errno);
			return;
		}
		/* else that one's connection failed: the next */
	}
}

static int listener_open(const struct address *address, struct address *out_address)
{
	int family = address->storage.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(out_address->storage);
	int error;

	if (fd < 0)
		return -errno;
	/* A restarted daemon takes its port back from connections that are still closing. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (family == AF_INET6) /* [::] is every address, IPv4 as well, whatever sysctls say */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	if (bind(fd, (const struct sockaddr *)&address->storage, address_len(address)) == 0 &&
	    listen(fd, BACKLOG) == 0 &&
	    getsockname(fd, (struct sockaddr *)&out_address->storage, &len) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int listener_watch(struct greeter *greeter, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = &greeter->listener_source };
	int error;

	greeter->served = calloc(GREETINGS_SERVED_MAX, sizeof(*greeter->served));
	if (!greeter->served)
		return -ENOMEM;
	if (epoll_ctl(greeter->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	error = -errno;
	free(greeter->served);
	greeter->served = NULL;
	return error;
}

int greeter_listen(struct greeter *greeter, const struct address *address, int kind,
		   const uint8_t *offer, size_t offer_len, struct address *out_address,
		   char *problem, size_t problem_size)
{
	struct address bound = { 0 };
	char text[ADDRESS_TEXT_MAX];
	int fd, error;

	CHECK(greeter->listener < 0 && offer_len <= sizeof(greeter->offer));
	fd = listener_open(address, &bound);
	error = fd < 0 ? fd : listener_watch(greeter, fd);
	if (error) {
		snprintf(problem, problem_size, "cannot listen at %s: %s",
			 address_text(address, text), error_text(error));
		if (fd >= 0)
			close(fd);
		return error;
	}
	greeter->listener = fd;
	greeter->kind = kind;
	if (offer_len)
		memcpy(greeter->offer, offer, offer_len);
	greeter->offer_len = offer_len;
	*out_address = bound;
	return 0;
}
