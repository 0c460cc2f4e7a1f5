/*
 * upgrade.c - see upgrade.h.
 */
#include "tools/daemon/upgrade.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "tools/control.h"

struct upgrade {
	pthread_mutex_t lock;
	enum upgrade_state state;	   /* guarded by lock */
	char program[UPGRADE_PROGRAM_MAX]; /* guarded by lock */
	char problem[LINK_PROBLEM_MAX];	   /* guarded by lock */
	int wake;
};

int upgrade_create(struct upgrade **out_upgrade)
{
	struct upgrade *upgrade = calloc(1, sizeof(*upgrade));

	if (!upgrade)
		return -ENOMEM;
	upgrade->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (upgrade->wake < 0) {
		free(upgrade);
		return -EMFILE;
	}
	pthread_mutex_init(&upgrade->lock, NULL);
	*out_upgrade = upgrade;
	return 0;
}

void upgrade_destroy(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	close(upgrade->wake);
	pthread_mutex_destroy(&upgrade->lock);
	free(upgrade);
}

char *upgrade_answer(struct upgrade *upgrade, bool alone, const struct control_request *request)
{
	bool busy;

	if (alone)
		return control_answer_error(-ENOENT,
					    "this daemon was started as cenoted-worker, without a "
					    "keeper: nobody would start the other program");
	pthread_mutex_lock(&upgrade->lock);
	busy = upgrade->state != UPGRADE_NONE && upgrade->state != UPGRADE_REFUSED;
	if (!busy) {
		upgrade->state = UPGRADE_ASKED;
		upgrade->problem[0] = '\0';
		snprintf(upgrade->program, sizeof(upgrade->program), "%s", request->file);
	}
	pthread_mutex_unlock(&upgrade->lock);
	if (busy)
		return control_answer_error(-EBUSY, "an upgrade is under way already");
	CHECK(eventfd_write(upgrade->wake, 1) == 0);
	return control_answer_ok(json_pack("{s:b}", "asked", 1));
}

int upgrade_fd(const struct upgrade *upgrade)
{
	return upgrade->wake;
}

bool upgrade_take(struct upgrade *upgrade, char *program)
{
	eventfd_t count;
	bool asked;

	if (eventfd_read(upgrade->wake, &count) != 0)
		return false;
	pthread_mutex_lock(&upgrade->lock);
	asked = upgrade->state == UPGRADE_ASKED;
	if (asked) {
		upgrade->state = UPGRADE_TRYING;
		snprintf(program, UPGRADE_PROGRAM_MAX, "%s", upgrade->program);
	}
	pthread_mutex_unlock(&upgrade->lock);
	return asked;
}

void upgrade_end(struct upgrade *upgrade, enum upgrade_state state, const char *problem)
{
	pthread_mutex_lock(&upgrade->lock);
	upgrade->state = state;
	snprintf(upgrade->problem, sizeof(upgrade->problem), "%s", problem);
	pthread_mutex_unlock(&upgrade->lock);
}

json_t *upgrade_json(struct upgrade *upgrade)
{
	static const char *const names[] = {
		[UPGRADE_NONE] = "none",       [UPGRADE_ASKED] = "trying",
		[UPGRADE_TRYING] = "trying",   [UPGRADE_LEAVING] = "leaving",
		[UPGRADE_REFUSED] = "refused",
	};
	json_t *json;

	pthread_mutex_lock(&upgrade->lock);
	json = json_pack("{s:s, s:s}", "state", names[upgrade->state], "problem", upgrade->problem);
	pthread_mutex_unlock(&upgrade->lock);
	return json;
}
