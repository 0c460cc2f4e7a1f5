/*
 * attempt.c - putting a request together, signing it, and judging what comes back.
 */
#include "s3/engine/attempt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "s3/client.h"
#include "s3/credentials/credentials.h"
#include "s3/engine/engine.h"
#include "s3/engine/operation.h"
#include "s3/engine/response.h"
#include "s3/engine/transport.h"
#include "s3/wire/list_xml.h"
#include "s3/wire/timestamp.h"
#include "s3/wire/uri.h"

/* The service refuses signatures that are 15 minutes off. */
#define SKEW_MAX_S 840

void attempt_judge(struct attempt *attempt, enum status_class class, int error, const char *format,
		   ...)
{
	va_list arguments;

	if (attempt->judged)
		return;
	attempt->judged = true;
	attempt->verdict = (struct status){ class, error, false };
	va_start(arguments, format);
	vsnprintf(attempt->request->problem, S3_PROBLEM_MAX, format, arguments);
	va_end(arguments);
}

void attempt_form_query(struct attempt_form *form, const char *name, const char *value)
{
	CHECK(form->query_count < SIGV4_PAIRS_MAX);
	form->query[form->query_count++] = (struct sigv4_pair){ name, value };
}

void attempt_form_header(struct attempt_form *form, const char *name, const char *value)
{
	CHECK(form->header_count < SIGV4_PAIRS_MAX);
	form->headers[form->header_count++] = (struct sigv4_pair){ name, value };
}

void operation_check_key(struct attempt *attempt)
{
	CHECK(attempt->request->key);
	size_t len = strlen(attempt->request->key);
	if (!len || len > S3_KEY_MAX)
		attempt_judge(attempt, STATUS_FINAL, -EINVAL,
			      "a key of %zu bytes (1..%d are possible)", len, S3_KEY_MAX);
}

static bool is_error_answer(const struct attempt *attempt)
{
	int http_status = attempt->response.http_status;
	return http_status && http_status != 200 && http_status != 206;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
	struct attempt *attempt = context;

	attempt->last_byte_ns = clock_now_ns(attempt->engine->client->clock);
	if (response_line(&attempt->response, line, size * count) == RESPONSE_HEAD &&
	    attempt->response.http_status >= 200 && !is_error_answer(attempt))
		attempt->request->own.operation->head(attempt);
	return attempt->judged ? 0 : size * count;
}

/* Keeps the start of an error document; the rest is not worth reading. */
static size_t on_error_body(struct attempt *attempt, const char *data, size_t len)
{
	size_t room = sizeof(attempt->error_body) - attempt->error_len;
	size_t part = len < room ? len : room;

	memcpy(attempt->error_body + attempt->error_len, data, part);
	attempt->error_len += part;
	return part;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct attempt *attempt = context;
	const struct s3_request *request = attempt->request;
	size_t len = size * count;

	attempt->last_byte_ns = clock_now_ns(attempt->engine->client->clock);
	attempt->received += len;
	if (request->own.abandoned && atomic_load(request->own.abandoned))
		attempt_judge(attempt, STATUS_FINAL, -ECANCELED, "not wanted any more");
	else if (is_error_answer(attempt))
		return on_error_body(attempt, data, len);
	else if (!request->own.operation->body)
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "a body where none belongs");
	else
		request->own.operation->body(attempt, data, len);
	return attempt->judged ? 0 : len;
}

int attempt_init(struct attempt *attempt, struct engine *engine)
{
	memset(attempt, 0, sizeof(*attempt));
	attempt->engine = engine;
	attempt->easy = curl_easy_init();
	if (!attempt->easy)
		return -ENOMEM;
	int error = transport_apply(attempt->easy, engine->client->config);
	if (!error && (curl_easy_setopt(attempt->easy, CURLOPT_HEADERFUNCTION, on_header) ||
		       curl_easy_setopt(attempt->easy, CURLOPT_HEADERDATA, attempt) ||
		       curl_easy_setopt(attempt->easy, CURLOPT_WRITEFUNCTION, on_body) ||
		       curl_easy_setopt(attempt->easy, CURLOPT_WRITEDATA, attempt) ||
		       curl_easy_setopt(attempt->easy, CURLOPT_ERRORBUFFER, attempt->curl_error) ||
		       curl_easy_setopt(attempt->easy, CURLOPT_PRIVATE, attempt)))
		error = -EINVAL;
	if (error)
		curl_easy_cleanup(attempt->easy);
	return error;
}

