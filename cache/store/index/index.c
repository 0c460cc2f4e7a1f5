/*
 * index.c - the LMDB environment of a cache directory: opening, transactions, growth, damage.
 *
 * Life of an index: opened, used, perhaps broken (broken != 0: every call returns it), closed.
 * LMDB's own locks hold between processes; the daemon holds <dir>/lock, so that there are none but
 * a curious mdb_stat, whose dead readers are cleared by mdb_reader_check().
 *
 * The map may change its place only while nobody looks (map_lock held for writing); readers hold it
 * for reading. A call that was left in the middle by the guard has lost its transaction: the
 * environment is then abandoned, never closed, since LMDB's state is not to be trusted any more.
 */
#include "cache/store/index/index.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "cache/store/index/guard.h"
#include "cache/store/index/txn.h"

#define MAP_LEN_DEFAULT	    (UINT64_C(256) << 20)
#define MAP_LEN_MAX_DEFAULT (UINT64_C(16) << 40)
#define READER_CHECK_EVERY  64 /* commits */

struct index {
	MDB_env *env;
	MDB_dbi tables[INDEX_TABLE_COUNT];
	void (*committed)(void *context);
	void *context;
	char *path;
	_Atomic int broken;	     /* 0, -EIO, -EUCLEAN */
	_Atomic bool lost;	     /* a transaction was left in the middle */
	_Atomic(MDB_txn *) lost_txn; /* ... the last of them; kept reachable, as is all it holds */

	pthread_rwlock_t map_lock;
	uint64_t map_len; /* guarded by write_lock */
	uint64_t map_len_max;

	pthread_mutex_t write_lock; /* one update at a time */
	unsigned commits;	    /* guarded by write_lock */

	pthread_mutex_t readers_lock;
	pthread_cond_t reader_free;
	MDB_txn *readers[INDEX_READERS_MAX]; /* idle ones; guarded by readers_lock */
	unsigned idle, made;		     /* guarded by readers_lock */

	SLIST_ENTRY(index) abandoned;
};

/* Environments that could not be closed; kept reachable, so that a leak checker sees real leaks. */
static SLIST_HEAD(index_list, index) abandoned = SLIST_HEAD_INITIALIZER(abandoned);
static pthread_mutex_t abandoned_lock = PTHREAD_MUTEX_INITIALIZER;

int index_error(int error)
{
	switch (error) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOBUFS;
	case MDB_PANIC: /* an earlier write failed half way: what is on disk is whole */
		return -EIO;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_MAP_RESIZED: /* only another process could have done it */
		return -EIO;
	default:
		/* LMDB's own codes are negative, the system's positive. */
		return error < 0 ? -EUCLEAN : -error;
	}
}

static void assertion_failed(MDB_env *env, const char *text)
{
	(void)env;
	log_error("store.index", "assertion=\"%s\"", text);
	guard_give_up();
}

/* Only what calls for a new start breaks the index; ENOSPC and ENOMEM are the call's alone. */
static int note_error(struct index *index, int error, bool jumped, MDB_txn *txn)
{
	if (jumped) {
		index->lost = true;
		index->lost_txn = txn;
	}
	if (error == -EIO || error == -EUCLEAN)
		index->broken = error;
	return error;
}

struct call {
	struct index *index;
	struct index_txn txn;
	int (*body)(struct index_txn *txn, void *argument);
	void *argument;
};

/* --- readers --- */

static MDB_txn *reader_take(struct index *index)
{
	MDB_txn *txn = NULL;

	pthread_mutex_lock(&index->readers_lock);
	while (index->idle == 0 && index->made == INDEX_READERS_MAX)
		pthread_cond_wait(&index->reader_free, &index->readers_lock);
	if (index->idle > 0)
		txn = index->readers[--index->idle];
	else
		index->made++;
	pthread_mutex_unlock(&index->readers_lock);
	return txn;
}

/* @txn NULL: the place of one that was never made, or lost. */
static void reader_give(struct index *index, MDB_txn *txn)
{
	pthread_mutex_lock(&index->readers_lock);
	if (txn)
		index->readers[index->idle++] = txn;
	else
		index->made--;
	pthread_cond_signal(&index->reader_free);
	pthread_mutex_unlock(&index->readers_lock);
}

