/*
 * wire.h - what two nodes say to each other about units of the cache (window/key.h), as bytes in
 * the transport's messages. Pure.
 *
 *	STAGE	 reader -> owner  bring a unit into your window, hold it, tell me where it lies
 *	CANCEL	 reader -> owner  a STAGE is not wanted any more
 *	RELEASE	 reader -> owner  units STAGED are not needed any more
 *	HITS	 reader -> owner  units read without asking: they are in use
 *	STAGED	 owner -> reader  it lies there, for so long, with these checks
 *	WORKING	 owner -> reader  still at it: every PEER_WORKING_NS
 *	REFUSED	 owner -> reader  the STAGE is at its end, and why
 *	PUSH	 owner -> reader  a piece of the unit; STAGED follows the last one
 *	ASK	 node -> owner	  what is below a prefix, or behind a key? (catalog.h)
 *	ANSWER	 owner -> node	  that; or still at it: every PEER_WORKING_NS
 *
 * A request is a number its reader chose, used once in the life of a connection; STAGE, CANCEL and
 * RELEASE name it, and so does every answer. Messages arrive in order or the connection breaks;
 * with it end its requests and leases.
 *
 * Every message begins with the version (1) and the kind (1). Integers are little-endian, texts end
 * with a NUL. Decoders take any bytes: 0, -EBADMSG for what no encoder writes, -EPROTONOSUPPORT
 * for another version.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "cache/object.h"
#include "cache/window/key.h"
#include "fabric/identity.h"
#include "fabric/transport/transport.h"

#define PEER_WIRE_VERSION   1
#define PEER_WORKING_NS	    (100 * NS_PER_MS)
#define PEER_DATASET_MAX    1024 /* with its NUL */
#define PEER_RELEASES_MAX   256	 /* in one message */
#define PEER_HITS_MAX	    128
#define PEER_HOLDERS_MAX    4
#define PEER_PUSH_LEN_MAX   (TRANSPORT_MESSAGE_MAX - 32)
#define PEER_TIMEOUT_MS_MAX (3600u * 1000)

enum peer_kind {
	PEER_STAGE = 1,
	PEER_CANCEL,
	PEER_RELEASE,
	PEER_HITS,
	PEER_STAGED,
	PEER_WORKING,
	PEER_REFUSED,
	PEER_PUSH,
	PEER_ASK,
	PEER_ANSWER,
};

enum peer_stage_flags {
	PEER_STAGE_LOCAL = 1, /* from the window or the own SSD, or REFUSED: ask nobody else */
	PEER_STAGE_PUSH = 2,  /* the bytes by message: reading them failed twice */
	PEER_STAGE_HERE = 4,  /* refer me to nobody */
};

struct peer_stage {
	uint64_t request;
	unsigned flags;
	uint32_t timeout_ms; /* what is left of the reader's time; 1 .. PEER_TIMEOUT_MS_MAX */
	uint64_t index;	     /* of the key */
	int64_t mtime_s;
	struct object_version version; /* strings: in the message */
	const char *dataset;	       /* likewise */
	struct object_id id;	       /* of the version; not sent: the decoder works it out */
};

struct peer_release {
	unsigned count;
	uint64_t requests[PEER_RELEASES_MAX];
};

struct peer_hits {
	unsigned count;
	struct window_key keys[PEER_HITS_MAX];
};

/* Where the bytes came from; also the order of cost. */
enum peer_origin {
	PEER_ORIGIN_WINDOW,
	PEER_ORIGIN_SSD,
	PEER_ORIGIN_PEER,
	PEER_ORIGIN_BACKING,
	PEER_ORIGIN_COUNT,
};

struct peer_staged {
	uint64_t request;
	uint64_t epoch; /* of the arena */
	uint64_t off;	/* in region PEER_REGION_ARENA; 0 when pushed */
	uint32_t len;
	uint32_t lease_ms; /* it is held for that long after this was sent; 0 when pushed */
	enum peer_origin origin;
	uint64_t checks[BLOCK_GRANULES_MAX]; /* one a granule of @len */
};

