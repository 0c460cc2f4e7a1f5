/*
 * http.c - see http.h.
 */
#include "s3/credentials/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define CONNECT_TIMEOUT_MS 2000L
#define TIMEOUT_MS	   5000L

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct text *body = context;
	size_t len = size * count;

	if (len > HTTP_ANSWER_MAX - body->len)
		return 0;
	text_add_bytes(body, data, len);
	return text_failed(body) ? 0 : len;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)a, (void)b, (void)c, (void)d;
	return atomic_load((const _Atomic bool *)context);
}

static CURLcode set_limits(CURL *easy, const struct source_context *context)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_QUICK_EXIT, 1 }, /* as in engine/transport.c */
		{ CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS },
		{ CURLOPT_TIMEOUT_MS, TIMEOUT_MS },
		{ CURLOPT_NOPROGRESS, 0 },
		{ CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
	};
	CURLcode code = CURLE_OK;

	for (size_t i = 0; i < ARRAY_COUNT(numbers) && !code; i++)
		code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (!code) /* a proxy must never see what is asked here */
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_XFERINFODATA, context->stopping);
	return code;
}

static CURLcode set_call(CURL *easy, const struct http_call *call, struct curl_slist *headers,
			 struct text *body)
{
	CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, call->url);

	if (!code && call->body)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	if (!code && call->ca_file)
		code = curl_easy_setopt(easy, CURLOPT_CAINFO, call->ca_file);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	if (!code)
		code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
	return code;
}

static struct curl_slist *make_headers(const struct http_call *call)
{
	struct curl_slist *list = NULL;

	for (int i = 0; i < HTTP_HEADERS_MAX && call->headers[i]; i++) {
		struct curl_slist *longer = curl_slist_append(list, call->headers[i]);
		if (!longer) {
			curl_slist_free_all(list);
			return NULL;
		}
		list = longer;
	}
	return list;
}

static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *node = list; node; node = node->next)
		explicit_bzero(node->data, strlen(node->data));
	curl_slist_free_all(list);
}

int http_run(const struct source_context *context, const struct http_call *call, int *out_status,
	     struct text *out_body, char *problem, size_t problem_size)
{
	char curl_error[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = make_headers(call);
	CURL *easy = curl_easy_init();
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	text_reset(out_body);
	if (easy && (headers || !call->headers[0])) {
		curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl_error);
		code = set_limits(easy, context);
		if (!code)
			code = set_call(easy, call, headers, out_body);
		if (!code)
			code = curl_easy_perform(easy);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_easy_cleanup(easy);
	free_headers(headers);
	if (code == CURLE_OUT_OF_MEMORY || text_failed(out_body)) {
		snprintf(problem, problem_size, "out of memory asking for credentials");
		return -ENOMEM;
	}
	if (code) {
		snprintf(problem, problem_size, "%s",
			 curl_error[0] ? curl_error : curl_easy_strerror(code));
		return -EAGAIN;
	}
	*out_status = (int)status;
	return 0;
}
