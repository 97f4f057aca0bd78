/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_wait.c - the slow parts of a call's way through a queue; see queue_wait.h.
 */
#include "queue_wait.h"
#include "spin.h"

#include <limits.h>

#define PAUSES_MAX 2u /* between two looks at what is waited for */
/* Who finds nothing again and again, and each time has next to no time to wait, is at the
 * heels of the other side: they have each line in turn, though there would be work for both
 * at once. He falls back a little. */
#define HASTY_TURNS 3u   /* no answer to what he did himself comes so soon */
#define HASTY_MAX 4u     /* times in a row */
#define FALL_BACK 32u    /* pauses */

static int64_t deadline(struct shmdi_queue_wait *wait)
{
	if (wait->deadline_ns == 0)
		wait->deadline_ns = shmdi_deadline(wait->timeout_ns);
	return wait->deadline_ns;
}

/* Takes a latch, though another holds it; what shmdi_latch_wait returns. */
static int latch(struct shmdi_latch *latch, int64_t deadline_ns, uint32_t *ret_found)
{
	*ret_found = 0;
	return shmdi_latch_try(latch) ? 0 : shmdi_latch_wait(latch, SHMDI_LOOK_SELDOM, deadline_ns, ret_found);
}

int shmdi_queue_leave_both(struct shmd_queue *queue)
{
	int take = shmdi_latch_release(&queue->take_latch);
	int put = shmdi_latch_release(&queue->put_latch);
	return take < 0 ? take : put;
}

int shmdi_queue_enter_both(struct shmd_queue *queue, int64_t deadline_ns)
{
	struct shmdi_latch *put = &queue->put_latch;
	struct shmdi_latch *take = &queue->take_latch;
	for (;;) {
		uint32_t found;
		uint32_t take_found;
		int result = latch(put, deadline_ns, &found);
		if (result < 0)
			return result;
		if (shmdi_latch_try_for_long(take, &take_found)) {
			result = shmdi_queue_state(queue);
			if (result == 0 && (found != 0 || take_found != 0) && !shmdi_queue_rebuild(queue))
				result = SHMD_E_CORRUPT;
			if (result == 0)
				return 0;
			int left = shmdi_queue_leave_both(queue);
			return left < 0 ? left : result;
		}
		/* Its holder may be dead, and whoever recovers needs this one. */
		result = shmdi_latch_put_back(put, found);
		if (result == 0)
			result = latch(take, deadline_ns, &take_found);
		if (result >= 0)
			result = shmdi_latch_put_back(take, take_found);
		if (result < 0)
			return result;
	}
}

int shmdi_queue_enter_slowly(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	for (;;) {
		uint32_t found;
		int result =
			shmdi_latch_wait(wait->latch, wait->many ? SHMDI_LOOK_OFTEN : SHMDI_LOOK_SELDOM, deadline(wait), &found);
		if (result == 0)
			return 0;
		/* One latch of a daemon that is gone says nothing of the other. */
		if (result == SHMDI_STOLEN)
			result = shmdi_latch_put_back(wait->latch, found);
		if (result == 0)
			result = shmdi_queue_enter_both(queue, deadline(wait));
		if (result == 0)
			result = shmdi_queue_leave_both(queue);
		if (result < 0)
			return shmdi_queue_pass_on(wait, result);
	}
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
		shmdi_eventcount_tell(&lines->not_empty, wait->came_back);
	if (wait->went_idle)
		shmdi_eventcount_wake(&lines->idle, INT_MAX);
	wait->came_back = 0;
	wait->went_idle = false;
}

bool shmdi_queue_settle(struct shmdi_queue_wait *wait)
{
	shmdi_or64(wait->event, SHMD_EVENTCOUNT_WAITERS, SHMDI_SEQ_CST);
	return shmdi_queue_offers(wait) && shmdi_eventcount_clear(wait->event);
}

static void pause_for(uint32_t pauses)
{
	for (uint32_t i = 0; i < pauses; i++)
		shmdi_pause();
}

/* Waits a moment for what the wait is for. Who waits in vain and sleeps next is at nobody's
 * heels. */
static void spin(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	struct shmdi_queue_hints *hints = wait->want == SHMDI_WANT_SLOT ? &queue->put_hints : &queue->take_hints;
	uint32_t limit = shmdi_spin_limit(&hints->spins);
	uint32_t turns = 0;
	for (uint32_t pauses = 1; turns < limit && !shmdi_queue_offers(wait); turns += pauses) {
		pause_for(pauses);
		pauses = pauses < PAUSES_MAX ? 2 * pauses : pauses;
	}
	if (limit == 0)
		return;
	shmdi_spin_learn(&hints->spins, turns, limit);
	uint32_t hasty = __atomic_load_n(&hints->hasty, __ATOMIC_RELAXED);
	if (turns > HASTY_TURNS || turns >= limit)
		__atomic_store_n(&hints->hasty, 0, __ATOMIC_RELAXED);
	else if (hasty < HASTY_MAX)
		__atomic_store_n(&hints->hasty, hasty + 1, __ATOMIC_RELAXED);
	else
		pause_for(FALL_BACK);
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
	uint64_t announced = shmdi_eventcount_announce(wait->event);
	if (shmdi_queue_offers(wait)) { /* the other side was faster than the announcement */
		int result = shmdi_latch_release(wait->latch);
		if (result < 0)
			return shmdi_queue_pass_on(wait, result);
		shmdi_queue_tell_others(wait);
		return 0; /* and a duty stays */
	}
	wait->duty = false; /* the bit is set again, which is what a duty owes */
	int result = shmdi_queue_leave(wait, 0);
	if (result < 0)
		return result;
	/* After the announcement: destroying stores the state, then moves the word. */
	if (shmdi_load32(queue->put_latch.state, SHMDI_RELAXED) != SHMD_STATE_LIVE)
		return 0; /* entering says why */
	int64_t until_ns = deadline(wait);
	bool looks = wait->look_ns != 0 && wait->look_ns < until_ns;
	result = shmdi_eventcount_sleep(wait->event, announced, queue->put_latch.waiting,
	                                looks ? wait->look_ns : until_ns, &wait->duty);
	return looks && result == SHMD_E_TIMED_OUT ? 0 : result;
}
