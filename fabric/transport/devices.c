/*
 * devices.c - what this machine has that could carry data.
 */
#include <stdio.h>
#include <string.h>

#include "fabric/transport/backend.h"

/* An entry that says why a kind has none. Returns how many were written. */
static unsigned say_none(struct transport_device *out, unsigned count_max, enum transport_kind kind,
			 const char *problem)
{
	if (!count_max)
		return 0;
	*out = (struct transport_device){ .kind = kind };
	snprintf(out->name, sizeof(out->name), "none");
	snprintf(out->problem, sizeof(out->problem), "%s", problem);
	return 1;
}

int transport_devices(struct transport_device *out, unsigned count_max)
{
	int verbs = transport_verbs_devices(out, count_max), ucx;
	unsigned count;

	if (verbs < 0)
		return verbs;
	count = (unsigned)verbs;
	if (!count)
		count = say_none(out, count_max, TRANSPORT_VERBS,
				 "no RDMA device: install the NIC's kernel driver (rdma link shows "
				 "what is there), or use ucx");
	ucx = transport_ucx_devices(out + count, count_max - count);
	if (ucx < 0)
		return ucx;
	if (!ucx)
		count += say_none(out + count, count_max - count, TRANSPORT_UCX,
				  "UCX finds no network device: check that an interface is up");
	return (int)count + ucx;
}
