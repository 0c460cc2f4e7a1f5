/*
 * loop.c - the network: who is on it, what is under way, what goes wrong.
 */
#include "fabric/transport/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/transport/loop_node.h"

/* What loop_transport_open() says to open_node(). */
struct place {
	struct loop_network *network;
	unsigned number;
};

struct loop_faults loop_faults_none(void)
{
	return (struct loop_faults){
		.delay_min_ns = 1000,
		.delay_max_ns = 1000,
		.resend_ns = NS_PER_MS,
		.fence_ns = 1000,
		.detect_ns = CLOCK_NEVER,
	};
}

int loop_network_create(const struct clock *clock, uint64_t seed, struct loop_network **out)
{
	struct loop_network *network = calloc(1, sizeof(*network));

	if (!network)
		return -ENOMEM;
	network->clock = clock;
	network->faults = loop_faults_none();
	random_init(&network->random, seed);
	*out = network;
	return 0;
}

void loop_network_destroy(struct loop_network *network)
{
	if (!network)
		return;
	CHECK(!network->node_count && !network->halves);
	free(network);
}

void loop_network_set_faults(struct loop_network *network, const struct loop_faults *faults)
{
	CHECK(faults->delay_min_ns <= faults->delay_max_ns);
	network->faults = *faults;
}

uint64_t loop_network_next_ns(const struct loop_network *network)
{
	uint64_t next_ns = CLOCK_NEVER;

	for (unsigned i = 0; i < LOOP_NODES_MAX; i++) {
		const struct loop_event *event =
			network->nodes[i] ? TAILQ_FIRST(&network->nodes[i]->events) : NULL;

		if (event && event->at_ns < next_ns)
			next_ns = event->at_ns;
	}
	return next_ns;
}

struct address loop_address(unsigned number)
{
	char text[ADDRESS_TEXT_MAX], problem[OPTION_PROBLEM_MAX];
	struct address address;

	snprintf(text, sizeof(text), "127.71.%u.%u:%d", number >> 8, number & 255, TRANSPORT_PORT);
	CHECK(!address_parse(text, 0, &address, problem, sizeof(problem)));
	return address;
}

void loop_cut(struct loop_network *network, unsigned from, unsigned to, bool cut)
{
	network->cut[from][to] = cut;
}

void loop_cut_node(struct loop_network *network, unsigned number, bool cut)
{
	for (unsigned i = 0; i < LOOP_NODES_MAX; i++)
		network->cut[number][i] = network->cut[i][number] = cut;
}

bool loop_reachable(const struct loop_network *network, unsigned from, unsigned to)
{
	return !network->cut[from][to] && network->nodes[to];
}

bool loop_chance(struct loop_network *network, unsigned per_mille)
{
	return per_mille && random_below(&network->random, 1000) < per_mille;
}

uint64_t loop_delay(struct loop_network *network)
{
	const struct loop_faults *faults = &network->faults;
	uint64_t spread_ns = faults->delay_max_ns - faults->delay_min_ns;
	uint64_t delay_ns = faults->delay_min_ns + random_below(&network->random, spread_ns + 1);

	while (loop_chance(network, faults->loss_per_mille > 900 ? 900 : faults->loss_per_mille))
		delay_ns += faults->resend_ns;
	return delay_ns;
}

struct loop_event *loop_event_new(enum loop_event_kind kind, uint64_t half, size_t len)
{
	struct loop_event *event = calloc(1, sizeof(*event) + len);

	if (!event)
		return NULL;
	event->kind = kind;
	event->half = half;
	event->len = len;
	return event;
}

void loop_event_post(struct loop_node *node, struct loop_event *event, uint64_t at_ns)
{
	struct loop_event *before = TAILQ_LAST(&node->events, loop_event_list);

	event->at_ns = at_ns;
	while (before && before->at_ns > at_ns)
		before = TAILQ_PREV(before, loop_event_list, by_time);
	if (before)
		TAILQ_INSERT_AFTER(&node->events, before, event, by_time);
	else
		TAILQ_INSERT_HEAD(&node->events, event, by_time);
}

