/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_slot.h - the slots of a queue and the lists of them, under the latch: the
 * twin of shm/queue_slot.go. shmd_abi.h has the bits. Nothing in the lists is
 * believed: a count, an index or a state that cannot be is CORRUPT, and nothing is
 * changed.
 *
 * Orders. The latch orders all of it, and with that the bytes of a message: who puts has
 * written them before it releases the latch, who takes reads them after it acquired that,
 * and who frees a slot has read them before it releases it again. The counts that who
 * only tries looks at beside the latch are released when they become less: see
 * shmdi_queue_is_idle. The state of a slot is, too, for who looks whether a reservation
 * is still his own, which only he himself ends.
 */
#ifndef SHMDI_QUEUE_SLOT_H
#define SHMDI_QUEUE_SLOT_H

#include "atomic.h"
#include "internal.h"

/* Results of looking: 0 = there is none, 1 = found, or CORRUPT. */
#define SHMDI_FOUND 1

SHMDI_INLINE uint64_t shmdi_slot_make(uint32_t state, uint32_t owner, uint32_t deliveries)
{
	return (uint64_t)state << SHMD_SLOT_STATE_SHIFT | (uint64_t)deliveries << SHMD_SLOT_DELIVERIES_SHIFT | owner;
}

SHMDI_INLINE uint32_t shmdi_slot_state(uint64_t word)
{
	return (uint32_t)((word & SHMD_SLOT_STATE_MASK) >> SHMD_SLOT_STATE_SHIFT);
}

SHMDI_INLINE uint32_t shmdi_slot_deliveries(uint64_t word)
{
	return (uint32_t)((word & SHMD_SLOT_DELIVERIES_MASK) >> SHMD_SLOT_DELIVERIES_SHIFT);
}

/* Whether the slot is in the state and belongs to the owner. */
SHMDI_INLINE bool shmdi_slot_is(uint64_t word, uint32_t state, uint32_t owner)
{
	return (word & (SHMD_SLOT_STATE_MASK | SHMD_OWNER_MASK)) == shmdi_slot_make(state, owner, 0);
}

SHMDI_INLINE uint64_t shmdi_slot_load(const struct shmd_queue *queue, uint32_t slot)
{
	return shmdi_load64(&queue->descs[slot].state, SHMDI_ACQUIRE);
}

/* The commit of a slot's state: after all that belongs to it. */
SHMDI_INLINE void shmdi_slot_set(struct shmd_queue *queue, uint32_t slot, uint64_t word)
{
	shmdi_store64(&queue->descs[slot].state, word, SHMDI_RELEASE);
}

/* Whether a message of the size may be in the slot itself (side 0) or a side segment. */
SHMDI_INLINE bool shmdi_slot_holds(const struct shmd_queue *queue, uint32_t size_bytes, uint32_t side)
{
	return SHMDI_LIKELY(size_bytes <= queue->message_max_bytes &&
	                    (size_bytes <= queue->slot_size_bytes) == (side == 0));
}

/* The bytes of a slot that is below the queue's size. */
SHMDI_INLINE unsigned char *shmdi_slot_bytes(const struct shmd_queue *queue, uint32_t slot)
{
	return queue->slots + (size_t)slot * queue->slot_size_bytes;
}

/* Makes a filled slot, or its side, a message. */
SHMDI_INLINE void shmdi_slot_publish(struct shmd_queue *queue, uint32_t slot, uint64_t number, uint32_t size_bytes,
                                     uint32_t side)
{
	struct shmd_queue_desc *desc = &queue->descs[slot];
	shmdi_store64(&desc->seq, number, SHMDI_RELAXED);
	shmdi_store32(&desc->length, size_bytes, SHMDI_RELAXED);
	shmdi_store32(&desc->side, side, SHMDI_RELAXED);
	shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_READY, 0, 0)); /* the commit */
}

/* The word of a READY message that the owner leases. */
SHMDI_INLINE uint64_t shmdi_slot_delivered(uint64_t word, uint32_t owner)
{
	uint32_t deliveries = shmdi_slot_deliveries(word);
	if (deliveries < SHMD_SLOT_DELIVERIES_COUNTED)
		deliveries++;
	return shmdi_slot_make(SHMD_SLOT_LEASED, owner, deliveries);
}

/* The word of a leased message that comes back: ready again, or dead. */
SHMDI_INLINE uint64_t shmdi_slot_returned(const struct shmd_queue *queue, uint64_t word)
{
	uint32_t deliveries = shmdi_slot_deliveries(word);
	bool dead = queue->deliveries_max != 0 && deliveries >= queue->deliveries_max;
	return shmdi_slot_make(dead ? SHMD_SLOT_DEAD : SHMD_SLOT_READY, 0, deliveries);
}

/* What names the lease of a slot, with a word that says so, in which the message lies. */
SHMDI_INLINE struct shmd_lease shmdi_slot_lease(const struct shmd_queue *queue, uint32_t slot, uint64_t word,
                                                uint32_t size_bytes)
{
	return (struct shmd_lease){
		.message = shmdi_slot_bytes(queue, slot),
		.size_bytes = size_bytes,
		.number = shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED),
		.slot = slot,
		.deliveries = shmdi_slot_deliveries(word),
	};
}

SHMDI_INLINE void shmdi_queue_count(uint32_t *count, uint32_t delta)
{
	shmdi_store32(count, shmdi_load32(count, SHMDI_RELAXED) + delta, SHMDI_RELAXED);
}

/* Takes n from a count at which others look beside the latch: whoever sees it sees the
 * latch as it is now, or later. Pairs with the looks in shmdi_queue_is_idle. */
