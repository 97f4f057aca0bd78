/* SPDX-License-Identifier: Apache-2.0
 *
 * change.c - waiting for a change of a value or array; see change.h.
 */
#include "change.h"

#include <limits.h>

/* The futex: little endian, so the low half comes first. */
static uint32_t *low_half(uint64_t *word)
{
	return (uint32_t *)(void *)word;
}

void shmdi_change_wake(struct shmdi_object *object)
{
	uint64_t *word = shmdi_change_word(object);
	shmdi_and64(word, ~SHMD_CHANGE_WAITERS, SHMDI_ACQ_REL);
	shmdi_futex_wake(low_half(word), INT_MAX);
}

uint64_t shmdi_change_version(const struct shmdi_object *object)
{
	return shmdi_load64(shmdi_change_word(object), SHMDI_ACQUIRE) >> 1;
}

/* A read-only mapping cannot set the waiters bit: the daemon waits for us. */
static int wait_remotely(struct shmdi_object *object, uint64_t version, int64_t timeout_ns, uint64_t *ret_version)
{
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(object->client, &request, "wait_change", 3);
	msgpack_pack_uint64(&request.packer, object->is.handle);
	msgpack_pack_uint64(&request.packer, version);
	msgpack_pack_int64(&request.packer, timeout_ns);
	request.waits = timeout_ns != 0;
	int result = shmdi_call(object->client, &request, &reply);
	if (result < 0)
		return result;
	if (reply.result->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		*ret_version = reply.result->via.u64;
	else
		result = shmdi_fail(SHMD_E_BAD_FRAME, "wait_change: the daemon answered no version");
	shmdi_reply_clear(&reply);
	return result;
}

int shmdi_change_wait(struct shmdi_object *object, uint64_t version, int64_t timeout_ns, uint64_t *ret_version)
{
	uint64_t *word = shmdi_change_word(object);
	int64_t deadline_ns = 0; /* not yet known */
	for (;;) {
		/* The state after the word: destroying stores the state, then bumps. */
		uint64_t old = shmdi_load64(word, SHMDI_ACQUIRE);
		int result = shmdi_object_usable(object);
		if (result < 0)
			return result;
		if (old >> 1 != version) {
			*ret_version = old >> 1;
			return 0;
		}
		if (timeout_ns == 0)
			return SHMD_E_WOULD_BLOCK;
		if (object->is.read_only)
			return wait_remotely(object, version, timeout_ns, ret_version);
		if (deadline_ns == 0)
			deadline_ns = shmdi_deadline(timeout_ns);
		if ((old & SHMD_CHANGE_WAITERS) == 0) {
			if (!shmdi_cas64(word, old, old | SHMD_CHANGE_WAITERS, SHMDI_ACQ_REL))
				continue;
			old |= SHMD_CHANGE_WAITERS;
		}
		shmdi_add32(object->waiting, 1, SHMDI_RELAXED);
		result = shmdi_sleep_on_word(low_half(word), (uint32_t)old, deadline_ns);
		shmdi_add32(object->waiting, UINT32_MAX, SHMDI_RELAXED);
		result = shmdi_slept(result, "a change");
		if (result < 0)
			return result;
	}
}
