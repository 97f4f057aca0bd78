/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_batch.c - many messages under one latch hold: the twin of shm/queue_batch.go.
 * Model: tests/models/queue_batch.pml. A batch is as many single commits, in order, so
 * that a death leaves the first of them. What is derived, and the entries that hand the
 * slots over, follow for a group of them: an entry that the other side reads while its
 * neighbour is written costs the line. It waits for the first message or slot only.
 */
#include "queue_wait.h"

#include <string.h>

#define MESSAGE_ALIGN 8u /* of what take_many packs */
#define AHEAD 8u         /* messages whose lines are asked for in advance */
#define GROUP 8u         /* entries that are written together: a line of them */

/* Asks for the lines of the slot whose entry comes later in a ring; the other side had
 * them last. */
SHMDI_INLINE void fetch_ahead(const struct shmd_queue *queue, const uint64_t *ring, uint64_t head, bool to_write)
{
	uint32_t slot;
	if (shmdi_entry_find(queue, ring, shmdi_position_on(queue, head, AHEAD), &slot) != SHMDI_FOUND)
		return;
	shmdi_fetch_to_write(&queue->descs[slot]);
	if (to_write)
		shmdi_fetch_to_write(shmdi_slot_bytes(queue, slot));
	else
		__builtin_prefetch(shmdi_slot_bytes(queue, slot));
}

/* Adds as many slots at a tail. */
SHMDI_INLINE void add_group(const struct shmd_queue *queue, uint64_t *ring, uint64_t *tail, uint64_t position,
                            const uint32_t *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, position = shmdi_position_on(queue, position, 1))
		shmdi_entry_store(ring, position, slots[i]);
	shmdi_store64(tail, position, SHMDI_RELAXED);
}

/* ---- put ---- */

/* How many of the messages go in under one hold; if none, *ret_result says why the
 * first may not, or it is 0 and the first is long. */
static uint32_t batch_of(const struct shmd_queue *queue, const struct iovec *messages, uint32_t count, int *ret_result)
{
	size_t total_bytes = 0;
	uint32_t n = 0;
	*ret_result = 0;
	for (; n < count && n < SHMD_QUEUE_BATCH_MAX; n++) {
		size_t size_bytes = messages[n].iov_len;
		if (size_bytes <= queue->message_max_bytes && size_bytes > queue->copy_max_bytes)
			break;
		total_bytes += size_bytes;
		if (n > 0 && total_bytes > SHMD_QUEUE_BATCH_SIZE_MAX)
			break;
		*ret_result = shmdi_queue_accepts(queue, messages[n].iov_base, size_bytes);
		if (!SHMDI_LIKELY(*ret_result == 0))
			break;
	}
	return n;
}

/* Puts some, as far as there are slots, at and after the one that was found first, which
 * is not looked at again; how many. */
SHMDI_INLINE uint32_t put_group(struct shmd_queue *queue, struct shmdi_free *at, uint64_t tail, uint64_t number,
                                const struct iovec *messages, uint32_t count)
{
	uint32_t slots[GROUP];
	uint32_t done = 0;
	struct shmdi_free next = *at;
	do {
		*at = next;
		uint32_t size_bytes = (uint32_t)messages[done].iov_len;
		shmdi_copy_in(shmdi_slot_bytes(queue, at->slot), messages[done].iov_base, size_bytes);
		shmdi_slot_publish(queue, at->slot, number + done, size_bytes, 0);
		slots[done++] = at->slot;
		if (queue->size > AHEAD)
			fetch_ahead(queue, queue->free, at->head, true);
	} while (done < count && shmdi_free_next(queue, &next) == SHMDI_FOUND);
	shmdi_free_take(queue, at);
	add_group(queue, queue->ready, &queue->lines->ready_tail, tail, slots, done);
	return done;
}

/* Puts at least the first, for which there is the slot that was found; how many, or CORRUPT. */
static int put_run(struct shmd_queue *queue, struct shmdi_free *at, const struct iovec *messages, uint32_t count)
{
	uint64_t tail;
	uint64_t number = shmdi_queue_number(queue);
	if (!SHMDI_LIKELY(number != 0 && shmdi_tail_load(queue, &queue->lines->ready_tail, &tail) == 0))
		return SHMD_E_CORRUPT;
	uint32_t done = 0;
	do {
		uint32_t n = count - done < GROUP ? count - done : GROUP;
		uint32_t put = put_group(queue, at, tail, number + done, messages + done, n);
		done += put;
		tail = shmdi_position_on(queue, tail, put);
		if (put < n)
			break;
	} while (done < count && shmdi_free_next(queue, at) == SHMDI_FOUND);
	return (int)done;
}

