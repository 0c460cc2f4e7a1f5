/*
 * Tests of mountinfo.h.
 */
#include "fuse/mountinfo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"

static void test_parse__rows(void **state)
{
	static const struct {
		const char *line;
		int err;
		unsigned device_major, device_minor;
		const char *path, *type;
	} rows[] = {
		{ "36 35 0:48 / /mnt/data ro,nosuid - fuse.cenote cenote ro,user_id=0\n", 0, 0, 48,
		  "/mnt/data", "fuse.cenote" },
		{ "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw", 0, 98,
		  0, "/mnt2", "ext3" },
		{ "1 2 0:5 / /a\\040b\\011c\\134d ro - tmpfs x rw", 0, 0, 5, "/a b\tc\\d",
		  "tmpfs" },
		{ "1 2 0:5 / /a\\08 ro - tmpfs x rw", 0, 0, 5, "/a\\08", "tmpfs" },
		{ "", -EINVAL, 0, 0, NULL, NULL },
		{ "1 2 0:5 /", -EINVAL, 0, 0, NULL, NULL },
		{ "1 2 0:5 / /a ro tmpfs", -EINVAL, 0, 0, NULL, NULL },
		{ "1 2 05 / /a ro - tmpfs x rw", -EINVAL, 0, 0, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct mountinfo info;

		assert_int_equal(mountinfo_parse(rows[i].line, &info), rows[i].err);
		if (rows[i].err)
			continue;
		assert_int_equal(info.device_major, rows[i].device_major);
		assert_int_equal(info.device_minor, rows[i].device_minor);
		assert_string_equal(info.path, rows[i].path);
		assert_string_equal(info.type, rows[i].type);
	}
}

static void test_top__root_and_nowhere(void **state)
{
	struct mountinfo info;

	(void)state;
	assert_int_equal(mountinfo_top("/", &info), 0);
	assert_string_equal(info.path, "/");
	assert_int_equal(mountinfo_top("/no/such/mount", &info), -ENOENT);
}

static void test_of_device__procfs__is_found_by_its_device(void **state)
{
	struct mountinfo wanted, info;

	(void)state;
	assert_int_equal(mountinfo_top("/proc", &wanted), 0);
	assert_int_equal(wanted.device_major, 0);
	assert_int_equal(mountinfo_of_device(wanted.device_minor, "/proc", &info), 0);
	assert_string_equal(info.path, "/proc");
	/* At another path: wherever it is. */
	assert_int_equal(mountinfo_of_device(wanted.device_minor, "/no/such/mount", &info), 0);
	assert_int_equal(info.device_minor, wanted.device_minor);
	assert_string_equal(info.type, "proc");
	assert_int_equal(mountinfo_of_device(UINT32_MAX, "/proc", &info), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse__rows),
		cmocka_unit_test(test_top__root_and_nowhere),
		cmocka_unit_test(test_of_device__procfs__is_found_by_its_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
