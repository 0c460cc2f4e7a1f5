/*
 * channel.c - see channel.h.
 */
#include "fuse/channel.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "fuse/connection.h"
#include "fuse/init.h"
#include "fuse/keeper/board.h"
#include "fuse/ledger/ledger.h"

/* Of protocol 7.38 and later; this libfuse's headers end before. */
#define OPEN_PASSTHROUGH (1u << 7) /* of open_flags */

#define INIT_WAIT_MS 10000

static_assert(CHANNEL_THREADS_MAX <= LEDGER_INBOXES, "an inbox for each thread");

struct channel {
	const struct channel_config *config;
	struct fuse_session *session;
	int fd;	      /* -1: not connected; owned by the session */
	int ended_fd; /* an eventfd */
	struct init_offer offer;
	bool taken_over;      /* from a former worker */
	uint64_t init_unique; /* of the INIT that is being processed; 0: none */
	_Atomic bool refusing, mute, ended;
	struct channel_thread {
		struct channel *channel;
		pthread_t thread;
		void *inbox; /* the ledger's, of LEDGER_INBOX_LEN */
	} threads[CHANNEL_THREADS_MAX];
	unsigned thread_count;
	bool stopped;
};

/* --- INIT ----------------------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	init_want(conn);
}

static ssize_t io_read(int fd, void *buffer, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buffer, len); /* unused by our loop, but libfuse wants one */
}

/* Set while this thread is in fuse_reply_open(): what libfuse cannot say in that reply. */
static _Thread_local int reply_backing_id;

#if !LIBFUSE_PASSTHROUGH
static void open_patch(struct fuse_open_out *out)
{
	static_assert(sizeof(struct fuse_open_out) == 16, "the id is what was padding");
	out->open_flags |= OPEN_PASSTHROUGH;
	memcpy((char *)out + sizeof(*out) - sizeof(int32_t), &reply_backing_id, sizeof(int32_t));
}
#endif

static size_t total_of(const struct iovec *iov, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	return total;
}

static ssize_t reply_write(struct channel *channel, int fd, const struct iovec *iov, int count)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	ssize_t written;

	if (atomic_load(&channel->mute)) {
		errno = ENOENT;
		return -1;
	}
	written = writev(fd, iov, count);
	board_answered(channel->config->board, header->unique | channel->config->board_tag);
	return written;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct channel *channel = userdata;
	const struct fuse_out_header *header = iov[0].iov_base;
	ssize_t written;

	/* Before there are threads. */
	if (channel->init_unique && header->unique == channel->init_unique) {
		if (channel->taken_over)
			return (ssize_t)total_of(iov, count); /* the kernel has had its reply */
		if (count > 1 && iov[1].iov_len >= sizeof(struct fuse_init_out))
			init_complete(&channel->offer, channel->config->max_background,
				      iov[1].iov_base);
	}
#if !LIBFUSE_PASSTHROUGH
	if (reply_backing_id && header->error == 0 && count == 2 &&
	    iov[1].iov_len == sizeof(struct fuse_open_out))
		open_patch(iov[1].iov_base);
#endif
	written = reply_write(channel, fd, iov, count);
	if (written >= 0)
		return written;
	/* ENOENT: the request was interrupted; EPERM, ENODEV: the connection is gone. The asker is
	 * no longer there, nobody is hurt. libfuse prints anything but ENOENT. */
	if (errno != ENOENT && errno != EPERM && errno != ENODEV && errno != ECONNABORTED)
		log_warning("mount.reply", "error=\"%s\"", error_text(-errno));
	errno = ENOENT;
	return -1;
}

/* The kernel's INIT into @buffer, an inbox. Return: its length, or a negative errno. */
static ssize_t init_read(const struct channel *channel, void *buffer, char *problem,
			 size_t problem_size)
{
	struct pollfd ready = { .fd = channel->fd, .events = POLLIN };
	ssize_t len;

	if (poll(&ready, 1, INIT_WAIT_MS) <= 0) {
		snprintf(problem, problem_size, "the kernel's FUSE did not begin within %d s",
			 INIT_WAIT_MS / 1000);
		return -ETIMEDOUT;
	}
	len = read(channel->fd, buffer, LEDGER_INBOX_LEN);
	if (len >= 0 && len <= LEDGER_INIT_MAX)
		return len;
	snprintf(problem, problem_size, "the kernel's FUSE did not begin with INIT: %s",
		 error_text(len < 0 ? -errno : -EMSGSIZE));
	return -EPROTO;
}

