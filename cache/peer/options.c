/*
 * options.c - the settings of what nodes ask of each other, and what must hold between them.
 */
#include <stdint.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/option.h"
#include "cache/peer/peers.h"
#include "cache/peer/wire.h"

#define MIB (INT64_C(1) << 20)
#define TIB (INT64_C(1) << 40)
#define S   ((int64_t)NS_PER_S)
#define MS  ((int64_t)NS_PER_MS)

#define SILENCE_WORDS 3 /* that may be lost or late before a member counts as silent */

#define PEERS_OPTION(field, type, ...) OPTION(struct peers_config, field, type, __VA_ARGS__)

static const struct option peers_table[] = {
	PEERS_OPTION(
		silence, OPTION_DURATION, .default_text = "500 ms", .min = 10 * MS, .max = 60 * S,
		.flags = OPTION_LIVE,
		.help = "A member that was asked for a block and says nothing for this long is "
			"passed over. One that is at work says so every 100 ms, however long "
			"the work takes."),
	PEERS_OPTION(lease, OPTION_DURATION, .default_text = "10 s", .min = 1 * S, .max = 600 * S,
		     .flags = OPTION_LIVE,
		     .help = "How long a block that a peer asked for is held in memory for its "
			     "reading; at least twice fabric.read_timeout."),
	PEERS_OPTION(settle, OPTION_DURATION, .default_text = "24 h", .min = 0,
		     .max = INT64_C(8760) * 3600 * S, .flags = OPTION_LIVE,
		     .help = "How long a member has to be in the cluster until those that come "
			     "after it in a block's ranking are no longer asked for what they kept "
			     "from before it came."),
	PEERS_OPTION(stages_max, OPTION_INT, .default_text = "256", .min = 1, .max = 65536,
		     .help = "Blocks that may be fetched for peers at a time; more wait."),
	PEERS_OPTION(queue_max, OPTION_INT, .default_text = "4096", .min = 0, .max = 1 << 20,
		     .help = "Requests of peers that may wait; beyond them they are told to come "
			     "again later."),
	PEERS_OPTION(locators_memory, OPTION_BYTES, .default_text = "64 MiB", .min = MIB,
		     .max = TIB,
		     .help = "Memory for remembering where blocks lie in the memory of peers: one "
			     "that is known takes a single read and no message."),
	PEERS_OPTION(locators_age, OPTION_DURATION, .default_text = "60 s", .min = 0,
		     .max = 86400 * S, .help = "How long that is remembered."),
	PEERS_OPTION(catalog_memory, OPTION_BYTES, .default_text = "64 MiB", .min = 0, .max = TIB,
		     .help = "Memory for listings and what files are, which this node has asked a "
			     "backing store for on behalf of all."),
	PEERS_OPTION(
		breaker_failures, OPTION_INT, .default_text = "3", .min = 1, .max = 1000,
		.flags = OPTION_LIVE,
		.help = "A member that was silent so many times in a row is not asked any more "
			"but for a try now and then."),
	PEERS_OPTION(breaker_probe, OPTION_DURATION, .default_text = "500 ms", .min = 10 * MS,
		     .max = 3600 * S, .flags = OPTION_LIVE, .help = "The time between such tries."),
	PEERS_OPTION(hot_readers, OPTION_INT, .default_text = "8", .min = 0, .max = 65536,
		     .flags = OPTION_LIVE,
		     .help = "Members reading one block at once from which on further ones are "
			     "referred to those that have it by now. 0: never."),
	PEERS_OPTION(failover_rate, OPTION_BYTES, .default_text = "1 GiB", .min = MIB, .max = TIB,
		     .flags = OPTION_LIVE,
		     .help = "Bytes a second that all members of the site together may fetch from "
			     "backing stores themselves, in place of owners that are silent."),
	PEERS_OPTION(audit, OPTION_INT, .default_text = "10000", .min = 0, .max = INT64_C(1) << 40,
		     .flags = OPTION_LIVE,
		     .help = "One block in so many of those that come from members is fetched from "
			     "the backing store a second time and compared; a difference is logged "
			     "as an error that names the member. 1: each one. 0: none."),
};

static int check(const void *value, char *problem, size_t problem_size)
{
	const struct peers_config *config = value;

	if (config->silence < SILENCE_WORDS * PEER_WORKING_NS)
		return option_problem(
			problem, problem_size,
			"silence: shorter than %d times the %llu ms between two words of "
			"a member at work: give 300 ms or more",
			SILENCE_WORDS, (unsigned long long)(PEER_WORKING_NS / NS_PER_MS));
	if (config->lease <= config->silence)
		return option_problem(
			problem, problem_size,
			"lease: a block is to be held for longer than a member may be "
			"silent: give more than silence");
	return 0;
}

const struct option_group peers_options = {
	.name = "peers",
	.size = sizeof(struct peers_config),
	.options = peers_table,
	.count = ARRAY_COUNT(peers_table),
	.validate = check,
};
