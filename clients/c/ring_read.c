/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_read.c - what the consumer of a ring does, but for the fast way, which is in
 * ring.h: the twin of shm/ring_read.go.
 */
#include "ring.h"

#include <stdlib.h>

static uint64_t own_position(const struct shmdi_ring *ring)
{
	return shmdi_ring_position(shmdi_load64(&ring->head->word, SHMDI_RELAXED));
}

static void commit(struct shmdi_ring *ring, uint64_t position)
{
	shmdi_ring_commit(ring->head, &ring->reader, position << SHMD_RING_POSITION_SHIFT);
}

/* ---- what is kept of a message in pieces ---- */

/* Read by whoever watches a pollable, too. */
static bool is_whole(const struct shmdi_ring *ring)
{
	return __atomic_load_n(&ring->kept_whole, __ATOMIC_RELAXED);
}

static void set_whole(struct shmdi_ring *ring, bool whole)
{
	__atomic_store_n(&ring->kept_whole, whole, __ATOMIC_RELAXED);
}

void shmdi_ring_drop_kept(struct shmdi_ring *ring)
{
	free(ring->kept);
	ring->kept = NULL;
	ring->kept_bytes = ring->rest_bytes = 0;
	set_whole(ring, false);
	ring->reader.fast = !ring->bytes;
}

/* Room for a message that begins with this piece. */
static int begin_keeping(struct shmdi_ring *ring, const struct shmdi_record *record)
{
	ring->kept = malloc(record->length);
	if (ring->kept == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "no memory for a message of %u bytes; it stays", record->length);
	ring->rest_bytes = record->length;
	ring->reader.fast = false;
	return 0;
}

/* Adds a piece to what is there of the message; its place is `to`. */
static int keep(struct shmdi_ring *ring, const struct shmdi_record *record, unsigned char *to)
{
	if (record->length != ring->rest_bytes)
		return shmdi_ring_corrupt(ring);
	memcpy(to + ring->kept_bytes, shmdi_record_contents(ring, record->at), record->size_bytes);
	ring->kept_bytes += record->size_bytes;
	ring->rest_bytes -= record->size_bytes;
	set_whole(ring, ring->rest_bytes == 0);
	return 0;
}

/* ---- records ---- */

/* Reads the record at a position, of which so much is there. false = it cannot be. */
static bool read_record(const struct shmdi_ring *ring, uint64_t at, uint64_t available_bytes,
                        struct shmdi_record *ret_record)
{
	uint32_t offset = shmdi_ring_offset(ring, at);
	uint32_t left_bytes = ring->capacity_bytes - offset;
	if (at % SHMD_RECORD_ALIGN != 0 || available_bytes < SHMDI_RECORD_HEADER)
		return false;
	uint64_t header = shmdi_load64((const uint64_t *)(const void *)(ring->data + offset), SHMDI_RELAXED);
	struct shmdi_record record = {.at = at, .type = (uint32_t)(header >> 32), .length = (uint32_t)header};
	uint64_t bytes = SHMDI_RECORD_HEADER;
	switch (record.type) {
	case SHMD_RECORD_MESSAGE:
		record.size_bytes = record.length;
		bytes = shmdi_record_bytes(record.size_bytes);
		break;
	case SHMD_RECORD_FIRST:
	case SHMD_RECORD_REST:
		bytes = ring->capacity_bytes / SHMD_RECORD_PIECES;
		record.size_bytes = (uint32_t)bytes - SHMDI_RECORD_HEADER;
		if (!ring->pipe || record.length == 0 || record.length > ring->message_max_bytes)
			return false;
		if (record.length <= record.size_bytes) { /* the last one */
			if (record.type == SHMD_RECORD_FIRST)
				return false;
			record.size_bytes = record.length;
			bytes = shmdi_record_bytes(record.size_bytes);
		}
		break;
	case SHMD_RECORD_PAD:
		bytes = left_bytes;
		break;
	case SHMD_RECORD_END:
		if (ring->pipe || (record.length & SHMDI_RING_MARKS) == 0)
			return false;
		break;
	default:
		return false;
	}
	record.next = at + bytes;
	*ret_record = record;
	return bytes <= left_bytes && bytes <= available_bytes;
}

