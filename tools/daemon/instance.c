/*
 * instance.c - the pid file's lock. The lock and not the file says whether a daemon lives: a file
 * that a killed daemon left behind is no obstacle.
 */
#include "tools/daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* Others may look in, whatever our umask: the pid file is no secret and the socket has a mode of
 * its own. A directory that was there keeps the mode that somebody gave it. */
static int directory_make(const char *run_dir, char *problem, size_t problem_size)
{
	int error;

	if (mkdir(run_dir, 0755) == 0)
		return chmod(run_dir, 0755) == 0 ? 0 : -errno;
	if (errno == EEXIST)
		return 0;
	error = -errno;
	snprintf(problem, problem_size,
		 "cannot make the run directory %s: %s; make it, or choose another node.run_dir",
		 run_dir, error_text(error));
	return error;
}

static int lock_refused(int fd, const char *path, char *problem, size_t problem_size)
{
	int error = -errno;
	char pid[16] = "";
	ssize_t len;

	if (error != -EWOULDBLOCK) {
		snprintf(problem, problem_size, "cannot lock %s: %s", path, error_text(error));
		return error;
	}
	len = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[len > 0 ? (size_t)len : 0] = '\0';
	snprintf(problem, problem_size,
		 "a cenoted runs here already (pid %.*s, %s): stop it, or give this one another "
		 "node.run_dir",
		 (int)strcspn(pid, "\n"), pid, path);
	return -EBUSY;
}

static int pid_write(int fd, pid_t pid)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", pid);

	if (pwrite(fd, text, (size_t)len, 0) != len)
		return errno ? -errno : -EIO;
	return ftruncate(fd, len) == 0 ? 0 : -errno;
}

int instance_name(const struct instance *instance, pid_t pid)
{
	return pid_write(instance->fd, pid);
}

int instance_adopt(const char *run_dir, int lock, struct instance *out)
{
	struct instance instance = { .fd = lock };

	if (asprintf(&instance.pid_path, "%s/cenoted.pid", run_dir) < 0)
		return -ENOMEM;
	*out = instance;
	return 0;
}

/*
 * A daemon that is just ending removes the file it has locked: what we then hold is a file without
 * a name, and the next one would lock another. So the name is compared after locking.
 */
static int lock_current_file(const char *path, int *out_fd, char *problem, size_t problem_size)
{
	for (;;) {
		struct stat named, held;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		int error;

		if (fd < 0) {
			error = -errno;
			snprintf(problem, problem_size,
				 "cannot open %s: %s; run as its owner, or choose another "
				 "node.run_dir",
				 path, error_text(error));
			return error;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			error = lock_refused(fd, path, problem, problem_size);
			close(fd);
			return error;
		}
		if (fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
			*out_fd = fd;
			return 0;
		}
		close(fd);
	}
}

int instance_claim(const char *run_dir, struct instance *out, char *problem, size_t problem_size)
{
	struct instance instance = { .fd = -1 };
	int error;

	error = directory_make(run_dir, problem, problem_size);
	if (error)
		return error;
	if (asprintf(&instance.pid_path, "%s/cenoted.pid", run_dir) < 0)
		return -ENOMEM;
	error = lock_current_file(instance.pid_path, &instance.fd, problem, problem_size);
	if (error)
		goto free_path;
	error = pid_write(instance.fd, getpid());
	if (error) {
		snprintf(problem, problem_size, "cannot write %s: %s", instance.pid_path,
			 error_text(error));
		goto close_file;
	}
	*out = instance;
	return 0;
close_file:
	close(instance.fd);
free_path:
	free(instance.pid_path);
	return error;
}

void instance_leave(struct instance *instance)
{
	if (!instance->pid_path)
		return;
	close(instance->fd);
	free(instance->pid_path);
	*instance = (struct instance){ .fd = -1 };
}

void instance_release(struct instance *instance)
{
	if (!instance->pid_path)
		return;
	unlink(instance->pid_path);
	instance_leave(instance);
}
