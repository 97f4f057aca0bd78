/* SPDX-License-Identifier: Apache-2.0
 *
 * message.c - reading messages. No length in them is believed before the scan:
 * msgpack-c allocates by what an array header claims.
 */
#include "internal.h"

#include <string.h>

#define DEPTH_LIMIT 16

static uint64_t big_endian(const unsigned char *bytes, unsigned int size_bytes)
{
	uint64_t number = 0;
	for (unsigned int i = 0; i < size_bytes; i++)
		number = number << 8 | bytes[i];
	return number;
}

/* One item begins here: how long its head is, how many bytes of contents and
 * how many elements follow. */
struct head {
	unsigned int size_bytes; /* 0 = not msgpack */
	unsigned int length_bytes; /* of these, how many tell the length, behind the first byte */
	uint64_t contents_bytes;
	uint64_t elements;
	unsigned int per_entry; /* elements per counted entry: 1, a map 2; 0 = contents are bytes */
	unsigned int extra_bytes; /* contents beyond the length: the type of an ext */
};

static struct head counted(unsigned int length_bytes, unsigned int per_entry, unsigned int extra_bytes)
{
	return (struct head){.size_bytes = 1 + length_bytes, .length_bytes = length_bytes, .per_entry = per_entry,
	                     .extra_bytes = extra_bytes};
}

static struct head fixed(unsigned int contents_bytes)
{
	return (struct head){.size_bytes = 1, .contents_bytes = contents_bytes};
}

static struct head head_of(unsigned char first)
{
	if (first <= 0x7f || first >= 0xe0)
		return fixed(0);
	if (first <= 0x8f)
		return (struct head){.size_bytes = 1, .elements = 2ull * (first & 0x0f)};
	if (first <= 0x9f)
		return (struct head){.size_bytes = 1, .elements = first & 0x0f};
	if (first <= 0xbf)
		return fixed(first & 0x1f);
	switch (first) {
	case 0xc0: case 0xc2: case 0xc3: return fixed(0);
	case 0xc4: case 0xd9: return counted(1, 0, 0);
	case 0xc5: case 0xda: return counted(2, 0, 0);
	case 0xc6: case 0xdb: return counted(4, 0, 0);
	case 0xc7: return counted(1, 0, 1);
	case 0xc8: return counted(2, 0, 1);
	case 0xc9: return counted(4, 0, 1);
	case 0xca: case 0xce: case 0xd2: return fixed(4);
	case 0xcb: case 0xcf: case 0xd3: return fixed(8);
	case 0xcc: case 0xd0: return fixed(1);
	case 0xcd: case 0xd1: return fixed(2);
	case 0xd4: return fixed(2);
	case 0xd5: return fixed(3);
	case 0xd6: return fixed(5);
	case 0xd7: return fixed(9);
	case 0xd8: return fixed(17);
	case 0xdc: return counted(2, 1, 0);
	case 0xdd: return counted(4, 1, 0);
	case 0xde: return counted(2, 2, 0);
	case 0xdf: return counted(4, 2, 0);
	default: return (struct head){0};
	}
}

/* The size of the first value: >0, 0 = incomplete, <0 = error. */
static int64_t scan(const char *bytes, size_t size_bytes, unsigned int depth_max)
{
	uint64_t left[DEPTH_LIMIT + 1]; /* elements to come, by depth */
	unsigned int depth = 0;
	uint64_t at = 0;
	left[0] = 1;
	for (;;) {
		while (left[depth] == 0) {
			if (depth == 0)
				return (int64_t)at;
			depth--;
		}
		left[depth]--;
		if (at >= size_bytes)
			return 0;
		const unsigned char *item = (const unsigned char *)bytes + at;
		struct head head = head_of(item[0]);
		if (head.size_bytes == 0)
			return SHMD_E_BAD_FRAME;
		if (size_bytes - at < head.size_bytes)
			return 0;
		if (head.length_bytes != 0) {
			uint64_t count = big_endian(item + 1, head.length_bytes);
			if (head.per_entry == 0)
				head.contents_bytes = count + head.extra_bytes;
			else
				head.elements = count * head.per_entry;
		}
		at += head.size_bytes;
		if (at > SHMDI_MESSAGE_MAX)
			return SHMD_E_TOO_LARGE;
		if (head.contents_bytes > SHMDI_MESSAGE_MAX - at || head.elements > SHMDI_MESSAGE_MAX - at)
			return SHMD_E_TOO_LARGE;
		at += head.contents_bytes;
		if (at > size_bytes)
			return 0;
		if (head.elements > 0) {
			if (depth == depth_max)
				return SHMD_E_TOO_LARGE;
			left[++depth] = head.elements;
		}
	}
}

int64_t shmdi_message_scan(const char *bytes, size_t size_bytes)
{
	return scan(bytes, size_bytes, DEPTH_LIMIT);
}

int64_t shmdi_content_scan(const void *bytes, size_t size_bytes)
{
	return scan(bytes, size_bytes, SHMDI_CONTENT_DEPTH_MAX);
}

bool shmdi_text_is(const msgpack_object *text, const char *expected)
{
	size_t size_bytes = strlen(expected);
	return text != NULL && text->type == MSGPACK_OBJECT_STR && text->via.str.size == size_bytes &&
	       memcmp(text->via.str.ptr, expected, size_bytes) == 0;
}

const msgpack_object *shmdi_member(const msgpack_object *map, const char *key)
{
	if (map == NULL || map->type != MSGPACK_OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->via.map.size; i++)
		if (shmdi_text_is(&map->via.map.ptr[i].key, key))
			return &map->via.map.ptr[i].val;
	return NULL;
}

bool shmdi_get_u64(const msgpack_object *map, const char *key, uint64_t max, uint64_t *ret)
{
	const msgpack_object *number = shmdi_member(map, key);
	if (number == NULL || number->type != MSGPACK_OBJECT_POSITIVE_INTEGER || number->via.u64 > max)
		return false;
	*ret = number->via.u64;
	return true;
}

bool shmdi_get_bool(const msgpack_object *map, const char *key, bool *ret)
{
	const msgpack_object *truth = shmdi_member(map, key);
	if (truth == NULL || truth->type != MSGPACK_OBJECT_BOOLEAN)
		return false;
	*ret = truth->via.boolean;
	return true;
}
