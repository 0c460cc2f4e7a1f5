/*
 * counters.c - what a transport counts.
 */
#include <assert.h>

#include "fabric/transport/front.h"

static const struct counter_spec specs[TRANSPORT_COUNTER_COUNT] = {
	[TRANSPORT_READS] = { "fabric_reads", COUNTER_TOTAL, "reads",
			      "Reads of peers' memory that were begun." },
	[TRANSPORT_READ_BYTES] = { "fabric_read_bytes", COUNTER_TOTAL, "bytes",
				   "Bytes that reads brought." },
	[TRANSPORT_READ_ERRORS] = { "fabric_read_errors", COUNTER_TOTAL, "reads",
				    "Reads that ended with an error, those in time-outs too." },
	[TRANSPORT_READ_TIMEOUTS] = { "fabric_read_timeouts", COUNTER_TOTAL, "reads",
				      "Reads without an answer before their deadline." },
	[TRANSPORT_READS_REPEATED] = { "fabric_reads_repeated", COUNTER_TOTAL, "reads",
				       "Reads that fell with a connection given up for another's "
				       "deadline, and were begun again." },
	[TRANSPORT_READS_INFLIGHT] = { "fabric_reads_inflight", COUNTER_GAUGE, "reads",
				       "Reads under way." },
	[TRANSPORT_MESSAGES_SENT] = { "fabric_messages_sent", COUNTER_TOTAL, "messages",
				      "Control messages handed to the wire." },
	[TRANSPORT_MESSAGES_RECEIVED] = { "fabric_messages_received", COUNTER_TOTAL, "messages",
					  "Control messages that came in." },
	[TRANSPORT_SERVED_BYTES] = { "fabric_served_bytes", COUNTER_TOTAL, "bytes",
				     "Bytes that our CPU sent to readers (ucx; verbs needs none "
				     "and cannot know)." },
	[TRANSPORT_CONNECTS] = { "fabric_connects", COUNTER_TOTAL, "connections",
				 "Connections we opened." },
	[TRANSPORT_CONNECT_FAILURES] = { "fabric_connect_failures", COUNTER_TOTAL, "connections",
					 "Connections we could not open." },
	[TRANSPORT_ACCEPTS] = { "fabric_accepts", COUNTER_TOTAL, "connections",
				"Connections of others that we accepted." },
	[TRANSPORT_REFUSALS] = { "fabric_refusals", COUNTER_TOTAL, "handshakes",
				 "Handshakes of others that ended in a refusal." },
	[TRANSPORT_FOREIGN] = { "fabric_foreign", COUNTER_TOTAL, "connections",
				"Connections that did not speak our protocol." },
	[TRANSPORT_FORGED] = { "fabric_forged", COUNTER_TOTAL, "requests",
			       "Requests outside a region, or without a session." },
	[TRANSPORT_FENCES] = { "fabric_fences", COUNTER_TOTAL, "connections",
			       "Connections given up because something passed its deadline." },
	[TRANSPORT_RAILS_LOST] = { "fabric_rails_lost", COUNTER_TOTAL, "rails",
				   "Rails that failed while their connection went on." },
	[TRANSPORT_PEERS_ACTIVE] = { "fabric_peers_active", COUNTER_GAUGE, "connections",
				     "Connections that are up and that we opened." },
	[TRANSPORT_PEERS_PASSIVE] = { "fabric_peers_passive", COUNTER_GAUGE, "connections",
				      "Connections that are up and that we accepted." },
	[TRANSPORT_REGISTERED] = { "fabric_registered_bytes", COUNTER_GAUGE, "bytes",
				   "Memory registered with the devices." },
};

int transport_counters_init(struct counters *counters)
{
	return counters_init(counters, "fabric", specs, TRANSPORT_COUNTER_COUNT);
}

static_assert(TRANSPORT_COUNTER_COUNT <= 32, "a bit each in `tallied`");

void transport_count(struct transport *transport, enum transport_counter counter, int64_t amount)
{
	transport->tally[counter] += amount;
	transport->tallied |= UINT32_C(1) << counter;
}

void transport_publish_counts(struct transport *transport)
{
	struct counters *counters = transport->environment.counters;

	for (; transport->tallied; transport->tallied &= transport->tallied - 1) {
		unsigned i = (unsigned)__builtin_ctz(transport->tallied);

		/* a gauge goes down by adding its negative, modulo 2^64 */
		if (counters && transport->tally[i])
			counter_add(counters, i, (uint64_t)transport->tally[i]);
		transport->tally[i] = 0;
	}
}
