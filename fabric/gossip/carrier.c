/*
 * carrier.c - the thread that carries the machine: packets in, packets out, time.
 *
 * A round of the loop takes at most PACKETS_MAX packets before time is looked at again, so that a
 * flood of garbage cannot keep the machine from its probes. Garbage is refused by its first bytes,
 * then by its key id, then by its stamp; see seal.h.
 */
#include "fabric/gossip/inside.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/gossip/socket.h"

#define PACKETS_MAX  256 /* a multiple of CARRIER_BATCH */
#define SENDS_MAX    3	 /* of one packet */
#define ERRORS_MAX   16	 /* of ICMP, in one round */
#define TWIN_WAIT_NS (5 * NS_PER_S)

bool carrier_is_active(const struct membership *membership)
{
	return membership->standing == MEMBERSHIP_MEMBER;
}

void carrier_wake(struct membership *membership)
{
	CHECK(eventfd_write(membership->wake, 1) == 0);
}

void carrier_announce(struct membership *membership, enum swim_phase phase, uint64_t remaining_ns)
{
	struct roster_entry *self = roster_entry(&membership->roster, ROSTER_SELF);
	uint64_t now_ns = now_of(membership);

	if (membership->phase != phase)
		self->phase_ns = now_ns;
	membership->phase = phase;
	self->phase = (uint8_t)phase;
	swim_announce(membership->swim, phase, remaining_ns, now_ns);
}

/* --- out */

/* An error may be that of a packet sent before, of which ICMP has told since; it is reported once,
 * to whoever sends next. */
static ssize_t datagram_send(struct membership *membership, const struct address *to,
			     const uint8_t *packet, size_t len)
{
	ssize_t sent = -1;

	for (unsigned i = 0; i < SENDS_MAX && sent < 0; i++) {
		sent = sendto(membership->udp, packet, len, MSG_NOSIGNAL,
			      (const struct sockaddr *)&to->storage, address_len(to));
		if (sent < 0 && errno == EAGAIN)
			break;
	}
	return sent;
}

static void packet_send(struct membership *membership, const struct address *to,
			const uint8_t *plain, size_t len)
{
	uint8_t packet[SEAL_PACKET_MAX];
	struct address mapped;
	int packet_len = seal_packet(membership->seal, plain, len, packet);
	ssize_t sent = -1;

	if (packet_len > 0 && socket_map(to, membership->bound.storage.ss_family, &mapped) == 0)
		sent = datagram_send(membership, &mapped, packet, (size_t)packet_len);
	/* A lost packet, as any other; the probe that misses its answer says so. */
	if (sent < 0) {
		counter_add(&membership->counters, MEMBERSHIP_SEND_ERRORS, 1);
		return;
	}
	counter_add(&membership->counters, MEMBERSHIP_PACKETS_SENT, 1);
	counter_add(&membership->counters, MEMBERSHIP_BYTES_SENT, (uint64_t)sent);
}

void carrier_wire_rumor(struct membership *membership, const struct swim_rumor *rumor,
			struct wire_rumor *out)
{
	const struct roster_entry *entry = roster_entry(&membership->roster, rumor->member);
	const struct roster_entry *accuser = roster_entry(&membership->roster, rumor->from);

	CHECK(entry);
	out->kind = rumor->kind;
	out->phase = rumor->phase;
	out->member = entry->id;
	out->incarnation = rumor->incarnation;
	out->remaining_ms = rumor->remaining_ms;
	out->detailed = rumor->detailed && entry->has_details;
	if (accuser)
		out->accuser = accuser->id;
	else
		memset(&out->accuser, 0, sizeof(out->accuser));
	if (out->detailed)
		out->details = entry->details;
}

static void send_message(void *context, uint32_t to, const struct swim_message *message)
{
	struct membership *membership = context;
	struct wire_message *wire = &membership->outgoing;
	const struct roster_entry *entry, *target;
	const struct address *address = &membership->sender;
	uint8_t plain[SEAL_PLAIN_MAX];

	if (to != SWIM_SENDER) {
		entry = roster_entry(&membership->roster, to);
		CHECK(entry);
		address = &entry->details.gossip;
	}
	if (!carrier_is_active(membership) || address_len(address) == 0)
		return;
	wire->kind = message->kind;
	wire->sequence = message->sequence;
	if (message->kind == SWIM_PING || message->kind == SWIM_PING_REQ) {
		target = roster_entry(&membership->roster, message->target);
		CHECK(target);
		wire->target = target->id;
	}
	wire->rumor_count = message->rumor_count;
	for (unsigned i = 0; i < message->rumor_count; i++)
		carrier_wire_rumor(membership, &message->rumors[i], &wire->rumors[i]);
	packet_send(membership, address, plain, wire_message_encode(wire, plain, sizeof(plain)));
}

