/*
 * connection.h - what is said to the kernel over a FUSE connection's descriptor besides libfuse's
 * replies. Each call returns 0 or a negative errno; -ENODEV, -EPERM, -ENOTCONN: the connection has
 * ended.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** connection_dead() - whether it was ended, by umount or an abort. */
bool connection_dead(int fd);

/** connection_answer() - the reply to request @unique: @error, a negative errno. */
int connection_answer(int fd, uint64_t unique, int error);

/** connection_resend() - asks for all requests that were read and not answered. They come before
 *  others, and with the highest bit of their number set. */
int connection_resend(int fd);

/** connection_forget_names() - all names are looked up anew, whatever was promised of them. Waits
 *  for nothing. Return: -EINVAL before Linux 6.16, too. */
int connection_forget_names(int fd);

/** connection_knows() - whether the kernel refers to @node; it will ask for the node's attributes
 *  anew. Return: -ENOENT: it does not. */
int connection_knows(int fd, uint64_t node);

/**
 * connection_store() - puts @len bytes of @node, from @off on, into the kernel's page cache. Waits,
 * and by no signal less, while a READ of one of those pages is unanswered.
 * Return: -ENOENT: the kernel does not refer to the node.
 */
int connection_store(int fd, uint64_t node, uint64_t off, void *bytes, size_t len);

/** connection_backing_open() - registers the file @fd_backing. Return: an id above 0. */
int connection_backing_open(int fd, int fd_backing);
int connection_backing_close(int fd, int id);