/* How much there is behind a position, as far as known; more than the capacity = nothing
 * is known. */
static uint64_t known(const struct shmdi_ring *ring, uint64_t at)
{
	return shmdi_ring_between(at, shmdi_ring_position(ring->reader.seen));
}

/* Loads how far the producer is, if nothing is known to be there. 0 = look at *ret_available, or CORRUPT.
 * A try loads it once, and judges what it saw then: a producer that goes on and on does not
 * hold it up. */
static int see(struct shmdi_ring *ring, struct shmdi_ring_wait *wait, uint64_t at, uint64_t *ret_available)
{
	*ret_available = known(ring, at);
	if (*ret_available != 0 && *ret_available <= ring->capacity_bytes)
		return 0;
	if (*ret_available == 0 && wait->timeout_ns == 0 && wait->saw)
		return 0;
	wait->saw = true;
	shmdi_ring_see_tail(ring, at);
	*ret_available = known(ring, at);
	return *ret_available <= ring->capacity_bytes ? 0 : shmdi_ring_corrupt(ring);
}

/* Nothing is there: the end, which of a stream is told once, or one sleep. 0 = look again. */
static int await(struct shmdi_ring *ring, struct shmdi_ring_wait *wait)
{
	uint64_t marks = ring->reader.seen & SHMDI_RING_MARKS;
	uint64_t head = shmdi_load64(&ring->head->word, SHMDI_RELAXED);
	if (marks != 0 && (ring->pipe || (head & SHMD_RING_ENDED) == 0)) {
		int result = shmdi_ring_look_as_consumer(ring); /* destroying marks too, after the state */
		if (result < 0)
			return result;
		if (ring->pipe)
			shmdi_ring_drop_kept(ring); /* the rest will not come */
		else
			shmdi_exchange64(&ring->head->word, head | SHMD_RING_ENDED, SHMDI_SEQ_CST);
		return shmdi_ring_over(ring->tail, marks, ring->pipe ? "writer" : "producer");
	}
	int result = shmdi_ring_sleep(ring, ring->tail, &ring->reader, wait);
	return result < 0 ? result : shmdi_ring_look_as_consumer(ring);
}

/* What is no message and no piece of one is dealt with here: 0 = go on behind it. */
static int step_over(struct shmdi_ring *ring, const struct shmdi_record *record)
{
	bool told = (shmdi_load64(&ring->head->word, SHMDI_RELAXED) & SHMD_RING_ENDED) != 0;
	commit(ring, record->next);
	if (record->type == SHMD_RECORD_END && !told)
		return shmdi_ring_over(ring->tail, record->length, "producer");
	return 0; /* an end that was told, or a piece whose first ones are lost */
}

/* Whether a record is what a message begins with, or goes on. */
static bool is_part(struct shmdi_ring *ring, const struct shmdi_record *record)
{
	if (record->type == SHMD_RECORD_REST)
		return ring->kept != NULL;
	if (record->type != SHMD_RECORD_MESSAGE && record->type != SHMD_RECORD_FIRST)
		return false;
	if (ring->kept != NULL)
		shmdi_ring_drop_kept(ring); /* that message was given up */
	return true;
}

/* Finds the first message or piece, waiting for one. */
static int find(struct shmdi_ring *ring, struct shmdi_ring_wait *wait, struct shmdi_record *ret_record)
{
	for (uint32_t stepped = 0; stepped <= ring->capacity_bytes / SHMD_RECORD_ALIGN;) {
		uint64_t at = own_position(ring);
		uint64_t available_bytes;
		int result = see(ring, wait, at, &available_bytes);
		if (result == 0 && available_bytes == 0)
			result = await(ring, wait);
		if (result < 0)
			return result;
		if (available_bytes == 0)
			continue;
		struct shmdi_record record;
		if (!read_record(ring, at, available_bytes, &record))
			return shmdi_ring_corrupt(ring);
		if (record.type == SHMD_RECORD_PAD &&
		    !read_record(ring, record.next, available_bytes - (record.next - at), &record))
			return shmdi_ring_corrupt(ring);
		if (is_part(ring, &record)) {
			*ret_record = record;
			return 0;
		}
		result = step_over(ring, &record);
		if (result < 0)
			return result;
		stepped++;
	}
	return shmdi_ring_corrupt(ring); /* a ring full of what is no message */
}

