/*
 * reader_rig_owner.c - owners that do as they are told: what they hold and what they say.
 */
#include "tests/unit/cache/peer/reader_rig.h"

#include <string.h>

#include "base/digest.h"

#define PUSH_PIECE_LEN 3000

/* --- bytes of the object */

static uint64_t word_at(uint64_t off)
{
	return (off + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(uint8_t *at, uint64_t off, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word = word_at(off + i);

		memcpy(at + i, &word, sizeof(word));
	}
}

bool rig_is_right(const struct peer_fetch *fetch)
{
	uint64_t off = window_key_off(&fetch->key, RIG_BLOCK_LEN), word;
	const uint8_t *at = fetch->dst;

	for (uint32_t i = 0; i < fetch->len; i += sizeof(word)) {
		memcpy(&word, at + i, sizeof(word));
		if (word != word_at(off + i))
			return false;
	}
	for (uint32_t i = 0; i < fetch->len; i += GRANULE_LEN) {
		if (fetch->checks[i / GRANULE_LEN] != digest_crc64(at + i, GRANULE_LEN))
			return false;
	}
	return true;
}

/* --- what an owner holds */

static int find_unit(const struct rig_owner *owner, const struct window_key *key)
{
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		if (owner->units[i].used && window_key_equal(&owner->units[i].key, key))
			return (int)i;
	}
	return -1;
}

static uint8_t *unit_memory(const struct rig_owner *owner, unsigned place)
{
	return owner->arena + (size_t)place * RIG_BLOCK_LEN;
}

static unsigned hold(struct rig_owner *owner, const struct window_key *key, uint32_t len)
{
	unsigned place = owner->next_unit++ % RIG_UNITS;
	struct rig_unit *unit = &owner->units[place];
	uint8_t *at = unit_memory(owner, place);

	if (unit->used)
		window_directory_withdraw(owner->directory, &unit->key);
	*unit = (struct rig_unit){ .used = true, .key = *key, .len = len };
	fill(at, window_key_off(key, RIG_BLOCK_LEN), len);
	for (uint32_t i = 0; i < len; i += GRANULE_LEN)
		unit->checks[i / GRANULE_LEN] = digest_crc64(at + i, GRANULE_LEN);
	window_directory_publish(owner->directory, key, (uint64_t)place * RIG_BLOCK_LEN, len,
				 unit->checks);
	return place;
}

unsigned rig_hold(struct rig_owner *owner, uint64_t block)
{
	struct window_key key = window_block_key(&owner->rig->object.id, block);

	return hold(owner, &key, RIG_BLOCK_LEN);
}

int rig_unit(const struct rig_owner *owner, uint64_t block)
{
	struct window_key key = window_block_key(&owner->rig->object.id, block);

	return find_unit(owner, &key);
}

void rig_drop(struct rig_owner *owner, uint64_t block)
{
	int place = rig_unit(owner, block);

	assert_true(place >= 0);
	window_directory_withdraw(owner->directory, &owner->units[place].key);
	owner->units[place].used = false;
	memset(unit_memory(owner, (unsigned)place), 0xee, RIG_BLOCK_LEN);
}

/* --- what an owner says */

static void answer(struct rig_owner *owner, struct transport_peer *to, struct peer_message *message)
{
	if (owner->twist && owner->twists) {
		owner->twists--;
		if (!owner->twist(owner, message))
			return;
	}
	(void)outbox_send(owner->outbox, to, message, NS_PER_S);
}

static void refuse(struct rig_owner *owner, struct transport_peer *to, uint64_t request,
		   const struct peer_refused *why)
{
	struct peer_message message = { .kind = PEER_REFUSED };

	message.refused = *why;
	message.refused.request = request;
	answer(owner, to, &message);
}

static void push(struct rig_owner *owner, struct transport_peer *to, uint64_t request,
		 unsigned place)
{
	struct rig_unit *unit = &owner->units[place];
	uint8_t piece[PUSH_PIECE_LEN];
	uint32_t len;

	for (uint32_t off = 0; off < unit->len; off += len) {
		struct peer_message message = { .kind = PEER_PUSH };

		len = unit->len - off < PUSH_PIECE_LEN ? unit->len - off : PUSH_PIECE_LEN;
		memcpy(piece, unit_memory(owner, place) + off, len);
		if (owner->rotten_pushes && !off)
			piece[17] ^= 1;
		message.push = (struct peer_push){ request, off, len, piece };
		answer(owner, to, &message);
	}
	if (owner->rotten_pushes)
		owner->rotten_pushes--;
}

static void say_staged(struct rig_owner *owner, struct transport_peer *to,
		       const struct peer_stage *stage, unsigned place)
{
	struct rig_unit *unit = &owner->units[place];
	bool pushed = stage->flags & PEER_STAGE_PUSH;
	struct peer_message message = { .kind = PEER_STAGED };

	if (pushed)
		push(owner, to, stage->request, place);
	message.staged = (struct peer_staged){
		.request = stage->request,
		.key = unit->key,
		.epoch = owner->epoch,
		.off = pushed ? 0 : (uint64_t)place * RIG_BLOCK_LEN,
		.len = unit->len,
		.lease_ms = pushed ? 0 : 10000,
		.origin = PEER_ORIGIN_WINDOW,
	};
	memcpy(message.staged.checks, unit->checks, sizeof(unit->checks));
	if (owner->rotten_stages) {
		owner->rotten_stages--;
		unit_memory(owner, place)[12345] ^= 4;
	}
	answer(owner, to, &message);
}

