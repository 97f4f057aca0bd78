/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_wait.h - one call's way through a queue: the latch of its side, a look, and either
 * it takes what there is or sleeps until there is. The twin of queueWait in shm/queue.go;
 * models: tests/models/queue.pml, eventcount.pml. What must not be changed:
 *   - whoever announces himself does so before the latch is free, and looks once more;
 *   - whoever adds an entry looks for those who wait after it;
 *   - whoever was woken arms the word again, or passes the wake on;
 *   - whoever found a latch of the dead has both, and rebuilds, before anything else.
 */
#ifndef SHMDI_QUEUE_WAIT_H
#define SHMDI_QUEUE_WAIT_H

#include "internal.h"
#include "latch.h"
#include "queue_slot.h"

/* What a call wants. */
enum shmdi_want {
	SHMDI_WANT_MESSAGE,
	SHMDI_WANT_SLOT,
	SHMDI_WANT_IDLE, /* that no message is READY or LEASED */
};

struct shmdi_queue_wait {
	struct shmd_queue *queue;
	struct shmdi_latch *latch; /* of its side */
	uint64_t *event;           /* that tells of what it wants */
	enum shmdi_want want;
	int64_t timeout_ns;
	int64_t deadline_ns; /* 0 = not yet known */
	int64_t look_ns;     /* when to look again at the latest, for a lease may have ended; 0 = never */
	uint32_t came_back;  /* so many messages came back, of which nobody has been told */
	bool went_idle;      /* whoever joins is to be woken */
	bool many;           /* it is for a batch */
	bool spun;
	bool duty; /* a wake may have been consumed */
};

/* queue_wait.c: the slow parts. */
int shmdi_queue_enter_slowly(struct shmdi_queue_wait *wait);
int shmdi_queue_refuse(const struct shmd_queue *queue, int64_t timeout_ns);
int shmdi_queue_sleep(struct shmdi_queue_wait *wait);
/* Latched: the duty of who was woken and has taken. true = wake 1 when the latch is free. */
bool shmdi_queue_settle(struct shmdi_queue_wait *wait);
/* Tells those whom came_back and went_idle concern; the latch is free. */
void shmdi_queue_tell_others(struct shmdi_queue_wait *wait);
/* Takes both latches. 0, or an error, and both are free: those of entering. */
int shmdi_queue_enter_both(struct shmd_queue *queue, int64_t deadline_ns);
/* Frees both. 0, or CORRUPT. */
int shmdi_queue_leave_both(struct shmd_queue *queue);

/* queue_lease.c: leases the message that was found, and ends the latch section.
 * lease_ns is how long at most, in a queue whose leases end by time. */
int shmdi_queue_deliver(struct shmdi_queue_wait *wait, struct shmdi_ready at, uint64_t lease_ns,
                        struct shmd_lease *ret_lease);

/* queue_lease.c, latched: ends the lease of a slot whose word it is. true = its message
 * is ready again, one of the returns if there are any, else it is a dead letter. */
bool shmdi_queue_come_back(struct shmd_queue *queue, uint32_t slot, uint64_t word, struct shmdi_returns *returns);

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
int shmdi_queue_take_found(struct shmdi_queue_wait *wait, struct shmdi_ready at, void *ret_message,
                           size_t buffer_bytes, size_t *ret_size_bytes);
/* queue_reserve.c: a commit of what is a message for the queue. */
int shmdi_queue_commit(struct shmd_queue *queue, const struct shmd_reservation *reservation, size_t size_bytes);

/* Whether the queue may be used at all; what shmdi_queue_refuse says if not. */
SHMDI_INLINE bool shmdi_queue_usable(const struct shmd_queue *queue, int64_t timeout_ns)
{
	return SHMDI_LIKELY(queue != NULL && queue->lines != NULL && timeout_ns >= SHMD_FOREVER &&
	                    shmdi_fork_same(queue->generation));
}

/* Even who only tries waits for the latch, which nobody living keeps. Made in one piece:
 * a copy would read it back in other pieces than it was just written in, which processors
 * do slowly. */
#define SHMDI_WAIT(q, side, tells, what, ns)                                                        \
	{                                                                                               \
		.queue = (q), .latch = &(q)->side, .event = &(q)->lines->tells, .want = (what),             \
		.timeout_ns = (ns), .deadline_ns = (ns) > 0 ? 0 : SHMDI_FOREVER_NS,                         \
	}
