/*
 * link.c - see link.h. The worker has a duplicate of everything that is kept, so that it can start
 * another keeper.
 */
#include "fuse/keeper/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/protocol.h"
#include "fuse/keeper/revive.h"

#define ARGUMENTS_MAX 4096
#define REAP_MS	      2000
#define SEND_S	      5 /* a keeper that does not read for so long is as good as gone */

struct link {
	struct protocol_start start; /* what we have; the keeper has another one of each */
	struct board *board;
	bool alone;
	bool serving, stopping;
	uint64_t hang_after_ns;
	bool cores;
	pid_t revived; /* the keeper that we started; 0 */
	char arguments[ARGUMENTS_MAX];
	size_t arguments_len;
};

static int refuse(char *problem, size_t problem_size, int error, const char *text)
{
	snprintf(problem, problem_size, "%s", text);
	return error;
}

static int board_open(struct link *link, int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof(*link->board)))
		return -EPROTONOSUPPORT;
	link->board = mmap(NULL, sizeof(*link->board), PROT_READ | PROT_WRITE, flags, fd, 0);
	if (link->board == MAP_FAILED)
		return -ENOMEM;
	if (fd < 0)
		board_init(link->board);
	return board_valid(link->board) ? 0 : -EPROTONOSUPPORT;
}

/* Those of the keeper that started us, without the program's name. */
static void arguments_read(struct link *link)
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, link->arguments, sizeof(link->arguments) - 1) : -1;

	if (fd >= 0)
		close(fd);
	link->arguments_len = len > 0 ? (size_t)len : 0;
}

static int socket_prepare(int socket)
{
	const struct timeval patience = { .tv_sec = SEND_S };

	return setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0
		       ? 0
		       : -errno;
}

/* Descriptors that others have numbered: each must be open, and none goes to our children. */
static int descriptors_take(const struct protocol_start *start)
{
	const int given[] = { start->socket, start->board, start->self };

	for (unsigned i = 0; i < ARRAY_COUNT(given); i++)
		if (given[i] < 0 || fcntl(given[i], F_SETFD, FD_CLOEXEC) != 0)
			return -EBADMSG;
	for (unsigned i = 0; i < start->kept_count; i++)
		if (fcntl(start->kept[i].fd, F_SETFD, FD_CLOEXEC) != 0)
			return -EBADMSG;
	return socket_prepare(start->socket);
}

static int attach(struct link *link, const char *given, char *problem, size_t problem_size)
{
	int error = protocol_start_decode(given, &link->start);

	if (!error)
		error = descriptors_take(&link->start);
	if (!error)
		error = board_open(link, link->start.board);
	if (error == -EPROTONOSUPPORT)
		return refuse(
			problem, problem_size, error,
			"the cenoted that runs is of a release that this cenoted-worker cannot "
			"follow: restart the service");
	if (error)
		return refuse(problem, problem_size, error,
			      "the variable " PROTOCOL_VARIABLE " is not from a cenoted: unset it");
	arguments_read(link);
	return 0;
}

