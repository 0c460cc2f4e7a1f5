/*
 * where.h - addresses as people give them and as they are to be shown: names are resolved here.
 */
#pragma once

#include <stdint.h>

#include "base/address.h"
#include "tools/bw/trouble.h"

/** where_is() - "10.0.0.7", "node7:7480", "[fe80::1%eth0]:7480", "localhost".
 *  Return: 0; -EINVAL, -ENOENT with @problem. */
int where_is(const char *text, uint16_t default_port, struct address *out,
	     char problem[TROUBLE_MAX]);

/** where_are_we() - our own address on the way to @server, with port 0. Nothing is sent.
 *  Return: 0; -ENETUNREACH, -EHOSTUNREACH ... */
int where_are_we(const struct address *server, struct address *out);

/** where_reachable() - @listening as others would give it: an any-address becomes the first of
 *  this machine that is not its loopback. */
void where_reachable(const struct address *listening, struct address *out);
