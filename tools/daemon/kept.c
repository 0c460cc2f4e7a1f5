/*
 * kept.c - see kept.h.
 */
#include "tools/daemon/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/config.h"
#include "base/config_text.h"
#include "base/error.h"
#include "base/log.h"
#include "fuse/keeper/link.h"
#include "tools/daemon/rooms.h"
#include "tools/daemon/upgrade.h"

#define CONFIG	 "config"
#define INSTANCE "instance"
#define ARENA	 "arena"

/* Of connection @index: "connection.0", "ledger.0". */
static const char *connection_name(unsigned index, char out[LINK_NAME_MAX + 1])
{
	snprintf(out, LINK_NAME_MAX + 1, "connection.%u", index);
	return out;
}

static const char *ledger_name(unsigned index, char out[LINK_NAME_MAX + 1])
{
	snprintf(out, LINK_NAME_MAX + 1, "ledger.%u", index);
	return out;
}

/* --- the configuration */

/* The text of a memfd that an earlier worker wrote. NULL: it is of no use. */
static char *text_read(int fd)
{
	struct stat st;
	char *text;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > CONFIG_TEXT_MAX)
		return NULL;
	text = calloc(1, (size_t)st.st_size + 1);
	if (text && pread(fd, text, (size_t)st.st_size, 0) == st.st_size)
		return text;
	free(text);
	return NULL;
}

int kept_settings_load(const struct link *link, const char *path, bool from_file,
		       struct settings *out, char *problem, size_t problem_size)
{
	int fd = from_file ? -1 : link_kept(link, CONFIG);
	char *text = fd >= 0 ? text_read(fd) : NULL;
	int error = -ENOENT;

	if (fd >= 0)
		close(fd);
	if (text)
		error = config_load_text(text, path, &settings_options, out, problem, problem_size);
	free(text);
	return error ? settings_load(path, out, problem, problem_size) : 0;
}

bool kept_same_place(const struct settings *a, const struct settings *b, const char **out_name)
{
	const struct mount_entry_config *parts[2][MOUNT_PARTS_MAX];
	unsigned count = mount_config_parts(&a->mount, parts[0]);

	*out_name = NULL;
	if (count != mount_config_parts(&b->mount, parts[1]))
		*out_name = "mount.entries.kind";
	for (unsigned i = 0; i < count && !*out_name; i++)
		if (strcmp(parts[0][i]->path, parts[1][i]->path) != 0)
			*out_name = "mount.entries.path";
	if (*out_name)
		return false;
	if (strcmp(a->mount.path, b->mount.path) != 0)
		*out_name = "mount.path";
	else if (strcmp(a->node.run_dir, b->node.run_dir) != 0)
		*out_name = "node.run_dir";
	return !*out_name;
}

