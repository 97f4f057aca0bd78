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
} kinds[] = {{"value", SHMD_KIND_VALUE}, {"array", SHMD_KIND_ARRAY}, {"mutex", SHMD_KIND_MUTEX},
             {"semaphore", SHMD_KIND_SEMAPHORE}, {"queue", SHMD_KIND_QUEUE}, {"event", SHMD_KIND_EVENT},
             {"condition", SHMD_KIND_CONDITION}, {"barrier", SHMD_KIND_BARRIER}, {"rwlock", SHMD_KIND_RWLOCK},
             {"stream", SHMD_KIND_STREAM}, {"pipe", SHMD_KIND_PIPE}};

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
		else if (shmdi_text_is(name, "undo"))
			flags |= SHMD_FLAG_UNDO;
		else if (shmdi_text_is(name, "auto_reset"))
			flags |= SHMD_FLAG_AUTO_RESET;
		else if (shmdi_text_is(name, "bytes"))
			flags |= SHMD_FLAG_BYTES;
		else
			return false; /* rules that we do not know */
	}
	*ret_flags = flags;
	return (flags & SHMD_FLAG_UNLOCK_ANY) == 0 || flags == SHMD_FLAG_UNLOCK_ANY;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit_bytes)
{
	return (bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
}

/* Where the seat cells end. */
static uint64_t cells_end(uint32_t seats_max)
{
	return SHMD_SEATS_OFFSET + ((uint64_t)seats_max + 1) * sizeof(struct shmd_seat_cell);
}

uint64_t shmdi_front_size(uint32_t seats_max)
{
	return round_up(cells_end(seats_max), SHMD_PAGE_SIZE);
}

uint64_t shmdi_cells_offset(uint32_t seats_max)
{
	return round_up(cells_end(seats_max), SHMD_DATA_ALIGN);
}

struct shmdi_queue_layout shmdi_queue_layout(const struct shmdi_attachment *is)
{
	uint64_t length = is->length;
	struct shmdi_queue_layout layout = {0};
	layout.ready_offset = round_up(cells_end(is->seats_max), SHMD_DATA_ALIGN);
	layout.free_offset = layout.ready_offset + length * sizeof(uint64_t);
	layout.desc_offset = round_up(layout.free_offset + length * sizeof(uint64_t), SHMD_DATA_ALIGN);
	uint64_t end = layout.desc_offset + length * sizeof(struct shmd_queue_desc);
	if (is->lease_ns != 0) {
		layout.deadline_offset = round_up(end, SHMD_DATA_ALIGN);
		end = layout.deadline_offset + length * sizeof(uint64_t);
	}
	layout.slots_offset = round_up(end, SHMD_PAGE_SIZE);
	layout.end = layout.slots_offset + round_up(length * is->slot_size_bytes, SHMD_PAGE_SIZE);
	return layout;
}

/* The size of what each seat has in the object besides its seat cell. */
static uint64_t cell_bytes(const struct shmdi_attachment *is)
{
	if (is->kind == SHMD_KIND_BARRIER)
		return sizeof(struct shmd_barrier_cell);
	if (is->kind == SHMD_KIND_RWLOCK)
		return sizeof(struct shmd_reader_cell);
	return (is->flags & SHMD_FLAG_UNDO) != 0 ? sizeof(struct shmd_held_cell) : 0;
}

static bool is_ring(uint32_t kind)
{
	return kind == SHMD_KIND_STREAM || kind == SHMD_KIND_PIPE;
}

/* Whether the daemon lays the object out as this build would: then no offset
 * leads outside of the segment. */
static bool layout_is_ours(const struct shmdi_attachment *is)
{
	uint64_t front_bytes = shmdi_front_size(is->seats_max);
	uint64_t data_bytes = 0;
	if (is->kind == SHMD_KIND_QUEUE) {
		struct shmdi_queue_layout layout = shmdi_queue_layout(is);
		front_bytes = layout.slots_offset;
		data_bytes = layout.end - layout.slots_offset;
	}
	if (is->kind == SHMD_KIND_ARRAY)
		data_bytes = round_up(is->data_size_bytes, SHMD_PAGE_SIZE);
	if (is_ring(is->kind))
		data_bytes = is->data_size_bytes;
	if (cell_bytes(is) != 0) {
		uint64_t cells_bytes = ((uint64_t)is->seats_max + 1) * cell_bytes(is);
		front_bytes = round_up(shmdi_cells_offset(is->seats_max) + cells_bytes, SHMD_PAGE_SIZE);
	}
	if (is->kind == SHMD_KIND_ARRAY && is->data_offset_bytes != front_bytes)
		return false;
	if (is->kind == SHMD_KIND_VALUE && is->data_offset_bytes != offsetof(struct shmd_page, scalar))
		return false;
	return is->seats_offset_bytes == SHMD_SEATS_OFFSET && is->segment_size_bytes == front_bytes + data_bytes;
}

/* Whether objects of the kind have a lock beside themselves, and typed data. */
static bool is_coded(uint32_t kind)
{
	return kind == SHMD_KIND_VALUE || kind == SHMD_KIND_ARRAY;
}

/* The flags that the list of a kind may have. */
static uint32_t flags_of(uint32_t kind)
{
	switch (kind) {
	case SHMD_KIND_SEMAPHORE: return SHMD_FLAG_UNDO;
	case SHMD_KIND_EVENT: return SHMD_FLAG_AUTO_RESET;
	case SHMD_KIND_PIPE: return SHMD_FLAG_BYTES;
	case SHMD_KIND_VALUE:
	case SHMD_KIND_ARRAY:
	case SHMD_KIND_MUTEX: return SHMD_FLAG_RECURSIVE | SHMD_FLAG_UNLOCK_ANY | SHMD_FLAG_STRICT;
	default: return 0;
	}
}

static bool read_counts(const msgpack_object *map, struct shmdi_attachment *is)
{
	if ((is->flags & ~flags_of(is->kind)) != 0)
		return false;
	if (is->kind == SHMD_KIND_SEMAPHORE)
		return get_u32(map, "maximum", &is->maximum) && is->maximum >= 1 && is->maximum <= SHMD_PERMITS_MAX;
	if (is->kind == SHMD_KIND_BARRIER)
		return shmdi_get_u64(map, "parties", SHMD_PARTIES_MAX, &is->length) && is->length >= 1;
	return true;
}

static bool read_slots(const msgpack_object *map, struct shmdi_attachment *is)
{
	if (is->kind != SHMD_KIND_QUEUE)
		return true;
	const msgpack_object *content = shmdi_member(map, "content");
	bool raw = shmdi_text_is(content, "raw");
	is->flags = raw ? SHMD_FLAG_RAW : 0;
	uint64_t deliveries_max = 0; /* left out if it is 0 */
	if (shmdi_member(map, "deliveries_max") != NULL &&
	    !shmdi_get_u64(map, "deliveries_max", SHMD_DELIVERIES_LIMIT, &deliveries_max))
		return false;
	is->deliveries_max = (uint32_t)deliveries_max;
	if (shmdi_member(map, "lease_ns") != NULL && /* likewise */
	    (!shmdi_get_u64(map, "lease_ns", SHMD_LEASE_NS_MAX, &is->lease_ns) ||
	     (is->lease_ns != 0 && is->lease_ns < SHMD_LEASE_NS_MIN)))
		return false;
	return (raw || shmdi_text_is(content, "msgpack")) &&
	       shmdi_get_u64(map, "maxsize", SHMD_QUEUE_LENGTH_MAX, &is->length) && is->length >= 1 &&
	       get_u32(map, "slot_size", &is->slot_size_bytes) && is->slot_size_bytes >= SHMD_SLOT_SIZE_MIN &&
	       is->slot_size_bytes <= SHMD_SLOT_SIZE_MAX && is->slot_size_bytes % 8 == 0 &&
	       get_u32(map, "message_max", &is->message_max_bytes) && is->message_max_bytes >= 1 &&
	       is->message_max_bytes <= SHMD_QUEUE_MESSAGE_MAX;
}

/* The rings of a stream or pipe, which follow the seat cells. */
static bool read_rings(const msgpack_object *map, struct shmdi_attachment *is)
{
	if (!is_ring(is->kind))
		return true;
	bool sound = shmdi_get_u64(map, "capacity", SHMD_RING_CAPACITY_MAX, &is->length) &&
	             is->length >= SHMD_RING_CAPACITY_MIN && (is->length & (is->length - 1)) == 0;
	if (sound && (is->flags & SHMD_FLAG_BYTES) == 0)
		sound = get_u32(map, "message_max", &is->message_max_bytes) && is->message_max_bytes >= 1 &&
		        is->message_max_bytes <= SHMD_QUEUE_MESSAGE_MAX;
	is->data_offset_bytes = shmdi_front_size(is->seats_max);
	is->data_size_bytes = is->length * (is->kind == SHMD_KIND_PIPE ? 2 : 1);
	return sound;
}

static bool read_lock(const msgpack_object *map, struct shmdi_attachment *is)
{
	const msgpack_object *lock = shmdi_member(map, "lock");
	if (is->kind != SHMD_KIND_CONDITION && !is_coded(is->kind))
		return true;
	if (is->kind == SHMD_KIND_CONDITION && (is->read_only || !shmdi_text_is(lock, "foreign")))
		return false;
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
	if (!is_coded(is->kind))
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
	if (!sound || !read_counts(map, &is) || !read_slots(map, &is) || !read_rings(map, &is) || !read_lock(map, &is) ||
	    !read_data(map, &is))
		return shmdi_fail(SHMD_E_BAD_FRAME, "open: the daemon's description of the object contradicts itself");
	if (!layout_is_ours(&is))
		return shmdi_fail(SHMD_E_VERSION, "open: the daemon lays the object out differently; use equal builds");
	*ret_attachment = is;
	return 0;
}
