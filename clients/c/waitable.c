/* SPDX-License-Identifier: Apache-2.0
 *
 * waitable.c - waiting for what may be had, without taking it; the twin of
 * shm/wait_any.go. Such a waiter announces itself as every other does. What must not
 * be changed: whoever may have consumed a wake either announces itself on that word
 * again, or passes the wake on.
 *
 * Orders. To find something ready promises nothing; the try that follows acquires. The
 * looks acquire all the same, as those of the kinds do, for who reads the data without
 * one: of an event and of a change they pair with set and bump. Announcements are as in
 * the kinds: of a reader sequentially consistent (rwlock.h), else relaxed, for the kernel
 * compares the word again.
 */
#include "queue_wait.h"
#include "ring.h"
#include "rwlock.h"
#include "waitable.h"

#include <errno.h>
#include <limits.h>

/* Before Linux 5.16: how often the words are looked at. */
#define TICK_NS 5000000

/* ---- by kind ---- */

/* The ring that is read from, or written into. */
static struct shmdi_ring *ring_of(const struct shmd_waitable *item)
{
	if (item->until == SHMD_UNTIL_STREAM_READABLE || item->until == SHMD_UNTIL_STREAM_WRITABLE)
		return &((struct shmd_stream *)item->object)->ring;
	struct shmd_pipe *pipe = item->object;
	int end = shmdi_pipe_end(pipe, SHMD_END_ANY);
	if (end < 0) /* it has both */
		end = item->version == SHMD_END_B ? SHMD_END_B : SHMD_END_A;
	return &pipe->rings[item->until == SHMD_UNTIL_PIPE_READABLE ? 1 - end : end];
}

static struct shmdi_object *object_of(const struct shmd_waitable *item)
{
	switch (item->until) {
	case SHMD_UNTIL_MUTEX_FREE: return &((struct shmd_mutex *)item->object)->object;
	case SHMD_UNTIL_PERMIT: return &((struct shmd_semaphore *)item->object)->object;
	case SHMD_UNTIL_MESSAGE:
	case SHMD_UNTIL_SLOT: return &((struct shmd_queue *)item->object)->object;
	case SHMD_UNTIL_SET: return &((struct shmd_event *)item->object)->object;
	case SHMD_UNTIL_READABLE: return &((struct shmd_rwlock *)item->object)->object;
	case SHMD_UNTIL_VALUE_CHANGES: return &((struct shmd_value *)item->object)->object;
	case SHMD_UNTIL_ARRAY_CHANGES: return &((struct shmd_array *)item->object)->object;
	case SHMD_UNTIL_STREAM_READABLE:
	case SHMD_UNTIL_STREAM_WRITABLE: return &((struct shmd_stream *)item->object)->object;
	case SHMD_UNTIL_PIPE_READABLE:
	case SHMD_UNTIL_PIPE_WRITABLE: return &((struct shmd_pipe *)item->object)->object;
	}
	return NULL;
}

static int arm_lock(struct shmdi_lock *lock, bool announce, struct shmdi_sleep *ret_sleep)
{
	uint32_t *word = &lock->shared->word;
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_ACQUIRE);
		uint32_t owner = old & SHMD_OWNER_MASK;
		if (owner == 0 || owner == SHMD_OWNER_REMOVED)
			return SHMDI_READY;
		if (!announce)
			return 0;
		uint32_t announced = old | SHMD_OWNER_WAITERS;
		if (old != announced && !shmdi_cas32(word, old, announced, SHMDI_RELAXED))
			continue;
		*ret_sleep = (struct shmdi_sleep){word, announced, 0};
		return 0;
	}
}

/* An owner who sees the bit wakes the next waiter, or we do. */
static void pass_lock(struct shmdi_lock *lock)
{
	uint32_t *word = &lock->shared->word;
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		uint32_t owner = old & SHMD_OWNER_MASK;
		if (owner == 0 || owner == SHMD_OWNER_REMOVED) {
			shmdi_futex_wake(word, 1);
			return;
		}
		if ((old & SHMD_OWNER_WAITERS) != 0 || shmdi_cas32(word, old, old | SHMD_OWNER_WAITERS, SHMDI_RELAXED))
			return;
	}
}

