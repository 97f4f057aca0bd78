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
	int64_t look_ns;     /* when to look again at the latest, for a lease may have ended; 0 = never */
	uint32_t came_back;  /* so many messages came back by time, and as many are to be woken */
	bool went_idle;      /* whoever joins is to be woken */
	bool many;           /* it is for a batch */
	bool spun;
	bool duty; /* a wake may have been consumed */
};

/* queue_wait.c: the slow parts. */
int shmdi_queue_enter_slowly(struct shmdi_queue_wait *wait);
int shmdi_queue_refuse(const struct shmd_queue *queue, int64_t timeout_ns);
int shmdi_queue_sleep(struct shmdi_queue_wait *wait);
/* Wakes whom came_back and went_idle say; the latch is free. */
void shmdi_queue_tell_others(struct shmdi_queue_wait *wait);

/* queue_lease.c: leases the message that was found, and ends the latch section.
 * lease_ns is how long at most, in a queue whose leases end by time. */
int shmdi_queue_deliver(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, uint64_t lease_ns,
                        struct shmd_lease *ret_lease);

/* queue_lease.c, latched: ends the lease of a slot whose word it is. true = its message
 * is ready again, else it is a dead letter. */
bool shmdi_queue_come_back(struct shmd_queue *queue, uint32_t slot, uint64_t word);

/* queue_expiry.c: lease times; the queue has one. */

/* Latched: gives back what is leased for too long. 0, or CORRUPT. */
int shmdi_queue_expire(struct shmdi_queue_wait *wait);
/* Without the latch: whether that may find anything. */
bool shmdi_queue_may_expire(const struct shmd_queue *queue);
/* When a lease of lease_ns from now on ends. */
uint64_t shmdi_queue_lease_end(uint64_t lease_ns);
/* Latched, before the commit of the lease: when it ends. */
void shmdi_queue_set_deadline(struct shmd_queue *queue, uint32_t slot, uint64_t deadline_ns);

/* queue.c: takes the message that was found, and ends the latch section. */
int shmdi_queue_take_found(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, void *ret_message,
                           size_t buffer_bytes, size_t *ret_size_bytes);
/* queue_reserve.c: a commit of what is a message for the queue. */
int shmdi_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation, size_t size_bytes);

/* Whether the queue may be used at all; what shmdi_queue_refuse says if not. */
SHMDI_INLINE bool shmdi_queue_usable(const struct shmd_queue *queue, int64_t timeout_ns)
{
	return SHMDI_LIKELY(queue != NULL && queue->lines != NULL && timeout_ns >= SHMD_FOREVER &&
	                    shmdi_fork_same(queue->generation));
}

/* A wait for the level to be more than 0. Even who only tries waits for the latch, which
 * nobody living keeps. Made in one piece: a copy would read it back in other pieces than
 * it was just written in, which processors do slowly. */
#define SHMDI_WAIT(q, what, of, ns)                                                                 \
	{                                                                                               \
		.queue = (q), .event = &(q)->lines->what, .level = &(q)->lines->of, .timeout_ns = (ns),     \
		.deadline_ns = (ns) > 0 ? 0 : SHMDI_FOREVER_NS,                                             \
	}
#define SHMDI_WAIT_MESSAGE(q, ns) SHMDI_WAIT(q, not_empty, ready_count, ns)
#define SHMDI_WAIT_SLOT(q, ns) SHMDI_WAIT(q, not_full, free_count, ns)

/* Ends a latch section, or what comes before it, without having taken anything. */
SHMDI_INLINE int shmdi_queue_pass_on(struct shmdi_queue_wait *wait, int why)
{
	if (wait->duty) {
		wait->duty = false;
		shmdi_eventcount_wake(wait->event, 1); /* the wake that we ate was somebody's */
	}
	shmdi_queue_tell_others(wait);
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

/* Whether no message is READY or LEASED. */
SHMDI_INLINE bool shmdi_queue_no_work(const struct shmd_queue *queue)
{
	return shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED) == 0 &&
	       shmdi_load32(&queue->lines->leased_count, SHMDI_RELAXED) == 0;
}