void loop_text_post(struct loop_node *node, enum loop_event_kind kind, uint64_t half, int status,
		    const char *text, uint64_t at_ns)
{
	struct loop_event *event = loop_event_new(kind, half, strlen(text) + 1);

	if (!event)
		return;
	memcpy(event->bytes, text, event->len);
	event->status = status;
	loop_event_post(node, event, at_ns);
}

struct loop_half *loop_half_find(const struct loop_network *network, uint64_t id)
{
	struct loop_half *half;

	HASH_FIND(by_id, network->halves, &id, sizeof(id), half);
	return half && !half->node->dead ? half : NULL;
}

struct loop_half *loop_half_new(struct loop_node *node)
{
	struct loop_network *network = node->network;
	struct loop_half *half = calloc(1, sizeof(*half));

	if (!half)
		return NULL;
	half->node = node;
	half->id = ++network->last_half;
	half->credits = LOOP_CREDITS;
	half->fenced = loop_event_new(LOOP_FENCED, half->id, 0);
	if (half->fenced)
		HASH_ADD(by_id, network->halves, id, sizeof(half->id), half);
	if (!half->by_id.tbl) {
		free(half->fenced);
		free(half);
		return NULL;
	}
	LIST_INSERT_HEAD(&node->halves, half, by_node);
	return half;
}

void loop_half_free(struct loop_half *half)
{
	HASH_DELETE(by_id, half->node->network->halves, half);
	LIST_REMOVE(half, by_node);
	free(half->fenced);
	free(half);
}

static int open_node(struct transport *transport, const struct transport_config *config,
		     void **out_backend, char *text, size_t text_size, char *problem,
		     size_t problem_size)
{
	const struct place *place = transport->open_argument;
	struct loop_network *network = place->network;
	struct loop_node *node;

	(void)config;
	if (network->nodes[place->number]) {
		snprintf(problem, problem_size, "loop number %u is in use", place->number);
		return -EADDRINUSE;
	}
	node = calloc(1, sizeof(*node));
	if (!node) {
		snprintf(problem, problem_size, "no memory for a loop node");
		return -ENOMEM;
	}
	node->network = network;
	node->transport = transport;
	node->number = place->number;
	TAILQ_INIT(&node->events);
	LIST_INIT(&node->halves);
	network->nodes[node->number] = node;
	network->node_count++;
	snprintf(text, text_size, "loop (%u)", node->number);
	*out_backend = node;
	return 0;
}

void loop_event_missed(struct loop_node *node, const struct loop_event *event)
{
	struct loop_network *network = node->network;
	struct loop_half *from = loop_half_find(network, event->from);
	uint64_t at_ns = clock_now_ns(network->clock);

	if (!from)
		return;
	at_ns = clock_after_ns(at_ns, node->dead ? network->faults.detect_ns : loop_delay(network));
	if (at_ns == CLOCK_NEVER)
		return;
	if (event->kind == LOOP_CONNECT)
		loop_text_post(from->node, LOOP_REFUSED, from->id, -ECONNREFUSED,
			       "the peer is closing", at_ns);
	if (event->kind == LOOP_ACCEPTED)
		loop_text_post(from->node, LOOP_BROKEN, from->id, -ECONNRESET, "the peer went away",
			       at_ns);
}

static void close_node(void *backend)
{
	struct loop_node *node = backend;
	struct loop_network *network = node->network;
	struct loop_half *half;
	struct loop_event *event;

	node->listening = false;
	while ((half = LIST_FIRST(&node->halves))) {
		loop_break(half, -ECANCELED, "closed here");
		loop_finish(half);
	}
	while ((event = TAILQ_FIRST(&node->events))) {
		TAILQ_REMOVE(&node->events, event, by_time);
		if (!node->dead)
			loop_event_missed(node, event);
		free(event);
	}
	if (!node->dead)
		network->nodes[node->number] = NULL;
	network->node_count--;
	free(node);
}

