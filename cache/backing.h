/*
 * backing.h - what a backing store must do for the cache: say what an object is (head), list, and
 * deliver ranges of one version (get). Behind it stand a thin adapter over s3/ and a directory, the
 * embedded default.
 *
 * Requests are structs of the caller, lent until done() has run; done() runs exactly once, never
 * inside the call, on a thread of the backing store, and must not block. Status codes are those of
 * s3/s3.h for every backing store: -ENOENT, -EACCES, -ESTALE (the version is gone: look it up
 * again), -ERANGE, -EINVAL, -EPROTO, -ETIMEDOUT, -EIO, -EAGAIN (queue full), -ECANCELED.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/option.h"

#define BACKING_ETAG_MAX    128
#define BACKING_KEY_MAX	    1024
#define BACKING_TOKEN_MAX   2048
#define BACKING_PROBLEM_MAX 160

/* Room in each request for what an adapter keeps of its own, so that starting one cannot fail for
 * want of memory. */
#define BACKING_HEAD_SPACE 640
#define BACKING_GET_SPACE  640
#define BACKING_LIST_SPACE 2816

struct backing;

/* The largest configuration of a backing store; s3 is described by s3/s3.h. */
struct backing_config;

enum backing_type {
	BACKING_S3,
	BACKING_DIRECTORY,
};

struct backing_meta {
	uint64_t size;
	int64_t mtime_s;
	char etag[BACKING_ETAG_MAX];
};

struct backing_request {
	/* set by the caller */
	const char *bucket; /* borrowed until done; "" where there is none */
	const char *key;    /* borrowed until done */
	uint64_t deadline_ns;
	bool background; /* prefetch: behind everyone who waits */
	/* Heads and lists: how old, when it is asked for, an answer may be that somebody else had
	 * asked for before; 0: it is to be asked anew. The second one is for the answer that there
	 * is nothing: a head's -ENOENT, a list without entries. */
	uint64_t max_age_ns, absent_age_ns;
	/* set before done */
	uint64_t age_ns; /* ... how old it was; the caller sets 0, stores leave it */
	int status;
	char problem[BACKING_PROBLEM_MAX]; /* one line for the log; "" on success */
	/* private to the adapter */
	struct {
		TAILQ_ENTRY(backing_request) link;
		int kind, queue;
	} p;
};

struct backing_head {
	struct backing_request request;
	/* NULL, or: a get of this etag was refused (-ESTALE); an old answer must not name it again.
	 * Borrowed until done. */
	const char *refused;
	struct backing_meta meta; /* out */
	void (*done)(struct backing_head *head);
	_Alignas(max_align_t) unsigned char space[BACKING_HEAD_SPACE]; /* the adapter's */
};

struct backing_get {
	struct backing_request request;
	const char *etag; /* the version wanted; borrowed until done */
	uint64_t off;
	size_t len; /* > 0, inside the object */
	void *dst;
	/* dst[0, filled) is final; called in order, may be NULL, must not block */
	void (*progress)(struct backing_get *get, size_t filled);
	void (*done)(struct backing_get *get);
	/* NULL, or: the range behind this one, of the same bucket, key and etag. The store may
	 * bring them all by one request, until the latest of their deadlines; each has its own
	 * progress and its own done, in order, as soon as its bytes are there. */
	struct backing_get *next;
	_Alignas(max_align_t) unsigned char space[BACKING_GET_SPACE];
};

/* One page. request.key is unused. */
struct backing_list {
	struct backing_request request;
	const char *prefix; /* borrowed; "" for all; ends with "/" or is "" when delimited */
	bool delimited;	    /* one level: deeper keys come as one prefix each, "a/b/" */
	int max_keys;	    /* 0: what the store likes (a directory: everything); a directory gives
			     * an undelimited listing in one page always */
	char token[BACKING_TOKEN_MAX]; /* in: "" first; out: "" after the last page */
	/* NULL, or: the first page begins behind this key, if the store seeks. Borrowed until done.
	 */
	const char *after;
	/* Per key, or per common prefix (meta NULL), in the store's order. Strings borrowed for the
	 * call. */
	void (*entry)(struct backing_list *list, const char *key, const struct backing_meta *meta);
	void (*done)(struct backing_list *list);
	_Alignas(max_align_t) unsigned char space[BACKING_LIST_SPACE];
};

struct backing_ops {
	const char *type; /* "s3", "directory" */
	bool remote; /* a service, the same whoever asks: worth asking once for many nodes. A list's
			token is valid on all of them */
	bool seeks;  /* lists keys in their order, and heeds a list's `after` */
	bool transient; /* its objects are not worth a place on the SSD */
	void (*head)(struct backing *backing, struct backing_head *head);
	bool chains; /* get() is for all that are linked by `next`; else it comes for each */
	void (*get)(struct backing *backing, struct backing_get *get);
	void (*list)(struct backing *backing, struct backing_list *list);
	/* NULL, or: someone waits for this background request now; it may have ended already only
	 * in so far as its done() has not returned */
	void (*promote)(struct backing *backing, struct backing_get *get);
	void (*reload)(struct backing *backing, const struct backing_config *config);
	const struct counters *(*counters)(const struct backing *backing); /* or NULL */
	void (*describe)(struct backing *backing, char *out,
			 size_t out_size);	  /* for status, check */
	void (*destroy)(struct backing *backing); /* ends all requests with -ECANCELED */
};

/* First member of every implementation's struct. */
struct backing {
	const struct backing_ops *ops;
	char *id;
};

extern const struct option_group
	backing_options; /* of struct backing_config: id, type, s3, directory */

/** backing_create() - by config->type. Does not talk to the store yet.
 *  Return: 0; -EINVAL; -ENOENT, -ENOTDIR, -EACCES the directory; -ENOMEM; -EAGAIN no thread left:
 *  each with @problem. */
int backing_create(const struct backing_config *config, const struct clock *clock,
		   struct backing **out_backing, char *problem, size_t problem_size);

/** backing_config_id() - the id in a config; borrowed from it. */
const char *backing_config_id(const struct backing_config *config);

/** backing_config_memory_max() - bytes its buffers may take, for the memory bound. */
uint64_t backing_config_memory_max(const struct backing_config *config);

void backing_head(struct backing *backing, struct backing_head *head);

/** backing_get() - starts @get and those linked behind it. */
void backing_get(struct backing *backing, struct backing_get *get);
void backing_list(struct backing *backing, struct backing_list *list);

/** backing_promote() - a background get is waited for now: it moves up to those, with all that one
 *  request brings. The caller makes
 *  sure that its done() has not returned. */
void backing_promote(struct backing *backing, struct backing_get *get);

/** backing_reload() - takes over the live settings of @config. */
void backing_reload(struct backing *backing, const struct backing_config *config);

/** backing_counters() - NULL when this kind has none. Lives as long as the backing store. */
const struct counters *backing_counters(const struct backing *backing);

/** backing_describe() - "s3 http://host:port, access key AKIA...3F (environment)". */
void backing_describe(struct backing *backing, char *out, size_t out_size);

/** backing_destroy() - NULL is fine; not from a callback. */
void backing_destroy(struct backing *backing);
