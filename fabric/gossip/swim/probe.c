/*
 * probe.c - one probe at a time:
 *
 *	IDLE -- PING --> DIRECT -- probe_timeout: PINGs, PING_REQs, a stream --> INDIRECT
 *	  ^                 | ACK                                     ACK |        | the round ends:
 *	  +-----------------+---------------------------------------------+        | accuse
 *	  +------------------------------------------------------------------------+
 *
 * A PING or a stream that the target's host refuses (swim_unreachable(), swim_ping_refused()) ends
 * DIRECT at once and INDIRECT soon: the process is no more, which need not be waited for.
 *
 * From the timeout on the target is also asked directly again, SWIM_REPEATS times until the
 * round ends. That costs nothing while answers come, and makes lost packets a rare reason for a
 * suspicion. Each of these costs a rumor and a refutation to all, so their rate bounds the size of
 * a cluster on a bad network: with one PING more, 1,000 members at 25 % loss filled their packets
 * with them until refutations came too late (427 called dead in 150 s; now none).
 *
 * Awareness of own slowness (Lifeguard): a probe that fails although those who were asked for help
 * did not even answer NACK tells more about this node than about its target. The round is stretched
 * by it; the direct timeout is not, or a slow node would find out ever later that it is slow.
 */
#include "fabric/gossip/swim/inside.h"

#define SWIM_REFUSED_SHARE 4 /* of the direct timeout, for helpers' answers after a refusal */

void swim_awareness_add(struct swim *swim, int delta)
{
	int64_t awareness = (int64_t)swim->awareness + delta;

	if (awareness < 0)
		awareness = 0;
	if (awareness > swim->config.awareness_max)
		awareness = swim->config.awareness_max;
	swim->awareness = (unsigned)awareness;
}

static void begin(struct swim *swim, uint32_t target, bool urgent)
{
	struct swim_probe *probe = &swim->probe;
	uint64_t time = swim_time(swim);

	probe->stage = SWIM_DIRECT;
	probe->target = target;
	probe->sequence = ++swim->sequence;
	probe->urgent = urgent;
	probe->asked = 0;
	probe->nacks = 0;
	probe->refused = false;
	probe->sent = swim->now;
	probe->ends = time + swim->config.probe_timeout;
	probe->round_ends = time + swim->config.probe_interval * (swim->awareness + 1);
	swim->stats.probes++;
	swim_post(swim, target, target, SWIM_PING, probe->sequence, target);
}

static void begin_next(struct swim *swim)
{
	struct swim_probe *probe = &swim->probe;
	uint64_t time = swim_time(swim);
	uint32_t target = swim_evidence_target(swim);

	if (target != SWIM_NOBODY) {
		begin(swim, target, true);
	} else if (time >= probe->next) {
		probe->next = time + swim->config.probe_interval * (swim->awareness + 1);
		target = swim_view_next_target(swim);
		if (target != SWIM_NOBODY)
			begin(swim, target, false);
	}
}

static void ask_others(struct swim *swim)
{
	struct swim_probe *probe = &swim->probe;
	uint32_t helpers[SWIM_INDIRECT_MAX];
	unsigned count = swim_view_sample(swim, swim_fits_alive, probe->target,
					  (unsigned)swim->config.indirect_probes, helpers);

	probe->stage = SWIM_INDIRECT;
	probe->asked = count;
	probe->repeat = (probe->round_ends - swim_time(swim)) / SWIM_REPEATS;
	probe->ends = swim_time(swim);
	swim->stats.probes_indirect += count;
	for (unsigned i = 0; i < count; i++)
		swim_post(swim, helpers[i], helpers[i], SWIM_PING_REQ, probe->sequence,
			  probe->target);
	if (!swim->config.reliable_probe)
		return;
	swim->stats.probes_reliable++;
	swim->setup.ops->ping_reliably(swim->setup.context, probe->target, probe->sequence);
}

