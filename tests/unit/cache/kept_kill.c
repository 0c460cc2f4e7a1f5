/*
 * A cache that is killed under load, again and again, and one that takes its memory over each time:
 * real processes, a real SSD store, files in a directory behind it. Whatever the kill interrupted,
 * and whatever bits have flipped since, each byte that is read afterwards is the right one.
 *
 * CENOTE_TEST_SEED repeats a run as far as chance allows: when the kill comes is the machine's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "base/thread.h"
#include "cache/backing_config.h"
#include "cache/core.h"
#include "tests/unit/cache/tree.h"

#define KIB	      UINT64_C(1024)
#define MIB	      (KIB * KIB)
#define MEMORY	      (64 * MIB)
#define BLOCK	      MIB
#define FILES	      36
#define FILE_LEN_MAX  (5 * MIB)
#define ROUNDS	      5
#define LOAD_THREADS  3
#define WAIT_NS	      (60 * NS_PER_S)
#define LIFE_MS_MAX   120
#define FLIPS_MAX     3
#define READ_LEN_MAX  (256 * KIB)
#define RECORDS_START 4096

struct file {
	char key[16];
	char etag[BACKING_ETAG_MAX];
	uint64_t size;
};

struct bench {
	struct tree files, ssd;
	struct random random;
	struct cache_directory_config directory;
	struct cache_config config;
	struct backing_config backing_config;
	struct file table[FILES];
	struct backing *backing;
	struct cache *cache;
	struct cache_object *objects[FILES];
	unsigned flips; /* bits, each in another unit */
};

/* A read or a request that somebody waits for. */
struct wait {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done;
};

static void wait_init(struct wait *wait)
{
	*wait = (struct wait){ .lock = PTHREAD_MUTEX_INITIALIZER };
	thread_cond_init(&wait->ended);
}

static void wait_end(struct wait *wait)
{
	pthread_mutex_lock(&wait->lock);
	wait->done = true;
	pthread_cond_signal(&wait->ended);
	pthread_mutex_unlock(&wait->lock);
}

static void wait_for(struct wait *wait)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&wait->lock);
	while (!wait->done && !error)
		error = thread_cond_wait_until(&wait->ended, &wait->lock, until_ns);
	pthread_mutex_unlock(&wait->lock);
	CHECK(!error); /* in the child there is no cmocka to tell */
	pthread_cond_destroy(&wait->ended);
}

/* --- files whose bytes follow from their number and the place */

static uint64_t word_of(unsigned file, uint64_t index)
{
	uint64_t mix = (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + file * UINT64_C(0xff51afd7ed55);

	return mix ^ mix >> 31;
}

static void file_write(struct bench *bench, unsigned number)
{
	struct file *file = &bench->table[number];
	uint64_t words = 4 * KIB / 8 + random_below(&bench->random, FILE_LEN_MAX / 8);
	uint64_t *bytes = malloc(words * 8);
	char path[128];
	int fd;

	snprintf(file->key, sizeof(file->key), "file-%u", number);
	snprintf(path, sizeof(path), "%s/bucket/%s", bench->files.path, file->key);
	for (uint64_t i = 0; i < words; i++)
		bytes[i] = word_of(number, i);
	file->size = words * 8 - random_below(&bench->random, 8);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, file->size), file->size);
	close(fd);
	free(bytes);
}

struct etag_wait {
	struct backing_head head;
	struct wait wait;
};

static void head_done(struct backing_head *head)
{
	wait_end(&CONTAINER_OF(head, struct etag_wait, head)->wait);
}

static void file_look_up(struct bench *bench, struct file *file)
{
	struct etag_wait ask = {
		.head = { .request = { .bucket = "bucket",
				       .key = file->key,
				       .deadline_ns = CLOCK_NEVER },
			  .done = head_done },
	};

	wait_init(&ask.wait);
	backing_head(bench->backing, &ask.head);
	wait_for(&ask.wait);
	CHECK(ask.head.request.status == 0 && ask.head.meta.size == file->size);
	snprintf(file->etag, sizeof(file->etag), "%s", ask.head.meta.etag);
}

/* --- a cache over the arena */

static void cache_begin(struct bench *bench, int arena_fd)
{
	char problem[512];

	if (backing_create(&bench->backing_config, clock_system(), &bench->backing, problem,
			   sizeof(problem)) != 0 ||
	    cache_create_over(&bench->config, clock_system(), arena_fd, &bench->cache, problem,
			      sizeof(problem)) != 0) {
		fprintf(stderr, "%s\n", problem);
		abort();
	}
}

