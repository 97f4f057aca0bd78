/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_lease.c - leases of a queue's messages, and dead letters: the twin of
 * shm/queue_lease.go and queue_dead.go.
 */
#include "queue_wait.h"

/* The commit of a lease: the slot becomes ours by the word. */
SHMDI_INLINE void commit_lease(struct shmd_queue *queue, uint32_t slot, uint64_t word, uint64_t lease_ns)
{
	if (!SHMDI_LIKELY(queue->lease_ns == 0))
		shmdi_queue_set_deadline(queue, slot, shmdi_queue_lease_end(lease_ns));
	shmdi_slot_set(queue, slot, word);
	shmdi_queue_count(&queue->lines->leased_count, 1);
}

/* Ends the latch section in which the slot became ours by the word, finds the message and
 * describes it. The size and the side are sound. */
static int leased(struct shmdi_queue_wait *wait, uint32_t slot, uint64_t word, uint32_t size_bytes, uint32_t side,
                  struct shmd_lease *ret_lease)
{
	struct shmd_queue *queue = wait->queue;
	struct shmd_lease lease = shmdi_slot_lease(queue, slot, word, size_bytes);
	int result = shmdi_queue_finish(wait, NULL, 0);
	if (!SHMDI_LIKELY(side == 0) && result == 0) {
		result = shmdi_side_find(queue, side, &lease);
		int nacked = result < 0 ? shmd_queue_nack(queue, &lease) : 0;
		if (nacked < 0)
			result = nacked;
	}
	if (result == 0)
		*ret_lease = lease;
	return result;
}

int shmdi_queue_deliver(struct shmdi_queue_wait *wait, struct shmdi_ready at, uint64_t lease_ns,
                        struct shmd_lease *ret_lease)
{
	struct shmd_queue *queue = wait->queue;
	uint32_t size_bytes = shmdi_load32(&queue->descs[at.slot].length, SHMDI_RELAXED);
	uint32_t side;
	if (!SHMDI_LIKELY(shmdi_slot_holds(queue, at.slot, size_bytes, &side)))
		return shmdi_queue_leave(wait, SHMD_E_CORRUPT);
	uint64_t word = shmdi_slot_delivered(at.word, wait->latch->me);
	commit_lease(queue, at.slot, word, lease_ns);
	shmdi_ready_go_on(queue, &at);
	shmdi_ready_take(queue, &at);
	return leased(wait, at.slot, word, size_bytes, side, ret_lease);
}

int shmd_queue_lease(struct shmd_queue *queue, int64_t timeout_ns, struct shmd_lease *ret_lease)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (ret_lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, timeout_ns);
	struct shmdi_ready at = {0};
	int result;
	while ((result = shmdi_queue_find_message(&wait, &at)) == 0)
		;
	return result == SHMDI_FOUND ? shmdi_queue_deliver(&wait, at, queue->lease_ns, ret_lease) : result;
}

/* Whether this client has the lease. */
SHMDI_INLINE bool is_ours(const struct shmd_queue *queue, const struct shmd_lease *lease, uint64_t word)
{
	return SHMDI_LIKELY(shmdi_slot_is(word, SHMD_SLOT_LEASED, queue->take_latch.me) &&
	                    shmdi_slot_deliveries(word) == lease->deliveries);
}

/* The word of the slot whose message the lease names; false if another one is there. */
SHMDI_INLINE bool lease_word(const struct shmd_queue *queue, const struct shmd_lease *lease, uint64_t *ret_word)
{
	if (!SHMDI_LIKELY(lease->slot < queue->size &&
	                  shmdi_load64(&queue->descs[lease->slot].seq, SHMDI_RELAXED) == lease->number))
		return false;
	*ret_word = shmdi_slot_load(queue, lease->slot);
	return true;
}

/* Lets go of the message of a lease that has just ended. */
SHMDI_INLINE void let_go(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	if (!SHMDI_LIKELY(lease->size_bytes <= queue->slot_size_bytes))
		shmdi_side_release(queue, lease->slot, lease->message);
}

/* What ending a lease did, if it is no error. */
#define AGAIN 0 /* nothing: the message was done already */
#define FREED 1
#define READIED 2
#define KILLED 3 /* it is a dead letter */

