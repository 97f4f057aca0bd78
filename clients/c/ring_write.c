/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_write.c - what the producer of a ring does, but for the fast way, which is in
 * ring.h: the twin of shm/ring_write.go.
 */
#include "ring.h"

/* ---- room ---- */

/* Loads how far the consumer is. 0, or CORRUPT, or that there is none any more. */
static int see(struct shmdi_ring *ring, uint64_t at)
{
	uint64_t head = shmdi_load64(&ring->head->word, SHMDI_ACQUIRE);
	ring->writer.seen = head;
	if (shmdi_ring_between(shmdi_ring_position(head), at) > ring->capacity_bytes)
		return shmdi_ring_corrupt(ring);
	if (ring->pipe && (head & SHMDI_RING_MARKS) != 0) {
		int result = shmdi_ring_look_as_producer(ring);
		return result < 0 ? result : shmdi_ring_corrupt(ring);
	}
	return 0;
}

/* One look at the consumer, or one sleep until it moves. */
static int await(struct shmdi_ring *ring, struct shmdi_ring_wait *wait)
{
	int result = shmdi_ring_sleep(ring, ring->head, &ring->writer, wait);
	return result < 0 ? result : shmdi_ring_look_as_producer(ring);
}

/* Waits until a record fits behind a position. */
static int room(struct shmdi_ring *ring, uint64_t at, uint64_t record_bytes, struct shmdi_ring_wait *wait,
                uint64_t *ret_start)
{
	while (!shmdi_ring_fits(ring, at, record_bytes, ret_start)) {
		int result = see(ring, at);
		if (result == 0 && !shmdi_ring_fits(ring, at, record_bytes, ret_start))
			result = await(ring, wait);
		if (result < 0)
			return result;
	}
	return 0;
}

/* ---- records ---- */

static void commit(struct shmdi_ring *ring, uint64_t position)
{
	shmdi_ring_commit(ring->tail, &ring->writer, position << SHMD_RING_POSITION_SHIFT);
}

/* Writes a record where room said; where it ends. Nobody sees it yet. */
static uint64_t put(struct shmdi_ring *ring, uint64_t at, uint64_t start, uint32_t type, uint32_t length,
                    const void *contents, size_t size_bytes)
{
	if (start != at)
		shmdi_record_head(ring, at, SHMD_RECORD_PAD, 0);
	shmdi_record_head(ring, start, type, length);
	shmdi_copy_in(shmdi_record_contents(ring, start), contents, size_bytes);
	return start + shmdi_record_bytes(size_bytes);
}

/* Looks at everything; where a record goes. The end of an earlier producer is written
 * before it, and committed with it. */
static int begin(struct shmdi_ring *ring, struct shmdi_ring_wait *wait, uint64_t *ret_at)
{
	if (wait->timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	int result = shmdi_ring_look_as_producer(ring);
	if (result < 0)
		return result;
	if (ring->reserved)
		return shmdi_fail(SHMD_E_INVALID, "a message is reserved; commit or abort that first");
	uint64_t word = shmdi_load64(&ring->tail->word, SHMDI_RELAXED); /* our own */
	uint64_t marks = word & SHMDI_RING_MARKS;
	*ret_at = shmdi_ring_position(word);
	if ((word & SHMD_RING_ENDED) != 0 || (ring->pipe && marks != 0) ||
	    (!ring->bytes && *ret_at % SHMD_RECORD_ALIGN != 0))
		return shmdi_ring_corrupt(ring);
	if (marks == 0)
		return 0;
	uint64_t start;
	result = room(ring, *ret_at, SHMDI_RECORD_HEADER, wait, &start);
	if (result == 0)
		*ret_at = put(ring, *ret_at, start, SHMD_RECORD_END, (uint32_t)marks, NULL, 0);
	return result;
}

/* ---- messages ---- */

static int too_large(const struct shmdi_ring *ring, size_t size_bytes)
{
	return shmdi_fail(SHMD_E_TOO_LARGE, "the message has %zu bytes; this %s takes up to %u (message_max)", size_bytes,
	                  ring->pipe ? "pipe" : "stream", ring->message_max_bytes);
}

/* Whether a message in so many pieces fits as a whole, a PAD included. */
static bool pieces_fit(struct shmdi_ring *ring, uint64_t at, uint64_t pieces)
{
	uint64_t piece_bytes = ring->capacity_bytes / SHMD_RECORD_PIECES;
	uint64_t used = shmdi_ring_between(shmdi_ring_position(ring->writer.seen), at);
	return used <= ring->capacity_bytes && (pieces + 1) * piece_bytes <= ring->capacity_bytes - used;
}

/* A message that is longer than one record may be. */
static int send_in_pieces(struct shmdi_ring *ring, uint64_t at, const unsigned char *message, uint32_t size_bytes,
                          struct shmdi_ring_wait *wait)
{
	uint32_t piece_max = ring->capacity_bytes / SHMD_RECORD_PIECES - SHMDI_RECORD_HEADER;
	int result = see(ring, at);
	if (result == 0 && wait->timeout_ns == 0 && !pieces_fit(ring, at, size_bytes / piece_max + 1))
		return SHMD_E_WOULD_BLOCK;
	for (uint32_t sent_bytes = 0; result == 0 && sent_bytes < size_bytes;) {
		uint32_t rest_bytes = size_bytes - sent_bytes;
		uint32_t part_bytes = rest_bytes < piece_max ? rest_bytes : piece_max;
		uint64_t start;
		result = room(ring, at, shmdi_record_bytes(part_bytes), wait, &start);
		if (result < 0)
			break; /* void: the next record does not go on with it */
		at = put(ring, at, start, sent_bytes == 0 ? SHMD_RECORD_FIRST : SHMD_RECORD_REST, rest_bytes,
		         message + sent_bytes, part_bytes);
		commit(ring, at);
		sent_bytes += part_bytes;
		wait->spun = false; /* the consumer is at it */
	}
	return result;
}

int shmdi_ring_send_slowly(struct shmdi_ring *ring, const void *message, size_t size_bytes, int64_t timeout_ns)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	uint64_t at = 0;
	int result = begin(ring, &wait, &at);
	if (result < 0)
		return result;
	if (size_bytes > ring->message_max_bytes)
		return too_large(ring, size_bytes);
	if (size_bytes > ring->fast_max_bytes)
		return send_in_pieces(ring, at, message, (uint32_t)size_bytes, &wait);
	uint64_t start;
	result = room(ring, at, shmdi_record_bytes(size_bytes), &wait, &start);
	if (result == 0)
		commit(ring, put(ring, at, start, SHMD_RECORD_MESSAGE, (uint32_t)size_bytes, message, size_bytes));
	return result;
}

