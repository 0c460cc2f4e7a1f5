/*
 * s3.h - the door of the S3 client: HEAD, ListObjectsV2 and ranged GET, asynchronous.
 *
 * One client is one endpoint with its credentials and its request budget. It owns `threads`
 * threads, each with a curl multi handle and its connections. Requests are structs of the caller,
 * lent from the call until done() has run. done() runs exactly once, on a client thread, never
 * inside the call, and may start further requests (the same struct too). The callbacks of one
 * request never overlap, but may come from different threads of the client. They must not block:
 * they run where the bytes arrive.
 *
 * Retries are inside: a transient failure (500, 502, 503, 504, 429, SlowDown, RequestTimeout,
 * reset, truncated body, connect failure, time-out) is tried again with full jitter until
 * deadline_ns; a GET that broke off resumes behind the bytes it has, with the same If-Match (the
 * ETag that came with the bytes when the caller gave none), so the bytes counted are never taken
 * back. A pause that would end behind the deadline is not waited for: the request ends at once.
 *
 * Status given to done(), and whom it concerns:
 *   0            all wanted bytes or entries are there
 *   -ENOENT      404, no such key or bucket                          this object
 *   -EACCES      403 or 401, or no credentials to be had              this endpoint or object
 *   -ESTALE      412: the object has another etag now                 this version
 *   -ERANGE      416: the range lies outside                          this request
 *   -EINVAL      400, 3xx or another 4xx: the service refuses the form; a bucket or key that
 *                cannot be asked for                                  this request
 *   -EPROTO      the answer is not S3 (bad XML, missing ETag, wrong length)   this endpoint
 *   -ETIMEDOUT   deadline_ns passed; problem says what was last seen  this endpoint, for a while
 *   -EIO         final transport failure (TLS verification, bad URL)  this endpoint
 *   -EAGAIN      queue_max requests are waiting                       this node: ask later
 *   -ENOMEM      no memory for the request                            this node
 *   -ECANCELED   the client is being destroyed
 * A 503 is never -ENOENT: it is retried, then -ETIMEDOUT. `problem` is one line for the log
 * ("503 SlowDown after 4 attempts"), never with a secret in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/histogram.h"
#include "base/option.h"

#define S3_ETAG_MAX    128 /* bytes with the NUL; without the quotes */
#define S3_KEY_MAX     1024
#define S3_TOKEN_MAX   2048
#define S3_PROBLEM_MAX 160

enum s3_addressing {
	S3_ADDRESSING_PATH,    /* http://endpoint/bucket/key */
	S3_ADDRESSING_VIRTUAL, /* http://bucket.endpoint/key */
};

enum s3_credentials_source {
	S3_CREDENTIALS_AUTO, /* the first that is there, in the order below */
	S3_CREDENTIALS_CONFIG,
	S3_CREDENTIALS_ENVIRONMENT,
	S3_CREDENTIALS_WEB_IDENTITY,
	S3_CREDENTIALS_FILE,
	S3_CREDENTIALS_CONTAINER,
	S3_CREDENTIALS_IMDS,
	S3_CREDENTIALS_ANONYMOUS, /* unsigned requests; never chosen by AUTO */
};

struct s3_credentials_config {
	int source; /* enum s3_credentials_source */
	char *access_key;
	char *secret_key;
	char *session_token;
	char *profile;
	char *file;
	char *imds_endpoint;
	char *sts_endpoint;
	char *role_arn;
	char *web_identity_token_file;
};

