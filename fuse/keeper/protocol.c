/*
 * protocol.c - see protocol.h.
 */
#include "fuse/keeper/protocol.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

#define FD_MAX (1 << 20)
#define FDS_RECEIVED                                                                               \
	4 /* room for more than the one that a message has, to close what is too much */

/* The longest word of the environment is a kept descriptor's. */
static_assert(PROTOCOL_KEPT_MAX * (sizeof("kept.=1048575 ") + PROTOCOL_NAME_MAX) + 256 <
		      PROTOCOL_ENVIRONMENT_MAX,
	      "all that can be kept can be told");

static bool name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-';
}

bool protocol_name_valid(const char *name)
{
	size_t len = strnlen(name, PROTOCOL_NAME_MAX + 1);

	if (len == 0 || len > PROTOCOL_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!name_character(name[i]))
			return false;
	return true;
}

size_t protocol_encode(const struct protocol_message *message, uint8_t *out)
{
	size_t len = strnlen(message->text, PROTOCOL_TEXT_MAX);

	bytes_put_u16(out, PROTOCOL_VERSION);
	out[2] = (uint8_t)message->kind;
	out[3] = message->flag;
	bytes_put_u16(out + 4, (uint16_t)len);
	bytes_put_u16(out + 6, 0);
	bytes_put_u64(out + 8, message->number);
	memcpy(out + PROTOCOL_HEAD_LEN, message->text, len);
	return PROTOCOL_HEAD_LEN + len;
}

int protocol_decode(const uint8_t *bytes, size_t len, struct protocol_message *out)
{
	struct protocol_message message = { 0 };
	size_t text_len;

	if (len < 2)
		return -EBADMSG;
	if (bytes_get_u16(bytes) != PROTOCOL_VERSION)
		return -EPROTONOSUPPORT;
	if (len < PROTOCOL_HEAD_LEN || len > PROTOCOL_MESSAGE_MAX)
		return -EBADMSG;
	text_len = bytes_get_u16(bytes + 4);
	if (bytes[2] == PROTOCOL_NONE || bytes[2] >= PROTOCOL_KIND_COUNT || bytes[3] > 1 ||
	    bytes_get_u16(bytes + 6) != 0 || text_len != len - PROTOCOL_HEAD_LEN ||
	    memchr(bytes + PROTOCOL_HEAD_LEN, '\0', text_len))
		return -EBADMSG;
	message.kind = (enum protocol_kind)bytes[2];
	message.flag = bytes[3];
	message.number = bytes_get_u64(bytes + 8);
	memcpy(message.text, bytes + PROTOCOL_HEAD_LEN, text_len);
	if ((message.kind == PROTOCOL_KEEP || message.kind == PROTOCOL_DROP) &&
	    !protocol_name_valid(message.text))
		return -EBADMSG;
	*out = message;
	return 0;
}

void protocol_attach(struct msghdr *header, union protocol_rights *room, int fd)
{
	struct cmsghdr *rights;

	if (fd < 0)
		return;
	memset(room, 0, sizeof(*room));
	header->msg_control = room->bytes;
	header->msg_controllen = sizeof(room->bytes);
	rights = CMSG_FIRSTHDR(header);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
}

int protocol_send(int socket, const struct protocol_message *message, int fd)
{
	union protocol_rights rights;
	uint8_t bytes[PROTOCOL_MESSAGE_MAX];
	struct iovec part = { bytes, protocol_encode(message, bytes) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t sent;

	protocol_attach(&header, &rights, fd);
	do {
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	if (sent >= 0)
		return 0;
	return errno == EAGAIN ? -EAGAIN : -EPIPE;
}

/* The first descriptor that came; what came beyond it is closed. */
static int descriptor_take(struct msghdr *header)
{
	int taken = -1;

	for (struct cmsghdr *rights = CMSG_FIRSTHDR(header); rights;
	     rights = CMSG_NXTHDR(header, rights)) {
		size_t count;

		if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
			continue;
		count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(rights) + i * sizeof(int), sizeof(fd));
			if (taken < 0)
				taken = fd;
			else
				close(fd);
		}
	}
	return taken;
}

int protocol_receive(int socket, struct protocol_message *out, int *out_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_RECEIVED * sizeof(int))];
	} control;
	uint8_t bytes[PROTOCOL_MESSAGE_MAX + 1];
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes) };
	ssize_t got;
	int fd, error;

	do {
		got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? -EAGAIN : -EPIPE;
	if (got == 0)
		return -EPIPE; /* an empty datagram is none of ours either */
	fd = descriptor_take(&header);
	error = protocol_decode(bytes, (size_t)got, out);
	if (!error && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
		       (out->kind == PROTOCOL_KEEP) != (fd >= 0)))
		error = -EBADMSG;
	if (error && fd >= 0)
		close(fd);
	if (!error)
		*out_fd = fd;
	return error;
}

void protocol_start_init(struct protocol_start *start)
{
	*start = (struct protocol_start){
		.socket = -1, .board = -1, .self = -1, .program = -1, .worker = -1
	};
}

