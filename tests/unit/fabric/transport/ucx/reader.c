/*
 * Tests of the reader's side against a raw UCP owner that answers what it likes: only what was
 * asked for lands, where it was asked for, once.
 */
#include "tests/unit/fabric/transport/ucx/rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/base/allocation_fault.h"

#define OWNER_TOKEN UINT64_C(0xfeedfacecafebeef)
#define ASKED	    256

static struct transport reader;
static struct raw owner;
static struct transport_link *link;
static uint64_t reader_token;

static void welcome_reader(unsigned depth)
{
	struct ucx_welcome welcome = { .token = OWNER_TOKEN,
				       .eager_max = UCX_EAGER_MAX,
				       .depth = depth,
				       .region_count = 1,
				       .regions = { { 0, RIG_REGION_LEN } } };
	uint8_t bytes[UCX_WELCOME_LEN_MAX];
	struct ucx_hello hello;
	size_t len;

	rig_wait(&owner.came[UCX_HELLO], 1, "HELLO");
	assert_int_equal(ucx_hello_decode(owner.last[UCX_HELLO], owner.last_len[UCX_HELLO], &hello),
			 0);
	assert_memory_equal(hello.proof, rig_proof, sizeof(rig_proof));
	reader_token = welcome.to = hello.token;
	len = ucx_welcome_encode(&welcome, bytes);
	raw_say(&owner, UCX_WELCOME, NULL, 0, bytes, len, UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&reader.ups, 1, "the connection");
}

static void connect_reader(void)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint8_t offer[TRANSPORT_OFFER_MAX];
	int len = raw_listen(&owner, offer);
	struct address greeted = { 0 };

	assert_int_equal(transport_ucx_ops.connect(reader.backend, &greeted, offer, (size_t)len,
						   rig_proof, &link, problem, sizeof(problem)),
			 0);
	link->peer = (struct transport_peer *)&reader;
}

static int setup(void **state)
{
	const struct transport_config config = rig_config();

	(void)state;
	rig_open(&reader, &config, false);
	raw_open(&owner);
	connect_reader();
	return 0;
}

static int setup_up(void **state)
{
	int error = setup(state);

	if (!error)
		welcome_reader(64);
	return error;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&reader);
	raw_close(&owner);
	return 0;
}

/* A read, and what it asked for. */
static struct ucx_request begin(struct rig_read *read)
{
	struct ucx_request requests[UCX_REQUESTS_MAX];
	unsigned before = owner.came[UCX_READ];

	assert_int_equal(rig_read(read, &reader, link, 4096, ASKED, 0), 0);
	rig_wait(&owner.came[UCX_READ], before + 1, "READ");
	assert_true(ucx_to(owner.last[UCX_READ], owner.last_len[UCX_READ]) == OWNER_TOKEN);
	assert_int_equal(ucx_read_decode(owner.last[UCX_READ], owner.last_len[UCX_READ], requests),
			 1);
	assert_true(requests[0].region == 0 && requests[0].off == 4096 && requests[0].len == ASKED);
	return requests[0];
}

static void answer_to(uint64_t to, uint32_t id, uint32_t said_len, int32_t status,
		      const void *bytes, size_t len, unsigned flags)
{
	uint8_t head[UCX_ANSWER_HEAD_LEN + UCX_PIECE_LEN];
	const struct ucx_piece piece = { id, said_len, status };
	size_t used = ucx_answer_begin(to, head);

	used += ucx_answer_add(head, &piece);
	raw_say(&owner, UCX_ANSWER, head, used, bytes, len, flags);
}

static void answer(uint32_t id, const void *bytes, size_t len)
{
	answer_to(reader_token, id, (uint32_t)len, 0, bytes, len, UCP_AM_SEND_FLAG_REPLY);
}

static void assert_untouched(void)
{
	for (size_t i = 0; i < RIG_REGION_LEN; i++)
		assert_int_equal(reader.landing.base[i], 0);
}

static uint8_t wrong[2 * ASKED], right[ASKED];

static void fill(void)
{
	memset(wrong, 0xee, sizeof(wrong));
	for (size_t i = 0; i < ASKED; i++)
		right[i] = rig_byte(4096 + i);
}

static void test_answer__of_what_was_asked__lands(void **state)
{
	struct rig_read read = { .dones = 0 };

	(void)state;
	fill();
	answer(begin(&read).id, right, ASKED);
	rig_wait(&read.dones, 1, "the read");
	assert_int_equal(read.read.status, 0);
	assert_true(rig_read_right(&read));
	assert_int_equal(reader.moves, 1);
}

