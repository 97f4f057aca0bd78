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
#include "atomic.h"
#include "internal.h"

#include <string.h>

static uint32_t width(const struct shmdi_object *object)
{
	uint32_t size_bytes = object->is.item_size_bytes;
	return object->is.kind == SHMD_KIND_VALUE && size_bytes < 4 ? 4 : size_bytes;
}

static void *place(const struct shmdi_object *object, uint64_t index)
{
	return object->data + index * object->is.item_size_bytes;
}

static uint64_t bits_of(const struct shmdi_object *object, const void *item)
{
	uint64_t bits = 0;
	memcpy(&bits, item, object->is.item_size_bytes);
	if (object->is.code == '?')
		bits = bits != 0;
	return bits;
}

static void give(const struct shmdi_object *object, uint64_t bits, void *ret_item)
{
	if (ret_item != NULL)
		memcpy(ret_item, &bits, object->is.item_size_bytes);
}

static int writable(const struct shmdi_object *object, uint64_t index)
{
	int result = shmdi_object_writable(object);
	return result == 0 && index >= object->is.length ? SHMD_E_BAD_INDEX : result;
}

static int modifiable(const struct shmdi_object *object, uint64_t index)
{
	int result = writable(object, index);
	return result == 0 && object->is.item_size_bytes < 4 ? SHMD_E_UNSUPPORTED : result;
}

int shmdi_element_load(const struct shmdi_object *object, uint64_t index, void *ret_item)
{
	int result = shmdi_object_usable(object);
	if (result < 0)
		return result;
	if (index >= object->is.length)
		return SHMD_E_BAD_INDEX;
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

int shmdi_element_store(struct shmdi_object *object, uint64_t index, const void *item)
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

static uint64_t load_bits(const struct shmdi_object *object, void *at)
{
	return width(object) == 4 ? shmdi_load32(at, SHMDI_ACQUIRE) : shmdi_load64(at, SHMDI_ACQUIRE);
}

static bool swap_bits(const struct shmdi_object *object, void *at, uint64_t expected, uint64_t desired)
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
		result = shmdi_item_add(object->is.code, old, bits_of(object, delta), &sum);
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
