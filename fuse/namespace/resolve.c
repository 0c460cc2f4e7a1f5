/*
 * resolve.c - see resolve.h.
 */
#include "fuse/namespace/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "fuse/namespace/inside.h"
#include "fuse/namespace/version.h"

#define POLL_NS (100 * NS_PER_MS)

/* One component. Lives until its look-up has ended. */
struct step {
	struct namespace_lookup lookup;
	char name[NAMES_COMPONENT_MAX + 1];
	char said[BACKING_PROBLEM_MAX]; /* by the backing store */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended; /* guarded by lock */
};

static void step_done(struct namespace_lookup *lookup)
{
	struct step *step = CONTAINER_OF(lookup, struct step, lookup);

	pthread_mutex_lock(&step->lock);
	step->ended = true;
	pthread_cond_broadcast(&step->changed);
	pthread_mutex_unlock(&step->lock);
}

/* Return: whether it has ended by @until_ns. */
static bool step_wait(struct step *step, uint64_t until_ns)
{
	bool ended;

	pthread_mutex_lock(&step->lock);
	while (!step->ended)
		if (thread_cond_wait_until(&step->changed, &step->lock, until_ns) == -ETIMEDOUT)
			break;
	ended = step->ended;
	pthread_mutex_unlock(&step->lock);
	return ended;
}

/* Return: 0; -ETIMEDOUT, -ECANCELED: it was given up. */
static int step_follow(struct namespace *ns, const struct namespace_path *path, struct step *step)
{
	int status = 0;

	for (;;) {
		uint64_t now_ns = clock_now_ns(clock_system());
		uint64_t until_ns = clock_after_ns(now_ns, POLL_NS);

		if (path->cancelled && path->cancelled(path->context))
			status = -ECANCELED;
		else if (now_ns >= path->deadline_ns)
			status = -ETIMEDOUT;
		if (status)
			break;
		if (step_wait(step, until_ns < path->deadline_ns ? until_ns : path->deadline_ns))
			return 0;
	}
	namespace_lookup_cancel(ns, &step->lookup);
	step_wait(step, CLOCK_NEVER);
	return step->lookup.status == -ECANCELED ? status : 0; /* it may just have ended */
}

/* The status of the look-up; 0: with a reference. */
static int step_look_up(struct namespace *ns, const struct namespace_path *path, struct step *step)
{
	int error = 0;

	step->ended = false;
	step->said[0] = '\0';
	pthread_mutex_init(&step->lock, NULL);
	thread_cond_init(&step->changed);
	if (namespace_lookup_start(ns, &step->lookup) == 0)
		error = step_follow(ns, path, step);
	pthread_cond_destroy(&step->changed);
	pthread_mutex_destroy(&step->lock);
	return error ? error : step->lookup.status;
}

/* What the name was when the backing store last answered, with a reference. */
static int step_remember(struct namespace *ns, struct step *step)
{
	struct node *parent, *node = NULL;

	pthread_mutex_lock(&ns->lock);
	parent = node_find(&ns->nodes, step->lookup.parent);
	if (parent && parent->kind == NODE_DIRECTORY)
		node = node_child(&ns->nodes, parent, step->name, strlen(step->name));
	if (node && node->outdated)
		node = NULL;
	if (node) {
		version_attributes(ns, node, &step->lookup.attributes);
		node_refer(&ns->nodes, node, 0);
	}
	pthread_mutex_unlock(&ns->lock);
	return node ? 0 : -ENOENT;
}

/* Gives back the reference of a step. */
static void step_leave(struct namespace *ns, uint64_t id)
{
	if (id == NODE_ROOT_ID)
		return;
	pthread_mutex_lock(&ns->lock);
	node_unpin(&ns->nodes, node_find(&ns->nodes, id));
	counter_set(ns->settings.counters, MOUNT_NODES, ns->nodes.count);
	pthread_mutex_unlock(&ns->lock);
}

/* Whether it says nothing of the name: the backing store could not be asked. */
static bool passes(int status)
{
	return status == -EIO || status == -ETIMEDOUT || status == -EPROTO;
}

static void explain(const struct namespace_path *path, const struct step *step, int status,
		    char *problem, size_t problem_size)
{
	if (status == -ENOENT)
		snprintf(problem, problem_size, "%s: there is no '%s'", path->text, step->name);
	else if (status == -ENOTDIR)
		snprintf(problem, problem_size, "%s: what is before '%s' is not a directory",
			 path->text, step->name);
	else
		snprintf(problem, problem_size, "looking up '%s' of %s: %s%s%s", step->name,
			 path->text, error_text(status), step->said[0] ? ": " : "", step->said);
}

/* The next component into @step. Return: 1; 0 there is none; -ENAMETOOLONG. */
static int step_next(const char **at, struct step *step)
{
	size_t len;

	*at += strspn(*at, "/");
	len = strcspn(*at, "/");
	if (len > NAMES_COMPONENT_MAX)
		return -ENAMETOOLONG;
	memcpy(step->name, *at, len);
	step->name[len] = '\0';
	*at += len;
	return len > 0;
}

/* One component further: *@id, with its reference, becomes what the name is in it. */
static int step_take(struct namespace *ns, const struct namespace_path *path, struct step *step,
		     uint64_t *id, bool *confirmed, char *problem, size_t problem_size)
{
	int status;

	step->lookup = (struct namespace_lookup){
		.parent = *id, .name = step->name, .done = step_done, .problem = step->said
	};
	status = step_look_up(ns, path, step);
	if (status)
		explain(path, step, status, problem, problem_size);
	if (passes(status) && step_remember(ns, step) == 0) {
		*confirmed = false;
		status = 0;
	}
	if (status)
		return status;
	step_leave(ns, *id);
	*id = step->lookup.attributes.id;
	return 0;
}

/* Return: 0 with *@id, and a reference to it unless it is the root; as namespace_resolve(). */
static int walk(struct namespace *ns, const struct namespace_path *path, uint64_t *id,
		bool *confirmed, char *problem, size_t problem_size)
{
	const char *at = path->text + path->root_len;
	struct step step;
	int next, status = 0;

	while (!status && (next = step_next(&at, &step)) != 0) {
		if (next > 0) {
			status = step_take(ns, path, &step, id, confirmed, problem, problem_size);
			continue;
		}
		snprintf(problem, problem_size, "a name in the path is longer than %d bytes",
			 NAMES_COMPONENT_MAX);
		status = next;
	}
	return status;
}

int namespace_resolve(struct namespace *ns, const struct namespace_path *path,
		      struct namespace_file **out_file, bool *out_confirmed, char *problem,
		      size_t problem_size)
{
	uint64_t id = NODE_ROOT_ID;
	bool confirmed = true;
	int status;

	snprintf(problem, problem_size, "out of memory");
	status = walk(ns, path, &id, &confirmed, problem, problem_size);
	if (!status) {
		status = namespace_file(ns, id, false, out_file);
		if (status == -EISDIR)
			snprintf(problem, problem_size, "%s is a directory", path->text);
	}
	step_leave(ns, id);
	if (status)
		return status;
	*out_confirmed = confirmed;
	if (confirmed)
		problem[0] = '\0';
	return 0;
}
