/*
 * Tests of ledger/ledger.h: a worker dies, and what the next one finds is what it had recorded.
 *
 * Once at every instruction that changed the memory: the worker is single-stepped, and after each
 * such instruction its memory is copied and adopted. And at moments that nobody chose, by SIGKILL,
 * generation after generation on one memory.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "fuse/ledger/inside.h"
#include "tests/unit/fuse/ledger/model.h"
#include "tests/unit/fuse/ledger/rig.h"

#define STEPPED_OPERATIONS 200
#define STEPS_MAX	   100000 /* fewer operations are stepped where each has more instructions */
#define GENERATIONS	   200
#define OPERATIONS_MAX	   5000 /* of a generation */
#define NOT_PERMITTED	   77

/* What the worker tells: the test sees it whenever it dies. */
struct progress {
	_Atomic uint64_t done;	 /* operations finished */
	_Atomic uint64_t inside; /* 1: one is in hand */
	_Atomic uint64_t number; /* of the handle that was added last */
};

static struct progress *progress;

static int setup(void **state)
{
	(void)state;
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	return progress == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(progress, sizeof(*progress));
}

/* Stopped for who traces it, in front of each call, if @stops. */
static void work(struct model *model, struct ledger *ledger, unsigned count, bool stops)
{
	static struct model_call call;

	for (unsigned i = 0; i < count; i++) {
		struct model_operation operation = model_choose(model);

		model_prepare(model, &operation, &call);
		/* As if the ring of marks had gone round: each takes the place of the one before.
		 */
		word_store(&ledger->header->mark_next, 0);
		if (stops)
			raise(SIGSTOP);
		word_release(&progress->inside, 1);
		model_call(&call, ledger);
		word_release(&progress->inside, 0);
		if (operation.kind == MODEL_HANDLE_ADD)
			word_release(&progress->number, call.number);
		model_apply(model, &operation);
		model_note(model, &call);
		word_release(&progress->done, i + 1);
	}
}

/* --- at every instruction */

/* The used beginning of each part. */
static const struct watched {
	enum ledger_part part;
	size_t len;
} watched[] = {
	{ PART_HEADER, sizeof(struct header) },
	{ PART_NODES, (size_t)MODEL_NODES * 4 * NODE_LEN },
	{ PART_HANDLES, (size_t)MODEL_HANDLES *HANDLE_LEN },
	{ PART_CURSORS, (size_t)MODEL_HANDLES *CURSOR_LEN },
	{ PART_BACKINGS, (size_t)MODEL_BACKINGS *BACKING_LEN },
	{ PART_MARKS, (size_t)STEPPED_OPERATIONS *MARK_LEN },
};

static uint8_t seen[ARRAY_COUNT(watched)][32768];

/* Return: whether the memory is another than when last asked. */
static bool has_changed(const struct ledger *ledger)
{
	bool changed = false;

	for (size_t i = 0; i < ARRAY_COUNT(watched); i++) {
		const void *memory = ledger_part(ledger, watched[i].part);

		CHECK(watched[i].len <= sizeof(seen[i]));
		if (memcmp(seen[i], memory, watched[i].len) == 0)
			continue;
		memcpy(seen[i], memory, watched[i].len);
		changed = true;
	}
	return changed;
}

/* What the next worker would adopt: the memory as it is now, and not as it goes on. */
static struct ledger *ledger_copy(const struct ledger *ledger)
{
	struct ledger *empty = rig_create(), *copy;
	off_t data = 0, hole;

	while ((data = lseek(ledger_fd(ledger), data, SEEK_DATA)) >= 0) {
		hole = lseek(ledger_fd(ledger), data, SEEK_HOLE);
		CHECK(hole > data);
		memcpy(empty->memory + data, ledger->memory + data, (size_t)(hole - data));
		data = hole;
	}
	copy = rig_next(empty);
	return copy;
}

static pid_t stepped_worker(struct model *model, struct ledger *ledger)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(errno == EPERM ? NOT_PERMITTED : 1);
		work(model, ledger, STEPPED_OPERATIONS, true);
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

