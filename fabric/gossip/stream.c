/*
 * stream.c - what goes over one stream: HELLOs, then messages in records.
 */
#include "fabric/gossip/stream_inside.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"

#define READS_MAX	8 /* of one stream in one poll */
#define MESSAGE_LEN_LEN 4 /* a message begins with its length */

/* A key may travel in it. */
static void wiped_free(uint8_t *data, size_t len)
{
	if (data)
		OPENSSL_cleanse(data, len);
	free(data);
}

void stream_free(struct stream *stream)
{
	struct streams *streams = stream->streams;

	LIST_REMOVE(stream, link);
	if (stream->is_opener)
		streams->opened--;
	else
		streams->accepted--;
	close(stream->fd);
	wiped_free(stream->question, stream->question_len);
	wiped_free(stream->message, stream->message_room);
	free(stream->out);
	stream_seal_wipe(&stream->seal);
	free(stream);
}

/* What epoll is to look for. */
void stream_watch(struct stream *stream)
{
	struct epoll_event event = { .data.ptr = stream };

	if (stream->state != STREAM_THINKING && stream->state != STREAM_CONNECTING)
		event.events |= EPOLLIN;
	if (stream->state == STREAM_CONNECTING || stream->out_sent < stream->out_len)
		event.events |= EPOLLOUT;
	if (event.events == stream->interest)
		return;
	stream->interest = event.events;
	CHECK(epoll_ctl(stream->streams->epoll, EPOLL_CTL_MOD, stream->fd, &event) == 0);
}

int stream_make(struct streams *streams, int fd, const struct address *address, bool is_opener,
		struct stream **out_stream)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct epoll_event event = { .data.ptr = stream };

	if (!stream)
		return -ENOMEM;
	stream->streams = streams;
	stream->fd = fd;
	stream->address = *address;
	stream->is_opener = is_opener;
	stream->number = ++streams->last_number;
	if (epoll_ctl(streams->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		free(stream);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&streams->list, stream, link);
	if (is_opener)
		streams->opened++;
	else
		streams->accepted++;
	*out_stream = stream;
	return 0;
}

/* --- out */

static int out_reserve(struct stream *stream, size_t len, uint8_t **out_at)
{
	uint8_t *out;

	if (stream->out_sent == stream->out_len)
		stream->out_sent = stream->out_len = 0;
	out = realloc(stream->out, stream->out_len + len);
	if (!out)
		return -ENOMEM;
	stream->out = out;
	*out_at = out + stream->out_len;
	return 0;
}

int stream_hello(struct stream *stream, const uint8_t *hello)
{
	uint8_t *at;
	int error = out_reserve(stream, STREAM_SEAL_HELLO_LEN, &at);

	if (error)
		return error;
	memcpy(at, hello, STREAM_SEAL_HELLO_LEN);
	stream->out_len += STREAM_SEAL_HELLO_LEN;
	return 0;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The first record carries the message's length and its beginning. */
int stream_message(struct stream *stream, const uint8_t *message, size_t len)
{
	EVP_CIPHER_CTX *crypto = stream->streams->crypto;
	size_t first = smaller(len, STREAM_SEAL_RECORD_MAX - MESSAGE_LEN_LEN);
	size_t records = 1 + (len - first + STREAM_SEAL_RECORD_MAX - 1) / STREAM_SEAL_RECORD_MAX;
	uint8_t *at, *head = malloc(MESSAGE_LEN_LEN + first);
	int error = head ? out_reserve(stream,
				       MESSAGE_LEN_LEN + len + records * STREAM_SEAL_OVERHEAD, &at)
			 : -ENOMEM;

	if (error) {
		free(head);
		return error;
	}
	bytes_put_u32(head, (uint32_t)len);
	memcpy(head + MESSAGE_LEN_LEN, message, first);
	stream->out_len +=
		stream_seal_encrypt(&stream->seal, crypto, head, MESSAGE_LEN_LEN + first, at);
	wiped_free(head, MESSAGE_LEN_LEN + first);
	for (size_t off = first; off < len;) {
		size_t part = smaller(len - off, STREAM_SEAL_RECORD_MAX);

		stream->out_len += stream_seal_encrypt(&stream->seal, crypto, message + off, part,
						       stream->out + stream->out_len);
		off += part;
	}
	return 0;
}

void stream_send(struct stream *stream)
{
	while (stream->state != STREAM_ENDED && stream->out_sent < stream->out_len) {
		ssize_t sent = send(stream->fd, stream->out + stream->out_sent,
				    stream->out_len - stream->out_sent, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno != EAGAIN && errno != EINTR)
				stream_end(stream, -errno);
			break;
		}
		stream->out_sent += (size_t)sent;
		counter_add(stream->streams->counters, MEMBERSHIP_BYTES_SENT, (uint64_t)sent);
	}
	if (stream->state != STREAM_ENDED)
		stream_watch(stream);
}

/* --- ends */

void stream_end(struct stream *stream, int status)
{
	struct streams *streams = stream->streams;
	bool was_asking = stream->is_opener && stream->state != STREAM_IDLE;
	bool was_refused = !stream->is_opener && status && !stream->proven;

	if (stream->state == STREAM_ENDED)
		return;
	stream->state = STREAM_ENDED;
	if (status)
		counter_add(streams->counters, MEMBERSHIP_STREAM_ERRORS, 1);
	if (was_asking)
		stream->done(stream->context, stream, status, NULL, NULL, 0);
	if (was_refused && streams->events.refused)
		streams->events.refused(streams->events.context, &stream->address, status);
}

/* --- in */