static void ask_again(struct swim *swim)
{
	struct swim_probe *probe = &swim->probe;

	probe->ends = swim_time(swim) + probe->repeat;
	if (probe->ends > probe->round_ends)
		probe->ends = probe->round_ends;
	swim_post(swim, probe->target, probe->target, SWIM_PING, probe->sequence, probe->target);
}

static void fail(struct swim *swim)
{
	struct swim_probe *probe = &swim->probe;
	const struct swim_entry *entry = swim_entry(swim, probe->target);

	probe->stage = SWIM_IDLE;
	/* meanwhile it left, or was forgotten */
	if (!entry || (entry->state != SWIM_ALIVE && entry->state != SWIM_SUSPECT))
		return;
	swim->stats.probes_failed++;
	/* A refusal is an answer, and the NACKs were not waited for: nothing is wrong here. */
	if (!probe->refused)
		swim_awareness_add(swim, probe->asked ? (int)(probe->asked - probe->nacks) : 1);
	swim_accuse(swim, probe->target, probe->urgent ? SWIM_WHY_EVIDENCE : SWIM_WHY_PROBE);
}

void swim_probe_tick(struct swim *swim)
{
	struct swim_probe *probe = &swim->probe;

	if (probe->stage == SWIM_DIRECT && swim_time(swim) >= probe->ends)
		ask_others(swim);
	if (probe->stage == SWIM_INDIRECT && swim_time(swim) >= probe->round_ends)
		fail(swim);
	else if (probe->stage == SWIM_INDIRECT && swim_time(swim) >= probe->ends)
		ask_again(swim);
	if (probe->stage == SWIM_IDLE)
		begin_next(swim);
}

uint64_t swim_probe_deadline(const struct swim *swim)
{
	if (swim->probe.stage != SWIM_IDLE)
		return swim->probe.ends;
	return swim->waiting > 0 ? 0 : swim->probe.next;
}

static void measure(struct swim *swim, struct swim_entry *entry)
{
	uint64_t took = (swim->now - swim->probe.sent) / SWIM_ROUND_NS + 1;

	if (entry->round_trip)
		took = (7 * (uint64_t)entry->round_trip + took + 4) / 8;
	entry->round_trip = took < UINT16_MAX ? (uint16_t)took : UINT16_MAX;
}

bool swim_probe_answered(struct swim *swim, uint32_t from, uint32_t sequence)
{
	struct swim_probe *probe = &swim->probe;
	struct swim_entry *entry = swim_entry(swim, probe->target);

	if (probe->stage == SWIM_IDLE || sequence != probe->sequence)
		return false;
	if (entry && from == probe->target)
		measure(swim, entry);
	probe->stage = SWIM_IDLE;
	swim_awareness_add(swim, -1);
	return true;
}

void swim_probe_nack(struct swim *swim, uint32_t sequence)
{
	struct swim_probe *probe = &swim->probe;

	if (probe->stage == SWIM_INDIRECT && sequence == probe->sequence &&
	    probe->nacks < probe->asked)
		probe->nacks++;
}

/*
 * The process has ended and its host says so (a RST). The helpers still get time for a round trip:
 * between this node and the target there may be a firewall that refuses.
 */
void swim_probe_refused(struct swim *swim, uint32_t sequence)
{
	struct swim_probe *probe = &swim->probe;
	uint64_t ends = swim_time(swim) + swim->config.probe_timeout / SWIM_REFUSED_SHARE;

	if (probe->stage != SWIM_INDIRECT || sequence != probe->sequence)
		return;
	probe->refused = true;
	if (ends < probe->round_ends)
		probe->round_ends = ends;
	if (probe->ends > probe->round_ends)
		probe->ends = probe->round_ends;
}

/* Anybody can send an ICMP message: it makes others be asked at once, and accuses nobody. */
void swim_probe_unreachable(struct swim *swim, uint32_t member)
{
	struct swim_probe *probe = &swim->probe;

	if (probe->stage == SWIM_DIRECT && member == probe->target)
		probe->ends = swim_time(swim);
}
