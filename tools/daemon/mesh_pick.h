/*
 * mesh_pick.h - which members take part in a mesh: those that can be read, or those of them that
 * were named. Pure: is shown one member after the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fabric/gossip/membership.h"
#include "tools/control.h"
#include "tools/daemon/mesh_schedule.h"

struct mesh_member {
	struct member_id id;
	char name[MEMBERSHIP_NAME_MAX];
};

struct mesh_pick {
	const struct control_mesh *asked;
	unsigned count;
	unsigned beyond; /* that would take part if there were room */
	struct mesh_member members[MESH_MEMBERS_MAX];
	/* of each name that was asked for */
	struct {
		bool found;
		bool twice;	     /* two members have it */
		struct member_id id; /* found */
		char why_not[96];    /* not found: one has it that cannot take part; "" */
	} named[CONTROL_MESH_MEMBERS_MAX];
};

/** mesh_pick_begin() - @asked: borrowed until mesh_pick_end(). */
void mesh_pick_begin(struct mesh_pick *pick, const struct control_mesh *asked);

/** mesh_pick_take() - one of the members that the gossip knows. @self: this node. */
void mesh_pick_take(struct mesh_pick *pick, const struct membership_member *self,
		    const struct membership_member *member);

/**
 * mesh_pick_end() - pick->members are those that take part, each once, by name.
 * Return: 0; with @problem -ENOENT: a name is nobody's, or of one that cannot take part; -EINVAL: a
 *         name is two members', or there are too many; -ENOTCONN: fewer than two.
 */
int mesh_pick_end(struct mesh_pick *pick, char *problem, size_t problem_size);
