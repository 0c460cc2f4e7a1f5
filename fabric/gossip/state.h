/*
 * state.h - what a node remembers of itself across restarts, in <state_dir>:
 *
 *	lock	held by the daemon that uses the directory
 *	member	its id and the highest incarnation that it may have used, as text
 *	peers	addresses of members it knew, so that it finds back without being told
 *
 * Each is written beside, synced and renamed: a crash leaves the old or the new one. The calls that
 * write block as long as the disk does.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "fabric/identity.h"

#define STATE_PEERS_MAX 64
#define STATE_FILE_MAX	8192

struct state_member {
	struct member_id id;
	uint32_t incarnation;
};

struct state_peers {
	struct address addresses[STATE_PEERS_MAX];
	unsigned count;
};

/**
 * state_claim() - makes @dir when missing and locks it for us, until the process ends or
 * state_release().
 * Return: 0 with @out_lock; -EBUSY (another daemon uses it), -EACCES ... with @problem.
 */
int state_claim(const char *dir, int *out_lock, char *problem, size_t problem_size);

/** state_release() - -1 is fine. */
void state_release(int lock);

/** state_member_load() - the member file, made with a new id when there is none.
 *  Return: 0; -EINVAL (not what we wrote: @problem says what to do), -EIO ... with @problem. */
int state_member_load(const char *dir, struct state_member *out, char *problem,
		      size_t problem_size);

/** state_member_save() - Return: 0, or an error with @problem; the old file is there then. */
int state_member_save(const char *dir, const struct state_member *member, char *problem,
		      size_t problem_size);

/** state_member_parse(), state_member_print() - the file's text. Return: 0, -EINVAL; its length. */
int state_member_parse(const char *text, size_t len, struct state_member *out);
size_t state_member_print(const struct state_member *member, char *out, size_t size);

/** state_peers_load() - none when there is no file, or no good one: it is a help, not a need. */
void state_peers_load(const char *dir, struct state_peers *out);

/** state_peers_save() - as state_member_save(). */
int state_peers_save(const char *dir, const struct state_peers *peers, char *problem,
		     size_t problem_size);

/** state_peers_parse(), state_peers_print() - the file's text; lines that are none are left out. */
void state_peers_parse(const char *text, size_t len, struct state_peers *out);
size_t state_peers_print(const struct state_peers *peers, char *out, size_t size);