int link_open(struct link **out_link, char *problem, size_t problem_size)
{
	const char *given = getenv(PROTOCOL_VARIABLE);
	struct link *link = calloc(1, sizeof(*link));
	int error;

	if (!link)
		return -ENOMEM;
	protocol_start_init(&link->start);
	link->alone = !given;
	error = given ? attach(link, given, problem, problem_size) : board_open(link, -1);
	if (error) {
		link_close(link);
		return error;
	}
	unsetenv(PROTOCOL_VARIABLE);
	*out_link = link;
	return 0;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

void link_close(struct link *link)
{
	if (!link)
		return;
	for (unsigned i = 0; i < link->start.kept_count; i++)
		close(link->start.kept[i].fd);
	close_if_open(link->start.socket);
	close_if_open(link->start.board);
	close_if_open(link->start.self);
	if (link->board && link->board != MAP_FAILED)
		munmap(link->board, sizeof(*link->board));
	free(link);
}

bool link_alone(const struct link *link)
{
	return link->alone;
}

struct board *link_board(const struct link *link)
{
	return link->board;
}

int link_keeper_pid(const struct link *link)
{
	return link->alone || link->start.socket < 0 ? 0 : link->board->keeper_pid;
}

/* Its place; kept_count: there is none of that name. */
static unsigned kept_find(const struct link *link, const char *name)
{
	unsigned i = 0;

	while (i < link->start.kept_count && strcmp(link->start.kept[i].name, name) != 0)
		i++;
	return i;
}

bool link_is_kept(const struct link *link, const char *name)
{
	return kept_find(link, name) < link->start.kept_count;
}

int link_kept(const struct link *link, const char *name)
{
	unsigned place = kept_find(link, name);

	return place < link->start.kept_count
		       ? fcntl(link->start.kept[place].fd, F_DUPFD_CLOEXEC, 3)
		       : -1;
}

static int say(struct link *link, const struct protocol_message *message, int fd)
{
	int error;

	if (link->start.socket < 0)
		return -EPIPE;
	error = protocol_send(link->start.socket, message, fd);
	return error ? -EPIPE : 0;
}

static int kept_put(struct link *link, const char *name, int fd)
{
	unsigned place = kept_find(link, name);
	struct protocol_kept *kept = &link->start.kept[place];
	int own;

	if (place == PROTOCOL_KEPT_MAX)
		return -ENOBUFS;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	if (place < link->start.kept_count)
		close(kept->fd);
	else
		link->start.kept_count++;
	snprintf(kept->name, sizeof(kept->name), "%s", name);
	kept->fd = own;
	return 0;
}

/* What is kept already need not be sent again: as a rule all of it, after a takeover. A kernel that
 * does not know how to compare says no. */
static bool kept_same(const struct link *link, const char *name, int fd)
{
	unsigned place = kept_find(link, name);
	pid_t self = getpid();

	return place < link->start.kept_count &&
	       syscall(SYS_kcmp, self, self, KCMP_FILE, (unsigned long)fd,
		       (unsigned long)link->start.kept[place].fd) == 0;
}

int link_keep(struct link *link, const char *name, int fd)
{
	struct protocol_message message = { .kind = PROTOCOL_KEEP };
	int error;

	CHECK(protocol_name_valid(name));
	if (link->alone)
		return 0;
	if (kept_same(link, name, fd))
		return link->start.socket >= 0 ? 0 : -EPIPE;
	error = kept_put(link, name, fd);
	if (error)
		return error;
	snprintf(message.text, sizeof(message.text), "%s", name);
	return say(link, &message, fd);
}

void link_drop(struct link *link, const char *name)
{
	struct protocol_message message = { .kind = PROTOCOL_DROP };
	unsigned place = kept_find(link, name);

	if (place == link->start.kept_count)
		return;
	close(link->start.kept[place].fd);
	link->start.kept[place] = link->start.kept[--link->start.kept_count];
	snprintf(message.text, sizeof(message.text), "%s", name);
	say(link, &message, -1);
}

void link_serving(struct link *link)
{
	const struct protocol_message message = { .kind = PROTOCOL_SERVING };

	link->serving = true;
	say(link, &message, -1);
}

void link_stopping(struct link *link)
{
	const struct protocol_message message = { .kind = PROTOCOL_STOPPING };

	link->stopping = true;
	say(link, &message, -1);
}

void link_watch(struct link *link, uint64_t hang_after_ns, bool cores)
{
	const struct protocol_message message = { .kind = PROTOCOL_WATCH,
						  .number = hang_after_ns,
						  .flag = cores };

	link->hang_after_ns = hang_after_ns;
	link->cores = cores;
	link->board->hang_after_ns = hang_after_ns;
	say(link, &message, -1);
}

int link_upgrade(struct link *link, const char *program)
{
	struct protocol_message message = { .kind = PROTOCOL_UPGRADE };

	if (link->alone)
		return -ENOTCONN;
	if (strlen(program) >= sizeof(message.text))
		return -ENAMETOOLONG;
	snprintf(message.text, sizeof(message.text), "%s", program);
	return say(link, &message, -1);
}

bool link_standby(const struct link *link)
{
	return link->start.standby;
}

int link_standby_wait(struct link *link, const char *problem)
{
	struct protocol_message message = { .kind = problem ? PROTOCOL_REFUSED : PROTOCOL_READY };
	int error, fd;

	snprintf(message.text, sizeof(message.text), "%s", problem ? problem : "");
	error = say(link, &message, -1);
	while (!error && !problem) {
		struct pollfd readable = { .fd = link->start.socket, .events = POLLIN };

		if (poll(&readable, 1, -1) < 0)
			continue;
		error = protocol_receive(link->start.socket, &message, &fd);
		if (!error && message.kind == PROTOCOL_GO) {
			link->start.standby = false;
			return 0;
		}
		if (error == -EAGAIN)
			error = 0;
	}
	return -ECANCELED;
}

int link_fd(const struct link *link)
{
	return link->start.socket;
}

static enum link_event keeper_gone(struct link *link)
{
	close_if_open(link->start.socket);
	link->start.socket = -1;
	return LINK_KEEPER_GONE;
}

enum link_event link_poll(struct link *link, int *out_number, char *problem)
{
	struct protocol_message message;
	int error, fd;

	if (link->start.socket < 0)
		return LINK_NOTHING;
	error = protocol_receive(link->start.socket, &message, &fd);
	if (error == -EAGAIN)
		return LINK_NOTHING;
	if (error == -EPIPE)
		return keeper_gone(link);
	if (error) {
		log_warning("link.hear", "error=\"%s\"", error_text(error));
		return LINK_NOTHING;
	}
	close_if_open(fd);
	switch (message.kind) {
	case PROTOCOL_SIGNAL:
		if (message.number != SIGTERM && message.number != SIGINT &&
		    message.number != SIGHUP)
			return LINK_NOTHING;
		*out_number = (int)message.number;
		return LINK_SIGNAL;
	case PROTOCOL_UPGRADED:
		snprintf(problem, LINK_PROBLEM_MAX, "%.*s", LINK_PROBLEM_MAX - 1, message.text);
		return message.flag ? LINK_UPGRADE_AGREED : LINK_UPGRADE_REFUSED;
	default:
		return LINK_NOTHING;
	}
}

/* --- another keeper --------------------------------------------------------------------------- */

/* What the new keeper cannot know from what it holds. */
static void state_tell(struct link *link)
{
	link_watch(link, link->hang_after_ns, link->cores);
	if (link->stopping)
		link_stopping(link);
}

/* Its socket is closed: it is dead or about to be. */
static void revived_reap(struct link *link)
{
	struct pollfd end = { .events = POLLIN };

	if (link->revived == 0)
		return;
	end.fd = pidfd_open(link->revived, 0);
	poll(&end, 1, REAP_MS);
	waitpid(link->revived, NULL, WNOHANG);
	close_if_open(end.fd);
	link->revived = 0;
}

int link_revive(struct link *link)
{
	struct revive_keeper keeper;
	int error;

	if (link->alone || link->start.socket >= 0)
		return 0;
	revived_reap(link);
	error = revive(&link->start, link->arguments, link->arguments_len, &keeper);
	if (!error)
		error = socket_prepare(keeper.socket);
	if (error)
		return error;
	link->revived = keeper.pid;
	link->board->keeper_pid = keeper.pid;
	link->start.socket = keeper.socket;
	state_tell(link);
	return 0;
}
