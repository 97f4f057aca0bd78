/* SPDX-License-Identifier: Apache-2.0
 *
 * gone.h - what a client has of a queue's side segments when the daemon is gone: one
 * for each slot, between guard pages and all of one number, and nobody to ask.
 */
#ifndef SHMD_PROBE_GONE_H
#define SHMD_PROBE_GONE_H

#include "../../../clients/c/internal.h"

#include <sys/mman.h>

#define SIDE_NUMBER 7
#define SIDE_SIZE 8192u

/* Those of a queue that is bound. False = no memory. */
static inline bool keep_sides(struct shmd_queue *queue, uint32_t generation)
{
	static struct shmd_client gone = {.socket = -1, .lost = true};
	gone.generation = generation;
	queue->object.client = &gone;
	for (uint32_t slot = 0; slot < queue->size; slot++) {
		struct shmdi_segment segment = {.size_bytes = SIDE_SIZE};
		unsigned char *all =
			mmap(NULL, SIDE_SIZE + 2 * SHMD_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (all == MAP_FAILED || mprotect(all + SHMD_PAGE_SIZE, SIDE_SIZE, PROT_READ | PROT_WRITE) < 0)
			return false;
		segment.page = (struct shmd_page *)(void *)(all + SHMD_PAGE_SIZE);
		if (shmdi_side_keep(queue, slot, SIDE_NUMBER, &segment) < 0)
			return false;
		shmdi_side_release(queue, slot, segment.page);
	}
	return true;
}

/* Reserves a slot and its side segment, as if the daemon had still given it. */
static inline int reserve_side(struct shmd_queue *queue, int64_t timeout_ns, struct shmd_reservation *ret_reservation)
{
	int result = shmd_queue_reserve(queue, timeout_ns, ret_reservation);
	struct shmd_lease side = {.slot = ret_reservation->slot, .size_bytes = queue->message_max_bytes};
	if (result < 0 || (result = shmdi_side_find(queue, SIDE_NUMBER, &side)) < 0)
		return result;
	ret_reservation->buffer = (void *)(uintptr_t)side.message;
	ret_reservation->buffer_bytes = queue->message_max_bytes;
	ret_reservation->side = SIDE_NUMBER;
	return 0;
}

#endif /* SHMD_PROBE_GONE_H */
