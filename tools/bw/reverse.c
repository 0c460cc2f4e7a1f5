/*
 * reverse.c - reads in the other direction.
 */
#include "tools/bw/reverse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/bw/plan.h"

/* Its peer and region are the transport's, which may be closed. */
static void reverse_free(struct reverse *reverse)
{
	TAILQ_REMOVE(&reverse->host->reverses, reverse, by_host);
	atomic_fetch_sub(&reverse->host->common->memory, reverse->memory.len);
	pump_fini(&reverse->pump);
	buffer_fini(&reverse->memory);
	free(reverse);
}

static void reverse_end(struct reverse *reverse)
{
	struct session *session = reverse->session;
	struct transport *transport = reverse->host->transport;

	transport_peer_put(reverse->peer);
	transport_region_remove(transport, reverse->region);
	reverse_free(reverse);
	if (session)
		session_reverse_ended(session);
}

static void answer_failed(struct reverse *reverse, const char *text)
{
	struct note note = { .kind = NOTE_FAILED };

	snprintf(note.text, sizeof(note.text), "%s", text);
	if (reverse->session && reverse->number)
		session_answer(reverse->session, reverse->number, &note);
	reverse->number = 0;
}

static int asked_check(const struct note *asked, char problem[NOTE_TEXT_MAX])
{
	if (asked->read_len > 0 && asked->read_len <= TRANSPORT_READ_LEN_MAX &&
	    asked->read_len <= asked->region_len && asked->depth > 0 &&
	    asked->depth <= BW_DEPTH_MAX && asked->address.storage.ss_family != 0 &&
	    (!asked->verify || asked->footprint >= asked->depth * asked->read_len))
		return 0;
	snprintf(problem, NOTE_TEXT_MAX, "a request for reads that makes no sense");
	return -EINVAL;
}

/* Takes @len of what --memory allows. */
static int memory_take(struct host_common *common, uint64_t len, char problem[NOTE_TEXT_MAX])
{
	uint64_t used = atomic_load(&common->memory);

	do {
		if (len > common->options->memory || used > common->options->memory - len) {
			snprintf(problem, NOTE_TEXT_MAX,
				 "its --memory is used up: measure with a smaller --tx-depth or "
				 "--size, or serve with more --memory");
			return -ENOMEM;
		}
	} while (!atomic_compare_exchange_weak(&common->memory, &used, used + len));
	return 0;
}

static int memory_open(struct reverse *reverse, char problem[NOTE_TEXT_MAX])
{
	struct transport *transport = reverse->host->transport;
	const struct note *asked = &reverse->asked;
	uint64_t len = plan_footprint(asked->footprint, asked->read_len, (unsigned)asked->depth);
	char why[TRANSPORT_PROBLEM_MAX];
	int error = memory_take(reverse->host->common, len, problem);

	if (error)
		return error;
	error = buffer_init(&reverse->memory, len, why, sizeof(why));
	if (!error) {
		error = transport_region_add(transport, reverse->memory.base,
					     reverse->memory.mapped_len, TRANSPORT_LANDING,
					     &reverse->region, why, sizeof(why));
		if (error)
			buffer_fini(&reverse->memory);
	}
	if (error) {
		atomic_fetch_sub(&reverse->host->common->memory, len);
		snprintf(problem, NOTE_TEXT_MAX, "%.*s", NOTE_TEXT_MAX - 1, why);
	}
	return error;
}

static int peer_open(struct reverse *reverse, const struct member_id *member,
		     char problem[NOTE_TEXT_MAX])
{
	int error = transport_peer_get(reverse->host->transport, &reverse->asked.address, member,
				       &reverse->peer);

	if (!error) {
		error = transport_peer_connect(reverse->peer);
		if (error)
			transport_peer_put(reverse->peer);
	}
	if (error)
		snprintf(problem, NOTE_TEXT_MAX, "%s", error_text(error));
	return error;
}