void attempt_fini(struct attempt *attempt)
{
	CHECK(!attempt->request);
	curl_easy_cleanup(attempt->easy);
	text_fini(&attempt->url);
	text_fini(&attempt->authority);
	text_fini(&attempt->path);
	text_fini(&attempt->query);
	text_fini(&attempt->headers);
	text_fini(&attempt->scratch);
}

static void reset(struct attempt *attempt, struct s3_request *request)
{
	attempt->request = request;
	attempt->received = 0;
	attempt->judged = false;
	attempt->error_len = 0;
	attempt->curl_error[0] = 0;
	attempt->last_byte_ns = clock_now_ns(attempt->engine->client->clock);
	memset(&attempt->response, 0, sizeof(attempt->response));
	text_reset(&attempt->url);
	text_reset(&attempt->authority);
	text_reset(&attempt->path);
	text_reset(&attempt->query);
	text_reset(&attempt->headers);
}

static void take_credentials(struct attempt *attempt)
{
	char problem[CREDENTIALS_PROBLEM_MAX];

	switch (credentials_provider_current(attempt->engine->client->credentials,
					     &attempt->credentials, problem, sizeof(problem))) {
	case CREDENTIALS_READY:
		break;
	case CREDENTIALS_PENDING: /* expired between the queue and here */
		attempt_judge(attempt, STATUS_RETRY, -EACCES, "no credentials: %s", problem);
		break;
	case CREDENTIALS_DENIED:
		attempt_judge(attempt, STATUS_FINAL, -EACCES, "no credentials: %s", problem);
		break;
	}
}

/* scheme://authority/path?query */
static void locate(struct attempt *attempt, const struct attempt_form *form)
{
	const struct s3_client *client = attempt->engine->client;
	const struct s3_request *request = attempt->request;
	bool virtual_host = client->config->addressing == S3_ADDRESSING_VIRTUAL;

	if (endpoint_locate(&client->endpoint, virtual_host, request->bucket, request->key,
			    &attempt->authority, &attempt->path)) {
		attempt_judge(
			attempt, STATUS_FINAL, -EINVAL,
			"bucket '%s' cannot be part of a host name (addressing = \"virtual\")",
			request->bucket);
		return;
	}
	sigv4_canonical_query(form->query, form->query_count, &attempt->query);
	text_addf(&attempt->url, "%s://%s%s", client->endpoint.tls ? "https" : "http",
		  text_get(&attempt->authority), text_get(&attempt->path));
	if (attempt->query.len)
		text_addf(&attempt->url, "?%s", text_get(&attempt->query));
}

/* Adds date, payload hash, token and the signature over all that is in @form. */
static int sign(struct attempt *attempt, struct attempt_form *form, struct text *authorization,
		char stamp[TIMESTAMP_BASIC_SIZE])
{
	struct engine *engine = attempt->engine;
	const struct credentials *credentials = attempt->credentials;
	int64_t now_s = client_wall_s(engine->client);

	timestamp_format_basic(now_s, stamp);
	attempt_form_header(form, "x-amz-date", stamp);
	attempt_form_header(form, "x-amz-content-sha256", SIGV4_EMPTY_PAYLOAD);
	if (credentials->session_token)
		attempt_form_header(form, "x-amz-security-token", credentials->session_token);
	struct sigv4_request request = {
		.method = attempt->request->own.operation->method,
		.path = text_get(&attempt->path),
		.query = text_get(&attempt->query),
		.headers = form->headers,
		.header_count = form->header_count,
		.payload_hash = SIGV4_EMPTY_PAYLOAD,
		.time_s = now_s,
	};
	if (engine->scope_generation != credentials->generation) {
		engine->scope.day[0] = 0;
		engine->scope_generation = credentials->generation;
	}
	int error = sigv4_authorization(&request, &engine->scope, credentials->access_key,
					credentials->secret_key, &attempt->scratch, authorization);
	attempt_form_header(form, "authorization", text_get(authorization));
	return error;
}

/* curl's list of header lines, as nodes of our own over one text: nothing to allocate. */
static struct curl_slist *header_lines(struct attempt *attempt, const struct attempt_form *form)
{
	size_t offsets[SIGV4_PAIRS_MAX];