SHMDI_INLINE void shmdi_queue_take_off(uint32_t *count, uint32_t n)
{
	shmdi_store32(count, shmdi_load32(count, SHMDI_RELAXED) - n, SHMDI_RELEASE);
}

/* Brings a place below twice the size back into the ring. */
SHMDI_INLINE uint32_t shmdi_queue_wrap(const struct shmd_queue *queue, uint32_t place)
{
	return place >= queue->size ? place - queue->size : place;
}

/* Writes an entry of a list only if that changes it: what is there already need not
 * come from, nor go back to, the processor that reads it. */
SHMDI_INLINE void shmdi_list_store(uint32_t *entry, uint32_t slot)
{
	if (shmdi_load32(entry, SHMDI_RELAXED) != slot)
		shmdi_store32(entry, slot, SHMDI_RELAXED);
}

/* The slot at a place of the free stack, which is below the queue's size. */
SHMDI_INLINE int shmdi_free_at(const struct shmd_queue *queue, uint32_t place, uint32_t *ret_slot)
{
	uint32_t slot = shmdi_load32(&queue->free[place], SHMDI_RELAXED);
	if (!SHMDI_LIKELY(slot < queue->size && shmdi_slot_state(shmdi_slot_load(queue, slot)) == SHMD_SLOT_FREE))
		return SHMD_E_CORRUPT;
	*ret_slot = slot;
	return SHMDI_FOUND;
}

/* The free slot that is used next. */
SHMDI_INLINE int shmdi_free_top(const struct shmd_queue *queue, uint32_t *ret_slot)
{
	uint32_t count = shmdi_load32(&queue->lines->free_count, SHMDI_RELAXED);
	if (count == 0)
		return 0;
	if (!SHMDI_LIKELY(count <= queue->size))
		return SHMD_E_CORRUPT;
	return shmdi_free_at(queue, count - 1, ret_slot);
}

/* Whether a slot may be pushed on the free stack. */
SHMDI_INLINE bool shmdi_free_room(const struct shmd_queue *queue)
{
	return SHMDI_LIKELY(shmdi_load32(&queue->lines->free_count, SHMDI_RELAXED) < queue->size);
}

SHMDI_INLINE void shmdi_free_pop(struct shmd_queue *queue, uint32_t n)
{
	shmdi_queue_take_off(&queue->lines->free_count, n);
}

/* Follows shmdi_free_room and the commit. */
SHMDI_INLINE void shmdi_free_push(struct shmd_queue *queue, uint32_t slot)
{
	uint32_t count = shmdi_load32(&queue->lines->free_count, SHMDI_RELAXED);
	if (count < queue->size) { /* a scribbler may have been here since */
		shmdi_list_store(&queue->free[count], slot);
		shmdi_store32(&queue->lines->free_count, count + 1, SHMDI_RELAXED);
	}
}

/* The slot at a place of the ready ring, which is below the queue's size. */
SHMDI_INLINE int shmdi_ready_at(const struct shmd_queue *queue, uint32_t place, uint32_t *ret_slot, uint64_t *ret_word)
{
	uint32_t slot = shmdi_load32(&queue->ready[place], SHMDI_RELAXED);
	if (!SHMDI_LIKELY(slot < queue->size))
		return SHMD_E_CORRUPT;
	uint64_t word = shmdi_slot_load(queue, slot);
	if (!SHMDI_LIKELY(shmdi_slot_state(word) == SHMD_SLOT_READY))
		return SHMD_E_CORRUPT;
	*ret_slot = slot;
	*ret_word = word;
	return SHMDI_FOUND;
}

/* The message that is delivered next. */
SHMDI_INLINE int shmdi_ready_first(const struct shmd_queue *queue, uint32_t *ret_slot, uint64_t *ret_word)
{
	uint32_t count = shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED);
	uint32_t head = shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED);
	if (count == 0)
		return 0;
	if (!SHMDI_LIKELY(count <= queue->size && head < queue->size))
		return SHMD_E_CORRUPT;
	return shmdi_ready_at(queue, head, ret_slot, ret_word);
}

/* Takes the first n, at most the queue's size, out of the ring. */
SHMDI_INLINE void shmdi_ready_pop(struct shmd_queue *queue, uint32_t n)
{
	uint32_t head = shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED);
	if (head < queue->size)
		shmdi_store32(&queue->lines->ready_head, shmdi_queue_wrap(queue, head + n), SHMDI_RELAXED);
	shmdi_queue_take_off(&queue->lines->ready_count, n);
}

/* Whether a slot may be put on the ready ring. */
SHMDI_INLINE bool shmdi_ready_room(const struct shmd_queue *queue)
{
	return SHMDI_LIKELY(shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED) < queue->size &&
	                    shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED) < queue->size);
}

/* Appends the slot with the highest number of all. Follows shmdi_ready_room and the commit. */
SHMDI_INLINE void shmdi_ready_push(struct shmd_queue *queue, uint32_t slot)
{
	uint32_t count = shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED);
	uint32_t head = shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED);
	if (count < queue->size && head < queue->size) {
		shmdi_list_store(&queue->ready[shmdi_queue_wrap(queue, head + count)], slot);
		shmdi_store32(&queue->lines->ready_count, count + 1, SHMDI_RELAXED);
	}
}

/* The number of the next message or reservation; 0 = what cannot be. */
SHMDI_INLINE uint64_t shmdi_queue_number(const struct shmd_queue *queue)
{
	uint64_t number = shmdi_load64(&queue->lines->next_seq, SHMDI_RELAXED);
	return SHMDI_LIKELY(number < SHMD_QUEUE_NUMBER_MAX - 1) ? number : 0;
}

#endif /* SHMDI_QUEUE_SLOT_H */
