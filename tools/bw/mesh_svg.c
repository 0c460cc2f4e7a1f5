/*
 * mesh_svg.c - cells are colored by their ratio to the median, from a quarter to twice of it, by
 * logarithm: a mesh of equal links is of one color, however fast it is. The colors are viridis',
 * which the color-blind can tell apart and which stand out on white and on black; a slow cell has a
 * frame.
 */
#include "tools/bw/mesh_svg.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

#define MARGIN	     24
#define HEAD_HEIGHT  66	 /* title and explanation */
#define FOOT_HEIGHT  70	 /* legend */
#define CHAR_WIDTH   8	 /* of 13 px monospace */
#define WIDTH_MIN    600 /* for the texts */
#define LEGEND_STEPS 48
#define LEGEND_WIDTH 288

struct shape {
	unsigned cell_width, cell_height, label, head; /* of rows' names; of columns' */
	unsigned left, top, width, height;
	bool figures; /* there is room for them in the cells */
};

struct color {
	unsigned red, green, blue;
};

static void text_escape(const char *text, FILE *out)
{
	for (; *text; text++) {
		/* U+FFFE and U+FFFF are UTF-8, and not XML */
		if (!strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3)) {
			fputc('?', out);
			text += 2;
		} else if (*text == '&') {
			fputs("&amp;", out);
		} else if (*text == '<') {
			fputs("&lt;", out);
		} else if (*text == '>') {
			fputs("&gt;", out);
		} else if (*text == '"') {
			fputs("&quot;", out);
		} else if ((unsigned char)*text < ' ') {
			fputc('?', out);
		} else {
			fputc(*text, out);
		}
	}
}

/* @at: 0 slow .. 1 fast. */
static struct color color_at(double at)
{
	static const struct color stops[] = {
		{ 68, 1, 84 }, { 59, 82, 139 }, { 33, 145, 140 }, { 94, 201, 98 }, { 253, 231, 37 },
	};
	const unsigned last = (unsigned)ARRAY_COUNT(stops) - 1;
	double place = fmin(fmax(at, 0), 1) * last;
	unsigned index = place >= last ? last - 1 : (unsigned)place;
	const struct color *low = &stops[index], *high = &stops[index + 1];
	double part = place - index;

	return (struct color){
		(unsigned)lround(low->red * (1 - part) + high->red * part),
		(unsigned)lround(low->green * (1 - part) + high->green * part),
		(unsigned)lround(low->blue * (1 - part) + high->blue * part),
	};
}

/* A quarter of the median is 0, twice is 1. */
static double place_of(uint64_t bytes_per_s, uint64_t median)
{
	return (log2((double)bytes_per_s / (double)median) + 2) / 3;
}

static const char *text_color(const struct color *background)
{
	unsigned light = background->red * 299 + background->green * 587 + background->blue * 114;

	return light > 140000 ? "#000" : "#fff";
}

static void megabytes_print(uint64_t bytes_per_s, FILE *out)
{
	double value = (double)bytes_per_s / 1e6;

	fprintf(out, "%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
}

/* --- how large */

static struct shape shape_of(const struct mesh_result *result)
{
	struct shape shape = { .figures = result->count <= 24, .label = 0 };
	unsigned grid;
	size_t longest = 0;

	for (unsigned i = 0; i < result->count; i++) {
		size_t len = strnlen(result->names[i], 64);

		longest = len > longest ? len : longest;
	}
	shape.label = (unsigned)longest * CHAR_WIDTH + 8;
	shape.head = (unsigned)longest * CHAR_WIDTH * 3 / 4 + 12; /* they stand at an angle */
	shape.cell_width = shape.figures ? 58 : 16;
	shape.cell_height = shape.figures ? 30 : 16;
	shape.left = MARGIN + shape.label;
	shape.top = MARGIN + HEAD_HEIGHT + shape.head;
	grid = shape.cell_width * result->count;
	shape.width = shape.left + grid + shape.head + MARGIN;
	if (shape.width < WIDTH_MIN)
		shape.width = WIDTH_MIN;
	shape.height = shape.top + shape.cell_height * result->count + FOOT_HEIGHT + MARGIN;
	return shape;
}

/* --- its parts */

static void begin_print(const struct shape *shape, const char *title, FILE *out)
{
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" role=\"img\">\n<title>",
		shape->width, shape->height, shape->width, shape->height);
	text_escape(title, out);
	fputs("</title>\n<style>\n"
	      "text { font: 13px ui-monospace, monospace; fill: #1f2328; }\n"
	      ".page { fill: #ffffff; }\n"
	      ".title { font-size: 17px; font-weight: bold; }\n"
	      ".small { font-size: 12px; fill: #59636e; }\n"
	      ".none { fill: none; stroke: #8b949e; }\n"
	      ".slow { fill: none; stroke: #e5341c; stroke-width: 3; }\n"
	      "@media (prefers-color-scheme: dark) {\n"
	      "text { fill: #e6edf3; }\n.page { fill: #0d1117; }\n.small { fill: #9198a1; }\n"
	      ".slow { stroke: #ff6a55; }\n}\n</style>\n"
	      "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
	      out);
}

