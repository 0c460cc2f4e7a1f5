/*
 * Tests of tools/control.h: the codec.
 */
#include "tools/control.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "fabric/gossip/membership.h"

static void test_request_decode__what_encode_writes__is_the_same(void **state)
{
	static const struct control_request rows[] = {
		{ .command = CONTROL_STATUS },
		{ .command = CONTROL_FLUSH },
		{ .command = CONTROL_FLUSH, .timeout_ms = 200 },
		{ .command = CONTROL_FLUSH, .timeout_ms = CONTROL_FLUSH_MS_MAX },
		{ .command = CONTROL_MEMBERS },
		{ .command = CONTROL_MEMBERS, .first = UINT32_MAX },
		{ .command = CONTROL_TASK, .task = INT64_MAX },
		{ .command = CONTROL_LEAVE },
		{ .command = CONTROL_LEAVE, .drain = true },
		{ .command = CONTROL_CLUSTER },
		{ .command = CONTROL_UPGRADE },
		{ .command = CONTROL_UPGRADE, .file = "/usr/sbin/cenoted" },
		{ .command = CONTROL_LOCATE, .path = "/images/a \"b\"\n\1\xc3\xa4.jpg" },
		{ .command = CONTROL_LOCATE, .path = "/a", .blocks = true },
		{ .command = CONTROL_MESH,
		  .mesh = { .bytes = UINT64_C(64) << 30,
			    .duration_ms = 10000,
			    .read_len = 1 << 20,
			    .depth = 64 } },
		{ .command = CONTROL_MESH,
		  .mesh = { .bytes = 1,
			    .duration_ms = 1,
			    .read_len = 1,
			    .depth = 1,
			    .member_count = 2,
			    .members = { "gpu-1", "0123456789abcdef0123456789abcdef" } } },
		{ .command = CONTROL_JOIN,
		  .address_count = 2,
		  .addresses = { "[fd00::7]:7472", "gpu-\"7\\" } },
		{ .command = CONTROL_KEYS, .action = MEMBERSHIP_KEYS_LIST, .local = true },
		{ .command = CONTROL_KEYS, .action = MEMBERSHIP_KEYS_ADD, .file = "/etc/key" },
		{ .command = CONTROL_KEYS,
		  .action = MEMBERSHIP_KEYS_REMOVE,
		  .key = "0123456789abcdef",
		  .force = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char line[CONTROL_REQUEST_MAX], problem[CONTROL_PROBLEM_MAX];
		size_t len = control_request_encode(&rows[i], line);
		struct control_request decoded;

		assert_int_equal(len, strlen(line));
		assert_int_equal(
			control_request_decode(line, len, &decoded, problem, sizeof(problem)), 0);
		assert_memory_equal(&decoded, &rows[i], sizeof(decoded));
	}
}

static void test_request_decode__malformed__says_what_is_wrong(void **state)
{
	static const struct {
		const char *line, *problem;
	} rows[] = {
		{ "", "not a JSON object" },
		{ "status", "not a JSON object" },
		{ "[1]", "not a JSON object" },
		{ "17", "not a JSON object" },
		{ "{\"protocol\": 1, \"command\": \"status\"", "not a JSON object" },
		{ "{\"protocol\": 1, \"command\": \"status\"} x", "not a JSON object" },
		{ "{\"protocol\": 1, \"protocol\": 1, \"command\": \"status\"}", "duplicate" },
		{ "{\"command\": \"status\"}", "protocol 1" },
		{ "{\"protocol\": 2, \"command\": \"status\"}", "protocol 1" },
		{ "{\"protocol\": \"1\", \"command\": \"status\"}", "protocol 1" },
		{ "{\"protocol\": 1}", "'command' is missing" },
		{ "{\"protocol\": 1, \"command\": 7}", "'command' is missing" },
		{ "{\"protocol\": 1, \"command\": \"stop\"}", "unknown command 'stop'" },
		{ "{\"protocol\": 1, \"command\": \"status\", \"x\": 1}", "unknown member 'x'" },
		{ "{\"protocol\": 1, \"command\": \"flush\", \"timeout_ms\": -1}", "timeout_ms" },
		{ "{\"protocol\": 1, \"command\": \"flush\", \"timeout_ms\": 501}", "timeout_ms" },
		{ "{\"protocol\": 1, \"command\": \"flush\", \"timeout_ms\": 1.5}", "timeout_ms" },
		{ "{\"protocol\": 1, \"command\": \"flush\", \"timeout_ms\": null}", "timeout_ms" },
		{ "{\"a\": [[[[[[]]]]]]}", "nested too deep" },
		{ "{\"protocol\": 1, \"command\": \"status\", \"timeout_ms\": 1}",
		  "unknown member" },
		{ "{\"protocol\": 1, \"command\": \"join\"}", "'addresses' is missing" },
		{ "{\"protocol\": 1, \"command\": \"join\", \"addresses\": []}", "'addresses'" },
		{ "{\"protocol\": 1, \"command\": \"join\", \"addresses\": [7]}", "'addresses'" },
		{ "{\"protocol\": 1, \"command\": \"join\", \"addresses\": \"x\"}", "'addresses'" },
		{ "{\"protocol\": 1, \"command\": \"keys\"}", "'action' is missing" },
		{ "{\"protocol\": 1, \"command\": \"keys\", \"action\": \"show\"}", "'action'" },
		{ "{\"protocol\": 1, \"command\": \"keys\", \"action\": \"use\", \"key\": "
		  "\"0123456789abcdef0\"}",
		  "'key' is not a text of at most 16" },
		{ "{\"protocol\": 1, \"command\": \"keys\", \"action\": \"add\", \"local\": 1}",
		  "'local' is neither" },
		{ "{\"protocol\": 1, \"command\": \"task\"}", "'task' is missing" },
		{ "{\"protocol\": 1, \"command\": \"task\", \"task\": -1}", "'task'" },
		{ "{\"protocol\": 1, \"command\": \"members\", \"first\": 4294967296}", "'first'" },
		{ "{\"protocol\": 1, \"command\": \"leave\", \"drain\": 1}", "'drain' is neither" },
		{ "{\"protocol\": 1, \"command\": \"join\", \"drain\": true}", "unknown member" },
		{ "{\"protocol\": 1, \"command\": \"locate\"}", "'path' is missing" },
		{ "{\"protocol\": 1, \"command\": \"locate\", \"path\": \"\"}", "'path' is empty" },
		{ "{\"protocol\": 1, \"command\": \"locate\", \"path\": 7}",
		  "'path' is not a text of at most 1024" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1}",
		  "'duration_ms' is missing" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 0, \"duration_ms\": 1, "
		  "\"read_len\": 1, \"depth\": 1}",
		  "'bytes' is not a whole number in 1..68719476736" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 68719476737, "
		  "\"duration_ms\": 1, \"read_len\": 1, \"depth\": 1}",
		  "'bytes'" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1, \"duration_ms\": 10001, "
		  "\"read_len\": 1, \"depth\": 1}",
		  "'duration_ms' is not a whole number in 1..10000" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1, \"duration_ms\": 1, "
		  "\"read_len\": 1048577, \"depth\": 1}",
		  "'read_len' is not a whole number in 1..1048576" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1, \"duration_ms\": 1, "
		  "\"read_len\": 1, \"depth\": 65}",
		  "'depth' is not a whole number in 1..64" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1, \"duration_ms\": 1, "
		  "\"read_len\": 1, \"depth\": 1, \"members\": []}",
		  "'members' is not a list of 1 to 64" },
		{ "{\"protocol\": 1, \"command\": \"mesh\", \"bytes\": 1, \"duration_ms\": 1, "
		  "\"read_len\": 1, \"depth\": 1, \"members\": "
		  "[\"0123456789012345678901234567890123456789012345678901234567890123\"]}",
		  "'members' is not a text of at most 63" },
		{ "{\"protocol\": 1, \"command\": \"\\u0000\"}", "not a JSON object" },
		{ "{\"protocol\": 1, \"command\": \"\xff\"}", "not a JSON object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct control_request request = { .command = CONTROL_FLUSH, .timeout_ms = 77 };
		char problem[CONTROL_PROBLEM_MAX];

		assert_int_equal(control_request_decode(rows[i].line, strlen(rows[i].line),
							&request, problem, sizeof(problem)),
				 -EINVAL);
		if (!strstr(problem, rows[i].problem))
			fail_msg("%s: %s", rows[i].line, problem);
		assert_int_equal(request.timeout_ms, 77);
	}
}

static void test_request_decode__too_long__is_refused(void **state)
{
	static char line[CONTROL_REQUEST_MAX + 1];
	char problem[CONTROL_PROBLEM_MAX];
	struct control_request request;

	(void)state;
	memset(line, ' ', sizeof(line));
	assert_int_equal(
		control_request_decode(line, sizeof(line), &request, problem, sizeof(problem)),
		-EINVAL);
	assert_non_null(strstr(problem, "too long"));
}

static void test_request_encode__does_not_fit_or_is_no_text__is_nothing(void **state)
{
	struct control_request request = { .command = CONTROL_LOCATE };
	char line[CONTROL_REQUEST_MAX];

	(void)state;
	memset(request.path, 'a', CONTROL_PATH_MAX - 1);
	assert_true(control_request_encode(&request, line) > CONTROL_PATH_MAX);
	/* each becomes six */
	memset(request.path, 1, CONTROL_PATH_MAX - 1);
	assert_int_equal(control_request_encode(&request, line), 0);
	strcpy(request.path, "/a/\xff");
	assert_int_equal(control_request_encode(&request, line), 0);
}

static void test_request_encode__most_members__does_not_fit(void **state)
{
	static struct control_request request = {
		.command = CONTROL_MESH,
		.mesh = { .bytes = 1,
			  .duration_ms = 1,
			  .read_len = 1,
			  .depth = 1,
			  .member_count = CONTROL_MESH_MEMBERS_MAX },
	};
	char line[CONTROL_REQUEST_MAX];

	(void)state;
	/* as ids they do, as the longest of names they do not */
	for (unsigned i = 0; i < CONTROL_MESH_MEMBERS_MAX; i++)
		memset(request.mesh.members[i], 'a', 32);
	assert_true(control_request_encode(&request, line) > 0);
	for (unsigned i = 0; i < CONTROL_MESH_MEMBERS_MAX; i++)
		memset(request.mesh.members[i], 'a', CONTROL_MEMBER_MAX - 1);
	assert_int_equal(control_request_encode(&request, line), 0);
}

static void test_call__request_too_long__says_so(void **state)
{
	struct control_request request = { .command = CONTROL_LOCATE };
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result;

	(void)state;
	memset(request.path, 1, CONTROL_PATH_MAX - 1);
	assert_int_equal(
		control_call("/nonexistent", &request, 1000, &result, problem, sizeof(problem)),
		-E2BIG);
	assert_non_null(strstr(problem, "longer than a request may be"));
}

/* Takes @line. */
static int decode(char *line, json_t **out_result, char *problem)
{
	size_t len;
	int error;

	assert_non_null(line);
	len = strlen(line);
	assert_int_equal(line[len - 1], '\n');
	error = control_answer_decode(line, len - 1, out_result, problem, CONTROL_PROBLEM_MAX);
	free(line);
	return error;
}

static void test_answer_decode__ok__gives_the_result(void **state)
{
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result;

	(void)state;
	assert_int_equal(decode(control_answer_ok(json_pack("{s:i}", "x", 5)), &result, problem),
			 0);
	assert_int_equal(json_integer_value(json_object_get(result, "x")), 5);
	json_decref(result);
}

static void test_answer_decode__error__gives_code_and_message(void **state)
{
	static const int rows[][2] = { { -EINVAL, -EINVAL },
				       { -ETIMEDOUT, -ETIMEDOUT },
				       { -ENOMEM, -ENOMEM },
				       { -EXDEV, -EIO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[CONTROL_PROBLEM_MAX];
		json_t *result = NULL;

		assert_int_equal(
			decode(control_answer_error(rows[i][0], "no \"way\""), &result, problem),
			rows[i][1]);
		assert_non_null(strstr(problem, "no \"way\""));
		assert_null(result);
	}
}

static void test_answer_error__message_that_is_no_text__is_still_an_answer(void **state)
{
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result = NULL;

	(void)state;
	assert_int_equal(decode(control_answer_error(-EINVAL, "\xff\xfe"), &result, problem),
			 -EINVAL);
	assert_non_null(strstr(problem, "not UTF-8"));
}

static void test_answer_decode__nonsense__is_eproto(void **state)
{
	static const char *const rows[] = {
		"",	      "x",
		"[]",	      "{}",
		"{\"ok\":1}", "{\"ok\":true}",
		"null",	      "{\"ok\":false,\"message\":4}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		char problem[CONTROL_PROBLEM_MAX];
		json_t *result = NULL;

		assert_int_equal(control_answer_decode(rows[i], strlen(rows[i]), &result, problem,
						       sizeof(problem)),
				 -EPROTO);
		assert_null(result);
	}
}

static void test_socket_path__too_long__says_the_limit(void **state)
{
	char run_dir[200], path[256], problem[CONTROL_PROBLEM_MAX];

	(void)state;
	memset(run_dir, 'a', sizeof(run_dir));
	run_dir[sizeof(run_dir) - 1] = '\0';
	assert_int_equal(control_socket_path(run_dir, path, sizeof(path), problem, sizeof(problem)),
			 -ENAMETOOLONG);
	assert_non_null(strstr(problem, "node.run_dir"));
	assert_int_equal(
		control_socket_path("/run/x", path, sizeof(path), problem, sizeof(problem)), 0);
	assert_string_equal(path, "/run/x/control");
}

static void test_call__nobody_there__says_how_to_start(void **state)
{
	const struct control_request request = { .command = CONTROL_STATUS };
	char problem[CONTROL_PROBLEM_MAX];
	json_t *result;

	(void)state;
	assert_int_equal(
		control_call("/nonexistent", &request, 1000, &result, problem, sizeof(problem)),
		-ENOENT);
	assert_non_null(strstr(problem, "/nonexistent/control"));
	assert_non_null(strstr(problem, "cenoted --config"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_decode__what_encode_writes__is_the_same),
		cmocka_unit_test(test_request_decode__malformed__says_what_is_wrong),
		cmocka_unit_test(test_request_decode__too_long__is_refused),
		cmocka_unit_test(test_request_encode__does_not_fit_or_is_no_text__is_nothing),
		cmocka_unit_test(test_request_encode__most_members__does_not_fit),
		cmocka_unit_test(test_call__request_too_long__says_so),
		cmocka_unit_test(test_answer_decode__ok__gives_the_result),
		cmocka_unit_test(test_answer_decode__error__gives_code_and_message),
		cmocka_unit_test(test_answer_error__message_that_is_no_text__is_still_an_answer),
		cmocka_unit_test(test_answer_decode__nonsense__is_eproto),
		cmocka_unit_test(test_socket_path__too_long__says_the_limit),
		cmocka_unit_test(test_call__nobody_there__says_how_to_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
