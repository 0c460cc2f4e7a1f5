/*
 * reader_inside.h - what the files of the reader share: a pursuit is one fetch being worked on, a
 * question one STAGE of it.
 *
 *	reader.c	    the life of a pursuit, and of the reader
 *	reader_ask.c	    whom to ask: the ranking, failing over, waiting
 *	reader_question.c   a STAGE and its answers
 *	reader_former.c	    asking those who had it before, all at once
 *	reader_read.c	    READs, and whether what they brought is right
 *	reader_directory.c  the directory of a neighbour
 *	reader_tell.c	    what neighbours are told in batches
 *	reader_budget.c	    going to the backing store in place of silent owners
 */
#pragma once

#include <sys/queue.h>

/* An element that finds no memory for the table is not added, and its table stays NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"
#include "base/random.h"
#include "cache/peer/reader.h"

#define SCRATCH_SLOTS	 256
#define SCRATCH_SLOT_LEN 2048
#define OWNERS_ASKED	 2 /* of the ranking; then the backing store */
#define BLOCKS_READ_MAX	 2 /* of a neighbour at a time: reader_read.c */
#define LEAVING_ASKED	 4 /* of those that hand over what they have */
#define QUESTIONS_MAX	 (PLACEMENT_RANK_MAX + LEAVING_ASKED) /* of a pursuit at a time */

#define MISMATCHES_PUSH 2 /* in a row, after which the bytes are to be pushed */

#define READ_NS_MIN	  (100 * NS_PER_MS) /* without a byte, until who is read counts as silent */
#define READ_PATIENCE	  6		    /* times that, while bytes come */
#define RESEND_NS	  (5 * NS_PER_MS)   /* after too many messages were under way */
#define TRY_NS		  (100 * NS_PER_MS) /* between tries of a member that is waited for */
#define UNPLACED_NS	  (10 * NS_PER_S)   /* from the start, until blocks are placed */
#define BUSY_NS_MIN	  NS_PER_MS
#define BUSY_NS_MAX	  NS_PER_S
#define LOCAL_BUSY_MAX	  4  /* times that one who need not have it may say `busy`; */
#define LEAVING_BUSY_MAX  64 /* one who is leaving probably has it, and is asked by all */
#define TELL_RELEASES_NS  (5 * NS_PER_MS)
#define TELL_HITS_NS	  (200 * NS_PER_MS)
#define TELL_TIMEOUT_NS	  NS_PER_S /* for the wire */
#define BUDGET_BLOCKS_MIN 4	   /* that may always be saved up */

struct pursuit;

/* What a question waits for. */
enum question_state {
	QUESTION_OVER,	 /* nothing */
	QUESTION_UNSENT, /* room for its STAGE: again at due_ns */
	QUESTION_ASKED,	 /* a word of the neighbour, until due_ns; findable by its number */
	QUESTION_BUSY,	 /* refused for now: asks again at due_ns */
	QUESTION_LEASED, /* the READ: then a RELEASE is owed */
};

struct question {
	struct pursuit *pursuit;
	struct neighbour *neighbour; /* NULL: over, and given up */
	enum question_state state;
	unsigned flags;	   /* of the STAGE */
	unsigned busy;	   /* times that it was refused for that */
	uint64_t number;   /* of the STAGE that is out */
	uint64_t asked_ns; /* when it was first tried to be sent */
	uint64_t due_ns;
	UT_hash_handle by_number;
};

/* What a pursuit waits for. */
enum pursuit_state {
	PURSUIT_UNPLACED, /* until it is known who owns what; looks again by due_ns */
	PURSUIT_PAUSED,	  /* to ask the member whose turn it is, at due_ns */
	PURSUIT_ASKING,	  /* its questions */
	PURSUIT_SHAPE,	  /* READ of a superblock */
	PURSUIT_BUCKET,	  /* ... of a directory's bucket */
	PURSUIT_CHECKS,	  /* ... of a block's checks */
	PURSUIT_READING,  /* ... of the bytes */
	PURSUIT_BUDGET,	  /* leave to go to the backing store */
	PURSUIT_ENDED,	  /* its READ, if one is under way; then done() in the next tick */
};

