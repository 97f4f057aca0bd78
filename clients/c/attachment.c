/* SPDX-License-Identifier: Apache-2.0
 *
 * attachment.c - what the daemon says of an object. Geometry comes from here and
 * never from shared bytes; it is checked all the same, so that a confused daemon
 * costs an error and not an overrun.
 */
#include "internal.h"

#include <string.h>

/* Keeps every size and offset far from overflow. */
#define SEGMENT_MAX ((uint64_t)1 << 46)

static const struct {
	const char *name;
	uint32_t kind;
} kinds[] = {{"value", SHMD_KIND_VALUE}, {"array", SHMD_KIND_ARRAY}, {"mutex", SHMD_KIND_MUTEX}};

static bool get_u32(const msgpack_object *map, const char *key, uint32_t *ret)
{
	uint64_t wide;
	if (!shmdi_get_u64(map, key, UINT32_MAX, &wide))
		return false;
	*ret = (uint32_t)wide;
	return true;
}

bool shmdi_flags_read(const msgpack_object *list, uint32_t *ret_flags)
{
	uint32_t flags = 0;
	if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY)
		return false;
	for (uint32_t i = 0; i < list->via.array.size; i++) {
		const msgpack_object *name = &list->via.array.ptr[i];
		if (shmdi_text_is(name, "recursive"))
			flags |= SHMD_FLAG_RECURSIVE;
		else if (shmdi_text_is(name, "unlock_any"))
			flags |= SHMD_FLAG_UNLOCK_ANY;
		else if (shmdi_text_is(name, "strict"))
			flags |= SHMD_FLAG_STRICT;
		else
			return false; /* a lock whose rules we do not know */
	}
	*ret_flags = flags;
	return (flags & SHMD_FLAG_UNLOCK_ANY) == 0 || flags == SHMD_FLAG_UNLOCK_ANY;
}

uint64_t shmdi_front_size(uint32_t seats_max)
{
	uint64_t used_bytes = SHMD_SEATS_OFFSET + ((uint64_t)seats_max + 1) * sizeof(struct shmd_seat_cell);
	return (used_bytes + SHMD_PAGE_SIZE - 1) / SHMD_PAGE_SIZE * SHMD_PAGE_SIZE;
}

/* Whether the daemon lays the object out as this build would: then no offset
 * leads outside of the segment. */
static bool layout_is_ours(const struct shmdi_attachment *is)
{
	uint64_t front_bytes = shmdi_front_size(is->seats_max);
	uint64_t data_bytes = 0;
	if (is->kind == SHMD_KIND_ARRAY)
		data_bytes = (is->data_size_bytes + SHMD_PAGE_SIZE - 1) / SHMD_PAGE_SIZE * SHMD_PAGE_SIZE;
	if (is->kind == SHMD_KIND_ARRAY && is->data_offset_bytes != front_bytes)
		return false;
	if (is->kind == SHMD_KIND_VALUE && is->data_offset_bytes != offsetof(struct shmd_page, scalar))
		return false;
	return is->seats_offset_bytes == SHMD_SEATS_OFFSET && is->segment_size_bytes == front_bytes + data_bytes;
}

static bool read_lock(const msgpack_object *map, struct shmdi_attachment *is)
{
	const msgpack_object *lock = shmdi_member(map, "lock");
	if (is->kind == SHMD_KIND_MUTEX)
		return true;
	if (shmdi_text_is(lock, "none")) {
		is->flags = SHMD_FLAG_LOCK_NONE;
		return true;
	}
	if (shmdi_text_is(lock, "foreign")) {
		is->flags = SHMD_FLAG_LOCK_FOREIGN;
		/* A reader needs no lock, and is given none where he has no right to it. */
		bool given = shmdi_get_u64(map, "lock_handle", UINT64_MAX, &is->lock_handle) &&
		             get_u32(map, "lock_owner", &is->lock_owner);
		if (!given)
			is->lock_owner = 0;
		return shmdi_get_u64(map, "lock_id", UINT64_MAX, &is->lock_id) && (given || is->read_only);
	}
	is->flags |= SHMD_FLAG_RECURSIVE; /* an own lock always is */
	return shmdi_text_is(lock, "own");
}

