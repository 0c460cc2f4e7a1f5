/*
 * secret.h - where cenote-bw has the cluster's secret from: a file, or the environment, or, for a
 * server that somebody has started at a terminal, made up for this one time. Never from the command
 * line, which every user of the machine can read.
 */
#pragma once

#include <stddef.h>

#include "fabric/keyring.h"

#define SECRET_TEXT_MAX	   (2 * KEYRING_KEY_LEN + 1)
#define SECRET_PROBLEM_MAX 512

/**
 * secret_load() - from @file, or when that is NULL from $CENOTE_BW_SECRET, which is removed from
 * the environment.
 * Return: 0; -ENOKEY: there is neither, @problem says what to do; -EINVAL, -EACCES, -ENOENT ...
 *         with @problem, which quotes no secret; -ENOMEM.
 */
int secret_load(const char *file, struct keyring **out_ring, char *problem, size_t problem_size);

/** secret_make() - a new one. @out_text: as secret_load() takes it; to be wiped.
 *  Return: 0, -ENOMEM. */
int secret_make(struct keyring **out_ring, char out_text[SECRET_TEXT_MAX]);
