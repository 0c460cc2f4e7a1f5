/*
 * object.h - a server that has one object and answers each request as its script says.
 */
#pragma once

#include <pthread.h>

#include "tests/unit/s3/support/http_server.h"

#define OBJECT_LEN   300000
#define OBJECT_ETAG  "0123456789abcdef"
#define SCRIPT_STEPS 8
#define SCRIPT_SEEN  4096

enum act {
	ACT_END,	   /* of the script */
	ACT_SERVE,	   /* as S3 does: 206, Content-Range, ETag; If-Match honoured */
	ACT_ERROR,	   /* status and code of the step */
	ACT_TRUNCATE,	   /* a part of the body, then an orderly close */
	ACT_RESET,	   /* a part of the body, then RST */
	ACT_STALL,	   /* a part of the body, then nothing */
	ACT_HANG,	   /* nothing at all */
	ACT_CLOSE,	   /* closes without an answer */
	ACT_OTHER_ETAG,	   /* serves, under another ETag and blind to If-Match */
	ACT_NO_ETAG,	   /* serves without one */
	ACT_IGNORE_RANGE,  /* 200 and everything */
	ACT_WRONG_RANGE,   /* another range than asked for */
	ACT_NO_RANGE,	   /* 206 without Content-Range */
	ACT_SHORT,	   /* the object ends after half of the range */
	ACT_CONTRADICTION, /* Content-Length does not fit Content-Range */
	ACT_CHUNKED_CUT,   /* chunked, ended in order before all is there */
	ACT_GARBAGE,	   /* not HTTP */
};

struct step {
	enum act act;
	int status;
	const char *code;
	size_t part; /* body bytes sent before it breaks off */
};

struct object {
	struct step steps[SCRIPT_STEPS]; /* the last one repeats */
	unsigned step_count;
	pthread_mutex_t lock;
	/* guarded by lock: what has been asked */
	unsigned seen;
	struct {
		uint64_t first, last;
		char if_match[160];
		char authorization[512];
	} requests[SCRIPT_SEEN];
};

/** object_init() - @steps end at ACT_END. */
void object_init(struct object *object, const struct step steps[SCRIPT_STEPS]);
void object_fini(struct object *object);

/** object_byte() - what the object holds at @off. */
unsigned char object_byte(uint64_t off);

/** object_check() - fails the test unless @data is the object's from @off. */
void object_check(const void *data, uint64_t off, size_t len);

/** object_serve() - the http_handler; @context is the struct object. */
void object_serve(struct http_exchange *exchange, void *context);

/** object_answer() - serves one request as S3 would, outside of the script. */
void object_answer(struct http_exchange *exchange);