static bool read_data(const msgpack_object *map, struct shmdi_attachment *is)
{
	if (is->kind == SHMD_KIND_MUTEX)
		return true;
	const msgpack_object *code = shmdi_member(map, "code");
	if (code == NULL || code->type != MSGPACK_OBJECT_STR || code->via.str.size != 1)
		return false;
	is->code = (unsigned char)code->via.str.ptr[0];
	is->item_size_bytes = shmdi_item_size(is->code);
	uint64_t item_size_bytes;
	if (is->item_size_bytes == 0 || !shmdi_get_u64(map, "item_size", 8, &item_size_bytes) ||
	    item_size_bytes != is->item_size_bytes)
		return false;
	if (!shmdi_get_u64(map, "length", SEGMENT_MAX, &is->length) || is->length == 0 ||
	    !shmdi_get_u64(map, "data_offset", SEGMENT_MAX, &is->data_offset_bytes) ||
	    !shmdi_get_u64(map, "data_size", SEGMENT_MAX, &is->data_size_bytes))
		return false;
	const msgpack_object *shape = shmdi_member(map, "shape");
	if (is->kind == SHMD_KIND_ARRAY) {
		if (shape == NULL || shape->type != MSGPACK_OBJECT_ARRAY || shape->via.array.size == 0 ||
		    shape->via.array.size > SHMD_RANK_MAX)
			return false;
		is->rank = shape->via.array.size;
	}
	uint64_t elements = 1;
	for (uint32_t i = 0; i < is->rank; i++) {
		const msgpack_object *extent = &shape->via.array.ptr[i];
		if (extent->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
		    __builtin_mul_overflow(elements, extent->via.u64, &elements))
			return false;
		is->shape[i] = extent->via.u64;
	}
	uint64_t size_bytes;
	return elements == is->length &&
	       !__builtin_mul_overflow(is->length, (uint64_t)is->item_size_bytes, &size_bytes) &&
	       size_bytes == is->data_size_bytes;
}

static bool owner_is_possible(uint32_t owner, uint32_t seats_max)
{
	uint32_t seat = owner & SHMD_OWNER_SEAT_MASK;
	return (owner & ~SHMD_OWNER_MASK) == 0 && seat >= 1 && seat <= seats_max;
}

int shmdi_attachment_read(const msgpack_object *map, struct shmdi_attachment *ret_attachment)
{
	struct shmdi_attachment is = {0};
	const msgpack_object *kind = shmdi_member(map, "kind");
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (shmdi_text_is(kind, kinds[i].name))
			is.kind = kinds[i].kind;
	is.read_only = shmdi_text_is(shmdi_member(map, "access"), "r");
	bool sound = is.kind != 0 && shmdi_flags_read(shmdi_member(map, "flags"), &is.flags) &&
	             shmdi_get_u64(map, "handle", UINT64_MAX, &is.handle) &&
	             shmdi_get_u64(map, "id", UINT64_MAX, &is.id) && shmdi_get_bool(map, "created", &is.created) &&
	             get_u32(map, "owner", &is.owner) && get_u32(map, "seats_max", &is.seats_max) &&
	             is.seats_max <= SHMD_SEATS_LIMIT && owner_is_possible(is.owner, is.seats_max) &&
	             shmdi_get_u64(map, "segment_size", 2 * SEGMENT_MAX, &is.segment_size_bytes) &&
	             shmdi_get_u64(map, "seats_offset", is.segment_size_bytes, &is.seats_offset_bytes);
	if (!sound || !read_lock(map, &is) || !read_data(map, &is))
		return shmdi_fail(SHMD_E_BAD_FRAME, "open: the daemon's description of the object contradicts itself");
	if (!layout_is_ours(&is))
		return shmdi_fail(SHMD_E_VERSION, "open: the daemon lays the object out differently; use equal builds");
	*ret_attachment = is;
	return 0;
}
