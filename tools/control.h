/*
 * control.h - how `cenote` talks to `cenoted`: one JSON line each way over a unix stream socket in
 * the run directory.
 *
 *	-> {"protocol": 1, "command": "flush", "timeout_ms": 200}
 *	<- {"protocol": 1, "ok": true, "result": {"flushed": true}}
 *	<- {"protocol": 1, "ok": false, "error": "EINVAL", "message": "unknown command 'x'"}
 *
 * A request is at most CONTROL_REQUEST_MAX bytes with its newline, an answer CONTROL_ANSWER_MAX.
 * The socket has mode 0600 and the daemon asks the kernel who calls: root and its own user may.
 * No secret is ever in an answer. The codec is pure; any thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_PROTOCOL	 1
#define CONTROL_REQUEST_MAX	 4096
#define CONTROL_ANSWER_MAX	 (1u << 20)
#define CONTROL_PROBLEM_MAX	 256
#define CONTROL_SOCKET_NAME	 "control"
#define CONTROL_ADDRESSES_MAX	 8
#define CONTROL_ADDRESS_MAX	 264
#define CONTROL_FILE_MAX	 1024
#define CONTROL_KEY_MAX		 17   /* a key's id in hexadecimal, with its NUL */
#define CONTROL_MEMBERS_MAX	 500  /* in one answer */
#define CONTROL_PATH_MAX	 1025 /* with its NUL */
#define CONTROL_MEMBER_MAX	 64   /* a member's name or id, with its NUL */
#define CONTROL_MESH_MEMBERS_MAX 64
#define CONTROL_FLUSH_MS_MAX                                                                       \
	500 /* one request may hold up the daemon's control thread this long                       \
	     */

enum control_command {
	CONTROL_STATUS,	 /* everything there is to know */
	CONTROL_FLUSH,	 /* wait until what was fetched is on the SSD, at most timeout_ms */
	CONTROL_MEMBERS, /* those of the cluster, from first on */
	CONTROL_JOIN,	 /* gives a task */
	CONTROL_LEAVE,	 /* gives a task */
	CONTROL_KEYS,	 /* gives a task */
	CONTROL_TASK,	 /* how it goes */
	CONTROL_CLUSTER, /* how all members are: gives a task */
	CONTROL_LOCATE,	 /* where an object's bytes are: gives a task */
	CONTROL_MESH,	 /* how fast members read from each other: gives a task */
	CONTROL_UPGRADE, /* has another program take over, which the report tells of */
	CONTROL_COMMAND_COUNT,
};

/* Of each pair of members, in both directions; limits as those of struct peer_measure. */
struct control_mesh {
	uint64_t bytes;
	uint32_t duration_ms;
	uint32_t read_len;
	unsigned depth;
	unsigned member_count;					    /* 0: all */
	char members[CONTROL_MESH_MEMBERS_MAX][CONTROL_MEMBER_MAX]; /* names or ids */
};

/* What takes longer than an answer may take gives a task's number, to be asked for again. */
struct control_request {
	enum control_command command;
	uint32_t timeout_ms; /* CONTROL_FLUSH: 0 .. CONTROL_FLUSH_MS_MAX */
	uint32_t first;	     /* CONTROL_MEMBERS */
	int64_t task;	     /* CONTROL_TASK */
	/* CONTROL_JOIN */
	unsigned address_count;
	char addresses[CONTROL_ADDRESSES_MAX][CONTROL_ADDRESS_MAX];
	/* CONTROL_KEYS; and CONTROL_UPGRADE: file, the new cenoted; "": where this one was */
	int action;		     /* enum membership_keys_action */
	char key[CONTROL_KEY_MAX];   /* use, remove */
	char file[CONTROL_FILE_MAX]; /* add: where the daemon reads it; "": a new one */
	bool local, force;
	bool drain;		     /* CONTROL_LEAVE: hand the blocks over first */
	char path[CONTROL_PATH_MAX]; /* CONTROL_LOCATE */
	bool blocks;		     /* CONTROL_LOCATE: the owner of each block, too */
	struct control_mesh mesh;    /* CONTROL_MESH */
};

extern const char *const control_keys_actions[]; /* in order, NULL-ended */

/**
 * control_request_decode() - a line as the daemon receives it, without its newline.
 * @line: @len bytes written by someone else, anything at all.
 * Return: 0, or -EINVAL with @problem saying what is wrong and what is accepted; -ENOMEM.
 */
int control_request_decode(const char *line, size_t len, struct control_request *out, char *problem,
			   size_t problem_size);

/** control_request_encode() - the line without its newline, NUL-ended. Return: its length; 0: its
 *  texts are not UTF-8, or too long for one request. */
size_t control_request_encode(const struct control_request *request, char out[CONTROL_REQUEST_MAX]);

/** control_answer_ok() - an answer line with its newline. @result is taken, NULL counts as out of
 *  memory. Return: heap memory for free(), or NULL. */
char *control_answer_ok(json_t *result);

/** control_answer_error() - the same for a failure; @error is a negative errno. */
char *control_answer_error(int error, const char *message);

/**
 * control_answer_decode() - what the daemon said.
 * Return: 0 with @out_result, a reference for json_decref(); -EPROTO when it is not an answer; the
 *         daemon's own error; always with @problem.
 */
int control_answer_decode(const char *line, size_t len, json_t **out_result, char *problem,
			  size_t problem_size);

/** control_socket_path() - "<run_dir>/control". Return: 0, -ENAMETOOLONG with @problem. */
int control_socket_path(const char *run_dir, char *out, size_t out_size, char *problem,
			size_t problem_size);

/**
 * control_call() - one request to the daemon of @run_dir and its answer; blocks at most
 * @timeout_ms.
 * Return: as control_answer_decode(), and -ENOENT, -ECONNREFUSED (no daemon runs there), -EACCES,
 *         -ETIMEDOUT.
 */
int control_call(const char *run_dir, const struct control_request *request, int timeout_ms,
		 json_t **out_result, char *problem, size_t problem_size);
