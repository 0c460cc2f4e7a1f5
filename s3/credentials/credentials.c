/*
 * credentials.c - snapshots.
 */
#include "s3/credentials/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_usable(const char *text, size_t size_max)
{
	size_t len = strlen(text);

	if (!len || len >= size_max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

static void clear(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}

static int refuse(const char *what, char *problem, size_t problem_size)
{
	snprintf(problem, problem_size,
		 "the %s is empty, too long or has characters that no key has", what);
	return -EINVAL;
}

int credentials_create(const char *access_key, const char *secret_key, const char *session_token,
		       int64_t expires_s, struct credentials **out, char *problem,
		       size_t problem_size)
{
	if (session_token && !session_token[0])
		session_token = NULL;
	if (!is_usable(access_key, CREDENTIALS_KEY_MAX) || strchr(access_key, ','))
		return refuse("access key", problem, problem_size);
	if (!is_usable(secret_key, CREDENTIALS_KEY_MAX))
		return refuse("secret key", problem, problem_size);
	if (session_token && !is_usable(session_token, CREDENTIALS_TOKEN_MAX))
		return refuse("session token", problem, problem_size);
	struct credentials *credentials = calloc(1, sizeof(*credentials));
	if (!credentials) {
		snprintf(problem, problem_size, "out of memory for credentials");
		return -ENOMEM;
	}
	credentials->references = 1;
	credentials->expires_s = expires_s;
	credentials->access_key = strdup(access_key);
	credentials->secret_key = strdup(secret_key);
	credentials->session_token = session_token ? strdup(session_token) : NULL;
	if (!credentials->access_key || !credentials->secret_key ||
	    (session_token && !credentials->session_token)) {
		credentials_put(credentials);
		snprintf(problem, problem_size, "out of memory for credentials");
		return -ENOMEM;
	}
	*out = credentials;
	return 0;
}

struct credentials *credentials_get(struct credentials *credentials)
{
	atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
	return credentials;
}

void credentials_put(struct credentials *credentials)
{
	if (!credentials ||
	    atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) != 1)
		return;
	clear(credentials->access_key);
	clear(credentials->secret_key);
	clear(credentials->session_token);
	free(credentials);
}