static void test_answer__with_an_id_that_is_none__is_dropped_and_counted(void **state)
{
	static const uint32_t changes[] = { 1, 63, 64, 0xffff, 0x10000, 0x80000000, 0x10001 };
	struct rig_read read = { .dones = 0 };
	uint32_t id;

	(void)state;
	fill();
	id = begin(&read).id;
	for (unsigned i = 0; i < ARRAY_COUNT(changes); i++) {
		answer(id ^ changes[i], wrong, ASKED);
		rig_wait_counted(&reader, TRANSPORT_FORGED, i + 1);
	}
	assert_int_equal(read.dones, 0);
	assert_int_equal(reader.moves, 0);
	assert_untouched();
	answer(id, right, ASKED);
	rig_wait(&read.dones, 1, "the read");
	assert_true(rig_read_right(&read));
}

static void test_answer__twice__lands_once(void **state)
{
	static struct rig_read read, next;
	uint32_t id;

	(void)state;
	fill();
	id = begin(&read).id;
	answer(id, right, ASKED);
	rig_wait(&read.dones, 1, "the read");
	answer(id, wrong, ASKED);
	rig_wait_counted(&reader, TRANSPORT_FORGED, 1);
	assert_true(rig_read_right(&read));
	/* the place is used again, under another id */
	assert_int_not_equal(begin(&next).id, id);
	answer(id, wrong, ASKED);
	rig_wait_counted(&reader, TRANSPORT_FORGED, 2);
	assert_int_equal(next.dones, 0);
	assert_true(rig_read_right(&read));
}

static void test_answer__of_another_length__ends_the_read_and_writes_nothing(void **state)
{
	static const size_t lens[] = { 1, ASKED - 1, ASKED + 1, sizeof(wrong) };

	(void)state;
	fill();
	for (unsigned i = 0; i < ARRAY_COUNT(lens); i++) {
		struct rig_read read = { .dones = 0 };

		answer(begin(&read).id, wrong, lens[i]);
		rig_wait(&read.dones, 1, "the read");
		assert_int_equal(read.read.status, -EIO);
		assert_int_equal(reader.counted[TRANSPORT_FORGED], i + 1);
	}
	assert_untouched();
}

/* UCX would have to write the destination for that. */
static void test_answer__by_rendezvous__is_dropped_and_counted(void **state)
{
	static struct rig_read read; /* in flight until the end */

	(void)state;
	fill();
	answer_to(reader_token, begin(&read).id, ASKED, 0, right, ASKED,
		  UCP_AM_SEND_FLAG_REPLY | UCP_AM_SEND_FLAG_RNDV);
	rig_wait_counted(&reader, TRANSPORT_FORGED, 1);
	rig_pump_for(10 * NS_PER_MS);
	assert_int_equal(read.dones, 0);
	assert_untouched();
}

static void test_answer__for_another_session__is_dropped_and_counted(void **state)
{
	static struct rig_read read; /* in flight until the end */
	uint32_t id;

	(void)state;
	fill();
	id = begin(&read).id;
	answer_to(reader_token ^ UINT64_C(1) << 40, id, ASKED, 0, wrong, ASKED,
		  UCP_AM_SEND_FLAG_REPLY);
	rig_wait_counted(&reader, TRANSPORT_FORGED, 1);
	answer_to(reader_token, id, ASKED, 0, wrong, ASKED, 0); /* from nowhere */
	rig_wait_counted(&reader, TRANSPORT_FORGED, 2);
	assert_int_equal(read.dones, 0);
	assert_untouched();
}

static void test_answer__whose_pieces_are_not_its_bytes__ends_the_connection(void **state)
{
	struct rig_read read = { .dones = 0 };

	(void)state;
	fill();
	answer_to(reader_token, begin(&read).id, ASKED, 0, wrong, ASKED + 1,
		  UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&reader.downs, 1, "the end of the connection");
	assert_int_equal(reader.down_status, -EPROTO);
	assert_int_equal(read.dones, 1);
	assert_int_equal(read.read.status, -ECONNRESET);
	assert_untouched();
}

static void test_answer__with_a_status__is_the_reads(void **state)
{
	struct rig_read read = { .dones = 0 };

	(void)state;
	answer_to(reader_token, begin(&read).id, 0, -ERANGE, NULL, 0, UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&read.dones, 1, "the read");
	assert_int_equal(read.read.status, -ERANGE);
	assert_int_equal(reader.counted[TRANSPORT_FORGED], 0);
}

static void test_read__of_a_passive_side__is_a_breach(void **state)
{
	const struct ucx_request request = { 1, 0, 0, 16 };
	uint8_t bytes[UCX_READ_HEAD_LEN + UCX_REQUEST_LEN];

	(void)state;
	ucx_read_begin(reader_token, bytes);
	ucx_read_add(bytes, &request);
	raw_say(&owner, UCX_READ, NULL, 0, bytes, sizeof(bytes), UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&reader.downs, 1, "the end of the connection");
	assert_int_equal(reader.counted[TRANSPORT_FORGED], 1);
	assert_int_equal(owner.came[UCX_ANSWER], 0);
}

