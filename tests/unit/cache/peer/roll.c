/*
 * Tests of roll.c: who of the gossip's members stores and who can be asked, what outlasts a look,
 * and what neighbours are told.
 */
#include "cache/peer/roll.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"
#include "cache/peer/peers.h"

#define NOW    (100 * NS_PER_S)
#define CONFIG 7

static struct address address_of(const char *text)
{
	char problem[128];
	struct address address = { 0 };

	if (text[0])
		assert_int_equal(address_parse(text, 1, &address, problem, sizeof(problem)), 0);
	return address;
}

/* Member @number, alive and well. */
static struct membership_member member_make(uint8_t number)
{
	struct membership_member member = {
		.id.bytes = { number },
		.boot = number,
		.state = MEMBERSHIP_ALIVE,
		.is_self = number == 1,
		.gossip = address_of("10.0.0.9:7472"),
		.details = { .site = "a", .capacity = UINT64_C(1000) * number, .config = CONFIG },
	};
	char text[ADDRESS_TEXT_MAX];

	snprintf(text, sizeof(text), "10.0.0.%u:7471", number);
	member.details.fabric = address_of(text);
	return member;
}

/* --- roles */

static void test_role__of_each_state__is_as_the_drawing_says(void **state)
{
	static const struct {
		enum membership_state state;
		enum roll_role role;
		uint64_t until_ns;
	} rows[] = {
		{ MEMBERSHIP_JOINING, ROLL_NEIGHBOUR, 0 },
		{ MEMBERSHIP_ALIVE, ROLL_STORES, 0 },
		{ MEMBERSHIP_SUSPECT, ROLL_STORES, NOW - 1 },
		{ MEMBERSHIP_RESTARTING, ROLL_STORES, NOW + 1 },
		{ MEMBERSHIP_RESTARTING, ROLL_NEIGHBOUR, NOW },
		{ MEMBERSHIP_LEAVING, ROLL_NEIGHBOUR, 0 },
		{ MEMBERSHIP_DEAD, ROLL_STRANGER, 0 },
		{ MEMBERSHIP_LEFT, ROLL_STRANGER, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct membership_member self = member_make(1), member = member_make(2);

		member.state = rows[i].state;
		member.until_ns = rows[i].until_ns;
		assert_int_equal(roll_role(&self, &member, NOW), rows[i].role);
	}
}

static void test_role__of_one_unlike_us__is_no_owners(void **state)
{
	static const struct {
		const char *site, *fabric;
		uint64_t capacity, config, own_config;
		enum roll_role role;
	} rows[] = {
		{ "a", "10.0.0.2:1", 1, CONFIG, CONFIG, ROLL_STORES },
		{ "b", "10.0.0.2:1", 1, CONFIG, CONFIG, ROLL_STRANGER },
		{ "", "10.0.0.2:1", 1, CONFIG, CONFIG, ROLL_STRANGER },
		{ "a", "", 1, CONFIG, CONFIG, ROLL_STRANGER },
		{ "a", "10.0.0.2:0", 1, CONFIG, CONFIG, ROLL_STRANGER },
		{ "a", "10.0.0.2:1", 0, CONFIG, CONFIG, ROLL_NEIGHBOUR },
		{ "a", "10.0.0.2:1", 1, CONFIG + 1, CONFIG, ROLL_STRANGER },
		{ "a", "10.0.0.2:1", 1, 0, 0, ROLL_STRANGER },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct membership_member self = member_make(1), member = member_make(2);

		snprintf(member.details.site, sizeof(member.details.site), "%s", rows[i].site);
		member.details.fabric = address_of(rows[i].fabric);
		member.details.capacity = rows[i].capacity;
		member.details.config = rows[i].config;
		self.details.config = rows[i].own_config;
		assert_int_equal(roll_role(&self, &member, NOW), rows[i].role);
	}
}

static void test_address__of_who_listens_everywhere__is_where_its_gossip_is(void **state)
{
	static const struct {
		const char *fabric, *gossip, *found;
	} rows[] = {
		{ "10.0.0.2:5", "10.9.9.9:7", "10.0.0.2:5" },
		{ "0.0.0.0:5", "10.9.9.9:7", "10.9.9.9:5" },
		{ "[::]:5", "10.9.9.9:7", "10.9.9.9:5" },
		{ "[::]:5", "[fd00::1]:7", "[fd00::1]:5" },
		{ "0.0.0.0:5", "[fd00::1]:7", NULL },
		{ "0.0.0.0:5", "0.0.0.0:7", NULL },
		{ "0.0.0.0:5", "", NULL },
		{ "", "10.9.9.9:7", NULL },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct membership_member member = member_make(2);
		struct address address;
		char text[ADDRESS_TEXT_MAX];

		member.details.fabric = address_of(rows[i].fabric);
		member.gossip = address_of(rows[i].gossip);
		assert_int_equal(peers_member_address(&member, &address), rows[i].found != NULL);
		if (rows[i].found)
			assert_string_equal(address_text(&address, text), rows[i].found);
	}
}

/* --- looks */

struct told {
	char text[512];
	int result;
};

/* "2@10.0.0.2:7471 3~5@... 4- 5/5000@...": is at, restarts until, is gone, leaves with a weight. */
static int tell(void *context, const struct member_id *id, const struct address *address,
		uint64_t restarting_ns, uint64_t leaving)
{
	struct told *told = context;
	size_t len = strlen(told->text);
	char text[ADDRESS_TEXT_MAX], restarts[32] = "";

	if (told->result)
		return told->result;
	if (restarting_ns)
		snprintf(restarts, sizeof(restarts), "~%llu",
			 (unsigned long long)((restarting_ns - NOW) / NS_PER_S));
	if (leaving)
		snprintf(restarts, sizeof(restarts), "/%llu", (unsigned long long)leaving);
	snprintf(told->text + len, sizeof(told->text) - len, "%u%s%s%s ", id->bytes[0], restarts,
		 address ? "@" : "-", address ? address_text(address, text) : "");
	return 0;
}

/* @members: the first is this node. Return: what roll_finish() did. */
static int look(struct roll *roll, const struct membership_member *members, unsigned count,
		uint64_t now_ns, struct told *told)
{
	told->text[0] = '\0';
	roll_begin(roll);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(roll_take(roll, &members[0], &members[i], now_ns), 0);
	return roll_finish(roll, tell, told);
}

static uint64_t since(struct roll *roll, uint8_t number)
{
	unsigned count;
	const struct placement_member *stores = roll_stores(roll, &count);

	assert_non_null(stores);
	for (unsigned i = 0; i < count; i++)
		if (stores[i].id.bytes[0] == number)
			return stores[i].storing_since_ns;
	return 0;
}

static void test_look__at_several_members__places_those_who_store(void **state)
{
	struct membership_member members[] = { member_make(1), member_make(2), member_make(3),
					       member_make(4) };
	const struct placement_member *stores;
	struct told told = { 0 };
	struct roll *roll;
	unsigned count;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	members[2].state = MEMBERSHIP_JOINING;
	members[3].state = MEMBERSHIP_DEAD;
	assert_int_equal(look(roll, members, 4, NOW, &told), 0);
	stores = roll_stores(roll, &count);
	assert_non_null(stores);
	assert_int_equal(count, 2);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(stores[i].weight, stores[i].id.bytes[0] * 1000);
		assert_int_equal(stores[i].storing_since_ns, NOW);
	}
	assert_string_equal(told.text, "2@10.0.0.2:7471 3@10.0.0.3:7471 ");
	assert_int_equal(roll_next_ns(roll), CLOCK_NEVER);
	roll_destroy(roll);
}

