/*
 * inquiry_serve.c - what this node is asked: given to a clerk or to measure.h, and answered.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "cache/peer/inquiry_inside.h"

/* --- life */

static bool has_version(enum peer_topic topic)
{
	return topic == PEER_TOPIC_HOLDINGS || topic == PEER_TOPIC_TAKE;
}

static const char *text_put(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *here = *at;

	memcpy(here, text, size);
	*at += size;
	return here;
}

static struct service *service_create(const struct peer_inquire *asked)
{
	const char *dataset = asked->topic == PEER_TOPIC_TAKE ? asked->dataset : "";
	const struct object_version *version = &asked->version;
	struct service *service;
	size_t size = 0;
	char *at;

	if (has_version(asked->topic))
		size = strlen(version->backing) + strlen(version->bucket) + strlen(version->key) +
		       strlen(version->etag) + strlen(dataset) + 5;
	service = calloc(1, sizeof(*service) + size);
	if (!service)
		return NULL;
	service->asked = *asked;
	if (!has_version(asked->topic))
		return service;
	at = service->texts;
	service->asked.version.backing = text_put(&at, version->backing);
	service->asked.version.bucket = text_put(&at, version->bucket);
	service->asked.version.key = text_put(&at, version->key);
	service->asked.version.etag = text_put(&at, version->etag);
	service->asked.dataset = text_put(&at, dataset);
	return service;
}

static void service_free(struct service *service)
{
	struct inquiry *inquiry = service->inquiry;

	TAILQ_REMOVE(&inquiry->services, service, link);
	inquiry->service_count--;
	free(service);
}

/* --- telling */

static bool is_own(const struct service *service)
{
	return !service->from && !service->gone;
}

/* What is lost of these, the next one makes good, or the asker's patience. */
static void tell(struct inquiry *inquiry, struct transport_peer *to,
		 const struct peer_report *report)
{
	const struct peer_message message = { .kind = PEER_REPORT, .report = *report };

	if (to)
		(void)outbox_send(inquiry->setup.outbox, to, &message, INQUIRY_SEND_NS);
	else
		asking_report(inquiry, NULL, report);
}

static void refuse(struct inquiry *inquiry, struct transport_peer *to, uint64_t request,
		   enum peer_refusal why, const char *problem)
{
	const struct peer_report report = {
		.request = request, .form = PEER_REPORT_FAILED, .why = why, .problem = problem
	};

	tell(inquiry, to, &report);
}

/* Sends what came of it, and frees it, or waits for room. */
static void send_report(struct service *service)
{
	const struct peer_message message = { .kind = PEER_REPORT, .report = service->report };
	struct inquiry *inquiry = service->inquiry;
	int error = 0;

	if (is_own(service))
		asking_report(inquiry, NULL, &service->report);
	else if (!service->gone)
		error = outbox_send(inquiry->setup.outbox, service->from, &message,
				    INQUIRY_SEND_NS);
	service->sending = (error == -EAGAIN || error == -ENOMEM) && !inquiry->stopped &&
			   inquiry_now(inquiry) < service->deadline_ns;
	if (!service->sending) {
		service_free(service);
		return;
	}
	service->next_ns = clock_after_ns(inquiry_now(inquiry), INQUIRY_RESEND_NS);
	inquiry_due(inquiry, service->next_ns);
}

static void finish(struct service *service, int status, const char *problem)
{
	struct peer_report *report = &service->report;

	report->request = service->asked.request;
	report->topic = service->asked.topic;
	report->form = PEER_REPORT_DONE;
	if (status) {
		report->form = PEER_REPORT_FAILED;
		report->why = peer_status_refusal(status);
		snprintf(service->problem, sizeof(service->problem), "%s", problem);
		report->problem = service->problem;
	}
	send_report(service);
}

/* --- the work */

void service_clerk_done(struct service *service)
{
	finish(service, service->status, error_text(service->status));
}

