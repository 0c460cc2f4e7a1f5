/*
 * peer.c - two members for the scripts in the guest, on the public interface of the transport:
 *
 *	peer serve  listen=10.9.0.2:7471 devices=rxe_b0 [region=16]        until SIGTERM
 *	peer read   to=10.9.0.2:7471 listen=10.9.0.1 devices=rxe_a0 [count=N] [len=BYTES] [depth=N]
 *	            [seconds=N]
 *	peer rounds to=... [count=N]        connects, reads, disconnects
 *
 * Every byte that is read is compared with what the owner wrote: a function of its offset. A read
 * that fails is counted by its error and tried again; what it should have written is looked at once
 * more at the end, as nothing may change it after its done(). Meanwhile "up N" is the Nth
 * connection and "progress N" how many reads there were; SIGTERM ends it; the last line is
 *
 *	read ok=N bad=N twice=N late=N lost=N connects=N ECONNRESET=N ...
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/address.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/keyring.h"
#include "fabric/transport/transport.h"

#define DEPTH_MAX 1024

struct slot {
	struct transport_read read;
	struct program *program;
	uint8_t *area;
	uint64_t digest; /* of the area, when the read was done */
	bool busy, written;
};

struct program {
	const char *listen, *to, *devices;
	uint64_t count, len, depth, region_mib, seconds;
	uint64_t ok, bad, twice, late, started, ups;
	uint64_t errors[256];
	struct transport *transport;
	struct transport_peer *peer;
	struct counters counters;
	struct slot slots[DEPTH_MAX];
	uint64_t region_len; /* the owner's, once known */
	uint64_t next;	     /* offset, in steps of len */
	unsigned inflight;
	bool up, down;
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	stopped = number;
}

static uint64_t word_at(uint64_t index)
{
	return index * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static _Noreturn void die(const char *what, int error, const char *problem)
{
	printf("%s: %s %s\n", what, error_text(error), problem);
	exit(1);
}

static void fill(void *area, uint64_t len)
{
	uint64_t *words = area;

	for (uint64_t i = 0; i < len / 8; i++)
		words[i] = word_at(i);
}

static bool is_right(const struct slot *slot)
{
	const uint64_t *words = (const void *)slot->area;

	for (uint64_t i = 0; i < slot->read.len / 8; i++)
		if (words[i] != word_at(slot->read.off / 8 + i))
			return false;
	return true;
}

static void on_up(void *context, struct transport_peer *peer)
{
	struct program *program = context;

	program->up = true;
	if (transport_peer_kind(peer) == TRANSPORT_PEER_ACTIVE) {
		program->region_len = transport_peer_region_len(peer, 0);
		printf("up %lu\n", (unsigned long)++program->ups);
	}
}

static void on_down(void *context, struct transport_peer *peer, int status, const char *why)
{
	struct program *program = context;

	(void)peer;
	program->up = false;
	program->down = true;
	printf("down: %s (%s)\n", why, error_name(status));
}

static void on_done(struct transport_read *read)
{
	struct slot *slot = read->context;
	struct program *program = slot->program;

	program->twice += !slot->busy;
	slot->busy = false;
	slot->written = true;
	program->inflight--;
	slot->digest = digest_xxh3(slot->area, read->len);
	if (read->status) {
		program->errors[-read->status & 255]++;
	} else {
		program->ok++;
		program->bad += !is_right(slot);
	}
}

static void start(struct program *program, struct slot *slot)
{
	uint64_t steps = program->region_len / program->len;

	slot->program = program;
	/* what a failed read of before has left there is judged first */
	if (slot->written && digest_xxh3(slot->area, slot->read.len) != slot->digest)
		program->late++;
	memset(slot->area, 0xee, program->len);
	slot->read = (struct transport_read){
		.region = 0,
		.off = steps ? program->next++ % steps * program->len : 0,
		.len = program->len,
		.dst = slot->area,
		.done = on_done,
		.context = slot,
	};
	slot->written = false;
	slot->busy = true;
	int error = transport_read(program->peer, &slot->read);

	if (!error) {
		program->inflight++;
		program->started++;
		return;
	}
	slot->busy = false;
	program->errors[-error & 255]++;
}

static void count_late(struct program *program)
{
	for (unsigned i = 0; i < program->depth; i++) {
		struct slot *slot = &program->slots[i];

		if (slot->written && !slot->busy &&
		    digest_xxh3(slot->area, slot->read.len) != slot->digest)
			program->late++;
	}
}

static void open_transport(struct program *program, struct identity *identity)
{
	static struct keyring *ring;
	static char *names[8];
	uint8_t key[KEYRING_KEY_LEN];
	struct transport_config config;
	char problem[TRANSPORT_PROBLEM_MAX] = "";

	memset(key, 0x42, sizeof(key));
	CHECK(!keyring_create(&ring) && !keyring_add(ring, key));
	snprintf(identity->cluster, sizeof(identity->cluster), "vm");
	random_bytes(&identity->member, sizeof(identity->member));
	random_bytes(&identity->boot, sizeof(identity->boot));
	identity->ring = ring;
	CHECK(!option_defaults(&transport_options, &config));
	config.kind = TRANSPORT_VERBS;
	free(config.listen);
	config.listen = strdup(program->listen ? program->listen : "0.0.0.0:0");
	config.devices.items = names;
	for (char *list = strdup(program->devices), *name; (name = strsep(&list, ","));)
		names[config.devices.count++] = name;
	config.reads_max = DEPTH_MAX;
	struct transport_environment environment = {
		.clock = clock_system(),
		.seed = random_seed(),
		.identity = identity,
		.events = { .context = program, .up = on_up, .down = on_down },
		.counters = &program->counters,
	};
	CHECK(!transport_counters_init(&program->counters));
	int error = transport_open(&config, &environment, &program->transport, problem,
				   sizeof(problem));
	if (error)
		die("open", error, problem);
	printf("transport: %s\n", transport_text(program->transport));
}

static void *add_region(struct program *program, uint64_t len, enum transport_access access)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint32_t region;
	void *area = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(area != MAP_FAILED);
	int error = transport_region_add(program->transport, area, len, access, &region, problem,
					 sizeof(problem));
	if (error)
		die("region", error, problem);
	return area;
}

