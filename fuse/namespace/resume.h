/*
 * resume.h - where a read goes on in what the directory holds now. With the namespace's lock held.
 */
#pragma once

#include "fuse/namespace/inside.h"

#define READDIR_FIRST 2 /* offset of the first entry: behind "." and ".." */

/** resume_leaves() - whether the listing that the directory is read from has nothing at the read's
 *  offset: it begins behind it. */
bool resume_leaves(const struct namespace_read *read);

/** resume_seeks() - whether a listing of what is behind read->resume is to be preferred to one of
 *  all. After resume_begin(). */
bool resume_seeks(struct namespace *ns, const struct namespace_read *read);

/** resume_begin() - a read begins: its place, if it is known without looking. */
void resume_begin(struct namespace *ns, struct namespace_read *read);

/**
 * resume_place() - sets read->position, in the listing that it reads from.
 * Return: 0; -EAGAIN the listing has not come that far; -ETIMEDOUT nor did it by the deadline.
 */
int resume_place(struct namespace *ns, struct namespace_read *read);

/** resume_place_above() - the same for a directory above the mount entries. */
void resume_place_above(struct namespace *ns, struct namespace_read *read);

/** resume_offset() - the offset behind the entry before @position. */
uint64_t resume_offset(const struct namespace_read *read, uint32_t position);