/* How the bytes were found. */
enum pursuit_source {
	SOURCE_LOCATOR,
	SOURCE_DIRECTORY,
	SOURCE_STAGE,
	SOURCE_FORMER,
	SOURCE_HOLDER,
	SOURCE_COUNT,
};

/* Why a member is not asked any further. */
enum failure {
	FAILURE_UNUSABLE, /* it was not even asked */
	FAILURE_SILENT,
	FAILURE_CLOSED,	 /* its connection, just now or a moment ago */
	FAILURE_REFUSED, /* none could be made */
	FAILURE_STOPPING,
	FAILURE_WRONG, /* what it says or has is of no use */
};

TAILQ_HEAD(pursuit_list, pursuit);

struct pursuit {
	struct reader *reader;
	struct peer_fetch *fetch;
	TAILQ_ENTRY(pursuit) by_reader;
	TAILQ_ENTRY(pursuit) by_queue; /* of *queue, or reader->budget.waiting */
	enum pursuit_state state;
	enum pursuit_source source;
	uint64_t started_ns, step_ns, look_ns; /* the fetch, the READ or question, the directory */
	uint64_t due_ns;		       /* UNPLACED, PAUSED */
	/* whose turn it is */
	struct member_id owners[OWNERS_ASKED];
	unsigned owner_count, rank;
	bool pinned;	     /* to owners[0]: see reader_ask.c */
	bool placed;	     /* the block is this node's */
	bool local;	     /* LOCAL questions only */
	bool away;	     /* neighbour is not owners[rank], but a holder: it need not have it */
	bool here;	     /* the owner referred us once; it is enough */
	bool looked;	     /* into its directory */
	unsigned mismatches; /* of this member, in a row */
	uint64_t waiting_ns; /* since then for this member, restarting perhaps; 0: not */
	uint64_t grace_ns;   /* it is waited for until then without knowing */
	/* where the bytes are */
	struct neighbour *neighbour; /* NULL: none, or given up */
	struct member_id holder;
	uint64_t epoch, off;
	uint32_t pushed; /* bytes, so far */
	bool by_push;
	/* the READ, one at a time */
	struct transport_read read;
	uint64_t silence_ns;	    /* its time without a byte */
	struct pursuit_list *queue; /* of READs, in which it waits; or NULL */
	uint8_t *scratch;	    /* a slot of it, while it looks into a directory */
	bool reading;		    /* it is the transport's */
	bool block;		    /* it counts in its neighbour's blocks_read */
	bool shaping;		    /* it reads the superblock, for the others too */
	struct directory_place place;
	struct question *leased; /* of questions */
	unsigned question_count;
	struct question questions[QUESTIONS_MAX];
};

/* What a neighbour is to be told. */
struct ledger {
	struct neighbour *neighbour;
	LIST_ENTRY(ledger) by_reader;
	TAILQ_ENTRY(ledger) by_releases, by_hits; /* while it has some */
	uint64_t releases_due_ns, hits_due_ns;
	struct peer_release releases;
	struct peer_hits hits;
	unsigned blocks_read; /* now; and those that wait for that, in order */
	struct pursuit_list blocks;
	bool shape_reading; /* by somebody */
	bool no_directory;  /* that can be made sense of, in this connection */
};

TAILQ_HEAD(ledger_list, ledger);

