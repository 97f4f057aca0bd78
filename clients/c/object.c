/* SPDX-License-Identifier: Apache-2.0
 *
 * object.c - open objects: what is common to all kinds.
 */
#include "atomic.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
	[SHMD_KIND_VALUE] = "value", [SHMD_KIND_ARRAY] = "array", [SHMD_KIND_MUTEX] = "mutex",
	[SHMD_KIND_SEMAPHORE] = "semaphore", [SHMD_KIND_QUEUE] = "queue", [SHMD_KIND_EVENT] = "event",
	[SHMD_KIND_CONDITION] = "condition", [SHMD_KIND_BARRIER] = "barrier", [SHMD_KIND_RWLOCK] = "rwlock",
	[SHMD_KIND_STREAM] = "stream", [SHMD_KIND_PIPE] = "pipe"};

/* Whether objects of the kind have a type code, and a lock beside themselves. */
static bool is_coded(uint32_t kind)
{
	return kind == SHMD_KIND_VALUE || kind == SHMD_KIND_ARRAY;
}

static const char *const lifetime_names[] = {
	[SHMD_LIFETIME_PERSISTENT] = "persistent",
	[SHMD_LIFETIME_REFCOUNTED] = "refcounted",
	[SHMD_LIFETIME_OWNED] = "owned",
};

const char *shmdi_role_name(int role)
{
	return role == SHMD_PRODUCER ? "producer" : role == SHMD_CONSUMER ? "consumer" : NULL;
}

/* ---- the request ---- */

static bool options_are_possible(const struct shmdi_wish *wish)
{
	const struct shmd_open_options *open = wish->open;
	if (open != NULL && (open->size != sizeof *open || (open->party && wish->kind != SHMD_KIND_BARRIER) ||
	                     (open->role != 0 && (wish->kind != SHMD_KIND_QUEUE || shmdi_role_name(open->role) == NULL))))
		return false;
	const struct shmd_create_options *create = wish->create;
	if (create == NULL)
		return true;
	if (create->size != sizeof *create || create->lifetime > SHMD_LIFETIME_OWNED || create->lock > SHMD_LOCK_FOREIGN)
		return false;
	bool foreign = create->lock == SHMD_LOCK_FOREIGN || wish->kind == SHMD_KIND_CONDITION;
	if (foreign != (create->lock_mutex != NULL) || (create->init == NULL && create->init_count != 0))
		return false;
	if (wish->kind == SHMD_KIND_VALUE && create->init_count > 1)
		return false;
	if (!is_coded(wish->kind) && (create->lock != SHMD_LOCK_OWN || create->init_count != 0))
		return false;
	if (wish->kind != SHMD_KIND_MUTEX && (create->recursive || create->unlock_any || create->strict))
		return false;
	if (wish->kind != SHMD_KIND_QUEUE &&
	    (create->maxsize != 0 || create->slot_size != 0 || create->deliveries_max != 0 || create->lease_ns != 0 ||
	     create->raw))
		return false;
	bool ring = wish->kind == SHMD_KIND_STREAM || wish->kind == SHMD_KIND_PIPE;
	if ((create->message_max != 0 && !ring && wish->kind != SHMD_KIND_QUEUE) || (create->capacity != 0 && !ring))
		return false;
	if (create->bytes && (wish->kind != SHMD_KIND_PIPE || create->message_max != 0))
		return false;
	if (wish->kind != SHMD_KIND_EVENT && (create->auto_reset || create->set))
		return false;
	if (wish->kind != SHMD_KIND_BARRIER && create->parties != 0)
		return false;
	return wish->kind == SHMD_KIND_SEMAPHORE || (create->initial == 0 && create->maximum == 0 && !create->undo);
}

static void pack_shape(struct shmdi_request *request, unsigned int rank, const uint64_t *shape)
{
	shmdi_pack_text(request, "shape");
	msgpack_pack_array(&request->packer, rank);
	for (unsigned int i = 0; i < rank; i++)
		msgpack_pack_uint64(&request->packer, shape[i]);
}

