/*
 * host.c - a server's thread: who is connected, and what they ask.
 *
 * A session lives from a connection's up() to its down(). What it has the server do (reverse.h) may
 * outlive it for as long as its last reads take.
 */
#include "tools/bw/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/thread.h"
#include "tools/bw/reverse.h"

#define TURN_NS		   (500 * NS_PER_MS)
#define BUSY_POLL_NS	   (10 * NS_PER_MS) /* while somebody reads; an idle server sleeps */
#define READS_MAX	   256		    /* of our own, in flight; more wait their turn */
#define CONNECT_TIMEOUT_NS (10 * NS_PER_S)
#define READ_TIMEOUT_NS	   (30 * NS_PER_S)

struct session {
	TAILQ_ENTRY(session) by_host;
	struct host *host;
	struct transport_peer *peer;
	struct address address; /* as it says itself in HELLO */
	uint64_t since_ns;
	struct reverse *reverse; /* NULL: none */
};

/* An answer under way. */
struct outgoing {
	struct transport_message message;
	uint8_t bytes[NOTE_LEN];
};

static void main_thread_wake(const struct host_common *common)
{
	const uint64_t one = 1;

	/* full means that it is awake already */
	(void)!write(common->event_fd, &one, sizeof(one));
}

static void outgoing_done(struct transport_message *message)
{
	free(CONTAINER_OF(message, struct outgoing, message));
}

void session_answer(struct session *session, uint32_t number, const struct note *answer)
{
	struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
	struct note numbered = *answer;

	/* Who gets no answer gives up by itself. */
	if (!outgoing)
		return;
	numbered.number = number;
	note_encode(&numbered, outgoing->bytes);
	outgoing->message.data = outgoing->bytes;
	outgoing->message.len = sizeof(outgoing->bytes);
	outgoing->message.done = outgoing_done;
	if (transport_send(session->peer, &outgoing->message) != 0)
		free(outgoing);
}

void session_reverse_ended(struct session *session)
{
	session->reverse = NULL;
}

static void answer_info(struct session *session, uint32_t number)
{
	struct host_common *common = session->host->common;
	struct note note = {
		.kind = NOTE_INFO,
		.region = session->host->region,
		.region_len = common->region.len,
		.seed = common->seed,
	};

	note.port_count = atomic_load(&common->port_count);
	for (unsigned i = 0; i < note.port_count; i++)
		note.ports[i] = atomic_load(&common->ports[i]);
	session_answer(session, number, &note);
}

static void answer_usage(struct session *session, uint32_t number)
{
	const struct note note = {
		.kind = NOTE_USAGE,
		.cpu_ns = setup_cpu_ns(),
		.clients = atomic_load(&session->host->common->clients),
	};

	session_answer(session, number, &note);
}

static void answer_failed(struct session *session, uint32_t number, const char *text)
{
	struct note note = { .kind = NOTE_FAILED };

	snprintf(note.text, sizeof(note.text), "%s", text);
	session_answer(session, number, &note);
}

static void reverse_asked(struct session *session, const struct note *question)
{
	const struct member_id *member = transport_peer_member(session->peer);
	char problem[NOTE_TEXT_MAX];

	if (session->reverse)
		answer_failed(session, question->number, "it reads already");
	else if (reverse_start(session->host, member, session, question, &session->reverse,
			       problem) != 0)
		answer_failed(session, question->number, problem);
}

static void question_take(struct session *session, const struct note *question)
{
	switch (question->kind) {
	case NOTE_HELLO:
		session->address = question->address;
		session->host->common->told(session->host->common, &session->address, 0, NULL);
		answer_info(session, question->number);
		break;
	case NOTE_USAGE:
		answer_usage(session, question->number);
		break;
	case NOTE_REVERSE:
		reverse_asked(session, question);
		break;
	case NOTE_REVERSE_STOP:
		if (session->reverse)
			reverse_stop(session->reverse, question->number);
		else
			answer_failed(session, question->number, "it does not read any more");
		break;
	default:
		answer_failed(session, question->number, "no question that it knows");
		break;
	}
}

static void host_message(void *context, struct transport_peer *from, const void *data, size_t len)
{
	struct session *session = transport_peer_context(from);
	struct note question;
	int error;

	(void)context;
	if (!session || transport_peer_kind(from) != TRANSPORT_PEER_PASSIVE)
		return;
	error = note_decode(data, len, &question);
	if (!error)
		question_take(session, &question);
	else if (error == -EPROTONOSUPPORT)
		answer_failed(session, 0, "another version of cenote-bw");
}

