/*
 * rig.c - see rig.h.
 */
#include "tests/unit/fabric/gossip/swim/rig.h"

#include <stdlib.h>
#include <string.h>

static void op_send(void *context, uint32_t to, const struct swim_message *message)
{
	struct rig *rig = context;

	CHECK(rig->sent_count < RIG_SENT);
	rig->sent[rig->sent_count].to = to;
	rig->sent[rig->sent_count++].message = *message;
}

static void op_push_pull(void *context, uint32_t to)
{
	struct rig *rig = context;

	CHECK(rig->push_pull_count < RIG_SAID);
	rig->push_pulls[rig->push_pull_count++] = to;
}

static void op_ping_reliably(void *context, uint32_t to, uint32_t sequence)
{
	struct rig *rig = context;

	CHECK(rig->reliable_count < RIG_SAID);
	rig->reliable[rig->reliable_count++] = to;
	rig->reliable_sequence = sequence;
}

static size_t op_rumor_len(void *context, const struct swim_rumor *rumor)
{
	(void)rumor;
	return ((const struct rig *)context)->rumor_len;
}

static uint64_t op_member_hash(void *context, uint32_t member)
{
	(void)context;
	return member * UINT64_C(0x9e3779b97f4a7c15);
}

static void op_adopt(void *context, const struct swim_rumor *rumor)
{
	struct rig *rig = context;

	CHECK(rig->adopted_count < RIG_SAID);
	rig->adopted[rig->adopted_count++] = *rumor;
}

static void op_changed(void *context, const struct swim_change *change)
{
	struct rig *rig = context;

	CHECK(rig->change_count < RIG_SAID);
	rig->changes[rig->change_count++] = *change;
}

static void op_forgotten(void *context, uint32_t member)
{
	struct rig *rig = context;

	CHECK(rig->forgotten_count < RIG_SAID);
	rig->forgotten[rig->forgotten_count++] = member;
}

static void op_incarnation(void *context, uint32_t incarnation, bool refuted)
{
	struct rig *rig = context;

	rig->incarnation = incarnation;
	rig->refuted = refuted;
}

static void op_spread(void *context)
{
	((struct rig *)context)->spread_count++;
}

static const struct swim_ops ops = {
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

void rig_init(struct rig *rig)
{
	*rig = (struct rig){ .now = RIG_START, .rumor_len = 40 };
	assert_int_equal(option_defaults(&swim_options, &rig->config), 0);
	random_init(&rig->random, 1);
	rig->sent = calloc(RIG_SENT, sizeof(*rig->sent));
	assert_non_null(rig->sent);
	rig->config.members_max = RIG_MEMBERS;
	rig->setup = (struct swim_setup){
		.ops = &ops, .context = rig, .random = &rig->random, .phase = SWIM_SERVING
	};
	for (unsigned kind = 0; kind < SWIM_MESSAGE_KINDS; kind++)
		rig->setup.room[kind] = 1000;
}

void rig_start(struct rig *rig, uint32_t members)
{
	assert_int_equal(swim_create(&rig->config, &rig->setup, rig->now, &rig->swim), 0);
	for (uint32_t i = 1; i < members; i++) {
		struct swim_rumor rumor = rig_rumor(SWIM_RUMOR_ALIVE, i, 1, SWIM_NOBODY);

		swim_merge(rig->swim, SWIM_NOBODY, &rumor, rig->now);
	}
	swim_queue_clear(rig->swim);
	rig->change_count = 0;
	rig->adopted_count = 0;
}

void rig_begin(struct rig *rig, uint32_t members)
{
	rig_init(rig);
	rig_start(rig, members);
}

void rig_stop(struct rig *rig)
{
	swim_destroy(rig->swim);
	free(rig->sent);
}

static void reply(struct rig *rig, uint32_t from, enum swim_message_kind kind, uint32_t sequence)
{
	rig->now += MS / 2;
	rig_receive(rig, from, kind, sequence, SWIM_NOBODY);
}

static void answer(struct rig *rig, const struct rig_sent *sent)
{
	const struct swim_message *message = &sent->message;

	if (message->kind == SWIM_PING && !rig->silent[sent->to])
		reply(rig, sent->to, SWIM_ACK, message->sequence);
	if (message->kind == SWIM_PING_REQ && rig->silent[message->target] && !rig->refuse_nacks)
		reply(rig, sent->to, SWIM_NACK, message->sequence);
}

void rig_run(struct rig *rig, uint64_t duration)
{
	uint64_t end = rig->now + duration;

	for (;;) {
		uint64_t deadline;

		while (rig->answered < rig->sent_count)
			answer(rig, &rig->sent[rig->answered++]);
		deadline = swim_deadline(rig->swim);
		if (deadline > end)
			break;
		if (deadline > rig->now)
			rig->now = deadline;
		swim_tick(rig->swim, rig->now);
	}
	if (rig->now < end)
		rig->now = end;
}

void rig_forget_sent(struct rig *rig)
{
	rig->sent_count = 0;
	rig->answered = 0;
}

struct swim_rumor rig_rumor(enum swim_kind kind, uint32_t member, uint32_t incarnation,
			    uint32_t from)
{
	return (struct swim_rumor){
		.kind = (uint8_t)kind,
		.phase = SWIM_SERVING,
		.detailed = kind == SWIM_RUMOR_ALIVE,
		.member = member,
		.incarnation = incarnation,
		.from = from,
	};
}

void rig_tell(struct rig *rig, uint32_t from, const struct swim_rumor *rumor)
{
	struct swim_message message = { .kind = SWIM_GOSSIP, .rumor_count = 1 };

	message.rumors[0] = *rumor;
	swim_receive(rig->swim, from, &message, rig->now);
}

void rig_say(struct rig *rig, enum swim_kind kind, uint32_t member, uint32_t incarnation,
	     uint32_t from)
{
	struct swim_rumor rumor = rig_rumor(kind, member, incarnation, from);

	rig_tell(rig, from == SWIM_NOBODY ? 1 : from, &rumor);
}

void rig_receive(struct rig *rig, uint32_t from, enum swim_message_kind kind, uint32_t sequence,
		 uint32_t target)
{
	struct swim_message message = { .kind = kind, .sequence = sequence, .target = target };

	swim_receive(rig->swim, from, &message, rig->now);
}

const struct swim_message *rig_find(const struct rig *rig, enum swim_message_kind kind, uint32_t to)
{
	for (unsigned i = 0; i < rig->sent_count; i++)
		if (rig->sent[i].message.kind == kind &&
		    (to == SWIM_NOBODY || rig->sent[i].to == to))
			return &rig->sent[i].message;
	return NULL;
}

unsigned rig_count(const struct rig *rig, enum swim_message_kind kind)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rig->sent_count; i++)
		count += rig->sent[i].message.kind == kind;
	return count;
}

unsigned rig_heard(const struct rig *rig, enum swim_kind kind, uint32_t member)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rig->sent_count; i++) {
		const struct swim_message *message = &rig->sent[i].message;

		for (uint32_t j = 0; j < message->rumor_count; j++)
			count += message->rumors[j].kind == kind &&
				 message->rumors[j].member == member;
	}
	return count;
}

uint32_t rig_ping_to(struct rig *rig, uint32_t member)
{
	const struct swim_message *ping;

	rig_forget_sent(rig);
	for (unsigned i = 0; i < 10000; i++) {
		ping = rig_find(rig, SWIM_PING, member);
		if (ping)
			return ping->sequence;
		rig_run(rig, 10 * MS);
	}
	fail_msg("member %u is not probed", member);
	return 0;
}
