/*
 * upgrade.h - `cenote upgrade`: what was asked for at the control socket, on its way to the main
 * thread, which has the link to the keeper; and what the keeper said. The command asks for the
 * report until the state is another, or until another process answers.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "fuse/keeper/link.h"

enum upgrade_state {
	UPGRADE_NONE,
	UPGRADE_ASKED,	 /* waits for the main thread */
	UPGRADE_TRYING,	 /* waits for the keeper, who tries the new program */
	UPGRADE_LEAVING, /* agreed: this process makes way */
	UPGRADE_REFUSED, /* this one goes on; the problem says why */
};

#define UPGRADE_PROGRAM_MAX 1024

struct control_request;
struct upgrade;

/** upgrade_create() - Return: 0, -ENOMEM, -EMFILE. */
int upgrade_create(struct upgrade **out_upgrade);

/** upgrade_destroy() - NULL is fine. */
void upgrade_destroy(struct upgrade *upgrade);

/** upgrade_answer() - to CONTROL_UPGRADE; any thread. @alone: there is no keeper.
 *  Return: heap memory, or NULL. */
char *upgrade_answer(struct upgrade *upgrade, bool alone, const struct control_request *request);

/** upgrade_fd() - readable when upgrade_take() may have something. */
int upgrade_fd(const struct upgrade *upgrade);

/** upgrade_take() - Return: whether one was asked for, with @program: UPGRADE_PROGRAM_MAX bytes. It
 *  is TRYING then. */
bool upgrade_take(struct upgrade *upgrade, char *program);

/** upgrade_end() - @state: LEAVING or REFUSED. */
void upgrade_end(struct upgrade *upgrade, enum upgrade_state state, const char *problem);

/** upgrade_json() - for the report; any thread. */
json_t *upgrade_json(struct upgrade *upgrade);
