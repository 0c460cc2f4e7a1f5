/*
 * Tests of fuse/keeper/link.h: the test is the keeper.
 */
#include "fuse/keeper/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "fuse/keeper/protocol.h"

#define WAIT_MS 20000

struct place {
	int keeper; /* our end */
	struct board *board;
	struct link *link;
	char problem[LINK_PROBLEM_MAX];
};

static int board_make(struct board **out)
{
	int fd = memfd_create("board", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)sizeof(struct board)), 0);
	*out = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(*out != MAP_FAILED);
	board_init(*out);
	return fd;
}

static struct place *place_make(const char *kept, bool standby)
{
	struct place *place = calloc(1, sizeof(*place));
	char text[PROTOCOL_ENVIRONMENT_MAX];
	struct protocol_start start;
	int ends[2];

	assert_non_null(place);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	place->keeper = ends[0];
	protocol_start_init(&start);
	start.socket = ends[1];
	start.board = board_make(&place->board);
	start.self = open("/bin/true", O_RDONLY | O_CLOEXEC);
	assert_true(start.self >= 0);
	start.standby = standby;
	if (kept) {
		snprintf(start.kept[0].name, sizeof(start.kept[0].name), "%s", kept);
		start.kept[0].fd = open("/dev/null", O_RDONLY);
		start.kept_count = 1;
	}
	protocol_start_encode(&start, text);
	setenv(PROTOCOL_VARIABLE, text, 1);
	assert_int_equal(link_open(&place->link, place->problem, sizeof(place->problem)), 0);
	return place;
}

static int setup(void **state)
{
	*state = place_make("arena", false);
	return 0;
}

static int standby_setup(void **state)
{
	*state = place_make("arena", true);
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	link_close(place->link);
	close(place->keeper);
	munmap(place->board, sizeof(*place->board));
	free(place);
	return 0;
}

static struct protocol_message hear(struct place *place, int *fd)
{
	struct protocol_message message;

	assert_int_equal(protocol_receive(place->keeper, &message, fd), 0);
	return message;
}

static void say(struct place *place, enum protocol_kind kind, bool flag, uint64_t number,
		const char *text)
{
	struct protocol_message message = { .kind = kind, .flag = flag, .number = number };

	snprintf(message.text, sizeof(message.text), "%s", text);
	assert_int_equal(protocol_send(place->keeper, &message, -1), 0);
}

static void test_open__no_variable__is_alone(void **state)
{
	char problem[LINK_PROBLEM_MAX];
	struct link *link;

	(void)state;
	unsetenv(PROTOCOL_VARIABLE);
	assert_int_equal(link_open(&link, problem, sizeof(problem)), 0);
	assert_true(link_alone(link));
	assert_false(link_standby(link));
	assert_int_equal(link_fd(link), -1);
	assert_int_equal(link_keeper_pid(link), 0);
	assert_int_equal(link_kept(link, "arena"), -1);
	assert_int_equal(link_keep(link, "arena", STDIN_FILENO), 0);
	assert_int_equal(link_upgrade(link, ""), -ENOTCONN);
	assert_int_equal(link_revive(link), 0);
	link_serving(link);
	link_watch(link, 5, false);
	assert_true(board_valid(link_board(link)));
	link_close(link);
}

static void test_open__variable_is_not_from_a_keeper__is_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "version=2 socket=3", -EPROTONOSUPPORT },
		{ "version=1", -EBADMSG },
		{ "nonsense", -EBADMSG },
		{ "version=1 socket=1000001 board=1000002 self=1000003", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[LINK_PROBLEM_MAX] = "";
		struct link *link;

		setenv(PROTOCOL_VARIABLE, rows[i].text, 1);
		assert_int_equal(link_open(&link, problem, sizeof(problem)), rows[i].error);
		assert_true(strlen(problem) > 20);
	}
	unsetenv(PROTOCOL_VARIABLE);
}

static void test_open__with_a_keeper__takes_the_variable_away(void **state)
{
	struct place *place = *state;

	assert_null(getenv(PROTOCOL_VARIABLE));
	assert_false(link_alone(place->link));
	place->board->keeper_pid = 4711;
	assert_int_equal(link_keeper_pid(place->link), 4711);
}

static void test_kept__by_name__is_a_duplicate(void **state)
{
	struct place *place = *state;
	int fd = link_kept(place->link, "arena");
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_true(link_is_kept(place->link, "arena"));
	assert_false(link_is_kept(place->link, "ledger.0"));
}

static void test_keep__then_drop__the_keeper_hears_of_it(void **state)
{
	struct place *place = *state;
	struct protocol_message message;
	int fd;

	assert_int_equal(link_keep(place->link, "ledger.0", STDIN_FILENO), 0);
	message = hear(place, &fd);
	assert_int_equal(message.kind, PROTOCOL_KEEP);
	assert_string_equal(message.text, "ledger.0");
	assert_true(fd >= 0);
	close(fd);
	assert_true(link_is_kept(place->link, "ledger.0"));
	link_drop(place->link, "ledger.0");
	message = hear(place, &fd);
	assert_int_equal(message.kind, PROTOCOL_DROP);
	assert_false(link_is_kept(place->link, "ledger.0"));
}

