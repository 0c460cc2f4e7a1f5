/*
 * where.c - resolving, and guessing our own address.
 */
#include "tools/bw/where.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/option.h"

#define HOST_MAX 256

static int resolve(const char *host, uint16_t port, struct address *out, char problem[TROUBLE_MAX])
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int code = getaddrinfo(host, NULL, &hints, &found);

	if (code != 0) {
		trouble_resolving(host, code, problem);
		return -ENOENT;
	}
	memset(out, 0, sizeof(*out));
	memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	address_set_port(out, port);
	return 0;
}

/* NAME or NAME:PORT. */
static int name_split(const char *text, char host[HOST_MAX], uint16_t *port,
		      char problem[TROUBLE_MAX])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	char *end = NULL;
	unsigned long number = colon ? strtoul(colon + 1, &end, 10) : *port;

	if (len == 0 || len >= HOST_MAX || number > UINT16_MAX ||
	    (colon && (end == colon + 1 || *end != '\0' || colon[1] < '0' || colon[1] > '9')))
		return option_problem(problem, TROUBLE_MAX,
				      "'%s' is no server: give HOST or HOST:PORT", text);
	memcpy(host, text, len);
	host[len] = '\0';
	*port = (uint16_t)number;
	return 0;
}

int where_is(const char *text, uint16_t default_port, struct address *out,
	     char problem[TROUBLE_MAX])
{
	uint16_t port = default_port;
	char host[HOST_MAX];
	int error;

	if (address_parse(text, default_port, out, problem, TROUBLE_MAX) == 0)
		return 0;
	error = name_split(text, host, &port, problem);
	return error ? error : resolve(host, port, out, problem);
}

int where_are_we(const struct address *server, struct address *out)
{
	int fd = socket(server->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct address ours = { 0 };
	socklen_t len = sizeof(ours.storage);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&server->storage, address_len(server)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&ours.storage, &len) != 0)
		error = -errno;
	close(fd);
	if (error)
		return error;
	address_set_port(&ours, 0);
	*out = ours;
	return 0;
}

void where_reachable(const struct address *listening, struct address *out)
{
	sa_family_t family = listening->storage.ss_family;
	struct ifaddrs *all;

	*out = *listening;
	if (!address_is_any(listening) || getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *each = all; each; each = each->ifa_next) {
		if (!each->ifa_addr || each->ifa_addr->sa_family != family ||
		    each->ifa_flags & IFF_LOOPBACK || !(each->ifa_flags & IFF_UP))
			continue;
		memset(out, 0, sizeof(*out));
		memcpy(&out->storage, each->ifa_addr,
		       family == AF_INET ? sizeof(struct sockaddr_in)
					 : sizeof(struct sockaddr_in6));
		address_set_port(out, address_port(listening));
		break;
	}
	freeifaddrs(all);
	if (!address_is_any(out))
		return;
	(void)address_parse(family == AF_INET ? "127.0.0.1" : "::1", address_port(listening), out,
			    (char[1]){ 0 }, 1);
}
