/*
 * ledger.c - the memory as a whole: made, adopted, let go; and the connection's part of it.
 *
 * The header says where each part begins and how long a record is, under a check. A ledger with
 * other places or lengths is another version's, whatever it says: only one that agrees in all is
 * read. Sealed against being cut off, since a page that vanishes under a mapping is a SIGBUS.
 *
 * INIT has a length that is stored last: a death while it is saved leaves none. It is saved once,
 * before there is anything else to lose. The digests are stored again by each worker, most of them
 * the same at the same index: each is a word, and how many there are is stored after them, so that
 * a death leaves each as it was or as it is to be.
 */
#include "fuse/ledger/ledger.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "fuse/ledger/inside.h"

#define MAGIC	 UINT64_C(0x726467656c6e6563) /* "cenlegdr" */
#define PAGE_LEN 4096
#define SEALS	 (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct connection {
	_Atomic uint64_t init_len;
	_Atomic uint64_t entry_count;
	uint8_t init[LEDGER_INIT_MAX];
	_Atomic uint64_t digests[LEDGER_ENTRIES_MAX];
};

static_assert(sizeof(struct header) <= PAGE_LEN, "a page");
static_assert(sizeof(struct connection) <= CONNECTION_LEN, "its part");
static_assert(offsetof(struct connection, init) == 16, "all versions: ledger_init_of()");
static_assert(sizeof(_Atomic uint64_t) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "words are plain");

static const struct part {
	uint32_t count, record_len;
} parts[PART_COUNT] = {
	[PART_HEADER] = { 1, PAGE_LEN },
	[PART_CONNECTION] = { 1, CONNECTION_LEN },
	[PART_INBOXES] = { LEDGER_INBOXES, LEDGER_INBOX_LEN },
	[PART_MARKS] = { MARKS_COUNT, MARK_LEN },
	[PART_NODES] = { LEDGER_NODES_MAX, NODE_LEN },
	[PART_HANDLES] = { LEDGER_HANDLES_MAX, HANDLE_LEN },
	[PART_CURSORS] = { LEDGER_DIRECTORIES_MAX, CURSOR_LEN },
	[PART_BACKINGS] = { LEDGER_BACKING_MAX, BACKING_LEN },
};

static uint64_t part_len(enum ledger_part part)
{
	uint64_t len = (uint64_t)parts[part].count * parts[part].record_len;

	return len + -len % PAGE_LEN;
}

/* PART_COUNT: the length of the whole. */
static uint64_t part_off(enum ledger_part part)
{
	uint64_t off = 0;

	for (unsigned before = 0; before < part; before++)
		off += part_len(before);
	return off;
}

/* --- making and adopting */

/* @header: zeros. */
static void header_fill(struct header *header)
{
	uint64_t *shape = header->shape;

	static_assert(sizeof(header->shape) == sizeof(*shape) * 2 * PART_COUNT, "two words a part");
	header->magic = MAGIC;
	header->version = LEDGER_VERSION;
	for (unsigned part = 0; part < PART_COUNT; part++) {
		*shape++ = part_off(part);
		*shape++ = parts[part].record_len;
	}
	header->check = digest_crc64(header, offsetof(struct header, check));
}

/* Return: 0; -EPROTONOSUPPORT, -EBADMSG. */
static int header_check(int fd)
{
	struct header wanted = { 0 }, found;

	header_fill(&wanted);
	if (pread(fd, &found, sizeof(found), 0) != (ssize_t)sizeof(found) || found.magic != MAGIC)
		return -EBADMSG;
	if (found.version != LEDGER_VERSION) /* which may check itself in another way */
		return -EPROTONOSUPPORT;
	return memcmp(&found, &wanted, offsetof(struct header, node_id_top)) == 0 ? 0 : -EBADMSG;
}

static int memory_map(struct ledger *ledger, int fd)
{
	uint64_t len = part_off(PART_COUNT);
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* Names of users' files are not for a core file, nor are 2 GiB of holes. */
	(void)madvise(memory, len, MADV_DONTDUMP);
	ledger->fd = fd;
	ledger->memory = memory;
	ledger->header = memory;
	for (unsigned part = 0; part < PART_COUNT; part++)
		ledger->parts[part] = ledger->memory + part_off(part);
	return 0;
}

static int private_init(struct ledger *ledger)
{
	int error = ledger_nodes_init(ledger);

	if (!error)
		error = ledger_marks_init(ledger);
	if (!error)
		error = ledger_handles_init(ledger);
	if (!error)
		error = ledger_backings_init(ledger);
	return error;
}

/* @fd is taken on success. */
static int ledger_over(int fd, struct ledger **out_ledger)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	int error;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = -1;
	error = private_init(ledger);
	if (!error)
		error = memory_map(ledger, fd);
	if (error) {
		ledger_destroy(ledger);
		return error;
	}
	*out_ledger = ledger;
	return 0;
}

