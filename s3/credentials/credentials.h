/*
 * credentials.h - who we are to the service: a snapshot that requests sign with, and a provider
 * that keeps a fresh one.
 *
 * A snapshot never changes; it is counted and cleared when the last holder lets go. The provider
 * gets a new one before the old one expires, on a thread of its own (sources that cannot change
 * have none), so that no request waits for a renewal. Secrets are never logged or printed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "s3/s3.h"

#define CREDENTIALS_NEVER	INT64_MAX
#define CREDENTIALS_KEY_MAX	256  /* bytes of either key with the NUL */
#define CREDENTIALS_PROBLEM_MAX 128  /* fits into a request's problem with words around it */
#define CREDENTIALS_TOKEN_MAX	8192 /* of a session token: what servers take in a header line */

struct credentials {
	_Atomic unsigned references;
	bool anonymous;	     /* sign nothing */
	uint64_t generation; /* of its provider; for caches of derived keys */
	int64_t expires_s;   /* wall time, CREDENTIALS_NEVER */
	char *access_key;
	char *secret_key;
	char *session_token; /* NULL: none */
};

enum credentials_state {
	CREDENTIALS_PENDING, /* none that is valid, but the provider is working on it */
	CREDENTIALS_READY,
	CREDENTIALS_DENIED, /* none, and the source says no; it is asked again from time to time */
};

struct credentials_provider;

/**
 * credentials_create() - copies the strings; @session_token may be NULL or "".
 * Return: 0; -EINVAL with @problem: one of them is empty, too long, or has characters that could
 *         not be sent in a header; -ENOMEM.
 */
int credentials_create(const char *access_key, const char *secret_key, const char *session_token,
		       int64_t expires_s, struct credentials **out, char *problem,
		       size_t problem_size);

/** credentials_get() - another reference to @credentials. */
struct credentials *credentials_get(struct credentials *credentials);

/** credentials_put() - gives a reference back; the last one clears the memory. NULL is fine. */
void credentials_put(struct credentials *credentials);

/**
 * credentials_provider_create() - chooses the source and starts it.
 * @config, @clock: borrowed until credentials_provider_destroy().
 * @changed: runs on the provider's thread when the state or the snapshot changed; must not call
 *           credentials_provider_destroy().
 * Return: 0; -EINVAL with @problem: the source that is named is not there; -ENOMEM; -EAGAIN.
 */
int credentials_provider_create(const struct s3_config *config, const char *name,
				const struct clock *clock, void (*changed)(void *context),
				void *context, struct credentials_provider **out, char *problem,
				size_t problem_size);

/** credentials_provider_destroy() - stops the thread (bounded by the time-out of one request to
 *  the source). NULL is fine. */
void credentials_provider_destroy(struct credentials_provider *provider);

/**
 * credentials_provider_current() - the state, with a reference to the snapshot when READY.
 * @problem: what the source last said when there is none; "" otherwise.
 */
enum credentials_state credentials_provider_current(struct credentials_provider *provider,
						    struct credentials **out, char *problem,
						    size_t problem_size);

/**
 * credentials_provider_expired() - the snapshot of @generation has expired before its time.
 * @certain: the service said so: the snapshot is not handed out any more. Otherwise it is only
 *           suspected, and stays in use until there is a new one.
 * Return: true: a new one is on its way or already there; false: this source has none, or has
 *         been asked a moment ago.
 */
bool credentials_provider_expired(struct credentials_provider *provider, uint64_t generation,
				  bool certain);

/** credentials_provider_refreshes() - snapshots obtained so far. */
uint64_t credentials_provider_refreshes(struct credentials_provider *provider);

/** credentials_provider_identity() - "access key AKIA...3F (environment)"; never a secret. */
void credentials_provider_identity(struct credentials_provider *provider, char *out,
				   size_t out_size);
