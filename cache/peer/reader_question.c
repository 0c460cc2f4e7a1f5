/*
 * reader_question.c - a STAGE and what is answered:
 *
 *	UNSENT --> ASKED --> STAGED: LEASED, and the bytes are read
 *	   ^        |  ^---- WORKING, PUSH: for another `silence`
 *	   |        |
 *	   |        +------> REFUSED: over, or BUSY --> UNSENT
 *	   |        +------> nothing for `silence`: over
 *	   +--------+------- our side closed the connection
 *
 * A question that is ASKED is found by its number, which is new each time that it is sent: answers
 * to a former number find nothing.
 */
#include <errno.h>
#include <string.h>

#include "cache/peer/reader_inside.h"
#include "cache/store/store.h"

struct question *question_find(struct reader *reader, uint64_t number)
{
	struct question *question;

	HASH_FIND(by_number, reader->questions, &number, sizeof(number), question);
	return question;
}

static int list(struct question *question)
{
	struct reader *reader = question->pursuit->reader;

	question->number = reader->number_next++;
	HASH_ADD(by_number, reader->questions, number, sizeof(question->number), question);
	return question->by_number.tbl ? 0 : -ENOMEM;
}

static void unlist(struct question *question)
{
	struct reader *reader = question->pursuit->reader;

	HASH_DELETE(by_number, reader->questions, question);
}

void question_end(struct question *question, bool cancel)
{
	bool asked = question->state == QUESTION_ASKED;

	question->state = QUESTION_OVER;
	if (!asked)
		return;
	unlist(question);
	if (cancel)
		tell_cancel(question->pursuit->reader, question->neighbour, question->number);
}

void questions_end(struct pursuit *pursuit, const struct question *keep)
{
	for (unsigned i = 0; i < pursuit->question_count; i++) {
		if (&pursuit->questions[i] != keep)
			question_end(&pursuit->questions[i], true);
	}
}

bool questions_open(const struct pursuit *pursuit)
{
	for (unsigned i = 0; i < pursuit->question_count; i++) {
		if (pursuit->questions[i].state != QUESTION_OVER)
			return true;
	}
	return false;
}

void lease_end(struct pursuit *pursuit)
{
	struct question *leased = pursuit->leased;

	if (!leased)
		return;
	pursuit->leased = NULL;
	leased->state = QUESTION_OVER;
	tell_release(pursuit->reader, leased->neighbour, leased->number);
}

/* It came to nothing. */
static void fail(struct question *question, enum failure failure)
{
	struct pursuit *pursuit = question->pursuit;

	if (failure == FAILURE_SILENT || failure == FAILURE_CLOSED || failure == FAILURE_REFUSED)
		pursuit_count_silent(pursuit, question->neighbour);
	question_end(question, false);
	if (pursuit->local && questions_open(pursuit))
		return;
	pursuit_failed(pursuit, failure);
}

/* --- asking */

void question_init(struct pursuit *pursuit, struct question *question, struct neighbour *neighbour,
		   unsigned flags)
{
	CHECK(question->state == QUESTION_OVER);
	*question = (struct question){
		.pursuit = pursuit,
		.neighbour = neighbour,
		.state = QUESTION_UNSENT,
		.flags = flags,
		.asked_ns = reader_now(pursuit->reader),
	};
	question->due_ns = question->asked_ns;
}

static uint32_t timeout_ms(const struct peer_fetch *fetch, uint64_t now_ns)
{
	const uint32_t most_ms = PEER_TIMEOUT_MS_MAX;
	uint64_t left_ms =
		fetch->deadline_ns > now_ns ? (fetch->deadline_ns - now_ns) / NS_PER_MS : 0;

	if (!left_ms)
		return 1;
	return left_ms < most_ms ? (uint32_t)left_ms : most_ms;
}

static int send_stage(struct question *question, uint64_t now_ns)
{
	const struct pursuit *pursuit = question->pursuit;
	const struct reader_setup *setup = &pursuit->reader->setup;
	const struct peer_fetch *fetch = pursuit->fetch;
	struct peer_message message;

	message.kind = PEER_STAGE;
	message.stage = (struct peer_stage){
		.request = question->number,
		.flags = question->flags,
		.timeout_ms = timeout_ms(fetch, now_ns),
		.index = fetch->key.index,
		.mtime_s = fetch->object->mtime_s,
		.version = fetch->object->version,
		.dataset = fetch->object->dataset,
	};
	return outbox_send(setup->outbox, question->neighbour->peer, &message,
			   setup->config->silence);
}

