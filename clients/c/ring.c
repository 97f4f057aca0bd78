/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.c - one direction of a stream or a pipe: roles, looking, sleeping. See ring.h.
 */
#include "ring.h"
#include "spin.h"

#include <stdlib.h>

/* Of a read-only handle: the owner bits of nobody. */
#define NOBODY UINT32_MAX

void shmdi_ring_bind(struct shmdi_ring *ring, struct shmdi_object *object, unsigned int index)
{
	const struct shmdi_attachment *is = &object->is;
	unsigned char *base = (unsigned char *)object->segment.page;
	struct shmd_ring *rings = ((struct shmd_ring_lines *)(void *)(base + SHMD_KIND_OFFSET))->rings;
	*ring = (struct shmdi_ring){
		.tail = &rings[index].tail,
		.head = &rings[index].head,
		.producer = &rings[index].tail.owner,
		.consumer = is->kind == SHMD_KIND_PIPE ? &rings[1 - index].tail.owner : &rings[index].head.owner,
		.data = base + is->data_offset_bytes + index * is->length,
		.object = object,
		.me = is->read_only ? NOBODY : is->owner,
		.capacity_bytes = (uint32_t)is->length,
		.message_max_bytes = is->message_max_bytes,
		.pipe = is->kind == SHMD_KIND_PIPE,
		.bytes = (is->flags & SHMD_FLAG_BYTES) != 0,
	};
	uint32_t record_max_bytes = shmdi_ring_record_max(ring);
	ring->fast_max_bytes = is->message_max_bytes < record_max_bytes ? is->message_max_bytes : record_max_bytes;
	ring->writer.generation = ring->reader.generation = object->lock.generation;
	shmdi_ring_begin_writing(ring);
	shmdi_ring_begin_reading(ring);
}

void shmdi_ring_clear(struct shmdi_ring *ring)
{
	free(ring->kept);
	ring->kept = NULL;
}

/* ---- roles ---- */

void shmdi_ring_begin_writing(struct shmdi_ring *ring)
{
	ring->writer.looked = ring->writer.woken = SHMDI_RING_NEVER;
	ring->writer.seen = shmdi_load64(&ring->head->word, SHMDI_ACQUIRE);
	ring->writer.fast = !ring->bytes;
	ring->reserved = false;
}

void shmdi_ring_begin_reading(struct shmdi_ring *ring)
{
	ring->reader.looked = ring->reader.woken = SHMDI_RING_NEVER;
	ring->reader.seen = shmdi_load64(&ring->head->word, SHMDI_RELAXED); /* nothing, as far as known */
	ring->reader.gather = SHMDI_GATHER_MIN;
	ring->peeked = 0;
	shmdi_ring_drop_kept(ring);
}

int shmdi_ring_claim(struct shmdi_ring *ring, uint32_t *owner, const char *role)
{
	for (;;) {
		uint32_t old = shmdi_load32(owner, SHMDI_RELAXED);
		if (old == ring->me)
			return SHMDI_RING_FOUND;
		if (old != 0)
			return shmdi_fail(SHMD_E_TAKEN, "another client (seat %u) is the %s", old & SHMD_OWNER_SEAT_MASK, role);
		if (shmdi_cas32(owner, 0, ring->me, SHMDI_ACQ_REL))
			return 0;
	}
}

void shmdi_ring_end(struct shmd_ring_line *own, struct shmd_ring_line *other)
{
	shmdi_or64(&own->word, SHMD_RING_CLOSED, SHMDI_SEQ_CST);
	shmdi_add32(&own->attention, 1, SHMDI_SEQ_CST);
	shmdi_add32(&other->attention, 1, SHMDI_SEQ_CST);
	shmdi_futex_wake(shmdi_ring_futex(own), INT_MAX);
}

/* ---- looking ---- */

