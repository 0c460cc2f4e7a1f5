/*
 * hold.c - see hold.h.
 */
#include "fuse/keeper/hold.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Its place; count: there is none of that name. */
static unsigned find(const struct hold *hold, const char *name)
{
	unsigned i = 0;

	while (i < hold->count && strcmp(hold->kept[i].name, name) != 0)
		i++;
	return i;
}

static int put(struct hold *hold, const char *name, int fd)
{
	unsigned place = find(hold, name);

	if (place == PROTOCOL_KEPT_MAX) {
		close(fd);
		return -ENOBUFS;
	}
	if (place < hold->count)
		close(hold->kept[place].fd);
	else
		hold->count++;
	snprintf(hold->kept[place].name, sizeof(hold->kept[place].name), "%s", name);
	hold->kept[place].fd = fd;
	return 0;
}

int hold_keep(struct hold *hold, const char *name, int fd)
{
	bool replaces = find(hold, name) < hold->count;
	int error = put(hold, name, fd);

	if (replaces)
		notify_forget(hold->notify, name);
	if (!error)
		notify_store(hold->notify, name, fd);
	return error;
}

void hold_adopt(struct hold *hold, const char *name, int fd)
{
	(void)put(hold, name, fd);
}

void hold_drop(struct hold *hold, const char *name)
{
	unsigned place = find(hold, name);

	if (place == hold->count)
		return;
	notify_forget(hold->notify, name);
	close(hold->kept[place].fd);
	hold->kept[place] = hold->kept[--hold->count];
}

void hold_drop_state(struct hold *hold)
{
	for (unsigned i = hold->count; i-- > 0;) {
		char name[sizeof(hold->kept[0].name)];

		memcpy(name, hold->kept[i].name, sizeof(name));
		if (strcmp(name, HOLD_INSTANCE) != 0)
			hold_drop(hold, name);
	}
}

int hold_get(const struct hold *hold, const char *name)
{
	unsigned place = find(hold, name);

	return place < hold->count ? hold->kept[place].fd : -1;
}