static int serve(struct program *program)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "", text[ADDRESS_TEXT_MAX];
	struct address address;
	uint64_t len = program->region_mib << 20;

	fill(add_region(program, len, TRANSPORT_READABLE), len);
	int error = transport_listen(program->transport, &address, problem, sizeof(problem));
	if (error)
		die("listen", error, problem);
	printf("ready %s\n", address_text(&address, text));
	while (!stopped)
		transport_wait(program->transport, clock_now_ns(clock_system()) + 100 * NS_PER_MS);
	printf("served accepts=%lu passive=%lu foreign=%lu refusals=%lu forged=%lu\n",
	       (unsigned long)counter_get(&program->counters, TRANSPORT_ACCEPTS),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_PEERS_PASSIVE),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_FOREIGN),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_REFUSALS),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_FORGED));
	return 0;
}

static void get_peer(struct program *program)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct address address;
	uint8_t *area =
		add_region(program, program->depth * program->len + 4096, TRANSPORT_LANDING);

	for (unsigned i = 0; i < program->depth; i++)
		program->slots[i].area = area + i * program->len;
	int error = address_parse(program->to, 0, &address, problem, sizeof(problem));
	if (!error)
		error = transport_peer_get(program->transport, &address, NULL, &program->peer);
	if (error)
		die("to", error, problem);
}

/* Waits for the connection. Return: whether it came within @seconds. */
static bool connect_peer(struct program *program, unsigned seconds)
{
	uint64_t until_ns = clock_now_ns(clock_system()) + seconds * NS_PER_S;

	while (!program->up && clock_now_ns(clock_system()) < until_ns) {
		transport_peer_connect(program->peer);
		transport_wait(program->transport, clock_now_ns(clock_system()) + 20 * NS_PER_MS);
	}
	return program->up;
}

static void report(struct program *program, const char *what)
{
	printf("%s ok=%lu bad=%lu twice=%lu late=%lu lost=%lu connects=%lu repeated=%lu", what,
	       (unsigned long)program->ok, (unsigned long)program->bad,
	       (unsigned long)program->twice, (unsigned long)program->late,
	       (unsigned long)counter_get(&program->counters, TRANSPORT_RAILS_LOST),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_CONNECTS),
	       (unsigned long)counter_get(&program->counters, TRANSPORT_READS_REPEATED));
	for (int i = 0; i < 256; i++)
		if (program->errors[i])
			printf(" %s=%lu", error_name(-i), (unsigned long)program->errors[i]);
	printf("\n");
}

static void say_progress(const struct program *program, uint64_t *next_ns)
{
	uint64_t now_ns = clock_now_ns(clock_system());

	if (now_ns < *next_ns)
		return;
	*next_ns = now_ns + 250 * NS_PER_MS;
	printf("progress %lu\n", (unsigned long)program->ok);
}

