/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_batch.c - many messages under one latch hold: the twin of shm/queue_batch.go.
 * Model: tests/models/queue_batch.pml. A batch is as many single commits, in order, so
 * that a death leaves the first of them; lists and counts, which are derived, are
 * written once. It waits for the first message or slot only.
 */
#include "queue_wait.h"

#include <string.h>

#define MESSAGE_ALIGN 8u /* of what take_many packs */
#define AHEAD 8u         /* messages whose lines are asked for in advance */

/* Asks for the lines of the slot that comes later in a list; the other side had
 * them last. */
SHMDI_INLINE void fetch_ahead(const struct shmd_queue *queue, const uint32_t *entry, bool to_write)
{
	uint32_t slot = shmdi_load32(entry, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(slot < queue->size))
		return;
	shmdi_fetch_to_write(&queue->descs[slot]);
	if (to_write)
		shmdi_fetch_to_write(shmdi_slot_bytes(queue, slot));
	else
		__builtin_prefetch(shmdi_slot_bytes(queue, slot));
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

/* Puts at least the first, for which there is a slot; how many, or CORRUPT. */
static int put_run(struct shmd_queue *queue, const struct iovec *messages, uint32_t count)
{
	struct shmd_queue_lines *lines = queue->lines;
	uint32_t size = queue->size;
	uint32_t free_count = shmdi_load32(&lines->free_count, SHMDI_RELAXED);
	uint32_t ready_count = shmdi_load32(&lines->ready_count, SHMDI_RELAXED);
	uint32_t head = shmdi_load32(&lines->ready_head, SHMDI_RELAXED);
	uint64_t number = shmdi_queue_number(queue);
	if (!SHMDI_LIKELY(free_count <= size && ready_count < size && head < size && number != 0))
		return SHMD_E_CORRUPT;
	count = count < free_count ? count : free_count;
	count = count < size - ready_count ? count : size - ready_count;
	uint32_t place = shmdi_queue_wrap(queue, head + ready_count);
	uint32_t done = 0;
	for (; done < count; done++) {
		uint32_t slot = 0;
		if (count - done > AHEAD)
			fetch_ahead(queue, &queue->free[free_count - 1 - done - AHEAD], true);
		if (!SHMDI_LIKELY(shmdi_free_at(queue, free_count - 1 - done, &slot) == SHMDI_FOUND))
			break;
		uint32_t size_bytes = (uint32_t)messages[done].iov_len;
		shmdi_copy_in(shmdi_slot_bytes(queue, slot), messages[done].iov_base, size_bytes);
		shmdi_slot_publish(queue, slot, number + done, size_bytes, 0);
		shmdi_list_store(&queue->ready[place], slot);
		place = shmdi_queue_wrap(queue, place + 1);
	}
	shmdi_store64(&lines->next_seq, number + done, SHMDI_RELAXED);
	shmdi_store32(&lines->free_count, free_count - done, SHMDI_RELEASE); /* as shmdi_queue_take_off */
	shmdi_store32(&lines->ready_count, ready_count + done, SHMDI_RELAXED);
	return done > 0 ? (int)done : SHMD_E_CORRUPT;
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
	uint32_t slot = 0;
	while ((result = shmdi_queue_find_slot(&wait, &slot)) == 0)
		;
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	int done = put_run(queue, messages, fit);
	if (!SHMDI_LIKELY(done > 0))
		return shmdi_queue_leave(&wait, done);
	bool due = shmdi_eventcount_signal(&queue->lines->not_empty);
	result = shmdi_queue_finish(&wait, &queue->lines->not_empty, due ? (uint32_t)done : 0);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = (uint32_t)done;
	return result;
}

/* ---- take and lease ---- */

/* A walk over the messages that come next. */
struct walk {
	struct shmd_queue *queue;
	uint32_t place; /* of the next one in the ring */
	uint32_t left;  /* messages that may still be walked over */
	uint32_t done;
	uint32_t slot; /* what was found */
	uint32_t size_bytes;
	uint64_t word;
};

/* Over at most count messages; true = the first one is sound. */
SHMDI_INLINE bool walk_begin(struct walk *walk, struct shmd_queue *queue, uint32_t count)
{
	uint32_t ready_count = shmdi_load32(&queue->lines->ready_count, SHMDI_RELAXED);
	uint32_t head = shmdi_load32(&queue->lines->ready_head, SHMDI_RELAXED);
	count = count < SHMD_QUEUE_BATCH_MAX ? count : SHMD_QUEUE_BATCH_MAX;
	*walk = (struct walk){.queue = queue, .place = head, .left = count < ready_count ? count : ready_count};
	return SHMDI_LIKELY(ready_count <= queue->size && head < queue->size);
}

/* Finds the next message; false = there is none, or none that is sound. */
SHMDI_INLINE bool walk_find(struct walk *walk)
{
	const struct shmd_queue *queue = walk->queue;
	if (walk->left == 0 ||
	    !SHMDI_LIKELY(shmdi_ready_at(queue, walk->place, &walk->slot, &walk->word) == SHMDI_FOUND))
		return false;
	if (walk->left > AHEAD)
		fetch_ahead(queue, &queue->ready[shmdi_queue_wrap(queue, walk->place + AHEAD)], false);
	const struct shmd_queue_desc *desc = &queue->descs[walk->slot];
	walk->size_bytes = shmdi_load32(&desc->length, SHMDI_RELAXED);
	return shmdi_slot_holds(queue, walk->size_bytes, shmdi_load32(&desc->side, SHMDI_RELAXED));
}

/* The message that was found is not READY any more. */
SHMDI_INLINE void walk_on(struct walk *walk)
{
	walk->place = shmdi_queue_wrap(walk->queue, walk->place + 1);
	walk->left--;
	walk->done++;
}

/* Packs messages into the buffer; how many, 0 = not even the first. */
static uint32_t take_run(struct shmd_queue *queue, uint32_t count, unsigned char *buffer, size_t buffer_bytes,
                         struct iovec *ret_messages)
{
	uint32_t free_count = shmdi_load32(&queue->lines->free_count, SHMDI_RELAXED);
	size_t at = 0;
	struct walk walk;
	if (!walk_begin(&walk, queue, count) || !SHMDI_LIKELY(free_count < queue->size))
		return 0;
	while (free_count + walk.done < queue->size && walk_find(&walk)) {
		uint32_t size_bytes = walk.size_bytes;
		if (size_bytes > queue->copy_max_bytes || at > buffer_bytes || size_bytes > buffer_bytes - at ||
		    (walk.done > 0 && at + size_bytes > SHMD_QUEUE_BATCH_SIZE_MAX))
			break;
		if (size_bytes > 0)
			memcpy(buffer + at, shmdi_slot_bytes(queue, walk.slot), size_bytes);
		shmdi_slot_set(queue, walk.slot, shmdi_slot_make(SHMD_SLOT_FREE, 0, 0)); /* the commit of this one */
		shmdi_list_store(&queue->free[free_count + walk.done], walk.slot);
		ret_messages[walk.done] = (struct iovec){.iov_base = buffer + at, .iov_len = size_bytes};
		at += (size_bytes + MESSAGE_ALIGN - 1) / MESSAGE_ALIGN * MESSAGE_ALIGN;
		walk_on(&walk);
	}
	shmdi_ready_pop(queue, walk.done);
	shmdi_store32(&queue->lines->free_count, free_count + walk.done, SHMDI_RELAXED);
	return walk.done;
}

/* Waits for the first message of a batch: SHMDI_FOUND with the latch held, or an error. */
static inline int await_first(struct shmdi_queue_wait *wait, uint32_t *ret_slot, uint64_t *ret_word)
{
	int result;
	wait->many = true;
	while ((result = shmdi_queue_find_message(wait, ret_slot, ret_word)) == 0)
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
	uint32_t slot = 0;
	uint64_t word = 0;
	int result = await_first(&wait, &slot, &word);
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	uint32_t done = take_run(queue, count, buffer, buffer_bytes, ret_messages);
	if (!SHMDI_LIKELY(done > 0)) { /* too large, long, or not sound: as one alone */
		size_t size_bytes = 0;
		result = shmdi_queue_take_found(&wait, slot, word, buffer, buffer_bytes, &size_bytes);
		ret_messages[0] = (struct iovec){.iov_base = buffer, .iov_len = size_bytes};
		*ret_count = result == 0;
		return result;
	}
	shmdi_queue_signal_idle(&wait);
	bool due = shmdi_eventcount_signal(&queue->lines->not_full);
	result = shmdi_queue_finish(&wait, &queue->lines->not_full, due ? done : 0);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = done;
	return result;
}

/* Leases messages that lie in their slots; how many, 0 = not even the first. */
static uint32_t lease_run(struct shmd_queue *queue, uint32_t count, struct shmd_lease *ret_leases)
{
	uint64_t deadline_ns = queue->lease_ns != 0 ? shmdi_queue_lease_end(queue->lease_ns) : 0;
	struct walk walk;
	if (!walk_begin(&walk, queue, count))
		return 0;
	while (walk_find(&walk) && walk.size_bytes <= queue->slot_size_bytes) {
		uint64_t word = shmdi_slot_delivered(walk.word, queue->latch.me);
		ret_leases[walk.done] = shmdi_slot_lease(queue, walk.slot, word, walk.size_bytes);
		if (deadline_ns != 0)
			shmdi_queue_set_deadline(queue, walk.slot, deadline_ns);
		shmdi_slot_set(queue, walk.slot, word); /* the commit of this one */
		walk_on(&walk);
	}
	shmdi_ready_pop(queue, walk.done);
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
	uint32_t slot = 0;
	uint64_t word = 0;
	int result = await_first(&wait, &slot, &word);
	if (!SHMDI_LIKELY(result == SHMDI_FOUND))
		return result;
	uint32_t done = lease_run(queue, count, ret_leases);
	if (!SHMDI_LIKELY(done > 0)) { /* long, or not sound: as one alone */
		result = shmdi_queue_deliver(&wait, slot, word, queue->lease_ns, ret_leases);
		*ret_count = result == 0;
		return result;
	}
	result = shmdi_queue_finish(&wait, wait.event, 0);
	if (SHMDI_LIKELY(result == 0))
		*ret_count = done;
	return result;
}
