/*
 * provider.c - keeps a fresh snapshot.
 *
 * Sources without a service behind them are read in create(), so that what is wrong with them is
 * said at once. A source that can renew gets a thread, which sleeps until a quarter of the lifetime
 * (at most 5 minutes) is left, until a renewal that failed is due again, or until a request was
 * told that its credentials have expired. Whether they have is the service's word, not our
 * clock's: a snapshot is used until there is a better one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "s3/credentials/source.h"

#define MARGIN_S	 300 /* renewed this long before the end, or */
#define MARGIN_SHARE	 4   /* at this share of the lifetime, if that is less */
#define RENEWAL_MIN_NS	 (1 * NS_PER_S)
#define RENEWAL_MAX_NS	 (3600 * NS_PER_S)
#define PAUSE_FIRST_NS	 (200 * NS_PER_MS) /* after a failed renewal; doubles */
#define PAUSE_MAX_NS	 (30 * NS_PER_S)
#define EXPIRED_QUIET_NS (10 * NS_PER_S) /* between renewals that requests ask for */

struct credentials_provider {
	struct source_context context;
	const struct credentials_source *source;
	void (*changed)(void *context);
	void *changed_context;
	struct random random; /* the thread's */
	_Atomic bool stopping;
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* guarded by lock */
	struct credentials *current; /* NULL: none, or the last one has expired */
	uint64_t generation;	     /* of the last one obtained */
	bool denied;
	char problem[CREDENTIALS_PROBLEM_MAX]; /* of the last fetch that failed */
	unsigned failures;		       /* in a row */
	uint64_t fetch_ns;		       /* the next one is due; CLOCK_NEVER */
	uint64_t quiet_ns;		       /* until then requests cannot ask for a renewal */
};

/* In the order in which AUTO looks. */
static const struct {
	enum s3_credentials_source number;
	const struct credentials_source *source;
} sources[] = {
	{ S3_CREDENTIALS_CONFIG, &source_config },
	{ S3_CREDENTIALS_ENVIRONMENT, &source_environment },
	{ S3_CREDENTIALS_WEB_IDENTITY, &source_web_identity },
	{ S3_CREDENTIALS_FILE, &source_file },
	{ S3_CREDENTIALS_CONTAINER, &source_container },
	{ S3_CREDENTIALS_IMDS, &source_imds },
	{ S3_CREDENTIALS_ANONYMOUS, &source_anonymous },
};

static uint64_t now_of(const struct credentials_provider *provider)
{
	return clock_now_ns(provider->context.clock);
}

static uint64_t renewal_ns(const struct credentials_provider *provider, int64_t expires_s)
{
	if (expires_s == CREDENTIALS_NEVER)
		return CLOCK_NEVER;
	int64_t left_s = expires_s - clock_wall_ns(provider->context.clock) / (int64_t)NS_PER_S;
	int64_t margin_s = left_s / MARGIN_SHARE < MARGIN_S ? left_s / MARGIN_SHARE : MARGIN_S;
	uint64_t after_ns = RENEWAL_MIN_NS;
	if (left_s - margin_s > 1)
		after_ns = (uint64_t)(left_s - margin_s) * NS_PER_S;
	if (after_ns > RENEWAL_MAX_NS) /* the clock may be set meanwhile: look again */
		after_ns = RENEWAL_MAX_NS;
	return clock_after_ns(now_of(provider), after_ns);
}

static void accept(struct credentials_provider *provider, struct credentials *fresh)
{
	pthread_mutex_lock(&provider->lock);
	struct credentials *old = provider->current;
	fresh->generation = ++provider->generation;
	provider->current = fresh;
	provider->denied = false;
	provider->failures = 0;
	provider->problem[0] = 0;
	provider->fetch_ns =
		provider->source->renewable ? renewal_ns(provider, fresh->expires_s) : CLOCK_NEVER;
	pthread_mutex_unlock(&provider->lock);
	credentials_put(old);
}

