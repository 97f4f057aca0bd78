/* SPDX-License-Identifier: Apache-2.0
 *
 * sequence.c - brackets around writes, and snapshots that see whole brackets.
 * tests/models/value.pml states it. The sequence word is stored only by the
 * holder of the lock, or by recovery for a dead holder.
 *
 * With a foreign lock the array's own lock line is unused but for write_depth,
 * and sequence.writer says whose bracket is open.
 *
 * Orders. Odd, a release fence, the data: a snapshot that copies any of the data, then
 * passes its acquire fence, finds odd or later at its second look, and discards the copy.
 * The data, then even with release: a snapshot that acquires even at its first look
 * copies all of it. Even, then the bump: whoever announces himself in the change word
 * and finds it odd still is woken (change.c). Among writers the lock orders the word.
 */
#include "change.h"

#include <limits.h>
#include <string.h>

#define TRIES 64

static bool foreign(const struct shmdi_object *object)
{
	return (object->is.flags & SHMD_FLAG_LOCK_FOREIGN) != 0;
}

/* Holding the lock, and everything else that writing needs. */
static int may_write(const struct shmdi_object *object)
{
	int result = shmdi_object_writable(object);
	return result < 0 ? result : shmdi_lock_held(&object->lock);
}

int shmdi_sequence_begin(struct shmdi_object *object)
{
	int result = may_write(object);
	if (result < 0)
		return result;
	struct shmd_page *page = object->segment.page;
	uint32_t depth = shmdi_load32(&page->lock.write_depth, SHMDI_RELAXED);
	if (depth >= SHMDI_DEPTH_MAX)
		return SHMD_E_OVERFLOW;
	if (depth == 0) {
		uint64_t word = shmdi_load64(&page->sequence.word, SHMDI_RELAXED);
		if (foreign(object))
			shmdi_store32(&page->sequence.writer, object->is.owner, SHMDI_RELAXED);
		shmdi_store64(&page->sequence.word, word | SHMD_SEQUENCE_ODD, SHMDI_RELEASE);
		shmdi_fence_release(); /* odd before data */
	}
	shmdi_store32(&page->lock.write_depth, depth + 1, SHMDI_RELAXED);
	return 0;
}

int shmdi_sequence_end(struct shmdi_object *object)
{
	/* Even of a destroyed array: its foreign lock can be unlocked only after this. */
	int result = object->is.read_only ? SHMD_E_PERMISSION : shmdi_lock_held(&object->lock);
	if (result < 0)
		return result;
	struct shmd_page *page = object->segment.page;
	uint32_t depth = shmdi_load32(&page->lock.write_depth, SHMDI_RELAXED);
	if (depth == 0)
		return SHMD_E_INVALID;
	if (depth > 1) {
		shmdi_store32(&page->lock.write_depth, depth - 1, SHMDI_RELAXED);
		return 0;
	}
	/* Even before depth 0: a death between the two leaves a bracket that recovery
	 * closes once more, never one that stays open. */
	uint64_t word = shmdi_load64(&page->sequence.word, SHMDI_RELAXED);
	shmdi_store64(&page->sequence.word, (word & ~SHMD_SEQUENCE_ODD) + SHMD_SEQUENCE_STEP, SHMDI_RELEASE);
	shmdi_store32(&page->lock.write_depth, 0, SHMDI_RELEASE);
	if (foreign(object))
		shmdi_store32(&page->sequence.writer, 0, SHMDI_RELEASE);
	shmdi_change_bump(object);
	return 0;
}

int shmdi_sequence_mark(struct shmdi_object *object)
{
	int result = may_write(object);
	if (result < 0)
		return result;
	uint64_t *word = &object->segment.page->sequence.word;
	shmdi_store64(word, shmdi_load64(word, SHMDI_RELAXED) & ~SHMD_SEQUENCE_DIRTY, SHMDI_RELEASE);
	/* A foreign lock may guard more than this: its notices end by a call of its own. */
	if (!foreign(object)) {
		result = shmdi_lock_mark_consistent(&object->lock);
		if (result < 0)
			return result;
	}
	shmdi_change_bump(object);
	return 0;
}

/* ---- copying ---- */

/* By whole words: the data begins on a cache line and is padded to 8 bytes. A
 * word that mixes items of two writes is discarded with its snapshot. */