/* Where a message is that was found: in the ring, kept, or in the caller's buffer already. */
struct message {
	const unsigned char *bytes;
	size_t size_bytes;
	uint64_t next; /* in the ring: the position behind it */
};

static int too_small(size_t size_bytes, size_t room_bytes, struct message *ret_message)
{
	ret_message->size_bytes = size_bytes;
	return shmdi_fail(SHMD_E_TOO_LARGE, "the message has %zu bytes, the buffer %zu; the message stays", size_bytes,
	                  room_bytes);
}

/* Whoever begins one message after the other, and ends none, does not hold the reader up
 * for longer than it wants to wait. A try ends by itself: see sees to that. */
static int go_on(struct shmdi_ring *ring, struct shmdi_ring_wait *wait)
{
	int result = shmdi_ring_look_as_consumer(ring);
	return result == 0 && wait->timeout_ns != 0 && shmdi_ring_late(wait) ? SHMD_E_TIMED_OUT : result;
}

/* Finds the first message, waiting for it and for all of its pieces. Those are put into
 * the caller's buffer at once, if there is one and no call before has begun with it; what
 * is there when this fails is kept. Of TOO_LARGE *ret_message has the size. */
static int find_message(struct shmdi_ring *ring, struct shmdi_ring_wait *wait, unsigned char *buffer,
                        size_t room_bytes, struct message *ret_message)
{
	if (is_whole(ring) && ring->kept_bytes > room_bytes)
		return too_small(ring->kept_bytes, room_bytes, ret_message);
	unsigned char *to = ring->kept;
	uint32_t begun = 0;
	int result = 0;
	while (result == 0 && !is_whole(ring)) {
		struct shmdi_record record = {0};
		result = find(ring, wait, &record);
		if (result < 0)
			break;
		if ((size_t)ring->kept_bytes + record.length > room_bytes) /* kept_bytes: 0 unless it goes on */
			return too_small((size_t)ring->kept_bytes + record.length, room_bytes, ret_message);
		if (ring->kept == NULL) {
			if (record.type == SHMD_RECORD_MESSAGE) {
				*ret_message =
					(struct message){shmdi_record_contents(ring, record.at), record.size_bytes, record.next};
				return 0;
			}
			if (begun++ > 0 && (result = go_on(ring, wait)) < 0)
				break;
			result = begin_keeping(ring, &record);
			to = buffer != NULL ? buffer : ring->kept;
		}
		if (result == 0)
			result = keep(ring, &record, to);
		if (result == 0)
			commit(ring, record.next);
		wait->spun = false; /* the producer is at it */
	}
	if (result < 0 && ring->kept != NULL && to != ring->kept)
		memcpy(ring->kept, to, ring->kept_bytes);
	if (result == 0)
		*ret_message = (struct message){to, ring->kept_bytes, own_position(ring)};
	return result;
}

/* Begins a call: looks at everything. */
static int begin(struct shmdi_ring *ring, int64_t timeout_ns)
{
	return timeout_ns < SHMD_FOREVER ? SHMD_E_INVALID : shmdi_ring_look_as_consumer(ring);
}

/* ---- messages ---- */

/* Before a look at a tail that may have just moved: a producer that is at it commits some
 * more, if the line of the tail is not taken away from it after each. true = there was one. */
static bool let_gather(const struct shmdi_ring *ring)
{
	if (known(ring, own_position(ring)) != 0)
		return false;
	for (uint32_t i = 0; i < ring->reader.gather; i++)
		shmdi_pause();
	return true;
}

/* Longer the next time, if more than one message was there; who waits for an answer finds
 * one. */