int shmdi_ring_send_many(struct shmdi_ring *ring, const struct iovec *messages, uint32_t count, int64_t timeout_ns,
                         uint32_t *ret_count)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	if (messages == NULL || count == 0 || ret_count == NULL)
		return SHMD_E_INVALID;
	for (uint32_t i = 0; i < count; i++)
		if (messages[i].iov_base == NULL && messages[i].iov_len > 0)
			return SHMD_E_INVALID;
	if (messages[0].iov_len > ring->fast_max_bytes) { /* alone */
		int result = shmdi_ring_send_slowly(ring, messages[0].iov_base, messages[0].iov_len, timeout_ns);
		if (result == 0)
			*ret_count = 1;
		return result;
	}
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	uint64_t at = 0;
	uint64_t start;
	int result = begin(ring, &wait, &at);
	if (result == 0)
		result = room(ring, at, shmdi_record_bytes(messages[0].iov_len), &wait, &start);
	if (result < 0)
		return result;
	uint32_t done = 0;
	bool seen = false;
	while (done < count && messages[done].iov_len <= ring->fast_max_bytes) {
		uint32_t size_bytes = (uint32_t)messages[done].iov_len;
		if (!shmdi_ring_fits(ring, at, shmdi_record_bytes(size_bytes), &start)) {
			if (seen || see(ring, at) < 0)
				break; /* the next call says why */
			seen = true;
			continue;
		}
		at = put(ring, at, start, SHMD_RECORD_MESSAGE, size_bytes, messages[done].iov_base, size_bytes);
		done++;
	}
	commit(ring, at);
	*ret_count = done;
	return 0;
}

/* ---- in place ---- */

int shmdi_ring_reserve(struct shmdi_ring *ring, size_t size_bytes, int64_t timeout_ns, void **ret_buffer)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	if (ret_buffer == NULL)
		return SHMD_E_INVALID;
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	uint64_t at = 0;
	uint64_t start;
	int result = begin(ring, &wait, &at);
	if (result < 0)
		return result;
	if (size_bytes > ring->fast_max_bytes)
		return shmdi_fail(SHMD_E_TOO_LARGE, "%zu bytes are to be reserved; at most %u can be", size_bytes,
		                  ring->fast_max_bytes);
	result = room(ring, at, shmdi_record_bytes(size_bytes), &wait, &start);
	if (result < 0)
		return result;
	if (start != at)
		shmdi_record_head(ring, at, SHMD_RECORD_PAD, 0);
	ring->reserved = true;
	ring->writer.fast = false; /* so that a send sees it */
	ring->reserved_at = start;
	ring->reserved_bytes = (uint32_t)size_bytes;
	ring->reserved_word = shmdi_load64(&ring->tail->word, SHMDI_RELAXED);
	*ret_buffer = shmdi_record_contents(ring, start);
	return 0;
}

static int begin_to_end(struct shmdi_ring *ring)
{
	if (ring->bytes)
		return SHMD_E_UNSUPPORTED;
	return shmdi_ring_quiet(ring->tail, &ring->writer) ? 0 : shmdi_ring_look_as_producer(ring);
}