void loop_kill(struct loop_network *network, unsigned number)
{
	struct loop_node *node = network->nodes[number];

	CHECK(node);
	node->dead = true;
	for (struct loop_half *half = LIST_FIRST(&node->halves); half;
	     half = LIST_NEXT(half, by_node)) {
		struct loop_half *other = loop_half_find(network, half->other);
		uint64_t at_ns =
			clock_after_ns(clock_now_ns(network->clock), network->faults.detect_ns);

		if (other && at_ns != CLOCK_NEVER)
			loop_text_post(other->node, LOOP_BROKEN, other->id, -ECONNRESET,
				       "the peer died", at_ns);
	}
	for (struct loop_event *event = TAILQ_FIRST(&node->events); event;
	     event = TAILQ_NEXT(event, by_time))
		loop_event_missed(node, event);
	network->nodes[number] = NULL;
}

static int add_region(void *backend, struct transport_region *region, char *problem,
		      size_t problem_size)
{
	(void)backend;
	(void)region;
	(void)problem;
	(void)problem_size;
	return 0;
}

static void remove_region(void *backend, struct transport_region *region)
{
	(void)backend;
	(void)region;
}

static int listen_node(void *backend, const struct address *address,
		       uint8_t offer[TRANSPORT_OFFER_MAX], char *problem, size_t problem_size)
{
	struct loop_node *node = backend;

	(void)address;
	(void)offer;
	(void)problem;
	(void)problem_size;
	node->listening = true;
	return 0;
}

static struct loop_event *take_due(struct loop_node *node, uint64_t now_ns)
{
	struct loop_event *event = TAILQ_FIRST(&node->events);

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): believes that TAILQ_REMOVE leaves it */
	if (node->dead || !event || event->at_ns > now_ns)
		return NULL;
	TAILQ_REMOVE(&node->events, event, by_time);
	return event;
}

static int poll_node(void *backend)
{
	struct loop_node *node = backend;
	uint64_t now_ns = clock_now_ns(node->network->clock);
	struct loop_event *event;
	int count = 0;

	for (; (event = take_due(node, now_ns)); count++) {
		struct loop_half *half = loop_half_find(node->network, event->half);

		if (half) {
			loop_event_run(half, event);
			continue;
		}
		if (event->kind == LOOP_CONNECT)
			loop_connect_arrived(node, event);
		if (event->kind == LOOP_ACCEPTED)
			loop_event_missed(node, event);
		free(event);
	}
	return count;
}

static int no_descriptor(void *backend)
{
	(void)backend;
	return -1;
}

static int arm_node(void *backend)
{
	const struct loop_node *node = backend;
	const struct loop_event *event = TAILQ_FIRST(&node->events);

	return event && event->at_ns <= clock_now_ns(node->network->clock) ? -EAGAIN : 0;
}

static uint64_t next_of_node(void *backend)
{
	const struct loop_node *node = backend;
	const struct loop_event *event = TAILQ_FIRST(&node->events);

	return event && !node->dead ? event->at_ns : CLOCK_NEVER;
}

const struct transport_ops transport_loop_ops = {
	.kind = TRANSPORT_LOOP,
	.greets = false,
	.open = open_node,
	.close = close_node,
	.region_add = add_region,
	.region_remove = remove_region,
	.listen = listen_node,
	.connect = loop_connect,
	.read = loop_read,
	.send = loop_send,
	.disconnect = loop_disconnect,
	.region_len = loop_region_len,
	.poll = poll_node,
	.event_fd = no_descriptor,
	.arm = arm_node,
	.next_ns = next_of_node,
};

int loop_transport_open(struct loop_network *network, unsigned number,
			const struct transport_config *config,
			const struct transport_environment *environment,
			struct transport **out_transport, char *problem, size_t problem_size)
{
	struct place place = { .network = network, .number = number };
	struct address address = loop_address(number);
	struct transport_config own = *config;
	char listen[ADDRESS_TEXT_MAX];

	CHECK(number < LOOP_NODES_MAX);
	address_text(&address, listen);
	own.kind = TRANSPORT_LOOP;
	own.listen = listen;
	own.devices = (struct option_strings){ 0 };
	return transport_open_with(&transport_loop_ops, &place, &own, environment, out_transport,
				   problem, problem_size);
}
