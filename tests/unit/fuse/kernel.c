/*
 * kernel.c - see kernel.h.
 */
#include "tests/unit/fuse/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/config.h"

#define WAIT_MS	   20000
#define GONE_NS	   (20 * NS_PER_S)
#define SOCKET_LEN (1 << 20)
#define ALL_FLAGS  0xffffffffu

#define NOTIFY_RESEND	 7
#define NOTIFY_INC_EPOCH 8

static void init_send(struct kernel *kernel)
{
	struct fuse_init_in in = { .major = 7,
				   .minor = 38,
				   .max_readahead = 131072,
				   .flags = ALL_FLAGS,
				   .flags2 =
					   kernel->init_flags2 ? kernel->init_flags2 : ALL_FLAGS };

	kernel_send(kernel, FUSE_INIT, 0, &in, sizeof(in));
}

void kernel_setup(struct kernel *kernel)
{
	kernel_setup_with(kernel, "memory = \"64 MiB\"; read_timeout = \"60 s\";");
}

void kernel_setup_with(struct kernel *kernel, const char *cache)
{
	static char nowhere[] = "/nowhere"; /* is this mount */
	char problem[256];

	memset(kernel, 0, sizeof(*kernel));
	rig_init(&kernel->rig);
	kernel->rig.config.path = nowhere;
	kernel->rig.config.threads = 2;
	kernel->rig.config.max_background = 64;
	kernel->fd = -1;
	mount_heritage_none(&kernel->heritage);
	kernel->board = calloc(1, sizeof(*kernel->board));
	CHECK(kernel->board);
	board_init(kernel->board);
	kernel->heritage.board = kernel->board;
	CHECK(config_load_text(cache, "cache", &cache_options, &kernel->cache_config, problem,
			       sizeof(problem)) == 0);
	CHECK(cache_create(&kernel->cache_config, clock_system(), &kernel->cache, problem,
			   sizeof(problem)) == 0);
}

void kernel_setup_on_disk(struct kernel *kernel)
{
	char path[sizeof(kernel->directory)], settings[1024];

	CHECK(getcwd(path, sizeof(path) - 32));
	snprintf(path + strlen(path), 32, "/kernel-XXXXXX");
	CHECK(mkdtemp(path));
	snprintf(settings, sizeof(settings),
		 "memory = \"64 MiB\"; read_timeout = \"60 s\"; scrub = 0; "
		 "directories = ( { path = \"%s/0\"; capacity = \"1 GiB\"; } );",
		 path);
	kernel_setup_with(kernel, settings);
	memcpy(kernel->directory, path, sizeof(path));
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(name);
}

