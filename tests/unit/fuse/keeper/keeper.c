/*
 * Tests of the keeper as a program, with workers that do as the test says: puppet.h.
 */
#include "fuse/keeper/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fuse/keeper/puppet.h"

struct place {
	char directory[64];
	struct sockaddr_un address;
	int listener;
	pid_t keeper; /* as it was started */
};

struct worker {
	int fd;
	pid_t pid, keeper;
	bool standby;
	char kept[PUPPET_TEXT_MAX];
};

/* Readable within the bound, or the test fails. */
static void await(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&event, 1, PUPPET_WAIT_MS), 1);
}

static pid_t keeper_spawn(const struct place *place)
{
	char *arguments[] = { (char[]){ "cenoted" }, (char[]){ "--config" },
			      strdup(place->address.sun_path), NULL };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char log[128];
		int fd;

		snprintf(log, sizeof(log), "%s/log", place->directory);
		fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, STDERR_FILENO);
		execv(KEEPER_DIRECTORY "/cenoted", arguments);
		_exit(96);
	}
	free(arguments[2]);
	return pid;
}

static int place_setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	assert_non_null(place);
	strcpy(place->directory, "/tmp/cenote-keeper-XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	place->address.sun_family = AF_UNIX;
	snprintf(place->address.sun_path, sizeof(place->address.sun_path), "%s/test",
		 place->directory);
	place->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(
		bind(place->listener, (struct sockaddr *)&place->address, sizeof(place->address)),
		0);
	assert_int_equal(listen(place->listener, 8), 0);
	place->keeper = keeper_spawn(place);
	*state = place;
	return 0;
}

static int place_teardown(void **state)
{
	struct place *place = *state;
	char log[128];

	close(place->listener); /* puppets that are left end: nobody answers */
	if (place->keeper > 0) {
		kill(place->keeper, SIGKILL);
		waitpid(place->keeper, NULL, 0);
	}
	snprintf(log, sizeof(log), "%s/log", place->directory);
	unlink(log);
	unlink(place->address.sun_path);
	rmdir(place->directory);
	free(place);
	return 0;
}

static void hear(const struct worker *worker, char *out)
{
	ssize_t len;

	await(worker->fd);
	len = recv(worker->fd, out, PUPPET_TEXT_MAX - 1, 0);
	assert_true(len > 0);
	out[len] = '\0';
}

