/*
 * port.h - what is known of a port of an RDMA device: whether we can use it, at which address, or
 * why not and what to do. For opening it, and for the list of devices.
 */
#pragma once

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct verbs_port {
	char device[IBV_SYSFS_NAME_MAX]; /* "mlx5_0" */
	uint8_t number;
	char name[IBV_SYSFS_NAME_MAX + 4]; /* "mlx5_0", "mlx5_0:2" of a device with several */
	bool infiniband;
	int gid_index;		/* RoCE; -1 with InfiniBand */
	struct address address; /* where rdma_cm finds it; port 0 */
	enum ibv_mtu mtu;
	int numa_node; /* -1: not known */
	struct ibv_device_attr limits;
	bool usable;
	char text[256];	   /* "RoCE v2, 100 Gb/s, MTU 4096, GID 3 10.0.0.7, NUMA node 0" */
	char problem[256]; /* why it is not usable, and what to do */
};

/**
 * verbs_port_probe() - asks the device.
 * @gid_index: the GID to use, -1: the RoCE v2 one of @wanted's host when there is one, else of
 *             another IP address, IPv4 first.
 * @wanted: may be NULL or an any-address.
 */
void verbs_port_probe(struct ibv_context *context, uint8_t number, int gid_index,
		      const struct address *wanted, struct verbs_port *out);

/** verbs_port_count() - how many ports the device has, 0: it does not say. */
unsigned verbs_port_count(struct ibv_context *context);

/** verbs_memlock_text() - "" when locking memory is not limited, or what the limit is and what to
 *  do. Returns @out. */
const char *verbs_memlock_text(char *out, size_t size);