/* Its names do not fit into a message: nobody at all can be asked for it. */
static void fail_unspeakable(struct question *question)
{
	struct pursuit *pursuit = question->pursuit;

	if (pursuit->local) {
		fail(question, FAILURE_WRONG);
		return;
	}
	question_end(question, false);
	pursuit->rank = pursuit->owner_count;
	pursuit_ask(pursuit);
}

void question_send(struct question *question)
{
	struct pursuit *pursuit = question->pursuit;
	struct reader *reader = pursuit->reader;
	uint64_t now_ns = reader_now(reader), silence_ns = reader->setup.config->silence;
	int error;

	CHECK(question->state == QUESTION_UNSENT);
	pursuit->pushed = 0;
	error = list(question);
	if (!error)
		error = send_stage(question, now_ns);
	if (!error) {
		question->state = QUESTION_ASKED;
		question->due_ns = clock_after_ns(now_ns, silence_ns);
		reader_due(reader, question->due_ns);
		return;
	}
	if (question->by_number.tbl)
		unlist(question);
	if (error == -EMSGSIZE)
		fail_unspeakable(question);
	else if (error != -EAGAIN && error != -ENOMEM)
		fail(question, pursuit_unreachable(pursuit, question->neighbour));
	else if (now_ns - question->asked_ns >= silence_ns)
		fail(question, FAILURE_SILENT);
	else
		question->due_ns = now_ns + RESEND_NS;
	reader_due(reader, question->due_ns);
}

/* Its time to come again has come. */
static void ask_again(struct question *question)
{
	struct pursuit *pursuit = question->pursuit;

	question->state = QUESTION_UNSENT;
	question->asked_ns = reader_now(pursuit->reader);
	if (!pursuit->local && !pursuit->away && pursuit_is_served(pursuit)) {
		question_end(question, false);
		former_begin(pursuit);
	} else {
		question_send(question);
	}
}

void question_due(struct question *question)
{
	struct reader *reader = question->pursuit->reader;

	if (question->state == QUESTION_UNSENT)
		question_send(question);
	else if (question->state == QUESTION_BUSY)
		ask_again(question);
	if (question->state != QUESTION_ASKED || question->due_ns > reader_now(reader))
		return;
	neighbour_failed(reader->setup.neighbours, question->neighbour, reader_now(reader),
			 "asked for a block, it said nothing");
	question_end(question, true);
	fail(question, FAILURE_SILENT);
}

/* --- answers */

static void heard(struct question *question)
{
	struct reader *reader = question->pursuit->reader;

	question->due_ns = clock_after_ns(reader_now(reader), reader->setup.config->silence);
}

static void take_pushed(struct pursuit *pursuit)
{
	if (pursuit->pushed != pursuit->fetch->len || !pursuit_verify(pursuit)) {
		pursuit_mismatch(pursuit);
		return;
	}
	pursuit->by_push = true;
	pursuit_fetched(pursuit);
}

static void take_staged(struct question *question, const struct peer_staged *staged)
{
	struct pursuit *pursuit = question->pursuit;
	struct peer_fetch *fetch = pursuit->fetch;
	struct reader *reader = pursuit->reader;

	reader_count(reader, PEERS_STAGE_NS, reader_now(reader) - question->asked_ns);
	question_end(question, false);
	questions_end(pursuit, question);
	if (staged->lease_ms) {
		question->state = QUESTION_LEASED;
		pursuit->leased = question;
	}
	pursuit->neighbour = question->neighbour;
	pursuit->holder = question->neighbour->id;
	reader_epoch(reader, question->neighbour, staged->epoch);
	/* bytes of another unit match the checks that come with them */
	if (!window_key_equal(&staged->key, &fetch->key) || staged->len != fetch->len) {
		pursuit_mismatch(pursuit);
		return;
	}
	memcpy(fetch->checks, staged->checks,
	       object_granule_count(staged->len) * sizeof(*staged->checks));
	pursuit->epoch = staged->epoch;
	pursuit->off = staged->off;
	if (question->flags & PEER_STAGE_PUSH)
		take_pushed(pursuit);
	else
		pursuit_read_bytes(pursuit, staged->lease_ms * NS_PER_MS);
}

