/* One-time proofs. */
#include "fabric/auth/proofs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

static struct proofs proofs;

static int reset(void **state)
{
	(void)state;
	memset(&proofs, 0, sizeof(proofs));
	return 0;
}

/* What a handshake number @number agreed on. */
static struct handshake agreed(unsigned number)
{
	struct handshake handshake = { .state = HANDSHAKE_DONE, .peer_boot = number };

	memset(handshake.proof, 0x80 | (int)(number & 15), sizeof(handshake.proof));
	handshake.proof[31] = (uint8_t)(number >> 4);
	handshake.peer.bytes[0] = (uint8_t)number;
	return handshake;
}

static int take(const void *bytes, size_t len, uint64_t now_ns, uint64_t *out_boot)
{
	struct member_id member;
	int error = proofs_take(&proofs, bytes, len, now_ns, &member, out_boot);

	if (!error)
		assert_int_equal(member.bytes[0], (uint8_t)*out_boot);
	return error;
}

static void test_take__a_proof__works_once(void **state)
{
	struct handshake one = agreed(1), two = agreed(2);
	uint64_t boot = 0;

	(void)state;
	assert_int_equal(proofs_add(&proofs, &one, 100), 0);
	assert_int_equal(proofs_add(&proofs, &two, 100), 0);
	assert_int_equal(take(two.proof, sizeof(two.proof), 101, &boot), 0);
	assert_int_equal(boot, 2);
	assert_int_equal(take(two.proof, sizeof(two.proof), 101, &boot), -EACCES);
	assert_int_equal(take(one.proof, sizeof(one.proof), 101, &boot), 0);
	assert_int_equal(boot, 1);
}

static void test_take__anything_else__is_refused(void **state)
{
	static const uint8_t zeros[HANDSHAKE_PROOF_LEN];
	struct handshake one = agreed(1);
	uint8_t wrong[HANDSHAKE_PROOF_LEN];
	uint64_t boot;

	(void)state;
	assert_int_equal(take(zeros, sizeof(zeros), 0, &boot), -EACCES);
	assert_int_equal(proofs_add(&proofs, &one, 0), 0);
	assert_int_equal(take(zeros, sizeof(zeros), 0, &boot), -EACCES);
	assert_int_equal(take(NULL, 0, 0, &boot), -EACCES);
	assert_int_equal(take(one.proof, sizeof(one.proof) - 1, 0, &boot), -EACCES);
	for (size_t i = 0; i < sizeof(wrong); i++) {
		memcpy(wrong, one.proof, sizeof(wrong));
		wrong[i] ^= 1;
		assert_int_equal(take(wrong, sizeof(wrong), 0, &boot), -EACCES);
	}
	assert_int_equal(take(one.proof, sizeof(one.proof), 0, &boot), 0);
}

static void test_take__too_late__is_refused(void **state)
{
	struct handshake one = agreed(1);
	uint64_t boot;

	(void)state;
	assert_int_equal(proofs_add(&proofs, &one, 100), 0);
	assert_int_equal(take(one.proof, sizeof(one.proof), 100 + PROOFS_LIFE_NS, &boot), -EACCES);
	assert_int_equal(take(one.proof, sizeof(one.proof), 99 + PROOFS_LIFE_NS, &boot), 0);
}

static void test_add__as_many_as_wait_at_most__then_busy_until_one_goes(void **state)
{
	struct handshake handshake;
	uint64_t boot;

	(void)state;
	for (unsigned i = 0; i < PROOFS_MAX; i++) {
		handshake = agreed(i);
		assert_int_equal(proofs_add(&proofs, &handshake, i), 0);
	}
	handshake = agreed(PROOFS_MAX);
	assert_int_equal(proofs_add(&proofs, &handshake, PROOFS_LIFE_NS - 1), -EBUSY);
	/* the first is too old now */
	assert_int_equal(proofs_add(&proofs, &handshake, PROOFS_LIFE_NS), 0);
	handshake = agreed(PROOFS_MAX + 1);
	assert_int_equal(proofs_add(&proofs, &handshake, PROOFS_LIFE_NS), -EBUSY);
	handshake = agreed(9);
	assert_int_equal(take(handshake.proof, HANDSHAKE_PROOF_LEN, PROOFS_LIFE_NS, &boot), 0);
	assert_int_equal(boot, 9);
	handshake = agreed(PROOFS_MAX + 1);
	assert_int_equal(proofs_add(&proofs, &handshake, PROOFS_LIFE_NS), 0);
}

static void test_fini__what_was_not_used__is_wiped(void **state)
{
	static const struct proofs none;
	struct handshake one = agreed(1);

	(void)state;
	assert_int_equal(proofs_add(&proofs, &one, 0), 0);
	proofs_fini(&proofs);
	assert_memory_equal(&proofs, &none, sizeof(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_take__a_proof__works_once, reset),
		cmocka_unit_test_setup(test_take__anything_else__is_refused, reset),
		cmocka_unit_test_setup(test_take__too_late__is_refused, reset),
		cmocka_unit_test_setup(test_add__as_many_as_wait_at_most__then_busy_until_one_goes,
				       reset),
		cmocka_unit_test_setup(test_fini__what_was_not_used__is_wiped, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