	for (size_t i = 0; i < form->header_count; i++) {
		offsets[i] = attempt->headers.len;
		text_addf(&attempt->headers, "%s: %s", form->headers[i].name,
			  form->headers[i].value);
		text_add_bytes(&attempt->headers, "", 1);
	}
	if (text_failed(&attempt->headers))
		return NULL;
	for (size_t i = 0; i < form->header_count; i++) {
		bool last = i + 1 == form->header_count;
		attempt->lines[i].data = attempt->headers.data + offsets[i];
		attempt->lines[i].next = last ? NULL : &attempt->lines[i + 1];
	}
	return attempt->lines;
}

static CURLcode hand_to_curl(struct attempt *attempt, struct curl_slist *lines)
{
	bool head = !strcmp(attempt->request->own.operation->method, "HEAD");
	CURLcode code = curl_easy_setopt(attempt->easy, CURLOPT_URL, text_get(&attempt->url));

	if (!code) /* HTTPGET also takes NOBODY back */
		code = curl_easy_setopt(attempt->easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
	if (!code)
		code = curl_easy_setopt(attempt->easy, CURLOPT_HTTPHEADER, lines);
	return code;
}

void attempt_prepare(struct attempt *attempt, struct s3_request *request)
{
	struct attempt_form form = { 0 };
	struct text authorization = { 0 };
	char stamp[TIMESTAMP_BASIC_SIZE];
	int error = 0;

	reset(attempt, request);
	if (request->own.abandoned && atomic_load(request->own.abandoned))
		attempt_judge(attempt, STATUS_FINAL, -ECANCELED, "not wanted any more");
	if (!attempt->judged)
		take_credentials(attempt);
	if (!attempt->judged)
		request->own.operation->prepare(attempt, &form);
	if (!attempt->judged)
		locate(attempt, &form);
	if (attempt->judged)
		return;
	attempt_form_header(&form, "host", text_get(&attempt->authority));
	if (!attempt->credentials->anonymous)
		error = sign(attempt, &form, &authorization, stamp);
	struct curl_slist *lines = header_lines(attempt, &form);
	if (error || !lines || text_failed(&attempt->url) || hand_to_curl(attempt, lines))
		attempt_judge(attempt, STATUS_FINAL, -ENOMEM, "out of memory for a request");
	text_fini(&authorization);
}

/*
 * A HEAD answer has no body that would tell why: a clock that is off shows in its Date, and
 * credentials that can be renewed may have expired.
 */
static enum status_class suspect(const struct attempt *attempt, struct status status)
{
	const struct response *response = &attempt->response;
	int64_t now_s = client_wall_s(attempt->engine->client);

	if (status.class != STATUS_FINAL || attempt->error_len)
		return status.class;
	if (response->http_status != 400 && response->http_status != 401 &&
	    response->http_status != 403)
		return status.class;
	if (response->has_date && llabs(response->date_s - now_s) > SKEW_MAX_S)
		return STATUS_SKEWED;
	return STATUS_EXPIRED;
}

static void judge_error_answer(struct attempt *attempt)
{
	struct error_xml xml;
	error_xml_parse(attempt->error_body, attempt->error_len, &xml);
	struct status status = status_of_http(attempt->response.http_status, xml.code);

	status.class = suspect(attempt, status);
	attempt_judge(attempt, status.class, status.error, "%d%s%s%s%s",
		      attempt->response.http_status, xml.code[0] ? " " : "", xml.code,
		      xml.message[0] ? ": " : "", xml.message);
	attempt->verdict.throttled = status.throttled;
}

static void judge_transport(struct attempt *attempt, CURLcode code)
{
	char problem[S3_PROBLEM_MAX];
	struct status status = transport_status(attempt->easy, code, text_get(&attempt->authority),
						attempt->curl_error, problem, sizeof(problem));
	attempt_judge(attempt, status.class, status.error, "%s", problem);
}

void attempt_conclude(struct attempt *attempt, CURLcode code)
{
	if (attempt->judged)
		return;
	if (is_error_answer(attempt)) { /* whether or not its body came whole */
		judge_error_answer(attempt);
	} else if (code) {
		judge_transport(attempt, code);
	} else if (!attempt->response.http_status) {
		attempt_judge(attempt, STATUS_FINAL, -EPROTO, "an answer without a status");
	} else {
		attempt->request->own.operation->end(attempt);
		if (!attempt->judged)
			attempt_judge(attempt, STATUS_DONE, 0, "%s", "");
	}
}

void attempt_release(struct attempt *attempt)
{
	credentials_put(attempt->credentials);
	attempt->credentials = NULL;
	list_xml_destroy(attempt->page);
	attempt->page = NULL;
	attempt->request = NULL;
}
