/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock.h - the words of an rwlock, and what a thread knows of its own reads. The bits,
 * and the protocol, stand in shmd_abi.h; model: tests/models/rwlock.pml.
 *
 * Orders. Readers and writers meet as in Dekker's algorithm: a reader stores its cell,
 * then loads the word; a writer stores the word, then loads the cells. All of these are
 * sequentially consistent, so that at least one of the two sees the other. (On x86 the
 * stores are locked instructions and the loads plain ones, which costs nothing.) They
 * order the data too: a writer that finds a cell without active acquires what the
 * readers of it released when they left (its load pairs with leave), and a reader that
 * finds no writer acquires what the last writer released (its load of the word pairs
 * with write unlock).
 */
#ifndef SHMDI_RWLOCK_H
#define SHMDI_RWLOCK_H

#include "atomic.h"
#include "internal.h"

/* The writer, inside or not; 0 = none. */
SHMDI_INLINE uint32_t shmdi_rwlock_writer(uint32_t word)
{
	return word & SHMD_RWLOCK_OWNER_MASK;
}

SHMDI_INLINE bool shmdi_rwlock_gone(uint32_t word)
{
	return shmdi_rwlock_writer(word) == SHMD_RWLOCK_REMOVED;
}

/* Whether it keeps new readers out. */
SHMDI_INLINE bool shmdi_rwlock_keeps_out(uint32_t word)
{
	return shmdi_rwlock_writer(word) != 0 && (word & SHMD_RWLOCK_PREPARING) == 0;
}

SHMDI_INLINE uint64_t shmdi_rwlock_token(const struct shmd_rwlock *rwlock)
{
	return (uint64_t)rwlock->object.is.owner << 32 | shmdi_thread_serial();
}

/* Whether this thread is the writer inside. */
SHMDI_INLINE bool shmdi_rwlock_writes(const struct shmd_rwlock *rwlock, uint32_t word)
{
	return shmdi_rwlock_writer(word) == rwlock->writer && (word & SHMD_RWLOCK_HELD) != 0 &&
	       shmdi_load64(&rwlock->lines->token, SHMDI_RELAXED) == shmdi_rwlock_token(rwlock);
}

/* What a look at the word from inside says. */
SHMDI_INLINE int shmdi_rwlock_inside(uint32_t word)
{
	return SHMDI_LIKELY((word & SHMD_RWLOCK_INCONSISTENT) == 0) ? 0 : SHMD_OWNER_DIED;
}

SHMDI_INLINE bool shmdi_rwlock_ready(const struct shmd_rwlock *rwlock)
{
	return SHMDI_LIKELY(rwlock != NULL && rwlock->cell != NULL && shmdi_fork_same(rwlock->generation));
}

#pragma GCC visibility push(hidden)

/* ---- rwlock.c ---- */
/* Why it is not ready. */
int shmdi_rwlock_refuse(const struct shmd_rwlock *rwlock);
/* Sleeps once on the word that was seen, with the waiters bit. 0 = look again. */
int shmdi_rwlock_sleep(struct shmd_rwlock *rwlock, uint32_t seen, int64_t deadline_ns);
/* Sleeps once on any word. */
int shmdi_rwlock_sleep_on(struct shmd_rwlock *rwlock, uint32_t *word, uint32_t seen, int64_t deadline_ns);

/* ---- rwlock_reads.c: which locks this thread reads, and how often ---- */

struct shmdi_read {
	uint64_t key; /* of the lock; 0 = nothing */
	uint32_t depth;
	uint32_t others; /* of the first: how many other locks this thread reads; if any, it is one too */
};

#define SHMDI_READS_MAX 64u /* locks that one thread reads at once */

/* The first lock that this thread reads; most threads read no other. Initial-exec, as
 * shmdi_serial, and hence small: the others lie elsewhere. */
extern _Thread_local struct shmdi_read shmdi_first_read __attribute__((tls_model("initial-exec")));

/* Depth and others are looked at in one piece, as they were stored; little endian. */
#define SHMDI_READS_ONCE UINT64_C(1)

/* Notes the first read of a thread that reads nothing. */
SHMDI_INLINE void shmdi_reads_begin(uint64_t key)
{
	const uint64_t once = SHMDI_READS_ONCE;
	memcpy(&shmdi_first_read.depth, &once, sizeof once);
	shmdi_first_read.key = key;
}

/* Whether this thread reads this lock, once, and no other. */
SHMDI_INLINE bool shmdi_reads_only(uint64_t key)
{
	uint64_t depth_and_others;
	memcpy(&depth_and_others, &shmdi_first_read.depth, sizeof depth_and_others);
	return shmdi_first_read.key == key && depth_and_others == SHMDI_READS_ONCE;
}

/* This thread's reads of a lock; NULL = none. */
struct shmdi_read *shmdi_reads_find(uint64_t key);
/* Makes a place for the first of them. Errors: OVERFLOW (this thread reads as many locks
 * as it may), NO_SPACE. */
int shmdi_reads_add(uint64_t key, struct shmdi_read **ret_read);
/* Forgets a place. */
void shmdi_reads_drop(struct shmdi_read *read);

/* One client at one rwlock, however many handles it has; in the list of the client. */
struct shmdi_reader {
	struct shmdi_reader *next;
	uint64_t object_id;
	uint32_t owner;
	uint32_t handles;
	uint64_t key; /* never used again */
};

/* The key for what a new handle reads. Errors: NO_SPACE. */
int shmdi_reader_join(struct shmd_client *client, const struct shmdi_attachment *is, uint64_t *ret_key);
/* Ends the use of a handle. With the last one this thread reads it no more. */
void shmdi_reader_leave(struct shmd_client *client, uint64_t key);
/* Frees the list; nobody uses the client any more. */
void shmdi_readers_clear(struct shmd_client *client);

#pragma GCC visibility pop

#endif /* SHMDI_RWLOCK_H */