static void copy_out(const unsigned char *data, uint64_t offset, uint64_t size_bytes, unsigned char *to)
{
	while (size_bytes > 0) {
		uint64_t inside = offset % 8;
		const uint64_t *from = (const uint64_t *)(const void *)(data + (offset - inside));
		for (; inside == 0 && size_bytes >= 8; size_bytes -= 8, offset += 8, to += 8) {
			uint64_t word = shmdi_load64(from++, SHMDI_RELAXED);
			memcpy(to, &word, sizeof word);
		}
		uint64_t part = 8 - inside < size_bytes ? 8 - inside : size_bytes;
		if (part == 0)
			return;
		uint64_t word = shmdi_load64(from, SHMDI_RELAXED);
		memcpy(to, (const unsigned char *)&word + inside, part);
		offset += part;
		to += part;
		size_bytes -= part;
	}
}

static void copy_item_in(unsigned char *to, const unsigned char *from, uint32_t item_size_bytes)
{
	uint64_t bits = 0;
	memcpy(&bits, from, item_size_bytes);
	switch (item_size_bytes) {
	case 1: shmdi_store8(to, (uint8_t)bits, SHMDI_RELAXED); break;
	case 2: shmdi_store16((uint16_t *)(void *)to, (uint16_t)bits, SHMDI_RELAXED); break;
	case 4: shmdi_store32((uint32_t *)(void *)to, (uint32_t)bits, SHMDI_RELAXED); break;
	default: shmdi_store64((uint64_t *)(void *)to, bits, SHMDI_RELAXED); break;
	}
}

/* By items up to a word boundary, by words, by items again: never a byte of a
 * neighbour, which an atomic store may change meanwhile. */
static void copy_in(unsigned char *data, uint64_t offset, uint64_t size_bytes, const unsigned char *from,
                    uint32_t item_size_bytes)
{
	unsigned char *to = data + offset;
	unsigned char *end = to + size_bytes;
	for (; to < end && (uintptr_t)to % 8 != 0; to += item_size_bytes, from += item_size_bytes)
		copy_item_in(to, from, item_size_bytes);
	for (; end - to >= 8; to += 8, from += 8) {
		uint64_t word;
		memcpy(&word, from, sizeof word);
		shmdi_store64((uint64_t *)(void *)to, word, SHMDI_RELAXED);
	}
	for (; to < end; to += item_size_bytes, from += item_size_bytes)
		copy_item_in(to, from, item_size_bytes);
}

static bool in_range(const struct shmdi_object *object, uint64_t start, uint64_t count)
{
	return start <= object->is.length && count <= object->is.length - start;
}

/* Until the bracket that was seen open has ended. */
static int wait_even(struct shmdi_object *object, int64_t timeout_ns, int64_t deadline_ns, uint64_t version)
{
	struct shmd_page *page = object->segment.page;
	uint32_t *low = (uint32_t *)(void *)&page->change.word;
	for (uint32_t turn = shmdi_spin_max(); turn > 0; turn--) {
		if ((shmdi_load64(&page->sequence.word, SHMDI_ACQUIRE) & SHMD_SEQUENCE_ODD) == 0)
			return 0;
		shmdi_pause();
	}
	if (timeout_ns == 0)
		return SHMD_E_WOULD_BLOCK;
	if (object->is.read_only) {
		int64_t left_ns = SHMD_FOREVER;
		if (deadline_ns != SHMDI_FOREVER_NS) {
			left_ns = deadline_ns - shmdi_now_ns();
			if (left_ns <= 0)
				return SHMD_E_TIMED_OUT;
		}
		return shmdi_change_wait(object, version, left_ns, &version);
	}
	for (;;) {
		uint64_t old = shmdi_or64(&page->change.word, SHMD_CHANGE_WAITERS, SHMDI_ACQ_REL) | SHMD_CHANGE_WAITERS;
		int result = shmdi_object_usable(object);
		if (result < 0)
			return result;
		if ((shmdi_load64(&page->sequence.word, SHMDI_ACQUIRE) & SHMD_SEQUENCE_ODD) == 0)
			return 0;
		shmdi_add32(object->waiting, 1, SHMDI_RELAXED);
		result = shmdi_sleep_on_word(low, (uint32_t)old, deadline_ns);
		shmdi_add32(object->waiting, UINT32_MAX, SHMDI_RELAXED);
		result = shmdi_slept(result, "a writer");
		if (result < 0)
			return result;
	}
}

/* One try: whether the copy is whole. */
static bool copy_whole(const struct shmdi_object *object, uint64_t offset, uint64_t size_bytes, unsigned char *to,
                       uint64_t seen)
{
	copy_out(object->data, offset, size_bytes, to);
	shmdi_fence_acquire();
	return shmdi_load64(&object->segment.page->sequence.word, SHMDI_RELAXED) == seen;
}

