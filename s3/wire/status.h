/*
 * status.h - what an HTTP status and S3's error code mean to the reader, and whether it is worth
 * asking again. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define STATUS_CODE_MAX 64 /* S3's <Code>, bytes with the NUL */

enum status_class {
	STATUS_DONE,	/* the answer that was asked for */
	STATUS_FINAL,	/* will not change by asking again */
	STATUS_RETRY,	/* transient: ask again after a while */
	STATUS_SKEWED,	/* our clock is wrong: correct it once and ask again */
	STATUS_EXPIRED, /* the credentials ran out: get new ones once and ask again */
};

struct status {
	enum status_class class;
	int error;	/* the errno if it stays at that; of DONE, 0 */
	bool throttled; /* the service wants less of us */
};

/**
 * status_of_http() - classifies an answer.
 * @code: from the error document; "" when there was none (HEAD has no body).
 */
struct status status_of_http(int http_status, const char *code);