int reverse_start(struct host *host, const struct member_id *member, struct session *session,
		  const struct note *question, struct reverse **out_reverse,
		  char problem[NOTE_TEXT_MAX])
{
	struct reverse *reverse;
	int error = asked_check(question, problem);

	if (error)
		return error;
	snprintf(problem, NOTE_TEXT_MAX, "out of memory");
	reverse = calloc(1, sizeof(*reverse));
	if (!reverse)
		return -ENOMEM;
	reverse->host = host;
	reverse->session = session;
	reverse->asked = *question;
	reverse->number = question->number;
	error = pump_init(&reverse->pump, clock_system(), (unsigned)question->depth);
	if (error)
		goto free_reverse;
	error = memory_open(reverse, problem);
	if (error)
		goto fini_pump;
	error = peer_open(reverse, member, problem);
	if (error)
		goto close_memory;
	TAILQ_INSERT_TAIL(&host->reverses, reverse, by_host);
	*out_reverse = reverse;
	return 0;

close_memory:
	transport_region_remove(host->transport, reverse->region);
	atomic_fetch_sub(&host->common->memory, reverse->memory.len);
	buffer_fini(&reverse->memory);
fini_pump:
	pump_fini(&reverse->pump);
free_reverse:
	free(reverse);
	return error;
}

void reverse_stop(struct reverse *reverse, uint32_t number)
{
	reverse->number = number;
	if (reverse->state == REVERSE_READING)
		reverse->elapsed_ns = clock_now_ns(clock_system()) - reverse->started_ns;
	pump_freeze(&reverse->pump);
	pump_stop(&reverse->pump);
	reverse->state = REVERSE_DRAINING;
}

void reverse_leave(struct reverse *reverse)
{
	reverse->session = NULL;
	reverse_stop(reverse, 0);
}

static struct reverse *reverse_of(struct host *host, const struct transport_peer *peer)
{
	struct reverse *each;

	TAILQ_FOREACH (each, &host->reverses, by_host)
		if (each->peer == peer)
			return each;
	return NULL;
}

void reverse_up(struct host *host, struct transport_peer *peer)
{
	struct reverse *reverse = reverse_of(host, peer);
	const struct note answer = { .kind = NOTE_REVERSE_UP };
	const struct note *asked;
	struct pump_source source;
	struct pump_run run;

	if (!reverse || reverse->state != REVERSE_CONNECTING)
		return;
	asked = &reverse->asked;
	source = (struct pump_source){
		.peer = peer,
		.region = asked->region,
		.region_len = asked->region_len,
		.seed = asked->seed,
		.memory = reverse->memory.base,
		.memory_len = reverse->memory.len,
		.verify = asked->verify,
	};
	run = (struct pump_run){
		.len = asked->read_len,
		.depth = (unsigned)asked->depth,
		.footprint = reverse->memory.len,
	};
	reverse->state = REVERSE_READING;
	reverse->started_ns = clock_now_ns(clock_system());
	pump_start(&reverse->pump, &source, &run, PUMP_UNLIMITED);
	pump_count(&reverse->pump, PUMP_UNLIMITED);
	if (reverse->session)
		session_answer(reverse->session, reverse->number, &answer);
	reverse->number = 0;
}

void reverse_down(struct host *host, struct transport_peer *peer, int status, const char *why)
{
	struct reverse *reverse = reverse_of(host, peer);

	if (!reverse)
		return;
	snprintf(reverse->why, sizeof(reverse->why), "%s", why && *why ? why : error_text(status));
	if (reverse->state != REVERSE_CONNECTING)
		return;
	answer_failed(reverse, reverse->why);
	reverse->state = REVERSE_DRAINING;
}

static void answer_result(struct reverse *reverse)
{
	const struct pump_result *result = &reverse->pump.result;
	const struct note note = {
		.kind = NOTE_REVERSE_END,
		.reads = result->reads,
		.corrupt = result->corrupt,
		.elapsed_ns = reverse->elapsed_ns,
	};

	if (pump_failed(&reverse->pump) > 0)
		answer_failed(reverse,
			      *reverse->why ? reverse->why : "some of the server's reads failed");
	else if (reverse->session && reverse->number)
		session_answer(reverse->session, reverse->number, &note);
}

void reverse_turn(struct host *host)
{
	struct reverse *each, *next;

	for (each = TAILQ_FIRST(&host->reverses); each; each = next) {
		next = TAILQ_NEXT(each, by_host);
		pump_turn(&each->pump);
		if (each->state != REVERSE_DRAINING || !pump_is_idle(&each->pump))
			continue;
		answer_result(each);
		reverse_end(each);
	}
}

void reverse_free_all(struct host *host)
{
	struct reverse *each, *next;

	for (each = TAILQ_FIRST(&host->reverses); each; each = next) {
		next = TAILQ_NEXT(each, by_host);
		reverse_free(each);
	}
}
