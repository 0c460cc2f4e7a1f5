/*
 * Tests of fuse/keeper/hold.h and notify.h: the test is systemd.
 */
#include "fuse/keeper/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

struct place {
	int manager;
	struct notify notify;
	struct hold hold;
};

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t); /* the kernel chooses an abstract name */
	char name[64];

	assert_non_null(place);
	place->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(place->manager, (struct sockaddr *)&address, len), 0);
	len = sizeof(address);
	assert_int_equal(getsockname(place->manager, (struct sockaddr *)&address, &len), 0);
	snprintf(name, sizeof(name), "@%.*s", (int)(len - sizeof(sa_family_t) - 1),
		 address.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_init(&place->notify);
	assert_true(place->notify.socket >= 0);
	place->hold.notify = &place->notify;
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;

	for (unsigned i = 0; i < place->hold.count; i++)
		close(place->hold.kept[i].fd);
	close(place->notify.socket);
	close(place->manager);
	unsetenv("NOTIFY_SOCKET");
	free(place);
	return 0;
}

/* What the manager was told next, and whether with a descriptor. */
static void told(struct place *place, const char *text, bool descriptor)
{
	char got[256] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { got, sizeof(got) - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };

	assert_true(recvmsg(place->manager, &header, MSG_DONTWAIT) > 0);
	assert_string_equal(got, text);
	assert_int_equal(CMSG_FIRSTHDR(&header) != NULL, descriptor);
	if (CMSG_FIRSTHDR(&header)) {
		int fd;

		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
		close(fd);
	}
}

static int something(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_keep__twice__the_second_is_in_its_place(void **state)
{
	struct place *place = *state;
	int first = something(), second = something();

	assert_int_equal(hold_keep(&place->hold, "config", first), 0);
	told(place, "FDSTORE=1\nFDNAME=config", true);
	assert_int_equal(hold_keep(&place->hold, "config", second), 0);
	told(place, "FDSTOREREMOVE=1\nFDNAME=config", false);
	told(place, "FDSTORE=1\nFDNAME=config", true);
	assert_int_equal(place->hold.count, 1);
	assert_int_equal(hold_get(&place->hold, "config"), second);
	assert_int_equal(fcntl(first, F_GETFD), -1);
}

static void test_drop__by_name__the_others_stay(void **state)
{
	struct place *place = *state;
	int ledger = something();

	hold_adopt(&place->hold, "config", something());
	hold_adopt(&place->hold, "ledger.0", ledger);
	hold_drop(&place->hold, "config");
	told(place, "FDSTOREREMOVE=1\nFDNAME=config", false);
	assert_int_equal(hold_get(&place->hold, "config"), -1);
	assert_int_equal(hold_get(&place->hold, "ledger.0"), ledger);
	hold_drop(&place->hold, "config");
	assert_int_equal(place->hold.count, 1);
}

static void test_drop_state__all_but_the_lock_goes(void **state)
{
	struct place *place = *state;

	hold_adopt(&place->hold, "connection.0", something());
	hold_adopt(&place->hold, HOLD_INSTANCE, something());
	hold_adopt(&place->hold, "ledger.0", something());
	hold_adopt(&place->hold, "arena", something());
	hold_drop_state(&place->hold);
	assert_int_equal(place->hold.count, 1);
	assert_true(hold_get(&place->hold, HOLD_INSTANCE) >= 0);
}

static void test_keep__full__is_refused_and_closed(void **state)
{
	struct place *place = *state;
	int last = something();

	for (unsigned i = 0; i < PROTOCOL_KEPT_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "name.%u", i);
		hold_adopt(&place->hold, name, something());
	}
	assert_int_equal(hold_keep(&place->hold, "one-more", last), -ENOBUFS);
	assert_int_equal(fcntl(last, F_GETFD), -1);
}

static void test_main_pid__is_told(void **state)
{
	struct place *place = *state;
	char text[64];

	notify_main_pid(&place->notify);
	snprintf(text, sizeof(text), "MAINPID=%d\nSTATUS=took over", getpid());
	told(place, text, false);
}

/* Descriptors from 3 up are somebody else's in a test: only what must not be taken is tried. */
static void test_stored__for_another_process_or_none__are_not_taken(void **state)
{
	static const char *const pids[] = { NULL, "1", "x", "" };
	struct protocol_kept kept[PROTOCOL_KEPT_MAX];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		setenv("LISTEN_FDS", "5", 1);
		setenv("LISTEN_FDNAMES", "a:b:c:d:e", 1);
		if (pids[i])
			setenv("LISTEN_PID", pids[i], 1);
		assert_int_equal(notify_stored(kept), 0);
		assert_null(getenv("LISTEN_FDS"));
		assert_null(getenv("LISTEN_PID"));
		assert_null(getenv("LISTEN_FDNAMES"));
	}
}

static void test_init__nobody_to_tell__does_nothing(void **state)
{
	static const char *const names[] = { "", "relative", "/", NULL };
	struct notify notify;

	(void)state;
	for (unsigned i = 0; names[i]; i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_init(&notify);
		assert_int_equal(notify.socket, -1);
		notify_main_pid(&notify);
	}
	unsetenv("NOTIFY_SOCKET");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keep__twice__the_second_is_in_its_place),
		TEST(test_drop__by_name__the_others_stay),
		TEST(test_drop_state__all_but_the_lock_goes),
		TEST(test_keep__full__is_refused_and_closed),
		TEST(test_main_pid__is_told),
		cmocka_unit_test(test_stored__for_another_process_or_none__are_not_taken),
		cmocka_unit_test(test_init__nobody_to_tell__does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
