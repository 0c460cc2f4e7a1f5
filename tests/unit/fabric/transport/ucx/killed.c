/*
 * Tests of owners and readers that die or stop without a word: real processes, SIGKILL and SIGSTOP.
 * They are forked by a process of its own, the nursery, which has not opened UCX.
 *
 * Usage: killed [ROUNDS], 500 unless given (100 under a sanitizer).
 */
#include "tests/unit/fabric/transport/ucx/rig.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define WARM_ROUNDS 50 /* UCX's pools have grown to their size */
#define SLACK_BYTES (256 << 10)
#define FLYING	    64
#define LEN	    65536
#define LONG_LEN    250000 /* FLYING of them are more than the kernel's buffers hold */

struct birth {
	pid_t pid;
	int offer_len;
	uint8_t offer[TRANSPORT_OFFER_MAX];
};

static struct transport reader;
static int nursery = -1;
static unsigned rounds = ROUNDS;

static _Noreturn void be_owner(int to)
{
	static struct transport owner;
	const struct transport_config config = rig_config();
	struct birth birth = { .pid = getpid() };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rig_open(&owner, &config, true);
	birth.offer_len = owner.offer_len;
	memcpy(birth.offer, owner.offer, sizeof(birth.offer));
	if (send(to, &birth, sizeof(birth), MSG_NOSIGNAL) != sizeof(birth))
		_exit(1);
	for (;;) {
		struct pollfd event = { .fd = transport_ucx_ops.event_fd(owner.backend),
					.events = POLLIN };

		if (!transport_ucx_ops.poll(owner.backend) && !transport_ucx_ops.arm(owner.backend))
			poll(&event, 1, 100);
	}
}

static void read_again(struct transport_read *read)
{
	(void)read;
}

/* Reads what it can, for ever. */
static _Noreturn void be_reader(int to, const struct birth *of)
{
	static struct transport us, owner;
	static struct rig_read asked[FLYING];
	const struct transport_config config = rig_config();
	const struct birth birth = { .pid = getpid() };
	struct transport_link *link;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rig_open(&us, &config, false);
	owner.offer_len = of->offer_len;
	memcpy(owner.offer, of->offer, sizeof(owner.offer));
	if (send(to, &birth, sizeof(birth), MSG_NOSIGNAL) != sizeof(birth))
		_exit(1);
	link = rig_connect(&us, &owner);
	for (unsigned i = 0;; i = (i + 1) % FLYING) {
		while (rig_read(&asked[i], &us, link, 0, LONG_LEN, 0) == -EAGAIN)
			transport_ucx_ops.poll(us.backend);
		asked[i].read.done = read_again;
	}
}

/* One owner for each request without an offer, one reader for each with; the kernel takes the dead
   away. */
static _Noreturn void be_nursery(int socket)
{
	struct birth of;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	while (recv(socket, &of, sizeof(of), 0) == sizeof(of)) {
		if (fork() != 0)
			continue;
		if (of.offer_len)
			be_reader(socket, &of);
		be_owner(socket);
	}
	_exit(0);
}

static void found_nursery(void)
{
	int ends[2];

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		close(ends[0]);
		be_nursery(ends[1]);
	}
	close(ends[1]);
	nursery = ends[0];
}

static struct birth bear(const struct transport *of)
{
	struct birth birth = { .offer_len = of ? of->offer_len : 0 };

	if (of)
		memcpy(birth.offer, of->offer, sizeof(birth.offer));
	assert_int_equal(send(nursery, &birth, sizeof(birth), MSG_NOSIGNAL), sizeof(birth));
	assert_int_equal(recv(nursery, &birth, sizeof(birth), 0), sizeof(birth));
	return birth;
}

static pid_t bear_owner(struct transport *as)
{
	struct birth birth = bear(NULL);

	as->offer_len = birth.offer_len;
	memcpy(as->offer, birth.offer, sizeof(birth.offer));
	return birth.pid;
}

/* Once UCX has closed what it has to. */
static unsigned descriptors(void)
{
	rig_pump_for(50 * NS_PER_MS);
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static struct rig_read reads[FLYING];

static unsigned done_count(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FLYING; i++) {
		assert_true(reads[i].dones <= 1);
		count += reads[i].dones;
	}
	return count;
}

/* Connects to a newborn owner, kills it in the middle of reads. */
static void kill_one(void)
{
	static struct transport owner; /* the offer of one in another process */
	pid_t pid = bear_owner(&owner);
	struct transport_link *link = rig_connect(&reader, &owner);
	unsigned downs = reader.downs;

	for (unsigned i = 0; i < FLYING; i++) {
		reads[i].scribble = true;
		assert_int_equal(rig_read(&reads[i], &reader, link, i, LEN, i * (size_t)LEN), 0);
	}
	while (!done_count())
		rig_pump();
	assert_int_equal(kill(pid, SIGKILL), 0);
	rig_wait(&reader.downs, downs + 1, "the end of a killed owner's connection");
	assert_int_equal(done_count(), FLYING);
	for (size_t i = 0; i < FLYING * (size_t)LEN; i++)
		assert_int_equal(reader.landing.base[i], RIG_SCRIBBLED);
}

