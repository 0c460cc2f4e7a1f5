/*
 * state.c - the files of the state directory.
 */
#include "fabric/gossip/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"

#define PATH_SIZE	 4096
#define MEMBER_HEAD	 "cenote member 1\n"
#define PEERS_HEAD	 "cenote peers 1\n"
#define INCARNATION_LAST UINT32_C(0x7fffffff)

static int path_make(const char *dir, const char *name, char out[PATH_SIZE], char *problem,
		     size_t problem_size)
{
	if ((size_t)snprintf(out, PATH_SIZE, "%s/%s", dir, name) < PATH_SIZE)
		return 0;
	snprintf(problem, problem_size, "the state directory's name is too long");
	return -ENAMETOOLONG;
}

static int file_problem(int error, const char *what, const char *path, char *problem,
			size_t problem_size)
{
	snprintf(problem, problem_size, "cannot %s %s: %s", what, path, error_text(error));
	return error;
}

int state_claim(const char *dir, int *out_lock, char *problem, size_t problem_size)
{
	char path[PATH_SIZE];
	int error, fd;

	error = path_make(dir, "lock", path, problem, problem_size);
	if (error)
		return error;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return file_problem(-errno, "make the state directory", dir, problem, problem_size);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return file_problem(-errno, "open", path, problem, problem_size);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*out_lock = fd;
		return 0;
	}
	error = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	if (error != -EBUSY)
		return file_problem(error, "lock", path, problem, problem_size);
	snprintf(problem, problem_size,
		 "another daemon uses the state directory %s: give this one another "
		 "node.state_dir",
		 dir);
	return error;
}

void state_release(int lock)
{
	if (lock >= 0)
		close(lock);
}

/* Return: the file's length; a negative errno. */
static ssize_t file_read(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, out + len, size - len)) > 0)
		len += (size_t)got;
	if (got < 0)
		got = -errno;
	close(fd);
	if (got < 0)
		return got;
	return len < size ? (ssize_t)len : -EFBIG;
}

static int whole_write(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, data, len);

		if (written < 0)
			return -errno;
		data += written;
		len -= (size_t)written;
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static int directory_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) != 0)
		error = -errno;
	close(fd);
	return error;
}

static int file_replace(const char *dir, const char *name, const char *data, size_t len,
			char *problem, size_t problem_size)
{
	char path[PATH_SIZE], made[PATH_SIZE], made_name[32];
	int error, fd;

	snprintf(made_name, sizeof(made_name), "%s.new", name);
	error = path_make(dir, made_name, made, problem, problem_size);
	if (!error)
		error = path_make(dir, name, path, problem, problem_size);
	if (error)
		return error;
	fd = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return file_problem(-errno, "write", made, problem, problem_size);
	error = whole_write(fd, data, len);
	close(fd);
	if (!error && rename(made, path) != 0)
		error = -errno;
	if (!error)
		return directory_sync(dir);
	unlink(made);
	return file_problem(error, "write", made, problem, problem_size);
}

static int id_parse(const char *text, struct member_id *out)
{
	if (!digest_unhex(text, MEMBER_ID_LEN, out->bytes))
		return -EINVAL;
	return member_id_is_none(out) ? -EINVAL : 0;
}

/* Exactly what state_member_print() writes: whoever edits it should be told. */
int state_member_parse(const char *text, size_t len, struct state_member *out)
{
	char copy[STATE_FILE_MAX], again[STATE_FILE_MAX];
	const char *id = copy + strlen(MEMBER_HEAD "id ");
	struct state_member parsed = { 0 };
	uintmax_t incarnation;
	char *end;

	if (len >= sizeof(copy) || len < strlen(MEMBER_HEAD "id ") + 2 * (size_t)MEMBER_ID_LEN)
		return -EINVAL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (id_parse(id, &parsed.id))
		return -EINVAL;
	if (strncmp(id + 2 * (size_t)MEMBER_ID_LEN, "\nincarnation ", 13) != 0)
		return -EINVAL;
	incarnation = strtoumax(id + 2 * (size_t)MEMBER_ID_LEN + 13, &end, 10);
	if (incarnation > INCARNATION_LAST)
		return -EINVAL;
	parsed.incarnation = (uint32_t)incarnation;
	if (state_member_print(&parsed, again, sizeof(again)) != len ||
	    memcmp(again, copy, len) != 0)
		return -EINVAL;
	*out = parsed;
	return 0;
}

