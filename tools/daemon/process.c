/*
 * process.c - limits and habits of the daemon's process.
 */
#include "tools/daemon/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "tools/daemon/stack.h"

/* More would only make programs that walk all descriptors slow (some limits are 2^30). */
#define DESCRIPTORS_MAX (1u << 20)

/*
 * Resident memory is promised to stay within the arena and a fixed rest. glibc's default of eight
 * malloc arenas a core keeps what each thread once freed; two, trimmed early, do not. The
 * threshold lies above the receive buffers, which come and go with every S3 request: mapped each
 * time, their page faults would cost more than a small object does.
 */
static void memory_prepare(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 2 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warning("daemon.limits", "limit=nofile error=\"%s\"", error_text(-errno));
}

/*
 * Not dumpable: no core file, and no other process of this user reads our memory (ptrace,
 * /proc/PID/mem), where the secret keys are. RLIMIT_CORE alone would not do: a core that is piped
 * to a handler is not held to it.
 */
static void secrets_protect(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("daemon.limits", "limit=dumpable error=\"%s\"", error_text(-errno));
}

void process_prepare(bool core_dumps)
{
	memory_prepare();
	descriptors_raise();
	if (!core_dumps)
		secrets_protect();
	stack_handler_install();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
}
