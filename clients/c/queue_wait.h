/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_wait.h - one call's way through a queue: latch, look, and either take what
 * there is or sleep until there is. The twin of queueWait in shm/queue.go; models:
 * tests/models/queue.pml, eventcount.pml. What must not be changed:
 *   - whoever announces himself does so before the latch is free;
 *   - whoever was woken arms the word again, or passes the wake on;
 *   - whoever got the latch from the dead rebuilds first.
 */
#ifndef SHMDI_QUEUE_WAIT_H
#define SHMDI_QUEUE_WAIT_H

#include "internal.h"
#include "latch.h"
#include "queue_slot.h"

struct shmdi_queue_wait {
	struct shmd_queue *queue;
	uint64_t *event;       /* what it waits for: not_empty or not_full */
	const uint32_t *level; /* the count that is 0 while there is nothing */
	int64_t timeout_ns;
	int64_t deadline_ns; /* 0 = not yet known */
	bool spun;
	bool duty; /* a wake may have been consumed */
};

/* queue_wait.c: the slow parts. */
int shmdi_queue_enter_slowly(struct shmdi_queue_wait *wait);
int shmdi_queue_refuse(const struct shmd_queue *queue, int64_t timeout_ns);
int shmdi_queue_sleep(struct shmdi_queue_wait *wait);

/* queue_lease.c: leases the message that was found, and ends the latch section. */
int shmdi_queue_deliver(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, struct shmd_lease *ret_lease);
/* queue_reserve.c: a commit of what is a message for the queue. */
int shmdi_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation, size_t size_bytes);

/* Whether the queue may be used at all; what shmdi_queue_refuse says if not. */
SHMDI_INLINE bool shmdi_queue_usable(const struct shmd_queue *queue, int64_t timeout_ns)
{
	return SHMDI_LIKELY(queue != NULL && queue->lines != NULL && timeout_ns >= SHMD_FOREVER &&
	                    shmdi_fork_same(queue->generation));
}

/* A wait for a message. Even who only tries waits for the latch, which nobody
 * living keeps. */
SHMDI_INLINE struct shmdi_queue_wait shmdi_wait_message(struct shmd_queue *queue, int64_t timeout_ns)
{
	return (struct shmdi_queue_wait){
		.queue = queue,
		.event = &queue->lines->not_empty,
		.level = &queue->lines->ready_count,
		.timeout_ns = timeout_ns,
		.deadline_ns = timeout_ns > 0 ? 0 : SHMDI_FOREVER_NS,
	};
}

/* A wait for a slot. */
SHMDI_INLINE struct shmdi_queue_wait shmdi_wait_slot(struct shmd_queue *queue, int64_t timeout_ns)
{
	struct shmdi_queue_wait wait = shmdi_wait_message(queue, timeout_ns);
	wait.event = &queue->lines->not_full;
	wait.level = &queue->lines->free_count;
	return wait;
}

/* Ends a latch section, or what comes before it, without having taken anything. */
SHMDI_INLINE int shmdi_queue_pass_on(struct shmdi_queue_wait *wait, int why)
{
	if (wait->duty) {
		wait->duty = false;
		shmdi_eventcount_wake(wait->event, 1); /* the wake that we ate was somebody's */
	}
	return why;
}

SHMDI_INLINE int shmdi_queue_leave(struct shmdi_queue_wait *wait, int why)
{
	int result = shmdi_latch_release(&wait->queue->latch);
	return shmdi_queue_pass_on(wait, result < 0 ? result : why);
}

/* Takes the latch. After an error it is free. */
SHMDI_INLINE int shmdi_queue_enter(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	if (!shmdi_latch_try(&queue->latch)) {
		int result = shmdi_queue_enter_slowly(wait);
		if (result < 0)
			return result;
	}
	uint32_t state = shmdi_load32(queue->latch.state, SHMDI_RELAXED);
	if (SHMDI_LIKELY(state == SHMD_STATE_LIVE))
		return 0;
	return shmdi_queue_leave(wait, state == SHMD_STATE_REMOVED ? SHMD_E_REMOVED : SHMD_E_CORRUPT);
}

/* Ends a latch section that took what it waited for, and signalled an event: due =
 * a wake of that is due. */
