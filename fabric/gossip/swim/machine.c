/*
 * machine.c - the machine's life, its clock, and the dispatch of ticks and messages.
 */
#include "fabric/gossip/swim/inside.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t swim_deadline(const struct swim *swim)
{
	uint64_t deadline = swim_probe_deadline(swim);

	deadline = earlier(deadline, swim_relays_deadline(swim));
	deadline = earlier(deadline, swim->suspicions.next);
	deadline = earlier(deadline, swim->push_pull_next);
	deadline = earlier(deadline, swim->reconnect_next);
	deadline = earlier(deadline, swim->sweep_next);
	if (swim->queue.count > 0)
		deadline = earlier(deadline, swim->gossip_next);
	return deadline + swim->late;
}

/*
 * Nothing should be overdue: if it is, this process was not scheduled, or its host was asleep, and
 * what others may have answered meanwhile was not read either. The time of waiting for them stands
 * still for that long. That counts against this node's own health, not against them.
 */
void swim_enter(struct swim *swim, uint64_t now_ns)
{
	uint64_t deadline = swim_deadline(swim), late;

	if (now_ns < swim->now)
		return;
	/* what became due by a call, not by time, is overdue from that call on */
	if (deadline < swim->now)
		deadline = swim->now;
	swim->now = now_ns;
	if (now_ns <= deadline + SWIM_LATE_NS)
		return;
	late = now_ns - deadline;
	swim->late += late;
	swim->stats.late_ns += late;
	if (late >= swim->config.probe_timeout)
		swim_awareness_add(swim, 1);
}

/* Members that start together should not do together what they do now and then. */
static void timers_start(struct swim *swim)
{
	const struct swim_config *config = &swim->config;
	struct random *random = swim->setup.random;

	swim->probe.next = swim->now + random_below(random, config->probe_interval);
	swim->push_pull_next = swim->now + random_below(random, config->push_pull_interval);
	swim->reconnect_next = swim->now + random_below(random, config->reconnect_interval);
	swim->sweep_next = swim->now + random_below(random, SWIM_SWEEP_NS);
	swim->sequence = (uint32_t)random_u64(random);
}

static void self_start(struct swim *swim)
{
	uint32_t incarnation = swim->setup.incarnation;

	if (incarnation < SWIM_INCARNATION_MAX)
		incarnation++;
	swim_view_add(swim, swim->setup.self)->phase = (uint8_t)swim->setup.phase;
	swim_view_set(swim, swim->setup.self, SWIM_ALIVE, incarnation, false);
	swim->setup.ops->incarnation(swim->setup.context, incarnation, false);
}

int swim_create(const struct swim_config *config, const struct swim_setup *setup, uint64_t now_ns,
		struct swim **out_swim)
{
	struct swim *swim = calloc(1, sizeof(*swim));

	if (!swim)
		return -ENOMEM;
	swim->config = *config;
	swim->setup = *setup;
	swim->now = now_ns;
	swim_queue_init(swim);
	swim_suspicions_init(swim);
	for (unsigned i = 0; i < SWIM_URGENT_MAX; i++)
		swim->evidence[i].member = SWIM_NOBODY;
	if (swim_view_init(swim)) {
		swim_destroy(swim);
		return -ENOMEM;
	}
	timers_start(swim);
	self_start(swim);
	*out_swim = swim;
	return 0;
}

void swim_destroy(struct swim *swim)
{
	if (!swim)
		return;
	swim_view_fini(swim);
	swim_queue_fini(swim);
	swim_suspicions_fini(swim);
	free(swim);
}

static void push_pull_tick(struct swim *swim)
{
	uint64_t time = swim_time(swim);
	uint32_t partner;

	if (time < swim->push_pull_next)
		return;
	swim->push_pull_next =
		time + swim->config.push_pull_interval * swim_scale_push_pull(swim_view_live(swim));
	if (swim_view_sample(swim, swim_fits_alive, SWIM_NOBODY, 1, &partner) == 0)
		return;
	swim->stats.push_pulls++;
	swim->setup.ops->push_pull(swim->setup.context, partner);
}

