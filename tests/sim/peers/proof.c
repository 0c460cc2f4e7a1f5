/*
 * proof.c - whole nodes over ucx (tests/unit/cache/peer/peers_rig.h) with an owner that is not to
 * be trusted. One node owns all that is read, another one reads it; both have an arena far too
 * small, so that frames are recycled under the reader all the time, and most of its locators are
 * stale.
 *
 *	peers_proof [READS]
 *
 * No wrong byte in so many reads from the peer; then none with bits that flip in the owner's memory
 * and in its answers, nor after it was restarted.
 *
 *	peers_proof_masked [BAD]
 *
 * The same program, linked so that a check has 12 bits: of so many bad granules about one in 4096
 * is taken for good.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "cache/core.h"
#include "cache/object.h"
#include "cache/peer/wire.h"
#include "cache/stage.h"
#include "tests/unit/cache/peer/peers_rig.h"

#define OBJECTS	    4096
#define LEN_MAX	    (64u << 10)
#define SLOTS	    256 /* reads at a time */
#define FAULT_READS 10000
#define MASK_BITS   12
#define OWNER	    0
#define READER	    1
#define FLIP_ONE_IN 16	/* answers */
#define SKIP_MAX    128 /* entries of a region */
#define ANSWER_OFF                                                                                 \
	10 /* behind version, kind and request: whose answer it is, is its sender's word */

struct object {
	char key[16];
	struct cache_object *object;
	uint64_t accepted; /* the word of the wrong bytes that were seen last; 0: right ones */
	uint32_t len;
};

struct slot {
	struct cache_read read;
	struct proof *proof;
	unsigned object;
	STAILQ_ENTRY(slot) link;
};

STAILQ_HEAD(slot_list, slot);

struct proof {
	struct rig *rig;
	struct rig_node *owner, *reader;
	struct random random;
	struct object objects[OBJECTS];
	struct slot slots[SLOTS];
	struct slot_list idle;
	uint64_t reads, failed, wrong, started_ns;
	bool flip_memory;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot_list ended; /* guarded by lock */
};

static uint64_t count_wanted;

/* --- what is wrapped */

size_t __real_peer_message_encode(const struct peer_message *message,
				  uint8_t out[TRANSPORT_MESSAGE_MAX]);
size_t __wrap_peer_message_encode(const struct peer_message *message,
				  uint8_t out[TRANSPORT_MESSAGE_MAX]);

static _Atomic bool answers_lie;
static _Atomic uint64_t answers_flipped;
static struct random answers_random; /* of the owner's thread: only owners answer */

size_t __wrap_peer_message_encode(const struct peer_message *message,
				  uint8_t out[TRANSPORT_MESSAGE_MAX])
{
	size_t len = __real_peer_message_encode(message, out);
	bool answer = message->kind == PEER_STAGED || message->kind == PEER_PUSH ||
		      message->kind == PEER_WORKING;

	if (!answer || !atomic_load(&answers_lie) || random_below(&answers_random, FLIP_ONE_IN))
		return len;
	if (len > ANSWER_OFF)
		out[ANSWER_OFF + random_below(&answers_random, len - ANSWER_OFF)] ^=
			(uint8_t)(1u << random_below(&answers_random, 8));
	else
		out[0] ^= 0x40;
	atomic_fetch_add(&answers_flipped, 1);
	return len;
}

#ifdef PROOF_MASKED
uint64_t __real_digest_crc64(const void *data, size_t len);
uint64_t __wrap_digest_crc64(const void *data, size_t len);

uint64_t __wrap_digest_crc64(const void *data, size_t len)
{
	return __real_digest_crc64(data, len) & ((1u << MASK_BITS) - 1);
}
#endif

/* --- bytes */

