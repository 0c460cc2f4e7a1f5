/* Keys as text, and the file that holds them. */
#include "fabric/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/base/allocation_fault.h"

#define HEX    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER  "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f"

static char folder[] = "/tmp/cenote-keyring-XXXXXX";
static char path[64], problem[512];

static int make_folder(void **state)
{
	(void)state;
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/keys", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void put_file(const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void test_parse__both_forms__are_the_same_key(void **state)
{
	static const char *const rows[] = {
		HEX,
		BASE64,
		"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
		" \t" HEX "\r\n",
		BASE64 "\n",
	};
	uint8_t key[KEYRING_KEY_LEN];

	(void)state;
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		memset(key, 0xee, sizeof(key));
		assert_int_equal(keyring_parse(rows[row], key, problem, sizeof(problem)), 0);
		for (uint8_t i = 0; i < KEYRING_KEY_LEN; i++)
			assert_int_equal(key[i], i);
	}
}

static void test_parse__anything_else__is_refused_and_not_quoted(void **state)
{
	static const char *const rows[] = {
		"",
		"secret",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0",
		"00010203 405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* bits that do not count */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8h", /* 33 bytes */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", /* 31 */
		"=AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"AAEC-wQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", /* the URL alphabet */
		"AAEC\nwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	uint8_t key[KEYRING_KEY_LEN], untouched[KEYRING_KEY_LEN];

	(void)state;
	memset(untouched, 0xee, sizeof(untouched));
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		memset(key, 0xee, sizeof(key));
		assert_int_equal(keyring_parse(rows[row], key, problem, sizeof(problem)), -EINVAL);
		assert_memory_equal(key, untouched, sizeof(key));
		assert_non_null(strstr(problem, "openssl rand"));
		if (rows[row][0])
			assert_null(strstr(problem, rows[row]));
	}
}

static void test_load__a_file_as_people_write_it__gives_its_keys_in_order(void **state)
{
	static const char *const rows[] = {
		HEX "\n" OTHER "\n",
		"# ours\n\n  " BASE64 " # since May\r\n" OTHER,
		HEX "\n" BASE64 "\n\n" OTHER "\n" HEX "\n",
	};
	struct keyring_key keys[KEYRING_KEYS_MAX];
	struct keyring *ring;

	(void)state;
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		put_file(rows[row], strlen(rows[row]), 0600);
		assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), 0);
		assert_int_equal(keyring_copy(ring, keys), 2);
		assert_int_equal(keys[0].key[1], 0x01);
		assert_int_equal(keys[1].key[1], 0xf1);
		keyring_destroy(ring);
	}
	unlink(path);
}

/* The ring's text is never in a problem, but the place is. */
static void test_load__a_faulty_text__names_its_line_and_not_its_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *named;
	} rows[] = {
#define ROW(text, named) { text, sizeof(text) - 1, named }
		ROW("", "has no key"),
		ROW("# nothing\n\n", "has no key"),
		ROW("#" HEX "\n", "has no key"),
		ROW(HEX "\nhunter2\n", ":2: not a key"),
		ROW("\n\n" HEX " " OTHER, ":3: not a key"),
		ROW(HEX "\n" OTHER "\0\n", ":2: not a key"),
		ROW("\xff\xfe" HEX, ":1: not a key"),
#undef ROW
	};
	struct keyring *ring = NULL;

	(void)state;
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		put_file(rows[row].text, rows[row].len, 0600);
		assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -EINVAL);
		assert_null(ring);
		assert_non_null(strstr(problem, path));
		assert_non_null(strstr(problem, rows[row].named));
		assert_null(strstr(problem, "hunter2"));
		assert_null(strstr(problem, "0a0b0c"));
	}
	unlink(path);
}

