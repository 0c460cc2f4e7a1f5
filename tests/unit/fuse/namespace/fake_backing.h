/*
 * fake_backing.h - a backing store whose answers a test lets out one by one, on its own thread:
 * what arrives, from any thread, waits until fake_run() or fake_run_all().
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/cache.h"

#define FAKE_KEYS_MAX  200000
#define FAKE_QUEUE_MAX 1024
#define FAKE_PROBLEM   "the fake was told so" /* with head_status, list_status */

enum fake_kind {
	FAKE_HEAD,
	FAKE_LIST,
	FAKE_GET,
};

struct fake_key {
	char *key;
	struct backing_meta meta;
};

struct fake_backing {
	struct backing backing;
	struct fake_key *keys; /* sorted */
	unsigned key_count;
	unsigned page_max; /* keys and prefixes of a page; 0: everything is one page */
	bool files_first;  /* as S3 does within a page */
	bool scrambled; /* in no order, every key an entry of its own, as a directory gives them */
	int head_status, list_status, get_status; /* instead of an answer, while not 0 */
	uint64_t head_age_ns, list_age_ns;	  /* that answers say they have */
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	/* below: guarded by lock */
	struct {
		enum fake_kind kind;
		void *request;
	} queue[FAKE_QUEUE_MAX];
	unsigned queued;
	unsigned heads, lists, gets; /* asked so far */
	/* of the last head, and of the last delimited list */
	struct {
		uint64_t max_age_ns, absent_age_ns;
		char refused[BACKING_ETAG_MAX];
	} head, list;
};

void fake_init(struct fake_backing *fake, const char *id);
void fake_fini(struct fake_backing *fake);

/** fake_seek() - it heeds a list's `after` from now on. */
void fake_seek(struct fake_backing *fake);

/** fake_put() - an object with this etag; replaces one of that key. */
void fake_put(struct fake_backing *fake, const char *key, uint64_t size, const char *etag);
void fake_delete(struct fake_backing *fake, const char *key);

/** fake_bytes() - what an object of that etag holds. */
void fake_bytes(const char *etag, uint64_t off, void *out, size_t len);

/** fake_wait() - until something waits, at most some seconds. Return: whether it does. */
bool fake_wait(struct fake_backing *fake);

/** fake_run() - answers the request that waits for longest. Return: false when there is none. */
bool fake_run(struct fake_backing *fake);

/** fake_run_all() - until nothing waits. */
void fake_run_all(struct fake_backing *fake);
