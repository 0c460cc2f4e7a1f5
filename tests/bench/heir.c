/*
 * heir.c - what it costs to take over the memory of a cache that has ended: how long the start
 * takes, what reads cost while all is being verified, and after.
 *
 * usage: heir [MIB]   (1024 of them, in blocks of 4 MiB; twice as much memory is needed for some
 * seconds, and a sparse file in the working directory)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "cache/backing_config.h"
#include "cache/cache.h"

#define MIB	  (UINT64_C(1) << 20)
#define BLOCK_LEN (4 * MIB)
#define READ_LEN  (UINT64_C(64) << 10)
#define READS_MIN 20000
#define DIRECTORY "heir-data"

struct bench {
	uint64_t size;
	struct cache_config config;
	struct backing_config backing_config;
	struct backing *backing;
	struct cache *cache;
	struct cache_object *object;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static struct bench bench = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void must(int error, const char *problem)
{
	if (!error)
		return;
	fprintf(stderr, "heir: %s\n", problem);
	exit(1);
}

static uint64_t now_ns(void)
{
	return clock_now_ns(clock_system());
}

static void tell(void)
{
	pthread_mutex_lock(&bench.lock);
	bench.done = true;
	pthread_cond_signal(&bench.ended);
	pthread_mutex_unlock(&bench.lock);
}

static void wait_until_told(void)
{
	pthread_mutex_lock(&bench.lock);
	while (!bench.done)
		(void)thread_cond_wait_until(&bench.ended, &bench.lock, CLOCK_NEVER);
	bench.done = false;
	pthread_mutex_unlock(&bench.lock);
}

static void head_done(struct backing_head *head)
{
	(void)head;
	tell();
}

static void begin(int arena_fd)
{
	struct backing_head head = {
		.request = { .bucket = "bucket", .key = "file", .deadline_ns = CLOCK_NEVER },
		.done = head_done,
	};
	struct object_version version = { "disk", "bucket", "file", head.meta.etag, bench.size };
	char problem[512] = "out of memory";

	must(backing_create(&bench.backing_config, clock_system(), &bench.backing, problem,
			    sizeof(problem)),
	     problem);
	must(cache_create_over(&bench.config, clock_system(), arena_fd, &bench.cache, problem,
			       sizeof(problem)),
	     problem);
	backing_head(bench.backing, &head);
	wait_until_told();
	must(cache_object_open(bench.cache, &version, 0, bench.backing, "/data", &bench.object),
	     problem);
}

static void end(void)
{
	cache_object_put(bench.object);
	cache_stop(bench.cache);
	backing_destroy(bench.backing);
	cache_destroy(bench.cache);
}

static void read_done(struct cache_read *read)
{
	(void)read;
	tell();
}

static void read_one(uint64_t off)
{
	struct cache_read read = {
		.object = bench.object,
		.off = off,
		.len = READ_LEN,
		.done = read_done,
	};

	if (cache_read_start(bench.cache, &read) == 0)
		wait_until_told();
	must(read.status, "a read has failed");
	cache_read_finish(&read);
}

static uint64_t counter(enum cache_counter index)
{
	return counter_get(cache_counters(bench.cache), index);
}

/* Random reads, at least until nothing waits to be verified. */
static void measure(const char *when, uint64_t reads_min)
{
	struct histogram latency = { 0 };
	struct random random;
	uint64_t begin_ns = now_ns(), reads = 0;

	random_init(&random, 1);
	while (reads < reads_min || counter(CACHE_KEPT_WAITING) > 0) {
		uint64_t start_ns = now_ns();

		read_one(random_below(&random, bench.size / READ_LEN) * READ_LEN);
		histogram_record(&latency, now_ns() - start_ns);
		reads++;
	}
	printf("%-24s %7llu reads of 64 KiB in %5.0f ms; us: median %.1f, 99 %% %.1f, 99.9 %% "
	       "%.1f, worst %.1f\n",
	       when, (unsigned long long)reads, (double)(now_ns() - begin_ns) / 1e6,
	       (double)histogram_quantile(&latency, 500) / 1e3,
	       (double)histogram_quantile(&latency, 990) / 1e3,
	       (double)histogram_quantile(&latency, 999) / 1e3,
	       (double)histogram_quantile(&latency, 1000) / 1e3);
}

static void file_make(void)
{
	int fd;

	(void)mkdir(DIRECTORY, 0755);
	(void)mkdir(DIRECTORY "/bucket", 0755);
	fd = open(DIRECTORY "/bucket/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	must(fd < 0 || ftruncate(fd, (off_t)bench.size) != 0, "cannot make a file here");
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t start_ns, adopted_ns;
	int arena_fd;

	bench.size = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1024) * MIB;
	thread_cond_init(&bench.ended);
	file_make();
	must(option_defaults(&cache_options, &bench.config), "out of memory");
	bench.config.memory = bench.size + 64 * MIB;
	bench.config.block_len = BLOCK_LEN;
	bench.backing_config = (struct backing_config){ .id = strdup("disk"),
							.type = BACKING_DIRECTORY,
							.directory = realpath(DIRECTORY, NULL) };
	begin(-1);
	for (uint64_t off = 0; off < bench.size; off += BLOCK_LEN)
		read_one(off);
	measure("before", READS_MIN);
	arena_fd = dup(cache_arena_fd(bench.cache));
	end();

	for (unsigned busy = 0; busy < 2; busy++) {
		start_ns = now_ns();
		begin(dup(arena_fd));
		adopted_ns = now_ns();
		printf("start over the arena: %.1f ms, %llu blocks\n",
		       (double)(adopted_ns - start_ns) / 1e6,
		       (unsigned long long)counter(CACHE_KEPT_BLOCKS));
		if (busy)
			measure("while it is verified", 1);
		while (counter(CACHE_KEPT_WAITING) > 0)
			usleep(1000);
		printf("all verified after %.1f ms%s\n", (double)(now_ns() - adopted_ns) / 1e6,
		       busy ? ", with a reader" : ", with no reader");
		measure("afterwards", READS_MIN);
		must(counter(CACHE_FETCHES) > 0, "something was fetched again");
		end();
	}
	close(arena_fd);
	unlink(DIRECTORY "/bucket/file");
	rmdir(DIRECTORY "/bucket");
	rmdir(DIRECTORY);
	return 0;
}
