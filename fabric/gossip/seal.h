/*
 * seal.h - a gossip packet is read by members of the cluster alone, and each once.
 *
 *	 0  magic "CeGo"   4 version   5 kind   6 zero (2)
 *	 8  key id         the cluster key it was made with
 *	16  sender         member id
 *	32  boot           of the sender
 *	40  counter        of the sender in this boot, from 1: the nonce, and what a replay repeats
 *	48  stamp          first 8 bytes of HMAC(stamp key, bytes 0..48)
 *	56  AES-256-GCM of the message, then its tag (16)
 *
 * The GCM key is derived for each (cluster key, sender, boot), so two members never share one and
 * a counter is a safe nonce: random ones under one key would run out within days at a thousand
 * nodes. The header and the cluster's name are authenticated along.
 *
 * The stamp is there for floods: its key is one a cluster key, so that a stranger's packet is
 * refused by one short HMAC and cannot make us derive keys for the senders it invents. A stranger
 * who repeats headers that he has seen gets as far as the tag, with a key that we hold already.
 *
 * What it does not do: a packet that was recorded and is played to a receiver that has forgotten
 * its sender (a restart, or SEAL_SENDERS_MAX newer ones) or has never heard of it opens once more.
 * What it says is old then, and incarnations and sequence numbers treat it so.
 *
 * One thread's, but for the key ring, which others may change at any time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fabric/identity.h"

#define SEAL_VERSION	 1
#define SEAL_HEADER_LEN	 56
#define SEAL_TAG_LEN	 16
#define SEAL_PACKET_MAX	 1400
#define SEAL_PLAIN_MAX	 (SEAL_PACKET_MAX - SEAL_HEADER_LEN - SEAL_TAG_LEN)
#define SEAL_SENDERS_MAX 16384 /* whose counters are remembered, the least recently heard go */
#define SEAL_WINDOW	 256   /* packets that may overtake one another */

struct seal;

struct seal_sender {
	struct member_id member;
	uint64_t boot;
};

/**
 * seal_create() - @identity is borrowed for life.
 * Return: 0; -ENOENT: the ring has no key; -ENOMEM.
 */
int seal_create(const struct identity *identity, struct seal **out_seal);

/** seal_destroy() - wipes the keys; NULL is fine. */
void seal_destroy(struct seal *seal);

/**
 * seal_packet() - @len <= SEAL_PLAIN_MAX bytes into a packet under the key in use.
 * Return: the packet's length; -ENOENT: the ring is empty.
 */
int seal_packet(struct seal *seal, const void *plain, size_t len, uint8_t out[SEAL_PACKET_MAX]);

/**
 * seal_open() - a packet as it came, anything at all.
 * Return: the message's length in @out, or
 *   -EBADMSG         not a gossip packet: length, magic or reserved bytes
 *   -EPROTONOSUPPORT another version
 *   -ENOKEY          a key that we do not have: a foreign cluster, or a ring that was not exchanged
 *   -EACCES          the stamp or the tag is wrong: forged, damaged, another cluster of one key
 *   -EALREADY        a counter that was there before, or is older than SEAL_WINDOW
 *   -ELOOP           our own packet, or one of a member that has our id and our boot
 *   -ENOMEM
 */
int seal_open(struct seal *seal, const uint8_t *packet, size_t len, uint8_t out[SEAL_PLAIN_MAX],
	      struct seal_sender *out_sender);
