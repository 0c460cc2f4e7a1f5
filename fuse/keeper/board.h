/*
 * board.h - what the worker and its keeper show each other: a page of shared memory, made by the
 * keeper and mapped by every worker. The worker writes which requests it has in hand and by when
 * each must be answered; the keeper, which watches, writes how often it had to start a worker and
 * why.
 *
 * Plain atomics, no lock: either may die at any time. The keeper believes nothing in it that could
 * hurt it; a worker without a keeper has a board of its own that nobody reads.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_VERSION	 1
#define BOARD_REQUESTS	 8192 /* in hand at once and watched; more are served all the same */
#define BOARD_REASON_MAX 256

struct board_request {
	_Atomic uint64_t unique;      /* 0: free */
	_Atomic uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: not set yet */
	_Atomic uint32_t opcode;
	uint32_t zero;
};

/* Why the last worker ended. */
enum board_end {
	BOARD_END_NONE,
	BOARD_END_EXIT,	   /* by itself, with a status other than 0 */
	BOARD_END_SIGNAL,  /* a crash, kill -9, the OOM killer */
	BOARD_END_HANG,	   /* a request was overdue, or none was taken: it was killed */
	BOARD_END_UPGRADE, /* as told */
	BOARD_END_UNKNOWN, /* it was not this keeper's child */
};

struct board {
	uint32_t version, zero;
	/* the worker writes */
	_Atomic uint64_t taken;	    /* requests read from the kernel */
	_Atomic uint64_t unwatched; /* of them, found no place in requests[] */
	struct board_request requests[BOARD_REQUESTS];
	/* the keeper writes */
	_Atomic int32_t keeper_pid;
	_Atomic uint32_t restarts;	/* workers started after the first, upgrades included */
	_Atomic uint64_t hang_after_ns; /* as told by the worker; 0: does not watch */
	_Atomic uint32_t end;		/* enum board_end: of the last worker */
	_Atomic uint32_t end_code;	/* its exit status or signal */
	_Atomic uint64_t end_ns;	/* CLOCK_MONOTONIC: when its end was seen */
	_Atomic uint32_t changes;	/* odd while reason is being written */
	char reason[BOARD_REASON_MAX];	/* for people; board_reason() */
};

/** board_init() - of memory that is zero. */
void board_init(struct board *board);

/** board_valid() - whether it is one, of this version. */
bool board_valid(const struct board *board);

/** board_take() - request @unique is in hand, to be answered by @deadline_ns; 0: it was read, and
 *  wants no answer. Any thread. */
void board_take(struct board *board, uint64_t unique, uint32_t opcode, uint64_t deadline_ns);

/** board_answered() - it is not any more; nothing when it was not watched. Any thread. */
void board_answered(struct board *board, uint64_t unique);

/** board_clear() - none is in hand: a new worker begins. Before its threads. */
void board_clear(struct board *board);

struct board_overdue {
	uint64_t unique, deadline_ns;
	uint32_t opcode;
};

/** board_overdue() - the request that is longest past its deadline at @now_ns.
 *  Return: false: none is. */
bool board_overdue(const struct board *board, uint64_t now_ns, struct board_overdue *out);

/** board_set_reason(), board_reason() - one writer, any number of readers.
 *  Return: false when it could not be read whole. */
void board_set_reason(struct board *board, const char *text);
bool board_reason(const struct board *board, char out[BOARD_REASON_MAX]);