/* The word of a plain semaphore. */
static int arm_permits(uint32_t *word, bool announce, struct shmdi_sleep *ret_sleep)
{
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_ACQUIRE);
		if (old >= SHMD_SEMAPHORE_STEP) /* destroyed, too */
			return SHMDI_READY;
		if (announce && old != SHMD_SEMAPHORE_WAITERS &&
		    !shmdi_cas32(word, old, SHMD_SEMAPHORE_WAITERS, SHMDI_RELAXED))
			continue;
		*ret_sleep = (struct shmdi_sleep){word, SHMD_SEMAPHORE_WAITERS, 0};
		return 0;
	}
}

/* The word of an event with manual reset; first is what it was when the wait began. */
static int arm_event(uint32_t *word, uint32_t first, bool announce, struct shmdi_sleep *ret_sleep)
{
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_ACQUIRE);
		/* Destroyed, it is set too. */
		if ((old & SHMD_EVENT_SET) != 0 || ((old ^ first) & SHMD_EVENT_GENERATION_MASK) != 0)
			return SHMDI_READY;
		uint32_t announced = old | SHMD_EVENT_WAITERS;
		if (announce && old != announced && !shmdi_cas32(word, old, announced, SHMDI_RELAXED))
			continue;
		*ret_sleep = (struct shmdi_sleep){word, announced, 0};
		return 0;
	}
}

/* For readers; unlike one that waits it does not hold back writers. */
static int arm_reading(uint32_t *word, bool announce, struct shmdi_sleep *ret_sleep)
{
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_ACQUIRE);
		if (!shmdi_rwlock_keeps_out(old) || (old & SHMD_RWLOCK_OWNER_MASK) == SHMD_RWLOCK_REMOVED)
			return SHMDI_READY;
		uint32_t announced = old | SHMD_RWLOCK_WAITERS;
		if (announce && old != announced && !shmdi_cas32(word, old, announced, SHMDI_SEQ_CST))
			continue;
		*ret_sleep = (struct shmdi_sleep){word, announced, 0};
		return 0;
	}
}

static struct shmdi_queue_wait wait_of(const struct shmd_waitable *item)
{
	struct shmd_queue *queue = item->object;
	struct shmdi_queue_wait message = SHMDI_WAIT_MESSAGE(queue, SHMD_FOREVER);
	struct shmdi_queue_wait slot = SHMDI_WAIT_SLOT(queue, SHMD_FOREVER);
	return item->until == SHMD_UNTIL_MESSAGE ? message : slot;
}

static int arm_queue(const struct shmd_waitable *item, bool announce, int64_t deadline_ns,
                     struct shmdi_sleep *ret_sleep)
{
	struct shmdi_queue_wait wait = wait_of(item);
	struct shmd_queue *queue = wait.queue;
	wait.deadline_ns = deadline_ns;
	int result = item->until == SHMD_UNTIL_MESSAGE ? shmdi_queue_enter_expired(&wait) : shmdi_queue_enter(&wait);
	if (result < 0)
		return result == SHMD_E_REMOVED ? SHMDI_READY : result;
	bool ready = shmdi_queue_offers(&wait);
	if (!ready && announce) {
		*ret_sleep = shmdi_eventcount_sleeper(wait.event);
		ready = shmdi_queue_offers(&wait);
	}
	if (ready)
		return shmdi_queue_leave(&wait, SHMDI_READY);
	ret_sleep->look_ns = wait.look_ns;
	result = shmdi_queue_leave(&wait, 0);
	/* After the announcement: destroying stores the state, then moves the word. */
	if (result == 0 && shmdi_load32(queue->put_latch.state, SHMDI_RELAXED) != SHMD_STATE_LIVE)
		return SHMDI_READY;
	return result;
}

static int arm_change(struct shmdi_object *object, uint64_t version, bool announce, struct shmdi_sleep *ret_sleep)
{
	uint64_t *word = &object->segment.page->change.word;
	for (;;) {
		uint64_t old = shmdi_load64(word, SHMDI_ACQUIRE);
		/* The state after the word: destroying stores the state, then bumps. */
		if (old / SHMD_CHANGE_STEP != version || shmdi_object_usable(object) < 0)
			return SHMDI_READY;
		if (!announce)
			return 0;
		uint64_t announced = old | SHMD_CHANGE_WAITERS;
		if (old != announced && !shmdi_cas64(word, old, announced, SHMDI_ACQ_REL))
			continue;
		*ret_sleep = (struct shmdi_sleep){(uint32_t *)(void *)word, (uint32_t)announced, 0};
		return 0;
	}
}

