/*
 * protocol.h - the bytes between a worker and its keeper: datagrams over a SOCK_SEQPACKET pair, and
 * the line of the environment by which either of them is started with what the other holds.
 *
 *	datagram	version u16, kind u8, flag u8, text length u16, zero u16, number u64,
 *			the text without its NUL; little-endian. KEEP carries a descriptor.
 *	environment	CENOTE_KEEPER="version=1 socket=3 board=4 self=5 kept.connection.0=6 ..."
 *
 * Both sides may be of different releases: the version comes first, and what has another one is
 * refused before anything else is looked at. Pure but for protocol_send() and protocol_receive();
 * nothing is allocated. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PROTOCOL_VERSION	 1
#define PROTOCOL_VARIABLE	 "CENOTE_KEEPER"
#define PROTOCOL_TEXT_MAX	 1023
#define PROTOCOL_HEAD_LEN	 16
#define PROTOCOL_MESSAGE_MAX	 (PROTOCOL_HEAD_LEN + PROTOCOL_TEXT_MAX)
#define PROTOCOL_NAME_MAX	 31
#define PROTOCOL_KEPT_MAX	 32
#define PROTOCOL_ENVIRONMENT_MAX 2048

enum protocol_kind {
	PROTOCOL_NONE,
	/* worker -> keeper */
	PROTOCOL_KEEP, /* text: the name; with its descriptor */
	PROTOCOL_DROP, /* text: the name */
	PROTOCOL_SERVING,
	PROTOCOL_STOPPING,
	PROTOCOL_WATCH,	  /* number: hang_after in ns; flag: a core file may be left behind */
	PROTOCOL_UPGRADE, /* text: the new cenoted; "": the one of the path we were started by */
	PROTOCOL_READY,	  /* of a standby: it would go; waits */
	PROTOCOL_REFUSED, /* of a standby: text says why it would not */
	/* keeper -> worker */
	PROTOCOL_SIGNAL,   /* number: what the keeper was sent */
	PROTOCOL_UPGRADED, /* flag: agreed, leave; else text says why not */
	PROTOCOL_GO,	   /* to a standby: your turn */
	PROTOCOL_KIND_COUNT,
};

struct protocol_message {
	enum protocol_kind kind;
	bool flag;
	uint64_t number;
	char text[PROTOCOL_TEXT_MAX + 1];
};

/** protocol_encode() - @out: PROTOCOL_MESSAGE_MAX bytes. Return: the length. */
size_t protocol_encode(const struct protocol_message *message, uint8_t *out);

/** protocol_decode() - Return: 0; -EPROTONOSUPPORT another version's; -EBADMSG. */
int protocol_decode(const uint8_t *bytes, size_t len, struct protocol_message *out);

/** protocol_name_valid() - letters, digits, '.', '-'; 1 to PROTOCOL_NAME_MAX of them. */
bool protocol_name_valid(const char *name);

/* Room for the descriptor that goes with a message. */
union protocol_rights {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/** protocol_attach() - @fd goes with the message, by way of @room; -1: none does. */
void protocol_attach(struct msghdr *header, union protocol_rights *room, int fd);

/**
 * protocol_send() - @fd: goes with it, stays the caller's; -1: none.
 * Return: 0; -EPIPE the other side is gone; -EAGAIN it does not read.
 */
int protocol_send(int socket, const struct protocol_message *message, int fd);

/**
 * protocol_receive() - does not wait. @out_fd: the caller's, or -1; close-on-exec.
 * Return: 0; -EAGAIN none is there; -EPIPE the other side is gone; as protocol_decode() for a
 *         datagram that is none of ours, which is dropped with its descriptors.
 */
int protocol_receive(int socket, struct protocol_message *out, int *out_fd);

struct protocol_kept {
	char name[PROTOCOL_NAME_MAX + 1];
	int fd;
};

/* What a process is started with. Descriptors: -1 when not given. */
struct protocol_start {
	int socket, board;
	int self;     /* the keeper's own program, to start it again when it dies */
	int program;  /* to a keeper: the worker's program */
	int worker;   /* to a keeper: pidfd of the worker that runs */
	int64_t pid;  /* to a keeper: of that worker; 0 */
	int64_t oom;  /* to a keeper: oom_score_adj of workers */
	bool standby; /* to a worker: check, say READY or REFUSED, wait for GO */
	unsigned kept_count;
	struct protocol_kept kept[PROTOCOL_KEPT_MAX];
};

/** protocol_start_init() - nothing given. */
void protocol_start_init(struct protocol_start *start);

/** protocol_start_encode() - the variable's value. @out: PROTOCOL_ENVIRONMENT_MAX bytes. */
void protocol_start_encode(const struct protocol_start *start, char *out);

/**
 * protocol_start_decode() - descriptors are numbers from 3 up, and no two are the same; that they
 * are open is not looked at.
 * Return: 0; -EPROTONOSUPPORT another version's; -EBADMSG.
 */
int protocol_start_decode(const char *text, struct protocol_start *out);
