/*
 * port.c - see port.h. Addresses: with RoCE the GIDs are the IP addresses of the network interface;
 * with InfiniBand they are those of the IPoIB interface on that port, which sysfs names.
 */
#include "fabric/transport/verbs/port.h"

#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/error.h"

#define GIDS_MAX 256

/* A whole number of a file in sysfs. */
static long number_read(const char *path, long otherwise)
{
	FILE *file = fopen(path, "re");
	long number = otherwise;

	if (!file)
		return otherwise;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel wrote the number */
	if (fscanf(file, "%li", &number) != 1)
		number = otherwise;
	fclose(file);
	return number;
}

static void address_of_gid(const union ibv_gid *gid, struct address *out)
{
	const struct in6_addr *raw = (const void *)gid->raw;

	*out = (struct address){ 0 };
	if (IN6_IS_ADDR_V4MAPPED(raw)) {
		struct sockaddr_in *in = (void *)&out->storage;

		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, gid->raw + 12, 4);
	} else if (!IN6_IS_ADDR_LINKLOCAL(raw) && !IN6_IS_ADDR_UNSPECIFIED(raw)) {
		struct sockaddr_in6 *in = (void *)&out->storage;

		in->sin6_family = AF_INET6;
		memcpy(&in->sin6_addr, gid->raw, 16);
	}
}

/* How much we like an address: the one that was asked for, then IPv4, then IPv6. */
static int rank(const struct address *address, const struct address *wanted)
{
	struct address host;

	if (!address_len(address))
		return 0;
	if (wanted && address_len(wanted)) {
		host = *wanted;
		address_set_port(&host, 0);
		if (address_equal(address, &host))
			return 3;
	}
	return address->storage.ss_family == AF_INET ? 2 : 1;
}

static void find_roce_address(struct ibv_context *context, int gid_index,
			      const struct address *wanted, struct verbs_port *port)
{
	static const char do_this[] = "give its network interface an IP address, or set "
				      "transport.gid_index (ibv_devinfo -v lists the GIDs)";
	struct ibv_gid_entry entry;
	unsigned best = 0, any = 0;

	for (unsigned i = 0; i < GIDS_MAX; i++) {
		struct address address;

		if ((gid_index >= 0 && (unsigned)gid_index != i) ||
		    ibv_query_gid_ex(context, port->number, i, &entry, 0))
			continue;
		any++;
		if (entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		address_of_gid(&entry.gid, &address);
		unsigned score = (unsigned)rank(&address, wanted);
		if (score <= best)
			continue;
		best = score;
		port->gid_index = (int)i;
		port->address = address;
	}
	if (best)
		return;
	if (gid_index >= 0)
		snprintf(port->problem, sizeof(port->problem),
			 "GID %d %s: choose another transport.gid_index (ibv_devinfo -v lists "
			 "them)",
			 gid_index,
			 any ? "is not a RoCE v2 one of an IP address" : "does not exist");
	else
		snprintf(port->problem, sizeof(port->problem),
			 "no RoCE v2 GID of an IP address: %s", do_this);
}

/* The IPoIB interface of this port. Return: whether there is one. */
static bool find_interface(const struct verbs_port *port, char out[IF_NAMESIZE])
{
	char path[256];
	bool found = false;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/net", port->device);
	DIR *folder = opendir(path);
	if (!folder)
		return false;
	for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
		char file[sizeof(path) + NAME_MAX + 16];

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IF_NAMESIZE)
			continue;
		snprintf(file, sizeof(file), "%s/%s/dev_port", path, entry->d_name);
		long number = number_read(file, -1);
		snprintf(file, sizeof(file), "%s/%s/type", path, entry->d_name);
		if (number != port->number - 1 || number_read(file, 0) != ARPHRD_INFINIBAND)
			continue;
		memcpy(out, entry->d_name, strlen(entry->d_name) + 1);
		found = true;
	}
	closedir(folder);
	return found;
}

static void find_ipoib_address(const struct address *wanted, struct verbs_port *port)
{
	char interface[IF_NAMESIZE] = "";
	struct ifaddrs *list = NULL;
	int best = 0;

	if (find_interface(port, interface) && getifaddrs(&list))
		list = NULL;
	for (struct ifaddrs *item = list; item; item = item->ifa_next) {
		struct address address = { 0 };

		if (!item->ifa_addr || strcmp(item->ifa_name, interface) != 0)
			continue;
		if (item->ifa_addr->sa_family == AF_INET)
			memcpy(&address.storage, item->ifa_addr, sizeof(struct sockaddr_in));
		else if (item->ifa_addr->sa_family == AF_INET6)
			memcpy(&address.storage, item->ifa_addr, sizeof(struct sockaddr_in6));
		int score = rank(&address, wanted);
		if (score > best) {
			best = score;
			port->address = address;
			address_set_port(&port->address, 0);
		}
	}
	freeifaddrs(list);
	if (!best)
		snprintf(port->problem, sizeof(port->problem),
			 "its IPoIB interface%s%s has no IP address, by which rdma_cm finds it: "
			 "load ib_ipoib and give it one",
			 interface[0] ? " " : "", interface);
}

