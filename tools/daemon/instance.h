/*
 * instance.h - one daemon per run directory: the lock on <run_dir>/cenoted.pid, held until the
 * process ends, however it ends.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct instance {
	char *pid_path;
	int fd; /* -1: none */
};

/**
 * instance_claim() - makes @run_dir when missing, locks its pid file and writes our pid there.
 * Return: 0; -EBUSY (another daemon holds it; @problem names its pid), -EACCES, -ENOENT ... with
 *         @problem.
 */
int instance_claim(const char *run_dir, struct instance *out, char *problem, size_t problem_size);

/**
 * instance_adopt() - goes on with a lock that another process of this daemon has claimed.
 * @lock: taken on success.
 * Return: 0 or -ENOMEM.
 */
int instance_adopt(const char *run_dir, int lock, struct instance *out);

/** instance_name() - writes @pid into the pid file: who is to be sent signals. Return: 0, -EIO ...
 */
int instance_name(const struct instance *instance, pid_t pid);

/** instance_release() - removes the pid file and unlocks. A zeroed or unclaimed one is fine. */
void instance_release(struct instance *instance);

/** instance_leave() - lets go of it without unlocking: another process of this daemon holds it. */
void instance_leave(struct instance *instance);
