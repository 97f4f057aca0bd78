/* SPDX-License-Identifier: Apache-2.0
 *
 * latch.c - the latch: an owner word that guards derived state, the twin of
 * shm/latch.go. Models: tests/models/mutex.pml with LATCH, eventcount.pml around
 * it. What must not be changed:
 *   - whoever takes it from the dead rebuilds the derived state first;
 *   - a living holder, or one of this epoch, is never robbed;
 *   - who has slept takes the word with the waiters bit kept;
 *   - who was woken and leaves passes the wake on.
 * latch.h says what its orders pair with.
 */
#include "latch.h"
#include "internal.h"

#include <errno.h>
#include <string.h>

#define WAITERS SHMD_OWNER_WAITERS
#define PATIENCE 1000u /* turns, while another latch is held: longer than anybody living takes */

/* Waits a moment for the word to become free, looking at it seldom: who looks takes
 * the line from the holder, who is about to write it; and the two who come in turn
 * find that the other did several things meanwhile, at the price of one. */
static void back_off(const uint32_t *word, uint32_t pauses_max)
{
	uint32_t limit = shmdi_spin_max();
	uint32_t pauses = pauses_max / 4;
	for (uint32_t turns = 0; turns < limit; turns += pauses) {
		for (uint32_t i = 0; i < pauses; i++)
			shmdi_pause();
		if ((shmdi_load32(word, SHMDI_RELAXED) & SHMD_OWNER_MASK) == 0)
			return;
		pauses = pauses < pauses_max ? 2 * pauses : pauses;
	}
}

bool shmdi_latch_try_for_long(struct shmdi_latch *latch, uint32_t *ret_found)
{
	for (uint32_t turns = 0; turns < PATIENCE; turns++) {
		uint32_t old = shmdi_load32(latch->word, SHMDI_ACQUIRE);
		if (shmdi_latch_is_free(latch, old) &&
		    shmdi_cas32(latch->word, old, latch->me | (old & WAITERS), SHMDI_ACQUIRE)) {
			*ret_found = old & SHMD_OWNER_MASK;
			return true;
		}
		shmdi_pause();
	}
	return false;
}

int shmdi_latch_put_back(struct shmdi_latch *latch, uint32_t found)
{
	for (;;) {
		uint32_t old = shmdi_load32(latch->word, SHMDI_RELAXED);
		if ((old & SHMD_OWNER_MASK) != latch->me)
			return SHMD_E_CORRUPT;
		/* Who sleeps on our word must look again, also if he finds what we have found. */
		if (shmdi_cas32(latch->word, old, found, SHMDI_SEQ_CST)) {
			if ((old & WAITERS) != 0)
				shmdi_futex_wake(latch->word, 1);
			return 0;
		}
	}
}

int shmdi_latch_wait(struct shmdi_latch *latch, uint32_t pauses_max, int64_t deadline_ns, uint32_t *ret_found)
{
	uint32_t keep = 0;
	bool woken = false;
	back_off(latch->word, pauses_max);
	for (;;) {
		uint32_t old = shmdi_load32(latch->word, SHMDI_ACQUIRE);
		if (shmdi_latch_is_free(latch, old)) {
			if (shmdi_cas32(latch->word, old, latch->me | keep | (old & WAITERS), SHMDI_ACQUIRE)) {
				*ret_found = old & SHMD_OWNER_MASK;
				return *ret_found != 0 ? SHMDI_STOLEN : 0;
			}
			continue;
		}
		/* After the word: destroying stores the state, then changes the word. */
		if (shmdi_load32(latch->state, SHMDI_RELAXED) == SHMD_STATE_REMOVED)
			return SHMD_E_REMOVED;
		bool leave = woken && shmdi_expired(deadline_ns);
		if ((old & WAITERS) == 0) {
			if (!shmdi_cas32(latch->word, old, old | WAITERS, SHMDI_RELAXED))
				continue;
			old |= WAITERS;
		}
		if (leave)
			return SHMD_E_TIMED_OUT;
		keep = WAITERS;
		shmdi_add32(latch->waiting, 1, SHMDI_RELAXED);
		int result = shmdi_futex_wait(latch->word, old, deadline_ns);
		shmdi_add32(latch->waiting, UINT32_MAX, SHMDI_RELAXED);
		woken = result == 0;
		if (result == -ETIMEDOUT)
			return SHMD_E_TIMED_OUT;
		if (result != 0 && result != -EINTR && result != -EAGAIN)
			return shmdi_fail(SHMD_E_SYSTEM, "waiting for a latch: %s", strerror(-result));
	}
}