struct reader {
	struct reader_setup setup;
	struct random random;
	struct locators *locators;
	struct pursuit_list pursuits; /* all whose fetch is not yet in `ended` */
	struct pursuit_list reads;    /* that the transport had no room for, in order */
	bool reads_room;	      /* perhaps, since then */
	struct peer_fetches ended;    /* done() is to be run */
	struct question *questions;   /* uthash of those that are ASKED */
	uint64_t number_next;
	uint64_t due_ns; /* no pursuit wants anything before */
	bool stopping;
	bool placed;	       /* it is known, or no use waiting for, who owns what */
	bool unplaced;	       /* some pursuits wait for that, perhaps */
	uint64_t placed_by_ns; /* by then it is, or no use */
	uint64_t generation;   /* of the placement that was not enough for them */
	uint8_t *scratch, *scratch_free[SCRATCH_SLOTS];
	unsigned scratch_free_count;
	LIST_HEAD(ledger_set, ledger) ledgers;
	struct ledger_list releases, hits; /* with something to tell, by when */
	struct {
		uint64_t tokens; /* bytes */
		uint64_t at_ns;	 /* of then */
		struct pursuit_list waiting;
	} budget;
};

/* reader.c */

static inline uint64_t reader_now(const struct reader *reader)
{
	return clock_now_ns(reader->setup.clock);
}

static inline void reader_count(struct reader *reader, enum peers_counter counter, uint64_t amount)
{
	counter_add(reader->setup.counters, counter, amount);
}

/** reader_due() - some pursuit wants to be looked at then. */
void reader_due(struct reader *reader, uint64_t at_ns);

/** pursuit_end() - the outcome is known; @status: of FAILED. Once. */
void pursuit_end(struct pursuit *pursuit, enum peer_outcome outcome, int status);

/** pursuit_read_over() - of one that had ended before its READ. */
void pursuit_read_over(struct pursuit *pursuit);

/* reader_ask.c */

/** pursuit_begin() - finds out who owns the block, and asks. */
void pursuit_begin(struct pursuit *pursuit);

/** reader_placed_look() - if some wait for that: whether blocks were placed anew. */
void reader_placed_look(struct reader *reader);

/** pursuit_ask() - asks the member whose turn it is, or the next one that can be asked. */
void pursuit_ask(struct pursuit *pursuit);

/** pursuit_stage() - asks pursuit->neighbour, which is usable, to stage it. */
void pursuit_stage(struct pursuit *pursuit);

/** pursuit_again() - what it was about came to nothing by nobody's fault. */
void pursuit_again(struct pursuit *pursuit);

/** pursuit_failed() - the member asked is of no use: the next, or back to who referred us. */
void pursuit_failed(struct pursuit *pursuit, enum failure failure);

/** pursuit_unreachable() - why @neighbour cannot be asked: CLOSED or REFUSED. */
enum failure pursuit_unreachable(const struct pursuit *pursuit, const struct neighbour *neighbour);

/** pursuit_count_silent() - @neighbour, which it asked or read, did not answer. */
void pursuit_count_silent(struct pursuit *pursuit, const struct neighbour *neighbour);

/** pursuit_mismatch() - what the member has is not what it says. */
void pursuit_mismatch(struct pursuit *pursuit);

/** pursuit_refer() - asks one of @holders, or else the owner once more. */
void pursuit_refer(struct pursuit *pursuit, const struct member_id *holders, unsigned count);

/** pursuit_hopeful() - the member that it waits for may be there again. */
void pursuit_hopeful(struct pursuit *pursuit, const struct neighbour *neighbour);

/** reader_epoch() - notes the epoch of a neighbour's arena. */
void reader_epoch(struct reader *reader, struct neighbour *neighbour, uint64_t epoch);

/* The one that something is pinned to asks nobody for it: there can be no circle, and whether this
 * node would own it by the placement means nothing. */
static inline bool pursuit_is_served(const struct pursuit *pursuit)
{
	return !pursuit->pinned && atomic_load(&pursuit->fetch->serving);
}

/* reader_question.c */

/** question_init() - to @neighbour, UNSENT. */
void question_init(struct pursuit *pursuit, struct question *question, struct neighbour *neighbour,
		   unsigned flags);

/** question_send() - sends its STAGE, or does what follows if that fails. */
void question_send(struct question *question);

/** question_due() - its due_ns has come. */
void question_due(struct question *question);