static void test_killed__many_owners_with_reads_in_flight__leave_nothing(void **state)
{
	unsigned warm_descriptors = 0;
	size_t warm_bytes = 0;

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		if (round == WARM_ROUNDS) {
			warm_descriptors = descriptors();
			warm_bytes = heap_bytes();
		}
		kill_one();
	}
	assert_true(TAILQ_EMPTY(&reader.backend->links));
	if (rounds <= WARM_ROUNDS)
		return;
	print_message("descriptors %u -> %u, heap %zu -> %zu bytes\n", warm_descriptors,
		      descriptors(), warm_bytes, heap_bytes());
	assert_true(descriptors() <= warm_descriptors);
	assert_true(heap_bytes() <= warm_bytes + SLACK_BYTES);
}

/* What lies in the owner's sockets when the reader dies: whatever there is; unread requests beside
   half an answer (the pause is for the reader, there is nothing to wait for); answers alone. */
static void look_away(unsigned how, pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 3 * (long)NS_PER_MS };

	if (how == 1)
		nanosleep(&pause, NULL);
	if (how == 2) {
		assert_int_equal(kill(pid, SIGSTOP), 0);
		rig_pump_for(2 * NS_PER_MS);
	}
}

/* In every one of these UCX has answers half sent when its peer goes: its own completions must not
   be its, and our, end. */
static void test_killed__many_readers_that_are_answered__do_no_harm(void **state)
{
	const struct transport_config config = rig_config();
	static struct transport owner;
	struct random random;

	(void)state;
	random_init(&random, 11);
	rig_open(&owner, &config, true);
	for (unsigned round = 0; round < rounds / 4; round++) {
		pid_t pid = bear(&owner).pid;
		int64_t served = owner.counted[TRANSPORT_SERVED_BYTES];

		while (owner.counted[TRANSPORT_SERVED_BYTES] < served + (int64_t)20 * LONG_LEN)
			rig_pump();
		for (uint64_t i = random_below(&random, 200); i > 0; i--)
			rig_pump();
		look_away(round % 3, pid);
		assert_int_equal(kill(pid, SIGKILL), 0);
		rig_wait(&owner.downs, round + 1, "the end of a killed reader's connection");
	}
	assert_true(TAILQ_EMPTY(&owner.backend->links));
	rig_close(&owner);
}

/* Nothing comes, nothing tells: it is the front that gives up, and then it is over soon. */
static void test_stopped__owner_with_reads_in_flight__can_be_left(void **state)
{
	static struct transport owner;
	pid_t pid = bear_owner(&owner);
	struct transport_link *link = rig_connect(&reader, &owner);
	unsigned downs = reader.downs;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (unsigned i = 0; i < FLYING; i++) {
		reads[i].scribble = true;
		assert_int_equal(rig_read(&reads[i], &reader, link, i, LEN, i * (size_t)LEN), 0);
	}
	rig_pump_for(50 * NS_PER_MS);
	assert_int_equal(reader.downs, downs);
	transport_ucx_ops.disconnect(link);
	for (unsigned polls = 0; reader.downs == downs; polls++) {
		assert_true(polls < 1000);
		rig_pump();
	}
	assert_int_equal(done_count(), FLYING);
	assert_int_equal(kill(pid, SIGCONT), 0); /* what it still says is for nobody */
	rig_pump_for(50 * NS_PER_MS);
	for (size_t i = 0; i < FLYING * (size_t)LEN; i++)
		assert_int_equal(reader.landing.base[i], RIG_SCRIBBLED);
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void test_close__beside_a_stopped_owner__is_over_soon(void **state)
{
	const struct transport_config config = rig_config();
	static struct transport owner;
	pid_t pid = bear_owner(&owner);
	struct transport_link *link = rig_connect(&reader, &owner);
	uint64_t start_ns;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	for (unsigned i = 0; i < FLYING; i++) {
		reads[i].scribble = false;
		assert_int_equal(rig_read(&reads[i], &reader, link, i, LEN, i * (size_t)LEN), 0);
	}
	rig_pump();
	start_ns = clock_now_ns(clock_system());
	rig_close(&reader);
	assert_true(clock_now_ns(clock_system()) - start_ns < RIG_PATIENCE_NS);
	assert_int_equal(done_count(), FLYING);
	assert_int_equal(kill(pid, SIGKILL), 0);
	rig_open(&reader, &config, false);
}

static int setup(void **state)
{
	const struct transport_config config = rig_config();

	(void)state;
	rig_open(&reader, &config, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&reader);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed__many_owners_with_reads_in_flight__leave_nothing),
		cmocka_unit_test(test_killed__many_readers_that_are_answered__do_no_harm),
		cmocka_unit_test(test_stopped__owner_with_reads_in_flight__can_be_left),
		cmocka_unit_test(test_close__beside_a_stopped_owner__is_over_soon),
	};

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 10);
	log_set_level(LOG_LEVEL_ERROR);
	found_nursery();
	return cmocka_run_group_tests(tests, setup, teardown);
}
