/*
 * scale.c - how times and counts grow with the number of members: the formulas of SWIM, Lifeguard
 * and memberlist, which all grow with a logarithm.
 */
#include "fabric/gossip/swim/inside.h"

#include <math.h>

unsigned swim_scale_retransmits(unsigned factor, uint32_t members)
{
	unsigned digits = 0;

	for (uint64_t reach = 1; reach < (uint64_t)members + 1; reach *= 10)
		digits++;
	digits *= factor;
	return digits < 1 ? 1 : digits < SWIM_LEVELS ? digits : SWIM_LEVELS - 1;
}

unsigned swim_scale_push_pull(uint32_t members)
{
	unsigned times = 1;

	for (uint64_t reach = 32; reach < members; reach *= 2)
		times++;
	return times;
}

uint64_t swim_scale_suspicion(unsigned factor, uint32_t members, uint64_t interval)
{
	double scale = members > 10 ? log10((double)members) : 1.0;

	return (uint64_t)((double)factor * scale * (double)interval);
}

uint64_t swim_scale_confirmed(uint64_t shortest, uint64_t longest, unsigned count, unsigned wanted)
{
	double share;

	if (count >= wanted)
		return shortest;
	share = log((double)count + 1) / log((double)wanted + 1);
	return longest - (uint64_t)(share * (double)(longest - shortest));
}