static void test_look__at_nobody__is_no_error(void **state)
{
	struct told told = { 0 };
	struct roll *roll;
	unsigned count = 1;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	assert_int_equal(look(roll, NULL, 0, NOW, &told), 0);
	assert_non_null(roll_stores(roll, &count));
	assert_int_equal(count, 0);
	roll_destroy(roll);
}

/* What a member has stored for long it has after what passes, and not after what ends. */
static void test_storing_since__of_a_member__lasts_through_what_passes(void **state)
{
	static const struct {
		enum membership_state between;
		bool lasts;
	} rows[] = {
		{ MEMBERSHIP_ALIVE, true },	 { MEMBERSHIP_SUSPECT, true },
		{ MEMBERSHIP_RESTARTING, true }, { MEMBERSHIP_JOINING, true },
		{ MEMBERSHIP_LEAVING, false },	 { MEMBERSHIP_LEFT, false },
		{ MEMBERSHIP_DEAD, false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct membership_member members[] = { member_make(1), member_make(2) };
		struct told told = { 0 };
		struct roll *roll;

		assert_int_equal(roll_create(&roll), 0);
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		members[1].state = rows[i].between;
		members[1].until_ns = NOW + 5;
		assert_int_equal(look(roll, members, 2, NOW + 10, &told), 0);
		members[1].state = MEMBERSHIP_ALIVE;
		assert_int_equal(look(roll, members, 2, NOW + 20, &told), 0);
		assert_int_equal(since(roll, 2), rows[i].lasts ? NOW : NOW + 20);
		roll_destroy(roll);
	}
}

/* Back from a restart, or with its next worker: what it has on its SSD is where it was. */
static void test_stores__one_that_joins_again__keeps_its_place_for_a_while(void **state)
{
	static const enum membership_state befores[] = { MEMBERSHIP_ALIVE, MEMBERSHIP_RESTARTING };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(befores); i++) {
		struct membership_member members[] = { member_make(1), member_make(2) };
		struct told told = { 0 };
		unsigned count;
		struct roll *roll;

		assert_int_equal(roll_create(&roll), 0);
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		members[1].state = befores[i];
		members[1].until_ns = NOW + NS_PER_S;
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		members[1].state = MEMBERSHIP_JOINING;
		members[1].boot++;
		assert_int_equal(look(roll, members, 2, NOW + 5, &told), 0);
		assert_int_equal(since(roll, 2), NOW);
		assert_int_equal(roll_next_ns(roll), NOW + 5 + ROLL_JOINING_NS);
		assert_int_equal(look(roll, members, 2, NOW + 4 + ROLL_JOINING_NS, &told), 0);
		assert_int_equal(since(roll, 2), NOW);
		assert_int_equal(look(roll, members, 2, NOW + 5 + ROLL_JOINING_NS, &told), 0);
		assert_non_null(roll_stores(roll, &count));
		assert_int_equal(count, 1);
		assert_int_equal(roll_next_ns(roll), CLOCK_NEVER);
		members[1].state = MEMBERSHIP_ALIVE; /* and it has what it had */
		assert_int_equal(look(roll, members, 2, NOW + 6 + ROLL_JOINING_NS, &told), 0);
		assert_int_equal(since(roll, 2), NOW);
		roll_destroy(roll);
	}
}

