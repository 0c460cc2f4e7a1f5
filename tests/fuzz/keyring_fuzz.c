/*
 * keyring_fuzz.c - any text as a key, and any bytes as a key file. What is taken, written as a
 * file of ours, is read again; what is not taken leaves no ring and is not quoted in the problem.
 */
/* fuzz-links: cenote_fabric cenote_base */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "fabric/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A file in memory, which keyring_load() finds by its path in /proc. */
static void make_file(const void *data, size_t len, int *out_fd, char path[64])
{
	int fd = memfd_create("keyring", MFD_CLOEXEC);

	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, 0600) == 0);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	*out_fd = fd;
}

static int load(const void *data, size_t len, struct keyring **out_ring, char *problem,
		size_t problem_size)
{
	char path[64];
	int fd, error;

	make_file(data, len, &fd, path);
	error = keyring_load(path, out_ring, problem, problem_size);
	close(fd);
	return error;
}

static void check_same(const struct keyring *ring)
{
	struct keyring_key keys[KEYRING_KEYS_MAX], again_keys[KEYRING_KEYS_MAX];
	char text[KEYRING_KEYS_MAX * 70] = "", problem[256];
	unsigned count = keyring_copy(ring, keys);
	struct keyring *again;

	CHECK(count >= 1 && count <= KEYRING_KEYS_MAX);
	for (unsigned i = 0; i < count; i++) {
		digest_hex(keys[i].key, KEYRING_KEY_LEN, text + strlen(text));
		strcat(text, "\n");
	}
	CHECK(load(text, strlen(text), &again, problem, sizeof(problem)) == 0);
	CHECK(keyring_copy(again, again_keys) == count);
	CHECK(!memcmp(keys, again_keys, count * sizeof(keys[0])));
	keyring_destroy(again);
}

static void try_file(const uint8_t *data, size_t len)
{
	struct keyring *ring = NULL;
	char problem[256] = "";
	int error = load(data, len, &ring, problem, sizeof(problem));

	CHECK(!error == (ring != NULL) && !error == !problem[0]);
	if (!error)
		check_same(ring);
	else
		CHECK(error == -EINVAL || error == -EFBIG);
	keyring_destroy(ring);
}

static void try_text(const uint8_t *data, size_t len)
{
	uint8_t key[KEYRING_KEY_LEN], again[KEYRING_KEY_LEN];
	char hex[2 * KEYRING_KEY_LEN + 1], problem[256] = "";
	char *text = malloc(len + 1);

	CHECK(text);
	memcpy(text, data, len);
	text[len] = '\0';
	if (keyring_parse(text, key, problem, sizeof(problem)) == 0) {
		digest_hex(key, sizeof(key), hex);
		CHECK(keyring_parse(hex, again, problem, sizeof(problem)) == 0);
		CHECK(!memcmp(key, again, sizeof(key)));
	} else {
		CHECK(problem[0]);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_text(data, len);
	try_file(data, len);
	return 0;
}