static void opener_answered(struct stream *stream)
{
	size_t len = stream->message_len;

	stream->state = STREAM_IDLE;
	stream->message_want = stream->message_len = 0;
	stream->done(stream->context, stream, 0, &stream->seal.peer, stream->message, len);
	if (stream->state == STREAM_IDLE)
		stream_end(stream, 0);
}

static void acceptor_asked(struct stream *stream)
{
	const struct stream_events *events = &stream->streams->events;
	size_t len = stream->message_len;

	if (++stream->rounds > STREAM_ROUNDS_MAX) {
		stream_end(stream, -E2BIG);
		return;
	}
	stream->state = STREAM_THINKING;
	stream->message_want = stream->message_len = 0;
	events->asked(events->context, stream->number, &stream->seal.peer, &stream->address,
		      stream->message, len);
	if (stream->state == STREAM_THINKING)
		stream_watch(stream);
}

/* Room grows with what has come, not with what was promised. */
static int message_append(struct stream *stream, const uint8_t *data, size_t len)
{
	size_t need = stream->message_len + len;

	if (need > stream->message_want)
		return -EBADMSG;
	if (need > stream->message_room) {
		size_t room = need + stream->message_room;
		uint8_t *message = realloc(stream->message, room);

		if (!message)
			return -ENOMEM;
		stream->message = message;
		stream->message_room = room;
	}
	memcpy(stream->message + stream->message_len, data, len);
	stream->message_len = need;
	return 0;
}

static int record_take(struct stream *stream, const uint8_t *plain, size_t len)
{
	int error;

	stream->proven = true;
	if (stream->message_want == 0) {
		if (len <= MESSAGE_LEN_LEN)
			return -EBADMSG;
		stream->message_want = bytes_get_u32(plain);
		if (stream->message_want == 0 || stream->message_want > STREAM_MESSAGE_MAX)
			return -EBADMSG;
		plain += MESSAGE_LEN_LEN;
		len -= MESSAGE_LEN_LEN;
	}
	error = message_append(stream, plain, len);
	if (error || stream->message_len < stream->message_want)
		return error;
	if (stream->is_opener)
		opener_answered(stream);
	else
		acceptor_asked(stream);
	return 0;
}

static void in_consume(struct stream *stream, size_t len)
{
	stream->in_len -= len;
	memmove(stream->in, stream->in + len, stream->in_len);
}

/* Return: 1 when a record was taken, 0 when more must come, a negative errno. */
static int in_record(struct stream *stream)
{
	uint8_t *body = stream->in + STREAM_SEAL_FRAME_LEN;
	int error, len, plain_len;

	if (stream->in_len < STREAM_SEAL_FRAME_LEN)
		return 0;
	len = stream_seal_frame(stream->in);
	if (len < 0)
		return len;
	if (stream->in_len < STREAM_SEAL_FRAME_LEN + (size_t)len)
		return 0;
	plain_len = stream_seal_decrypt(&stream->seal, stream->streams->crypto, body, (size_t)len,
					body);
	if (plain_len < 0)
		return plain_len;
	error = record_take(stream, body, (size_t)plain_len);
	in_consume(stream, STREAM_SEAL_FRAME_LEN + (size_t)len);
	return error ? error : 1;
}

static int opener_hello(struct stream *stream)
{
	int error = stream_seal_answered(&stream->seal, stream->in);

	if (error)
		return error;
	stream->state = STREAM_WAITING;
	error = stream_message(stream, stream->question, stream->question_len);
	wiped_free(stream->question, stream->question_len);
	stream->question = NULL;
	return error;
}

static int acceptor_hello(struct stream *stream)
{
	uint8_t nonce[32], hello[STREAM_SEAL_HELLO_LEN];
	int error, status;

	random_bytes(nonce, sizeof(nonce));
	status = stream_seal_accept(&stream->seal, stream->streams->identity, nonce, stream->in,
				    hello);
	if (status == -EBADMSG)
		return status;
	error = stream_hello(stream, hello);
	if (status)
		stream_send(stream);
	stream->state = STREAM_WAITING;
	return status ? status : error;
}

/* Return: as in_record(). */
static int in_hello(struct stream *stream)
{
	int error;

	if (stream->in_len < STREAM_SEAL_HELLO_LEN)
		return 0;
	error = stream->is_opener ? opener_hello(stream) : acceptor_hello(stream);
	if (error)
		return error;
	in_consume(stream, STREAM_SEAL_HELLO_LEN);
	stream_send(stream);
	return 1;
}

/* Takes apart what has come, as far as it goes. */
static void in_take(struct stream *stream)
{
	int result = 1;

	while (result > 0) {
		if (stream->state == STREAM_GREETING)
			result = in_hello(stream);
		else if (stream->state == STREAM_WAITING)
			result = in_record(stream);
		else
			return;
	}
	if (result < 0)
		stream_end(stream, result);
}

void stream_receive(struct stream *stream)
{
	for (unsigned i = 0; i < READS_MAX && stream->state != STREAM_ENDED; i++) {
		ssize_t got;

		if (stream->in_len == sizeof(stream->in))
			break;
		got = recv(stream->fd, stream->in + stream->in_len,
			   sizeof(stream->in) - stream->in_len, 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got <= 0) {
			/* An opener who has what he wanted hangs up. */
			bool well = got == 0 && !stream->is_opener && stream->proven;

			stream_end(stream, well ? 0 : got < 0 ? -errno : -ECONNRESET);
			return;
		}
		counter_add(stream->streams->counters, MEMBERSHIP_BYTES_RECEIVED, (uint64_t)got);
		stream->in_len += (size_t)got;
		in_take(stream);
	}
	if (stream->state != STREAM_ENDED)
		stream_watch(stream);
}
