/*
 * evidence.c - what the data plane said, and whom to probe out of turn.
 *
 * Evidence does not accuse: it asks for a probe, now. A read fails for many reasons, and a node
 * with a bad data port would otherwise have all others suspected round the clock, each refutation
 * costing a rumor to all. A member that answers probes stays what it is, and the reader has its own
 * means against it (the next owner, a breaker).
 */
#include "fabric/gossip/swim/inside.h"

#include <errno.h>

/* SWIM_URGENT_MAX: none. */
static unsigned find(const struct swim *swim, uint32_t member)
{
	unsigned i = 0;

	while (i < SWIM_URGENT_MAX && swim->evidence[i].member != member)
		i++;
	return i;
}

/* What is remembered of @member, else a free one, else the oldest that nobody waits for. */
static struct swim_evidence *take(struct swim *swim, uint32_t member)
{
	struct swim_evidence *oldest = NULL;
	unsigned found = find(swim, member);

	if (found == SWIM_URGENT_MAX)
		found = find(swim, SWIM_NOBODY);
	if (found < SWIM_URGENT_MAX)
		return &swim->evidence[found];
	for (unsigned i = 0; i < SWIM_URGENT_MAX; i++) {
		struct swim_evidence *evidence = &swim->evidence[i];

		if (!evidence->waiting && (!oldest || evidence->said < oldest->said))
			oldest = evidence;
	}
	return oldest;
}

static void probe_soon(struct swim *swim, struct swim_evidence *evidence)
{
	struct swim_probe *probe = &swim->probe;

	if (probe->stage != SWIM_IDLE && probe->target == evidence->member) {
		probe->urgent = true;
	} else if (!evidence->waiting) {
		evidence->waiting = true;
		swim->waiting++;
	}
}

int swim_evidence(struct swim *swim, uint32_t member, uint64_t now_ns)
{
	const struct swim_entry *entry = swim_entry(swim, member);
	struct swim_evidence *evidence;

	swim_enter(swim, now_ns);
	if (!entry || member == swim->setup.self || swim_view_protected(swim, entry) ||
	    (entry->state != SWIM_ALIVE && entry->state != SWIM_SUSPECT))
		return -ENOENT;
	evidence = take(swim, member);
	if (!evidence)
		return -EAGAIN;
	if (evidence->member != member)
		*evidence = (struct swim_evidence){ .member = member };
	else if (swim->now - evidence->said < swim->config.evidence_interval)
		return -EAGAIN;
	evidence->said = swim->now;
	evidence->count++;
	if (entry->state == SWIM_SUSPECT)
		swim_accuse(swim, member, SWIM_WHY_EVIDENCE);
	else
		probe_soon(swim, evidence);
	return 0;
}

uint32_t swim_evidence_target(struct swim *swim)
{
	for (unsigned i = 0; i < SWIM_URGENT_MAX && swim->waiting > 0; i++) {
		struct swim_evidence *evidence = &swim->evidence[i];
		const struct swim_entry *entry = swim_entry(swim, evidence->member);

		if (!evidence->waiting)
			continue;
		evidence->waiting = false;
		swim->waiting--;
		if (entry && (entry->state == SWIM_ALIVE || entry->state == SWIM_SUSPECT) &&
		    !swim_view_protected(swim, entry))
			return evidence->member;
	}
	return SWIM_NOBODY;
}

uint32_t swim_evidence_count(const struct swim *swim, uint32_t member)
{
	unsigned found = find(swim, member);

	return found < SWIM_URGENT_MAX ? swim->evidence[found].count : 0;
}

void swim_evidence_forget(struct swim *swim, uint32_t member)
{
	unsigned found = find(swim, member);

	if (found == SWIM_URGENT_MAX)
		return;
	if (swim->evidence[found].waiting)
		swim->waiting--;
	swim->evidence[found] = (struct swim_evidence){ .member = SWIM_NOBODY };
}
