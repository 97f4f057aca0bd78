/* SPDX-License-Identifier: Apache-2.0
 *
 * queue.c - the queue: handles, put, take. The twin of shm/queue.go; shmd_abi.h
 * states beside the bits of the slot word what each operation commits.
 */
#include "queue_wait.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Messages up to here are copied under the latch; longer ones are worth two latch
 * sections, so that others need not wait for the copying. */
#define COPY_MAX 512u

/* ---- handles ---- */

void shmdi_queue_bind(struct shmd_queue *queue)
{
	const struct shmdi_object *object = &queue->object;
	const struct shmdi_attachment *is = &object->is;
	unsigned char *base = (unsigned char *)object->segment.page;
	struct shmdi_queue_layout layout = shmdi_queue_layout(is);
	struct shmd_queue_lines *lines = (struct shmd_queue_lines *)(void *)(base + SHMD_KIND_OFFSET);
	queue->lines = is->read_only ? NULL : lines;
	queue->ready = (uint64_t *)(void *)(base + layout.ready_offset);
	queue->free = (uint64_t *)(void *)(base + layout.free_offset);
	queue->descs = (struct shmd_queue_desc *)(void *)(base + layout.desc_offset);
	queue->lease_ns = is->lease_ns;
	queue->deadlines_ns = is->lease_ns != 0 ? (uint64_t *)(void *)(base + layout.deadline_offset) : NULL;
	queue->slots = base + layout.slots_offset;
	queue->size = (uint32_t)is->length;
	queue->slot_size_bytes = is->slot_size_bytes;
	queue->copy_max_bytes = is->slot_size_bytes < COPY_MAX ? is->slot_size_bytes : COPY_MAX;
	queue->message_max_bytes = is->message_max_bytes;
	queue->deliveries_max = is->deliveries_max;
	queue->raw = (is->flags & SHMD_FLAG_RAW) != 0;
	queue->generation = object->lock.generation;
	queue->put_latch = (struct shmdi_latch){
		.word = &lines->put_latch,
		.epoch = &object->segment.page->header.daemon_epoch,
		.state = &object->segment.page->header.state,
		.waiting = object->waiting,
		.me = is->owner,
	};
	queue->take_latch = queue->put_latch;
	queue->take_latch.word = &lines->take_latch;
	pthread_mutex_init(&queue->sides_mutex, NULL);
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_queue **ret_queue)
{
	if (client == NULL || ret_queue == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	struct shmd_queue *queue = calloc(1, sizeof *queue);
	if (queue == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, &queue->object);
	if (result < 0) {
		free(queue);
		return result;
	}
	shmdi_queue_bind(queue);
	*ret_queue = queue;
	return 0;
}

int shmd_queue_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                      struct shmd_queue **ret_queue)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_QUEUE, .create = options};
	return attach(client, &wish, ret_queue);
}

int shmd_queue_open_or_create(struct shmd_client *client, const char *name,
                              const struct shmd_create_options *options, struct shmd_queue **ret_queue)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_QUEUE, .create = options};
	return attach(client, &wish, ret_queue);
}

int shmd_queue_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                    struct shmd_queue **ret_queue)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_QUEUE, .open = options};
	return attach(client, &wish, ret_queue);
}

struct shmd_queue *shmd_queue_close(struct shmd_queue *queue)
{
	if (queue != NULL) {
		shmdi_side_clear(queue);
		shmdi_object_detach(&queue->object);
		free(queue);
	}
	return NULL;
}

uint64_t shmd_queue_id(const struct shmd_queue *queue)
{
	return queue->object.is.id;
}

bool shmd_queue_created(const struct shmd_queue *queue)
{
	return queue->object.is.created;
}

uint32_t shmd_queue_maxsize(const struct shmd_queue *queue)
{
	return queue->size;
}

size_t shmd_queue_message_max_bytes(const struct shmd_queue *queue)
{
	return queue->message_max_bytes;
}

uint64_t shmd_queue_lease_ns(const struct shmd_queue *queue)
{
	return queue->lease_ns;
}

bool shmd_queue_raw(const struct shmd_queue *queue)
{
	return queue->raw;
}

/* ---- put ---- */

int shmdi_queue_fits(const struct shmd_queue *queue, size_t size_bytes)
{
	if (SHMDI_LIKELY(size_bytes <= queue->message_max_bytes))
		return 0;
	return shmdi_fail(SHMD_E_TOO_LARGE, "the message has %zu bytes; this queue takes up to %u (message_max)",
	                  size_bytes, queue->message_max_bytes);
}

int shmdi_queue_accepts(const struct shmd_queue *queue, const void *message, size_t size_bytes)
{
	if (message == NULL && size_bytes > 0)
		return SHMD_E_INVALID;
	if (!SHMDI_LIKELY(size_bytes <= queue->message_max_bytes))
		return shmdi_queue_fits(queue, size_bytes);
	if (queue->raw)
		return 0;
	int64_t first_bytes = shmdi_content_scan(message, size_bytes);
	if (SHMDI_LIKELY(first_bytes > 0 && (size_t)first_bytes == size_bytes))
		return 0;
	return shmdi_fail(SHMD_E_BAD_TYPE, "the message of %zu bytes is not one msgpack value, nested at most %d deep",
	                  size_bytes, SHMDI_CONTENT_DEPTH_MAX);
}