static void objects_open(struct bench *bench)
{
	for (unsigned i = 0; i < FILES; i++) {
		struct file *file = &bench->table[i];
		struct object_version version = { "disk", "bucket", file->key, file->etag,
						  file->size };

		CHECK(cache_object_open(bench->cache, &version, 0, bench->backing, "/data",
					&bench->objects[i]) == 0);
	}
}

static void cache_end(struct bench *bench)
{
	cache_stop(bench->cache);
	backing_destroy(bench->backing);
	cache_destroy(bench->cache);
}

/* --- reads that are checked */

struct checked_read {
	struct cache_read read;
	struct wait wait;
};

static void read_done(struct cache_read *read)
{
	wait_end(&CONTAINER_OF(read, struct checked_read, read)->wait);
}

static unsigned char byte_of(unsigned file, uint64_t off)
{
	return (unsigned char)(word_of(file, off / 8) >> off % 8 * UINT64_C(8));
}

static bool part_is_right(const unsigned char *bytes, size_t len, unsigned file, uint64_t off)
{
	uint64_t word;

	for (; len > 0 && off % 8; len--, off++)
		if (*bytes++ != byte_of(file, off))
			return false;
	for (; len >= sizeof(word); len -= sizeof(word), off += sizeof(word)) {
		memcpy(&word, bytes, sizeof(word)); /* written as they lie in memory, too */
		if (word != word_of(file, off / 8))
			return false;
		bytes += sizeof(word);
	}
	for (; len > 0; len--, off++)
		if (*bytes++ != byte_of(file, off))
			return false;
	return true;
}

static bool bytes_are_right(const struct cache_read *read, unsigned file)
{
	uint64_t off = read->off;

	for (int i = 0; i < read->iov_count; i++) {
		if (!part_is_right(read->iov[i].iov_base, read->iov[i].iov_len, file, off))
			return false;
		off += read->iov[i].iov_len;
	}
	return off == read->off + read->len;
}

static void read_checked(struct bench *bench, unsigned file, uint64_t off, uint64_t len, bool small)
{
	struct checked_read read = {
		.read = { .object = bench->objects[file],
			  .off = off,
			  .len = len,
			  .random = small,
			  .done = read_done },
	};

	wait_init(&read.wait);
	if (cache_read_start(bench->cache, &read.read) == 0)
		wait_for(&read.wait);
	CHECK(read.read.status == 0);
	CHECK(bytes_are_right(&read.read, file));
	cache_read_finish(&read.read);
}

/* --- the one that is killed */

struct load {
	struct bench *bench;
	struct random random;
	int started; /* a pipe: told of the first read */
};

static void *load_main(void *argument)
{
	struct load *load = argument;
	struct bench *bench = load->bench;

	for (unsigned i = 0;; i++) {
		unsigned file = (unsigned)random_below(&load->random, FILES);
		uint64_t size = bench->table[file].size;
		uint64_t off = random_below(&load->random, size);
		uint64_t left = size - off;
		uint64_t len = 1 + random_below(&load->random, READ_LEN_MAX);

		if (random_below(&load->random, 4) == 0)
			(void)cache_prefetch(bench->cache, bench->objects[file], off, 3 * MIB);
		read_checked(bench, file, off, len < left ? len : left, len < 16 * KIB);
		if (i == 0 && write(load->started, "x", 1) != 1)
			abort();
	}
	return NULL;
}

static _Noreturn void child_main(struct bench *bench, int arena_fd, uint64_t seed, int started)
{
	struct load loads[LOAD_THREADS];
	pthread_t thread;

	cache_begin(bench, arena_fd);
	objects_open(bench);
	for (unsigned i = 0; i < LOAD_THREADS; i++) {
		loads[i].bench = bench;
		loads[i].started = started;
		random_init(&loads[i].random, seed + i);
		CHECK(thread_start(&thread, "load", load_main, &loads[i]) == 0);
	}
	for (;;)
		pause();
}

