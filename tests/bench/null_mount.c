/*
 * null_mount.c - the least that a FUSE server can do: the files below a directory, answered from
 * memory without a thought. What it reaches is what the kernel's interface gives, and stands in the
 * benchmarks beside Cenote in the same mode.
 *
 *	null_mount MODE DIRECTORY MOUNTPOINT      in the foreground, until it is unmounted
 *
 *	direct         reads go to the server, which answers from a mapping of the file
 *	passthrough    the kernel reads the files by itself
 *	small-files    no OPEN; the kernel keeps the pages
 *
 * The tree is read at the start: what changes later is not seen. Linux 6.9 for passthrough.
 */
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_MAX (1u << 20)
#define LIFETIME 3600.0 /* seconds */
#define THREADS	 8
#define ROOT	 1

/* Of protocol 7.40, which libfuse's headers here do not reach. */
#define INIT2_PASSTHROUGH (1u << 5) /* of flags2 */
#define OPEN_PASSTHROUGH  (1u << 7)

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN _IOW(229, 1, struct backing_map)

enum mode {
	MODE_DIRECT,
	MODE_PASSTHROUGH,
	MODE_SMALL_FILES,
	MODE_COUNT,
};

static const char *const mode_names[MODE_COUNT] = { "direct", "passthrough", "small-files" };

/* Node ids are indices; children lie one behind the other. */
struct node {
	char *path, *name;
	struct stat stat;
	size_t first, count; /* children */
	const char *bytes;   /* mapped */
	int32_t backing_id;  /* 0: not yet */
};

static struct node *nodes;
static size_t node_count = ROOT + 1, node_room;
static enum mode mode;
static int connection;
static uint64_t init_unique;
static pthread_mutex_t backing_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local int32_t reply_backing_id;

