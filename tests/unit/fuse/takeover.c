/*
 * Tests of takeover.h, and of what a mount says to the kernel when it goes on where a former worker
 * was.
 */
#include "fuse/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fuse/kernel.h"

#define HAS_RESEND  (1u << 7)
#define PASSTHROUGH (1u << 5)

static struct kernel kernel;

static int setup_unstarted(void **state)
{
	(void)state;
	kernel_setup(&kernel);
	fake_put(&kernel.rig.fake, "a", 10, "e");
	fake_put(&kernel.rig.fake, "b", 20, "e");
	return 0;
}

static int setup(void **state)
{
	setup_unstarted(state);
	kernel_start(&kernel);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kernel_stop(&kernel);
	return 0;
}

/* That the kernel refers to, without the root. */
static uint64_t nodes(void)
{
	return kernel_counter(&kernel, MOUNT_NODES) - 1;
}

static uint64_t looked_up(const char *name)
{
	struct fuse_entry_out entry;

	assert_int_equal(kernel_lookup(&kernel, 1, name, &entry), 0);
	return entry.nodeid;
}

/* The ledger of the dead worker, as the next one will find it. For ledger_destroy(). */
static struct ledger *ledger_of_the_dead(void)
{
	struct ledger *ledger;

	assert_int_equal(
		ledger_adopt(fcntl(kernel.heritage.kept[0].ledger, F_DUPFD_CLOEXEC, 0), &ledger),
		0);
	return ledger;
}

static void put_into_inbox(unsigned index, const void *message, size_t len)
{
	struct ledger *ledger = ledger_of_the_dead();

	memcpy(ledger_inbox(ledger, index), message, len);
	ledger_destroy(ledger);
}

static void forget_into_inbox(unsigned index, uint64_t node, uint64_t count)
{
	struct {
		struct fuse_in_header header;
		struct fuse_forget_in in;
	} message = { .header = { .len = sizeof(message), .opcode = FUSE_FORGET, .nodeid = node },
		      .in = { .nlookup = count } };

	put_into_inbox(index, &message, sizeof(message));
}

/* --- the dialogue --------------------------------------------------------------------------- */

