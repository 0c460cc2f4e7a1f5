/*
 * owner.h - what has become of the process that had the arena before us.
 *
 * A process that was killed is not gone: a thread may sit in the kernel for as long as a disk does
 * not answer, and go on copying into memory it has mapped. Only when all its threads have ended
 * does nothing of it run any more. What its devices were told to write is another matter:
 * window/records.h.
 */
#pragma once

#include <stdint.h>

/* Which process: a number comes again, with the time of its start it does not. */
struct owner {
	uint64_t pid;	/* 0: nobody */
	uint64_t start; /* since the boot, in the kernel's ticks; 0: not known */
};

enum owner_state {
	OWNER_GONE,    /* all its threads have ended; or it is this process, or nobody */
	OWNER_DYING,   /* it runs no code of its own any more, but is not gone */
	OWNER_RUNNING, /* or nothing can be found out about it */
};

/** owner_self() - this process. */
struct owner owner_self(void);

/** owner_state() - some microseconds. Any thread. */
enum owner_state owner_state(const struct owner *owner);

/**
 * owner_parse() - reads what /proc/PID/stat says: @text, with a NUL at its end.
 * Return: 0; -EBADMSG: it is none.
 */
int owner_parse(const char *text, uint64_t *out_start, enum owner_state *out_state);
