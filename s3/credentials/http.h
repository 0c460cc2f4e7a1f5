/*
 * http.h - one small blocking request to a service that hands out credentials. On the provider's
 * thread only. The answer is a secret: it is kept in a text, which clears what it gives back.
 */
#pragma once

#include "s3/credentials/source.h"
#include "s3/wire/text.h"

#define HTTP_ANSWER_MAX	 ((size_t)64 << 10)
#define HTTP_HEADERS_MAX 4

struct http_call {
	const char *method; /* GET, PUT, POST */
	const char *url;
	const char *headers[HTTP_HEADERS_MAX]; /* "Name: value" */
	const char *body;		       /* of a POST */
	const char *ca_file;		       /* NULL: the system's */
};

/**
 * http_run() - sends @call and reads the answer. Bounded by 5 s and by context->stopping.
 * @out_status: HTTP status; @out_body: replaced by the body.
 * Return: 0 whatever the status; -EAGAIN with @problem: no answer; -ENOMEM.
 */
int http_run(const struct source_context *context, const struct http_call *call, int *out_status,
	     struct text *out_body, char *problem, size_t problem_size);
