/*
 * Tests of the owner's side against raw UCP clients that do what they may not: they get nothing, it
 * is counted, and what has a session of its own goes on.
 */
#include "tests/unit/fabric/transport/ucx/rig.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct transport owner, reader;
static struct raw raw;

static int setup(void **state)
{
	const struct transport_config config = rig_config();

	(void)state;
	rig_open(&owner, &config, true);
	rig_open(&reader, &config, false);
	raw_open(&raw);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	raw_close(&raw);
	rig_close(&reader);
	rig_close(&owner);
	return 0;
}

/* One who behaves still gets what he asks for. */
static void assert_serves(void)
{
	struct transport_link *link = rig_connect(&reader, &owner);
	struct rig_read read = { .dones = 0 };

	assert_int_equal(rig_read(&read, &reader, link, 1000, 5000, 0), 0);
	rig_wait(&read.dones, 1, "an honest read");
	assert_int_equal(read.read.status, 0);
	assert_true(rig_read_right(&read));
}

static void welcome(uint64_t *out_token)
{
	raw_connect(&raw, &owner);
	raw_hello(&raw, rig_proof, out_token);
	assert_int_equal(raw.came[UCX_WELCOME], 1);
}

static void ask(uint64_t to, uint32_t region, uint64_t off, uint32_t len)
{
	const struct ucx_request request = { 0x10001, region, off, len };
	uint8_t bytes[UCX_READ_HEAD_LEN + UCX_REQUEST_LEN];
	size_t used = ucx_read_begin(to, bytes);

	used += ucx_read_add(bytes, &request);
	raw_say(&raw, UCX_READ, NULL, 0, bytes, used, UCP_AM_SEND_FLAG_REPLY);
}

static void test_hello__with_the_proof__is_told_the_readable_region_alone(void **state)
{
	struct ucx_welcome welcome_back;
	uint64_t token;

	(void)state;
	welcome(&token);
	assert_int_equal(
		ucx_welcome_decode(raw.last[UCX_WELCOME], raw.last_len[UCX_WELCOME], &welcome_back),
		0);
	assert_int_equal(welcome_back.region_count, 1);
	assert_int_equal(welcome_back.regions[0].index, 0);
	assert_int_equal(welcome_back.regions[0].len, RIG_REGION_LEN);
	assert_serves();
}

static void test_hello__with_another_proof__is_refused_with_its_reason(void **state)
{
	const uint8_t wrong[TRANSPORT_PROOF_LEN] = "made up";
	struct ucx_refusal refusal;
	uint64_t token = 0;

	(void)state;
	raw_connect(&raw, &owner);
	raw_hello(&raw, wrong, &token);
	assert_int_equal(raw.came[UCX_REFUSAL], 1);
	assert_int_equal(
		ucx_refusal_decode(raw.last[UCX_REFUSAL], raw.last_len[UCX_REFUSAL], &refusal), 0);
	assert_true(refusal.to == RAW_TOKEN && refusal.status == -EACCES);
	assert_string_equal(refusal.text, "the rig says no");
	assert_int_equal(owner.ups + owner.downs, 0);
	owner.ahead_ns += UCX_REFUSING_NS; /* it does not go by itself */
	rig_wait(&raw.errors, 1, "the end of the refused connection");
	assert_serves();
}

static void test_hello__twice__is_dropped_and_counted(void **state)
{
	struct ucx_hello hello = { .token = RAW_TOKEN + 1, .eager_max = 8192 };
	uint8_t bytes[UCX_HELLO_LEN];
	uint64_t token;

	(void)state;
	welcome(&token);
	memcpy(hello.proof, rig_proof, sizeof(hello.proof));
	ucx_hello_encode(&hello, bytes);
	raw_say(&raw, UCX_HELLO, NULL, 0, bytes, sizeof(bytes), UCP_AM_SEND_FLAG_REPLY);
	rig_wait_counted(&owner, TRANSPORT_FORGED, 1);
	assert_int_equal(raw.came[UCX_WELCOME], 1);
	assert_int_equal(owner.accepts, 1);
}

