/*
 * server.c - a poll loop over the listener, a wake descriptor and the callers' connections.
 *
 * A connection's life: READING (waits for a newline) -> WRITING (waits for room to send the answer)
 * -> READING again, until the caller hangs up, breaks a limit, or runs out of patience time.
 */
#include "tools/daemon/server.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "tools/control.h"
#include "tools/daemon/cluster.h"
#include "tools/daemon/report.h"
#include "tools/daemon/requests.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/upgrade.h"

enum connection_state {
	CONNECTION_FREE,
	CONNECTION_READING, /* waits for the rest of a request line */
	CONNECTION_WRITING, /* waits for the caller to take the answer */
};

struct connection {
	enum connection_state state;
	int fd;
	uint64_t deadline_ns;
	char request[CONTROL_REQUEST_MAX];
	size_t request_len;
	char *answer; /* CONNECTION_WRITING */
	size_t answer_len, answer_sent;
};

struct server {
	const struct daemon_rooms *rooms;
	struct sockaddr_un address;
	int listener, wake;
	pthread_t thread;
	/* the thread's own */
	struct connection connections[SERVER_CONNECTIONS_MAX];
};

static void connection_close(struct connection *connection)
{
	close(connection->fd);
	free(connection->answer);
	connection->answer = NULL;
	connection->state = CONNECTION_FREE;
}

static char *flush_answer(const struct daemon_rooms *rooms, const struct control_request *request)
{
	int error = cache_flush(rooms->cache, request->timeout_ms * NS_PER_MS);

	if (error && error != -ETIMEDOUT)
		return control_answer_error(error, error_text(error));
	return control_answer_ok(json_pack("{s:b}", "flushed", error == 0));
}

static char *request_answer(const struct daemon_rooms *rooms, const char *line, size_t len)
{
	char problem[CONTROL_PROBLEM_MAX];
	struct control_request request;
	int error;

	error = control_request_decode(line, len, &request, problem, sizeof(problem));
	if (error) {
		log_info("control.refuse", "problem=\"%s\"", problem);
		return control_answer_error(error, problem);
	}
	switch (request.command) {
	case CONTROL_STATUS:
		return control_answer_ok(report_make(rooms));
	case CONTROL_FLUSH:
		return flush_answer(rooms, &request);
	case CONTROL_TASK:
	case CONTROL_LEAVE:
	case CONTROL_CLUSTER:
	case CONTROL_LOCATE:
	case CONTROL_MESH:
		return request_task_answer(rooms, &request);
	case CONTROL_MEMBERS:
	case CONTROL_JOIN:
	case CONTROL_KEYS:
		return cluster_answer(rooms, &request);
	case CONTROL_UPGRADE:
		return upgrade_answer(rooms->upgrade, link_alone(rooms->link), &request);
	case CONTROL_COMMAND_COUNT:
		break;
	}
	CHECK(!"a decoded command that is none");
	return NULL;
}

static void connection_send(struct connection *connection)
{
	ssize_t sent = send(connection->fd, connection->answer + connection->answer_sent,
			    connection->answer_len - connection->answer_sent, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection_close(connection);
		return;
	}
	connection->answer_sent += (size_t)sent;
	if (connection->answer_sent < connection->answer_len)
		return;
	free(connection->answer);
	connection->answer = NULL;
	connection->state = CONNECTION_READING;
}

static uint64_t patience_end(const struct server *server)
{
	return clock_after_ns(clock_now_ns(server->rooms->clock), SERVER_PATIENCE_NS);
}

/* Answers the line that ends at @newline and keeps what follows it. */
static void connection_serve(struct server *server, struct connection *connection, char *newline)
{
	size_t line_len = (size_t)(newline - connection->request);
	size_t rest = connection->request_len - line_len - 1;

	connection->answer = request_answer(server->rooms, connection->request, line_len);
	memmove(connection->request, newline + 1, rest);
	connection->request_len = rest;
	if (!connection->answer) {
		log_warning("control.answer", "error=\"%s\"", error_text(-ENOMEM));
		connection_close(connection);
		return;
	}
	connection->answer_len = strlen(connection->answer);
	connection->answer_sent = 0;
	connection->state = CONNECTION_WRITING;
	connection->deadline_ns = patience_end(server);
	connection_send(connection);
}

static void connection_receive(struct connection *connection)
{
	size_t room = sizeof(connection->request) - connection->request_len;
	ssize_t got = recv(connection->fd, connection->request + connection->request_len, room, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		connection_close(connection);
		return;
	}
	if (got > 0)
		connection->request_len += (size_t)got;
}

/* Serves the requests that are whole; a caller that fills the buffer without one is sent away. */
static void connection_advance(struct server *server, struct connection *connection)
{
	while (connection->state == CONNECTION_READING) {
		char *newline = memchr(connection->request, '\n', connection->request_len);

		if (newline) {
			connection_serve(server, connection, newline);
			continue;
		}
		if (connection->request_len == sizeof(connection->request)) {
			log_info("control.refuse", "problem=\"a request of more than %d bytes\"",
				 CONTROL_REQUEST_MAX);
			connection_close(connection);
		}
		return;
	}
}

