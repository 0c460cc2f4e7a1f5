/*
 * restore.h - the nodes that a former worker left in the ledger: what the kernel still knows.
 */
#pragma once

#include "fuse/namespace/inside.h"

/** restore() - before others run: of a ledger that was adopted, all nodes; and the ledger's list of
 *  mount entries. Return: 0; -ENOSPC with @problem; -ENOMEM. */
int restore(struct namespace *ns, char *problem, size_t problem_size);
