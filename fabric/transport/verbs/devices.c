/*
 * devices.c - verbs' part of transport_devices(): every port of every RDMA device, with what stands
 * in the way of using it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "fabric/transport/backend.h"
#include "fabric/transport/verbs/port.h"

static void report(struct transport_device *out, const char *name, const char *text,
		   const char *problem)
{
	*out = (struct transport_device){ .kind = TRANSPORT_VERBS };
	snprintf(out->name, sizeof(out->name), "%s", name);
	snprintf(out->text, sizeof(out->text), "%s", text);
	snprintf(out->problem, sizeof(out->problem), "%s", problem);
}

static unsigned report_ports(struct ibv_context *context, const char *device,
			     struct transport_device *out, unsigned count_max)
{
	unsigned ports = verbs_port_count(context), count = 0;

	if (!ports) {
		report(out, device, "", "the device does not answer: see dmesg");
		return 1;
	}
	for (unsigned i = 1; i <= ports && count < count_max; i++) {
		struct verbs_port port;

		verbs_port_probe(context, (uint8_t)i, -1, NULL, &port);
		report(&out[count], port.name, port.text, port.problem);
		out[count].usable = port.usable;
		if (port.usable)
			verbs_memlock_text(out[count].problem, sizeof(out[count].problem));
		count++;
	}
	return count;
}

static unsigned report_device(struct ibv_device *device, struct transport_device *out,
			      unsigned count_max)
{
	struct ibv_context *context = ibv_open_device(device);
	char problem[256];

	if (!context) {
		snprintf(problem, sizeof(problem),
			 "cannot be opened: %s; /dev/infiniband/uverbs* must be there and be "
			 "writable for this user",
			 error_text(errno ? -errno : -EIO));
		report(out, ibv_get_device_name(device), "", problem);
		return 1;
	}
	unsigned count = report_ports(context, ibv_get_device_name(device), out, count_max);
	ibv_close_device(context);
	return count;
}

int transport_verbs_devices(struct transport_device *out, unsigned count_max)
{
	int device_count = 0;
	struct ibv_device **devices = ibv_get_device_list(&device_count);
	unsigned count = 0;

	if (!count_max)
		goto out;
	if (!devices || !device_count) {
		report(&out[count++], "", "",
		       "no RDMA device: this machine has no InfiniBand or RoCE adapter, or its "
		       "driver (and ib_uverbs, rdma_ucm) is not loaded; in a container pass "
		       "/dev/infiniband through. For a try without one: rdma link add rxe0 type "
		       "rxe netdev ETH");
		goto out;
	}
	for (int i = 0; i < device_count && count < count_max; i++)
		count += report_device(devices[i], &out[count], count_max - count);
	/* all connections are made through it */
	if (access("/dev/infiniband/rdma_cm", R_OK | W_OK)) {
		const char *problem = errno == ENOENT
					      ? "/dev/infiniband/rdma_cm is missing: modprobe "
						"rdma_ucm; in a container pass it through"
					      : "/dev/infiniband/rdma_cm must be writable for this "
						"user";

		for (unsigned i = 0; i < count; i++) {
			out[i].usable = false;
			snprintf(out[i].problem, sizeof(out[i].problem), "%s", problem);
		}
	}
out:
	if (devices)
		ibv_free_device_list(devices);
	return (int)count;
}
