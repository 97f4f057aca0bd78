/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - the stream: one ring, whose two roles are claimed apart. See ring.h.
 */
#include "ring.h"

/* ---- handles ---- */

void shmdi_stream_bind(void *handle)
{
	struct shmd_stream *stream = handle;
	shmdi_ring_bind(&stream->ring, &stream->object, 0);
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_stream **ret_stream)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_stream), offsetof(struct shmd_stream, object), shmdi_stream_bind};
	return shmdi_handle_open(client, wish, &type, ret_stream);
}

int shmd_stream_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                       struct shmd_stream **ret_stream)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_STREAM, .create = options};
	return attach(client, &wish, ret_stream);
}

int shmd_stream_open_or_create(struct shmd_client *client, const char *name,
                               const struct shmd_create_options *options, struct shmd_stream **ret_stream)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_STREAM, .create = options};
	return attach(client, &wish, ret_stream);
}

int shmd_stream_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                     struct shmd_stream **ret_stream)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_STREAM, .open = options};
	return attach(client, &wish, ret_stream);
}

struct shmd_stream *shmd_stream_close(struct shmd_stream *stream)
{
	if (stream != NULL) {
		shmdi_ring_clear(&stream->ring);
		shmdi_handle_close(stream, &stream->object);
	}
	return NULL;
}

uint64_t shmd_stream_id(const struct shmd_stream *stream)
{
	return stream->object.is.id;
}

bool shmd_stream_created(const struct shmd_stream *stream)
{
	return stream->object.is.created;
}

size_t shmd_stream_capacity_bytes(const struct shmd_stream *stream)
{
	return stream->ring.capacity_bytes;
}

size_t shmd_stream_message_max_bytes(const struct shmd_stream *stream)
{
	return stream->ring.message_max_bytes;
}

/* ---- roles ---- */

int shmd_stream_claim(struct shmd_stream *stream, enum shmd_role role)
{
	if (stream == NULL || (role != SHMD_PRODUCER && role != SHMD_CONSUMER))
		return SHMD_E_INVALID;
	struct shmdi_ring *ring = &stream->ring;
	int result = shmdi_object_writable(&stream->object);
	if (result < 0)
		return result;
	bool produces = role == SHMD_PRODUCER;
	struct shmd_ring_line *line = produces ? ring->tail : ring->head;
	result = shmdi_ring_claim(ring, &line->owner, produces ? "producer" : "consumer");
	if (result >= 0)
		stream->claimed[!produces] = true;
	if (result != 0)
		return result < 0 ? result : 0;
	if (produces) {
		shmdi_ring_begin_writing(ring); /* the first send says that an earlier producer ended */
	} else {
		shmdi_ring_begin_reading(ring);
		shmdi_and64(&line->word, ~SHMDI_RING_MARKS, SHMDI_SEQ_CST);
	}
	return shmdi_object_usable(&stream->object);
}

int shmd_stream_retire(struct shmd_stream *stream, enum shmd_role role)
{
	if (stream == NULL || (role != SHMD_PRODUCER && role != SHMD_CONSUMER))
		return SHMD_E_INVALID;
	struct shmdi_ring *ring = &stream->ring;
	bool produces = role == SHMD_PRODUCER;
	int result = produces ? shmdi_ring_look_as_producer(ring) : shmdi_ring_look_as_consumer(ring);
	bool had = stream->claimed[!produces];
	if (result == 0 || result == SHMD_E_NOT_OWNER)
		stream->claimed[!produces] = false;
	if (result < 0)
		return result == SHMD_E_NOT_OWNER && had ? 0 : result; /* a repair took it away */
	struct shmd_ring_line *line = produces ? ring->tail : ring->head;
	shmdi_ring_end(line, produces ? ring->head : ring->tail);
	shmdi_store32(&line->owner, 0, SHMDI_RELEASE); /* last: else the mark would be the successor's */
	return 0;
}

/* ---- messages ---- */

int shmd_stream_send(struct shmd_stream *stream, const void *message, size_t size_bytes, int64_t timeout_ns)
{
	if (!SHMDI_LIKELY(stream != NULL && (message != NULL || size_bytes == 0)))
		return SHMD_E_INVALID;
	return shmdi_ring_send(&stream->ring, message, size_bytes, timeout_ns);
}

int shmd_stream_send_many(struct shmd_stream *stream, const struct iovec *messages, uint32_t count, int64_t timeout_ns,
                          uint32_t *ret_count)
{
	if (stream == NULL)
		return SHMD_E_INVALID;
	return shmdi_ring_send_many(&stream->ring, messages, count, timeout_ns, ret_count);
}

int shmd_stream_reserve(struct shmd_stream *stream, size_t size_bytes, int64_t timeout_ns, void **ret_buffer)
{
	return stream == NULL ? SHMD_E_INVALID : shmdi_ring_reserve(&stream->ring, size_bytes, timeout_ns, ret_buffer);
}

int shmd_stream_commit(struct shmd_stream *stream, size_t size_bytes)
{
	return stream == NULL ? SHMD_E_INVALID : shmdi_ring_commit_reserved(&stream->ring, size_bytes);
}

int shmd_stream_abort(struct shmd_stream *stream)
{
	return stream == NULL ? SHMD_E_INVALID : shmdi_ring_abort(&stream->ring);
}

int shmd_stream_recv(struct shmd_stream *stream, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                     size_t *ret_size_bytes)
{
	if (!SHMDI_LIKELY(stream != NULL && (ret_message != NULL || buffer_bytes == 0) && ret_size_bytes != NULL))
		return SHMD_E_INVALID;
	return shmdi_ring_recv(&stream->ring, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
}

int shmd_stream_peek(struct shmd_stream *stream, int64_t timeout_ns, const void **ret_message, size_t *ret_size_bytes)
{
	return stream == NULL ? SHMD_E_INVALID : shmdi_ring_peek(&stream->ring, timeout_ns, ret_message, ret_size_bytes);
}

int shmd_stream_peek_many(struct shmd_stream *stream, struct iovec *ret_messages, uint32_t count, int64_t timeout_ns,
                          uint32_t *ret_count)
{
	if (stream == NULL)
		return SHMD_E_INVALID;
	return shmdi_ring_peek_many(&stream->ring, ret_messages, count, timeout_ns, ret_count);
}

int shmd_stream_advance(struct shmd_stream *stream, uint32_t count)
{
	return stream == NULL ? SHMD_E_INVALID : shmdi_ring_advance(&stream->ring, count);
}
