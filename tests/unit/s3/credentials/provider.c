/*
 * Tests of where credentials come from and how they are renewed, through a whole client: the server
 * plays the metadata service, the container endpoint and STS, and S3 that checks who asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/unit/s3/support/fixture.h"
#include "tests/unit/s3/support/object.h"

#define ROLES "/latest/meta-data/iam/security-credentials/"

/* What the services do. */
struct services {
	const char *wanted_key;	  /* of requests to S3; others are told ExpiredToken */
	const char *wanted_token; /* NULL: none may be sent */
	unsigned lifetime_s;	  /* of credentials handed out */
	int imds_status, sts_status;
	const char *sts_code;
	bool hang;
	_Atomic unsigned handed_out;
	_Atomic unsigned refused;
	char authorization[256]; /* header that the container endpoint saw */
	char sts_body[16384];
};

static void format_expiration(unsigned lifetime_s, char *out, size_t size)
{
	time_t time = (time_t)(clock_wall_ns(clock_system()) / (int64_t)NS_PER_S) + lifetime_s;
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void send_json(struct http_exchange *exchange, struct services *services)
{
	char expiration[64], body[512];
	unsigned number = atomic_fetch_add(&services->handed_out, 1) + 1;

	format_expiration(services->lifetime_s, expiration, sizeof(expiration));
	int len = snprintf(body, sizeof(body),
			   "{\"Code\": \"Success\", \"AccessKeyId\": \"SERVICEKEY%u\", "
			   "\"SecretAccessKey\": \"geheim\", \"Token\": \"token%u\", "
			   "\"Expiration\": \"%s\"}",
			   number, number, expiration);
	http_answer(exchange, 200, "", body, (size_t)len);
}

static void serve_imds(struct http_exchange *exchange, struct services *services)
{
	char header[64];

	if (services->imds_status) {
		http_answer(exchange, services->imds_status, "", "", 0);
	} else if (!strcmp(exchange->method, "PUT")) {
		CHECK(http_header(exchange, "X-aws-ec2-metadata-token-ttl-seconds", header,
				  sizeof(header)));
		http_answer(exchange, 200, "", "imds-token", 10);
	} else {
		CHECK(http_header(exchange, "X-aws-ec2-metadata-token", header, sizeof(header)));
		CHECK(!strcmp(header, "imds-token"));
		if (!strcmp(exchange->target, ROLES))
			http_answer(exchange, 200, "", "my-role\nother", 13);
		else if (!strcmp(exchange->target, ROLES "my-role"))
			send_json(exchange, services);
		else
			http_answer(exchange, 404, "", "", 0);
	}
}

static void serve_sts(struct http_exchange *exchange, struct services *services)
{
	char expiration[64], body[1024];
	int len;

	snprintf(services->sts_body, sizeof(services->sts_body), "%s", exchange->body);
	if (services->sts_status) {
		len = snprintf(body, sizeof(body),
			       "<ErrorResponse><Error><Code>%s</Code></Error></ErrorResponse>",
			       services->sts_code);
		http_answer(exchange, services->sts_status, "", body, (size_t)len);
		return;
	}
	unsigned number = atomic_fetch_add(&services->handed_out, 1) + 1;
	format_expiration(services->lifetime_s, expiration, sizeof(expiration));
	len = snprintf(body, sizeof(body),
		       "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>"
		       "<Credentials><AccessKeyId>SERVICEKEY%u</AccessKeyId><SecretAccessKey>geheim"
		       "</SecretAccessKey><SessionToken>token%u</SessionToken><Expiration>%s"
		       "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
		       "</AssumeRoleWithWebIdentityResponse>",
		       number, number, expiration);
	http_answer(exchange, 200, "", body, (size_t)len);
}

static bool is_welcome(const struct http_exchange *exchange, const struct services *services)
{
	char value[1024] = "", wanted[128];

	bool has_token = http_header(exchange, "x-amz-security-token", value, sizeof(value));
	if (has_token != (services->wanted_token != NULL) ||
	    (has_token && strcmp(value, services->wanted_token) != 0))
		return false;
	bool is_signed = http_header(exchange, "Authorization", value, sizeof(value));
	if (!services->wanted_key)
		return !is_signed;
	CHECK(is_signed);
	CHECK(!strstr(exchange->head, "geheim"));
	CHECK(!has_token || strstr(value, "x-amz-security-token"));
	snprintf(wanted, sizeof(wanted), "Credential=%s/", services->wanted_key);
	return strstr(value, wanted) != NULL;
}

static void serve(struct http_exchange *exchange, void *context)
{
	static const char expired[] = "<Error><Code>ExpiredToken</Code></Error>";
	struct services *services = context;

	if (services->hang && strncmp(exchange->target, "/bucket/", 8) != 0) {
		http_hang(exchange);
	} else if (!strncmp(exchange->target, "/latest/", 8)) {
		serve_imds(exchange, services);
	} else if (!strcmp(exchange->target, "/container")) {
		http_header(exchange, "Authorization", services->authorization,
			    sizeof(services->authorization));
		send_json(exchange, services);
	} else if (!strcmp(exchange->method, "POST")) {
		serve_sts(exchange, services);
	} else if (is_welcome(exchange, services)) {
		object_answer(exchange);
	} else {
		atomic_fetch_add(&services->refused, 1);
		http_answer(exchange, 400, "", expired, strlen(expired));
	}
}

static void clear_environment(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",
		"AWS_PROFILE",
		"AWS_SHARED_CREDENTIALS_FILE",
		"AWS_ROLE_ARN",
		"AWS_ROLE_SESSION_NAME",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_ENDPOINT_URL_STS",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"HOME",
	};
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		unsetenv(names[i]);
}