SHMDI_INLINE int shmdi_queue_finish(struct shmdi_queue_wait *wait, uint64_t *signalled, bool due)
{
	bool own = false;
	if (!SHMDI_LIKELY(!wait->duty))
		own = shmdi_eventcount_settle(wait->event, shmdi_load32(wait->level, SHMDI_RELAXED) != 0);
	int result = shmdi_latch_release(&wait->queue->latch);
	if (!SHMDI_LIKELY(!due))
		shmdi_eventcount_wake(signalled, 1);
	if (own)
		shmdi_eventcount_wake(wait->event, 1);
	return result;
}

#define SHMDI_IDLE_LOOKS 32u

/* A look without the latch, for who only tries: true = there is nothing, and nobody is
 * at the queue who is about to change that. Who tries again and again so keeps the
 * latch, and its line, from nobody. The count comes first: whoever was about to change
 * it still has the latch afterwards, or is done, and it was true. So it must be seen in
 * that order: a count of 0 that is acquired here comes with the latch that its store,
 * which released it (shmdi_queue_take_one), was made under. */
SHMDI_INLINE bool shmdi_queue_is_idle(const struct shmdi_queue_wait *wait)
{
	const struct shmd_queue *queue = wait->queue;
	for (uint32_t looks = 0; looks < SHMDI_IDLE_LOOKS; looks++) {
		uint32_t level = shmdi_load32(wait->level, SHMDI_ACQUIRE);
		if (SHMDI_LIKELY(shmdi_load32(&queue->lines->latch, SHMDI_ACQUIRE) == 0))
			return level == 0 && shmdi_load32(&queue->lines->closed, SHMDI_RELAXED) == 0 &&
			       shmdi_load32(queue->latch.state, SHMDI_RELAXED) == SHMD_STATE_LIVE;
		shmdi_pause();
	}
	return false;
}

/* Enters and finds a free slot: SHMDI_FOUND with the latch held, 0 = slept, look
 * again, or an error. */
SHMDI_INLINE int shmdi_queue_find_slot(struct shmdi_queue_wait *wait, uint32_t *ret_slot)
{
	if (wait->timeout_ns == 0 && shmdi_queue_is_idle(wait))
		return SHMD_E_WOULD_BLOCK;
	int result = shmdi_queue_enter(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(shmdi_load32(&wait->queue->lines->closed, SHMDI_RELAXED) == 0))
		return shmdi_queue_leave(wait, SHMD_E_ENDED);
	result = shmdi_free_top(wait->queue, ret_slot);
	if (SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	return result < 0 ? shmdi_queue_leave(wait, result) : shmdi_queue_sleep(wait);
}

/* The same for the message that comes next, with its slot's word. */
SHMDI_INLINE int shmdi_queue_find_message(struct shmdi_queue_wait *wait, uint32_t *ret_slot, uint64_t *ret_word)
{
	if (wait->timeout_ns == 0 && shmdi_queue_is_idle(wait))
		return SHMD_E_WOULD_BLOCK;
	int result = shmdi_queue_enter(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	result = shmdi_ready_first(wait->queue, ret_slot, ret_word);
	if (SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	if (result == 0 && shmdi_load32(&wait->queue->lines->closed, SHMDI_RELAXED) != 0)
		result = SHMD_E_ENDED;
	return result < 0 ? shmdi_queue_leave(wait, result) : shmdi_queue_sleep(wait);
}

/* Makes a filled slot, or its side, a message; true = a wake of not_empty is due. */
SHMDI_INLINE bool shmdi_queue_publish(struct shmd_queue *queue, uint32_t slot, uint64_t number, uint32_t size_bytes,
                                      uint32_t side)
{
	struct shmd_queue_desc *desc = &queue->descs[slot];
	shmdi_store64(&queue->lines->next_seq, number + 1, SHMDI_RELAXED);
	shmdi_store64(&desc->seq, number, SHMDI_RELAXED);
	shmdi_store32(&desc->length, size_bytes, SHMDI_RELAXED);
	shmdi_store32(&desc->side, side, SHMDI_RELAXED);
	shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_READY, 0, 0)); /* the commit */
	shmdi_ready_push(queue, slot);
	return shmdi_eventcount_signal(&queue->lines->not_empty);
}

#endif /* SHMDI_QUEUE_WAIT_H */
