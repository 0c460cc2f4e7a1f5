/*
 * source.h - one place that credentials come from. Private to credentials/.
 */
#pragma once

#include "s3/credentials/credentials.h"

struct source_context {
	const struct s3_config *config;
	const struct clock *clock;
	const _Atomic bool *stopping; /* ends a fetch that is under way */
};

struct credentials_source {
	const char *name;
	bool network;	/* fetch() talks to a service: only on the provider's thread */
	bool renewable; /* asking again may give something else */
	/* Whether it is set up here, without asking anybody; if not, @problem says what is missing.
	 */
	bool (*present)(const struct source_context *context, char *problem, size_t problem_size);
	/*
	 * Return: 0; with @problem: -EAGAIN a transient failure; -EACCES the source says no;
	 * -EINVAL it has nothing usable; -ENOMEM.
	 */
	int (*fetch)(const struct source_context *context, struct credentials **out, char *problem,
		     size_t problem_size);
};

extern const struct credentials_source source_config;
extern const struct credentials_source source_environment;
extern const struct credentials_source source_web_identity;
extern const struct credentials_source source_file;
extern const struct credentials_source source_container;
extern const struct credentials_source source_imds;
extern const struct credentials_source source_anonymous;

/** source_setting() - @configured, else the environment variable; NULL when neither or empty. */
const char *source_setting(const char *configured, const char *variable);
