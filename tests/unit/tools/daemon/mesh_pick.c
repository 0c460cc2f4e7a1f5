/*
 * mesh_pick.c - who takes part, and what is said when a name does not fit.
 */
#include "tools/daemon/mesh_pick.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct mesh_pick pick;
static char problem[256];

/* Number 0 is this node. */
static struct membership_member member(unsigned number)
{
	struct membership_member made = { .state = MEMBERSHIP_ALIVE, .is_self = number == 0 };
	char text[32];

	memset(made.id.bytes, 0x5a, sizeof(made.id.bytes));
	memcpy(made.id.bytes, &number, sizeof(number));
	snprintf(made.details.name, sizeof(made.details.name), "n%u", number);
	snprintf(made.details.site, sizeof(made.details.site), "east");
	made.details.config = 77;
	snprintf(text, sizeof(text), "10.0.%u.%u:7471", number >> 8, number & 255);
	assert_int_equal(address_parse(text, 0, &made.details.fabric, problem, sizeof(problem)), 0);
	return made;
}

static int picked(const struct control_mesh *asked, const struct membership_member *members,
		  unsigned count)
{
	memset(problem, 0, sizeof(problem));
	mesh_pick_begin(&pick, asked);
	for (unsigned i = 0; i < count; i++)
		mesh_pick_take(&pick, &members[0], &members[i]);
	return mesh_pick_end(&pick, problem, sizeof(problem));
}

static void name(struct control_mesh *asked, const char *text)
{
	snprintf(asked->members[asked->member_count++], CONTROL_MEMBER_MAX, "%s", text);
}

static void expect_names(const char *const *names)
{
	unsigned i = 0;

	for (; names[i]; i++) {
		assert_true(i < pick.count);
		assert_string_equal(pick.members[i].name, names[i]);
	}
	assert_int_equal(pick.count, i);
}

/* Those that cannot be read are left out, and the others come by name. */
static void test_mesh_pick__nobody_named__all_that_can_be_read(void **state)
{
	static const char *const expected[] = { "n0", "n2", "n10", NULL };
	const struct control_mesh asked = { 0 };
	struct membership_member members[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		members[i] = member(i == 1 ? 10 : i);
	members[3].state = MEMBERSHIP_SUSPECT;
	members[4].state = MEMBERSHIP_DEAD;
	snprintf(members[5].details.site, sizeof(members[5].details.site), "west");
	members[6].details.config++;
	members[7].details.fabric = (struct address){ 0 };
	assert_int_equal(picked(&asked, members, 8), 0);
	expect_names(expected);
	assert_memory_equal(&pick.members[2].id, &members[1].id, sizeof(members[1].id));
}

static void test_mesh_pick__named__only_those_each_once(void **state)
{
	static const char *const expected[] = { "n1", "n3", NULL };
	struct membership_member members[5];
	struct control_mesh asked = { 0 };

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		members[i] = member(i);
	name(&asked, "n3");
	name(&asked, "010000005a5a5a5a5a5a5a5a5a5a5a5a");
	name(&asked, "n1");
	assert_int_equal(sizeof(members[0].id.bytes), 16);
	assert_int_equal(picked(&asked, members, 5), 0);
	expect_names(expected);
}

/* A dead one of the same name is a former life on another disk. */
static void test_mesh_pick__a_dead_member_has_the_name_too__the_living_one(void **state)
{
	struct membership_member members[3];
	struct control_mesh asked = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		members[i] = member(i);
	members[2].state = MEMBERSHIP_DEAD;
	snprintf(members[2].details.name, sizeof(members[2].details.name), "n1");
	name(&asked, "n0");
	name(&asked, "n1");
	assert_int_equal(picked(&asked, members, 3), 0);
	assert_int_equal(pick.count, 2);
	assert_memory_equal(&pick.members[1].id, &members[1].id, sizeof(members[1].id));
}

static void test_mesh_pick__a_name_that_does_not_fit__is_named(void **state)
{
	static const struct {
		const char *name;
		int error;
		const char *problem;
	} rows[] = {
		{ "n9", -ENOENT, "no member is called 'n9'" },
		{ "n2", -ENOENT, "'n2' is dead: it cannot be measured" },
		{ "n3", -ENOENT, "'n3' is of another site" },
		{ "n4", -ENOENT, "'n4' has other settings than this node" },
		{ "n5", -ENOENT, "'n5' has no fabric address" },
		{ "twin", -EINVAL, "several members are called 'twin': give the id" },
		{ "n0", -ENOTCONN, "there is one" },
	};
	struct membership_member members[8];

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		members[i] = member(i);
	members[2].state = MEMBERSHIP_DEAD;
	members[3].details.site[0] = '\0';
	members[4].details.config = 0;
	members[5].details.fabric = (struct address){ 0 };
	snprintf(members[6].details.name, sizeof(members[6].details.name), "twin");
	snprintf(members[7].details.name, sizeof(members[7].details.name), "twin");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct control_mesh asked = { 0 };

		name(&asked, rows[i].name);
		assert_int_equal(picked(&asked, members, 8), rows[i].error);
		if (!strstr(problem, rows[i].problem))
			fail_msg("'%s' and not '%s'", problem, rows[i].problem);
	}
}

static void test_mesh_pick__too_many__says_how_to_name_some(void **state)
{
	static struct membership_member members[MESH_MEMBERS_MAX + 3];
	struct control_mesh asked = { 0 };

	(void)state;
	for (unsigned i = 0; i < MESH_MEMBERS_MAX + 3; i++)
		members[i] = member(i);
	assert_int_equal(picked(&asked, members, MESH_MEMBERS_MAX), 0);
	assert_int_equal(pick.count, MESH_MEMBERS_MAX);
	assert_int_equal(picked(&asked, members, MESH_MEMBERS_MAX + 3), -EINVAL);
	assert_non_null(strstr(problem, "67 members can be measured, and at most 64 at a time"));
	assert_non_null(strstr(problem, "--mesh NAME"));
	name(&asked, "n65");
	name(&asked, "n66");
	assert_int_equal(picked(&asked, members, MESH_MEMBERS_MAX + 3), 0);
	assert_int_equal(pick.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mesh_pick__nobody_named__all_that_can_be_read),
		cmocka_unit_test(test_mesh_pick__named__only_those_each_once),
		cmocka_unit_test(test_mesh_pick__a_dead_member_has_the_name_too__the_living_one),
		cmocka_unit_test(test_mesh_pick__a_name_that_does_not_fit__is_named),
		cmocka_unit_test(test_mesh_pick__too_many__says_how_to_name_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
