/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier_word.h - the word of a barrier: its parts, and the steps that it makes. The
 * bits stand in shmd_abi.h. A word may hold any bit pattern.
 */
#ifndef SHMDI_BARRIER_WORD_H
#define SHMDI_BARRIER_WORD_H

#include "atomic.h"
#include "internal.h"

#define SHMDI_GENERATION_LOW_BITS (SHMD_BARRIER_HISTORY_SHIFT - SHMD_BARRIER_GENERATION_LOW_SHIFT)
#define SHMDI_GENERATION_MAX (SHMD_PARTY_GENERATION_MASK >> SHMD_PARTY_GENERATION_SHIFT) /* 34 bits, then 0 again */
#define SHMDI_OUTCOME_BITS 2u

SHMDI_INLINE uint32_t shmdi_barrier_phase(uint64_t word)
{
	return (uint32_t)(word & SHMD_BARRIER_PHASE_MASK);
}

SHMDI_INLINE uint32_t shmdi_barrier_field(uint64_t word)
{
	return (uint32_t)((word & SHMD_BARRIER_FIELD_MASK) >> SHMD_BARRIER_FIELD_SHIFT);
}

SHMDI_INLINE uint64_t shmdi_barrier_generation(uint64_t word)
{
	return word >> SHMD_BARRIER_GENERATION_HIGH_SHIFT << SHMDI_GENERATION_LOW_BITS |
	       (word & SHMD_BARRIER_GENERATION_LOW_MASK) >> SHMD_BARRIER_GENERATION_LOW_SHIFT;
}

/* The word in another phase of the same generation. */
SHMDI_INLINE uint64_t shmdi_barrier_in(uint64_t word, uint32_t phase, uint32_t field)
{
	uint64_t rest = word & ~(SHMD_BARRIER_PHASE_MASK | SHMD_BARRIER_FIELD_MASK);
	return rest | (uint64_t)field << SHMD_BARRIER_FIELD_SHIFT | phase;
}

/* The word of the next generation, where nobody has arrived; the history says how this
 * one ended. */
SHMDI_INLINE uint64_t shmdi_barrier_next(uint64_t word, uint32_t outcome)
{
	uint64_t generation = shmdi_barrier_generation(word) + 1;
	uint64_t history = (word & SHMD_BARRIER_HISTORY_MASK) << SHMDI_OUTCOME_BITS & SHMD_BARRIER_HISTORY_MASK;
	return generation >> SHMDI_GENERATION_LOW_BITS << SHMD_BARRIER_GENERATION_HIGH_SHIFT | history |
	       (uint64_t)outcome << SHMD_BARRIER_HISTORY_SHIFT |
	       (generation << SHMD_BARRIER_GENERATION_LOW_SHIFT & SHMD_BARRIER_GENERATION_LOW_MASK);
}

/* How many generations ago one was; far more than the history is long if it lies ahead. */
SHMDI_INLINE uint64_t shmdi_barrier_since(uint64_t word, uint64_t generation)
{
	return (shmdi_barrier_generation(word) - generation) & SHMDI_GENERATION_MAX;
}

/* How the generation ended that was since ago, 1 to the length of the history. */
SHMDI_INLINE uint32_t shmdi_barrier_outcome(uint64_t word, uint64_t since)
{
	return (uint32_t)(word >> (SHMD_BARRIER_HISTORY_SHIFT + SHMDI_OUTCOME_BITS * (since - 1))) &
	       ((1u << SHMDI_OUTCOME_BITS) - 1);
}

#endif /* SHMDI_BARRIER_WORD_H */
