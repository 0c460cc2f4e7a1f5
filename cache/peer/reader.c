/*
 * reader.c - the life of a pursuit: one fetch, from reader_start() to its done().
 *
 *	reader_start() --> pursued (reader_inside.h: enum pursuit_state) --> ENDED
 *	   | no memory, stopping                                              | its READ, if one
 *	   |                                                                  v is under way, ends
 *	   `----------------------------------------------------------> reader->ended
 *	                                                                      | reader_tick()
 *	                                                                      v
 *	                                                                    done()
 *
 * Everything happens inside calls of the transport's owner. Whatever may end a pursuit only lists
 * its fetch as ended: a pursuit is freed by the tick alone, so that who works on one may look at
 * its state afterwards.
 *
 * Time: a pursuit's own moments (the fetch's deadline, a question's due_ns) are looked at all
 * together, when the first of them has come: most pursuits are over long before any of theirs, so
 * that is a few times a second, and nothing has to be kept in order.
 */
#include "cache/peer/reader_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"

static const enum peers_counter source_counters[SOURCE_COUNT] = {
	[SOURCE_LOCATOR] = PEERS_FROM_LOCATOR, [SOURCE_DIRECTORY] = PEERS_FROM_DIRECTORY,
	[SOURCE_STAGE] = PEERS_FROM_STAGE,     [SOURCE_FORMER] = PEERS_FROM_FORMER,
	[SOURCE_HOLDER] = PEERS_FROM_HOLDER,
};

void reader_due(struct reader *reader, uint64_t at_ns)
{
	if (at_ns < reader->due_ns)
		reader->due_ns = at_ns;
}

/* --- pursuits */

/* Nothing can write dst any more. */
static void finish(struct pursuit *pursuit)
{
	struct reader *reader = pursuit->reader;

	lease_end(pursuit);
	directory_look_end(pursuit);
	TAILQ_REMOVE(&reader->pursuits, pursuit, by_reader);
	STAILQ_INSERT_TAIL(&reader->ended, pursuit->fetch, p.link);
}

void pursuit_end(struct pursuit *pursuit, enum peer_outcome outcome, int status)
{
	struct peer_fetch *fetch = pursuit->fetch;

	CHECK(pursuit->state != PURSUIT_ENDED);
	fetch->outcome = outcome;
	fetch->status = outcome == PEER_FAILED ? status : 0;
	questions_end(pursuit, pursuit->leased);
	pursuit_leave_reads(pursuit);
	if (pursuit->state == PURSUIT_BUDGET)
		budget_leave(pursuit);
	pursuit->state = PURSUIT_ENDED;
	if (!pursuit->reading)
		finish(pursuit);
}

void pursuit_read_over(struct pursuit *pursuit)
{
	CHECK(pursuit->state == PURSUIT_ENDED && !pursuit->reading);
	finish(pursuit);
}

static int late_status(const struct pursuit *pursuit)
{
	if (pursuit->state == PURSUIT_BUDGET)
		return -EAGAIN;
	for (unsigned i = 0; i < pursuit->question_count; i++) {
		if (pursuit->questions[i].state == QUESTION_BUSY)
			return -EAGAIN;
	}
	return -ETIMEDOUT;
}

static void run_questions(struct pursuit *pursuit, uint64_t now_ns)
{
	for (unsigned i = 0; i < pursuit->question_count; i++) {
		struct question *question = &pursuit->questions[i];

		if (question->state == QUESTION_OVER || question->state == QUESTION_LEASED)
			continue;
		if (question->due_ns <= now_ns)
			question_due(question);
		if (pursuit->state != PURSUIT_ASKING)
			return;
	}
}

