/* SPDX-License-Identifier: Apache-2.0
 *
 * pipe.c - the pipe: two rings, and two ends that each write into one and read from the
 * other. See ring.h.
 */
#include "ring.h"

/* ---- handles ---- */

void shmdi_pipe_bind(void *handle)
{
	struct shmd_pipe *pipe = handle;
	shmdi_ring_bind(&pipe->rings[0], &pipe->object, 0);
	shmdi_ring_bind(&pipe->rings[1], &pipe->object, 1);
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_pipe **ret_pipe)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_pipe), offsetof(struct shmd_pipe, object), shmdi_pipe_bind};
	return shmdi_handle_open(client, wish, &type, ret_pipe);
}

int shmd_pipe_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                     struct shmd_pipe **ret_pipe)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_PIPE, .create = options};
	return attach(client, &wish, ret_pipe);
}

int shmd_pipe_open_or_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                             struct shmd_pipe **ret_pipe)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_PIPE, .create = options};
	return attach(client, &wish, ret_pipe);
}

int shmd_pipe_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                   struct shmd_pipe **ret_pipe)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_PIPE, .open = options};
	return attach(client, &wish, ret_pipe);
}

struct shmd_pipe *shmd_pipe_close(struct shmd_pipe *pipe)
{
	if (pipe != NULL) {
		shmdi_ring_clear(&pipe->rings[0]);
		shmdi_ring_clear(&pipe->rings[1]);
		shmdi_handle_close(pipe, &pipe->object);
	}
	return NULL;
}

uint64_t shmd_pipe_id(const struct shmd_pipe *pipe)
{
	return pipe->object.is.id;
}

bool shmd_pipe_created(const struct shmd_pipe *pipe)
{
	return pipe->object.is.created;
}

size_t shmd_pipe_capacity_bytes(const struct shmd_pipe *pipe)
{
	return pipe->rings[0].capacity_bytes;
}

size_t shmd_pipe_message_max_bytes(const struct shmd_pipe *pipe)
{
	return pipe->rings[0].message_max_bytes;
}

bool shmd_pipe_bytes(const struct shmd_pipe *pipe)
{
	return pipe->rings[0].bytes;
}

/* ---- ends ---- */

/* Whether the client of an end is gone, which nobody can be again. */
static bool is_over(const struct shmd_pipe *pipe, int end)
{
	return (shmdi_load64(&pipe->rings[end].tail->word, SHMDI_ACQUIRE) & SHMDI_RING_MARKS) != 0;
}

static int over(int end)
{
	return shmdi_fail(SHMD_E_ENDED, "end %c of the pipe was another client's, and is over", 'a' + end);
}

static int claim(struct shmd_pipe *pipe, int end)
{
	struct shmdi_ring *written = &pipe->rings[end];
	uint32_t *owner = &written->tail->owner;
	if (is_over(pipe, end))
		return over(end);
	int result = shmdi_ring_claim(written, owner, end == SHMD_END_A ? "end a" : "end b");
	if (result != 0)
		return result < 0 ? result : 0;
	if (is_over(pipe, end)) { /* it ended between the two looks */
		shmdi_store32(owner, 0, SHMDI_RELEASE);
		return over(end);
	}
	shmdi_ring_begin_writing(written);
	shmdi_ring_begin_reading(&pipe->rings[1 - end]);
	return 0;
}

/* The same, but not of an end that this client has. */
static int claim_free(struct shmd_pipe *pipe, int end)
{
	if (shmdi_load32(pipe->rings[end].producer, SHMDI_RELAXED) == pipe->rings[end].me)
		return shmdi_fail(SHMD_E_TAKEN, "this client has end %c of the pipe", 'a' + end);
	return claim(pipe, end);
}

int shmd_pipe_claim(struct shmd_pipe *pipe, int end, int *ret_end)
{
	if (pipe == NULL || end < SHMD_END_ANY || end > SHMD_END_B)
		return SHMD_E_INVALID;
	int result = shmdi_object_writable(&pipe->object);
	if (result < 0)
		return result;
	int claimed = end;
	if (end == SHMD_END_ANY) {
		claimed = SHMD_END_A;
		result = claim_free(pipe, SHMD_END_A);
		if (result == SHMD_E_TAKEN || result == SHMD_E_ENDED) {
			int other = claim_free(pipe, claimed = SHMD_END_B);
			result = other == SHMD_E_ENDED ? result : other; /* TAKEN if one is */
		}
	} else {
		result = claim(pipe, end);
	}
	if (result == 0)
		result = shmdi_object_usable(&pipe->object); /* destroying marks the ends, after the state */
	if (result == 0 && ret_end != NULL)
		*ret_end = claimed;
	return result;
}

int shmdi_pipe_end(const struct shmd_pipe *pipe, int end)
{
	if (end != SHMD_END_ANY)
		return end == SHMD_END_A || end == SHMD_END_B ? end : SHMD_E_INVALID;
	bool a = shmdi_load32(pipe->rings[0].producer, SHMDI_RELAXED) == pipe->rings[0].me;
	bool b = shmdi_load32(pipe->rings[1].producer, SHMDI_RELAXED) == pipe->rings[1].me;
	if (a && b)
		return SHMD_E_INVALID;
	return b ? SHMD_END_B : SHMD_END_A; /* with neither the ring says why not */
}

