/*
 * streams.c - the streams there are: opened, accepted, polled, ended in time.
 */
#include "fabric/gossip/stream_inside.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "fabric/gossip/socket.h"

#define EVENTS_MAX  32
#define ACCEPTS_MAX 16		      /* in one poll */
#define PAUSE_NS    (100 * NS_PER_MS) /* without descriptors, until we try again */

/* --- opening */

static void local_tell(struct stream *stream)
{
	const struct stream_events *events = &stream->streams->events;
	struct address local = { 0 };
	socklen_t len = sizeof(local.storage);

	if (!events->connected ||
	    getsockname(stream->fd, (struct sockaddr *)&local.storage, &len) != 0)
		return;
	socket_unmap(&local);
	events->connected(events->context, &local);
}

static void stream_connected(struct stream *stream)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error) {
		stream_end(stream, -error);
		return;
	}
	stream->state = STREAM_GREETING;
	local_tell(stream);
	stream_send(stream);
}

static int socket_begin(const struct address *address, int *out_fd)
{
	int one = 1, error;
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&address->storage, address_len(address)) != 0 &&
	    errno != EINPROGRESS) {
		error = -errno;
		close(fd);
		return error;
	}
	*out_fd = fd;
	return 0;
}

static int stream_prepare(struct stream *stream, const uint8_t *question, size_t len)
{
	uint8_t nonce[32], hello[STREAM_SEAL_HELLO_LEN];
	int error;

	stream->question = malloc(len);
	if (!stream->question)
		return -ENOMEM;
	memcpy(stream->question, question, len);
	stream->question_len = len;
	random_bytes(nonce, sizeof(nonce));
	error = stream_seal_open(&stream->seal, stream->streams->identity, nonce, hello);
	return error ? error : stream_hello(stream, hello);
}

int streams_open(struct streams *streams, const struct address *address, uint64_t timeout_ns,
		 const uint8_t *question, size_t len, stream_done done, void *context)
{
	struct stream *stream;
	int error, fd = -1;

	CHECK(len > 0 && len <= STREAM_MESSAGE_MAX);
	if (streams->opened == STREAMS_OPENED_MAX)
		return -EAGAIN;
	error = socket_begin(address, &fd);
	if (error)
		return error;
	error = stream_make(streams, fd, address, true, &stream);
	if (error) {
		close(fd);
		return error;
	}
	stream->done = done;
	stream->context = context;
	stream->deadline_ns = clock_after_ns(clock_now_ns(streams->clock), timeout_ns);
	error = stream_prepare(stream, question, len);
	if (error) {
		stream_free(stream);
		return error;
	}
	counter_add(streams->counters, MEMBERSHIP_STREAMS_OPENED, 1);
	stream->state = STREAM_CONNECTING;
	stream->rounds = 1;
	stream_watch(stream);
	return 0;
}

int stream_ask(struct stream *stream, const uint8_t *question, size_t len)
{
	int error;

	CHECK(stream->state == STREAM_IDLE && len > 0 && len <= STREAM_MESSAGE_MAX);
	if (++stream->rounds > STREAM_ROUNDS_MAX)
		return -E2BIG;
	error = stream_message(stream, question, len);
	if (error)
		return error;
	stream->state = STREAM_WAITING;
	stream_send(stream);
	return 0;
}

static struct stream *thinking_find(struct streams *streams, uint64_t number)
{
	struct stream *stream;

	LIST_FOREACH (stream, &streams->list, link)
		if (stream->number == number && stream->state == STREAM_THINKING)
			return stream;
	return NULL;
}

int stream_answer(struct streams *streams, uint64_t number, const uint8_t *answer, size_t len)
{
	struct stream *stream = thinking_find(streams, number);
	int error;

	if (!stream)
		return -ENOENT;
	CHECK(len > 0 && len <= STREAM_MESSAGE_MAX);
	error = stream_message(stream, answer, len);
	if (error) {
		stream_end(stream, error);
		return error;
	}
	stream->state = STREAM_WAITING;
	stream_send(stream);
	return 0;
}

/* --- accepting */

static bool accept_has_room(const struct streams *streams, const struct address *from)
{
	const struct stream *stream;
	unsigned same = 0;

	if (streams->accepted >= STREAMS_ACCEPTED_MAX)
		return false;
	LIST_FOREACH (stream, &streams->list, link)
		if (!stream->is_opener && socket_same_host(&stream->address, from))
			same++;
	return same < STREAMS_ADDRESS_MAX;
}