/* Does what is due of one pursuit, and notes when it wants more. */
static void run_pursuit(struct pursuit *pursuit, uint64_t now_ns)
{
	struct reader *reader = pursuit->reader;

	if (pursuit->fetch->deadline_ns <= now_ns) {
		/* the transport ends its READ by then, and that decides */
		if (!pursuit->reading)
			pursuit_end(pursuit, PEER_FAILED, late_status(pursuit));
		return;
	}
	if (pursuit->state == PURSUIT_UNPLACED)
		pursuit_begin(pursuit);
	else if (pursuit->state == PURSUIT_PAUSED && pursuit->due_ns <= now_ns)
		pursuit_ask(pursuit);
	else if (pursuit->state == PURSUIT_ASKING)
		run_questions(pursuit, now_ns);
	if (pursuit->state == PURSUIT_ENDED)
		return;
	reader_due(reader, pursuit->fetch->deadline_ns);
	if (pursuit->state == PURSUIT_UNPLACED || pursuit->state == PURSUIT_PAUSED)
		reader_due(reader, pursuit->due_ns);
	for (unsigned i = 0; pursuit->state == PURSUIT_ASKING && i < pursuit->question_count; i++) {
		const struct question *question = &pursuit->questions[i];

		if (question->state != QUESTION_OVER && question->state != QUESTION_LEASED)
			reader_due(reader, question->due_ns);
	}
}

static void run_pursuits(struct reader *reader, uint64_t now_ns)
{
	struct pursuit *pursuit = TAILQ_FIRST(&reader->pursuits), *next;

	if (reader->due_ns > now_ns)
		return;
	reader->due_ns = CLOCK_NEVER;
	reader->unplaced = false; /* those that go on waiting say so */
	for (; pursuit; pursuit = next) {
		next = TAILQ_NEXT(pursuit, by_reader);
		if (pursuit->state != PURSUIT_ENDED)
			run_pursuit(pursuit, now_ns);
	}
}

void reader_start(struct reader *reader, struct peer_fetch *fetch)
{
	struct pursuit *pursuit = reader->stopping ? NULL : calloc(1, sizeof(*pursuit));

	reader_count(reader, PEERS_FETCHES, 1);
	reader_count(reader, PEERS_INFLIGHT, 1);
	fetch->p.state = pursuit;
	fetch->placed = false;
	if (!pursuit) {
		fetch->outcome = PEER_FAILED;
		fetch->status = reader->stopping ? -ECANCELED : -EAGAIN;
		STAILQ_INSERT_TAIL(&reader->ended, fetch, p.link);
		return;
	}
	pursuit->reader = reader;
	pursuit->fetch = fetch;
	pursuit->started_ns = reader_now(reader);
	TAILQ_INSERT_TAIL(&reader->pursuits, pursuit, by_reader);
	reader_due(reader, fetch->deadline_ns);
	pursuit_begin(pursuit);
}

static void count_end(struct reader *reader, const struct peer_fetch *fetch)
{
	const struct pursuit *pursuit = fetch->p.state;

	counter_sub(reader->setup.counters, PEERS_INFLIGHT, 1);
	if (fetch->outcome == PEER_MISSED)
		reader_count(reader, PEERS_MISSED, 1);
	if (fetch->outcome == PEER_FAILED)
		reader_count(reader, PEERS_FETCH_ERRORS, 1);
	if (fetch->outcome != PEER_FETCHED)
		return;
	reader_count(reader, PEERS_FETCHED_BYTES, fetch->len);
	reader_count(reader, source_counters[pursuit->source], 1);
	if (pursuit->by_push)
		reader_count(reader, PEERS_PUSHED, 1);
	if (reader->setup.latency)
		histogram_record(reader->setup.latency, reader_now(reader) - pursuit->started_ns);
}

/* Those that a done() starts and that end at once have their turn in the next tick. */
static void call_ended(struct reader *reader)
{
	struct peer_fetches ended = STAILQ_HEAD_INITIALIZER(ended);
	struct peer_fetch *fetch;

	if (STAILQ_EMPTY(&reader->ended))
		return;
	STAILQ_CONCAT(&ended, &reader->ended);
	counter_set(reader->setup.counters, PEERS_LOCATOR_BYTES, locators_memory(reader->locators));
	while ((fetch = STAILQ_FIRST(&ended))) {
		STAILQ_REMOVE_HEAD(&ended, p.link);
		count_end(reader, fetch);
		free(fetch->p.state);
		fetch->p.state = NULL;
		fetch->done(fetch);
	}
}

