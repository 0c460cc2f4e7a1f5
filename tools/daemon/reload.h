/*
 * reload.h - SIGHUP: the live settings of a new config take effect, what needs a restart is named,
 * and a bad config is refused whole.
 */
#pragma once

#include <stddef.h>

struct daemon_rooms;
struct settings;

/**
 * reload() - loads @rooms->config_path and applies what may change.
 * @current: what is in force now, as accepted last; replaced on success. It and what
 *           @rooms->settings points to may be the same object.
 * Return: 0, or as settings_load() with nothing changed; either is logged.
 */
int reload(const struct daemon_rooms *rooms, struct settings **current);
