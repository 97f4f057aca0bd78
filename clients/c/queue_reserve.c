/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_reserve.c - messages that are made in place: the twin of
 * shm/queue_reserve.go.
 */
#include "queue_wait.h"

/* How many bytes of a slot a message may use. */
static uint32_t slot_room(const struct shmd_queue *queue)
{
	return queue->message_max_bytes < queue->slot_size_bytes ? queue->message_max_bytes : queue->slot_size_bytes;
}

/* Reserves a slot; is_long = for a message in a side segment. */
SHMDI_INLINE int reserve(struct shmd_queue *queue, bool is_long, int64_t timeout_ns,
                         struct shmd_reservation *ret_reservation)
{
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, timeout_ns);
	struct shmdi_free at = {0};
	int result;
	while ((result = shmdi_queue_find_slot(&wait, &at)) == 0)
		;
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	uint64_t ticket = shmdi_queue_number(queue);
	if (!SHMDI_LIKELY(ticket != 0))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	if (is_long)
		shmdi_free_round(queue, &at);
	shmdi_store64(&queue->descs[at.slot].ticket, ticket, SHMDI_RELAXED);
	shmdi_slot_set(queue, at.slot, shmdi_slot_make(SHMD_SLOT_WRITING, queue->put_latch.me, 0)); /* the commit of it */
	shmdi_store64(&queue->lines->next_seq, ticket + 1, SHMDI_RELAXED);
	shmdi_free_take(queue, &at);
	shmdi_queue_count(&queue->lines->writing_count, 1);
	result = shmdi_queue_finish(&wait, NULL, 0);
	if (SHMDI_LIKELY(result == 0))
		*ret_reservation = (struct shmd_reservation){
			.buffer = shmdi_slot_bytes(queue, at.slot),
			.buffer_bytes = slot_room(queue),
			.ticket = ticket,
			.slot = at.slot,
		};
	return result;
}

int shmd_queue_reserve(struct shmd_queue *queue, int64_t timeout_ns, struct shmd_reservation *ret_reservation)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	return ret_reservation == NULL ? SHMD_E_INVALID : reserve(queue, false, timeout_ns, ret_reservation);
}

/* Reserves a slot and a side segment. */
static int reserve_long(struct shmd_queue *queue, uint32_t size_bytes, int64_t timeout_ns,
                        struct shmd_reservation *ret_reservation)
{
	struct shmd_reservation reservation;
	int result = reserve(queue, true, timeout_ns, &reservation);
	if (result < 0)
		return result;
	result = shmdi_side_make(queue, size_bytes, &reservation);
	int aborted = result < 0 ? shmd_queue_abort(queue, &reservation) : 0;
	if (result == 0)
		*ret_reservation = reservation;
	return aborted < 0 ? aborted : result;
}

int shmd_queue_reserve_size(struct shmd_queue *queue, size_t size_bytes, int64_t timeout_ns,
                            struct shmd_reservation *ret_reservation)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (ret_reservation == NULL)
		return SHMD_E_INVALID;
	int result = shmdi_queue_fits(queue, size_bytes);
	if (result < 0)
		return result;
	if (size_bytes > queue->slot_size_bytes)
		return reserve_long(queue, (uint32_t)size_bytes, timeout_ns, ret_reservation);
	return reserve(queue, false, timeout_ns, ret_reservation);
}

