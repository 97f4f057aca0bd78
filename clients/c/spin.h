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
 *   31        alone   there was a single processor to run on
 *   30 .. 28  level   how often in a row a probe was in vain
 *   27 .. 12  misses  spins in vain since the last probe
 *   11 .. 0   usual   turns that helped, an average
 *
 * Two who hand over to each other and have once gone to sleep would do so for ever: a
 * wake-up takes longer than either spins, so neither ever sees that spinning helps. So
 * now and then one spins for as long as some wake-ups take, a probe: if the other is
 * there by then, both are awake, and what helps is short again. Probes in vain become
 * rarer. With a single processor there are none, and hardly any spinning.
 *
 * And who has just been helped waits once for as long as a wake-up takes, before he goes
 * back to what is usual: a partner whom the machine has stopped for some microseconds is
 * soon there again, while one sleep of either costs a dozen until the next probe. */
#define SHMDI_SPIN_USUAL_MASK 0xfffu
#define SHMDI_SPIN_MISS 0x1000u
#define SHMDI_SPIN_MISSES_MASK 0xffffu
#define SHMDI_SPIN_LEVEL_SHIFT 28
#define SHMDI_SPIN_LEVEL_MASK 7u
#define SHMDI_SPIN_LEVEL_MAX 3u
#define SHMDI_SPIN_ALONE 0x80000000u
#define SHMDI_SPIN_LEAST 30u       /* turns: what a partner takes that is awake */
#define SHMDI_SPIN_PROBE 8000u     /* turns: 100 to 200 us */
#define SHMDI_SPIN_PATIENCE 2000u  /* turns: 25 to 50 us, a wake-up */
#define SHMDI_SPIN_PROBE_AFTER 16u /* misses, doubled for each level */

SHMDI_INLINE uint32_t shmdi_spin_level(uint32_t state)
{
	return state >> SHMDI_SPIN_LEVEL_SHIFT & SHMDI_SPIN_LEVEL_MASK;
}

SHMDI_INLINE uint32_t shmdi_spin_misses(uint32_t state)
{
	return state / SHMDI_SPIN_MISS & SHMDI_SPIN_MISSES_MASK;
}

/* Whether it has the last time. */
SHMDI_INLINE bool shmdi_spin_has_helped(uint32_t state)
{
	return state != 0 && (state & ~SHMDI_SPIN_USUAL_MASK) == 0;
}

/* What follows a probe in vain. */
SHMDI_INLINE uint32_t shmdi_spin_harder(uint32_t state)
{
	uint32_t level = shmdi_spin_level(state);
	level = level < SHMDI_SPIN_LEVEL_MAX ? level + 1 : level;
	return level << SHMDI_SPIN_LEVEL_SHIFT | (state & SHMDI_SPIN_USUAL_MASK);
}

/* How many turns to take at most; 0 with a single CPU. */
SHMDI_INLINE uint32_t shmdi_spin_limit(uint32_t *spins)
{
	uint32_t limit = shmdi_spin_max();
	uint32_t state = __atomic_load_n(spins, __ATOMIC_RELAXED);
	if (limit != 0 && shmdi_spin_misses(state) >= SHMDI_SPIN_PROBE_AFTER << shmdi_spin_level(state)) {
		if (shmdi_spin_may_probe())
			return SHMDI_SPIN_PROBE;
		state = shmdi_spin_harder(state) | SHMDI_SPIN_ALONE;
		__atomic_store_n(spins, state, __ATOMIC_RELAXED);
	}
	if (limit != 0 && shmdi_spin_has_helped(state))
		return SHMDI_SPIN_PATIENCE;
	uint32_t least = (state & SHMDI_SPIN_ALONE) != 0 ? 1 : SHMDI_SPIN_LEAST;
	uint32_t some = 2 * (state & SHMDI_SPIN_USUAL_MASK) + least;
	return limit < some ? limit : some;
}

/* Remembers how many turns it took; the limit = in vain: spin less next time. */
SHMDI_INLINE void shmdi_spin_learn(uint32_t *spins, uint32_t turns, uint32_t limit)
{
	uint32_t state = __atomic_load_n(spins, __ATOMIC_RELAXED);
	uint32_t usual = state & SHMDI_SPIN_USUAL_MASK;
	if (turns < limit)
		state = usual + (turns + 8) / 8 - usual / 8; /* never 0: it has helped */
	else if (limit == SHMDI_SPIN_PROBE)
		state = shmdi_spin_harder(state);
	else
		state = state - usual / 8 + (shmdi_spin_misses(state) < SHMDI_SPIN_MISSES_MASK ? SHMDI_SPIN_MISS : 0);
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
