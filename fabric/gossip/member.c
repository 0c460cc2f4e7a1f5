/*
 * member.c - a member as those outside see it, and telling them of changes.
 */
#include "fabric/gossip/inside.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"

const char *const membership_state_names[] = {
	[MEMBERSHIP_JOINING] = "joining",
	[MEMBERSHIP_ALIVE] = "alive",
	[MEMBERSHIP_RESTARTING] = "restarting",
	[MEMBERSHIP_LEAVING] = "leaving",
	[MEMBERSHIP_SUSPECT] = "suspect",
	[MEMBERSHIP_DEAD] = "dead",
	[MEMBERSHIP_LEFT] = "left",
	[MEMBERSHIP_STATE_COUNT] = NULL,
};

static enum membership_state state_of(const struct swim_info *info)
{
	static const enum membership_state phases[] = {
		[SWIM_JOINING] = MEMBERSHIP_JOINING,
		[SWIM_SERVING] = MEMBERSHIP_ALIVE,
		[SWIM_RESTARTING] = MEMBERSHIP_RESTARTING,
		[SWIM_LEAVING] = MEMBERSHIP_LEAVING,
	};

	switch (info->state) {
	case SWIM_SUSPECT:
		return MEMBERSHIP_SUSPECT;
	case SWIM_LEFT:
		return MEMBERSHIP_LEFT;
	case SWIM_ALIVE:
		return phases[info->phase];
	case SWIM_DEAD:
	case SWIM_NONE:
		break;
	}
	return MEMBERSHIP_DEAD;
}

const char *member_name(const struct membership *membership, uint32_t index,
			char out[MEMBER_ID_TEXT + MEMBERSHIP_NAME_MAX])
{
	const struct roster_entry *entry = roster_entry(&membership->roster, index);

	if (!entry)
		snprintf(out, MEMBER_ID_TEXT, "?");
	else if (entry->has_details && entry->details.said.name[0])
		snprintf(out, MEMBERSHIP_NAME_MAX, "%s", entry->details.said.name);
	else
		digest_hex(entry->id.bytes, MEMBER_ID_LEN, out);
	return out;
}

/* "no answer to a probe; by gpu-3, gpu-7" */
static void why_describe(const struct membership *membership, const struct swim_info *info,
			 char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "%s", swim_why_text(info->suspected));
	char name[MEMBER_ID_TEXT + MEMBERSHIP_NAME_MAX];

	if (info->evidence_count > 0 && len < size)
		len += (size_t)snprintf(out + len, size - len, "; failed reads: %u",
					info->evidence_count);
	for (unsigned i = 0; i < info->accuser_count && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s",
					i == 0 ? "; suspected by " : ", ",
					member_name(membership, info->accusers[i], name));
}

void member_describe(const struct membership *membership, uint32_t index,
		     struct membership_member *out)
{
	const struct roster_entry *entry = roster_entry(&membership->roster, index);
	struct swim_info info;

	CHECK(entry);
	swim_info(membership->swim, index, &info);
	*out = (struct membership_member){
		.id = entry->id,
		.boot = entry->details.boot,
		.incarnation = info.incarnation,
		.state = state_of(&info),
		.is_self = index == ROSTER_SELF,
		.gossip = entry->details.gossip,
		.details = entry->details.said,
		.since_ns = info.since_ns,
		.round_trip_ns = info.round_trip_ns,
	};
	/* What a live member does may have changed since it came to life. */
	if (info.state == SWIM_ALIVE && entry->phase_ns > out->since_ns)
		out->since_ns = entry->phase_ns;
	if (out->is_self && membership->standing == MEMBERSHIP_GONE)
		out->state = MEMBERSHIP_LEFT;
	if (out->state == MEMBERSHIP_RESTARTING)
		out->until_ns = info.restarting_ns;
	if (out->state == MEMBERSHIP_SUSPECT) {
		out->until_ns = info.deadline_ns;
		why_describe(membership, &info, out->why, sizeof(out->why));
	}
}

static void subscribers_call(const struct membership *membership, uint32_t index, bool gone)
{
	struct membership_member member;

	if (membership->subscriber_count == 0)
		return;
	member_describe(membership, index, &member);
	for (unsigned i = 0; i < membership->subscriber_count; i++)
		membership->subscribers[i].changed(membership->subscribers[i].context, &member,
						   gone);
}

void member_tell(struct membership *membership)
{
	const struct roster_entry *entry;

	while ((entry = roster_touched(&membership->roster)))
		subscribers_call(membership, entry->index, false);
}

void member_tell_gone(struct membership *membership, uint32_t index)
{
	subscribers_call(membership, index, true);
}
