/*
 * take.c - the life of a block that is taken over:
 *
 *	WANTED --> on the SSD already ------------------------------> there
 *	  |  not this node's (yet): looked at again, until OWN_NS
 *	  |  the SSD would not take it -------------------------> not there
 *	  v
 *	STAGING --> KEEPING (held in the window) --> written ---> there
 *	  |  ^  |                 `-------------- refused -----> not there
 *	  |  `--' crossed with a reader here: again a little later
 *	  `------------------------------- an error -----------> not there
 *
 * What is staged ends on any thread, which only notes it; all else is the caller's thread.
 */
#include "cache/peer/take.h"

#include <errno.h>
#include <pthread.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/stage.h"
#include "cache/store/store.h"
#include "cache/window/key.h"

#define OWN_NS	 (10 * NS_PER_S)  /* from the start, until this node knows what it owns */
#define LOOK_NS	 (2 * NS_PER_MS)  /* between looks at what tells nobody that it is done */
#define AGAIN_NS (20 * NS_PER_MS) /* until what crossed with a reader here is tried again */

enum block_state {
	BLOCK_NONE,    /* the slot is free */
	BLOCK_WANTED,  /* to be begun, or looked at again, at due_ns */
	BLOCK_STAGING, /* its stage is the cache's */
	BLOCK_KEEPING, /* until it is on the SSD */
};

struct slot {
	struct taking *taking;
	enum block_state state;
	unsigned bit;
	uint64_t block, due_ns;
	struct cache_stage stage;
	bool staged; /* guarded by lock: done() has run */
};