static char *copy(const char *text)
{
	char *result = strdup(text);
	CHECK(result);
	return result;
}

/* The test's own: a server, what its services do, a client; a file's name; the last problem. */
static struct services services;
static struct fixture fixture;
static bool begun; /* the fixture is there */
static char path[64], problem[S3_PROBLEM_MAX];

static void end(void)
{
	if (begun)
		fixture_fini(&fixture);
	begun = false;
}

/* A server and a config without credentials; no client yet. Those before are gone. */
static void begin(const struct services *wanted, int source)
{
	static const struct step none[SCRIPT_STEPS];
	static struct object unused;

	end();
	clear_environment();
	object_init(&unused, none); /* makes the contents */
	object_fini(&unused);
	services = *wanted;
	fixture_init(&fixture, serve, &services);
	begun = true;
	free(fixture.config.credentials.access_key);
	free(fixture.config.credentials.secret_key);
	fixture.config.credentials.access_key = fixture.config.credentials.secret_key = NULL;
	fixture.config.credentials.source = source;
}

static int setup(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/cenote-credentials-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end();
	unlink(path);
	return 0;
}

static int get_ten_bytes(unsigned deadline_ms)
{
	char dst[10];
	struct s3_get get = { .request = { .bucket = "bucket",
					   .key = "key",
					   .deadline_ns = fixture_deadline(deadline_ms) },
			      .off = 100,
			      .len = sizeof(dst),
			      .dst = dst };
	int status = fixture_get(&fixture, &get);

	if (!status)
		object_check(dst, 100, sizeof(dst));
	memcpy(problem, get.request.problem, S3_PROBLEM_MAX);
	return status;
}

static void expect_get(int status)
{
	assert_int_equal(get_ten_bytes(30000), status);
}

static void expect_identity(const char *wanted)
{
	char identity[256];

	s3_client_identity(fixture.client, identity, sizeof(identity));
	assert_string_equal(identity, wanted);
}

/* No client for a config like that. */
static void expect_refused(const char *wanted)
{
	char why[256] = "";

	assert_int_equal(s3_client_create("x", &fixture.config, clock_system(), &fixture.client,
					  why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, wanted));
}

static void write_file(const char *text)
{
	char temporary[256];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	CHECK(!rename(temporary, path));
}

static void test_environment__keys_and_token__are_used(void **state)
{
	const struct services wanted = { .wanted_key = "ENVIRONMENTKEY", .wanted_token = "tok+/=" };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_AUTO);
	setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENTKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "geheim", 1);
	setenv("AWS_SESSION_TOKEN", "tok+/=", 1);
	fixture_start(&fixture);
	expect_get(0);
	expect_identity("access key ENVI...EY (environment)");
}

static void test_config__before_environment__and_cannot_renew(void **state)
{
	const struct services wanted = { .wanted_key = "CONFIGKEY" };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_AUTO);
	setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENTKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "geheim", 1);
	fixture.config.credentials.access_key = copy("CONFIGKEY");
	fixture.config.credentials.secret_key = copy("geheim");
	fixture_start(&fixture);
	expect_get(0);
	services.wanted_key = "OTHERKEY";
	expect_get(-EACCES);
	assert_string_equal(problem, "400 ExpiredToken");
	assert_int_equal(services.refused, 1);
}

static void test_anonymous__signs_nothing(void **state)
{
	const struct services wanted = { 0 };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_ANONYMOUS);
	fixture_start(&fixture);
	expect_get(0);
	expect_identity("anonymous");
}

