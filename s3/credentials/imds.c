/*
 * imds.c - the instance metadata service, version 2: a session token by PUT, then the name of the
 * instance's role, then its credentials. Version 1 (no token) is not fallen back to.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/credentials/http.h"
#include "s3/credentials/json.h"
#include "s3/credentials/source.h"
#include "s3/wire/uri.h"

#define DEFAULT_ENDPOINT "http://169.254.169.254"
#define ROLES_PATH	 "/latest/meta-data/iam/security-credentials/"

static bool imds_present(const struct source_context *context, char *problem, size_t problem_size)
{
	const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");

	(void)context;
	if (!disabled || strcasecmp(disabled, "true") != 0)
		return true;
	snprintf(problem, problem_size, "AWS_EC2_METADATA_DISABLED is true");
	return false;
}

static const char *endpoint_of(const struct source_context *context)
{
	const char *endpoint = source_setting(context->config->credentials.imds_endpoint,
					      "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	return endpoint ? endpoint : DEFAULT_ENDPOINT;
}

/* One call; @token NULL: the PUT that gets one. @role: appended encoded to @path, or NULL. */
static int ask(const struct source_context *context, const char *path, const char *role,
	       const char *token, struct text *out, char *problem, size_t problem_size)
{
	struct text url = { 0 }, header = { 0 };
	const char *endpoint = endpoint_of(context);
	size_t len = strlen(endpoint);
	int status = 0;

	text_add_bytes(&url, endpoint, len && endpoint[len - 1] == '/' ? len - 1 : len);
	text_add(&url, path);
	if (role)
		uri_encode(&url, role, strlen(role), false);
	if (token)
		text_addf(&header, "X-aws-ec2-metadata-token: %s", token);
	else
		text_add(&header, "X-aws-ec2-metadata-token-ttl-seconds: 21600");
	int error = text_failed(&url) || text_failed(&header) ? -ENOMEM : 0;
	if (!error) {
		struct http_call call = { .method = token ? "GET" : "PUT",
					  .url = text_get(&url),
					  .headers = { text_get(&header) } };
		error = http_run(context, &call, &status, out, problem, problem_size);
	}
	if (!error && status != 200) {
		snprintf(problem, problem_size, "the instance metadata service answered %d%s",
			 status, status == 404 ? ": the instance has no role" : "");
		error = status >= 500 || status == 429 ? -EAGAIN : -EACCES;
	}
	text_fini(&url);
	text_fini(&header);
	return error;
}

/* Cuts behind the first line; an answer that could not stand in a header is refused. */
static int first_line(struct text *text, char *problem, size_t problem_size)
{
	size_t len = strcspn(text_get(text), "\r\n");

	for (size_t i = 0; i < len; i++)
		if (text->data[i] < ' ' || text->data[i] >= 0x7f)
			len = 0;
	if (!len) {
		snprintf(problem, problem_size,
			 "the instance metadata service gave no usable answer");
		return -EACCES;
	}
	text->data[len] = 0;
	text->len = len;
	return 0;
}

static int imds_fetch(const struct source_context *context, struct credentials **out, char *problem,
		      size_t problem_size)
{
	struct text token = { 0 }, role = { 0 }, answer = { 0 };
	int error = ask(context, "/latest/api/token", NULL, NULL, &token, problem, problem_size);

	if (!error)
		error = first_line(&token, problem, problem_size);
	if (!error)
		error = ask(context, ROLES_PATH, NULL, text_get(&token), &role, problem,
			    problem_size);
	if (!error)
		error = first_line(&role, problem, problem_size);
	if (!error)
		error = ask(context, ROLES_PATH, text_get(&role), text_get(&token), &answer,
			    problem, problem_size);
	if (!error)
		error = credentials_parse_json(text_get(&answer), answer.len, out, problem,
					       problem_size);
	text_fini(&token);
	text_fini(&role);
	text_fini(&answer);
	return error;
}

const struct credentials_source source_imds = {
	.name = "imds",
	.network = true,
	.renewable = true,
	.present = imds_present,
	.fetch = imds_fetch,
};
