/*
 * http_server.h - a small HTTP server in the test, which does as the test's script says: answers
 * whole, in part, wrongly, slowly, or not at all. One thread a connection; loopback only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_server;

/* One request, lent to the handler. */
struct http_exchange {
	struct http_server *server;
	int fd;
	unsigned number; /* of the request on this server, from 1 */
	bool open;	 /* the connection may carry another request */
	char method[8];
	char target[8192]; /* path and query as they came */
	char head[16384];  /* the header lines */
	char body[16384];
	size_t body_len;
};

/* Runs on the connection's thread; must answer, or break the connection off. */
typedef void (*http_handler)(struct http_exchange *exchange, void *context);

/** http_server_start() - aborts the test when it cannot. */
struct http_server *http_server_start(http_handler handler, void *context);

/** http_server_stop() - breaks all connections, joins all threads. NULL is fine. */
void http_server_stop(struct http_server *server);

uint16_t http_server_port(const struct http_server *server);

/** http_server_count() - requests seen so far. */
unsigned http_server_count(struct http_server *server);

/** http_header() - copies the value of header @name. Return: false when there is none. */
bool http_header(const struct http_exchange *exchange, const char *name, char *out, size_t size);

/** http_query() - copies the raw value of a query parameter. */
bool http_query(const struct http_exchange *exchange, const char *name, char *out, size_t size);

/** http_range() - first and last of "Range: bytes=F-L". */
bool http_range(const struct http_exchange *exchange, uint64_t *out_first, uint64_t *out_last);

/** http_answer() - status line, @headers ("Name: value\r\n"...), Content-Length, @body. To a HEAD
 *  the body is not sent. */
void http_answer(struct http_exchange *exchange, int status, const char *headers, const void *body,
		 size_t len);

/** http_head() - the same head alone, announcing @len bytes. */
void http_head(struct http_exchange *exchange, int status, const char *headers, size_t len);

/** http_send() - raw bytes. */
void http_send(struct http_exchange *exchange, const void *data, size_t len);

/** http_close() / http_reset() - end the connection: in order, or by RST. */
void http_close(struct http_exchange *exchange);
void http_reset(struct http_exchange *exchange);

/** http_hang() - does nothing until the client goes away or the server stops. */
void http_hang(struct http_exchange *exchange);
