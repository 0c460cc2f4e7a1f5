/*
 * rig.c - the fakes. The fake store keeps blocks in memory and answers on a thread of its own, as
 * the contract in store.h says.
 */
#include "tests/unit/cache/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/thread.h"
#include "tests/unit/cache/rig_store.h"

/* Eight bytes of an object, in the order of this machine (little end first). */
static uint64_t word_at(const char *key, uint64_t index)
{
	uint64_t mix = (index + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint8_t)key[0] * UINT64_C(31) +
		       (uint8_t)key[strlen(key) - 1];

	return mix ^ mix >> 29;
}

static uint8_t byte_at(const char *key, uint64_t off)
{
	return (uint8_t)(word_at(key, off / 8) >> (off % 8 * UINT64_C(8)));
}

void rig_pattern(const char *key, uint64_t off, void *out, size_t len)
{
	uint8_t *bytes = out;

	while (len > 0) {
		if (off % 8 == 0 && len >= 8) {
			uint64_t word = word_at(key, off / 8);

			memcpy(bytes, &word, sizeof(word));
			off += 8;
			bytes += 8;
			len -= 8;
		} else {
			*bytes++ = byte_at(key, off++);
			len--;
		}
	}
}

/* ---- backing ---- */

static struct fake_backing *fake_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct fake_backing, backing);
}

static void fake_get(struct backing *backing, struct backing_get *get)
{
	struct fake_backing *fake = fake_of(backing);

	pthread_mutex_lock(&fake->lock);
	TAILQ_INSERT_TAIL(&fake->gets, &get->request, p.link);
	fake->pending++;
	fake->started++;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static void fake_promote(struct backing *backing, struct backing_get *get)
{
	struct fake_backing *fake = fake_of(backing);

	(void)get;
	pthread_mutex_lock(&fake->lock);
	fake->promoted++;
	pthread_mutex_unlock(&fake->lock);
}

static void fake_describe(struct backing *backing, char *out, size_t out_size)
{
	snprintf(out, out_size, "%s", backing->id);
}

static const struct backing_ops fake_ops = {
	.type = "fake",
	.get = fake_get,
	.promote = fake_promote,
	.describe = fake_describe,
};

static struct backing_get *nth(struct fake_backing *fake, unsigned index)
{
	struct backing_request *request;

	TAILQ_FOREACH (request, &fake->gets, p.link)
		if (index-- == 0)
			return CONTAINER_OF(request, struct backing_get, request);
	return NULL;
}

struct backing_get *fake_backing_await(struct fake_backing *fake, unsigned index)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	struct backing_get *get;
	int error = 0;

	pthread_mutex_lock(&fake->lock);
	while (!(get = nth(fake, index)) && !error)
		error = thread_cond_wait_until(&fake->changed, &fake->lock, deadline_ns);
	pthread_mutex_unlock(&fake->lock);
	assert_non_null(get);
	return get;
}

unsigned fake_backing_pending(struct fake_backing *fake)
{
	unsigned pending;

	pthread_mutex_lock(&fake->lock);
	pending = fake->pending;
	pthread_mutex_unlock(&fake->lock);
	return pending;
}

unsigned fake_backing_started(struct fake_backing *fake)
{
	unsigned started;

	pthread_mutex_lock(&fake->lock);
	started = fake->started;
	pthread_mutex_unlock(&fake->lock);
	return started;
}

void fake_backing_progress(struct backing_get *get, size_t filled)
{
	rig_pattern(get->request.key, get->off, get->dst, filled);
	get->progress(get, filled);
}

static void answer(struct backing_get *get, int status)
{
	if (status == 0)
		rig_pattern(get->request.key, get->off, get->dst, get->len);
	get->request.status = status;
	get->request.problem[0] = 0;
	get->done(get);
}

void fake_backing_finish(struct fake_backing *fake, struct backing_get *get, int status)
{
	pthread_mutex_lock(&fake->lock);
	TAILQ_REMOVE(&fake->gets, &get->request, p.link);
	fake->pending--;
	pthread_mutex_unlock(&fake->lock);
	answer(get, status);
}

static void *run_automatic(void *argument)
{
	struct fake_backing *fake = argument;

	pthread_mutex_lock(&fake->lock);
	while (!fake->ending) {
		struct backing_get *get = nth(fake, 0);

		if (!get) {
			thread_cond_wait_until(&fake->changed, &fake->lock, CLOCK_NEVER);
			continue;
		}
		pthread_mutex_unlock(&fake->lock);
		fake_backing_finish(fake, get, 0);
		pthread_mutex_lock(&fake->lock);
	}
	pthread_mutex_unlock(&fake->lock);
	return NULL;
}

void fake_backing_automatic(struct fake_backing *fake)
{
	fake->automatic = true;
	assert_int_equal(thread_start(&fake->thread, "fake-backing", run_automatic, fake), 0);
}

static void fake_init(struct fake_backing *fake)
{
	*fake = (struct fake_backing){ .backing.ops = &fake_ops };
	fake->backing.id = strdup("fake");
	pthread_mutex_init(&fake->lock, NULL);
	thread_cond_init(&fake->changed);
	TAILQ_INIT(&fake->gets);
}

static void fake_fini(struct fake_backing *fake)
{
	struct backing_get *get;

	pthread_mutex_lock(&fake->lock);
	fake->ending = true;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
	if (fake->automatic)
		pthread_join(fake->thread, NULL);
	while ((get = nth(fake, 0)))
		fake_backing_finish(fake, get, -ECANCELED);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->lock);
	free(fake->backing.id);
}

/* ---- cache ---- */

void rig_init(struct rig *rig)
{
	rig_init_over(rig, -1);
}