static void test_load__too_much__is_refused(void **state)
{
	static char text[20000];
	struct keyring *ring = NULL;
	size_t len = 0;

	(void)state;
	for (int i = 0; i <= KEYRING_KEYS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%064x\n", i + 1);
	put_file(text, len, 0600);
	assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -EINVAL);
	assert_non_null(strstr(problem, ":9: more than 8 keys"));

	memset(text, '\n', sizeof(text));
	put_file(text, sizeof(text), 0600);
	assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -EFBIG);
	assert_null(ring);
	unlink(path);
}

static void test_load__open_to_others__is_refused(void **state)
{
	static const struct {
		mode_t mode;
		int status;
	} rows[] = {
		{ 0600, 0 },	   { 0400, 0 },	      { 0700, 0 },
		{ 0644, -EACCES }, { 0604, -EACCES }, { 0602, -EACCES },
		{ 0620, -EACCES }, { 0601, -EACCES }, { 0660, -EACCES },
	};
	struct keyring *ring;

	(void)state;
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		unlink(path);
		put_file(HEX, strlen(HEX), rows[row].mode);
		assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)),
				 rows[row].status);
		if (rows[row].status)
			assert_non_null(strstr(problem, "chmod 600"));
		else
			keyring_destroy(ring);
	}
	unlink(path);
}

static void test_load__what_is_no_file_of_ours__is_refused(void **state)
{
	struct keyring *ring = NULL;

	(void)state;
	assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -ENOENT);
	assert_non_null(strstr(problem, path));
	assert_int_equal(keyring_load(folder, &ring, problem, sizeof(problem)), -EISDIR);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -EINVAL);
	assert_non_null(strstr(problem, "not a regular file"));
	unlink(path);
	put_file(HEX, strlen(HEX), 0600);
	if (geteuid() == 0) { /* only root can give a file away */
		assert_int_equal(chown(path, 1, 1), 0);
		assert_int_equal(keyring_load(path, &ring, problem, sizeof(problem)), -EACCES);
		assert_non_null(strstr(problem, "belongs to user 1"));
	}
	assert_null(ring);
	unlink(path);
}

/* In a process of another user, for the rest of the process' life: run by the child alone. */
static int load_as_another_user(void)
{
	struct keyring *ring;

	if (setgid(1) != 0 || setuid(1) != 0)
		return 2;
	if (keyring_load(path, &ring, problem, sizeof(problem)) != 0)
		return 1;
	keyring_destroy(ring);
	return 0;
}

static void test_load__roots_file_for_a_group_of_ours__is_accepted(void **state)
{
	static const struct {
		mode_t mode;
		int outcome;
	} rows[] = { { 0440, 0 }, { 0640, 0 }, { 0660, 1 }, { 0444, 1 }, { 0600, 1 } };

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	assert_int_equal(chmod(folder, 0755), 0);
	put_file(HEX, strlen(HEX), 0600);
	assert_int_equal(chown(path, 0, 1), 0);
	for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
		int outcome;
		pid_t child;

		assert_int_equal(chmod(path, rows[row].mode), 0);
		child = fork();
		if (child == 0)
			_exit(load_as_another_user());
		assert_int_equal(waitpid(child, &outcome, 0), child);
		assert_true(WIFEXITED(outcome));
		assert_int_equal(WEXITSTATUS(outcome), rows[row].outcome);
	}
	unlink(path);
}

static struct keyring *ring_of(const char *const *texts, size_t count)
{
	struct keyring *ring;
	uint8_t key[KEYRING_KEY_LEN];

	assert_int_equal(keyring_create(&ring), 0);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(keyring_parse(texts[i], key, problem, sizeof(problem)), 0);
		assert_int_equal(keyring_add(ring, key), 0);
	}
	return ring;
}