struct s3_config {
	char *endpoint; /* http://host:port, https://host */
	char *region;
	int addressing; /* enum s3_addressing */
	char *ca_file;	/* NULL: the system's */
	char *proxy;	/* NULL: none, whatever the environment says */
	struct s3_credentials_config credentials;
	int64_t threads;
	int64_t connections; /* per thread */
	uint64_t
		buffer_len; /* curl's receive buffer, per connection; counted in the memory bound */
	uint64_t connect_timeout; /* ns */
	uint64_t stall_timeout;	  /* ns without a byte before an attempt is given up */
	uint64_t retry_scale;	  /* ns; full jitter in [0, retry_scale * 2^attempt], at most 5 s */
	uint64_t part_len;	  /* a longer GET with if_match is fetched as parallel parts */
	int64_t requests_per_second; /* budget; 0: none; live */
	uint64_t bytes_per_second;   /* budget; 0: none; live */
	int64_t concurrent_max;	     /* requests in flight over all threads; live */
	int64_t queue_max;	     /* requests waiting; beyond: done(-EAGAIN) */
};

extern const struct option_group s3_options; /* of struct s3_config */

enum s3_counter {
	S3_GETS,      /* GET attempts sent */
	S3_GET_BYTES, /* body bytes received */
	S3_HEADS,
	S3_LISTS,
	S3_RETRIES,
	S3_THROTTLED,	   /* 503, 429, SlowDown seen */
	S3_ERRORS,	   /* requests that ended with an error other than -ENOENT */
	S3_DEADLINES,	   /* of them, -ETIMEDOUT */
	S3_CONNECTS,	   /* connections opened */
	S3_IN_FLIGHT,	   /* gauge */
	S3_QUEUED,	   /* gauge */
	S3_BUDGET_WAIT_NS, /* time requests waited for the budget */
	S3_CREDENTIAL_REFRESHES,
	S3_COUNTER_COUNT,
};

struct s3_client;

struct s3_operation;

/* A place in a heap of times (engine/timers.h). */
struct s3_timer {
	uint64_t at_ns;
	unsigned index; /* in the heap, from 1; 0: in none */
};

/* What every request carries. */
struct s3_request {
	/* set by the caller */
	const char *bucket;   /* borrowed until done */
	const char *key;      /* borrowed until done; raw bytes, NUL-ended, not encoded */
	uint64_t deadline_ns; /* absolute; CLOCK_NEVER: none */
	void *context;	      /* the caller's */
	bool background;      /* prefetch: queued behind foreground requests */
	/* set before done */
	int status;
	char problem[S3_PROBLEM_MAX];
	/* Private to s3/, set by s3_get() and its like. The queue and the timers run through the
	 * requests themselves, so that starting one cannot fail for want of memory. */
	struct {
		TAILQ_ENTRY(s3_request) link; /* the one queue that it is in */
		struct s3_timer timer;	      /* while it waits */
		const struct s3_operation *operation;
		const _Atomic bool *abandoned; /* NULL, or: not wanted any more when true */
		uint64_t started_ns;
		uint64_t cost; /* bytes that the budget was charged for the attempt */
		unsigned attempts;
		unsigned retry_step; /* exponent of the next pause */
		unsigned stalls;     /* attempts in a row that brought no byte in time */
		unsigned engine;     /* runs the attempt */
		int state;	     /* enum request_state in engine/scheduler.h */
		bool skew_corrected, credentials_refreshed;
	} own;
};

struct s3_meta {
	uint64_t size;
	int64_t mtime_s;
	char etag[S3_ETAG_MAX];
};

struct s3_head {
	struct s3_request request;
	struct s3_meta meta; /* out */
	void (*done)(struct s3_head *head);
};

