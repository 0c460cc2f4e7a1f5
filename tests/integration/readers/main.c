/*
 * main.c - mixed_readers: reads a mount in all ways at once, verifies every byte, times every call.
 *
 *	mixed_readers MOUNT LIST SECONDS SEED READERS [KIND...]
 *
 * LIST: see dataset.h. READERS threads share the kinds (all of kinds.c) evenly. Ends after SECONDS,
 * when its stdin is closed, or when every reader has seen too much trouble. Prints the number of
 * calls so far on a line of its own a few times a second, and at last the report of report.h.
 *
 * Exit status: 0 it ran, whatever it found; 1 it could not; 2 wrong usage; 3 a reader hangs, which
 * is in the report.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/integration/readers/kinds.h"
#include "tests/integration/readers/report.h"

#define READERS_MAX 256
#define PROGRESS_MS 100
#define HANG_NS	    (UINT64_C(90) * NS_PER_S) /* after the end was asked for */
#define EXIT_USAGE  2
#define EXIT_HANG   3

static struct reader readers[READERS_MAX];
static struct histogram latency[CALL_COUNT];
static atomic_bool stopping;

static void *reader_run(void *argument)
{
	struct reader *reader = argument;
	const struct kind *kind = kind_find(reader->kind);
	char *buffer = malloc(KIND_BUFFER_LEN);

	while (buffer && reader_goes_on(reader))
		kind->work(reader, buffer);
	if (!buffer)
		reader_trouble(reader, CALL_READ, "", "out of memory");
	free(buffer);
	atomic_store(&reader->ended, true);
	return NULL;
}

static unsigned running(unsigned count)
{
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++)
		found += !atomic_load(&readers[i].ended);
	return found;
}

static void progress_print(unsigned count)
{
	uint64_t made = 0;

	for (unsigned i = 0; i < count; i++)
		made += atomic_load(&readers[i].made);
	printf("%" PRIu64 "\n", made);
	fflush(stdout);
}

/* Until @end_ns, or until nobody wants to hear more, or none runs. */
static void wait_for_end(unsigned count, uint64_t end_ns)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	while (clock_now_ns(clock_system()) < end_ns && running(count) > 0) {
		if (poll(&input, 1, PROGRESS_MS) > 0)
			break;
		progress_print(count);
	}
	atomic_store(&stopping, true);
	end_ns = clock_now_ns(clock_system()) + HANG_NS;
	while (clock_now_ns(clock_system()) < end_ns && running(count) > 0)
		poll(NULL, 0, 10);
}

static int readers_start(unsigned count, const struct reader *common, uint64_t seed,
			 const struct kind *const *chosen, unsigned chosen_count)
{
	pthread_t thread;
	int error = 0;

	for (unsigned i = 0; i < count && !error; i++) {
		readers[i] = *common;
		readers[i].number = i;
		readers[i].kind = chosen[i % chosen_count]->name;
		readers[i].random = seed * READERS_MAX + i;
		error = reader_init(&readers[i]);
		if (!error)
			error = -pthread_create(&thread, NULL, reader_run, &readers[i]);
		if (!error)
			pthread_detach(thread);
	}
	return error;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "mixed_readers: %s: %s\n", what, strerror(-error));
	return EXIT_FAILURE;
}

static int run(char **argv, const struct kind *const *chosen, unsigned chosen_count)
{
	unsigned count = (unsigned)strtoul(argv[5], NULL, 10);
	uint64_t seconds = strtoull(argv[3], NULL, 10);
	struct reader common = { .stopping = &stopping, .latency = latency };
	struct dataset dataset;
	int error;

	if (count == 0 || count > READERS_MAX || seconds == 0)
		return fail("READERS or SECONDS", -EINVAL);
	error = dataset_load(argv[2], &dataset);
	if (error)
		return fail(argv[2], error);
	common.dataset = &dataset;
	common.mount = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (common.mount < 0)
		return fail(argv[1], -errno);
	calls_catch_signals();
	error = readers_start(count, &common, strtoull(argv[4], NULL, 10), chosen, chosen_count);
	if (error)
		return fail("a reader", error);
	wait_for_end(count, clock_now_ns(clock_system()) + seconds * NS_PER_S);
	report_print(readers, count);
	if (running(count) > 0)
		_exit(EXIT_HANG); /* its threads still use what is below */
	for (unsigned i = 0; i < count; i++)
		reader_fini(&readers[i]);
	close(common.mount);
	dataset_free(&dataset);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	const struct kind *chosen[READERS_MAX];
	unsigned chosen_count = 0;

	if (argc < 6 || argc > 6 + (int)kind_count) {
		fprintf(stderr, "usage: mixed_readers MOUNT LIST SECONDS SEED READERS [KIND...]\n");
		return EXIT_USAGE;
	}
	for (int i = 6; i < argc; i++) {
		chosen[chosen_count] = kind_find(argv[i]);
		if (!chosen[chosen_count++]) {
			fprintf(stderr, "mixed_readers: no kind '%s'\n", argv[i]);
			return EXIT_USAGE;
		}
	}
	for (unsigned i = 0; i < kind_count && argc == 6; i++)
		chosen[chosen_count++] = &kinds[i];
	return run(argv, chosen, chosen_count);
}