/* With seconds, until then, whatever fails; without, until count were right or one failed. */
static int read_all(struct program *program)
{
	uint64_t start_ns, until_ns, progress_ns = 0;

	get_peer(program);
	if (!connect_peer(program, 20))
		die("connect", -ETIMEDOUT, "");
	printf("connected region=%lu\n", (unsigned long)program->region_len);
	start_ns = clock_now_ns(clock_system());
	until_ns = program->seconds ? start_ns + program->seconds * NS_PER_S : CLOCK_NEVER;
	while (!stopped && clock_now_ns(clock_system()) < until_ns) {
		bool more = program->seconds || program->ok + program->inflight < program->count;

		if (!program->seconds && (program->down || program->ok >= program->count))
			more = false;
		for (unsigned i = 0; more && i < program->depth; i++)
			if (!program->slots[i].busy &&
			    (program->seconds ||
			     program->ok + program->inflight < program->count) &&
			    !(program->down && transport_peer_retry_ns(program->peer)))
				start(program, &program->slots[i]);
		if (!more && !program->inflight)
			break;
		transport_wait(program->transport, clock_now_ns(clock_system()) + 20 * NS_PER_MS);
		say_progress(program, &progress_ns);
	}
	uint64_t took_ns = clock_now_ns(clock_system()) - start_ns;

	/* whatever is under way ends by its deadline; then nothing may be written any more */
	until_ns = clock_now_ns(clock_system()) + 10 * NS_PER_S;
	while (program->inflight && clock_now_ns(clock_system()) < until_ns)
		transport_wait(program->transport, clock_now_ns(clock_system()) + 20 * NS_PER_MS);
	usleep(500000);
	count_late(program);
	printf("%.1f MB/s, %lu reads in %.2f s, %u not done\n",
	       (double)(program->ok * program->len) * 1e3 / (double)took_ns,
	       (unsigned long)program->ok, (double)took_ns / 1e9, program->inflight);
	report(program, "read");
	return program->bad || program->twice || program->late || program->inflight;
}

static int rounds(struct program *program)
{
	get_peer(program);
	for (uint64_t i = 0; i < program->count; i++) {
		if (!connect_peer(program, 20))
			die("connect", -ETIMEDOUT, "");
		uint64_t before = program->ok;

		program->down = false;
		start(program, &program->slots[0]);
		while (program->inflight)
			transport_wait(program->transport,
				       clock_now_ns(clock_system()) + 20 * NS_PER_MS);
		if (program->ok != before + 1)
			break;
		transport_peer_disconnect(program->peer);
		while (program->up)
			transport_wait(program->transport,
				       clock_now_ns(clock_system()) + 20 * NS_PER_MS);
	}
	report(program, "rounds");
	return program->ok != program->count || program->bad;
}

static void parse(struct program *program, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **text;
		uint64_t *number;
	} table[] = {
		{ "listen", &program->listen, NULL },	  { "to", &program->to, NULL },
		{ "devices", &program->devices, NULL },	  { "count", NULL, &program->count },
		{ "len", NULL, &program->len },		  { "depth", NULL, &program->depth },
		{ "region", NULL, &program->region_mib }, { "seconds", NULL, &program->seconds },
	};

	for (int i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		bool known = false;

		for (size_t j = 0; value && j < ARRAY_COUNT(table); j++) {
			if (strncmp(argv[i], table[j].name, (size_t)(value - argv[i])) != 0 ||
			    table[j].name[value - argv[i]])
				continue;
			known = true;
			if (table[j].text)
				*table[j].text = value + 1;
			else
				*table[j].number = strtoull(value + 1, NULL, 10);
		}
		if (!known)
			die("arguments", -EINVAL, argv[i]);
	}
	if (!program->devices || program->depth > DEPTH_MAX)
		die("arguments", -EINVAL, "devices= is missing, or depth= is too large");
}

int main(int argc, char **argv)
{
	static struct program program = {
		.count = 1000, .len = 65536, .depth = 16, .region_mib = 16
	};
	static struct identity identity;
	struct sigaction action = { .sa_handler = on_signal };
	int status;

	if (argc < 2)
		die("arguments", -EINVAL, "peer serve|read|rounds NAME=VALUE...");
	setlinebuf(stdout);
	log_set_level(LOG_LEVEL_NOTICE);
	sigaction(SIGTERM, &action, NULL);
	parse(&program, argc, argv);
	open_transport(&program, &identity);
	if (strcmp(argv[1], "serve") == 0)
		status = serve(&program);
	else if (strcmp(argv[1], "rounds") == 0)
		status = rounds(&program);
	else
		status = read_all(&program);
	transport_close(program.transport);
	return status;
}