static void head_print(const struct mesh_result *result, const char *title, FILE *out)
{
	struct mesh_sum sum = mesh_result_sum(result);

	fprintf(out, "<text class=\"title\" x=\"%d\" y=\"%d\">", MARGIN, MARGIN + 14);
	text_escape(title, out);
	fprintf(out,
		"</text>\n<text class=\"small\" x=\"%d\" y=\"%d\">MB/s: the member of the row "
		"reads "
		"from that of the column; median ",
		MARGIN, MARGIN + 34);
	megabytes_print(result->bytes_per_s, out);
	fprintf(out, "</text>\n<text class=\"small\" x=\"%d\" y=\"%d\">%u of %u links are slow",
		MARGIN, MARGIN + 52, sum.slow, sum.links);
	if (sum.shared >= 0) {
		fprintf(out, ", %u of them of ", sum.shared_count);
		text_escape(result->names[sum.shared], out);
	}
	if (sum.failed)
		fprintf(out, "; %u failed", sum.failed);
	fputs("</text>\n", out);
}

static void names_print(const struct mesh_result *result, const struct shape *shape, FILE *out)
{
	for (unsigned i = 0; i < result->count; i++) {
		unsigned x = shape->left + i * shape->cell_width + shape->cell_width / 2;
		unsigned y = shape->top + i * shape->cell_height + shape->cell_height / 2 + 4;

		fprintf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"end\">", shape->left - 8, y);
		text_escape(result->names[i], out);
		fprintf(out, "</text>\n<text transform=\"translate(%u %u) rotate(-45)\">", x,
			shape->top - 8);
		text_escape(result->names[i], out);
		fputs("</text>\n", out);
	}
}

/* What a pointer that rests on the cell is told. */
static void tooltip_print(const struct mesh_result *result, const struct mesh_link *link, FILE *out)
{
	fputs("<title>", out);
	text_escape(result->names[link->reader], out);
	fputs(" reads from ", out);
	text_escape(result->names[link->target], out);
	fputs(": ", out);
	if (link->bytes_per_s) {
		megabytes_print(link->bytes_per_s, out);
		fputs(" MB/s; ", out);
	}
	if (link->p50_ns)
		fprintf(out, "4 KiB in %.1f us, 99 %% in %.1f us; ", (double)link->p50_ns / 1e3,
			(double)link->p99_ns / 1e3);
	if (link->problem)
		text_escape(link->problem, out);
	else if (link->slow_bandwidth)
		fputs("slow", out);
	else
		fputs(link->slow_latency ? "slow to answer" : "not slow", out);
	fputs("</title>", out);
}

static void figure_print(const struct mesh_link *link, const struct shape *shape, unsigned x,
			 unsigned y, const char *color, FILE *out)
{
	if (!shape->figures)
		return;
	fprintf(out, "<text x=\"%u\" y=\"%u\" text-anchor=\"middle\" style=\"fill:%s\">",
		x + shape->cell_width / 2, y + shape->cell_height / 2 + 4, color);
	megabytes_print(link->bytes_per_s, out);
	fputs("</text>", out);
}