/* Before there is a session: every kind, and kinds that there are not. */
static void test_any_message__before_hello__ends_the_connection_and_is_counted(void **state)
{
	static const struct {
		unsigned id;
		enum transport_counter counted;
	} rows[] = {
		{ UCX_WELCOME, TRANSPORT_FORGED }, { UCX_REFUSAL, TRANSPORT_FORGED },
		{ UCX_READ, TRANSPORT_FORGED },	   { UCX_ANSWER, TRANSPORT_FORGED },
		{ UCX_MESSAGE, TRANSPORT_FORGED }, { UCX_KINDS, TRANSPORT_FOREIGN },
		{ 100, TRANSPORT_FOREIGN },	   { 65535, TRANSPORT_FOREIGN },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		int64_t before = owner.counted[rows[i].counted];

		raw_connect(&raw, &owner);
		raw_say(&raw, rows[i].id, "to whom?", 8, "to whom it may concern", 22,
			UCP_AM_SEND_FLAG_REPLY);
		rig_wait_counted(&owner, rows[i].counted, before + 1);
		rig_wait(&raw.errors, 1, "the end of its connection");
		raw_close(&raw);
		raw_open(&raw);
	}
	assert_int_equal(owner.accepts, 0);
	assert_int_equal(owner.counted[TRANSPORT_SERVED_BYTES], 0);
	assert_serves();
}

static void test_hello__of_something_else__ends_the_connection_and_is_foreign(void **state)
{
	(void)state;
	raw_connect(&raw, &owner);
	raw_say(&raw, UCX_HELLO, NULL, 0, "GET / HTTP/1.1\r\n\r\n", 18, UCP_AM_SEND_FLAG_REPLY);
	rig_wait_counted(&owner, TRANSPORT_FOREIGN, 1);
	rig_wait(&raw.errors, 1, "the end of its connection");
	assert_serves();
}

static void test_connection__that_says_nothing__is_closed_after_a_while(void **state)
{
	(void)state;
	raw_connect(&raw, &owner);
	/* UCX connects in the background: until the owner has seen it */
	while (!owner.backend->unproven_count)
		rig_pump();
	owner.ahead_ns += UCX_UNPROVEN_NS;
	rig_wait_counted(&owner, TRANSPORT_FOREIGN, 1);
	rig_wait(&raw.errors, 1, "the end of its connection");
	assert_int_equal(owner.backend->unproven_count, 0);
	assert_serves();
}

static void test_read__outside_of_what_may_be_read__is_erange_and_counted(void **state)
{
	static const struct {
		uint32_t region;
		uint64_t off;
		uint32_t len;
	} rows[] = {
		{ 0, RIG_REGION_LEN, 1 },	/* behind the end */
		{ 0, RIG_REGION_LEN - 10, 11 }, /* over the end */
		{ 0, UINT64_MAX, 1 },		/* off + len overflows */
		{ 0, UINT64_MAX - 4095, 4096 }, /* to 0 exactly */
		{ 0, UINT64_C(1) << 63, 4096 }, /* negative */
		{ 0, 0, TRANSPORT_SLICE_LEN_MAX + 1 },
		{ 0, 0, UINT32_MAX },
		{ 0, 0, 0 },
		{ 1, 0, 16 }, /* ours to land in, not theirs to read */
		{ 2, 0, 16 }, /* there is none */
		{ TRANSPORT_REGIONS_MAX, 0, 16 },
		{ UINT32_MAX, 0, 16 },
	};
	struct ucx_piece piece[UCX_PIECES_MAX];
	uint64_t token;

	(void)state;
	welcome(&token);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		ask(token, rows[i].region, rows[i].off, rows[i].len);
		rig_wait(&raw.came[UCX_ANSWER], i + 1, "an answer");
		assert_int_equal(raw.payload_len, 0);
		assert_int_equal(ucx_answer_decode(raw.head, raw.head_len, piece), 1);
		assert_true(piece[0].id == 0x10001 && piece[0].status == -ERANGE && !piece[0].len);
		assert_int_equal(owner.counted[TRANSPORT_FORGED], i + 1);
	}
	assert_int_equal(owner.counted[TRANSPORT_SERVED_BYTES], 0);
	ask(token, 0, RIG_REGION_LEN - 16, 16); /* up to the end exactly */
	rig_wait(&raw.came[UCX_ANSWER], ARRAY_COUNT(rows) + 1, "an answer");
	assert_int_equal(raw.payload_len, 16);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(raw.last[UCX_ANSWER][i], rig_byte(RIG_REGION_LEN - 16 + i));
}

