/*
 * socket.c - binding, and finding out what we are called.
 */
#include "fabric/gossip/socket.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define BACKLOG	       128
#define BUFFER_LEN     (4 << 20) /* asked for: room for a flood while we are elsewhere */
#define PORT_TRIES_MAX 16

static struct sockaddr_in *v4(struct address *address)
{
	return (struct sockaddr_in *)(void *)&address->storage;
}

static struct sockaddr_in6 *v6(struct address *address)
{
	return (struct sockaddr_in6 *)(void *)&address->storage;
}

static struct address v4_make(const void *bytes, uint16_t port)
{
	struct address made = { .storage.ss_family = AF_INET };

	memcpy(&v4(&made)->sin_addr, bytes, 4);
	address_set_port(&made, port);
	return made;
}

void socket_unmap(struct address *address)
{
	if (address->storage.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6(address)->sin6_addr))
		*address = v4_make(v6(address)->sin6_addr.s6_addr + 12, address_port(address));
}

int socket_map(const struct address *address, int family, struct address *out)
{
	struct address from = *address, mapped = { .storage.ss_family = AF_INET6 };

	if (from.storage.ss_family == family) {
		*out = from;
		return 0;
	}
	if (from.storage.ss_family != AF_INET || family != AF_INET6)
		return -EAFNOSUPPORT;
	memset(v6(&mapped)->sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(v6(&mapped)->sin6_addr.s6_addr + 12, &v4(&from)->sin_addr, 4);
	address_set_port(&mapped, address_port(&from));
	*out = mapped;
	return 0;
}

bool socket_same_host(const struct address *a, const struct address *b)
{
	struct address one = *a, other = *b;

	address_set_port(&one, 0);
	address_set_port(&other, 0);
	return address_equal(&one, &other);
}

bool socket_is_loopback(const struct address *address)
{
	struct address copy = *address;

	if (copy.storage.ss_family == AF_INET)
		return ntohl(v4(&copy)->sin_addr.s_addr) >> 24 == 127;
	return copy.storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6(&copy)->sin6_addr);
}

static int bind_problem(int error, const char *what, const struct address *address, char *problem,
			size_t problem_size)
{
	char text[ADDRESS_TEXT_MAX];

	snprintf(problem, problem_size, "cannot listen at %s %s: %s; set gossip.listen", what,
		 address_text(address, text), error_text(error));
	return error;
}

static int socket_make(const struct address *address, int type, int *out_fd)
{
	int fd = socket(address->storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int zero = 0, one = 1, error;

	if (fd < 0)
		return -errno;
	if (address->storage.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address->storage, address_len(address)) != 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*out_fd = fd;
	return 0;
}

static void buffers_enlarge(int fd)
{
	int len = BUFFER_LEN;

	/* The second works without rights, up to net.core.rmem_max. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
}

/* Has the kernel keep what ICMP says about packets that we sent. */
static void errors_keep(int fd, int family)
{
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
}

int socket_unreachable(int fd, struct address *out)
{
	struct address to = { 0 };
	uint8_t data[64], control[512];
	struct iovec vector = { data, sizeof(data) };
	struct msghdr message = { .msg_name = &to.storage,
				  .msg_namelen = sizeof(to.storage),
				  .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int error = 0;

	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return -errno;
	for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each;
	     each = CMSG_NXTHDR(&message, each)) {
		struct sock_extended_err found;

		if ((each->cmsg_level != IPPROTO_IP || each->cmsg_type != IP_RECVERR) &&
		    (each->cmsg_level != IPPROTO_IPV6 || each->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&found, CMSG_DATA(each), sizeof(found));
		error = (int)found.ee_errno;
	}
	if (error != ECONNREFUSED)
		return 0;
	socket_unmap(&to);
	*out = to;
	return 1;
}

static int bind_once(const struct address *address, int *out_udp, int *out_tcp,
		     struct address *out_address, char *problem, size_t problem_size)
{
	struct address bound = *address;
	socklen_t len = sizeof(bound.storage);
	int error, udp = -1, tcp = -1;

	error = socket_make(address, SOCK_DGRAM, &udp);
	if (error)
		return bind_problem(error, "UDP", address, problem, problem_size);
	buffers_enlarge(udp);
	errors_keep(udp, address->storage.ss_family);
	if (getsockname(udp, (struct sockaddr *)&bound.storage, &len) != 0)
		error = -errno;
	if (!error)
		error = socket_make(&bound, SOCK_STREAM, &tcp);
	if (!error && listen(tcp, BACKLOG) != 0) {
		error = -errno;
		close(tcp);
	}
	if (error) {
		close(udp);
		return bind_problem(error, "TCP", &bound, problem, problem_size);
	}
	*out_udp = udp;
	*out_tcp = tcp;
	*out_address = bound;
	return 0;
}

int socket_bind(const struct address *address, int *out_udp, int *out_tcp,
		struct address *out_address, char *problem, size_t problem_size)
{
	static const uint8_t any[4];
	struct address wanted = *address;
	int error = -EADDRINUSE;

	/* The port that is free for UDP may be somebody's for TCP. */
	for (unsigned i = 0; i < PORT_TRIES_MAX && error == -EADDRINUSE; i++) {
		error = bind_once(&wanted, out_udp, out_tcp, out_address, problem, problem_size);
		if (error == -EAFNOSUPPORT && address_is_any(&wanted)) {
			wanted = v4_make(any, address_port(&wanted));
			error = bind_once(&wanted, out_udp, out_tcp, out_address, problem,
					  problem_size);
		}
		if (address_port(&wanted) != 0)
			break;
	}
	return error;
}

int socket_source(const struct address *peer, struct address *out)
{
	struct address source = { 0 };
	socklen_t len = sizeof(source.storage);
	int fd = socket(peer->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&peer->storage, address_len(peer)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&source.storage, &len) != 0)
		error = -errno;
	close(fd);
	if (error)
		return error;
	address_set_port(&source, 0);
	*out = source;
	return 0;
}

/* 0: not at all; the higher the better. */
static unsigned interface_score(const struct ifaddrs *each, int family)
{
	unsigned score = 1;

	if (!each->ifa_addr || !(each->ifa_flags & IFF_UP) || each->ifa_flags & IFF_LOOPBACK)
		return 0;
	if (each->ifa_addr->sa_family == AF_INET)
		score += family == AF_INET || !family ? 2 : 0;
	else if (each->ifa_addr->sa_family == AF_INET6)
		score += family == AF_INET6 ? 2 : 0;
	else
		return 0;
	if (each->ifa_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *address = (const void *)each->ifa_addr;

		if (IN6_IS_ADDR_LINKLOCAL(&address->sin6_addr))
			return 0;
	}
	return score;
}

int socket_any_source(int family, struct address *out)
{
	struct ifaddrs *all;
	unsigned best = 0;

	if (getifaddrs(&all) != 0)
		return -errno;
	for (const struct ifaddrs *each = all; each; each = each->ifa_next) {
		unsigned score = interface_score(each, family);

		if (score <= best)
			continue;
		best = score;
		memset(out, 0, sizeof(*out));
		memcpy(&out->storage, each->ifa_addr,
		       each->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							    : sizeof(struct sockaddr_in6));
		address_set_port(out, 0);
	}
	freeifaddrs(all);
	return best > 0 ? 0 : -EADDRNOTAVAIL;
}
