/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - one direction of a stream or a pipe: what its producer and its consumer do,
 * the fast paths inlined. shmd_abi.h draws the words and states the protocol beside
 * them; the twin of shm/ring.go; model: tests/models/spsc.pml. What must not be changed:
 *   - a commit loads attention after the exchange, and wakes all if it has moved; what it
 *     then remembers is what it had loaded before the exchange;
 *   - the position of the tail and its marks are judged as they were in one load;
 *   - who sleeps does so on the word that was judged.
 *
 * Orders. The exchange of a word releases what was written, or read, before it; the load
 * of the other side acquires that. Who commits exchanges, then loads attention; who is
 * about to sleep adds to attention, then loads the word: all four are sequentially
 * consistent, so that one of the two sees the other. What a look at attention misses
 * concerns what happens at the same time.
 *
 * Everything but the words is private to the handle, and each half of it to the one
 * thread that has the role.
 */
#ifndef SHMDI_RING_H
#define SHMDI_RING_H

#include "atomic.h"
#include "internal.h"

#include <limits.h>

#pragma GCC visibility push(hidden)

#define SHMDI_RING_FOUND 1
#define SHMDI_RING_MARKS (SHMD_RING_DIED | SHMD_RING_CLOSED)
#define SHMDI_RING_NEVER UINT64_MAX /* what attention never is */
#define SHMDI_RECORD_HEADER ((uint32_t)sizeof(struct shmd_record))

/* A record that is read. */
struct shmdi_record {
	uint64_t at;   /* position of its header */
	uint64_t next; /* position behind it */
	uint32_t type;
	uint32_t length;     /* as it says */
	uint32_t size_bytes; /* of its contents */
};

/* One call's wait. */
struct shmdi_ring_wait {
	int64_t timeout_ns;
	int64_t deadline_ns; /* 0 = not yet known */
	bool spun;
	bool saw; /* has looked how far the other side is */
};

/* Positions, modulo what a word can hold. */
SHMDI_INLINE uint64_t shmdi_ring_position(uint64_t word)
{
	return word >> SHMD_RING_POSITION_SHIFT;
}

SHMDI_INLINE uint64_t shmdi_ring_between(uint64_t from, uint64_t to)
{
	return (to - from) & (SHMD_RING_POSITION_MASK >> SHMD_RING_POSITION_SHIFT);
}

SHMDI_INLINE uint64_t shmdi_record_bytes(uint64_t size_bytes)
{
	return SHMDI_RECORD_HEADER + ((size_bytes + SHMD_RECORD_ALIGN - 1) & ~(uint64_t)(SHMD_RECORD_ALIGN - 1));
}

SHMDI_INLINE uint32_t shmdi_ring_offset(const struct shmdi_ring *ring, uint64_t position)
{
	return (uint32_t)position & (ring->capacity_bytes - 1);
}

/* The longest message that is one record. */
SHMDI_INLINE uint32_t shmdi_ring_record_max(const struct shmdi_ring *ring)
{
	return ring->capacity_bytes / 2 - SHMDI_RECORD_HEADER;
}

SHMDI_INLINE unsigned char *shmdi_record_contents(const struct shmdi_ring *ring, uint64_t at)
{
	return ring->data + shmdi_ring_offset(ring, at) + SHMDI_RECORD_HEADER;
}

/* at is a multiple of 8. */
SHMDI_INLINE void shmdi_record_head(const struct shmdi_ring *ring, uint64_t at, uint32_t type, uint32_t length)
{
	uint64_t *header = (uint64_t *)(void *)(ring->data + shmdi_ring_offset(ring, at));
	shmdi_store64(header, (uint64_t)type << 32 | length, SHMDI_RELAXED);
}

SHMDI_INLINE uint32_t *shmdi_ring_futex(struct shmd_ring_line *line)
{
	return (uint32_t *)(void *)&line->word; /* little endian: the low half */
}

/* The commit of both sides. */
SHMDI_INLINE void shmdi_ring_commit(struct shmd_ring_line *own, struct shmdi_ring_side *side, uint64_t word)
{
	uint32_t before = shmdi_load32(&own->attention, SHMDI_RELAXED);
	shmdi_exchange64(&own->word, word, SHMDI_SEQ_CST);
	if (!SHMDI_LIKELY(shmdi_load32(&own->attention, SHMDI_SEQ_CST) == side->woken)) {
		/* Who announced himself before the exchange judged the word before it. Who did after
		 * it may have judged this one, and sleep in spite of the wake: the next commit is his. */
		side->woken = before;
		shmdi_futex_wake(shmdi_ring_futex(own), INT_MAX);
	}
}

/* Whether nothing has happened that needs a look since the last one. */
SHMDI_INLINE bool shmdi_ring_quiet(const struct shmd_ring_line *own, const struct shmdi_ring_side *side)
{
	return SHMDI_LIKELY(shmdi_fork_same(side->generation) &&
	                    shmdi_load32(&own->attention, SHMDI_RELAXED) == side->looked);
}

