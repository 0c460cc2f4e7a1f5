/*
 * puppet.h - what the test of the keeper and the worker that it has started say to each other: the
 * worker is a puppet, which connects to the socket that --config names and does as it is told.
 *
 *	puppet -> test	"hello" PID KEEPER STANDBY and the names of what is kept, in order
 *	test -> puppet	a word and its argument
 *	puppet -> test	the answer, when there is one to wait for
 */
#pragma once

#define PUPPET_TEXT_MAX 1024
#define PUPPET_WAIT_MS	30000 /* each side, for the other */
