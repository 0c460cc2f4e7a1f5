/*
 * init.h - what is said at INIT, the first message of a connection: the kernel offers, the reply
 * chooses. Part of it libfuse 3.14 cannot say: that is read from the message and written into the
 * reply on its way out.
 *
 * What was agreed holds for the life of the connection, which may be longer than the worker's that
 * agreed: the message is saved (ledger.h), and the next worker reads the same one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

/* libfuse speaks of passthrough from 3.17 on. */
#define LIBFUSE_PASSTHROUGH (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17))

struct fuse_init_out;

/* What the kernel can that libfuse does not tell us. */
struct init_offer {
	bool mmap;	  /* of direct I/O files: from 6.6 on */
	bool passthrough; /* from 6.9 on */
	bool resend;	  /* what a dead process had in hand comes again: from 6.9 on */
};

/** init_offer() - of a message as read from the connection. Return: false: it is not INIT. */
bool init_offer(const void *message, size_t len, struct init_offer *out);

/** init_want() - what libfuse is told, in its init(). */
void init_want(struct fuse_conn_info *conn);

/** init_complete() - the reply, as libfuse made it, of at least sizeof(*out) bytes. */
void init_complete(const struct init_offer *offer, unsigned max_background,
		   struct fuse_init_out *out);
