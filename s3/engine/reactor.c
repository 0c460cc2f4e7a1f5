/*
 * reactor.c - see reactor.h.
 */
#include "s3/engine/reactor.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define EVENTS_MAX  32
#define POLL_MAX_MS 60000

/* curl tells which socket it waits for and for what; @known is NULL for one that is new to us. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
	struct reactor *reactor = context;
	struct epoll_event event = { .data.fd = fd };

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* the socket may be closed already, which takes it out by itself */
		epoll_ctl(reactor->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(reactor->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) &&
	    (errno != EEXIST || epoll_ctl(reactor->epoll_fd, EPOLL_CTL_MOD, fd, &event))) {
		/* the attempt stalls and is repeated; an error to curl would end all of them */
		log_error("s3.socket", "error=\"%s\"", error_text(-errno));
		return 0;
	}
	curl_multi_assign(reactor->multi, fd, reactor);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
	struct reactor *reactor = context;

	(void)multi;
	reactor->timer_ns = CLOCK_NEVER;
	if (timeout_ms >= 0)
		reactor->timer_ns = clock_after_ns(clock_now_ns(reactor->clock),
						   (uint64_t)timeout_ms * NS_PER_MS);
	return 0;
}

static int set_callbacks(struct reactor *reactor, long connections)
{
	CURLM *multi = reactor->multi;

	if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, reactor) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, reactor) ||
	    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections))
		return -ENOMEM;
	return 0;
}

static int watch_wake(struct reactor *reactor)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = reactor->wake_fd };

	return epoll_ctl(reactor->epoll_fd, EPOLL_CTL_ADD, reactor->wake_fd, &event) ? -errno : 0;
}

int reactor_init(struct reactor *reactor, const struct clock *clock, long connections)
{
	int error;

	*reactor = (struct reactor){ .clock = clock, .timer_ns = CLOCK_NEVER };
	reactor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (reactor->epoll_fd < 0)
		return -errno;
	reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reactor->wake_fd < 0) {
		error = -errno;
		goto close_epoll;
	}
	error = watch_wake(reactor);
	if (error)
		goto close_wake;
	reactor->multi = curl_multi_init();
	error = reactor->multi ? set_callbacks(reactor, connections) : -ENOMEM;
	if (error)
		goto cleanup_multi;
	return 0;

cleanup_multi:
	curl_multi_cleanup(reactor->multi);
close_wake:
	close(reactor->wake_fd);
close_epoll:
	close(reactor->epoll_fd);
	return error;
}

void reactor_fini(struct reactor *reactor)
{
	curl_multi_cleanup(reactor->multi);
	close(reactor->wake_fd);
	close(reactor->epoll_fd);
}

static void drain_wake(struct reactor *reactor)
{
	uint64_t count;
	ssize_t len = read(reactor->wake_fd, &count, sizeof(count));
	(void)len; /* nothing to read: another event has been quicker */
}

static int wait_ms(const struct reactor *reactor, uint64_t until_ns)
{
	uint64_t now_ns = clock_now_ns(reactor->clock);

	if (reactor->timer_ns < until_ns)
		until_ns = reactor->timer_ns;
	if (until_ns <= now_ns)
		return 0;
	uint64_t ms = (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

/* Out of memory in curl: what it leaves undone runs into its time-out and is repeated. */
static void note(CURLMcode code)
{
	if (code)
		log_error("s3.curl", "error=\"%s\"", curl_multi_strerror(code));
}

static void serve(struct reactor *reactor, const struct epoll_event *event)
{
	int mask = 0, running;

	if (event->data.fd == reactor->wake_fd) {
		drain_wake(reactor);
		return;
	}
	if (event->events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (event->events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (event->events & (EPOLLERR | EPOLLHUP)) /* reading or writing will tell what it is */
		mask |= CURL_CSELECT_IN | CURL_CSELECT_OUT;
	note(curl_multi_socket_action(reactor->multi, event->data.fd, mask, &running));
}

void reactor_run(struct reactor *reactor, uint64_t until_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int running;
	int count = epoll_wait(reactor->epoll_fd, events, EVENTS_MAX, wait_ms(reactor, until_ns));

	for (int i = 0; i < count; i++)
		serve(reactor, &events[i]);
	if (reactor->timer_ns <= clock_now_ns(reactor->clock)) {
		reactor->timer_ns = CLOCK_NEVER; /* curl sets it anew */
		note(curl_multi_socket_action(reactor->multi, CURL_SOCKET_TIMEOUT, 0, &running));
	}
}

void reactor_wake(struct reactor *reactor)
{
	uint64_t one = 1;
	ssize_t len = write(reactor->wake_fd, &one, sizeof(one));
	(void)len; /* full: it is awake already */
}
