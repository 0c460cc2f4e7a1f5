/*
 * verbs.c - the ops of the verbs backend: which rails there are, and the loop over them.
 */
#include "fabric/transport/verbs/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

#define LOOK_IDLE   8	/* polls without a completion until rdma_cm and the devices are asked */
#define LOOK_BUSY   256 /* the same of polls with completions */
#define PORTS_MAX   64
#define TICK_NS_MIN (50 * NS_PER_MS)

/* What stands in the configuration, or what the machine has. */
struct choice {
	struct verbs_port ports[PORTS_MAX];
	struct ibv_context *contexts[PORTS_MAX];
	unsigned count;
};

/* Each port with a context of its own; which may become a rail's. */
static void look_at_ports(const struct verbs *verbs, const struct address *listen,
			  struct choice *all)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);

	for (unsigned i = 0; devices && devices[i]; i++) {
		unsigned ports = 1;

		for (unsigned number = 1; number <= ports && all->count < PORTS_MAX; number++) {
			struct ibv_context *context = ibv_open_device(devices[i]);

			if (!context)
				break;
			ports = verbs_port_count(context);
			all->contexts[all->count] = context;
			verbs_port_probe(context, (uint8_t)number, verbs->gid_index, listen,
					 &all->ports[all->count++]);
		}
	}
	if (devices)
		ibv_free_device_list(devices);
}

static bool has_name(const struct verbs_port *port, const char *name)
{
	char with_number[sizeof(port->device) + 8];

	snprintf(with_number, sizeof(with_number), "%s:%u", port->device, port->number);
	return strcmp(name, port->name) == 0 || strcmp(name, with_number) == 0 ||
	       (port->number == 1 && strcmp(name, port->device) == 0);
}

static struct verbs_rail *add_rail(struct verbs *verbs, struct choice *all, unsigned index)
{
	struct verbs_rail *rail = calloc(1, sizeof(*rail));

	if (!rail)
		return NULL;
	rail->verbs = verbs;
	rail->index = verbs->rail_count;
	rail->port = all->ports[index];
	rail->watch = all->contexts[index];
	all->contexts[index] = NULL;
	TAILQ_INIT(&rail->queues);
	verbs->rails[verbs->rail_count++] = rail;
	return rail;
}

static size_t say(char *problem, size_t size, size_t len, const char *name, const char *text)
{
	int more = len < size ? snprintf(problem + len, size - len, "%s%s%s%s", len ? "; " : "",
					 name, name[0] ? ": " : "", text)
			      : 0;

	return len + (size_t)(more > 0 ? more : 0);
}

/* Those of the configuration, in its order; a rail that is down keeps its number. */
static int choose_named(struct verbs *verbs, const struct option_strings *names, struct choice *all,
			char *problem, size_t problem_size)
{
	for (unsigned i = 0; i < names->count; i++) {
		unsigned found = 0;

		while (found < all->count && !has_name(&all->ports[found], names->items[i]))
			found++;
		if (found == all->count) {
			snprintf(problem, problem_size,
				 "there is no RDMA device %s: rdma link shows those there are",
				 names->items[i]);
			return -ENODEV;
		}
		if (i == TRANSPORT_RAILS_MAX) {
			snprintf(problem, problem_size, "at most %d devices", TRANSPORT_RAILS_MAX);
			return -EINVAL;
		}
		for (unsigned j = 0; j < verbs->rail_count; j++)
			if (has_name(&verbs->rails[j]->port, names->items[i])) {
				snprintf(problem, problem_size, "the device %s is named twice",
					 names->items[i]);
				return -EINVAL;
			}
		if (!add_rail(verbs, all, found))
			return -ENOMEM;
	}
	return 0;
}

/* All that are usable, by name, so that nodes that are alike number them alike. */
static int choose_usable(struct verbs *verbs, struct choice *all)
{
	bool taken[PORTS_MAX] = { false };

	while (verbs->rail_count < TRANSPORT_RAILS_MAX) {
		unsigned best = all->count;

		for (unsigned i = 0; i < all->count; i++)
			if (!taken[i] && all->ports[i].usable &&
			    (best == all->count ||
			     strverscmp(all->ports[i].name, all->ports[best].name) < 0))
				best = i;
		if (best == all->count)
			break;
		taken[best] = true;
		if (!add_rail(verbs, all, best))
			return -ENOMEM;
	}
	return 0;
}

