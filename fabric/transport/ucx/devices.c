/*
 * devices.c - the network interfaces that UCX's tcp can use.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/ucx/ucx.h"

#define RDMA_FOLDER "/sys/class/infiniband"
#define TRUST                                                                                      \
	"UCX's own parser faces this network and trusts it: use it where every host that can "     \
	"reach us is trusted"

/* A number of /sys/class/net/NAME/WHAT; -1: it does not say. */
static long attribute(const char *name, const char *what)
{
	char path[128], text[24] = "", *end = text;
	long value;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	FILE *file = fopen(path, "re");

	if (!file)
		return -1;
	if (!fgets(text, sizeof(text), file)) /* a link that is down has no speed */
		text[0] = 0;
	fclose(file);
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

static bool has_ip(const struct ifaddrs *entry)
{
	return entry->ifa_addr &&
	       (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6);
}

static const char *host_text(const struct ifaddrs *entry, char *out, size_t size)
{
	const void *host =
		entry->ifa_addr->sa_family == AF_INET
			? (const void *)&((const struct sockaddr_in *)(const void *)entry->ifa_addr)
				  ->sin_addr
			: (const void *)&(
				  (const struct sockaddr_in6 *)(const void *)entry->ifa_addr)
				  ->sin6_addr;

	return inet_ntop(entry->ifa_addr->sa_family, host, out, (socklen_t)size) ? out : "";
}

static void describe(const struct ifaddrs *entry, struct transport_device *out)
{
	char host[INET6_ADDRSTRLEN] = "", speed[32] = "";
	long megabits = attribute(entry->ifa_name, "speed"), node;
	size_t used;

	if (megabits > 0)
		snprintf(speed, sizeof(speed), ", %ld Gb/s", megabits / 1000);
	used = (size_t)snprintf(out->text, sizeof(out->text), "TCP, %s%s, MTU %ld",
				has_ip(entry) ? host_text(entry, host, sizeof(host)) : "no address",
				speed, attribute(entry->ifa_name, "mtu"));
	node = attribute(entry->ifa_name, "device/numa_node");
	if (node >= 0 && used < sizeof(out->text))
		snprintf(out->text + used, sizeof(out->text) - used, ", NUMA node %ld", node);
}

static void judge(const struct ifaddrs *entry, struct transport_device *out)
{
	unsigned up = IFF_UP | IFF_RUNNING;

	if (!has_ip(entry)) {
		snprintf(out->problem, sizeof(out->problem),
			 "no IP address: ip address add ADDRESS dev %s", entry->ifa_name);
		return;
	}
	if ((entry->ifa_flags & up) != up) {
		snprintf(out->problem, sizeof(out->problem),
			 "the interface is down: ip link set %s up, or plug in its cable",
			 entry->ifa_name);
		return;
	}
	out->usable = true;
	if (!(entry->ifa_flags & IFF_LOOPBACK))
		snprintf(out->problem, sizeof(out->problem), "%s", TRUST);
}

static struct transport_device *find(struct transport_device *devices, unsigned count,
				     const char *name)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(devices[i].name, name))
			return &devices[i];
	}
	return NULL;
}

/* An interface appears once an address, IPv4 first, and once more without any. */
static unsigned collect(const struct ifaddrs *entries, struct transport_device *out,
			unsigned count_max)
{
	static const int families[] = { AF_INET, AF_INET6, AF_PACKET };
	unsigned count = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(families); i++) {
		for (const struct ifaddrs *entry = entries; entry; entry = entry->ifa_next) {
			if (!entry->ifa_addr || entry->ifa_addr->sa_family != families[i] ||
			    count == count_max || find(out, count, entry->ifa_name))
				continue;
			out[count] = (struct transport_device){ .kind = TRANSPORT_UCX };
			snprintf(out[count].name, sizeof(out[count].name), "%s", entry->ifa_name);
			describe(entry, &out[count]);
			judge(entry, &out[count]);
			count++;
		}
	}
	return count;
}

int transport_ucx_devices(struct transport_device *out, unsigned count_max)
{
	struct ifaddrs *entries;
	unsigned count;

	if (!count_max)
		return 0;
	if (getifaddrs(&entries))
		return -errno;
	count = collect(entries, out, count_max);
	freeifaddrs(entries);
	if (!count) {
		out[0] = (struct transport_device){ .kind = TRANSPORT_UCX, .name = "ucx" };
		snprintf(out[0].problem, sizeof(out[0].problem),
			 "there is no network interface at all, not even lo: ip link set lo up");
		count = 1;
	}
	return (int)count;
}

static bool entry_exists(const char *folder, const char *name, size_t name_len)
{
	DIR *entries = opendir(folder);
	struct dirent *entry;
	bool found = false;

	if (!entries)
		return false;
	while (!found && (entry = readdir(entries)))
		found = entry->d_name[0] != '.' &&
			(!name || (strlen(entry->d_name) == name_len &&
				   !memcmp(entry->d_name, name, name_len)));
	closedir(entries);
	return found;
}

bool ucx_devices_rdma(void)
{
	return entry_exists(RDMA_FOLDER, NULL, 0);
}

static bool same_host(const struct sockaddr *entry, const struct address *address)
{
	struct address host = { 0 };
	struct address other = *address;

	memcpy(&host.storage, entry,
	       entry->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					   : sizeof(struct sockaddr_in6));
	address_set_port(&host, 0);
	address_set_port(&other, 0);
	return address_equal(&host, &other);
}

bool ucx_devices_have(const struct address *address)
{
	struct ifaddrs *entries;
	bool found = false;

	if (getifaddrs(&entries))
		return true; /* then let UCX say what is wrong */
	for (const struct ifaddrs *entry = entries; entry && !found; entry = entry->ifa_next)
		found = has_ip(entry) && same_host(entry->ifa_addr, address);
	freeifaddrs(entries);
	return found;
}

/* The interfaces' names, for an error: "eth0, lo". */
static void names_text(char *out, size_t size)
{
	struct if_nameindex *names = if_nameindex();
	size_t used = 0;

	snprintf(out, size, "none");
	for (unsigned i = 0; names && names[i].if_index && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "",
					 names[i].if_name);
	if (names)
		if_freenameindex(names);
}

int ucx_devices_check(const struct option_strings *names, char *problem, size_t problem_size)
{
	for (unsigned i = 0; i < names->count; i++) {
		const char *name = names->items[i];
		char present[256];

		if (if_nametoindex(name) || entry_exists(RDMA_FOLDER, name, strcspn(name, ":")))
			continue;
		names_text(present, sizeof(present));
		snprintf(problem, problem_size,
			 "there is no interface %s here (there are: %s): correct devices", name,
			 present);
		return -ENODEV;
	}
	return 0;
}

int ucx_devices_node(const char *name)
{
	return (int)attribute(name, "device/numa_node");
}
