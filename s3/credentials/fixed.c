/*
 * fixed.c - the sources that are just there: config file, environment, and nobody.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "s3/credentials/source.h"

const char *source_setting(const char *configured, const char *variable)
{
	if (configured && configured[0])
		return configured;
	const char *value = getenv(variable);
	return value && value[0] ? value : NULL;
}

static bool config_present(const struct source_context *context, char *problem, size_t problem_size)
{
	const struct s3_credentials_config *config = &context->config->credentials;

	if (config->access_key && config->secret_key)
		return true;
	snprintf(problem, problem_size,
		 "credentials.access_key or credentials.secret_key is not set");
	return false;
}

static int config_fetch(const struct source_context *context, struct credentials **out,
			char *problem, size_t problem_size)
{
	const struct s3_credentials_config *config = &context->config->credentials;

	return credentials_create(config->access_key, config->secret_key, config->session_token,
				  CREDENTIALS_NEVER, out, problem, problem_size);
}

const struct credentials_source source_config = {
	.name = "config",
	.present = config_present,
	.fetch = config_fetch,
};

static bool environment_present(const struct source_context *context, char *problem,
				size_t problem_size)
{
	(void)context;
	if (source_setting(NULL, "AWS_ACCESS_KEY_ID") &&
	    source_setting(NULL, "AWS_SECRET_ACCESS_KEY"))
		return true;
	snprintf(problem, problem_size, "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set");
	return false;
}

static int environment_fetch(const struct source_context *context, struct credentials **out,
			     char *problem, size_t problem_size)
{
	(void)context;
	return credentials_create(getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
				  getenv("AWS_SESSION_TOKEN"), CREDENTIALS_NEVER, out, problem,
				  problem_size);
}

const struct credentials_source source_environment = {
	.name = "environment",
	.present = environment_present,
	.fetch = environment_fetch,
};

static bool anonymous_present(const struct source_context *context, char *problem,
			      size_t problem_size)
{
	(void)context, (void)problem, (void)problem_size;
	return true;
}

static int anonymous_fetch(const struct source_context *context, struct credentials **out,
			   char *problem, size_t problem_size)
{
	(void)context;
	struct credentials *credentials = calloc(1, sizeof(*credentials));
	if (!credentials) {
		snprintf(problem, problem_size, "out of memory for credentials");
		return -ENOMEM;
	}
	credentials->references = 1;
	credentials->anonymous = true;
	credentials->expires_s = CREDENTIALS_NEVER;
	*out = credentials;
	return 0;
}

const struct credentials_source source_anonymous = {
	.name = "anonymous",
	.present = anonymous_present,
	.fetch = anonymous_fetch,
};