int shmd_queue_put_many(struct shmd_queue *queue, const struct iovec *messages, uint32_t count, int64_t timeout_ns,
                        uint32_t *ret_count)
{
	if (ret_count == NULL)
		return SHMD_E_INVALID;
	*ret_count = 0;
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (messages == NULL)
		return SHMD_E_INVALID;
	int result = 0;
	if (count == 0 || count > queue->size)
		return shmdi_fail(SHMD_E_INVALID, "%u messages at once; this queue takes 1 to %u (maxsize)", count,
		                  queue->size);
	uint32_t fit = batch_of(queue, messages, count, &result);
	if (fit == 0) {
		if (result == 0)
			result = shmd_queue_put(queue, messages[0].iov_base, messages[0].iov_len, timeout_ns);
		*ret_count = result == 0;
		return result;
	}
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, timeout_ns);
	wait.many = true;
	struct shmdi_free at = {0};
	while ((result = shmdi_queue_find_slot(&wait, &at)) == 0)
		;
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	int done = put_run(queue, &at, messages, fit);
	if (!SHMDI_LIKELY(done > 0))
		return shmdi_queue_leave(&wait, done);
	result = shmdi_queue_finish(&wait, &queue->lines->not_empty, (uint32_t)done);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = (uint32_t)done;
	return result;
}

/* ---- take and lease ---- */

/* A walk over the messages that come next. */
struct walk {
	struct shmd_queue *queue;
	struct shmdi_ready at;
	uint32_t left; /* messages that may still be walked over */
	uint32_t done;
	uint32_t size_bytes; /* of what was found */
};

/* Over at most count messages. */
SHMDI_INLINE struct walk walk_begin(struct shmd_queue *queue, uint32_t count)
{
	return (struct walk){
		.queue = queue,
		.at = shmdi_ready_begin(queue),
		.left = count < SHMD_QUEUE_BATCH_MAX ? count : SHMD_QUEUE_BATCH_MAX,
	};
}

/* Finds the next message; false = there is none, or none that is sound. */
SHMDI_INLINE bool walk_find(struct walk *walk)
{
	const struct shmd_queue *queue = walk->queue;
	if (walk->left == 0 || shmdi_ready_find(queue, &walk->at) != SHMDI_FOUND)
		return false;
	if (queue->size > AHEAD)
		fetch_ahead(queue, queue->ready, walk->at.head, false);
	walk->size_bytes = shmdi_load32(&queue->descs[walk->at.slot].length, SHMDI_RELAXED);
	uint32_t side;
	return shmdi_slot_holds(queue, walk->at.slot, walk->size_bytes, &side);
}

/* The message that was found is not READY any more. */
SHMDI_INLINE void walk_on(struct walk *walk)
{
	shmdi_ready_go_on(walk->queue, &walk->at);
	walk->left--;
	walk->done++;
}

/* Packs messages into the buffer; how many, 0 = not even the first. */
static uint32_t take_run(struct shmd_queue *queue, uint32_t count, unsigned char *buffer, size_t buffer_bytes,
                         struct iovec *ret_messages)
{
	size_t taken_bytes = 0;
	uint32_t slots[GROUP];
	uint32_t grouped = 0;
	uint64_t tail;
	if (shmdi_tail_load(queue, &queue->lines->free_tail, &tail) < 0)
		return 0;
	struct walk walk = walk_begin(queue, count);
	for (;;) {
		uint32_t size_bytes = 0;
		bool fits = false;
		if (walk_find(&walk)) {
			size_bytes = walk.size_bytes;
			fits = size_bytes <= queue->copy_max_bytes && taken_bytes <= buffer_bytes &&
			       size_bytes <= buffer_bytes - taken_bytes &&
			       (walk.done == 0 || taken_bytes + size_bytes <= SHMD_QUEUE_BATCH_SIZE_MAX);
		}
		if (grouped == GROUP || (!fits && grouped > 0)) {
			shmdi_ready_take(queue, &walk.at);
			add_group(queue, queue->free, &queue->lines->free_tail, tail, slots, grouped);
			tail = shmdi_position_on(queue, tail, grouped);
			grouped = 0;
		}
		if (!fits)
			return walk.done;
		if (size_bytes > 0)
			memcpy(buffer + taken_bytes, shmdi_slot_bytes(queue, walk.at.slot), size_bytes);
		shmdi_slot_set(queue, walk.at.slot, shmdi_slot_make(SHMD_SLOT_FREE, 0, 0)); /* the commit of this one */
		slots[grouped++] = walk.at.slot;
		ret_messages[walk.done] = (struct iovec){.iov_base = buffer + taken_bytes, .iov_len = size_bytes};
		taken_bytes += (size_bytes + MESSAGE_ALIGN - 1) / MESSAGE_ALIGN * MESSAGE_ALIGN;
		walk_on(&walk);
	}
}

