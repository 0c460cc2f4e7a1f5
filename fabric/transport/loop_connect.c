/*
 * loop_connect.c - how a connection of the loop is made:
 *
 *	who asks					who listens
 *	loop_connect() -- CONNECT ------------------->	the handshake, run in place;
 *	link_down() <---- REFUSED ---------------------	or transport_link_accept()
 *	link_up() <------ ACCEPTED --------------------
 *		  ------- ESTABLISHED ---------------->	link_up()
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fabric/transport/loop_node.h"

/* Return: the number of loop_address(), or -1. */
static int number_of(const struct address *address)
{
	const struct sockaddr_in *in = (const void *)&address->storage;
	uint32_t host = address->storage.ss_family == AF_INET ? ntohl(in->sin_addr.s_addr) : 0;
	unsigned number = host & 0xffff;
	struct address own = loop_address(number);

	return number < LOOP_NODES_MAX && address_equal(address, &own) ? (int)number : -1;
}

int loop_connect(void *backend, const struct address *greeted, const uint8_t *offer,
		 size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		 struct transport_link **out_link, char *problem, size_t problem_size)
{
	struct loop_node *node = backend;
	struct loop_network *network = node->network;
	uint64_t now_ns = clock_now_ns(network->clock);
	int number = number_of(greeted);
	struct loop_event *event;
	struct loop_half *half;

	(void)offer;
	(void)offer_len;
	(void)proof;
	if (number < 0) {
		snprintf(problem, problem_size, "not an address of the loop");
		return -EHOSTUNREACH;
	}
	half = loop_half_new(node);
	event = half ? loop_event_new(LOOP_CONNECT, 0, 0) : NULL;
	if (!event) {
		if (half)
			loop_half_free(half);
		snprintf(problem, problem_size, "no memory for a connection");
		return -ENOMEM;
	}
	half->other_number = (unsigned)number;
	event->from = half->id;
	event->number = node->number;
	if (network->nodes[number]) {
		loop_event_post(network->nodes[number], event, now_ns + loop_delay(network));
	} else {
		free(event);
		loop_text_post(node, LOOP_REFUSED, half->id, -ECONNREFUSED, "nobody listens there",
			       now_ns + loop_delay(network) + loop_delay(network));
	}
	*out_link = &half->link;
	return 0;
}

static void make_nonce(struct loop_network *network, uint8_t nonce[HANDSHAKE_NONCE_LEN])
{
	for (size_t i = 0; i < HANDSHAKE_NONCE_LEN; i++)
		nonce[i] = (uint8_t)random_below(&network->random, 256);
}

/* What @from wants to say is heard by @to. Return: whether there was anything. */
static bool pass(struct handshake *from, struct handshake *to)
{
	size_t len = from->out_len;

	from->out_len = 0;
	if (len && to->state != HANDSHAKE_REFUSED)
		handshake_input(to, from->out, len);
	return len;
}

static int run_handshake(struct loop_network *network, struct handshake *client,
			 struct handshake *server, const struct loop_half *from,
			 const struct loop_node *node)
{
	uint8_t nonce[HANDSHAKE_NONCE_LEN], no_offer[1] = { 0 };
	int error;

	make_nonce(network, nonce);
	error = handshake_init_client(client, transport_identity(from->node->transport),
				      &from->link.peer->expected, nonce);
	if (error)
		return error;
	make_nonce(network, nonce);
	handshake_init_server(server, transport_identity(node->transport), nonce, TRANSPORT_LOOP,
			      no_offer, 0);
	while (pass(client, server) || pass(server, client))
		;
	return server->state == HANDSHAKE_DONE && client->state == HANDSHAKE_DONE ? 0 : -EACCES;
}

static void say_refused(struct loop_node *node, const struct loop_half *from, int status,
			const char *text)
{
	struct loop_network *network = node->network;

	loop_text_post(from->node, LOOP_REFUSED, from->id, status, text,
		       clock_now_ns(network->clock) + loop_delay(network));
}

