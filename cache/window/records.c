/*
 * records.c - the layout of the arena's tail, how it is written, and why it can be believed.
 *
 * All is a multiple of 8 bytes, at multiples of 8; integers are little-endian.
 *
 *	0	superblock, 64 bytes
 *	64	owners, 40 bytes
 *	128	8  slots that were in use at some time; a hint
 *	4096	records, 64 bytes each
 *	...	checks: 8 bytes for each granule of the arena, as they lie in memory
 *
 *	superblock			record: one not used is zeros
 *	  0	8  "cenotear"		   0	16 id of the object version
 *	  8	4  version		  16	8  index of the key
 *	 12	4  1: huge pages wanted	  24	8  off in the arena
 *	 16	8  length of the arena	  32	4  len
 *	 24	8  slots		  36	1  order of the frame
 *	 32	4  length of a block	  37	1  state
 *	 36	4  length of a granule	  38	2  zero
 *	 40	16 zero			  40	8  check of its bytes; 0 for more than a granule
 *	 56	8  own check over 0-55	  48	8  zero
 *					  56	8  own check: CRC-64 over 0 to 55 and, of a unit
 *	owners					   longer than a granule that is complete, the
 *	  0	8  process			   checks of its granules
 *	  8	8  its start
 *	 16	16 who had it before, if not gone
 *	 32	8  own check over 0-31
 *
 * Why nothing wrong comes out. A process may die between any two instructions. What it had stored
 * stays as it is, since the memory is the memfd's and not the process's; what it had not stored
 * yet, never comes. So what we find is some mixture of old and new, and three things are asked
 * before a byte of it is served:
 *
 *   - The own check of the record, over the key, the place and the checks. A record that was half
 *     written has words of two times: the check does not hold (one time in 2^64 it does).
 *   - All granules, in this process, against the checks in the record. It does not matter when the
 *     bytes came there or for whom: an id names one version of one object, so bytes with the checks
 *     of that version's granules are that version's bytes, however old the record is.
 *   - That nobody writes there any more. This alone is not a matter of checks: bytes that change
 *     after they were compared are served as they are then.
 *
 * No order of stores is needed for the first two, and none is kept. For the third it is, within one
 * thread's program: a FILLING record is in place before anything is told to write into the frame; a
 * record of complete bytes takes its place after the last of it has ended; it is erased before the
 * frame is given to anything else. Between these steps stands the lock of the window, which no
 * compiler moves stores across, and a thread that dies has done all that comes before some point
 * of its program and nothing behind it. So a torn record tells, too: of one that was being made
 * FILLING nothing had begun, of one that was being made complete or erased all had ended.
 *
 * Who may still write when the process has been killed:
 *
 *   - Its threads. They return from the kernel no more, but one that is copying there (a socket, a
 *     page cache) does so until it gets to die, and while it waits for a disk it does not. Until
 *     the process is gone (owner.h) the frames that were FILLING stay untouched.
 *   - RDMA. The kernel destroys the queue pairs when it closes the process's files, which it does
 *     before the process is gone.
 *   - Direct I/O from io_uring or from a thread. Nobody waits for it: the process may be reaped and
 *     a disk still have its pages to write into. When the process is gone, nothing new is started,
 *     so the pages that were FILLING are taken out of the memfd (arena_renew()): what the disk
 *     writes then goes where nobody looks. It works with small pages only: the kernel does not take
 *     a part out of a large one that is pinned, but clears it. Where it cannot be done (huge pages;
 *     the process is not gone) the frames are held back until it has been gone
 *     for longer than a block device keeps a request (HOLD_NS in cache/kept.c).
 *   - The SSD, which reads frames that were WRITING, and writes what it finds there into an
 *     object's file, behind the back of whoever reads that file now. So what it finds must stay
 *     right: the frame gets new pages with the same bytes, and the SSD keeps the old ones; or it is
 *     held, and may be read meanwhile.
 *
 * A record that is not believed may have been any of these. So when there is one, all that is free
 * is renewed; and where it cannot be, nothing of the arena is taken over.
 */
#include "cache/window/records.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "cache/window/buddy.h"

#define MAGIC		 UINT64_C(0x726165746f6e6563) /* "cenotear" */
#define PAGE_LEN	 4096
#define WORD_LEN	 ((size_t)8)
#define SUPERBLOCK_LEN	 64
#define OWNER_OFF	 64
#define OWNER_LEN	 ((size_t)16)
#define OWNERS_LEN	 (RECORDS_OWNERS * OWNER_LEN + WORD_LEN)
#define USED_OFF	 128
#define RECORDS_OFF	 PAGE_LEN
#define RECORD_LEN	 64
#define SEALED_LEN(len)	 ((len)-WORD_LEN)
#define FLAG_HUGE_PAGES	 1
#define RECORD_CHECK_MAX (SEALED_LEN(RECORD_LEN) + BLOCK_GRANULES_MAX * WORD_LEN)

static_assert(GRANULE_LEN >= 1 << BUDDY_ORDER_MIN, "a granule is at least a frame");

