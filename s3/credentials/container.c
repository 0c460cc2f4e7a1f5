/*
 * container.c - the endpoint that ECS and EKS Pod Identity give a container through its
 * environment.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/credentials/http.h"
#include "s3/credentials/json.h"
#include "s3/credentials/read_file.h"
#include "s3/credentials/source.h"
#include "s3/wire/uri.h"

#define RELATIVE_URI  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL_URI      "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define TOKEN	      "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define TOKEN_FILE    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
#define RELATIVE_BASE "http://169.254.170.2"
#define TOKEN_LEN_MAX ((size_t)16 << 10)

static bool container_present(const struct source_context *context, char *problem,
			      size_t problem_size)
{
	(void)context;
	if (source_setting(NULL, RELATIVE_URI) || source_setting(NULL, FULL_URI))
		return true;
	snprintf(problem, problem_size, "neither " RELATIVE_URI " nor " FULL_URI " is set");
	return false;
}

/*
 * Without TLS the token and the credentials must not leave the machine: loopback, or the link-local
 * addresses of ECS and EKS.
 */
static bool is_local(const char *url)
{
	static const char *const local[] = { "localhost", "169.254.170.2", "169.254.170.23",
					     "[fd00:ec2::23]", "[::1]" };
	char host[ENDPOINT_HOST_MAX];
	struct in_addr v4;
	const char *start = url + strlen("http://");
	size_t len = strcspn(start, "/?#");

	if (memchr(start, '@', len))
		return false;
	const char *colon = memrchr(start, ':', len);
	if (colon && !memchr(colon, ']', len - (size_t)(colon - start)))
		len = (size_t)(colon - start);
	if (len >= sizeof(host))
		return false;
	memcpy(host, start, len);
	host[len] = 0;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (!strcmp(host, local[i]))
			return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

static int make_url(struct text *out, char *problem, size_t problem_size)
{
	const char *relative = source_setting(NULL, RELATIVE_URI);
	const char *full = source_setting(NULL, FULL_URI);

	if (relative && relative[0] == '/') {
		text_addf(out, "%s%s", RELATIVE_BASE, relative);
		return 0;
	}
	if (!relative && full &&
	    (!strncmp(full, "https://", 8) || (!strncmp(full, "http://", 7) && is_local(full)))) {
		text_add(out, full);
		return 0;
	}
	snprintf(problem, problem_size, "%s",
		 relative ? RELATIVE_URI " does not start with '/'"
			  : FULL_URI " is neither https:// nor http:// on this machine");
	return -EINVAL;
}

/* "Authorization: TOKEN"; the file is read each time, for it is rotated. */
static int make_authorization(struct text *out, char *problem, size_t problem_size)
{
	const char *token = source_setting(NULL, TOKEN);
	const char *path = source_setting(NULL, TOKEN_FILE);
	struct text from_file = { 0 };
	int error = 0;

	if (path) {
		error = read_secret_file(path, TOKEN_LEN_MAX, &from_file, problem, problem_size);
		token = text_get(&from_file);
	}
	if (!error && token) {
		text_add(out, "Authorization: ");
		text_add_bytes(out, token, strcspn(token, "\r\n"));
	}
	text_fini(&from_file);
	if (error)
		return error == -ENOMEM ? error : -EAGAIN;
	return text_failed(out) ? -ENOMEM : 0;
}

static int ask(const struct source_context *context, const char *url, const char *authorization,
	       struct credentials **out, char *problem, size_t problem_size)
{
	struct http_call call = { .method = "GET", .url = url };
	struct text body = { 0 };
	int status = 0;

	if (authorization[0])
		call.headers[0] = authorization;
	int error = http_run(context, &call, &status, &body, problem, problem_size);
	if (!error && status == 200) {
		error = credentials_parse_json(text_get(&body), body.len, out, problem,
					       problem_size);
	} else if (!error) {
		snprintf(problem, problem_size, "the container endpoint answered %d", status);
		error = status >= 500 || status == 429 ? -EAGAIN : -EACCES;
	}
	text_fini(&body);
	return error;
}

static int container_fetch(const struct source_context *context, struct credentials **out,
			   char *problem, size_t problem_size)
{
	struct text url = { 0 }, authorization = { 0 };
	int error = make_url(&url, problem, problem_size);

	if (!error)
		error = make_authorization(&authorization, problem, problem_size);
	if (!error)
		error = ask(context, text_get(&url), text_get(&authorization), out, problem,
			    problem_size);
	text_fini(&url);
	text_fini(&authorization);
	return error;
}

const struct credentials_source source_container = {
	.name = "container",
	.network = true,
	.renewable = true,
	.present = container_present,
	.fetch = container_fetch,
};
