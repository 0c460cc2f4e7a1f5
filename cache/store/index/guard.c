/*
 * guard.c - SIGBUS under a guard becomes an error. The handler is the
 * process's; a fault that belongs to no guard of this thread is passed on to what was there before.
 */
#include "cache/store/index/guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "base/check.h"

static _Thread_local sigjmp_buf *guard_here;
static struct sigaction sigbus_before;

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (sigbus_before.sa_flags & SA_SIGINFO) {
		sigbus_before.sa_sigaction(number, info, context);
	} else if (sigbus_before.sa_handler != SIG_DFL && sigbus_before.sa_handler != SIG_IGN) {
		sigbus_before.sa_handler(number);
	} else {
		/* The instruction faults again on return, now with the default: a core dump. */
		signal(SIGBUS, SIG_DFL);
	}
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	if (guard_here) {
		/* The handler is left by a jump: the mask as it was has to be restored by hand,
		 * since saving it in guard_run() would cost the hot path a system call. */
		pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
		siglongjmp(*guard_here, EIO);
	}
	pass_on(number, info, context);
}

void guard_install(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction present;

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&lock);
	CHECK(sigaction(SIGBUS, NULL, &present) == 0);
	if (present.sa_sigaction != on_sigbus) {
		sigbus_before = present;
		CHECK(sigaction(SIGBUS, &action, NULL) == 0);
	}
	pthread_mutex_unlock(&lock);
}

int guard_run(int (*body)(void *argument), void *argument, bool *out_jumped)
{
	sigjmp_buf back;
	int error;

	CHECK(!guard_here);
	*out_jumped = false;
	error = sigsetjmp(back, 0);
	if (error == 0) {
		guard_here = &back;
		error = body(argument);
	} else {
		*out_jumped = true;
		error = -error;
	}
	guard_here = NULL;
	return error;
}

_Noreturn void guard_give_up(void)
{
	CHECK(guard_here);
	siglongjmp(*guard_here, EUCLEAN);
}
