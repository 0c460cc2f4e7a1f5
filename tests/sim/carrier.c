/*
 * carrier.c - the machine's ops, and what arrives: the network between the members.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define RETRY_SYN_NS  NS_PER_S
#define RETRY_DATA_NS (200 * NS_PER_MS)
#define STREAM_TRIPS  2 /* opening, then question and answer */

static bool happens(struct sim *sim, double probability)
{
	return probability > 0 && (double)(random_u64(&sim->random) >> 11) * 0x1p-53 < probability;
}

static uint64_t delay(struct sim *sim)
{
	const struct sim_link *link = &sim->config.link;
	uint64_t ns =
		link->delay_min + random_below(&sim->random, link->delay_max - link->delay_min + 1);

	if (happens(sim, link->reorder))
		ns += random_below(&sim->random, link->reorder_by + 1);
	return ns;
}

void sim_wake_again(struct sim *sim, struct sim_member *member)
{
	uint64_t deadline = swim_deadline(member->swim);

	if (deadline < sim->now)
		deadline = sim->now;
	if (deadline >= member->wake)
		return;
	member->wake = deadline;
	sim_events_push(&sim->events, &(struct sim_event){ .time = deadline,
							   .kind = SIM_WAKE,
							   .to = member->index,
							   .life = member->life });
}

static void packet_send(struct sim *sim, const struct sim_packet *packet)
{
	size_t size = sizeof(*packet) + packet->rumor_count * sizeof(packet->rumors[0]);
	struct sim_packet *copy = malloc(size);

	CHECK(copy);
	memcpy(copy, packet, size);
	sim_events_push(&sim->events, &(struct sim_event){ .time = sim->now + delay(sim) +
								   sim->members[packet->to].slow_by,
							   .kind = SIM_PACKET,
							   .from = packet->from,
							   .to = packet->to,
							   .packet = copy });
}

static void op_send(void *context, uint32_t to, const struct swim_message *message)
{
	static union {
		struct sim_packet packet;
		char bytes[sizeof(struct sim_packet) + SWIM_RUMORS_MAX * sizeof(struct swim_rumor)];
	} scratch;
	struct sim_packet *packet = &scratch.packet;
	struct sim_member *member = context;
	struct sim *sim = member->sim;

	if (to == SWIM_SENDER)
		to = member->answering;
	sim_check_message(sim, member, to, message);
	packet->from = member->index;
	packet->to = to;
	packet->kind = message->kind;
	packet->sequence = message->sequence;
	packet->target = message->target;
	packet->rumor_count = message->rumor_count;
	memcpy(packet->rumors, message->rumors, message->rumor_count * sizeof(packet->rumors[0]));
	member->bytes += sim_datagram_len(packet);
	member->packets++;
	if (!sim_reaches(sim, member->index, to) || happens(sim, sim->config.link.loss)) {
		sim->lost++;
		return;
	}
	packet_send(sim, packet);
	if (happens(sim, sim->config.link.duplicate))
		packet_send(sim, packet);
}

/* When a stream's question and answer are through; what is lost is sent again, after a while. */
static uint64_t stream_delay(struct sim *sim)
{
	uint64_t ns = 0;

	for (unsigned trip = 0; trip < STREAM_TRIPS; trip++) {
		uint64_t retry = trip == 0 ? RETRY_SYN_NS : RETRY_DATA_NS;

		for (unsigned way = 0; way < 2; way++) {
			ns += delay(sim);
			for (; happens(sim, sim->config.link.loss) && retry < 60 * NS_PER_S;
			     retry *= 2)
				ns += retry;
		}
	}
	return ns;
}

static bool is_connected(const struct sim *sim, uint32_t a, uint32_t b)
{
	return sim_reaches(sim, a, b) && sim_reaches(sim, b, a);
}

static void stream_open(struct sim_member *member, uint32_t to, uint32_t sequence,
			enum sim_event_kind kind)
{
	struct sim *sim = member->sim;

	if (!is_connected(sim, member->index, to))
		return;
	sim_events_push(&sim->events, &(struct sim_event){ .time = sim->now + stream_delay(sim) +
								   sim->members[to].slow_by,
							   .kind = kind,
							   .from = member->index,
							   .to = to,
							   .sequence = sequence,
							   .life = member->life });
}

static void op_push_pull(void *context, uint32_t to)
{
	stream_open(context, to, 0, SIM_PUSH_PULL);
}

static void op_ping_reliably(void *context, uint32_t to, uint32_t sequence)
{
	stream_open(context, to, sequence, SIM_PING);
}

static size_t op_rumor_len(void *context, const struct swim_rumor *rumor)
{
	(void)context;
	return sim_rumor_len(rumor);
}

