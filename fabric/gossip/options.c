/*
 * options.c - the settings of gossip, and its counters.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <stdio.h>

#define S ((int64_t)NS_PER_S)

static const struct option option_table[] = {
	OPTION(struct membership_config, listen, OPTION_STRING,
	       .default_text = "::", .argument = "ADDRESS",
	       .help = "Address, with or without a port (7472), of gossip's UDP and TCP. \"::\" is "
		       "every address of both families."),
	OPTION(struct membership_config, advertise, OPTION_STRING, .argument = "ADDRESS",
	       .help = "What others are told to reach this node by. Default: listen; of a node "
		       "that "
		       "listens everywhere, the address that its first contact shows."),
	OPTION(struct membership_config, join, OPTION_STRINGS, .max = MEMBERSHIP_SEEDS_MAX,
	       .argument = "ADDRESS",
	       .help = "Members to begin with, each an address or a name, with or without a port. "
		       "A "
		       "name is resolved at every try and may stand for several. One that does not "
		       "answer is tried again, and this node serves meanwhile."),
	OPTION(struct membership_config, restart_timeout, OPTION_DURATION, .default_text = "30 s",
	       .min = 0, .max = 86400 * S,
	       .help = "A daemon that is told to stop announces that it restarts: for so long it "
		       "keeps its place and is not missed. 0: it leaves instead."),
	OPTION(struct membership_config, leave_timeout, OPTION_DURATION, .default_text = "5 s",
	       .min = 0, .max = 600 * S,
	       .help = "How long a stop or a leave may take to tell the others."),
	OPTION(struct membership_config, swim, OPTION_STRUCT, .group = &swim_options,
	       .help = "How members watch each other. The same on all nodes of a cluster."),
};

static int validate(const void *value, char *problem, size_t problem_size)
{
	const struct membership_config *config = value;
	struct address address;
	int error;

	error = address_parse(config->listen, MEMBERSHIP_PORT, &address, problem, problem_size);
	if (error)
		return error;
	for (unsigned i = 0; i < config->join.count; i++) {
		error = join_check(config->join.items[i], problem, problem_size);
		if (error)
			return error;
	}
	if (config->restart_timeout > config->swim.restarting_max)
		return option_problem(problem, problem_size,
				      "restart_timeout is more than swim.restarting_max");
	if (!config->advertise)
		return 0;
	error = address_parse(config->advertise, MEMBERSHIP_PORT, &address, problem, problem_size);
	if (!error && (address_is_any(&address) || address_port(&address) == 0))
		return option_problem(problem, problem_size,
				      "advertise: '%s' is no address that others can reach",
				      config->advertise);
	return error;
}

const struct option_group membership_options = {
	.name = "gossip",
	.size = sizeof(struct membership_config),
	.options = option_table,
	.count = ARRAY_COUNT(option_table),
	.validate = validate,
};

const struct counter_spec membership_counter_specs[] = {
	[MEMBERSHIP_PACKETS_SENT] = { "gossip_packets_sent", COUNTER_TOTAL, "packets",
				      "datagrams sent" },
	[MEMBERSHIP_PACKETS_RECEIVED] = { "gossip_packets_received", COUNTER_TOTAL, "packets",
					  "datagrams received, of whatever kind" },
	[MEMBERSHIP_BYTES_SENT] = { "gossip_bytes_sent", COUNTER_TOTAL, "bytes",
				    "sent in datagrams and streams" },
	[MEMBERSHIP_BYTES_RECEIVED] = { "gossip_bytes_received", COUNTER_TOTAL, "bytes",
					"received in datagrams and streams" },
	[MEMBERSHIP_SEND_ERRORS] = { "gossip_send_errors", COUNTER_TOTAL, "packets",
				     "datagrams that the system did not send" },
	[MEMBERSHIP_MALFORMED] = { "gossip_malformed", COUNTER_TOTAL, "packets",
				   "refused: not gossip, of another version, or senseless" },
	[MEMBERSHIP_FOREIGN] = { "gossip_foreign", COUNTER_TOTAL, "packets",
				 "refused: made with a key that this node does not have" },
	[MEMBERSHIP_FORGED] = { "gossip_forged", COUNTER_TOTAL, "packets",
				"refused: forged, damaged, or of a cluster of another name" },
	[MEMBERSHIP_REPLAYED] = { "gossip_replayed", COUNTER_TOTAL, "packets",
				  "refused: came before" },
	[MEMBERSHIP_STREAMS_OPENED] = { "gossip_streams_opened", COUNTER_TOTAL, "streams",
					"TCP connections opened" },
	[MEMBERSHIP_STREAMS_ACCEPTED] = { "gossip_streams_accepted", COUNTER_TOTAL, "streams",
					  "TCP connections accepted" },
	[MEMBERSHIP_STREAMS_REFUSED] = { "gossip_streams_refused", COUNTER_TOTAL, "streams",
					 "TCP connections refused" },
	[MEMBERSHIP_STREAM_ERRORS] = { "gossip_stream_errors", COUNTER_TOTAL, "streams",
				       "TCP connections that failed" },
	[MEMBERSHIP_PROBES] = { "gossip_probes", COUNTER_TOTAL, "probes", "members asked" },
	[MEMBERSHIP_PROBES_FAILED] = { "gossip_probes_failed", COUNTER_TOTAL, "probes",
				       "members that did not answer, nor through others" },
	[MEMBERSHIP_SUSPICIONS] = { "gossip_suspicions", COUNTER_TOTAL, "members",
				    "suspicions begun here or heard of" },
	[MEMBERSHIP_REFUTATIONS] = { "gossip_refutations", COUNTER_TOTAL, "rumors",
				     "rumors about this node that were not true" },
	[MEMBERSHIP_DEATHS] = { "gossip_deaths", COUNTER_TOTAL, "members", "members found dead" },
	[MEMBERSHIP_RUMORS_SENT] = { "gossip_rumors_sent", COUNTER_TOTAL, "rumors", "rumors told" },
	[MEMBERSHIP_PUSH_PULLS] = { "gossip_push_pulls", COUNTER_TOTAL, "exchanges",
				    "views compared with others" },
	[MEMBERSHIP_EVIDENCE] = { "gossip_evidence", COUNTER_TOTAL, "reports",
				  "members that failed a read, and were looked after" },
	[MEMBERSHIP_LATE_NS] = { "gossip_late_ns", COUNTER_TOTAL, "ns",
				 "time that the gossip thread was not scheduled" },
};
_Static_assert(ARRAY_COUNT(membership_counter_specs) == MEMBERSHIP_COUNTER_COUNT,
	       "a counter without a name");
