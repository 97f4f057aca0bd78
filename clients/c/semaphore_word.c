/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphore_word.c - waiting for a permit; see semaphore_word.h.
 */
#include "semaphore_word.h"
#include "spin.h"

#define WAITERS SHMD_SEMAPHORE_WAITERS
#define STEP SHMD_SEMAPHORE_STEP

int shmdi_word_acquire(uint32_t *word, uint32_t *waiting, uint32_t *spins, int64_t timeout_ns)
{
	uint32_t duty = 0; /* WAITERS = a wake may have been consumed */
	int64_t deadline_ns = 0; /* not yet known */
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		if (shmdi_word_has_permits(old)) {
			uint32_t rest = (old - STEP) | duty;
			if (!shmdi_cas32(word, old, rest, SHMDI_ACQUIRE))
				continue;
			if (duty != 0 && rest >= STEP)
				shmdi_futex_wake(word, 1);
			return 0;
		}
		if (old == SHMD_SEMAPHORE_REMOVED)
			return SHMD_E_REMOVED;
		if (timeout_ns == 0)
			return SHMD_E_WOULD_BLOCK;
		if (deadline_ns == 0) {
			deadline_ns = shmdi_deadline(timeout_ns);
			shmdi_spin_while(word, SHMD_SEMAPHORE_PERMITS_MASK, 0, spins);
			continue;
		}
		if (duty != 0 && shmdi_expired(deadline_ns)) {
			shmdi_futex_wake(word, 1); /* the wake that we ate was somebody's */
			return SHMD_E_TIMED_OUT;
		}
		if (old != WAITERS && !shmdi_cas32(word, old, WAITERS, SHMDI_RELAXED))
			continue;
		duty = 0; /* done: no permit, and the bit is set */
		shmdi_add32(waiting, 1, SHMDI_RELAXED);
		int result = shmdi_sleep_on_word(word, WAITERS, deadline_ns);
		shmdi_add32(waiting, UINT32_MAX, SHMDI_RELAXED);
		if (result == 0)
			duty = WAITERS;
		result = shmdi_slept(result, "a permit");
		if (result < 0)
			return result;
	}
}
