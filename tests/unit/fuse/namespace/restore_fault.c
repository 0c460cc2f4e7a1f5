/*
 * restore_fault.c - see restore_fault.h.
 */
#include "tests/unit/fuse/namespace/restore_fault.h"

#include <errno.h>

#include "base/check.h"
#include "fuse/ledger/ledger.h"

#define NOWHERE UINT32_MAX

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
int __real_ledger_node_add(struct ledger *ledger, const struct ledger_node *node,
			   uint32_t *out_place);
int __wrap_ledger_node_add(struct ledger *ledger, const struct ledger_node *node,
			   uint32_t *out_place);
uint64_t __real_ledger_node_changed_ns(const struct ledger *ledger, uint32_t place);
uint64_t __wrap_ledger_node_changed_ns(const struct ledger *ledger, uint32_t place);

static bool is_full;
static uint32_t bent_place = NOWHERE;
static int64_t bent_by_ns;

int __wrap_ledger_node_add(struct ledger *ledger, const struct ledger_node *node,
			   uint32_t *out_place)
{
	return is_full ? -ENOSPC : __real_ledger_node_add(ledger, node, out_place);
}

uint64_t __wrap_ledger_node_changed_ns(const struct ledger *ledger, uint32_t place)
{
	uint64_t changed_ns = __real_ledger_node_changed_ns(ledger, place);

	return place == bent_place ? changed_ns + (uint64_t)bent_by_ns : changed_ns;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static int find(void *context, uint32_t place, const struct ledger_node *node)
{
	if (node->id == *(const uint64_t *)context)
		bent_place = place;
	return 0;
}

void restore_fault_full(bool full)
{
	is_full = full;
}

void restore_fault_changed(struct ledger *ledger, uint64_t id, int64_t by_ns)
{
	bent_by_ns = by_ns;
	ledger_nodes_each(ledger, find, &id);
	CHECK(bent_place != NOWHERE);
}

void restore_fault_reset(void)
{
	is_full = false;
	bent_place = NOWHERE;
}
