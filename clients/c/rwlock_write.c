/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock_write.c - writers of an rwlock. What must not be changed:
 *   - wanted is cleared when the word is taken, before the cells are looked at: readers
 *     that want later count for the next writer;
 *   - who leaves before he is inside sets it again: the readers whose turn it was must
 *     not lose that;
 *   - the token is cleared before the word is released;
 *   - the word changes by compare-and-swap: it may have been removed.
 * The orders of word and cells stand in rwlock.h; for the token goes what lock.c says.
 */
#include "rwlock.h"
#include "spin.h"

#include <limits.h>

#define WAITERS SHMD_RWLOCK_WAITERS
#define INCONSISTENT SHMD_RWLOCK_INCONSISTENT
#define HELD SHMD_RWLOCK_HELD
#define PREPARING SHMD_RWLOCK_PREPARING
#define WANTED SHMD_RWLOCK_WANTED

struct attempt {
	int64_t timeout_ns;
	int64_t deadline_ns; /* 0 = not yet known */
	bool only_try;
};

static int64_t deadline(struct attempt *attempt)
{
	if (attempt->deadline_ns == 0)
		attempt->deadline_ns = shmdi_deadline(attempt->timeout_ns);
	return attempt->deadline_ns;
}

/* The cell of a seat, from 1. */
static uint32_t *cell_of(const struct shmd_rwlock *rwlock, uint32_t seat)
{
	return &rwlock->cells[seat].word;
}

/* Why this thread cannot write at once. */
static int refuse_now(const struct shmd_rwlock *rwlock)
{
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
	if (shmdi_rwlock_gone(word))
		return SHMD_E_REMOVED;
	return shmdi_rwlock_writes(rwlock, word) ? SHMD_E_DEADLOCK : SHMD_E_WOULD_BLOCK;
}

/* Whether a try would find a reader in its way. */
static bool read_by_some(const struct shmd_rwlock *rwlock)
{
	for (uint32_t seat = 1; seat <= rwlock->seats_max; seat++)
		if (shmdi_load32(cell_of(rwlock, seat), SHMDI_SEQ_CST) != 0)
			return true;
	return false;
}

/* Waits a moment for the word to have no writer. */
static void spin(struct shmd_rwlock *rwlock)
{
	uint32_t limit = shmdi_spin_limit(&rwlock->spins);
	uint32_t turns = 0;
	for (; turns < limit; turns++) {
		uint32_t word = shmdi_load32(rwlock->word, SHMDI_RELAXED);
		if (shmdi_rwlock_writer(word) == 0 || shmdi_rwlock_gone(word))
			break;
		shmdi_pause();
	}
	if (limit != 0)
		shmdi_spin_learn(&rwlock->spins, turns, limit);
}

/* Takes the word; this thread is not inside yet. *ret_found = what it was. */
static int own(struct shmd_rwlock *rwlock, struct attempt *attempt, uint32_t *ret_found)
{
	bool spun = attempt->only_try;
	for (;;) {
		uint32_t word = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
		if (shmdi_rwlock_writer(word) == 0) {
			uint32_t owned = rwlock->writer | (word & (WAITERS | INCONSISTENT));
			if ((word & WANTED) != 0)
				owned |= PREPARING;
			if (!shmdi_cas32(rwlock->word, word, owned, SHMDI_SEQ_CST))
				continue;
			*ret_found = word;
			return 0;
		}
		if (attempt->only_try || shmdi_rwlock_gone(word) || shmdi_rwlock_writes(rwlock, word))
			return refuse_now(rwlock);
		if (!spun) {
			spun = true;
			spin(rwlock);
			continue;
		}
		int result = shmdi_rwlock_sleep(rwlock, word, deadline(attempt));
		if (result < 0)
			return result;
	}
}

/* Waits until a cell, which has them, has none of the bits. */
static __attribute__((noinline)) int await_cell(struct shmd_rwlock *rwlock, uint32_t *cell, uint32_t bits,
                                                struct attempt *attempt)
{
	uint32_t limit = shmdi_spin_limit(&rwlock->quiet_spins);
	uint32_t turns = 0;
	for (;;) {
		uint32_t old = shmdi_load32(cell, SHMDI_SEQ_CST);
		if ((old & bits) == 0)
			break;
		if ((old & SHMD_READER_REMOVED) != 0)
			return SHMD_E_REMOVED;
		if (attempt->only_try)
			return SHMD_E_WOULD_BLOCK;
		if (turns < limit) {
			turns++;
			shmdi_pause();
			continue;
		}
		int result = shmdi_rwlock_sleep_on(rwlock, cell, old, deadline(attempt));
		if (result < 0)
			return result;
	}
	if (limit != 0)
		shmdi_spin_learn(&rwlock->quiet_spins, turns, limit);
	return 0;
}

