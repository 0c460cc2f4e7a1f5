/*
 * host.h - hosts on a loop network, as the rigs of this folder have them: who they are, their
 * transports, and how they hear of each other. What fails ends the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cache/peer/neighbours.h"
#include "fabric/identity.h"
#include "fabric/transport/loop.h"

/** host_member() - the id of host @number: its number and one, in each byte. */
struct member_id host_member(unsigned number);

/** host_config() - the defaults, but that a lost connection is tried again at once. For
 *  host_open(). */
struct transport_config host_config(void);

/** host_open() - @config's strings are freed. @environment: its seed is set. */
struct transport *host_open(struct loop_network *network, unsigned number,
			    struct transport_config *config,
			    const struct transport_environment *environment);

/** host_add_region() - which must get the number @expected. */
void host_add_region(struct transport *transport, void *base, size_t len,
		     enum transport_access access, uint32_t expected);

void host_listen(struct transport *transport);

/** host_introduce() - host @number learns where the others of hosts 0 to @count - 1 are. */
void host_introduce(struct neighbours *neighbours, unsigned number, unsigned count);
