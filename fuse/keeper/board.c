/*
 * board.c - see board.h.
 *
 * A request's place follows from its number. The kernel counts in steps of two, so that those in
 * hand at the same time have places side by side; one that finds its place and the next PROBES
 * taken is not watched. Nothing is ever moved: a worker that dies leaves at most a place taken,
 * which board_clear() frees.
 */
#include "fuse/keeper/board.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define PROBES	    64
#define COMES_AGAIN (UINT64_C(1) << 63) /* of a number: its first bearer died */

static_assert((BOARD_REQUESTS & (BOARD_REQUESTS - 1)) == 0, "a place is a remainder");
static_assert(offsetof(struct board, taken) == 8, "what another program must find");
static_assert(sizeof(struct board_request) == 24, "the same for every compiler");

void board_init(struct board *board)
{
	board->version = BOARD_VERSION;
}

bool board_valid(const struct board *board)
{
	return board->version == BOARD_VERSION && board->zero == 0;
}

static unsigned place_of(uint64_t unique, unsigned probe)
{
	return (unsigned)(((unique & ~COMES_AGAIN) / 2 + probe) % BOARD_REQUESTS);
}

void board_take(struct board *board, uint64_t unique, uint32_t opcode, uint64_t deadline_ns)
{
	atomic_fetch_add_explicit(&board->taken, 1, memory_order_relaxed);
	if (deadline_ns == 0 || unique == 0)
		return;
	for (unsigned i = 0; i < PROBES; i++) {
		struct board_request *request = &board->requests[place_of(unique, i)];
		uint64_t none = 0;

		if (!atomic_compare_exchange_strong(&request->unique, &none, unique))
			continue;
		atomic_store(&request->opcode, opcode);
		atomic_store(&request->deadline_ns, deadline_ns);
		return;
	}
	atomic_fetch_add_explicit(&board->unwatched, 1, memory_order_relaxed);
}

void board_answered(struct board *board, uint64_t unique)
{
	if (unique == 0)
		return;
	for (unsigned i = 0; i < PROBES; i++) {
		struct board_request *request = &board->requests[place_of(unique, i)];

		if (atomic_load(&request->unique) != unique)
			continue;
		/* The deadline first: the next who takes the place must not inherit it. */
		atomic_store(&request->deadline_ns, 0);
		atomic_store(&request->unique, 0);
		return;
	}
}

void board_clear(struct board *board)
{
	for (unsigned i = 0; i < BOARD_REQUESTS; i++) {
		atomic_store(&board->requests[i].deadline_ns, 0);
		atomic_store(&board->requests[i].unique, 0);
	}
}

bool board_overdue(const struct board *board, uint64_t now_ns, struct board_overdue *out)
{
	struct board_overdue found = { 0 };

	for (unsigned i = 0; i < BOARD_REQUESTS; i++) {
		const struct board_request *request = &board->requests[i];
		uint64_t unique = atomic_load(&request->unique);
		uint64_t deadline_ns = atomic_load(&request->deadline_ns);
		uint32_t opcode = atomic_load(&request->opcode);

		if (unique == 0 || deadline_ns == 0 || deadline_ns >= now_ns)
			continue;
		if (found.unique != 0 && found.deadline_ns <= deadline_ns)
			continue;
		/* Answered meanwhile, and its place another's? Then this one is not overdue. */
		if (atomic_load(&request->unique) == unique)
			found = (struct board_overdue){ unique, deadline_ns, opcode };
	}
	if (found.unique == 0)
		return false;
	*out = found;
	return true;
}

/* The text is read while it may be written, byte by byte: `changes` tells whether it was. */
void board_set_reason(struct board *board, const char *text)
{
	size_t len = strnlen(text, BOARD_REASON_MAX - 1);
	/* A keeper that died while writing left it odd. */
	uint32_t changes = atomic_load(&board->changes) | 1;

	atomic_store(&board->changes, changes);
	atomic_thread_fence(memory_order_release);
	for (size_t i = 0; i < len; i++)
		__atomic_store_n(&board->reason[i], text[i], __ATOMIC_RELAXED);
	__atomic_store_n(&board->reason[len], '\0', __ATOMIC_RELAXED);
	atomic_store(&board->changes, changes + 1);
}

bool board_reason(const struct board *board, char out[BOARD_REASON_MAX])
{
	uint32_t changes = atomic_load(&board->changes);
	char text[BOARD_REASON_MAX];

	if (changes & 1)
		return false;
	for (size_t i = 0; i < BOARD_REASON_MAX; i++)
		text[i] = __atomic_load_n(&board->reason[i], __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load(&board->changes) != changes)
		return false;
	text[BOARD_REASON_MAX - 1] = '\0';
	memcpy(out, text, BOARD_REASON_MAX);
	return true;
}
