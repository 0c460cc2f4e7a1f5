/*
 * backing_directory.c - a directory tree as a backing store: the embedded default, which needs no
 * service. A few threads take requests from a bounded queue, those in the background last.
 *
 * A request beyond the queue's bound, and all that wait when the store is destroyed, are ended by
 * the threads too: done() never runs inside the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/thread.h"
#include "cache/backing_config.h"
#include "cache/directory_tree.h"

#define THREADS	  4
#define QUEUE_MAX 4096

enum request_kind {
	REQUEST_HEAD,
	REQUEST_GET,
	REQUEST_LIST,
};

enum directory_queue {
	QUEUE_REFUSED, /* to be ended with -EAGAIN */
	QUEUE_FOREGROUND,
	QUEUE_BACKGROUND,
	QUEUE_COUNT,
};

TAILQ_HEAD(requests, backing_request);

struct backing_directory {
	struct backing backing;
	const struct clock *clock;
	char *path;
	int root;
	pthread_t threads[THREADS];
	unsigned thread_count;
	_Atomic bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct requests queues[QUEUE_COUNT]; /* guarded by lock */
	unsigned queued;		     /* guarded by lock; without the refused */
};

/* A request being served. */
struct service {
	struct backing_directory *directory;
	struct backing_request *request;
};

static struct backing_directory *directory_of(struct backing *backing)
{
	return CONTAINER_OF(backing, struct backing_directory, backing);
}

static void submit(struct backing *backing, struct backing_request *request, enum request_kind kind)
{
	struct backing_directory *directory = directory_of(backing);
	enum directory_queue queue = request->background ? QUEUE_BACKGROUND : QUEUE_FOREGROUND;

	request->p.kind = (int)kind;
	pthread_mutex_lock(&directory->lock);
	if (directory->queued == QUEUE_MAX)
		queue = QUEUE_REFUSED;
	else
		directory->queued++;
	TAILQ_INSERT_TAIL(&directory->queues[queue], request, p.link);
	request->p.queue = (int)queue;
	pthread_cond_signal(&directory->wake);
	pthread_mutex_unlock(&directory->lock);
}

static int should_stop(void *context)
{
	struct service *service = context;

	if (atomic_load(&service->directory->stopping))
		return -ECANCELED;
	return clock_now_ns(service->directory->clock) >= service->request->deadline_ns ? -ETIMEDOUT
											: 0;
}

static void end_head(struct backing_directory *directory, struct backing_request *request)
{
	struct backing_head *head = CONTAINER_OF(request, struct backing_head, request);

	if (request->status == 0)
		request->status =
			tree_head(directory->root, request->bucket, request->key, &head->meta);
}

static void get_progress(void *context, size_t filled)
{
	struct service *service = context;
	struct backing_get *get = CONTAINER_OF(service->request, struct backing_get, request);

	if (get->progress)
		get->progress(get, filled);
}

static void end_get(struct backing_directory *directory, struct backing_request *request)
{
	struct backing_get *get = CONTAINER_OF(request, struct backing_get, request);
	struct service service = { directory, request };

	if (request->status == 0)
		request->status =
			tree_read(directory->root, get, should_stop, get_progress, &service);
}

static void list_entry(void *context, const char *key, const struct backing_meta *meta)
{
	struct service *service = context;
	struct backing_list *list = CONTAINER_OF(service->request, struct backing_list, request);

	list->entry(list, key, meta);
}

static void end_list(struct backing_directory *directory, struct backing_request *request)
{
	struct backing_list *list = CONTAINER_OF(request, struct backing_list, request);
	struct service service = { directory, request };

	if (request->status == 0)
		request->status = tree_list(directory->root, list, list->token, list_entry,
					    should_stop, &service);
}

static void describe_problem(const struct backing_directory *directory,
			     struct backing_request *request)
{
	request->problem[0] = 0;
	if (request->status)
		snprintf(request->problem, sizeof(request->problem), "%s in %s",
			 error_text(request->status), directory->path);
}

/* Serves a request whose status may say already how it ends. */
static void serve(struct backing_directory *directory, struct backing_request *request)
{
	switch ((enum request_kind)request->p.kind) {
	case REQUEST_HEAD:
		end_head(directory, request);
		describe_problem(directory, request);
		CONTAINER_OF(request, struct backing_head, request)
			->done(CONTAINER_OF(request, struct backing_head, request));
		return;
	case REQUEST_GET:
		end_get(directory, request);
		describe_problem(directory, request);
		CONTAINER_OF(request, struct backing_get, request)
			->done(CONTAINER_OF(request, struct backing_get, request));
		return;
	case REQUEST_LIST:
		end_list(directory, request);
		describe_problem(directory, request);
		CONTAINER_OF(request, struct backing_list, request)
			->done(CONTAINER_OF(request, struct backing_list, request));
		return;
	}
}