static void test_storing_since__of_a_forgotten_member__begins_anew(void **state)
{
	struct membership_member members[] = { member_make(1), member_make(2) };
	struct told told = { 0 };
	struct roll *roll;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	assert_int_equal(look(roll, members, 2, NOW, &told), 0);
	assert_int_equal(look(roll, members, 1, NOW + 1, &told), 0);
	assert_int_equal(since(roll, 2), 0);
	assert_string_equal(told.text, "2- ");
	assert_int_equal(look(roll, members, 2, NOW + 2, &told), 0);
	assert_int_equal(since(roll, 2), NOW + 2);
	roll_destroy(roll);
}

static void test_next__with_a_member_that_restarts__is_its_time(void **state)
{
	struct membership_member members[] = { member_make(1), member_make(2), member_make(3) };
	struct told told = { 0 };
	struct roll *roll;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	members[1].state = members[2].state = MEMBERSHIP_RESTARTING;
	members[1].until_ns = NOW + 7 * NS_PER_S;
	members[2].until_ns = NOW + 5 * NS_PER_S;
	assert_int_equal(look(roll, members, 3, NOW, &told), 0);
	assert_int_equal(roll_next_ns(roll), NOW + 5 * NS_PER_S);
	assert_int_equal(look(roll, members, 3, NOW + 5 * NS_PER_S, &told), 0);
	assert_int_equal(since(roll, 3), 0);
	assert_int_equal(since(roll, 2), NOW);
	assert_int_equal(roll_next_ns(roll), NOW + 7 * NS_PER_S);
	assert_int_equal(look(roll, members, 3, NOW + 7 * NS_PER_S, &told), 0);
	assert_int_equal(roll_next_ns(roll), CLOCK_NEVER);
	roll_destroy(roll);
}

