/*
 * Tests of fuse/keeper/protocol.h.
 */
#include "fuse/keeper/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

static void test_decode__of_what_was_encoded__is_the_same(void **state)
{
	static const struct protocol_message rows[] = {
		{ PROTOCOL_KEEP, false, 0, "connection.0" },
		{ PROTOCOL_DROP, false, 0, "arena" },
		{ PROTOCOL_SERVING, false, 0, "" },
		{ PROTOCOL_WATCH, true, UINT64_MAX, "" },
		{ PROTOCOL_UPGRADE, false, 0, "/usr/sbin/cenoted" },
		{ PROTOCOL_REFUSED, false, 0, "the cache directory /ssd0: gone" },
		{ PROTOCOL_SIGNAL, false, 15, "" },
		{ PROTOCOL_UPGRADED, true, 0, "" },
		{ PROTOCOL_GO, false, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t bytes[PROTOCOL_MESSAGE_MAX];
		struct protocol_message message;
		size_t len = protocol_encode(&rows[i], bytes);

		assert_int_equal(len, PROTOCOL_HEAD_LEN + strlen(rows[i].text));
		assert_int_equal(protocol_decode(bytes, len, &message), 0);
		assert_int_equal(message.kind, rows[i].kind);
		assert_int_equal(message.flag, rows[i].flag);
		assert_int_equal(message.number, rows[i].number);
		assert_string_equal(message.text, rows[i].text);
	}
}

static void test_decode__a_byte_wrong__is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t byte;
		int error;
	} rows[] = {
		{ 0, 2, -EPROTONOSUPPORT },
		{ 1, 1, -EPROTONOSUPPORT },
		{ 2, PROTOCOL_NONE, -EBADMSG },
		{ 2, PROTOCOL_KIND_COUNT, -EBADMSG },
		{ 3, 2, -EBADMSG },
		{ 4, 6, -EBADMSG },
		{ 4, 4, -EBADMSG },
		{ 6, 1, -EBADMSG },
		{ 17, '\0', -EBADMSG },
		{ 17, '/', -EBADMSG },
	};
	const struct protocol_message good = { .kind = PROTOCOL_KEEP, .text = "arena" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		uint8_t bytes[PROTOCOL_MESSAGE_MAX];
		struct protocol_message message;
		size_t len = protocol_encode(&good, bytes);

		bytes[rows[i].at] = rows[i].byte;
		assert_int_equal(protocol_decode(bytes, len, &message), rows[i].error);
	}
}

static void test_decode__cut_short__is_refused(void **state)
{
	const struct protocol_message good = { .kind = PROTOCOL_KEEP, .text = "arena" };
	uint8_t bytes[PROTOCOL_MESSAGE_MAX];
	struct protocol_message message;
	size_t len = protocol_encode(&good, bytes);

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(protocol_decode(bytes, cut, &message), -EBADMSG);
}

struct pair {
	int ends[2];
};

static int pair_setup(void **state)
{
	static struct pair pair;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.ends), 0);
	*state = &pair;
	return 0;
}

static int pair_teardown(void **state)
{
	struct pair *pair = *state;

	close(pair->ends[0]);
	close(pair->ends[1]);
	return 0;
}

static void test_receive__with_a_descriptor__is_the_same_file(void **state)
{
	const struct protocol_message keep = { .kind = PROTOCOL_KEEP, .text = "arena" };
	struct pair *pair = *state;
	struct protocol_message message;
	struct stat sent, got;
	int pipes[2], fd = -1;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(protocol_send(pair->ends[0], &keep, pipes[0]), 0);
	assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), 0);
	assert_string_equal(message.text, "arena");
	assert_int_equal(fstat(pipes[0], &sent), 0);
	assert_int_equal(fstat(fd, &got), 0);
	assert_int_equal(sent.st_ino, got.st_ino);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_receive__nothing_there_or_nobody__says_so(void **state)
{
	struct pair *pair = *state;
	struct protocol_message message;
	int fd;

	assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), -EAGAIN);
	close(pair->ends[0]);
	assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), -EPIPE);
	assert_int_equal(protocol_send(pair->ends[1], &(struct protocol_message){ .kind = 3 }, -1),
			 -EPIPE);
	pair->ends[0] = dup(pair->ends[1]);
}

/* What is refused must not leave its descriptors open here. */
static void test_receive__descriptor_where_none_belongs__is_closed(void **state)
{
	static const struct protocol_message rows[] = {
		{ .kind = PROTOCOL_SERVING },		    /* with one */
		{ .kind = PROTOCOL_KEEP, .text = "arena" }, /* without */
	};
	struct pair *pair = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct protocol_message message;
		int pipes[2], fd;
		char byte;

		assert_int_equal(pipe(pipes), 0);
		assert_int_equal(protocol_send(pair->ends[0], &rows[i], i == 0 ? pipes[1] : -1), 0);
		close(pipes[1]);
		assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), -EBADMSG);
		assert_int_equal(read(pipes[0], &byte, 1), 0); /* nobody can write any more */
		close(pipes[0]);
	}
}