static __attribute__((noinline)) int put_long(struct shmd_queue *queue, const void *message, size_t size_bytes,
                                              int64_t timeout_ns)
{
	struct shmd_reservation reservation;
	int result = shmd_queue_reserve_size(queue, size_bytes, timeout_ns, &reservation);
	if (result < 0)
		return result;
	shmdi_copy_in(reservation.buffer, message, size_bytes);
	return shmdi_queue_commit(queue, &reservation, size_bytes);
}

/* Makes the slot that was found the message, with the latch; 0, or CORRUPT. */
SHMDI_INLINE int fill(struct shmd_queue *queue, const struct shmdi_free *at, const void *message, size_t size_bytes)
{
	uint64_t tail;
	uint64_t number = shmdi_queue_number(queue);
	if (!SHMDI_LIKELY(number != 0 && shmdi_tail_load(queue, &queue->lines->ready_tail, &tail) == 0))
		return SHMD_E_CORRUPT;
	shmdi_copy_in(shmdi_slot_bytes(queue, at->slot), message, size_bytes);
	shmdi_slot_publish(queue, at->slot, number, (uint32_t)size_bytes, 0);
	shmdi_free_take(queue, at);
	shmdi_queue_hand_over(queue, tail, at->slot);
	return 0;
}

/* Puts where nothing is in the way; true = *ret_result says how that went, else nothing has
 * happened, and the long way says what it is. */
SHMDI_INLINE bool put_at_once(struct shmd_queue *queue, const void *message, size_t size_bytes, int *ret_result)
{
	if (!shmdi_latch_try(&queue->put_latch))
		return false;
	struct shmdi_free at = shmdi_free_begin(queue);
	bool done = shmdi_load32(&queue->lines->closed, SHMDI_RELAXED) == 0 && shmdi_queue_state(queue) == 0 &&
	            SHMDI_LIKELY(shmdi_free_next(queue, &at) == SHMDI_FOUND) &&
	            SHMDI_LIKELY(fill(queue, &at, message, size_bytes) == 0);
	*ret_result = shmdi_latch_release(&queue->put_latch);
	if (SHMDI_LIKELY(done))
		shmdi_eventcount_tell(&queue->lines->not_empty, 1);
	return done;
}

static __attribute__((noinline)) int put_slowly(struct shmd_queue *queue, const void *message, size_t size_bytes,
                                                int64_t timeout_ns)
{
	struct shmdi_queue_wait wait = SHMDI_WAIT_SLOT(queue, timeout_ns);
	struct shmdi_free at = {0};
	int result;
	while ((result = shmdi_queue_find_slot(&wait, &at)) == 0)
		;
	if (result != SHMDI_FOUND)
		return result;
	result = fill(queue, &at, message, size_bytes);
	return result < 0 ? shmdi_queue_leave(&wait, result) : shmdi_queue_finish(&wait, &queue->lines->not_empty, 1);
}

int shmd_queue_put(struct shmd_queue *queue, const void *message, size_t size_bytes, int64_t timeout_ns)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	int result = shmdi_queue_accepts(queue, message, size_bytes);
	if (!SHMDI_LIKELY(result == 0))
		return result;
	if (size_bytes > queue->copy_max_bytes)
		return put_long(queue, message, size_bytes, timeout_ns);
	if (timeout_ns == 0 && shmdi_queue_is_full(queue))
		return SHMD_E_WOULD_BLOCK;
	if (SHMDI_LIKELY(put_at_once(queue, message, size_bytes, &result)))
		return result;
	return put_slowly(queue, message, size_bytes, timeout_ns);
}

/* ---- take ---- */

/* A message that is copied without the latch: leased meanwhile. */
static __attribute__((noinline)) int take_long(struct shmdi_queue_wait *wait, struct shmdi_ready at,
                                               void *ret_message, size_t *ret_size_bytes)
{
	struct shmd_lease lease;
	int result = shmdi_queue_deliver(wait, at, SHMDI_FOREVER_NS, &lease);
	if (result < 0)
		return result;
	memcpy(ret_message, lease.message, lease.size_bytes);
	result = shmd_queue_ack(wait->queue, &lease);
	if (result == 0)
		*ret_size_bytes = lease.size_bytes;
	return result;
}

/* The message does not fit the caller's buffer; it stays where it is. */
static int too_long(struct shmdi_queue_wait *wait, uint32_t size_bytes, size_t buffer_bytes)
{
	int result = shmdi_queue_leave(wait, SHMD_E_TOO_LARGE);
	if (result != SHMD_E_TOO_LARGE)
		return result;
	return shmdi_fail(result, "the message has %u bytes, the buffer %zu; the message stays in the queue", size_bytes,
	                  buffer_bytes);
}

/* Copies a short message that was found, of which size and side are sound, and frees its
 * slot, with the latch; 0, or CORRUPT. */
