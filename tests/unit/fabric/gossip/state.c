/*
 * Tests of fabric/gossip/state.h.
 */
#include "fabric/gossip/state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

#define PROBLEM_MAX 256

struct place {
	char dir[64];
	char problem[PROBLEM_MAX];
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	strcpy(place->dir, "/tmp/cenote-state-XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	static const char *const names[] = { "lock", "member", "peers" };
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", place->dir, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(place->dir), 0); /* nothing else was left in it */
	free(place);
	return 0;
}

static void file_write(const struct place *place, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", place->dir, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void test_claim__twice__the_second_is_refused(void **state)
{
	struct place *place = *state;
	int lock, other;

	assert_int_equal(state_claim(place->dir, &lock, place->problem, PROBLEM_MAX), 0);
	assert_int_equal(state_claim(place->dir, &other, place->problem, PROBLEM_MAX), -EBUSY);
	assert_non_null(strstr(place->problem, "node.state_dir"));
	state_release(lock);
	assert_int_equal(state_claim(place->dir, &other, place->problem, PROBLEM_MAX), 0);
	state_release(other);
}

static void test_claim__directory_that_cannot_be_made__says_so(void **state)
{
	struct place *place = *state;
	int lock;

	assert_int_equal(state_claim("/nonexistent/state", &lock, place->problem, PROBLEM_MAX),
			 -ENOENT);
	assert_non_null(strstr(place->problem, "/nonexistent/state"));
}

static void test_member_load__first_time__makes_an_id_that_stays(void **state)
{
	struct place *place = *state;
	struct state_member first, second;

	assert_int_equal(state_member_load(place->dir, &first, place->problem, PROBLEM_MAX), 0);
	assert_false(member_id_is_none(&first.id));
	assert_int_equal(first.incarnation, 0);
	first.incarnation = 4711;
	assert_int_equal(state_member_save(place->dir, &first, place->problem, PROBLEM_MAX), 0);
	assert_int_equal(state_member_load(place->dir, &second, place->problem, PROBLEM_MAX), 0);
	assert_memory_equal(&first, &second, sizeof(first));
}

static void test_member_load__damaged__is_refused_with_advice(void **state)
{
	static const char *const rows[] = {
		"",
		"cenote member 1\n",
		"cenote member 2\nid 00112233445566778899aabbccddeeff\nincarnation 1\n",
		"cenote member 1\nid 00112233445566778899aabbccddeef\nincarnation 1\n",
		"cenote member 1\nid 00000000000000000000000000000000\nincarnation 1\n",
		"cenote member 1\nid 00112233445566778899aabbccddeeff\nincarnation 2147483648\n",
		"cenote member 1\nid 00112233445566778899aabbccddeeff\nincarnation 1",
		"cenote member 1\nid 00112233445566778899aabbccddeeff\nincarnation 1\n\n",
		"cenote member 1\nid 00112233445566778899AABBCCDDEEFF\nincarnation 1\n",
	};
	struct place *place = *state;
	struct state_member member;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		file_write(place, "member", rows[i]);
		assert_int_equal(
			state_member_load(place->dir, &member, place->problem, PROBLEM_MAX),
			-EINVAL);
		assert_non_null(strstr(place->problem, "remove it"));
	}
}

static void test_member_save__directory_gone__fails_and_says_so(void **state)
{
	struct place *place = *state;
	struct state_member member = { .incarnation = 1 };

	member.id.bytes[0] = 1;
	assert_int_equal(state_member_save("/nonexistent", &member, place->problem, PROBLEM_MAX),
			 -ENOENT);
	assert_non_null(strstr(place->problem, "/nonexistent/member"));
}

static void test_peers_load__what_was_saved__is_the_same(void **state)
{
	struct place *place = *state;
	struct state_peers peers = { .count = STATE_PEERS_MAX }, again;

	for (unsigned i = 0; i < STATE_PEERS_MAX; i++) {
		char text[64];

		snprintf(text, sizeof(text), i % 2 ? "10.0.0.%u:7472" : "[fd00::%u]:7472", i);
		assert_int_equal(
			address_parse(text, 1, &peers.addresses[i], place->problem, PROBLEM_MAX),
			0);
	}
	state_peers_load(place->dir, &again);
	assert_int_equal(again.count, 0);
	assert_int_equal(state_peers_save(place->dir, &peers, place->problem, PROBLEM_MAX), 0);
	state_peers_load(place->dir, &again);
	assert_int_equal(again.count, STATE_PEERS_MAX);
	for (unsigned i = 0; i < STATE_PEERS_MAX; i++)
		assert_true(address_equal(&again.addresses[i], &peers.addresses[i]));
}

static void test_peers_load__lines_that_are_none__are_left_out(void **state)
{
	struct place *place = *state;
	struct state_peers peers;

	file_write(place, "peers", "cenote peers 1\nhello\n10.0.0.1:7472\n10.0.0.2\n\n");
	state_peers_load(place->dir, &peers);
	assert_int_equal(peers.count, 1);
	file_write(place, "peers", "something else\n10.0.0.1:7472\n");
	state_peers_load(place->dir, &peers);
	assert_int_equal(peers.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
		TEST(test_claim__twice__the_second_is_refused),
		TEST(test_claim__directory_that_cannot_be_made__says_so),
		TEST(test_member_load__first_time__makes_an_id_that_stays),
		TEST(test_member_load__damaged__is_refused_with_advice),
		TEST(test_member_save__directory_gone__fails_and_says_so),
		TEST(test_peers_load__what_was_saved__is_the_same),
		TEST(test_peers_load__lines_that_are_none__are_left_out),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
