/*
 * control_client.c - the calling end of the control socket: one request, one answer, one deadline.
 */
#include "tools/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

int control_socket_path(const char *run_dir, char *out, size_t out_size, char *problem,
			size_t problem_size)
{
	struct sockaddr_un address;
	int len = snprintf(out, out_size, "%s/%s", run_dir, CONTROL_SOCKET_NAME);

	if (len > 0 && (size_t)len < out_size && (size_t)len < sizeof(address.sun_path))
		return 0;
	snprintf(problem, problem_size,
		 "the run directory's name is too long for a socket (%zu bytes at most): choose a "
		 "shorter node.run_dir",
		 sizeof(address.sun_path) - sizeof(CONTROL_SOCKET_NAME) - 1);
	return -ENAMETOOLONG;
}

static int connect_problem(int error, const char *path, char *problem, size_t problem_size)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		snprintf(problem, problem_size,
			 "no cenoted answers at %s: start it (cenoted --config FILE), or say where "
			 "it runs with --run-dir or --config",
			 path);
	else if (error == -EACCES)
		snprintf(problem, problem_size,
			 "%s: only root and the user that cenoted runs as may ask it", path);
	else
		snprintf(problem, problem_size, "%s: %s", path, error_text(error));
	return error;
}

static int socket_connect(const char *run_dir, int *out_fd, char *problem, size_t problem_size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error, fd;

	error = control_socket_path(run_dir, address.sun_path, sizeof(address.sun_path), problem,
				    problem_size);
	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return connect_problem(-errno, address.sun_path, problem, problem_size);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		error = connect_problem(-errno, address.sun_path, problem, problem_size);
		close(fd);
		return error;
	}
	*out_fd = fd;
	return 0;
}

/* Return: 0 when @fd can do @events, -ETIMEDOUT. */
static int socket_wait(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd pollfd = { .fd = fd, .events = events };
		uint64_t now_ns = clock_now_ns(clock_system());
		uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns) / NS_PER_MS : 0;
		int ready = poll(&pollfd, 1, (int)left_ms);

		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (left_ms == 0)
			return -ETIMEDOUT;
	}
}

static int socket_send(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
		int error;

		if (sent >= 0) {
			data += sent;
			len -= (size_t)sent;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		error = socket_wait(fd, POLLOUT, deadline_ns);
		if (error)
			return error;
	}
	return 0;
}

/* Return: the answer's length up to its newline, or a negative errno. */
static ssize_t socket_receive_line(int fd, char *out, size_t out_size, uint64_t deadline_ns)
{
	size_t len = 0;

	while (len < out_size) {
		ssize_t got = recv(fd, out + len, out_size - len, 0);
		const char *newline;
		int error;

		if (got == 0)
			return -EPROTO;
		if (got > 0) {
			newline = memchr(out + len, '\n', (size_t)got);
			if (newline)
				return newline - out;
			len += (size_t)got;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		error = socket_wait(fd, POLLIN, deadline_ns);
		if (error)
			return error;
	}
	return -EMSGSIZE;
}

/* @line: @len bytes. */
static ssize_t socket_exchange(int fd, const char *line, size_t len, char *answer,
			       size_t answer_size, uint64_t deadline_ns)
{
	int error = socket_send(fd, line, len, deadline_ns);

	if (error)
		return error;
	return socket_receive_line(fd, answer, answer_size, deadline_ns);
}

int control_call(const char *run_dir, const struct control_request *request, int timeout_ms,
		 json_t **out_result, char *problem, size_t problem_size)
{
	uint64_t deadline_ns =
		clock_after_ns(clock_now_ns(clock_system()), (uint64_t)timeout_ms * NS_PER_MS);
	char line[CONTROL_REQUEST_MAX];
	size_t line_len = control_request_encode(request, line);
	ssize_t len;
	char *answer;
	int error, fd = -1;

	if (line_len == 0) {
		snprintf(problem, problem_size,
			 "what is asked for is not UTF-8, or longer than a request may be (%d "
			 "bytes, with what has to be escaped in JSON)",
			 CONTROL_REQUEST_MAX);
		return -E2BIG;
	}
	line[line_len++] = '\n';
	error = socket_connect(run_dir, &fd, problem, problem_size);
	if (error)
		return error;
	answer = malloc(CONTROL_ANSWER_MAX);
	if (!answer) {
		error = -ENOMEM;
		snprintf(problem, problem_size, "out of memory");
		goto close_socket;
	}
	len = socket_exchange(fd, line, line_len, answer, CONTROL_ANSWER_MAX, deadline_ns);
	if (len >= 0) {
		error = control_answer_decode(answer, (size_t)len, out_result, problem,
					      problem_size);
	} else {
		error = (int)len;
		snprintf(problem, problem_size, "asking the daemon: %s", error_text(error));
	}
	free(answer);
close_socket:
	close(fd);
	return error;
}
