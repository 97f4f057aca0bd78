/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_slot.h - the slots of a queue, and what each side has of them, under its latch:
 * the twin of shm/queue_slot.go. shmd_abi.h has the bits; queue_ring.h the rings, and the
 * orders. A state that cannot be is CORRUPT, and nothing is changed.
 *
 * The state of a slot is released for who looks, beside the latch, whether a reservation is
 * still his own, which only he himself ends.
 */
#ifndef SHMDI_QUEUE_SLOT_H
#define SHMDI_QUEUE_SLOT_H

#include "atomic.h"
#include "internal.h"
#include "queue_ring.h"

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

/* Whether a message of the size may be there; *ret_side = the side segment that it lies
 * in, 0 = the slot itself. */
SHMDI_INLINE bool shmdi_slot_holds(const struct shmd_queue *queue, uint32_t slot, uint32_t size_bytes,
                                   uint32_t *ret_side)
{
	*ret_side = 0;
	if (SHMDI_LIKELY(size_bytes <= queue->slot_size_bytes))
		return SHMDI_LIKELY(size_bytes <= queue->message_max_bytes);
	*ret_side = shmdi_load32(&queue->descs[slot].side, SHMDI_RELAXED);
	return size_bytes <= queue->message_max_bytes && *ret_side != 0;
}

/* The bytes of a slot that is below the queue's size. */
SHMDI_INLINE unsigned char *shmdi_slot_bytes(const struct shmd_queue *queue, uint32_t slot)
{
	return queue->slots + (size_t)slot * queue->slot_size_bytes;
}

/* Makes a filled slot a message, or the side segment that the slot has now; 0 = none, or
 * what it had. */
SHMDI_INLINE void shmdi_slot_publish(struct shmd_queue *queue, uint32_t slot, uint64_t number, uint32_t size_bytes,
                                     uint32_t side)
{
	struct shmd_queue_desc *desc = &queue->descs[slot];
	shmdi_store64(&desc->seq, number, SHMDI_RELAXED);
	shmdi_store32(&desc->length, size_bytes, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(side == 0) && shmdi_load32(&desc->side, SHMDI_RELAXED) != side)
		shmdi_store32(&desc->side, side, SHMDI_RELAXED);
	shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_READY, 0, 0)); /* the commit */
	shmdi_store64(&queue->lines->next_seq, number + 1, SHMDI_RELAXED);
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

/* ---- the put side: free slots ---- */

/* Where a producer is among the free slots. */
struct shmdi_free {
	uint64_t head;
	uint32_t fresh;
	uint32_t slot; /* the last one that was found */
};

SHMDI_INLINE struct shmdi_free shmdi_free_begin(const struct shmd_queue *queue)
{
	return (struct shmdi_free){
		.head = shmdi_load64(&queue->lines->free_head, SHMDI_RELAXED),
		.fresh = shmdi_load32(&queue->lines->fresh, SHMDI_RELAXED),
	};
}

/* Finds the free slot that is used next, and goes on. */
SHMDI_INLINE int shmdi_free_next(const struct shmd_queue *queue, struct shmdi_free *at)
{
	int result = shmdi_entry_find(queue, queue->free, at->head, &at->slot);
	if (SHMDI_LIKELY(result == SHMDI_FOUND)) {
		at->head = shmdi_position_on(queue, at->head, 1);
	} else if (result == 0 && at->fresh < queue->size) {
		at->slot = at->fresh++;
	} else {
		return result == 0 && at->fresh > queue->size ? SHMD_E_CORRUPT : result;
	}
	if (!SHMDI_LIKELY(shmdi_slot_state(shmdi_slot_load(queue, at->slot)) == SHMD_SLOT_FREE))
		return SHMD_E_CORRUPT;
	return SHMDI_FOUND;
}

/* Takes what was gone over out of the free slots; follows the commit. */
SHMDI_INLINE void shmdi_free_take(struct shmd_queue *queue, const struct shmdi_free *at)
{
	struct shmd_queue_lines *lines = queue->lines;
	if (at->head != shmdi_load64(&lines->free_head, SHMDI_RELAXED))
		shmdi_head_store(&lines->free_head, at->head);
	if (!SHMDI_LIKELY(at->fresh == shmdi_load32(&lines->fresh, SHMDI_RELAXED)))
		shmdi_store32(&lines->fresh, at->fresh, SHMDI_RELEASE); /* as a head */
}

