/* SPDX-License-Identifier: Apache-2.0
 *
 * spin.h - spinning before a sleep: for about as long as that has helped before, so
 * that what a running partner does next costs no wake-up, and what takes longer costs
 * little.
 */
#ifndef SHMDI_SPIN_H
#define SHMDI_SPIN_H

#include "atomic.h"
#include "internal.h"

/* How many turns to take at most. *spins remembers; it is a hint, and atomic. */
SHMDI_INLINE uint32_t shmdi_spin_limit(const uint32_t *spins)
{
	uint32_t limit = shmdi_spin_max();
	uint32_t usual = __atomic_load_n(spins, __ATOMIC_RELAXED);
	return limit < 2 * usual + 10 ? limit : 2 * usual + 10;
}

/* Remembers how many turns it took; the limit = in vain: spin less next time. */
SHMDI_INLINE void shmdi_spin_learn(uint32_t *spins, uint32_t turns, uint32_t limit)
{
	uint32_t usual = __atomic_load_n(spins, __ATOMIC_RELAXED);
	usual = turns < limit ? usual + turns / 8 - usual / 8 : usual - usual / 8;
	__atomic_store_n(spins, usual, __ATOMIC_RELAXED);
}

/* Waits a moment for *word to have other bits than these under the mask. */
SHMDI_INLINE void shmdi_spin_while(const uint32_t *word, uint32_t mask, uint32_t bits, uint32_t *spins)
{
	uint32_t limit = shmdi_spin_limit(spins);
	uint32_t turns = 0;
	while (turns < limit && (shmdi_load32(word, SHMDI_RELAXED) & mask) == bits) {
		shmdi_pause();
		turns++;
	}
	if (limit != 0)
		shmdi_spin_learn(spins, turns, limit);
}

#endif /* SHMDI_SPIN_H */
