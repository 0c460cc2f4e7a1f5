/* address.c - IP addresses and ports as text, for the kernel and on the wire. */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/option.h"

#define HOST_MAX 64 /* an IPv6 address with its scope, and its NUL */

static struct sockaddr_in *v4(struct address *address)
{
	return (struct sockaddr_in *)(void *)&address->storage;
}

static struct sockaddr_in6 *v6(struct address *address)
{
	return (struct sockaddr_in6 *)(void *)&address->storage;
}

static const struct sockaddr_in *v4_const(const struct address *address)
{
	return (const struct sockaddr_in *)(const void *)&address->storage;
}

static const struct sockaddr_in6 *v6_const(const struct address *address)
{
	return (const struct sockaddr_in6 *)(const void *)&address->storage;
}

/* Cuts "HOST", "HOST:PORT" or "[HOST]:PORT" in two; @out_port is NULL when none is given. */
static int split(const char *text, char host[HOST_MAX], const char **out_port)
{
	const char *end, *rest;

	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end)
			return -EINVAL;
		rest = end + 1;
	} else {
		end = strchr(text, ':');
		if (!end || strchr(end + 1, ':')) /* IPv6 without brackets has no port */
			end = text + strlen(text);
		rest = end;
	}
	if ((*rest && *rest != ':') || (size_t)(end - text) >= HOST_MAX)
		return -EINVAL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	*out_port = *rest ? rest + 1 : NULL;
	return 0;
}

static int parse_port(const char *text, uint16_t *out)
{
	char *end;
	unsigned long value;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	value = strtoul(text, &end, 10);
	if (*end || value > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)value;
	return 0;
}

static int parse_host(char host[HOST_MAX], struct address *out)
{
	char *scope = strchr(host, '%');

	if (inet_pton(AF_INET, host, &v4(out)->sin_addr) == 1) {
		out->storage.ss_family = AF_INET;
		return 0;
	}
	if (scope) {
		*scope++ = '\0';
		v6(out)->sin6_scope_id = if_nametoindex(scope);
		if (v6(out)->sin6_scope_id == 0)
			return -EINVAL;
	}
	if (inet_pton(AF_INET6, host, &v6(out)->sin6_addr) != 1)
		return -EINVAL;
	out->storage.ss_family = AF_INET6;
	return 0;
}

int address_parse(const char *text, uint16_t default_port, struct address *out, char *problem,
		  size_t problem_size)
{
	struct address parsed = { 0 };
	char host[HOST_MAX];
	const char *port_text;
	uint16_t port = default_port;

	if (split(text, host, &port_text) || parse_host(host, &parsed) ||
	    (port_text && parse_port(port_text, &port)))
		return option_problem(problem, problem_size,
				      "'%s' is not an address: an IP address with or without a "
				      "port, 10.0.0.7:7471 or [fd00::7]:7471",
				      text);
	address_set_port(&parsed, port);
	*out = parsed;
	return 0;
}

const char *address_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "", scope[IF_NAMESIZE + 1] = "";

	switch (address->storage.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &v4_const(address)->sin_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, address_port(address));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &v6_const(address)->sin6_addr, host, sizeof(host));
		scope[0] = '%';
		if (!v6_const(address)->sin6_scope_id ||
		    !if_indextoname(v6_const(address)->sin6_scope_id, scope + 1))
			scope[0] = '\0';
		snprintf(out, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope, address_port(address));
		break;
	default:
		snprintf(out, ADDRESS_TEXT_MAX, "(none)");
	}
	return out;
}

socklen_t address_len(const struct address *address)
{
	switch (address->storage.ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

uint16_t address_port(const struct address *address)
{
	switch (address->storage.ss_family) {
	case AF_INET:
		return ntohs(v4_const(address)->sin_port);
	case AF_INET6:
		return ntohs(v6_const(address)->sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->storage.ss_family == AF_INET)
		v4(address)->sin_port = htons(port);
	else if (address->storage.ss_family == AF_INET6)
		v6(address)->sin6_port = htons(port);
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->storage.ss_family != b->storage.ss_family || address_port(a) != address_port(b))
		return false;
	switch (a->storage.ss_family) {
	case AF_INET:
		return v4_const(a)->sin_addr.s_addr == v4_const(b)->sin_addr.s_addr;
	case AF_INET6:
		return v6_const(a)->sin6_scope_id == v6_const(b)->sin6_scope_id &&
		       !memcmp(&v6_const(a)->sin6_addr, &v6_const(b)->sin6_addr,
			       sizeof(v6_const(a)->sin6_addr));
	default:
		return true;
	}
}

bool address_is_any(const struct address *address)
{
	switch (address->storage.ss_family) {
	case AF_INET:
		return v4_const(address)->sin_addr.s_addr == INADDR_ANY;
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(&v6_const(address)->sin6_addr);
	default:
		return false;
	}
}

void address_encode(const struct address *address, uint8_t out[ADDRESS_WIRE_LEN])
{
	memset(out, 0, ADDRESS_WIRE_LEN);
	if (address->storage.ss_family == AF_INET) {
		out[0] = 4;
		memcpy(out + 1, &v4_const(address)->sin_addr, 4);
	} else if (address->storage.ss_family == AF_INET6) {
		out[0] = 6;
		memcpy(out + 1, &v6_const(address)->sin6_addr, 16);
	}
	bytes_put_u16(out + 17, address_port(address));
}

int address_decode(const uint8_t in[ADDRESS_WIRE_LEN], struct address *out)
{
	static const uint8_t zero[ADDRESS_WIRE_LEN];
	struct address decoded = { 0 };
	uint16_t port = bytes_get_u16(in + 17);

	switch (in[0]) {
	case 0:
		if (memcmp(in, zero, ADDRESS_WIRE_LEN) != 0)
			return -EBADMSG;
		break;
	case 4:
		if (memcmp(in + 5, zero, 12) != 0)
			return -EBADMSG;
		decoded.storage.ss_family = AF_INET;
		memcpy(&v4(&decoded)->sin_addr, in + 1, 4);
		break;
	case 6:
		decoded.storage.ss_family = AF_INET6;
		memcpy(&v6(&decoded)->sin6_addr, in + 1, 16);
		break;
	default:
		return -EBADMSG;
	}
	address_set_port(&decoded, port);
	*out = decoded;
	return 0;
}
