/*
 * trouble.h - what went wrong, as one sentence that says what to do.
 */
#pragma once

#include <stddef.h>

#include "base/address.h"
#include "tools/bw/pump.h"

#define TROUBLE_MAX 768

/** trouble_connecting() - @status and @why as transport's down() gives them, of a connection that
 *  was never there. */
void trouble_connecting(const struct address *server, int status, const char *why,
			char out[TROUBLE_MAX]);

/**
 * trouble_reading() - a measurement that ended with failed reads.
 * @why: of the connection's end, "" when it has not ended.
 * @read_timeout_ns: what a stalled read waited.
 */
void trouble_reading(const struct address *server, const struct pump_result *result,
		     const char *why, uint64_t read_timeout_ns, char out[TROUBLE_MAX]);

/** trouble_resolving() - of getaddrinfo()'s @code for @host. */
void trouble_resolving(const char *host, int code, char out[TROUBLE_MAX]);
