/*
 * web_identity.c - a token that the platform (Kubernetes service accounts) puts into a file,
 * exchanged for credentials of a role by STS AssumeRoleWithWebIdentity. The call is not signed: the
 * token is the proof.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/credentials/http.h"
#include "s3/credentials/read_file.h"
#include "s3/credentials/source.h"
#include "s3/credentials/sts_xml.h"
#include "s3/wire/error_xml.h"
#include "s3/wire/uri.h"

#define TOKEN_LEN_MAX ((size_t)32 << 10)

static const char *role_of(const struct source_context *context)
{
	return source_setting(context->config->credentials.role_arn, "AWS_ROLE_ARN");
}

static const char *token_file_of(const struct source_context *context)
{
	return source_setting(context->config->credentials.web_identity_token_file,
			      "AWS_WEB_IDENTITY_TOKEN_FILE");
}

static bool web_identity_present(const struct source_context *context, char *problem,
				 size_t problem_size)
{
	if (role_of(context) && token_file_of(context))
		return true;
	snprintf(problem, problem_size,
		 "credentials.role_arn (AWS_ROLE_ARN) or credentials.web_identity_token_file "
		 "(AWS_WEB_IDENTITY_TOKEN_FILE) is not set");
	return false;
}

static void add_parameter(struct text *out, const char *name, const char *value, size_t len)
{
	text_addf(out, "%s%s=", out->len ? "&" : "", name);
	uri_encode(out, value, len, false);
}

static int make_body(const struct source_context *context, struct text *out, char *problem,
		     size_t problem_size)
{
	const char *session = source_setting(NULL, "AWS_ROLE_SESSION_NAME");
	const char *role = role_of(context);
	struct text token = { 0 };
	int error = read_secret_file(token_file_of(context), TOKEN_LEN_MAX, &token, problem,
				     problem_size);

	session = session ? session : "cenote";
	if (!error) {
		const char *text = text_get(&token);
		text_add(out, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
		add_parameter(out, "RoleArn", role, strlen(role));
		add_parameter(out, "RoleSessionName", session, strlen(session));
		add_parameter(out, "WebIdentityToken", text, strcspn(text, "\r\n \t"));
		error = text_failed(out) ? -ENOMEM : 0;
	} else if (error != -ENOMEM) {
		error = -EAGAIN; /* the platform may be about to write it */
	}
	text_fini(&token);
	return error;
}

static int read_error(int status, const struct text *body, char *problem, size_t problem_size)
{
	struct error_xml xml;
	size_t len = body->len < ERROR_XML_LEN_MAX ? body->len : ERROR_XML_LEN_MAX;

	error_xml_parse(text_get(body), len, &xml);
	snprintf(problem, problem_size, "STS answered %d %s", status, xml.code);
	/* the token is rotated, so one that has expired will be replaced */
	bool transient = status >= 500 || status == 429 || !strcmp(xml.code, "Throttling") ||
			 !strcmp(xml.code, "IDPCommunicationError") ||
			 !strcmp(xml.code, "ExpiredTokenException");
	return transient ? -EAGAIN : -EACCES;
}

static int ask(const struct source_context *context, const char *body, struct credentials **out,
	       char *problem, size_t problem_size)
{
	const char *endpoint =
		source_setting(context->config->credentials.sts_endpoint, "AWS_ENDPOINT_URL_STS");
	struct text url = { 0 }, answer = { 0 };
	int status = 0, error = -ENOMEM;

	if (endpoint)
		text_add(&url, endpoint);
	else
		text_addf(&url, "https://sts.%s.amazonaws.com/", context->config->region);
	if (!text_failed(&url)) {
		struct http_call call = { .method = "POST",
					  .url = text_get(&url),
					  .body = body,
					  .ca_file = context->config->ca_file };
		if (!endpoint) /* Amazon's own is checked against the system's authorities */
			call.ca_file = NULL;
		error = http_run(context, &call, &status, &answer, problem, problem_size);
	}
	if (!error && status == 200)
		error = credentials_parse_sts(text_get(&answer), answer.len, out, problem,
					      problem_size);
	else if (!error)
		error = read_error(status, &answer, problem, problem_size);
	text_fini(&url);
	text_fini(&answer);
	return error;
}

static int web_identity_fetch(const struct source_context *context, struct credentials **out,
			      char *problem, size_t problem_size)
{
	struct text body = { 0 };
	int error = make_body(context, &body, problem, problem_size);

	if (!error)
		error = ask(context, text_get(&body), out, problem, problem_size);
	text_fini(&body);
	return error;
}

const struct credentials_source source_web_identity = {
	.name = "web-identity",
	.network = true,
	.renewable = true,
	.present = web_identity_present,
	.fetch = web_identity_fetch,
};
