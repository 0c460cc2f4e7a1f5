/*
 * Tests of a connection between two backends: reads of all sizes, messages, and its end, after
 * which nobody writes what was lent.
 */
#include "tests/unit/fabric/transport/ucx/rig.h"

#include <errno.h>
#include <string.h>

static struct transport owner, reader;
static struct transport_link *link;

static int setup(void **state)
{
	const struct transport_config config = rig_config();

	(void)state;
	rig_open(&owner, &config, true);
	rig_open(&reader, &config, false);
	link = rig_connect(&reader, &owner);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&reader);
	rig_close(&owner);
	return 0;
}

static void test_read__around_every_border__is_right(void **state)
{
	static const size_t lens[] = {
		1,
		2,
		4095,
		4096,
		4097,
		UCX_GATHERED_MAX - 1,
		UCX_GATHERED_MAX,
		UCX_GATHERED_MAX + 1,
		65536,
		UCX_EAGER_MAX - 1,
		UCX_EAGER_MAX,
		UCX_EAGER_MAX + 1,
		UCX_TCP_FRAME_LEN,
		TRANSPORT_SLICE_LEN_MAX,
		TRANSPORT_SLICE_LEN_MAX + 1,
		RIG_REGION_LEN,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(lens); i++) {
		struct rig_read read = { .dones = 0 };
		size_t off = lens[i] < RIG_REGION_LEN ? RIG_REGION_LEN - lens[i] : 0;

		memset(reader.landing.base, 0, RIG_REGION_LEN);
		assert_int_equal(rig_read(&read, &reader, link, off, lens[i], 0), 0);
		rig_wait(&read.dones, 1, "a read");
		assert_int_equal(read.read.status, 0);
		assert_true(rig_read_right(&read));
		if (lens[i] < RIG_REGION_LEN) /* and not a byte more */
			assert_int_equal(reader.landing.base[lens[i]], 0);
	}
	assert_int_equal(reader.counted[TRANSPORT_FORGED] + owner.counted[TRANSPORT_FORGED], 0);
}

#define MANY 64

static void test_read__many_of_mixed_sizes__are_all_right(void **state)
{
	static const size_t lens[] = { 16, 4096, 40000, 100, 65536, 250000, 9000, 1 };
	struct rig_read reads[MANY] = { 0 };
	int64_t bytes = 0;

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		size_t at = 0;

		for (unsigned i = 0; i < MANY; i++) {
			size_t len = lens[(i + round) % ARRAY_COUNT(lens)];

			assert_int_equal(rig_read(&reads[i], &reader, link,
						  i * UINT64_C(7777) + round, len, at),
					 0);
			at += len;
			bytes += (int64_t)len;
		}
		for (unsigned i = 0; i < MANY; i++) {
			rig_wait(&reads[i].dones, 1, "a read");
			assert_int_equal(reads[i].read.status, 0);
			assert_true(rig_read_right(&reads[i]));
		}
	}
	assert_int_equal(owner.counted[TRANSPORT_SERVED_BYTES], bytes);
}

static void test_read__outside_of_the_region__is_erange_at_once(void **state)
{
	struct rig_read read = { .dones = 0 };

	(void)state;
	assert_int_equal(rig_read(&read, &reader, link, RIG_REGION_LEN, 1, 0), -ERANGE);
	assert_int_equal(rig_read(&read, &reader, link, UINT64_MAX, 2, 0), -ERANGE);
	assert_int_equal(transport_ucx_ops.region_len(link, 0), RIG_REGION_LEN);
	assert_int_equal(transport_ucx_ops.region_len(link, 1), 0);
	assert_int_equal(read.dones, 0);
}

/* Starts reads that are by and by cut into more slices than there are places. */
static void start_long(struct rig_read reads[], unsigned count, size_t len)
{
	for (unsigned i = 0; i < count; i++) {
		reads[i].scribble = true;
		assert_int_equal(rig_read(&reads[i], &reader, link, i * UINT64_C(8), len, i * len),
				 0);
	}
}

/* Fenced at every moment of a transfer, short and long: done() comes once, and what it writes to
   the destination stays. */