/* A step wakes the other process: on one processor that is a switch, on two it is much more. */
static void stay_on_one_processor(void)
{
	cpu_set_t all, one;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

struct comparison {
	struct model before, after;
	struct model_operation in_hand; /* leads from before to after */
};

static void comparison_next(struct comparison *comparison)
{
	comparison->before = comparison->after;
	comparison->in_hand = model_choose(&comparison->after);
	model_apply(&comparison->after, &comparison->in_hand);
}

static void compare_copy(const struct ledger *ledger, const struct comparison *comparison)
{
	struct ledger *copy = ledger_copy(ledger);

	model_compare(&comparison->before, &comparison->after, &comparison->in_hand, copy);
	ledger_destroy(copy);
}

struct count {
	unsigned long steps, deaths;
};

/* Steps @pid, which stands in front of a call, through it. @status: when it is behind it. */
static void step_through(pid_t pid, const struct ledger *ledger,
			 const struct comparison *comparison, struct count *count, int *status)
{
	bool begun = false;

	do {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, status, 0), pid);
		if (!WIFSTOPPED(*status))
			return;
		count->steps++;
		begun = begun || word_load(&progress->inside);
		if (begun && has_changed(ledger)) {
			compare_copy(ledger, comparison);
			count->deaths++;
		}
	} while (!begun || word_load(&progress->inside));
}

static void test_deaths__at_each_change_of_the_memory__nothing_is_lost(void **state)
{
	static struct comparison comparison;
	struct ledger *ledger = rig_create();
	struct count count = { 0 };
	struct model model;
	cpu_set_t before;
	int status;
	pid_t pid;

	(void)state;
	model_init(&model, 20240229);
	model_init(&comparison.after, 20240229);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	stay_on_one_processor();
	pid = stepped_worker(&model, ledger);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_PERMITTED) {
		ledger_destroy(ledger);
		print_message("skipped: ptrace(2) is not permitted here\n");
		skip();
	}
	while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP && count.steps < STEPS_MAX) {
		comparison_next(&comparison);
		step_through(pid, ledger, &comparison, &count, &status);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (WIFSTOPPED(status)) {
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	} else {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_int_equal(word_load(&progress->done), STEPPED_OPERATIONS);
	}
	assert_true(count.deaths > 3 * word_load(&progress->done));
	print_message("%lu operations, %lu instructions, %lu deaths\n",
		      (unsigned long)word_load(&progress->done), count.steps, count.deaths);
	ledger_destroy(ledger);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* --- at any moment */

/* Lets a worker go until it has finished @count operations, and kills it. */
static void kill_worker(pid_t pid, uint64_t count)
{
	int status = 0;
	pid_t ended = 0;

	while (word_load(&progress->done) < count && ended == 0) {
		sched_yield();
		ended = waitpid(pid, &status, WNOHANG);
	}
	if (ended == 0) {
		assert_int_equal(kill(pid, SIGKILL), 0);
		ended = waitpid(pid, &status, 0);
	}
	assert_int_equal(ended, pid);
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

/* A number given out now must never have been given out, also by one who died right after. */
static void check_number(struct ledger *ledger)
{
	struct ledger_handle handle = { .node = 1 };
	uint64_t number;

	CHECK(ledger_handle_add(ledger, &handle, &number) == 0);
	CHECK(number / LEDGER_HANDLES_MAX > word_load(&progress->number) / LEDGER_HANDLES_MAX);
	ledger_handle_remove(ledger, number);
}

static void test_deaths__at_any_moment__nothing_is_lost(void **state)
{
	struct ledger *ledger = rig_create();
	static struct comparison comparison;
	struct random random;
	unsigned inside = 0;

	(void)state;
	random_init(&random, 31);
	model_init(&comparison.after, 32);
	for (unsigned generation = 0; generation < GENERATIONS; generation++) {
		pid_t pid;

		memset(progress, 0, sizeof(*progress));
		pid = fork();
		if (pid == 0) {
			work(&comparison.after, ledger, OPERATIONS_MAX, false);
			_exit(0);
		}
		assert_true(pid > 0);
		kill_worker(pid, random_below(&random, OPERATIONS_MAX / 2));
		comparison_next(&comparison);
		for (uint64_t done = word_load(&progress->done); done > 0; done--)
			comparison_next(&comparison);
		inside += (unsigned)word_load(&progress->inside);
		ledger = rig_next(ledger);
		model_compare(&comparison.before, &comparison.after, &comparison.in_hand, ledger);
		check_number(ledger);
		model_resync(&comparison.after, ledger);
	}
	print_message("%u of %d died with an operation in hand\n", inside, GENERATIONS);
	ledger_destroy(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaths__at_each_change_of_the_memory__nothing_is_lost),
		cmocka_unit_test(test_deaths__at_any_moment__nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
