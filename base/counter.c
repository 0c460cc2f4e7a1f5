/*
 * counter.c - a room's counters: one array of atomics beside its table.
 */
#include "base/counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int counters_init(struct counters *counters, const char *room, const struct counter_spec *specs,
		  unsigned count)
{
	_Atomic uint64_t *values = calloc(count, sizeof(*values));

	if (!values)
		return -ENOMEM;
	counters->room = room;
	counters->specs = specs;
	counters->count = count;
	counters->values = values;
	return 0;
}

void counters_fini(struct counters *counters)
{
	void *values;

	/* a cast would drop the _Atomic, which compilers do not take lightly */
	memcpy(&values, &counters->values, sizeof(values));
	free(values);
	counters->values = NULL;
	counters->count = 0;
}
