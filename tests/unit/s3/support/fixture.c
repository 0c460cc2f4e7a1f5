/*
 * fixture.c - see fixture.h.
 */
#include "tests/unit/s3/support/fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"

static char *copy(const char *text)
{
	char *result = strdup(text);
	CHECK(result);
	return result;
}

void fixture_init(struct fixture *fixture, http_handler handler, void *context)
{
	memset(fixture, 0, sizeof(*fixture));
	log_set_level(LOG_LEVEL_ERROR);
	CHECK(!option_defaults(&s3_options, &fixture->config));
	fixture->server = http_server_start(handler, context);
	snprintf(fixture->endpoint, sizeof(fixture->endpoint), "http://127.0.0.1:%u",
		 http_server_port(fixture->server));
	fixture->config.endpoint = copy(fixture->endpoint);
	fixture->config.credentials.source = S3_CREDENTIALS_CONFIG;
	fixture->config.credentials.access_key = copy("AKIDEXAMPLE");
	fixture->config.credentials.secret_key = copy("secret");
	fixture->config.retry_scale = NS_PER_MS;
	fixture->config.buffer_len = 16384;
	pthread_mutex_init(&fixture->lock, NULL);
	thread_cond_init(&fixture->changed);
}

void fixture_start(struct fixture *fixture)
{
	char problem[256];

	if (s3_client_create("test", &fixture->config, clock_system(), &fixture->client, problem,
			     sizeof(problem))) {
		fprintf(stderr, "%s\n", problem);
		CHECK(!"client");
	}
}

void fixture_fini(struct fixture *fixture)
{
	s3_client_destroy(fixture->client);
	http_server_stop(fixture->server);
	option_free(&s3_options, &fixture->config);
	pthread_cond_destroy(&fixture->changed);
	pthread_mutex_destroy(&fixture->lock);
}

uint64_t fixture_deadline(unsigned ms)
{
	return clock_now_ns(clock_system()) + ms * NS_PER_MS;
}

void fixture_count_done(struct fixture *fixture)
{
	pthread_mutex_lock(&fixture->lock);
	fixture->done++;
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->lock);
}

void fixture_wait_done(struct fixture *fixture, unsigned count)
{
	uint64_t deadline_ns = fixture_deadline(FIXTURE_WAIT_S * 1000);

	pthread_mutex_lock(&fixture->lock);
	while (fixture->done < count)
		CHECK(!thread_cond_wait_until(&fixture->changed, &fixture->lock, deadline_ns));
	pthread_mutex_unlock(&fixture->lock);
}

uint64_t fixture_counter(const struct fixture *fixture, enum s3_counter counter)
{
	return counter_get(s3_client_counters(fixture->client), counter);
}

void fixture_wait_counter(const struct fixture *fixture, enum s3_counter counter, uint64_t value)
{
	uint64_t deadline_ns = fixture_deadline(FIXTURE_WAIT_S * 1000);

	while (fixture_counter(fixture, counter) < value) {
		CHECK(clock_now_ns(clock_system()) < deadline_ns);
		usleep(200);
	}
}

void fixture_wait_requests(struct fixture *fixture, unsigned count)
{
	uint64_t deadline_ns = fixture_deadline(FIXTURE_WAIT_S * 1000);

	while (http_server_count(fixture->server) < count) {
		CHECK(clock_now_ns(clock_system()) < deadline_ns);
		usleep(200);
	}
}

unsigned open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void get_done(struct s3_get *get)
{
	fixture_count_done(get->request.context);
}

int fixture_get(struct fixture *fixture, struct s3_get *get)
{
	unsigned before = fixture->done;

	get->request.context = fixture;
	get->done = get_done;
	s3_get(fixture->client, get);
	fixture_wait_done(fixture, before + 1);
	return get->request.status;
}

static void head_done(struct s3_head *head)
{
	fixture_count_done(head->request.context);
}

int fixture_head(struct fixture *fixture, struct s3_head *head)
{
	unsigned before = fixture->done;

	head->request.context = fixture;
	head->done = head_done;
	s3_head(fixture->client, head);
	fixture_wait_done(fixture, before + 1);
	return head->request.status;
}

static void list_done(struct s3_list *list)
{
	fixture_count_done(list->request.context);
}

int fixture_list(struct fixture *fixture, struct s3_list *list)
{
	unsigned before = fixture->done;

	list->request.context = fixture;
	list->done = list_done;
	s3_list(fixture->client, list);
	fixture_wait_done(fixture, before + 1);
	return list->request.status;
}