size_t state_member_print(const struct state_member *member, char *out, size_t size)
{
	char id[MEMBER_ID_TEXT];

	digest_hex(member->id.bytes, MEMBER_ID_LEN, id);
	return (size_t)snprintf(out, size, MEMBER_HEAD "id %s\nincarnation %" PRIu32 "\n", id,
				member->incarnation);
}

int state_member_save(const char *dir, const struct state_member *member, char *problem,
		      size_t problem_size)
{
	char text[STATE_FILE_MAX];
	size_t len = state_member_print(member, text, sizeof(text));

	return file_replace(dir, "member", text, len, problem, problem_size);
}

int state_member_load(const char *dir, struct state_member *out, char *problem, size_t problem_size)
{
	struct state_member member = { 0 };
	char path[PATH_SIZE], text[STATE_FILE_MAX];
	ssize_t len;
	int error;

	error = path_make(dir, "member", path, problem, problem_size);
	if (error)
		return error;
	len = file_read(path, text, sizeof(text));
	if (len == -ENOENT) {
		random_bytes(member.id.bytes, sizeof(member.id.bytes));
		error = state_member_save(dir, &member, problem, problem_size);
		if (!error)
			*out = member;
		return error;
	}
	if (len < 0)
		return file_problem((int)len, "read", path, problem, problem_size);
	error = state_member_parse(text, (size_t)len, out);
	if (error)
		snprintf(problem, problem_size,
			 "%s is damaged: remove it, and this node joins as a new member", path);
	return error;
}

void state_peers_parse(const char *text, size_t len, struct state_peers *out)
{
	char copy[STATE_FILE_MAX], problem[128], *rest = copy, *line;

	out->count = 0;
	if (len >= sizeof(copy))
		return;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strncmp(copy, PEERS_HEAD, strlen(PEERS_HEAD)) != 0)
		return;
	rest += strlen(PEERS_HEAD);
	while ((line = strsep(&rest, "\n")) && out->count < STATE_PEERS_MAX)
		if (address_parse(line, 0, &out->addresses[out->count], problem, sizeof(problem)) ==
			    0 &&
		    address_port(&out->addresses[out->count]) != 0)
			out->count++;
}

size_t state_peers_print(const struct state_peers *peers, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, PEERS_HEAD);

	for (unsigned i = 0; i < peers->count; i++) {
		char text[ADDRESS_TEXT_MAX];

		len += (size_t)snprintf(out + len, size - len, "%s\n",
					address_text(&peers->addresses[i], text));
	}
	return len;
}

_Static_assert((size_t)STATE_PEERS_MAX *ADDRESS_TEXT_MAX + sizeof(PEERS_HEAD) < STATE_FILE_MAX,
	       "all peers fit into the file");

void state_peers_load(const char *dir, struct state_peers *out)
{
	char path[PATH_SIZE], text[STATE_FILE_MAX], problem[64];
	ssize_t len;

	out->count = 0;
	if (path_make(dir, "peers", path, problem, sizeof(problem)))
		return;
	len = file_read(path, text, sizeof(text));
	if (len >= 0)
		state_peers_parse(text, (size_t)len, out);
	else if (len != -ENOENT)
		log_warning("gossip.peers", "path=%s error=\"%s\"", path, error_text((int)len));
}

int state_peers_save(const char *dir, const struct state_peers *peers, char *problem,
		     size_t problem_size)
{
	char text[STATE_FILE_MAX];
	size_t len = state_peers_print(peers, text, sizeof(text));

	return file_replace(dir, "peers", text, len, problem, problem_size);
}
