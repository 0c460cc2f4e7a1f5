/*
 * rig.h - the backend alone: what it may call up is played by the rig, so that a test decides which
 * proofs are good, what the time is, and sees every call. And raw UCP workers, that say to it
 * whatever a test wants said.
 *
 * All of them live in one thread and are pumped in turn. Waits are bounded in real time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ucp/api/ucp.h>

#include "base/check.h"
#include "fabric/transport/backend.h"
#include "fabric/transport/ucx/ucx.h"

#define RIG_PATIENCE_NS (60 * NS_PER_S)
#define RIG_REGION_LEN	((size_t)4 << 20)

/* What transport_* of backend.h are for a test: a struct transport of its own. */
struct transport {
	struct clock clock; /* the machine's, and what a test adds */
	uint64_t ahead_ns;
	struct transport_config config;
	struct random random;
	struct transport_region *regions[TRANSPORT_REGIONS_MAX];
	struct transport_region readable, landing;
	struct ucx_backend *backend; /* NULL: closed */
	uint8_t offer[TRANSPORT_OFFER_MAX];
	int offer_len;
	int accept; /* what transport_link_accept() answers to the right proof */
	int64_t counted[TRANSPORT_COUNTER_COUNT];
	unsigned accepts, ups, downs, messages, readies, moves;
	int down_status;
	char down_why[256];
	struct transport_link *passive; /* the last accepted, NULL when it is down */
	struct transport_link *active;	/* the last that came up, the same */
	uint8_t message[TRANSPORT_MESSAGE_MAX];
	size_t message_len;
	/* called before a read's done, when set */
	void (*on_message)(struct transport *transport, const void *data, size_t len);
};

extern const uint8_t rig_proof[TRANSPORT_PROOF_LEN];

/** rig_config() - the defaults; change what a test needs before rig_open(). */
struct transport_config rig_config(void);

/** rig_open() - with a region 0 that is READABLE, of rig_byte(), and a region 1 for LANDING.
 *  @listen: and listens. */
void rig_open(struct transport *rig, const struct transport_config *config, bool listen);
void rig_close(struct transport *rig);

/** rig_pump() - polls every open rig and progresses every raw worker, once. */
void rig_pump(void);

/** rig_wait() - pumps until *@count reaches @wanted. */
void rig_wait(const unsigned *count, unsigned wanted, const char *what);
void rig_wait_counted(const struct transport *rig, enum transport_counter counter, int64_t wanted);

/** rig_pump_for() - so long. */
void rig_pump_for(uint64_t ns);

/** rig_connect() - from one to the other's offer, until it is up. */
struct transport_link *rig_connect(struct transport *from, struct transport *to);

/** rig_byte() - what region 0 holds at @off. */
uint8_t rig_byte(size_t off);

/* A read, and how often its done ran. */
struct rig_read {
	struct transport_read read;
	unsigned dones;
	bool scribble; /* done fills dst with SCRIBBLED, to see that nobody else writes there */
};

#define RIG_SCRIBBLED 0x5c

/** rig_read() - of region 0 at @off to landing + @at. Return: as ops->read(). */
int rig_read(struct rig_read *read, struct transport *rig, struct transport_link *link,
	     uint64_t off, size_t len, size_t at);
bool rig_read_right(const struct rig_read *read);

struct raw_handler {
	struct raw *raw;
	unsigned kind;
};

/* A raw UCP worker: no front, no backend, no manners. */
struct raw {
	ucp_context_h context;
	ucp_worker_h worker;
	ucp_listener_h listener;
	ucp_ep_h ep;	 /* its connection */
	unsigned errors; /* the endpoint's error callback ran */
	unsigned connections;
	struct raw_handler handlers[UCX_KINDS];
	/* what came, by kind */
	unsigned came[UCX_KINDS];
	uint8_t last[UCX_KINDS][UCX_FRAME_LEN];
	size_t last_len[UCX_KINDS];
	uint8_t head[512]; /* of the last ANSWER */
	size_t head_len;
	size_t payload_len;
};

void raw_open(struct raw *raw);
void raw_close(struct raw *raw);

/** raw_connect() - to @rig's offer. */
void raw_connect(struct raw *raw, const struct transport *rig);

/** raw_listen() - as an owner would; its offer goes to @offer. Returns its length. */
int raw_listen(struct raw *raw, uint8_t offer[TRANSPORT_OFFER_MAX]);

/** raw_say() - an active message, and waits until it is sent or refused by UCX. */
void raw_say(struct raw *raw, unsigned id, const void *head, size_t head_len, const void *data,
	     size_t len, unsigned flags);

/** raw_hello() - with that proof; until WELCOME, REFUSAL or the end has come. The token of the
 *  owner goes to @out_token, when welcome. */
void raw_hello(struct raw *raw, const uint8_t proof[TRANSPORT_PROOF_LEN], uint64_t *out_token);

#define RAW_TOKEN UINT64_C(0x1122334455667788)