static void test_refusal__its_text_and_status__are_told(void **state)
{
	struct ucx_refusal refusal = { .status = -EBUSY, .text = "no room at all" };
	uint8_t bytes[UCX_REFUSAL_LEN_MAX];
	struct ucx_hello hello;
	size_t len;

	(void)state;
	rig_wait(&owner.came[UCX_HELLO], 1, "HELLO");
	ucx_hello_decode(owner.last[UCX_HELLO], owner.last_len[UCX_HELLO], &hello);
	refusal.to = hello.token;
	len = ucx_refusal_encode(&refusal, bytes);
	raw_say(&owner, UCX_REFUSAL, NULL, 0, bytes, len, UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&reader.downs, 1, "the refusal");
	assert_int_equal(reader.down_status, -EBUSY);
	assert_string_equal(reader.down_why, "refused: no room at all");
	assert_int_equal(reader.ups, 0);
}

static void test_disconnect__of_one_that_is_never_welcome__ends_soon(void **state)
{
	(void)state;
	rig_wait(&owner.came[UCX_HELLO], 1, "HELLO");
	transport_ucx_ops.disconnect(link);
	rig_wait(&reader.downs, 1, "the end");
	assert_int_equal(reader.ups, 0);
	rig_wait(&owner.errors, 1, "the end on the other side");
}

/* The owner's word on how much it takes is kept, whatever we would like. */
static void test_read__beyond_the_owners_depth__waits_for_a_place(void **state)
{
	struct rig_read reads[5] = { 0 };
	struct ucx_request requests[UCX_REQUESTS_MAX];

	(void)state;
	fill();
	welcome_reader(4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_read(&reads[i], &reader, link, 4096, ASKED, i * (size_t)ASKED),
				 0);
	assert_int_equal(rig_read(&reads[4], &reader, link, 4096, ASKED, (size_t)4 * ASKED),
			 -EAGAIN);
	rig_wait(&owner.came[UCX_READ], 1, "READ");
	assert_int_equal(ucx_read_decode(owner.last[UCX_READ], owner.last_len[UCX_READ], requests),
			 4);
	answer(requests[2].id, right, ASKED);
	rig_wait(&reads[2].dones, 1, "the third read");
	assert_int_equal(rig_read(&reads[4], &reader, link, 4096, ASKED, (size_t)4 * ASKED), 0);
	transport_ucx_ops.disconnect(link);
	rig_wait(&reader.downs, 1, "the end");
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(reads[i].dones, 1);
		assert_int_equal(reads[i].read.status, i == 2 ? 0 : -ECONNRESET);
	}
}

/* None of its slices is under way then: nobody but the link's end can tell of it. */
static void test_read__no_memory_to_ask_for_its_rest__ends_with_the_link(void **state)
{
	const size_t len = UCX_EAGER_MAX + ASKED;
	struct ucx_request requests[UCX_REQUESTS_MAX];
	uint8_t *bytes = calloc(1, UCX_EAGER_MAX);
	struct rig_read read = { .dones = 0 };

	(void)state;
	assert_non_null(bytes);
	welcome_reader(1);
	assert_int_equal(rig_read(&read, &reader, link, 0, len, 0), 0);
	rig_wait(&owner.came[UCX_READ], 1, "READ");
	assert_int_equal(ucx_read_decode(owner.last[UCX_READ], owner.last_len[UCX_READ], requests),
			 1);
	ucx_backend_trim(reader.backend); /* so that the next frame is allocated */
	reader.backend->frame_count = 0;
	allocation_fault_arm(1);
	answer_to(reader_token, requests[0].id, requests[0].len, 0, bytes, requests[0].len,
		  UCP_AM_SEND_FLAG_EAGER | UCP_AM_SEND_FLAG_REPLY);
	rig_wait(&read.dones, 1, "the read");
	assert_true(allocation_fault_disarm());
	assert_int_equal(read.read.status, -ECONNRESET);
	rig_wait(&reader.downs, 1, "the end of the connection");
	assert_int_equal(read.dones, 1);
	free(bytes);
}

int main(void)
{
#define READER_TEST(test) cmocka_unit_test_setup_teardown(test, setup_up, teardown)
	const struct CMUnitTest tests[] = {
		READER_TEST(test_answer__of_what_was_asked__lands),
		READER_TEST(test_answer__with_an_id_that_is_none__is_dropped_and_counted),
		READER_TEST(test_answer__twice__lands_once),
		READER_TEST(test_answer__of_another_length__ends_the_read_and_writes_nothing),
		READER_TEST(test_answer__by_rendezvous__is_dropped_and_counted),
		READER_TEST(test_answer__for_another_session__is_dropped_and_counted),
		READER_TEST(test_answer__whose_pieces_are_not_its_bytes__ends_the_connection),
		READER_TEST(test_answer__with_a_status__is_the_reads),
		READER_TEST(test_read__of_a_passive_side__is_a_breach),
		cmocka_unit_test_setup_teardown(test_refusal__its_text_and_status__are_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_disconnect__of_one_that_is_never_welcome__ends_soon, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_read__beyond_the_owners_depth__waits_for_a_place, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_read__no_memory_to_ask_for_its_rest__ends_with_the_link, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
