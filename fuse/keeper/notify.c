/*
 * notify.c - see notify.h.
 */
#include "fuse/keeper/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define LISTEN_FIRST 3 /* SD_LISTEN_FDS_START */
#define LISTEN_MAX   1024
#define PATIENCE_US  250000 /* the manager's queue is short; readers wait while we do */

void notify_init(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const struct timeval patience = { .tv_usec = PATIENCE_US };
	size_t len = path ? strlen(path) : 0;

	*notify = (struct notify){ .socket = -1, .address.sun_family = AF_UNIX };
	if (len < 2 || len >= sizeof(notify->address.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(notify->address.sun_path, path, len);
	if (path[0] == '@') /* abstract */
		notify->address.sun_path[0] = '\0';
	notify->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	notify->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify->socket >= 0)
		(void)setsockopt(notify->socket, SOL_SOCKET, SO_SNDTIMEO, &patience,
				 sizeof(patience));
}

static void tell(const struct notify *notify, char *text, int fd)
{
	union protocol_rights rights;
	struct sockaddr_un address = notify->address;
	struct iovec part = { text, strlen(text) };
	struct msghdr header = { .msg_name = &address,
				 .msg_namelen = notify->address_len,
				 .msg_iov = &part,
				 .msg_iovlen = 1 };

	if (notify->socket < 0)
		return;
	protocol_attach(&header, &rights, fd);
	if (sendmsg(notify->socket, &header, MSG_NOSIGNAL) < 0)
		log_warning("keeper.notify", "error=\"%s\" effect=\"systemd does not know: %.40s\"",
			    error_text(-errno), text);
}

void notify_main_pid(const struct notify *notify)
{
	char text[64];

	snprintf(text, sizeof(text), "MAINPID=%d\nSTATUS=took over", getpid());
	tell(notify, text, -1);
}

void notify_forget(const struct notify *notify, const char *name)
{
	char text[64 + PROTOCOL_NAME_MAX];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	tell(notify, text, -1);
}

void notify_store(const struct notify *notify, const char *name, int fd)
{
	char text[64 + PROTOCOL_NAME_MAX];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	tell(notify, text, fd);
}

/* The decimal number in variable @name; -1: there is none. */
static long variable_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long value;

	if (!text || *text < '0' || *text > '9')
		return -1;
	value = strtol(text, &end, 10);
	return *end ? -1 : value;
}

static bool stored_take(struct protocol_kept *out, const char *name, size_t len, int fd)
{
	if (len == 0 || len > PROTOCOL_NAME_MAX || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
		return false;
	memcpy(out->name, name, len);
	out->name[len] = '\0';
	out->fd = fd;
	return protocol_name_valid(out->name);
}

unsigned notify_stored(struct protocol_kept *out)
{
	long count = variable_number("LISTEN_FDS");
	const char *name = getenv("LISTEN_FDNAMES");
	bool ours = variable_number("LISTEN_PID") == getpid();
	unsigned taken = 0;

	for (long i = 0; ours && name && i < count && i < LISTEN_MAX; i++) {
		size_t len = strcspn(name, ":");
		int fd = LISTEN_FIRST + (int)i;

		if (taken < PROTOCOL_KEPT_MAX && stored_take(&out[taken], name, len, fd))
			taken++;
		else
			close(fd);
		name += len + (name[len] == ':');
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return taken;
}