static void test_take_over__the_kernel_hears_one_resend_and_nothing_else(void **state)
{
	static const uint8_t resend[] = { 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	struct backing *const backings[] = { &kernel.rig.fake.backing };
	struct mount_setup setup = kernel_mount_setup(&kernel, backings, -1);
	uint8_t heard[64];
	char problem[256];

	(void)state;
	kernel_die(&kernel);
	assert_true(kernel_silent(&kernel));
	assert_int_equal(mount_serve(&setup, &kernel.mount, problem, sizeof(problem)), 0);
	assert_int_equal(recv(kernel.fd, heard, sizeof(heard), MSG_DONTWAIT), sizeof(resend));
	assert_memory_equal(heard, resend, sizeof(resend));
	assert_true(kernel_silent(&kernel));
	assert_int_equal(kernel_getattr(&kernel, 1), 0);
}

static void test_take_over__a_request_came_while_nobody_served__is_answered_after_it(void **state)
{
	uint64_t unique;

	(void)state;
	kernel_die(&kernel);
	unique = kernel_send(&kernel, FUSE_STATFS, 1, NULL, 0);
	assert_int_equal(kernel_take_over(&kernel), 0); /* has received the resend first */
	assert_true(kernel_receive(&kernel) == unique);
	assert_int_equal(kernel.reply.header.error, 0);
}

static void test_take_over__a_request_comes_again__is_answered_by_its_new_number(void **state)
{
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_die(&kernel);
	assert_true(kernel_silent(&kernel)); /* not answered with an error */
	assert_int_equal(kernel_take_over(&kernel), 0);
	kernel_send_again(&kernel, unique, FUSE_LOOKUP, 1, "a", 2);
	assert_true(kernel_receive_answering(&kernel) == (unique | CHANNEL_AGAIN));
	assert_int_equal(kernel.reply.header.error, 0);
	assert_true(kernel_silent(&kernel));
}

static void test_take_over__what_came_again_is_interrupted__ends(void **state)
{
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_replace(&kernel);
	kernel_send_again(&kernel, unique, FUSE_LOOKUP, 1, "a", 2);
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_interrupt(&kernel, unique | CHANNEL_AGAIN);
	assert_true(kernel_receive(&kernel) == (unique | CHANNEL_AGAIN));
	assert_int_equal(kernel.reply.header.error, -EINTR);
}

static void test_take_over__twice__goes_on(void **state)
{
	uint64_t node = looked_up("a");

	(void)state;
	kernel_replace(&kernel);
	kernel_replace(&kernel);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
	assert_int_equal(nodes(), 1);
}

static void test_take_over__what_the_first_init_agreed__holds(void **state)
{
	(void)state;
	kernel.init_flags2 = HAS_RESEND | PASSTHROUGH;
	kernel_start(&kernel);
	kernel_replace(&kernel);
	assert_true(channel_passthrough(kernel.mount->channel));
	assert_true(channel_resends(kernel.mount->channel));
}

static void test_take_over__what_the_first_init_did_not_offer__is_not_used(void **state)
{
	(void)state;
	kernel.init_flags2 = HAS_RESEND;
	kernel_start(&kernel);
	kernel_replace(&kernel);
	assert_false(channel_passthrough(kernel.mount->channel));
}

/* --- leftovers ------------------------------------------------------------------------------ */

static void test_take_over__a_forget_was_read_and_not_done__is_done(void **state)
{
	uint64_t a = looked_up("a"), b = looked_up("b");

	(void)state;
	kernel_die(&kernel);
	forget_into_inbox(LEDGER_INBOXES - 1, a, 1); /* of more threads than the next one has */
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(nodes(), 1);
	assert_int_equal(kernel_getattr(&kernel, a), -ESTALE);
	assert_int_equal(kernel_getattr(&kernel, b), 0);
}

static void test_take_over__a_forget_was_done__is_not_done_again(void **state)
{
	uint64_t node = looked_up("a");

	(void)state;
	assert_true(looked_up("a") == node);
	kernel_forget(&kernel, node, 1);
	assert_int_equal(kernel_getattr(&kernel, node), 0); /* by one of two threads: */
	assert_int_equal(kernel_getattr(&kernel, node), 0);
	kernel_replace(&kernel);
	kernel_replace(&kernel);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
	kernel_forget(&kernel, node, 1);
	kernel_replace(&kernel);
	kernel_await_gone(&kernel, node);
}

static void test_take_over__garbage_in_the_inboxes__is_ignored(void **state)
{
	uint64_t node = looked_up("a");
	struct fuse_in_header header = { .len = UINT32_MAX,
					 .opcode = FUSE_BATCH_FORGET,
					 .nodeid = node };
	char noise[LEDGER_INBOX_LEN];

	(void)state;
	kernel_die(&kernel);
	memset(noise, 0xa5, sizeof(noise));
	for (unsigned i = 0; i < LEDGER_INBOXES; i++)
		put_into_inbox(i, noise, sizeof(noise));
	put_into_inbox(0, &header, sizeof(header));
	header.len = sizeof(header);
	put_into_inbox(1, &header, sizeof(header));
	header.opcode = FUSE_RELEASE;
	put_into_inbox(2, &header, sizeof(header));
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
}

/* --- the board ------------------------------------------------------------------------------ */

static const struct board_request *on_board(uint64_t unique)
{
	for (unsigned i = 0; i < BOARD_REQUESTS; i++)
		if (atomic_load(&kernel.board->requests[i].unique) == unique)
			return &kernel.board->requests[i];
	return NULL;
}

static void test_board__a_request_waits__is_there_until_its_reply(void **state)
{
	uint64_t before_ns = clock_now_ns(clock_system()),
		 own_ns = kernel.rig.config.lookup_timeout;
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2), after_ns;
	const struct board_request *request;

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	after_ns = clock_now_ns(clock_system());
	request = on_board(unique);
	assert_non_null(request);
	assert_int_equal(request->opcode, FUSE_LOOKUP);
	assert_true(request->deadline_ns >= before_ns + own_ns);
	assert_true(request->deadline_ns <= after_ns + own_ns);
	assert_true(kernel_receive_answering(&kernel) == unique);
	mount_stop(kernel.mount, 0); /* the thread that replied is behind that */
	assert_null(on_board(unique));
}

static void test_board__refused_and_unknown_requests__vanish_too(void **state)
{
	(void)state;
	assert_int_equal(kernel_ask(&kernel, FUSE_BMAP, 1, NULL, 0), -ENOSYS);
	channel_refuse(kernel.mount->channel);
	assert_int_equal(kernel_ask(&kernel, FUSE_STATFS, 1, NULL, 0), -ENOTCONN);
	mount_stop(kernel.mount, 0);
	for (unsigned i = 0; i < BOARD_REQUESTS; i++)
		assert_int_equal(kernel.board->requests[i].unique, 0);
}

