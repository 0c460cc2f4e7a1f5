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
 *	INQUIRE	 node -> node	  what an operator wants to know or have done (inquiry.h)
 *	REPORT	 node -> node	  that; or still at it: every PEER_WORKING_NS
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
	PEER_INQUIRE,
	PEER_REPORT,
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
	struct window_key key; /* the unit that it is: another one's bytes match their checks too */
	uint64_t epoch;	       /* of the arena */
	uint64_t off;	       /* in region PEER_REGION_ARENA; 0 when pushed */
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

enum peer_topic {
	PEER_TOPIC_SUMMARY = 1, /* how are you? */
	PEER_TOPIC_HOLDINGS,	/* what have you of this object? */
	PEER_TOPIC_MEASURE,	/* how fast do you read from that member? */
	PEER_TOPIC_TAKE,	/* bring these blocks to you: I leave */
};

#define PEER_MEASURE_MS_MAX	10000
#define PEER_MEASURE_BYTES_MAX	(UINT64_C(64) << 30)
#define PEER_MEASURE_DEPTH_MAX	64
#define PEER_MEASURE_LEN_MAX	(1u << 20)
#define PEER_TAKE_BLOCKS	64
#define PEER_REPORT_NAME_MAX	64 /* with their NUL */
#define PEER_REPORT_VERSION_MAX 24
#define PEER_REPORT_PROBLEM_MAX 256

/* READs of @read_len bytes anywhere in @target's arena, @depth at a time, unverified, until one of
 * the limits. */
struct peer_measure {
	struct member_id target;
	uint32_t duration_ms; /* 1 .. PEER_MEASURE_MS_MAX */
	uint64_t bytes;	      /* 1 .. PEER_MEASURE_BYTES_MAX */
	uint32_t read_len;    /* 1 .. PEER_MEASURE_LEN_MAX */
	unsigned depth;	      /* 1 .. PEER_MEASURE_DEPTH_MAX */
};

struct peer_take {
	uint64_t first;	 /* block */
	uint64_t blocks; /* bit i: block first + i is wanted; not 0 */
};

/* Texts: in the message. */
struct peer_inquire {
	uint64_t request;
	uint32_t timeout_ms; /* 1 .. PEER_TIMEOUT_MS_MAX */
	enum peer_topic topic;
	struct object_version version; /* HOLDINGS, TAKE */
	int64_t mtime_s;	       /* TAKE */
	const char *dataset;	       /* TAKE */
	struct peer_take take;
	struct peer_measure measure;
};

/* Of a member's summary; bytes and counts since its daemon started, where no unit is named. */
enum peer_number {
	PEER_NUMBER_UPTIME_S,
	PEER_NUMBER_MEMORY, /* of the arena */
	PEER_NUMBER_MEMORY_USED,
	PEER_NUMBER_SSD_CAPACITY,
	PEER_NUMBER_SSD_USED,
	PEER_NUMBER_SSD_REPLICAS, /* of SSD_USED: other members' blocks */
	PEER_NUMBER_DIRECTORIES_FAILED,
	PEER_NUMBER_READ_BYTES,	   /* by its own readers; of these waited for: */
	PEER_NUMBER_SSD_BYTES,	   /* ... its SSD */
	PEER_NUMBER_PEER_BYTES,	   /* ... other members */
	PEER_NUMBER_BACKING_BYTES, /* ... a backing store */
	PEER_NUMBER_FETCHED_BYTES, /* from backing stores, for whomever */
	PEER_NUMBER_SERVED_BYTES,  /* staged for others */
	PEER_NUMBER_READ_ERRORS,
	PEER_NUMBER_MISMATCHES, /* bytes of others that did not match */
	PEER_NUMBER_SILENT,	/* others that did not answer in time */
	PEER_NUMBER_BREAKERS,	/* others that it spares now */
	PEER_NUMBER_MEMBERS,	/* that it places blocks on */
	PEER_NUMBER_COUNT,
};

struct peer_summary {
	const char *name, *version;
	uint64_t numbers[PEER_NUMBER_COUNT];
};

/* Bytes of an object. */
struct peer_holdings {
	uint64_t memory; /* complete in its window */
	uint64_t ssd;
	uint64_t owned;	   /* in either, of the blocks that it owns: each byte once */
	uint64_t replicas; /* of ssd: blocks that others own */
};

struct peer_measured {
	uint64_t bytes, ns; /* from the first READ's start to the last one's end */
	uint32_t reads;
	uint64_t p50_ns, p99_ns, max_ns; /* of one READ */
};

struct peer_taken {
	uint64_t blocks; /* of those that were asked for: on its SSD now, or in its window if it has
			    no SSD */
	uint64_t bytes;	 /* that had to be brought for it */
};

enum peer_report_form {
	PEER_REPORT_WORKING = 1,
	PEER_REPORT_DONE,
	PEER_REPORT_FAILED,
};

struct peer_report {
	uint64_t request;
	enum peer_report_form form;
	enum peer_refusal why; /* FAILED */
	const char *problem;   /* FAILED: one line, PEER_REPORT_PROBLEM_MAX with its NUL */
	enum peer_topic topic; /* DONE */
	struct peer_summary summary;
	struct peer_holdings holdings;
	struct peer_measured measured;
	struct peer_taken taken;
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
		struct peer_inquire inquire;
		struct peer_report report;
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