/* Before the threads: no other request may be processed before INIT. */
static int init_process(struct channel *channel, void *message, size_t len, char *problem,
			size_t problem_size)
{
	const struct fuse_in_header *header = message;
	const struct fuse_init_in *in = (const void *)(header + 1);
	struct fuse_buf buffer = { .mem = message, .size = len };

	if (!init_offer(message, len, &channel->offer)) {
		snprintf(problem, problem_size, "the kernel's FUSE did not begin with INIT");
		return -EPROTO;
	}
	channel->init_unique = header->unique;
	fuse_session_process_buf(channel->session, &buffer);
	channel->init_unique = 0;
	if (!fuse_session_exited(channel->session))
		return 0;
	snprintf(problem, problem_size, "libfuse refused the kernel's protocol %u.%u", in->major,
		 in->minor);
	return -EPROTO;
}

static int init_exchange(struct channel *channel, char *problem, size_t problem_size)
{
	void *inbox = ledger_inbox(channel->config->ledger, 0);
	ssize_t len = init_read(channel, inbox, problem, problem_size);
	int err;

	if (len < 0)
		return (int)len;
	err = init_process(channel, inbox, (size_t)len, problem, problem_size);
	if (!err)
		ledger_set_init(channel->config->ledger, inbox, (size_t)len);
	inbox_clear(inbox);
	return err;
}

/* From a copy: libfuse takes messages as memory that it may change. */
static int init_again(struct channel *channel, const void *init, size_t len, char *problem,
		      size_t problem_size)
{
	_Alignas(struct fuse_in_header) char message[LEDGER_INIT_MAX];

	CHECK(len <= sizeof(message));
	memcpy(message, init, len);
	channel->taken_over = true;
	return init_process(channel, message, len, problem, problem_size);
}

/* --- backing files -------------------------------------------------------------------------- */

static const struct channel_backing_ops backing_ioctls = {
	.open = connection_backing_open,
	.close = connection_backing_close,
};

const struct channel_backing_ops *channel_backing_ops = &backing_ioctls;

bool channel_passthrough(const struct channel *channel)
{
	return channel->offer.passthrough;
}

int channel_backing_open(const struct channel *channel, int fd)
{
	return channel_backing_ops->open(channel->fd, fd);
}

void channel_backing_close(const struct channel *channel, int id)
{
	int err = 0;

	if (!atomic_load(&channel->mute))
		err = channel_backing_ops->close(channel->fd, id);
	/* ENOENT: a former worker had closed it, and died before it could say so. */
	if (err && err != -ENOENT && err != -ENODEV && err != -ENOTCONN && err != -EPERM)
		log_warning("mount.backing", "id=%d error=\"%s\"", id, error_text(err));
}

int channel_reply_open(fuse_req_t fuse, struct fuse_file_info *info, int backing_id)
{
	int err;

#if LIBFUSE_PASSTHROUGH
	info->backing_id = backing_id;
#endif
	reply_backing_id = backing_id;
	err = fuse_reply_open(fuse, info);
	reply_backing_id = 0;
	return err;
}

/* --- requests ------------------------------------------------------------------------------- */

static bool lets_go(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_RELEASE ||
	       opcode == FUSE_RELEASEDIR || opcode == FUSE_DESTROY;
}

/* An answer that libfuse knows nothing of. */
static void answer(const struct channel *channel, uint64_t unique, int error)
{
	int err = connection_answer(channel->fd, unique, error);

	if (err)
		log_debug("mount.answer", "error=\"%s\"", error_text(err));
	board_answered(channel->config->board, unique | channel->config->board_tag);
}