static int text_write(const struct config_text *text)
{
	int fd = memfd_create("cenote-config", MFD_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	if (write(fd, text->text, text->len) == (ssize_t)text->len)
		return fd;
	error = errno ? -errno : -EIO;
	close(fd);
	return error;
}

void kept_settings_keep(struct link *link, const char *path)
{
	char problem[SETTINGS_PROBLEM_MAX] = "";
	struct config_text text;
	int error, fd = -1;

	if (link_alone(link))
		return;
	error = config_text_read(&text, path, problem, sizeof(problem));
	if (!error) {
		fd = text_write(&text);
		config_text_free(&text);
		error = fd < 0 ? fd : link_keep(link, CONFIG, fd);
	}
	if (fd >= 0)
		close(fd);
	if (error)
		log_warning("daemon.keep", "what=config error=\"%s\" problem=\"%s\"",
			    error_text(error), problem);
}

/* --- the pid file */

static void keep(struct link *link, const char *name, int fd)
{
	int error = link_keep(link, name, fd);

	if (error)
		log_warning("daemon.keep", "what=%s error=\"%s\"", name, error_text(error));
}

int kept_instance_claim(struct link *link, const char *run_dir, struct instance *out, char *problem,
			size_t problem_size)
{
	int lock = link_kept(link, INSTANCE), error;

	if (lock >= 0)
		error = instance_adopt(run_dir, lock, out);
	else
		error = instance_claim(run_dir, out, problem, problem_size);
	if (error) {
		if (lock >= 0)
			close(lock);
		return error;
	}
	if (link_alone(link))
		return 0;
	if (lock < 0)
		keep(link, INSTANCE, out->fd);
	error = instance_name(out, link_keeper_pid(link));
	if (error)
		log_warning("daemon.keep", "what=%s error=\"%s\"", INSTANCE, error_text(error));
	return 0;
}

/* --- the mount and the memory */

void kept_heritage(const struct link *link, struct mount_heritage *out)
{
	char name[LINK_NAME_MAX + 1];

	for (unsigned i = 0; i < ARRAY_COUNT(out->kept); i++) {
		out->kept[i].connection = link_kept(link, connection_name(i, name));
		out->kept[i].ledger = link_kept(link, ledger_name(i, name));
	}
	out->board = link_board(link);
}

/* The ledger first: a connection alone could not be gone on with. */
static void keepsake_keep(struct link *link, unsigned index, const struct mount_keepsake *kept)
{
	char name[LINK_NAME_MAX + 1];

	if (kept->connection < 0)
		return;
	keep(link, ledger_name(index, name), kept->ledger);
	keep(link, connection_name(index, name), kept->connection);
}

static void keepsake_drop(struct link *link, unsigned index)
{
	char name[LINK_NAME_MAX + 1];

	link_drop(link, connection_name(index, name));
	link_drop(link, ledger_name(index, name));
}

void kept_rooms_keep(struct daemon_rooms *rooms)
{
	struct mount_keepsake kept[1 + MOUNT_PARTS_MAX];
	unsigned count;
	int arena = cache_arena_fd(rooms->cache);

	if (link_alone(rooms->link))
		return;
	if (arena >= 0)
		keep(rooms->link, ARENA, arena);
	if (mount_keepsakes(rooms->mount, kept, &count, rooms->resend_reason,
			    sizeof(rooms->resend_reason)) != 0) {
		count = 0;
		log_notice("daemon.keep", "problem=\"%s\"", rooms->resend_reason);
	}
	for (unsigned i = 0; i < count; i++)
		keepsake_keep(rooms->link, i, &kept[i]);
	for (unsigned i = count; i < ARRAY_COUNT(kept); i++)
		keepsake_drop(rooms->link, i);
}

static int directories_look(const struct settings *settings, char *problem, size_t problem_size)
{
	const struct cache_directory_config *directories = settings->cache.directories.items;

	for (unsigned i = 0; i < settings->cache.directories.count; i++) {
		int error = access(directories[i].path, R_OK | W_OK | X_OK) == 0 ? 0 : -errno;

		if (!error)
			continue;
		snprintf(problem, problem_size, "the cache directory %s: %s", directories[i].path,
			 error_text(error));
		return error;
	}
	return 0;
}

/* What is in force, against what the file says. Settings that this release cannot read are not
 * compared: the file's are read in their place. */
static int place_look(const struct link *link, const char *path, const struct settings *settings,
		      char *problem, size_t problem_size)
{
	struct settings in_force;
	const char *name;
	int error = kept_settings_load(link, path, false, &in_force, problem, problem_size);

	if (error)
		return error;
	if (!kept_same_place(&in_force, settings, &name)) {
		error = -EINVAL;
		snprintf(problem, problem_size,
			 "setting '%s' is another than the one in force: restart the service in "
			 "place of upgrading it",
			 name);
	}
	settings_free(&in_force);
	return error;
}

static int heritage_look(const struct link *link, char *problem, size_t problem_size)
{
	struct mount_heritage heritage;
	int error;

	kept_heritage(link, &heritage);
	if (heritage.kept[0].connection < 0 && heritage.kept[0].ledger < 0) {
		error = -EOPNOTSUPP;
		snprintf(problem, problem_size,
			 "on this kernel the mount cannot be handed over (6.9 and later can): "
			 "restart the service");
	} else {
		error = mount_heritage_check(&heritage, problem, problem_size);
	}
	mount_heritage_close(&heritage);
	return error;
}

int kept_look(const struct link *link, const char *path, const struct settings *settings,
	      char *problem, size_t problem_size)
{
	int error = heritage_look(link, problem, problem_size);

	if (!error)
		error = place_look(link, path, settings, problem, problem_size);
	return error ? error : directories_look(settings, problem, problem_size);
}

/* --- the report */

static const char *const end_names[] = {
	[BOARD_END_NONE] = "none", [BOARD_END_EXIT] = "exit",	    [BOARD_END_SIGNAL] = "signal",
	[BOARD_END_HANG] = "hang", [BOARD_END_UPGRADE] = "upgrade", [BOARD_END_UNKNOWN] = "unknown",
};

json_t *kept_json(const struct daemon_rooms *rooms)
{
	const struct board *board = link_board(rooms->link);
	uint64_t now_ns = clock_now_ns(clock_system());
	uint64_t end_ns = board->end_ns;
	uint32_t end = board->end;
	char reason[BOARD_REASON_MAX];

	if (link_alone(rooms->link))
		return json_null();
	if (!board_reason(board, reason))
		reason[0] = '\0';
	return json_pack("{s:i, s:I, s:I, s:s, s:I, s:I, s:s%, s:b, s:s, s:o}", "pid",
			 board->keeper_pid, "restarts", (json_int_t)board->restarts,
			 "hang_after_ns", (json_int_t)board->hang_after_ns, "end",
			 end_names[end < ARRAY_COUNT(end_names) ? end : BOARD_END_UNKNOWN],
			 "end_code", (json_int_t)board->end_code, "end_age_ns",
			 (json_int_t)(end_ns > 0 && end_ns < now_ns ? now_ns - end_ns : 0),
			 "reason", reason, strlen(reason), "resend",
			 rooms->resend_reason[0] == '\0', "resend_reason", rooms->resend_reason,
			 "upgrade", upgrade_json(rooms->upgrade));
}