static void learn_to_gather(struct shmdi_ring *ring, uint64_t next)
{
	uint32_t more = 2 * ring->reader.gather;
	if (known(ring, next) == 0)
		ring->reader.gather = SHMDI_GATHER_MIN;
	else
		ring->reader.gather = more < SHMDI_GATHER_MAX ? more : SHMDI_GATHER_MAX;
}

int shmdi_ring_recv_slowly(struct shmdi_ring *ring, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                           size_t *ret_size_bytes)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	int result = begin(ring, timeout_ns);
	if (result < 0)
		return result;
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	struct message message;
	bool gathered = timeout_ns != 0 && let_gather(ring);
	result = find_message(ring, &wait, ret_message, buffer_bytes, &message);
	if (gathered && result >= 0)
		learn_to_gather(ring, message.next);
	if (result == SHMD_E_TOO_LARGE)
		*ret_size_bytes = message.size_bytes;
	if (result < 0)
		return result;
	if (message.size_bytes > 0 && message.bytes != ret_message)
		memcpy(ret_message, message.bytes, message.size_bytes);
	*ret_size_bytes = message.size_bytes;
	if (is_whole(ring))
		shmdi_ring_drop_kept(ring);
	else
		commit(ring, message.next);
	ring->peeked = 0;
	return 0;
}

/* ---- in place ---- */

/* Peeks at one more message, if it is there; what is wrong is said when it is the first. */
static bool peek_next(struct shmdi_ring *ring, struct iovec *ret_message)
{
	uint64_t available_bytes = known(ring, ring->peeked_to);
	struct shmdi_record record;
	if (available_bytes > ring->capacity_bytes || !read_record(ring, ring->peeked_to, available_bytes, &record))
		return false;
	if (record.type == SHMD_RECORD_PAD && !read_record(ring, record.next, known(ring, record.next), &record))
		return false;
	if (record.type != SHMD_RECORD_MESSAGE)
		return false;
	*ret_message = (struct iovec){shmdi_record_contents(ring, record.at), record.size_bytes};
	ring->peeked++;
	ring->peeked_to = record.next;
	return true;
}

int shmdi_ring_peek_many(struct shmdi_ring *ring, struct iovec *ret_messages, uint32_t count, int64_t timeout_ns,
                         uint32_t *ret_count)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	if (ret_messages == NULL || count == 0 || ret_count == NULL)
		return SHMD_E_INVALID;
	int result = begin(ring, timeout_ns);
	if (result < 0)
		return result;
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	struct message message;
	ring->peeked = 0;
	result = find_message(ring, &wait, NULL, SIZE_MAX, &message);
	if (result < 0)
		return result;
	ret_messages[0] = (struct iovec){(void *)(uintptr_t)message.bytes, message.size_bytes};
	ring->peeked = 1;
	ring->peeked_from = own_position(ring);
	ring->peeked_to = message.next;
	if (!is_whole(ring) && count > 1) {
		ring->reader.seen = shmdi_load64(&ring->tail->word, SHMDI_ACQUIRE);
		while (ring->peeked < count && peek_next(ring, &ret_messages[ring->peeked]))
			;
	}
	*ret_count = ring->peeked;
	return 0;
}

int shmdi_ring_peek(struct shmdi_ring *ring, int64_t timeout_ns, const void **ret_message, size_t *ret_size_bytes)
{
	if (ret_message == NULL || ret_size_bytes == NULL)
		return SHMD_E_INVALID;
	struct iovec message;
	uint32_t count;
	int result = shmdi_ring_peek_many(ring, &message, 1, timeout_ns, &count);
	if (result < 0)
		return result;
	*ret_message = message.iov_base;
	*ret_size_bytes = message.iov_len;
	return 0;
}