static void let_live_and_kill(struct bench *bench, int arena_fd)
{
	uint64_t life_ns = random_below(&bench->random, LIFE_MS_MAX * NS_PER_MS);
	const struct timespec life = { .tv_nsec = (long)life_ns };
	uint64_t seed = random_u64(&bench->random);
	int started[2], status;
	pid_t pid;
	char byte;

	assert_int_equal(pipe(started), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_main(bench, arena_fd, seed, started[1]);
	close(started[1]);
	assert_int_equal(read(started[0], &byte, 1), 1); /* or it has failed */
	nanosleep(&life, NULL);				 /* when it dies is what is random here */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(started[0]);
}

/* --- what happens to its memory */

static void bit_flip(int fd, uint64_t at, unsigned bit)
{
	unsigned char byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= (unsigned char)(1u << bit);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

/* In some frames that are complete, and in a record. As another process sees the memory. */
static void flip_some(struct bench *bench, int fd)
{
	const struct records_shape shape = {
		.arena_len = MEMORY,
		.slot_count = (MEMORY / 16384 + RECORDS_GROUP - 1) / RECORDS_GROUP * RECORDS_GROUP,
		.block_len = (uint32_t)BLOCK,
	};
	struct owner owners[RECORDS_OWNERS];
	struct records records;
	struct arena arena;

	bench->flips = 0;
	assert_int_equal(arena_init_over(&arena, MEMORY, false, records_len(&shape), fd), 0);
	assert_int_equal(records_init_over(&records, &shape, arena_tail(&arena), owners), 0);
	for (uint64_t slot = 0; slot < records_used(&records); slot++) {
		struct record record;

		if (records_get(&records, slot, &record) != 0 ||
		    (record.state != RECORD_CLEAN && record.state != RECORD_OWED) ||
		    random_below(&bench->random, 4) > 0)
			continue;
		if (bench->flips == FLIPS_MAX) {
			bit_flip(fd,
				 MEMORY + RECORDS_START + slot * 64 +
					 random_below(&bench->random, 64),
				 3);
			break;
		}
		bit_flip(fd, record.off + random_below(&bench->random, record.len), 5);
		bench->flips++;
	}
	arena_fini(&arena);
}

static uint64_t counter(const struct bench *bench, enum cache_counter index)
{
	return counter_get(cache_counters(bench->cache), index);
}

/* Nobody asks for anything: it is the thread that verifies. */
static void check_all_found(const struct bench *bench)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;

	while (counter(bench, CACHE_KEPT_VERIFIED) + bench->flips <
	       counter(bench, CACHE_KEPT_BLOCKS)) {
		assert_true(clock_now_ns(clock_system()) < until_ns);
		sched_yield();
	}
	assert_int_equal(counter(bench, CACHE_KEPT_VERIFIED) + bench->flips,
			 counter(bench, CACHE_KEPT_BLOCKS));
}

static void check_all_files(struct bench *bench)
{
	for (unsigned i = 0; i < FILES; i++)
		for (uint64_t off = 0; off < bench->table[i].size; off += READ_LEN_MAX) {
			uint64_t left = bench->table[i].size - off;

			read_checked(bench, i, off, left < READ_LEN_MAX ? left : READ_LEN_MAX,
				     false);
		}
	for (unsigned i = 0; i < FILES; i++)
		cache_object_put(bench->objects[i]);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const char *text = getenv("CENOTE_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : random_seed();

	print_message("seed %llu\n", (unsigned long long)seed);
	random_init(&bench->random, seed);
	tree_make(&bench->files);
	tree_make(&bench->ssd);
	tree_write(&bench->files, "bucket/other", "x");
	for (unsigned i = 0; i < FILES; i++)
		file_write(bench, i);
	assert_int_equal(option_defaults(&cache_options, &bench->config), 0);
	bench->directory = (struct cache_directory_config){ bench->ssd.path, 256 * MIB };
	bench->config.memory = MEMORY;
	bench->config.block_len = BLOCK;
	bench->config.directories = (struct option_structs){ &bench->directory, 1 };
	bench->backing_config = (struct backing_config){ .id = strdup("disk"),
							 .type = BACKING_DIRECTORY,
							 .directory = bench->files.path };
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	bench->config.directories = (struct option_structs){ NULL, 0 };
	option_free(&cache_options, &bench->config);
	free(bench->backing_config.id);
	tree_remove(&bench->files);
	tree_remove(&bench->ssd);
	free(bench);
	return 0;
}

static void test_cache__killed_under_load__the_next_one_serves_right_bytes(void **state)
{
	uint64_t blocks = 0, refused = 0;
	struct bench *bench = *state;
	int arena_fd;

	cache_begin(bench, -1);
	for (unsigned i = 0; i < FILES; i++)
		file_look_up(bench, &bench->table[i]);
	arena_fd = dup(cache_arena_fd(bench->cache));
	cache_end(bench);
	for (unsigned round = 0; round < ROUNDS; round++) {
		let_live_and_kill(bench, dup(arena_fd));
		flip_some(bench, arena_fd);
		cache_begin(bench, dup(arena_fd));
		check_all_found(bench);
		objects_open(bench);
		check_all_files(bench);
		blocks += counter(bench, CACHE_KEPT_BLOCKS);
		refused += counter(bench, CACHE_KEPT_REFUSED);
		cache_end(bench);
	}
	print_message("%llu blocks were kept, %llu refused\n", (unsigned long long)blocks,
		      (unsigned long long)refused);
	assert_true(blocks > ROUNDS);
	close(arena_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_cache__killed_under_load__the_next_one_serves_right_bytes, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