void rig_init_over(struct rig *rig, int arena_fd)
{
	char problem[256] = "";

	memset(rig, 0, sizeof(*rig));
	clock_manual_init(&rig->clock, NS_PER_S, 0);
	assert_int_equal(option_defaults(&cache_options, &rig->config), 0);
	rig->config.replicate = CACHE_REPLICATE_OFF;
	rig->config.memory = RIG_MEMORY;
	fake_init(&rig->backing);
	rig->backings[0] = &rig->backing.backing;
	fake_store_reset();
	if (cache_create_over(&rig->config, &rig->clock.clock, arena_fd, &rig->cache, problem,
			      sizeof(problem)))
		fail_msg("%s", problem);
}

/* What was never touched stays so. */
static void copy_data(int from, int to)
{
	off_t off = 0, end;

	while ((off = lseek(from, off, SEEK_DATA)) >= 0) {
		end = lseek(from, off, SEEK_HOLE);
		assert_int_equal(lseek(to, off, SEEK_SET), off);
		while (off < end)
			assert_true(sendfile(to, from, &off, (size_t)(end - off)) > 0);
	}
}

int rig_arena_copy(const struct rig *rig)
{
	int from = cache_arena_fd(rig->cache), to = memfd_create("copy", MFD_CLOEXEC);
	struct stat st;

	assert_true(to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	assert_int_equal(ftruncate(to, st.st_size), 0);
	pthread_mutex_lock(&rig->cache->lock);
	copy_data(from, to);
	pthread_mutex_unlock(&rig->cache->lock);
	return to;
}

void rig_fini(struct rig *rig)
{
	fake_store_let_go();
	cache_stop(rig->cache);
	fake_fini(&rig->backing);
	if (TAILQ_EMPTY(&rig->cache->window.held))
		assert_int_equal(rig_counter(rig, CACHE_MEMORY_PINNED), 0);
	cache_destroy(rig->cache);
	option_free(&cache_options, &rig->config);
}

int rig_set_up(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	rig_init(rig);
	*state = rig;
	return 0;
}

int rig_tear_down(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

struct cache_object *rig_open(struct rig *rig, const char *key, uint64_t size)
{
	struct object_version version = { "fake", "bucket", key, "etag", size };
	struct cache_object *object;

	assert_int_equal(
		cache_object_open(rig->cache, &version, 0, &rig->backing.backing, "/data", &object),
		0);
	return object;
}

uint64_t rig_counter(const struct rig *rig, enum cache_counter counter)
{
	return counter_get(cache_counters(rig->cache), counter);
}

void rig_wait(bool (*condition)(void *context), void *context)
{
	uint64_t end_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;

	while (!condition(context)) {
		if (clock_now_ns(clock_system()) > end_ns)
			fail_msg("what was waited for has not come");
		sched_yield();
	}
}

struct counter_wait {
	const struct rig *rig;
	enum cache_counter counter;
	uint64_t value;
};

static bool counter_reached(void *context)
{
	const struct counter_wait *wait = context;

	return rig_counter(wait->rig, wait->counter) == wait->value;
}

void rig_wait_counter(const struct rig *rig, enum cache_counter counter, uint64_t value)
{
	struct counter_wait wait = { rig, counter, value };

	rig_wait(counter_reached, &wait);
}

/* ---- readers ---- */

static void reader_done(struct cache_read *read)
{
	struct reader *reader = CONTAINER_OF(read, struct reader, read);

	pthread_mutex_lock(&reader->lock);
	reader->done = true;
	reader->done_count++;
	pthread_cond_broadcast(&reader->ended);
	pthread_mutex_unlock(&reader->lock);
}

int reader_start(struct reader *reader, struct rig *rig, struct cache_object *object, uint64_t off,
		 size_t len, bool random)
{
	int ready;

	memset(reader, 0, sizeof(*reader));
	reader->rig = rig;
	pthread_mutex_init(&reader->lock, NULL);
	thread_cond_init(&reader->ended);
	reader->read = (struct cache_read){
		.object = object,
		.off = off,
		.len = len,
		.random = random,
		.done = reader_done,
	};
	ready = cache_read_start(rig->cache, &reader->read);
	if (ready)
		reader->done = true;
	return ready;
}

bool reader_is_done(struct reader *reader)
{
	bool done;

	pthread_mutex_lock(&reader->lock);
	done = reader->done;
	pthread_mutex_unlock(&reader->lock);
	return done;
}

int reader_wait(struct reader *reader)
{
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	int error = 0;

	pthread_mutex_lock(&reader->lock);
	while (!reader->done && !error)
		error = thread_cond_wait_until(&reader->ended, &reader->lock, deadline_ns);
	pthread_mutex_unlock(&reader->lock);
	if (error)
		fail_msg("a read has not ended");
	assert_true(reader->done_count <= 1);
	return reader->read.status;
}

void reader_check(struct reader *reader)
{
	const struct cache_read *read = &reader->read;
	const char *key = read->object->store.version.key;
	uint64_t off = read->off;

	assert_int_equal(reader_wait(reader), 0);
	for (int i = 0; i < read->iov_count; i++) {
		const uint8_t *bytes = read->iov[i].iov_base;

		/* the ends and some places between: whole blocks would take the test's time */
		for (size_t j = 0; j < read->iov[i].iov_len; j += j < 64 ? 1 : 509)
			if (bytes[j] != byte_at(key, off + j))
				fail_msg("wrong byte at %llu", (unsigned long long)(off + j));
		off += read->iov[i].iov_len;
	}
	assert_int_equal(off, read->off + read->len);
	cache_read_finish(&reader->read);
}

void rig_read(struct rig *rig, struct cache_object *object, uint64_t off, size_t len, bool random)
{
	struct reader reader;

	reader_start(&reader, rig, object, off, len, random);
	reader_check(&reader);
}