/* --- neighbours */

static void change_nothing(struct membership_member *member)
{
	(void)member;
}

static void change_address(struct membership_member *member)
{
	member->details.fabric = address_of("10.0.0.7:1");
}

static void change_boot(struct membership_member *member)
{
	member->boot++;
}

static void change_to_restarting(struct membership_member *member)
{
	member->state = MEMBERSHIP_RESTARTING;
	member->until_ns = NOW + 3 * NS_PER_S;
}

static void change_to_leaving(struct membership_member *member)
{
	member->state = MEMBERSHIP_LEAVING;
}

static void change_to_leaving_guest(struct membership_member *member)
{
	member->state = MEMBERSHIP_LEAVING;
	member->details.capacity = 0;
}

static void change_to_suspect(struct membership_member *member)
{
	member->state = MEMBERSHIP_SUSPECT;
}

static void change_to_dead(struct membership_member *member)
{
	member->state = MEMBERSHIP_DEAD;
}

static void change_of_config(struct membership_member *member)
{
	member->details.config++;
}

static void test_neighbours__when_one_changed__are_told_what(void **state)
{
	static const struct {
		void (*change)(struct membership_member *member);
		const char *told, *told_back;
	} rows[] = {
		{ change_nothing, "", "" },
		{ change_address, "2@10.0.0.7:1 ", "2@10.0.0.2:7471 " },
		{ change_boot, "2@10.0.0.2:7471 ", "2@10.0.0.2:7471 " },
		{ change_to_restarting, "2~3@10.0.0.2:7471 ", "2@10.0.0.2:7471 " },
		{ change_to_leaving, "2/2000@10.0.0.2:7471 ", "2@10.0.0.2:7471 " },
		{ change_to_leaving_guest, "", "" },
		{ change_to_suspect, "", "" },
		{ change_to_dead, "2- ", "2@10.0.0.2:7471 " },
		{ change_of_config, "2- ", "2@10.0.0.2:7471 " },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		struct membership_member members[] = { member_make(1), member_make(2) };
		struct told told = { 0 };
		struct roll *roll;

		assert_int_equal(roll_create(&roll), 0);
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		assert_string_equal(told.text, "2@10.0.0.2:7471 ");
		rows[i].change(&members[1]);
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		assert_string_equal(told.text, rows[i].told);
		members[1] = member_make(2);
		assert_int_equal(look(roll, members, 2, NOW, &told), 0);
		assert_string_equal(told.text, rows[i].told_back);
		roll_destroy(roll);
	}
}

