/* SPDX-License-Identifier: Apache-2.0
 *
 * event.c - the event. With manual reset it is one word, whose bits shmd_abi.h draws
 * and beside which it states the protocol; with auto reset it is a semaphore of at most
 * one permit. The twin of shm/event.go; models: tests/models/event.pml, sem_clear.pml
 * with MAX=1 RESET. What must not be changed:
 *   - a set and a pulse clear the waiters bit, move the generation and wake all: a
 *     waiter that was asleep before them leaves, whatever is reset after them;
 *   - a set of what is set already is a read-modify-write all the same.
 *
 * Orders. A set releases what its thread wrote before; the wait that ends by it, and a
 * reset, acquire that: set pairs with wait and reset. Every store is a
 * read-modify-write, so whoever reads a later word acquires from all sets before it.
 * Hence also the second rule: with a load alone, "data; set" that finds the event set
 * and "reset; look at the data; wait" could both miss the other (each one's store still
 * unseen by the other's load), and the wait would sleep beside the data. As
 * read-modify-writes of one word one comes first, and the second sees all before it.
 */
#include "atomic.h"
#include "internal.h"
#include "semaphore_word.h"
#include "spin.h"

#include <limits.h>

#define SET SHMD_EVENT_SET
#define WAITERS SHMD_EVENT_WAITERS
#define GENERATION_MASK SHMD_EVENT_GENERATION_MASK
#define GENERATION_UNIT SHMD_EVENT_GENERATION_UNIT
#define REMOVED SHMD_EVENT_REMOVED

_Static_assert(SHMD_EVENT_REMOVED == SHMD_SEMAPHORE_REMOVED, "one tombstone for both sorts of event");

/* ---- handles ---- */

void shmdi_event_bind(void *handle)
{
	struct shmd_event *event = handle;
	const struct shmdi_attachment *is = &event->object.is;
	unsigned char *base = (unsigned char *)event->object.segment.page;
	struct shmd_event_lines *lines = (struct shmd_event_lines *)(void *)(base + SHMD_KIND_OFFSET);
	event->word = &lines->word;
	event->auto_reset = (is->flags & SHMD_FLAG_AUTO_RESET) != 0;
	event->set_mask = event->auto_reset ? SHMD_SEMAPHORE_PERMITS_MASK : SET;
	event->writable = !is->read_only;
	event->generation = event->object.lock.generation;
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_event **ret_event)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_event), offsetof(struct shmd_event, object), shmdi_event_bind};
	return shmdi_handle_open(client, wish, &type, ret_event);
}

int shmd_event_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                      struct shmd_event **ret_event)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_EVENT, .create = options};
	return attach(client, &wish, ret_event);
}

int shmd_event_open_or_create(struct shmd_client *client, const char *name,
                              const struct shmd_create_options *options, struct shmd_event **ret_event)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_EVENT, .create = options};
	return attach(client, &wish, ret_event);
}

int shmd_event_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                    struct shmd_event **ret_event)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_EVENT, .open = options};
	return attach(client, &wish, ret_event);
}

struct shmd_event *shmd_event_close(struct shmd_event *event)
{
	if (event != NULL)
		shmdi_handle_close(event, &event->object);
	return NULL;
}

uint64_t shmd_event_id(const struct shmd_event *event)
{
	return event->object.is.id;
}

bool shmd_event_created(const struct shmd_event *event)
{
	return event->object.is.created;
}

/* ---- the word ---- */

/* Whether the event may be changed. */
static inline bool ready(const struct shmd_event *event)
{
	return SHMDI_LIKELY(event != NULL && event->writable && shmdi_fork_same(event->generation));
}

/* Why it may not. */
static int refuse(const struct shmd_event *event)
{
	if (event == NULL)
		return SHMD_E_INVALID;
	return event->writable ? SHMD_E_FORKED : SHMD_E_PERMISSION;
}

/* Makes it set or not, of the next generation, and wakes all. */
static int advance(uint32_t *word, uint32_t set)
{
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		if (old == REMOVED)
			return SHMD_E_REMOVED;
		uint32_t next = ((old + GENERATION_UNIT) & GENERATION_MASK) | set;
		if ((old & SET) != 0 && set != 0)
			next = old;
		if (!shmdi_cas32(word, old, next, SHMDI_ACQ_REL))
			continue;
		if ((old & WAITERS) != 0)
			shmdi_futex_wake(word, INT_MAX);
		return 0;
	}
}

