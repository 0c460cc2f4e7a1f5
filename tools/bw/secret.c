/*
 * secret.c - finding or making the secret.
 */
#include "tools/bw/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/random.h"
#include "tools/bw/options.h"

static int ring_of(const uint8_t key[KEYRING_KEY_LEN], struct keyring **out_ring)
{
	struct keyring *ring;
	int error = keyring_create(&ring);

	if (error)
		return error;
	error = keyring_add(ring, key);
	if (error) {
		keyring_destroy(ring);
		return error;
	}
	*out_ring = ring;
	return 0;
}

static int from_environment(const char *text, struct keyring **out_ring, char *problem,
			    size_t problem_size)
{
	uint8_t key[KEYRING_KEY_LEN];
	char why[SECRET_PROBLEM_MAX];
	int error = keyring_parse(text, key, why, sizeof(why));

	if (error)
		snprintf(problem, problem_size, "$" BW_SECRET_VARIABLE ": %s", why);
	else
		error = ring_of(key, out_ring);
	explicit_bzero(key, sizeof(key));
	return error;
}

int secret_load(const char *file, struct keyring **out_ring, char *problem, size_t problem_size)
{
	const char *text = getenv(BW_SECRET_VARIABLE);
	int error;

	if (file)
		return keyring_load(file, out_ring, problem, problem_size);
	if (!text) {
		snprintf(problem, problem_size,
			 "no secret: give --secret-file=FILE (made by `umask 077; openssl rand "
			 "-hex 32 >FILE`, the same on both sides) or set $" BW_SECRET_VARIABLE);
		return -ENOKEY;
	}
	error = from_environment(text, out_ring, problem, problem_size);
	unsetenv(BW_SECRET_VARIABLE);
	return error;
}

int secret_make(struct keyring **out_ring, char out_text[SECRET_TEXT_MAX])
{
	uint8_t key[KEYRING_KEY_LEN];
	int error;

	random_bytes(key, sizeof(key));
	error = ring_of(key, out_ring);
	if (!error)
		digest_hex(key, sizeof(key), out_text);
	explicit_bzero(key, sizeof(key));
	return error;
}
