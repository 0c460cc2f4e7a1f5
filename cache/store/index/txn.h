/*
 * txn.h - inside the index: what a transaction is, between index.c (environment, transactions,
 * growth) and tables.c (the records in it).
 */
#pragma once

#include <lmdb.h>

#include "cache/store/index/index.h"

enum index_table {
	INDEX_OBJECTS,
	INDEX_BLOCKS,
	INDEX_SEGMENTS,
	INDEX_DATASETS,
	INDEX_MEMBERS,
	INDEX_META,
	INDEX_TABLE_COUNT,
};

struct index_txn {
	MDB_txn *txn;
	const MDB_dbi *tables; /* INDEX_TABLE_COUNT */
};

/** index_error() - LMDB's codes as ours: 0, -ENOENT (not found), -ENOBUFS (map full: only
 *  index_update() sees it), -EUCLEAN (damage), or the system's. */
int index_error(int error);

/** index_walk() - looks at every record of every table, for what LMDB or the system finds wrong.
 *  Return: 0 or an error. Damaged values are left to those who get them. */
int index_walk(struct index_txn *txn);