static void test_board__forget__is_only_counted(void **state)
{
	struct fuse_forget_in in = { .nlookup = 1 };
	uint64_t node = looked_up("a"), taken = kernel.board->taken;
	uint64_t unique = kernel_send(&kernel, FUSE_FORGET, node, &in, sizeof(in));

	(void)state;
	kernel_await_gone(&kernel, node);
	assert_true(kernel.board->taken >= taken + 2);
	assert_null(on_board(unique));
}

static void test_board__a_worker_died__the_next_one_begins_without(void **state)
{
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	kernel_die(&kernel);
	assert_non_null(on_board(unique));
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_null(on_board(unique));
}

/* --- leaving -------------------------------------------------------------------------------- */

static void *leave_main(void *argument)
{
	(void)argument;
	mount_leave(kernel.mount, CLOCK_NEVER);
	return NULL;
}

static void test_leave__a_request_waits__is_answered_first(void **state)
{
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "a", 2);
	pthread_t leaving;

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	assert_int_equal(pthread_create(&leaving, NULL, leave_main, NULL), 0);
	assert_true(kernel_receive_answering(&kernel) == unique);
	assert_int_equal(kernel.reply.header.error, 0);
	pthread_join(leaving, NULL);
}

static void test_leave__nothing_is_read_any_more_and_the_connection_stays(void **state)
{
	uint64_t node = looked_up("a"), unique;

	(void)state;
	kernel_die(&kernel);
	unique = kernel_send(&kernel, FUSE_STATFS, 1, NULL, 0);
	assert_true(kernel_silent(&kernel));
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_true(kernel_receive(&kernel) == unique);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
}

/* What the work of a worker that left does when it ends is seen by nobody. */
static void test_leave__late_work__changes_nothing_for_the_next_worker(void **state)
{
	uint64_t node = looked_up("a");
	uint64_t unique = kernel_send(&kernel, FUSE_LOOKUP, 1, "c", 2);
	struct ledger *ledger;

	(void)state;
	assert_true(fake_wait(&kernel.rig.fake));
	fake_put(&kernel.rig.fake, "c", 1, "e");
	kernel_die(&kernel); /* the look-up ends in there, after it has left */
	ledger = ledger_of_the_dead();
	assert_true(ledger_id_base(ledger) == node + 1);
	ledger_destroy(ledger);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(nodes(), 1);
	kernel_send_again(&kernel, unique, FUSE_LOOKUP, 1, "c", 2);
	assert_true(kernel_receive_answering(&kernel) == (unique | CHANNEL_AGAIN));
	assert_int_equal(kernel.reply.header.error, 0);
}

/* --- what is of no use ---------------------------------------------------------------------- */

static void test_keepsakes__no_resend__says_why(void **state)
{
	struct mount_keepsake kept[1 + MOUNT_PARTS_MAX];
	unsigned count;
	char reason[256];

	(void)state;
	kernel.init_flags2 = PASSTHROUGH;
	kernel_start(&kernel);
	assert_int_equal(mount_keepsakes(kernel.mount, kept, &count, reason, sizeof(reason)),
			 -EOPNOTSUPP);
	assert_non_null(strstr(reason, "6.9"));
}

static void test_look__nothing__an_empty_ledger(void **state)
{
	static const struct mount_keepsake none = { -1, -1 };
	struct takeover takeover;
	char problem[256];

	(void)state;
	assert_int_equal(
		takeover_look(&none, "/nowhere", false, &takeover, problem, sizeof(problem)), 0);
	assert_int_equal(takeover.connection, -1);
	assert_int_equal(ledger_adopted_ns(takeover.ledger), 0);
	ledger_destroy(takeover.ledger);
}

static void test_look__the_connection_ended__is_made_anew(void **state)
{
	struct takeover takeover;
	char problem[256];

	(void)state;
	kernel_die(&kernel);
	close(kernel.fd);
	kernel.fd = -1;
	assert_int_equal(takeover_look(&kernel.heritage.kept[0], "/nowhere", false, &takeover,
				       problem, sizeof(problem)),
			 0);
	assert_int_equal(takeover.connection, -1);
	assert_int_equal(ledger_adopted_ns(takeover.ledger), 0);
	ledger_destroy(takeover.ledger);
}