static void host_up(void *context, struct transport_peer *peer)
{
	struct host *host = context;
	struct session *session;

	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE) {
		reverse_up(host, peer);
		return;
	}
	session = calloc(1, sizeof(*session));
	if (!session) {
		transport_peer_disconnect(peer);
		return;
	}
	session->host = host;
	session->peer = peer;
	session->since_ns = clock_now_ns(clock_system());
	transport_peer_set_context(peer, session);
	TAILQ_INSERT_TAIL(&host->sessions, session, by_host);
	atomic_fetch_add(&host->common->clients, 1);
	atomic_fetch_add(&host->common->clients_ever, 1);
}

static void session_end(struct session *session, const char *why)
{
	struct host *host = session->host;

	if (session->reverse)
		reverse_leave(session->reverse);
	TAILQ_REMOVE(&host->sessions, session, by_host);
	host->common->told(host->common, &session->address,
			   clock_now_ns(clock_system()) - session->since_ns, why);
	free(session);
	atomic_fetch_sub(&host->common->clients, 1);
	main_thread_wake(host->common);
}

static void host_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct host *host = context;
	struct session *session;

	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE) {
		reverse_down(host, peer, status, why);
		return;
	}
	session = transport_peer_context(peer);
	if (session)
		session_end(session, why && *why ? why : error_text(status));
}

static int listen_here(struct host *host)
{
	struct host_common *common = host->common;
	int error = transport_region_add(host->transport, common->region.base,
					 common->region.mapped_len, TRANSPORT_READABLE,
					 &host->region, host->problem, sizeof(host->problem));

	if (!error)
		error = transport_listen(host->transport, &host->address, host->problem,
					 sizeof(host->problem));
	if (error)
		return error;
	snprintf(host->transport_text, sizeof(host->transport_text), "%s",
		 transport_text(host->transport));
	atomic_store(&common->ports[host->index], address_port(&host->address));
	atomic_store(&common->port_count, host->index + 1);
	return 0;
}

static int host_open(struct host *host)
{
	const struct transport_events events = {
		.context = host, .message = host_message, .up = host_up, .down = host_down
	};
	const struct host_common *common = host->common;
	struct address address = host->address;
	char listen[ADDRESS_TEXT_MAX];
	const struct setup_shape shape = {
		.listen = address_text(&address, listen),
		.len_max = common->options->wire.slice_len,
		.depth = READS_MAX,
		.threads = (unsigned)common->options->threads,
		.busy_poll_ns = BUSY_POLL_NS,
		.read_timeout_ns = READ_TIMEOUT_NS,
		.connect_timeout_ns = CONNECT_TIMEOUT_NS,
	};
	int error = setup_open(common->setup, &shape, &events, &host->transport, host->problem,
			       sizeof(host->problem));

	if (error)
		return error;
	error = listen_here(host);
	if (error) {
		transport_close(host->transport);
		host->transport = NULL;
	}
	return error;
}

static void sessions_end(struct host *host)
{
	struct session *each, *next;

	for (each = TAILQ_FIRST(&host->sessions); each; each = next) {
		next = TAILQ_NEXT(each, by_host);
		session_end(each, "the server ends");
	}
}

static void host_opened(struct host *host, bool is_open)
{
	pthread_mutex_lock(&host->lock);
	host->is_open = is_open;
	pthread_mutex_unlock(&host->lock);
}

static void *host_main(void *argument)
{
	struct host *host = argument;
	int error = host_open(host);

	if (!error)
		host_opened(host, true);
	atomic_store(&host->state, error ? HOST_FAILED : HOST_LISTENING);
	main_thread_wake(host->common);
	if (error)
		return NULL;
	while (!atomic_load_explicit(&host->common->stopping, memory_order_relaxed)) {
		transport_wait(host->transport,
			       clock_after_ns(clock_now_ns(clock_system()), TURN_NS));
		reverse_turn(host);
	}
	host_opened(host, false);
	transport_close(host->transport);
	sessions_end(host);
	reverse_free_all(host);
	return NULL;
}

int host_start(struct host *host, struct host_common *common, unsigned index,
	       const struct address *address)
{
	char name[16];

	host->common = common;
	host->index = index;
	host->address = *address;
	TAILQ_INIT(&host->sessions);
	TAILQ_INIT(&host->reverses);
	pthread_mutex_init(&host->lock, NULL);
	snprintf(name, sizeof(name), "bw-server-%u", index);
	if (thread_start(&host->thread, name, host_main, host) != 0) {
		snprintf(host->problem, sizeof(host->problem),
			 "the system has no thread left: give fewer --threads");
		return -EAGAIN;
	}
	host->started = true;
	return 0;
}

void host_stop(struct host *host)
{
	if (!host->common)
		return;
	pthread_mutex_lock(&host->lock);
	if (host->is_open)
		transport_wake(host->transport);
	pthread_mutex_unlock(&host->lock);
	if (host->started)
		pthread_join(host->thread, NULL);
	pthread_mutex_destroy(&host->lock);
	host->common = NULL;
}
