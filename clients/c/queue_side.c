/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_side.c - side segments, where messages lie that are longer than a slot: the
 * twin of shm/queue_side.go and clients/go/side.go. The daemon makes and numbers them;
 * what is mapped here stays usable without it. A slot names the one that it has also
 * while no message lies there, so that the next long one is written there and nobody
 * asked. No number is ever another memory, so a mapping is never wrong, only
 * superfluous: it goes when its slot has another one and nobody is at it, else a
 * scribbled number could unmap what another thread is reading.
 */
#include "queue_slot.h"

#include <stdlib.h>

struct shmdi_side {
	struct shmdi_side *next; /* in the list of its number */
	uint32_t number;
	uint32_t slot;  /* that had it when it was last looked for */
	uint32_t users; /* leases and reservations that it was found for */
	struct shmdi_segment segment;
};

static struct shmdi_side **list_of(const struct shmd_queue *queue, uint32_t number)
{
	return &queue->sides_by_number[number % queue->size];
}

/* Unmaps it if nobody uses it and its slot has another one. */
static void drop_unused(struct shmd_queue *queue, struct shmdi_side *side)
{
	if (side->users > 0 || queue->sides_by_slot[side->slot] == side)
		return;
	struct shmdi_side **at = list_of(queue, side->number);
	while (*at != side)
		at = &(*at)->next;
	*at = side->next;
	shmdi_segment_unmap(&side->segment);
	free(side);
}

/* The slot has this one now, and no other slot has it. */
static void give(struct shmd_queue *queue, uint32_t slot, struct shmdi_side *side)
{
	struct shmdi_side *before = queue->sides_by_slot[slot];
	if (queue->sides_by_slot[side->slot] == side)
		queue->sides_by_slot[side->slot] = NULL;
	side->slot = slot;
	queue->sides_by_slot[slot] = side;
	if (before != NULL && before != side)
		drop_unused(queue, before);
}

/* The mapping, in use from now on; NULL = there is none. */
static struct shmdi_side *use(struct shmd_queue *queue, uint32_t slot, uint32_t number)
{
	pthread_mutex_lock(&queue->sides_mutex);
	struct shmdi_side *side = queue->sides_by_slot != NULL ? queue->sides_by_slot[slot] : NULL;
	if (queue->sides_by_slot != NULL && !SHMDI_LIKELY(side != NULL && side->number == number)) {
		side = *list_of(queue, number);
		while (side != NULL && side->number != number)
			side = side->next;
		if (side != NULL)
			give(queue, slot, side);
	}
	if (side != NULL)
		side->users++;
	pthread_mutex_unlock(&queue->sides_mutex);
	return side;
}

int shmdi_side_keep(struct shmd_queue *queue, uint32_t slot, uint32_t number, struct shmdi_segment *segment)
{
	struct shmdi_side *side = calloc(1, sizeof *side);
	pthread_mutex_lock(&queue->sides_mutex);
	if (queue->sides_by_number == NULL)
		queue->sides_by_number = calloc(queue->size, sizeof(struct shmdi_side *));
	if (queue->sides_by_slot == NULL)
		queue->sides_by_slot = calloc(queue->size, sizeof(struct shmdi_side *));
	bool kept = side != NULL && queue->sides_by_number != NULL && queue->sides_by_slot != NULL;
	if (kept) {
		struct shmdi_side **at = list_of(queue, number);
		*side = (struct shmdi_side){.next = *at, .number = number, .slot = slot, .users = 1, .segment = *segment};
		*at = side;
		give(queue, slot, side);
	}
	pthread_mutex_unlock(&queue->sides_mutex);
	if (kept)
		return 0;
	free(side);
	shmdi_segment_unmap(segment);
	return shmdi_fail(SHMD_E_NO_SPACE, "queue: no memory");
}

/* The mapping at these bytes, wherever it was looked for last; NULL = there is none. */
static struct shmdi_side *at_bytes(const struct shmd_queue *queue, const void *bytes)
{
	for (uint32_t i = 0; i < queue->size; i++)
		for (struct shmdi_side *side = queue->sides_by_number[i]; side != NULL; side = side->next)
			if (side->segment.page == bytes)
				return side;
	return NULL;
}

void shmdi_side_release(struct shmd_queue *queue, uint32_t slot, const void *bytes)
{
	pthread_mutex_lock(&queue->sides_mutex);
	struct shmdi_side *side = queue->sides_by_slot != NULL ? queue->sides_by_slot[slot] : NULL;
	if (queue->sides_by_slot != NULL && !SHMDI_LIKELY(side != NULL && side->segment.page == bytes))
		side = at_bytes(queue, bytes);
	if (side != NULL && side->users > 0) {
		side->users--;
		drop_unused(queue, side);
	}
	pthread_mutex_unlock(&queue->sides_mutex);
}

void shmdi_side_clear(struct shmd_queue *queue)
{
	for (uint32_t i = 0; queue->sides_by_number != NULL && i < queue->size; i++) {
		struct shmdi_side *next;
		for (struct shmdi_side *side = queue->sides_by_number[i]; side != NULL; side = next) {
			next = side->next;
			shmdi_segment_unmap(&side->segment);
			free(side);
		}
	}
	free(queue->sides_by_number);
	free(queue->sides_by_slot);
	queue->sides_by_number = queue->sides_by_slot = NULL;
	/* In a forked child it is as another thread of the parent left it. */
	if (shmdi_fork_same(queue->generation))
		pthread_mutex_destroy(&queue->sides_mutex);
}

