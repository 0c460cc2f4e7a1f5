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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"

/* Of protocol 7.38 and later; this libfuse's headers end before. */
#define INIT2_DIRECT_IO_ALLOW_MMAP (1u << 4) /* of flags2 */
#define INIT2_PASSTHROUGH	   (1u << 5)
#define STACK_DEPTH		   1 /* backing files are on no stacked file system themselves */
#define OPEN_PASSTHROUGH	   (1u << 7) /* of open_flags */

/* Where this libfuse does not know passthrough, we complete its replies. */
#define LIBFUSE_PASSTHROUGH (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17))

#define INIT_WAIT_MS 10000
/* The kernel wants room for the largest write, of which there are none, or 8 KiB. Names, the
 * longest thing that a request carries here, fit many times. */
#define WRITE_MAX  4096
#define BUFFER_LEN 65536

struct channel {
	const struct channel_config *config;
	struct fuse_session *session;
	int fd;	      /* -1: not connected; owned by the session */
	int ended_fd; /* an eventfd */
	uint64_t init_unique;
	bool mmap_offered, passthrough_offered;
	_Atomic bool refusing;
	struct channel_thread {
		struct channel *channel;
		pthread_t thread;
		char *buffer; /* BUFFER_LEN */
	} threads[CHANNEL_THREADS_MAX];
	unsigned thread_count;
	bool stopped;
};

/* --- INIT ----------------------------------------------------------------------------------- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned wanted = FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ;
	/* A node's size and bytes never change: nothing to invalidate, nothing to ask again. And
	 * a node cannot be found by number alone once it is forgotten: no export. */
	const unsigned unwanted = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT |
				  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE;

	(void)userdata;
	conn->want |= conn->capable & wanted;
	conn->want &= ~unwanted;
	conn->max_read = CHANNEL_REQUEST_MAX;
	conn->max_write = WRITE_MAX;
	conn->time_gran = 1000000000;
#if LIBFUSE_PASSTHROUGH
	if (conn->capable & FUSE_CAP_PASSTHROUGH) {
		conn->want |= FUSE_CAP_PASSTHROUGH;
		conn->max_backing_stack_depth = STACK_DEPTH - 1; /* libfuse adds one */
	}
#endif
}

/* What libfuse 3.14 cannot ask for: mmap of direct I/O files (without it, MAP_SHARED of one fails:
 * numpy, Arrow, safetensors), and large reads although writes are small. And what it takes in
 * conn->want and then forgets in the reply: parallel look-ups in one directory. */
static void init_patch(const struct channel *channel, struct fuse_init_out *out)
{
	const uint32_t depth = STACK_DEPTH;

	out->flags |= FUSE_MAX_PAGES | FUSE_INIT_EXT | FUSE_PARALLEL_DIROPS;
	out->max_pages = CHANNEL_REQUEST_MAX / 4096;
	out->max_background = (uint16_t)channel->config->max_background;
	out->congestion_threshold = (uint16_t)(channel->config->max_background / 4 * 3);
	if (channel->mmap_offered)
		out->flags2 |= INIT2_DIRECT_IO_ALLOW_MMAP;
	else
		log_warning("mount.init", "text=\"this kernel has no FUSE_DIRECT_IO_ALLOW_MMAP "
					  "(6.6 and later do): MAP_SHARED of files will fail\"");
	if (!channel->passthrough_offered)
		return;
	out->flags2 |= INIT2_PASSTHROUGH;
	static_assert(sizeof(*out) >= offsetof(struct fuse_init_out, flags2) + 8, "room for it");
	memcpy((char *)out + offsetof(struct fuse_init_out, flags2) + sizeof(out->flags2), &depth,
	       sizeof(depth));
}

static ssize_t io_read(int fd, void *buffer, size_t len, void *userdata)
{
	(void)userdata;
	return read(fd, buffer, len); /* unused by our loop, but libfuse wants one */
}

/* Set for the thread that processes INIT, the only one then: its reply passes through io_writev(),
 * which is given the userdata of the operations and not the channel. */
static _Thread_local struct channel *init_channel;

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

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	ssize_t written;

	(void)userdata;
	if (init_channel && header->unique == init_channel->init_unique && count > 1 &&
	    iov[1].iov_len >= sizeof(struct fuse_init_out))
		init_patch(init_channel, iov[1].iov_base);
#if !LIBFUSE_PASSTHROUGH
	if (reply_backing_id && header->error == 0 && count == 2 &&
	    iov[1].iov_len == sizeof(struct fuse_open_out))
		open_patch(iov[1].iov_base);
#endif
	written = writev(fd, iov, count);
	if (written >= 0)
		return written;
	/* ENOENT: the request was interrupted; EPERM, ENODEV: the connection is gone. The asker is
	 * no longer there, nobody is hurt. libfuse prints anything but ENOENT. */
	if (errno != ENOENT && errno != EPERM && errno != ENODEV && errno != ECONNABORTED)
		log_warning("mount.reply", "error=\"%s\"", error_text(-errno));
	errno = ENOENT;
	return -1;
}

