/*
 * outbox.h - messages on their way: encodes them into memory of its own and gives them to the
 * transport, with a limit on how many. What cannot be sent is counted and forgotten: whoever waits
 * for its effect has a time of its own.
 *
 * Threads: the transport's owner.
 */
#pragma once

#include "cache/peer/wire.h"
#include "fabric/transport/transport.h"

struct outbox;

/** outbox_create() - at most @limit messages under way. @clock: borrowed for life. Return: 0 or
 * -ENOMEM.
 */
int outbox_create(const struct clock *clock, unsigned limit, struct outbox **out_outbox);

/** outbox_destroy() - after the transport was closed. NULL is fine. */
void outbox_destroy(struct outbox *outbox);

/**
 * outbox_send() - sends @message to @peer.
 * @timeout_ns: what it may wait for the wire.
 * Return: 0; -EAGAIN: too many are under way; -EMSGSIZE: cannot be encoded; -ENOMEM; or as
 * transport_send().
 */
int outbox_send(struct outbox *outbox, struct transport_peer *peer,
		const struct peer_message *message, uint64_t timeout_ns);

/** outbox_dropped() - how many were accepted by outbox_send() and never got to the wire. */
uint64_t outbox_dropped(const struct outbox *outbox);
