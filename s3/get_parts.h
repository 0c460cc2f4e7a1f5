/*
 * get_parts.h - a long GET as parallel ranged GETs.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "s3/s3.h"

/** get_start() - an ordinary GET over one connection.
 *  @abandoned: NULL, or lent until done: ends it with -ECANCELED as soon as it is seen true. */
void get_start(struct s3_client *client, struct s3_get *get, const _Atomic bool *abandoned);

/**
 * get_parts_start() - starts @get as parts of config->part_len if it is longer than one and
 * names its version: parts of two versions must never meet in one buffer.
 * Return: false: it was not started, it is to go whole (also when there is no memory for parts).
 */
bool get_parts_start(struct s3_client *client, struct s3_get *get);