enum peer_refusal {
	PEER_ABSENT_HERE = 1, /* LOCAL, and neither in the window nor on the SSD */
	PEER_BUSY,	      /* again after retry_ms */
	PEER_REFERRED,	      /* the holders have it too: ask one of them, LOCAL */
	PEER_STALE,	      /* the backing store has another version: -ESTALE */
	PEER_GONE,	      /* ... has none: -ENOENT */
	PEER_DENIED,	      /* ... does not let us: -EACCES */
	PEER_IO,	      /* ... failed: -EIO */
	PEER_LATE,	      /* ... took too long: -ETIMEDOUT */
	PEER_UNKNOWN, /* no backing store of that id here, or what was asked makes no sense */
	PEER_STOPPING,
};

struct peer_refused {
	uint64_t request;
	enum peer_refusal why;
	uint32_t retry_ms;
	unsigned holder_count;
	struct member_id holders[PEER_HOLDERS_MAX];
};

struct peer_push {
	uint64_t request;
	uint32_t off; /* in the unit; pieces come in order */
	uint32_t len;
	const void *data; /* in the message */
};

enum peer_question {
	PEER_LIST = 1,
	PEER_HEAD,
};

#define PEER_ASK_KEYS_MAX     1000
#define PEER_ANSWER_BYTES_MAX (TRANSPORT_MESSAGE_MAX - 32) /* of a page */
#define PEER_PAGE_LEN_MAX     BLOCK_LEN_MAX

/* See backing.h for what is asked. Texts: in the message. */
struct peer_ask {
	uint64_t request;
	enum peer_question question;
	bool delimited;	     /* LIST */
	uint32_t timeout_ms; /* 1 .. PEER_TIMEOUT_MS_MAX */
	uint32_t max_age_ms, absent_age_ms;
	unsigned max_keys; /* LIST: 1 .. PEER_ASK_KEYS_MAX; HEAD: 0 */
	const char *backing, *bucket;
	const char *key;     /* HEAD; LIST: the prefix */
	const char *token;   /* LIST; else "" */
	const char *refused; /* HEAD: the etag, or ""; else "" */
};

enum peer_answer_form {
	PEER_ANSWER_WORKING = 1,
	PEER_ANSWER_META,   /* of HEAD */
	PEER_ANSWER_PAGE,   /* of LIST: the page itself */
	PEER_ANSWER_OBJECT, /* of LIST: the page is an object, to be read */
	PEER_ANSWER_ERROR,
};

struct peer_answer {
	uint64_t request;
	enum peer_answer_form form;
	uint32_t age_ms; /* of what is answered, when it was asked for; rounded up */
	/* META */
	uint64_t size;
	int64_t mtime_s;
	const char *etag; /* META; OBJECT: of the page's version */
	/* PAGE; OBJECT: its length alone */
	uint32_t len; /* 1 .. */
	const void *data;
	/* ERROR */
	enum peer_refusal why;
	const char *problem; /* one line, BACKING_PROBLEM_MAX with its NUL */
};

struct peer_message {
	enum peer_kind kind;
	union {
		uint64_t request; /* CANCEL, WORKING */
		struct peer_stage stage;
		struct peer_release release;
		struct peer_hits hits;
		struct peer_staged staged;
		struct peer_refused refused;
		struct peer_push push;
		struct peer_ask ask;
		struct peer_answer answer;
	};
};

/**
 * peer_message_encode() - writes @message. Numbers in it are within the limits above; only names
 * may be anything. Return: its length; 0: its names are too long, nothing is to be sent.
 */
size_t peer_message_encode(const struct peer_message *message, uint8_t out[TRANSPORT_MESSAGE_MAX]);

/** peer_message_decode() - @out points into @data; it means nothing on errors. Return: 0, -EBADMSG,
 *  -EPROTONOSUPPORT. */
int peer_message_decode(const void *data, size_t len, struct peer_message *out);

/**
 * peer_refusal_status() - as an errno of the cache's reads. -ENODATA is ABSENT_HERE, which only
 * says that another is to be asked, and -EAGAIN BUSY or REFERRED.
 */
int peer_refusal_status(enum peer_refusal why);

/** peer_status_refusal() - the refusal that an error of a read becomes; never ABSENT_HERE or
 *  REFERRED. */
enum peer_refusal peer_status_refusal(int status);