SHMDI_INLINE struct shmdi_ring_wait shmdi_ring_wait(int64_t timeout_ns)
{
	return (struct shmdi_ring_wait){.timeout_ns = timeout_ns};
}

/* Whether a record fits behind a position, as far as known; where it begins, behind a
 * PAD if it must not go round. */
SHMDI_INLINE bool shmdi_ring_fits(const struct shmdi_ring *ring, uint64_t at, uint64_t record_bytes,
                                  uint64_t *ret_start)
{
	uint64_t used = shmdi_ring_between(shmdi_ring_position(ring->writer.seen), at);
	uint64_t left = ring->capacity_bytes - shmdi_ring_offset(ring, at);
	uint64_t pad = record_bytes <= left ? 0 : left;
	*ret_start = at + pad;
	return used + pad + record_bytes <= ring->capacity_bytes;
}

/* ---- ring.c: both sides ---- */

/* One of the rings of an object that is bound. */
void shmdi_ring_bind(struct shmdi_ring *ring, struct shmdi_object *object, unsigned int index);
/* Frees what is private. */
void shmdi_ring_clear(struct shmdi_ring *ring);

/* Looks at everything that attention stands for. 0, or why the side cannot be used: FORKED,
 * PERMISSION, REMOVED, CORRUPT, NOT_OWNER, and for the producer of a pipe ENDED, PEER_DIED. */
int shmdi_ring_look_as_producer(struct shmdi_ring *ring);
int shmdi_ring_look_as_consumer(struct shmdi_ring *ring);
/* Waits for the other side's word to be another than the one that was judged. 0 = judge
 * again, or WOULD_BLOCK, TIMED_OUT, SYSTEM. */
int shmdi_ring_sleep(const struct shmdi_ring *ring, struct shmd_ring_line *other, struct shmdi_ring_side *side,
                     struct shmdi_ring_wait *wait);
/* Whether the deadline of a wait that has a timeout is over; the first time it begins. */
bool shmdi_ring_late(struct shmdi_ring_wait *wait);
/* What the marks of the other side say: ENDED or PEER_DIED. */
int shmdi_ring_over(const struct shmd_ring_line *other, uint64_t marks, const char *who);
/* What words that cannot be say: CORRUPT, or REMOVED, which marks them too, after the state. */
int shmdi_ring_corrupt(const struct shmdi_ring *ring);
/* Takes a role: 0 = it is ours now, SHMDI_RING_FOUND = it was before, or TAKEN. */
int shmdi_ring_claim(struct shmdi_ring *ring, uint32_t *owner, const char *role);
/* Begins to be a side: what an earlier owner left in private memory is void. */
void shmdi_ring_begin_writing(struct shmdi_ring *ring);
void shmdi_ring_begin_reading(struct shmdi_ring *ring);
/* Marks a word closed, wakes who sleeps on it, and makes both sides look. */
void shmdi_ring_end(struct shmd_ring_line *own, struct shmd_ring_line *other);

/* ---- ring_write.c ---- */
int shmdi_ring_send_slowly(struct shmdi_ring *ring, const void *message, size_t size_bytes, int64_t timeout_ns);
int shmdi_ring_send_many(struct shmdi_ring *ring, const struct iovec *messages, uint32_t count, int64_t timeout_ns,
                         uint32_t *ret_count);
int shmdi_ring_reserve(struct shmdi_ring *ring, size_t size_bytes, int64_t timeout_ns, void **ret_buffer);
int shmdi_ring_commit_reserved(struct shmdi_ring *ring, size_t size_bytes);
int shmdi_ring_abort(struct shmdi_ring *ring);
int shmdi_ring_write(struct shmdi_ring *ring, const void *bytes, size_t size_bytes, int64_t timeout_ns,
                     size_t *ret_size_bytes);
/* Whether a record of any size would go in, or a look would say why not. */
bool shmdi_ring_is_writable(struct shmdi_ring *ring, uint64_t *ret_judged);

/* ---- ring_read.c ---- */
/* Pauses before a look at a tail: at least less than what a message takes from one core to
 * another, at most as long as some dozen messages take. */
#define SHMDI_GATHER_MIN 3u
#define SHMDI_GATHER_MAX 32u

/* Forgets what has arrived of a message in pieces. */
void shmdi_ring_drop_kept(struct shmdi_ring *ring);
int shmdi_ring_recv_slowly(struct shmdi_ring *ring, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                           size_t *ret_size_bytes);
int shmdi_ring_peek(struct shmdi_ring *ring, int64_t timeout_ns, const void **ret_message, size_t *ret_size_bytes);
int shmdi_ring_peek_many(struct shmdi_ring *ring, struct iovec *ret_messages, uint32_t count, int64_t timeout_ns,
                         uint32_t *ret_count);
int shmdi_ring_advance(struct shmdi_ring *ring, uint32_t count);
int shmdi_ring_read(struct shmdi_ring *ring, void *ret_bytes, size_t buffer_bytes, int64_t timeout_ns,
                    size_t *ret_size_bytes);
