/*
 * Tests of tools/daemon/server.h: callers that do not behave. The requests that reach a room are
 * shown by the integration tests.
 */
#include "tools/daemon/server.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "tools/control.h"
#include "tools/daemon/rooms.h"

#define BOUND_MS 20000

struct place {
	struct daemon_rooms rooms;
	struct clock_manual clock; /* patience ends when we say so */
	char run_dir[32];
	struct server *server;
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	char problem[CONTROL_PROBLEM_MAX];

	assert_non_null(place);
	strcpy(place->run_dir, "/tmp/cenote-server-XXXXXX");
	assert_non_null(mkdtemp(place->run_dir));
	clock_manual_init(&place->clock, NS_PER_S, 0);
	place->rooms.clock = &place->clock.clock;
	assert_int_equal(server_create(place->run_dir, &place->rooms, &place->server, problem,
				       sizeof(problem)),
			 0);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;

	server_destroy(place->server);
	assert_int_equal(rmdir(place->run_dir), 0); /* nothing was left in it */
	free(place);
	return 0;
}

static int caller_connect(const struct place *place)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", place->run_dir);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void caller_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads one line, without its newline; "" when the daemon hung up. */
static void caller_hear(int fd, char *out, size_t out_size)
{
	size_t len = 0;

	while (len < out_size - 1) {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };

		if (poll(&pollfd, 1, BOUND_MS) != 1)
			fail_msg("no answer");
		if (read(fd, out + len, 1) != 1 || out[len] == '\n')
			break;
		len++;
	}
	out[len] = '\0';
}

static void check_refused(int fd, const char *why)
{
	char line[1024];

	caller_hear(fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"ok\":false"));
	assert_non_null(strstr(line, why));
}

static void test_server__malformed_request__answers_and_goes_on(void **state)
{
	int fd = caller_connect(*state);

	caller_say(fd, "hello\n");
	check_refused(fd, "not a JSON object");
	caller_say(fd, "{\"protocol\": 9}\n");
	check_refused(fd, "protocol 1");
	close(fd);
}

static void test_server__several_requests_at_once__all_are_answered(void **state)
{
	int fd = caller_connect(*state);

	caller_say(fd, "a\nb\n{\"proto");
	check_refused(fd, "not a JSON object");
	check_refused(fd, "not a JSON object");
	caller_say(fd, "col\": 1, \"command\": \"x\"}\n");
	check_refused(fd, "unknown command 'x'");
	close(fd);
}

static void test_server__request_without_end__is_hung_up(void **state)
{
	char request[CONTROL_REQUEST_MAX + 1], line[64];
	int fd = caller_connect(*state);

	memset(request, 'x', sizeof(request) - 1);
	request[sizeof(request) - 1] = '\0';
	caller_say(fd, request);
	caller_hear(fd, line, sizeof(line));
	assert_string_equal(line, "");
	close(fd);
}

static void test_server__silent_caller__is_hung_up_in_the_end(void **state)
{
	struct place *place = *state;
	int silent = caller_connect(place), other;
	char line[64];

	caller_say(silent, "x\n"); /* an answer shows that its time has begun */
	check_refused(silent, "not a JSON object");
	caller_say(silent, "{\"proto");
	clock_manual_advance(&place->clock, SERVER_PATIENCE_NS);
	/* its thread looks at the clock when something happens */
	other = caller_connect(place);
	caller_say(other, "x\n");
	caller_hear(silent, line, sizeof(line));
	assert_string_equal(line, "");
	close(silent);
	close(other);
}

static void test_server__more_callers_than_places__wait_their_turn(void **state)
{
	int fds[SERVER_CONNECTIONS_MAX + 4];

	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		fds[i] = caller_connect(*state);
		caller_say(fds[i], "x\n");
	}
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		check_refused(fds[i], "not a JSON object");
		close(fds[i]);
	}
}

static void test_server__socket__is_for_its_user_alone(void **state)
{
	struct place *place = *state;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/control", place->run_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_create__directory_missing__says_where(void **state)
{
	struct place *place = *state;
	char problem[CONTROL_PROBLEM_MAX];
	struct server *server = NULL;

	assert_int_equal(
		server_create("/nonexistent", &place->rooms, &server, problem, sizeof(problem)),
		-ENOENT);
	assert_non_null(strstr(problem, "/nonexistent/control"));
	assert_null(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_server__malformed_request__answers_and_goes_on,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
			test_server__several_requests_at_once__all_are_answered, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(test_server__request_without_end__is_hung_up,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_server__silent_caller__is_hung_up_in_the_end,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(
			test_server__more_callers_than_places__wait_their_turn, place_setup,
			place_teardown),
		cmocka_unit_test_setup_teardown(test_server__socket__is_for_its_user_alone,
						place_setup, place_teardown),
		cmocka_unit_test_setup_teardown(test_create__directory_missing__says_where,
						place_setup, place_teardown),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
