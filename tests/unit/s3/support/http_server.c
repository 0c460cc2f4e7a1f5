/*
 * http_server.c - see http_server.h.
 */
#include "tests/unit/s3/support/http_server.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define CONNECTIONS_MAX 4096

struct connection {
	struct http_server *server;
	pthread_t thread;
	int fd;
};

struct http_server {
	http_handler handler;
	void *context;
	int listen_fd;
	int stop_pipe[2]; /* closing its end for writing stops everybody */
	uint16_t port;
	_Atomic unsigned requests;
	pthread_t acceptor;
	struct connection connections[CONNECTIONS_MAX]; /* the acceptor's until it has ended */
	unsigned connection_count;
};

/* Waits until @fd can be read. Return: false when the server stops. */
static bool wait_readable(struct http_server *server, int fd)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = server->stop_pipe[0], .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		CHECK(errno == EINTR);
	return !fds[1].revents;
}

/* Reads up to @size - 1 bytes more. Return: false at the end of the connection. */
static bool read_more(struct http_exchange *exchange, char *buffer, size_t *len, size_t size)
{
	if (*len + 1 >= size || !wait_readable(exchange->server, exchange->fd))
		return false;
	ssize_t got = recv(exchange->fd, buffer + *len, size - 1 - *len, 0);
	if (got <= 0)
		return false;
	*len += (size_t)got;
	buffer[*len] = 0;
	return true;
}

static bool read_request(struct http_exchange *exchange)
{
	static const char empty_line[] = "\r\n\r\n";
	char buffer[32768] = "", text[32];
	size_t len = 0, body_len = 0;
	char *end;

	while (!(end = strstr(buffer, empty_line)))
		if (!read_more(exchange, buffer, &len, sizeof(buffer)))
			return false;
	end += strlen(empty_line);
	CHECK(sscanf(buffer, "%7s %8191s", exchange->method, exchange->target) == 2);
	char *headers = strstr(buffer, "\r\n") + 2;
	CHECK((size_t)(end - headers) < sizeof(exchange->head));
	memcpy(exchange->head, headers, (size_t)(end - headers));
	exchange->head[end - headers] = 0;
	if (http_header(exchange, "Content-Length", text, sizeof(text)))
		body_len = strtoul(text, NULL, 10);
	CHECK(body_len < sizeof(exchange->body));
	while (len - (size_t)(end - buffer) < body_len)
		if (!read_more(exchange, buffer, &len, sizeof(buffer)))
			return false;
	memcpy(exchange->body, end, body_len);
	exchange->body[body_len] = 0;
	exchange->body_len = body_len;
	exchange->number = atomic_fetch_add(&exchange->server->requests, 1) + 1;
	return true;
}

static void *connection_main(void *argument)
{
	struct connection *connection = argument;
	struct http_exchange *exchange = calloc(1, sizeof(*exchange));

	CHECK(exchange);
	exchange->server = connection->server;
	exchange->fd = connection->fd;
	exchange->open = true;
	while (exchange->open && read_request(exchange))
		connection->server->handler(exchange, connection->server->context);
	if (exchange->fd >= 0)
		close(exchange->fd);
	free(exchange);
	return NULL;
}

static void *acceptor_main(void *argument)
{
	struct http_server *server = argument;
	int one = 1;

	while (wait_readable(server, server->listen_fd)) {
		int fd = accept(server->listen_fd, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		CHECK(server->connection_count < CONNECTIONS_MAX);
		struct connection *connection = &server->connections[server->connection_count++];
		*connection = (struct connection){ .server = server, .fd = fd };
		CHECK(!pthread_create(&connection->thread, NULL, connection_main, connection));
	}
	return NULL;
}

struct http_server *http_server_start(http_handler handler, void *context)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	struct http_server *server = calloc(1, sizeof(*server));

	CHECK(server);
	server->handler = handler;
	server->context = context;
	CHECK(!pipe(server->stop_pipe));
	server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(server->listen_fd >= 0);
	CHECK(!bind(server->listen_fd, (struct sockaddr *)&address, len));
	CHECK(!listen(server->listen_fd, 512));
	CHECK(!getsockname(server->listen_fd, (struct sockaddr *)&address, &len));
	server->port = ntohs(address.sin_port);
	CHECK(!pthread_create(&server->acceptor, NULL, acceptor_main, server));
	return server;
}