int shmdi_ring_over(const struct shmd_ring_line *other, uint64_t marks, const char *who)
{
	if ((marks & SHMD_RING_DIED) == 0)
		return shmdi_fail(SHMD_E_ENDED, "the %s has ended", who);
	struct shmd_notice notice;
	shmdi_notice_read(&other->death, &notice);
	return shmdi_fail(SHMD_E_PEER_DIED, "the %s died: pid %u of uid %u, in seat %u", who, notice.pid, notice.uid,
	                  notice.seat);
}

/* Attention is loaded before, and remembered if this returns 0. */
static int look(const struct shmdi_ring *ring, const uint32_t *owner)
{
	int result = shmdi_object_writable(ring->object);
	if (result < 0)
		return result;
	return shmdi_load32(owner, SHMDI_RELAXED) == ring->me ? 0 : SHMD_E_NOT_OWNER;
}

int shmdi_ring_look_as_producer(struct shmdi_ring *ring)
{
	if (!shmdi_fork_same(ring->writer.generation))
		return SHMD_E_FORKED;
	/* Whoever moved it did before what this shall see. */
	uint32_t attention = shmdi_load32(&ring->tail->attention, SHMDI_ACQUIRE);
	int result = look(ring, ring->producer);
	if (result == 0 && ring->pipe) {
		uint64_t head = shmdi_load64(&ring->head->word, SHMDI_ACQUIRE);
		if ((head & SHMDI_RING_MARKS) != 0) {
			result = look(ring, ring->producer); /* destroying marks too, after the state */
			return result < 0 ? result : shmdi_ring_over(ring->head, head, "reader");
		}
	}
	if (result == 0)
		ring->writer.looked = attention;
	return result;
}

int shmdi_ring_look_as_consumer(struct shmdi_ring *ring)
{
	if (!shmdi_fork_same(ring->reader.generation))
		return SHMD_E_FORKED;
	uint32_t attention = shmdi_load32(&ring->head->attention, SHMDI_ACQUIRE); /* likewise */
	int result = look(ring, ring->consumer);
	if (result == 0)
		ring->reader.looked = attention;
	return result;
}

int shmdi_ring_corrupt(const struct shmdi_ring *ring)
{
	int result = shmdi_object_usable(ring->object);
	return result < 0 ? result : SHMD_E_CORRUPT;
}

/* ---- sleeping ---- */

bool shmdi_ring_late(struct shmdi_ring_wait *wait)
{
	if (wait->deadline_ns != 0)
		return shmdi_expired(wait->deadline_ns);
	wait->deadline_ns = shmdi_deadline(wait->timeout_ns);
	return false;
}

int shmdi_ring_sleep(const struct shmdi_ring *ring, struct shmd_ring_line *other, struct shmdi_ring_side *side,
                     struct shmdi_ring_wait *wait)
{
	uint64_t judged = side->seen;
	uint32_t *low = shmdi_ring_futex(other);
	if (wait->timeout_ns == 0)
		return SHMD_E_WOULD_BLOCK;
	if (!wait->spun) {
		wait->spun = true;
		shmdi_spin_while(low, UINT32_MAX, (uint32_t)judged, &side->spins);
		return 0;
	}
	if (shmdi_ring_late(wait))
		return SHMD_E_TIMED_OUT; /* however often the word moves */
	shmdi_add32(&other->attention, 1, SHMDI_SEQ_CST);
	if (shmdi_load64(&other->word, SHMDI_SEQ_CST) != judged || shmdi_object_usable(ring->object) < 0)
		return 0;
	shmdi_add32(ring->object->waiting, 1, SHMDI_RELAXED);
	int result = shmdi_sleep_on_word(low, (uint32_t)judged, wait->deadline_ns);
	shmdi_add32(ring->object->waiting, UINT32_MAX, SHMDI_RELAXED);
	result = shmdi_slept(result, "the other side");
	return result == SHMD_E_TIMED_OUT ? 0 : result; /* one more look: what came in time is not missed */
}
