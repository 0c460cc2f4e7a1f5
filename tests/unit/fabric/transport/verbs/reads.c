/*
 * Tests of reads.c, with devices that take work requests, refuse them, complete them and break as
 * the test likes. What the rest of the backend does for reads.c is done here, in short.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "fabric/transport/verbs/verbs.h"

#define RAILS	  3
#define DEPTH	  32u
#define SLICE_LEN 1000
#define MR_LEN	  7777 /* so much of the landing memory is one registration's */
#define READS	  64
#define READ_LEN  40000
#define OWNER_LEN (UINT64_C(1) << 20)
#define BASE	  UINT64_C(0x70000000)
#define STEPS	  5000

struct device {
	struct ibv_context context;
	struct ibv_qp qp;
	struct verbs_rail rail;
	unsigned takes; /* so many work requests more; then it refuses */
	uint64_t from[DEPTH];
	struct ibv_sge to[DEPTH]; /* of sequence number n at n % DEPTH */
	uint32_t taken;
};

struct item {
	struct transport_read read;
	bool busy;
	unsigned dones;
	uint8_t bytes[READ_LEN];
	uint8_t times[READ_LEN]; /* that each byte was written */
};

static struct verbs verbs;
static struct verbs_link *link;
static struct device devices[RAILS];
static struct transport_region landing;
static struct ibv_mr mr = { .lkey = 7 };
static struct item items[READS];
static uint8_t owner[OWNER_LEN];
static uint8_t once[READ_LEN];
static unsigned moves;
static struct random dice;

/* --- what the rest of the backend does */

struct transport_region *transport_region_of(struct transport *transport, const void *address,
					     size_t len)
{
	(void)transport;
	(void)address;
	(void)len;
	return &landing;
}

struct ibv_mr *verbs_region_mr(const struct transport_region *region, unsigned rail,
			       const void *address, size_t *out_left)
{
	assert_ptr_equal(region, &landing);
	assert_in_range(rail, 0, RAILS - 1);
	*out_left = MR_LEN - (size_t)((const uint8_t *)address - (uint8_t *)items) % MR_LEN;
	return &mr;
}

uint64_t verbs_keys_len(const struct transport_link *base, uint32_t region)
{
	assert_ptr_equal(base, &link->base);
	return region == 0 ? OWNER_LEN : 0;
}

unsigned verbs_queue_room(const struct verbs_queue *queue)
{
	return queue->state == VERBS_QUEUE_UP ? queue->depth - (queue->head - queue->tail) : 0;
}

void verbs_queue_break(struct verbs_queue *queue, const char *why)
{
	(void)why;
	queue->state = VERBS_QUEUE_BREAKING;
}

void verbs_link_fence(struct verbs_link *it, int status, const char *why)
{
	(void)why;
	it->status = status;
	it->state = VERBS_LINK_FENCING;
}

void verbs_link_dirty(struct verbs_link *it)
{
	it->dirty = true;
}

void transport_link_moved(struct transport_link *base)
{
	assert_ptr_equal(base, &link->base);
	moves++;
}

void transport_link_read_done(struct transport_read *read, int status)
{
	struct item *item = CONTAINER_OF(read, struct item, read);

	assert_true(item->busy);
	item->busy = false;
	item->dones++;
	read->status = status;
	if (status)
		return;
	assert_memory_equal(item->times, once, read->len);
	assert_memory_equal(item->bytes, owner + read->off, read->len);
}

/* --- the devices */

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *request, struct ibv_send_wr **out_bad)
{
	struct device *device = CONTAINER_OF(qp, struct device, qp);

	for (; request; request = request->next) {
		if (!device->takes) {
			*out_bad = request;
			return ENOMEM;
		}
		device->takes--;
		assert_int_equal(request->opcode, IBV_WR_RDMA_READ);
		assert_int_equal((uint32_t)request->wr_id, device->taken);
		assert_int_equal(request->sg_list->lkey, mr.lkey);
		device->from[device->taken % DEPTH] = request->wr.rdma.remote_addr - BASE;
		device->to[device->taken % DEPTH] = *request->sg_list;
		device->taken++;
	}
	return 0;
}