/* Long messages go round among so many slots, for which so many are looked at. */
#define SHMDI_LONG_ROUND 4u
#define SHMDI_LONG_LOOKS 16u

/* Chooses the slot of a long message, where shmdi_free_next has found one: of the few that
 * were freed last and have a side segment, the one that was freed first; and gives its
 * place in the ring to the other. Fewer slots need fewer side segments; but what was freed
 * last of all is still in the cache of who read it, and every line written there has to be
 * taken from him. The tail is the consumers', and only says where to look. */
SHMDI_INLINE void shmdi_free_round(struct shmd_queue *queue, struct shmdi_free *free)
{
	const struct shmd_queue_lines *lines = queue->lines;
	uint64_t head = shmdi_load64(&lines->free_head, SHMDI_RELAXED);
	uint64_t at;
	if (free->head == head || shmdi_tail_load(queue, &lines->free_tail, &at) != 0 ||
	    !shmdi_position_sound(queue, head))
		return;
	uint32_t looks = shmdi_ring_count(&lines->free_head, &lines->free_tail);
	if (looks > queue->size)
		looks = queue->size;
	if (looks > SHMDI_LONG_LOOKS)
		looks = SHMDI_LONG_LOOKS;
	uint64_t place = head;
	uint32_t chosen = free->slot;
	for (uint32_t found = 0; looks > 0 && found < SHMDI_LONG_ROUND; looks--) {
		uint32_t slot;
		at = shmdi_position_back(queue, at);
		if (shmdi_entry_find(queue, queue->free, at, &slot) != SHMDI_FOUND ||
		    shmdi_slot_state(shmdi_slot_load(queue, slot)) != SHMD_SLOT_FREE)
			break;
		if (shmdi_load32(&queue->descs[slot].side, SHMDI_RELAXED) == 0)
			continue;
		chosen = slot;
		place = at;
		found++;
	}
	if (chosen != free->slot)
		shmdi_entry_store(queue->free, place, free->slot);
	free->slot = chosen;
}

/* ---- the take side: messages ---- */

/* Where a consumer is among the messages. */
struct shmdi_ready {
	uint64_t head;
	uint64_t word; /* of the slot that was found */
	uint32_t slot;
};

SHMDI_INLINE struct shmdi_ready shmdi_ready_begin(const struct shmd_queue *queue)
{
	return (struct shmdi_ready){.head = shmdi_load64(&queue->lines->ready_head, SHMDI_RELAXED)};
}

/* Whether a message may be put back. */
SHMDI_INLINE bool shmdi_ready_sound(const struct shmd_queue *queue)
{
	return shmdi_position_sound(queue, shmdi_load64(&queue->lines->ready_head, SHMDI_RELAXED));
}

/* Finds the message that is delivered next. */
SHMDI_INLINE int shmdi_ready_find(const struct shmd_queue *queue, struct shmdi_ready *at)
{
	int result = shmdi_entry_find(queue, queue->ready, at->head, &at->slot);
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	at->word = shmdi_slot_load(queue, at->slot);
	return SHMDI_LIKELY(shmdi_slot_state(at->word) == SHMD_SLOT_READY) ? SHMDI_FOUND : SHMD_E_CORRUPT;
}

/* Goes on: the message that was found is not READY any more. */
SHMDI_INLINE void shmdi_ready_go_on(const struct shmd_queue *queue, struct shmdi_ready *at)
{
	at->head = shmdi_position_on(queue, at->head, 1);
}

/* Takes what was gone over out of the ready ring; follows the commit. */
SHMDI_INLINE void shmdi_ready_take(struct shmd_queue *queue, const struct shmdi_ready *at)
{
	shmdi_head_store(&queue->lines->ready_head, at->head);
}

/* ---- both ---- */

/* The number of the next message or reservation; 0 = what cannot be. */
SHMDI_INLINE uint64_t shmdi_queue_number(const struct shmd_queue *queue)
{
	uint64_t number = shmdi_load64(&queue->lines->next_seq, SHMDI_RELAXED);
	return SHMDI_LIKELY(number < SHMD_QUEUE_NUMBER_MAX - 1) ? number : 0;
}

#endif /* SHMDI_QUEUE_SLOT_H */
