/*
 * marks.c - what was raised for which request, of the last 64 Ki raises: a ring of
 *
 *	  0	8  request; 0: none
 *	  8	4  place of the node
 *	 12	4  low half of its id: the place may be another's by the time it is looked at
 *
 * When a request comes again the kernel never had its reply, so what the dead worker raised for it
 * is lowered, all of it, before the request is served: the same names may lead to other nodes now,
 * and a directory's reader may get fewer of them. What a request in hand at the death had raised is
 * among the latest; a mark that gave way to a newer one leaves one lookup too many.
 *
 * What a death leaves: a mark is made after the raise, and taken away before it is undone. Where
 * the next one goes is stored before it is written, and it is empty while it is written: half of
 * one and half of another would lower a node that nobody raised.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"

#define RAISE_UNDONE UINT32_MAX

struct mark {
	_Atomic uint64_t unique;
	_Atomic uint64_t node;
};

static_assert(sizeof(struct mark) == MARK_LEN, "as drawn");
static_assert(LEDGER_NODES_MAX <= UINT32_MAX, "a place has 32 bits");

static struct mark *mark_at(const struct ledger *ledger, uint32_t index)
{
	return (struct mark *)ledger_part(ledger, PART_MARKS) + index;
}

void ledger_mark(struct ledger *ledger, uint64_t unique, uint32_t place, uint64_t id)
{
	uint64_t next = word_load(&ledger->header->mark_next);
	struct mark *mark = mark_at(ledger, next % MARKS_COUNT);

	word_store_first(&ledger->header->mark_next, next + 1);
	word_store_first(&mark->unique, 0);
	word_store(&mark->node, id << 32 | place);
	word_release(&mark->unique, unique & ~LEDGER_AGAIN);
}

/* --- those of the former worker */

static int order(const void *a, const void *b)
{
	const struct ledger_raise *x = a, *y = b;

	return x->unique < y->unique ? -1 : x->unique > y->unique;
}

static void mark_adopt(struct ledger *ledger, uint32_t index)
{
	uint64_t unique = word_load(&mark_at(ledger, index)->unique);

	if (unique)
		ledger->raises[ledger->raise_count++] = (struct ledger_raise){ unique, index };
}

void ledger_marks_adopt(struct ledger *ledger)
{
	ledger_walk(ledger, PART_MARKS, mark_adopt);
	qsort(ledger->raises, ledger->raise_count, sizeof(*ledger->raises), order);
}

/* Return: the first in raises that is not below @unique. */
static uint32_t raise_find(const struct ledger *ledger, uint64_t unique)
{
	uint32_t low = 0, high = ledger->raise_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ledger->raises[middle].unique < unique)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void ledger_undo(struct ledger *ledger, uint64_t unique, void (*each)(void *context, uint64_t id),
		 void *context)
{
	unique &= ~LEDGER_AGAIN;
	for (uint32_t i = raise_find(ledger, unique);
	     i < ledger->raise_count && ledger->raises[i].unique == unique; i++) {
		uint32_t index = ledger->raises[i].index;
		struct mark *mark = mark_at(ledger, index % MARKS_COUNT);
		uint64_t node = word_load(&mark->node), id = 0;

		ledger->raises[i].index = RAISE_UNDONE; /* there may be one of this worker next */
		if (index == RAISE_UNDONE || word_load(&mark->unique) != unique)
			continue; /* it gave way to a newer one */
		word_store_first(&mark->unique, 0);
		if ((uint32_t)node < LEDGER_NODES_MAX)
			id = ledger_node_undo(ledger, (uint32_t)node, (uint32_t)(node >> 32));
		if (id)
			each(context, id);
	}
}

int ledger_marks_init(struct ledger *ledger)
{
	ledger->raises = calloc(MARKS_COUNT, sizeof(*ledger->raises));
	return ledger->raises ? 0 : -ENOMEM;
}

void ledger_marks_fini(struct ledger *ledger)
{
	free(ledger->raises);
}
