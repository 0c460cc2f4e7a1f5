/*
 * Tests of transport.h: what curl's errors become. (A certificate that does not verify, against a
 * real TLS server, is an integration test.)
 */
#include "s3/engine/transport.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_transport_status__rows(void **state)
{
	static const struct {
		CURLcode code;
		const char *curl_error;
		enum status_class class;
		int error;
		const char *problem;
	} rows[] = {
		{ CURLE_COULDNT_CONNECT, "x", STATUS_RETRY, -ETIMEDOUT,
		  "cannot connect to h:1: x" },
		{ CURLE_COULDNT_RESOLVE_HOST, "no h", STATUS_RETRY, -ETIMEDOUT,
		  "cannot resolve h:1: no h" },
		{ CURLE_OPERATION_TIMEDOUT, "", STATUS_RETRY, -ETIMEDOUT,
		  "cannot connect to h:1: no answer in time" },
		{ CURLE_GOT_NOTHING, "", STATUS_RETRY, -ETIMEDOUT,
		  "h:1 closed the connection without an answer" },
		{ CURLE_PARTIAL_FILE, "9 left", STATUS_RETRY, -ETIMEDOUT,
		  "truncated answer from h:1: 9 left" },
		{ CURLE_RECV_ERROR, "gone", STATUS_RETRY, -ETIMEDOUT,
		  "connection to h:1 broke off: gone" },
		{ CURLE_SEND_ERROR, "gone", STATUS_RETRY, -ETIMEDOUT,
		  "connection to h:1 broke off: gone" },
		{ CURLE_SSL_CONNECT_ERROR, "version", STATUS_RETRY, -ETIMEDOUT,
		  "TLS with h:1: version" },
		{ CURLE_PEER_FAILED_VERIFICATION, "no name matches", STATUS_FINAL, -EIO,
		  "TLS: certificate verify failed: no name matches" },
		{ CURLE_WEIRD_SERVER_REPLY, "", STATUS_FINAL, -EPROTO, "does not speak HTTP" },
		{ CURLE_UNSUPPORTED_PROTOCOL, "", STATUS_FINAL, -EPROTO, "does not speak HTTP" },
		{ CURLE_OUT_OF_MEMORY, "", STATUS_FINAL, -ENOMEM, "out of memory" },
		{ CURLE_SSL_CACERT_BADFILE, "bad file", STATUS_FINAL, -EIO,
		  "h:1: bad file (curl 77)" },
		{ CURLE_URL_MALFORMAT, "", STATUS_FINAL, -EIO, "(curl 3)" },
	};

	(void)state;
	transport_global_init();
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		CURL *easy = curl_easy_init();
		char problem[S3_PROBLEM_MAX];
		struct status status = transport_status(
			easy, rows[i].code, "h:1", rows[i].curl_error, problem, sizeof(problem));
		assert_int_equal(status.class, rows[i].class);
		assert_int_equal(status.error, rows[i].error);
		assert_non_null(strstr(problem, rows[i].problem));
		curl_easy_cleanup(easy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transport_status__rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