static void test_source_named__not_there__is_refused_with_a_reason(void **state)
{
	static const struct {
		int source;
		const char *disabled, *problem;
	} rows[] = {
		{ S3_CREDENTIALS_CONFIG, NULL,
		  "credentials.source = \"config\": credentials.access" },
		{ S3_CREDENTIALS_ENVIRONMENT, NULL, "AWS_ACCESS_KEY_ID" },
		{ S3_CREDENTIALS_FILE, NULL, "AWS_SHARED_CREDENTIALS_FILE and HOME" },
		{ S3_CREDENTIALS_WEB_IDENTITY, NULL, "AWS_WEB_IDENTITY_TOKEN_FILE" },
		{ S3_CREDENTIALS_CONTAINER, NULL, "AWS_CONTAINER_CREDENTIALS_FULL_URI" },
		{ S3_CREDENTIALS_IMDS, "true", "AWS_EC2_METADATA_DISABLED" },
		{ S3_CREDENTIALS_AUTO, "TRUE", "no credentials found" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct services wanted = { 0 };

		begin(&wanted, rows[i].source);
		if (rows[i].disabled)
			setenv("AWS_EC2_METADATA_DISABLED", rows[i].disabled, 1);
		expect_refused(rows[i].problem);
	}
}

static void test_file__profile_and_path__from_config_or_environment(void **state)
{
	(void)state;
	write_file("[default]\naws_access_key_id = DEFAULTKEY\naws_secret_access_key = geheim\n"
		   "[work]\naws_access_key_id = WORKKEY\naws_secret_access_key = geheim\n");
	for (int i = 0; i < 3; i++) {
		const struct services wanted = { .wanted_key = i ? "WORKKEY" : "DEFAULTKEY" };

		begin(&wanted, S3_CREDENTIALS_AUTO);
		if (i == 2) {
			fixture.config.credentials.file = copy(path);
			fixture.config.credentials.profile = copy("work");
		} else {
			setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
			if (i)
				setenv("AWS_PROFILE", "work", 1);
		}
		fixture_start(&fixture);
		expect_get(0);
	}
}

static void test_file__bad__is_refused_at_once(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "[other]\n", "no profile [default]" },
		{ "[default]\naws_access_key_id = X\n", "secret key" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct services wanted = { 0 };

		write_file(rows[i].text);
		begin(&wanted, S3_CREDENTIALS_AUTO);
		fixture.config.credentials.file = copy(path);
		expect_refused(rows[i].problem);
	}
}

static void test_file__rewritten_after_expiry__is_read_again(void **state)
{
	const struct services wanted = { .wanted_key = "OLDKEY" };

	(void)state;
	write_file("[default]\naws_access_key_id = OLDKEY\naws_secret_access_key = geheim\n");
	begin(&wanted, S3_CREDENTIALS_FILE);
	fixture.config.credentials.file = copy(path);
	fixture_start(&fixture);
	expect_get(0);
	write_file("[default]\naws_access_key_id = NEWKEY\naws_secret_access_key = geheim\n");
	services.wanted_key = "NEWKEY";
	expect_get(0);
	assert_int_equal(services.refused, 1);
	assert_int_equal(fixture_counter(&fixture, S3_CREDENTIAL_REFRESHES), 2);
	/* what does not get better by reading again is refused */
	services.wanted_key = "NEVERKEY";
	expect_get(-EACCES);
}

static void use_imds(void)
{
	fixture.config.credentials.imds_endpoint = copy(fixture.endpoint);
}

static void test_imds__role_credentials__are_used(void **state)
{
	const struct services wanted = { .wanted_key = "SERVICEKEY1",
					 .wanted_token = "token1",
					 .lifetime_s = 3600 };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_AUTO);
	use_imds();
	fixture_start(&fixture);
	expect_get(0);
	expect_identity("access key SERV...Y1 (imds)");
	assert_int_equal(services.handed_out, 1);
}

static void test_imds__short_lived__is_renewed_before_the_end(void **state)
{
	const struct services wanted = { .lifetime_s = 2 };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_IMDS);
	use_imds();
	fixture_start(&fixture);
	fixture_wait_counter(&fixture, S3_CREDENTIAL_REFRESHES, 3);
	assert_true(services.handed_out >= 3);
}

static void test_imds__service_says_expired__is_renewed_at_once(void **state)
{
	const struct services wanted = { .wanted_key = "SERVICEKEY2",
					 .wanted_token = "token2",
					 .lifetime_s = 36000 };

	(void)state;
	begin(&wanted, S3_CREDENTIALS_IMDS);
	use_imds();
	fixture_start(&fixture);
	expect_get(0);
	assert_int_equal(services.refused, 1);
	assert_int_equal(services.handed_out, 2);
}

