/*
 * reader_read.c - READs, one at a time for a pursuit, and whether what they brought is right.
 *
 *	pursuit_read() --------------------------> transport --> arrived(): by the pursuit's state
 *	   |          |                               ^
 *	   |          | no room                       | reads_pump(): in order
 *	   |          `-------------> reader->reads --'
 *	   | a block, and enough of      ^
 *	   v its neighbour's are read    | one of them ended
 *	 ledger->blocks -----------------'
 *
 * Who reads ahead wants many blocks at once, from owners at random: of some owners several, which
 * share its link. All at once, each would come when the last does; one after the other, the one
 * that is wanted first comes first, and the window of who reads moves on.
 *
 * While a READ is under way its destination is the transport's: a pursuit that ends meanwhile waits
 * for it. Its time is bounded by the fetch's, so that this is no longer than a fence takes.
 *
 * Who is silent is given up soon; who is slow, as many read from it, some times later: the next one
 * to ask would have to get the block from it, too, or from the backing store.
 */
#include <errno.h>
#include <string.h>

#include "base/digest.h"
#include "cache/peer/reader_inside.h"

bool pursuit_verify(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	const struct peer_fetch *fetch = pursuit->fetch;
	uint64_t begun_ns = reader_now(reader);
	const uint8_t *data = fetch->dst;
	bool right = true;

	for (uint32_t off = 0; right && off < fetch->len; off += GRANULE_LEN) {
		uint32_t left = fetch->len - off;

		right = digest_crc64(data + off, left < GRANULE_LEN ? left : GRANULE_LEN) ==
			fetch->checks[off / GRANULE_LEN];
	}
	reader_count(reader, PEERS_VERIFY_NS, reader_now(reader) - begun_ns);
	return right;
}

static void remember(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	const struct peer_fetch *fetch = pursuit->fetch;
	struct locator locator = {
		.holder = pursuit->holder,
		.epoch = pursuit->epoch,
		.off = pursuit->off,
		.len = fetch->len,
	};

	memcpy(locator.checks, fetch->checks,
	       object_granule_count(fetch->len) * sizeof(*fetch->checks));
	locators_put(reader->locators, &fetch->key, &locator, reader_now(reader));
}

void pursuit_fetched(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	struct neighbour *neighbour = pursuit->neighbour;

	if (neighbour)
		neighbour_answered(reader->setup.neighbours, neighbour);
	/* what came by message need not lie anywhere; what is ours is here now */
	if (!pursuit->by_push && pursuit->source != SOURCE_FORMER)
		remember(pursuit);
	if (neighbour && (pursuit->source == SOURCE_LOCATOR || pursuit->source == SOURCE_DIRECTORY))
		tell_hit(reader, neighbour, &pursuit->fetch->key);
	pursuit->fetch->source = pursuit->holder;
	pursuit_end(pursuit, PEER_FETCHED, 0);
}

void pursuit_read_failed(struct pursuit *pursuit, int status)
{
	struct reader *reader = pursuit->reader;
	struct neighbour *neighbour = pursuit->neighbour;
	uint64_t now_ns = reader_now(reader);
	enum failure failure = FAILURE_CLOSED;

	if (status == -ECANCELED) {
		pursuit_again(pursuit);
		return;
	}
	pursuit_count_silent(pursuit, neighbour);
	/* A connection that broke is counted once, by reader_down(), and not for each READ on it;
	   so is the time-out of one that had hardly any time not its fault. */
	if (neighbour && status == -ETIMEDOUT &&
	    now_ns - pursuit->step_ns >= reader->setup.config->silence)
		neighbour_failed(reader->setup.neighbours, neighbour, now_ns,
				 "a read of its memory had no answer");
	if (neighbour && status == -ECONNRESET) /* READs hear of it before reader_down() */
		neighbour->closed_ns = now_ns;
	if (status == -ETIMEDOUT)
		failure = FAILURE_SILENT;
	else if (neighbour)
		failure = pursuit_unreachable(pursuit, neighbour);
	pursuit_failed(pursuit, failure);
}

static void bytes_arrived(struct pursuit *pursuit, int status)
{
	struct reader *reader = pursuit->reader;

	reader_count(reader, PEERS_READ_NS, reader_now(reader) - pursuit->step_ns);
	if (status && status != -ERANGE)
		pursuit_read_failed(pursuit, status);
	else if (status || !pursuit_verify(pursuit))
		pursuit_mismatch(pursuit);
	else
		pursuit_fetched(pursuit);
}

static void arrived(struct pursuit *pursuit, int status)
{
	if (pursuit->state == PURSUIT_ENDED)
		pursuit_read_over(pursuit);
	else if (pursuit->state == PURSUIT_READING)
		bytes_arrived(pursuit, status);
	else
		directory_arrived(pursuit, status);
}

static void enqueue(struct pursuit *pursuit, struct pursuit_list *queue)
{
	pursuit->queue = queue;
	TAILQ_INSERT_TAIL(queue, pursuit, by_queue);
}

static void dequeue(struct pursuit *pursuit)
{
	TAILQ_REMOVE(pursuit->queue, pursuit, by_queue);
	pursuit->queue = NULL;
}

/* Its neighbour may be given up by now, and its ledger gone. */
static struct ledger *ledger_now(const struct pursuit *pursuit)
{
	return pursuit->neighbour ? pursuit->neighbour->ledger : NULL;
}

static void block_begin(struct pursuit *pursuit, struct ledger *ledger)
{
	pursuit->block = true;
	ledger->blocks_read++;
}