static void note_failure(struct credentials_provider *provider, int error, const char *problem)
{
	pthread_mutex_lock(&provider->lock);
	unsigned step = provider->failures < 16 ? provider->failures++ : 16;
	uint64_t pause_ns = PAUSE_FIRST_NS << step;
	if (pause_ns > PAUSE_MAX_NS || error != -EAGAIN)
		pause_ns = PAUSE_MAX_NS;
	pause_ns = pause_ns / 2 + random_below(&provider->random, pause_ns / 2);
	provider->fetch_ns = clock_after_ns(now_of(provider), pause_ns);
	provider->denied = error != -EAGAIN && error != -ENOMEM;
	snprintf(provider->problem, sizeof(provider->problem), "%s", problem);
	pthread_mutex_unlock(&provider->lock);
	log_warning("s3.credentials", "source=%s problem=\"%s\" retry_ms=%llu",
		    provider->source->name, problem, (unsigned long long)(pause_ns / NS_PER_MS));
}

static int fetch(struct credentials_provider *provider, char *problem, size_t problem_size)
{
	struct credentials *fresh = NULL;
	int error = provider->source->fetch(&provider->context, &fresh, problem, problem_size);

	if (!error)
		accept(provider, fresh);
	return error;
}

/* Return: false when the provider is to stop. */
static bool wait_until_due(struct credentials_provider *provider)
{
	pthread_mutex_lock(&provider->lock);
	while (!provider->stopping && now_of(provider) < provider->fetch_ns)
		thread_cond_wait_until(&provider->wake, &provider->lock, provider->fetch_ns);
	pthread_mutex_unlock(&provider->lock);
	return !provider->stopping;
}

static void *provider_main(void *argument)
{
	struct credentials_provider *provider = argument;
	char problem[CREDENTIALS_PROBLEM_MAX];

	while (wait_until_due(provider)) {
		int error = fetch(provider, problem, sizeof(problem));
		if (provider->stopping)
			break;
		if (error)
			note_failure(provider, error, problem);
		else
			log_info("s3.credentials", "source=%s renewed=yes", provider->source->name);
		provider->changed(provider->changed_context);
	}
	return NULL;
}

static int choose_source(struct credentials_provider *provider, char *problem, size_t problem_size)
{
	int wanted = provider->context.config->credentials.source;
	char missing[CREDENTIALS_PROBLEM_MAX];

	for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
		bool named = (int)sources[i].number == wanted;
		if (!named && (wanted != S3_CREDENTIALS_AUTO ||
			       sources[i].number == S3_CREDENTIALS_ANONYMOUS))
			continue;
		missing[0] = 0;
		if (sources[i].source->present(&provider->context, missing, sizeof(missing))) {
			provider->source = sources[i].source;
			return 0;
		}
		if (named) {
			snprintf(problem, problem_size, "credentials.source = \"%s\": %s",
				 sources[i].source->name, missing);
			return -EINVAL;
		}
	}
	snprintf(problem, problem_size,
		 "no credentials found: set credentials.access_key and secret_key, or the "
		 "environment (AWS_ACCESS_KEY_ID ...), or credentials.source = \"anonymous\"");
	return -EINVAL;
}

static int start(struct credentials_provider *provider, const char *name, char *problem,
		 size_t problem_size)
{
	char thread_name[32], detail[CREDENTIALS_PROBLEM_MAX];
	int error = 0;

	if (!provider->source->network) {
		error = fetch(provider, detail, sizeof(detail));
		if (error) {
			snprintf(problem, problem_size, "credentials (%s): %s",
				 provider->source->name, detail);
			return error == -ENOMEM ? error : -EINVAL;
		}
	}
	if (!provider->source->renewable)
		return 0;
	snprintf(thread_name, sizeof(thread_name), "s3-%.9s-id", name);
	error = thread_start(&provider->thread, thread_name, provider_main, provider);
	if (error)
		snprintf(problem, problem_size, "cannot start a thread for credentials");
	provider->has_thread = !error;
	return error;
}