static void measured(struct measurement *measurement)
{
	struct service *service = measurement->context;
	int status = measurement->status;

	service->report.measured = measurement->measured;
	finish(service, status,
	       status == -EHOSTUNREACH ? "it cannot reach that member"
	       : status == -EINVAL     ? "a member does not read from itself"
				       : error_text(status));
}

static int hand_out(struct inquiry *inquiry, struct service *service)
{
	if (service->asked.topic != PEER_TOPIC_MEASURE)
		return clerks_post(&inquiry->clerks, service);
	service->measurement = (struct measurement){
		.asked = service->asked.measure,
		.deadline_ns = service->deadline_ns,
		.done = measured,
		.context = service,
	};
	measure_start(inquiry->setup.measure, &service->measurement);
	return 0;
}

void service_begin(struct inquiry *inquiry, struct transport_peer *from,
		   const struct peer_inquire *asked)
{
	uint64_t now_ns = inquiry_now(inquiry);
	struct service *service;

	if (inquiry->stopped) {
		refuse(inquiry, from, asked->request, PEER_STOPPING, "it stops");
		return;
	}
	service = inquiry->service_count < INQUIRIES_MAX ? service_create(asked) : NULL;
	if (!service) {
		refuse(inquiry, from, asked->request, PEER_BUSY, "it is asked too much at once");
		return;
	}
	service->inquiry = inquiry;
	service->from = from;
	service->member = from ? *transport_peer_member(from) : inquiry->setup.self;
	service->deadline_ns = clock_after_ns(now_ns, asked->timeout_ms * NS_PER_MS);
	service->next_ns = clock_after_ns(now_ns, PEER_WORKING_NS);
	TAILQ_INSERT_TAIL(&inquiry->services, service, link);
	inquiry->service_count++;
	inquiry_due(inquiry, service->next_ns);
	if (hand_out(inquiry, service) != 0)
		finish(service, -EAGAIN, "it has no thread for it");
}

/* --- what ends early */

/* The clerks that have one of them look at it; measurements end by their own time. */
static void give_up(struct service *service)
{
	atomic_store(&service->stopping, true);
}

void service_down(struct inquiry *inquiry, const struct transport_peer *peer)
{
	struct service *service, *next;

	for (service = TAILQ_FIRST(&inquiry->services); service; service = next) {
		next = TAILQ_NEXT(service, link);
		if (service->from != peer)
			continue;
		service->from = NULL;
		service->gone = true;
		give_up(service);
		if (service->sending || clerks_drop(&inquiry->clerks, service))
			service_free(service);
	}
}

void service_stop(struct inquiry *inquiry)
{
	struct service *service, *next;

	for (service = TAILQ_FIRST(&inquiry->services); service; service = next) {
		next = TAILQ_NEXT(service, link);
		give_up(service);
		if (service->sending)
			service_free(service);
		else if (clerks_drop(&inquiry->clerks, service))
			finish(service, -ECANCELED, "it stops");
	}
}

static void look(struct inquiry *inquiry, struct service *service, uint64_t now_ns)
{
	const struct peer_report working = { .request = service->asked.request,
					     .form = PEER_REPORT_WORKING };

	if (service->next_ns > now_ns) {
		inquiry_due(inquiry, service->next_ns);
		return;
	}
	if (service->sending) {
		send_report(service);
		return;
	}
	if (service->deadline_ns <= now_ns && clerks_drop(&inquiry->clerks, service)) {
		finish(service, -ETIMEDOUT, "its clerks had no time for it");
		return;
	}
	service->next_ns = clock_after_ns(now_ns, PEER_WORKING_NS);
	inquiry_due(inquiry, service->next_ns);
	if (service->from)
		tell(inquiry, service->from, &working);
}

void service_look(struct inquiry *inquiry, uint64_t now_ns)
{
	struct service *service, *next;

	for (service = TAILQ_FIRST(&inquiry->services); service; service = next) {
		next = TAILQ_NEXT(service, link);
		look(inquiry, service, now_ns);
	}
}