static void interrupt(const struct channel *channel, const struct fuse_in_header *header)
{
	const struct fuse_interrupt_in *in = (const void *)(header + 1);

	if (header->len < sizeof(*header) + sizeof(*in))
		return;
	/* Answered meanwhile, or another thread is about to let it wait: if the kernel still has
	 * it, EAGAIN brings the interrupt back. */
	if (!channel->config->interrupt(channel->config->userdata, in->unique))
		answer(channel, header->unique, -EAGAIN);
}

static _Thread_local uint64_t request;

uint64_t channel_request(void)
{
	return request;
}

static bool wants_answer(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

/* On the board, whose reader's clock is the system's. */
static void take(const struct channel *channel, const struct fuse_in_header *header)
{
	const struct channel_config *config = channel->config;
	uint64_t deadline_ns = 0;

	if (wants_answer(header->opcode))
		deadline_ns = clock_after_ns(clock_now_ns(clock_system()),
					     config->own_time(config->userdata, header->opcode));
	board_take(config->board, header->unique | config->board_tag, header->opcode, deadline_ns);
}

static void handle(struct channel *channel, void *inbox, size_t len)
{
	const struct channel_config *config = channel->config;
	const struct fuse_in_header *header = inbox;
	struct fuse_buf message = { .mem = inbox, .size = len };

	request = header->unique;
	take(channel, header);
	if (header->opcode == FUSE_INTERRUPT)
		interrupt(channel, header);
	else if (header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET)
		inbox_forget(inbox, len, config->forget, config->userdata);
	else if (atomic_load_explicit(&channel->refusing, memory_order_relaxed) &&
		 !lets_go(header->opcode))
		answer(channel, header->unique, -ENOTCONN);
	else
		fuse_session_process_buf(channel->session, &message);
	inbox_clear(inbox);
}

/* The one place where a thread can be cancelled: it holds nothing there. What it has read by then
 * lies in the inbox, for the next worker. */
static ssize_t request_read(const struct channel *channel, void *inbox)
{
	ssize_t len;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	len = read(channel->fd, inbox, LEDGER_INBOX_LEN);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return len < 0 ? -errno : len;
}

static void *serve(void *argument)
{
	const struct channel_thread *thread = argument;
	struct channel *channel = thread->channel;
	ssize_t len;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	for (;;) {
		len = request_read(channel, thread->inbox);
		if (len >= (ssize_t)sizeof(struct fuse_in_header))
			handle(channel, thread->inbox, (size_t)len);
		/* ENOENT: the request was interrupted before it was read. */
		else if (len != -EINTR && len != -EAGAIN && len != -ENOENT)
			break;
	}
	if (len < 0 && len != -ENODEV && len != -ECONNABORTED)
		log_error("mount.connection", "error=\"%s\"", error_text((int)len));
	eventfd_write(channel->ended_fd, 1);
	if (!atomic_load(&channel->refusing) && !atomic_exchange(&channel->ended, true))
		channel->config->ended(channel->config->userdata);
	return NULL;
}

/* --- takeover --------------------------------------------------------------------------------- */

/* All inboxes: the former worker may have had more threads. */
static void leftovers_apply(const struct channel *channel)
{
	const struct channel_config *config = channel->config;
	unsigned count = 0;

	for (unsigned i = 0; i < LEDGER_INBOXES; i++)
		count += inbox_leftover(ledger_inbox(config->ledger, i), LEDGER_INBOX_LEN,
					config->forget, config->userdata);
	if (count > 0)
		log_notice("mount.leftovers", "forgets=%u", count);
}

/* Only now that everything which it may ask for is restored: what comes again comes before all
 * that waits. */
static int resend(const struct channel *channel, char *problem, size_t problem_size)
{
	int err = connection_resend(channel->fd);

	if (err)
		snprintf(problem, problem_size, "asking the kernel for what was in hand: %s",
			 error_text(err));
	return err;
}

/* --- life ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 0))) static void fuse_log_line(enum fuse_log_level level,
								const char *format, va_list args)
{
	char text[512];
	int len = vsnprintf(text, sizeof(text), format, args);

	if (len > 0 && (size_t)len < sizeof(text) && text[len - 1] == '\n')
		text[len - 1] = '\0';
	log_warning("mount.libfuse", "level=%d text=\"%s\"", (int)level, text);
}

int channel_create(const struct channel_config *config, struct channel **out_channel, char *problem,
		   size_t problem_size)
{
	static char program[] = "cenote", option[] = "-o";
	static char options[] = "fsname=cenote,subtype=cenote,default_permissions,ro,"
				"max_read=1048576,allow_other";
	static char own_options[] = "fsname=cenote,subtype=cenote,default_permissions,ro,"
				    "max_read=1048576";
	char *argv[] = { program, option, config->allow_other ? options : own_options };
	struct fuse_args args = FUSE_ARGS_INIT(ARRAY_COUNT(argv), argv);
	struct fuse_lowlevel_ops ops = *config->ops;
	struct channel *channel = calloc(1, sizeof(*channel));

	static_assert(CHANNEL_REQUEST_MAX == 1048576, "max_read above");
	if (!channel)
		return -ENOMEM;
	CHECK(config->threads > 0 && config->threads <= CHANNEL_THREADS_MAX);
	channel->config = config;
	channel->fd = channel->ended_fd = -1;
	ops.init = op_init;
	fuse_set_log_func(fuse_log_line);
	channel->session = fuse_session_new(&args, &ops, sizeof(ops), channel);
	fuse_opt_free_args(&args);
	channel->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!channel->session || channel->ended_fd < 0) {
		snprintf(problem, problem_size, "no FUSE session: out of memory or descriptors");
		channel_destroy(channel);
		return -ENOMEM;
	}
	*out_channel = channel;
	return 0;
}

struct fuse_session *channel_session(struct channel *channel)
{
	return channel->session;
}

void *channel_userdata(fuse_req_t fuse)
{
	const struct channel *channel = fuse_req_userdata(fuse);

	return channel->config->userdata;
}

int channel_connect(struct channel *channel, int fd, const void *init, size_t init_len,
		    char *problem, size_t problem_size)
{
	static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
	int err = fuse_session_custom_io(channel->session, &io, fd);

	if (err) {
		snprintf(problem, problem_size, "libfuse does not take the connection: %s",
			 error_text(err));
		close(fd);
		return -EPROTO;
	}
	channel->fd = fd;
	if (init)
		return init_again(channel, init, init_len, problem, problem_size);
	return init_exchange(channel, problem, problem_size);
}

int channel_serve(struct channel *channel, char *problem, size_t problem_size)
{
	int err = 0;

	if (channel->taken_over) {
		leftovers_apply(channel);
		err = resend(channel, problem, problem_size);
	}
	for (unsigned i = 0; !err && i < channel->config->threads; i++) {
		struct channel_thread *thread = &channel->threads[i];

		thread->channel = channel;
		thread->inbox = ledger_inbox(channel->config->ledger, i);
		inbox_prepare(thread->inbox, LEDGER_INBOX_LEN);
		err = thread_start(&thread->thread, "mount", serve, thread);
		if (err)
			snprintf(problem, problem_size, "starting thread %u: %s", i,
				 error_text(err));
		else
			channel->thread_count++;
	}
	return err;
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

bool channel_resends(const struct channel *channel)
{
	return channel->offer.resend;
}

int channel_ended(const struct channel *channel)
{
	return channel->ended_fd;
}

void channel_refuse(struct channel *channel)
{
	atomic_store(&channel->refusing, true);
}

void channel_stop(struct channel *channel)
{
	if (channel->stopped)
		return;
	channel->stopped = true;
	for (unsigned i = 0; i < channel->thread_count; i++)
		pthread_cancel(channel->threads[i].thread);
	for (unsigned i = 0; i < channel->thread_count; i++)
		pthread_join(channel->threads[i].thread, NULL);
	channel->thread_count = 0;
}

void channel_mute(struct channel *channel)
{
	atomic_store(&channel->mute, true);
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	channel_stop(channel);
	if (channel->session)
		fuse_session_destroy(channel->session); /* closes the descriptor */
	if (channel->ended_fd >= 0)
		close(channel->ended_fd);
	free(channel);
}