static void pack_code(struct shmdi_request *request, char code)
{
	char text[2] = {code, '\0'};
	shmdi_pack_text(request, "code");
	shmdi_pack_text(request, text);
}

static void pack_true(struct shmdi_request *request, const char *key, bool truth)
{
	if (!truth)
		return;
	shmdi_pack_text(request, key);
	msgpack_pack_true(&request->packer);
}

/* A number that is left to the daemon if it is 0. */
static void pack_number(struct shmdi_request *request, const char *key, uint64_t number)
{
	if (number == 0)
		return;
	shmdi_pack_text(request, key);
	msgpack_pack_uint64(&request->packer, number);
}

static void pack_init(struct shmdi_request *request, const struct shmdi_wish *wish)
{
	const unsigned char *items = wish->create->init;
	size_t count = wish->create->init_count;
	uint32_t code = (unsigned char)wish->code;
	shmdi_pack_text(request, "init");
	if (wish->kind == SHMD_KIND_VALUE) {
		shmdi_item_pack(request, code, items);
	} else if (code == 'c') {
		shmdi_pack_bin(request, items, count);
	} else {
		msgpack_pack_array(&request->packer, count);
		for (size_t i = 0; i < count; i++)
			shmdi_item_pack(request, code, items + i * shmdi_item_size(code));
	}
}

static void pack_create_options(struct shmdi_request *request, const struct shmdi_wish *wish)
{
	const struct shmd_create_options none = {.size = sizeof none};
	const struct shmd_create_options *create = wish->create != NULL ? wish->create : &none;
	bool coded = is_coded(wish->kind);
	bool counted = wish->kind == SHMD_KIND_SEMAPHORE;
	bool shaped = wish->kind == SHMD_KIND_ARRAY;
	bool crowded = wish->kind == SHMD_KIND_BARRIER;
	bool locked = create->lock_mutex != NULL || create->lock == SHMD_LOCK_NONE;
	uint32_t members = 1;
	members += coded;
	members += shaped;
	members += locked;
	members += create->init_count > 0;
	members += create->recursive;
	members += create->unlock_any;
	members += create->strict;
	members += counted;
	members += create->maximum != 0;
	members += create->undo;
	members += create->maxsize != 0;
	members += create->slot_size != 0;
	members += create->message_max != 0;
	members += create->deliveries_max != 0;
	members += create->lease_ns != 0;
	members += create->raw;
	members += create->capacity != 0;
	members += create->bytes;
	members += create->auto_reset;
	members += create->set;
	members += crowded;
	members += create->seats_max != 0;
	members += create->mode != 0;
	members += create->lifetime != SHMD_LIFETIME_DEFAULT;
	msgpack_pack_map(&request->packer, members);
	pack_true(request, "map", true);
	if (coded)
		pack_code(request, wish->code);
	if (shaped)
		pack_shape(request, wish->rank, wish->shape);
	if (locked) {
		shmdi_pack_text(request, "lock");
		if (create->lock_mutex == NULL)
			shmdi_pack_text(request, "none");
		else
			msgpack_pack_uint64(&request->packer, create->lock_mutex->object.is.id);
	}
	if (create->init_count > 0)
		pack_init(request, wish);
	pack_true(request, "recursive", create->recursive);
	pack_true(request, "unlock_any", create->unlock_any);
	pack_true(request, "strict", create->strict);
	if (counted) {
		shmdi_pack_text(request, "initial");
		msgpack_pack_uint32(&request->packer, create->initial);
	}
	pack_number(request, "maximum", create->maximum);
	pack_true(request, "undo", create->undo);
	pack_number(request, "maxsize", create->maxsize);
	pack_number(request, "slot_size", create->slot_size);
	pack_number(request, "message_max", create->message_max);
	pack_number(request, "deliveries_max", create->deliveries_max);
	pack_number(request, "lease_ns", create->lease_ns);
	if (create->raw) {
		shmdi_pack_text(request, "content");
		shmdi_pack_text(request, "raw");
	}
	pack_number(request, "capacity", create->capacity);
	pack_true(request, "bytes", create->bytes);
	pack_true(request, "auto_reset", create->auto_reset);
	pack_true(request, "set", create->set);
	if (crowded) {
		shmdi_pack_text(request, "parties");
		msgpack_pack_uint32(&request->packer, create->parties);
	}
	pack_number(request, "seats_max", create->seats_max);
	pack_number(request, "mode", create->mode);
	if (create->lifetime != SHMD_LIFETIME_DEFAULT) {
		shmdi_pack_text(request, "lifetime");
		shmdi_pack_text(request, lifetime_names[create->lifetime]);
	}
}