static void take_push(struct question *question, const struct peer_push *push)
{
	struct pursuit *pursuit = question->pursuit;
	struct peer_fetch *fetch = pursuit->fetch;

	if (!(question->flags & PEER_STAGE_PUSH) || push->off != pursuit->pushed ||
	    push->len > fetch->len - push->off) {
		reader_count(pursuit->reader, PEERS_MALFORMED, 1);
		question_end(question, true);
		fail(question, FAILURE_WRONG);
		return;
	}
	memcpy((uint8_t *)fetch->dst + push->off, push->data, push->len);
	pursuit->pushed += push->len;
	heard(question);
}

static unsigned busy_max(const struct question *question)
{
	return question->neighbour->leaving ? LEAVING_BUSY_MAX : LOCAL_BUSY_MAX;
}

static void take_busy(struct question *question, uint32_t retry_ms)
{
	struct pursuit *pursuit = question->pursuit;
	struct reader *reader = pursuit->reader;
	uint64_t retry_ns = retry_ms * NS_PER_MS;

	reader_count(reader, PEERS_BUSY, 1);
	question_end(question, false);
	question->busy++;
	if (question->flags & PEER_STAGE_LOCAL && question->busy > busy_max(question)) {
		fail(question, FAILURE_WRONG);
		return;
	}
	retry_ns = retry_ns < BUSY_NS_MIN ? BUSY_NS_MIN : retry_ns;
	retry_ns = retry_ns > BUSY_NS_MAX ? BUSY_NS_MAX : retry_ns;
	/* those who were told the same do not come back as one */
	retry_ns += random_below(&reader->random, retry_ns / 2 + 1);
	question->state = QUESTION_BUSY;
	question->due_ns = reader_now(reader) + retry_ns;
	reader_due(reader, question->due_ns);
}

static void take_refused(struct question *question, const struct peer_refused *refused)
{
	struct pursuit *pursuit = question->pursuit;
	bool local = question->flags & PEER_STAGE_LOCAL;

	if (refused->why == PEER_BUSY) {
		take_busy(question, refused->retry_ms);
		return;
	}
	question_end(question, false);
	if (refused->why == PEER_REFERRED && !(question->flags & PEER_STAGE_HERE)) {
		pursuit_refer(pursuit, refused->holders, refused->holder_count);
		return;
	}
	switch (refused->why) {
	case PEER_STALE:
	case PEER_GONE:
	case PEER_DENIED:
	case PEER_IO:
	case PEER_LATE:
		if (local) /* it was not to ask the backing store */
			fail(question, FAILURE_WRONG);
		else
			pursuit_end(pursuit, PEER_FAILED, peer_refusal_status(refused->why));
		return;
	case PEER_STOPPING:
		fail(question, FAILURE_STOPPING);
		return;
	default:
		fail(question, FAILURE_WRONG);
		return;
	}
}

void question_answer(struct question *question, const struct peer_message *message)
{
	CHECK(question->state == QUESTION_ASKED);
	if (message->kind == PEER_STAGED)
		take_staged(question, &message->staged);
	else if (message->kind == PEER_REFUSED)
		take_refused(question, &message->refused);
	else if (message->kind == PEER_PUSH)
		take_push(question, &message->push);
	else
		heard(question);
}

/* It was cancelled, or asked anew, while the answer was under way. */
void question_stray(struct reader *reader, struct neighbour *neighbour,
		    const struct peer_message *message)
{
	if (message->kind == PEER_STAGED && message->staged.lease_ms)
		tell_release(reader, neighbour, message->staged.request);
	if (message->kind == PEER_WORKING) /* the CANCEL did not get to it */
		tell_cancel(reader, neighbour, message->request);
}

void question_down(struct question *question, int status)
{
	struct pursuit *pursuit = question->pursuit;
	struct reader *reader = pursuit->reader;

	if (question->state == QUESTION_LEASED) {
		pursuit->leased = NULL; /* the lease ended with the connection */
		question->state = QUESTION_OVER;
	}
	if (question->state != QUESTION_ASKED)
		return;
	question_end(question, false);
	/* our side closed it, for room, or because it said what makes no sense, for ever perhaps */
	if (status != -ECANCELED ||
	    reader_now(reader) - question->asked_ns >= reader->setup.config->silence) {
		fail(question, pursuit_unreachable(pursuit, question->neighbour));
		return;
	}
	question->state = QUESTION_UNSENT;
	question->due_ns = reader_now(reader) + RESEND_NS;
	reader_due(reader, question->due_ns);
}