static int choose(struct verbs *verbs, const struct transport_config *config, char *problem,
		  size_t problem_size)
{
	struct choice *all = calloc(1, sizeof(*all));
	struct address listen = { 0 };
	size_t len = 0;
	int error;

	if (!all)
		return -ENOMEM;
	if (config->listen &&
	    address_parse(config->listen, TRANSPORT_PORT, &listen, problem, problem_size))
		listen = (struct address){ 0 };
	look_at_ports(verbs, &listen, all);
	if (!all->count) {
		struct transport_device device;

		transport_verbs_devices(&device, 1);
		snprintf(problem, problem_size, "%s%s%s", device.name, device.name[0] ? ": " : "",
			 device.problem);
		error = -ENODEV;
	} else if (config->devices.count) {
		error = choose_named(verbs, &config->devices, all, problem, problem_size);
	} else {
		error = choose_usable(verbs, all);
		for (unsigned i = 0; !error && !verbs->rail_count && i < all->count; i++)
			len = say(problem, problem_size, len, all->ports[i].name,
				  all->ports[i].problem);
		if (!error && !verbs->rail_count)
			error = -ENODEV;
	}
	if (error == -ENOMEM)
		snprintf(problem, problem_size, "no memory for the devices");
	for (unsigned i = 0; i < all->count; i++)
		if (all->contexts[i])
			ibv_close_device(all->contexts[i]);
	free(all);
	return error;
}

