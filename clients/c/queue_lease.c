/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_lease.c - leases of a queue's messages, and dead letters: the twin of
 * shm/queue_lease.go and queue_dead.go.
 */
#include "queue_wait.h"

/* The word of a message that comes back: ready again, or dead. */
static uint64_t returned(const struct shmd_queue *queue, uint64_t word)
{
	uint32_t deliveries = shmdi_slot_deliveries(word);
	bool dead = queue->deliveries_max != 0 && deliveries >= queue->deliveries_max;
	return shmdi_slot_make(dead ? SHMD_SLOT_DEAD : SHMD_SLOT_READY, 0, deliveries);
}

/* Ends the latch section in which the slot became ours, finds the message and
 * describes it. The size and the side are sound. */
static int leased(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, uint32_t size_bytes,
                  struct shmd_lease *ret_lease)
{
	struct shmd_queue *queue = wait->queue;
	struct shmd_lease lease = {
		.message = shmdi_slot_bytes(queue, slot),
		.size_bytes = size_bytes,
		.number = shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED),
		.slot = slot,
		.deliveries = shmdi_slot_deliveries(word),
	};
	uint32_t side = shmdi_load32(&queue->descs[slot].side, SHMDI_RELAXED);
	shmdi_slot_set(queue, slot, word); /* the commit */
	shmdi_queue_count(&queue->lines->leased_count, 1);
	int result = shmdi_queue_finish(wait, wait->event, false);
	if (!SHMDI_LIKELY(size_bytes <= queue->slot_size_bytes) && result == 0) {
		result = shmdi_side_find(queue, side, &lease);
		int nacked = result < 0 ? shmd_queue_nack(queue, &lease) : 0;
		if (nacked < 0)
			result = nacked;
	}
	if (result == 0)
		*ret_lease = lease;
	return result;
}

int shmdi_queue_deliver(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, struct shmd_lease *ret_lease)
{
	struct shmd_queue *queue = wait->queue;
	uint32_t size_bytes = shmdi_load32(&queue->descs[slot].length, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(shmdi_slot_holds(queue, size_bytes, shmdi_load32(&queue->descs[slot].side, SHMDI_RELAXED))))
		return shmdi_queue_leave(wait, SHMD_E_CORRUPT);
	uint32_t deliveries = shmdi_slot_deliveries(word);
	if (deliveries < SHMD_SLOT_DELIVERIES_COUNTED)
		deliveries++;
	shmdi_ready_pop(queue);
	return leased(wait, slot, shmdi_slot_make(SHMD_SLOT_LEASED, queue->latch.me, deliveries), size_bytes, ret_lease);
}

int shmd_queue_lease(struct shmd_queue *queue, int64_t timeout_ns, struct shmd_lease *ret_lease)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (ret_lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, timeout_ns);
	uint32_t slot = 0;
	uint64_t word = 0;
	int result;
	while ((result = shmdi_queue_find_message(&wait, &slot, &word)) == 0)
		;
	return result == SHMDI_FOUND ? shmdi_queue_deliver(&wait, slot, word, ret_lease) : result;
}

/* Enters and reads the word of the slot that holds the leased message; 0, or an
 * error and the latch is free. */
static int enter_lease(struct shmdi_queue_wait *wait, const struct shmd_lease *lease, uint64_t *ret_word)
{
	struct shmd_queue *queue = wait->queue;
	if (lease->slot >= queue->size)
		return SHMD_E_NOT_OWNER;
	int result = shmdi_queue_enter(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(shmdi_load64(&queue->descs[lease->slot].seq, SHMDI_RELAXED) == lease->number))
		return shmdi_queue_leave(wait, SHMD_E_NOT_OWNER);
	*ret_word = shmdi_slot_load(queue, lease->slot);
	return 0;
}

/* Lets go of the message of a lease that has just ended. */
SHMDI_INLINE void let_go(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	if (!SHMDI_LIKELY(lease->size_bytes <= queue->slot_size_bytes))
		shmdi_side_release(queue, lease->slot, lease->message);
}

int shmd_queue_ack(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, SHMD_FOREVER);
	uint32_t me = queue->latch.me;
	uint64_t word = 0;
	int result = enter_lease(&wait, lease, &word);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(shmdi_slot_is(word, SHMD_SLOT_LEASED, me))) {
		bool done = shmdi_slot_is(word, SHMD_SLOT_FREE, me); /* already */
		return shmdi_queue_leave(&wait, done ? 0 : SHMD_E_NOT_OWNER);
	}
	if (!SHMDI_LIKELY(shmdi_free_room(queue)))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	/* The commit; it keeps our seat, so that it may be repeated. */
	shmdi_slot_set(queue, lease->slot, shmdi_slot_make(SHMD_SLOT_FREE, me, 0));
	shmdi_queue_count(&queue->lines->leased_count, UINT32_MAX);
	shmdi_free_push(queue, lease->slot);
	result = shmdi_queue_finish(&wait, &queue->lines->not_full, shmdi_eventcount_signal(&queue->lines->not_full));
	let_go(queue, lease);
	return result;
}

