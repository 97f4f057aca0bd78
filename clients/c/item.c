/* SPDX-License-Identifier: Apache-2.0
 *
 * item.c - the type codes: their sizes, and their form on the wire. Sums are in element.c.
 */
#include "internal.h"

#include <string.h>

uint32_t shmdi_item_size(uint32_t code)
{
	switch (code) {
	case 'c': case 'b': case 'B': case '?': return 1;
	case 'h': case 'H': case 'e': return 2;
	case 'i': case 'I': case 'f': case 'u': return 4;
	case 'l': case 'L': case 'q': case 'Q': case 'd': return 8;
	default: return 0;
	}
}

/* IEEE binary16 to double: exact. */
static double half_to_double(uint16_t half)
{
	uint64_t sign = (uint64_t)(half >> 15) << 63;
	uint64_t exponent = half >> 10 & 0x1f;
	uint64_t fraction = half & 0x3ff;
	uint64_t bits;
	if (exponent == 0x1f) {
		bits = sign | 0x7ffull << 52 | fraction << 42;
	} else if (exponent != 0) {
		bits = sign | (exponent - 15 + 1023) << 52 | fraction << 42;
	} else {
		double tiny = (double)fraction / 16777216.0; /* fraction * 2^-24 */
		memcpy(&bits, &tiny, sizeof bits);
		bits |= sign;
	}
	double result;
	memcpy(&result, &bits, sizeof result);
	return result;
}

#define UNPACKED(T, name)                                                                           \
	T name;                                                                                         \
	memcpy(&name, item, sizeof name)

void shmdi_item_pack(struct shmdi_request *request, uint32_t code, const void *item)
{
	msgpack_packer *packer = &request->packer;
	switch (code) {
	case 'c': shmdi_pack_bin(request, item, 1); break;
	case 'b': { UNPACKED(int8_t, x); msgpack_pack_int64(packer, x); break; }
	case 'B': { UNPACKED(uint8_t, x); msgpack_pack_uint64(packer, x); break; }
	case 'h': { UNPACKED(int16_t, x); msgpack_pack_int64(packer, x); break; }
	case 'H': { UNPACKED(uint16_t, x); msgpack_pack_uint64(packer, x); break; }
	case 'i': { UNPACKED(int32_t, x); msgpack_pack_int64(packer, x); break; }
	case 'I': case 'u': { UNPACKED(uint32_t, x); msgpack_pack_uint64(packer, x); break; }
	case 'l': case 'q': { UNPACKED(int64_t, x); msgpack_pack_int64(packer, x); break; }
	case 'L': case 'Q': { UNPACKED(uint64_t, x); msgpack_pack_uint64(packer, x); break; }
	case 'f': { UNPACKED(float, x); msgpack_pack_float(packer, x); break; }
	case 'd': { UNPACKED(double, x); msgpack_pack_double(packer, x); break; }
	case 'e': { UNPACKED(uint16_t, x); msgpack_pack_double(packer, half_to_double(x)); break; }
	case '?': {
		UNPACKED(uint8_t, x);
		if (x != 0)
			msgpack_pack_true(packer);
		else
			msgpack_pack_false(packer);
		break;
	}
	default: msgpack_pack_nil(packer); break;
	}
}
