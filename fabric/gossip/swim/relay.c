/*
 * relay.c - probes made for others: PING the target, and hand its ACK on; after probe_timeout say
 * NACK, which tells the asker that at least this node is within reach. A request beyond
 * SWIM_RELAYS_MAX is dropped: to the asker this node is then as good as slow, which it is.
 */
#include "fabric/gossip/swim/inside.h"

void swim_relay_begin(struct swim *swim, uint32_t asker, uint32_t sequence, uint32_t target)
{
	struct swim_relay *relay = swim->relays;

	if (!swim_entry(swim, asker)) {
		swim->stats.misdirected++;
		return;
	}
	if (target == swim->setup.self || !swim_entry(swim, target)) {
		swim_post(swim, asker, asker, target == swim->setup.self ? SWIM_ACK : SWIM_NACK,
			  sequence, SWIM_NOBODY);
		return;
	}
	if (swim->relay_count == SWIM_RELAYS_MAX) {
		swim->stats.relays_dropped++;
		return;
	}
	while (relay->deadline)
		relay++;
	*relay = (struct swim_relay){
		.sequence = ++swim->sequence,
		.asker = asker,
		.asker_sequence = sequence,
		.deadline = swim_time(swim) + swim->config.probe_timeout,
	};
	swim->relay_count++;
	swim_post(swim, target, target, SWIM_PING, relay->sequence, target);
}

static void end(struct swim *swim, struct swim_relay *relay, enum swim_message_kind answer)
{
	relay->deadline = 0;
	swim->relay_count--;
	swim_post(swim, relay->asker, relay->asker, answer, relay->asker_sequence, SWIM_NOBODY);
}

void swim_relay_ack(struct swim *swim, uint32_t sequence)
{
	for (unsigned i = 0; i < SWIM_RELAYS_MAX && swim->relay_count > 0; i++)
		if (swim->relays[i].deadline && swim->relays[i].sequence == sequence)
			end(swim, &swim->relays[i], SWIM_ACK);
}

void swim_relays_tick(struct swim *swim)
{
	for (unsigned i = 0; i < SWIM_RELAYS_MAX && swim->relay_count > 0; i++)
		if (swim->relays[i].deadline && swim->relays[i].deadline <= swim_time(swim))
			end(swim, &swim->relays[i], SWIM_NACK);
}

uint64_t swim_relays_deadline(const struct swim *swim)
{
	uint64_t earliest = CLOCK_NEVER;
	unsigned left = swim->relay_count;

	for (const struct swim_relay *relay = swim->relays; left > 0; relay++) {
		if (!relay->deadline)
			continue;
		left--;
		if (relay->deadline < earliest)
			earliest = relay->deadline;
	}
	return earliest;
}
