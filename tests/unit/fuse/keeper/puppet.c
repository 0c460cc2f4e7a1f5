/*
 * puppet.c - see puppet.h. Built as cenoted-worker.
 */
#include "tests/unit/fuse/keeper/puppet.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "fuse/keeper/link.h"

static int test; /* the connection */
static struct link *the_link;

static void answer(const char *text)
{
	if (send(test, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(99); /* the test is over */
}

static void do_keep(const char *name)
{
	int fd = eventfd(0, EFD_CLOEXEC); /* as a connection without requests: not readable */

	CHECK(fd >= 0);
	answer(link_keep(the_link, name, fd) == 0 ? "ok" : "failed");
	close(fd);
}

static void do_serving(const char *argument)
{
	(void)argument;
	link_serving(the_link);
	answer("ok");
}

static void do_stop(const char *status)
{
	link_stopping(the_link);
	_exit((int)strtol(status, NULL, 10));
}

static void do_exit(const char *status)
{
	_exit((int)strtol(status, NULL, 10));
}

static void do_watch(const char *milliseconds)
{
	link_watch(the_link, strtoull(milliseconds, NULL, 10) * NS_PER_MS, false);
	answer("ok");
}

static void do_take(const char *unique)
{
	board_take(link_board(the_link), strtoull(unique, NULL, 10), 15,
		   clock_now_ns(clock_system()));
	answer("ok");
}

static void do_reason(const char *argument)
{
	char reason[BOARD_REASON_MAX];

	(void)argument;
	answer(board_reason(link_board(the_link), reason) && *reason ? reason : "none");
}

static void do_upgrade(const char *program)
{
	answer(link_upgrade(the_link, program) == 0 ? "ok" : "failed");
}

/* The next thing the keeper has to say. */
static void do_hear(const char *argument)
{
	struct pollfd readable = { .fd = link_fd(the_link), .events = POLLIN };
	char problem[LINK_PROBLEM_MAX] = "", text[PUPPET_TEXT_MAX];
	int number = 0;

	(void)argument;
	poll(&readable, 1, PUPPET_WAIT_MS);
	switch (link_poll(the_link, &number, problem)) {
	case LINK_NOTHING:
		answer("nothing");
		return;
	case LINK_KEEPER_GONE:
		answer("gone");
		return;
	case LINK_SIGNAL:
		snprintf(text, sizeof(text), "signal %d", number);
		answer(text);
		return;
	case LINK_UPGRADE_REFUSED:
		snprintf(text, sizeof(text), "refused %s", problem);
		answer(text);
		return;
	case LINK_UPGRADE_AGREED:
		answer("agreed");
		return;
	}
}

static void do_revive(const char *argument)
{
	char text[32];

	(void)argument;
	CHECK(link_revive(the_link) == 0);
	snprintf(text, sizeof(text), "%d", link_keeper_pid(the_link));
	answer(text);
}

static void do_ready(const char *problem)
{
	answer(link_standby_wait(the_link, *problem ? problem : NULL) == 0 ? "go" : "cancelled");
}

static const struct {
	const char *word;
	void (*run)(const char *argument);
} words[] = {
	{ "keep", do_keep },	 { "serving", do_serving }, { "stop", do_stop },
	{ "exit", do_exit },	 { "watch", do_watch },	    { "take", do_take },
	{ "reason", do_reason }, { "upgrade", do_upgrade }, { "hear", do_hear },
	{ "revive", do_revive }, { "ready", do_ready },
};

static void obey(char *text)
{
	char *argument = strchr(text, ' ');

	if (argument)
		*argument++ = '\0';
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (strcmp(text, words[i].word) == 0) {
			words[i].run(argument ? argument : "");
			return;
		}
	}
	_exit(98);
}

static void hello(void)
{
	static const char *const names[] = { "arena", "connection.0", "instance", "ledger.0" };
	char text[PUPPET_TEXT_MAX];
	int len = snprintf(text, sizeof(text), "hello %d %d %d", getpid(),
			   link_keeper_pid(the_link), link_standby(the_link));

	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		if (link_is_kept(the_link, names[i]))
			len += snprintf(text + len, sizeof(text) - (size_t)len, " %s", names[i]);
	answer(text);
}

int main(int argc, char **argv)
{
	const struct rlimit no_core = { 0, 0 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char problem[LINK_PROBLEM_MAX], text[PUPPET_TEXT_MAX];
	sigset_t signals;
	ssize_t len;

	CHECK(argc == 3);
	sigemptyset(&signals); /* as a worker does, and so a keeper that it starts */
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	CHECK(link_open(&the_link, problem, sizeof(problem)) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", argv[2]);
	test = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(test, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit(97);
	hello();
	while ((len = recv(test, text, sizeof(text) - 1, 0)) > 0) {
		text[len] = '\0';
		obey(text);
	}
	_exit(99);
}
