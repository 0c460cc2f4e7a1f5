/*
 * inbox.c - see inbox.h.
 */
#include "fuse/inbox.h"

#include <assert.h>
#include <linux/fuse.h>
#include <sys/mman.h>

static_assert(sizeof(struct fuse_in_header) % 8 == 0, "what follows it is aligned");
static_assert(sizeof(struct fuse_batch_forget_in) % 8 == 0, "and what follows that");

#define PAGE_LEN 4096

void inbox_prepare(void *inbox, size_t inbox_len)
{
	/* Where the limit of locked memory is too low for so little, they are there at least now.
	 */
	(void)mlock(inbox, inbox_len);
	for (size_t off = 0; off < inbox_len; off += PAGE_LEN)
		__atomic_fetch_or((char *)inbox + off, 0, __ATOMIC_RELAXED);
}

/* Takes the number out of the message and leaves 0 there: one store, which another process sees
 * also when this one dies right after it. */
static uint64_t take(uint64_t *field)
{
	return __atomic_exchange_n(field, 0, __ATOMIC_SEQ_CST);
}

static void forget_one(struct fuse_forget_one *one, inbox_forget_fn *forget, void *userdata)
{
	uint64_t node = one->nodeid;
	uint64_t count = take(&one->nlookup);

	if (count > 0)
		forget(userdata, node, count);
}

static bool batch(void *body, size_t len, inbox_forget_fn *forget, void *userdata)
{
	const struct fuse_batch_forget_in *in = body;
	struct fuse_forget_one *ones = (void *)((char *)body + sizeof(*in));
	uint32_t count;

	if (len < sizeof(*in))
		return false;
	count = in->count;
	if (count > (len - sizeof(*in)) / sizeof(*ones))
		return false;
	for (uint32_t i = 0; i < count; i++)
		forget_one(&ones[i], forget, userdata);
	return true;
}

bool inbox_forget(void *message, size_t len, inbox_forget_fn *forget, void *userdata)
{
	const struct fuse_in_header *header = message;
	void *body = (char *)message + sizeof(*header);
	struct fuse_forget_in *in = body;
	uint64_t count;

	if (len < sizeof(*header))
		return false;
	len -= sizeof(*header);
	if (header->opcode == FUSE_BATCH_FORGET)
		return batch(body, len, forget, userdata);
	if (header->opcode != FUSE_FORGET || len < sizeof(*in))
		return false;
	count = take(&in->nlookup);
	if (count > 0)
		forget(userdata, header->nodeid, count);
	return true;
}

bool inbox_leftover(void *inbox, size_t inbox_len, inbox_forget_fn *forget, void *userdata)
{
	uint32_t len = ((const struct fuse_in_header *)inbox)->len;
	bool found = len <= inbox_len && inbox_forget(inbox, len, forget, userdata);

	inbox_clear(inbox);
	return found;
}

void inbox_clear(void *inbox)
{
	struct fuse_in_header *header = inbox;

	__atomic_store_n(&header->len, 0, __ATOMIC_SEQ_CST);
}
