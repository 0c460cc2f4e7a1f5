/*
 * backend.h - what a transport must do, and what it may call: the seam between transport.c (peers,
 * handshakes, deadlines, back-off, repetition: the same for all) and verbs, ucx and loop.
 *
 * A *link* is one connection. It is made by the backend (connect, or an incoming request whose
 * proof transport_link_accept() agreed to) and freed by the backend after transport_link_down().
 *
 *	connect() --> MAKING -- transport_link_up() --> UP -- disconnect() or failure --> FENCING
 *	                 \-- failure, disconnect() ----------------------------------------> |
 *	   transport_link_down(), exactly once, when no read's dst can be written any more and the
 *	   done of every read and message on it was called <---------------------------------+
 *
 * Upcalls come only from poll() and close(), never from inside another op.
 *
 * The other side may go without a word. The front's deadlines notice that of an active link. On a
 * passive one nothing need ever be sent, so the backend must notice, within a minute or so, by its
 * keep-alive: those links would pile up to the limit of accepted ones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fabric/transport/transport.h"

#define TRANSPORT_PROOF_LEN 32
#define TRANSPORT_OFFER_MAX 1024

struct transport_region {
	uint32_t index;
	uint8_t *base;
	size_t len;
	enum transport_access access;
	void *backend; /* the backend's registrations */
};

/* A backend's connection starts with this. */
struct transport_link {
	struct transport *transport;
	struct transport_peer *peer; /* NULL before transport_link_accept() */
	bool active;		     /* we opened it */
	bool up, fencing;	     /* set by transport.c, for CHECKs */
};

struct transport_ops {
	enum transport_kind kind;
	bool greets; /* peers are met by the TCP handshake first; loop brings its own proof */

	/**
	 * open() - opens devices.
	 * @out_backend: the backend's state, given back to every call.
	 * @text: receives "verbs (rxe0, rxe1)" for the log.
	 */
	int (*open)(struct transport *transport, const struct transport_config *config,
		    void **out_backend, char *text, size_t text_size, char *problem,
		    size_t problem_size);
	/* Fences every link (their transport_link_down() upcalls run), frees everything. */
	void (*close)(void *backend);

	int (*region_add)(void *backend, struct transport_region *region, char *problem,
			  size_t problem_size);
	void (*region_remove)(void *backend, struct transport_region *region);

	/**
	 * listen() - takes connect requests from now on, at any port of @address's host.
	 * @offer: what a peer must know to connect (addresses and ports a rail); it travels in the
	 *         handshake, authenticated.
	 * Return: its length, or an error with @problem.
	 */
	int (*listen)(void *backend, const struct address *address,
		      uint8_t offer[TRANSPORT_OFFER_MAX], char *problem, size_t problem_size);

	/**
	 * connect() - begins a connection.
	 * @greeted: the address the handshake was held with; its host stands in for an any-address
	 *           in the offer.
	 * @offer: of the peer; authenticated, yet to be decoded with care.
	 * Return: 0 with a link that is MAKING; -EBADMSG, -ENODEV, -EPROTONOSUPPORT (no transport
	 *         in common), -ENOMEM ... with @problem.
	 */
	int (*connect)(void *backend, const struct address *greeted, const uint8_t *offer,
		       size_t offer_len, const uint8_t proof[TRANSPORT_PROOF_LEN],
		       struct transport_link **out_link, char *problem, size_t problem_size);

	/** read() - puts a read on an UP link. Return: 0, then transport_read_done() follows;
	 *  -EAGAIN when the link is full: tried again after each done on it; -ERANGE;
	 *  -ECONNRESET when it is failing and transport_link_down() is on its way. The range was
	 *  checked against region_len() and @read->dst is inside a region. */
	int (*read)(struct transport_link *link, struct transport_read *read);
	/** send() - the same of a message; -EAGAIN without a credit: tried again after
	 *  transport_link_ready() and each done; -ECONNRESET as read(). The data is copied or kept
	 * until done, as the backend likes. */
	int (*send)(struct transport_link *link, struct transport_message *message);
	/** disconnect() - begins FENCING; also of a link that is MAKING. Ends in
	 *  transport_link_down(), soon, whatever the peer does. */
	void (*disconnect)(struct transport_link *link);
	/** region_len() - the length of the peer's region, 0 for none. */
	uint64_t (*region_len)(const struct transport_link *link, uint32_t region);

	/** poll() - makes progress, calls up. Returns how many events there were. */
	int (*poll)(void *backend);
	/** event_fd() - readable when poll() should be called, once armed; -1 without one. */
	int (*event_fd)(void *backend);
	/** arm() - Return: 0: sleep on the descriptor; -EAGAIN: there is something already. */
	int (*arm)(void *backend);
	/** next_ns() - when poll() must be called at the latest; CLOCK_NEVER. */
	uint64_t (*next_ns)(void *backend);
};

extern const struct transport_ops transport_verbs_ops, transport_ucx_ops, transport_loop_ops;

/**
 * transport_link_accept() - somebody asks to connect with @proof.
 * Return: 0: the proof was one we gave out, is used up now, and link->peer is set; -EACCES (no such
 *         proof, used before, too old), -EBUSY (peers_connected_max are accepted): reject it with
 *         @refusal.
 */
int transport_link_accept(struct transport_link *link, struct transport *transport,
			  const uint8_t *proof, size_t proof_len,
			  char refusal[TRANSPORT_REFUSAL_MAX]);

/** transport_link_up() - both sides are ready and, of an active one, the peer's regions known. */
void transport_link_up(struct transport_link *link);

/** transport_link_down() - see above. @why: one line for people: "peer closed", "remote access
 *  error (bad key?)". The link is the backend's alone afterwards. */
void transport_link_down(struct transport_link *link, int status, const char *why);

/** transport_link_message() - a message came in; @data is borrowed. */
void transport_link_message(struct transport_link *link, const void *data, size_t len);

/** transport_link_moved() - bytes of a read have come. */
void transport_link_moved(struct transport_link *link);

/** transport_link_ready() - send() may have room again. */
void transport_link_ready(struct transport_link *link);

/** transport_link_read_done(), transport_link_message_done() - it ended; of reads: and nothing can
 *  write its dst any more. */
void transport_link_read_done(struct transport_read *read, int status);
void transport_link_message_done(struct transport_message *message, int status);

/* What a backend may ask. */

/** transport_place() - with config.numa, the calling thread moves to @numa_node; -1 is fine. */
void transport_place(const struct transport *transport, int numa_node);
const struct clock *transport_clock(const struct transport *transport);
struct random *transport_random(struct transport *transport);
const struct identity *transport_identity(const struct transport *transport);
const struct transport_config *transport_config(const struct transport *transport);
void transport_count(struct transport *transport, enum transport_counter counter, int64_t amount);
/** transport_region_at() - our region of that number, NULL: none. */
struct transport_region *transport_region_at(struct transport *transport, uint32_t index);
/** transport_region_of() - our region that holds all of [@address, @address + @len), NULL: none. */
struct transport_region *transport_region_of(struct transport *transport, const void *address,
					     size_t len);

/* Each backend's part of transport_devices(); returns how many it wrote. */
int transport_verbs_devices(struct transport_device *out, unsigned count_max);
int transport_ucx_devices(struct transport_device *out, unsigned count_max);