/* The permit that there is at most. */
static int give_permit(uint32_t *word)
{
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		if (old == REMOVED)
			return SHMD_E_REMOVED;
		bool has = shmdi_word_has_permits(old);
		if (!shmdi_cas32(word, old, has ? old : SHMD_SEMAPHORE_STEP, SHMDI_ACQ_REL))
			continue;
		if (!has && (old & SHMD_SEMAPHORE_WAITERS) != 0)
			shmdi_futex_wake(word, 1);
		return 0;
	}
}

int shmd_event_set(struct shmd_event *event)
{
	if (!ready(event))
		return refuse(event);
	return event->auto_reset ? give_permit(event->word) : advance(event->word, SET);
}

int shmd_event_pulse(struct shmd_event *event)
{
	if (!ready(event))
		return refuse(event);
	return event->auto_reset ? SHMD_E_UNSUPPORTED : advance(event->word, 0);
}

int shmd_event_reset(struct shmd_event *event)
{
	if (!ready(event))
		return refuse(event);
	for (;;) {
		uint32_t old = shmdi_load32(event->word, SHMDI_ACQUIRE);
		if (old == REMOVED)
			return SHMD_E_REMOVED;
		if ((old & event->set_mask) == 0 || shmdi_cas32(event->word, old, old & ~event->set_mask, SHMDI_ACQ_REL))
			return 0;
	}
}

int shmd_event_is_set(const struct shmd_event *event, bool *ret_set)
{
	if (!SHMDI_LIKELY(event != NULL && ret_set != NULL))
		return SHMD_E_INVALID;
	if (!SHMDI_LIKELY(shmdi_fork_same(event->generation)))
		return SHMD_E_FORKED;
	uint32_t word = shmdi_load32(event->word, SHMDI_ACQUIRE);
	if (!SHMDI_LIKELY(word != REMOVED))
		return SHMD_E_REMOVED;
	*ret_set = (word & event->set_mask) != 0;
	return 0;
}

/* ---- waiting ---- */

/* For an event with manual reset. Whoever clears the waiters bit wakes all, so that
 * who was woken owes nothing. */
static int wait_for_set(struct shmd_event *event, int64_t timeout_ns)
{
	uint32_t *word = event->word;
	uint32_t old = shmdi_load32(word, SHMDI_ACQUIRE);
	uint32_t generation = old & GENERATION_MASK;
	int64_t deadline_ns = 0; /* not yet known */
	bool slept = false;
	for (;;) {
		if (old == REMOVED)
			return SHMD_E_REMOVED;
		if ((old & SET) != 0 || (old & GENERATION_MASK) != generation)
			return 0;
		if (timeout_ns == 0)
			return SHMD_E_WOULD_BLOCK;
		if (slept && shmdi_expired(deadline_ns))
			return SHMD_E_TIMED_OUT; /* however often the word changes */
		if (deadline_ns == 0) {
			deadline_ns = shmdi_deadline(timeout_ns);
			shmdi_spin_while(word, ~WAITERS, old & ~WAITERS, &event->spins);
		} else if ((old & WAITERS) != 0 || shmdi_cas32(word, old, old | WAITERS, SHMDI_RELAXED)) {
			shmdi_add32(event->object.waiting, 1, SHMDI_RELAXED);
			int result = shmdi_sleep_on_word(word, old | WAITERS, deadline_ns);
			shmdi_add32(event->object.waiting, UINT32_MAX, SHMDI_RELAXED);
			slept = true;
			result = shmdi_slept(result, "an event");
			if (result < 0)
				return result;
		}
		old = shmdi_load32(word, SHMDI_ACQUIRE);
	}
}

static __attribute__((noinline)) int wait_slowly(struct shmd_event *event, int64_t timeout_ns)
{
	if (!ready(event))
		return refuse(event);
	if (timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	if (event->auto_reset)
		return shmdi_word_acquire(event->word, event->object.waiting, &event->spins, timeout_ns);
	return wait_for_set(event, timeout_ns);
}

int shmd_event_wait(struct shmd_event *event, int64_t timeout_ns)
{
	if (!SHMDI_LIKELY(ready(event) && timeout_ns >= SHMD_FOREVER))
		return wait_slowly(event, timeout_ns);
	if (event->auto_reset) {
		if (shmdi_word_try(event->word))
			return 0;
	} else {
		uint32_t old = shmdi_load32(event->word, SHMDI_ACQUIRE);
		if (SHMDI_LIKELY((old & SET) != 0 && old != REMOVED))
			return 0;
	}
	return wait_slowly(event, timeout_ns);
}
