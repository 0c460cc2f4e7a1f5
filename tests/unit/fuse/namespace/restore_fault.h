/*
 * restore_fault.h - what the ledger says, bent for a test: that it is full, without 16 million
 * records; and when a record changed, without waiting. By the linker's --wrap.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ledger;

/** restore_fault_full() - no node finds room from now on, or does again. */
void restore_fault_full(bool full);

/** restore_fault_changed() - the record of node @id changed @by_ns later than it did. Of one node
 * at a time. @ledger: adopted. */
void restore_fault_changed(struct ledger *ledger, uint64_t id, int64_t by_ns);

/** restore_fault_reset() - all is as it is. */
void restore_fault_reset(void);
