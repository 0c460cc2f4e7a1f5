/*
 * mesh_schedule.h - who reads from whom, when: rounds in which nobody takes part twice, so that
 * measurements at one time do not share a member's link. Pure.
 *
 * The circle method. One member stays, the others move on by one place; each faces the one at its
 * level, the topmost the one that stays (or, of an odd number, nobody):
 *
 *	   5		   5		   5
 *	   0		   1		   2
 *	 4   1		 0   2		 1   3
 *	 3   2		 4   3		 0   4
 *
 * Each of these is two rounds: one in each direction.
 */
#pragma once

#define MESH_MEMBERS_MAX 64
#define MESH_PAIRS_MAX	 (MESH_MEMBERS_MAX / 2) /* of a round */

struct mesh_pair {
	unsigned reader, target; /* different ones, below the number of members */
};

/** mesh_round_count() - of @members, 2 .. MESH_MEMBERS_MAX. */
unsigned mesh_round_count(unsigned members);

/**
 * mesh_round() - the pairs of one round. All rounds together have each ordered pair once.
 * @round: below mesh_round_count().
 * Return: how many.
 */
unsigned mesh_round(unsigned members, unsigned round, struct mesh_pair out[MESH_PAIRS_MAX]);