static void test_leaving__and_suspect__does_not_store_again(void **state)
{
	static const struct {
		enum membership_state state;
		bool stores;
	} rows[] = {
		{ MEMBERSHIP_ALIVE, true },    { MEMBERSHIP_LEAVING, false },
		{ MEMBERSHIP_SUSPECT, false }, { MEMBERSHIP_LEAVING, false },
		{ MEMBERSHIP_ALIVE, true },    { MEMBERSHIP_SUSPECT, true },
		{ MEMBERSHIP_LEAVING, false }, { MEMBERSHIP_DEAD, false },
		{ MEMBERSHIP_SUSPECT, true },
	};
	struct membership_member members[] = { member_make(1), member_make(2) };
	struct told told = { 0 };
	struct roll *roll;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		members[1].state = rows[i].state;
		assert_int_equal(look(roll, members, 2, NOW + i, &told), 0);
		assert_int_equal(since(roll, 2) != 0, rows[i].stores);
	}
	/* a new beginning: what it has may be in anybody's hands by now */
	members[1].state = MEMBERSHIP_LEAVING;
	assert_int_equal(look(roll, members, 2, NOW + 20, &told), 0);
	members[1].state = MEMBERSHIP_ALIVE;
	assert_int_equal(look(roll, members, 2, NOW + 30, &told), 0);
	assert_int_equal(since(roll, 2), NOW + 30);
	roll_destroy(roll);
}

static void test_neighbours__that_could_not_be_told__are_told_after_the_next_look(void **state)
{
	struct membership_member members[] = { member_make(1), member_make(2) };
	struct told told = { .result = -ENOMEM };
	struct roll *roll;

	(void)state;
	assert_int_equal(roll_create(&roll), 0);
	assert_int_equal(look(roll, members, 2, NOW, &told), -ENOMEM);
	told.result = 0;
	assert_int_equal(look(roll, members, 2, NOW, &told), 0);
	assert_string_equal(told.text, "2@10.0.0.2:7471 ");
	told.result = -ENOMEM;
	assert_int_equal(look(roll, members, 1, NOW, &told), -ENOMEM);
	told.result = 0;
	assert_int_equal(look(roll, members, 1, NOW, &told), 0);
	assert_string_equal(told.text, "2- ");
	assert_int_equal(look(roll, members, 1, NOW, &told), 0);
	assert_string_equal(told.text, "");
	roll_destroy(roll);
}

/* Nobody would find out why nothing is shared. */
static void test_look__at_one_that_nobody_can_read__says_so_once(void **state)
{
	struct membership_member members[2] = { member_make(1), member_make(2) };
	char log[1024] = "", *said;
	struct told told = { .result = 0 };
	struct roll *roll;
	int pipe_fds[2];
	ssize_t len;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	members[1].details.fabric = address_of("0.0.0.0:5");
	members[1].gossip = address_of("[fd00::1]:7");
	assert_int_equal(roll_create(&roll), 0);
	log_set_output(pipe_fds[1]);
	log_set_level(LOG_LEVEL_WARNING);
	look(roll, members, 2, NOW, &told);
	look(roll, members, 2, NOW, &told);
	log_set_level(LOG_LEVEL_ERROR);
	log_set_output(-1);
	len = read(pipe_fds[0], log, sizeof(log) - 1);
	assert_true(len > 0);
	said = strstr(log, "peers.unreadable");
	assert_non_null(said);
	assert_null(strstr(said + 1, "peers.unreadable"));
	assert_non_null(strstr(said, "fabric.listen"));
	roll_destroy(roll);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_role__of_each_state__is_as_the_drawing_says),
		cmocka_unit_test(test_role__of_one_unlike_us__is_no_owners),
		cmocka_unit_test(test_address__of_who_listens_everywhere__is_where_its_gossip_is),
		cmocka_unit_test(test_look__at_several_members__places_those_who_store),
		cmocka_unit_test(test_look__at_nobody__is_no_error),
		cmocka_unit_test(test_storing_since__of_a_member__lasts_through_what_passes),
		cmocka_unit_test(test_stores__one_that_joins_again__keeps_its_place_for_a_while),
		cmocka_unit_test(test_storing_since__of_a_forgotten_member__begins_anew),
		cmocka_unit_test(test_next__with_a_member_that_restarts__is_its_time),
		cmocka_unit_test(test_neighbours__when_one_changed__are_told_what),
		cmocka_unit_test(test_leaving__and_suspect__does_not_store_again),
		cmocka_unit_test(
			test_neighbours__that_could_not_be_told__are_told_after_the_next_look),
		cmocka_unit_test(test_look__at_one_that_nobody_can_read__says_so_once),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