static void test_save__a_ring__is_loaded_again_in_its_order(void **state)
{
	static const char *const texts[] = { OTHER, HEX };
	struct keyring *ring = ring_of(texts, ARRAY_COUNT(texts)), *again;
	struct keyring_key keys[KEYRING_KEYS_MAX];
	char leftover[80];
	struct stat st;
	mode_t mask;

	(void)state;
	snprintf(leftover, sizeof(leftover), "%s.new", path);
	put_file("what a crash left", 17, 0644);
	assert_int_equal(rename(path, leftover), 0);
	put_file(HEX, strlen(HEX), 0644);
	mask = umask(0);
	assert_int_equal(keyring_save(ring, path, problem, sizeof(problem)), 0);
	umask(mask);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(leftover, &st), -1);
	assert_int_equal(keyring_load(path, &again, problem, sizeof(problem)), 0);
	assert_int_equal(keyring_copy(again, keys), 2);
	assert_int_equal(keys[0].key[0], 0xf0);
	assert_int_equal(keys[1].key[31], 0x1f);
	keyring_destroy(again);
	keyring_destroy(ring);
	unlink(path);
}

static void test_save__a_relative_path__works(void **state)
{
	static const char *const texts[] = { HEX };
	struct keyring *ring = ring_of(texts, 1);
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(keyring_save(ring, "keys", problem, sizeof(problem)), 0);
	assert_int_equal(fchdir(home), 0);
	close(home);
	assert_int_equal(access(path, R_OK), 0);
	keyring_destroy(ring);
	unlink(path);
}

static void test_save__where_it_cannot__says_so_and_keeps_the_old(void **state)
{
	static const char *const texts[] = { HEX };
	struct keyring *ring = ring_of(texts, 1);
	char taken[80];

	(void)state;
	assert_int_equal(keyring_save(ring, "/nowhere/keys", problem, sizeof(problem)), -ENOENT);
	assert_non_null(strstr(problem, "/nowhere/keys"));

	put_file(OTHER, strlen(OTHER), 0600);
	snprintf(taken, sizeof(taken), "%s.new", path);
	assert_int_equal(mkdir(taken, 0700), 0);
	assert_int_equal(keyring_save(ring, path, problem, sizeof(problem)), -EISDIR);
	assert_int_equal(rmdir(taken), 0);
	assert_int_equal(access(path, R_OK), 0);
	unlink(path);
	keyring_destroy(ring);
}

static void test_load_and_save__no_memory__is_said(void **state)
{
	static const char *const texts[] = { HEX };
	struct keyring *ring = ring_of(texts, 1), *loaded = NULL;

	(void)state;
	put_file(HEX, strlen(HEX), 0600);
	for (unsigned n = 1;; n++) {
		int error;

		allocation_fault_arm(n);
		error = keyring_load(path, &loaded, problem, sizeof(problem));
		if (!allocation_fault_disarm())
			break;
		assert_int_equal(error, -ENOMEM);
		assert_null(loaded);
	}
	keyring_destroy(loaded);
	allocation_fault_arm(1);
	assert_int_equal(keyring_save(ring, path, problem, sizeof(problem)), -ENOMEM);
	assert_true(allocation_fault_disarm());
	keyring_destroy(ring);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__both_forms__are_the_same_key),
		cmocka_unit_test(test_parse__anything_else__is_refused_and_not_quoted),
		cmocka_unit_test(test_load__a_file_as_people_write_it__gives_its_keys_in_order),
		cmocka_unit_test(test_load__a_faulty_text__names_its_line_and_not_its_text),
		cmocka_unit_test(test_load__too_much__is_refused),
		cmocka_unit_test(test_load__open_to_others__is_refused),
		cmocka_unit_test(test_load__what_is_no_file_of_ours__is_refused),
		cmocka_unit_test(test_load__roots_file_for_a_group_of_ours__is_accepted),
		cmocka_unit_test(test_save__a_ring__is_loaded_again_in_its_order),
		cmocka_unit_test(test_save__a_relative_path__works),
		cmocka_unit_test(test_save__where_it_cannot__says_so_and_keeps_the_old),
		cmocka_unit_test(test_load_and_save__no_memory__is_said),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