/* The next one's turn, in the next reads_pump(). */
static void block_end(struct pursuit *pursuit)
{
	struct ledger *ledger = ledger_now(pursuit);
	struct pursuit *next;

	if (!pursuit->block)
		return;
	pursuit->block = false;
	if (!ledger)
		return;
	CHECK(ledger->blocks_read > 0);
	ledger->blocks_read--;
	next = TAILQ_FIRST(&ledger->blocks);
	if (!next)
		return;
	dequeue(next);
	block_begin(next, ledger);
	enqueue(next, &pursuit->reader->reads);
	pursuit->reader->reads_room = true;
}

static void read_done(struct transport_read *read)
{
	struct pursuit *pursuit = read->context;

	pursuit->reading = false;
	block_end(pursuit);
	pursuit->reader->reads_room = true;
	arrived(pursuit, read->status);
}

/* Return: as transport_read(). */
static int give(struct pursuit *pursuit)
{
	uint64_t by_ns =
		clock_after_ns(reader_now(pursuit->reader), READ_PATIENCE * pursuit->silence_ns);
	uint64_t deadline_ns = pursuit->fetch->deadline_ns;
	int error;

	pursuit->read.deadline_ns = by_ns < deadline_ns ? by_ns : deadline_ns;
	pursuit->read.silence_ns = pursuit->silence_ns;
	error = transport_read(pursuit->neighbour->peer, &pursuit->read);
	pursuit->reading = !error;
	return error;
}

/* Return: whether its neighbour has enough of its kind to send. */
static bool block_waits(struct pursuit *pursuit)
{
	struct ledger *ledger;

	if (pursuit->state != PURSUIT_READING || pursuit->read.len <= GRANULE_LEN)
		return false;
	ledger = ledger_of(pursuit->reader, pursuit->neighbour);
	if (!ledger) /* for want of memory */
		return false;
	if (ledger->blocks_read < BLOCKS_READ_MAX) {
		block_begin(pursuit, ledger);
		return false;
	}
	enqueue(pursuit, &ledger->blocks);
	return true;
}

void pursuit_read(struct pursuit *pursuit, enum pursuit_state state, uint32_t region, uint64_t off,
		  uint32_t len, void *dst, uint64_t silence_ns)
{
	struct reader *reader = pursuit->reader;
	int error = -EAGAIN;

	if (silence_ns > reader->setup.read_timeout)
		silence_ns = reader->setup.read_timeout;
	pursuit->silence_ns = silence_ns < READ_NS_MIN ? READ_NS_MIN : silence_ns;
	pursuit->state = state;
	pursuit->step_ns = reader_now(reader);
	pursuit->read = (struct transport_read){
		.region = region,
		.off = off,
		.len = len,
		.dst = dst,
		.done = read_done,
		.context = pursuit,
	};
	if (block_waits(pursuit))
		return;
	if (TAILQ_EMPTY(&reader->reads))
		error = give(pursuit);
	if (error == -EAGAIN) {
		enqueue(pursuit, &reader->reads);
	} else if (error) {
		block_end(pursuit);
		arrived(pursuit, error);
	}
}

void pursuit_leave_reads(struct pursuit *pursuit)
{
	if (!pursuit->queue)
		return;
	dequeue(pursuit);
	block_end(pursuit);
}

void reads_pump(struct reader *reader)
{
	struct pursuit *pursuit;

	if (!reader->reads_room)
		return;
	while ((pursuit = TAILQ_FIRST(&reader->reads))) {
		int error = give(pursuit);

		if (error == -EAGAIN)
			break;
		dequeue(pursuit);
		if (error) {
			block_end(pursuit);
			arrived(pursuit, error);
		}
	}
	reader->reads_room = false;
}

void pursuit_read_bytes(struct pursuit *pursuit, uint64_t lease_ns)
{
	const struct peer_fetch *fetch = pursuit->fetch;

	pursuit_read(pursuit, PURSUIT_READING, PEER_REGION_ARENA, pursuit->off, fetch->len,
		     fetch->dst, lease_ns / 2);
}

/* Return: whose locator it is; NULL: it is void, or who has it cannot be read now. */
static struct neighbour *holder_of(struct reader *reader, const struct peer_fetch *fetch,
				   const struct locator *locator)
{
	struct neighbours *neighbours = reader->setup.neighbours;
	struct neighbour *neighbour = neighbours_find(neighbours, &locator->holder);
	uint64_t now_ns = reader_now(reader);

	if (!neighbour || locator->len != fetch->len ||
	    (neighbour->epoch && neighbour->epoch != locator->epoch)) {
		locators_drop(reader->locators, &fetch->key);
		return NULL;
	}
	if (neighbour_is_restarting(neighbour, now_ns) ||
	    !neighbour_usable(neighbours, neighbour, now_ns))
		return NULL;
	return neighbour;
}

bool pursuit_read_locator(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;
	struct peer_fetch *fetch = pursuit->fetch;
	struct neighbour *neighbour;
	struct locator locator;

	if (locators_get(reader->locators, &fetch->key, reader_now(reader), &locator))
		return false;
	neighbour = holder_of(reader, fetch, &locator);
	if (!neighbour)
		return false;
	pursuit->source = SOURCE_LOCATOR;
	pursuit->neighbour = neighbour;
	pursuit->holder = neighbour->id;
	pursuit->away = !member_id_equal(&neighbour->id, &pursuit->owners[0]);
	pursuit->epoch = locator.epoch;
	pursuit->off = locator.off;
	memcpy(fetch->checks, locator.checks,
	       object_granule_count(fetch->len) * sizeof(*fetch->checks));
	pursuit_read_bytes(pursuit, reader->setup.config->lease);
	return true;
}