static void test_read__with_another_token__is_dropped_and_counted(void **state)
{
	uint64_t token, guesses[4];
	struct transport_link *honest;

	(void)state;
	welcome(&token);
	honest = rig_connect(&reader, &owner);
	guesses[0] = 0;
	guesses[1] = token + 1;
	guesses[2] = token ^ UINT64_C(1) << 63;
	/* the right one, of another session: it came from somewhere else */
	guesses[3] = CONTAINER_OF(owner.passive, struct ucx_link, link)->token;
	assert_non_null(honest);
	for (unsigned i = 0; i < ARRAY_COUNT(guesses); i++) {
		ask(guesses[i], 0, 0, 16);
		rig_wait_counted(&owner, TRANSPORT_FORGED, i + 1);
	}
	assert_int_equal(raw.came[UCX_ANSWER], 0);
	assert_int_equal(owner.downs, 0); /* the other session has done nothing */
}

static void test_read__without_saying_from_where__is_dropped_and_counted(void **state)
{
	uint8_t bytes[UCX_READ_HEAD_LEN + UCX_REQUEST_LEN];
	const struct ucx_request request = { 1, 0, 0, 16 };
	uint64_t token;

	(void)state;
	welcome(&token);
	ucx_read_begin(token, bytes);
	ucx_read_add(bytes, &request);
	raw_say(&raw, UCX_READ, NULL, 0, bytes, sizeof(bytes), 0);
	rig_wait_counted(&owner, TRANSPORT_FORGED, 1);
	assert_int_equal(owner.counted[TRANSPORT_SERVED_BYTES], 0);
}

/* In a session: what breaks the protocol ends it. */
static void test_session__broken_protocol__ends_it(void **state)
{
	static const struct {
		unsigned id;
		size_t len; /* with a valid token in front */
	} rows[] = {
		{ UCX_READ, 10 },
		{ UCX_READ, 31 },
		{ UCX_MESSAGE, UCX_MESSAGE_HEAD_LEN },
		{ UCX_MESSAGE, UCX_MESSAGE_HEAD_LEN + 5 }, /* number 0xabababab, not 0 */
		{ UCX_MESSAGE, UCX_MESSAGE_HEAD_LEN + TRANSPORT_MESSAGE_MAX + 1 },
		{ UCX_ANSWER, 22 },
		{ UCX_WELCOME, 40 },
		{ UCX_REFUSAL, 20 },
	};
	uint8_t bytes[UCX_MESSAGE_HEAD_LEN + TRANSPORT_MESSAGE_MAX + 1];
	uint64_t token;

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		welcome(&token);
		memset(bytes, 0xab, sizeof(bytes));
		ucx_message_begin(token, 0xabababab, bytes);
		if (rows[i].id == UCX_ANSWER)
			raw_say(&raw, UCX_ANSWER, bytes, rows[i].len, "x", 1,
				UCP_AM_SEND_FLAG_REPLY);
		else
			raw_say(&raw, rows[i].id, NULL, 0, bytes, rows[i].len,
				UCP_AM_SEND_FLAG_REPLY);
		rig_wait(&owner.downs, i + 1, "the end of the session");
		assert_int_equal(owner.counted[TRANSPORT_FORGED], i + 1);
		assert_int_equal(owner.messages, 0);
		raw_close(&raw);
		raw_open(&raw);
	}
	assert_serves();
}

