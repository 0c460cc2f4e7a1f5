/*
 * keyring_file.c - keys as text, and the file that holds them. What was read or is to be written
 * lies in one buffer, which is wiped.
 */
#include "fabric/keyring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/option.h"

#define FILE_LEN_MAX 16384
#define HEX_LEN	     ((size_t)2 * KEYRING_KEY_LEN)
#define BASE64_LEN   44
#define BASE64_BYTES 33 /* what OpenSSL's decoder writes: the padding counts as a byte */

static_assert((KEYRING_KEY_LEN + 2) / 3 * 4 == BASE64_LEN, "the length of a key in base64");

struct secret_text {
	char data[FILE_LEN_MAX + 1];
	size_t len;
};

static int __attribute__((format(printf, 4, 5)))
refuse(char *problem, size_t problem_size, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem, problem_size, format, arguments);
	va_end(arguments);
	return error;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool from_hex(const char *text, uint8_t out[KEYRING_KEY_LEN])
{
	for (size_t i = 0; i < KEYRING_KEY_LEN; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Only what an encoder writes: OpenSSL's decoder overlooks blanks, '=' in odd places and bits that
   do not count, so the result is encoded again and compared. */
static bool from_base64(const char *text, uint8_t out[KEYRING_KEY_LEN])
{
	uint8_t decoded[BASE64_BYTES];
	char again[BASE64_LEN + 1];
	bool good = EVP_DecodeBlock(decoded, (const uint8_t *)text, BASE64_LEN) == BASE64_BYTES;

	if (good) {
		EVP_EncodeBlock((uint8_t *)again, decoded, KEYRING_KEY_LEN);
		good = !memcmp(again, text, BASE64_LEN);
	}
	if (good)
		memcpy(out, decoded, KEYRING_KEY_LEN);
	OPENSSL_cleanse(decoded, sizeof(decoded));
	OPENSSL_cleanse(again, sizeof(again));
	return good;
}

/* @len characters from @text, which need not end there. */
static int parse_key(const char *text, size_t len, uint8_t out[KEYRING_KEY_LEN], char *problem,
		     size_t problem_size)
{
	static const uint8_t zero[KEYRING_KEY_LEN];
	uint8_t key[KEYRING_KEY_LEN];
	int error = 0;

	if (len == HEX_LEN ? !from_hex(text, key) : len != BASE64_LEN || !from_base64(text, key))
		error = option_problem(problem, problem_size,
				       "not a key: a key is 64 hexadecimal digits or 44 characters "
				       "of base64, as `openssl rand -hex 32` makes one");
	else if (!memcmp(key, zero, KEYRING_KEY_LEN))
		error = option_problem(problem, problem_size,
				       "a key of zeros alone is not a secret; `openssl rand -hex "
				       "32` makes a good one");
	else
		memcpy(out, key, KEYRING_KEY_LEN);
	OPENSSL_cleanse(key, sizeof(key));
	return error;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without the blanks around it. Return: where it starts. */
static const char *trim(const char *text, size_t *len)
{
	while (*len && is_blank(*text)) {
		text++;
		--*len;
	}
	while (*len && is_blank(text[*len - 1]))
		--*len;
	return text;
}

int keyring_parse(const char *text, uint8_t out[KEYRING_KEY_LEN], char *problem,
		  size_t problem_size)
{
	size_t len = strlen(text);

	text = trim(text, &len);
	return parse_key(text, len, out, problem, problem_size);
}

/* One line of the file; @path and @line are for the problem. */
static int take_line(struct keyring *ring, const char *text, size_t len, const char *path,
		     unsigned line, char *problem, size_t problem_size)
{
	const char *comment = memchr(text, '#', len);
	uint8_t key[KEYRING_KEY_LEN];
	char why[OPTION_PROBLEM_MAX];
	int error;

	if (comment)
		len = (size_t)(comment - text);
	text = trim(text, &len);
	if (!len)
		return 0;
	error = parse_key(text, len, key, why, sizeof(why));
	if (error)
		return option_problem(problem, problem_size, "%s:%u: %s", path, line, why);
	error = keyring_add(ring, key);
	OPENSSL_cleanse(key, sizeof(key));
	if (error == -ENOSPC)
		return option_problem(problem, problem_size,
				      "%s:%u: more than %d keys: remove those that are not used "
				      "any more",
				      path, line, KEYRING_KEYS_MAX);
	return error;
}

static int take_lines(struct keyring *ring, const struct secret_text *file, const char *path,
		      char *problem, size_t problem_size)
{
	const char *text = file->data, *end = file->data + file->len;
	struct keyring_key used;
	int error;

	for (unsigned line = 1; text < end; line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((newline ? newline : end) - text);

		error = take_line(ring, text, len, path, line, problem, problem_size);
		if (error)
			return error;
		text += len + (newline != NULL);
	}
	if (keyring_used(ring, &used) != 0)
		return option_problem(problem, problem_size,
				      "%s has no key: `openssl rand -hex 32` makes one", path);
	keyring_key_wipe(&used);
	return 0;
}

/* A secret that others can read is none, and one that others can write is theirs. */
static int check_owner(int fd, const char *path, char *problem, size_t problem_size)
{
	struct stat st;
	mode_t forbidden = S_IRWXG | S_IRWXO;

	if (fstat(fd, &st) != 0)
		return refuse(problem, problem_size, -errno, "%s: %s", path, error_text(-errno));
	if (!S_ISREG(st.st_mode))
		return refuse(problem, problem_size, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
			      "%s is not a regular file", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse(problem, problem_size, -EACCES,
			      "%s belongs to user %u, who could change the secret: it must belong "
			      "to user %u or to root",
			      path, st.st_uid, geteuid());
	/* We could open it, so a group of root's file that may read it is one of ours. */
	if (st.st_uid == 0 && geteuid() != 0)
		forbidden &= ~(mode_t)S_IRGRP;
	if (st.st_mode & forbidden)
		return refuse(problem, problem_size, -EACCES,
			      "%s is open to others (mode %04o): chmod 600 %s, and if others may "
			      "have read it, use a new key",
			      path, st.st_mode & 07777, path);
	return 0;
}

static int read_text(int fd, struct secret_text *out)
{
	ssize_t got;

	do {
		got = read(fd, out->data + out->len, sizeof(out->data) - out->len);
		if (got > 0)
			out->len += (size_t)got;
	} while ((got > 0 && out->len < sizeof(out->data)) || (got < 0 && errno == EINTR));
	if (got < 0)
		return -errno;
	return out->len > FILE_LEN_MAX ? -EFBIG : 0;
}

static int read_file(const char *path, struct secret_text *out, char *problem, size_t problem_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe: no waiting */
	int error;

	if (fd < 0)
		return refuse(problem, problem_size, -errno, "cannot read %s: %s", path,
			      error_text(-errno));
	error = check_owner(fd, path, problem, problem_size);
	if (!error) {
		error = read_text(fd, out);
		if (error)
			refuse(problem, problem_size, error, "cannot read %s: %s", path,
			       error_text(error));
	}
	close(fd);
	return error;
}

static void text_destroy(struct secret_text *text)
{
	OPENSSL_cleanse(text, sizeof(*text));
	free(text);
}

int keyring_load(const char *path, struct keyring **out_ring, char *problem, size_t problem_size)
{
	struct secret_text *text = calloc(1, sizeof(*text));
	struct keyring *ring = NULL;
	int error;

	if (!text)
		return refuse(problem, problem_size, -ENOMEM, "out of memory");
	error = read_file(path, text, problem, problem_size);
	if (error)
		goto destroy_text;
	error = keyring_create(&ring);
	if (error) {
		refuse(problem, problem_size, error, "out of memory");
		goto destroy_text;
	}
	error = take_lines(ring, text, path, problem, problem_size);
	if (error)
		keyring_destroy(ring);
	else
		*out_ring = ring;
destroy_text:
	text_destroy(text);
	return error;
}

static void make_text(const struct keyring *ring, struct secret_text *out)
{
	static const char head[] = "# The keys of this node's cluster: the first is used, all are "
				   "accepted.\n";
	struct keyring_key keys[KEYRING_KEYS_MAX];
	unsigned count = keyring_copy(ring, keys);

	memcpy(out->data, head, strlen(head));
	out->len = strlen(head);
	for (unsigned i = 0; i < count; i++) {
		digest_hex(keys[i].key, KEYRING_KEY_LEN, out->data + out->len);
		out->len += HEX_LEN;
		out->data[out->len++] = '\n';
	}
	OPENSSL_cleanse(keys, sizeof(keys));
}

static_assert(128 + KEYRING_KEYS_MAX * (HEX_LEN + 1) < FILE_LEN_MAX, "a full ring can be saved");

static int write_text(int fd, const struct secret_text *text)
{
	size_t done = 0;

	while (done < text->len) {
		ssize_t put = write(fd, text->data + done, text->len - done);

		if (put < 0 && errno != EINTR)
			return -errno;
		if (put > 0)
			done += (size_t)put;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

/* A file that was not there, for us alone; what a crash left under the name goes. */
static int write_new(const char *path, const struct secret_text *text)
{
	int fd, error;

	if (unlink(path) != 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = write_text(fd, text);
	if (close(fd) != 0 && !error)
		error = -errno;
	if (error)
		unlink(path);
	return error;
}

/* Makes the name in its folder durable. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, error = 0;

	/* The path was used already, so it is not longer than PATH_MAX. */
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		error = -errno;
	close(fd);
	return error;
}

static int replace(const char *path, const struct secret_text *text)
{
	char new_path[PATH_MAX];
	int error;

	if ((size_t)snprintf(new_path, sizeof(new_path), "%s.new", path) >= sizeof(new_path))
		return -ENAMETOOLONG;
	error = write_new(new_path, text);
	if (error)
		return error;
	if (rename(new_path, path) != 0) {
		error = -errno;
		unlink(new_path);
		return error;
	}
	return sync_folder(path);
}

int keyring_save(const struct keyring *ring, const char *path, char *problem, size_t problem_size)
{
	struct secret_text *text = calloc(1, sizeof(*text));
	int error;

	if (!text)
		return refuse(problem, problem_size, -ENOMEM, "out of memory");
	make_text(ring, text);
	error = replace(path, text);
	if (error)
		refuse(problem, problem_size, error, "cannot write %s: %s", path,
		       error_text(error));
	text_destroy(text);
	return error;
}
