/*
 * Tests of backing_s3.c: what is asked of the client and what comes back, with an s3.h of our own
 * (all of its symbols, so that the linker takes none of the real ones).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cache/backing_config.h"
#include "tests/unit/base/allocation_fault.h"

struct s3_client {
	struct s3_head *head;
	struct s3_get *get;
	struct s3_list *list;
	unsigned promoted, reloaded;
	bool destroyed;
};

static struct s3_client the_client;
static int create_error;

const struct option_group s3_options = { .name = "s3", .size = sizeof(struct s3_config) };

int s3_client_create(const char *name, const struct s3_config *config, const struct clock *clock,
		     struct s3_client **out_client, char *problem, size_t problem_size)
{
	(void)clock;
	assert_string_equal(name, "cloud");
	assert_string_equal(config->endpoint, "http://here");
	snprintf(problem, problem_size, "no such file");
	memset(&the_client, 0, sizeof(the_client));
	*out_client = &the_client;
	return create_error;
}

void s3_client_destroy(struct s3_client *client)
{
	if (client)
		client->destroyed = true;
}

void s3_client_reload(struct s3_client *client, const struct s3_config *config)
{
	(void)config;
	client->reloaded++;
}

void s3_head(struct s3_client *client, struct s3_head *head)
{
	client->head = head;
}

void s3_get(struct s3_client *client, struct s3_get *get)
{
	client->get = get;
}

void s3_list(struct s3_client *client, struct s3_list *list)
{
	client->list = list;
}

void s3_get_promote(struct s3_client *client, struct s3_get *get)
{
	assert_ptr_equal(client->get, get);
	client->promoted++;
}

const struct counters *s3_client_counters(const struct s3_client *client)
{
	static const struct counters counters = { .room = "s3" };

	(void)client;
	return &counters;
}

uint64_t s3_config_memory_max(const struct s3_config *config)
{
	return config->buffer_len;
}

void s3_client_identity(struct s3_client *client, char *out, size_t out_size)
{
	(void)client;
	snprintf(out, out_size, "anonymous");
}

static char endpoint[] = "http://here", id[] = "cloud";
static const struct backing_config config = { .id = id,
					      .type = BACKING_S3,
					      .s3 = { .endpoint = endpoint } };

static int set_up(void **state)
{
	char problem[256];

	create_error = 0;
	return backing_create(&config, clock_system(), (struct backing **)state, problem,
			      sizeof(problem));
}

static int tear_down(void **state)
{
	backing_destroy(*state);
	assert_true(the_client.destroyed);
	return 0;
}

static unsigned ended;

static void head_done(struct backing_head *head)
{
	(void)head;
	ended++;
}

static void test_head__of_an_object__is_handed_over_and_back(void **state)
{
	struct backing_head head = {
		.request = { .bucket = "b", .key = "k", .deadline_ns = 77, .background = true },
		.done = head_done,
	};
	struct s3_head *s3;

	ended = 0;
	backing_head(*state, &head);
	s3 = the_client.head;
	assert_string_equal(s3->request.bucket, "b");
	assert_string_equal(s3->request.key, "k");
	assert_int_equal(s3->request.deadline_ns, 77);
	assert_true(s3->request.background);
	s3->meta = (struct s3_meta){ .size = 5, .mtime_s = 6, .etag = "e" };
	s3->done(s3);
	assert_int_equal(ended, 1);
	assert_int_equal(head.request.status, 0);
	assert_int_equal(head.meta.size, 5);
	assert_int_equal(head.meta.mtime_s, 6);
	assert_string_equal(head.meta.etag, "e");
}

static void test_head__fails__brings_the_reason(void **state)
{
	struct backing_head head = { .request = { .bucket = "b", .key = "k" }, .done = head_done };
	struct s3_head *s3;

	backing_head(*state, &head);
	s3 = the_client.head;
	s3->request.status = -EACCES;
	strcpy(s3->request.problem, "403 AccessDenied");
	s3->done(s3);
	assert_int_equal(head.request.status, -EACCES);
	assert_string_equal(head.request.problem, "403 AccessDenied");
}

static size_t progressed;

static void get_progress(struct backing_get *get, size_t filled)
{
	(void)get;
	progressed = filled;
}

static void get_done(struct backing_get *get)
{
	(void)get;
	ended++;
}

static void test_get__of_a_range__is_handed_over_and_back(void **state)
{
	char dst[10];
	struct backing_get get = {
		.request = { .bucket = "b", .key = "k", .deadline_ns = 77, .background = true },
		.etag = "e",
		.off = 100,
		.len = sizeof(dst),
		.dst = dst,
		.progress = get_progress,
		.done = get_done,
	};
	struct s3_get *s3;

	ended = 0;
	backing_get(*state, &get);
	s3 = the_client.get;
	assert_string_equal(s3->if_match, "e");
	assert_int_equal(s3->off, 100);
	assert_int_equal(s3->len, sizeof(dst));
	assert_ptr_equal(s3->dst, dst);
	assert_true(s3->request.background);
	s3->progress(s3, 4);
	assert_int_equal(progressed, 4);
	backing_promote(*state, &get);
	assert_int_equal(the_client.promoted, 1);
	s3->request.status = -ESTALE;
	s3->done(s3);
	assert_int_equal(get.request.status, -ESTALE);
	assert_int_equal(ended, 1);
}

static void test_get__chain__is_handed_over_as_one(void **state)
{
	struct backing_get gets[3] = { 0 };
	struct s3_get *s3;
	int index = 0;

	ended = 0;
	for (unsigned i = 0; i < 3; i++)
		gets[i] = (struct backing_get){
			.request = { .bucket = "b", .key = "k" },
			.etag = "e",
			.off = UINT64_C(10) * i,
			.len = 10,
			.done = get_done,
			.next = i < 2 ? &gets[i + 1] : NULL,
		};
	backing_get(*state, &gets[0]);
	s3 = the_client.get;
	while (s3) {
		struct s3_get *member = s3;

		s3 = member->next;
		assert_true(index < 3);
		assert_int_equal(member->off, 10 * index);
		assert_ptr_equal(member->request.context, &gets[index]);
		member->done(member);
		assert_int_equal(ended, ++index);
	}
	assert_int_equal(index, 3);
}

static void list_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	(void)list;
	if (meta)
		assert_string_equal(meta->etag, "e");
	assert_int_equal(meta == NULL, key[strlen(key) - 1] == '/');
	progressed++;
}

static void list_done(struct backing_list *list)
{
	(void)list;
	ended++;
}

static void test_list__of_a_page__is_handed_over_and_back(void **state)
{
	static const struct s3_meta meta = { .size = 1, .etag = "e" };
	struct backing_list *list = calloc(1, sizeof(*list));
	struct s3_list *s3;

	ended = 0;
	progressed = 0;
	*list = (struct backing_list){
		.request = { .bucket = "b" },
		.prefix = "p/",
		.delimited = true,
		.max_keys = 7,
		.token = "from",
		.after = "p/0",
		.entry = list_entry,
		.done = list_done,
	};
	backing_list(*state, list);
	s3 = the_client.list;
	assert_string_equal(s3->prefix, "p/");
	assert_string_equal(s3->start_after, "p/0");
	assert_true(((struct backing *)*state)->ops->seeks);
	assert_true(s3->delimited);
	assert_int_equal(s3->max_keys, 7);
	assert_string_equal(s3->token, "from");
	s3->entry(s3, "p/a", &meta);
	s3->entry(s3, "p/b/", NULL);
	strcpy(s3->token, "to");
	s3->done(s3);
	assert_string_equal(list->token, "to");
	assert_int_equal(progressed, 2);
	assert_int_equal(ended, 1);
	free(list);
}

static void test_backing__of_a_client__passes_on_the_rest(void **state)
{
	char text[128];

	backing_describe(*state, text, sizeof(text));
	assert_string_equal(text, "s3 http://here, anonymous");
	assert_string_equal(backing_counters(*state)->room, "s3");
	backing_reload(*state, &config);
	assert_int_equal(the_client.reloaded, 1);
}

static void test_create__client_refuses__says_why(void **state)
{
	struct backing *backing = NULL;
	char problem[256] = "";

	(void)state;
	create_error = -EINVAL;
	assert_int_equal(
		backing_create(&config, clock_system(), &backing, problem, sizeof(problem)),
		-EINVAL);
	assert_string_equal(problem, "backing 'cloud': no such file");
	assert_null(backing);
}

static void test_create__any_allocation_fails__leaves_nothing(void **state)
{
	unsigned n;

	(void)state;
	create_error = 0;
	for (n = 1;; n++) {
		struct backing *backing = NULL;
		char problem[256] = "";
		int error;

		allocation_fault_arm(n);
		error = backing_create(&config, clock_system(), &backing, problem, sizeof(problem));
		if (!allocation_fault_disarm()) {
			backing_destroy(backing);
			break;
		}
		assert_int_equal(error, -ENOMEM);
		assert_non_null(strstr(problem, "memory"));
	}
	assert_int_equal(n, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_head__of_an_object__is_handed_over_and_back),
		TEST(test_head__fails__brings_the_reason),
		TEST(test_get__of_a_range__is_handed_over_and_back),
		TEST(test_get__chain__is_handed_over_as_one),
		TEST(test_list__of_a_page__is_handed_over_and_back),
		TEST(test_backing__of_a_client__passes_on_the_rest),
		cmocka_unit_test(test_create__client_refuses__says_why),
		cmocka_unit_test(test_create__any_allocation_fails__leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
