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

/* What *spins remembers, a hint for all threads of a handle, atomic:
 *   31 .. 28  level   how often in a row a probe was in vain
 *   27 .. 12  misses  spins in vain since the last probe
 *   11 .. 0   usual   turns that helped, an average
 *
 * Two who hand over to each other and have once gone to sleep would do so for ever: a
 * wake-up takes longer than either spins, so neither ever sees that spinning helps. So
 * now and then one spins for as long as a wake-up takes, a probe: if the other is there
 * by then, both are awake, and what helps is short again. Probes in vain become rare,
 * and one with a single processor to run on makes none. */
#define SHMDI_SPIN_USUAL_MASK 0xfffu
#define SHMDI_SPIN_MISS 0x1000u
#define SHMDI_SPIN_MISSES_MASK 0xffffu
#define SHMDI_SPIN_LEVEL_SHIFT 28
#define SHMDI_SPIN_LEVEL_MAX 8u
#define SHMDI_SPIN_PROBE 8000u       /* turns; 100 to 200 us, some wake-ups */
#define SHMDI_SPIN_PROBE_AFTER 16u   /* misses, doubled for each level */

/* What follows a spin in vain. */
SHMDI_INLINE uint32_t shmdi_spin_missed(uint32_t state, bool probe)
{
	uint32_t level = state >> SHMDI_SPIN_LEVEL_SHIFT;
	uint32_t usual = state & SHMDI_SPIN_USUAL_MASK;
	uint32_t misses = state / SHMDI_SPIN_MISS & SHMDI_SPIN_MISSES_MASK;
	if (probe) {
		level = level < SHMDI_SPIN_LEVEL_MAX ? level + 1 : level;
		misses = 0;
	} else {
		usual -= usual / 8;
		misses += misses < SHMDI_SPIN_MISSES_MASK;
	}
	return level << SHMDI_SPIN_LEVEL_SHIFT | misses * SHMDI_SPIN_MISS | usual;
}

/* How many turns to take at most; 0 with a single CPU. */
SHMDI_INLINE uint32_t shmdi_spin_limit(uint32_t *spins)
{
	uint32_t limit = shmdi_spin_max();
	uint32_t state = __atomic_load_n(spins, __ATOMIC_RELAXED);
	uint32_t level = state >> SHMDI_SPIN_LEVEL_SHIFT;
	uint32_t misses = state / SHMDI_SPIN_MISS & SHMDI_SPIN_MISSES_MASK;
	if (limit != 0 && misses >= SHMDI_SPIN_PROBE_AFTER << level) {
		if (shmdi_spin_may_probe())
			return SHMDI_SPIN_PROBE;
		__atomic_store_n(spins, shmdi_spin_missed(state, true), __ATOMIC_RELAXED); /* in vain it would be */
	}
	/* As long as probes are in vain hardly anything at all. */
	uint32_t some = 2 * (state & SHMDI_SPIN_USUAL_MASK) + (10u >> level) + 1;
	return limit < some ? limit : some;
}

/* Remembers how many turns it took; the limit = in vain: spin less next time. */
SHMDI_INLINE void shmdi_spin_learn(uint32_t *spins, uint32_t turns, uint32_t limit)
{
	uint32_t state = __atomic_load_n(spins, __ATOMIC_RELAXED);
	uint32_t usual = state & SHMDI_SPIN_USUAL_MASK;
	if (turns < limit)
		state = usual + turns / 8 - usual / 8;
	else
		state = shmdi_spin_missed(state, limit == SHMDI_SPIN_PROBE);
	__atomic_store_n(spins, state, __ATOMIC_RELAXED);
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
