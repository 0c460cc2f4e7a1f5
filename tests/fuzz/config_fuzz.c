/*
 * config_fuzz.c - any text as a config file: what loads keeps its own rules and can be released,
 * what does not load says why and leaves the output alone.
 */
/* fuzz-links: cenote_base */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/config.h"

#define NAME "/nonexistent/fuzz.conf" /* so that includes find nothing */

#define UNTOUCHED 0xee

struct entry {
	char *path;
	uint64_t size;
	struct option_strings tags;
};

struct config {
	char *name;
	bool flag;
	int64_t threads;
	uint64_t memory, timeout;
	uint32_t mode;
	int level;
	struct option_strings directories;
	struct option_structs mount;
	struct entry entry;
	char *secret;
};

static const char *const levels[] = { "error", "info", "debug", NULL };

static const struct option entry_options[] = {
	OPTION(struct entry, path, OPTION_STRING, .flags = OPTION_REQUIRED),
	OPTION(struct entry, size, OPTION_BYTES, .min = 1, .default_text = "4 KiB"),
	OPTION(struct entry, tags, OPTION_STRINGS, .default_text = "a", .max = 3),
};
static const struct option_group entry_group =
	OPTION_GROUP_OF("entry", struct entry, entry_options);

static const struct option config_options[] = {
	OPTION(struct config, name, OPTION_STRING, .default_text = "cenote", .min = 1, .max = 255),
	OPTION(struct config, flag, OPTION_BOOL),
	OPTION(struct config, threads, OPTION_INT, .min = -4, .max = 64),
	OPTION(struct config, memory, OPTION_BYTES, .max = INT64_C(1) << 40),
	OPTION(struct config, timeout, OPTION_DURATION),
	OPTION(struct config, mode, OPTION_MODE),
	OPTION(struct config, level, OPTION_CHOICE, .choices = levels),
	OPTION(struct config, directories, OPTION_STRINGS, .min = 1, .max = 4),
	OPTION(struct config, mount, OPTION_STRUCTS, .group = &entry_group),
	OPTION(struct config, entry, OPTION_STRUCT, .group = &entry_group),
	OPTION(struct config, secret, OPTION_STRING, .flags = OPTION_SECRET),
};
static const struct option_group config_group =
	OPTION_GROUP_OF("config", struct config, config_options);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

/* libconfig 1.5 loses the text that is its token when the syntax is wrong there. */
const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}

const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

/* A value that loaded is one that its own text gives again. */
static void check_value(const struct option *option, const struct config *config)
{
	char text[512], problem[OPTION_PROBLEM_MAX];
	struct config again = { 0 };

	option_value_text(option, config, text, sizeof(text));
	if (option->type > OPTION_MODE && option->type != OPTION_CHOICE)
		return;
	CHECK(option_set_text(option, &again, text, problem, sizeof(problem)) == 0);
	CHECK(option_equal(option, config, &again));
}

static void check_loaded(struct config *config)
{
	CHECK(config->name && config->name[0] && strlen(config->name) <= 255);
	CHECK(config->threads >= -4 && config->threads <= 64);
	CHECK(config->directories.count <= 4 && config->mode <= 07777);
	for (unsigned i = 0; i < config_group.count; i++)
		check_value(&config_group.options[i], config);
	option_free(&config_group, config);
}

static bool is_untouched(const void *value, size_t len)
{
	const uint8_t *p = value;

	for (size_t i = 0; i < len; i++) {
		if (p[i] != UNTOUCHED)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char problem[OPTION_PROBLEM_MAX] = "";
	char *text = malloc(len + 1);
	struct config config;
	int error;

	CHECK(text);
	memcpy(text, data, len);
	text[len] = 0;
	memset(&config, UNTOUCHED, sizeof(config));
	error = config_load_text(text, NAME, &config_group, &config, problem, sizeof(problem));
	free(text);
	if (!error) {
		check_loaded(&config);
		return 0;
	}
	CHECK(error == -EINVAL && problem[0]);
	CHECK(is_untouched(&config, sizeof(config)));
	return 0;
}
