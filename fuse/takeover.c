/*
 * takeover.c - see takeover.h.
 */
#include "fuse/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/connection.h"
#include "fuse/mountpoint.h"

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

/* Nobody can go on with it, and nobody else would end it while it is kept. */
static void mount_end(const char *path, bool inside, int connection)
{
	struct mountpoint mountpoint;
	char problem[256];

	if (mountpoint_adopt(path, inside, connection, &mountpoint, problem, sizeof(problem)) !=
	    0) {
		log_warning("mount.takeover", "error=\"%s\"", problem);
		return;
	}
	mountpoint_unmount(&mountpoint);
	mountpoint_fini(&mountpoint);
}

/* The ledger of the former worker. Return: 0, or a negative errno: it cannot be read. */
static int ledger_take(int fd, struct takeover *out)
{
	int copy = duplicate(fd);
	int err;

	if (copy < 0)
		return copy;
	err = ledger_adopt(copy, &out->ledger);
	if (err) {
		close(copy);
		return err;
	}
	out->init_len = ledger_init(out->ledger, out->init);
	return 0;
}

/* Another version's, or damaged. What the connection began with is at the same place in all. */
static int init_rescue(int fd, int reason, struct takeover *out)
{
	int err;

	out->init_len = ledger_init_of(fd, out->init);
	log_error("mount.takeover",
		  "error=\"%s\" text=\"the ledger of the former process cannot be read: %s\"",
		  error_text(reason),
		  out->init_len > 0 ? "names are looked up again, files that are open fail"
				    : "the mount is taken away and made anew");
	err = ledger_create(&out->ledger);
	if (!err && out->init_len > 0)
		ledger_set_init(out->ledger, out->init, out->init_len);
	return err;
}

static int served_look(const struct mount_keepsake *kept, const char *path, bool inside,
		       struct takeover *out)
{
	int err = ledger_take(kept->ledger, out);

	/* Want of memory is not the ledger's fault: another attempt may read it. */
	if (err == -EPROTONOSUPPORT || err == -EBADMSG)
		err = init_rescue(kept->ledger, err, out);
	if (err)
		return err;
	if (out->init_len == 0) {
		mount_end(path, inside, kept->connection);
		return 0;
	}
	out->connection = duplicate(kept->connection);
	return out->connection < 0 ? out->connection : 0;
}

void keepsake_close(struct mount_keepsake *kept)
{
	if (kept->connection >= 0)
		close(kept->connection);
	if (kept->ledger >= 0)
		close(kept->ledger);
	kept->connection = kept->ledger = -1;
}

int takeover_look(const struct mount_keepsake *kept, const char *path, bool inside,
		  struct takeover *out, char *problem, size_t problem_size)
{
	bool given = kept->connection >= 0 && kept->ledger >= 0;
	int err;

	out->ledger = NULL;
	out->connection = -1;
	out->init_len = 0;
	if (given && connection_dead(kept->connection)) {
		log_notice("mount.takeover",
			   "path=%s text=\"the mount was taken away while nobody "
			   "served it: it is made anew\"",
			   path);
		given = false;
	}
	err = given ? served_look(kept, path, inside, out) : ledger_create(&out->ledger);
	if (!err)
		return 0;
	ledger_destroy(out->ledger);
	snprintf(problem, problem_size, "the ledger of what the kernel was promised: %s",
		 error_text(err));
	return err;
}

/* --- the heritage as a whole -------------------------------------------------------------------
 */

void mount_heritage_none(struct mount_heritage *out)
{
	out->board = NULL;
	for (unsigned i = 0; i < ARRAY_COUNT(out->kept); i++)
		out->kept[i] = (struct mount_keepsake){ .connection = -1, .ledger = -1 };
}

void mount_heritage_close(struct mount_heritage *heritage)
{
	for (unsigned i = 0; i < ARRAY_COUNT(heritage->kept); i++)
		keepsake_close(&heritage->kept[i]);
}

/* A part that lacks one of the two, or both, is mounted anew. */
int mount_heritage_check(const struct mount_heritage *heritage, char *problem, size_t problem_size)
{
	int err = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(heritage->kept) && !err; i++) {
		const struct mount_keepsake *kept = &heritage->kept[i];

		if (kept->connection >= 0 && kept->ledger >= 0)
			err = ledger_check(kept->ledger);
		else if (i == 0)
			err = -EBADMSG;
	}
	if (err)
		snprintf(problem, problem_size,
			 "what the running worker keeps cannot be read by this release (%s): "
			 "restart the service in place of upgrading it",
			 error_text(err));
	return err;
}