bool shmdi_ring_is_readable(struct shmdi_ring *ring, uint64_t *ret_judged);

/* ---- the fast ways ---- */

#define SHMDI_LINE_BYTES 64u

/* What is written next is another core's, who read it a while ago: it is fetched before
 * it is needed. */
SHMDI_INLINE void shmdi_ring_expect_write(const struct shmdi_ring *ring, uint64_t at)
{
	__builtin_prefetch(ring->data + shmdi_ring_offset(ring, at + SHMDI_LINE_BYTES), 1);
	__builtin_prefetch(ring->data + shmdi_ring_offset(ring, at + 2 * SHMDI_LINE_BYTES), 1);
}

SHMDI_INLINE int shmdi_ring_send(struct shmdi_ring *ring, const void *message, size_t size_bytes, int64_t timeout_ns)
{
	struct shmd_ring_line *own = ring->tail;
	if (!SHMDI_LIKELY(ring->writer.fast && shmdi_ring_quiet(own, &ring->writer) && size_bytes <= ring->fast_max_bytes &&
	                  timeout_ns >= SHMD_FOREVER))
		return shmdi_ring_send_slowly(ring, message, size_bytes, timeout_ns);
	uint64_t word = shmdi_load64(&own->word, SHMDI_RELAXED); /* our own */
	uint64_t at = shmdi_ring_position(word);
	uint64_t bytes = shmdi_record_bytes(size_bytes);
	uint64_t start;
	/* Neither marks nor an odd position. */
	if (!SHMDI_LIKELY((word & 63) == 0 && shmdi_ring_fits(ring, at, bytes, &start) && start == at))
		return shmdi_ring_send_slowly(ring, message, size_bytes, timeout_ns);
	shmdi_record_head(ring, at, SHMD_RECORD_MESSAGE, (uint32_t)size_bytes);
	shmdi_copy_in(shmdi_record_contents(ring, at), message, size_bytes);
	shmdi_ring_commit(own, &ring->writer, (at + bytes) << SHMD_RING_POSITION_SHIFT);
	shmdi_ring_expect_write(ring, at + bytes);
	return 0;
}

/* Loads how far the producer is, and both lines of a short record behind a position at
 * once, and not one after the other. */
SHMDI_INLINE void shmdi_ring_see_tail(struct shmdi_ring *ring, uint64_t at)
{
	__builtin_prefetch(ring->data + shmdi_ring_offset(ring, at));
	__builtin_prefetch(ring->data + shmdi_ring_offset(ring, at + SHMDI_LINE_BYTES));
	ring->reader.seen = shmdi_load64(&ring->tail->word, SHMDI_ACQUIRE);
}

SHMDI_INLINE int shmdi_ring_recv(struct shmdi_ring *ring, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                                 size_t *ret_size_bytes)
{
	struct shmd_ring_line *own = ring->head;
	if (!SHMDI_LIKELY(ring->reader.fast && shmdi_ring_quiet(own, &ring->reader) && timeout_ns >= SHMD_FOREVER))
		return shmdi_ring_recv_slowly(ring, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
	uint64_t at = shmdi_ring_position(shmdi_load64(&own->word, SHMDI_RELAXED)); /* our own */
	uint64_t available = shmdi_ring_between(at, shmdi_ring_position(ring->reader.seen));
	if (available == 0 && timeout_ns == 0) {
		shmdi_ring_see_tail(ring, at);
		available = shmdi_ring_between(at, shmdi_ring_position(ring->reader.seen));
		if (available == 0 && (ring->reader.seen & SHMDI_RING_MARKS) == 0)
			return SHMD_E_WOULD_BLOCK;
	}
	/* 0 is more than any capacity here. */
	if (!SHMDI_LIKELY(available - 1 < ring->capacity_bytes && at % SHMD_RECORD_ALIGN == 0))
		return shmdi_ring_recv_slowly(ring, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
	uint32_t offset = shmdi_ring_offset(ring, at);
	uint64_t header = shmdi_load64((const uint64_t *)(const void *)(ring->data + offset), SHMDI_RELAXED);
	uint64_t size_bytes = (uint32_t)header;
	uint64_t bytes = shmdi_record_bytes(size_bytes);
	if (!SHMDI_LIKELY(header >> 32 == SHMD_RECORD_MESSAGE && size_bytes <= buffer_bytes && bytes <= available &&
	                  bytes <= ring->capacity_bytes - offset))
		return shmdi_ring_recv_slowly(ring, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
	memcpy(ret_message, ring->data + offset + SHMDI_RECORD_HEADER, size_bytes);
	shmdi_ring_commit(own, &ring->reader, (at + bytes) << SHMD_RING_POSITION_SHIFT);
	*ret_size_bytes = size_bytes;
	return 0;
}

#pragma GCC visibility pop

#endif /* SHMDI_RING_H */
