/* SPDX-License-Identifier: Apache-2.0
 *
 * element.c - one element at a time, without the lock: the change by one atomic
 * instruction, then the bump.
 *
 * The element of a value is accessed as 4 bytes up to that size, else as 8, and
 * the bytes above the item are zero; an element of an array as what it is.
 *
 * Orders. A store releases and a load acquires, the others do both: what was written
 * before an element was stored is seen by who loads what was stored.
 */
#include "change.h"

#include <string.h>

static inline uint32_t width(const struct shmdi_object *object)
{
	uint32_t size_bytes = object->is.item_size_bytes;
	return !SHMDI_LIKELY(size_bytes >= 4) && object->is.kind == SHMD_KIND_VALUE ? 4 : size_bytes;
}

static inline void *place(const struct shmdi_object *object, uint64_t index)
{
	return object->data + index * object->is.item_size_bytes;
}

/* A memcpy of a size that is not known before is a call, and longer than the rest. */
#define COPY(to, from, size_bytes)                                                                                   \
	do {                                                                                                             \
		switch (size_bytes) {                                                                                        \
		case 1: memcpy(to, from, 1); break;                                                                          \
		case 2: memcpy(to, from, 2); break;                                                                          \
		case 4: memcpy(to, from, 4); break;                                                                          \
		default: memcpy(to, from, 8); break;                                                                         \
		}                                                                                                            \
	} while (0)

static inline uint64_t bits_of(const struct shmdi_object *object, const void *item)
{
	uint64_t bits = 0;
	COPY(&bits, item, object->is.item_size_bytes);
	return !SHMDI_LIKELY(object->is.code != '?') ? bits != 0 : bits;
}

static inline void give(const struct shmdi_object *object, uint64_t bits, void *ret_item)
{
	if (ret_item != NULL)
		COPY(ret_item, &bits, object->is.item_size_bytes);
}

/* Whether the object may be used, and has the element; what keeps it from that is looked for
 * only where it is not. */
static inline bool ready(const struct shmdi_object *object, uint64_t index)
{
	return SHMDI_LIKELY(shmdi_fork_same(object->lock.generation) && index < object->is.length &&
	                    shmdi_load32(&object->segment.page->header.state, SHMDI_RELAXED) == SHMD_STATE_LIVE);
}

static __attribute__((noinline)) int readable(const struct shmdi_object *object, uint64_t index)
{
	int result = shmdi_object_usable(object);
	return result == 0 && index >= object->is.length ? SHMD_E_BAD_INDEX : result;
}

static __attribute__((noinline)) int writable(const struct shmdi_object *object, uint64_t index)
{
	return object->is.read_only ? SHMD_E_PERMISSION : readable(object, index);
}

static inline int modifiable(const struct shmdi_object *object, uint64_t index)
{
	int result = SHMDI_LIKELY(!object->is.read_only) && ready(object, index) ? 0 : writable(object, index);
	return result == 0 && object->is.item_size_bytes < 4 ? SHMD_E_UNSUPPORTED : result;
}

#define ADD_INTEGERS(T)                                                                             \
	do {                                                                                            \
		T a;                                                                                        \
		T b;                                                                                        \
		T sum;                                                                                      \
		memcpy(&a, &old, sizeof a);                                                                 \
		memcpy(&b, &delta, sizeof b);                                                               \
		if (__builtin_add_overflow(a, b, &sum))                                                     \
			return SHMD_E_OUT_OF_RANGE;                                                             \
		memcpy(&bits, &sum, sizeof sum);                                                            \
	} while (0)

#define ADD_FLOATS(T)                                                                               \
	do {                                                                                            \
		T a;                                                                                        \
		T b;                                                                                        \
		memcpy(&a, &old, sizeof a);                                                                 \
		memcpy(&b, &delta, sizeof b);                                                               \
		T sum = a + b;                                                                              \
		memcpy(&bits, &sum, sizeof sum);                                                            \
	} while (0)

/* old + delta by the code. */
static inline int sum_of(uint32_t code, uint64_t old, uint64_t delta, uint64_t *ret_sum)
{
	uint64_t bits = 0;
	switch (code) {
	case 'i': ADD_INTEGERS(int32_t); break;
	case 'I': ADD_INTEGERS(uint32_t); break;
	case 'l': case 'q': ADD_INTEGERS(int64_t); break;
	case 'L': case 'Q': ADD_INTEGERS(uint64_t); break;
	case 'f': ADD_FLOATS(float); break;
	case 'd': ADD_FLOATS(double); break;
	default: return SHMD_E_UNSUPPORTED;
	}
	*ret_sum = bits;
	return 0;
}

