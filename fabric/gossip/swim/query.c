/*
 * query.c - what the machine knows, for those who ask. Nothing here changes it.
 */
#include "fabric/gossip/swim/inside.h"

bool swim_view_next(const struct swim *swim, uint64_t now_ns, uint32_t *cursor,
		    struct swim_rumor *out_rumor)
{
	while (*cursor < swim->view.capacity) {
		uint32_t member = (*cursor)++;

		if (swim_entry(swim, member)) {
			swim_view_rumor(swim, member, now_ns, out_rumor);
			return true;
		}
	}
	return false;
}

uint64_t swim_digest(const struct swim *swim)
{
	return swim->view.digest;
}

static void suspicion_info(const struct swim *swim, const struct swim_suspicion *suspicion,
			   struct swim_info *info)
{
	info->suspected = suspicion->why;
	info->deadline_ns = suspicion->deadline + swim->late;
	info->accuser_count = suspicion->accuser_count;
	for (unsigned i = 0; i < suspicion->accuser_count; i++)
		info->accusers[i] = suspicion->accusers[i];
}

void swim_info(const struct swim *swim, uint32_t member, struct swim_info *out_info)
{
	const struct swim_entry *entry = swim_entry(swim, member);
	const struct swim_suspicion *suspicion = swim_suspicion_of(swim, member);
	struct swim_info info = { .state = SWIM_NONE };

	if (entry) {
		info.state = entry->state;
		info.phase = entry->phase;
		info.incarnation = entry->incarnation;
		info.since_ns = entry->since * SWIM_TICK_NS;
		info.round_trip_ns = entry->round_trip * (uint64_t)SWIM_ROUND_NS;
		info.evidence_count = swim_evidence_count(swim, member);
		if (entry->phase == SWIM_RESTARTING)
			info.restarting_ns = entry->until * SWIM_TICK_NS;
	}
	if (suspicion)
		suspicion_info(swim, suspicion, &info);
	*out_info = info;
}

enum swim_state swim_state(const struct swim *swim, uint32_t member)
{
	const struct swim_entry *entry = swim_entry(swim, member);

	return entry ? (enum swim_state)entry->state : SWIM_NONE;
}

enum swim_phase swim_phase(const struct swim *swim, uint32_t member)
{
	const struct swim_entry *entry = swim_entry(swim, member);

	return entry ? (enum swim_phase)entry->phase : SWIM_JOINING;
}

void swim_stats(const struct swim *swim, struct swim_stats *out_stats)
{
	*out_stats = swim->stats;
	out_stats->alive = swim->view.counts[SWIM_ALIVE];
	out_stats->suspect = swim->view.counts[SWIM_SUSPECT];
	out_stats->dead = swim->view.counts[SWIM_DEAD];
	out_stats->left = swim->view.counts[SWIM_LEFT];
	out_stats->queued = swim->queue.count;
	out_stats->suspicions_open = swim->suspicions.count;
	out_stats->relays = swim->relay_count;
	out_stats->awareness = swim->awareness;
}

const char *swim_state_text(enum swim_state state)
{
	static const char *const texts[] = {
		[SWIM_NONE] = "unknown", [SWIM_ALIVE] = "alive", [SWIM_SUSPECT] = "suspect",
		[SWIM_DEAD] = "dead",	 [SWIM_LEFT] = "left",
	};

	return texts[state];
}

const char *swim_phase_text(enum swim_phase phase)
{
	static const char *const texts[] = {
		[SWIM_JOINING] = "joining",
		[SWIM_SERVING] = "serving",
		[SWIM_RESTARTING] = "restarting",
		[SWIM_LEAVING] = "leaving",
	};

	return texts[phase];
}

const char *swim_why_text(enum swim_why why)
{
	static const char *const texts[] = {
		[SWIM_WHY_NEWS] = "others say so",
		[SWIM_WHY_PROBE] = "did not answer a probe",
		[SWIM_WHY_EVIDENCE] = "failed reads, and did not answer a probe",
		[SWIM_WHY_SILENCE] = "suspected, and did not refute in time",
		[SWIM_WHY_REFUTED] = "spoke for itself",
	};

	return texts[why];
}