/* Waits until each cell has been without the bits once, one after the other. */
static int await_cells(struct shmd_rwlock *rwlock, uint32_t bits, struct attempt *attempt)
{
	for (uint32_t seat = 1; seat <= rwlock->seats_max; seat++) {
		uint32_t *cell = cell_of(rwlock, seat);
		if (SHMDI_LIKELY((shmdi_load32(cell, SHMDI_SEQ_CST) & bits) == 0))
			continue;
		int result = await_cell(rwlock, cell, bits, attempt);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Changes the word as its owner: keeps some bits of it and sets others. *ret_old = what
 * it was. Errors: REMOVED, CORRUPT (it has another owner). */
static int change(struct shmd_rwlock *rwlock, uint32_t keep, uint32_t set, uint32_t *ret_old)
{
	for (;;) {
		uint32_t old = shmdi_load32(rwlock->word, SHMDI_SEQ_CST);
		if (shmdi_rwlock_gone(old))
			return SHMD_E_REMOVED;
		if (shmdi_rwlock_writer(old) != rwlock->writer)
			return SHMD_E_CORRUPT;
		if (!SHMDI_LIKELY(shmdi_cas32(rwlock->word, old, (old & keep) | set, SHMDI_SEQ_CST)))
			continue;
		*ret_old = old;
		return 0;
	}
}

/* Lets the word go, and wakes who sleeps on it. */
static int let_go(struct shmd_rwlock *rwlock, uint32_t keep, uint32_t set)
{
	uint32_t old;
	int result = change(rwlock, keep, set, &old);
	if (result == 0 && (old & WAITERS) != 0)
		shmdi_futex_wake(rwlock->word, INT_MAX);
	return result;
}

/* From the word to the inside: first the readers that were promised to be let in, then
 * those that are. */
static int come_in(struct shmd_rwlock *rwlock, uint32_t found, struct attempt *attempt)
{
	uint32_t old = 0;
	int result = 0;
	if ((found & WANTED) != 0) {
		result = await_cells(rwlock, SHMD_READER_WANT_MASK, attempt);
		if (result == 0)
			result = change(rwlock, ~PREPARING, 0, &old);
	}
	if (result == 0)
		result = await_cells(rwlock, SHMD_READER_ACTIVE_MASK, attempt);
	if (result == 0)
		result = change(rwlock, UINT32_MAX, HELD, &old);
	if (result < 0) {
		int left = let_go(rwlock, INCONSISTENT, WANTED);
		return left < 0 ? left : result;
	}
	shmdi_store64(&rwlock->lines->token, shmdi_rwlock_token(rwlock), SHMDI_RELAXED);
	return shmdi_rwlock_inside(old);
}

int shmd_rwlock_write_lock(struct shmd_rwlock *rwlock, int64_t timeout_ns)
{
	if (!shmdi_rwlock_ready(rwlock))
		return shmdi_rwlock_refuse(rwlock);
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	if (shmdi_reads_find(rwlock->key) != NULL)
		return SHMD_E_DEADLOCK;
	struct attempt attempt = {.timeout_ns = timeout_ns, .only_try = timeout_ns == 0};
	if (attempt.only_try && read_by_some(rwlock))
		return refuse_now(rwlock);
	uint32_t found = 0;
	int result = own(rwlock, &attempt, &found);
	return result < 0 ? result : come_in(rwlock, found, &attempt);
}

int shmd_rwlock_write_unlock(struct shmd_rwlock *rwlock)
{
	if (!shmdi_rwlock_ready(rwlock))
		return shmdi_rwlock_refuse(rwlock);
	uint32_t word = shmdi_load32(rwlock->word, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(shmdi_rwlock_writes(rwlock, word)))
		return shmdi_rwlock_gone(word) ? SHMD_E_REMOVED : SHMD_E_NOT_OWNER;
	shmdi_store64(&rwlock->lines->token, 0, SHMDI_RELAXED);
	return let_go(rwlock, INCONSISTENT | WANTED, 0);
}

int shmd_rwlock_mark_consistent(struct shmd_rwlock *rwlock)
{
	if (!shmdi_rwlock_ready(rwlock))
		return shmdi_rwlock_refuse(rwlock);
	for (;;) {
		uint32_t old = shmdi_load32(rwlock->word, SHMDI_RELAXED);
		if (shmdi_rwlock_gone(old))
			return SHMD_E_REMOVED;
		if (!shmdi_rwlock_writes(rwlock, old))
			return SHMD_E_NOT_OWNER;
		if ((old & INCONSISTENT) == 0 || shmdi_cas32(rwlock->word, old, old & ~INCONSISTENT, SHMDI_SEQ_CST))
			return 0;
	}
}