static void test_imds__refuses_or_is_away__requests_say_so(void **state)
{
	static const struct {
		int imds_status;
		bool hang;
		int status;
		const char *problem;
	} rows[] = {
		{ 404, false, -EACCES,
		  "no credentials: the instance metadata service answered 404" },
		{ 503, false, -ETIMEDOUT,
		  "no credentials: the instance metadata service answered 503" },
		{ 0, true, -ETIMEDOUT, "no credentials: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct services wanted = { .imds_status = rows[i].imds_status,
						 .hang = rows[i].hang };

		begin(&wanted, S3_CREDENTIALS_IMDS);
		use_imds();
		fixture_start(&fixture);
		if (rows[i].imds_status)
			fixture_wait_requests(&fixture, 1);
		assert_int_equal(get_ten_bytes(rows[i].status == -EACCES ? 30000 : 500),
				 rows[i].status);
		assert_non_null(strstr(problem, rows[i].problem));
	}
}

static void test_container__full_uri_with_token_file__is_used(void **state)
{
	const struct services wanted = { .wanted_key = "SERVICEKEY1",
					 .wanted_token = "token1",
					 .lifetime_s = 3600 };
	char uri[128];

	(void)state;
	write_file("rotated token\n");
	begin(&wanted, S3_CREDENTIALS_AUTO);
	snprintf(uri, sizeof(uri), "%s/container", fixture.endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	fixture_start(&fixture);
	expect_get(0);
	assert_string_equal(services.authorization, "rotated token");
	expect_identity("access key SERV...Y1 (container)");
}

static void test_container__uri_that_leaves_the_machine_unencrypted__is_refused(void **state)
{
	static const char *const uris[] = { "http://192.0.2.1/x", "http://127.0.0.1@192.0.2.1/x",
					    "http://localhost.example/x", "ftp://127.0.0.1/x",
					    "/relative" };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(uris); i++) {
		const struct services wanted = { 0 };

		begin(&wanted, S3_CREDENTIALS_CONTAINER);
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", uris[i], 1);
		fixture_start(&fixture);
		expect_get(-EACCES);
		assert_non_null(strstr(problem, "neither https:// nor http:// on this machine"));
	}
}

static void test_web_identity__token_from_file__is_exchanged(void **state)
{
	const struct services wanted = { .wanted_key = "SERVICEKEY1",
					 .wanted_token = "token1",
					 .lifetime_s = 3600 };

	(void)state;
	write_file("ey.J+/=\n");
	begin(&wanted, S3_CREDENTIALS_AUTO);
	fixture.config.credentials.sts_endpoint = copy(fixture.endpoint);
	fixture.config.credentials.role_arn = copy("arn:aws:iam::1:role/r");
	fixture.config.credentials.web_identity_token_file = copy(path);
	fixture_start(&fixture);
	expect_get(0);
	assert_string_equal(services.sts_body,
			    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
			    "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=cenote&"
			    "WebIdentityToken=ey.J%2B%2F%3D");
	expect_identity("access key SERV...Y1 (web-identity)");
}

static void test_web_identity__refused__is_eacces_with_the_code(void **state)
{
	const struct services wanted = { .sts_status = 403, .sts_code = "AccessDenied" };

	(void)state;
	write_file("token");
	begin(&wanted, S3_CREDENTIALS_WEB_IDENTITY);
	setenv("AWS_ENDPOINT_URL_STS", fixture.endpoint, 1);
	setenv("AWS_ROLE_ARN", "arn", 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
	fixture_start(&fixture);
	expect_get(-EACCES);
	assert_string_equal(problem, "no credentials: STS answered 403 AccessDenied");
	expect_identity("none yet (web-identity): STS answered 403 AccessDenied");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_environment__keys_and_token__are_used),
		TEST(test_config__before_environment__and_cannot_renew),
		TEST(test_anonymous__signs_nothing),
		TEST(test_source_named__not_there__is_refused_with_a_reason),
		TEST(test_file__profile_and_path__from_config_or_environment),
		TEST(test_file__bad__is_refused_at_once),
		TEST(test_file__rewritten_after_expiry__is_read_again),
		TEST(test_imds__role_credentials__are_used),
		TEST(test_imds__short_lived__is_renewed_before_the_end),
		TEST(test_imds__service_says_expired__is_renewed_at_once),
		TEST(test_imds__refuses_or_is_away__requests_say_so),
		TEST(test_container__full_uri_with_token_file__is_used),
		TEST(test_container__uri_that_leaves_the_machine_unencrypted__is_refused),
		TEST(test_web_identity__token_from_file__is_exchanged),
		TEST(test_web_identity__refused__is_eacces_with_the_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
