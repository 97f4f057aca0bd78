/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_whole.c - what concerns a queue as a whole: its end, the wait for all of its
 * messages to be done, and how many slots are what. The twin of parts of shm/queue.go and of
 * queue_join.go.
 */
#include "queue_wait.h"

int shmd_queue_shutdown(struct shmd_queue *queue)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, SHMD_FOREVER);
	int result = shmdi_queue_enter(&wait);
	if (result < 0)
		return result;
	shmdi_store32(&queue->lines->closed, 1, SHMDI_RELEASE); /* the commit */
	result = shmdi_queue_leave(&wait, 0);
	shmdi_eventcount_alarm(&queue->lines->not_empty);
	shmdi_eventcount_alarm(&queue->lines->not_full);
	return result;
}

int shmd_queue_join(struct shmd_queue *queue, int64_t timeout_ns)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	struct shmdi_queue_wait wait = SHMDI_WAIT_IDLE(queue, timeout_ns);
	wait.spun = true; /* work takes longer than spinning is worth */
	for (;;) {
		int result = shmdi_queue_enter_expired(&wait);
		if (result < 0)
			return result;
		if (shmdi_queue_no_work(queue))
			return shmdi_queue_leave(&wait, 0);
		result = shmdi_queue_sleep(&wait);
		wait.duty = false; /* whoever signals wakes all */
		if (result < 0)
			return result;
	}
}

int shmd_queue_counts(struct shmd_queue *queue, struct shmd_queue_counts *ret_counts)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (ret_counts == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
	int result = shmdi_queue_enter_both(queue, SHMDI_FOREVER_NS);
	if (result < 0)
		return result;
	if (queue->lease_ns != 0)
		result = shmdi_queue_expire(&wait);
	const struct shmd_queue_lines *lines = queue->lines;
	struct shmd_queue_counts counts = {
		.ready = shmdi_ring_count(&lines->ready_head, &lines->ready_tail),
		.leased = shmdi_load32(&lines->leased_count, SHMDI_RELAXED),
		.writing = shmdi_load32(&lines->writing_count, SHMDI_RELAXED),
		.free = shmdi_ring_count(&lines->free_head, &lines->free_tail) + queue->size -
		        shmdi_load32(&lines->fresh, SHMDI_RELAXED),
		.dead = shmdi_load32(&lines->dead_count, SHMDI_RELAXED),
		.closed = shmdi_load32(&lines->closed, SHMDI_RELAXED) != 0,
	};
	bool sound = counts.ready <= queue->size && counts.leased <= queue->size && counts.writing <= queue->size &&
	             counts.free <= queue->size && counts.dead <= queue->size;
	if (result == 0 && !sound)
		result = SHMD_E_CORRUPT;
	int left = shmdi_queue_leave_both(queue);
	shmdi_queue_tell_others(&wait);
	if (result == 0)
		result = left;
	if (result == 0)
		*ret_counts = counts;
	return result;
}
