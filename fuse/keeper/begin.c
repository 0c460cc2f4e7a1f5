/*
 * begin.c - how a keeper comes to be: new; from what systemd kept when the last one was gone; from
 * a worker that lost its keeper; or in the place of a keeper of another release.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "fuse/keeper/inside.h"

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < SPAWN_SIGNALS; i++)
		sigaddset(&set, spawn_signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct board *board_map(int fd)
{
	struct board *board;
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size != (off_t)sizeof(*board))
		return NULL;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return board == MAP_FAILED ? NULL : board;
}

/* Sealed, so that a worker cannot take the memory away under us. */
static int board_make(struct keeper *keeper)
{
	int fd = memfd_create("cenote-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -EMFILE;
	if (ftruncate(fd, (off_t)sizeof(struct board)) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -ENOMEM;
	keeper->board = board_map(fd);
	if (!keeper->board)
		return -ENOMEM;
	board_init(keeper->board);
	keeper->board_fd = fd;
	notify_store(&keeper->notify, KEEPER_BOARD, fd);
	return 0;
}

/* The board of a keeper before this one, if it is one. */
static void board_take_over(struct keeper *keeper, int fd)
{
	struct board *board = fd >= 0 ? board_map(fd) : NULL;

	if (board && board_valid(board)) {
		keeper->board = board;
		keeper->board_fd = fd;
		return;
	}
	if (board)
		munmap(board, sizeof(*board));
	if (fd >= 0)
		close(fd);
}

static void closed_on_exec(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* From a worker that lost its keeper, or from the keeper that this process was until now. */
static int take_over(struct keeper *keeper, const struct protocol_start *start)
{
	const int given[] = { start->socket, start->board, start->worker, start->program,
			      start->self };

	if (start->socket < 0 || start->board < 0 || start->worker < 0 || start->program < 0)
		return -EBADMSG;
	for (unsigned i = 0; i < ARRAY_COUNT(given); i++)
		closed_on_exec(given[i]);
	for (unsigned i = 0; i < start->kept_count; i++) {
		closed_on_exec(start->kept[i].fd);
		hold_adopt(&keeper->hold, start->kept[i].name, start->kept[i].fd);
	}
	fcntl(start->socket, F_SETFL, O_NONBLOCK);
	board_take_over(keeper, start->board);
	keeper->program = start->program;
	keeper->worker = (struct spawn_child){ .pid = (pid_t)start->pid,
					       .pidfd = start->worker,
					       .socket = start->socket };
	keeper->started_once = true;
	supervise_started(&keeper->supervise, keeper_now_ns());
	supervise_serving(&keeper->supervise, keeper_now_ns());
	watch_begin(&keeper->watch, keeper_now_ns());
	log_notice("keeper.start", "pid=%d worker=%d effect=\"took over\"", getpid(),
		   keeper->worker.pid);
	notify_main_pid(&keeper->notify);
	return 0;
}

/* What systemd kept when the last keeper was gone, and its worker with it. */
static void stored_take(struct keeper *keeper)
{
	struct protocol_kept stored[PROTOCOL_KEPT_MAX];
	unsigned count = notify_stored(stored);

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(stored[i].name, KEEPER_BOARD) == 0)
			board_take_over(keeper, stored[i].fd);
		else
			hold_adopt(&keeper->hold, stored[i].name, stored[i].fd);
	}
	if (keeper->hold.count == 0)
		return;
	log_notice("keeper.start", "stored=%u effect=\"takes over what systemd kept\"",
		   keeper->hold.count);
	keeper->supervise.served = keeper->started_once = true;
}

/* The first of its kind, or the first after all was lost. */
static int begin_new(struct keeper *keeper)
{
	char path[PATH_MAX] = "";
	int error = 0;

	stored_take(keeper);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -errno;
	keeper->program = spawn_open(path, "cenoted-worker");
	if (keeper->program < 0)
		return keeper->program;
	if (!keeper->board)
		error = board_make(keeper);
	if (error || !keeper->started_once)
		return error;
	keeper->board->end = BOARD_END_UNKNOWN;
	keeper->board->end_ns = keeper_now_ns();
	board_set_reason(keeper->board, "not known: its keeper was gone with it");
	return 0;
}

static int begin_given(struct keeper *keeper, const struct protocol_start *start)
{
	int error = take_over(keeper, start);

	if (!error && !keeper->board)
		error = board_make(keeper);
	return error;
}

int keeper_begin(struct keeper *keeper, char **arguments)
{
	const char *given = getenv(PROTOCOL_VARIABLE);
	struct protocol_start start;
	int error = 0;

	keeper->signals = signals_open();
	if (keeper->signals < 0)
		return -errno;
	notify_init(&keeper->notify);
	keeper->hold.notify = &keeper->notify;
	protocol_start_init(&start);
	start.oom = INT_MIN;
	if (given)
		error = protocol_start_decode(given, &start);
	if (error)
		return error;
	keeper->self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	error = spawn_init(&keeper->spawn, arguments, (int)start.oom);
	if (!error)
		error = given ? begin_given(keeper, &start) : begin_new(keeper);
	return error;
}