/* The oldest @count of what is under way land. */
static void complete(unsigned rail, unsigned count)
{
	struct verbs_queue *queue = &link->data[rail];
	struct device *device = &devices[rail];

	for (; count && queue->tail != queue->head; count--) {
		const struct verbs_slot slot = queue->slots[queue->tail % DEPTH];
		const struct ibv_sge *to = &device->to[queue->tail % DEPTH];
		struct item *item = CONTAINER_OF(slot.read, struct item, read);
		size_t off = (size_t)to->addr - (size_t)item->bytes;

		assert_int_equal(off, slot.off);
		assert_int_equal(to->length, slot.len);
		memcpy(item->bytes + off, owner + device->from[queue->tail % DEPTH], to->length);
		for (size_t i = off; i < off + to->length; i++)
			item->times[i]++;
		queue->tail++;
		queue->rail->sends--;
		verbs_reads_landed(queue, &slot);
	}
}

/* A broken queue's end, as link.c brings it about. */
static void bury(unsigned rail)
{
	struct verbs_queue *queue = &link->data[rail];

	verbs_reads_salvage(queue);
	queue->state = VERBS_QUEUE_NONE;
	queue->head = queue->tail = 0;
	assert_int_equal(devices[rail].rail.sends, 0);
	link->rails &= (uint8_t) ~(1u << rail);
}

static void join(unsigned rail)
{
	devices[rail].taken = 0;
	devices[rail].takes = UINT32_MAX;
	link->data[rail].state = VERBS_QUEUE_UP;
	link->rails |= (uint8_t)(1u << rail);
	link->state = VERBS_LINK_UP;
}

static int setup(void **state)
{
	static uint32_t key[1] = { 1 };

	(void)state;
	memset(&verbs, 0, sizeof(verbs));
	memset(devices, 0, sizeof(devices));
	memset(items, 0, sizeof(items));
	memset(once, 1, sizeof(once));
	for (size_t i = 0; i < OWNER_LEN; i++)
		owner[i] = (uint8_t)(i * 2654435761u >> 13);
	verbs.rail_count = RAILS;
	verbs.slice_len = SLICE_LEN;
	link = calloc(1, sizeof(*link));
	assert_non_null(link);
	link->verbs = &verbs;
	link->again_max = RAILS * DEPTH;
	link->reads_max = READS;
	link->again = calloc(link->again_max, sizeof(*link->again));
	link->remotes = calloc(1, sizeof(*link->remotes));
	assert_true(link->again && link->remotes);
	link->remotes->base = BASE;
	for (unsigned i = 0; i < RAILS; i++) {
		link->remotes->keys[i] = key;
		devices[i].rail.index = i;
		devices[i].context.ops.post_send = post_send;
		devices[i].qp.context = &devices[i].context;
		link->data[i].link = link;
		link->data[i].rail = &devices[i].rail;
		link->data[i].qp = &devices[i].qp;
		link->data[i].depth = DEPTH;
		link->data[i].slots = calloc(DEPTH, sizeof(struct verbs_slot));
		assert_non_null(link->data[i].slots);
		join(i);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RAILS; i++)
		free(link->data[i].slots);
	free(link->remotes);
	free(link->again);
	free(link);
	return 0;
}

static int start(struct item *item, uint64_t off, size_t len)
{
	int error;

	memset(item->times, 0, sizeof(item->times));
	item->read = (struct transport_read){ .off = off, .len = len, .dst = item->bytes };
	item->busy = true;
	error = verbs_read(&link->base, &item->read);
	if (error)
		item->busy = false;
	return error;
}

static void test_read__devices_refuse_the_nth__others_read_every_byte_once(void **state)
{
	(void)state;
	moves = 0;
	for (unsigned nth = 0; nth < 3 * VERBS_POST_BATCH; nth++) {
		devices[0].takes = nth;
		devices[1].takes = nth / 2;
		for (unsigned i = 0; i < READS; i++)
			assert_int_equal(start(&items[i], i * UINT64_C(100), READ_LEN - i), 0);
		for (bool busy = true; busy;) {
			verbs_reads_pump(link);
			busy = false;
			for (unsigned i = 0; i < RAILS; i++) {
				complete(i, DEPTH);
				if (link->data[i].state == VERBS_QUEUE_BREAKING)
					bury(i);
			}
			for (unsigned i = 0; i < READS; i++)
				busy = busy || items[i].busy;
		}
		for (unsigned i = 0; i < READS; i++) {
			assert_int_equal(items[i].dones, nth + 1);
			assert_int_equal(items[i].read.status, 0);
		}
		assert_int_equal(link->reads, 0);
		assert_true(moves >= (nth + 1) * READS);
		assert_true(!(link->rails & 1));
		join(0);
		if (!(link->rails & 2))
			join(1);
	}
}

