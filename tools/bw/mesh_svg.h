/*
 * mesh_svg.h - a mesh as a heat map: one file that needs nothing else, for dark and light pages.
 */
#pragma once

#include <stdio.h>

#include "tools/bw/mesh_result.h"

/** mesh_svg_print() - @title: of the picture. What @out cannot take shows at its end: ferror(). */
void mesh_svg_print(const struct mesh_result *result, const char *title, FILE *out);
