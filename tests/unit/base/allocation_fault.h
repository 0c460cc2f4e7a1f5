/*
 * allocation_fault.h - makes the n-th allocation of the code under test fail, for fault sweeps.
 * A test that links allocation_fault.c gets the linker's --wrap for our objects; foreign shared
 * libraries are not touched.
 *
 *	for (unsigned n = 1;; n++) {
 *		allocation_fault_arm(n);
 *		error = make_thing(&thing);
 *		if (!allocation_fault_disarm())
 *			break;		fewer than n allocations: the sweep is complete
 *		assert_int_equal(error, -ENOMEM);
 *	}
 */
#pragma once

#include <stdbool.h>

/** allocation_fault_arm() - the @nth allocation from now on (from 1), and no other, fails. */
void allocation_fault_arm(unsigned nth);

/** allocation_fault_disarm() - all succeed again. Return: whether one failed since arming. */
bool allocation_fault_disarm(void);