/* --- the machine's other ops */

static void start_push_pull(void *context, uint32_t to)
{
	struct membership *membership = context;
	const struct roster_entry *entry = roster_entry(&membership->roster, to);

	CHECK(entry);
	if (carrier_is_active(membership) && address_len(&entry->details.gossip) > 0)
		exchange_views(membership, &entry->details.gossip, &entry->id, 0, NULL, false);
}

static void start_reliable_ping(void *context, uint32_t to, uint32_t sequence)
{
	struct membership *membership = context;

	if (carrier_is_active(membership))
		exchange_ping(membership, to, sequence);
}

static size_t rumor_len(void *context, const struct swim_rumor *rumor)
{
	struct wire_rumor wire;

	carrier_wire_rumor(context, rumor, &wire);
	return wire_rumor_len(&wire);
}

static uint64_t member_hash(void *context, uint32_t member)
{
	const struct membership *membership = context;
	const struct roster_entry *entry = roster_entry(&membership->roster, member);
	uint64_t hash;

	CHECK(entry);
	memcpy(&hash, entry->id.bytes, sizeof(hash)); /* ids are random */
	return hash;
}

static void adopt(void *context, const struct swim_rumor *rumor)
{
	struct membership *membership = context;
	struct roster_entry *entry = roster_entry(&membership->roster, rumor->member);
	const struct wire_details *details = rumor->details;
	bool moved;

	CHECK(entry && details);
	moved = !entry->has_details || !address_equal(&entry->details.gossip, &details->gossip);
	entry->details = *details;
	entry->incarnation = rumor->incarnation;
	if (entry->phase != rumor->phase)
		entry->phase_ns = now_of(membership);
	entry->phase = rumor->phase;
	entry->has_details = true;
	roster_touch(&membership->roster, rumor->member);
	if (moved)
		keep_peers_changed(membership);
}

#define CHANGE_FORMAT "name=%s old=%s new=%s why=\"%s\" by=%s"
#define CHANGE_ARGUMENTS                                                                           \
	member_name(membership, change->member, name), swim_state_text(change->old_state),         \
		swim_state_text(change->new_state), swim_why_text(change->why), by

/* Each kind has a limit of its own: a crowd that joins must not hide the one that dies. */
static void changed(void *context, const struct swim_change *change)
{
	struct membership *membership = context;
	char name[MEMBER_ID_TEXT + MEMBERSHIP_NAME_MAX], by[sizeof(name)] = "";

	if (change->by != SWIM_NOBODY && change->by != change->member)
		member_name(membership, change->by, by);
	roster_touch(&membership->roster, change->member);
	if (change->new_state == SWIM_DEAD)
		log_warning("gossip.member", CHANGE_FORMAT, CHANGE_ARGUMENTS);
	else if (change->new_state == SWIM_SUSPECT)
		log_notice("gossip.member", CHANGE_FORMAT, CHANGE_ARGUMENTS);
	else
		log_notice("gossip.member", CHANGE_FORMAT, CHANGE_ARGUMENTS);
}

static void forgotten(void *context, uint32_t member)
{
	struct membership *membership = context;

	member_tell_gone(membership, member);
	roster_remove(&membership->roster, member);
}

static void incarnation(void *context, uint32_t value, bool refuted)
{
	struct membership *membership = context;
	struct roster_entry *self = roster_entry(&membership->roster, ROSTER_SELF);

	if (refuted)
		log_notice("gossip.refute", "incarnation=%u", value);
	self->incarnation = value;
	roster_touch(&membership->roster, ROSTER_SELF);
	keep_incarnation(membership, value);
}

static void spread(void *context)
{
	struct membership *membership = context;

	membership->spread = true;
	pthread_cond_broadcast(&membership->told);
}

const struct swim_ops carrier_ops = {
	.send = send_message,
	.push_pull = start_push_pull,
	.ping_reliably = start_reliable_ping,
	.rumor_len = rumor_len,
	.member_hash = member_hash,
	.adopt = adopt,
	.changed = changed,
	.forgotten = forgotten,
	.incarnation = incarnation,
	.spread = spread,
};

/* --- in */

static bool is_former(const struct membership *membership, uint64_t boot)
{
	for (unsigned i = 0; i < membership->former_count; i++)
		if (membership->formers[i] == boot)
			return true;
	return false;
}

static void twin_ask(struct membership *membership, const struct address *address, uint64_t boot)
{
	uint64_t now_ns = now_of(membership);

	if (now_ns < membership->twin_next_ns)
		return;
	membership->twin_next_ns = clock_after_ns(now_ns, TWIN_WAIT_NS);
	exchange_twin(membership, address, boot);
}