struct taking {
	const struct take *take;
	const struct peer_inquire *asked;
	struct store_object object;
	uint64_t deadline_ns, own_ns;
	uint64_t left; /* bits not begun */
	struct peer_taken taken;
	int error; /* of a block that is not there */
	bool ending;
	struct slot slots[TAKE_STAGES_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed; /* some slot is staged */
};

static uint64_t now_of(const struct taking *taking)
{
	return clock_now_ns(taking->take->clock);
}

static void staged(struct cache_stage *stage)
{
	struct slot *slot = stage->context;
	struct taking *taking = slot->taking;

	pthread_mutex_lock(&taking->lock);
	slot->staged = true;
	pthread_cond_signal(&taking->changed);
	pthread_mutex_unlock(&taking->lock);
}

/* --- a block */

static void slot_end(struct slot *slot, int status)
{
	struct taking *taking = slot->taking;

	if (status == 0)
		taking->taken.blocks |= UINT64_C(1) << slot->bit;
	else if (status != -ENOSPC)
		taking->error = status;
	slot->state = BLOCK_NONE;
}

static uint32_t block_len(const struct taking *taking, uint64_t block)
{
	return object_block_len(taking->asked->version.size, block,
				cache_block_len(taking->take->cache));
}

static void stage_begin(struct slot *slot)
{
	struct taking *taking = slot->taking;
	const struct peer_inquire *asked = taking->asked;

	slot->stage = (struct cache_stage){
		.version = asked->version,
		.mtime_s = asked->mtime_s,
		.dataset = asked->dataset,
		.index = window_block_key(&taking->object.id, slot->block).index,
		.deadline_ns = taking->deadline_ns,
		.done = staged,
		.context = slot,
	};
	slot->staged = false;
	slot->state = BLOCK_STAGING;
	cache_stage_start(taking->take->cache, &slot->stage);
}

static void wanted_look(struct slot *slot)
{
	struct taking *taking = slot->taking;
	const struct take *take = taking->take;
	const struct object_id *id = &taking->object.id;
	uint32_t len = block_len(taking, slot->block);
	uint64_t now_ns = now_of(taking);

	if (len == 0)
		slot_end(slot, -EINVAL);
	else if (cache_has_block(take->cache, id, slot->block))
		slot_end(slot, 0);
	else if (taking->ending)
		slot_end(slot, -ETIMEDOUT);
	else if (!take->owns(take->context, id, slot->block) && now_ns < taking->own_ns)
		slot->due_ns = now_ns + AGAIN_NS;
	else if (!take->owns(take->context, id, slot->block) ||
		 !cache_would_keep(take->cache, &taking->object, slot->block, len))
		slot_end(slot, -ENOSPC);
	else
		stage_begin(slot);
}

static bool is_staged(struct slot *slot)
{
	bool result;

	pthread_mutex_lock(&slot->taking->lock);
	result = slot->staged;
	pthread_mutex_unlock(&slot->taking->lock);
	return result;
}

static void staging_look(struct slot *slot)
{
	struct taking *taking = slot->taking;
	const struct cache_stage *stage = &slot->stage;

	if (!is_staged(slot))
		return;
	if (stage->status == 0) {
		slot->state = BLOCK_KEEPING;
		slot->due_ns = now_of(taking);
		if (stage->origin == CACHE_ORIGIN_PEER || stage->origin == CACHE_ORIGIN_BACKING)
			taking->taken.bytes += stage->len;
	} else if (stage->status == -EAGAIN && !taking->ending) {
		slot->state = BLOCK_WANTED;
		slot->due_ns = now_of(taking) + AGAIN_NS;
	} else {
		slot_end(slot, taking->ending ? -ETIMEDOUT : stage->status);
	}
}

static void keeping_look(struct slot *slot)
{
	int status = cache_stage_keep(&slot->stage);

	if (status == -EAGAIN && !slot->taking->ending) {
		slot->due_ns = now_of(slot->taking) + LOOK_NS;
		return;
	}
	cache_stage_finish(&slot->stage);
	slot_end(slot, status == -EAGAIN ? -ETIMEDOUT : status);
}

static void slot_look(struct slot *slot)
{
	bool due = slot->taking->ending || now_of(slot->taking) >= slot->due_ns;

	if (slot->state == BLOCK_WANTED && due)
		wanted_look(slot);
	if (slot->state == BLOCK_STAGING)
		staging_look(slot);
	if (slot->state == BLOCK_KEEPING && due)
		keeping_look(slot);
}

/* --- all of them */

static void slot_fill(struct slot *slot)
{
	struct taking *taking = slot->taking;

	if (slot->state != BLOCK_NONE || !taking->left)
		return;
	slot->bit = (unsigned)__builtin_ctzll(taking->left);
	taking->left &= taking->left - 1;
	slot->block = taking->asked->take.first + slot->bit;
	slot->due_ns = 0;
	slot->state = BLOCK_WANTED;
}

/* Return: whether something is still to be done. */
static bool turn(struct taking *taking)
{
	bool busy = false;

	for (unsigned i = 0; i < TAKE_STAGES_MAX; i++) {
		struct slot *slot = &taking->slots[i];

		do {
			slot_fill(slot);
			slot_look(slot);
		} while (slot->state == BLOCK_NONE && taking->left);
		busy |= slot->state != BLOCK_NONE;
	}
	return busy;
}

/* Until something is staged, or it is time to look again. */
static void wait_a_little(struct taking *taking)
{
	uint64_t now_ns = clock_now_ns(clock_system()), wait_ns = AGAIN_NS;
	bool any = false;

	pthread_mutex_lock(&taking->lock);
	for (unsigned i = 0; i < TAKE_STAGES_MAX; i++) {
		const struct slot *slot = &taking->slots[i];

		any |= slot->state == BLOCK_STAGING && slot->staged;
		if (slot->state == BLOCK_KEEPING)
			wait_ns = LOOK_NS;
	}
	if (!any)
		thread_cond_wait_until(&taking->changed, &taking->lock, now_ns + wait_ns);
	pthread_mutex_unlock(&taking->lock);
}

/* What is under way ends soon, nothing is begun any more: it is only looked whether it is there. */
static void begin_ending(struct taking *taking)
{
	if (taking->ending)
		return;
	taking->ending = true;
	for (unsigned i = 0; i < TAKE_STAGES_MAX; i++) {
		if (taking->slots[i].state == BLOCK_STAGING)
			cache_stage_cancel(&taking->slots[i].stage);
	}
}

static void taking_init(struct taking *taking)
{
	const struct peer_inquire *asked = taking->asked;

	taking->object = (struct store_object){
		.version = asked->version,
		.mtime_s = asked->mtime_s,
		.dataset = asked->dataset,
	};
	object_id_of(&asked->version, &taking->object.id);
	taking->own_ns = clock_after_ns(now_of(taking), OWN_NS);
	taking->left = asked->take.blocks;
	for (unsigned i = 0; i < TAKE_STAGES_MAX; i++)
		taking->slots[i].taking = taking;
	pthread_mutex_init(&taking->lock, NULL);
	thread_cond_init(&taking->changed);
}

static void taken_log(const struct taking *taking, const struct member_id *from)
{
	const struct object_version *version = &taking->asked->version;
	char id[MEMBER_ID_TEXT];

	digest_hex(from->bytes, MEMBER_ID_LEN, id);
	log_debug("peers.take", "member=%s backing=%s key=\"%s\" wanted=%d here=%d bytes=%llu", id,
		  version->backing, version->key, __builtin_popcountll(taking->asked->take.blocks),
		  __builtin_popcountll(taking->taken.blocks),
		  (unsigned long long)taking->taken.bytes);
}

int take_run(const struct take *take, const struct peer_inquire *asked,
	     const struct member_id *from, uint64_t deadline_ns, const atomic_bool *stopping,
	     struct peer_taken *out)
{
	struct taking taking = { .take = take, .asked = asked, .deadline_ns = deadline_ns };

	CHECK(asked->topic == PEER_TOPIC_TAKE);
	taking_init(&taking);
	while (turn(&taking)) {
		wait_a_little(&taking);
		if (atomic_load(stopping) || now_of(&taking) >= deadline_ns)
			begin_ending(&taking);
	}
	pthread_cond_destroy(&taking.changed);
	pthread_mutex_destroy(&taking.lock);
	taken_log(&taking, from);
	if (!taking.taken.blocks && atomic_load(stopping))
		return -ECANCELED;
	if (!taking.taken.blocks && taking.error)
		return taking.error;
	*out = taking.taken;
	return 0;
}