/* The half of who listens, and what who asked learns: our number and our regions. */
static void accept_half(struct loop_node *node, struct loop_half *from, const uint8_t *proof)
{
	struct loop_network *network = node->network;
	struct loop_event *event = loop_event_new(LOOP_ACCEPTED, from->id, 0);
	struct loop_half *half = event ? loop_half_new(node) : NULL;
	char refusal[TRANSPORT_REFUSAL_MAX];
	int error;

	if (!half) {
		free(event);
		say_refused(node, from, -EBUSY, "no memory for a connection");
		return;
	}
	error = transport_link_accept(&half->link, node->transport, proof, HANDSHAKE_PROOF_LEN,
				      refusal);
	if (error) {
		free(event);
		loop_half_free(half);
		say_refused(node, from, error, refusal);
		return;
	}
	half->other = from->id;
	half->other_number = from->node->number;
	event->from = half->id;
	loop_event_post(from->node, event, clock_now_ns(network->clock) + loop_delay(network));
}

static void answer(struct loop_node *node, struct loop_half *from, struct handshake *client,
		   struct handshake *server)
{
	struct transport *transport = node->transport;
	int error = run_handshake(node->network, client, server, from, node);

	if (!error)
		error = proofs_add(&transport->proofs, server, clock_now_ns(node->network->clock));
	if (!error) {
		peer_greeted(from->link.peer, &client->peer, client->peer_boot);
		accept_half(node, from, client->proof);
	} else if (client->state == HANDSHAKE_REFUSED || server->state == HANDSHAKE_REFUSED) {
		transport_refused(transport, false);
		log_warning("loop.refused", "from=%u problem=\"%s\"", from->node->number,
			    server->problem);
		say_refused(node, from, client->status, client->problem);
	} else {
		say_refused(node, from, error, "the handshake could not be held");
	}
}

void loop_connect_arrived(struct loop_node *node, const struct loop_event *event)
{
	struct loop_half *from = loop_half_find(node->network, event->from);
	struct handshake *pair;

	if (!from || from->state != LOOP_MAKING ||
	    !loop_reachable(node->network, event->number, node->number) ||
	    !loop_reachable(node->network, node->number, event->number))
		return;
	if (!node->listening) {
		say_refused(node, from, -ECONNREFUSED, "nobody listens there");
		return;
	}
	pair = calloc(2, sizeof(*pair));
	if (!pair) {
		say_refused(node, from, -EBUSY, "no memory for a handshake");
		return;
	}
	answer(node, from, &pair[0], &pair[1]);
	handshake_fini(&pair[0]);
	handshake_fini(&pair[1]);
	free(pair);
}

void loop_refused_arrived(struct loop_half *half, const struct loop_event *event)
{
	if (half->state != LOOP_MAKING)
		return; /* being disconnected: its end is on its way */
	half->state = LOOP_FENCING;
	half->status = event->status;
	snprintf(half->why, sizeof(half->why), "%s", (const char *)event->bytes);
	loop_finish(half);
}

static void learn_regions(struct loop_half *half, struct transport *owner)
{
	for (uint32_t i = 0; i < TRANSPORT_REGIONS_MAX; i++) {
		const struct transport_region *region = transport_region_at(owner, i);

		if (region && region->access == TRANSPORT_READABLE)
			half->region_lens[i] = region->len;
	}
}

void loop_accepted_arrived(struct loop_half *half, const struct loop_event *event)
{
	struct loop_network *network = half->node->network;
	struct loop_half *other = loop_half_find(network, event->from);
	struct loop_event *established;

	half->other = event->from;
	if (half->state != LOOP_MAKING) {
		loop_event_missed(half->node, event);
		return;
	}
	if (!other) {
		loop_break(half, -ECONNRESET, "the peer went away");
		return;
	}
	established = loop_event_new(LOOP_ESTABLISHED, other->id, 0);
	if (!established) {
		loop_break(half, -ENOMEM, "no memory for a connection");
		return;
	}
	learn_regions(half, other->node->transport);
	established->sequence = half->send_sequence++;
	half->send_at_ns = clock_now_ns(network->clock) + loop_delay(network);
	loop_event_post(other->node, established, half->send_at_ns);
	half->state = LOOP_UP;
	transport_link_up(&half->link);
}