/* Waits for the first message of a batch: SHMDI_FOUND with the latch held, or an error. */
static inline int await_first(struct shmdi_queue_wait *wait, struct shmdi_ready *ret_at)
{
	int result;
	wait->many = true;
	while ((result = shmdi_queue_find_message(wait, ret_at)) == 0)
		;
	return result;
}

int shmd_queue_take_many(struct shmd_queue *queue, void *buffer, size_t buffer_bytes, struct iovec *ret_messages,
                         uint32_t count, int64_t timeout_ns, uint32_t *ret_count)
{
	if (ret_count == NULL)
		return SHMD_E_INVALID;
	*ret_count = 0;
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (ret_messages == NULL || count == 0 || (buffer == NULL && buffer_bytes > 0))
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, timeout_ns);
	struct shmdi_ready at = {0};
	int result = await_first(&wait, &at);
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	uint32_t done = take_run(queue, count, buffer, buffer_bytes, ret_messages);
	if (!SHMDI_LIKELY(done > 0)) { /* too large, long, or not sound: as one alone */
		size_t size_bytes = 0;
		result = shmdi_queue_take_found(&wait, at, buffer, buffer_bytes, &size_bytes);
		ret_messages[0] = (struct iovec){.iov_base = buffer, .iov_len = size_bytes};
		*ret_count = result == 0;
		return result;
	}
	wait.went_idle |= shmdi_queue_signal_idle(queue);
	result = shmdi_queue_finish(&wait, &queue->lines->not_full, done);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = done;
	return result;
}

/* Leases messages that lie in their slots; how many, 0 = not even the first. */
static uint32_t lease_run(struct shmd_queue *queue, uint32_t count, struct shmd_lease *ret_leases)
{
	uint64_t deadline_ns = queue->lease_ns != 0 ? shmdi_queue_lease_end(queue->lease_ns) : 0;
	struct walk walk = walk_begin(queue, count);
	while (walk_find(&walk) && walk.size_bytes <= queue->slot_size_bytes) {
		uint64_t word = shmdi_slot_delivered(walk.at.word, queue->take_latch.me);
		ret_leases[walk.done] = shmdi_slot_lease(queue, walk.at.slot, word, walk.size_bytes);
		if (deadline_ns != 0)
			shmdi_queue_set_deadline(queue, walk.at.slot, deadline_ns);
		shmdi_slot_set(queue, walk.at.slot, word); /* the commit of this one */
		walk_on(&walk);
	}
	shmdi_ready_take(queue, &walk.at);
	shmdi_queue_count(&queue->lines->leased_count, walk.done);
	return walk.done;
}

int shmd_queue_lease_many(struct shmd_queue *queue, struct shmd_lease *ret_leases, uint32_t count, int64_t timeout_ns,
                          uint32_t *ret_count)
{
	if (ret_count == NULL)
		return SHMD_E_INVALID;
	*ret_count = 0;
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (ret_leases == NULL || count == 0)
		return SHMD_E_INVALID;
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, timeout_ns);
	struct shmdi_ready at = {0};
	int result = await_first(&wait, &at);
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	uint32_t done = lease_run(queue, count, ret_leases);
	if (!SHMDI_LIKELY(done > 0)) { /* long, or not sound: as one alone */
		result = shmdi_queue_deliver(&wait, at, queue->lease_ns, ret_leases);
		*ret_count = result == 0;
		return result;
	}
	result = shmdi_queue_finish(&wait, NULL, 0);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = done;
	return result;
}
