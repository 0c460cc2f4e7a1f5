/* carrier.c - see carrier.h. */
#include "fabric/auth/carrier.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

/* A message is small: this many pieces at once are all of an honest handshake. Who sends more waits
   for the next round, behind the others. */
#define PIECES_MAX 4
#define PIECE_LEN  2048

static bool is_over(const struct handshake *handshake)
{
	return handshake->state == HANDSHAKE_DONE || handshake->state == HANDSHAKE_REFUSED;
}

/* A firewall's refusal must not look like the other side's. */
static int way_error(int error)
{
	return error == EACCES || error == EPERM || error == ENETUNREACH ? -EHOSTUNREACH : -error;
}

static uint32_t wanted(const struct carrier *carrier)
{
	if (carrier->connecting)
		return EPOLLOUT;
	if (!carrier->handshake.out_len)
		return EPOLLIN;
	/* What comes after a handshake is not read: it must not wake us while we wait for room. */
	return is_over(&carrier->handshake) ? EPOLLOUT : EPOLLIN | EPOLLOUT;
}

/* Takes @fd, which is closed on failure. */
static int begin(struct carrier *carrier, int epoll_fd, int fd, void *tag, bool connecting)
{
	struct epoll_event event = { .data.ptr = tag };
	int error;

	carrier->fd = fd;
	carrier->epoll_fd = epoll_fd;
	carrier->tag = tag;
	carrier->connecting = connecting;
	carrier->interest = wanted(carrier);
	event.events = carrier->interest;
	/* The few messages are each other's answers: none must wait for an acknowledgement. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	error = -errno;
	close(fd);
	carrier->fd = -1;
	return error;
}

int carrier_adopt(struct carrier *carrier, int epoll_fd, int fd, void *tag)
{
	return begin(carrier, epoll_fd, fd, tag, false);
}

int carrier_connect(struct carrier *carrier, int epoll_fd, const struct address *address, void *tag)
{
	int fd, error;

	carrier->fd = -1;
	fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address->storage, address_len(address)) != 0 &&
	    errno != EINPROGRESS) {
		error = way_error(errno);
		close(fd);
		return error;
	}
	return begin(carrier, epoll_fd, fd, tag, true);
}

int carrier_connected(struct carrier *carrier)
{
	int error = 0;
	socklen_t len = sizeof(error);

	CHECK(getsockopt(carrier->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
	carrier->connecting = false;
	return error ? way_error(error) : 0;
}

int carrier_receive(struct carrier *carrier)
{
	uint8_t piece[PIECE_LEN];

	for (unsigned i = 0; i < PIECES_MAX && !is_over(&carrier->handshake); i++) {
		ssize_t got = recv(carrier->fd, piece, sizeof(piece), 0);

		if (got > 0) {
			handshake_input(&carrier->handshake, piece, (size_t)got);
			continue;
		}
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		return got < 0 ? way_error(errno) : -ECONNRESET;
	}
	return is_over(&carrier->handshake);
}

int carrier_send(struct carrier *carrier)
{
	struct handshake *handshake = &carrier->handshake;

	while (handshake->out_len) {
		ssize_t sent = send(carrier->fd, handshake->out, handshake->out_len, MSG_NOSIGNAL);

		if (sent >= 0)
			handshake_sent(handshake, (size_t)sent);
		else if (errno == EPIPE || errno == ECONNRESET)
			handshake_sent(handshake, handshake->out_len);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void carrier_watch(struct carrier *carrier)
{
	struct epoll_event event = { .events = wanted(carrier), .data.ptr = carrier->tag };

	if (event.events == carrier->interest)
		return;
	CHECK(epoll_ctl(carrier->epoll_fd, EPOLL_CTL_MOD, carrier->fd, &event) == 0);
	carrier->interest = event.events;
}

void carrier_close(struct carrier *carrier)
{
	if (carrier->fd >= 0)
		close(carrier->fd);
	carrier->fd = -1;
	handshake_fini(&carrier->handshake);
}