static size_t checks_off(const struct records_shape *shape)
{
	return RECORDS_OFF + shape->slot_count * RECORD_LEN;
}

size_t records_len(const struct records_shape *shape)
{
	size_t len = checks_off(shape) + shape->arena_len / GRANULE_LEN * WORD_LEN;

	return len + -len % PAGE_LEN;
}

/* --- words */

static _Atomic uint64_t *words_at(const struct records *records, uint64_t off)
{
	return (_Atomic uint64_t *)(void *)records->memory + off / WORD_LEN;
}

static void words_store(const struct records *records, uint64_t off, const void *bytes, size_t len)
{
	_Atomic uint64_t *words = words_at(records, off);
	const uint8_t *from = bytes;

	for (size_t i = 0; i < len / WORD_LEN; i++) {
		uint64_t word;

		memcpy(&word, from + i * WORD_LEN, WORD_LEN);
		atomic_store_explicit(&words[i], word, memory_order_relaxed);
	}
}

static void words_load(const struct records *records, uint64_t off, void *out, size_t len)
{
	const _Atomic uint64_t *words = words_at(records, off);
	uint8_t *to = out;

	for (size_t i = 0; i < len / WORD_LEN; i++) {
		uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);

		memcpy(to + i * WORD_LEN, &word, WORD_LEN);
	}
}

/* --- whose, and of what shape */

static void superblock_encode(const struct records_shape *shape, uint8_t out[SUPERBLOCK_LEN])
{
	memset(out, 0, SUPERBLOCK_LEN);
	bytes_put_u64(out, MAGIC);
	bytes_put_u32(out + 8, RECORDS_VERSION);
	bytes_put_u32(out + 12, shape->huge_pages ? FLAG_HUGE_PAGES : 0);
	bytes_put_u64(out + 16, shape->arena_len);
	bytes_put_u64(out + 24, shape->slot_count);
	bytes_put_u32(out + 32, shape->block_len);
	bytes_put_u32(out + 36, GRANULE_LEN);
	bytes_put_u64(out + SEALED_LEN(SUPERBLOCK_LEN),
		      digest_crc64(out, SEALED_LEN(SUPERBLOCK_LEN)));
}

static int superblock_check(const struct records_shape *shape, const uint8_t *at)
{
	uint8_t wanted[SUPERBLOCK_LEN];

	if (bytes_get_u64(at) != MAGIC)
		return -EBADMSG;
	/* another version may seal its superblock in another way */
	if (bytes_get_u32(at + 8) != RECORDS_VERSION)
		return -EPROTONOSUPPORT;
	if (bytes_get_u64(at + SEALED_LEN(SUPERBLOCK_LEN)) !=
	    digest_crc64(at, SEALED_LEN(SUPERBLOCK_LEN)))
		return -EBADMSG;
	superblock_encode(shape, wanted);
	return memcmp(at, wanted, sizeof(wanted)) == 0 ? 0 : -EINVAL;
}

static int owners_read(const struct records *records, struct owner out_owners[RECORDS_OWNERS])
{
	uint8_t bytes[OWNERS_LEN], *at = bytes;

	words_load(records, OWNER_OFF, bytes, sizeof(bytes));
	if (bytes_get_u64(bytes + SEALED_LEN(OWNERS_LEN)) !=
	    digest_crc64(bytes, SEALED_LEN(OWNERS_LEN)))
		return -EBADMSG;
	for (unsigned i = 0; i < RECORDS_OWNERS; i++, at += OWNER_LEN)
		out_owners[i] = (struct owner){ bytes_get_u64(at), bytes_get_u64(at + WORD_LEN) };
	return 0;
}

static void owners_write(struct records *records, const struct owner *owner,
			 const struct owner *before)
{
	const struct owner owners[RECORDS_OWNERS] = { *owner, *before };
	uint8_t bytes[OWNERS_LEN], *at = bytes;

	for (unsigned i = 0; i < RECORDS_OWNERS; i++, at += OWNER_LEN) {
		bytes_put_u64(at, owners[i].pid);
		bytes_put_u64(at + WORD_LEN, owners[i].start);
	}
	bytes_put_u64(at, digest_crc64(bytes, SEALED_LEN(OWNERS_LEN)));
	words_store(records, OWNER_OFF, bytes, sizeof(bytes));
}

void records_take(struct records *records, const struct owner *before)
{
	const struct owner self = owner_self();

	owners_write(records, &self, before);
}

void records_leave(struct records *records, const struct owner *before)
{
	const struct owner nobody = { 0 };

	owners_write(records, &nobody, before);
}

static void set_up(struct records *records, const struct records_shape *shape, void *tail)
{
	CHECK(shape->slot_count % RECORDS_GROUP == 0);
	*records = (struct records){ .shape = *shape, .memory = tail };
	records->checks = (uint64_t *)(void *)(records->memory + checks_off(shape));
}

