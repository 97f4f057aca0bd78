/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_order.c - the ready ring in the order of the numbers: what comes back is put where
 * it belongs, by the take side alone. The twin of shm/queue_order.go. The producers add
 * meanwhile, behind all that is looked at here: their numbers are higher. A head moves when
 * there is an entry for it, and an entry that is rewritten keeps its tag, so that who looks
 * without the latch never finds the ring empty for it.
 */
#include "queue_slot.h"

/* The number of a slot's message; a slot that cannot be sorts last. */
static uint64_t number_of(const struct shmd_queue *queue, uint64_t slot)
{
	return slot < queue->size ? shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED) : SHMD_QUEUE_NUMBER_MAX;
}

void shmdi_ready_insert(struct shmd_queue *queue, uint32_t slot)
{
	uint64_t *head = &queue->lines->ready_head;
	uint64_t number = number_of(queue, slot);
	uint64_t at = shmdi_position_back(queue, shmdi_load64(head, SHMDI_RELAXED));
	if (!shmdi_position_sound(queue, at))
		return; /* a scribbler has been here since */
	uint64_t front = at;
	for (uint32_t i = 1; i < queue->size; i++) {
		uint64_t next = shmdi_position_on(queue, at, 1);
		uint32_t other;
		if (shmdi_entry_find(queue, queue->ready, next, &other) != SHMDI_FOUND || number_of(queue, other) > number)
			break;
		shmdi_entry_store(queue->ready, at, other);
		at = next;
	}
	shmdi_entry_store(queue->ready, at, slot);
	shmdi_head_store(head, front);
}

void shmdi_ready_return(struct shmd_queue *queue, uint32_t slot, struct shmdi_returns *returns)
{
	uint64_t *head = &queue->lines->ready_head;
	uint64_t at = shmdi_position_back(queue, shmdi_load64(head, SHMDI_RELAXED));
	if (!shmdi_position_sound(queue, at))
		return;
	uint64_t number = number_of(queue, slot);
	shmdi_entry_store(queue->ready, at, slot);
	shmdi_head_store(head, at);
	returns->count++;
	returns->highest = number > returns->highest ? number : returns->highest;
}

void shmdi_ready_order(struct shmd_queue *queue, const struct shmdi_returns *returns)
{
	uint64_t from = shmdi_load64(&queue->lines->ready_head, SHMDI_RELAXED);
	uint32_t count = returns->count;
	if (count == 0 || count > queue->size || !shmdi_position_sound(queue, from))
		return;
	/* Behind them it is in order, up to those who are above all of them. */
	for (; count < queue->size; count++) {
		uint32_t slot;
		if (shmdi_entry_find(queue, queue->ready, shmdi_position_on(queue, from, count), &slot) != SHMDI_FOUND ||
		    number_of(queue, slot) > returns->highest)
			break;
	}
	shmdi_ready_sort(queue, from, count);
}

/* ---- sorting ---- */

/* What is sorted: so many entries from a position on. */
struct run {
	struct shmd_queue *queue;
	uint64_t from;
};

/* The slot of an entry, whatever its tag. */
static uint32_t slot_at(const struct run *run, uint32_t i)
{
	uint64_t position = shmdi_position_on(run->queue, run->from, i);
	return (uint32_t)shmdi_load64(&run->queue->ready[shmdi_position_place(position)], SHMDI_RELAXED) - 1;
}

static void put_at(const struct run *run, uint32_t i, uint32_t slot)
{
	shmdi_entry_store(run->queue->ready, shmdi_position_on(run->queue, run->from, i), slot);
}

static uint64_t number_at(const struct run *run, uint32_t i)
{
	return number_of(run->queue, slot_at(run, i));
}

static void swap(const struct run *run, uint32_t i, uint32_t j)
{
	uint32_t x = slot_at(run, i);
	uint32_t y = slot_at(run, j);
	put_at(run, i, y);
	put_at(run, j, x);
}

static void sink(const struct run *run, uint32_t root, uint32_t end)
{
	while (2 * root + 1 < end) {
		uint32_t child = 2 * root + 1;
		if (child + 1 < end && number_at(run, child) < number_at(run, child + 1))
			child++;
		if (number_at(run, root) >= number_at(run, child))
			return;
		swap(run, root, child);
		root = child;
	}
}

/* Heapsort, for it needs no memory, is fast in the worst case, and ends whatever it finds. */
void shmdi_ready_sort(struct shmd_queue *queue, uint64_t from, uint32_t count)
{
	const struct run run = {.queue = queue, .from = from};
	for (uint32_t i = count / 2; i > 0; i--)
		sink(&run, i - 1, count);
	for (uint32_t end = count; end > 1; end--) {
		swap(&run, 0, end - 1);
		sink(&run, 0, end - 1);
	}
}
