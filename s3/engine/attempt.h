/*
 * attempt.h - one try of one request over one connection: its URL and headers, its curl handle, and
 * what has been learnt from the answer.
 *
 * An engine has as many attempts as connections and uses them again and again. An attempt belongs
 * to its engine's thread.
 */
#pragma once

#include <curl/curl.h>

#include "s3/engine/timers.h"
#include "s3/s3.h"
#include "s3/wire/error_xml.h"
#include "s3/wire/etag.h"
#include "s3/wire/sigv4.h"
#include "s3/wire/status.h"

struct engine;
struct credentials;
struct list_xml;

/* What the answer's head said. */
struct response {
	int http_status; /* 0: no answer yet */
	bool complete;	 /* the empty line has come: what follows are trailers */
	bool has_length, has_range, has_mtime, has_date;
	uint64_t length;
	uint64_t range_first, range_last; /* Content-Range, inclusive */
	uint64_t range_total;		  /* UINT64_MAX: "*" */
	int64_t mtime_s, date_s;
	char etag[S3_ETAG_MAX]; /* "": none */
};

struct attempt {
	TAILQ_ENTRY(attempt) link; /* in the engine's idle or busy list */
	struct engine *engine;
	CURL *easy;
	struct s3_request *request; /* NULL while idle */
	struct s3_timer timer;	    /* looks whether the deadline passed or the bytes stopped */
	uint64_t last_byte_ns;
	uint64_t received;		 /* body bytes */
	struct credentials *credentials; /* a reference */
	struct response response;
	struct status verdict; /* valid when judged */
	bool judged;
	struct list_xml *page; /* LIST: the answer so far */
	/* what is sent; kept for the next attempt's use */
	struct text url, authority, path, query, headers, scratch;
	struct curl_slist lines[SIGV4_PAIRS_MAX];
	char curl_error[CURL_ERROR_SIZE];
	size_t error_len;
	char error_body[ERROR_XML_LEN_MAX];
};

/* Query and headers of a request, in the making. Values are borrowed until it is sent. */
struct attempt_form {
	struct sigv4_pair query[SIGV4_PAIRS_MAX];
	size_t query_count;
	struct sigv4_pair headers[SIGV4_PAIRS_MAX];
	size_t header_count;
	char range[64], if_match[ETAG_HEADER_MAX], max_keys[16];
};

/** attempt_init() - Return: 0 or -ENOMEM. */
int attempt_init(struct attempt *attempt, struct engine *engine);

/** attempt_fini() - it must be idle. */
void attempt_fini(struct attempt *attempt);

/** attempt_prepare() - makes the handle ready to send @request. When it is judged afterwards,
 *  nothing may be sent. */
void attempt_prepare(struct attempt *attempt, struct s3_request *request);

/** attempt_conclude() - the transfer has ended with @code: judges it if nobody did. */
void attempt_conclude(struct attempt *attempt, CURLcode code);

/** attempt_release() - lets go of the request: the attempt is idle. */
void attempt_release(struct attempt *attempt);

/** attempt_judge() - the first judgement stands; the text becomes the request's problem. */
void attempt_judge(struct attempt *attempt, enum status_class class, int error, const char *format,
		   ...) __attribute__((format(printf, 4, 5)));

void attempt_form_query(struct attempt_form *form, const char *name, const char *value);
void attempt_form_header(struct attempt_form *form, const char *name, const char *value);
