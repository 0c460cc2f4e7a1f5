/*
 * inquiry_ask.c - what this node asks: sent, listened for, and ended once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "cache/peer/inquiry_inside.h"

/* Not on a list any more. */
static void end(struct peers_inquiry *asked, int status, const char *problem)
{
	asked->status = status;
	snprintf(asked->problem, sizeof(asked->problem), "%s", problem);
	asked->done(asked);
}

static void end_listed(struct inquiry *inquiry, struct peers_inquiry *asked, int status,
		       const char *problem)
{
	TAILQ_REMOVE(&inquiry->asked, asked, p.link);
	inquiry->asked_count--;
	end(asked, status, problem);
}

static uint32_t left_ms(uint64_t deadline_ns, uint64_t now_ns)
{
	uint64_t ms = (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;

	return ms < (uint64_t)PEER_TIMEOUT_MS_MAX ? (uint32_t)ms : PEER_TIMEOUT_MS_MAX;
}

static uint64_t patience_ns(const struct inquiry *inquiry, const struct peers_inquiry *asked)
{
	uint64_t silence = inquiry->setup.config->silence;

	return asked->p.heard || silence > INQUIRY_FIRST_NS ? silence : INQUIRY_FIRST_NS;
}

/* When to look at it next. */
static uint64_t due_of(const struct inquiry *inquiry, const struct peers_inquiry *asked)
{
	uint64_t silent_ns = clock_after_ns(asked->p.heard_ns, patience_ns(inquiry, asked));

	if (!asked->p.peer || asked->deadline_ns < silent_ns)
		return asked->deadline_ns;
	return silent_ns;
}

/* Return: 0, or why it cannot be asked, with @problem. */
static int send_to(struct inquiry *inquiry, struct peers_inquiry *asked, uint64_t now_ns,
		   const char **problem)
{
	struct neighbour *neighbour = neighbours_find(inquiry->setup.neighbours, &asked->member);
	struct peer_message message = { .kind = PEER_INQUIRE, .inquire = asked->asked };
	int error;

	if (!neighbour || !address_len(&neighbour->address)) {
		*problem = "not known as a member whose memory can be read";
		return -EHOSTUNREACH;
	}
	if (!neighbour_usable(inquiry->setup.neighbours, neighbour, now_ns)) {
		*problem = "spared now, as it did not answer lately";
		return -EHOSTUNREACH;
	}
	asked->p.peer = neighbour->peer;
	error = outbox_send(inquiry->setup.outbox, neighbour->peer, &message, INQUIRY_SEND_NS);
	*problem = error_text(error);
	return error == -ENOMEM ? -EAGAIN : error;
}

/* Return: 0, or why not, with @problem. */
static int refusal(const struct inquiry *inquiry, const struct peers_inquiry *asked,
		   uint64_t now_ns, const char **problem)
{
	if (inquiry->stopped) {
		*problem = "this node stops";
		return -ECANCELED;
	}
	if (asked->deadline_ns <= now_ns) {
		*problem = "its time was over before it was asked";
		return -ETIMEDOUT;
	}
	if (inquiry->asked_count < INQUIRIES_MAX)
		return 0;
	*problem = "this node asks too much at once";
	return -EAGAIN;
}

void inquiry_start(struct inquiry *inquiry, struct peers_inquiry *asked)
{
	bool is_self = member_id_equal(&asked->member, &inquiry->setup.self);
	uint64_t now_ns = inquiry_now(inquiry);
	const char *problem = "";
	int error = refusal(inquiry, asked, now_ns, &problem);

	asked->p.peer = NULL;
	asked->p.heard = false;
	asked->p.heard_ns = now_ns;
	if (!error) {
		asked->p.request = asked->asked.request = ++inquiry->last_request;
		asked->asked.timeout_ms = left_ms(asked->deadline_ns, now_ns);
	}
	if (!error && !is_self)
		error = send_to(inquiry, asked, now_ns, &problem);
	if (error) {
		end(asked, error, problem);
		return;
	}
	TAILQ_INSERT_TAIL(&inquiry->asked, asked, p.link);
	inquiry->asked_count++;
	inquiry_due(inquiry, due_of(inquiry, asked));
	if (is_self)
		service_begin(inquiry, NULL, &asked->asked);
}

static struct peers_inquiry *find(struct inquiry *inquiry, const struct transport_peer *from,
				  uint64_t request)
{
	struct peers_inquiry *asked = TAILQ_FIRST(&inquiry->asked);

	while (asked && (asked->p.peer != from || asked->p.request != request))
		asked = TAILQ_NEXT(asked, p.link);
	return asked;
}

static void failed(struct inquiry *inquiry, struct peers_inquiry *asked,
		   const struct peer_report *report)
{
	int status = peer_refusal_status(report->why);
	char problem[PEER_REPORT_PROBLEM_MAX];

	/* -ECANCELED is of this node alone */
	if (report->why == PEER_STOPPING && !inquiry->stopped)
		status = -EHOSTUNREACH;
	snprintf(problem, sizeof(problem), "%s",
		 report->problem[0] ? report->problem : error_text(status));
	end_listed(inquiry, asked, status, problem);
}

static void answered(struct inquiry *inquiry, struct peers_inquiry *asked,
		     const struct peer_report *report)
{
	struct peer_summary *summary = &asked->report.summary;

	asked->report = *report;
	if (report->topic == PEER_TOPIC_SUMMARY) {
		snprintf(asked->name, sizeof(asked->name), "%s", report->summary.name);
		snprintf(asked->version, sizeof(asked->version), "%s", report->summary.version);
		summary->name = asked->name;
		summary->version = asked->version;
	}
	end_listed(inquiry, asked, 0, "");
}

void asking_report(struct inquiry *inquiry, struct transport_peer *from,
		   const struct peer_report *report)
{
	struct peers_inquiry *asked = find(inquiry, from, report->request);

	if (!asked) /* given up meanwhile */
		return;
	if (report->form == PEER_REPORT_WORKING) {
		asked->p.heard = true;
		asked->p.heard_ns = inquiry_now(inquiry);
		inquiry_due(inquiry, due_of(inquiry, asked));
	} else if (report->form == PEER_REPORT_FAILED) {
		failed(inquiry, asked, report);
	} else if (report->topic != asked->asked.topic) {
		end_listed(inquiry, asked, -EPROTO, "it answered what was not asked");
	} else {
		answered(inquiry, asked, report);
	}
}

void asking_down(struct inquiry *inquiry, const struct transport_peer *peer)
{
	struct peers_inquiry *asked, *next;

	for (asked = TAILQ_FIRST(&inquiry->asked); asked; asked = next) {
		next = TAILQ_NEXT(asked, p.link);
		if (asked->p.peer == peer)
			end_listed(inquiry, asked, -EHOSTUNREACH, "its connection broke");
	}
}

void asking_stop(struct inquiry *inquiry)
{
	struct peers_inquiry *asked;

	while ((asked = TAILQ_FIRST(&inquiry->asked)))
		end_listed(inquiry, asked, -ECANCELED, "this node stops");
}

/* Whether the connection that it was asked by is still its member's: one that is given up tells
 * nobody. */
static bool has_peer(const struct inquiry *inquiry, const struct peers_inquiry *asked)
{
	const struct neighbour *neighbour;

	if (!asked->p.peer)
		return true;
	neighbour = neighbours_find(inquiry->setup.neighbours, &asked->member);
	return neighbour && neighbour->peer == asked->p.peer;
}

static void look(struct inquiry *inquiry, struct peers_inquiry *asked, uint64_t now_ns)
{
	uint64_t due_ns = due_of(inquiry, asked);

	if (!has_peer(inquiry, asked))
		end_listed(inquiry, asked, -EHOSTUNREACH, "it is no member any more, or moved");
	else if (due_ns > now_ns)
		inquiry_due(inquiry, due_ns);
	else if (asked->deadline_ns <= now_ns)
		end_listed(inquiry, asked, -ETIMEDOUT, "it was not done in time");
	else
		end_listed(inquiry, asked, -EHOSTUNREACH, "it does not answer");
}

void asking_look(struct inquiry *inquiry, uint64_t now_ns)
{
	struct peers_inquiry *asked, *next;

	for (asked = TAILQ_FIRST(&inquiry->asked); asked; asked = next) {
		next = TAILQ_NEXT(asked, p.link);
		look(inquiry, asked, now_ns);
	}
}
