/*
 * piece.c - see piece.h.
 */
#include "cache/store/handout/piece.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/store/directory.h"

#define ALIGN 4096

int piece_init(struct piece *piece)
{
	static_assert(PIECE_LEN % GRANULE_LEN == 0, "whole granules");
	piece->data = aligned_alloc(ALIGN, PIECE_LEN);
	if (!piece->data)
		return -ENOMEM;
	CHECK(sem_init(&piece->done, 0, 0) == 0);
	return 0;
}

void piece_fini(struct piece *piece)
{
	if (!piece->data)
		return;
	sem_destroy(&piece->done);
	free(piece->data);
	piece->data = NULL;
}

static void read_done(struct store_read *read)
{
	sem_post(&CONTAINER_OF(read, struct piece, read)->done);
}

int piece_read(struct piece *piece, struct directory *d, const struct object_id *id, uint64_t block,
	       unsigned first, uint32_t len)
{
	piece->read = (struct store_read){
		.id = *id,
		.block = block,
		.first_granule = first,
		.granule_count = object_granule_count(len),
		.dst = piece->data,
		.background = true,
		.done = read_done,
	};
	CHECK(len > 0 && len <= PIECE_LEN);
	if (!directory_read(d, &piece->read))
		return -ENOENT;
	while (sem_wait(&piece->done) != 0)
		CHECK(errno == EINTR);
	return piece->read.status;
}