int ledger_create(struct ledger **out_ledger)
{
	int fd = memfd_create("cenote-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error = -ENOMEM;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -EMFILE : -ENOMEM;
	if (ftruncate(fd, (off_t)part_off(PART_COUNT)) != 0 || fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		goto close_fd;
	error = ledger_over(fd, out_ledger);
	if (error)
		goto close_fd;
	header_fill((*out_ledger)->header);
	return 0;

close_fd:
	close(fd);
	return error;
}

static int file_check(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	int error = header_check(fd);
	struct stat st;

	if (error)
		return error;
	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != part_off(PART_COUNT) || seals < 0 ||
	    !(seals & F_SEAL_SHRINK) || seals & F_SEAL_WRITE)
		return -EBADMSG;
	return 0;
}

int ledger_check(int fd)
{
	return file_check(fd);
}

static void connection_adopt(struct ledger *ledger)
{
	struct connection *connection = ledger_part(ledger, PART_CONNECTION);

	if (word_load(&connection->init_len) > LEDGER_INIT_MAX)
		word_store(&connection->init_len, 0);
	if (word_load(&connection->entry_count) > LEDGER_ENTRIES_MAX)
		word_store(&connection->entry_count, 0);
}

int ledger_adopt(int fd, struct ledger **out_ledger)
{
	struct ledger *ledger;
	int error = file_check(fd);

	if (!error)
		error = ledger_over(fd, &ledger);
	if (error)
		return error;
	connection_adopt(ledger);
	ledger_nodes_adopt(ledger);
	ledger_marks_adopt(ledger);
	ledger_handles_adopt(ledger);
	ledger_backings_adopt(ledger);
	ledger->adopted_ns = clock_now_ns(clock_system());
	*out_ledger = ledger;
	return 0;
}

int ledger_fd(const struct ledger *ledger)
{
	return ledger->fd;
}

void ledger_destroy(struct ledger *ledger)
{
	if (!ledger)
		return;
	if (ledger->memory) {
		CHECK(munmap(ledger->memory, part_off(PART_COUNT)) == 0);
		close(ledger->fd);
	}
	ledger_nodes_fini(ledger);
	ledger_marks_fini(ledger);
	ledger_handles_fini(ledger);
	ledger_backings_fini(ledger);
	free(ledger);
}

/* The same pages at the same addresses, copied when written to. Those not written to show what the
 * other makes of them: see what looks at disowned. */
void ledger_disown(struct ledger *ledger)
{
	void *memory;

	atomic_store(&ledger->disowned, true);
	memory = mmap(ledger->memory, part_off(PART_COUNT), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, ledger->fd, 0);
	CHECK(memory == ledger->memory);
	(void)madvise(memory, part_off(PART_COUNT), MADV_DONTDUMP);
}

uint64_t ledger_adopted_ns(const struct ledger *ledger)
{
	return ledger->adopted_ns;
}

void ledger_walk(struct ledger *ledger, enum ledger_part part,
		 void (*visit)(struct ledger *ledger, uint32_t place))
{
	uint32_t record_len = parts[part].record_len;
	off_t begin = (off_t)part_off(part), end = begin + (off_t)part_len(part), data, hole;

	CHECK(PAGE_LEN % record_len == 0); /* a record does not begin in a hole and end in data */
	for (data = begin; data < end; data = hole) {
		data = lseek(ledger->fd, data, SEEK_DATA);
		if (data < 0 || data >= end)
			break;
		hole = lseek(ledger->fd, data, SEEK_HOLE);
		if (hole < 0 || hole > end)
			hole = end;
		for (off_t off = data; off < hole; off += record_len)
			visit(ledger, (uint32_t)((off - begin) / record_len));
	}
}

bool ledger_text_is_name(const char *text, size_t len)
{
	return !memchr(text, '\0', len) && !memchr(text, '/', len);
}

/* --- the connection */

void ledger_set_init(struct ledger *ledger, const void *message, size_t len)
{
	struct connection *connection = ledger_part(ledger, PART_CONNECTION);

	CHECK(len <= LEDGER_INIT_MAX);
	word_store_first(&connection->init_len, 0);
	memcpy(connection->init, message, len);
	word_release(&connection->init_len, len);
}

size_t ledger_init(const struct ledger *ledger, void *out)
{
	const struct connection *connection = ledger_part(ledger, PART_CONNECTION);
	size_t len = (size_t)word_load(&connection->init_len);

	memcpy(out, connection->init, len);
	return len;
}

size_t ledger_init_of(int fd, void *out)
{
	const off_t place = (off_t)part_off(PART_CONNECTION);
	uint64_t magic = 0, len = 0;

	if (pread(fd, &magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) || magic != MAGIC)
		return 0;
	if (pread(fd, &len, sizeof(len), place) != (ssize_t)sizeof(len) || len > LEDGER_INIT_MAX)
		return 0;
	if (pread(fd, out, len, place + (off_t)offsetof(struct connection, init)) != (ssize_t)len)
		return 0;
	return len;
}

void *ledger_inbox(struct ledger *ledger, unsigned index)
{
	CHECK(index < LEDGER_INBOXES);
	return (uint8_t *)ledger_part(ledger, PART_INBOXES) + (size_t)index * LEDGER_INBOX_LEN;
}

uint64_t ledger_entries_digest(const struct ledger *ledger, unsigned index)
{
	const struct connection *connection = ledger_part(ledger, PART_CONNECTION);

	if (index >= word_load(&connection->entry_count))
		return 0;
	return word_load(&connection->digests[index]);
}

void ledger_set_entries(struct ledger *ledger, const uint64_t *digests, unsigned count)
{
	struct connection *connection = ledger_part(ledger, PART_CONNECTION);

	CHECK(count <= LEDGER_ENTRIES_MAX);
	for (unsigned i = 0; i < count; i++)
		word_store(&connection->digests[i], digests[i]);
	word_release(&connection->entry_count, count);
}
