/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_expiry.c - leases that end by time: the twin of shm/queue_expiry.go. A deadline
 * does nothing by itself: whoever wants a message, and has the latch, looks whether one is
 * past. Nobody is woken for a deadline, so that who sleeps looks
 * again in time.
 */
#include "queue_wait.h"

uint64_t shmdi_queue_lease_end(uint64_t lease_ns)
{
	uint64_t now_ns = (uint64_t)shmdi_now_ns();
	return lease_ns < (uint64_t)SHMDI_FOREVER_NS - now_ns ? now_ns + lease_ns : (uint64_t)SHMDI_FOREVER_NS;
}

void shmdi_queue_set_deadline(struct shmd_queue *queue, uint32_t slot, uint64_t deadline_ns)
{
	struct shmd_queue_lines *lines = queue->lines;
	uint64_t expiry_ns = shmdi_load64(&lines->expiry_ns, SHMDI_RELAXED);
	/* First, so that no deadline is ever before it. */
	if (shmdi_load32(&lines->leased_count, SHMDI_RELAXED) == 0 || deadline_ns < expiry_ns)
		shmdi_store64(&lines->expiry_ns, deadline_ns, SHMDI_RELAXED);
	shmdi_store64(&queue->deadlines_ns[slot], deadline_ns, SHMDI_RELAXED);
}

bool shmdi_queue_may_expire(const struct shmd_queue *queue)
{
	const struct shmd_queue_lines *lines = queue->lines;
	return shmdi_load32(&lines->leased_count, SHMDI_RELAXED) != 0 &&
	       shmdi_load64(&lines->expiry_ns, SHMDI_RELAXED) <= (uint64_t)shmdi_now_ns();
}

/* Gives back what is leased beyond now; in *ret_first_ns the first deadline to come, 0 if
 * there is none. How many are ready again. */
static uint32_t give_back(struct shmd_queue *queue, uint64_t now_ns, uint64_t *ret_first_ns)
{
	uint32_t left = shmdi_load32(&queue->lines->leased_count, SHMDI_RELAXED);
	uint32_t ended = 0;
	uint32_t ready = 0;
	struct shmdi_returns returns = {0};
	uint64_t first_ns = UINT64_MAX;
	for (uint32_t slot = 0; slot < queue->size && left > 0; slot++) {
		uint64_t word = shmdi_slot_load(queue, slot);
		if (shmdi_slot_state(word) != SHMD_SLOT_LEASED)
			continue;
		left--;
		uint64_t deadline_ns = shmdi_load64(&queue->deadlines_ns[slot], SHMDI_RELAXED);
		if (deadline_ns > now_ns) {
			first_ns = deadline_ns < first_ns ? deadline_ns : first_ns;
			continue;
		}
		/* Too many are not put where they belong one by one. */
		ready += shmdi_queue_come_back(queue, slot, word, ended < SHMD_QUEUE_BATCH_MAX ? NULL : &returns);
		ended++;
	}
	shmdi_ready_order(queue, &returns);
	*ret_first_ns = first_ns != UINT64_MAX ? first_ns : 0;
	return ready;
}

int shmdi_queue_expire(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	struct shmd_queue_lines *lines = queue->lines;
	uint64_t now_ns = (uint64_t)shmdi_now_ns();
	uint64_t first_ns = shmdi_load64(&lines->expiry_ns, SHMDI_RELAXED);
	if (shmdi_load32(&lines->leased_count, SHMDI_RELAXED) == 0) {
		first_ns = 0;
	} else if (first_ns <= now_ns) {
		if (!shmdi_ready_sound(queue))
			return SHMD_E_CORRUPT;
		wait->came_back += give_back(queue, now_ns, &first_ns);
		shmdi_store64(&lines->expiry_ns, first_ns, SHMDI_RELAXED);
		wait->went_idle |= shmdi_queue_signal_idle(queue);
	}
	/* A lease that somebody takes later ends lease_ns from now at the earliest. */
	uint64_t look_ns = shmdi_queue_lease_end(queue->lease_ns);
	wait->look_ns = (int64_t)(first_ns != 0 && first_ns < look_ns ? first_ns : look_ns);
	return 0;
}
