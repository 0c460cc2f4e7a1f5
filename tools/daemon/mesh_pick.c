/*
 * mesh_pick.c - members by state, site, settings and name.
 */
#include "tools/daemon/mesh_pick.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "cache/peer/peers.h"

void mesh_pick_begin(struct mesh_pick *pick, const struct control_mesh *asked)
{
	*pick = (struct mesh_pick){ .asked = asked };
}

/* Those whose memory members of our site know how to read. "": it can take part. */
static void why_not(const struct membership_member *self, const struct membership_member *member,
		    char *out, size_t size)
{
	struct address address;

	if (member->state != MEMBERSHIP_ALIVE)
		snprintf(out, size, "is %s", membership_state_names[member->state]);
	else if (strcmp(member->details.site, self->details.site) != 0)
		snprintf(out, size, "is of another site");
	else if (member->details.config != self->details.config)
		snprintf(out, size, "has other settings than this node, and shares no memory");
	else if (!peers_member_address(member, &address))
		snprintf(out, size, "has no fabric address");
	else
		out[0] = '\0';
}

static bool is_called(const struct membership_member *member, const char *name)
{
	char id[MEMBER_ID_TEXT];

	digest_hex(member->id.bytes, MEMBER_ID_LEN, id);
	return strcmp(member->details.name, name) == 0 || strcmp(id, name) == 0;
}

/* Return: whether it was asked for by a name. */
static bool take_names(struct mesh_pick *pick, const struct membership_member *member,
		       const char *problem)
{
	bool any = false;

	for (unsigned i = 0; i < pick->asked->member_count; i++) {
		if (!is_called(member, pick->asked->members[i]))
			continue;
		any = true;
		if (*problem) {
			snprintf(pick->named[i].why_not, sizeof(pick->named[i].why_not), "%s",
				 problem);
			continue;
		}
		pick->named[i].twice = pick->named[i].found;
		pick->named[i].found = true;
		pick->named[i].id = member->id;
	}
	return any;
}

void mesh_pick_take(struct mesh_pick *pick, const struct membership_member *self,
		    const struct membership_member *member)
{
	char problem[sizeof(pick->named[0].why_not)];
	bool wanted = pick->asked->member_count == 0;
	struct mesh_member *place;

	why_not(self, member, problem, sizeof(problem));
	wanted |= take_names(pick, member, problem);
	if (!wanted || *problem)
		return;
	if (pick->count == MESH_MEMBERS_MAX) {
		pick->beyond++;
		return;
	}
	place = &pick->members[pick->count++];
	place->id = member->id;
	snprintf(place->name, sizeof(place->name), "%s", member->details.name);
}

/* n2 before n10. */
static int by_name(const void *a, const void *b)
{
	const struct mesh_member *first = a, *second = b;
	int order = strverscmp(first->name, second->name);

	return order ? order : memcmp(&first->id, &second->id, sizeof(first->id));
}

static int names_check(const struct mesh_pick *pick, char *problem, size_t problem_size)
{
	for (unsigned i = 0; i < pick->asked->member_count; i++) {
		const char *name = pick->asked->members[i];

		if (pick->named[i].twice) {
			snprintf(problem, problem_size,
				 "several members are called '%s': give the id, which `cenote "
				 "members --json` shows",
				 name);
			return -EINVAL;
		}
		if (pick->named[i].found)
			continue;
		if (pick->named[i].why_not[0])
			snprintf(problem, problem_size, "'%s' %s: it cannot be measured", name,
				 pick->named[i].why_not);
		else
			snprintf(problem, problem_size,
				 "no member is called '%s': `cenote members` lists them", name);
		return -ENOENT;
	}
	return 0;
}

int mesh_pick_end(struct mesh_pick *pick, char *problem, size_t problem_size)
{
	int error = names_check(pick, problem, problem_size);

	if (error)
		return error;
	if (pick->beyond) {
		snprintf(problem, problem_size,
			 "%u members can be measured, and at most %d at a time: name some, as "
			 "in `cenote-bw --mesh NAME NAME NAME`",
			 pick->count + pick->beyond, MESH_MEMBERS_MAX);
		return -EINVAL;
	}
	if (pick->count < 2) {
		snprintf(problem, problem_size,
			 "a mesh takes two members that are alive and of this node's site and "
			 "settings; there %s: see `cenote members`",
			 pick->count ? "is one" : "are none");
		return -ENOTCONN;
	}
	qsort(pick->members, pick->count, sizeof(pick->members[0]), by_name);
	return 0;
}