int credentials_provider_create(const struct s3_config *config, const char *name,
				const struct clock *clock, void (*changed)(void *context),
				void *context, struct credentials_provider **out, char *problem,
				size_t problem_size)
{
	struct credentials_provider *provider = calloc(1, sizeof(*provider));
	if (!provider) {
		snprintf(problem, problem_size, "out of memory for credentials");
		return -ENOMEM;
	}
	provider->context = (struct source_context){ config, clock, &provider->stopping };
	provider->changed = changed;
	provider->changed_context = context;
	snprintf(provider->problem, sizeof(provider->problem), "waiting for the first answer");
	random_init(&provider->random, random_seed());
	pthread_mutex_init(&provider->lock, NULL);
	thread_cond_init(&provider->wake);
	/* set before the thread starts: changed() may ask for the provider through the owner */
	*out = provider;
	int error = choose_source(provider, problem, problem_size);
	if (!error)
		error = start(provider, name, problem, problem_size);
	if (error) {
		*out = NULL;
		credentials_provider_destroy(provider);
	}
	return error;
}

void credentials_provider_destroy(struct credentials_provider *provider)
{
	if (!provider)
		return;
	pthread_mutex_lock(&provider->lock);
	provider->stopping = true;
	pthread_cond_signal(&provider->wake);
	pthread_mutex_unlock(&provider->lock);
	if (provider->has_thread)
		pthread_join(provider->thread, NULL);
	credentials_put(provider->current);
	pthread_cond_destroy(&provider->wake);
	pthread_mutex_destroy(&provider->lock);
	free(provider);
}

enum credentials_state credentials_provider_current(struct credentials_provider *provider,
						    struct credentials **out, char *problem,
						    size_t problem_size)
{
	enum credentials_state state = CREDENTIALS_READY;

	pthread_mutex_lock(&provider->lock);
	if (provider->current)
		*out = credentials_get(provider->current);
	else
		state = provider->denied ? CREDENTIALS_DENIED : CREDENTIALS_PENDING;
	if (problem_size)
		snprintf(problem, problem_size, "%s", provider->problem);
	pthread_mutex_unlock(&provider->lock);
	return state;
}

bool credentials_provider_expired(struct credentials_provider *provider, uint64_t generation,
				  bool certain)
{
	struct credentials *old = NULL;
	bool coming = false;

	pthread_mutex_lock(&provider->lock);
	uint64_t now_ns = now_of(provider);
	if (provider->generation != generation || (!provider->current && !provider->denied)) {
		coming = true;
	} else if (provider->source->renewable && now_ns >= provider->quiet_ns) {
		coming = true;
		provider->quiet_ns = clock_after_ns(now_ns, EXPIRED_QUIET_NS);
		provider->fetch_ns = now_ns;
		if (certain) {
			old = provider->current;
			provider->current = NULL;
			snprintf(provider->problem, sizeof(provider->problem),
				 "the last ones have expired");
		}
		pthread_cond_signal(&provider->wake);
	}
	pthread_mutex_unlock(&provider->lock);
	credentials_put(old);
	return coming;
}

uint64_t credentials_provider_refreshes(struct credentials_provider *provider)
{
	pthread_mutex_lock(&provider->lock);
	uint64_t generation = provider->generation;
	pthread_mutex_unlock(&provider->lock);
	return generation;
}

void credentials_provider_identity(struct credentials_provider *provider, char *out,
				   size_t out_size)
{
	pthread_mutex_lock(&provider->lock);
	const struct credentials *current = provider->current;
	const char *name = provider->source->name;
	size_t len = current && current->access_key ? strlen(current->access_key) : 0;
	if (current && current->anonymous)
		snprintf(out, out_size, "anonymous");
	else if (len >= 8)
		snprintf(out, out_size, "access key %.4s...%s (%s)", current->access_key,
			 current->access_key + len - 2, name);
	else if (current)
		snprintf(out, out_size, "access key (%s)", name);
	else
		snprintf(out, out_size, "none yet (%s): %s", name, provider->problem);
	pthread_mutex_unlock(&provider->lock);
}
