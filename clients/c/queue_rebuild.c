/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_rebuild.c - deriving a queue's rings and counts from its slots' words, with both
 * latches, by whoever found one left by a dead daemon: the twin of shm/queue_recover.go.
 */
#include "atomic.h"
#include "internal.h"
#include "queue_slot.h"

/* Whether these words can be one slot's: else somebody has scribbled. held = its
 * message can be where it is said to be. */
static bool is_sound(const struct shmd_queue *queue, uint64_t word, uint64_t seq, uint64_t ticket, bool held)
{
	uint64_t known = SHMD_SLOT_STATE_MASK | SHMD_SLOT_DELIVERIES_MASK | SHMD_OWNER_MASK;
	if ((word & ~known) != 0 || seq >= SHMD_QUEUE_NUMBER_MAX || ticket >= SHMD_QUEUE_NUMBER_MAX)
		return false;
	uint32_t seat = word & SHMD_OWNER_SEAT_MASK;
	bool owned = seat != 0 && seat <= queue->object.is.seats_max;
	switch (shmdi_slot_state(word)) {
	case SHMD_SLOT_FREE: return true;
	case SHMD_SLOT_WRITING: return owned;
	case SHMD_SLOT_LEASED: return owned && held;
	case SHMD_SLOT_READY:
	case SHMD_SLOT_DEAD: return (word & SHMD_OWNER_MASK) == 0 && held;
	default: return false;
	}
}

/* The first of the slots at the end that were never used. */
static uint32_t first_fresh(const struct shmd_queue *queue)
{
	uint32_t slot = queue->size;
	for (; slot > 0; slot--) {
		const struct shmd_queue_desc *desc = &queue->descs[slot - 1];
		if ((shmdi_slot_load(queue, slot - 1) | shmdi_load64(&desc->seq, SHMDI_RELAXED) |
		     shmdi_load64(&desc->ticket, SHMDI_RELAXED)) != 0)
			break;
	}
	return slot;
}

/* How much further the tags of a rebuilt ring are: than all shortly before, also if there
 * were several rebuilds. */
#define LEAP (((1ull << 31) + (1ull << 17)) << SHMD_POSITION_TAG_SHIFT)

/* Where a ring begins anew, at place 0. The head is nowhere meanwhile: who looks without
 * the latch must not take a ring for empty of which the entries are gone already, or not
 * there yet. */
static uint64_t begin_anew(uint64_t *head)
{
	uint64_t was = shmdi_load64(head, SHMDI_RELAXED);
	shmdi_head_store(head, was | SHMD_POSITION_PLACE_MASK);
	return (was & SHMDI_POSITION_TAG_MASK) + LEAP;
}

/* Forgets what else is in a ring. Zeros are not written over zeros, for memory's sake. */
static void clear_from(const struct shmd_queue *queue, uint64_t *ring, uint32_t place)
{
	for (; place < queue->size; place++)
		if (shmdi_load64(&ring[place], SHMDI_RELAXED) != 0)
			shmdi_store64(&ring[place], 0, SHMDI_RELAXED);
}

bool shmdi_queue_rebuild(struct shmd_queue *queue)
{
	struct shmd_queue_lines *lines = queue->lines;
	uint64_t ready = begin_anew(&lines->ready_head);
	uint64_t free = begin_anew(&lines->free_head);
	uint32_t fresh = first_fresh(queue);
	uint32_t counts[SHMD_SLOT_DEAD + 1] = {0};
	uint64_t next = 1;
	bool whole = true;
	for (uint32_t slot = 0; slot < fresh; slot++) {
		const struct shmd_queue_desc *desc = &queue->descs[slot];
		uint64_t word = shmdi_slot_load(queue, slot);
		uint64_t seq = shmdi_load64(&desc->seq, SHMDI_RELAXED);
		uint64_t ticket = shmdi_load64(&desc->ticket, SHMDI_RELAXED);
		uint32_t side;
		bool held = shmdi_slot_holds(queue, slot, shmdi_load32(&desc->length, SHMDI_RELAXED), &side);
		if (!is_sound(queue, word, seq, ticket, held)) {
			whole = false;
			continue;
		}
		next = seq >= next ? seq + 1 : next;
		next = ticket >= next ? ticket + 1 : next;
		uint32_t state = shmdi_slot_state(word);
		if (state == SHMD_SLOT_FREE)
			shmdi_entry_store(queue->free, shmdi_position_on(queue, free, counts[state]), slot);
		else if (state == SHMD_SLOT_READY)
			shmdi_entry_store(queue->ready, shmdi_position_on(queue, ready, counts[state]), slot);
		counts[state]++;
	}
	clear_from(queue, queue->ready, counts[SHMD_SLOT_READY]);
	clear_from(queue, queue->free, counts[SHMD_SLOT_FREE]);
	shmdi_ready_sort(queue, ready, counts[SHMD_SLOT_READY]);
	shmdi_store64(&lines->next_seq, next, SHMDI_RELAXED);
	shmdi_store32(&lines->fresh, fresh, SHMDI_RELEASE);
	shmdi_store32(&lines->leased_count, counts[SHMD_SLOT_LEASED], SHMDI_RELAXED);
	shmdi_store32(&lines->writing_count, counts[SHMD_SLOT_WRITING], SHMDI_RELAXED);
	shmdi_store32(&lines->dead_count, counts[SHMD_SLOT_DEAD], SHMDI_RELAXED);
	shmdi_store64(&lines->expiry_ns, 0, SHMDI_RELAXED);
	shmdi_store64(&lines->ready_tail, shmdi_position_on(queue, ready, counts[SHMD_SLOT_READY]), SHMDI_RELAXED);
	shmdi_store64(&lines->free_tail, shmdi_position_on(queue, free, counts[SHMD_SLOT_FREE]), SHMDI_RELAXED);
	shmdi_head_store(&lines->ready_head, ready);
	shmdi_head_store(&lines->free_head, free);
	return whole;
}
