/*
 * kernel.h - the kernel's side of a FUSE connection, played by a test over a pair of sockets: a
 * mount is served over it without /dev/fuse and without privilege.
 */
#pragma once

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuse/inside.h"
#include "tests/unit/fuse/namespace/rig.h"

#define KERNEL_REPLY_MAX    (192 << 10)
#define KERNEL_REQUESTS_MAX 65536
#define KERNEL_STORES_MAX   64
#define KERNEL_STORE_MAX    2048 /* bytes of one */

/* What was put into the page cache unasked: FUSE_NOTIFY_STORE. */
struct kernel_store {
	uint64_t node, off;
	size_t len;
	char bytes[KERNEL_STORE_MAX];
};

struct kernel {
	struct rig rig; /* its namespace is unused: the mount has one */
	struct cache_config cache_config;
	struct cache *cache;
	struct mount *mount;
	int fd;
	uint64_t unique;
	bool answered[KERNEL_REQUESTS_MAX]; /* by unique / 2 */
	struct {
		struct fuse_out_header header;
		char data[KERNEL_REPLY_MAX];
	} reply;
	size_t reply_len;			       /* of data */
	struct kernel_store stores[KERNEL_STORES_MAX]; /* all that have come */
	unsigned store_count;
	unsigned epochs; /* how often names were to be forgotten: FUSE_NOTIFY_INC_EPOCH */
	struct fuse_init_out init;
	uint32_t init_flags2;		/* that INIT offers; 0: all */
	char directory[400];		/* kernel_setup_on_disk() */
	struct board *board;		/* the keeper's, that outlives workers */
	struct mount_heritage heritage; /* of the worker that died; descriptors or -1 */
};

/** kernel_setup() - the connection, INIT not yet exchanged. Change kernel->rig.config before
 *  kernel_start(). */
void kernel_setup(struct kernel *kernel);

/** kernel_setup_with() - the same with these settings of the cache. */
void kernel_setup_with(struct kernel *kernel, const char *cache);

/** kernel_setup_on_disk() - the same with a cache directory, in kernel->directory. When the mount
 * has stopped, kernel_remove() removes it. Return: 0. */
void kernel_setup_on_disk(struct kernel *kernel);
int kernel_remove(const struct kernel *kernel);

/** kernel_mount_setup() - what the mount is served by. @backings: the rig's one. */
struct mount_setup kernel_mount_setup(struct kernel *kernel, struct backing *const *backings,
				      int fd);

/** kernel_start() - serves; INIT offers what Linux 6.18 offers. */
void kernel_start(struct kernel *kernel);

/** kernel_die() - the worker is gone, with what it has not answered; connection and ledger are
 * kept. Let nothing wait at the fake: run, it answers nobody. */
void kernel_die(struct kernel *kernel);

/** kernel_take_over() - another worker goes on; its RESEND is received and checked. Return: 0, or
 *  what mount_serve() said. */
int kernel_take_over(struct kernel *kernel);

/** kernel_replace() - both. */
void kernel_replace(struct kernel *kernel);

/** kernel_send_again() - a request that a former worker had in hand: the same number and the bit.
 */
void kernel_send_again(struct kernel *kernel, uint64_t unique, uint32_t opcode, uint64_t node,
		       const void *argument, size_t len);

/** kernel_stop() - ends everything; let nothing wait at the fake. */
void kernel_stop(struct kernel *kernel);

/** kernel_send() - one request. Return: its unique. */
uint64_t kernel_send(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *argument,
		     size_t len);

/** kernel_receive() - the next reply, into kernel->reply; fails the test after some seconds. */
uint64_t kernel_receive(struct kernel *kernel);

/** kernel_receive_answering() - the same, the backing store answering what it is asked meanwhile.
 */
uint64_t kernel_receive_answering(struct kernel *kernel);

/** kernel_await_stores() - until so many have come in all, the backing store answering what it is
 *  asked meanwhile. No reply may come. */
void kernel_await_stores(struct kernel *kernel, unsigned count);

/** kernel_silent() - whether no reply is there now. */
bool kernel_silent(const struct kernel *kernel);

/** kernel_ask() - a request and its reply, the backing store answering what it is asked meanwhile.
 *  Return: 0 or a negative errno. */
int kernel_ask(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *argument,
	       size_t len);

/** kernel_lookup() - Return: the error; *out gets the entry. */
int kernel_lookup(struct kernel *kernel, uint64_t parent, const char *name,
		  struct fuse_entry_out *out);

/** kernel_getattr() - Return: the error. */
int kernel_getattr(struct kernel *kernel, uint64_t node);

/** kernel_forget() - FORGET of @count look-ups, which has no reply. */
void kernel_forget(struct kernel *kernel, uint64_t node, uint64_t count);

/** kernel_await_gone() - until the node is not known any more: another thread may have the FORGET.
 */
void kernel_await_gone(struct kernel *kernel, uint64_t node);

/** kernel_open() - OPEN or OPENDIR. */
int kernel_open(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t *out_handle);

/** kernel_read_send() - READ, READDIR or READDIRPLUS. */
uint64_t kernel_read_send(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle,
			  uint64_t off, uint32_t size);

void kernel_release(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle);

/** kernel_interrupt() - of the request with that unique. */
void kernel_interrupt(struct kernel *kernel, uint64_t unique);

uint64_t kernel_counter(const struct kernel *kernel, enum mount_counter counter);
