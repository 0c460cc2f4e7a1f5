/*
 * catalog_rig_mount.c - what the mounts of the rig's nodes ask, and what they must be told.
 */
#include "tests/unit/cache/peer/catalog_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

static unsigned rank_first(struct rig *rig, struct question *question)
{
	const struct placement_table *table = placement_acquire(rig->placement);
	const struct placement_member *owners[PLACEMENT_OWNERS_MAX];
	unsigned number;

	assert_non_null(question);
	assert_true(placement_owners(table, placement_slot(&question->id, 0), owners) > 0);
	number = owners[0]->id.bytes[0] - 1u;
	placement_release(rig->placement, table);
	question_put(question);
	return number;
}

static void list_set(const struct rig *rig, struct rig_list *list, const char *prefix,
		     uint64_t timeout_ns, uint64_t age_ns)
{
	*list = (struct rig_list){
		.list = { .request = { .bucket = "b",
				       .deadline_ns = clock_now_ns(&rig->clock.clock) + timeout_ns,
				       .max_age_ns = age_ns,
				       .absent_age_ns = age_ns ? RIG_ABSENT_NS : 0 },
			  .delimited = true,
			  .max_keys = 1000 },
	};
	snprintf(list->prefix, sizeof(list->prefix), "%s", prefix);
	list->list.prefix = list->prefix;
}

static void head_set(const struct rig *rig, struct rig_head *head, const char *key)
{
	*head = (struct rig_head){
		.head.request = { .bucket = "b",
				  .deadline_ns = clock_now_ns(&rig->clock.clock) + RIG_TIMEOUT_NS,
				  .max_age_ns = RIG_AGE_NS,
				  .absent_age_ns = RIG_ABSENT_NS },
	};
	snprintf(head->key, sizeof(head->key), "%s", key);
	head->head.request.key = head->key;
}

void rig_prefix_of(struct rig *rig, unsigned number, unsigned variant, char out[64])
{
	struct rig_list list;

	for (unsigned i = 0;; i++) {
		snprintf(out, 64, "d%u-%u/", variant, i);
		list_set(rig, &list, out, 0, 0);
		if (rank_first(rig, question_of_list(rig->nodes[0].catalog->stores, &list.list)) ==
		    number)
			return;
	}
}

void rig_key_of(struct rig *rig, unsigned number, unsigned variant, char out[64])
{
	struct rig_head head;

	for (unsigned i = 0;; i++) {
		snprintf(out, 64, "k%u-%u", variant, i);
		head_set(rig, &head, out);
		if (rank_first(rig, question_of_head(rig->nodes[0].catalog->stores, &head.head)) ==
		    number)
			return;
	}
}

static void fold(uint64_t *hash, const char *key, const struct backing_meta *meta)
{
	uint64_t parts[4] = { *hash, digest_xxh3(key, strlen(key)), 1, 0 };

	if (meta) {
		parts[2] = meta->size + (uint64_t)meta->mtime_s;
		parts[3] = digest_xxh3(meta->etag, strlen(meta->etag));
	}
	*hash = digest_xxh3(parts, sizeof(parts));
}

static void list_entry(struct backing_list *list, const char *key, const struct backing_meta *meta)
{
	struct rig_list *rig_list = CONTAINER_OF(list, struct rig_list, list);

	assert_int_equal(rig_list->done, 0);
	rig_list->entries++;
	fold(&rig_list->hash, key, meta);
}

static void list_done(struct backing_list *list)
{
	CONTAINER_OF(list, struct rig_list, list)->done++;
}

static void head_done(struct backing_head *head)
{
	CONTAINER_OF(head, struct rig_head, head)->done++;
}

static void list_start(struct rig_node *node, struct rig_list *list)
{
	list->list.entry = list_entry;
	list->list.done = list_done;
	backing_list(catalog_backings(node->catalog)[0], &list->list);
	assert_int_equal(list->done, 0);
}

void rig_list_for(struct rig_node *node, struct rig_list *list, const char *prefix,
		  uint64_t timeout_ns)
{
	list_set(node->rig, list, prefix, timeout_ns, RIG_AGE_NS);
	list_start(node, list);
}

void rig_list(struct rig_node *node, struct rig_list *list, const char *prefix)
{
	rig_list_for(node, list, prefix, RIG_TIMEOUT_NS);
}

void rig_list_fresh(struct rig_node *node, struct rig_list *list, const char *prefix)
{
	list_set(node->rig, list, prefix, RIG_TIMEOUT_NS, 0);
	list_start(node, list);
}

void rig_list_expect(struct rig *rig, const struct rig_list *list, int status)
{
	struct rig_list expected;
	unsigned end;

	assert_int_equal(list->done, 1);
	assert_int_equal(list->list.request.status, status);
	if (status) {
		assert_int_equal(list->entries, 0);
		return;
	}
	list_set(rig, &expected, list->prefix, 0, 0);
	expected.list.entry = list_entry;
	end = rig_page(rig, &expected.list);
	assert_int_equal(list->entries, expected.entries);
	assert_true(list->hash == expected.hash);
	if (end < rig->key_count)
		assert_int_equal(strtoul(list->list.token, NULL, 10), end);
	else
		assert_string_equal(list->list.token, "");
}

void rig_head(struct rig_node *node, struct rig_head *head, const char *key, const char *refused)
{
	head_set(node->rig, head, key);
	head->head.refused = refused;
	head->head.done = head_done;
	backing_head(catalog_backings(node->catalog)[0], &head->head);
	assert_int_equal(head->done, 0);
}

void rig_head_expect(const struct rig_head *head, int status, const char *etag)
{
	assert_int_equal(head->done, 1);
	assert_int_equal(head->head.request.status, status);
	if (status)
		return;
	assert_int_equal(head->head.meta.size, 77);
	assert_int_equal(head->head.meta.mtime_s, 1700000001);
	assert_string_equal(head->head.meta.etag, etag);
}

void rig_list_now(struct rig_node *node, struct rig_list *list, const char *prefix, int status)
{
	rig_list(node, list, prefix);
	rig_settle(node->rig);
	rig_list_expect(node->rig, list, status);
}
