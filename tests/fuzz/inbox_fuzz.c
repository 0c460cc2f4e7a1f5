/*
 * inbox_fuzz.c - any bytes as what a dead worker left in an inbox: nothing outside of it is read,
 * it is empty afterwards, and what was done of it is not done a second time when the one who does
 * it dies, too, before it says so.
 */
/* fuzz-links: cenote_base cenote_fuse */
#include <linux/fuse.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuse/inbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void forget(void *userdata, uint64_t node, uint64_t count)
{
	uint64_t *calls = userdata;

	(void)node;
	CHECK(count > 0);
	++*calls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	/* As long as the input but for a header: there is always room for one. */
	size_t inbox_len =
		len < sizeof(struct fuse_in_header) ? sizeof(struct fuse_in_header) : len;
	struct fuse_in_header *inbox = calloc(1, inbox_len);
	uint64_t calls = 0, again = 0;
	uint32_t said;
	bool found;

	CHECK(inbox);
	memcpy(inbox, data, len);
	said = inbox->len;
	found = inbox_leftover(inbox, inbox_len, forget, &calls);
	CHECK(inbox->len == 0);
	CHECK(found || calls == 0);
	CHECK(!found || (said <= inbox_len &&
			 (inbox->opcode == FUSE_FORGET || inbox->opcode == FUSE_BATCH_FORGET)));
	CHECK(calls <= inbox_len / sizeof(struct fuse_forget_one));
	inbox->len = said;
	(void)inbox_leftover(inbox, inbox_len, forget, &again);
	CHECK(again == 0);
	free(inbox);
	return 0;
}