static int arm_ring(struct shmdi_ring *ring, bool reads, bool announce, struct shmdi_sleep *ret_sleep)
{
	uint64_t judged;
	if (reads ? shmdi_ring_is_readable(ring, &judged) : shmdi_ring_is_writable(ring, &judged))
		return SHMDI_READY;
	struct shmd_ring_line *other = reads ? ring->tail : ring->head;
	if (announce)
		shmdi_add32(&other->attention, 1, SHMDI_SEQ_CST); /* the kernel loads the word again */
	*ret_sleep = (struct shmdi_sleep){.word = shmdi_ring_futex(other), .expected = (uint32_t)judged};
	return 0;
}

/* ---- all kinds ---- */

int shmdi_waitable_check(const struct shmd_waitable *item)
{
	if (item == NULL || item->object == NULL)
		return SHMD_E_INVALID;
	const struct shmdi_object *object = object_of(item);
	if (object == NULL)
		return shmdi_fail(SHMD_E_INVALID, "nothing can be waited for until %d", (int)item->until);
	if (!shmdi_fork_same(object->lock.generation))
		return SHMD_E_FORKED;
	return object->is.read_only ? SHMD_E_PERMISSION : 0;
}

int shmdi_waitable_arm(const struct shmd_waitable *item, bool announce, int64_t deadline_ns,
                       struct shmdi_sleep *ret_sleep)
{
	switch (item->until) {
	case SHMD_UNTIL_MUTEX_FREE:
		return arm_lock(&((struct shmd_mutex *)item->object)->object.lock, announce, ret_sleep);
	case SHMD_UNTIL_PERMIT: {
		struct shmd_semaphore *semaphore = item->object;
		if (semaphore->pool != NULL)
			return shmdi_pool_arm(semaphore, announce, deadline_ns, ret_sleep);
		return arm_permits(semaphore->word, announce, ret_sleep);
	}
	case SHMD_UNTIL_SET: {
		struct shmd_event *event = item->object;
		if (event->auto_reset)
			return arm_permits(event->word, announce, ret_sleep);
		return arm_event(event->word, (uint32_t)item->version, announce, ret_sleep);
	}
	case SHMD_UNTIL_READABLE: return arm_reading(((struct shmd_rwlock *)item->object)->word, announce, ret_sleep);
	case SHMD_UNTIL_MESSAGE:
	case SHMD_UNTIL_SLOT: return arm_queue(item, announce, deadline_ns, ret_sleep);
	case SHMD_UNTIL_VALUE_CHANGES:
	case SHMD_UNTIL_ARRAY_CHANGES: return arm_change(object_of(item), item->version, announce, ret_sleep);
	case SHMD_UNTIL_STREAM_READABLE:
	case SHMD_UNTIL_PIPE_READABLE: return arm_ring(ring_of(item), true, announce, ret_sleep);
	case SHMD_UNTIL_STREAM_WRITABLE:
	case SHMD_UNTIL_PIPE_WRITABLE: return arm_ring(ring_of(item), false, announce, ret_sleep);
	}
	return SHMD_E_INVALID;
}

void shmdi_waitable_pass(const struct shmd_waitable *item)
{
	switch (item->until) {
	case SHMD_UNTIL_MUTEX_FREE: pass_lock(&((struct shmd_mutex *)item->object)->object.lock); break;
	case SHMD_UNTIL_PERMIT: {
		struct shmd_semaphore *semaphore = item->object;
		if (semaphore->pool != NULL)
			shmdi_eventcount_wake(&semaphore->lines->one, 1);
		else
			shmdi_futex_wake(semaphore->word, 1);
		break;
	}
	case SHMD_UNTIL_SET: {
		struct shmd_event *event = item->object;
		if (event->auto_reset)
			shmdi_futex_wake(event->word, 1);
		break; /* with manual reset whoever clears the bit wakes all */
	}
	case SHMD_UNTIL_MESSAGE:
	case SHMD_UNTIL_SLOT: shmdi_eventcount_wake(wait_of(item).event, 1); break;
	case SHMD_UNTIL_READABLE:
	case SHMD_UNTIL_VALUE_CHANGES:
	case SHMD_UNTIL_ARRAY_CHANGES: break; /* whoever clears the bit wakes all */
	case SHMD_UNTIL_STREAM_READABLE:
	case SHMD_UNTIL_STREAM_WRITABLE:
	case SHMD_UNTIL_PIPE_READABLE:
	case SHMD_UNTIL_PIPE_WRITABLE: break; /* a commit wakes all */
	}
}