static void cell_print(const struct mesh_result *result, const struct mesh_link *link,
		       const struct shape *shape, FILE *out)
{
	unsigned x = shape->left + link->target * shape->cell_width;
	unsigned y = shape->top + link->reader * shape->cell_height;
	unsigned width = shape->cell_width - 2, height = shape->cell_height - 2;

	fputs("<g>", out);
	tooltip_print(result, link, out);
	if (link->bytes_per_s) {
		struct color color = color_at(place_of(link->bytes_per_s, result->bytes_per_s));

		fprintf(out,
			"<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
			"fill=\"rgb(%u,%u,%u)\"/>",
			x + 1, y + 1, width, height, color.red, color.green, color.blue);
		figure_print(link, shape, x, y, text_color(&color), out);
	} else {
		fprintf(out,
			"<rect class=\"page\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"/>"
			"<path class=\"none\" d=\"M%u %uh%uv%uh-%uzl%u %um0 -%ul-%u %u\"/>",
			x + 1, y + 1, width, height, x + 1, y + 1, width, height, width, width,
			height, height, width, height);
	}
	if (mesh_link_is_slow(link))
		fprintf(out, "<rect class=\"slow\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\"/>",
			x + 2, y + 2, width - 2, height - 2);
	fputs("</g>\n", out);
}

static void cells_print(const struct mesh_result *result, const struct shape *shape, FILE *out)
{
	for (unsigned reader = 0; reader < result->count; reader++)
		for (unsigned target = 0; target < result->count; target++)
			if (reader != target)
				cell_print(result, mesh_result_link(result, reader, target), shape,
					   out);
}

static void legend_print(const struct mesh_result *result, const struct shape *shape, FILE *out)
{
	static const struct {
		double place;
		const char *text;
	} ticks[] = { { 0, "1/4" }, { 1.0 / 3, "1/2" }, { 2.0 / 3, "median" }, { 1, "2x" } };
	unsigned y = shape->top + shape->cell_height * result->count + 24;

	for (unsigned i = 0; i < LEGEND_STEPS; i++) {
		struct color color = color_at((double)i / (LEGEND_STEPS - 1));

		fprintf(out,
			"<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"14\" "
			"fill=\"rgb(%u,%u,%u)\"/>\n",
			MARGIN + i * LEGEND_WIDTH / LEGEND_STEPS, y, LEGEND_WIDTH / LEGEND_STEPS,
			color.red, color.green, color.blue);
	}
	for (size_t i = 0; i < ARRAY_COUNT(ticks); i++)
		fprintf(out,
			"<text class=\"small\" x=\"%.0f\" y=\"%u\" text-anchor=\"%s\">%s</text>\n",
			MARGIN + ticks[i].place * LEGEND_WIDTH, y + 30,
			i == 0			      ? "start"
			: i + 1 == ARRAY_COUNT(ticks) ? "end"
						      : "middle",
			ticks[i].text);
	fprintf(out,
		"<rect class=\"slow\" x=\"%d\" y=\"%u\" width=\"24\" height=\"13\"/>\n"
		"<text class=\"small\" x=\"%d\" y=\"%u\">slow</text>\n"
		"<path class=\"none\" d=\"M%d %uh24v14h-24zl24 14m0 -14l-24 14\"/>\n"
		"<text class=\"small\" x=\"%d\" y=\"%u\">failed</text>\n",
		MARGIN + LEGEND_WIDTH + 24, y, MARGIN + LEGEND_WIDTH + 54, y + 12,
		MARGIN + LEGEND_WIDTH + 104, y, MARGIN + LEGEND_WIDTH + 134, y + 12);
}

void mesh_svg_print(const struct mesh_result *result, const char *title, FILE *out)
{
	struct shape shape = shape_of(result);

	begin_print(&shape, title, out);
	head_print(result, title, out);
	names_print(result, &shape, out);
	cells_print(result, &shape, out);
	legend_print(result, &shape, out);
	fputs("</svg>\n", out);
}
