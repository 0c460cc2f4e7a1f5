/*
 * host.c - see host.h.
 */
#include "tests/unit/cache/peer/host.h"

#include <string.h>

struct member_id host_member(unsigned number)
{
	struct member_id id;

	memset(id.bytes, (int)number + 1, sizeof(id.bytes));
	return id;
}

struct transport_config host_config(void)
{
	struct transport_config config;

	assert_int_equal(option_defaults(&transport_options, &config), 0);
	config.numa = false;
	config.retry_min = config.retry_max = NS_PER_MS;
	return config;
}

struct transport *host_open(struct loop_network *network, unsigned number,
			    struct transport_config *config,
			    const struct transport_environment *environment)
{
	struct transport_environment seeded = *environment;
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct transport *transport;

	seeded.seed = number;
	if (loop_transport_open(network, number, config, &seeded, &transport, problem,
				sizeof(problem)))
		fail_msg("open: %s", problem);
	option_free(&transport_options, config);
	return transport;
}

void host_add_region(struct transport *transport, void *base, size_t len,
		     enum transport_access access, uint32_t expected)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	uint32_t region;

	if (transport_region_add(transport, base, len, access, &region, problem, sizeof(problem)))
		fail_msg("region: %s", problem);
	assert_int_equal(region, expected);
}

void host_listen(struct transport *transport)
{
	char problem[TRANSPORT_PROBLEM_MAX] = "";
	struct address address;

	if (transport_listen(transport, &address, problem, sizeof(problem)))
		fail_msg("listen: %s", problem);
}

void host_introduce(struct neighbours *neighbours, unsigned number, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct member_id id = host_member(i);
		struct address address = loop_address(i);

		if (i != number)
			assert_int_equal(neighbours_update(neighbours, &id, &address), 0);
	}
}