static int watch(const struct verbs *verbs, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(verbs->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Opens what is usable; one is enough. */
static int open_rails(struct verbs *verbs, char *problem, size_t problem_size)
{
	unsigned live = 0;
	size_t len = 0;

	for (unsigned i = 0; i < verbs->rail_count; i++) {
		struct verbs_rail *rail = verbs->rails[i];

		if (!rail->port.usable) {
			len = say(problem, problem_size, len, verbs_rail_name(rail),
				  rail->port.problem);
			log_warning("transport.rail_absent",
				    "device=%s problem=\"%s\" impact=\"it is not used until the "
				    "next start\"",
				    verbs_rail_name(rail), rail->port.problem);
			verbs_rail_close(rail);
			continue;
		}
		int error = verbs_rail_open(rail, problem, problem_size);
		if (!error)
			error = watch(verbs, rail->channel->fd);
		if (!error)
			error = watch(verbs, rail->watch->async_fd);
		if (error)
			return error;
		live++;
	}
	return live ? 0 : -ENODEV;
}

static void destroy(struct verbs *verbs)
{
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		verbs_rail_close(verbs->rails[i]);
		free(verbs->rails[i]);
	}
	for (struct verbs_region *region; (region = TAILQ_FIRST(&verbs->regions));) {
		verbs->rail_count = 0;
		verbs_region_remove(verbs, region->region);
	}
	if (verbs->channel)
		rdma_destroy_event_channel(verbs->channel);
	if (verbs->epoll_fd >= 0)
		close(verbs->epoll_fd);
	free(verbs->handles);
	free(verbs);
}

static struct verbs *create(struct transport *transport, const struct transport_config *config)
{
	struct verbs *verbs = calloc(1, sizeof(*verbs));

	if (!verbs)
		return NULL;
	verbs->transport = transport;
	verbs->clock = transport_clock(transport);
	verbs->epoll_fd = -1;
	verbs->traffic_class = (int)config->traffic_class;
	verbs->pkey_index = (int)config->pkey_index;
	verbs->gid_index = (int)config->gid_index;
	verbs->queue_depth = (unsigned)config->queue_depth;
	verbs->slice_len = (uint32_t)config->slice_len;
	verbs->connect_ns = config->connect_timeout;
	verbs->tick_ns = config->read_timeout / 4;
	if (verbs->tick_ns > NS_PER_S)
		verbs->tick_ns = NS_PER_S;
	if (verbs->tick_ns < TICK_NS_MIN)
		verbs->tick_ns = TICK_NS_MIN;
	verbs->timer_ns = verbs->flush_ns = CLOCK_NEVER;
	TAILQ_INIT(&verbs->links);
	TAILQ_INIT(&verbs->dirty);
	TAILQ_INIT(&verbs->regions);
	return verbs;
}

static int open_channel(struct verbs *verbs, char *problem, size_t problem_size)
{
	int error = 0;

	verbs->channel = rdma_create_event_channel();
	if (!verbs->channel) {
		error = errno ? -errno : -ENODEV;
		snprintf(problem, problem_size,
			 "/dev/infiniband/rdma_cm cannot be opened: %s; modprobe rdma_ucm, and let "
			 "this user open it",
			 error_text(error));
		return error == -ENOENT ? -ENODEV : error;
	}
	verbs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (verbs->epoll_fd < 0 || fcntl(verbs->channel->fd, F_SETFL, O_NONBLOCK))
		error = -errno;
	if (!error)
		error = watch(verbs, verbs->channel->fd);
	if (error)
		snprintf(problem, problem_size, "no descriptors: %s", error_text(error));
	return error;
}

static void name_rails(const struct verbs *verbs, char *text, size_t text_size)
{
	size_t len = (size_t)snprintf(text, text_size, "verbs (");
	const char *comma = "";

	for (unsigned i = 0; i < verbs->rail_count; i++) {
		if (verbs->rails[i]->state == VERBS_RAIL_ABSENT || len >= text_size)
			continue;
		len += (size_t)snprintf(text + len, text_size - len, "%s%s", comma,
					verbs_rail_name(verbs->rails[i]));
		comma = ", ";
	}
	if (len < text_size)
		snprintf(text + len, text_size - len, ")");
}

static void prepare_process(void)
{
	struct rlimit limit;

	/* Registered pages stay this process's when it forks; costs nothing on kernels that see to
	   it themselves. */
	ibv_fork_init();
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

static int verbs_open(struct transport *transport, const struct transport_config *config,
		      void **out_backend, char *text, size_t text_size, char *problem,
		      size_t problem_size)
{
	struct verbs *verbs = create(transport, config);
	int error;

	if (!verbs) {
		snprintf(problem, problem_size, "no memory");
		return -ENOMEM;
	}
	prepare_process();
	error = choose(verbs, config, problem, problem_size);
	if (!error)
		error = open_channel(verbs, problem, problem_size);
	if (!error)
		error = open_rails(verbs, problem, problem_size);
	if (error) {
		destroy(verbs);
		return error;
	}
	name_rails(verbs, text, text_size);
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		if (verbs->rails[i]->state == VERBS_RAIL_LIVE) {
			transport_place(transport, verbs->rails[i]->port.numa_node);
			break;
		}
	}
	*out_backend = verbs;
	return 0;
}

static int verbs_poll(void *backend)
{
	struct verbs *verbs = backend;
	struct epoll_event event;
	int count = 0;

	verbs->polling = true;
	for (unsigned i = 0; i < verbs->rail_count; i++)
		count += verbs_rail_poll(verbs->rails[i]);
	verbs->idle += count ? 1 : LOOK_BUSY / LOOK_IDLE;
	if (verbs->idle >= LOOK_BUSY) {
		verbs->idle = 0;
		if (epoll_wait(verbs->epoll_fd, &event, 1, 0) > 0)
			count += verbs_events(verbs);
	}
	count += verbs_links_progress(verbs);
	verbs->polling = false;
	return count;
}

static int verbs_event_fd(void *backend)
{
	return ((struct verbs *)backend)->epoll_fd;
}

static int verbs_arm(void *backend)
{
	struct verbs *verbs = backend;

	verbs->idle = LOOK_BUSY; /* what wakes us is looked at by the next poll */
	if (!TAILQ_EMPTY(&verbs->dirty) || (verbs->broken && !verbs->flush_ns))
		return -EAGAIN;
	for (unsigned i = 0; i < verbs->rail_count; i++)
		if (verbs_rail_arm(verbs->rails[i]))
			return -EAGAIN;
	return 0;
}

static uint64_t verbs_next_ns(void *backend)
{
	const struct verbs *verbs = backend;

	return verbs->broken && verbs->flush_ns < verbs->timer_ns ? verbs->flush_ns
								  : verbs->timer_ns;
}

static void verbs_close(void *backend)
{
	struct verbs *verbs = backend;
	struct epoll_event event;

	/* nobody comes in any more; the rest ends by itself, at flush_ns at the latest */
	for (unsigned i = 0; i < verbs->rail_count; i++) {
		if (verbs->rails[i]->listener)
			rdma_destroy_id(verbs->rails[i]->listener);
		verbs->rails[i]->listener = NULL;
	}
	for (struct verbs_link *link = TAILQ_FIRST(&verbs->links); link;
	     link = TAILQ_NEXT(link, by_verbs)) {
		verbs_link_fence(link, -ECANCELED, "closing");
	}
	while (!TAILQ_EMPTY(&verbs->links)) {
		if (!verbs_poll(verbs))
			epoll_wait(verbs->epoll_fd, &event, 1, 1);
	}
	destroy(verbs);
}

const struct transport_ops transport_verbs_ops = {
	.kind = TRANSPORT_VERBS,
	.greets = true,
	.open = verbs_open,
	.close = verbs_close,
	.region_add = verbs_region_add,
	.region_remove = verbs_region_remove,
	.listen = verbs_listen,
	.connect = verbs_connect,
	.read = verbs_read,
	.send = verbs_control_send,
	.disconnect = verbs_link_disconnect,
	.region_len = verbs_keys_len,
	.poll = verbs_poll,
	.event_fd = verbs_event_fd,
	.arm = verbs_arm,
	.next_ns = verbs_next_ns,
};