static void accept_refuse(struct streams *streams, int fd, const struct address *from)
{
	uint8_t hello[STREAM_SEAL_HELLO_LEN];

	stream_seal_refuse(streams->identity, STREAM_SEAL_BUSY, hello);
	send(fd, hello, sizeof(hello), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
	if (streams->events.refused)
		streams->events.refused(streams->events.context, from, -EBUSY);
}

static void listener_watch(struct streams *streams, uint32_t events)
{
	struct epoll_event event = { .events = events };

	CHECK(epoll_ctl(streams->epoll, EPOLL_CTL_MOD, streams->listener, &event) == 0);
}

/* No descriptors, or no memory: whoever waits goes on waiting, and the listener would stay readable
 * and keep us turning. */
static void accept_pause(struct streams *streams, int error)
{
	log_warning("gossip.accept", "error=\"%s\"", error_text(error));
	listener_watch(streams, 0);
	streams->resume_ns = clock_after_ns(clock_now_ns(streams->clock), PAUSE_NS);
}

static void accept_resume(struct streams *streams)
{
	if (clock_now_ns(streams->clock) < streams->resume_ns)
		return;
	listener_watch(streams, EPOLLIN);
	streams->resume_ns = CLOCK_NEVER;
}

/* Return: false when nobody can be accepted any more. */
static bool accept_one(struct streams *streams)
{
	struct address from = { 0 };
	socklen_t len = sizeof(from.storage);
	struct stream *stream;
	int one = 1;
	int fd = accept4(streams->listener, (struct sockaddr *)&from.storage, &len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		int error = errno;

		if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
			accept_pause(streams, -error);
		return error == ECONNABORTED || error == EINTR;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	socket_unmap(&from);
	if (!accept_has_room(streams, &from) ||
	    stream_make(streams, fd, &from, false, &stream) != 0) {
		accept_refuse(streams, fd, &from);
		return true;
	}
	counter_add(streams->counters, MEMBERSHIP_STREAMS_ACCEPTED, 1);
	stream->deadline_ns = clock_after_ns(clock_now_ns(streams->clock), STREAM_PATIENCE_NS);
	stream->state = STREAM_GREETING;
	stream_watch(stream);
	local_tell(stream);
	return true;
}

void streams_listen(struct streams *streams, int listener)
{
	struct epoll_event event = { .events = EPOLLIN };

	CHECK(streams->listener < 0);
	streams->listener = listener;
	CHECK(epoll_ctl(streams->epoll, EPOLL_CTL_ADD, listener, &event) == 0);
}

/* --- the whole */

static void ended_sweep(struct streams *streams)
{
	struct stream *stream = LIST_FIRST(&streams->list), *next;

	for (; stream; stream = next) {
		next = LIST_NEXT(stream, link);
		if (stream->state == STREAM_ENDED)
			stream_free(stream);
	}
}

static void stream_handle(struct stream *stream, uint32_t events)
{
	if (stream->state == STREAM_ENDED)
		return;
	if (stream->state == STREAM_CONNECTING) {
		stream_connected(stream);
		return;
	}
	if (events & EPOLLOUT)
		stream_send(stream);
	if (events & EPOLLIN && stream->state != STREAM_ENDED)
		stream_receive(stream);
	else if (events & (EPOLLERR | EPOLLHUP))
		stream_end(stream, -ECONNRESET);
}

/* One who has not proven himself has less time. */
static uint64_t stream_end_ns(const struct stream *stream)
{
	if (stream->is_opener || stream->proven)
		return stream->deadline_ns;
	return stream->deadline_ns - STREAM_PATIENCE_NS + STREAM_PROOF_NS;
}

static void deadlines_check(struct streams *streams)
{
	uint64_t now_ns = clock_now_ns(streams->clock);
	struct stream *stream;

	LIST_FOREACH (stream, &streams->list, link)
		if (stream_end_ns(stream) <= now_ns)
			stream_end(stream, -ETIMEDOUT);
}

void streams_poll(struct streams *streams)
{
	struct epoll_event events[EVENTS_MAX];
	int count;

	if (streams->resume_ns != CLOCK_NEVER)
		accept_resume(streams);
	count = epoll_wait(streams->epoll, events, EVENTS_MAX, 0);
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr) {
			stream_handle(events[i].data.ptr, events[i].events);
			continue;
		}
		for (unsigned n = 0; n < ACCEPTS_MAX && accept_one(streams); n++)
			;
	}
	deadlines_check(streams);
	ended_sweep(streams);
}

uint64_t streams_next_ns(const struct streams *streams)
{
	const struct stream *stream;
	uint64_t next_ns = streams->resume_ns;

	LIST_FOREACH (stream, &streams->list, link)
		if (stream_end_ns(stream) < next_ns)
			next_ns = stream_end_ns(stream);
	return next_ns;
}

int streams_fd(const struct streams *streams)
{
	return streams->epoll;
}

int streams_create(const struct identity *identity, const struct clock *clock,
		   const struct stream_events *events, struct counters *counters,
		   struct streams **out_streams)
{
	struct streams *streams = calloc(1, sizeof(*streams));
	int error;

	if (!streams)
		return -ENOMEM;
	streams->identity = identity;
	streams->clock = clock;
	streams->events = *events;
	streams->counters = counters;
	streams->listener = -1;
	streams->resume_ns = CLOCK_NEVER;
	LIST_INIT(&streams->list);
	streams->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (streams->epoll < 0) {
		error = -errno;
		free(streams);
		return error;
	}
	streams->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	streams->crypto = seal_key_context(streams->cipher);
	if (!streams->crypto) {
		streams_destroy(streams);
		return -ENOMEM;
	}
	*out_streams = streams;
	return 0;
}

void streams_destroy(struct streams *streams)
{
	struct stream *stream;

	if (!streams)
		return;
	while ((stream = LIST_FIRST(&streams->list))) {
		if (stream->is_opener && stream->state != STREAM_ENDED)
			stream->done(stream->context, stream, -ECANCELED, NULL, NULL, 0);
		stream_free(stream);
	}
	if (streams->listener >= 0)
		close(streams->listener);
	close(streams->epoll);
	EVP_CIPHER_CTX_free(streams->crypto);
	EVP_CIPHER_free(streams->cipher);
	free(streams);
}
