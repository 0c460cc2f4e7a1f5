/*
 * recorder.h - writes down what a store does to its directory, and makes the directory as a power
 * cut at any point would have left it.
 *
 * The model is the strict one: a write, a new name or a removal is safe only after a sync of that
 * file, of that folder or of everything that began after it was done. Each operation that is not
 * safe is kept, lost or, a write, kept in part (sectors of 512 bytes), as a seed decides. LMDB's
 * commits are taken as atomic and durable, which is what LMDB promises.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache/store/files.h"

struct recorder;

/** recorder_make() - @root: of the one cache directory to be recorded. */
struct recorder *recorder_make(const char *root);
void recorder_free(struct recorder *recorder);

/** recorder_files() - to be given to the store. */
const struct files *recorder_files(struct recorder *recorder);

/** recorder_count() - operations so far. */
unsigned recorder_count(struct recorder *recorder);

/** recorder_punches() - how many of them punched holes. */
unsigned recorder_punches(struct recorder *recorder);

/** recorder_cut() - makes directory @path (not there yet) as after the first @count operations. */
void recorder_cut(struct recorder *recorder, unsigned count, uint64_t seed, const char *path);