/*
 * Somebody says that he is us. A former life of ours has a lower incarnation than the one that we
 * started with, or (a state directory put back from a copy) does not answer: then it is for the
 * machine to refute. Until that is known, nothing is said, lest two twins outbid each other.
 * Return: whether the rumor goes to the machine.
 */
static bool twin_check(struct membership *membership, const struct wire_rumor *wire)
{
	if (wire->details.boot == membership->identity.boot ||
	    wire->incarnation < membership->start_incarnation ||
	    is_former(membership, wire->details.boot))
		return true;
	if (wire->kind == SWIM_RUMOR_ALIVE)
		twin_ask(membership, &wire->details.gossip, wire->details.boot);
	return false;
}

bool carrier_rumor(struct membership *membership, const struct wire_rumor *wire, bool any_kind,
		   struct swim_rumor *out)
{
	uint32_t member = roster_find(&membership->roster, &wire->member);

	if (wire->detailed && address_port(&wire->details.gossip) == 0) {
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
		return false;
	}
	if (member == ROSTER_SELF && wire->detailed && !twin_check(membership, wire))
		return false;
	if (member == SWIM_NOBODY && wire->detailed && (any_kind || wire->kind == SWIM_RUMOR_ALIVE))
		member = roster_add(&membership->roster, &wire->member);
	*out = (struct swim_rumor){
		.kind = wire->kind,
		.phase = wire->phase,
		.detailed = wire->detailed,
		.member = member,
		.incarnation = wire->incarnation,
		.from = roster_find(&membership->roster, &wire->accuser),
		.remaining_ms = wire->remaining_ms,
		.details = &wire->details,
	};
	return true;
}

void carrier_rumor_done(struct membership *membership, const struct swim_rumor *rumor)
{
	if (rumor->member != SWIM_NOBODY && rumor->member != ROSTER_SELF &&
	    roster_entry(&membership->roster, rumor->member) &&
	    swim_state(membership->swim, rumor->member) == SWIM_NONE)
		roster_remove(&membership->roster, rumor->member);
}

static void message_take(struct membership *membership, const struct seal_sender *sender)
{
	const struct wire_message *wire = &membership->incoming;
	struct swim_message message = { .kind = wire->kind, .sequence = wire->sequence };
	uint32_t from = roster_find(&membership->roster, &sender->member);

	message.target = roster_find(&membership->roster, &wire->target);
	for (unsigned i = 0; i < wire->rumor_count; i++)
		if (carrier_rumor(membership, &wire->rumors[i], false,
				  &message.rumors[message.rumor_count]))
			message.rumor_count++;
	if (from == ROSTER_SELF)
		twin_ask(membership, &membership->sender, sender->boot);
	else
		swim_receive(membership->swim, from, &message, now_of(membership));
	for (unsigned i = 0; i < message.rumor_count; i++)
		carrier_rumor_done(membership, &message.rumors[i]);
}

static void packet_refuse(struct membership *membership, int status)
{
	char from[ADDRESS_TEXT_MAX];

	switch (status) {
	case -ENOKEY:
		counter_add(&membership->counters, MEMBERSHIP_FOREIGN, 1);
		log_warning("gossip.foreign",
			    "from=%s problem=\"made with a key that is not in %s: another "
			    "cluster, or a secret that was exchanged without us\"",
			    address_text(&membership->sender, from), membership->secret_file);
		return;
	case -EACCES:
		counter_add(&membership->counters, MEMBERSHIP_FORGED, 1);
		break;
	case -EALREADY:
		counter_add(&membership->counters, MEMBERSHIP_REPLAYED, 1);
		break;
	case -ELOOP:
		return;
	default:
		counter_add(&membership->counters, MEMBERSHIP_MALFORMED, 1);
	}
	log_info("gossip.refuse", "from=%s error=\"%s\"", address_text(&membership->sender, from),
		 error_text(status));
}

static void packet_take(struct membership *membership, const uint8_t *packet, size_t len)
{
	uint8_t plain[SEAL_PLAIN_MAX];
	struct seal_sender sender;
	int plain_len;

	counter_add(&membership->counters, MEMBERSHIP_PACKETS_RECEIVED, 1);
	counter_add(&membership->counters, MEMBERSHIP_BYTES_RECEIVED, len);
	if (!carrier_is_active(membership))
		return;
	plain_len = seal_open(membership->seal, packet, len, plain, &sender);
	if (plain_len >= 0 &&
	    wire_message_decode(plain, (size_t)plain_len, &membership->incoming) != 0)
		plain_len = -EBADMSG;
	if (plain_len < 0)
		packet_refuse(membership, plain_len);
	else
		message_take(membership, &sender);
}