uint64_t reader_tick(struct reader *reader)
{
	uint64_t now_ns = reader_now(reader), next_ns, at_ns;

	reads_pump(reader);
	reader_placed_look(reader);
	run_pursuits(reader, now_ns);
	next_ns = budget_run(reader, now_ns);
	at_ns = tell_due(reader, now_ns);
	if (at_ns < next_ns)
		next_ns = at_ns;
	call_ended(reader);
	if (reader->due_ns < next_ns)
		next_ns = reader->due_ns;
	if (!STAILQ_EMPTY(&reader->ended) || (reader->reads_room && !TAILQ_EMPTY(&reader->reads)))
		next_ns = now_ns;
	return next_ns;
}

/* --- what the transport tells */

static struct neighbour *neighbour_of(struct transport_peer *peer)
{
	if (transport_peer_kind(peer) != TRANSPORT_PEER_ACTIVE)
		return NULL;
	return transport_peer_context(peer);
}

/* Return: the number that an answer names; false: it is none. */
static bool answers(const struct peer_message *message, uint64_t *out_number)
{
	switch (message->kind) {
	case PEER_STAGED:
		*out_number = message->staged.request;
		return true;
	case PEER_WORKING:
		*out_number = message->request;
		return true;
	case PEER_REFUSED:
		*out_number = message->refused.request;
		return true;
	case PEER_PUSH:
		*out_number = message->push.request;
		return true;
	default:
		return false;
	}
}

void reader_message(struct reader *reader, struct transport_peer *from,
		    const struct peer_message *message)
{
	struct neighbour *neighbour = neighbour_of(from);
	struct question *question;
	uint64_t number;

	if (!neighbour || !answers(message, &number)) {
		reader_count(reader, PEERS_MALFORMED, 1);
		return;
	}
	question = question_find(reader, number);
	if (!question) {
		question_stray(reader, neighbour, message);
		return;
	}
	if (question->neighbour != neighbour) {
		reader_count(reader, PEERS_MALFORMED, 1);
		return;
	}
	neighbour_answered(reader->setup.neighbours, neighbour);
	question_answer(question, message);
}

void reader_up(struct reader *reader, struct transport_peer *peer)
{
	struct neighbour *neighbour = neighbour_of(peer);

	(void)reader;
	if (!neighbour)
		return;
	neighbour->connected = true;
	neighbour->shape_known = false; /* the owner may be a new process */
}

/* The questions that were put to @neighbour on a connection. */
static void questions_down(struct reader *reader, struct neighbour *neighbour, int status)
{
	struct pursuit *pursuit = TAILQ_FIRST(&reader->pursuits), *next;

	for (; pursuit; pursuit = next) {
		next = TAILQ_NEXT(pursuit, by_reader);
		for (unsigned i = 0; i < pursuit->question_count; i++) {
			if (pursuit->questions[i].neighbour == neighbour)
				question_down(&pursuit->questions[i], status);
			if (pursuit->state == PURSUIT_ENDED)
				break;
		}
	}
}

void reader_down(struct reader *reader, struct transport_peer *peer, int status, const char *why)
{
	struct neighbour *neighbour = neighbour_of(peer);

	if (!neighbour)
		return;
	if (neighbour->connected && status != -ECANCELED)
		neighbour->closed_ns = reader_now(reader);
	neighbour->shape_known = neighbour->connected = false;
	ledger_down(reader, neighbour);
	/* -ECANCELED: closed by us, for room; -ETIMEDOUT: whatever timed out is counted by itself.
	   The many reads and questions of one connection are one failure. */
	if (status != -ECANCELED && status != -ETIMEDOUT)
		neighbour_failed(reader->setup.neighbours, neighbour, reader_now(reader), why);
	questions_down(reader, neighbour, status);
}

/* --- what neighbours.h tells */

static void pursuit_given_up(struct pursuit *pursuit, struct neighbour *neighbour)
{
	bool touched = false;

	for (unsigned i = 0; i < pursuit->question_count; i++) {
		struct question *question = &pursuit->questions[i];

		if (question->neighbour != neighbour)
			continue;
		touched = touched || question->state != QUESTION_OVER;
		question_end(question, false);
		question->neighbour = NULL;
		if (pursuit->leased == question)
			pursuit->leased = NULL;
	}
	if (pursuit->neighbour == neighbour) {
		pursuit->neighbour = NULL;
		touched = touched || pursuit->queue;
	}
	/* a READ that is under way ends, and goes on from there */
	if (!touched || pursuit->reading || pursuit->state == PURSUIT_ENDED)
		return;
	if (pursuit->local && questions_open(pursuit))
		return;
	pursuit_again(pursuit);
}

