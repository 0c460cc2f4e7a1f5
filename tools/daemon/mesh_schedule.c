/*
 * mesh_schedule.c - the circle.
 */
#include "tools/daemon/mesh_schedule.h"

#include "base/check.h"

/* Of the circle, without the one that stays: there is always an odd number of them. */
static unsigned places(unsigned members)
{
	return members % 2 ? members : members - 1;
}

unsigned mesh_round_count(unsigned members)
{
	CHECK(members >= 2 && members <= MESH_MEMBERS_MAX);
	return 2 * places(members);
}

unsigned mesh_round(unsigned members, unsigned round, struct mesh_pair out[MESH_PAIRS_MAX])
{
	unsigned circle = places(members), turn = round / 2, count = 0;

	CHECK(round < mesh_round_count(members));
	for (unsigned i = 0; i <= circle / 2; i++) {
		/* the topmost would face itself */
		unsigned first = (turn + i) % circle;
		unsigned second = i ? (turn + circle - i) % circle : circle;

		if (second >= members)
			continue;
		out[count++] = round % 2 ? (struct mesh_pair){ second, first }
					 : (struct mesh_pair){ first, second };
	}
	return count;
}