static void pack_open_options(struct shmdi_request *request, const struct shmdi_wish *wish)
{
	const struct shmd_open_options *open = wish->open;
	bool read_only = open != NULL && open->read_only;
	bool party = open != NULL && open->party;
	bool role = open != NULL && open->role != 0;
	const struct shmd_ticket *ticket = open != NULL ? open->ticket : NULL;
	msgpack_pack_map(&request->packer, 2u + read_only + party + role + (ticket != NULL) + (wish->code != 0) +
	                                       (wish->rank != 0));
	shmdi_pack_text(request, "kind");
	shmdi_pack_text(request, kind_names[wish->kind]);
	pack_true(request, "map", true);
	if (read_only) {
		shmdi_pack_text(request, "access");
		shmdi_pack_text(request, "r");
	}
	pack_true(request, "party", party);
	if (role) {
		shmdi_pack_text(request, "role");
		shmdi_pack_text(request, shmdi_role_name(open->role));
	}
	if (ticket != NULL) {
		shmdi_pack_text(request, "ticket");
		shmdi_pack_bin(request, ticket->bytes, sizeof ticket->bytes);
	}
	if (wish->code != 0)
		pack_code(request, wish->code);
	if (wish->rank != 0)
		pack_shape(request, wish->rank, wish->shape);
}

/* *ret_fd is the segment's descriptor, -1 = it did not come along. */
static int ask(struct shmd_client *client, const struct shmdi_wish *wish, struct shmdi_attachment *ret_attachment,
               int *ret_fd)
{
	struct shmdi_request request;
	struct shmdi_reply reply;
	if (strcmp(wish->method, "open") == 0) {
		shmdi_request_begin(client, &request, wish->method, 2);
		if (wish->name != NULL)
			shmdi_pack_text(&request, wish->name);
		else
			msgpack_pack_uint64(&request.packer, wish->open->id);
		pack_open_options(&request, wish);
	} else {
		shmdi_request_begin(client, &request, wish->method, 3);
		shmdi_pack_text(&request, wish->name != NULL ? wish->name : "");
		shmdi_pack_text(&request, kind_names[wish->kind]);
		pack_create_options(&request, wish);
	}
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	result = shmdi_attachment_read(reply.result, ret_attachment);
	if (result == 0 && ret_attachment->kind != wish->kind)
		result = shmdi_fail(SHMD_E_BAD_FRAME, "%s: the daemon opened an object of another kind", wish->method);
	if (result == 0) {
		*ret_fd = reply.fd;
		reply.fd = -1;
	}
	shmdi_reply_clear(&reply);
	return result;
}

/* ---- the lock ---- */

static uint32_t *seat_cell(const struct shmdi_segment *segment, uint64_t offset_bytes, uint32_t owner)
{
	unsigned char *cells = (unsigned char *)segment->page + offset_bytes;
	struct shmd_seat_cell *cell = (struct shmd_seat_cell *)(void *)cells;
	return &cell[owner & SHMD_OWNER_SEAT_MASK].waiting;
}

