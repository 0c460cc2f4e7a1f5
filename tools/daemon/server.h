/*
 * server.h - the daemon's end of the control socket: one thread, at most SERVER_CONNECTIONS_MAX
 * callers, each with one request at a time and SERVER_PATIENCE_NS from one to the next. Whatever a
 * caller sends costs at most an error answer.
 */
#pragma once

#include <stddef.h>

#include "base/clock.h"

#define SERVER_CONNECTIONS_MAX 16
#define SERVER_PATIENCE_NS     (5 * NS_PER_S)

struct daemon_rooms;
struct server;

/**
 * server_create() - listens at <run_dir>/control and starts the thread.
 * @run_dir: claimed by instance_claim(), so a socket found there is a dead daemon's.
 * @rooms: borrowed until server_destroy().
 * Return: 0; -EADDRINUSE, -EACCES, -ENAMETOOLONG ... with @problem; -ENOMEM, -EAGAIN.
 */
int server_create(const char *run_dir, const struct daemon_rooms *rooms, struct server **out_server,
		  char *problem, size_t problem_size);

/** server_destroy() - ends the thread, removes the socket. NULL is fine. */
void server_destroy(struct server *server);