static void test_disconnect__at_any_moment__nobody_writes_after_done(void **state)
{
	static const size_t lens[] = { 4096, 60000, 250000, 1000000 };
	static struct rig_read reads[4];

	(void)state;
	for (unsigned moment = 0; moment < 60; moment++) {
		size_t len = lens[moment % ARRAY_COUNT(lens)];

		memset(reads, 0, sizeof(reads));
		start_long(reads, ARRAY_COUNT(reads), len);
		for (unsigned i = 0; i < moment / 2; i++)
			rig_pump();
		unsigned downs = reader.downs;

		transport_ucx_ops.disconnect(link);
		while (reader.downs == downs) /* the owner does nothing meanwhile */
			transport_ucx_ops.poll(reader.backend);
		for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
			assert_int_equal(reads[i].dones, 1);
		rig_pump_for(2 * NS_PER_MS);
		for (size_t i = 0; i < ARRAY_COUNT(reads) * len; i++)
			assert_int_equal(reader.landing.base[i], RIG_SCRIBBLED);
		rig_wait(&owner.downs, downs + 1, "the end on the owner's side");
		link = rig_connect(&reader, &owner);
	}
	assert_int_equal(reader.counted[TRANSPORT_FORGED] + owner.counted[TRANSPORT_FORGED], 0);
}

static void test_disconnect__by_the_owner__ends_the_reads(void **state)
{
	static struct rig_read reads[4];

	(void)state;
	start_long(reads, ARRAY_COUNT(reads), 1000000);
	rig_pump();
	transport_ucx_ops.disconnect(owner.passive);
	rig_wait(&reader.downs, 1, "the end");
	assert_int_equal(reader.down_status, -ECONNRESET);
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++) {
		assert_int_equal(reads[i].dones, 1);
		assert_true(reads[i].read.status == -ECONNRESET || reads[i].read.status == 0);
	}
	rig_pump_for(2 * NS_PER_MS);
	for (size_t i = 0; i < 4000000; i++)
		assert_int_equal(reader.landing.base[i], RIG_SCRIBBLED);
}

static void test_close__with_reads_in_flight__ends_them(void **state)
{
	static struct rig_read reads[4];

	(void)state;
	start_long(reads, ARRAY_COUNT(reads), 1000000);
	for (unsigned i = 0; i < 3; i++)
		rig_pump();
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		reads[i].scribble = false; /* the memory goes with the rig */
	rig_close(&reader);
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(reads[i].dones, 1);
	rig_wait(&owner.downs, 1, "the end on the owner's side");
}

/* Messages. */

struct sent {
	struct transport_message message;
	unsigned dones;
	uint8_t data[TRANSPORT_MESSAGE_MAX];
};

static struct sent sent[64];

static void message_is_done(struct transport_message *message)
{
	CONTAINER_OF(message, struct sent, message)->dones++;
}

static int send_one(struct sent *message, struct transport_link *over, uint8_t number, size_t len)
{
	message->message = (struct transport_message){ .data = message->data,
						       .len = len,
						       .done = message_is_done };
	memset(message->data, number, len);
	int error = transport_ucx_ops.send(over, &message->message);

	if (!error)
		message->dones = 0;
	return error;
}

static unsigned expected;

static void check_message(struct transport *rig, const void *data, size_t len)
{
	(void)rig;
	assert_int_equal(len, expected % 2 ? TRANSPORT_MESSAGE_MAX : 1 + expected);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((const uint8_t *)data)[i], (uint8_t)expected);
	expected++;
}

static void test_send__many_both_ways__arrive_in_order(void **state)
{
	struct transport_link *overs[] = { link, owner.passive };
	struct transport *receivers[] = { &owner, &reader };

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		expected = 0;
		receivers[way]->on_message = check_message;
		for (unsigned i = 0; i < 200; i++) {
			struct sent *message = &sent[i % ARRAY_COUNT(sent)];
			size_t len = i % 2 ? TRANSPORT_MESSAGE_MAX : 1 + i;

			while (send_one(message, overs[way], (uint8_t)i, len) == -EAGAIN)
				rig_pump();
			assert_int_equal(message->message.len, len);
			rig_wait(&message->dones, 1, "the message handed over");
			assert_int_equal(message->message.status, 0);
		}
		rig_wait(&receivers[way]->messages, 200, "the messages");
	}
}