static void test_read__no_device_is_left__all_end_once(void **state)
{
	(void)state;
	for (unsigned nth = 0; nth < 3 * VERBS_POST_BATCH; nth++) {
		for (unsigned i = 0; i < RAILS; i++)
			devices[i].takes = nth;
		for (unsigned i = 0; i < READS; i++)
			assert_int_equal(start(&items[i], i, READ_LEN), 0);
		verbs_reads_pump(link);
		link->state = VERBS_LINK_FENCING;
		for (unsigned i = 0; i < RAILS; i++)
			bury(i);
		verbs_reads_end(link, -ECONNRESET);
		for (unsigned i = 0; i < READS; i++) {
			assert_int_equal(items[i].dones, nth + 1);
			assert_int_equal(items[i].read.status, -ECONNRESET);
		}
		for (unsigned i = 0; i < RAILS; i++)
			join(i);
	}
}

static void step(void)
{
	unsigned rail = (unsigned)random_below(&dice, RAILS);
	struct item *item = &items[random_below(&dice, READS)];

	switch (random_below(&dice, 12)) {
	case 0:
		devices[rail].takes = (unsigned)random_below(&dice, 2UL * DEPTH);
		break;
	case 1:
		if (link->data[rail].state == VERBS_QUEUE_UP)
			verbs_queue_break(&link->data[rail], "pulled");
		break;
	case 2:
	case 3:
		if (link->data[rail].state == VERBS_QUEUE_BREAKING)
			bury(rail);
		if (link->data[rail].state == VERBS_QUEUE_NONE)
			join(rail);
		break;
	case 4:
	case 5:
	case 6:
		if (link->data[rail].state == VERBS_QUEUE_UP)
			complete(rail, (unsigned)random_below(&dice, DEPTH + 1));
		break;
	default:
		if (!item->busy)
			assert_int_equal(start(item, random_below(&dice, OWNER_LEN - READ_LEN),
					       1 + random_below(&dice, READ_LEN)),
					 0);
		break;
	}
	verbs_reads_pump(link);
}

static void test_read__rails_come_and_go__every_byte_is_read_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		bool busy = true;

		random_init(&dice, seed);
		for (unsigned i = 0; i < STEPS; i++)
			step();
		while (busy) {
			for (unsigned i = 0; i < RAILS; i++) {
				if (link->data[i].state == VERBS_QUEUE_BREAKING)
					bury(i);
				if (link->data[i].state == VERBS_QUEUE_NONE)
					join(i);
				complete(i, DEPTH);
			}
			verbs_reads_pump(link);
			busy = link->reads > 0;
		}
		for (unsigned i = 0; i < READS; i++)
			assert_false(items[i].busy);
	}
}

static void test_read__more_than_the_link_takes__is_eagain(void **state)
{
	(void)state;
	link->reads_max = 2;
	assert_int_equal(start(&items[0], 0, 1), 0);
	assert_int_equal(start(&items[1], OWNER_LEN - READ_LEN, READ_LEN), 0);
	assert_int_equal(start(&items[2], 0, 1), -EAGAIN);
	assert_int_equal(start(&items[2], OWNER_LEN, 1), -ERANGE);
	for (unsigned turn = 0; link->reads; turn++) {
		assert_in_range(turn, 0, READ_LEN);
		for (unsigned i = 0; i < RAILS; i++)
			complete(i, DEPTH);
		verbs_reads_pump(link);
	}
	assert_int_equal(items[0].read.status, 0);
	assert_int_equal(items[1].read.status, 0);
	assert_int_equal(start(&items[2], 0, 1), 0);
	complete(0, 1);
	complete(1, 1);
	complete(2, 1);
	assert_int_equal(items[2].dones, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_read__devices_refuse_the_nth__others_read_every_byte_once),
		TEST(test_read__no_device_is_left__all_end_once),
		TEST(test_read__rails_come_and_go__every_byte_is_read_once),
		TEST(test_read__more_than_the_link_takes__is_eagain),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