static int64_t left_of(int64_t timeout_ns, int64_t deadline_ns)
{
	if (timeout_ns <= 0)
		return timeout_ns;
	if (deadline_ns == SHMDI_FOREVER_NS)
		return SHMD_FOREVER;
	int64_t left_ns = deadline_ns - shmdi_now_ns();
	return left_ns > 0 ? left_ns : 0;
}

int shmdi_snapshot(struct shmdi_object *object, uint64_t start, uint64_t count, int64_t timeout_ns, void *ret_items,
                   uint64_t *ret_version)
{
	int result = shmdi_object_usable(object);
	if (result < 0)
		return result;
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	if (!in_range(object, start, count))
		return SHMD_E_BAD_INDEX;
	uint64_t offset = start * object->is.item_size_bytes;
	uint64_t size_bytes = count * object->is.item_size_bytes;
	const uint64_t *word = &object->segment.page->sequence.word;
	uint64_t version = shmdi_change_version(object);
	uint64_t seen = shmdi_load64(word, SHMDI_ACQUIRE);
	/* Without a lock there is nothing to be consistent with; with our own lock
	 * held nobody else writes, and waiting for ourselves would never end. */
	if ((object->is.flags & SHMD_FLAG_LOCK_NONE) != 0 || shmdi_lock_held(&object->lock) == 0) {
		copy_out(object->data, offset, size_bytes, ret_items);
		goto done;
	}
	if ((seen & SHMD_SEQUENCE_ODD) == 0 && copy_whole(object, offset, size_bytes, ret_items, seen))
		goto done;
	int64_t deadline_ns = shmdi_deadline(timeout_ns);
	for (int tries = 1;; tries++) {
		if ((seen & SHMD_SEQUENCE_ODD) != 0) {
			result = wait_even(object, timeout_ns, deadline_ns, version);
			if (result < 0)
				return result;
		} else if (copy_whole(object, offset, size_bytes, ret_items, seen)) {
			goto done;
		}
		if (tries >= TRIES && !object->is.read_only) {
			result = shmdi_lock_acquire(&object->lock, left_of(timeout_ns, deadline_ns));
			if (result < 0)
				return result;
			version = shmdi_change_version(object);
			seen = shmdi_load64(word, SHMDI_ACQUIRE);
			copy_out(object->data, offset, size_bytes, ret_items);
			result = shmdi_lock_give_back(&object->lock);
			if (result < 0)
				return result;
			goto done;
		}
		if (tries >= TRIES && timeout_ns != SHMD_FOREVER && shmdi_now_ns() >= deadline_ns)
			return timeout_ns == 0 ? SHMD_E_WOULD_BLOCK : SHMD_E_TIMED_OUT;
		result = shmdi_object_usable(object);
		if (result < 0)
			return result;
		version = shmdi_change_version(object);
		seen = shmdi_load64(word, SHMDI_ACQUIRE);
	}
done:
	if (ret_version != NULL)
		*ret_version = version;
	return (seen & SHMD_SEQUENCE_DIRTY) != 0 ? SHMD_OWNER_DIED : 0;
}

int shmdi_write(struct shmdi_object *object, uint64_t start, uint64_t count, int64_t timeout_ns, const void *items)
{
	int result = shmdi_object_writable(object);
	if (result < 0)
		return result;
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	if (!in_range(object, start, count))
		return SHMD_E_BAD_INDEX;
	uint32_t item_size_bytes = object->is.item_size_bytes;
	uint64_t offset = start * item_size_bytes;
	uint64_t size_bytes = count * item_size_bytes;
	if ((object->is.flags & SHMD_FLAG_LOCK_NONE) != 0) {
		copy_in(object->data, offset, size_bytes, items, item_size_bytes);
		shmdi_change_bump(object);
		return 0;
	}
	bool mine = shmdi_lock_held(&object->lock) == 0;
	if (!mine) {
		result = shmdi_lock_acquire(&object->lock, timeout_ns);
		if (result < 0)
			return result;
	}
	result = shmdi_sequence_begin(object);
	if (result == 0) {
		copy_in(object->data, offset, size_bytes, items, item_size_bytes);
		result = shmdi_sequence_end(object);
	}
	if (!mine) {
		int released = shmdi_lock_give_back(&object->lock);
		if (result == 0)
			result = released;
	}
	return result;
}