static uint64_t seed_of(const char *key)
{
	return strtoull(key, NULL, 16) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* A word of its own for each object and place. All lengths are whole words. */
static void bytes_make(const char *key, uint64_t off, void *out, size_t len)
{
	uint64_t seed = seed_of(key), *words = out;

	for (size_t i = 0; i < len / sizeof(*words); i++)
		words[i] = (seed + (off / sizeof(*words) + i) * UINT64_C(0xbf58476d1ce4e5b9)) ^
			   seed >> 31;
}

static bool bytes_right(const struct cache_read *read, const char *key, uint64_t *out_word)
{
	uint64_t expected[512], done = 0;

	CHECK(read->iov_count == 1);
	for (size_t len; done < read->len; done += len) {
		const uint8_t *at = (const uint8_t *)read->iov[0].iov_base + done;

		len = read->len - done < sizeof(expected) ? read->len - done : sizeof(expected);
		bytes_make(key, done, expected, len);
		if (memcmp(at, expected, len) == 0)
			continue;
		memcpy(out_word, at, sizeof(*out_word));
		return false;
	}
	return true;
}

/* --- the nodes and the objects */

static void tune(struct peers_config *config)
{
	config->settle = 0; /* nobody is asked for what it had before */
	config->failover_rate = UINT64_C(1) << 40;
}

static bool is_owners(const struct proof *proof, const char *key, uint32_t len)
{
	const struct object_version version = {
		.backing = "rig", .bucket = "", .key = key, .etag = "1", .size = len
	};
	struct object_id id;

	object_id_of(&version, &id);
	return peers_owns(proof->owner->peers, &id, 0);
}

static void objects_make(struct proof *proof)
{
	uint32_t number = 1;

	for (unsigned i = 0; i < OBJECTS; i++) {
		struct object *object = &proof->objects[i];

		do {
			object->len = 4096u << (number % 15 < 8 ? 0 : number % 5);
			snprintf(object->key, sizeof(object->key), "%x", number++);
		} while (!is_owners(proof, object->key, object->len));
		object->object = rig_open(proof->reader, object->key, object->len);
	}
}

static struct proof *proof_make(struct rig *rig, void (*tuned)(struct peers_config *config))
{
	struct proof *proof = calloc(1, sizeof(*proof));

	assert_non_null(proof);
	rig->memory = 16 << 20;
	rig->tune = tuned;
	rig->bytes = bytes_make;
	proof->rig = rig;
	proof->owner = rig_up(rig, OWNER, -1);
	proof->reader = rig_up(rig, READER, OWNER);
	rig_wait_placed(proof->owner, 2);
	rig_wait_placed(proof->reader, 2);
	random_init(&proof->random, 1);
	random_init(&answers_random, 2);
	pthread_mutex_init(&proof->lock, NULL);
	thread_cond_init(&proof->changed);
	STAILQ_INIT(&proof->idle);
	STAILQ_INIT(&proof->ended);
	for (unsigned i = 0; i < SLOTS; i++) {
		proof->slots[i].proof = proof;
		STAILQ_INSERT_TAIL(&proof->idle, &proof->slots[i], link);
	}
	objects_make(proof);
	proof->started_ns = clock_now_ns(clock_system());
	return proof;
}

static void proof_free(struct proof *proof)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		cache_object_put(proof->objects[i].object);
	pthread_cond_destroy(&proof->changed);
	pthread_mutex_destroy(&proof->lock);
	free(proof);
}

static uint64_t count_of(const struct proof *proof, enum peers_counter counter)
{
	return counter_get(peers_counters(proof->reader->peers), counter);
}

static uint64_t peer_reads(const struct proof *proof)
{
	return count_of(proof, PEERS_FROM_LOCATOR) + count_of(proof, PEERS_FROM_STAGE) +
	       count_of(proof, PEERS_PUSHED);
}

/* --- reading */

static void slot_done(struct cache_read *read)
{
	struct slot *slot = CONTAINER_OF(read, struct slot, read);
	struct proof *proof = slot->proof;

	pthread_mutex_lock(&proof->lock);
	STAILQ_INSERT_TAIL(&proof->ended, slot, link);
	pthread_cond_signal(&proof->changed);
	pthread_mutex_unlock(&proof->lock);
}

/* A wrong unit is met again as long as it lies in the reader's window: it counts once. */
static void judge(struct proof *proof, struct slot *slot)
{
	struct object *object = &proof->objects[slot->object];
	uint64_t word = 0;

	proof->reads++;
	STAILQ_INSERT_TAIL(&proof->idle, slot, link);
	if (slot->read.status != 0) {
		proof->failed++;
		return;
	}
	if (bytes_right(&slot->read, object->key, &word)) {
		object->accepted = 0;
	} else if (word != object->accepted) {
		object->accepted = word;
		proof->wrong++;
	}
	cache_read_finish(&slot->read);
}

