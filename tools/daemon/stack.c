/*
 * stack.c - see stack.h. The handler only makes calls that are allowed in one; it may still hang
 * where the unwinder's lock is held, which is why who asks does not wait for it.
 */
#include "tools/daemon/stack.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "fuse/keeper/link.h"

#define FRAMES_MAX 48

static void text_write(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

static void stack_write(int number)
{
	char name[17] = "";
	void *frames[FRAMES_MAX];
	int kept = errno;

	(void)number;
	(void)prctl(PR_GET_NAME, name);
	text_write("stack of thread ");
	text_write(name);
	text_write(":\n");
	backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
	errno = kept;
}

void stack_handler_install(void)
{
	struct sigaction action = { .sa_handler = stack_write, .sa_flags = SA_RESTART };
	void *frames[1];

	(void)backtrace(frames, 1); /* loads the unwinder now: a handler must not */
	sigemptyset(&action.sa_mask);
	CHECK(sigaction(LINK_STACKS_SIGNAL, &action, NULL) == 0);
}
