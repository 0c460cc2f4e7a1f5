/*
 * init.c - see init.h.
 */
#include "fuse/init.h"

#include <assert.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "fuse/channel.h"

/* Of protocol 7.38 and later; this libfuse's headers end before. */
#define INIT2_DIRECT_IO_ALLOW_MMAP (1u << 4) /* of flags2 */
#define INIT2_PASSTHROUGH	   (1u << 5)
#define INIT2_HAS_RESEND	   (1u << 7)
#define STACK_DEPTH		   1 /* backing files are on no stacked file system themselves */

/* The kernel wants room for the largest write, of which there are none, or 8 KiB. Names, the
 * longest thing that a request carries here, fit many times. */
#define WRITE_MAX 4096

bool init_offer(const void *message, size_t len, struct init_offer *out)
{
	struct fuse_in_header header;
	struct fuse_init_in in = { 0 };
	uint32_t flags2;

	if (len < sizeof(header))
		return false;
	memcpy(&header, message, sizeof(header));
	if (header.opcode != FUSE_INIT || header.len != len)
		return false;
	/* An old kernel's message is shorter: what it does not say it does not offer. */
	if (len >= sizeof(header) + sizeof(in))
		memcpy(&in, (const char *)message + sizeof(header), sizeof(in));
	flags2 = in.flags & FUSE_INIT_EXT ? in.flags2 : 0;
	*out = (struct init_offer){
		.mmap = flags2 & INIT2_DIRECT_IO_ALLOW_MMAP,
		.passthrough = flags2 & INIT2_PASSTHROUGH,
		.resend = flags2 & INIT2_HAS_RESEND,
	};
	return true;
}

void init_want(struct fuse_conn_info *conn)
{
	const unsigned wanted = FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
				FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ;
	/* A node's size and bytes never change: nothing to invalidate, nothing to ask again. And
	 * a node cannot be found by number alone once it is forgotten: no export. */
	const unsigned unwanted = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPORT_SUPPORT |
				  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
				  FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE;

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
void init_complete(const struct init_offer *offer, unsigned max_background,
		   struct fuse_init_out *out)
{
	const uint32_t depth = STACK_DEPTH;

	out->flags |= FUSE_MAX_PAGES | FUSE_INIT_EXT | FUSE_PARALLEL_DIROPS;
	out->max_pages = CHANNEL_REQUEST_MAX / 4096;
	out->max_background = (uint16_t)max_background;
	out->congestion_threshold = (uint16_t)(max_background / 4 * 3);
	if (offer->mmap)
		out->flags2 |= INIT2_DIRECT_IO_ALLOW_MMAP;
	else
		log_warning("mount.init", "text=\"this kernel has no FUSE_DIRECT_IO_ALLOW_MMAP "
					  "(6.6 and later do): MAP_SHARED of files will fail\"");
	/* Nothing need be said for a resend: the kernel has it, and INIT tells that it has. */
	if (!offer->passthrough)
		return;
	out->flags2 |= INIT2_PASSTHROUGH;
	static_assert(sizeof(*out) >= offsetof(struct fuse_init_out, flags2) + 8, "room for it");
	memcpy((char *)out + offsetof(struct fuse_init_out, flags2) + sizeof(out->flags2), &depth,
	       sizeof(depth));
}
