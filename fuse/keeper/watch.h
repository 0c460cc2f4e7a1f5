/*
 * watch.h - whether the worker hangs: a request that it has in hand is past its deadline by
 * hang_after, or the kernel has requests for it and it has taken none for that long. Pure; the time
 * is passed in, about once a second.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/keeper/board.h"

#define WATCH_REASON_MAX 160

struct watch {
	uint64_t hang_after_ns;	  /* 0: does not watch */
	uint64_t seen_ns;	  /* the last look */
	uint64_t judge_ns;	  /* not before */
	uint64_t taken, taken_ns; /* of the board, and when it last moved or nothing waited */
};

/** watch_begin() - a worker serves from now on. */
void watch_begin(struct watch *watch, uint64_t now_ns);

/**
 * watch_look() - @waiting: the connection has requests that nobody has taken.
 * Return: whether the worker hangs, with @reason: WATCH_REASON_MAX bytes.
 */
bool watch_look(struct watch *watch, const struct board *board, bool waiting, uint64_t now_ns,
		char *reason);
