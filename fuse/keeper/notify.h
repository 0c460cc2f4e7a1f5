/*
 * notify.h - what the keeper tells systemd, and gets back from it: descriptors that are stored with
 * the service manager outlive the keeper and its worker (FDSTORE=1 of sd_notify(3); the unit needs
 * FileDescriptorStoreMax). Written out here because libsystemd is more than the keeper may link.
 * Without systemd all of it does nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fuse/keeper/protocol.h"

struct notify {
	int socket; /* -1: nobody to tell */
	struct sockaddr_un address;
	socklen_t address_len;
};

/** notify_init() - from $NOTIFY_SOCKET. */
void notify_init(struct notify *notify);

/** notify_main_pid() - the service's main process is this one from now on. */
void notify_main_pid(const struct notify *notify);

/** notify_store() - has @fd stored. An older one of that name would stay: forget it before. */
void notify_store(const struct notify *notify, const char *name, int fd);
void notify_forget(const struct notify *notify, const char *name);

/**
 * notify_stored() - what was stored by a keeper before this one ($LISTEN_FDS), close-on-exec; takes
 * those variables out of the environment.
 * @out: PROTOCOL_KEPT_MAX; what has no valid name is closed. Return: how many.
 */
unsigned notify_stored(struct protocol_kept *out);
