/*
 * plot.c - growth over the number of members as an SVG: two panels, logarithmic in both axes.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "tests/sim/sim.h"

#define WIDTH  880
#define HEIGHT 400
#define LEFT   56
#define PANEL  350
#define GAP    64
#define TOP    44
#define BOTTOM 340

struct series {
	const char *label, *color;
	size_t offset; /* of a double in a row */
};

struct panel {
	const char *title;
	double low;	  /* of the vertical axis ... */
	unsigned decades; /* ... and how many powers of ten it has */
	const struct series *series;
	unsigned count;
};

static double x_of(unsigned panel, const struct sim_row *rows, unsigned count, uint32_t members)
{
	double low = log10(rows[0].members), high = log10(rows[count - 1].members);
	double share = high > low ? (log10(members) - low) / (high - low) : 0.5;

	return LEFT + panel * (PANEL + GAP) + share * PANEL;
}

static double y_of(const struct panel *panel, double value)
{
	double share = (log10(fmax(value, panel->low)) - log10(panel->low)) / panel->decades;

	return BOTTOM - share * (BOTTOM - TOP);
}

static void axes_print(FILE *out, unsigned index, const struct panel *panel,
		       const struct sim_row *rows, unsigned count)
{
	double left = LEFT + index * (PANEL + GAP);

	fprintf(out, "<text x=\"%.0f\" y=\"24\" font-weight=\"bold\">%s</text>\n", left,
		panel->title);
	for (unsigned i = 0; i <= panel->decades; i++) {
		double value = panel->low * pow(10, i);
		double y = y_of(panel, value);

		fprintf(out,
			"<line x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
			"<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
			left, left + PANEL, y, y, left - 6, y + 4, value);
	}
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%u</text>\n",
			x_of(index, rows, count, rows[i].members), BOTTOM + 18, rows[i].members);
	fprintf(out, "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">members</text>\n",
		left + PANEL / 2.0, BOTTOM + 38);
}

static void series_print(FILE *out, unsigned index, const struct panel *panel,
			 const struct series *series, const struct sim_row *rows, unsigned count)
{
	double last_y = BOTTOM;

	fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
		series->color);
	for (unsigned i = 0; i < count; i++) {
		double value =
			*(const double *)(const void *)((const char *)&rows[i] + series->offset);

		if (value <= 0)
			continue;
		last_y = y_of(panel, value);
		fprintf(out, "%.1f,%.1f ", x_of(index, rows, count, rows[i].members), last_y);
	}
	fprintf(out,
		"\"/>\n<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\" fill=\"%s\">%s</text>\n",
		LEFT + index * (PANEL + GAP) + PANEL - 4.0, last_y - 6, series->color,
		series->label);
}

int sim_plot(const char *path, const struct sim_row *rows, unsigned count)
{
	static const struct series times[] = {
		{ "killed: dead in all views", "#b2182b", offsetof(struct sim_row, dead_all) },
		{ "suspected by the first", "#ef8a62", offsetof(struct sim_row, suspect_first) },
		{ "change known to all", "#2166ac", offsetof(struct sim_row, change_all) },
		{ "... to 99 %", "#67a9cf", offsetof(struct sim_row, change_most) },
	};
	static const struct series rates[] = {
		{ "at 10 % loss", "#b2182b", offsetof(struct sim_row, bytes_loss) },
		{ "idle", "#2166ac", offsetof(struct sim_row, bytes_idle) },
	};
	static const struct panel panels[] = {
		{ "seconds", 0.001, 5, times, ARRAY_COUNT(times) },
		{ "bytes sent per member and second", 100, 2, rates, ARRAY_COUNT(rates) },
	};
	FILE *out = fopen(path, "we");

	if (!out)
		return -errno;
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, HEIGHT);
	for (unsigned i = 0; i < ARRAY_COUNT(panels); i++) {
		axes_print(out, i, &panels[i], rows, count);
		for (unsigned j = 0; j < panels[i].count; j++)
			series_print(out, i, &panels[i], &panels[i].series[j], rows, count);
	}
	fprintf(out, "</svg>\n");
	return fclose(out) ? -EIO : 0;
}
