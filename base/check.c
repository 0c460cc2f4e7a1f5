/*
 * check.c - the end of a process whose invariant is broken: one line, then a core.
 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

void check_failed(const char *condition, const char *file, int line, const char *function)
{
	/* not through log_write(): the broken invariant may be the log's own, and its level or its
	 * rate limit must not swallow this line */
	dprintf(STDERR_FILENO, "%scheck failed: %s at %s:%d in %s()\n",
		log_fd_is_journal(STDERR_FILENO) ? "<2>" : "", condition, file, line, function);
	abort();
}
