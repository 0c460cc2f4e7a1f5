/*
 * trouble.c - the sentences.
 */
#include "tools/bw/trouble.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/terminal.h"

/* What can be done about a connection that was not made. */
static const struct {
	int status;
	const char *advice;
} connecting[] = {
	{ -ECONNREFUSED, "nobody listens there: start `cenote-bw serve` on that host, or give the "
			 "--port that it names" },
	{ -ETIMEDOUT,
	  "no answer: is the address right, and does a firewall let the port through?" },
	{ -EHOSTUNREACH, "there is no way to that address from here" },
	{ -ENETUNREACH, "there is no way to that address from here" },
	{ -EACCES, "both sides need the same secret (--secret-file) and --cluster" },
	{ -EPROTONOSUPPORT, "both sides need the same version and the same --transport" },
	{ -EPROTO, "something else than cenote-bw listens there: give the --port that `cenote-bw "
		   "serve` names" },
	{ -EBUSY, "the server has as many clients as it takes: try again when some have left" },
	{ -ECONNRESET, "the server hung up: its own messages say why" },
};

void trouble_connecting(const struct address *server, int status, const char *why,
			char out[TROUBLE_MAX])
{
	char text[ADDRESS_TEXT_MAX];
	const char *advice = NULL;

	for (size_t i = 0; i < ARRAY_COUNT(connecting); i++)
		if (connecting[i].status == status)
			advice = connecting[i].advice;
	snprintf(out, TROUBLE_MAX, "cannot connect to %s: %s%s%s", address_text(server, text),
		 status != -ECONNREFUSED && *why ? why : error_text(status), advice ? ": " : "",
		 advice ? advice : "");
}

/* "256 reads ended with ECONNRESET" */
static void failed_text(const struct pump_result *result, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < PUMP_STATUSES_MAX && len < size; i++) {
		char count[TERMINAL_TEXT_MAX];

		if (result->failed[i].count == 0)
			continue;
		len += (size_t)snprintf(out + len, size - len, "%s%s with %s", len ? ", " : "",
					text_count(result->failed[i].count, count),
					error_name(result->failed[i].status));
	}
}

static bool has_failed(const struct pump_result *result, int status)
{
	for (unsigned i = 0; i < PUMP_STATUSES_MAX; i++)
		if (result->failed[i].count > 0 && result->failed[i].status == status)
			return true;
	return false;
}

void trouble_reading(const struct address *server, const struct pump_result *result,
		     const char *why, uint64_t read_timeout_ns, char out[TROUBLE_MAX])
{
	char text[ADDRESS_TEXT_MAX], failed[160], waited[TERMINAL_TEXT_MAX];

	failed_text(result, failed, sizeof(failed));
	address_text(server, text);
	if (has_failed(result, -ETIMEDOUT))
		snprintf(out, TROUBLE_MAX,
			 "reads of %s stalled: one was not answered within %s (is the server "
			 "stopped, or are packets lost? --read-timeout gives more time); reads "
			 "that failed: %s%s%s",
			 text, text_duration(read_timeout_ns, waited), failed, *why ? "; " : "",
			 why);
	else if (has_failed(result, -ERANGE))
		snprintf(out, TROUBLE_MAX,
			 "%s refused reads as outside of its memory; reads that failed: %s", text,
			 failed);
	else
		snprintf(out, TROUBLE_MAX, "%s was lost in the middle%s%s; reads that failed: %s",
			 text, *why ? ": " : "", why, failed);
}

void trouble_resolving(const char *host, int code, char out[TROUBLE_MAX])
{
	snprintf(out, TROUBLE_MAX, "'%s' is no address and no name that is known here: %s", host,
		 code == EAI_SYSTEM ? error_text(errno) : gai_strerror(code));
}
