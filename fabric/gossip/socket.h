/*
 * socket.h - sockets for both families. A socket that is bound to "::" serves IPv4 too and shows
 * such peers as ::ffff:a.b.c.d: inside, addresses are always unmapped; at the socket they are
 * mapped back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/** socket_unmap() - ::ffff:a.b.c.d becomes a.b.c.d. */
void socket_unmap(struct address *address);

/** socket_map() - @address as a socket of @family takes it. Return: 0; -EAFNOSUPPORT. */
int socket_map(const struct address *address, int family, struct address *out);

/** socket_same_host() - the same address, whatever the port. */
bool socket_same_host(const struct address *a, const struct address *b);

/** socket_is_loopback() - reached by this machine alone. */
bool socket_is_loopback(const struct address *address);

/**
 * socket_bind() - a UDP socket and a listening TCP socket at one address and port, neither of which
 * blocks. Port 0: one that is free for both. "::" where there is no IPv6 becomes 0.0.0.0.
 * @out_address: where they are.
 * Return: 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES ... with @problem.
 */
int socket_bind(const struct address *address, int *out_udp, int *out_tcp,
		struct address *out_address, char *problem, size_t problem_size);

/**
 * socket_unreachable() - the next message of ICMP about a packet that was sent from @udp.
 * Return: 1: nobody listens at @out; 0: it said something else; -EAGAIN: there is none.
 */
int socket_unreachable(int udp, struct address *out);

/** socket_source() - the address of ours from which packets to @peer go; its port is 0.
 *  Return: 0; -ENETUNREACH ... */
int socket_source(const struct address *peer, struct address *out);

/** socket_any_source() - an address of ours that others may know us by: of an interface that is
 *  up and not the loopback, of @family when there is one (0: IPv4 goes first). Return: 0;
 *  -EADDRNOTAVAIL. */
int socket_any_source(int family, struct address *out);