/* The ring that an end writes into, or reads from; NULL = it is *ret_error. */
static struct shmdi_ring *ring_of(struct shmd_pipe *pipe, int end, bool reads, int *ret_error)
{
	*ret_error = SHMD_E_INVALID;
	if (pipe == NULL)
		return NULL;
	if (end != SHMD_END_A && end != SHMD_END_B) {
		bool any = end == SHMD_END_ANY;
		end = shmdi_pipe_end(pipe, end);
		if (end < 0 && any)
			(void)shmdi_fail(end, "this client has both ends of the pipe: say which one");
	}
	return end < 0 ? NULL : &pipe->rings[reads ? 1 - end : end];
}

int shmd_pipe_shut(struct shmd_pipe *pipe, int end)
{
	int result;
	struct shmdi_ring *written = ring_of(pipe, end, false, &result);
	if (written == NULL)
		return result;
	struct shmdi_ring *read = written == &pipe->rings[0] ? &pipe->rings[1] : &pipe->rings[0];
	result = shmdi_ring_look_as_consumer(read); /* which does not mind that the other end is gone */
	if (result < 0)
		return result;
	shmdi_ring_end(read->head, read->tail);
	shmdi_ring_end(written->tail, written->head);
	shmdi_store32(&written->tail->owner, 0, SHMDI_RELEASE); /* last: nobody claims an end that is half marked */
	return 0;
}

/* ---- messages ---- */

int shmd_pipe_send(struct shmd_pipe *pipe, int end, const void *message, size_t size_bytes, int64_t timeout_ns)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	if (!SHMDI_LIKELY(ring != NULL))
		return result;
	if (!SHMDI_LIKELY(message != NULL || size_bytes == 0))
		return SHMD_E_INVALID;
	return shmdi_ring_send(ring, message, size_bytes, timeout_ns);
}

int shmd_pipe_send_many(struct shmd_pipe *pipe, int end, const struct iovec *messages, uint32_t count,
                        int64_t timeout_ns, uint32_t *ret_count)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	return ring == NULL ? result : shmdi_ring_send_many(ring, messages, count, timeout_ns, ret_count);
}

int shmd_pipe_reserve(struct shmd_pipe *pipe, int end, size_t size_bytes, int64_t timeout_ns, void **ret_buffer)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	return ring == NULL ? result : shmdi_ring_reserve(ring, size_bytes, timeout_ns, ret_buffer);
}

int shmd_pipe_commit(struct shmd_pipe *pipe, int end, size_t size_bytes)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	return ring == NULL ? result : shmdi_ring_commit_reserved(ring, size_bytes);
}

int shmd_pipe_abort(struct shmd_pipe *pipe, int end)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	return ring == NULL ? result : shmdi_ring_abort(ring);
}

int shmd_pipe_recv(struct shmd_pipe *pipe, int end, void *ret_message, size_t buffer_bytes, int64_t timeout_ns,
                   size_t *ret_size_bytes)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, true, &result);
	if (!SHMDI_LIKELY(ring != NULL))
		return result;
	if (!SHMDI_LIKELY((ret_message != NULL || buffer_bytes == 0) && ret_size_bytes != NULL))
		return SHMD_E_INVALID;
	return shmdi_ring_recv(ring, ret_message, buffer_bytes, timeout_ns, ret_size_bytes);
}

int shmd_pipe_peek(struct shmd_pipe *pipe, int end, int64_t timeout_ns, const void **ret_message,
                   size_t *ret_size_bytes)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, true, &result);
	return ring == NULL ? result : shmdi_ring_peek(ring, timeout_ns, ret_message, ret_size_bytes);
}

int shmd_pipe_peek_many(struct shmd_pipe *pipe, int end, struct iovec *ret_messages, uint32_t count,
                        int64_t timeout_ns, uint32_t *ret_count)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, true, &result);
	return ring == NULL ? result : shmdi_ring_peek_many(ring, ret_messages, count, timeout_ns, ret_count);
}

int shmd_pipe_advance(struct shmd_pipe *pipe, int end, uint32_t count)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, true, &result);
	return ring == NULL ? result : shmdi_ring_advance(ring, count);
}

/* ---- bytes ---- */

int shmd_pipe_write(struct shmd_pipe *pipe, int end, const void *bytes, size_t size_bytes, int64_t timeout_ns,
                    size_t *ret_size_bytes)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, false, &result);
	return ring == NULL ? result : shmdi_ring_write(ring, bytes, size_bytes, timeout_ns, ret_size_bytes);
}

int shmd_pipe_read(struct shmd_pipe *pipe, int end, void *ret_bytes, size_t buffer_bytes, int64_t timeout_ns,
                   size_t *ret_size_bytes)
{
	int result;
	struct shmdi_ring *ring = ring_of(pipe, end, true, &result);
	return ring == NULL ? result : shmdi_ring_read(ring, ret_bytes, buffer_bytes, timeout_ns, ret_size_bytes);
}
