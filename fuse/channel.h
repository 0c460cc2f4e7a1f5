/*
 * channel.h - the connection to the kernel: a libfuse session whose messages pass through our hands
 * (fuse_session_custom_io), so that INIT can say what libfuse 3.14 cannot, and the threads that
 * read requests.
 *
 * The connection may be one that a former worker served:
 *
 *	channel_connect()	new: exchanges INIT, which is saved; taken over: libfuse is
 *				given the saved one, and its reply goes nowhere
 *	...			everything that requests need is restored
 *	channel_serve()		what the former worker read of FORGET is done; the kernel is
 *				told to send again what that one had in hand; threads start
 *
 * Each thread reads into an inbox of the ledger, where the next worker finds what was not done
 * (inbox.h). Each request is on the board from when it is read to its reply.
 *
 * The threads are few and do not wait for data: a request that cannot be answered at once is
 * answered later from another thread. They are our own rather than libfuse's so that their read
 * buffers are small (the mount is read-only: no request carries data, while libfuse takes 1 MiB a
 * thread), and so that stopping can refuse what still comes in.
 *
 * Passthrough: an open file of ours is registered with the connection (a backing id), and the reply
 * to OPEN says that the kernel shall read that one instead of asking. libfuse speaks of it
 * from 3.17 on; with an older one the reply is completed on its way out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include "fuse/inbox.h"

#define CHANNEL_REQUEST_MAX (1u << 20) /* bytes of a read */
#define CHANNEL_THREADS_MAX 64
#define CHANNEL_AGAIN	    (UINT64_C(1) << 63) /* of a request's number: it was sent before */

/* Requests of several connections have the same numbers: on the board these bits, which the kernel
 * takes centuries to reach, tell them apart. */
#define CHANNEL_TAG(index) ((uint64_t)(index) << 56)

struct board;
struct channel;
struct ledger;
struct mountpoint;

/* How backing files are registered: ioctl() on the connection. Each returns an id above 0, or 0, or
 * a negative errno. Replaced by tests, whose connection is not the kernel's. */
struct channel_backing_ops {
	int (*open)(int connection, int fd);
	int (*close)(int connection, int id);
};

extern const struct channel_backing_ops *channel_backing_ops;

struct channel_config {
	/* Without init and forget, which are the channel's. */
	const struct fuse_lowlevel_ops *ops;
	void *userdata;	       /* of ops: channel_userdata(), and of the calls below */
	struct ledger *ledger; /* borrowed for life */
	struct board *board;   /* borrowed for life */
	uint64_t board_tag;    /* CHANNEL_TAG(), where connections share a board */
	inbox_forget_fn *forget;
	/* How long a request of that kind may take, in ns. */
	uint64_t (*own_time)(void *userdata, uint32_t opcode);
	/* The caller of request @unique was interrupted. Return: false when it does not wait: the
	 * kernel says so again if it still wants it by then. */
	bool (*interrupt)(void *userdata, uint64_t unique);
	void (*ended)(void *userdata); /* the connection, from outside. Once */
	bool allow_other;	       /* for fusermount3 */
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

/** channel_userdata() - of the config. */
void *channel_userdata(fuse_req_t fuse);

/**
 * channel_connect() - exchanges INIT over @fd, which becomes the session's also when this fails.
 * @init: a former worker's, saved, of @init_len bytes: it is processed in place of a new one, and
 *        the kernel hears nothing. NULL: the kernel's own is waited for, and saved in the ledger.
 * Return: 0; -ETIMEDOUT the kernel said nothing; -EPROTO; with @problem.
 */
int channel_connect(struct channel *channel, int fd, const void *init, size_t init_len,
		    char *problem, size_t problem_size);

/** channel_serve() - starts the threads; after a takeover what was in hand comes again.
 *  Return: 0; -EAGAIN no thread left; -ENODEV, -EPERM ... the connection has ended; with @problem.
 */
int channel_serve(struct channel *channel, char *problem, size_t problem_size);

/** channel_fd() - the connection. Borrowed. */
int channel_fd(const struct channel *channel);

/** channel_resends() - whether the kernel can send again what a dead worker had in hand. */
bool channel_resends(const struct channel *channel);

/** channel_ended() - a descriptor that becomes readable when the connection ended from outside. */
int channel_ended(const struct channel *channel);

/** channel_passthrough() - whether the kernel takes backing files (from 6.9 on). */
bool channel_passthrough(const struct channel *channel);

/**
 * channel_backing_open() - registers @fd, which the kernel holds from then on, to be named in
 * channel_reply_open().
 * Return: an id above 0; -EPERM without CAP_SYS_ADMIN in the initial user namespace; -ELOOP the
 * file is on a stacked file system (overlayfs); -EOPNOTSUPP; -ENOMEM ...
 */
int channel_backing_open(const struct channel *channel, int fd);

/** channel_backing_close() - not before the last RELEASE of who was given the id: an opener that
 *  the reply has not yet reached would get EIO. */
void channel_backing_close(const struct channel *channel, int id);

/** channel_reply_open() - fuse_reply_open(), for passthrough when @backing_id is not 0. Any thread.
 */
int channel_reply_open(fuse_req_t fuse, struct fuse_file_info *info, int backing_id);

/** channel_request() - the number of the request that this thread is processing, as it came: with
 *  CHANNEL_AGAIN or without. */
uint64_t channel_request(void);

/** channel_refuse() - from now on new requests are answered with ENOTCONN, but for those that only
 *  let go of something. */
void channel_refuse(struct channel *channel);

/** channel_stop() - joins the threads. The descriptor stays open: late replies go nowhere. */
void channel_stop(struct channel *channel);

/** channel_mute() - after channel_stop(), when another worker goes on: no reply is written any more
 *  and no backing file let go; who replies is told that the asker is gone. */
void channel_mute(struct channel *channel);

/** channel_destroy() - closes it: nothing may be unanswered. NULL is fine. */
void channel_destroy(struct channel *channel);
