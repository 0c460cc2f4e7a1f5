/*
 * address.h - an IP address and a port, as people write them and as the kernel takes them:
 *
 *	10.0.0.7:7471        [fe80::1%eth0]:7471        0.0.0.0:7471
 *
 * Numeric only: names are resolved by those who accept names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 80 /* "[IPv6%scope]:port" and its NUL */

struct address {
	struct sockaddr_storage storage; /* ss_family 0: none */
};

/**
 * address_parse() - "IPv4", "IPv4:PORT", "IPv6", "[IPv6]" or "[IPv6]:PORT"; without a port,
 * @default_port.
 * Return: 0; -EINVAL with @problem saying what is accepted.
 */
int address_parse(const char *text, uint16_t default_port, struct address *out, char *problem,
		  size_t problem_size);

/** address_text() - as address_parse() reads it, with the port; "(none)" of none. Returns @out. */
const char *address_text(const struct address *address, char out[ADDRESS_TEXT_MAX]);

/** address_len() - what bind(2) and connect(2) want beside the storage; 0 of none. */
socklen_t address_len(const struct address *address);

/** address_port(), address_set_port() - in the host's byte order. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

/** address_equal() - the same family, address, scope and port. */
bool address_equal(const struct address *a, const struct address *b);

/** address_is_any() - 0.0.0.0 or ::, which one can listen at but not connect to. */
bool address_is_any(const struct address *address);

#define ADDRESS_WIRE_LEN 19 /* family (4 or 6, 0: none), 16 bytes of address, port */

/** address_encode(), address_decode() - for the wire; a scope is not sent. Decoding anything but
 *  what encode writes is -EBADMSG. */
void address_encode(const struct address *address, uint8_t out[ADDRESS_WIRE_LEN]);
int address_decode(const uint8_t in[ADDRESS_WIRE_LEN], struct address *out);