/* Puts a message that comes back where its number belongs: at the front, behind
 * older ones that came back before it. The ring is always what recovery would make. */
static void insert(struct shmd_queue *queue, uint32_t slot)
{
	uint32_t count = shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED);
	uint32_t head = shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED);
	if (count >= queue->size || head >= queue->size)
		return;
	uint64_t number = shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED);
	uint32_t place = shmdi_queue_wrap(queue, head + queue->size - 1);
	shmdi_store32(&queue->lines->ready_head, place, SHMDI_RELAXED);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t next = shmdi_queue_wrap(queue, place + 1);
		uint32_t other = shmdi_load32(&queue->ready[next], SHMDI_RELAXED);
		if (other >= queue->size || shmdi_load64(&queue->descs[other].seq, SHMDI_RELAXED) > number)
			break;
		shmdi_store32(&queue->ready[place], other, SHMDI_RELAXED);
		place = next;
	}
	shmdi_store32(&queue->ready[place], slot, SHMDI_RELAXED);
	shmdi_store32(&queue->lines->ready_count, count + 1, SHMDI_RELAXED);
}

int shmd_queue_nack(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, SHMD_FOREVER);
	uint64_t word = 0;
	int result = enter_lease(&wait, lease, &word);
	if (result < 0)
		return result;
	if (!shmdi_slot_is(word, SHMD_SLOT_LEASED, queue->latch.me))
		return shmdi_queue_leave(&wait, SHMD_E_NOT_OWNER);
	if (!shmdi_ready_room(queue))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	word = returned(queue, word);
	shmdi_slot_set(queue, lease->slot, word); /* the commit */
	shmdi_queue_count(&queue->lines->leased_count, UINT32_MAX);
	if (shmdi_slot_state(word) == SHMD_SLOT_DEAD) {
		shmdi_queue_count(&queue->lines->dead_count, 1);
		result = shmdi_queue_leave(&wait, 0);
	} else {
		insert(queue, lease->slot);
		result = shmdi_queue_finish(&wait, &queue->lines->not_empty, shmdi_eventcount_signal(&queue->lines->not_empty));
	}
	let_go(queue, lease);
	return result;
}

/* ---- dead letters ---- */

int shmd_queue_take_dead(struct shmd_queue *queue, struct shmd_lease *ret_lease)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (ret_lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, SHMD_FOREVER);
	int result = shmdi_queue_enter(&wait);
	if (result < 0)
		return result;
	if (shmdi_load32(&queue->lines->dead_count, SHMDI_RELAXED) == 0)
		return shmdi_queue_leave(&wait, SHMD_E_WOULD_BLOCK);
	uint32_t oldest = queue->size;
	uint64_t oldest_word = 0;
	uint64_t oldest_number = SHMD_QUEUE_NUMBER_MAX;
	for (uint32_t slot = 0; slot < queue->size; slot++) {
		uint64_t word = shmdi_slot_load(queue, slot);
		uint64_t number = shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED);
		if (shmdi_slot_state(word) == SHMD_SLOT_DEAD && number < oldest_number) {
			oldest = slot;
			oldest_word = word;
			oldest_number = number;
		}
	}
	if (oldest == queue->size)
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	uint32_t size_bytes = shmdi_load32(&queue->descs[oldest].length, SHMDI_RELAXED);
	if (!shmdi_slot_holds(queue, size_bytes, shmdi_load32(&queue->descs[oldest].side, SHMDI_RELAXED)))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	/* Looking at it is no delivery. */
	uint64_t word = shmdi_slot_make(SHMD_SLOT_LEASED, queue->latch.me, shmdi_slot_deliveries(oldest_word));
	shmdi_queue_count(&queue->lines->dead_count, UINT32_MAX);
	return leased(&wait, oldest, word, size_bytes, ret_lease);
}

int shmd_queue_redeliver(struct shmd_queue *queue, uint32_t *ret_count)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, SHMD_FOREVER);
	int result = shmdi_queue_enter(&wait);
	if (result < 0)
		return result;
	uint32_t count = 0;
	for (uint32_t slot = 0; slot < queue->size; slot++) {
		if (shmdi_slot_state(shmdi_slot_load(queue, slot)) != SHMD_SLOT_DEAD)
			continue;
		shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_READY, 0, 0)); /* the commit of this one */
		count++;
	}
	bool sound = count == 0 || shmdi_queue_rebuild(queue);
	result = shmdi_queue_leave(&wait, sound ? 0 : SHMD_E_CORRUPT);
	if (count > 0)
		shmdi_eventcount_alarm(&queue->lines->not_empty);
	if (result == 0 && ret_count != NULL)
		*ret_count = count;
	return result;
}
