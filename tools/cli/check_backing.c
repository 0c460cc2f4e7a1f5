/*
 * check_backing.c - lists one key of each mount entry, as the daemon would.
 */
#include "tools/cli/check_backing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "tools/cli/check_report.h"
#include "tools/settings.h"

/* A listing under way, ended by its own deadline. */
struct probe {
	struct backing_list list; /* large: not for a stack */
	unsigned entries;
	bool done; /* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static void probe_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	struct probe *probe = CONTAINER_OF(list, struct probe, list);

	(void)key;
	(void)meta;
	probe->entries++;
}

static void probe_done(struct backing_list *list)
{
	struct probe *probe = CONTAINER_OF(list, struct probe, list);

	pthread_mutex_lock(&probe->lock);
	probe->done = true;
	pthread_cond_signal(&probe->cond);
	pthread_mutex_unlock(&probe->lock);
}

/* Waits with a progress line; the deadline is the request's. */
static void probe_wait(struct probe *probe, const struct terminal *terminal, const char *subject,
		       uint64_t started_ns)
{
	char label[192], note[TERMINAL_TEXT_MAX];

	snprintf(label, sizeof(label), "asking for %s", subject);
	pthread_mutex_lock(&probe->lock);
	while (!probe->done) {
		uint64_t now_ns = clock_now_ns(clock_system());

		progress_show(terminal, label, 0, 0, text_duration(now_ns - started_ns, note));
		thread_cond_wait_until(&probe->cond, &probe->lock, now_ns + 200 * NS_PER_MS);
	}
	pthread_mutex_unlock(&probe->lock);
}

static void probe_report(struct check_report *report, const struct probe *probe,
			 const char *subject, const char *where, uint64_t took_ns)
{
	char took[TERMINAL_TEXT_MAX];
	int status = probe->list.request.status;

	if (status == 0 && probe->entries > 0)
		check_report_add(report, CHECK_OK, subject, "%s answers in %s", where,
				 text_duration(took_ns, took));
	else if (status == 0)
		check_report_add(report, CHECK_WARN, subject,
				 "%s answers but has no keys there: is the prefix right? (a prefix "
				 "ends with '/')",
				 where);
	else
		check_report_add(report, CHECK_FAIL, subject, "%s: %s (%s)%s", where,
				 probe->list.request.problem, error_text(status),
				 status == -ENOENT   ? "; does the bucket exist?"
				 : status == -EACCES ? "; are these the right credentials, and may "
						       "they list the bucket?"
				 : status == -ETIMEDOUT ? "; is the endpoint right and reachable "
							  "from here?"
							: "");
}

static void entry_check(struct check_report *report, struct backing *backing,
			const struct mount_entry_config *entry, uint64_t timeout_ns)
{
	const struct clock *clock = clock_system();
	uint64_t started_ns = clock_now_ns(clock);
	struct probe *probe = calloc(1, sizeof(*probe));
	char subject[160], where[256];

	if (!probe)
		return;
	snprintf(subject, sizeof(subject), "mount entry %s", entry->path);
	snprintf(where, sizeof(where), "backing store %s%s%s%s%s", entry->backing,
		 *entry->bucket ? ", bucket " : "", entry->bucket,
		 *entry->prefix ? ", prefix " : "", entry->prefix);
	pthread_mutex_init(&probe->lock, NULL);
	thread_cond_init(&probe->cond);
	probe->list.request.bucket = entry->bucket;
	probe->list.request.key = "";
	probe->list.request.deadline_ns = clock_after_ns(started_ns, timeout_ns);
	probe->list.prefix = entry->prefix;
	probe->list.delimited = true;
	probe->list.max_keys = 1;
	probe->list.entry = probe_entry;
	probe->list.done = probe_done;
	backing_list(backing, &probe->list);
	probe_wait(probe, &report->progress, subject, started_ns);
	probe_report(report, probe, subject, where, clock_now_ns(clock) - started_ns);
	pthread_cond_destroy(&probe->cond);
	pthread_mutex_destroy(&probe->lock);
	free(probe);
}

static void entries_check(struct check_report *report, const struct settings *settings,
			  struct backing *backing, uint64_t timeout_ns)
{
	for (unsigned i = 0; i < settings->mount.entries.count; i++) {
		const struct mount_entry_config *entry = settings_mount_entry(settings, i);

		if (strcmp(entry->backing, backing->id) == 0)
			entry_check(report, backing, entry, timeout_ns);
	}
}

/* Who we are is known at the latest when somebody was asked. */
static void identity_report(struct check_report *report, struct backing *backing,
			    const char *subject)
{
	char description[256] = "";

	if (backing->ops->describe)
		backing->ops->describe(backing, description, sizeof(description));
	check_report_add(report, CHECK_OK, subject, "%s%s%s", backing->ops->type,
			 *description ? ", " : "", description);
}

void check_backings(struct check_report *report, const struct settings *settings, bool offline,
		    uint64_t timeout_ns)
{
	for (unsigned i = 0; i < settings->backings.count; i++) {
		const struct backing_config *config = settings_backing(settings, i);
		char subject[160], problem[SETTINGS_PROBLEM_MAX] = "";
		struct backing *backing;
		int error;

		snprintf(subject, sizeof(subject), "backing store %s", backing_config_id(config));
		error = backing_create(config, clock_system(), &backing, problem, sizeof(problem));
		if (error) {
			check_report_add(report, CHECK_FAIL, subject, "%s",
					 problem[0] ? problem : error_text(error));
			continue;
		}
		if (offline)
			check_report_add(report, CHECK_SKIP, subject, "not asked: --offline");
		else
			entries_check(report, settings, backing, timeout_ns);
		identity_report(report, backing, subject);
		backing_destroy(backing);
	}
}
