/*
 * piece.h - granules of an object read in the background, waited for: by the verifier and by who
 * makes a new file of an old one. Each has one buffer, which with the kernel's page cache is the
 * only payload outside the arena: a bound of two pieces a directory.
 */
#pragma once

#include <semaphore.h>
#include <stdint.h>

#include "cache/store/store.h"

#define PIECE_LEN (1u << 20) /* whole granules */

struct directory;

struct piece {
	struct store_read read;
	sem_t done;
	void *data; /* PIECE_LEN */
};

/** piece_init() - Return: 0 or -ENOMEM. */
int piece_init(struct piece *piece);
void piece_fini(struct piece *piece);

/**
 * piece_read() - inside: reads and verifies @len bytes of a block from granule @first on, into
 * piece->data. Blocks.
 * Return: 0; -ENOENT not here; -EBADMSG a granule did not match (its block is dropped); -EIO.
 */
int piece_read(struct piece *piece, struct directory *directory, const struct object_id *id,
	       uint64_t block, unsigned first, uint32_t len);
