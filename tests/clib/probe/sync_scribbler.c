/* SPDX-License-Identifier: Apache-2.0
 *
 * sync_scribbler.c - several clients use an event, a condition, a barrier or an rwlock
 * while somebody writes random words all over it: nothing is overrun (guard pages),
 * nothing hangs (the caller's watchdog), and only errors that shmd.h names come out.
 *
 *	sync_scribbler OBJECT MUTEX|- SEED       files with the bytes of fresh objects
 */
#define _GNU_SOURCE
#include "../../../clients/c/atomic.h"
#include "scribble.h"

#include <limits.h>
#include <string.h>

#define CLIENTS 3
#define ROUNDS 50000
#define BRIEFLY_NS 10000

static struct shmdi_segment segments[2];
static uint32_t kind;
static uint32_t working = CLIENTS; /* atomic */
static uint64_t seed;

static struct shmd_event events[CLIENTS];
static struct shmd_condition conditions[CLIENTS];
static struct shmd_barrier barriers[CLIENTS];
static struct shmd_rwlock rwlocks[CLIENTS];

static void bind_object(struct shmdi_object *object, uint32_t number, uint32_t generation)
{
	const struct shmd_header *header = &segments[0].page->header;
	object->segment = segments[0];
	object->is = (struct shmdi_attachment){
		.kind = header->kind,
		.flags = header->flags,
		.length = header->length,
		.seats_max = header->seats_max,
		.seats_offset_bytes = header->seats_offset_bytes,
		.owner = 1u << SHMD_OWNER_GENERATION_SHIFT | (number + 1),
		.lock_owner = 1u << SHMD_OWNER_GENERATION_SHIFT | (number + 1),
	};
	shmdi_object_bind(object, generation);
	if (segments[1].page != NULL) {
		object->lock_segment = segments[1];
		shmdi_object_bind_foreign(object, segments[1].page->header.flags);
	}
}

static void bind_client(uint32_t number, uint32_t generation)
{
	bind_object(&events[number].object, number, generation);
	bind_object(&conditions[number].object, number, generation);
	bind_object(&barriers[number].object, number, generation);
	bind_object(&rwlocks[number].object, number, generation);
	shmdi_event_bind(&events[number]);
	shmdi_condition_bind(&conditions[number]);
	shmdi_barrier_bind(&barriers[number]);
	shmdi_rwlock_bind(&rwlocks[number]);
	rwlocks[number].key = number + 1;
}

static void expect_named(int result, const char *what)
{
	switch (result) {
	case 0:
	case SHMD_OWNER_DIED:
	case SHMD_E_WOULD_BLOCK:
	case SHMD_E_TIMED_OUT:
	case SHMD_E_REMOVED:
	case SHMD_E_NOT_RECOVERABLE:
	case SHMD_E_BROKEN:
	case SHMD_E_PEER_DIED:
	case SHMD_E_OUTCOME_UNKNOWN:
	case SHMD_E_NOT_OWNER:
	case SHMD_E_DEADLOCK:
	case SHMD_E_OVERFLOW:
	case SHMD_E_UNSUPPORTED:
	case SHMD_E_CORRUPT: return;
	default:
		printf("%s: %s\n", what, shmd_error_name(result));
		exit(1);
	}
}

static void use_event(struct shmd_event *event, uint64_t chance, int64_t timeout_ns)
{
	bool set;
	switch (chance % 5) {
	case 0: expect_named(shmd_event_set(event), "set"); break;
	case 1: expect_named(shmd_event_reset(event), "reset"); break;
	case 2: expect_named(shmd_event_pulse(event), "pulse"); break;
	case 3: expect_named(shmd_event_wait(event, timeout_ns), "wait"); break;
	default: expect_named(shmd_event_is_set(event, &set), "is_set"); break;
	}
}

static void use_condition(struct shmd_condition *condition, uint64_t chance, int64_t timeout_ns)
{
	switch (chance % 5) {
	case 0: expect_named(shmd_condition_lock(condition, timeout_ns), "lock"); break;
	case 1: expect_named(shmd_condition_wait(condition, timeout_ns), "wait"); break;
	case 2: expect_named(shmd_condition_notify(condition, 1), "notify"); break;
	case 3: expect_named(shmd_condition_notify_all(condition), "notify_all"); break;
	default: {
		int result = shmd_condition_unlock(condition);
		expect_named(result == SHMD_E_INVALID ? 0 : result, "unlock"); /* in a bracket, by the scribbled words */
	}
	}
}