/* Ends one lease under the latch. */
SHMDI_INLINE int ack_one(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	uint64_t word = 0;
	if (!SHMDI_LIKELY(lease_word(queue, lease, &word)))
		return SHMD_E_NOT_OWNER;
	if (!is_ours(queue, lease, word))
		return shmdi_slot_is(word, SHMD_SLOT_FREE, queue->take_latch.me) ? AGAIN : SHMD_E_NOT_OWNER;
	uint64_t tail;
	if (shmdi_tail_load(queue, &queue->lines->free_tail, &tail) < 0)
		return SHMD_E_CORRUPT;
	/* The commit; it keeps our seat, so that it may be repeated. */
	shmdi_slot_set(queue, lease->slot, shmdi_slot_make(SHMD_SLOT_FREE, queue->take_latch.me, 0));
	shmdi_queue_count(&queue->lines->leased_count, UINT32_MAX);
	shmdi_queue_hand_back(queue, tail, lease->slot);
	return FREED;
}

bool shmdi_queue_come_back(struct shmd_queue *queue, uint32_t slot, uint64_t word, struct shmdi_returns *returns)
{
	word = shmdi_slot_returned(queue, word);
	shmdi_slot_set(queue, slot, word); /* the commit */
	shmdi_queue_count(&queue->lines->leased_count, UINT32_MAX);
	bool ready = shmdi_slot_state(word) == SHMD_SLOT_READY;
	if (!ready)
		shmdi_queue_count(&queue->lines->dead_count, 1);
	else if (returns != NULL)
		shmdi_ready_return(queue, slot, returns);
	else
		shmdi_ready_insert(queue, slot);
	return ready;
}

static int nack_one(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	uint64_t word = 0;
	if (!lease_word(queue, lease, &word) || !is_ours(queue, lease, word))
		return SHMD_E_NOT_OWNER;
	if (!shmdi_ready_sound(queue))
		return SHMD_E_CORRUPT;
	return shmdi_queue_come_back(queue, lease->slot, word, NULL) ? READIED : KILLED;
}

/* Ends leases, as many as one latch hold may; how many are done, and an error if those
 * are fewer. */
SHMDI_INLINE int end_some(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count,
                          int (*end_one)(struct shmd_queue *, const struct shmd_lease *), uint32_t *ret_done)
{
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
	wait.many = count > 1;
	uint32_t ended[KILLED + 1] = {0};
	uint64_t again = 0; /* which of them had ended before */
	uint32_t done = 0;
	int why = 0;
	int result = shmdi_queue_enter(&wait);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	for (; done < count; done++) {
		why = end_one(queue, &leases[done]);
		if (why < 0)
			break;
		ended[why]++;
		again |= (uint64_t)(why == AGAIN) << done;
	}
	wait.went_idle |= shmdi_queue_signal_idle(queue);
	result = shmdi_queue_leave(&wait, 0);
	if (ended[FREED] > 0)
		shmdi_eventcount_tell(&queue->lines->not_full, ended[FREED]);
	if (ended[READIED] > 0)
		shmdi_eventcount_tell(&queue->lines->not_empty, ended[READIED]);
	for (uint32_t i = 0; i < done; i++)
		if ((again >> i & 1) == 0)
			let_go(queue, &leases[i]);
	*ret_done = done;
	return result < 0 ? result : why < 0 ? why : 0;
}

/* The same for all, in as many holds as that takes. */
SHMDI_INLINE int end_all(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count,
                         int (*end_one)(struct shmd_queue *, const struct shmd_lease *), uint32_t *ret_count)
{
	if (ret_count == NULL)
		return SHMD_E_INVALID;
	*ret_count = 0;
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	int result = leases == NULL || count == 0 ? SHMD_E_INVALID : 0;
	while (result == 0 && *ret_count < count) {
		uint32_t left = count - *ret_count;
		uint32_t done = 0;
		result = end_some(queue, &leases[*ret_count], left < SHMD_QUEUE_BATCH_MAX ? left : SHMD_QUEUE_BATCH_MAX,
		                  end_one, &done);
		*ret_count += done;
	}
	return result;
}

