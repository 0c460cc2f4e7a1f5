/*
 * object.c - see object.h.
 */
#include "tests/unit/s3/support/object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static unsigned char content[OBJECT_LEN];

unsigned char object_byte(uint64_t off)
{
	return (unsigned char)((off * 2654435761u) >> 13 ^ off >> 7);
}

static void fill_content(void)
{
	for (uint64_t i = 0; i < OBJECT_LEN; i++)
		content[i] = object_byte(i);
}

void object_check(const void *data, uint64_t off, size_t len)
{
	CHECK(!memcmp(data, content + off, len));
}

void object_init(struct object *object, const struct step steps[SCRIPT_STEPS])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill_content);
	memset(object, 0, sizeof(*object));
	pthread_mutex_init(&object->lock, NULL);
	while (object->step_count < SCRIPT_STEPS && steps[object->step_count].act != ACT_END) {
		object->steps[object->step_count] = steps[object->step_count];
		object->step_count++;
	}
}

void object_fini(struct object *object)
{
	pthread_mutex_destroy(&object->lock);
}

struct answer {
	uint64_t first, last;
	uint64_t shown_first, shown_last, total; /* as Content-Range says */
	size_t length;				 /* as Content-Length says */
	const char *etag;
	bool range_header;
};

static struct answer answer_to(const struct http_exchange *exchange)
{
	struct answer answer = { .etag = "ETag: \"" OBJECT_ETAG "\"\r\n", .range_header = true };

	CHECK(http_range(exchange, &answer.first, &answer.last));
	CHECK(answer.first <= answer.last && answer.last < OBJECT_LEN);
	answer.shown_first = answer.first;
	answer.shown_last = answer.last;
	answer.total = OBJECT_LEN;
	answer.length = (size_t)(answer.last - answer.first + 1);
	return answer;
}

/* The head, and @part bytes of the body (at most what there is). */
static void send_answer(struct http_exchange *exchange, const struct answer *answer, size_t part)
{
	char headers[512];
	int len = snprintf(headers, sizeof(headers), "%s", answer->etag);
	size_t body_len = (size_t)(answer->last - answer->first + 1);

	if (answer->range_header)
		snprintf(headers + len, sizeof(headers) - (size_t)len,
			 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
			 answer->shown_first, answer->shown_last, answer->total);
	http_head(exchange, 206, headers, answer->length);
	http_send(exchange, content + answer->first, part < body_len ? part : body_len);
}

void object_answer(struct http_exchange *exchange)
{
	struct answer answer = answer_to(exchange);
	send_answer(exchange, &answer, SIZE_MAX);
}

static void send_error(struct http_exchange *exchange, const struct step *step)
{
	char body[512];
	int len = snprintf(body, sizeof(body),
			   "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>as the test says"
			   "</Message></Error>",
			   step->code ? step->code : "");

	http_answer(exchange, step->status, "", body, step->code ? (size_t)len : 0);
}

static void send_chunked_cut(struct http_exchange *exchange, const struct answer *answer,
			     size_t part)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
			   "HTTP/1.1 206 Partial\r\n%sTransfer-Encoding: chunked\r\nContent-Range: "
			   "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n%zx\r\n",
			   answer->etag, answer->first, answer->last, answer->total, part);

	http_send(exchange, text, (size_t)len);
	http_send(exchange, content + answer->first, part);
	http_send(exchange, "\r\n0\r\n\r\n", 7);
}

static void serve_oddly(struct http_exchange *exchange, const struct step *step)
{
	struct answer answer = answer_to(exchange);

	switch (step->act) {
	case ACT_OTHER_ETAG:
		answer.etag = "ETag: \"fedcba\"\r\n";
		break;
	case ACT_NO_ETAG:
		answer.etag = "";
		break;
	case ACT_WRONG_RANGE:
		answer.shown_first = answer.first + 1;
		answer.first++;
		answer.length--;
		break;
	case ACT_NO_RANGE:
		answer.range_header = false;
		break;
	case ACT_SHORT:
		answer.last = answer.shown_last = answer.first + (answer.last - answer.first) / 2;
		answer.length = (size_t)(answer.last - answer.first + 1);
		answer.total = answer.last + 1;
		break;
	case ACT_CONTRADICTION:
		answer.length += 10;
		break;
	default:
		CHECK(!"act");
	}
	send_answer(exchange, &answer, SIZE_MAX);
}

static bool refuse_condition(struct http_exchange *exchange)
{
	static const struct step refusal = { ACT_ERROR, 412, "PreconditionFailed", 0 };
	char value[160];

	if (!http_header(exchange, "If-Match", value, sizeof(value)) ||
	    !strcmp(value, "\"" OBJECT_ETAG "\""))
		return false;
	send_error(exchange, &refusal);
	return true;
}

static void act(struct http_exchange *exchange, const struct step *step)
{
	struct answer answer;

	switch (step->act) {
	case ACT_SERVE:
		if (!refuse_condition(exchange))
			object_answer(exchange);
		break;
	case ACT_ERROR:
		send_error(exchange, step);
		break;
	case ACT_TRUNCATE:
	case ACT_RESET:
	case ACT_STALL:
		answer = answer_to(exchange);
		send_answer(exchange, &answer, step->part);
		if (step->act == ACT_TRUNCATE)
			http_close(exchange);
		else if (step->act == ACT_RESET)
			http_reset(exchange);
		else
			http_hang(exchange);
		break;
	case ACT_HANG:
		http_hang(exchange);
		break;
	case ACT_CLOSE:
		http_close(exchange);
		break;
	case ACT_IGNORE_RANGE:
		http_answer(exchange, 200, "ETag: \"" OBJECT_ETAG "\"\r\n", content, OBJECT_LEN);
		break;
	case ACT_CHUNKED_CUT:
		answer = answer_to(exchange);
		send_chunked_cut(exchange, &answer, step->part);
		break;
	case ACT_GARBAGE:
		http_send(exchange, "SSH-2.0-x\r\n", 11);
		http_close(exchange);
		break;
	default:
		serve_oddly(exchange, step);
	}
}

void object_serve(struct http_exchange *exchange, void *context)
{
	struct object *object = context;

	pthread_mutex_lock(&object->lock);
	unsigned seen = object->seen++;
	struct step step = object->steps[seen < object->step_count ? seen : object->step_count - 1];
	CHECK(seen < SCRIPT_SEEN);
	http_range(exchange, &object->requests[seen].first, &object->requests[seen].last);
	http_header(exchange, "If-Match", object->requests[seen].if_match,
		    sizeof(object->requests[seen].if_match));
	http_header(exchange, "Authorization", object->requests[seen].authorization,
		    sizeof(object->requests[seen].authorization));
	pthread_mutex_unlock(&object->lock);
	act(exchange, &step);
}
