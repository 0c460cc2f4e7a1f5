/*
 * handover_ask.c - the TAKEs under way: so many with one owner and all together, and what their
 * answers say. done() only notes that it has run; all else is on the thread of handover_run().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/thread.h"
#include "cache/peer/handover_inside.h"

#define WAIT_NS (50 * NS_PER_MS) /* between calls of tell() while nothing is answered */

static void answered(struct peers_inquiry *inquiry)
{
	struct handover_ask *ask = CONTAINER_OF(inquiry, struct handover_ask, inquiry);
	struct handover *handover = ask->handover;

	pthread_mutex_lock(&handover->lock);
	ask->answered = true;
	pthread_cond_signal(&handover->changed);
	pthread_mutex_unlock(&handover->lock);
}

/* --- whom to spare */

static bool is_silent(const struct handover *handover, const struct member_id *owner)
{
	for (unsigned i = 0; i < handover->silent_count; i++) {
		if (member_id_equal(&handover->silent[i], owner))
			return true;
	}
	return false;
}

static void silent_note(struct handover *handover, const struct member_id *owner)
{
	if (!is_silent(handover, owner) && handover->silent_count < HANDOVER_SILENT_MAX)
		handover->silent[handover->silent_count++] = *owner;
}

/* --- what came of it */

static unsigned bit_count(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

static void count_unanswered(struct handover *handover, uint64_t bits, uint64_t bytes)
{
	handover->now.unanswered_blocks += bit_count(bits);
	handover->now.unanswered_bytes += bytes;
}

static bool is_no_answer(int status)
{
	return status == -EHOSTUNREACH || status == -ETIMEDOUT || status == -EAGAIN ||
	       status == -ECANCELED;
}

static void count_taken(struct handover *handover, const struct handover_ask *ask)
{
	const struct peer_inquire *asked = &ask->inquiry.asked;
	const struct peer_taken *taken = &ask->inquiry.report.taken;
	struct peers_handover *now = &handover->now;
	uint64_t size = asked->version.size, first = asked->take.first;
	uint64_t there = ask->inquiry.status ? 0 : taken->blocks & asked->take.blocks;
	uint64_t lacking = asked->take.blocks & ~there;

	now->blocks += bit_count(there);
	now->bytes += handover_len(handover, size, first, there);
	if (!ask->inquiry.status)
		now->brought_bytes += taken->bytes;
	now->refused_blocks += bit_count(lacking);
	now->refused_bytes += handover_len(handover, size, first, lacking);
	handover->heard_ns = handover_now(handover);
}

static void ask_end(struct handover_ask *ask)
{
	struct handover *handover = ask->handover;
	const struct peer_inquire *asked = &ask->inquiry.asked;

	if (is_no_answer(ask->inquiry.status))
		count_unanswered(handover, asked->take.blocks,
				 handover_len(handover, asked->version.size, asked->take.first,
					      asked->take.blocks));
	else
		count_taken(handover, ask);
	if (ask->inquiry.status == -EHOSTUNREACH)
		silent_note(handover, &ask->inquiry.member);
	free(ask->texts);
	ask->texts = NULL;
	ask->used = false;
}

static void reap(struct handover *handover)
{
	for (unsigned i = 0; i < HANDOVER_ASKS_MAX; i++) {
		struct handover_ask *ask = &handover->asks[i];
		bool over;

		pthread_mutex_lock(&handover->lock);
		over = ask->used && ask->answered;
		pthread_mutex_unlock(&handover->lock);
		if (over)
			ask_end(ask);
	}
}

static void wait_a_little(struct handover *handover)
{
	uint64_t until_ns = clock_after_ns(clock_now_ns(clock_system()), WAIT_NS);
	bool any = false;

	pthread_mutex_lock(&handover->lock);
	for (unsigned i = 0; i < HANDOVER_ASKS_MAX; i++)
		any |= handover->asks[i].used && handover->asks[i].answered;
	if (!any)
		thread_cond_wait_until(&handover->changed, &handover->lock, until_ns);
	pthread_mutex_unlock(&handover->lock);
}

/* --- asking */

static size_t keep_text(char *at, const char *text, const char **out_kept)
{
	size_t size = strlen(text) + 1;

	*out_kept = memcpy(at, text, size);
	return size;
}

/* The page is used again before it is answered. */
static int keep_texts(struct handover_ask *ask, const struct store_object *object)
{
	const struct object_version *version = &object->version;
	struct peer_inquire *asked = &ask->inquiry.asked;
	char *at;

	at = malloc(strlen(version->backing) + strlen(version->bucket) + strlen(version->key) +
		    strlen(version->etag) + strlen(object->dataset) + 5);
	if (!at)
		return -ENOMEM;
	ask->texts = at;
	at += keep_text(at, version->backing, &asked->version.backing);
	at += keep_text(at, version->bucket, &asked->version.bucket);
	at += keep_text(at, version->key, &asked->version.key);
	at += keep_text(at, version->etag, &asked->version.etag);
	keep_text(at, object->dataset, &asked->dataset);
	asked->version.size = version->size;
	return 0;
}

/* A free one, if @owner may be asked for more. */
static struct handover_ask *find_free(struct handover *handover, const struct member_id *owner)
{
	struct handover_ask *found = NULL;
	unsigned same = 0;

	for (unsigned i = 0; i < HANDOVER_ASKS_MAX; i++) {
		struct handover_ask *ask = &handover->asks[i];

		if (!ask->used)
			found = ask;
		else if (member_id_equal(&ask->inquiry.member, owner))
			same++;
	}
	return same < HANDOVER_OWNER_MAX ? found : NULL;
}

/* Return: NULL: it is not to be asked, or it is over. */
static struct handover_ask *await_free(struct handover *handover, const struct member_id *owner)
{
	struct handover_ask *ask = NULL;

	while (handover_tell(handover) && !is_silent(handover, owner)) {
		reap(handover);
		ask = find_free(handover, owner);
		if (ask)
			break;
		wait_a_little(handover);
	}
	return ask;
}

void handover_ask(struct handover *handover, const struct member_id *owner,
		  const struct store_object *object, uint64_t first, uint64_t bits)
{
	struct handover_ask *ask = await_free(handover, owner);

	if (!ask) {
		count_unanswered(handover, bits,
				 handover_len(handover, object->version.size, first, bits));
		return;
	}
	*ask = (struct handover_ask){ .handover = handover, .used = true };
	ask->inquiry = (struct peers_inquiry){
		.member = *owner,
		.asked = { .topic = PEER_TOPIC_TAKE,
			   .mtime_s = object->mtime_s,
			   .take = { .first = first, .blocks = bits } },
		.deadline_ns = clock_after_ns(handover_now(handover), HANDOVER_TIMEOUT_NS),
		.done = answered,
	};
	if (keep_texts(ask, object)) {
		handover->error = -ENOMEM;
		ask->used = false;
		return;
	}
	handover->setup.ask(handover->setup.context, &ask->inquiry);
}

static bool any_used(const struct handover *handover)
{
	for (unsigned i = 0; i < HANDOVER_ASKS_MAX; i++) {
		if (handover->asks[i].used)
			return true;
	}
	return false;
}

void handover_asks_end(struct handover *handover)
{
	for (reap(handover); any_used(handover); reap(handover)) {
		handover_tell(handover);
		wait_a_little(handover);
	}
}
