/*
 * faults.h - the machine's files with one kind of call that fails.
 */
#pragma once

#include <stdatomic.h>

#include "cache/store/files.h"

enum fault_call {
	FAULT_NONE,
	FAULT_OPEN,
	FAULT_WRITE,
	FAULT_TRUNCATE,
	FAULT_PUNCH,
	FAULT_SEAL,
	FAULT_SYNC, /* of any kind */
	FAULT_UNLINK,
	FAULT_MAKE_DIRECTORY,
	FAULT_RENAME,
	FAULT_IO_READ,
	FAULT_IO_WRITE,
	FAULT_ANY, /* of those above but I/O by the ring */
};

struct faults {
	struct files files;
	_Atomic int call;  /* enum fault_call */
	_Atomic int error; /* negative errno */
	_Atomic int after; /* calls that still succeed first */
	_Atomic int times; /* that it fails; then no more */
	_Atomic int failed;
};

void faults_init(struct faults *faults);

/** faults_set() - from now on calls of @call fail with @error, after @after of them, @times times.
 */
void faults_set(struct faults *faults, enum fault_call call, int error, int after, int times);