struct word {
	const char *name;
	size_t offset;
};

static const struct word descriptor_words[] = {
	{ "socket", offsetof(struct protocol_start, socket) },
	{ "board", offsetof(struct protocol_start, board) },
	{ "self", offsetof(struct protocol_start, self) },
	{ "program", offsetof(struct protocol_start, program) },
	{ "worker", offsetof(struct protocol_start, worker) },
};

static int *descriptor_of(struct protocol_start *start, unsigned index)
{
	return (int *)(void *)((char *)start + descriptor_words[index].offset);
}

void protocol_start_encode(const struct protocol_start *start, char *out)
{
	struct protocol_start copy = *start;
	size_t len =
		(size_t)sprintf(out, "version=%d pid=%lld oom=%lld standby=%d", PROTOCOL_VERSION,
				(long long)start->pid, (long long)start->oom, start->standby);

	for (unsigned i = 0; i < ARRAY_COUNT(descriptor_words); i++)
		if (*descriptor_of(&copy, i) >= 0)
			len += (size_t)snprintf(out + len, PROTOCOL_ENVIRONMENT_MAX - len, " %s=%d",
						descriptor_words[i].name, *descriptor_of(&copy, i));
	for (unsigned i = 0; i < start->kept_count; i++)
		len += (size_t)snprintf(out + len, PROTOCOL_ENVIRONMENT_MAX - len, " kept.%s=%d",
					start->kept[i].name, start->kept[i].fd);
}

/* A decimal number in [@min, @max], up to a blank or the end. Return: behind it; NULL: is none. */
static const char *number_read(const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long value;

	if ((*text < '0' || *text > '9') && *text != '-')
		return NULL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || (*end != ' ' && *end != '\0') || value < min || value > max)
		return NULL;
	*out = value;
	return end;
}

static bool descriptor_used(struct protocol_start *start, int fd)
{
	for (unsigned i = 0; i < ARRAY_COUNT(descriptor_words); i++)
		if (*descriptor_of(start, i) == fd)
			return true;
	for (unsigned i = 0; i < start->kept_count; i++)
		if (start->kept[i].fd == fd)
			return true;
	return false;
}

static bool kept_take(struct protocol_start *start, const char *name, int fd)
{
	if (!protocol_name_valid(name) || start->kept_count == PROTOCOL_KEPT_MAX)
		return false;
	for (unsigned i = 0; i < start->kept_count; i++)
		if (strcmp(start->kept[i].name, name) == 0)
			return false;
	snprintf(start->kept[start->kept_count].name, sizeof(start->kept[0].name), "%s", name);
	start->kept[start->kept_count++].fd = fd;
	return true;
}

/* "NAME=FD", a descriptor. Return: behind it; NULL: is none. */
static const char *descriptor_read(struct protocol_start *start, const char *name, const char *text)
{
	const char *end;
	int64_t fd;

	end = number_read(text, 3, FD_MAX - 1, &fd);
	if (!end || descriptor_used(start, (int)fd))
		return NULL;
	if (strncmp(name, "kept.", 5) == 0)
		return kept_take(start, name + 5, (int)fd) ? end : NULL;
	for (unsigned i = 0; i < ARRAY_COUNT(descriptor_words); i++) {
		if (strcmp(name, descriptor_words[i].name) != 0)
			continue;
		if (*descriptor_of(start, i) >= 0)
			return NULL;
		*descriptor_of(start, i) = (int)fd;
		return end;
	}
	return NULL;
}

static const char *word_read(struct protocol_start *start, const char *text)
{
	char name[sizeof("kept.") + PROTOCOL_NAME_MAX];
	size_t len = strcspn(text, "= ");
	int64_t number;
	const char *end;

	if (text[len] != '=' || len >= sizeof(name))
		return NULL;
	memcpy(name, text, len);
	name[len] = '\0';
	text += len + 1;
	if (strcmp(name, "pid") == 0)
		return number_read(text, 0, INT32_MAX, &start->pid);
	if (strcmp(name, "oom") == 0)
		return number_read(text, -1000, 1000, &start->oom);
	if (strcmp(name, "standby") == 0) {
		end = number_read(text, 0, 1, &number);
		if (end)
			start->standby = number;
		return end;
	}
	return descriptor_read(start, name, text);
}

int protocol_start_decode(const char *text, struct protocol_start *out)
{
	static const char version[] = "version=";
	struct protocol_start start;
	int64_t number;

	protocol_start_init(&start);
	if (strncmp(text, version, sizeof(version) - 1) != 0)
		return -EBADMSG;
	text = number_read(text + sizeof(version) - 1, 0, INT32_MAX, &number);
	if (!text)
		return -EBADMSG;
	if (number != PROTOCOL_VERSION)
		return -EPROTONOSUPPORT;
	while (*text == ' ') {
		text = word_read(&start, text + 1);
		if (!text)
			return -EBADMSG;
	}
	*out = start;
	return 0;
}