static int init_exchange(struct channel *channel, char *problem, size_t problem_size)
{
	char *buffer = channel->threads[0].buffer;
	struct pollfd ready = { .fd = channel->fd, .events = POLLIN };
	const struct fuse_in_header *header = (const void *)buffer;
	const struct fuse_init_in *in = (const void *)(header + 1);
	struct fuse_buf message = { .mem = buffer };
	ssize_t len;

	if (poll(&ready, 1, INIT_WAIT_MS) <= 0) {
		snprintf(problem, problem_size, "the kernel's FUSE did not begin within %d s",
			 INIT_WAIT_MS / 1000);
		return -ETIMEDOUT;
	}
	len = read(channel->fd, buffer, BUFFER_LEN);
	if (len < (ssize_t)sizeof(*header) || header->opcode != FUSE_INIT) {
		snprintf(problem, problem_size, "the kernel's FUSE did not begin with INIT");
		return -EPROTO;
	}
	channel->init_unique = header->unique;
	channel->mmap_offered = (size_t)len >= sizeof(*header) + sizeof(*in) &&
				in->flags & FUSE_INIT_EXT &&
				in->flags2 & INIT2_DIRECT_IO_ALLOW_MMAP;
	channel->passthrough_offered = (size_t)len >= sizeof(*header) + sizeof(*in) &&
				       in->flags & FUSE_INIT_EXT && in->flags2 & INIT2_PASSTHROUGH;
	message.size = (size_t)len;
	init_channel = channel;
	fuse_session_process_buf(channel->session, &message);
	init_channel = NULL;
	if (fuse_session_exited(channel->session)) {
		snprintf(problem, problem_size, "libfuse refused the kernel's protocol %u.%u",
			 in->major, in->minor);
		return -EPROTO;
	}
	return 0;
}

/* --- backing files -------------------------------------------------------------------------- */

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

static int backing_ioctl_open(int connection, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(connection, BACKING_OPEN, &map);

	if (id > 0)
		return id;
	return id < 0 ? -errno : -EPROTO;
}

static int backing_ioctl_close(int connection, int id)
{
	uint32_t number = (uint32_t)id;

	return ioctl(connection, BACKING_CLOSE, &number) ? -errno : 0;
}

static const struct channel_backing_ops backing_ioctls = {
	.open = backing_ioctl_open,
	.close = backing_ioctl_close,
};

const struct channel_backing_ops *channel_backing_ops = &backing_ioctls;

bool channel_passthrough(const struct channel *channel)
{
	return channel->passthrough_offered;
}

int channel_backing_open(const struct channel *channel, int fd)
{
	return channel_backing_ops->open(channel->fd, fd);
}

void channel_backing_close(const struct channel *channel, int id)
{
	int err = channel_backing_ops->close(channel->fd, id);

	if (err && err != -ENODEV && err != -ENOTCONN && err != -EPERM)
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
	struct fuse_out_header out = { .len = sizeof(out), .error = error, .unique = unique };

	if (write(channel->fd, &out, sizeof(out)) < 0)
		log_debug("mount.answer", "error=\"%s\"", error_text(-errno));
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

static void handle(struct channel *channel, char *buffer, size_t len)
{
	const struct fuse_in_header *header = (const void *)buffer;
	struct fuse_buf message = { .mem = buffer, .size = len };

	request = header->unique;
	if (header->opcode == FUSE_INTERRUPT)
		interrupt(channel, header);
	else if (atomic_load_explicit(&channel->refusing, memory_order_relaxed) &&
		 !lets_go(header->opcode))
		answer(channel, header->unique, -ENOTCONN);
	else
		fuse_session_process_buf(channel->session, &message);
}

/* The one place where a thread can be cancelled: it holds nothing there. */
static ssize_t request_read(const struct channel *channel, char *buffer)
{
	ssize_t len;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	len = read(channel->fd, buffer, BUFFER_LEN);
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
		len = request_read(channel, thread->buffer);
		if (len >= (ssize_t)sizeof(struct fuse_in_header))
			handle(channel, thread->buffer, (size_t)len);
		/* ENOENT: the request was interrupted before it was read. */
		else if (len != -EINTR && len != -EAGAIN && len != -ENOENT)
			break;
	}
	if (len < 0 && len != -ENODEV && len != -ECONNABORTED)
		log_error("mount.connection", "error=\"%s\"", error_text((int)len));
	eventfd_write(channel->ended_fd, 1);
	return NULL;
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
	channel->session = fuse_session_new(&args, &ops, sizeof(ops), config->userdata);
	fuse_opt_free_args(&args);
	channel->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < config->threads; i++)
		channel->threads[i].buffer = aligned_alloc(4096, BUFFER_LEN);
	if (!channel->session || channel->ended_fd < 0 ||
	    !channel->threads[config->threads - 1].buffer) {
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

int channel_start(struct channel *channel, int fd, char *problem, size_t problem_size)
{
	static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
	int err;

	err = fuse_session_custom_io(channel->session, &io, fd);
	if (err) {
		snprintf(problem, problem_size, "libfuse does not take the connection: %s",
			 error_text(err));
		close(fd);
		return -EPROTO;
	}
	channel->fd = fd;
	/* Before the threads: no other request may be processed before INIT. */
	err = init_exchange(channel, problem, problem_size);
	for (unsigned i = 0; !err && i < channel->config->threads; i++) {
		struct channel_thread *thread = &channel->threads[i];

		thread->channel = channel;
		err = thread_start(&thread->thread, "mount", serve, thread);
		if (err)
			snprintf(problem, problem_size, "starting thread %u: %s", i,
				 error_text(err));
		else
			channel->thread_count++;
	}
	return err;
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

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	channel_stop(channel);
	if (channel->session)
		fuse_session_destroy(channel->session); /* closes the descriptor */
	for (unsigned i = 0; i < CHANNEL_THREADS_MAX; i++)
		free(channel->threads[i].buffer);
	if (channel->ended_fd >= 0)
		close(channel->ended_fd);
	free(channel);
}
