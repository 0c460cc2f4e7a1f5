/*
 * names_fuzz.c - any bucket prefix and any key: a key that has a path is found by walking that path
 * through listings, and the path leads back to the key; a key without one is never shown.
 */
/* fuzz-links: cenote_base cenote_fuse */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "fuse/namespace/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool prefix_plain(const char *prefix)
{
	size_t len = strlen(prefix);

	return len < NAMES_KEY_MAX && (len == 0 || prefix[len - 1] == '/');
}

/* What each directory on the way shows of the key. Return: whether all show it as they must. */
static bool walk_finds(const char *prefix, const char *key, const char *path)
{
	char at[NAMES_KEY_MAX + 1];

	memcpy(at, prefix, strlen(prefix) + 1);
	for (;;) {
		size_t len = strcspn(path, "/"), name_len = 0;
		bool last = path[len] == '\0';
		const char *name = NULL;

		if (names_classify(at, key, &name, &name_len) !=
		    (last ? NAMES_FILE : NAMES_DIRECTORY))
			return false;
		if (name_len != len || memcmp(name, path, len) != 0)
			return false;
		if (last)
			return true;
		strncat(at, path, len + 1);
		path += len + 1;
	}
}

static void check_key(const char *prefix, const char *key)
{
	char path[NAMES_KEY_MAX + 1], back[NAMES_KEY_MAX + 1], dataset[3 * NAMES_KEY_MAX];
	int len = names_path_of_key(prefix, key, path);

	CHECK(len == -EINVAL || len == (int)strlen(path));
	if (len < 0)
		return;
	CHECK(names_key_of_path(prefix, path, back) == (int)strlen(key));
	CHECK(strcmp(back, key) == 0);
	CHECK(walk_finds(prefix, key, path));
	for (unsigned depth = 0; depth < 3; depth++) {
		names_dataset("/", path, depth, dataset, sizeof(dataset));
		CHECK(dataset[0] == '/' && (depth > 0 || dataset[1] == '\0'));
	}
}

static void check_path(const char *prefix, const char *path)
{
	char key[NAMES_KEY_MAX + 1], back[NAMES_KEY_MAX + 1];
	int len = names_key_of_path(prefix, path, key);

	if (len < 0)
		return;
	CHECK(len == (int)strlen(key) && len <= NAMES_KEY_MAX);
	CHECK(names_path_of_key(prefix, key, back) == (int)strlen(path));
	CHECK(strcmp(back, path) == 0);
}

/* A listed key is shown by a name that a look-up would ask for with the same key. */
static void check_shown(const char *prefix, const char *key)
{
	const char *name;
	size_t len;

	switch (names_classify(prefix, key, &name, &len)) {
	case NAMES_FILE:
		CHECK(name + len == key + strlen(key));
		/* fallthrough */
	case NAMES_DIRECTORY:
		CHECK(name == key + strlen(prefix) && names_component_valid(name, len));
		break;
	case NAMES_SELF:
		CHECK(strcmp(prefix, key) == 0);
		break;
	case NAMES_HIDDEN:
		break;
	}
}

static void check_entries(const char *a, const char *b)
{
	size_t len;
	bool last;
	const char *name;

	if (names_entry_path_check(a) || names_entry_path_check(b))
		return;
	CHECK(names_entry_nested(a, b) == names_entry_nested(b, a));
	name = names_below(a, b, &len, &last);
	CHECK(!name || (names_component_valid(name, len) && names_entry_nested(a, b)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 2);
	const char *key;

	CHECK(text);
	memcpy(text, data, len);
	memset(text + len, 0, 2);
	key = text + strlen(text) + 1; /* "prefix NUL key" */
	if (prefix_plain(text) && key <= text + len) {
		check_key(text, key);
		check_path(text, key);
		check_shown(text, key);
	}
	if (key <= text + len)
		check_entries(text, key);
	free(text);
	return 0;
}