#define SHMDI_WAIT_MESSAGE(q, ns) SHMDI_WAIT(q, take_latch, not_empty, SHMDI_WANT_MESSAGE, ns)
#define SHMDI_WAIT_SLOT(q, ns) SHMDI_WAIT(q, put_latch, not_full, SHMDI_WANT_SLOT, ns)
#define SHMDI_WAIT_IDLE(q, ns) SHMDI_WAIT(q, take_latch, idle, SHMDI_WANT_IDLE, ns)

/* Looks for the next message: as shmdi_entry_find. */
SHMDI_INLINE int shmdi_queue_look_ready(const struct shmd_queue *queue)
{
	uint32_t slot;
	return shmdi_entry_find(queue, queue->ready, shmdi_load64(&queue->lines->ready_head, SHMDI_ACQUIRE), &slot);
}

/* Whether no message is READY or LEASED, with take_latch. */
SHMDI_INLINE bool shmdi_queue_no_work(const struct shmd_queue *queue)
{
	return shmdi_load32(&queue->lines->leased_count, SHMDI_RELAXED) == 0 && shmdi_queue_look_ready(queue) == 0;
}

/* Whether there may be what the wait is for, or a reason to end it. With the latch: what
 * the own side does is excluded. */
SHMDI_INLINE bool shmdi_queue_offers(const struct shmdi_queue_wait *wait)
{
	const struct shmd_queue *queue = wait->queue;
	const struct shmd_queue_lines *lines = queue->lines;
	uint32_t slot;
	if (wait->want == SHMDI_WANT_IDLE)
		return shmdi_queue_no_work(queue);
	if (wait->want == SHMDI_WANT_MESSAGE && shmdi_queue_look_ready(queue) != 0)
		return true;
	if (wait->want == SHMDI_WANT_SLOT &&
	    (shmdi_load32(&lines->fresh, SHMDI_RELAXED) != queue->size ||
	     shmdi_entry_find(queue, queue->free, shmdi_load64(&lines->free_head, SHMDI_RELAXED), &slot) != 0))
		return true;
	return shmdi_load32(&lines->closed, SHMDI_RELAXED) != 0;
}

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
	int result = shmdi_latch_release(wait->latch);
	return shmdi_queue_pass_on(wait, result < 0 ? result : why);
}

/* 0, or why the object cannot be used: REMOVED, CORRUPT. */
SHMDI_INLINE int shmdi_queue_state(const struct shmd_queue *queue)
{
	uint32_t state = shmdi_load32(queue->put_latch.state, SHMDI_RELAXED);
	if (SHMDI_LIKELY(state == SHMD_STATE_LIVE))
		return 0;
	return state == SHMD_STATE_REMOVED ? SHMD_E_REMOVED : SHMD_E_CORRUPT;
}

/* Takes the latch. After an error it is free. */
SHMDI_INLINE int shmdi_queue_enter(struct shmdi_queue_wait *wait)
{
	struct shmd_queue *queue = wait->queue;
	if (!shmdi_latch_try(wait->latch)) {
		int result = shmdi_queue_enter_slowly(wait);
		if (result < 0)
			return result;
	}
	int result = shmdi_queue_state(queue);
	return SHMDI_LIKELY(result == 0) ? 0 : shmdi_queue_leave(wait, result);
}

/* Signals those who join, if the commits of this section of take_latch left no work; true =
 * wake all of them when the latch is free. */
SHMDI_INLINE bool shmdi_queue_signal_idle(const struct shmd_queue *queue)
{
	uint64_t *idle = &queue->lines->idle;
	/* The bit first: the next entry is about to be written by others. */
	return !SHMDI_LIKELY((shmdi_load64(idle, SHMDI_RELAXED) & SHMD_EVENTCOUNT_WAITERS) == 0) &&
	       shmdi_queue_no_work(queue) && shmdi_eventcount_signal(idle);
}

/* Ends a latch section that took what it waited for, then signals an event so many times. */
SHMDI_INLINE int shmdi_queue_finish(struct shmdi_queue_wait *wait, uint64_t *event, uint32_t times)
{
	bool own = false;
	if (!SHMDI_LIKELY(!wait->duty))
		own = shmdi_queue_settle(wait);
	int result = shmdi_latch_release(wait->latch);
	if (times > 0)
		shmdi_eventcount_tell(event, times);
	if (own)
		shmdi_eventcount_wake(wait->event, 1);
	if (!SHMDI_LIKELY(wait->came_back == 0 && !wait->went_idle))
		shmdi_queue_tell_others(wait);
	return result;
}

