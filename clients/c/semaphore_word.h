/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphore_word.h - the word of a plain semaphore, and of an event with auto reset,
 * which is one of at most one permit. shmd_abi.h states the protocol beside its bits.
 * What must not be changed:
 *   - a release clears the waiters bit, in the store that adds;
 *   - who was woken takes with the bit set again, and wakes the next one while
 *     permits remain; who was woken and leaves wakes the next one.
 *
 * Orders: a take acquires what the release of its permit released. Every store to the
 * word is a read-modify-write, so what is released into it stays visible to all takes
 * that come later. The waiters bit needs no order: the kernel compares the word again
 * under its own lock.
 */
#ifndef SHMDI_SEMAPHORE_WORD_H
#define SHMDI_SEMAPHORE_WORD_H

#include "atomic.h"
#include "internal.h"

/* Whether a word has permits; a destroyed one has none. */
SHMDI_INLINE bool shmdi_word_has_permits(uint32_t word)
{
	return word - SHMD_SEMAPHORE_STEP < SHMD_SEMAPHORE_REMOVED - SHMD_SEMAPHORE_STEP;
}

/* Takes a permit if there is one and nobody is faster. */
SHMDI_INLINE bool shmdi_word_try(uint32_t *word)
{
	uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
	return SHMDI_LIKELY(shmdi_word_has_permits(old) &&
	                    shmdi_cas32(word, old, old - SHMD_SEMAPHORE_STEP, SHMDI_ACQUIRE));
}

/* semaphore_word.c: takes a permit. waiting = our seat's cell, *spins = how long
 * spinning has helped. Errors: WOULD_BLOCK, TIMED_OUT, REMOVED, SYSTEM. */
int shmdi_word_acquire(uint32_t *word, uint32_t *waiting, uint32_t *spins, int64_t timeout_ns)
	__attribute__((visibility("hidden")));

#endif /* SHMDI_SEMAPHORE_WORD_H */