/** question_end() - nobody waits for it any more; @cancel: its neighbour is told. */
void question_end(struct question *question, bool cancel);

/** question_answer() - takes a message that names it. */
void question_answer(struct question *question, const struct peer_message *message);

/** question_down() - its connection is gone. @status: as reader_down()'s. */
void question_down(struct question *question, int status);

/** question_stray() - a message that names no question. */
void question_stray(struct reader *reader, struct neighbour *neighbour,
		    const struct peer_message *message);

struct question *question_find(struct reader *reader, uint64_t number);

/** questions_end() - all of a pursuit's, but @keep. */
void questions_end(struct pursuit *pursuit, const struct question *keep);

bool questions_open(const struct pursuit *pursuit);

/** lease_end() - what was leased to a pursuit is not read any more. */
void lease_end(struct pursuit *pursuit);

/* reader_former.c */

/** former_begin() - asks all at once, LOCAL. */
void former_begin(struct pursuit *pursuit);

/* reader_read.c */

/** pursuit_read() - starts the READ of @state; its end is dealt with. @silence_ns: its time without
 *  a byte, cut to what is sensible. */
void pursuit_read(struct pursuit *pursuit, enum pursuit_state state, uint32_t region, uint64_t off,
		  uint32_t len, void *dst, uint64_t silence_ns);

/** pursuit_read_bytes() - starts the READ of the unit at pursuit->off. */
void pursuit_read_bytes(struct pursuit *pursuit, uint64_t lease_ns);

/** pursuit_read_locator() - the same, if a locator says where. Return: whether one does. */
bool pursuit_read_locator(struct pursuit *pursuit);

/** pursuit_read_failed() - whoever was read did not answer. */
void pursuit_read_failed(struct pursuit *pursuit, int status);

/** pursuit_leave_reads() - if it waits to start its READ, it does no more. */
void pursuit_leave_reads(struct pursuit *pursuit);

/** pursuit_verify() - whether the bytes match the checks. */
bool pursuit_verify(struct pursuit *pursuit);

/** pursuit_fetched() - they do. */
void pursuit_fetched(struct pursuit *pursuit);

/** reads_pump() - gives waiting READs to the transport. */
void reads_pump(struct reader *reader);

/* reader_directory.c */

/** directory_look() - starts to look for the unit in its neighbour's. Return: false: not possible,
 *  nothing was done. */
bool directory_look(struct pursuit *pursuit);

/** directory_arrived() - a READ of SHAPE, BUCKET or CHECKS ended. */
void directory_arrived(struct pursuit *pursuit, int status);

/** directory_look_end() - if it was looking, it is not any more. */
void directory_look_end(struct pursuit *pursuit);

/* reader_tell.c */

/** ledger_of() - NULL without memory. */
struct ledger *ledger_of(struct reader *reader, struct neighbour *neighbour);

/** ledger_drop() - of a neighbour that is given up. */
void ledger_drop(struct reader *reader, struct neighbour *neighbour);

/** ledger_down() - the connection is gone, and with it what was leased. */
void ledger_down(struct reader *reader, struct neighbour *neighbour);

void tell_release(struct reader *reader, struct neighbour *neighbour, uint64_t number);
void tell_hit(struct reader *reader, struct neighbour *neighbour, const struct window_key *key);

/** tell_cancel() - at once. */
void tell_cancel(struct reader *reader, struct neighbour *neighbour, uint64_t number);

/** tell_due() - sends the batches that are due. Return: when the next is. */
uint64_t tell_due(struct reader *reader, uint64_t now_ns);

/* reader_budget.c */

/** budget_wait() - until the site's budget lets it go to the backing store. */
void budget_wait(struct pursuit *pursuit);

/** budget_leave() - it waits no more. */
void budget_leave(struct pursuit *pursuit);

/** budget_run() - lets those go that may. Return: when the next may. */
uint64_t budget_run(struct reader *reader, uint64_t now_ns);
