/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock_read.c - readers of an rwlock. What must not be changed:
 *   - a reader is in its cell before it looks at the word for the last time;
 *   - who is kept out leaves the cell, and wakes it, before it waits;
 *   - want stays up during the try: else a writer could pass over it, and be one more
 *     than the bound;
 *   - a thread that reads already never waits, whatever the word says.
 */
#include "rwlock.h"
#include "spin.h"

#include <limits.h>

#define ACTIVE_MASK SHMD_READER_ACTIVE_MASK
#define WANT_MASK SHMD_READER_WANT_MASK
#define WANT_UNIT SHMD_READER_WANT_UNIT

static void wake(uint32_t *cell)
{
	shmdi_futex_wake(cell, INT_MAX);
}

/* Errors: REMOVED, OVERFLOW. */
static int enter(uint32_t *cell)
{
	for (;;) {
		uint32_t old = shmdi_load32(cell, SHMDI_RELAXED);
		if ((old & SHMD_READER_REMOVED) != 0)
			return SHMD_E_REMOVED;
		if ((old & ACTIVE_MASK) == ACTIVE_MASK)
			return SHMD_E_OVERFLOW;
		if (SHMDI_LIKELY(shmdi_cas32(cell, old, old + 1, SHMDI_SEQ_CST)))
			return 0;
	}
}

/* Of a destroyed lock too. Errors: CORRUPT. */
static int leave(uint32_t *cell)
{
	for (;;) {
		uint32_t old = shmdi_load32(cell, SHMDI_RELAXED);
		if (!SHMDI_LIKELY((old & ACTIVE_MASK) != 0))
			return SHMD_E_CORRUPT;
		if (SHMDI_LIKELY(shmdi_cas32(cell, old, old - 1, SHMDI_SEQ_CST)))
			return 0;
	}
}

/* Says that a thread wants to come in: want first, then the bit that makes the next
 * writer look for it. Errors: REMOVED, OVERFLOW. */
static int declare(struct shmd_rwlock *rwlock)
{
	uint32_t *cell = rwlock->cell;
	uint32_t old;
	do {
		old = shmdi_load32(cell, SHMDI_RELAXED);
		if ((old & SHMD_READER_REMOVED) != 0)
			return SHMD_E_REMOVED;
		if ((old & WANT_MASK) == WANT_MASK)
			return SHMD_E_OVERFLOW;
	} while (!shmdi_cas32(cell, old, old + WANT_UNIT, SHMDI_SEQ_CST));
	uint32_t word;
	do
		word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	while ((word & SHMD_RWLOCK_WANTED) == 0 && !shmdi_rwlock_gone(word) &&
	       !shmdi_cas32(rwlock->word, word, word | SHMD_RWLOCK_WANTED, SHMDI_SEQ_CST));
	return 0;
}

/* Ends that, inside or in vain. wanted may stay: the next writer looks once in vain. */
static void undeclare(struct shmd_rwlock *rwlock)
{
	uint32_t old;
	do
		old = shmdi_load32(rwlock->cell, SHMDI_RELAXED);
	while ((old & WANT_MASK) != 0 && !shmdi_cas32(rwlock->cell, old, old - WANT_UNIT, SHMDI_SEQ_CST));
	if (shmdi_rwlock_writer(shmdi_load32(rwlock->word, SHMDI_SEQ_CST)) != 0)
		wake(rwlock->cell);
}

/* Waits until the word lets this thread in. */
static int come_in(struct shmd_rwlock *rwlock, int64_t deadline_ns)
{
	for (;;) {
		uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
		if (shmdi_rwlock_gone(word))
			return SHMD_E_REMOVED;
		int result;
		if (shmdi_rwlock_keeps_out(word)) {
			result = shmdi_rwlock_sleep(rwlock, word, deadline_ns);
			if (result < 0)
				return result;
			continue;
		}
		result = enter(rwlock->cell);
		if (result < 0)
			return result;
		word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
		if (!shmdi_rwlock_keeps_out(word))
			return shmdi_rwlock_inside(word);
		result = leave(rwlock->cell);
		if (result < 0)
			return result;
		wake(rwlock->cell);
	}
}

/* Waits a moment for the word to let readers in. */
static void spin(struct shmd_rwlock *rwlock)
{
	uint32_t limit = shmdi_spin_limit(&rwlock->spins);
	uint32_t turns = 0;
	for (; turns < limit && shmdi_rwlock_keeps_out(shmdi_load32(rwlock->word, SHMDI_RELAXED)); turns++)
		shmdi_pause();
	if (limit != 0)
		shmdi_spin_learn(&rwlock->spins, turns, limit);
}