static int read_in_guard(void *argument)
{
	struct call *call = argument;
	int error;

	if (call->txn.txn) {
		error = mdb_txn_renew(call->txn.txn);
	} else {
		error = mdb_txn_begin(call->index->env, NULL, MDB_RDONLY, &call->txn.txn);
		if (error)
			call->txn.txn = NULL;
	}
	if (error)
		return index_error(error);
	error = call->body(&call->txn, call->argument);
	mdb_txn_reset(call->txn.txn);
	return error;
}

int index_read(struct index *index, int (*body)(struct index_txn *txn, void *argument),
	       void *argument)
{
	struct call call = { .index = index, .body = body, .argument = argument };
	int error = index->broken;
	bool jumped;

	if (error)
		return error;
	call.txn.tables = index->tables;
	call.txn.txn = reader_take(index);
	pthread_rwlock_rdlock(&index->map_lock);
	error = guard_run(read_in_guard, &call, &jumped);
	pthread_rwlock_unlock(&index->map_lock);
	reader_give(index, jumped ? NULL : call.txn.txn);
	return note_error(index, error, jumped, call.txn.txn);
}

/* --- updates --- */

static int grow(struct index *index)
{
	uint64_t map_len = index->map_len * 2;
	int error;

	if (map_len > index->map_len_max)
		return -ENOSPC;
	pthread_rwlock_wrlock(&index->map_lock);
	error = index_error(mdb_env_set_mapsize(index->env, map_len));
	pthread_rwlock_unlock(&index->map_lock);
	if (error)
		return note_error(index, -EIO, false, NULL);
	index->map_len = map_len;
	log_info("store.index", "map=%llu KiB", (unsigned long long)(map_len >> 10));
	return 0;
}

static int update_in_guard(void *argument)
{
	struct call *call = argument;
	int error = index_error(mdb_txn_begin(call->index->env, NULL, 0, &call->txn.txn));

	if (error)
		return error;
	error = call->body(&call->txn, call->argument);
	if (error) {
		mdb_txn_abort(call->txn.txn);
		return error;
	}
	return index_error(mdb_txn_commit(call->txn.txn));
}

static int update_locked(struct index *index, struct call *call)
{
	bool jumped;
	int error, dead;

	if (index->commits++ % READER_CHECK_EVERY == 0)
		mdb_reader_check(index->env, &dead);
	do {
		if (index->broken)
			return index->broken;
		call->txn = (struct index_txn){ .tables = index->tables };
		error = guard_run(update_in_guard, call, &jumped);
		note_error(index, error, jumped, call->txn.txn);
		if (error == -ENOBUFS)
			error = grow(index) ? -ENOSPC : -ENOBUFS;
	} while (error == -ENOBUFS);
	if (!error && index->committed)
		index->committed(index->context);
	return error;
}

int index_update(struct index *index, int (*body)(struct index_txn *txn, void *argument),
		 void *argument)
{
	struct call call = { .index = index, .body = body, .argument = argument };
	int error = index->broken;

	if (error)
		return error;
	pthread_mutex_lock(&index->write_lock);
	error = update_locked(index, &call);
	pthread_mutex_unlock(&index->write_lock);
	return error;
}

/* --- opening --- */

static int open_tables(struct index_txn *txn, void *argument)
{
	static const char *const names[INDEX_TABLE_COUNT] = {
		[INDEX_OBJECTS] = "objects",   [INDEX_BLOCKS] = "blocks",
		[INDEX_SEGMENTS] = "segments", [INDEX_DATASETS] = "datasets",
		[INDEX_MEMBERS] = "members",   [INDEX_META] = "meta",
	};
	struct index *index = argument;

	for (int i = 0; i < INDEX_TABLE_COUNT; i++) {
		int error = mdb_dbi_open(txn->txn, names[i], MDB_CREATE, &index->tables[i]);

		if (error)
			return index_error(error);
	}
	return 0;
}

static int walk(struct index_txn *txn, void *argument)
{
	(void)argument;
	return index_walk(txn);
}