/* Signals those who join, if the commits of this latch section left no work. */
SHMDI_INLINE void shmdi_queue_signal_idle(struct shmdi_queue_wait *wait)
{
	if (shmdi_queue_no_work(wait->queue) && shmdi_eventcount_signal(&wait->queue->lines->idle))
		wait->went_idle = true;
}

/* Ends a latch section that took what it waited for, and signalled an event: so many
 * of those who sleep there are to be woken. */
SHMDI_INLINE int shmdi_queue_finish(struct shmdi_queue_wait *wait, uint64_t *signalled, uint32_t wakes)
{
	bool own = false;
	if (!SHMDI_LIKELY(!wait->duty))
		own = shmdi_eventcount_settle(wait->event, shmdi_load32(wait->level, SHMDI_RELAXED) != 0);
	int result = shmdi_latch_release(&wait->queue->latch);
	if (!SHMDI_LIKELY(wakes == 0))
		shmdi_eventcount_wake(signalled, (int)wakes);
	if (own)
		shmdi_eventcount_wake(wait->event, 1);
	if (!SHMDI_LIKELY(wait->came_back == 0 && !wait->went_idle))
		shmdi_queue_tell_others(wait);
	return result;
}

#define SHMDI_IDLE_LOOKS 32u

/* A look without the latch, for who only tries: true = there is nothing, and nobody is
 * at the queue who is about to change that. Who tries again and again so keeps the
 * latch, and its line, from nobody. The count comes first: whoever was about to change
 * it still has the latch afterwards, or is done, and it was true. So it must be seen in
 * that order: a count of 0 that is acquired here comes with the latch that its store,
 * which released it (shmdi_queue_take_off), was made under. */
SHMDI_INLINE bool shmdi_queue_is_idle(const struct shmdi_queue_wait *wait)
{
	const struct shmd_queue *queue = wait->queue;
	for (uint32_t looks = 0; looks < SHMDI_IDLE_LOOKS; looks++) {
		uint32_t level = shmdi_load32(wait->level, SHMDI_ACQUIRE);
		if (SHMDI_LIKELY(shmdi_load32(&queue->lines->latch, SHMDI_ACQUIRE) == 0))
			return level == 0 && shmdi_load32(&queue->lines->closed, SHMDI_RELAXED) == 0 &&
			       shmdi_load32(queue->latch.state, SHMDI_RELAXED) == SHMD_STATE_LIVE &&
			       (queue->lease_ns == 0 || !shmdi_queue_may_expire(queue));
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

/* Enters, and lets end what leases are over. */
SHMDI_INLINE int shmdi_queue_enter_expired(struct shmdi_queue_wait *wait)
{
	int result = shmdi_queue_enter(wait);
	if (result < 0 || SHMDI_LIKELY(wait->queue->lease_ns == 0))
		return result;
	result = shmdi_queue_expire(wait);
	return result < 0 ? shmdi_queue_leave(wait, result) : 0;
}

/* The same for the message that comes next, with its slot's word. */
SHMDI_INLINE int shmdi_queue_find_message(struct shmdi_queue_wait *wait, uint32_t *ret_slot, uint64_t *ret_word)
{
	if (wait->timeout_ns == 0 && shmdi_queue_is_idle(wait))
		return SHMD_E_WOULD_BLOCK;
	int result = shmdi_queue_enter_expired(wait);
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
	shmdi_store64(&queue->lines->next_seq, number + 1, SHMDI_RELAXED);
	shmdi_slot_publish(queue, slot, number, size_bytes, side);
	shmdi_ready_push(queue, slot);
	return shmdi_eventcount_signal(&queue->lines->not_empty);
}

#endif /* SHMDI_QUEUE_WAIT_H */