/* Where the first so many of what was peeked end. */
static int behind(const struct shmdi_ring *ring, uint32_t count, uint64_t *ret_position)
{
	*ret_position = ring->peeked_to;
	if (count == ring->peeked)
		return 0;
	uint64_t at = ring->peeked_from;
	for (uint32_t i = 0; i < count;) {
		struct shmdi_record record;
		uint64_t there_bytes = shmdi_ring_between(at, ring->peeked_to);
		if (there_bytes > ring->capacity_bytes || !read_record(ring, at, there_bytes, &record))
			return shmdi_ring_corrupt(ring);
		at = record.next;
		if (record.type != SHMD_RECORD_PAD)
			i++;
	}
	*ret_position = at;
	return 0;
}

int shmdi_ring_advance(struct shmdi_ring *ring, uint32_t count)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	int result = shmdi_ring_quiet(ring->head, &ring->reader) ? 0 : shmdi_ring_look_as_consumer(ring);
	if (result < 0)
		return result;
	if (count > ring->peeked || own_position(ring) != ring->peeked_from)
		return shmdi_fail(SHMD_E_INVALID, "%u messages are to be taken, and %u were peeked at", count, ring->peeked);
	if (count == 0)
		return 0;
	uint64_t position;
	result = behind(ring, count, &position);
	if (result < 0)
		return result;
	ring->peeked -= count;
	ring->peeked_from = position;
	if (is_whole(ring))
		shmdi_ring_drop_kept(ring);
	else
		commit(ring, position);
	return 0;
}

/* ---- bytes ---- */

static void get_bytes(const struct shmdi_ring *ring, uint64_t at, unsigned char *bytes, uint32_t size_bytes)
{
	uint32_t offset = shmdi_ring_offset(ring, at);
	uint32_t left_bytes = ring->capacity_bytes - offset;
	uint32_t first_bytes = size_bytes < left_bytes ? size_bytes : left_bytes;
	memcpy(bytes, ring->data + offset, first_bytes);
	memcpy(bytes + first_bytes, ring->data, size_bytes - first_bytes);
}

int shmdi_ring_read(struct shmdi_ring *ring, void *ret_bytes, size_t buffer_bytes, int64_t timeout_ns,
                    size_t *ret_size_bytes)
{
	if (!ring->bytes)
		return SHMD_E_UNSUPPORTED;
	if ((ret_bytes == NULL && buffer_bytes > 0) || ret_size_bytes == NULL)
		return SHMD_E_INVALID;
	int result = begin(ring, timeout_ns);
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	size_t done_bytes = 0;
	while (result == 0 && done_bytes < buffer_bytes) {
		uint64_t at = own_position(ring);
		uint64_t available_bytes;
		result = see(ring, &wait, at, &available_bytes);
		if (result < 0 || (available_bytes == 0 && done_bytes > 0))
			break;
		if (available_bytes == 0) {
			result = await(ring, &wait);
			continue;
		}
		/* In parts, so that the writer can go on. */
		uint32_t part_bytes = ring->capacity_bytes / SHMD_RECORD_PIECES;
		if (part_bytes > available_bytes)
			part_bytes = (uint32_t)available_bytes;
		if (part_bytes > buffer_bytes - done_bytes)
			part_bytes = (uint32_t)(buffer_bytes - done_bytes);
		get_bytes(ring, at, (unsigned char *)ret_bytes + done_bytes, part_bytes);
		commit(ring, at + part_bytes);
		done_bytes += part_bytes;
	}
	if (result < 0 && done_bytes == 0)
		return result;
	*ret_size_bytes = done_bytes;
	return 0;
}

/* ---- waiting with others ---- */

bool shmdi_ring_is_readable(struct shmdi_ring *ring, uint64_t *ret_judged)
{
	uint64_t tail = shmdi_load64(&ring->tail->word, SHMDI_ACQUIRE);
	uint64_t head = shmdi_load64(&ring->head->word, SHMDI_RELAXED);
	*ret_judged = tail;
	if (shmdi_load32(ring->consumer, SHMDI_RELAXED) != ring->me || shmdi_object_usable(ring->object) < 0)
		return true;
	bool over = (tail & SHMDI_RING_MARKS) != 0 && (ring->pipe || (head & SHMD_RING_ENDED) == 0);
	return over || is_whole(ring) || shmdi_ring_position(tail) != shmdi_ring_position(head);
}