/* For a thread that does not read yet, and was kept out. */
static int wait_to_read(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	if (shmdi_rwlock_gone(word))
		return SHMD_E_REMOVED;
	if (shmdi_rwlock_writes(rwlock, word))
		return SHMD_E_DEADLOCK;
	if (timeout_ns == 0)
		return SHMD_E_WOULD_BLOCK;
	int64_t deadline_ns = shmdi_deadline(timeout_ns);
	spin(rwlock);
	int result = declare(rwlock);
	if (result < 0)
		return result;
	result = come_in(rwlock, deadline_ns);
	undeclare(rwlock);
	return result;
}

/* For a thread that does not read yet. */
static int begin_reading(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	if (shmdi_rwlock_keeps_out(shmdi_load32(rwlock->word, SHMDI_SEQ_CST)))
		return wait_to_read(rwlock, timeout_ns);
	int result = enter(rwlock->cell);
	if (result < 0)
		return result;
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	if (!shmdi_rwlock_keeps_out(word))
		return shmdi_rwlock_inside(word);
	result = leave(rwlock->cell);
	if (result < 0)
		return result;
	wake(rwlock->cell);
	return wait_to_read(rwlock, timeout_ns);
}

static __attribute__((noinline)) int read_slowly(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	if (!shmdi_rwlock_ready(rwlock))
		return shmdi_rwlock_refuse(rwlock);
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	struct shmdi_read *read = shmdi_reads_find(rwlock->key);
	int result;
	if (read != NULL) {
		result = enter(rwlock->cell);
		if (result == 0)
			result = shmdi_rwlock_inside(shmdi_load32(rwlock->word, SHMDI_SEQ_CST));
	} else {
		result = shmdi_reads_add(rwlock->key, &read);
		if (result < 0)
			return result;
		result = begin_reading(rwlock, timeout_ns);
	}
	if (result >= 0)
		read->depth++;
	else if (read->depth == 0)
		shmdi_reads_drop(read);
	return result;
}

/* For a thread that has entered its cell, and finds that it is kept out. */
static __attribute__((noinline)) int back_out(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	int result = leave(rwlock->cell);
	if (result < 0)
		return result;
	wake(rwlock->cell);
	return read_slowly(rwlock, timeout_ns);
}

int shmd_rwlock_read_lock(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	/* Only a thread that reads nothing at all, in a cell that nobody wants in, is fast. */
	if (!SHMDI_LIKELY(shmdi_rwlock_ready(rwlock) && timeout_ns >= SHMD_FOREVER && shmdi_first_read.key == 0 &&
	                  shmdi_rwlock_writer(shmdi_load32(rwlock->word, SHMDI_SEQ_CST)) == 0))
		return read_slowly(rwlock, timeout_ns);
	uint32_t old = shmdi_load32(rwlock->cell, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(old < ACTIVE_MASK && shmdi_cas32(rwlock->cell, old, old + 1, SHMDI_SEQ_CST)))
		return read_slowly(rwlock, timeout_ns);
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	if (!SHMDI_LIKELY(!shmdi_rwlock_keeps_out(word)))
		return back_out(rwlock, timeout_ns);
	shmdi_reads_begin(rwlock->key);
	return shmdi_rwlock_inside(word);
}

/* Ends what is recorded as ended already. */
static __attribute__((noinline)) int end_beside_writer(struct shmd_rwlock *rwlock, uint32_t word)
{
	if (shmdi_rwlock_gone(word))
		return SHMD_E_REMOVED;
	wake(rwlock->cell);
	return 0;
}

static inline int end_reading(struct shmd_rwlock *rwlock)
{
	int result = leave(rwlock->cell);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	return SHMDI_LIKELY(shmdi_rwlock_writer(word) == 0) ? 0 : end_beside_writer(rwlock, word);
}

static __attribute__((noinline)) int unlock_slowly(struct shmd_rwlock *rwlock)
{
	if (!shmdi_rwlock_ready(rwlock))
		return shmdi_rwlock_refuse(rwlock);
	struct shmdi_read *read = shmdi_reads_find(rwlock->key);
	if (read == NULL)
		return shmdi_rwlock_gone(shmdi_load32(rwlock->word, SHMDI_RELAXED)) ? SHMD_E_REMOVED : SHMD_E_NOT_OWNER;
	if (--read->depth == 0)
		shmdi_reads_drop(read);
	return end_reading(rwlock);
}

int shmd_rwlock_read_unlock(struct shmd_rwlock *rwlock)
{
	if (!SHMDI_LIKELY(shmdi_rwlock_ready(rwlock) && shmdi_reads_only(rwlock->key)))
		return unlock_slowly(rwlock);
	shmdi_first_read.key = 0;
	return end_reading(rwlock);
}