static __attribute__((noinline)) int load_any(const struct shmdi_object *object, uint64_t index, void *ret_item)
{
	int result = readable(object, index);
	if (result < 0)
		return result;
	void *at = place(object, index);
	uint64_t bits;
	switch (width(object)) {
	case 1: bits = shmdi_load8(at, SHMDI_ACQUIRE); break;
	case 2: bits = shmdi_load16(at, SHMDI_ACQUIRE); break;
	case 4: bits = shmdi_load32(at, SHMDI_ACQUIRE); break;
	default: bits = shmdi_load64(at, SHMDI_ACQUIRE); break;
	}
	give(object, bits, ret_item);
	return 0;
}

int shmdi_element_load(const struct shmdi_object *object, uint64_t index, void *ret_item)
{
	if (!SHMDI_LIKELY(ready(object, index) && object->is.item_size_bytes == sizeof(uint64_t)))
		return load_any(object, index, ret_item);
	uint64_t bits = shmdi_load64(place(object, index), SHMDI_ACQUIRE);
	memcpy(ret_item, &bits, sizeof bits);
	return 0;
}

static __attribute__((noinline)) int store_any(struct shmdi_object *object, uint64_t index, const void *item)
{
	int result = writable(object, index);
	if (result < 0)
		return result;
	void *at = place(object, index);
	uint64_t bits = bits_of(object, item);
	switch (width(object)) {
	case 1: shmdi_store8(at, (uint8_t)bits, SHMDI_RELEASE); break;
	case 2: shmdi_store16(at, (uint16_t)bits, SHMDI_RELEASE); break;
	case 4: shmdi_store32(at, (uint32_t)bits, SHMDI_RELEASE); break;
	default: shmdi_store64(at, bits, SHMDI_RELEASE); break;
	}
	shmdi_change_bump(object);
	return 0;
}

int shmdi_element_store(struct shmdi_object *object, uint64_t index, const void *item)
{
	if (!SHMDI_LIKELY(ready(object, index) && object->is.item_size_bytes == sizeof(uint64_t) &&
	                  !object->is.read_only))
		return store_any(object, index, item);
	uint64_t bits;
	memcpy(&bits, item, sizeof bits);
	shmdi_store64(place(object, index), bits, SHMDI_RELEASE);
	shmdi_change_bump(object);
	return 0;
}

static inline uint64_t load_bits(const struct shmdi_object *object, void *at)
{
	return width(object) == 4 ? shmdi_load32(at, SHMDI_ACQUIRE) : shmdi_load64(at, SHMDI_ACQUIRE);
}

static inline bool swap_bits(const struct shmdi_object *object, void *at, uint64_t expected, uint64_t desired)
{
	return width(object) == 4 ? shmdi_cas32(at, (uint32_t)expected, (uint32_t)desired, SHMDI_ACQ_REL)
	                          : shmdi_cas64(at, expected, desired, SHMDI_ACQ_REL);
}

/* By compare-and-swap for integers too: a sum outside of the range changes nothing. */
int shmdi_element_add(struct shmdi_object *object, uint64_t index, const void *delta, void *ret_before)
{
	int result = modifiable(object, index);
	if (result < 0)
		return result;
	void *at = place(object, index);
	for (;;) {
		uint64_t old = load_bits(object, at);
		uint64_t sum;
		result = sum_of(object->is.code, old, bits_of(object, delta), &sum);
		if (result < 0)
			return result;
		if (swap_bits(object, at, old, sum)) {
			shmdi_change_bump(object);
			give(object, old, ret_before);
			return 0;
		}
	}
}

int shmdi_element_exchange(struct shmdi_object *object, uint64_t index, const void *item, void *ret_before)
{
	int result = modifiable(object, index);
	if (result < 0)
		return result;
	void *at = place(object, index);
	uint64_t bits = bits_of(object, item);
	uint64_t old = width(object) == 4 ? shmdi_exchange32(at, (uint32_t)bits, SHMDI_ACQ_REL)
	                                  : shmdi_exchange64(at, bits, SHMDI_ACQ_REL);
	shmdi_change_bump(object);
	give(object, old, ret_before);
	return 0;
}

int shmdi_element_compare_exchange(struct shmdi_object *object, uint64_t index, const void *expected,
                                   const void *desired, bool *ret_swapped, void *ret_before)
{
	int result = modifiable(object, index);
	if (result < 0)
		return result;
	void *at = place(object, index);
	uint64_t wanted = bits_of(object, expected);
	uint64_t bits = bits_of(object, desired);
	uint64_t old;
	bool swapped = false;
	do {
		old = load_bits(object, at);
		swapped = old == wanted && swap_bits(object, at, old, bits);
	} while (old == wanted && !swapped);
	if (swapped)
		shmdi_change_bump(object);
	*ret_swapped = swapped;
	give(object, old, ret_before);
	return 0;
}