/* The mutex that guards this object: its flags, then its memory. */
static int attach_foreign(struct shmdi_object *object)
{
	struct shmdi_attachment *is = &object->is;
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(object->client, &request, "stat", 1);
	msgpack_pack_uint64(&request.packer, is->lock_id);
	int result = shmdi_call(object->client, &request, &reply);
	if (result < 0)
		return result;
	uint32_t flags;
	uint64_t id;
	uint64_t size_bytes;
	uint64_t seats_max;
	bool sound = shmdi_text_is(shmdi_member(reply.result, "kind"), "mutex") &&
	             shmdi_flags_read(shmdi_member(reply.result, "flags"), &flags) &&
	             shmdi_get_u64(reply.result, "id", UINT64_MAX, &id) && id == is->lock_id &&
	             shmdi_get_u64(reply.result, "segment_size", SIZE_MAX / 2, &size_bytes) &&
	             shmdi_get_u64(reply.result, "seats_max", SHMD_SEATS_LIMIT, &seats_max);
	shmdi_reply_clear(&reply);
	uint32_t seat = is->lock_owner & SHMD_OWNER_SEAT_MASK;
	if (!sound || (is->lock_owner & ~SHMD_OWNER_MASK) != 0 || seat == 0 || seat > seats_max)
		return shmdi_fail(SHMD_E_BAD_FRAME, "open: the daemon's description of the mutex contradicts itself");
	if (size_bytes != shmdi_front_size((uint32_t)seats_max))
		return shmdi_fail(SHMD_E_VERSION, "open: the daemon lays the mutex out differently; use equal builds");
	result = shmdi_segment_map(object->client, is->lock_handle, -1, size_bytes, false, &object->lock_segment);
	if (result == 0)
		shmdi_object_bind_foreign(object, flags);
	return result;
}

void shmdi_object_bind(struct shmdi_object *object, uint32_t generation)
{
	const struct shmdi_attachment *is = &object->is;
	struct shmd_page *page = object->segment.page;
	bool own = (is_coded(is->kind) || is->kind == SHMD_KIND_MUTEX) &&
	           (is->flags & (SHMD_FLAG_LOCK_NONE | SHMD_FLAG_LOCK_FOREIGN)) == 0;
	bool none = (is->flags & SHMD_FLAG_LOCK_NONE) != 0;
	object->data = (unsigned char *)page + is->data_offset_bytes;
	object->waiting = seat_cell(&object->segment, is->seats_offset_bytes, is->owner);
	object->lock = (struct shmdi_lock){
		.shared = own && !is->read_only ? &page->lock : NULL,
		.waiting = object->waiting,
		.write_depth = &page->lock.write_depth,
		.me = is->owner,
		.flags = is->flags,
		.generation = generation,
		.refusal = is->read_only && !none ? SHMD_E_PERMISSION : SHMD_E_UNSUPPORTED,
	};
}

void shmdi_object_bind_foreign(struct shmdi_object *object, uint32_t flags)
{
	uint32_t owner = object->is.lock_owner;
	object->lock.shared = &object->lock_segment.page->lock;
	object->lock.waiting = seat_cell(&object->lock_segment, SHMD_SEATS_OFFSET, owner);
	object->lock.me = owner;
	object->lock.flags = flags;
	if (!is_coded(object->is.kind))
		object->lock.write_depth = &object->lock.shared->write_depth; /* it has no brackets of its own */
}

/* ---- attach and detach ---- */

