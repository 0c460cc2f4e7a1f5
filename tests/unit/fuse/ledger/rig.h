/*
 * rig.h - a ledger, its next worker, and all that is in it in an order to compare.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fuse/ledger/ledger.h"

struct ledger *rig_create(void);

/** rig_adopt() - as the next worker finds it, while @ledger goes on. */
struct ledger *rig_adopt(const struct ledger *ledger);

/** rig_next() - as the next worker finds it; @ledger is gone with all that was private of it. */
struct ledger *rig_next(struct ledger *ledger);

/* A node with its texts. */
struct rig_node {
	struct ledger_node node; /* name and etag: of this */
	uint32_t place;
	char name[LEDGER_NAME_MAX + 1];
	char etag[LEDGER_ETAG_MAX + 1];
};

#define RIG_MAX 4096

/** rig_nodes() - all, by ascending id. @out: RIG_MAX. Return: how many. Likewise the others, by
 *  number and by id. */
unsigned rig_nodes(struct ledger *ledger, struct rig_node *out);
unsigned rig_handles(struct ledger *ledger, struct ledger_handle *out);
unsigned rig_backings(struct ledger *ledger, struct ledger_backing *out);

/** rig_node() - a file of that id; the rest follows from the id. */
struct ledger_node rig_node(uint64_t id, const char *name, const char *etag);

/** rig_text() - @len letters and a NUL, others for another @salt. */
void rig_text(char *out, size_t len, unsigned salt);

/** rig_memory_used() - bytes that the ledger's memory costs. */
uint64_t rig_memory_used(const struct ledger *ledger);
