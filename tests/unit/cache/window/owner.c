/*
 * Tests of window/owner.h, on children that come and go.
 */
#include "cache/window/owner.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

/* A child that waits for its end. @out_owner: it. */
static pid_t child_start(struct owner *out_owner)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct owner self = owner_self();

		if (write(fds[1], &self, sizeof(self)) == sizeof(self))
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(fds[0], out_owner, sizeof(*out_owner)), sizeof(*out_owner));
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void test_owner_state__child_runs__is_running_until_it_is_killed(void **state)
{
	struct owner owner;
	pid_t pid = child_start(&owner);
	siginfo_t info;

	(void)state;
	assert_int_equal(owner.pid, pid);
	assert_true(owner.start > 0);
	assert_int_equal(owner_state(&owner), OWNER_RUNNING);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(owner_state(&owner), OWNER_GONE); /* though nobody has reaped it */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(owner_state(&owner), OWNER_GONE);
}

static void test_owner_state__number_belongs_to_another__is_gone(void **state)
{
	struct owner owner;
	pid_t pid = child_start(&owner);

	(void)state;
	owner.start--;
	assert_int_equal(owner_state(&owner), OWNER_GONE);
	owner.start = 0; /* not known: it may be the one */
	assert_int_equal(owner_state(&owner), OWNER_RUNNING);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_owner_state__this_process_or_nobody__is_gone(void **state)
{
	struct owner self = owner_self(), nobody = { 0 };

	(void)state;
	assert_int_equal(owner_state(&self), OWNER_GONE);
	assert_int_equal(owner_state(&nobody), OWNER_GONE);
}

static void test_owner_state__no_process_has_that_number__is_not_believed(void **state)
{
	static const uint64_t pids[] = { UINT64_C(1) << 31, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(pids); i++) {
		struct owner owner = { pids[i], 1 };

		assert_int_equal(owner_state(&owner), OWNER_RUNNING);
	}
}

#define REST "0 0 0 0 0 0 0 0 0 0 0 0 4711 0 0 0 0 0 0 0 0 "

static void test_owner_parse__what_the_kernel_says__is_understood(void **state)
{
	static const struct {
		const char *text;
		int error;
		enum owner_state state;
	} rows[] = {
		{ "7 (a) S 1 1 1 0 -1 0 " REST "0 0", 0, OWNER_RUNNING },
		{ "7 (a) S 1 1 1 0 -1 4194560 " REST "0 0", 0, OWNER_RUNNING },
		{ "7 (a) R 1 1 1 0 -1 4194564 " REST "0 0", 0, OWNER_DYING }, /* exiting */
		{ "7 (a) D 1 1 1 0 -1 0 " REST "256 0", 0, OWNER_DYING },     /* killed */
		{ "7 (a) D 1 1 1 0 -1 0 " REST "2 0", 0, OWNER_RUNNING },
		{ "7 (a) Z 1 1 1 0 -1 0 " REST "0 0", 0, OWNER_DYING },
		{ "7 (Z) Z (b) S 1 1 1 0 -1 0 " REST "0 0", 0, OWNER_RUNNING },
		{ "7 (a) S 1 1 1", -EBADMSG, OWNER_RUNNING },
		{ "7 (a)", -EBADMSG, OWNER_RUNNING },
		{ "7 (a)S", -EBADMSG, OWNER_RUNNING },
		{ "", -EBADMSG, OWNER_RUNNING },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		enum owner_state found = OWNER_GONE;
		uint64_t start = 0;

		assert_int_equal(owner_parse(rows[i].text, &start, &found), rows[i].error);
		if (rows[i].error)
			continue;
		assert_int_equal(start, 4711);
		assert_int_equal(found, rows[i].state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner_state__child_runs__is_running_until_it_is_killed),
		cmocka_unit_test(test_owner_state__number_belongs_to_another__is_gone),
		cmocka_unit_test(test_owner_state__this_process_or_nobody__is_gone),
		cmocka_unit_test(test_owner_state__no_process_has_that_number__is_not_believed),
		cmocka_unit_test(test_owner_parse__what_the_kernel_says__is_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
