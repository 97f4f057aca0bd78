/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_ring.h - the ready and the free ring of a queue, through which slots go from one
 * side to the other: the twin of shm/queue_ring.go. shmd_abi.h draws positions and
 * entries. Nothing in a ring is believed: a place or a slot that cannot be is CORRUPT,
 * and nothing is changed.
 *
 * Orders. An entry is released when it is put, and acquired when it is found; with it all
 * that was done to the slot before: contents and description by who puts, the end of the
 * reading by who takes. Everything else of a side orders the side's own latch.
 *
 * An entry is also one half of what keeps a sleeper from being overlooked: who stores it
 * looks for waiters next, who announces himself looks for it next (tests/litmus,
 * crossing.hpp). So the store must not pass the load behind it. Where all stores are
 * released, as on x86, that costs a barrier, and the compare-and-swap that gives the latch
 * back in between is one (crossing_x86.hpp); elsewhere the store and the load are
 * sequentially consistent themselves.
 *
 * Heads are released, and move after the commit of what was taken and before its entry in
 * the other ring. So who looks at a head without the latch, and acquires it, never finds
 * that something is gone of which the commit is still to come; nor an entry of the next
 * lap where the head still is.
 */
#ifndef SHMDI_QUEUE_RING_H
#define SHMDI_QUEUE_RING_H

#include "atomic.h"
#include "internal.h"

/* Results of looking: 0 = there is none, 1 = found, or CORRUPT. */
#define SHMDI_FOUND 1

#if defined(__x86_64__)
#define SHMDI_CROSSING SHMDI_RELEASE
#else
#define SHMDI_CROSSING SHMDI_SEQ_CST
#endif

#define SHMDI_POSITION_TAG_MASK (~SHMD_POSITION_PLACE_MASK)
/* One step further, but for going round. */
#define SHMDI_POSITION_STEP ((1ull << SHMD_POSITION_TAG_SHIFT) + 1)

SHMDI_INLINE uint32_t shmdi_position_place(uint64_t position)
{
	return (uint32_t)(position & SHMD_POSITION_PLACE_MASK);
}

SHMDI_INLINE bool shmdi_position_sound(const struct shmd_queue *queue, uint64_t position)
{
	return SHMDI_LIKELY(shmdi_position_place(position) < queue->size);
}

/* So many steps further, at most the queue's size. The position is sound. */
SHMDI_INLINE uint64_t shmdi_position_on(const struct shmd_queue *queue, uint64_t position, uint32_t steps)
{
	position += steps * SHMDI_POSITION_STEP;
	return shmdi_position_place(position) >= queue->size ? position - queue->size : position;
}

/* One step back. */
SHMDI_INLINE uint64_t shmdi_position_back(const struct shmd_queue *queue, uint64_t position)
{
	return (shmdi_position_place(position) == 0 ? position + queue->size : position) - SHMDI_POSITION_STEP;
}

/* Looks at the entry at a position. */
SHMDI_INLINE int shmdi_entry_find(const struct shmd_queue *queue, const uint64_t *ring, uint64_t position,
                                  uint32_t *ret_slot)
{
	if (!shmdi_position_sound(queue, position))
		return SHMD_E_CORRUPT;
	/* Sequentially consistent for who has just announced himself. */
	uint64_t entry = shmdi_load64(&ring[shmdi_position_place(position)], SHMDI_SEQ_CST);
	/* Another tag leaves more than any slot; no slot at all, all bits of one. */
	uint64_t slot = entry - (position & SHMDI_POSITION_TAG_MASK) - 1;
	*ret_slot = (uint32_t)slot;
	if (SHMDI_LIKELY(slot < queue->size))
		return SHMDI_FOUND;
	return slot < UINT32_MAX ? SHMD_E_CORRUPT : 0;
}

/* Writes an entry at a sound position. */
SHMDI_INLINE void shmdi_entry_store(uint64_t *ring, uint64_t position, uint32_t slot)
{
	shmdi_store64(&ring[shmdi_position_place(position)], (position & SHMDI_POSITION_TAG_MASK) | (slot + 1),
	              SHMDI_CROSSING);
}

/* Moves a head, after the commit. */
SHMDI_INLINE void shmdi_head_store(uint64_t *head, uint64_t position)
{
	shmdi_store64(head, position, SHMDI_RELEASE);
}

/* A tail, where the next entry goes; 0, or CORRUPT. */
SHMDI_INLINE int shmdi_tail_load(const struct shmd_queue *queue, const uint64_t *tail, uint64_t *ret_position)
{
	*ret_position = shmdi_load64(tail, SHMDI_RELAXED);
	return shmdi_position_sound(queue, *ret_position) ? 0 : SHMD_E_CORRUPT;
}

/* Adds a slot at the tail, which shmdi_tail_load returned. */
SHMDI_INLINE void shmdi_ring_add(const struct shmd_queue *queue, uint64_t *ring, uint64_t *tail, uint64_t position,
                                 uint32_t slot)
{
	shmdi_entry_store(ring, position, slot);
	shmdi_store64(tail, shmdi_position_on(queue, position, 1), SHMDI_RELAXED);
}

/* How many entries there are between a head and a tail, with both latches. */
SHMDI_INLINE uint32_t shmdi_ring_count(const uint64_t *head, const uint64_t *tail)
{
	return (uint32_t)(shmdi_load64(tail, SHMDI_RELAXED) >> SHMD_POSITION_TAG_SHIFT) -
	       (uint32_t)(shmdi_load64(head, SHMDI_RELAXED) >> SHMD_POSITION_TAG_SHIFT);
}

/* queue_order.c, with take_latch: puts messages that come back where their numbers belong,
 * at the front. The ready ring is always what recovery would make. Each follows its commit,
 * which follows shmdi_ready_sound. */
void shmdi_ready_insert(struct shmd_queue *queue, uint32_t slot);

/* Many at once: each is put in front of all, then those in front are sorted. */
struct shmdi_returns {
	uint32_t count;
	uint64_t highest; /* number of them */
};

void shmdi_ready_return(struct shmd_queue *queue, uint32_t slot, struct shmdi_returns *returns);
void shmdi_ready_order(struct shmd_queue *queue, const struct shmdi_returns *returns);
/* Sorts as many entries from a sound position on, at most the queue's size. */
void shmdi_ready_sort(struct shmd_queue *queue, uint64_t from, uint32_t count);

#endif /* SHMDI_QUEUE_RING_H */