void records_init(struct records *records, const struct records_shape *shape, void *tail)
{
	const struct owner nobody = { 0 };
	uint8_t superblock[SUPERBLOCK_LEN];

	set_up(records, shape, tail);
	records_take(records, &nobody);
	superblock_encode(shape, superblock);
	words_store(records, 0, superblock, sizeof(superblock));
}

int records_init_over(struct records *records, const struct records_shape *shape, void *tail,
		      struct owner out_owners[RECORDS_OWNERS])
{
	uint8_t superblock[SUPERBLOCK_LEN];
	struct records over;
	int error;

	set_up(&over, shape, tail);
	words_load(&over, 0, superblock, sizeof(superblock));
	error = superblock_check(shape, superblock);
	if (!error)
		error = owners_read(&over, out_owners);
	if (!error)
		*records = over;
	return error;
}

void records_seal(struct records *records)
{
	records->sealed = true;
}

uint64_t records_used(const struct records *records)
{
	uint64_t used = atomic_load_explicit(words_at(records, USED_OFF), memory_order_relaxed);

	return used < records->shape.slot_count ? used : records->shape.slot_count;
}

void records_use(struct records *records, uint64_t count)
{
	CHECK(count <= records->shape.slot_count);
	if (count > records_used(records))
		atomic_store_explicit(words_at(records, USED_OFF), count, memory_order_relaxed);
}

/* --- records */

static uint64_t slot_off(const struct records *records, uint64_t slot)
{
	CHECK(slot < records->shape.slot_count);
	return RECORDS_OFF + slot * RECORD_LEN;
}

static bool has_checks(const struct record *record)
{
	return record->len > GRANULE_LEN && record->state != RECORD_FILLING;
}

static uint64_t own_check(const struct records *records, const struct record *record,
			  const uint8_t *bytes)
{
	size_t sealed_len = SEALED_LEN(RECORD_LEN), checks_len = 0;
	uint8_t sealed[RECORD_CHECK_MAX];

	memcpy(sealed, bytes, sealed_len);
	if (has_checks(record))
		checks_len = object_granule_count(record->len) * WORD_LEN;
	memcpy(sealed + sealed_len, records->checks + record->off / GRANULE_LEN, checks_len);
	return digest_crc64(sealed, sealed_len + checks_len);
}

static void encode(const struct records *records, const struct record *record,
		   uint8_t out[RECORD_LEN])
{
	memset(out, 0, RECORD_LEN);
	memcpy(out, record->key.id.bytes, OBJECT_ID_LEN);
	bytes_put_u64(out + 16, record->key.index);
	bytes_put_u64(out + 24, record->off);
	bytes_put_u32(out + 32, record->len);
	out[36] = record->order;
	out[37] = record->state;
	bytes_put_u64(out + 40, record->len > GRANULE_LEN ? 0 : record->check);
	bytes_put_u64(out + SEALED_LEN(RECORD_LEN), own_check(records, record, out));
}

/* Whether a unit of that length can lie there. */
static bool is_sane(const struct records *records, const struct record *record)
{
	uint64_t arena_len = records->shape.arena_len, frame_len;

	if (record->state == RECORD_NOTHING || record->state >= RECORD_STATES || record->len == 0 ||
	    record->len > BLOCK_LEN_MAX || record->order != buddy_order_of(record->len))
		return false;
	frame_len = buddy_frame_len(record->order);
	return record->off < arena_len && record->off % frame_len == 0 &&
	       frame_len <= arena_len - record->off;
}

void records_put(struct records *records, uint64_t slot, const struct record *record)
{
	uint8_t bytes[RECORD_LEN];

	CHECK(is_sane(records, record));
	if (records->sealed)
		return;
	encode(records, record, bytes);
	words_store(records, slot_off(records, slot), bytes, sizeof(bytes));
}

void records_erase(struct records *records, uint64_t slot)
{
	static const uint8_t nothing[RECORD_LEN];

	if (!records->sealed)
		words_store(records, slot_off(records, slot), nothing, sizeof(nothing));
}

int records_get(const struct records *records, uint64_t slot, struct record *out_record)
{
	static const uint8_t nothing[RECORD_LEN];
	uint8_t bytes[RECORD_LEN], again[RECORD_LEN];
	struct record record;

	words_load(records, slot_off(records, slot), bytes, sizeof(bytes));
	if (memcmp(bytes, nothing, sizeof(bytes)) == 0)
		return -ENOENT;
	record = (struct record){
		.key.index = bytes_get_u64(bytes + 16),
		.off = bytes_get_u64(bytes + 24),
		.len = bytes_get_u32(bytes + 32),
		.order = bytes[36],
		.state = bytes[37],
		.check = bytes_get_u64(bytes + 40),
	};
	memcpy(record.key.id.bytes, bytes, OBJECT_ID_LEN);
	if (!is_sane(records, &record))
		return -EBADMSG;
	encode(records, &record, again);
	if (memcmp(bytes, again, sizeof(bytes)) != 0)
		return -EBADMSG;
	*out_record = record;
	return 0;
}
