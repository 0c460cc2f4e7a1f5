/*
 * options.c - the machine's parameters: memberlist's for a LAN where it has them, since those have
 * been run at thousands of nodes.
 */
#include "fabric/gossip/swim/inside.h"

#include <inttypes.h>

#define MS  ((int64_t)NS_PER_MS)
#define S   ((int64_t)NS_PER_S)
#define DAY (86400 * S)

static const struct option option_table[] = {
	OPTION(struct swim_config, probe_interval, OPTION_DURATION, .default_text = "1 s",
	       .min = 50 * MS, .max = 60 * S,
	       .help = "Every so often a member asks another one, in turn, whether it is there."),
	OPTION(struct swim_config, probe_timeout, OPTION_DURATION, .default_text = "500 ms",
	       .min = 10 * MS, .max = 30 * S,
	       .help = "No answer for so long: others are asked to ask. Above the round trip of "
		       "all links, and less than probe_interval."),
	OPTION(struct swim_config, indirect_probes, OPTION_INT, .default_text = "3", .min = 0,
	       .max = SWIM_INDIRECT_MAX, .help = "How many others are asked."),
	OPTION(struct swim_config, reliable_probe, OPTION_BOOL, .default_text = "true",
	       .help = "Ask over TCP as well, in case that only datagrams get lost."),
	OPTION(struct swim_config, awareness_max, OPTION_INT, .default_text = "7", .min = 0,
	       .max = 31,
	       .help = "A node that sees itself to be slow stretches its probes up to so many "
		       "times more."),
	OPTION(struct swim_config, suspicion_factor, OPTION_INT, .default_text = "4", .min = 1,
	       .max = 100,
	       .help = "A suspect has at least factor x log10(members) x probe_interval to "
		       "refute."),
	OPTION(struct swim_config, suspicion_max_factor, OPTION_INT, .default_text = "6", .min = 1,
	       .max = 100,
	       .help = "... and so many times that as long as only one member suspects it."),
	OPTION(struct swim_config, suspicion_confirmations, OPTION_INT, .default_text = "2",
	       .min = 0, .max = SWIM_ACCUSERS_MAX - 1,
	       .help = "Further accusers that bring it down to the shortest time."),
	OPTION(struct swim_config, gossip_interval, OPTION_DURATION, .default_text = "200 ms",
	       .min = 10 * MS, .max = 10 * S, .help = "Rumors are told every so often ..."),
	OPTION(struct swim_config, gossip_members, OPTION_INT, .default_text = "3", .min = 1,
	       .max = SWIM_GOSSIP_MEMBERS_MAX, .help = "... to so many members ..."),
	OPTION(struct swim_config, gossip_to_dead, OPTION_DURATION, .default_text = "30 s",
	       .min = 0, .max = 3600 * S,
	       .help = "... those that died so recently among them, should they only seem dead."),
	OPTION(struct swim_config, retransmit_factor, OPTION_INT, .default_text = "4", .min = 1,
	       .max = 16,
	       .help = "A member tells a rumor factor x ceil(log10(members + 1)) times."),
	OPTION(struct swim_config, push_pull_interval, OPTION_DURATION, .default_text = "30 s",
	       .min = 1 * S, .max = 3600 * S,
	       .help = "Every so often a member compares its whole view with another one's. "
		       "Above 32 members, proportionally to log2(members)."),
	OPTION(struct swim_config, reconnect_interval, OPTION_DURATION, .default_text = "30 s",
	       .min = 1 * S, .max = 3600 * S,
	       .help = "About so often somebody tries a dead member again, which is how the "
		       "halves of a broken network find each other."),
	OPTION(struct swim_config, dead_keep, OPTION_DURATION, .default_text = "24 h",
	       .min = 60 * S, .max = DAY * 365,
	       .help = "Who is dead or has left is remembered for so long, lest old rumors "
		       "bring it back."),
	OPTION(struct swim_config, restarting_max, OPTION_DURATION, .default_text = "15 min",
	       .min = 0, .max = DAY,
	       .help = "The longest time that a restarting member's place is kept for it."),
	OPTION(struct swim_config, evidence_interval, OPTION_DURATION, .default_text = "1 s",
	       .min = 0, .max = 3600 * S,
	       .help = "A member that fails reads is probed out of turn at most this often."),
	OPTION(struct swim_config, members_max, OPTION_INT, .default_text = "16384", .min = 2,
	       .max = SWIM_MEMBERS_LIMIT,
	       .help = "Members known at most, the dead that are remembered included."),
};

static int validate(const void *value, char *problem, size_t problem_size)
{
	const struct swim_config *config = value;

	if (config->probe_timeout < config->probe_interval)
		return 0;
	return option_problem(problem, problem_size,
			      "probe_timeout (%" PRIu64 " ms) has to be less than probe_interval "
			      "(%" PRIu64 " ms): the rest is the time of indirect probes",
			      config->probe_timeout / NS_PER_MS,
			      config->probe_interval / NS_PER_MS);
}

const struct option_group swim_options = {
	.name = "swim",
	.size = sizeof(struct swim_config),
	.options = option_table,
	.count = ARRAY_COUNT(option_table),
	.validate = validate,
};