static void forget_reserved(struct shmdi_ring *ring)
{
	ring->reserved = false;
	ring->writer.fast = true;
}

int shmdi_ring_commit_reserved(struct shmdi_ring *ring, size_t size_bytes)
{
	int result = begin_to_end(ring);
	if (result < 0)
		return result;
	/* What was sent meanwhile, through another handle, lies where this one was to be. */
	bool reserved = ring->reserved && shmdi_load64(&ring->tail->word, SHMDI_RELAXED) == ring->reserved_word;
	if (!reserved || size_bytes > ring->reserved_bytes)
		return shmdi_fail(SHMD_E_INVALID, "%zu bytes to commit, of %u that are reserved", size_bytes,
		                  reserved ? ring->reserved_bytes : 0);
	forget_reserved(ring);
	shmdi_record_head(ring, ring->reserved_at, SHMD_RECORD_MESSAGE, (uint32_t)size_bytes);
	commit(ring, ring->reserved_at + shmdi_record_bytes(size_bytes));
	return 0;
}

int shmdi_ring_abort(struct shmdi_ring *ring)
{
	int result = begin_to_end(ring);
	bool nobody_receives = result == SHMD_E_ENDED || result == SHMD_E_PEER_DIED; /* which is all the same to it */
	if (result < 0 && !nobody_receives)
		return result;
	if (!ring->reserved)
		return shmdi_fail(SHMD_E_INVALID, "nothing is reserved");
	forget_reserved(ring);
	return 0;
}

/* ---- bytes ---- */

/* Copies to a position, around the end if need be. */
static void put_bytes(const struct shmdi_ring *ring, uint64_t at, const unsigned char *bytes, uint32_t size_bytes)
{
	uint32_t offset = shmdi_ring_offset(ring, at);
	uint32_t left_bytes = ring->capacity_bytes - offset;
	uint32_t first_bytes = size_bytes < left_bytes ? size_bytes : left_bytes;
	shmdi_copy_in(ring->data + offset, bytes, first_bytes);
	shmdi_copy_in(ring->data, bytes + first_bytes, size_bytes - first_bytes);
}

int shmdi_ring_write(struct shmdi_ring *ring, const void *bytes, size_t size_bytes, int64_t timeout_ns,
                     size_t *ret_size_bytes)
{
	if (!ring->bytes)
		return SHMD_E_UNSUPPORTED;
	if ((bytes == NULL && size_bytes > 0) || ret_size_bytes == NULL)
		return SHMD_E_INVALID;
	struct shmdi_ring_wait wait = shmdi_ring_wait(timeout_ns);
	uint64_t at = 0;
	int result = begin(ring, &wait, &at);
	size_t done_bytes = 0;
	while (result == 0 && done_bytes < size_bytes) {
		uint64_t used_bytes = shmdi_ring_between(shmdi_ring_position(ring->writer.seen), at);
		if (used_bytes >= ring->capacity_bytes) {
			result = see(ring, at);
			used_bytes = shmdi_ring_between(shmdi_ring_position(ring->writer.seen), at);
		}
		if (result < 0 || (used_bytes == ring->capacity_bytes && done_bytes > 0))
			break;
		if (used_bytes == ring->capacity_bytes) {
			result = await(ring, &wait);
			continue;
		}
		/* In parts, so that the reader can begin. */
		uint32_t part_bytes = ring->capacity_bytes / SHMD_RECORD_PIECES;
		if (part_bytes > ring->capacity_bytes - used_bytes)
			part_bytes = ring->capacity_bytes - (uint32_t)used_bytes;
		if (part_bytes > size_bytes - done_bytes)
			part_bytes = (uint32_t)(size_bytes - done_bytes);
		put_bytes(ring, at, (const unsigned char *)bytes + done_bytes, part_bytes);
		at += part_bytes;
		commit(ring, at);
		done_bytes += part_bytes;
	}
	if (result < 0 && done_bytes == 0)
		return result;
	*ret_size_bytes = done_bytes;
	return 0;
}

/* ---- waiting with others ---- */

bool shmdi_ring_is_writable(struct shmdi_ring *ring, uint64_t *ret_judged)
{
	uint64_t head = shmdi_load64(&ring->head->word, SHMDI_ACQUIRE);
	uint64_t at = shmdi_ring_position(shmdi_load64(&ring->tail->word, SHMDI_RELAXED));
	*ret_judged = head;
	if (shmdi_load32(ring->producer, SHMDI_RELAXED) != ring->me || shmdi_object_usable(ring->object) < 0)
		return true;
	if (ring->pipe && (head & SHMDI_RING_MARKS) != 0)
		return true;
	uint64_t used_bytes = shmdi_ring_between(shmdi_ring_position(head), at);
	return used_bytes <= ring->capacity_bytes / 2 || used_bytes > ring->capacity_bytes;
}