/* Maps what came with an answer that says how large it is. */
static int map_answer(const struct shmd_queue *queue, const struct shmdi_reply *reply, uint32_t size_bytes,
                      struct shmdi_segment *ret_segment)
{
	uint64_t size_said;
	uint64_t size_max = ((uint64_t)queue->message_max_bytes + SHMD_PAGE_SIZE - 1) / SHMD_PAGE_SIZE * SHMD_PAGE_SIZE;
	if (!shmdi_get_u64(reply->result, "size", UINT64_MAX, &size_said) || reply->fd < 0)
		return shmdi_fail(SHMD_E_BAD_FRAME, "side: the daemon sent no descriptor");
	if (size_said < size_bytes || size_said > size_max || size_said % SHMD_PAGE_SIZE != 0)
		return shmdi_fail(SHMD_E_CORRUPT, "side: the memory has %llu bytes, for a message of %u and at most %llu",
		                  (unsigned long long)size_said, size_bytes, (unsigned long long)size_max);
	return shmdi_segment_map_fd(reply->fd, size_said, false, ret_segment);
}

/* The mapping of the number that is in use now; it must be large enough. */
static int check(struct shmd_queue *queue, uint32_t slot, const struct shmdi_side *side, uint32_t size_bytes)
{
	if (side->segment.size_bytes >= size_bytes)
		return 0;
	int result = shmdi_fail(SHMD_E_CORRUPT, "the message of %u bytes is longer than its memory, which has %zu",
	                        size_bytes, side->segment.size_bytes);
	shmdi_side_release(queue, slot, side->segment.page);
	return result;
}

/* Completes a reservation. */
static int reserved(struct shmd_reservation *reservation, void *bytes, uint32_t size_bytes, uint32_t number)
{
	reservation->buffer = bytes;
	reservation->buffer_bytes = size_bytes;
	reservation->side = number;
	return 0;
}

/* Asks the daemon, who gives what the slot has, or another one. */
static int ask(struct shmd_queue *queue, uint32_t size_bytes, struct shmd_reservation *reservation)
{
	struct shmd_client *client = queue->object.client;
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, "side", 4);
	msgpack_pack_uint64(&request.packer, queue->object.is.handle);
	msgpack_pack_uint32(&request.packer, reservation->slot);
	msgpack_pack_uint64(&request.packer, reservation->ticket);
	msgpack_pack_uint32(&request.packer, size_bytes);
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	struct shmdi_segment segment = {0};
	struct shmdi_side *side = NULL;
	uint64_t number = 0;
	if (!shmdi_get_u64(reply.result, "side", UINT32_MAX, &number) || number == 0)
		result = shmdi_fail(SHMD_E_BAD_FRAME, "side: the daemon gave it no number");
	else if ((side = use(queue, reservation->slot, (uint32_t)number)) != NULL)
		result = check(queue, reservation->slot, side, size_bytes);
	else
		result = map_answer(queue, &reply, size_bytes, &segment);
	shmdi_reply_clear(&reply);
	if (result < 0)
		return result;
	void *bytes = side != NULL ? side->segment.page : segment.page;
	if (side == NULL)
		result = shmdi_side_keep(queue, reservation->slot, (uint32_t)number, &segment);
	return result < 0 ? result : reserved(reservation, bytes, size_bytes, (uint32_t)number);
}

int shmdi_side_make(struct shmd_queue *queue, uint32_t size_bytes, struct shmd_reservation *reservation)
{
	uint32_t slot = reservation->slot;
	uint32_t *named = &queue->descs[slot].side;
	uint32_t number = shmdi_load32(named, SHMDI_RELAXED);
	if (!SHMDI_LIKELY(number != 0))
		return ask(queue, size_bytes, reservation);
	struct shmdi_side *side = use(queue, slot, number);
	if (SHMDI_LIKELY(side != NULL && side->segment.size_bytes >= size_bytes))
		return reserved(reservation, side->segment.page, size_bytes, number);
	if (side != NULL)
		shmdi_side_release(queue, slot, side->segment.page);
	shmdi_store32(named, 0, SHMDI_RELEASE); /* before the daemon is asked, who may take it from the slot */
	return ask(queue, size_bytes, reservation);
}

int shmdi_side_find(struct shmd_queue *queue, uint32_t number, struct shmd_lease *lease)
{
	struct shmd_client *client = queue->object.client;
	uint32_t size_bytes = (uint32_t)lease->size_bytes;
	lease->message = NULL; /* unless it is found */
	struct shmdi_side *side = use(queue, lease->slot, number);
	if (side != NULL) {
		int result = check(queue, lease->slot, side, size_bytes);
		if (result == 0)
			lease->message = side->segment.page;
		return result;
	}
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, "map_side", 2);
	msgpack_pack_uint64(&request.packer, queue->object.is.handle);
	msgpack_pack_uint32(&request.packer, number);
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	struct shmdi_segment segment = {0};
	result = map_answer(queue, &reply, size_bytes, &segment);
	shmdi_reply_clear(&reply);
	const void *bytes = segment.page;
	if (result == 0)
		result = shmdi_side_keep(queue, lease->slot, number, &segment);
	if (result == 0)
		lease->message = bytes;
	return result;
}
