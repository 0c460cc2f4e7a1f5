/*
 * keyring.h - the cluster's secrets: 32-byte keys of which the first is used and all are accepted,
 * so that a key can be exchanged without a moment at which members do not understand each other:
 * add the new one everywhere, use it everywhere, remove the old one everywhere.
 *
 * From each key, keys for one purpose are derived (HKDF-SHA-256), so that what the gossip and the
 * fabric do with it cannot meet. Thread safe: readers take a copy. Keys are wiped when freed and
 * never printed; people see a key's id, the first 8 bytes of SHA-256("cenote key id" || key).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KEYRING_KEY_LEN	 32
#define KEYRING_ID_LEN	 8
#define KEYRING_ID_TEXT	 (2 * KEYRING_ID_LEN + 1) /* as hexadecimal, with its NUL */
#define KEYRING_KEYS_MAX 8

struct keyring;

struct keyring_key {
	uint8_t id[KEYRING_ID_LEN];
	uint8_t key[KEYRING_KEY_LEN]; /* wipe with keyring_key_wipe() */
};

/** keyring_create() - an empty ring. Return: 0 or -ENOMEM. */
int keyring_create(struct keyring **out_ring);

/**
 * keyring_load() - a ring from a file: one key a line, 64 hexadecimal digits or 44 base64
 * characters; '#' starts a comment; the first is used. The file must belong to us or root and be
 * neither readable nor writable for others (one of root's may be readable for a group of ours:
 * systemd and Kubernetes hand secrets to services that way).
 * Return: 0; -EINVAL (no key, a line that is none: the line is named, its text is not), -EACCES,
 *         -ENOENT ... with @problem; -ENOMEM.
 */
int keyring_load(const char *path, struct keyring **out_ring, char *problem, size_t problem_size);

/**
 * keyring_save() - writes the ring to @path, mode 0600, replacing it in one step: after a crash
 * there is the old file or the new one. One caller at a time for a @path.
 * Return: 0; -EACCES, -ENOSPC, -ENAMETOOLONG ... with @problem, and the old file is untouched.
 */
int keyring_save(const struct keyring *ring, const char *path, char *problem, size_t problem_size);

/** keyring_destroy() - wipes and frees; NULL is fine. */
void keyring_destroy(struct keyring *ring);

/** keyring_add() - accepts @key from now on (used when it is the first).
 *  Return: 0 (already there too); -ENOSPC with KEYRING_KEYS_MAX in the ring. */
int keyring_add(struct keyring *ring, const uint8_t key[KEYRING_KEY_LEN]);

/** keyring_use() - makes the key of that id the used one. Return: 0, -ENOENT. */
int keyring_use(struct keyring *ring, const uint8_t id[KEYRING_ID_LEN]);

/** keyring_remove() - Return: 0, -ENOENT, -EBUSY for the one in use. */
int keyring_remove(struct keyring *ring, const uint8_t id[KEYRING_ID_LEN]);

/** keyring_used() - a copy of the key in use. Return: 0, -ENOENT of an empty ring. */
int keyring_used(const struct keyring *ring, struct keyring_key *out);

/** keyring_find() - a copy of the key of that id. Return: 0, -ENOENT. */
int keyring_find(const struct keyring *ring, const uint8_t id[KEYRING_ID_LEN],
		 struct keyring_key *out);

/** keyring_copy() - all keys, the used one first; each is to be wiped. Returns how many. */
unsigned keyring_copy(const struct keyring *ring, struct keyring_key out[KEYRING_KEYS_MAX]);

/** keyring_list() - the ids, the used one first. Returns how many. */
unsigned keyring_list(const struct keyring *ring,
		      uint8_t out_ids[KEYRING_KEYS_MAX][KEYRING_ID_LEN]);

/** keyring_version() - changes with every change of the ring: what was derived is to be derived
 *  again. */
uint64_t keyring_version(const struct keyring *ring);

/** keyring_key_wipe() - forgets a copy. */
void keyring_key_wipe(struct keyring_key *key);

/** keyring_id() - of a key. */
void keyring_id(const uint8_t key[KEYRING_KEY_LEN], uint8_t out[KEYRING_ID_LEN]);

/** keyring_derive() - HKDF-SHA-256 of @key with @info (a purpose, and what the result is bound to)
 *  into @len <= 64 bytes. */
void keyring_derive(const struct keyring_key *key, const void *info, size_t info_len, void *out,
		    size_t len);

/** keyring_parse() - a key as a file has it; blanks around it are fine.
 *  Return: 0, -EINVAL with @problem that does not quote it. */
int keyring_parse(const char *text, uint8_t out[KEYRING_KEY_LEN], char *problem,
		  size_t problem_size);
