/*
 * lane.c - a connection to the server.
 */
#include "tools/bw/lane.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "tools/bw/pattern.h"

static void lane_up(void *context, struct transport_peer *peer)
{
	struct lane *lane = context;

	if (peer == lane->peer)
		lane->is_up = true;
}

static void lane_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct lane *lane = context;

	if (peer != lane->peer || lane->is_down)
		return;
	lane->is_down = true;
	lane->status = status;
	snprintf(lane->why, sizeof(lane->why), "%s", why ? why : "");
}

static void lane_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct lane *lane = context;
	struct note note;
	int error;

	if (from != lane->peer || lane->answered)
		return;
	error = note_decode(data, len, &note);
	if (error) {
		memset(&note, 0, sizeof(note));
		note.kind = NOTE_FAILED;
		note.number = lane->number;
		snprintf(note.text, sizeof(note.text),
			 error == -EPROTONOSUPPORT ? "it is another version of cenote-bw"
						   : "it does not answer as cenote-bw does");
	}
	/* an answer to a question that was given up */
	if (note.number != lane->number)
		return;
	lane->answer = note;
	lane->answered = true;
}

static void question_done(struct transport_message *question)
{
	struct lane *lane = question->context;

	lane->sending = false;
}

static int memory_open(struct lane *lane, const struct plan *plan, char problem[TROUBLE_MAX])
{
	enum transport_access access = plan->bidirectional ? TRANSPORT_READABLE : TRANSPORT_LANDING;
	int error;

	lane->offered_len = plan->bidirectional ? plan->lane_len : 0;
	error = buffer_init(&lane->memory, lane->offered_len + plan->lane_len, problem,
			    TROUBLE_MAX);
	if (error)
		return error;
	error = transport_region_add(lane->transport, lane->memory.base, lane->memory.mapped_len,
				     access, &lane->region, problem, TROUBLE_MAX);
	if (error) {
		buffer_fini(&lane->memory);
		return error;
	}
	pattern_fill(lane->memory.base, lane->seed, 0, lane->offered_len);
	return 0;
}

int lane_open(struct lane *lane, struct setup *setup, const struct setup_shape *shape,
	      const struct plan *plan, char problem[TROUBLE_MAX])
{
	const struct transport_events events = {
		.context = lane, .message = lane_message, .up = lane_up, .down = lane_down
	};
	int error = setup_open(setup, shape, &events, &lane->transport, problem, TROUBLE_MAX);

	if (error)
		return error;
	lane->seed = random_seed();
	/* it was made of an address */
	CHECK(address_parse(shape->listen, 0, &lane->ours, problem, TROUBLE_MAX) == 0);
	error = memory_open(lane, plan, problem);
	if (error)
		goto close_transport;
	if (plan->bidirectional)
		error = transport_listen(lane->transport, &lane->ours, problem, TROUBLE_MAX);
	if (!error) {
		error = pump_init(&lane->pump, clock_system(), plan->depth_max);
		if (error)
			snprintf(problem, TROUBLE_MAX, "out of memory");
	}
	if (!error)
		return 0;
close_transport:
	transport_close(lane->transport);
	lane->transport = NULL;
	buffer_fini(&lane->memory);
	return error;
}

int lane_connect(struct lane *lane, const struct address *server, char problem[TROUBLE_MAX])
{
	int error = transport_peer_get(lane->transport, server, NULL, &lane->peer);

	lane->server = *server;
	if (!error)
		error = transport_peer_connect(lane->peer);
	if (error)
		trouble_connecting(server, error, "", problem);
	return error;
}

void lane_close(struct lane *lane)
{
	/* frees the peer, and runs every done() */
	transport_close(lane->transport);
	lane->transport = NULL;
	lane->peer = NULL;
	pump_fini(&lane->pump);
	buffer_fini(&lane->memory);
}

int lane_ask(struct lane *lane, const struct note *question, uint64_t deadline_ns)
{
	struct note numbered = *question;
	int error;

	if (lane->sending)
		return -EBUSY;
	numbered.number = ++lane->number;
	note_encode(&numbered, lane->question_bytes);
	memset(&lane->question, 0, sizeof(lane->question));
	lane->question.data = lane->question_bytes;
	lane->question.len = sizeof(lane->question_bytes);
	lane->question.deadline_ns = deadline_ns;
	lane->question.done = question_done;
	lane->question.context = lane;
	lane->answered = false;
	error = transport_send(lane->peer, &lane->question);
	lane->sending = !error;
	return error;
}

void lane_source(const struct lane *lane, bool verify, struct pump_source *out)
{
	memset(out, 0, sizeof(*out));
	out->peer = lane->peer;
	out->region = lane->info.region;
	out->region_len = lane->info.region_len;
	out->seed = lane->info.seed;
	out->memory = lane->memory.base + lane->offered_len;
	out->memory_len = lane->memory.len - lane->offered_len;
	out->verify = verify;
}