static struct backing_request *take_locked(struct backing_directory *directory)
{
	for (unsigned queue = 0; queue < QUEUE_COUNT; queue++) {
		struct backing_request *request = TAILQ_FIRST(&directory->queues[queue]);

		if (!request)
			continue;
		TAILQ_REMOVE(&directory->queues[queue], request, p.link);
		if (queue != QUEUE_REFUSED)
			directory->queued--;
		request->status = queue == QUEUE_REFUSED ? -EAGAIN : 0;
		request->p.queue = QUEUE_COUNT;
		return request;
	}
	return NULL;
}

static void *run(void *argument)
{
	struct backing_directory *directory = argument;

	pthread_mutex_lock(&directory->lock);
	for (;;) {
		struct backing_request *request = take_locked(directory);
		struct service service = { directory, request };

		if (!request && directory->stopping)
			break;
		if (!request) {
			(void)thread_cond_wait_until(&directory->wake, &directory->lock,
						     CLOCK_NEVER);
			continue;
		}
		pthread_mutex_unlock(&directory->lock);
		if (request->status == 0)
			request->status = should_stop(&service);
		serve(directory, request);
		pthread_mutex_lock(&directory->lock);
	}
	pthread_mutex_unlock(&directory->lock);
	return NULL;
}

static void head(struct backing *backing, struct backing_head *head)
{
	submit(backing, &head->request, REQUEST_HEAD);
}

static void get(struct backing *backing, struct backing_get *get)
{
	submit(backing, &get->request, REQUEST_GET);
}

static void list(struct backing *backing, struct backing_list *list)
{
	submit(backing, &list->request, REQUEST_LIST);
}

static void promote(struct backing *backing, struct backing_get *get)
{
	struct backing_directory *directory = directory_of(backing);
	struct backing_request *request = &get->request;

	pthread_mutex_lock(&directory->lock);
	if (request->p.queue == QUEUE_BACKGROUND) {
		TAILQ_REMOVE(&directory->queues[QUEUE_BACKGROUND], request, p.link);
		TAILQ_INSERT_TAIL(&directory->queues[QUEUE_FOREGROUND], request, p.link);
		request->p.queue = QUEUE_FOREGROUND;
	}
	pthread_mutex_unlock(&directory->lock);
}

static void describe(struct backing *backing, char *out, size_t out_size)
{
	snprintf(out, out_size, "directory %s", directory_of(backing)->path);
}

static void stop(struct backing_directory *directory)
{
	pthread_mutex_lock(&directory->lock);
	directory->stopping = true;
	pthread_cond_broadcast(&directory->wake);
	pthread_mutex_unlock(&directory->lock);
	for (unsigned i = 0; i < directory->thread_count; i++)
		CHECK(pthread_join(directory->threads[i], NULL) == 0);
	pthread_cond_destroy(&directory->wake);
	pthread_mutex_destroy(&directory->lock);
}

static void destroy(struct backing *backing)
{
	struct backing_directory *directory = directory_of(backing);

	stop(directory);
	close(directory->root);
	free(directory->path);
	free(directory);
}

static const struct backing_ops ops = {
	.type = "directory",
	.head = head,
	.get = get,
	.list = list,
	.promote = promote,
	.describe = describe,
	.destroy = destroy,
};

static int start(struct backing_directory *directory, const char *id)
{
	char name[16];
	int error = 0;

	CHECK(pthread_mutex_init(&directory->lock, NULL) == 0);
	thread_cond_init(&directory->wake);
	for (unsigned i = 0; i < QUEUE_COUNT; i++)
		TAILQ_INIT(&directory->queues[i]);
	snprintf(name, sizeof(name), "dir-%.11s", id);
	while (!error && directory->thread_count < THREADS) {
		error = thread_start(&directory->threads[directory->thread_count], name, run,
				     directory);
		if (!error)
			directory->thread_count++;
	}
	if (error)
		stop(directory);
	return error;
}

int backing_directory_create(const struct backing_config *config, const struct clock *clock,
			     struct backing **out_backing, char *problem, size_t problem_size)
{
	struct backing_directory *directory = calloc(1, sizeof(*directory));
	int error = -ENOMEM;

	if (!directory)
		goto report;
	directory->backing.ops = &ops;
	directory->clock = clock;
	directory->path = strdup(config->directory);
	if (!directory->path)
		goto free_directory;
	directory->root = open(directory->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	error = directory->root < 0 ? -errno : 0;
	if (error)
		goto free_path;
	error = start(directory, config->id);
	if (error)
		goto close_root;
	*out_backing = &directory->backing;
	return 0;

close_root:
	close(directory->root);
free_path:
	free(directory->path);
free_directory:
	free(directory);
report:
	snprintf(problem, problem_size, "backing '%s': directory %s cannot be opened: %s",
		 config->id, config->directory, error_text(error));
	return error;
}
