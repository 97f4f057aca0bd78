/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_rebuild.c - deriving a queue's lists and counts from its slots' words, by
 * whoever got the latch from a dead daemon: the twin of shm/queue_recover.go.
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

/* The number of the message at a place of the ring; a slot that cannot be sorts last. */
static uint64_t number_at(const struct shmd_queue *queue, uint32_t place)
{
	uint32_t slot = shmdi_load32(&queue->ready[place], SHMDI_RELAXED);
	return slot < queue->size ? shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED) : SHMD_QUEUE_NUMBER_MAX;
}

static void swap(struct shmd_queue *queue, uint32_t i, uint32_t j)
{
	uint32_t x = shmdi_load32(&queue->ready[i], SHMDI_RELAXED);
	uint32_t y = shmdi_load32(&queue->ready[j], SHMDI_RELAXED);
	shmdi_store32(&queue->ready[i], y, SHMDI_RELAXED);
	shmdi_store32(&queue->ready[j], x, SHMDI_RELAXED);
}

static void sink(struct shmd_queue *queue, uint32_t root, uint32_t end)
{
	while (2 * root + 1 < end) {
		uint32_t child = 2 * root + 1;
		if (child + 1 < end && number_at(queue, child) < number_at(queue, child + 1))
			child++;
		if (number_at(queue, root) >= number_at(queue, child))
			return;
		swap(queue, root, child);
		root = child;
	}
}

/* Sorts the first places of the ring by number. Heapsort, for it needs no memory,
 * is fast in the worst case, and ends whatever it finds. */
static void sort_ready(struct shmd_queue *queue, uint32_t count)
{
	for (uint32_t i = count / 2; i > 0; i--)
		sink(queue, i - 1, count);
	for (uint32_t end = count; end > 1; end--) {
		swap(queue, 0, end - 1);
		sink(queue, 0, end - 1);
	}
}

bool shmdi_queue_rebuild(struct shmd_queue *queue)
{
	uint32_t counts[SHMD_SLOT_DEAD + 1] = {0};
	uint64_t next = 1;
	bool whole = true;
	for (uint32_t slot = queue->size; slot-- > 0;) { /* so that the low slots come first from the stack */
		const struct shmd_queue_desc *desc = &queue->descs[slot];
		uint64_t word = shmdi_slot_load(queue, slot);
		uint64_t seq = shmdi_load64(&desc->seq, SHMDI_RELAXED);
		uint64_t ticket = shmdi_load64(&desc->ticket, SHMDI_RELAXED);
		bool held = shmdi_slot_holds(queue, shmdi_load32(&desc->length, SHMDI_RELAXED),
		                             shmdi_load32(&desc->side, SHMDI_RELAXED));
		if (!is_sound(queue, word, seq, ticket, held)) {
			whole = false;
			continue;
		}
		next = seq >= next ? seq + 1 : next;
		next = ticket >= next ? ticket + 1 : next;
		uint32_t state = shmdi_slot_state(word);
		if (state == SHMD_SLOT_FREE)
			shmdi_store32(&queue->free[counts[state]], slot, SHMDI_RELAXED);
		else if (state == SHMD_SLOT_READY)
			shmdi_store32(&queue->ready[counts[state]], slot, SHMDI_RELAXED);
		counts[state]++;
	}
	sort_ready(queue, counts[SHMD_SLOT_READY]);
	struct shmd_queue_lines *lines = queue->lines;
	shmdi_store64(&lines->next_seq, next, SHMDI_RELAXED);
	shmdi_store64(&lines->expiry_ns, 0, SHMDI_RELAXED);
	shmdi_store32(&lines->ready_head, 0, SHMDI_RELAXED);
	shmdi_store32(&lines->ready_count, counts[SHMD_SLOT_READY], SHMDI_RELAXED);
	shmdi_store32(&lines->free_count, counts[SHMD_SLOT_FREE], SHMDI_RELAXED);
	shmdi_store32(&lines->leased_count, counts[SHMD_SLOT_LEASED], SHMDI_RELAXED);
	shmdi_store32(&lines->writing_count, counts[SHMD_SLOT_WRITING], SHMDI_RELAXED);
	shmdi_store32(&lines->dead_count, counts[SHMD_SLOT_DEAD], SHMDI_RELAXED);
	return whole;
}