int kernel_remove(const struct kernel *kernel)
{
	return nftw(kernel->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct mount_setup kernel_mount_setup(struct kernel *kernel, struct backing *const *backings,
				      int fd)
{
	return (struct mount_setup){
		.config = &kernel->rig.config,
		.cache = kernel->cache,
		.backings = backings,
		.backing_count = 1,
		.clock = &kernel->rig.clock.clock,
		.fd = fd,
		.kept = &kernel->heritage.kept[0],
		.board = kernel->board,
	};
}

void kernel_start(struct kernel *kernel)
{
	struct backing *const backings[] = { &kernel->rig.fake.backing };
	struct mount_setup setup;
	int pair[2], len = SOCKET_LEN;
	char problem[256] = "";

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	for (unsigned i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	kernel->fd = pair[0];
	init_send(kernel);
	setup = kernel_mount_setup(kernel, backings, pair[1]);
	if (mount_serve(&setup, &kernel->mount, problem, sizeof(problem)) != 0) {
		fprintf(stderr, "%s\n", problem);
		abort();
	}
	kernel_receive(kernel);
	CHECK(kernel->reply.header.error == 0);
	memcpy(&kernel->init, kernel->reply.data, sizeof(kernel->init));
}

void kernel_stop(struct kernel *kernel)
{
	fake_run_all(&kernel->rig.fake);
	if (kernel->mount)
		mount_stop(kernel->mount, 0);
	cache_stop(kernel->cache);
	fake_run_all(&kernel->rig.fake);
	mount_destroy(kernel->mount);
	cache_destroy(kernel->cache);
	option_free(&cache_options, &kernel->cache_config);
	if (kernel->fd >= 0)
		close(kernel->fd);
	mount_heritage_close(&kernel->heritage);
	free(kernel->board);
	rig_stop(&kernel->rig);
}

static void send_numbered(struct kernel *kernel, uint64_t unique, uint32_t opcode, uint64_t node,
			  const void *argument, size_t len)
{
	struct fuse_in_header header = { .len = (uint32_t)(sizeof(header) + len),
					 .opcode = opcode,
					 .unique = unique,
					 .nodeid = node };
	char message[8192];

	CHECK(header.len <= sizeof(message));
	memcpy(message, &header, sizeof(header));
	if (len > 0)
		memcpy(message + sizeof(header), argument, len);
	CHECK(write(kernel->fd, message, header.len) == (ssize_t)header.len);
}

uint64_t kernel_send(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *argument,
		     size_t len)
{
	send_numbered(kernel, kernel->unique += 2, opcode, node, argument, len);
	return kernel->unique;
}

void kernel_send_again(struct kernel *kernel, uint64_t unique, uint32_t opcode, uint64_t node,
		       const void *argument, size_t len)
{
	send_numbered(kernel, unique | CHANNEL_AGAIN, opcode, node, argument, len);
}

static void receive_one(struct kernel *kernel)
{
	struct pollfd ready = { .fd = kernel->fd, .events = POLLIN };
	ssize_t len;

	CHECK(poll(&ready, 1, WAIT_MS) == 1);
	len = read(kernel->fd, &kernel->reply, sizeof(kernel->reply));
	CHECK(len >= (ssize_t)sizeof(kernel->reply.header));
	CHECK(kernel->reply.header.len == len);
	kernel->reply_len = (size_t)len - sizeof(kernel->reply.header);
}

static void store_keep(struct kernel *kernel)
{
	struct kernel_store *store = &kernel->stores[kernel->store_count++];
	struct fuse_notify_store_out out;

	CHECK(kernel->store_count <= KERNEL_STORES_MAX);
	CHECK(kernel->reply.header.error == FUSE_NOTIFY_STORE);
	CHECK(kernel->reply_len >= sizeof(out));
	memcpy(&out, kernel->reply.data, sizeof(out));
	*store = (struct kernel_store){ .node = out.nodeid, .off = out.offset, .len = out.size };
	CHECK(store->len <= sizeof(store->bytes) && kernel->reply_len == sizeof(out) + store->len);
	memcpy(store->bytes, kernel->reply.data + sizeof(out), store->len);
}

/* An INTERRUPT that found nothing comes back with EAGAIN: sent again while its request has no
 * reply, as the kernel does. Return: whether the reply was to a request. */
static bool reply_judge(struct kernel *kernel)
{
	uint64_t unique = kernel->reply.header.unique;
	uint64_t number = (unique & ~CHANNEL_AGAIN) / 2;

	if (unique == 0) {
		if (kernel->reply.header.error == NOTIFY_INC_EPOCH)
			kernel->epochs++;
		else
			store_keep(kernel);
		return false;
	}
	CHECK(number > 0 && number < KERNEL_REQUESTS_MAX);
	if (unique & 1) {
		CHECK(kernel->reply.header.error == -EAGAIN);
		if (!kernel->answered[number])
			kernel_interrupt(kernel, unique & ~UINT64_C(1));
		return false;
	}
	CHECK(!kernel->answered[number]);
	kernel->answered[number] = true;
	return true;
}

uint64_t kernel_receive(struct kernel *kernel)
{
	do {
		receive_one(kernel);
	} while (!reply_judge(kernel));
	return kernel->reply.header.unique;
}

bool kernel_silent(const struct kernel *kernel)
{
	struct pollfd ready = { .fd = kernel->fd, .events = POLLIN };

	return poll(&ready, 1, 0) == 0;
}

static void receive_one_answering(struct kernel *kernel)
{
	struct pollfd ready = { .fd = kernel->fd, .events = POLLIN };
	unsigned waited_ms = 0;

	while (poll(&ready, 1, 1) == 0) {
		CHECK(waited_ms++ < WAIT_MS);
		fake_run_all(&kernel->rig.fake);
	}
	receive_one(kernel);
}

uint64_t kernel_receive_answering(struct kernel *kernel)
{
	do {
		receive_one_answering(kernel);
	} while (!reply_judge(kernel));
	return kernel->reply.header.unique;
}

void kernel_await_stores(struct kernel *kernel, unsigned count)
{
	while (kernel->store_count < count) {
		receive_one_answering(kernel);
		CHECK(!reply_judge(kernel));
	}
}

void kernel_die(struct kernel *kernel)
{
	struct mount_keepsake kept[1 + MOUNT_PARTS_MAX], *own = &kernel->heritage.kept[0];
	unsigned count;
	char reason[256];

	CHECK(mount_keepsakes(kernel->mount, kept, &count, reason, sizeof(reason)) == 0);
	own->connection = fcntl(kept[0].connection, F_DUPFD_CLOEXEC, 0);
	own->ledger = fcntl(kept[0].ledger, F_DUPFD_CLOEXEC, 0);
	CHECK(count == 1 && own->connection >= 0 && own->ledger >= 0);
	mount_leave(kernel->mount, 0);
	fake_run_all(&kernel->rig.fake);
	mount_destroy(kernel->mount);
	kernel->mount = NULL;
}

int kernel_take_over(struct kernel *kernel)
{
	struct backing *const backings[] = { &kernel->rig.fake.backing };
	struct mount *mount = NULL;
	char problem[256] = "";
	const struct mount_setup setup = kernel_mount_setup(kernel, backings, -1);
	int err = mount_serve(&setup, &mount, problem, sizeof(problem));

	if (err) {
		fprintf(stderr, "%s\n", problem);
		return err;
	}
	kernel->mount = mount;
	receive_one(kernel);
	CHECK(kernel->reply.header.unique == 0 && kernel->reply.header.error == NOTIFY_RESEND &&
	      kernel->reply_len == 0);
	return 0;
}

void kernel_replace(struct kernel *kernel)
{
	kernel_die(kernel);
	CHECK(kernel_take_over(kernel) == 0);
}

int kernel_ask(struct kernel *kernel, uint32_t opcode, uint64_t node, const void *argument,
	       size_t len)
{
	uint64_t unique = kernel_send(kernel, opcode, node, argument, len);

	CHECK(kernel_receive_answering(kernel) == unique);
	return kernel->reply.header.error;
}

int kernel_lookup(struct kernel *kernel, uint64_t parent, const char *name,
		  struct fuse_entry_out *out)
{
	int err = kernel_ask(kernel, FUSE_LOOKUP, parent, name, strlen(name) + 1);

	if (!err) {
		CHECK(kernel->reply_len == sizeof(*out));
		memcpy(out, kernel->reply.data, sizeof(*out));
	}
	return err;
}

int kernel_getattr(struct kernel *kernel, uint64_t node)
{
	struct fuse_getattr_in in = { 0 };

	return kernel_ask(kernel, FUSE_GETATTR, node, &in, sizeof(in));
}

void kernel_forget(struct kernel *kernel, uint64_t node, uint64_t count)
{
	struct fuse_forget_in in = { .nlookup = count };

	kernel_send(kernel, FUSE_FORGET, node, &in, sizeof(in));
}

void kernel_await_gone(struct kernel *kernel, uint64_t node)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + GONE_NS;
	int status;

	while ((status = kernel_getattr(kernel, node)) == 0)
		CHECK(clock_now_ns(clock_system()) < until_ns);
	CHECK(status == -ESTALE);
}

int kernel_open(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t *out_handle)
{
	struct fuse_open_in in = { 0 };
	struct fuse_open_out out;
	int err = kernel_ask(kernel, opcode, node, &in, sizeof(in));

	if (!err) {
		memcpy(&out, kernel->reply.data, sizeof(out));
		*out_handle = out.fh;
	}
	return err;
}

uint64_t kernel_read_send(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle,
			  uint64_t off, uint32_t size)
{
	struct fuse_read_in in = { .fh = handle, .offset = off, .size = size };

	return kernel_send(kernel, opcode, node, &in, sizeof(in));
}

void kernel_release(struct kernel *kernel, uint32_t opcode, uint64_t node, uint64_t handle)
{
	struct fuse_release_in in = { .fh = handle };

	CHECK(kernel_ask(kernel, opcode, node, &in, sizeof(in)) == 0);
}

void kernel_interrupt(struct kernel *kernel, uint64_t unique)
{
	struct fuse_interrupt_in in = { .unique = unique };
	struct fuse_in_header header = { .len = sizeof(header) + sizeof(in),
					 .opcode = FUSE_INTERRUPT,
					 .unique = unique | 1 };
	struct iovec iov[] = { { &header, sizeof(header) }, { &in, sizeof(in) } };

	CHECK(writev(kernel->fd, iov, 2) == (ssize_t)header.len);
}

uint64_t kernel_counter(const struct kernel *kernel, enum mount_counter counter)
{
	return counter_get(mount_counters(kernel->mount), counter);
}