/* A bit of something complete that it holds. Not of what is just coming from the backing store: the
   checks are made of what has landed, and only an audit against the backing store finds that. */
static void flip_memory(struct proof *proof)
{
	struct cache *cache = proof->owner->cache;
	struct window *window = &cache->window;
	uint64_t region = random_below(&proof->random, window->region_count);
	uint64_t skip = random_below(&proof->random, SKIP_MAX);
	struct window_entry *entry;

	pthread_mutex_lock(&cache->lock);
	entry = LIST_FIRST(&window->regions[region].entries);
	while (entry && (skip > 0 || entry->state != WINDOW_CLEAN)) {
		skip -= skip > 0;
		entry = LIST_NEXT(entry, by_region);
	}
	if (entry)
		window_data(window, entry)[random_below(&proof->random, entry->len)] ^=
			(uint8_t)(1u << random_below(&proof->random, 8));
	pthread_mutex_unlock(&cache->lock);
}

static void start(struct proof *proof)
{
	struct slot *slot = STAILQ_FIRST(&proof->idle);
	struct object *object;

	STAILQ_REMOVE_HEAD(&proof->idle, link);
	slot->object = (unsigned)random_below(&proof->random, OBJECTS);
	object = &proof->objects[slot->object];
	slot->read = (struct cache_read){ .object = object->object,
					  .len = object->len,
					  .done = slot_done };
	if (cache_read_start(proof->reader->cache, &slot->read) != 0)
		judge(proof, slot);
}

static void reap(struct proof *proof)
{
	struct slot_list ended = STAILQ_HEAD_INITIALIZER(ended);
	uint64_t deadline_ns = clock_now_ns(clock_system()) + RIG_WAIT_NS;
	struct slot *slot;
	int error = 0;

	pthread_mutex_lock(&proof->lock);
	while (STAILQ_EMPTY(&proof->ended) && !error)
		error = thread_cond_wait_until(&proof->changed, &proof->lock, deadline_ns);
	STAILQ_CONCAT(&ended, &proof->ended);
	pthread_mutex_unlock(&proof->lock);
	if (error)
		fail_msg("reads have not ended");
	while ((slot = STAILQ_FIRST(&ended))) {
		STAILQ_REMOVE_HEAD(&ended, link);
		judge(proof, slot);
	}
}

static unsigned idle_count(const struct proof *proof)
{
	const struct slot *slot;
	unsigned count = 0;

	for (slot = STAILQ_FIRST(&proof->idle); slot; slot = STAILQ_NEXT(slot, link))
		count++;
	return count;
}

/* Until @counter() has grown by @count. */
static void read_until(struct proof *proof, uint64_t (*counter)(const struct proof *proof),
		       uint64_t count)
{
	uint64_t end = counter(proof) + count;

	while (counter(proof) < end) {
		while (!STAILQ_EMPTY(&proof->idle) && counter(proof) < end) {
			if (proof->flip_memory)
				flip_memory(proof);
			start(proof);
		}
		if (idle_count(proof) < SLOTS)
			reap(proof);
	}
	while (idle_count(proof) < SLOTS)
		reap(proof);
}

static void report(const struct proof *proof, const char *what)
{
	uint64_t ms = (clock_now_ns(clock_system()) - proof->started_ns) / NS_PER_MS;

	print_message(
		"%s: %" PRIu64 " reads in %" PRIu64 " ms, %" PRIu64 " from the peer (%" PRIu64
		" by locator, %" PRIu64 " staged, %" PRIu64 " pushed), %" PRIu64
		" failed; caught: %" PRIu64 " units that did not match, %" PRIu64
		" malformed messages; wrong: %" PRIu64 "\n",
		what, proof->reads, ms, peer_reads(proof), count_of(proof, PEERS_FROM_LOCATOR),
		count_of(proof, PEERS_FROM_STAGE), count_of(proof, PEERS_PUSHED), proof->failed,
		count_of(proof, PEERS_MISMATCHES), count_of(proof, PEERS_MALFORMED), proof->wrong);
}

#ifndef PROOF_MASKED