/* Looks without the latch, for who only tries: true = there was nothing. Who tries again
 * and again so keeps the latch, and its line, from nobody. If the head has stayed where it
 * was, there was no entry at first either, for an entry goes only after the head has left
 * it; and what was taken from there is committed, or the head would not have moved on. */
SHMDI_INLINE bool shmdi_queue_looks_idle(const struct shmd_queue *queue, const uint64_t *ring, const uint64_t *head)
{
	uint32_t slot;
	uint64_t was = shmdi_load64(head, SHMDI_ACQUIRE);
	return shmdi_entry_find(queue, ring, was, &slot) == 0 &&
	       SHMDI_LIKELY(shmdi_load64(head, SHMDI_RELAXED) == was) &&
	       shmdi_load32(&queue->lines->closed, SHMDI_RELAXED) == 0 && shmdi_queue_state(queue) == 0;
}

SHMDI_INLINE bool shmdi_queue_is_empty(const struct shmd_queue *queue)
{
	return shmdi_queue_looks_idle(queue, queue->ready, &queue->lines->ready_head) &&
	       (queue->lease_ns == 0 || !shmdi_queue_may_expire(queue));
}

SHMDI_INLINE bool shmdi_queue_is_full(const struct shmd_queue *queue)
{
	return shmdi_load32(&queue->lines->fresh, SHMDI_ACQUIRE) == queue->size &&
	       shmdi_queue_looks_idle(queue, queue->free, &queue->lines->free_head);
}

/* Enters and finds a free slot: SHMDI_FOUND with the latch held, 0 = slept, look
 * again, or an error. */
SHMDI_INLINE int shmdi_queue_find_slot(struct shmdi_queue_wait *wait, struct shmdi_free *ret_at)
{
	if (wait->timeout_ns == 0 && shmdi_queue_is_full(wait->queue))
		return SHMD_E_WOULD_BLOCK;
	int result = shmdi_queue_enter(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (!SHMDI_LIKELY(shmdi_load32(&wait->queue->lines->closed, SHMDI_RELAXED) == 0))
		return shmdi_queue_leave(wait, SHMD_E_ENDED);
	*ret_at = shmdi_free_begin(wait->queue);
	result = shmdi_free_next(wait->queue, ret_at);
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

/* The same for the message that comes next. */
SHMDI_INLINE int shmdi_queue_find_message(struct shmdi_queue_wait *wait, struct shmdi_ready *ret_at)
{
	if (wait->timeout_ns == 0 && shmdi_queue_is_empty(wait->queue))
		return SHMD_E_WOULD_BLOCK;
	int result = shmdi_queue_enter_expired(wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	*ret_at = shmdi_ready_begin(wait->queue);
	result = shmdi_ready_find(wait->queue, ret_at);
	if (SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	if (result == 0 && shmdi_load32(&wait->queue->lines->closed, SHMDI_ACQUIRE) != 0) {
		/* What was put before it was closed is there now, if it was not a moment ago. */
		result = shmdi_ready_find(wait->queue, ret_at);
		if (result == SHMDI_FOUND)
			return result;
		result = result == 0 ? SHMD_E_ENDED : result;
	}
	return result < 0 ? shmdi_queue_leave(wait, result) : shmdi_queue_sleep(wait);
}

/* Hands a slot that has just become READY to the consumers; tail is where. Afterwards
 * not_empty is told. */
SHMDI_INLINE void shmdi_queue_hand_over(struct shmd_queue *queue, uint64_t tail, uint32_t slot)
{
	shmdi_ring_add(queue, queue->ready, &queue->lines->ready_tail, tail, slot);
}

/* Hands a slot that has just become FREE to the producers; afterwards not_full is told. */
SHMDI_INLINE void shmdi_queue_hand_back(struct shmd_queue *queue, uint64_t tail, uint32_t slot)
{
	shmdi_ring_add(queue, queue->free, &queue->lines->free_tail, tail, slot);
}

#endif /* SHMDI_QUEUE_WAIT_H */