static bool caller_may(int fd)
{
	struct ucred caller;
	socklen_t len = sizeof(caller);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &caller, &len) != 0)
		return false;
	if (caller.uid == 0 || caller.uid == geteuid())
		return true;
	log_warning("control.refuse", "uid=%u pid=%d problem=\"not root and not our user\"",
		    caller.uid, caller.pid);
	return false;
}

static void caller_accept(struct server *server)
{
	int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX && caller_may(fd); i++) {
		struct connection *connection = &server->connections[i];

		if (connection->state != CONNECTION_FREE)
			continue;
		connection->state = CONNECTION_READING;
		connection->fd = fd;
		connection->request_len = 0;
		connection->deadline_ns = patience_end(server);
		return;
	}
	close(fd);
}

static unsigned connections_used(const struct server *server)
{
	unsigned used = 0;

	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		used += server->connections[i].state != CONNECTION_FREE;
	return used;
}

/* Milliseconds until the first caller runs out of patience; -1 when there is none. */
static int poll_timeout(const struct server *server)
{
	uint64_t now_ns = clock_now_ns(server->rooms->clock);
	uint64_t first_ns = CLOCK_NEVER;

	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		const struct connection *connection = &server->connections[i];

		if (connection->state != CONNECTION_FREE && connection->deadline_ns < first_ns)
			first_ns = connection->deadline_ns;
	}
	if (first_ns == CLOCK_NEVER)
		return -1;
	return first_ns > now_ns ? (int)((first_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

static void connection_handle(struct server *server, struct connection *connection, short revents)
{
	if (revents && connection->state == CONNECTION_READING)
		connection_receive(connection);
	else if (revents && connection->state == CONNECTION_WRITING)
		connection_send(connection);
	connection_advance(server, connection);
	if (connection->state != CONNECTION_FREE &&
	    connection->deadline_ns <= clock_now_ns(server->rooms->clock))
		connection_close(connection);
}

/* poll() entries: the wake descriptor, the listener (left out when full), the connections. */
#define POLL_WAKE	 0
#define POLL_LISTENER	 1
#define POLL_CONNECTIONS 2

static void poll_prepare(const struct server *server, struct pollfd *pollfds)
{
	bool room = connections_used(server) < SERVER_CONNECTIONS_MAX;

	pollfds[POLL_WAKE] = (struct pollfd){ .fd = server->wake, .events = POLLIN };
	pollfds[POLL_LISTENER] =
		(struct pollfd){ .fd = room ? server->listener : -1, .events = POLLIN };
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		const struct connection *connection = &server->connections[i];
		struct pollfd *pollfd = &pollfds[POLL_CONNECTIONS + i];

		*pollfd = (struct pollfd){ .fd = -1 };
		if (connection->state == CONNECTION_FREE)
			continue;
		pollfd->fd = connection->fd;
		pollfd->events = connection->state == CONNECTION_WRITING ? POLLOUT : POLLIN;
	}
}

static void *server_main(void *argument)
{
	struct server *server = argument;
	struct pollfd pollfds[POLL_CONNECTIONS + SERVER_CONNECTIONS_MAX];

	for (;;) {
		poll_prepare(server, pollfds);
		if (poll(pollfds, ARRAY_COUNT(pollfds), poll_timeout(server)) < 0)
			continue;
		if (pollfds[POLL_WAKE].revents)
			break;
		for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++)
			if (server->connections[i].state != CONNECTION_FREE)
				connection_handle(server, &server->connections[i],
						  pollfds[POLL_CONNECTIONS + i].revents);
		if (pollfds[POLL_LISTENER].revents)
			caller_accept(server);
	}
	for (unsigned i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		if (server->connections[i].state != CONNECTION_FREE)
			connection_close(&server->connections[i]);
	return NULL;
}

static int listener_open(struct server *server, char *problem, size_t problem_size)
{
	const char *path = server->address.sun_path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	unlink(path);
	/* fchmod() on the socket before bind() gives the name its mode from its first moment on. */
	if (fchmod(fd, 0600) != 0 ||
	    bind(fd, (const struct sockaddr *)&server->address, sizeof(server->address)) != 0 ||
	    chmod(path, 0600) != 0 || listen(fd, SERVER_CONNECTIONS_MAX) != 0) {
		error = -errno;
		snprintf(problem, problem_size, "cannot listen at %s: %s", path, error_text(error));
		close(fd);
		return error;
	}
	server->listener = fd;
	return 0;
}

int server_create(const char *run_dir, const struct daemon_rooms *rooms, struct server **out_server,
		  char *problem, size_t problem_size)
{
	struct server *server = calloc(1, sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	server->rooms = rooms;
	server->address.sun_family = AF_UNIX;
	error = control_socket_path(run_dir, server->address.sun_path,
				    sizeof(server->address.sun_path), problem, problem_size);
	if (error)
		goto free_server;
	error = listener_open(server, problem, problem_size);
	if (error)
		goto free_server;
	server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake < 0) {
		error = -errno;
		goto close_listener;
	}
	error = thread_start(&server->thread, "control", server_main, server);
	if (error)
		goto close_wake;
	*out_server = server;
	return 0;
close_wake:
	close(server->wake);
close_listener:
	unlink(server->address.sun_path);
	close(server->listener);
free_server:
	free(server);
	return error;
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	CHECK(eventfd_write(server->wake, 1) == 0);
	pthread_join(server->thread, NULL);
	unlink(server->address.sun_path);
	close(server->listener);
	close(server->wake);
	free(server);
}
