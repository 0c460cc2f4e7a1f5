/*
 * keys.c - where a peer's regions are and with which keys they are read: given by the acceptor,
 * region by region, rail by rail, chunk by chunk, and kept by the opener.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "fabric/transport/verbs/verbs.h"

/* The next message, from the cursor on. Return: its length; 0: all are given; -EIO: that rail is
   gone. */
static int fill(struct verbs_link *link, uint8_t data[TRANSPORT_MESSAGE_MAX])
{
	for (; link->key_region < TRANSPORT_REGIONS_MAX; link->key_region++, link->key_rail = 0) {
		const struct transport_region *region =
			transport_region_at(link->verbs->transport, link->key_region);

		if (!region || region->access != TRANSPORT_READABLE)
			continue;
		while (link->key_rail < TRANSPORT_RAILS_MAX &&
		       !(link->giving & 1u << link->key_rail))
			link->key_rail++;
		if (link->key_rail == TRANSPORT_RAILS_MAX)
			continue;
		uint32_t chunks = (uint32_t)wire_chunks(region->len);
		struct wire_keys keys = {
			.region = link->key_region,
			.rail = link->key_rail,
			.len = region->len,
			.base = (uintptr_t)region->base,
			.first = link->key_chunk,
			.count = chunks - link->key_chunk,
		};
		if (keys.count > WIRE_KEYS_MAX)
			keys.count = WIRE_KEYS_MAX;
		wire_keys_encode(&keys, data);
		for (uint32_t i = 0; i < keys.count; i++) {
			size_t left;
			const struct ibv_mr *mr = verbs_region_mr(
				region, keys.rail, region->base + (keys.first + i) * WIRE_CHUNK_LEN,
				&left);

			if (!mr)
				return -EIO;
			bytes_put_u32(data + WIRE_KEYS_HEADER_LEN + 4 * (size_t)i, mr->rkey);
		}
		return (int)(WIRE_KEYS_HEADER_LEN + 4 * keys.count);
	}
	return 0;
}

static void advance(struct verbs_link *link, int len)
{
	const struct transport_region *region =
		transport_region_at(link->verbs->transport, link->key_region);

	link->key_chunk += ((uint32_t)len - WIRE_KEYS_HEADER_LEN) / 4;
	if (link->key_chunk < wire_chunks(region->len))
		return;
	link->key_chunk = 0;
	link->key_rail++;
}

int verbs_keys_give(struct verbs_link *link)
{
	uint8_t data[TRANSPORT_MESSAGE_MAX];

	for (;;) {
		int len = fill(link, data);

		if (!len)
			return 0;
		if (len < 0) {
			/* the opener finds it without keys, and does without it */
			link->giving &= (uint8_t) ~(1u << link->key_rail);
			link->key_chunk = 0;
			continue;
		}
		int error = verbs_control_say(link, WIRE_KEYS, data, (size_t)len);
		if (error)
			return error;
		advance(link, len);
	}
}

/* A region's first message fixes its place; keys come without gaps. */
static int check(const struct verbs_link *link, const struct verbs_remote *remote,
		 const struct wire_keys *keys)
{
	if (!(link->asked & 1u << keys->rail) || keys->first != remote->known[keys->rail] ||
	    (remote->len && (remote->len != keys->len || remote->base != keys->base)))
		return -EBADMSG;
	return 0;
}

int verbs_keys_take(struct verbs_link *link, const uint8_t *data, size_t len)
{
	struct wire_keys keys;
	int error = wire_keys_decode(data, len, &keys);

	if (error)
		return error;
	if (!link->remotes)
		link->remotes = calloc(TRANSPORT_REGIONS_MAX, sizeof(*link->remotes));
	if (!link->remotes)
		return -ENOMEM;
	struct verbs_remote *remote = &link->remotes[keys.region];
	uint32_t chunks = (uint32_t)wire_chunks(keys.len);

	/* a region that was not there when the connection was made is the next one's */
	if (link->state == VERBS_LINK_UP && !remote->len)
		return 0;
	error = check(link, remote, &keys);
	if (error)
		return error;
	if (!remote->keys[keys.rail]) {
		if (!remote->len && chunks > WIRE_CHUNKS_MAX - link->chunks)
			return -EBADMSG;
		remote->keys[keys.rail] = calloc(chunks, sizeof(**remote->keys));
		if (!remote->keys[keys.rail])
			return -ENOMEM;
		if (!remote->len)
			link->chunks += chunks;
		remote->len = keys.len;
		remote->base = keys.base;
	}
	for (uint32_t i = 0; i < keys.count; i++)
		remote->keys[keys.rail][keys.first + i] = bytes_get_u32(keys.keys + 4 * (size_t)i);
	remote->known[keys.rail] += keys.count;
	return 0;
}

static bool complete(const struct verbs_link *link, unsigned rail)
{
	for (unsigned region = 0; link->remotes && region < TRANSPORT_REGIONS_MAX; region++) {
		const struct verbs_remote *remote = &link->remotes[region];

		if (remote->len && remote->known[rail] != wire_chunks(remote->len))
			return false;
	}
	return true;
}

int verbs_keys_end(struct verbs_link *link)
{
	uint8_t asked = link->asked;

	link->asked = 0;
	for (unsigned rail = 0; rail < TRANSPORT_RAILS_MAX; rail++) {
		struct verbs_queue *queue = &link->data[rail];

		if (!(asked & 1u << rail))
			continue;
		if (queue->state == VERBS_QUEUE_UP && complete(link, rail)) {
			link->rails |= (uint8_t)(1u << rail);
			continue;
		}
		verbs_queue_break(queue, "the peer has no keys for it");
		verbs_keys_forget(link, rail);
	}
	return link->rails ? 0 : -EBADMSG;
}

void verbs_keys_forget(struct verbs_link *link, unsigned rail)
{
	for (unsigned region = 0; link->remotes && region < TRANSPORT_REGIONS_MAX; region++) {
		struct verbs_remote *remote = &link->remotes[region];

		free(remote->keys[rail]);
		remote->keys[rail] = NULL;
		remote->known[rail] = 0;
	}
}

void verbs_keys_free(struct verbs_link *link)
{
	for (unsigned region = 0; link->remotes && region < TRANSPORT_REGIONS_MAX; region++)
		for (unsigned rail = 0; rail < TRANSPORT_RAILS_MAX; rail++)
			free(link->remotes[region].keys[rail]);
	free(link->remotes);
	link->remotes = NULL;
}

uint64_t verbs_keys_len(const struct transport_link *base, uint32_t region)
{
	const struct verbs_link *link = (const struct verbs_link *)(const void *)base;

	return link->remotes && region < TRANSPORT_REGIONS_MAX ? link->remotes[region].len : 0;
}
