/* meeting.c - see meeting.h. */
#include "tests/unit/fabric/auth/meeting.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

#define OFFER	"where to connect"
#define WAIT_MS 10000

int meeting_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	CHECK(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void refused(void *context, const struct address *from, int status, const char *problem,
		    int foreign)
{
	struct meeting *meeting = context;

	CHECK(address_len(from) > 0);
	meeting->refused_count++;
	meeting->refused_status = status;
	meeting->refused_foreign = foreign;
	snprintf(meeting->refused_problem, sizeof(meeting->refused_problem), "%s", problem);
}

void meeting_init(struct meeting *meeting, const char *host)
{
	const struct greeter_events nobody = { 0 };
	struct greeter_events events = { .context = meeting, .refused = refused };
	struct address address;
	char problem[256];

	memset(meeting, 0, sizeof(*meeting));
	meeting->fds = meeting_count_fds();
	pair_init(&meeting->pair);
	clock_manual_init(&meeting->clock, 1000 * NS_PER_S, 0);
	CHECK(!greeter_create(&meeting->pair.client, &meeting->clock.clock, NULL, &nobody,
			      &meeting->client));
	CHECK(!greeter_create(&meeting->pair.server, &meeting->clock.clock, &meeting->proofs,
			      &events, &meeting->server));
	CHECK(!address_parse(host, 0, &address, problem, sizeof(problem)));
	CHECK(!greeter_listen(meeting->server, &address, 2, (const uint8_t *)OFFER, strlen(OFFER),
			      &meeting->address, problem, sizeof(problem)));
	CHECK(address_port(&meeting->address) != 0);
}

void meeting_fini(struct meeting *meeting)
{
	greeter_destroy(meeting->client);
	greeter_destroy(meeting->server);
	pair_fini(&meeting->pair);
	CHECK(meeting_count_fds() == meeting->fds);
}

void meeting_done(void *context, int status, const struct handshake *handshake, const char *problem)
{
	struct outcome *outcome = context;

	CHECK(!status == (handshake != NULL) && !status == !problem[0]);
	outcome->count++;
	outcome->status = status;
	snprintf(outcome->problem, sizeof(outcome->problem), "%s", problem);
	if (handshake)
		outcome->handshake = *handshake;
}

struct greeting *meeting_start(struct meeting *meeting, struct outcome *outcome)
{
	uint64_t deadline_ns = clock_now_ns(&meeting->clock.clock) + 10 * NS_PER_S;
	struct greeting *greeting;

	memset(outcome, 0, sizeof(*outcome));
	CHECK(!greeter_start(meeting->client, &meeting->address, NULL, deadline_ns, meeting_done,
			     outcome, &greeting));
	return greeting;
}

void meeting_turn(struct meeting *meeting)
{
	struct pollfd pollfds[2] = {
		{ .fd = greeter_fd(meeting->client), .events = POLLIN },
		{ .fd = greeter_fd(meeting->server), .events = POLLIN },
	};
	uint64_t now_ns = clock_now_ns(&meeting->clock.clock);

	if (greeter_next_ns(meeting->client) > now_ns && greeter_next_ns(meeting->server) > now_ns)
		CHECK(poll(pollfds, 2, WAIT_MS) > 0);
	greeter_poll(meeting->client);
	greeter_poll(meeting->server);
}

void meeting_until(struct meeting *meeting, const unsigned *count, unsigned wanted)
{
	while (*count < wanted)
		meeting_turn(meeting);
	CHECK(*count == wanted);
}

void meeting_idle(struct meeting *meeting)
{
	while (greeter_next_ns(meeting->client) != CLOCK_NEVER ||
	       greeter_next_ns(meeting->server) != CLOCK_NEVER)
		meeting_turn(meeting);
}

void meeting_settle(struct meeting *meeting)
{
	while (greeter_poll(meeting->client) + greeter_poll(meeting->server))
		continue;
}

int meeting_connect(struct meeting *meeting, unsigned from)
{
	struct sockaddr_in source = { .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(0x7f000000u + from) };
	int fd = socket(meeting->address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	if (from)
		CHECK(!bind(fd, (const struct sockaddr *)&source, sizeof(source)));
	CHECK(!connect(fd, (const struct sockaddr *)&meeting->address.storage,
		       address_len(&meeting->address)));
	return fd;
}

int meeting_listen(int backlog, struct address *out_address)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(out_address->storage);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(!bind(fd, (const struct sockaddr *)&any, sizeof(any)) && !listen(fd, backlog));
	memset(out_address, 0, sizeof(*out_address));
	CHECK(!getsockname(fd, (struct sockaddr *)&out_address->storage, &len));
	return fd;
}