void shmdi_waitable_count(const struct shmd_waitable *item, uint32_t delta)
{
	shmdi_add32(object_of(item)->waiting, delta, SHMDI_RELAXED);
}

void shmdi_waitable_begin(struct shmd_waitable *item)
{
	if (item->until == SHMD_UNTIL_SET)
		item->version = shmdi_load32(((struct shmd_event *)item->object)->word, SHMDI_ACQUIRE);
}

void shmdi_waitable_renew(struct shmd_waitable *item)
{
	shmdi_waitable_begin(item);
	if (item->until == SHMD_UNTIL_VALUE_CHANGES || item->until == SHMD_UNTIL_ARRAY_CHANGES)
		item->version = shmdi_change_version(object_of(item));
}

/* ---- any of several ---- */

static void pass_all(const struct shmd_waitable *items, size_t from, size_t count)
{
	for (size_t i = from; i < count; i++)
		shmdi_waitable_pass(&items[i]);
}

static void count_all(const struct shmd_waitable *items, size_t count, uint32_t delta)
{
	for (size_t i = 0; i < count; i++)
		shmdi_waitable_count(&items[i], delta);
}

/* SHMDI_READY and the lowest index, 0 if all are armed, or an error. What was passed
 * over is armed again, so that only the items from *ret_index on may owe a wake. */
static int arm_all(const struct shmd_waitable *items, size_t count, bool announce, int64_t deadline_ns,
                   struct shmdi_sleep *sleeps, size_t *ret_index)
{
	for (size_t i = 0; i < count; i++) {
		int result = shmdi_waitable_arm(&items[i], announce, deadline_ns, &sleeps[i]);
		if (result != 0) {
			*ret_index = i;
			return result;
		}
	}
	return 0;
}

static int sleep_on(const struct shmd_waitable *items, const struct shmdi_sleep *sleeps, size_t count,
                    int64_t deadline_ns)
{
	for (size_t i = 0; i < count; i++)
		if (sleeps[i].look_ns != 0 && sleeps[i].look_ns < deadline_ns)
			deadline_ns = sleeps[i].look_ns;
	if (shmdi_interrupted())
		return -ECANCELED;
	count_all(items, count, 1);
	int result = shmdi_futex_wait_any(sleeps, count, deadline_ns);
	if (result == -ENOSYS) {
		int64_t tick_ns = shmdi_deadline(TICK_NS);
		result = shmdi_futex_wait(sleeps[0].word, sleeps[0].expected, tick_ns < deadline_ns ? tick_ns : deadline_ns);
	}
	count_all(items, count, UINT32_MAX);
	return result;
}

int shmd_wait_any(const struct shmd_waitable *given, size_t count, int64_t timeout_ns, size_t *ret_index)
{
	if (given == NULL || ret_index == NULL || count == 0 || count > SHMD_WAIT_ANY_MAX || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	struct shmd_waitable items[SHMD_WAIT_ANY_MAX];
	for (size_t i = 0; i < count; i++) {
		int result = shmdi_waitable_check(&given[i]);
		if (result < 0)
			return result;
		items[i] = given[i];
		shmdi_waitable_begin(&items[i]);
	}
	struct shmdi_sleep sleeps[SHMD_WAIT_ANY_MAX];
	/* Even who only looks waits for a latch, which nobody living keeps. */
	int64_t deadline_ns = timeout_ns == 0 ? SHMDI_FOREVER_NS : shmdi_deadline(timeout_ns);
	bool slept = false;
	bool last = timeout_ns == 0;
	for (;;) {
		size_t index = 0;
		int result = arm_all(items, count, !last, deadline_ns, sleeps, &index);
		if (result != 0) {
			if (slept)
				pass_all(items, last ? 0 : index, count);
			if (result == SHMDI_READY)
				*ret_index = index;
			return result < 0 ? result : 0;
		}
		if (last) {
			if (slept)
				pass_all(items, 0, count);
			return timeout_ns == 0 ? SHMD_E_WOULD_BLOCK : SHMD_E_TIMED_OUT;
		}
		result = sleep_on(items, sleeps, count, deadline_ns);
		slept = true;
		result = shmdi_slept(result, "several objects");
		if (result < 0 && result != SHMD_E_TIMED_OUT) {
			pass_all(items, 0, count);
			return result;
		}
		/* One more look: what came in time is not missed. */
		last = shmdi_expired(deadline_ns);
	}
}
