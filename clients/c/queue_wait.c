/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_wait.c - the slow parts of a call's way through a queue; see queue_wait.h.
 */
#include "queue_wait.h"
#include "spin.h"

#include <limits.h>

#define PAUSES_MAX 16u /* between two looks at the count that is waited for */

static int64_t deadline(struct shmdi_queue_wait *wait)
{
	if (wait->deadline_ns == 0)
		wait->deadline_ns = shmdi_deadline(wait->timeout_ns);
	return wait->deadline_ns;
}

int shmdi_queue_enter_slowly(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	int result = shmdi_latch_wait(&queue->latch, wait->many ? SHMDI_LOOK_OFTEN : SHMDI_LOOK_SELDOM, deadline(wait));
	if (result < 0)
		return shmdi_queue_pass_on(wait, result);
	if (result == SHMDI_STOLEN && !shmdi_queue_rebuild(queue))
		return shmdi_queue_leave(wait, SHMD_E_CORRUPT);
	return 0;
}

int shmdi_queue_refuse(const struct shmd_queue *queue, int64_t timeout_ns)
{
	if (queue == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = shmdi_object_writable(&queue->object);
	return result < 0 ? result : SHMD_E_INTERNAL;
}

void shmdi_queue_tell_others(struct shmdi_queue_wait *wait)
{
	struct shmd_queue_lines *lines = wait->queue->lines;
	if (wait->came_back > 0)
		shmdi_eventcount_wake(&lines->not_empty, (int)wait->came_back);
	if (wait->went_idle)
		shmdi_eventcount_wake(&lines->idle, INT_MAX);
	wait->came_back = 0;
	wait->went_idle = false;
}

/* Waits a moment for the count to become more than 0. */
static void spin(struct shmdi_queue_wait *wait)
{
	uint32_t *spins = &wait->queue->spins;
	uint32_t limit = shmdi_spin_limit(spins);
	uint32_t turns = 0;
	for (uint32_t pauses = 1; turns < limit && shmdi_load32(wait->level, SHMDI_RELAXED) == 0; turns += pauses) {
		for (uint32_t i = 0; i < pauses; i++)
			shmdi_pause();
		pauses = pauses < PAUSES_MAX ? 2 * pauses : pauses;
	}
	if (limit != 0)
		shmdi_spin_learn(spins, turns, limit);
}

int shmdi_queue_sleep(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	if (wait->timeout_ns == 0)
		return shmdi_queue_leave(wait, SHMD_E_WOULD_BLOCK);
	if (!wait->spun && !wait->duty) {
		wait->spun = true;
		int result = shmdi_queue_leave(wait, 0);
		if (result == 0)
			spin(wait);
		return result;
	}
	uint64_t announced = shmdi_eventcount_announce(wait->event); /* does what a duty owes: the bit is set again */
	wait->duty = false;
	int result = shmdi_queue_leave(wait, 0);
	if (result < 0)
		return result;
	/* After the announcement: destroying stores the state, then moves the word. */
	if (shmdi_load32(queue->latch.state, SHMDI_RELAXED) != SHMD_STATE_LIVE)
		return 0; /* entering says why */
	int64_t until_ns = deadline(wait);
	bool looks = wait->look_ns != 0 && wait->look_ns < until_ns;
	result = shmdi_eventcount_sleep(wait->event, announced, queue->latch.waiting, looks ? wait->look_ns : until_ns,
	                                &wait->duty);
	return looks && result == SHMD_E_TIMED_OUT ? 0 : result;
}