static uint64_t op_member_hash(void *context, uint32_t member)
{
	(void)context;
	return (member + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
}

static void op_adopt(void *context, const struct swim_rumor *rumor)
{
	struct sim_member *member = context;

	if (rumor->incarnation > member->sim->members[rumor->member].highest)
		sim_fail(member->sim, "member %u adopts incarnation %u of %u, which announced %u",
			 member->index, rumor->incarnation, rumor->member,
			 member->sim->members[rumor->member].highest);
	sim_watch_adopted(member->sim, rumor->member, rumor->incarnation);
}

static void op_changed(void *context, const struct swim_change *change)
{
	struct sim_member *member = context;

	sim_check_change(member->sim, member, change);
	sim_watch_changed(member->sim, change);
}

static void op_forgotten(void *context, uint32_t member)
{
	struct sim_member *by = context;
	struct sim *sim = by->sim;

	if (sim->shadow)
		sim->shadow[(size_t)by->index * sim->config.members + member] =
			(struct sim_shadow){ .state = SWIM_NONE };
}

static void op_incarnation(void *context, uint32_t incarnation, bool refuted)
{
	struct sim_member *member = context;

	(void)refuted;
	if (incarnation <= member->kept)
		sim_fail(member->sim, "member %u announces incarnation %u after %u", member->index,
			 incarnation, member->kept);
	member->kept = incarnation;
	if (incarnation > member->highest)
		member->highest = incarnation;
}

static void op_spread(void *context)
{
	((struct sim_member *)context)->spread = true;
}

const struct swim_ops sim_ops = {
	.send = op_send,
	.push_pull = op_push_pull,
	.ping_reliably = op_ping_reliably,
	.rumor_len = op_rumor_len,
	.member_hash = op_member_hash,
	.adopt = op_adopt,
	.changed = op_changed,
	.forgotten = op_forgotten,
	.incarnation = op_incarnation,
	.spread = op_spread,
};

static size_t view_give(struct sim *sim, const struct sim_member *from, struct sim_member *to)
{
	struct swim_rumor rumor;
	uint32_t cursor = 0;
	size_t len = 0;

	while (swim_view_next(from->swim, sim->now, &cursor, &rumor)) {
		len += sim_rumor_len(&rumor);
		swim_merge(to->swim, from->index, &rumor, sim->now);
	}
	return len;
}

void sim_exchange(struct sim *sim, uint32_t from, uint32_t to)
{
	struct sim_member *asker = &sim->members[from], *asked = &sim->members[to];
	size_t asker_len = 9, asked_len = 1; /* the digest, and SAME */

	if (swim_digest(asker->swim) != swim_digest(asked->swim)) {
		asker_len += view_give(sim, asker, asked);
		asked_len += view_give(sim, asked, asker);
		sim_wake_again(sim, asked);
		sim_wake_again(sim, asker);
	}
	asker->bytes += sim_stream_len(asker_len);
	asked->bytes += sim_stream_len(asked_len);
}

void sim_receive(struct sim *sim, struct sim_packet *packet)
{
	static struct swim_message message;
	struct sim_member *member = &sim->members[packet->to];

	message.kind = packet->kind;
	message.sequence = packet->sequence;
	message.target = packet->target;
	message.rumor_count = packet->rumor_count;
	memcpy(message.rumors, packet->rumors, packet->rumor_count * sizeof(packet->rumors[0]));
	member->answering = packet->from;
	swim_receive(member->swim, packet->from, &message, sim->now);
	free(packet);
	sim_wake_again(sim, member);
}

static void packet_arrive(struct sim *sim, struct sim_packet *packet)
{
	struct sim_member *member = &sim->members[packet->to];

	if (!member->swim || (member->stopped && member->inbox_count == SIM_INBOX_MAX)) {
		free(packet);
		return;
	}
	if (!member->stopped) {
		sim_receive(sim, packet);
		return;
	}
	packet->next = NULL;
	*member->inbox_end = packet;
	member->inbox_end = &packet->next;
	member->inbox_count++;
}

static void wake(struct sim *sim, const struct sim_event *event)
{
	struct sim_member *member = &sim->members[event->to];

	if (!member->swim || member->life != event->life || member->wake != event->time)
		return; /* of a former life, or an earlier one came before it */
	member->wake = CLOCK_NEVER;
	if (member->stopped)
		return; /* sim_resume() wakes it */
	swim_tick(member->swim, sim->now);
	sim_wake_again(sim, member);
}

static void stream_arrive(struct sim *sim, const struct sim_event *event)
{
	struct sim_member *asker = &sim->members[event->from], *asked = &sim->members[event->to];

	if (!asker->swim || asker->life != event->life || asker->stopped || !asked->swim ||
	    asked->stopped || !is_connected(sim, event->from, event->to))
		return;
	if (event->kind == SIM_PUSH_PULL) {
		sim_exchange(sim, event->from, event->to);
		return;
	}
	asker->bytes += sim_stream_len(1);
	asked->bytes += sim_stream_len(1);
	swim_ping_answered(asker->swim, event->sequence, sim->now);
	sim_wake_again(sim, asker);
}

void sim_deliver(struct sim *sim, const struct sim_event *event)
{
	sim->handled++;
	switch (event->kind) {
	case SIM_WAKE:
		wake(sim, event);
		break;
	case SIM_PACKET:
		packet_arrive(sim, event->packet);
		break;
	case SIM_PING:
	case SIM_PUSH_PULL:
		stream_arrive(sim, event);
		break;
	}
}