/* Enters and reads the word of the reserved slot; 0, or an error and the latch is free. */
static int enter_reservation(struct shmdi_queue_wait *wait, const struct shmd_reservation *reservation,
                             uint64_t *ret_word)
{
	struct shmd_queue *queue = wait->queue;
	if (reservation->slot >= queue->size || reservation->ticket == 0)
		return SHMD_E_NOT_OWNER;
	int result = shmdi_queue_enter(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	uint64_t ticket = shmdi_load64(&queue->descs[reservation->slot].ticket, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(ticket == reservation->ticket))
		return shmdi_queue_leave(wait, SHMD_E_NOT_OWNER);
	*ret_word = shmdi_slot_load(queue, reservation->slot);
	return 0;
}

/* Lets go of the buffer of a reservation that has just ended. */
SHMDI_INLINE void let_go(struct shmd_queue *queue, const struct shmd_reservation *reservation)
{
	if (!SHMDI_LIKELY(reservation->side == 0))
		shmdi_side_release(queue, reservation->slot, reservation->buffer);
}

int shmdi_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation, size_t size_bytes)
{
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, SHMD_FOREVER);
	uint32_t slot = reservation->slot;
	uint64_t word = 0;
	int result = enter_reservation(&wait, reservation, &word);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(shmdi_slot_is(word, SHMD_SLOT_WRITING, queue->put_latch.me))) {
		/* Done already, if the number of the message came after the ticket. */
		bool done = shmdi_slot_state(word) != SHMD_SLOT_WRITING &&
		            shmdi_load64(&queue->descs[slot].seq, SHMDI_RELAXED) > reservation->ticket;
		return shmdi_queue_leave(&wait, done ? 0 : SHMD_E_NOT_OWNER);
	}
	uint64_t tail;
	uint64_t number = shmdi_queue_number(queue);
	if (!SHMDI_LIKELY(number != 0 && shmdi_tail_load(queue, &queue->lines->ready_tail, &tail) == 0))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	/* Short after all: it lies in the slot. Copied here, where that is surely ours. */
	if (!SHMDI_LIKELY(reservation->side == 0) && size_bytes <= queue->slot_size_bytes)
		shmdi_copy_in(shmdi_slot_bytes(queue, slot), reservation->buffer, size_bytes);
	shmdi_slot_publish(queue, slot, number, (uint32_t)size_bytes, reservation->side);
	shmdi_queue_count(&queue->lines->writing_count, UINT32_MAX);
	shmdi_queue_hand_over(queue, tail, slot);
	result = shmdi_queue_finish(&wait, &queue->lines->not_empty, 1);
	let_go(queue, reservation);
	return result;
}

int shmd_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation, size_t size_bytes)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (reservation == NULL)
		return SHMD_E_INVALID;
	if (reservation->slot >= queue->size)
		return SHMD_E_NOT_OWNER;
	const void *buffer = shmdi_slot_bytes(queue, reservation->slot);
	size_t room_bytes = slot_room(queue);
	if (reservation->side != 0) {
		buffer = reservation->buffer;
		room_bytes = reservation->buffer_bytes;
	}
	int result = shmdi_queue_fits(queue, size_bytes);
	if (result == 0 && size_bytes > room_bytes)
		result = shmdi_fail(SHMD_E_TOO_LARGE, "the message has %zu bytes; %zu were reserved", size_bytes, room_bytes);
	/* The contents of a slot that is not ours (any more) say nothing, and a side may
	 * be gone with the reservation. */
	uint64_t word = shmdi_slot_load(queue, reservation->slot);
	bool ours = shmdi_slot_is(word, SHMD_SLOT_WRITING, queue->put_latch.me) &&
	            shmdi_load64(&queue->descs[reservation->slot].ticket, SHMDI_RELAXED) == reservation->ticket;
	if (result == 0 && ours)
		result = shmdi_queue_accepts(queue, buffer, size_bytes);
	if (result < 0)
		return result;
	return shmdi_queue_commit(queue, reservation, size_bytes);
}

int shmd_queue_abort(struct shmd_queue *queue, const struct shmd_reservation *reservation)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (reservation == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, SHMD_FOREVER);
	uint32_t slot = reservation->slot;
	uint64_t word = 0;
	int result = enter_reservation(&wait, reservation, &word);
	if (result < 0)
		return result;
	if (!shmdi_slot_is(word, SHMD_SLOT_WRITING, queue->put_latch.me))
		return shmdi_queue_leave(&wait, SHMD_E_NOT_OWNER);
	uint64_t head = shmdi_position_back(queue, shmdi_load64(&queue->lines->free_head, SHMDI_RELAXED));
	if (!shmdi_position_sound(queue, head))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	/* The number before the state: a commit may have stored its own and died, and
	 * must not look done. The ticket after it: what is not free yet can still be
	 * committed or aborted. */
	struct shmd_queue_desc *desc = &queue->descs[slot];
	shmdi_store64(&desc->seq, reservation->ticket, SHMDI_RELAXED);
	shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_FREE, 0, 0)); /* the commit */
	shmdi_store64(&desc->ticket, 0, SHMDI_RELAXED);
	shmdi_queue_count(&queue->lines->writing_count, UINT32_MAX);
	/* It is used next: an insertion at the front, for the tail is not ours. */
	shmdi_entry_store(queue->free, head, slot);
	shmdi_head_store(&queue->lines->free_head, head);
	result = shmdi_queue_finish(&wait, &queue->lines->not_full, 1);
	let_go(queue, reservation);
	return result;
}