static void test_keep__the_same_again__is_not_sent(void **state)
{
	struct place *place = *state;
	struct protocol_message message;
	int arena = link_kept(place->link, "arena"), other, fd;

	assert_int_equal(link_keep(place->link, "arena", arena), 0);
	assert_int_equal(protocol_receive(place->keeper, &message, &fd), -EAGAIN);
	other = open("/dev/null", O_RDONLY); /* another open file, if of the same path */
	assert_int_equal(link_keep(place->link, "arena", other), 0);
	assert_int_equal(hear(place, &fd).kind, PROTOCOL_KEEP);
	close(fd);
	close(arena);
	close(other);
}

static void test_keep__more_than_there_is_room_for__is_refused(void **state)
{
	struct place *place = *state;

	for (unsigned i = 1; i < LINK_KEPT_MAX; i++) {
		char name[16];
		int fd;

		snprintf(name, sizeof(name), "more.%u", i);
		assert_int_equal(link_keep(place->link, name, STDIN_FILENO), 0);
		hear(place, &fd);
		close(fd);
	}
	assert_int_equal(link_keep(place->link, "one-more", STDIN_FILENO), -ENOBUFS);
	/* in the place of an older one there is */
	assert_int_equal(link_keep(place->link, "more.7", STDIN_FILENO), 0);
}

static void test_poll__signals_and_answers__rows(void **state)
{
	static const struct {
		enum protocol_kind kind;
		bool flag;
		uint64_t number;
		enum link_event event;
	} rows[] = {
		{ PROTOCOL_SIGNAL, false, SIGTERM, LINK_SIGNAL },
		{ PROTOCOL_SIGNAL, false, SIGHUP, LINK_SIGNAL },
		{ PROTOCOL_SIGNAL, false, SIGSEGV, LINK_NOTHING },
		{ PROTOCOL_UPGRADED, false, 0, LINK_UPGRADE_REFUSED },
		{ PROTOCOL_UPGRADED, true, 0, LINK_UPGRADE_AGREED },
		{ PROTOCOL_GO, false, 0, LINK_NOTHING },
	};
	struct place *place = *state;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		int number = 0;

		say(place, rows[i].kind, rows[i].flag, rows[i].number, "why");
		assert_int_equal(link_poll(place->link, &number, place->problem), rows[i].event);
		if (rows[i].event == LINK_SIGNAL)
			assert_int_equal(number, rows[i].number);
		if (rows[i].event == LINK_UPGRADE_REFUSED)
			assert_string_equal(place->problem, "why");
		assert_int_equal(link_poll(place->link, &number, place->problem), LINK_NOTHING);
	}
}

static void test_standby__ready_and_told_to_go__is_the_worker(void **state)
{
	struct place *place = *state;
	int fd;

	say(place, PROTOCOL_SIGNAL, false, SIGHUP, ""); /* nothing to a standby */
	say(place, PROTOCOL_GO, false, 0, "");
	assert_true(link_standby(place->link));
	assert_int_equal(link_standby_wait(place->link, NULL), 0);
	assert_int_equal(hear(place, &fd).kind, PROTOCOL_READY);
	assert_false(link_standby(place->link));
}

static void test_standby__keeper_goes__is_cancelled(void **state)
{
	struct place *place = *state;

	assert_int_equal(shutdown(place->keeper, SHUT_WR), 0);
	assert_int_equal(link_standby_wait(place->link, NULL), -ECANCELED);
}

static void test_standby__with_a_problem__says_it_and_does_not_wait(void **state)
{
	struct place *place = *state;
	struct protocol_message message;
	int fd;

	assert_int_equal(link_standby_wait(place->link, "no such directory"), -ECANCELED);
	message = hear(place, &fd);
	assert_int_equal(message.kind, PROTOCOL_REFUSED);
	assert_string_equal(message.text, "no such directory");
}

/* The program that stands for the keeper ends at once, so that its end is seen like the first. */
static void test_revive__keeper_gone__another_is_started(void **state)
{
	struct place *place = *state;
	int number;

	close(place->keeper);
	for (unsigned i = 0; i < 3; i++) {
		struct pollfd readable = { .fd = link_fd(place->link), .events = POLLIN };

		assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
		assert_int_equal(link_poll(place->link, &number, place->problem), LINK_KEEPER_GONE);
		assert_int_equal(link_fd(place->link), -1);
		assert_int_equal(link_keeper_pid(place->link), 0);
		assert_int_equal(link_keep(place->link, "config", STDIN_FILENO), -EPIPE);
		assert_int_equal(link_revive(place->link), 0);
		assert_true(link_fd(place->link) >= 0);
		assert_true(link_keeper_pid(place->link) > 0);
	}
	place->keeper = dup(link_fd(place->link));
}

#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STANDBY_TEST(name) cmocka_unit_test_setup_teardown(name, standby_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open__no_variable__is_alone),
		cmocka_unit_test(test_open__variable_is_not_from_a_keeper__is_refused),
		TEST(test_open__with_a_keeper__takes_the_variable_away),
		TEST(test_kept__by_name__is_a_duplicate),
		TEST(test_keep__then_drop__the_keeper_hears_of_it),
		TEST(test_keep__the_same_again__is_not_sent),
		TEST(test_keep__more_than_there_is_room_for__is_refused),
		TEST(test_poll__signals_and_answers__rows),
		STANDBY_TEST(test_standby__ready_and_told_to_go__is_the_worker),
		STANDBY_TEST(test_standby__keeper_goes__is_cancelled),
		STANDBY_TEST(test_standby__with_a_problem__says_it_and_does_not_wait),
		TEST(test_revive__keeper_gone__another_is_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