static void test_receive__too_long__is_refused_and_the_next_is_read(void **state)
{
	const struct protocol_message next = { .kind = PROTOCOL_SERVING };
	uint8_t bytes[PROTOCOL_MESSAGE_MAX + 100] = { PROTOCOL_VERSION };
	struct pair *pair = *state;
	struct protocol_message message;
	int fd;

	assert_int_equal(send(pair->ends[0], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(protocol_send(pair->ends[0], &next, -1), 0);
	assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), -EBADMSG);
	assert_int_equal(protocol_receive(pair->ends[1], &message, &fd), 0);
	assert_int_equal(message.kind, PROTOCOL_SERVING);
}

static void test_start__all_that_can_be_kept__comes_back(void **state)
{
	char text[PROTOCOL_ENVIRONMENT_MAX];
	struct protocol_start start, again;

	(void)state;
	protocol_start_init(&start);
	start.socket = (1 << 20) - 1;
	start.board = 3;
	start.self = 4;
	start.program = 5;
	start.worker = 6;
	start.pid = INT32_MAX;
	start.oom = -1000;
	start.standby = true;
	for (unsigned i = 0; i < PROTOCOL_KEPT_MAX; i++) {
		snprintf(start.kept[i].name, sizeof(start.kept[i].name),
			 "descriptor-of-the-longest-na.%02u", i);
		start.kept[i].fd = (1 << 20) - 2 - (int)i;
	}
	start.kept_count = PROTOCOL_KEPT_MAX;
	protocol_start_encode(&start, text);
	assert_int_equal(protocol_start_decode(text, &again), 0);
	assert_int_equal(again.socket, start.socket);
	assert_int_equal(again.worker, 6);
	assert_int_equal(again.pid, INT32_MAX);
	assert_int_equal(again.oom, -1000);
	assert_true(again.standby);
	assert_int_equal(again.kept_count, PROTOCOL_KEPT_MAX);
	for (unsigned i = 0; i < PROTOCOL_KEPT_MAX; i++) {
		assert_string_equal(again.kept[i].name, start.kept[i].name);
		assert_int_equal(again.kept[i].fd, start.kept[i].fd);
	}
}

static void test_start__rows(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "version=1", 0 },
		{ "version=1 socket=3 kept.arena=4", 0 },
		{ "", -EBADMSG },
		{ "socket=3", -EBADMSG },
		{ "version=2 what=ever", -EPROTONOSUPPORT },
		{ "version=1 ", -EBADMSG },
		{ "version=1 socket=2", -EBADMSG },
		{ "version=1 socket=-1", -EBADMSG },
		{ "version=1 socket=1048576", -EBADMSG },
		{ "version=1 socket=99999999999999999999", -EBADMSG },
		{ "version=1 socket=3x", -EBADMSG },
		{ "version=1 socket= 3", -EBADMSG },
		{ "version=1 socket=3 socket=4", -EBADMSG },
		{ "version=1 socket=3 board=3", -EBADMSG },
		{ "version=1 socket=3 kept.arena=3", -EBADMSG },
		{ "version=1 kept.arena=3 kept.arena=4", -EBADMSG },
		{ "version=1 kept.=3", -EBADMSG },
		{ "version=1 kept.a_b=3", -EBADMSG },
		{ "version=1 kept.a-name-that-is-longer-than-31-bytes=3", -EBADMSG },
		{ "version=1 other=3", -EBADMSG },
		{ "version=1 pid=-1", -EBADMSG },
		{ "version=1 oom=1001", -EBADMSG },
		{ "version=1 standby=2", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct protocol_start start;

		assert_int_equal(protocol_start_decode(rows[i].text, &start), rows[i].error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode__of_what_was_encoded__is_the_same),
		cmocka_unit_test(test_decode__a_byte_wrong__is_refused),
		cmocka_unit_test(test_decode__cut_short__is_refused),
		cmocka_unit_test_setup_teardown(test_receive__with_a_descriptor__is_the_same_file,
						pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_receive__nothing_there_or_nobody__says_so,
						pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(
			test_receive__descriptor_where_none_belongs__is_closed, pair_setup,
			pair_teardown),
		cmocka_unit_test_setup_teardown(
			test_receive__too_long__is_refused_and_the_next_is_read, pair_setup,
			pair_teardown),
		cmocka_unit_test(test_start__all_that_can_be_kept__comes_back),
		cmocka_unit_test(test_start__rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