SHMDI_INLINE int empty_slot(struct shmd_queue *queue, struct shmdi_ready *at, void *ret_message, uint32_t size_bytes)
{
	uint64_t tail;
	if (!SHMDI_LIKELY(shmdi_tail_load(queue, &queue->lines->free_tail, &tail) == 0))
		return SHMD_E_CORRUPT;
	if (size_bytes > 0)
		memcpy(ret_message, shmdi_slot_bytes(queue, at->slot), size_bytes);
	shmdi_slot_set(queue, at->slot, shmdi_slot_make(SHMD_SLOT_FREE, 0, 0)); /* the commit */
	shmdi_ready_go_on(queue, at);
	shmdi_ready_take(queue, at);
	shmdi_queue_hand_back(queue, tail, at->slot);
	return 0;
}

/* Takes where nothing is in the way; as put_at_once. */
SHMDI_INLINE bool take_at_once(struct shmd_queue *queue, void *ret_message, size_t buffer_bytes,
                               size_t *ret_size_bytes, int *ret_result)
{
	if (!shmdi_latch_try(&queue->take_latch))
		return false;
	struct shmdi_ready at = shmdi_ready_begin(queue);
	bool done = false;
	bool idle = false;
	uint32_t size_bytes = 0;
	if (shmdi_queue_state(queue) == 0 &&
	    SHMDI_LIKELY(queue->lease_ns == 0 || shmdi_load32(&queue->lines->leased_count, SHMDI_RELAXED) == 0) &&
	    SHMDI_LIKELY(shmdi_ready_find(queue, &at) == SHMDI_FOUND)) {
		size_bytes = shmdi_load32(&queue->descs[at.slot].length, SHMDI_RELAXED);
		uint32_t side;
		done = SHMDI_LIKELY(size_bytes <= queue->copy_max_bytes && size_bytes <= buffer_bytes &&
		                    shmdi_slot_holds(queue, at.slot, size_bytes, &side)) &&
		       empty_slot(queue, &at, ret_message, size_bytes) == 0;
		idle = done && shmdi_queue_signal_idle(queue);
	}
	*ret_result = shmdi_latch_release(&queue->take_latch);
	if (!SHMDI_LIKELY(done))
		return false;
	shmdi_eventcount_tell(&queue->lines->not_full, 1);
	if (!SHMDI_LIKELY(!idle))
		shmdi_eventcount_wake(&queue->lines->idle, INT_MAX);
	if (SHMDI_LIKELY(*ret_result == 0))
		*ret_size_bytes = size_bytes;
	return true;
}

int shmdi_queue_take_found(struct shmdi_queue_wait *wait, struct shmdi_ready at, void *ret_message,
                           size_t buffer_bytes, size_t *ret_size_bytes)
{
	struct shmd_queue *queue = wait->queue;
	uint32_t size_bytes = shmdi_load32(&queue->descs[at.slot].length, SHMDI_RELAXED);
	uint32_t side;
	if (!shmdi_slot_holds(queue, at.slot, size_bytes, &side))
		return shmdi_queue_leave(wait, SHMD_E_CORRUPT);
	if (size_bytes > buffer_bytes)
		return too_long(wait, size_bytes, buffer_bytes);
	if (size_bytes > queue->copy_max_bytes)
		return take_long(wait, at, ret_message, ret_size_bytes);
	int result = empty_slot(queue, &at, ret_message, size_bytes);
	if (result < 0)
		return shmdi_queue_leave(wait, result);
	wait->went_idle |= shmdi_queue_signal_idle(queue);
	result = shmdi_queue_finish(wait, &queue->lines->not_full, 1);
	if (result == 0)
		*ret_size_bytes = size_bytes;
	return result;
}

static __attribute__((noinline)) int take_slowly(struct shmd_queue *queue, void *ret_message, size_t buffer_bytes,
                                                 int64_t timeout_ns, size_t *ret_size_bytes)
{
	struct shmdi_queue_wait wait = SHMDI_WAIT_MESSAGE(queue, timeout_ns);
	struct shmdi_ready at = {0};
	int result;
	while ((result = shmdi_queue_find_message(&wait, &at)) == 0)
		;
	if (result != SHMDI_FOUND)
		return result;
	return shmdi_queue_take_found(&wait, at, ret_message, buffer_bytes, ret_size_bytes);
}

int shmd_queue_take(struct shmd_queue *queue, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                    size_t *ret_size_bytes)
{
	if (!shmdi_queue_usable(queue, timeout_ns))
		return shmdi_queue_refuse(queue, timeout_ns);
	if (!SHMDI_LIKELY((ret_message != NULL || buffer_bytes == 0) && ret_size_bytes != NULL))
		return SHMD_E_INVALID;
	if (timeout_ns == 0 && shmdi_queue_is_empty(queue))
		return SHMD_E_WOULD_BLOCK;
	int result;
	if (SHMDI_LIKELY(take_at_once(queue, ret_message, buffer_bytes, ret_size_bytes, &result)))
		return result;
	return take_slowly(queue, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
}