static void test_read__of_frames_that_are_recycled__is_right_every_time(void **state)
{
	struct proof *proof = proof_make(*state, tune);

	read_until(proof, peer_reads, count_wanted ? count_wanted : 50000);
	report(proof, "recycled");
	assert_int_equal(proof->wrong, 0);
	assert_int_equal(proof->failed, 0);
	assert_true(count_of(proof, PEERS_MISMATCHES) > 0);
	assert_true(count_of(proof, PEERS_FROM_LOCATOR) > 0);
	proof_free(proof);
}

/* Each unit is asked for, and read under a lease: what does not match then is no stale locator. */
static void tune_without_locators(struct peers_config *config)
{
	tune(config);
	config->locators_memory = 1;
}

static void test_read__of_memory_whose_bits_flip__is_right_every_time(void **state)
{
	struct proof *proof = proof_make(*state, tune_without_locators);

	proof->flip_memory = true;
	read_until(proof, peer_reads, FAULT_READS);
	report(proof, "bits flip in memory");
	assert_int_equal(proof->wrong, 0);
	assert_true(count_of(proof, PEERS_MISMATCHES) > 0);
	proof_free(proof);
}

static void test_read__from_who_answers_falsely__is_right_every_time(void **state)
{
	struct proof *proof = proof_make(*state, tune);

	atomic_store(&answers_lie, true);
	read_until(proof, peer_reads, FAULT_READS / 10);
	atomic_store(&answers_lie, false);
	report(proof, "bits flip in answers");
	print_message("answers changed: %" PRIu64 "\n", atomic_load(&answers_flipped));
	assert_int_equal(proof->wrong, 0);
	assert_true(atomic_load(&answers_flipped) > 0);
	assert_true(count_of(proof, PEERS_MISMATCHES) + count_of(proof, PEERS_MALFORMED) > 0);
	proof_free(proof);
}

/* All locators are of its former life; its arena has other units at the same places. */
static void test_read__after_the_owner_restarted__is_right_every_time(void **state)
{
	struct proof *proof = proof_make(*state, tune);

	for (unsigned i = 0; i < 3; i++) {
		read_until(proof, peer_reads, FAULT_READS / 10);
		rig_down(proof->owner);
		proof->owner = rig_up(proof->rig, OWNER, READER);
		rig_wait_placed(proof->owner, 2);
		rig_wait_placed(proof->reader, 2);
	}
	read_until(proof, peer_reads, FAULT_READS / 10);
	report(proof, "restarted");
	assert_int_equal(proof->wrong, 0);
	proof_free(proof);
}

#else

static uint64_t bad_granules(const struct proof *proof)
{
	return count_of(proof, PEERS_MISMATCHES) + proof->wrong;
}

/* No unit is longer than a granule. Within a factor of two, or five standard deviations where that
   is more. */
static void test_read__with_a_check_of_12_bits__is_wrong_once_in_4096(void **state)
{
	struct proof *proof = proof_make(*state, tune);
	double expected, bad;

	read_until(proof, bad_granules, count_wanted ? count_wanted : 40000);
	report(proof, "masked to 12 bits");
	bad = (double)bad_granules(proof);
	expected = bad / (1u << MASK_BITS);
	print_message("false accepts: %" PRIu64 " of %.0f bad granules, 1 in %.0f; 2^-12 is %.1f\n",
		      proof->wrong, bad, bad / (double)(proof->wrong ? proof->wrong : 1), expected);
	assert_true((double)proof->wrong >=
		    fmax(1, fmin(expected / 2, expected - 5 * sqrt(expected))));
	assert_true((double)proof->wrong <= fmax(expected * 2, expected + 5 * sqrt(expected)));
	proof_free(proof);
}

#endif

int main(int argc, char **argv)
{
#define PROOF_TEST(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
#ifdef PROOF_MASKED
		PROOF_TEST(test_read__with_a_check_of_12_bits__is_wrong_once_in_4096),
#else
		PROOF_TEST(test_read__of_frames_that_are_recycled__is_right_every_time),
		PROOF_TEST(test_read__of_memory_whose_bits_flip__is_right_every_time),
		PROOF_TEST(test_read__from_who_answers_falsely__is_right_every_time),
		PROOF_TEST(test_read__after_the_owner_restarted__is_right_every_time),
#endif
	};

	if (argc > 1)
		count_wanted = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
