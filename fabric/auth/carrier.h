/*
 * carrier.h - one TCP connection that carries one handshake: bytes between the socket and the
 * machine, nothing blocks. Watched by the epoll of its greeter.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "fabric/auth/handshake.h"

struct carrier {
	int fd; /* -1: closed */
	int epoll_fd;
	void *tag; /* what its events carry */
	uint32_t interest;
	bool connecting;
	struct handshake handshake;
};

/* carrier->handshake is initialised by the caller before, and ended by carrier_close(). */

/**
 * carrier_connect() - a new socket, on its way to @address.
 * Return: 0; -EMFILE, -ENFILE, -ENOMEM (of this node); -ECONNREFUSED ... (of the way there). The
 *         carrier is closed then, but for its handshake.
 */
int carrier_connect(struct carrier *carrier, int epoll_fd, const struct address *address,
		    void *tag);

/** carrier_adopt() - an accepted socket, taken. Return: 0, -ENOMEM, -ENOSPC: it is closed. */
int carrier_adopt(struct carrier *carrier, int epoll_fd, int fd, void *tag);

/** carrier_connected() - asks how connect() went. Return: 0, -ECONNREFUSED, -EHOSTUNREACH ... */
int carrier_connected(struct carrier *carrier);

/**
 * carrier_receive() - feeds the machine with what has come.
 * Return: 1: the handshake has ended, one way or the other; 0: not yet; -ECONNRESET ...: the
 *         connection has.
 */
int carrier_receive(struct carrier *carrier);

/** carrier_send() - sends what the machine has to say. Return: 0: all of it, or the other side is
 *  gone (carrier_receive() will tell); -EAGAIN: later; -ENOBUFS ... */
int carrier_send(struct carrier *carrier);

/** carrier_watch() - waits for what is needed next: bytes, and room when there is something to
 *  send. */
void carrier_watch(struct carrier *carrier);

/** carrier_close() - of what is open, and wipes the handshake. */
void carrier_close(struct carrier *carrier);
