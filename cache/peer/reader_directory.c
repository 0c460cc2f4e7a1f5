/*
 * reader_directory.c - finding a unit in a neighbour's directory without its CPU: the superblock
 * once a connection, the bucket of the key, and for what is longer than a granule its checks.
 *
 *	SHAPE --> BUCKET --> CHECKS --> the bytes
 *	   |         |          |
 *	   `---------+----------`--> STAGE: whatever is not as it should be
 *
 * These READs land in slots of the reader's scratch; when all are taken, as well as while another
 * pursuit reads the superblock, the owner is asked at once.
 */
#include <assert.h>
#include <errno.h>

#include "cache/peer/reader_inside.h"

static_assert(DIRECTORY_SUPERBLOCK_LEN <= SCRATCH_SLOT_LEN, "a READ into a slot");
static_assert(DIRECTORY_BUCKET_LEN <= SCRATCH_SLOT_LEN, "a READ into a slot");
static_assert(DIRECTORY_CHECKS_LEN_MAX <= SCRATCH_SLOT_LEN, "a READ into a slot");

static void read_part(struct pursuit *pursuit, enum pursuit_state state, uint64_t off, size_t len)
{
	pursuit_read(pursuit, state, PEER_REGION_DIRECTORY, off, (uint32_t)len, pursuit->scratch,
		     pursuit->reader->setup.config->lease / 2);
}

static void read_bucket(struct pursuit *pursuit)
{
	const struct directory_shape *shape = &pursuit->neighbour->shape;

	read_part(pursuit, PURSUIT_BUCKET, directory_bucket_off(shape, &pursuit->fetch->key),
		  DIRECTORY_BUCKET_LEN);
}

bool directory_look(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	struct neighbour *neighbour = pursuit->neighbour;
	struct ledger *ledger = ledger_of(reader, neighbour);

	pursuit->looked = true;
	if (!ledger || ledger->no_directory || !reader->scratch_free_count)
		return false;
	if (!neighbour->shape_known && ledger->shape_reading)
		return false;
	pursuit->scratch = reader->scratch_free[--reader->scratch_free_count];
	pursuit->look_ns = reader_now(reader);
	if (neighbour->shape_known) {
		read_bucket(pursuit);
		return true;
	}
	ledger->shape_reading = pursuit->shaping = true;
	read_part(pursuit, PURSUIT_SHAPE, 0, DIRECTORY_SUPERBLOCK_LEN);
	return true;
}

/* The superblock is not being read any more, at least not by it. */
static void shape_leave(struct pursuit *pursuit)
{
	struct ledger *ledger = pursuit->neighbour ? pursuit->neighbour->ledger : NULL;

	if (pursuit->shaping && ledger)
		ledger->shape_reading = false;
	pursuit->shaping = false;
}

void directory_look_end(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	if (!pursuit->scratch)
		return;
	shape_leave(pursuit);
	reader_count(reader, PEERS_LOOKUP_NS, reader_now(reader) - pursuit->look_ns);
	reader->scratch_free[reader->scratch_free_count++] = pursuit->scratch;
	pursuit->scratch = NULL;
}

static void not_found(struct pursuit *pursuit)
{
	directory_look_end(pursuit);
	pursuit_stage(pursuit);
}

static void shape_arrived(struct pursuit *pursuit)
{
	struct neighbour *neighbour = pursuit->neighbour;

	if (directory_shape_read(pursuit->scratch, &neighbour->id, &neighbour->shape)) {
		((struct ledger *)neighbour->ledger)->no_directory = true;
		reader_count(pursuit->reader, PEERS_MALFORMED, 1);
		not_found(pursuit);
		return;
	}
	neighbour->shape_known = true;
	reader_epoch(pursuit->reader, neighbour, neighbour->shape.epoch);
	read_bucket(pursuit);
}

static void read_found(struct pursuit *pursuit)
{
	directory_look_end(pursuit);
	pursuit->source = SOURCE_DIRECTORY;
	pursuit->epoch = pursuit->neighbour->shape.epoch;
	pursuit->off = pursuit->place.off;
	pursuit_read_bytes(pursuit, pursuit->reader->setup.config->lease);
}

static void bucket_arrived(struct pursuit *pursuit)
{
	const struct directory_shape *shape = &pursuit->neighbour->shape;
	struct peer_fetch *fetch = pursuit->fetch;
	uint64_t off;
	size_t len;

	if (directory_bucket_find(shape, pursuit->scratch, &fetch->key, fetch->len,
				  &pursuit->place)) {
		not_found(pursuit);
		return;
	}
	if (fetch->len <= GRANULE_LEN) {
		fetch->checks[0] = pursuit->place.check;
		read_found(pursuit);
		return;
	}
	directory_checks_at(shape, &pursuit->place, &off, &len);
	read_part(pursuit, PURSUIT_CHECKS, off, len);
}

static void checks_arrived(struct pursuit *pursuit)
{
	if (directory_checks_read(&pursuit->neighbour->shape, pursuit->scratch,
				  &pursuit->fetch->key, &pursuit->place, pursuit->fetch->checks))
		not_found(pursuit);
	else
		read_found(pursuit);
}

void directory_arrived(struct pursuit *pursuit, int status)
{
	struct neighbour *neighbour = pursuit->neighbour;
	struct ledger *ledger = neighbour ? neighbour->ledger : NULL;

	shape_leave(pursuit);
	if (status == -ERANGE && ledger)
		ledger->no_directory = true; /* or none of the size that it says */
	if (status && status != -ERANGE) {
		directory_look_end(pursuit);
		pursuit_read_failed(pursuit, status);
	} else if (status || !neighbour || !ledger ||
		   (pursuit->state != PURSUIT_SHAPE && !neighbour->shape_known)) {
		not_found(pursuit); /* or given up, or another's shape by now */
	} else if (pursuit->state == PURSUIT_SHAPE) {
		shape_arrived(pursuit);
	} else if (pursuit->state == PURSUIT_BUCKET) {
		bucket_arrived(pursuit);
	} else {
		checks_arrived(pursuit);
	}
}
