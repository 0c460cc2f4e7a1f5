/*
 * guard.c - keeps what is obviously not UCX away from its listener.
 *
 * UCX's connection manager believes the length that a client sends first, and when that does not
 * fit, it aborts the process: 4 KiB of zeros from anybody would do. So the kernel looks first: a
 * filter on the listening socket, inherited by what it accepts, passes segments without data, and
 * those that are one whole message, { size_t length; uint8_t status; } and that many bytes. UCX
 * sends every message with one call, and none is longer than a segment. What does not pass is
 * dropped as if it had been lost.
 *
 * As connections are accepted with their first data only (TCP_DEFER_ACCEPT), who sends nonsense
 * never gets a descriptor of ours. Who says nothing gets one after GUARD_SILENCE_S; keep-alive ends
 * that when he is gone.
 *
 * This is against accidents and scanners. Who speaks UCX's protocol passes.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fabric/transport/ucx/ucx.h"

#define GUARD_SILENCE_S	   5
#define GUARD_IDLE_S	   10
#define GUARD_INTERVAL_S   5
#define GUARD_PROBES	   3
#define CM_HEAD_LEN	   16 /* of UCX's message, with its padding */
#define TCP_DATA_OFFSET_AT 12

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the filter reads a little-endian size_t");

/* Offsets are from TCP's head; X is the length of that, M[0] what `length` must be. */
static struct sock_filter code[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TCP_DATA_OFFSET_AT),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
	BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
	BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 16, 0), /* no data: pass */
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CM_HEAD_LEN, 0, 14),
	BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, CM_HEAD_LEN),
	BPF_STMT(BPF_ST, 0),
	/* the upper bytes of `length` are zero */
	BPF_STMT(BPF_LD | BPF_W | BPF_IND, 4),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 10),
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 8),
	/* M[0] - (lower byte + 256 * upper byte) is 0 */
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 1),
	BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8),
	BPF_STMT(BPF_ST, 1),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
	BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 1),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
};

static int set_number(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int protect(int fd)
{
	const struct sock_fprog program = { .len = ARRAY_COUNT(code), .filter = code };
	int error = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return -errno;
	if (!error)
		error = set_number(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, GUARD_SILENCE_S);
	if (!error)
		error = set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (!error)
		error = set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, GUARD_IDLE_S);
	if (!error)
		error = set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, GUARD_INTERVAL_S);
	if (!error)
		error = set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, GUARD_PROBES);
	return error;
}

static bool listens_at(int fd, const struct address *address)
{
	struct address own = { 0 };
	socklen_t len = sizeof(own.storage), flag_len = sizeof(int);
	int listening = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &flag_len) && listening &&
	       !getsockname(fd, (struct sockaddr *)&own.storage, &len) &&
	       address_equal(&own, address);
}

/* UCX does not give its socket away, so it is looked for among the process's descriptors. */
int ucx_guard(const struct address *address)
{
	DIR *descriptors = opendir("/proc/self/fd");
	struct dirent *entry;
	int error = -ENOENT;

	if (!descriptors)
		return -errno;
	while (error == -ENOENT && (entry = readdir(descriptors))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] != '.' && listens_at(fd, address))
			error = protect(fd);
	}
	closedir(descriptors);
	return error;
}