struct s3_get {
	struct s3_request request;
	uint64_t off;
	size_t len;	      /* > 0; the exact bytes expected */
	const char *if_match; /* borrowed; NULL: no condition */
	void *dst;	      /* len bytes, lent until done */
	/* in order, each time more bytes are final: dst[0, filled). May be NULL. */
	void (*progress)(struct s3_get *get, size_t filled);
	void (*done)(struct s3_get *get);
	/* NULL, or: the range behind this one, of the same bucket, key and if_match. One request
	 * brings them all, in order and until the latest of their deadlines; each has its own dst,
	 * progress and done, which runs as soon as its bytes are there. When the request fails, all
	 * that are not complete end with its status. */
	struct s3_get *next;
	size_t filled; /* out */
	/* Private to s3/. */
	char first_etag[S3_ETAG_MAX]; /* stands in for a NULL if_match once there are bytes */
	struct s3_get *carrier;	      /* of a chain's member: what brings its bytes */
	/* Of a carrier, in place of dst and progress: where the next byte goes and how many fit
	 * there; @len of them have come. */
	void *(*place)(struct s3_get *carrier, size_t *out_room);
	void (*placed)(struct s3_get *carrier, size_t len);
};

/* One page of ListObjectsV2. request.key is unused. */
struct s3_list {
	struct s3_request request;
	const char *prefix;	  /* borrowed; "" for all */
	const char *start_after;  /* borrowed; NULL: none */
	bool delimited;		  /* delimiter "/" */
	int max_keys;		  /* 1..1000; 0: the service's default */
	char token[S3_TOKEN_MAX]; /* in: "" for the first page; out: the next, "" after the last */
	/* One call per key or common prefix (then meta is NULL), decoded, in the page's order; a
	 * page whose transfer is retried is delivered once. The strings are borrowed for the call.
	 */
	void (*entry)(struct s3_list *list, const char *key, const struct s3_meta *meta);
	void (*done)(struct s3_list *list);
};

/**
 * s3_client_create() - starts a client. Does not talk to the endpoint, nor to any service that
 * hands out credentials: that begins on a thread of its own, and requests wait for it.
 * @name: for the log and thread names, copied.
 * @config: borrowed until s3_client_destroy().
 * @clock: borrowed until s3_client_destroy().
 * Return: 0; -EINVAL with @problem (a malformed endpoint, an unreadable CA file, a credentials
 *         source that is named but not there); -ENOMEM; -EAGAIN no thread left.
 */
int s3_client_create(const char *name, const struct s3_config *config, const struct clock *clock,
		     struct s3_client **out_client, char *problem, size_t problem_size);

/** s3_client_destroy() - ends every request with -ECANCELED (their done() runs), joins the threads.
 *  NULL is fine. Must not be called from a callback. */
void s3_client_destroy(struct s3_client *client);

/** s3_client_reload() - takes over the live settings of @config (borrowed for the call). */
void s3_client_reload(struct s3_client *client, const struct s3_config *config);

/** s3_head() / s3_get() / s3_list() - start a request. Any thread, callbacks included. A request
 *  beyond queue_max ends with -EAGAIN in done(): the limit that keeps the queue bounded. A GET
 *  longer than part_len with an if_match becomes parallel ranged GETs over several connections;
 *  its progress stays in order. One with `next` starts the whole chain, which is never split;
 *  without memory for it each goes by itself. */
void s3_head(struct s3_client *client, struct s3_head *head);
void s3_get(struct s3_client *client, struct s3_get *get);
void s3_list(struct s3_client *client, struct s3_list *list);

/** s3_get_promote() - someone waits for a background GET now: it moves up to the others, or it
 * could be overtaken for ever. The caller makes sure that done() has not returned. With one of a
 * chain all of it moves up. A GET in parts is left as it is. */
void s3_get_promote(struct s3_client *client, struct s3_get *get);

/** s3_client_counters() - lives as long as the client. */
const struct counters *s3_client_counters(const struct s3_client *client);

/** s3_client_latency() - time from start to done of successful GETs, ns. */
const struct histogram *s3_client_latency(const struct s3_client *client);

/** s3_config_memory_max() - bytes that this configuration's connections may hold in buffers. */
uint64_t s3_config_memory_max(const struct s3_config *config);

/**
 * s3_client_identity() - "access key AKIA...3F (environment)", for `cenote check` and the log:
 * never the secret.
 */
void s3_client_identity(struct s3_client *client, char *out, size_t out_size);