/*
 * LMDB may leave free pages at the end unwritten, so a short file is not yet a damaged one; but
 * reading a used page behind its end is SIGBUS. Make the missing pages readable (as zeros, which no
 * page of LMDB's is) and look at everything once.
 */
static int check_length(struct index *index)
{
	struct stat st;
	MDB_envinfo info;
	MDB_stat stat;
	uint64_t want;
	int fd;

	CHECK(mdb_env_info(index->env, &info) == 0 && mdb_env_stat(index->env, &stat) == 0);
	CHECK(mdb_env_get_fd(index->env, &fd) == 0);
	want = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
	if (fstat(fd, &st) != 0)
		return -errno;
	if ((uint64_t)st.st_size >= want)
		return 0;
	if (ftruncate(fd, (off_t)want) != 0)
		return -errno;
	return index_read(index, walk, NULL);
}

static int open_environment(struct index *index, const struct index_options *options)
{
	uint64_t map_len = options->map_len ? options->map_len : MAP_LEN_DEFAULT;
	MDB_envinfo info;
	int error, dead;

	error = mdb_env_create(&index->env);
	if (error)
		return index_error(error);
	mdb_env_set_assert(index->env, assertion_failed);
	error = mdb_env_set_maxdbs(index->env, INDEX_TABLE_COUNT);
	if (!error)
		error = mdb_env_set_maxreaders(index->env, INDEX_READERS_MAX + 16);
	if (!error)
		error = mdb_env_set_mapsize(index->env, map_len);
	if (!error)
		error = mdb_env_open(index->env, options->path, MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (error) {
		mdb_env_close(index->env);
		index->env = NULL;
		/* EINVAL: the file is too short to hold LMDB's first pages. */
		return error == EINVAL ? -EUCLEAN : index_error(error);
	}
	mdb_reader_check(index->env, &dead);
	CHECK(mdb_env_info(index->env, &info) == 0);
	index->map_len = info.me_mapsize;
	return 0;
}

static void init_locks(struct index *index)
{
	pthread_rwlockattr_t attr;

	/* Growing must not starve behind readers that always overlap. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&index->map_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&index->write_lock, NULL);
	pthread_mutex_init(&index->readers_lock, NULL);
	pthread_cond_init(&index->reader_free, NULL);
}

int index_open(const struct index_options *options, struct index **out_index)
{
	struct index *index = calloc(1, sizeof(*index));
	int error;

	if (!index)
		return -ENOMEM;
	guard_install();
	init_locks(index);
	index->path = strdup(options->path);
	index->map_len_max = options->map_len_max ? options->map_len_max : MAP_LEN_MAX_DEFAULT;
	error = index->path ? open_environment(index, options) : -ENOMEM;
	if (!error)
		error = check_length(index);
	if (!error)
		error = index_update(index, open_tables, index);
	if (error) {
		index_close(index);
		return error;
	}
	index->committed = options->committed;
	index->context = options->context;
	*out_index = index;
	return 0;
}

static int remove_file(const char *folder, const char *name)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s/%s", folder, name) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	return unlink(file) != 0 && errno != ENOENT ? -errno : 0;
}

void index_close(struct index *index)
{
	if (!index)
		return;
	if (index->lost) {
		/* Its locks are in a state nobody knows: the next opening makes new ones. */
		remove_file(index->path, "lock.mdb");
		pthread_mutex_lock(&abandoned_lock);
		SLIST_INSERT_HEAD(&abandoned, index, abandoned);
		pthread_mutex_unlock(&abandoned_lock);
		return;
	}
	while (index->idle > 0)
		mdb_txn_abort(index->readers[--index->idle]);
	if (index->env)
		mdb_env_close(index->env);
	pthread_rwlock_destroy(&index->map_lock);
	pthread_mutex_destroy(&index->write_lock);
	pthread_mutex_destroy(&index->readers_lock);
	pthread_cond_destroy(&index->reader_free);
	free(index->path);
	free(index);
}

int index_remove(const char *path)
{
	int error = remove_file(path, "data.mdb");

	return error ? error : remove_file(path, "lock.mdb");
}

uint64_t index_bytes(struct index *index)
{
	struct stat st;
	int fd;

	if (mdb_env_get_fd(index->env, &fd) != 0 || fstat(fd, &st) != 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}