/* The other side takes nothing: a bounded number is taken from us, and what waits ends. */
static void test_send__to_one_that_has_stopped__is_bounded_and_ends(void **state)
{
	unsigned accepted = 0, done = 0;
	uint64_t until_ns;
	int error = 0;

	(void)state;
	until_ns = clock_now_ns(clock_system()) + RIG_PATIENCE_NS;
	/* as long as the kernel's buffers take them, they are sent */
	for (unsigned turned_away = 0; turned_away < 1000;) {
		unsigned place = accepted % ARRAY_COUNT(sent);

		if (accepted < ARRAY_COUNT(sent) || sent[place].dones)
			error = send_one(&sent[place], link, 1, TRANSPORT_MESSAGE_MAX);
		else
			error = -EAGAIN;
		if (error)
			assert_int_equal(error, -EAGAIN);
		accepted += !error;
		turned_away = error ? turned_away + 1 : 0;
		transport_ucx_ops.poll(reader.backend);
		assert_true(clock_now_ns(clock_system()) < until_ns);
	}
	transport_ucx_ops.disconnect(link);
	while (!reader.downs)
		transport_ucx_ops.poll(reader.backend);
	for (unsigned i = 0; i < ARRAY_COUNT(sent); i++)
		done += sent[i].dones;
	assert_true(accepted > ARRAY_COUNT(sent));
	assert_int_equal(done, ARRAY_COUNT(sent));
}

/* More than the kernel's buffers hold is asked for, by one that takes nothing. */
static void test_region_remove__while_it_is_read__ends_the_connection(void **state)
{
	static struct rig_read reads[3];
	const struct ucx_link *passive = CONTAINER_OF(owner.passive, struct ucx_link, link);

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(rig_read(&reads[i], &reader, link, 0, RIG_REGION_LEN, 0), 0);
	while (!passive->answering) {
		transport_ucx_ops.poll(reader.backend);
		transport_ucx_ops.poll(owner.backend);
	}
	owner.regions[0] = NULL;
	transport_ucx_ops.region_remove(owner.backend, &owner.readable);
	memset(owner.readable.base, 0xdd, RIG_REGION_LEN); /* not lent to anybody any more */
	assert_int_equal(owner.downs, 0);		   /* told by poll() alone */
	rig_wait(&owner.downs, 1, "the end on the owner's side");
	rig_wait(&reader.downs, 1, "the end");
	for (unsigned i = 0; i < ARRAY_COUNT(reads); i++)
		assert_int_equal(reads[i].dones, 1);
}

static void test_arm__with_nothing_to_do__sleeps_until_there_is(void **state)
{
	struct rig_read read = { .dones = 0 };

	(void)state;
	rig_pump_for(20 * NS_PER_MS);
	while (transport_ucx_ops.arm(reader.backend))
		transport_ucx_ops.poll(reader.backend);
	assert_true(transport_ucx_ops.event_fd(reader.backend) >= 0);
	assert_true(transport_ucx_ops.next_ns(reader.backend) == CLOCK_NEVER);
	assert_int_equal(rig_read(&read, &reader, link, 0, 10, 0), 0);
	assert_int_equal(transport_ucx_ops.arm(reader.backend), -EAGAIN);
	rig_wait(&read.dones, 1, "the read");
}

/* It can be listened at, but nobody would ever reach us. */
static void test_listen__at_an_address_of_no_interface__says_so(void **state)
{
	uint8_t offer[TRANSPORT_OFFER_MAX];
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct address at;

	(void)state;
	assert_int_equal(address_parse("127.0.0.2:7471", 0, &at, problem, sizeof(problem)), 0);
	assert_int_equal(
		transport_ucx_ops.listen(reader.backend, &at, offer, problem, sizeof(problem)),
		-EADDRNOTAVAIL);
	assert_non_null(strstr(problem, "127.0.0.2:7471, which no interface has"));
}

int main(void)
{
#define SESSION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		SESSION_TEST(test_read__around_every_border__is_right),
		SESSION_TEST(test_read__many_of_mixed_sizes__are_all_right),
		SESSION_TEST(test_read__outside_of_the_region__is_erange_at_once),
		SESSION_TEST(test_disconnect__at_any_moment__nobody_writes_after_done),
		SESSION_TEST(test_disconnect__by_the_owner__ends_the_reads),
		SESSION_TEST(test_close__with_reads_in_flight__ends_them),
		SESSION_TEST(test_send__many_both_ways__arrive_in_order),
		SESSION_TEST(test_send__to_one_that_has_stopped__is_bounded_and_ends),
		SESSION_TEST(test_region_remove__while_it_is_read__ends_the_connection),
		SESSION_TEST(test_arm__with_nothing_to_do__sleeps_until_there_is),
		SESSION_TEST(test_listen__at_an_address_of_no_interface__says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