void http_server_stop(struct http_server *server)
{
	if (!server)
		return;
	close(server->stop_pipe[1]);
	pthread_join(server->acceptor, NULL);
	for (unsigned i = 0; i < server->connection_count; i++)
		pthread_join(server->connections[i].thread, NULL);
	close(server->listen_fd);
	close(server->stop_pipe[0]);
	free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}

unsigned http_server_count(struct http_server *server)
{
	return atomic_load(&server->requests);
}

bool http_header(const struct http_exchange *exchange, const char *name, char *out, size_t size)
{
	size_t name_len = strlen(name);

	for (const char *line = exchange->head; *line && *line != '\r';) {
		size_t len = strcspn(line, "\r");
		if (!strncasecmp(line, name, name_len) && line[name_len] == ':') {
			const char *value = line + name_len + 1;
			value += strspn(value, " ");
			snprintf(out, size, "%.*s", (int)(len - (size_t)(value - line)), value);
			return true;
		}
		line += len + 2;
	}
	return false;
}

bool http_query(const struct http_exchange *exchange, const char *name, char *out, size_t size)
{
	const char *at = strchr(exchange->target, '?');
	size_t name_len = strlen(name);

	while (at) {
		at++;
		if (!strncmp(at, name, name_len) && at[name_len] == '=') {
			at += name_len + 1;
			snprintf(out, size, "%.*s", (int)strcspn(at, "&"), at);
			return true;
		}
		at = strchr(at, '&');
	}
	return false;
}

bool http_range(const struct http_exchange *exchange, uint64_t *out_first, uint64_t *out_last)
{
	char value[64], *end;

	if (!http_header(exchange, "Range", value, sizeof(value)) ||
	    strncmp(value, "bytes=", 6) != 0)
		return false;
	*out_first = strtoull(value + 6, &end, 10);
	if (*end != '-')
		return false;
	*out_last = strtoull(end + 1, &end, 10);
	return !*end;
}

void http_send(struct http_exchange *exchange, const void *data, size_t len)
{
	const char *at = data;

	while (len && exchange->fd >= 0) {
		ssize_t sent = send(exchange->fd, at, len, MSG_NOSIGNAL);
		if (sent <= 0) {
			exchange->open = false;
			return;
		}
		at += sent;
		len -= (size_t)sent;
	}
}

void http_head(struct http_exchange *exchange, int status, const char *headers, size_t len)
{
	char head[8192];
	int head_len =
		snprintf(head, sizeof(head), "HTTP/1.1 %d Text\r\n%sContent-Length: %zu\r\n\r\n",
			 status, headers, len);

	CHECK(head_len > 0 && (size_t)head_len < sizeof(head));
	http_send(exchange, head, (size_t)head_len);
}

void http_answer(struct http_exchange *exchange, int status, const char *headers, const void *body,
		 size_t len)
{
	http_head(exchange, status, headers, len);
	if (strcmp(exchange->method, "HEAD") != 0)
		http_send(exchange, body, len);
}

void http_close(struct http_exchange *exchange)
{
	if (exchange->fd >= 0)
		close(exchange->fd);
	exchange->fd = -1;
	exchange->open = false;
}

void http_reset(struct http_exchange *exchange)
{
	struct linger linger = { .l_onoff = 1 };

	if (exchange->fd >= 0)
		setsockopt(exchange->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	http_close(exchange);
}

void http_hang(struct http_exchange *exchange)
{
	char byte;

	while (exchange->fd >= 0 && wait_readable(exchange->server, exchange->fd))
		if (recv(exchange->fd, &byte, 1, 0) <= 0)
			break;
	http_close(exchange);
}