/* Return: how many packets came. */
static int batch_receive(struct membership *membership)
{
	struct sockaddr_storage from[CARRIER_BATCH];
	struct iovec vectors[CARRIER_BATCH];
	struct mmsghdr messages[CARRIER_BATCH];
	int count;

	for (unsigned i = 0; i < CARRIER_BATCH; i++) {
		vectors[i] = (struct iovec){ membership->packets[i], CARRIER_PACKET_LEN };
		messages[i] = (struct mmsghdr){
			.msg_hdr = { .msg_name = &from[i],
				     .msg_namelen = sizeof(from[i]),
				     .msg_iov = &vectors[i],
				     .msg_iovlen = 1 },
		};
	}
	count = recvmmsg(membership->udp, messages, CARRIER_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		memset(&membership->sender, 0, sizeof(membership->sender));
		memcpy(&membership->sender.storage, &from[i], messages[i].msg_hdr.msg_namelen);
		socket_unmap(&membership->sender);
		packet_take(membership, membership->packets[i], messages[i].msg_len);
	}
	return count;
}

/* Nobody listens where a packet went: the member that should be there is worth a closer look. */
static void errors_receive(struct membership *membership)
{
	struct address address;
	uint32_t member;
	int found;

	for (unsigned i = 0; i < ERRORS_MAX; i++) {
		found = socket_unreachable(membership->udp, &address);
		if (found < 0)
			return;
		if (found == 0)
			continue;
		member = roster_at(&membership->roster, &address);
		if (member != SWIM_NOBODY && carrier_is_active(membership))
			swim_unreachable(membership->swim, member, now_of(membership));
	}
}

static void packets_receive(struct membership *membership)
{
	for (unsigned done = 0; done < PACKETS_MAX; done += CARRIER_BATCH)
		if (batch_receive(membership) < CARRIER_BATCH)
			return;
}

/* --- time */

static void leave_tick(struct membership *membership, uint64_t now_ns)
{
	struct task *task = task_find(membership, membership->leave_task);

	if (!membership->leave_task ||
	    (!membership->spread && now_ns < membership->leave_deadline_ns))
		return;
	membership->leave_task = 0;
	membership->standing = MEMBERSHIP_GONE;
	keep_no_peers(membership);
	log_notice("gossip.left", "cluster=%s", membership->identity.cluster);
	roster_touch(&membership->roster, ROSTER_SELF);
	if (task)
		task_finish(task, 0, "left the cluster%s",
			    membership->spread ? ""
					       : "; not all members could be told in time, they "
						 "will find this node silent");
}

static void work(struct membership *membership)
{
	chores_reap(membership->names, membership);
	chores_reap(membership->files, membership);
	errors_receive(membership);
	packets_receive(membership);
	streams_poll(membership->streams);
	if (carrier_is_active(membership))
		swim_tick(membership->swim, now_of(membership));
	leave_tick(membership, now_of(membership));
	join_tick(membership);
	keep_tick(membership);
	member_tell(membership);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

static int wait_ms(const struct membership *membership)
{
	uint64_t now_ns = now_of(membership);
	uint64_t next_ns = earlier(streams_next_ns(membership->streams), join_next_ns(membership));

	next_ns = earlier(next_ns, membership->peers_next_ns);
	if (membership->leave_task)
		next_ns = earlier(next_ns, membership->leave_deadline_ns);
	if (carrier_is_active(membership))
		next_ns = earlier(next_ns, swim_deadline(membership->swim));
	if (next_ns == CLOCK_NEVER)
		return -1;
	if (next_ns <= now_ns)
		return 0;
	/* Up: a moment too early would be a turn for nothing. */
	return (int)earlier((next_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, 60000);
}

void *carrier_main(void *argument)
{
	struct membership *membership = argument;
	struct pollfd pollfds[] = {
		{ .fd = membership->udp, .events = POLLIN },
		{ .fd = streams_fd(membership->streams), .events = POLLIN },
		{ .fd = membership->wake, .events = POLLIN },
	};
	eventfd_t count;

	pthread_mutex_lock(&membership->lock);
	while (!membership->stopping) {
		int timeout_ms;

		work(membership);
		timeout_ms = wait_ms(membership);
		pthread_mutex_unlock(&membership->lock);
		if (poll(pollfds, ARRAY_COUNT(pollfds), timeout_ms) > 0 && pollfds[2].revents)
			eventfd_read(membership->wake, &count);
		pthread_mutex_lock(&membership->lock);
	}
	pthread_mutex_unlock(&membership->lock);
	return NULL;
}