/* All together should try each of the dead about once an interval: chance decides who. */
static void reconnect_tick(struct swim *swim)
{
	uint64_t time = swim_time(swim);
	uint32_t dead = swim->view.counts[SWIM_DEAD], live = swim_view_live(swim), partner;

	if (time < swim->reconnect_next)
		return;
	swim->reconnect_next = time + swim->config.reconnect_interval;
	if (random_below(swim->setup.random, live > 0 ? live : 1) >= dead)
		return;
	partner = swim_view_dead(swim);
	if (partner == SWIM_NOBODY)
		return;
	swim->stats.push_pulls++;
	swim->setup.ops->push_pull(swim->setup.context, partner);
}

static void sweep_tick(struct swim *swim)
{
	if (swim_time(swim) < swim->sweep_next)
		return;
	swim->sweep_next = swim_time(swim) + SWIM_SWEEP_NS;
	swim_view_sweep(swim);
}

void swim_tick(struct swim *swim, uint64_t now_ns)
{
	swim_enter(swim, now_ns);
	swim_probe_tick(swim);
	swim_relays_tick(swim);
	swim_suspicions_tick(swim);
	push_pull_tick(swim);
	reconnect_tick(swim);
	sweep_tick(swim);
	swim_gossip_tick(swim);
	swim->known = swim_view_live(swim);
	swim_spread_check(swim);
}

static void answer(struct swim *swim, uint32_t from, const struct swim_message *message)
{
	switch (message->kind) {
	case SWIM_PING:
		if (message->target == swim->setup.self)
			swim_post(swim, SWIM_SENDER, from, SWIM_ACK, message->sequence,
				  SWIM_NOBODY);
		else
			swim->stats.misdirected++;
		break;
	case SWIM_PING_REQ:
		swim_relay_begin(swim, from, message->sequence, message->target);
		break;
	case SWIM_ACK:
		if (!swim_probe_answered(swim, from, message->sequence))
			swim_relay_ack(swim, message->sequence);
		break;
	case SWIM_NACK:
		swim_probe_nack(swim, message->sequence);
		break;
	case SWIM_GOSSIP:
	case SWIM_MESSAGE_KINDS:
		break;
	}
}

void swim_receive(struct swim *swim, uint32_t from, const struct swim_message *message,
		  uint64_t now_ns)
{
	CHECK(message->rumor_count <= SWIM_RUMORS_MAX);
	swim_enter(swim, now_ns);
	if (from == swim->setup.self) {
		swim->stats.misdirected++;
		return;
	}
	/* rumors first: an accusation is refuted in the answer */
	for (uint32_t i = 0; i < message->rumor_count; i++)
		swim_rumor_apply(swim, &message->rumors[i]);
	/* what the sender thinks of this node comes first: if that is no news, it missed some */
	if (message->rumor_count > 0 && message->rumors[0].member == swim->setup.self &&
	    message->rumors[0].kind != SWIM_RUMOR_ALIVE)
		swim_remind(swim);
	answer(swim, from, message);
	swim_spread_check(swim);
}

void swim_merge(struct swim *swim, uint32_t from, const struct swim_rumor *rumor, uint64_t now_ns)
{
	swim_enter(swim, now_ns);
	swim_rumor_merge(swim, from, rumor);
}

void swim_ping_answered(struct swim *swim, uint32_t sequence, uint64_t now_ns)
{
	swim_enter(swim, now_ns);
	swim_probe_answered(swim, SWIM_NOBODY, sequence);
}

void swim_ping_refused(struct swim *swim, uint32_t sequence, uint64_t now_ns)
{
	swim_enter(swim, now_ns);
	swim_probe_refused(swim, sequence);
}

void swim_unreachable(struct swim *swim, uint32_t member, uint64_t now_ns)
{
	swim_enter(swim, now_ns);
	swim_probe_unreachable(swim, member);
}