static void test_look__no_ledger_at_all__cannot_go_on(void **state)
{
	struct takeover takeover;
	char problem[256];

	(void)state;
	kernel_die(&kernel);
	close(kernel.heritage.kept[0].ledger);
	kernel.heritage.kept[0].ledger = memfd_create("not a ledger", MFD_CLOEXEC);
	assert_int_equal(takeover_look(&kernel.heritage.kept[0], "/nowhere", false, &takeover,
				       problem, sizeof(problem)),
			 0);
	assert_int_equal(takeover.connection, -1);
	ledger_destroy(takeover.ledger);
}

static void test_take_over__a_ledger_of_another_version__the_kernel_looks_up_again(void **state)
{
	const uint32_t other = LEDGER_VERSION + 1;
	uint64_t node = looked_up("a"), again;
	uint64_t handle;

	(void)state;
	kernel_die(&kernel);
	assert_int_equal(pwrite(kernel.heritage.kept[0].ledger, &other, sizeof(other), 8),
			 sizeof(other));
	clock_manual_advance(&kernel.rig.clock, NS_PER_S); /* node numbers begin with it */
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(kernel_getattr(&kernel, node), -ESTALE);
	assert_int_equal(kernel_open(&kernel, FUSE_OPEN, node, &handle), -ESTALE);
	again = looked_up("a");
	assert_true(again != node);
	assert_int_equal(kernel_getattr(&kernel, again), 0);
	kernel_replace(&kernel); /* the new ledger has INIT, too */
	assert_int_equal(kernel_getattr(&kernel, again), 0);
}

static void test_take_over__fails__leaves_all_as_it_was(void **state)
{
	uint64_t node = looked_up("a");
	char init[LEDGER_INIT_MAX], bad[LEDGER_INIT_MAX];
	struct ledger *ledger;
	size_t len;

	(void)state;
	kernel_die(&kernel);
	ledger = ledger_of_the_dead();
	len = ledger_init(ledger, init);
	memcpy(bad, init, len);
	((struct fuse_in_header *)(void *)bad)->opcode = FUSE_STATFS;
	ledger_set_init(ledger, bad, len);
	assert_int_equal(kernel_take_over(&kernel), -EPROTO);
	assert_true(fcntl(kernel.heritage.kept[0].connection, F_GETFD) >= 0);
	assert_true(fcntl(kernel.heritage.kept[0].ledger, F_GETFD) >= 0);
	assert_true(kernel_silent(&kernel));
	ledger_set_init(ledger, init, len);
	ledger_destroy(ledger);
	assert_int_equal(kernel_take_over(&kernel), 0);
	assert_int_equal(kernel_getattr(&kernel, node), 0);
}

#define TEST(name)	     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_UNSTARTED(name) cmocka_unit_test_setup_teardown(name, setup_unstarted, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_over__the_kernel_hears_one_resend_and_nothing_else),
		TEST(test_take_over__a_request_came_while_nobody_served__is_answered_after_it),
		TEST(test_take_over__a_request_comes_again__is_answered_by_its_new_number),
		TEST(test_take_over__what_came_again_is_interrupted__ends),
		TEST(test_take_over__twice__goes_on),
		TEST_UNSTARTED(test_take_over__what_the_first_init_agreed__holds),
		TEST_UNSTARTED(test_take_over__what_the_first_init_did_not_offer__is_not_used),
		TEST(test_take_over__a_forget_was_read_and_not_done__is_done),
		TEST(test_take_over__a_forget_was_done__is_not_done_again),
		TEST(test_take_over__garbage_in_the_inboxes__is_ignored),
		TEST(test_board__a_request_waits__is_there_until_its_reply),
		TEST(test_board__refused_and_unknown_requests__vanish_too),
		TEST(test_board__forget__is_only_counted),
		TEST(test_board__a_worker_died__the_next_one_begins_without),
		TEST(test_leave__a_request_waits__is_answered_first),
		TEST(test_leave__nothing_is_read_any_more_and_the_connection_stays),
		TEST(test_leave__late_work__changes_nothing_for_the_next_worker),
		TEST_UNSTARTED(test_keepsakes__no_resend__says_why),
		TEST(test_look__nothing__an_empty_ledger),
		TEST(test_look__the_connection_ended__is_made_anew),
		TEST(test_look__no_ledger_at_all__cannot_go_on),
		TEST(test_take_over__a_ledger_of_another_version__the_kernel_looks_up_again),
		TEST(test_take_over__fails__leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
