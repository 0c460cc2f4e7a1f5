/*
 * channel.h - the connection to the kernel: a libfuse session whose messages pass through our hands
 * (fuse_session_custom_io), so that INIT can say what libfuse 3.14 cannot, and the threads that
 * read requests.
 *
 * The threads are few and do not wait for data: a request that cannot be answered at once is
 * answered later from another thread. They are our own rather than libfuse's so that their read
 * buffers are small (the mount is read-only: no request carries data, while libfuse takes 1 MiB a
 * thread), and so that stopping can refuse what still comes in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#define CHANNEL_REQUEST_MAX (1u << 20) /* bytes of a read */
#define CHANNEL_THREADS_MAX 64

struct channel;
struct mountpoint;

struct channel_config {
	const struct fuse_lowlevel_ops *ops; /* without init, which is the channel's */
	void *userdata;			     /* of ops and interrupt */
	/* The caller of request @unique was interrupted. Return: false when it does not wait: the
	 * kernel says so again if it still wants it by then. */
	bool (*interrupt)(void *userdata, uint64_t unique);
	bool allow_other; /* for fusermount3 */
	unsigned threads;
	unsigned max_background;
};

/**
 * channel_create() - a session, not yet connected.
 * @config: borrowed for life.
 * Return: 0; -EINVAL, -ENOMEM with @problem.
 */
int channel_create(const struct channel_config *config, struct channel **out_channel, char *problem,
		   size_t problem_size);

/** channel_session() - for mountpoint_mount() and nothing else. */
struct fuse_session *channel_session(struct channel *channel);

/**
 * channel_start() - exchanges INIT over @fd, which becomes the session's, and starts the threads.
 * Return: 0; -ETIMEDOUT the kernel said nothing; -EPROTO; -EAGAIN no thread left; with @problem.
 */
int channel_start(struct channel *channel, int fd, char *problem, size_t problem_size);

/** channel_ended() - a descriptor that becomes readable when the connection ended from outside. */
int channel_ended(const struct channel *channel);

/** channel_request() - the number of the request that this thread is processing. */
uint64_t channel_request(void);

/** channel_refuse() - from now on new requests are answered with ENOTCONN, but for those that only
 *  let go of something. */
void channel_refuse(struct channel *channel);

/** channel_stop() - joins the threads. The descriptor stays open: late replies go nowhere. */
void channel_stop(struct channel *channel);

/** channel_destroy() - closes it: nothing may be unanswered. NULL is fine. */
void channel_destroy(struct channel *channel);