/* Gb/s times 10, of 4 lanes at 25.78 Gb/s: 1000. */
static unsigned rate_of(const struct ibv_port_attr *attr)
{
	unsigned lanes, lane;

	switch (attr->active_width) {
	case 2:
		lanes = 4;
		break;
	case 4:
		lanes = 8;
		break;
	case 8:
		lanes = 12;
		break;
	case 16:
		lanes = 2;
		break;
	default:
		lanes = 1;
		break;
	}
	switch (attr->active_speed) {
	case 1:
		lane = 25;
		break;
	case 2:
		lane = 50;
		break;
	case 4:
		lane = 100;
		break;
	case 8:
		lane = 103;
		break;
	case 16:
		lane = 140;
		break;
	case 32:
		lane = 250;
		break;
	case 64:
		lane = 500;
		break;
	case 128:
		lane = 1000;
		break;
	default:
		lane = 0;
		break;
	}
	return lanes * lane;
}

static void describe(const struct ibv_port_attr *attr, struct verbs_port *port)
{
	char where[ADDRESS_TEXT_MAX + 32] = "", rate[32] = "", node[32] = "";
	char address[ADDRESS_TEXT_MAX];
	unsigned tenths = rate_of(attr);

	if (tenths)
		snprintf(rate, sizeof(rate), tenths % 10 ? ", %u.%u Gb/s" : ", %u Gb/s",
			 tenths / 10, tenths % 10);
	if (address_len(&port->address)) {
		address_text(&port->address, address);
		char *colon = strrchr(address, ':'); /* without the port */
		if (colon)
			*colon = '\0';
		if (port->gid_index >= 0)
			snprintf(where, sizeof(where), ", GID %d %s", port->gid_index, address);
		else
			snprintf(where, sizeof(where), ", %s", address);
	}
	if (port->numa_node >= 0)
		snprintf(node, sizeof(node), ", NUMA node %d", port->numa_node);
	snprintf(port->text, sizeof(port->text), "%s%s, MTU %u%s%s",
		 port->infiniband ? "InfiniBand" : "RoCE v2", rate, 128u << attr->active_mtu, where,
		 node);
}

static void judge_port(struct ibv_context *context, const struct ibv_port_attr *attr, int gid_index,
		       const struct address *wanted, struct verbs_port *port)
{
	port->infiniband = attr->link_layer == IBV_LINK_LAYER_INFINIBAND;
	port->mtu = attr->active_mtu;
	if (context->device->transport_type == IBV_TRANSPORT_IWARP) {
		snprintf(port->text, sizeof(port->text), "iWARP");
		snprintf(port->problem, sizeof(port->problem),
			 "iWARP: the destination of its reads would have to be writable for "
			 "others; use transport.kind = ucx");
		return;
	}
	if (context->device->transport_type != IBV_TRANSPORT_IB) {
		snprintf(port->text, sizeof(port->text), "unknown");
		snprintf(port->problem, sizeof(port->problem),
			 "neither RoCE nor InfiniBand; use transport.kind = ucx");
		return;
	}
	if (attr->state != IBV_PORT_ACTIVE)
		snprintf(port->problem, sizeof(port->problem),
			 "the port is %s: check the cable and the switch, and that the network "
			 "interface is up (ip link)",
			 ibv_port_state_str(attr->state));
	else if (port->infiniband)
		find_ipoib_address(wanted, port);
	else
		find_roce_address(context, gid_index, wanted, port);
	describe(attr, port);
}

void verbs_port_probe(struct ibv_context *context, uint8_t number, int gid_index,
		      const struct address *wanted, struct verbs_port *out)
{
	struct verbs_port port = { .number = number, .gid_index = -1 };
	struct ibv_port_attr attr;
	char path[256];

	snprintf(port.device, sizeof(port.device), "%s", ibv_get_device_name(context->device));
	snprintf(port.name, sizeof(port.name), verbs_port_count(context) > 1 ? "%.60s:%u" : "%.60s",
		 port.device, number);
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/device/numa_node", port.device);
	port.numa_node = (int)number_read(path, -1);
	int error = ibv_query_device(context, &port.limits);
	if (!error)
		error = ibv_query_port(context, number, &attr);
	if (error)
		snprintf(port.problem, sizeof(port.problem), "cannot be asked: %s",
			 error_text(-error));
	else
		judge_port(context, &attr, gid_index, wanted, &port);
	port.usable = !port.problem[0];
	*out = port;
}

unsigned verbs_port_count(struct ibv_context *context)
{
	struct ibv_device_attr attr;

	return ibv_query_device(context, &attr) ? 0 : attr.phys_port_cnt;
}

/* Who has CAP_IPC_LOCK may lock as much as he likes. */
static bool may_lock_all(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t capabilities = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "CapEff:", 7) == 0)
			capabilities = strtoull(line + 7, NULL, 16);
	}
	if (file)
		fclose(file);
	return capabilities >> 14 & 1;
}

const char *verbs_memlock_text(char *out, size_t size)
{
	struct rlimit limit;

	out[0] = '\0';
	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY || may_lock_all())
		return out;
	snprintf(
		out, size,
		"only %" PRIu64 " KiB may be locked, and all memory that takes part must be: "
		"LimitMEMLOCK=infinity in the service's unit, memlock in limits.conf, or ulimit -l "
		"unlimited",
		(uint64_t)limit.rlim_cur / 1024);
	return out;
}