static void tell(const struct worker *worker, const char *text)
{
	assert_int_equal(send(worker->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Tells it, and it answers so. */
static void ask(const struct worker *worker, const char *text, const char *expected)
{
	char got[PUPPET_TEXT_MAX];

	tell(worker, text);
	hear(worker, got);
	assert_string_equal(got, expected);
}

/* The next worker that the keeper starts. */
static struct worker worker_come(const struct place *place)
{
	struct worker worker = { 0 };
	char text[PUPPET_TEXT_MAX];
	int standby, read, end = 0;

	await(place->listener);
	worker.fd = accept4(place->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(worker.fd >= 0);
	hear(&worker, text);
	/* NOLINTNEXTLINE(cert-err34-c): the puppet wrote the numbers */
	read = sscanf(text, "hello %d %d %d%n", &worker.pid, &worker.keeper, &standby, &end);
	assert_int_equal(read, 3);
	worker.standby = standby;
	strcpy(worker.kept, text + end);
	return worker;
}

static void worker_kill(struct worker *worker)
{
	assert_int_equal(kill(worker->pid, SIGKILL), 0);
	close(worker->fd);
}

static int end_of(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), status;

	assert_true(pidfd >= 0);
	await(pidfd);
	close(pidfd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void keeper_ends(struct place *place, int status)
{
	pid_t pid = place->keeper;

	place->keeper = 0;
	assert_int_equal(end_of(pid), status);
}

static struct worker serving(const struct place *place)
{
	struct worker worker = worker_come(place);

	ask(&worker, "keep instance", "ok");
	ask(&worker, "keep connection.0", "ok");
	ask(&worker, "serving", "ok");
	return worker;
}

static void stop(struct place *place, struct worker *worker)
{
	assert_int_equal(kill(place->keeper, SIGTERM), 0);
	ask(worker, "hear", "signal 15");
	tell(worker, "stop 0");
	keeper_ends(place, 0);
	close(worker->fd);
}

static void test_keeper__first_worker_fails__has_its_status(void **state)
{
	struct worker worker = worker_come(*state);

	assert_false(worker.standby);
	assert_string_equal(worker.kept, "");
	tell(&worker, "exit 3");
	keeper_ends(*state, 3);
	close(worker.fd);
}

static void test_keeper__worker_killed__the_next_has_what_was_kept(void **state)
{
	struct worker worker = serving(*state), next;
	pid_t keeper = worker.keeper;

	worker_kill(&worker);
	next = worker_come(*state);
	assert_int_not_equal(next.pid, worker.pid);
	assert_int_equal(next.keeper, keeper);
	assert_string_equal(next.kept, " connection.0 instance");
	ask(&next, "reason", "killed by SIGKILL (kill -9, or the kernel's OOM killer)");
	ask(&next, "serving", "ok");
	stop(*state, &next);
}

static void test_keeper__worker_exits_after_serving__another_comes(void **state)
{
	struct worker worker = serving(*state), next;

	tell(&worker, "exit 4");
	close(worker.fd);
	next = worker_come(*state);
	ask(&next, "reason", "it ended with exit status 4");
	ask(&next, "serving", "ok");
	stop(*state, &next);
}

static void test_keeper__signals__are_passed_on(void **state)
{
	static const struct {
		int number;
		const char *heard;
	} rows[] = { { SIGHUP, "signal 1" }, { SIGINT, "signal 2" }, { SIGINT, "signal 2" } };
	struct worker worker = serving(*state);
	struct place *place = *state;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kill(place->keeper, rows[i].number), 0);
		ask(&worker, "hear", rows[i].heard);
	}
	tell(&worker, "stop 0");
	keeper_ends(place, 0);
	close(worker.fd);
}

/* Told while none runs, or just when the next one comes: a worker takes the mount off. */
static void test_keeper__told_to_stop_between_workers__one_stops(void **state)
{
	struct worker worker = serving(*state);
	struct place *place = *state;

	for (unsigned i = 0; i < 2; i++) {
		worker_kill(&worker);
		worker = worker_come(place);
		ask(&worker, "serving", "ok");
	}
	worker_kill(&worker);
	worker = worker_come(place);
	stop(place, &worker);
}

static void told_and_killed(struct place *place, struct worker *worker)
{
	assert_int_equal(kill(place->keeper, SIGTERM), 0);
	ask(worker, "hear", "signal 15");
	worker_kill(worker);
	*worker = worker_come(place);
	ask(worker, "hear", "signal 15");
}

static void test_keeper__told_and_worker_is_killed__the_next_one_stops(void **state)
{
	struct worker worker = serving(*state);

	told_and_killed(*state, &worker);
	tell(&worker, "stop 0");
	keeper_ends(*state, 0);
	close(worker.fd);
}

static void test_keeper__told_and_both_are_killed__fails(void **state)
{
	struct worker worker = serving(*state);

	told_and_killed(*state, &worker);
	worker_kill(&worker);
	keeper_ends(*state, EXIT_FAILURE);
}

static void test_keeper__killed__the_worker_starts_another(void **state)
{
	struct worker worker = serving(*state), next;
	struct place *place = *state;
	char text[PUPPET_TEXT_MAX];
	pid_t revived;

	assert_int_equal(kill(place->keeper, SIGKILL), 0);
	keeper_ends(place, -SIGKILL);
	ask(&worker, "hear", "gone");
	tell(&worker, "revive");
	hear(&worker, text);
	revived = (pid_t)strtol(text, NULL, 10);
	assert_true(revived > 0);
	assert_int_equal(kill(revived, SIGHUP), 0);
	ask(&worker, "hear", "signal 1");
	worker_kill(&worker);
	next = worker_come(place);
	assert_int_equal(next.keeper, revived);
	assert_string_equal(next.kept, " connection.0 instance");
	ask(&next, "serving", "ok");
	assert_int_equal(kill(revived, SIGTERM), 0);
	ask(&next, "hear", "signal 15");
	tell(&next, "stop 0");
	close(next.fd);
}

static void test_keeper__worker_hangs__is_replaced(void **state)
{
	struct worker worker = serving(*state), next;
	char text[PUPPET_TEXT_MAX];

	ask(&worker, "watch 100", "ok");
	ask(&worker, "take 8", "ok");
	next = worker_come(*state);
	tell(&next, "reason");
	hear(&next, text);
	assert_non_null(strstr(text, "it hung: request 8"));
	assert_int_equal(kill(worker.pid, 0), -1);
	close(worker.fd);
	ask(&next, "watch 0", "ok");
	ask(&next, "serving", "ok");
	stop(*state, &next);
}

static void test_upgrade__standby_refuses__nothing_changes(void **state)
{
	struct worker worker = serving(*state), standby;

	ask(&worker, "upgrade ", "ok");
	standby = worker_come(*state);
	assert_true(standby.standby);
	assert_string_equal(standby.kept, " connection.0 instance");
	tell(&standby, "ready no such directory"); /* and is killed, or has just answered */
	ask(&worker, "hear", "refused no such directory");
	close(standby.fd);
	stop(*state, &worker);
}

static void test_upgrade__standby_dies__nothing_changes(void **state)
{
	struct worker worker = serving(*state), standby;
	char text[PUPPET_TEXT_MAX];

	ask(&worker, "upgrade " KEEPER_DIRECTORY "/cenoted", "ok");
	standby = worker_come(*state);
	worker_kill(&standby);
	tell(&worker, "hear");
	hear(&worker, text);
	assert_non_null(strstr(text, "refused the new program ended"));
	stop(*state, &worker);
}

static void test_upgrade__no_such_program__nothing_changes(void **state)
{
	struct worker worker = serving(*state);
	char text[PUPPET_TEXT_MAX];

	ask(&worker, "upgrade /nonexistent/cenoted", "ok");
	tell(&worker, "hear");
	hear(&worker, text);
	assert_non_null(strstr(text, "refused /nonexistent/cenoted"));
	stop(*state, &worker);
}

/* The old one has left, and the new one waits for its turn. */
static struct worker handed_over(const struct place *place, struct worker *worker)
{
	struct worker standby;
	char text[PUPPET_TEXT_MAX];

	ask(worker, "upgrade ", "ok");
	standby = worker_come(place);
	tell(&standby, "ready ");
	ask(worker, "hear", "agreed");
	tell(worker, "exit 0");
	close(worker->fd);
	hear(&standby, text);
	assert_string_equal(text, "go");
	return standby;
}

static void test_upgrade__the_new_one_serves__the_keeper_follows(void **state)
{
	struct worker worker = serving(*state), next;
	struct place *place = *state;
	pid_t keeper = worker.keeper;

	next = handed_over(place, &worker);
	ask(&next, "serving", "ok");
	ask(&next, "reason", "an upgrade");
	worker_kill(&next); /* the new keeper, in the old one's process, does as that did */
	next = worker_come(place);
	assert_int_equal(next.keeper, keeper);
	assert_string_equal(next.kept, " connection.0 instance");
	ask(&next, "serving", "ok");
	stop(place, &next);
}

static void test_upgrade__the_new_one_fails__the_old_program_comes_back(void **state)
{
	struct worker worker = serving(*state), next;

	next = handed_over(*state, &worker);
	tell(&next, "exit 1");
	close(next.fd);
	next = worker_come(*state);
	assert_false(next.standby);
	assert_string_equal(next.kept, " connection.0 instance");
	ask(&next, "serving", "ok");
	stop(*state, &next);
}

static void test_upgrade__told_to_stop_meanwhile__is_given_up(void **state)
{
	struct worker worker = serving(*state), standby;
	struct place *place = *state;

	ask(&worker, "upgrade ", "ok");
	standby = worker_come(place);
	assert_int_equal(kill(place->keeper, SIGTERM), 0);
	ask(&worker, "hear", "refused told to stop");
	ask(&worker, "hear", "signal 15");
	tell(&worker, "stop 0");
	keeper_ends(place, 0);
	close(standby.fd);
	close(worker.fd);
}

/* The sanitizers bring libraries of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void test_keeper__libraries__are_libc_alone(void **state)
{
	struct worker worker = serving(*state);
	struct place *place = *state;
	char path[64], line[512];
	unsigned found = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", place->keeper);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, ".so") || SANITIZED)
			continue;
		assert_true(strstr(line, "/libc.so") || strstr(line, "/ld-"));
		found++;
	}
	fclose(maps);
	assert_true(found > 0 || SANITIZED);
	stop(place, &worker);
}

static void test_keeper__help_and_version__need_no_worker(void **state)
{
	static const char *const options[] = { "--help", "--version" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			int fd = open("/dev/null", O_WRONLY);

			dup2(fd, STDOUT_FILENO);
			execl(KEEPER_ALONE, "cenoted", options[i], NULL);
			_exit(96);
		}
		assert_int_equal(end_of(pid), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keeper__first_worker_fails__has_its_status),
		TEST(test_keeper__worker_killed__the_next_has_what_was_kept),
		TEST(test_keeper__worker_exits_after_serving__another_comes),
		TEST(test_keeper__signals__are_passed_on),
		TEST(test_keeper__told_to_stop_between_workers__one_stops),
		TEST(test_keeper__told_and_worker_is_killed__the_next_one_stops),
		TEST(test_keeper__told_and_both_are_killed__fails),
		TEST(test_keeper__killed__the_worker_starts_another),
		TEST(test_keeper__worker_hangs__is_replaced),
		TEST(test_upgrade__standby_refuses__nothing_changes),
		TEST(test_upgrade__standby_dies__nothing_changes),
		TEST(test_upgrade__no_such_program__nothing_changes),
		TEST(test_upgrade__the_new_one_serves__the_keeper_follows),
		TEST(test_upgrade__the_new_one_fails__the_old_program_comes_back),
		TEST(test_upgrade__told_to_stop_meanwhile__is_given_up),
		TEST(test_keeper__libraries__are_libc_alone),
		cmocka_unit_test(test_keeper__help_and_version__need_no_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