static void test_session__more_reads_than_it_may__ends_it(void **state)
{
	uint8_t bytes[UCX_READ_HEAD_LEN + UCX_REQUESTS_MAX * UCX_REQUEST_LEN];
	const struct ucx_request request = { 1, 0, 0, 4096 };
	uint64_t token;

	(void)state;
	owner.config.queue_depth = UCX_REQUESTS_MAX / 2 - 1; /* twice that is still fine */
	welcome(&token);
	ucx_read_begin(token, bytes);
	for (unsigned i = 0; i < UCX_REQUESTS_MAX; i++)
		ucx_read_add(bytes, &request);
	raw_say(&raw, UCX_READ, NULL, 0, bytes, sizeof(bytes), UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&owner.downs, 1, "the end of the session");
	assert_int_equal(owner.counted[TRANSPORT_FORGED], 1);
	assert_int_equal(owner.counted[TRANSPORT_SERVED_BYTES], 0);
	assert_string_equal(owner.down_why, "more reads at once than it may");
	assert_serves();
}

#define PORTS_MAX 16

/* Everything that this process listens at. */
static unsigned all_ports(struct address out[PORTS_MAX])
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024 && count < PORTS_MAX; fd++) {
		socklen_t len = sizeof(out->storage), flag_len = sizeof(int);
		int listening = 0;

		memset(&out[count], 0, sizeof(*out));
		if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &flag_len) &&
		    listening && !getsockname(fd, (struct sockaddr *)&out[count].storage, &len) &&
		    address_len(&out[count]))
			count++;
	}
	return count;
}

static void send_junk(const struct address *to, const void *junk, size_t len)
{
	int fd = socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to->storage, address_len(to)), 0);
	assert_true(send(fd, junk, len, MSG_NOSIGNAL) >= 0);
	rig_pump_for(2 * NS_PER_MS);
	close(fd);
}

/* UCX's own parser would abort the process at some of these: see guard.c. */
static void test_every_port__junk__goes_unheard(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: cenote\r\n\r\n";
	struct address ports[PORTS_MAX];
	unsigned count = all_ports(ports);
	uint8_t junk[4096] = { 0 };
	struct random random;

	(void)state;
	assert_in_range(count, 2, PORTS_MAX); /* the listener, and UCX's tcp itself */
	random_init(&random, 7);
	for (unsigned i = 0; i < count; i++) {
		send_junk(&ports[i], http, sizeof(http) - 1);
		send_junk(&ports[i], junk, sizeof(junk)); /* zeros */
		for (size_t len = 1; len <= sizeof(junk); len *= 4) {
			uint8_t noise[4096];

			for (size_t j = 0; j < len; j++)
				noise[j] = (uint8_t)random_u64(&random);
			send_junk(&ports[i], noise, len);
		}
	}
	rig_pump_for(20 * NS_PER_MS);
	assert_int_equal(owner.accepts, 0);
	assert_serves();
}

int main(void)
{
#define OWNER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		OWNER_TEST(test_hello__with_the_proof__is_told_the_readable_region_alone),
		OWNER_TEST(test_hello__with_another_proof__is_refused_with_its_reason),
		OWNER_TEST(test_hello__twice__is_dropped_and_counted),
		OWNER_TEST(test_any_message__before_hello__ends_the_connection_and_is_counted),
		OWNER_TEST(test_hello__of_something_else__ends_the_connection_and_is_foreign),
		OWNER_TEST(test_connection__that_says_nothing__is_closed_after_a_while),
		OWNER_TEST(test_read__outside_of_what_may_be_read__is_erange_and_counted),
		OWNER_TEST(test_read__with_another_token__is_dropped_and_counted),
		OWNER_TEST(test_read__without_saying_from_where__is_dropped_and_counted),
		OWNER_TEST(test_session__broken_protocol__ends_it),
		OWNER_TEST(test_session__more_reads_than_it_may__ends_it),
		OWNER_TEST(test_every_port__junk__goes_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