/* The end of its work. */
static void finish_stage(struct rig_owner *owner, const struct rig_stage *job)
{
	const struct peer_refused absent = { .why = PEER_ABSENT_HERE };
	struct rig *rig = owner->rig;
	struct window_key key = { .id = rig->object.id, .index = job->stage.index };
	int place = find_unit(owner, &key);

	if (place < 0 && (owner->ignorant || job->stage.flags & PEER_STAGE_LOCAL)) {
		refuse(owner, job->from, job->stage.request, &absent);
		return;
	}
	if (place < 0)
		place = (int)hold(owner, &key,
				  window_key_len(&key, rig->object.version.size, RIG_BLOCK_LEN));
	say_staged(owner, job->from, &job->stage, (unsigned)place);
}

static void take_stage(struct rig_owner *owner, struct transport_peer *from,
		       const struct peer_stage *stage)
{
	uint64_t now_ns = rig_now(owner->rig);

	assert_int_equal(stage->version.size, owner->rig->object.version.size);
	assert_string_equal(stage->version.key, owner->rig->object.version.key);
	assert_true(object_id_equal(&stage->id, &owner->rig->object.id));
	owner->log[owner->stage_count % RIG_LOG_MAX] = *stage;
	owner->stage_count++;
	owner->last_request = stage->request;
	if (owner->silent)
		return;
	if (owner->refusals) {
		owner->refusals--;
		refuse(owner, from, stage->request, &owner->refusal);
		return;
	}
	for (unsigned i = 0; i < RIG_STAGES_MAX; i++) {
		if (owner->stages[i].used)
			continue;
		owner->stages[i] = (struct rig_stage){ .used = true,
						       .from = from,
						       .stage = *stage,
						       .ready_ns = now_ns + owner->work_ns,
						       .word_ns = now_ns + PEER_WORKING_NS };
		return;
	}
}

static void cancel_stages(struct rig_owner *owner, const struct transport_peer *from,
			  const uint64_t *request)
{
	for (unsigned i = 0; i < RIG_STAGES_MAX; i++) {
		struct rig_stage *job = &owner->stages[i];

		if (job->from == from && (!request || job->stage.request == *request))
			job->used = false;
	}
}

static void say_working(struct rig_owner *owner, const struct rig_stage *job)
{
	struct peer_message message = { .kind = PEER_WORKING };

	message.request = job->stage.request;
	answer(owner, job->from, &message);
}

uint64_t rig_owner_work(struct rig_owner *owner)
{
	uint64_t now_ns = rig_now(owner->rig), next_ns = CLOCK_NEVER;

	for (unsigned i = 0; i < RIG_STAGES_MAX; i++) {
		struct rig_stage *job = &owner->stages[i];

		if (!job->used)
			continue;
		if (job->ready_ns <= now_ns) {
			job->used = false;
			finish_stage(owner, job);
			continue;
		}
		if (job->word_ns <= now_ns && !owner->wordless) {
			say_working(owner, job);
			job->word_ns = now_ns + PEER_WORKING_NS;
		}
		next_ns = job->ready_ns < next_ns ? job->ready_ns : next_ns;
		if (job->word_ns > now_ns && job->word_ns < next_ns)
			next_ns = job->word_ns;
	}
	return next_ns;
}

static void owner_told(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct rig_owner *owner = context;
	struct peer_message message;

	assert_int_equal(peer_message_decode(data, len, &message), 0);
	switch (message.kind) {
	case PEER_STAGE:
		take_stage(owner, from, &message.stage);
		return;
	case PEER_CANCEL:
		owner->cancel_count++;
		cancel_stages(owner, from, &message.request);
		return;
	case PEER_RELEASE:
		owner->release_count += message.release.count;
		return;
	case PEER_HITS:
		owner->hit_count += message.hits.count;
		return;
	default:
		fail_msg("kind %d", message.kind);
	}
}

static void owner_told_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct rig_owner *owner = context;

	(void)status;
	(void)why;
	owner->down_count++;
	cancel_stages(owner, peer, NULL);
	transport_peer_set_context(peer, NULL);
}

struct transport_events rig_owner_events(struct rig_owner *owner)
{
	return (struct transport_events){ .context = owner,
					  .message = owner_told,
					  .down = owner_told_down };
}

void rig_say(struct rig_owner *owner, const struct peer_message *message)
{
	for (unsigned i = 0; i < RIG_STAGES_MAX; i++) {
		if (owner->stages[i].from) {
			(void)outbox_send(owner->outbox, owner->stages[i].from, message, NS_PER_S);
			return;
		}
	}
	fail_msg("nobody asked");
}
