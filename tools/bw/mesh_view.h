/*
 * mesh_view.h - a mesh for people: two matrices, and what is wrong.
 */
#pragma once

#include "tools/bw/mesh_result.h"
#include "tools/terminal.h"

void mesh_view_print(const struct mesh_result *result, const struct terminal *terminal);
