/*
 * stream_seal.h - the same protection for a TCP stream between two members, as a pure machine: what
 * to send, what to make of what came. stream.c moves the bytes.
 *
 *	opener                                              acceptor
 *	HELLO   key id, member, boot, nonce  -->
 *	                          <--  HELLO   the same key id, member, boot, nonce; or a refusal
 *	records -->                                      <-- records
 *
 *	HELLO:  0 magic "CeGs"   4 version   5 status   6 zero (2)
 *		8 key id  16 member  32 boot  40 nonce
 *	record: length of what follows (4), AES-256-GCM of at most STREAM_SEAL_RECORD_MAX
 *		bytes, tag
 *
 * Both nonces go into the derivation of both keys, one for each direction: a recorded stream opens
 * for nobody again. Records are counted, so none can be left out, repeated or exchanged. A HELLO
 * proves nothing; the first record does.
 *
 * A refusal is in clear and proves nothing either: it is there to tell an operator why.
 */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/gossip/seal.h"
#include "fabric/gossip/seal_key.h"

#define STREAM_SEAL_VERSION    1
#define STREAM_SEAL_HELLO_LEN  72
#define STREAM_SEAL_RECORD_MAX 65536
#define STREAM_SEAL_FRAME_LEN  4
#define STREAM_SEAL_OVERHEAD   (STREAM_SEAL_FRAME_LEN + SEAL_TAG_LEN)

enum stream_seal_status {
	STREAM_SEAL_OK,
	STREAM_SEAL_NO_KEY,   /* the key of that id is not in our ring */
	STREAM_SEAL_VERSIONS, /* we speak another version */
	STREAM_SEAL_BUSY,     /* no room for one more stream */
};

struct stream_seal {
	const struct identity *identity; /* borrowed */
	bool is_opener;
	struct keyring_key key;			   /* the cluster key of this stream */
	uint8_t hellos[2 * STREAM_SEAL_HELLO_LEN]; /* the opener's, the acceptor's */
	uint8_t keys[2][SEAL_KEY_LEN];		   /* by direction: 0 from the opener */
	uint64_t sent, received;		   /* records, the nonces */
	struct seal_sender peer; /* who the other side says it is; true after a record */
};

/**
 * stream_seal_open() - begins a stream; its HELLO is in @out. @nonce: unpredictable.
 * Return: 0; -ENOENT: the ring is empty.
 */
int stream_seal_open(struct stream_seal *seal, const struct identity *identity,
		     const uint8_t nonce[32], uint8_t out[STREAM_SEAL_HELLO_LEN]);

/**
 * stream_seal_accept() - answers the HELLO @in of an opener with one in @out, a refusal when this
 * does not return 0 (and nothing to be sent after -EBADMSG).
 * Return: 0; -EBADMSG: no HELLO; -EPROTONOSUPPORT; -ENOKEY; -ELOOP: it is our own.
 */
int stream_seal_accept(struct stream_seal *seal, const struct identity *identity,
		       const uint8_t nonce[32], const uint8_t in[STREAM_SEAL_HELLO_LEN],
		       uint8_t out[STREAM_SEAL_HELLO_LEN]);

/** stream_seal_refuse() - an acceptor's HELLO that says why not. */
void stream_seal_refuse(const struct identity *identity, enum stream_seal_status status,
			uint8_t out[STREAM_SEAL_HELLO_LEN]);

/**
 * stream_seal_answered() - the opener has the acceptor's HELLO.
 * Return: 0; -EBADMSG; the refusal as -ENOKEY, -EPROTONOSUPPORT, -EBUSY; -ELOOP: we reached
 *         ourselves.
 */
int stream_seal_answered(struct stream_seal *seal, const uint8_t in[STREAM_SEAL_HELLO_LEN]);

/** stream_seal_encrypt() - a whole record of 1..STREAM_SEAL_RECORD_MAX bytes. Returns its length:
 *  @len + STREAM_SEAL_OVERHEAD. */
size_t stream_seal_encrypt(struct stream_seal *seal, EVP_CIPHER_CTX *context, const void *plain,
			   size_t len, uint8_t *out);

/** stream_seal_frame() - what follows the 4 bytes @in. Return: its length; -EBADMSG: none of ours.
 */
int stream_seal_frame(const uint8_t in[STREAM_SEAL_FRAME_LEN]);

/** stream_seal_decrypt() - @len bytes behind a frame's length. Return: how many are in @out;
 *  -EACCES. */
int stream_seal_decrypt(struct stream_seal *seal, EVP_CIPHER_CTX *context, const uint8_t *in,
			size_t len, uint8_t *out);

/** stream_seal_wipe() - forgets the keys. */
void stream_seal_wipe(struct stream_seal *seal);