static void given_up(void *context, struct neighbour *neighbour)
{
	struct reader *reader = context;
	struct pursuit *pursuit = TAILQ_FIRST(&reader->pursuits), *next;

	for (; pursuit; pursuit = next) {
		next = TAILQ_NEXT(pursuit, by_reader);
		pursuit_given_up(pursuit, neighbour);
	}
	ledger_drop(reader, neighbour);
}

static void hopeful(void *context, struct neighbour *neighbour)
{
	struct reader *reader = context;
	struct pursuit *pursuit;

	for (pursuit = TAILQ_FIRST(&reader->pursuits); pursuit;
	     pursuit = TAILQ_NEXT(pursuit, by_reader)) {
		pursuit_hopeful(pursuit, neighbour);
	}
}

/* --- the reader */

static int make_scratch(struct reader *reader)
{
	size_t page = 4096;

	reader->scratch = aligned_alloc(page, (size_t)SCRATCH_SLOTS * SCRATCH_SLOT_LEN);
	if (!reader->scratch)
		return -ENOMEM;
	memset(reader->scratch, 0, (size_t)SCRATCH_SLOTS * SCRATCH_SLOT_LEN);
	for (unsigned i = 0; i < SCRATCH_SLOTS; i++)
		reader->scratch_free[reader->scratch_free_count++] =
			reader->scratch + (size_t)i * SCRATCH_SLOT_LEN;
	return 0;
}

int reader_create(const struct reader_setup *setup, struct reader **out_reader)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	struct neighbours_watcher watcher = { .context = reader,
					      .given_up = given_up,
					      .hopeful = hopeful };
	int error;

	if (!reader)
		return -ENOMEM;
	reader->setup = *setup;
	random_init(&reader->random, setup->seed);
	reader->number_next = random_u64(&reader->random);
	reader->due_ns = CLOCK_NEVER;
	reader->placed_by_ns = clock_after_ns(reader_now(reader), UNPLACED_NS);
	reader->budget.tokens = UINT64_MAX; /* as much as may be saved up */
	TAILQ_INIT(&reader->pursuits);
	TAILQ_INIT(&reader->reads);
	TAILQ_INIT(&reader->budget.waiting);
	TAILQ_INIT(&reader->releases);
	TAILQ_INIT(&reader->hits);
	STAILQ_INIT(&reader->ended);
	LIST_INIT(&reader->ledgers);
	error = make_scratch(reader);
	if (!error)
		error = locators_create(setup->config->locators_memory, setup->config->locators_age,
					&reader->locators);
	if (error) {
		free(reader->scratch);
		free(reader);
		return error;
	}
	neighbours_watch(setup->neighbours, &watcher);
	*out_reader = reader;
	return 0;
}

void *reader_scratch(struct reader *reader, size_t *out_len)
{
	*out_len = (size_t)SCRATCH_SLOTS * SCRATCH_SLOT_LEN;
	return reader->scratch;
}

void reader_stop(struct reader *reader)
{
	struct pursuit *pursuit = TAILQ_FIRST(&reader->pursuits), *next;

	if (reader->stopping)
		return;
	reader->stopping = true;
	for (; pursuit; pursuit = next) {
		next = TAILQ_NEXT(pursuit, by_reader);
		pursuit_end(pursuit, PEER_FAILED, -ECANCELED);
	}
	neighbours_stop(reader->setup.neighbours);
	neighbours_watch(reader->setup.neighbours, NULL);
	reader->due_ns = CLOCK_NEVER;
}

bool reader_is_idle(const struct reader *reader)
{
	return TAILQ_EMPTY(&reader->pursuits) && STAILQ_EMPTY(&reader->ended);
}

void reader_destroy(struct reader *reader)
{
	struct ledger *ledger;

	if (!reader)
		return;
	CHECK(reader_is_idle(reader) && !reader->questions);
	if (!reader->stopping)
		neighbours_watch(reader->setup.neighbours, NULL);
	while ((ledger = LIST_FIRST(&reader->ledgers)))
		ledger_drop(reader, ledger->neighbour);
	locators_destroy(reader->locators);
	free(reader->scratch);
	free(reader);
}
