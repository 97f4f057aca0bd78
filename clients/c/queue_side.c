/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_side.c - side segments, where messages lie that are longer than a slot: the
 * twin of shm/queue_side.go. The daemon makes and numbers them; what is mapped here
 * stays usable without it. No number is ever used twice, so a mapping is never out
 * of date, only forgotten: it goes when its slot has another one and nobody is at
 * it, else a scribbled number could unmap what another thread is reading.
 */
#include "internal.h"

#include <stdlib.h>

struct shmdi_side {
	struct shmdi_side *next; /* an older one of the same slot */
	uint32_t number;
	uint32_t users; /* leases and reservations that it was found for */
	struct shmdi_segment segment;
};

/* The mapping, in use from now on; NULL = there is none. */
static struct shmdi_side *use(struct shmd_queue *queue, uint32_t slot, uint32_t number)
{
	pthread_mutex_lock(&queue->sides_mutex);
	struct shmdi_side *side = queue->sides != NULL ? queue->sides[slot] : NULL;
	while (side != NULL && side->number != number)
		side = side->next;
	if (side != NULL)
		side->users++;
	pthread_mutex_unlock(&queue->sides_mutex);
	return side;
}

/* Unmaps those of a list that nobody uses. */
static void drop_unused(struct shmdi_side **at)
{
	while (*at != NULL) {
		struct shmdi_side *side = *at;
		if (side->users > 0) {
			at = &side->next;
			continue;
		}
		*at = side->next;
		shmdi_segment_unmap(&side->segment);
		free(side);
	}
}

int shmdi_side_keep(struct shmd_queue *queue, uint32_t slot, uint32_t number, struct shmdi_segment *segment)
{
	struct shmdi_side *side = calloc(1, sizeof *side);
	pthread_mutex_lock(&queue->sides_mutex);
	if (queue->sides == NULL)
		queue->sides = calloc(queue->size, sizeof(struct shmdi_side *));
	bool kept = side != NULL && queue->sides != NULL;
	if (kept) {
		*side = (struct shmdi_side){.next = queue->sides[slot], .number = number, .users = 1, .segment = *segment};
		queue->sides[slot] = side;
		drop_unused(&side->next);
	}
	pthread_mutex_unlock(&queue->sides_mutex);
	if (kept)
		return 0;
	free(side);
	shmdi_segment_unmap(segment);
	return shmdi_fail(SHMD_E_NO_SPACE, "queue: no memory");
}

void shmdi_side_release(struct shmd_queue *queue, uint32_t slot, const void *bytes)
{
	pthread_mutex_lock(&queue->sides_mutex);
	struct shmdi_side *side = queue->sides != NULL ? queue->sides[slot] : NULL;
	struct shmdi_side *newest = side;
	while (side != NULL && side->segment.page != bytes)
		side = side->next;
	if (side != NULL && side->users > 0)
		side->users--;
	if (newest != NULL)
		drop_unused(&newest->next);
	pthread_mutex_unlock(&queue->sides_mutex);
}

void shmdi_side_clear(struct shmd_queue *queue)
{
	for (uint32_t slot = 0; queue->sides != NULL && slot < queue->size; slot++) {
		for (struct shmdi_side *side = queue->sides[slot]; side != NULL; side = side->next)
			side->users = 0;
		drop_unused(&queue->sides[slot]);
	}
	free(queue->sides);
	queue->sides = NULL;
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

int shmdi_side_make(struct shmd_queue *queue, uint32_t size_bytes, struct shmd_reservation *reservation)
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
	if (result < 0)
		return result;
	reservation->buffer = bytes;
	reservation->buffer_bytes = size_bytes;
	reservation->side = (uint32_t)number;
	return 0;
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