static int act(void *result)
{
	return *(const int *)result;
}

static void use_barrier(struct shmd_barrier *barrier, uint64_t chance, int64_t timeout_ns)
{
	struct shmd_barrier_state state;
	uint32_t index = 0;
	int acted = chance % 2 == 0 ? 0 : SHMD_E_TIMED_OUT;
	switch (chance % 7) {
	case 0: expect_named(shmd_barrier_abort(barrier), "abort"); break;
	case 1: expect_named(shmd_barrier_reset(barrier), "reset"); break;
	case 2: expect_named(shmd_barrier_state(barrier, &state), "state"); break;
	case 3: expect_named(shmd_barrier_wait_action(barrier, timeout_ns, act, &acted, &index), "wait_action"); break;
	default: expect_named(shmd_barrier_wait(barrier, timeout_ns, &index), "wait"); break;
	}
	CHECK(index < barrier->parties);
}

static void use_rwlock(struct shmd_rwlock *rwlock, uint64_t chance, int64_t timeout_ns)
{
	switch (chance % 5) {
	case 0: expect_named(shmd_rwlock_read_lock(rwlock, timeout_ns), "read_lock"); break;
	case 1: expect_named(shmd_rwlock_read_unlock(rwlock), "read_unlock"); break;
	case 2: expect_named(shmd_rwlock_write_lock(rwlock, timeout_ns), "write_lock"); break;
	case 3: expect_named(shmd_rwlock_mark_consistent(rwlock), "mark_consistent"); break;
	default: expect_named(shmd_rwlock_write_unlock(rwlock), "write_unlock"); break;
	}
}

static void *client(void *argument)
{
	uint32_t number = *(uint32_t *)argument;
	uint64_t state = seed + 977 * (number + 1);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t chance = next_random(&state) >> 8;
		int64_t timeout_ns = next_random(&state) % 64 == 0 ? BRIEFLY_NS : 0;
		switch (kind) {
		case SHMD_KIND_EVENT: use_event(&events[number], chance, timeout_ns); break;
		case SHMD_KIND_CONDITION: use_condition(&conditions[number], chance, timeout_ns); break;
		case SHMD_KIND_BARRIER: use_barrier(&barriers[number], chance, timeout_ns); break;
		default: use_rwlock(&rwlocks[number], chance, timeout_ns); break;
		}
	}
	__atomic_sub_fetch(&working, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Random words, mostly where the words of the object are. Between them it does what a
 * daemon would in the end: it frees the mutex under which a wait of a condition ends. */
static void scribble(void)
{
	uint64_t state = seed;
	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE) != 0) {
		struct shmdi_segment *segment = &segments[segments[1].page != NULL && next_random(&state) % 4 == 0];
		unsigned char *memory = (unsigned char *)segment->page;
		uint64_t word = next_random(&state);
		size_t at = SHMD_KIND_OFFSET + next_random(&state) % 16;
		switch (next_random(&state) % 4) {
		case 0: at = SHMD_KIND_OFFSET + next_random(&state) % (segment->size_bytes - SHMD_KIND_OFFSET); break;
		case 1: word &= 0xf0003fffull; break; /* small numbers, and the high bits */
		case 2: word = 0; break;
		default: break;
		}
		shmdi_store32((uint32_t *)(void *)(memory + at / 4 * 4), (uint32_t)word, SHMDI_RELAXED);
		if (segments[1].page != NULL && next_random(&state) % 4 == 0) {
			shmdi_store32(&segments[1].page->lock.word, 0, SHMDI_RELAXED);
			shmdi_futex_wake(&segments[1].page->lock.word, INT_MAX);
		}
		shmdi_store32(&segments[0].page->header.state, SHMD_STATE_LIVE, SHMDI_RELAXED);
	}
}

int main(int count, char **arguments)
{
	CHECK(count == 4);
	seed = strtoull(arguments[3], NULL, 10) | 1;
	map_between_guards(arguments[1], &segments[0]);
	if (strcmp(arguments[2], "-") != 0)
		map_between_guards(arguments[2], &segments[1]);
	kind = segments[0].page->header.kind;
	uint32_t generation;
	EXPECT(shmdi_fork_enter(&generation) < 0, 0);
	static uint32_t numbers[CLIENTS];
	pthread_t threads[CLIENTS];
	for (uint32_t i = 0; i < CLIENTS; i++)
		bind_client(i, generation);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, client, &numbers[i]) == 0);
	}
	scribble();
	for (int i = 0; i < CLIENTS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	puts("ok");
	return 0;
}