SHMDI_INLINE int end(struct shmd_queue *queue, const struct shmd_lease *lease,
                     int (*end_one)(struct shmd_queue *, const struct shmd_lease *))
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	uint32_t done;
	return lease == NULL ? SHMD_E_INVALID : end_some(queue, lease, 1, end_one, &done);
}

int shmd_queue_ack(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	return end(queue, lease, ack_one);
}

int shmd_queue_nack(struct shmd_queue *queue, const struct shmd_lease *lease)
{
	return end(queue, lease, nack_one);
}

int shmd_queue_ack_many(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count, uint32_t *ret_count)
{
	return end_all(queue, leases, count, ack_one, ret_count);
}

int shmd_queue_nack_many(struct shmd_queue *queue, const struct shmd_lease *leases, uint32_t count,
                         uint32_t *ret_count)
{
	return end_all(queue, leases, count, nack_one, ret_count);
}

int shmd_queue_extend(struct shmd_queue *queue, const struct shmd_lease *lease, uint64_t lease_ns)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (lease == NULL)
		return SHMD_E_INVALID;
	if (queue->lease_ns == 0)
		return shmdi_fail(SHMD_E_UNSUPPORTED, "leases of this queue do not end by time: it has no lease_ns");
	if (lease_ns < SHMD_LEASE_NS_MIN || lease_ns > SHMD_LEASE_NS_MAX)
		return shmdi_fail(SHMD_E_INVALID, "lease_ns is %llu; it must be %llu (1 ms) to %llu",
		                  (unsigned long long)lease_ns, SHMD_LEASE_NS_MIN, SHMD_LEASE_NS_MAX);
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
	uint64_t word = 0;
	int result = shmdi_queue_enter(&wait);
	if (result < 0)
		return result;
	if (!lease_word(queue, lease, &word) || !is_ours(queue, lease, word))
		return shmdi_queue_leave(&wait, SHMD_E_NOT_OWNER);
	shmdi_queue_set_deadline(queue, lease->slot, shmdi_queue_lease_end(lease_ns));
	return shmdi_queue_leave(&wait, 0);
}

/* ---- dead letters ---- */

int shmd_queue_take_dead(struct shmd_queue *queue, struct shmd_lease *ret_lease)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	if (ret_lease == NULL)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
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
	uint32_t side;
	if (!shmdi_slot_holds(queue, oldest, size_bytes, &side))
		return shmdi_queue_leave(&wait, SHMD_E_CORRUPT);
	/* Looking at it is no delivery. */
	uint64_t word = shmdi_slot_make(SHMD_SLOT_LEASED, queue->take_latch.me, shmdi_slot_deliveries(oldest_word));
	commit_lease(queue, oldest, word, queue->lease_ns);
	shmdi_queue_count(&queue->lines->dead_count, UINT32_MAX);
	return leased(&wait, oldest, word, size_bytes, side, ret_lease);
}

int shmd_queue_redeliver(struct shmd_queue *queue, uint32_t *ret_count)
{
	if (!shmdi_queue_usable(queue, SHMD_FOREVER))
		return shmdi_queue_refuse(queue, SHMD_FOREVER);
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
	int result = shmdi_queue_enter(&wait);
	if (result < 0)
		return result;
	struct shmdi_returns returns = {0};
	for (uint32_t slot = 0; slot < queue->size; slot++) {
		if (shmdi_slot_state(shmdi_slot_load(queue, slot)) != SHMD_SLOT_DEAD)
			continue;
		if (!shmdi_ready_sound(queue)) {
			result = SHMD_E_CORRUPT;
			break;
		}
		shmdi_slot_set(queue, slot, shmdi_slot_make(SHMD_SLOT_READY, 0, 0)); /* the commit of this one */
		shmdi_queue_count(&queue->lines->dead_count, UINT32_MAX);
		shmdi_ready_return(queue, slot, &returns);
	}
	shmdi_ready_order(queue, &returns);
	wait.came_back = returns.count;
	result = shmdi_queue_leave(&wait, result);
	if (result == 0 && ret_count != NULL)
		*ret_count = returns.count;
	return result;
}