static void die(const char *what)
{
	fprintf(stderr, "null_mount: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the tree */

static void node_add(const char *parent, const char *name)
{
	struct node *node;

	if (node_count == node_room) {
		node_room = node_room ? 2 * node_room : 4096;
		nodes = realloc(nodes, node_room * sizeof(*nodes));
		if (!nodes)
			die("memory");
	}
	node = &nodes[node_count++];
	*node = (struct node){ .name = strdup(name) };
	if (!node->name || asprintf(&node->path, "%s/%s", parent, name) < 0)
		die("memory");
	if (stat(node->path, &node->stat) != 0)
		die(node->path);
}

static void children_add(size_t index)
{
	struct dirent **entries;
	int count = scandir(nodes[index].path, &entries, NULL, alphasort);

	if (count < 0)
		die(nodes[index].path);
	nodes[index].first = node_count;
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.')
			node_add(nodes[index].path, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	nodes[index].count = node_count - nodes[index].first;
}

static void map(struct node *node)
{
	int fd;

	if (mode == MODE_PASSTHROUGH || node->stat.st_size == 0)
		return;
	fd = open(node->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(node->path);
	node->bytes = mmap(NULL, (size_t)node->stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (node->bytes == MAP_FAILED)
		die(node->path);
	close(fd);
}

static void tree_read(const char *root)
{
	nodes = calloc(node_room = 4096, sizeof(*nodes));
	if (!nodes || stat(root, &nodes[ROOT].stat) != 0)
		die(root);
	nodes[ROOT].path = strdup(root);
	for (size_t i = ROOT; i < node_count; i++) {
		if (S_ISDIR(nodes[i].stat.st_mode))
			children_add(i);
		else
			map(&nodes[i]);
		nodes[i].stat.st_ino = i;
	}
}

static size_t child_find(const struct node *parent, const char *name)
{
	size_t low = parent->first, high = parent->first + parent->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcoll(name, nodes[middle].name);

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

/* --- requests */

static void entry_of(size_t index, struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){ .ino = index,
					  .attr = nodes[index].stat,
					  .attr_timeout = LIFETIME,
					  .entry_timeout = LIFETIME };
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .entry_timeout = LIFETIME };
	size_t index = child_find(&nodes[parent], name);

	if (index)
		entry_of(index, &entry);
	fuse_reply_entry(request, &entry);
}

static void op_getattr(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *info)
{
	(void)info;
	fuse_reply_attr(request, &nodes[id].stat, LIFETIME);
}

/* Registered at the first open and kept: all opens of an inode must name the same. */
static int32_t backing_of(struct node *node)
{
	struct backing_map backing = { 0 };

	pthread_mutex_lock(&backing_lock);
	if (node->backing_id == 0) {
		backing.fd = open(node->path, O_RDONLY | O_CLOEXEC);
		if (backing.fd >= 0) {
			node->backing_id = ioctl(connection, BACKING_OPEN, &backing);
			close(backing.fd);
		}
	}
	pthread_mutex_unlock(&backing_lock);
	return node->backing_id;
}

static void op_open(fuse_req_t request, fuse_ino_t id, struct fuse_file_info *info)
{
	info->direct_io = mode == MODE_DIRECT;
	if (mode == MODE_PASSTHROUGH)
		reply_backing_id = backing_of(&nodes[id]);
	if (mode == MODE_SMALL_FILES)
		fuse_reply_err(request, ENOSYS); /* the kernel does not ask again, of any file */
	else if (mode == MODE_PASSTHROUGH && reply_backing_id <= 0)
		fuse_reply_err(request, EIO);
	else
		fuse_reply_open(request, info);
	reply_backing_id = 0;
}

static void op_read(fuse_req_t request, fuse_ino_t id, size_t size, off_t off,
		    struct fuse_file_info *info)
{
	const struct node *node = &nodes[id];

	(void)info;
	if (off >= node->stat.st_size)
		size = 0;
	else if ((off_t)size > node->stat.st_size - off)
		size = (size_t)(node->stat.st_size - off);
	fuse_reply_buf(request, node->bytes + off, size);
}

static void op_readdirplus(fuse_req_t request, fuse_ino_t id, size_t size, off_t off,
			   struct fuse_file_info *info)
{
	const struct node *node = &nodes[id];
	char *buffer = malloc(size);
	size_t used = 0;

	(void)info;
	for (size_t i = (size_t)off; buffer && i < node->count; i++) {
		struct fuse_entry_param entry;
		size_t len;

		entry_of(node->first + i, &entry);
		len = fuse_add_direntry_plus(request, buffer + used, size - used,
					     nodes[node->first + i].name, &entry, (off_t)i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(request, buffer, used);
	free(buffer);
}

/* --- the connection */

static void op_init(void *userdata, struct fuse_conn_info *info)
{
	(void)userdata;
	info->want |= info->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
				       FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
	info->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO);
	info->max_read = READ_MAX;
	info->max_background = 64;
}

static ssize_t io_read(int fd, void *buffer, size_t len, void *userdata)
{
	const struct fuse_in_header *header = buffer;
	ssize_t got = read(fd, buffer, len);

	(void)userdata;
	if (got >= (ssize_t)sizeof(*header) && header->opcode == FUSE_INIT)
		init_unique = header->unique;
	return got;
}

/* What libfuse 3.14 cannot say. */
static ssize_t io_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	const struct fuse_out_header *header = iov[0].iov_base;

	(void)userdata;
	if (header->unique && header->unique == init_unique && count > 1) {
		struct fuse_init_out *out = iov[1].iov_base;

		out->flags |= FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS;
		out->max_pages = READ_MAX / 4096;
		if (mode == MODE_PASSTHROUGH) {
			out->flags2 |= INIT2_PASSTHROUGH;
			memset((char *)out + offsetof(struct fuse_init_out, flags2) + 4, 0, 4);
			*((char *)out + offsetof(struct fuse_init_out, flags2) + 4) = 1;
		}
		init_unique = 0;
	} else if (reply_backing_id > 0 && header->error == 0 && count == 2 &&
		   iov[1].iov_len == sizeof(struct fuse_open_out)) {
		struct fuse_open_out *out = iov[1].iov_base;

		out->open_flags |= OPEN_PASSTHROUGH;
		memcpy((char *)out + sizeof(*out) - 4, &reply_backing_id, 4);
	}
	return writev(fd, iov, count);
}

static void mount_at(const char *mountpoint)
{
	char options[128];

	connection = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (connection < 0)
		die("/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,max_read=%u", connection,
		 READ_MAX);
	if (mount("null_mount", mountpoint, "fuse.null_mount", MS_RDONLY | MS_NODEV | MS_NOSUID,
		  options) != 0)
		die(mountpoint);
}

static int serve(void)
{
	static const struct fuse_custom_io io = { .writev = io_writev, .read = io_read };
	struct fuse_lowlevel_ops ops = {
		.init = op_init,
		.lookup = op_lookup,
		.getattr = op_getattr,
		.open = op_open,
		.read = op_read,
		.readdirplus = op_readdirplus,
	};
	char *argv[] = { strdup("null_mount"), strdup("-o"), strdup("max_read=1048576") };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session;

	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!session || !config || fuse_session_custom_io(session, &io, connection) != 0)
		die("libfuse");
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, THREADS);
	fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	fuse_session_destroy(session);
	return 0;
}

int main(int argc, char **argv)
{
	char root[PATH_MAX];

	while (argc == 4 && mode < MODE_COUNT && strcmp(argv[1], mode_names[mode]) != 0)
		mode++;
	if (argc != 4 || mode == MODE_COUNT) {
		fprintf(stderr, "usage: null_mount direct|passthrough|small-files DIRECTORY "
				"MOUNTPOINT\n");
		return 2;
	}
	if (!realpath(argv[2], root))
		die(argv[2]);
	tree_read(root);
	mount_at(argv[3]);
	return serve();
}