int shmdi_object_attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmdi_object *object)
{
	if (!options_are_possible(wish) || (wish->name == NULL && strcmp(wish->method, "open") == 0 && wish->open == NULL))
		return shmdi_fail(SHMD_E_INVALID, "%s: options of another size, or that exclude each other", wish->method);
	bool create = strcmp(wish->method, "open") != 0;
	if (wish->kind == SHMD_KIND_CONDITION && create && wish->create == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: a condition needs a mutex: options with lock_mutex", wish->method);
	if (wish->kind == SHMD_KIND_CONDITION && !create && wish->open != NULL && wish->open->read_only)
		return shmdi_fail(SHMD_E_PERMISSION, "open: a condition and its mutex cannot be used read-only");
	if (create && is_coded(wish->kind) && shmdi_item_size((unsigned char)wish->code) == 0)
		return shmdi_fail(SHMD_E_BAD_TYPE, "%s: there is no such type code", wish->method);
	if (wish->rank > SHMD_RANK_MAX || (wish->rank > 0 && wish->shape == NULL))
		return shmdi_fail(SHMD_E_INVALID, "%s: an array has 1 to %u dimensions", wish->method, SHMD_RANK_MAX);
	if (create && wish->create != NULL && wish->create->init_count > SHMDI_MESSAGE_MAX)
		return shmdi_fail(SHMD_E_TOO_LARGE, "%s: %zu initial items are more than one message holds; write them later",
		                  wish->method, wish->create->init_count);
	int fd = -1;
	int result = ask(client, wish, &object->is, &fd);
	if (result < 0)
		return result;
	object->client = client;
	result = shmdi_segment_map(client, object->is.handle, fd, object->is.segment_size_bytes, object->is.read_only,
	                           &object->segment);
	if (result == 0) {
		shmdi_object_bind(object, client->generation);
		if ((object->is.flags & SHMD_FLAG_LOCK_FOREIGN) != 0 && !object->is.read_only)
			result = attach_foreign(object);
	}
	if (result < 0) {
		shmdi_segment_unmap(&object->lock_segment);
		shmdi_segment_unmap(&object->segment);
		shmdi_close_handle(client, object->is.handle);
		return result;
	}
	shmdi_client_hold(client);
	return 0;
}

void shmdi_object_detach(struct shmdi_object *object)
{
	struct shmd_client *client = object->client;
	shmdi_segment_unmap(&object->lock_segment);
	shmdi_segment_unmap(&object->segment);
	if (shmdi_fork_same(client->generation))
		shmdi_close_handle(client, object->is.handle);
	shmdi_client_drop(client);
}

int shmdi_handle_open(struct shmd_client *client, const struct shmdi_wish *wish, const struct shmdi_handle_type *type,
                      void *ret_handle)
{
	if (client == NULL || ret_handle == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	unsigned char *handle = calloc(1, type->size_bytes);
	if (handle == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, (struct shmdi_object *)(void *)(handle + type->object_offset));
	if (result < 0) {
		free(handle);
		return result;
	}
	if (type->bind != NULL)
		type->bind(handle);
	memcpy(ret_handle, &handle, sizeof handle);
	return 0;
}

void shmdi_handle_close(void *handle, struct shmdi_object *object)
{
	shmdi_object_detach(object);
	free(handle);
}

int shmdi_object_usable(const struct shmdi_object *object)
{
	if (!SHMDI_LIKELY(shmdi_fork_same(object->lock.generation)))
		return SHMD_E_FORKED;
	switch (shmdi_load32(&object->segment.page->header.state, SHMDI_RELAXED)) {
	case SHMD_STATE_REMOVED: return SHMD_E_REMOVED;
	case SHMD_STATE_CORRUPT: return SHMD_E_CORRUPT;
	default: return 0;
	}
}

int shmdi_object_lock(struct shmdi_object *object, int64_t timeout_ns)
{
	int result = shmdi_lock_acquire(&object->lock, timeout_ns);
	if (!SHMDI_LIKELY((object->is.flags & SHMD_FLAG_LOCK_FOREIGN) == 0) && result >= 0 &&
	    shmdi_object_usable(object) == SHMD_E_REMOVED) {
		shmdi_lock_release(&object->lock); /* the mutex lives on */
		return SHMD_E_REMOVED;
	}
	return result;
}

int shmdi_object_writable(const struct shmdi_object *object)
{
	return object->is.read_only ? SHMD_E_PERMISSION : shmdi_object_usable(object);
}
