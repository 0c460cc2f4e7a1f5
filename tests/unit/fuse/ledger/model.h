/*
 * model.h - what must be in a ledger after a sequence of operations that follows from a seed, to
 * compare with what is in one whose worker died somewhere in the sequence.
 *
 * The worker runs operations on the ledger and on a model of its own. Who comes after it knows how
 * many it had finished, runs as many on a model of the same seed, and one more on a copy: what is
 * in the ledger is either, or for the operation that was in hand something between that the ledger
 * allows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "fuse/ledger/ledger.h"

#define MODEL_NODES    24
#define MODEL_HANDLES  16
#define MODEL_BACKINGS 12

struct model_node {
	uint64_t id; /* 0: none */
	uint64_t size, mtime, made_ns;
	uint64_t lookups;
	unsigned flags, name_len, etag_len;
	uint32_t place; /* the worker's */
};

struct model_handle {
	uint64_t unique; /* 0: none */
	uint64_t node;
	bool directory, replied;
	uint64_t offs[2]; /* of its cursors, the later one first; 0: none */
	uint64_t number;  /* the worker's */
};

struct model {
	struct random random;
	uint64_t next; /* id, unique, off, backing id */
	struct model_node nodes[MODEL_NODES];
	struct model_handle handles[MODEL_HANDLES];
	uint64_t backings[MODEL_BACKINGS]; /* ids; 0: none */
	uint64_t backing_last, id_base;	   /* as the ledger has them */
};

enum model_kind {
	MODEL_NODE_ADD,
	MODEL_NODE_SET,
	MODEL_NODE_REMOVE,
	MODEL_NODE_RAISE,
	MODEL_NODE_LOWER,
	MODEL_HANDLE_ADD,
	MODEL_HANDLE_REPLIED,
	MODEL_HANDLE_REMOVE,
	MODEL_CURSOR_SET,
	MODEL_BACKING_ADD,
	MODEL_BACKING_REMOVE,
};

struct model_operation {
	enum model_kind kind;
	unsigned index;	 /* of the node, handle, backing file */
	uint64_t number; /* id, unique, off, backing id; or how many lookups less */
	uint64_t chance; /* what else there is to choose */
};

/** model_init() - of an empty ledger. */
void model_init(struct model *model, uint64_t seed);

/** model_choose() - the next operation; model_apply(): what it does to the model. */
struct model_operation model_choose(struct model *model);
void model_apply(struct model *model, const struct model_operation *operation);

/* An operation with all that its call into the ledger takes. */
struct model_call {
	struct model_operation operation;
	struct ledger_node node;
	char name[LEDGER_NAME_MAX + 1];
	char etag[LEDGER_ETAG_MAX + 1];
	struct ledger_handle handle;
	struct ledger_cursor cursor;
	struct ledger_backing backing;
	uint64_t number; /* of the handle, or lookups less */
	uint32_t place;
	int error;
};

/** model_prepare() - of the worker's next operation, before model_apply(). @call: points into
 *  itself. */
void model_prepare(const struct model *model, const struct model_operation *operation,
		   struct model_call *call);

/** model_call() - the call, and nothing else. */
void model_call(struct model_call *call, struct ledger *ledger);

/** model_note() - what the worker has to know besides: place or number of what was added. */
void model_note(struct model *model, const struct model_call *call);

/**
 * model_compare() - what is in @ledger is @before, or @after, or between.
 * @in_hand: the operation that leads from one to the other. Aborts when it is not so.
 */
void model_compare(const struct model *before, const struct model *after,
		   const struct model_operation *in_hand, struct ledger *ledger);

/** model_resync() - makes the model what is in the ledger; cursors are not known. */
void model_resync(struct model *model, struct ledger *ledger);
