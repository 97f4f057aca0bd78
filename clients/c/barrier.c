/* SPDX-License-Identifier: Apache-2.0
 *
 * barrier.c - the barrier: one word, whose steps shmd_abi.h states beside its bits. The
 * twin of shm/barrier.go; model: tests/models/barrier.pml. What must not be changed:
 *   - every step is one compare-and-swap of the whole word;
 *   - who arrives is a party before;
 *   - how a past generation ended is read from the history, never from the phase;
 *   - the state is looked at after the word, and before a sleep.
 *
 * Orders: a step is acquire and release, and a look acquires. So all that the parties
 * did before they arrived is seen by the last of them (each arrival acquires those
 * before it) and by its action, and with what the action did by all who leave: the step
 * that opens pairs with the look of who leaves. A party is stored relaxed: the arrival
 * that follows releases it.
 */
#include "atomic.h"
#include "barrier_word.h"
#include "internal.h"
#include "spin.h"

#include <limits.h>

/* ---- handles ---- */

void shmdi_barrier_bind(void *handle)
{
	struct shmd_barrier *barrier = handle;
	const struct shmdi_attachment *is = &barrier->object.is;
	unsigned char *base = (unsigned char *)barrier->object.segment.page;
	struct shmd_barrier_cell *cells =
		(struct shmd_barrier_cell *)(void *)(base + shmdi_cells_offset(is->seats_max));
	barrier->lines = (struct shmd_barrier_lines *)(void *)(base + SHMD_KIND_OFFSET);
	barrier->seat = is->owner & SHMD_OWNER_SEAT_MASK;
	barrier->cell = &cells[barrier->seat].word;
	barrier->parties = (uint32_t)is->length;
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_barrier **ret_barrier)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_barrier), offsetof(struct shmd_barrier, object), shmdi_barrier_bind};
	return shmdi_handle_open(client, wish, &type, ret_barrier);
}

int shmd_barrier_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                        struct shmd_barrier **ret_barrier)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_BARRIER, .create = options};
	return attach(client, &wish, ret_barrier);
}

int shmd_barrier_open_or_create(struct shmd_client *client, const char *name,
                                const struct shmd_create_options *options, struct shmd_barrier **ret_barrier)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_BARRIER, .create = options};
	return attach(client, &wish, ret_barrier);
}

int shmd_barrier_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                      struct shmd_barrier **ret_barrier)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_BARRIER, .open = options};
	return attach(client, &wish, ret_barrier);
}

struct shmd_barrier *shmd_barrier_close(struct shmd_barrier *barrier)
{
	if (barrier != NULL)
		shmdi_handle_close(barrier, &barrier->object);
	return NULL;
}

uint64_t shmd_barrier_id(const struct shmd_barrier *barrier)
{
	return barrier->object.is.id;
}

bool shmd_barrier_created(const struct shmd_barrier *barrier)
{
	return barrier->object.is.created;
}

/* ---- the word ---- */

static uint64_t look(const struct shmd_barrier *barrier)
{
	return shmdi_load64(&barrier->lines->word, SHMDI_ACQUIRE);
}

/* The futex: little endian, so the low half comes first. */
static uint32_t *low_half(const struct shmd_barrier *barrier)
{
	return (uint32_t *)(void *)&barrier->lines->word;
}

/* One step; false = somebody else made one. */
static bool step(struct shmd_barrier *barrier, uint64_t old, uint64_t next)
{
	return shmdi_cas64(&barrier->lines->word, old, next, SHMDI_ACQ_REL);
}

/* A step that ends waits. */
static bool release(struct shmd_barrier *barrier, uint64_t old, uint64_t next)
{
	if (!step(barrier, old, next))
		return false;
	shmdi_futex_wake(low_half(barrier), INT_MAX);
	return true;
}

static uint64_t broken(uint64_t word, uint32_t reason)
{
	return shmdi_barrier_in(word, SHMD_BARRIER_BROKEN, reason);
}

static bool is_phase(uint64_t word, uint32_t phase)
{
	return shmdi_barrier_phase(word) == phase;
}

/* Whether the word has no phase at all. */
static bool is_corrupt(uint64_t word)
{
	return shmdi_barrier_phase(word) > SHMD_BARRIER_BROKEN;
}

/* The error of a barrier that is broken for these reasons. */
static int broken_by(const struct shmd_barrier *barrier, uint32_t reasons)
{
	if ((reasons & SHMD_BARRIER_BY_DEATH) == 0)
		return shmdi_fail(SHMD_E_BROKEN, "the barrier is broken:%s%s%s; reset it",
		                  (reasons & SHMD_BARRIER_BY_TIMEOUT) != 0 ? " a party timed out" : "",
		                  (reasons & SHMD_BARRIER_BY_ABORT) != 0 ? " it was aborted" : "",
		                  (reasons & SHMD_BARRIER_BY_ACTION) != 0 ? " the action failed" : "");
	struct shmd_notice notice;
	shmdi_notice_read(&barrier->lines->death, &notice);
	return shmdi_fail(SHMD_E_PEER_DIED, "a party of the barrier died: pid %u of uid %u, in seat %u; reset it",
	                  notice.pid, notice.uid, notice.seat);
}

/* How a generation ended that was since ago. */
static int ended(const struct shmd_barrier *barrier, uint64_t word, uint64_t since)
{
	if (since > SHMD_BARRIER_HISTORY_LENGTH)
		return shmdi_fail(SHMD_E_OUTCOME_UNKNOWN, "%llu generations of the barrier have ended since; it remembers %u",
		                  (unsigned long long)since, SHMD_BARRIER_HISTORY_LENGTH);
	switch (shmdi_barrier_outcome(word, since)) {
	case SHMD_BARRIER_WAS_OK: return 0;
	case SHMD_BARRIER_WAS_DEATH: return broken_by(barrier, SHMD_BARRIER_BY_DEATH);
	default: return shmdi_fail(SHMD_E_BROKEN, "the barrier was reset before all parties had arrived and acted");
	}
}

/* ---- waiting ---- */

/* Sleeps once on what was seen, unless the object is gone. 0 = look again. */
static int sleep_on(struct shmd_barrier *barrier, uint64_t seen, int64_t deadline_ns)
{
	uint32_t *waiting = barrier->object.waiting;
	if (shmdi_expired(deadline_ns))
		return SHMD_E_TIMED_OUT; /* however often the word changes */
	shmdi_add32(waiting, 1, SHMDI_RELAXED);
	int result = shmdi_sleep_on_word(low_half(barrier), (uint32_t)seen, deadline_ns);
	shmdi_add32(waiting, UINT32_MAX, SHMDI_RELAXED);
	return shmdi_slept(result, "a barrier");
}

/* Waits a moment for a generation to end. Arrivals of others change the word too. */
static void spin(struct shmd_barrier *barrier, uint64_t generation)
{
	uint32_t limit = shmdi_spin_limit(&barrier->spins);
	uint32_t turns = 0;
	for (; turns < limit; turns++) {
		uint64_t word = shmdi_load64(&barrier->lines->word, SHMDI_RELAXED);
		if (is_phase(word, SHMD_BARRIER_BROKEN) || shmdi_barrier_since(word, generation) != 0)
			break;
		shmdi_pause();
	}
	if (limit != 0)
		shmdi_spin_learn(&barrier->spins, turns, limit);
}

/* Waits for the end of a generation in which this thread has arrived. */
static int await(struct shmd_barrier *barrier, uint64_t generation, int64_t deadline_ns)
{
	int leave = 0;
	spin(barrier, generation);
	for (;;) {
		uint64_t word = look(barrier);
		uint64_t since = shmdi_barrier_since(word, generation);
		if (since != 0)
			return ended(barrier, word, since);
		int usable = shmdi_object_usable(&barrier->object);
		if (usable == SHMD_E_REMOVED || usable == SHMD_E_FORKED)
			return usable;
		if (is_phase(word, SHMD_BARRIER_BROKEN))
			return broken_by(barrier, shmdi_barrier_field(word));
		if (is_corrupt(word))
			return SHMD_E_CORRUPT;
		if (leave == 0) {
			leave = sleep_on(barrier, word, deadline_ns);
		} else {
			uint32_t reason = leave == SHMD_E_TIMED_OUT ? SHMD_BARRIER_BY_TIMEOUT : SHMD_BARRIER_BY_ABORT;
			if (release(barrier, word, broken(word, reason)))
				return leave;
		}
	}
}

/* Makes this client a party, which is before its first arrival. */
static void join(struct shmd_barrier *barrier)
{
	if (shmdi_load64(barrier->cell, SHMDI_RELAXED) != SHMD_PARTY_PARTY)
		shmdi_store64(barrier->cell, SHMD_PARTY_PARTY, SHMDI_RELAXED);
}

/* Ends the action of the generation that this thread leads. */
static int complete(struct shmd_barrier *barrier, uint64_t acting, bool ok)
{
	if (release(barrier, acting,
	            ok ? shmdi_barrier_next(acting, SHMD_BARRIER_WAS_OK) : broken(acting, SHMD_BARRIER_BY_ACTION)))
		return 0;
	uint64_t word = look(barrier);
	uint64_t since = shmdi_barrier_since(word, shmdi_barrier_generation(acting));
	if (shmdi_object_usable(&barrier->object) == SHMD_E_REMOVED)
		return SHMD_E_REMOVED;
	if (since == 0)
		return is_phase(word, SHMD_BARRIER_BROKEN) ? broken_by(barrier, shmdi_barrier_field(word)) : SHMD_E_CORRUPT;
	int result = ended(barrier, word, since);
	return result < 0 ? result : SHMD_E_NOT_OWNER; /* another thread has completed it */
}

/* Acts for all. What the action returns, if that is negative. */
static int lead(struct shmd_barrier *barrier, uint64_t acting, int (*action)(void *argument), void *argument)
{
	int acted = action(argument);
	int result = complete(barrier, acting, acted >= 0);
	return acted < 0 ? acted : result;
}

#define AGAIN 1 /* somebody else was faster */

struct attempt {
	int64_t deadline_ns;
	bool only_try;
	int (*action)(void *argument); /* NULL = none */
	void *argument;
};

/* Arrives at a barrier that was seen to fill. */
static int arrive_in(struct shmd_barrier *barrier, uint64_t word, const struct attempt *attempt)
{
	uint32_t arrived = shmdi_barrier_field(word) + 1;
	join(barrier);
	if (arrived < barrier->parties) {
		if (!step(barrier, word, shmdi_barrier_in(word, SHMD_BARRIER_FILL, arrived)))
			return AGAIN;
		return await(barrier, shmdi_barrier_generation(word), attempt->deadline_ns);
	}
	if (attempt->action == NULL)
		return release(barrier, word, shmdi_barrier_next(word, SHMD_BARRIER_WAS_OK)) ? 0 : AGAIN;
	uint64_t acting = shmdi_barrier_in(word, SHMD_BARRIER_ACTION, barrier->seat);
	return step(barrier, word, acting) ? lead(barrier, acting, attempt->action, attempt->argument) : AGAIN;
}

static int arrive_once(struct shmd_barrier *barrier, const struct attempt *attempt, uint32_t *ret_index)
{
	uint64_t word = look(barrier);
	int result = shmdi_object_writable(&barrier->object); /* the state after the word */
	if (result < 0)
		return result;
	*ret_index = shmdi_barrier_field(word);
	if (is_phase(word, SHMD_BARRIER_BROKEN))
		return broken_by(barrier, *ret_index);
	if (is_corrupt(word) || (is_phase(word, SHMD_BARRIER_FILL) && *ret_index >= barrier->parties))
		return SHMD_E_CORRUPT;
	if (is_phase(word, SHMD_BARRIER_FILL) && (!attempt->only_try || *ret_index + 1 == barrier->parties))
		return arrive_in(barrier, word, attempt);
	if (attempt->only_try)
		return SHMD_E_WOULD_BLOCK;
	result = sleep_on(barrier, word, attempt->deadline_ns); /* full: this arrival is of the next generation */
	return result < 0 ? result : AGAIN;
}

static int arrive(struct shmd_barrier *barrier, int64_t timeout_ns, int (*action)(void *argument), void *argument,
                  uint32_t *ret_index)
{
	if (barrier == NULL || timeout_ns < SHMD_FOREVER)
		return SHMD_E_INVALID;
	struct attempt attempt = {
		.deadline_ns = timeout_ns > 0 ? shmdi_deadline(timeout_ns) : SHMDI_FOREVER_NS,
		.only_try = timeout_ns == 0,
		.action = action,
		.argument = argument,
	};
	uint32_t index = 0;
	int result;
	do
		result = arrive_once(barrier, &attempt, &index);
	while (result == AGAIN);
	if (result == 0 && ret_index != NULL)
		*ret_index = index;
	return result;
}

int shmd_barrier_wait(struct shmd_barrier *barrier, int64_t timeout_ns, uint32_t *ret_index)
{
	return arrive(barrier, timeout_ns, NULL, NULL, ret_index);
}

int shmd_barrier_wait_action(struct shmd_barrier *barrier, int64_t timeout_ns, int (*action)(void *argument),
                             void *argument, uint32_t *ret_index)
{
	return action == NULL ? SHMD_E_INVALID : arrive(barrier, timeout_ns, action, argument, ret_index);
}

/* ---- breaking and mending ---- */

int shmd_barrier_abort(struct shmd_barrier *barrier)
{
	if (barrier == NULL)
		return SHMD_E_INVALID;
	for (;;) {
		uint64_t word = look(barrier);
		int result = shmdi_object_writable(&barrier->object);
		if (result < 0 || is_phase(word, SHMD_BARRIER_BROKEN))
			return result;
		if (is_corrupt(word))
			return SHMD_E_CORRUPT;
		if (release(barrier, word, broken(word, SHMD_BARRIER_BY_ABORT)))
			return 0;
	}
}

int shmd_barrier_reset(struct shmd_barrier *barrier)
{
	if (barrier == NULL)
		return SHMD_E_INVALID;
	for (;;) {
		uint64_t word = look(barrier);
		int result = shmdi_object_writable(&barrier->object);
		if (result < 0)
			return result;
		bool died = is_phase(word, SHMD_BARRIER_BROKEN) && (shmdi_barrier_field(word) & SHMD_BARRIER_BY_DEATH) != 0;
		if (release(barrier, word, shmdi_barrier_next(word, died ? SHMD_BARRIER_WAS_DEATH : SHMD_BARRIER_WAS_BAD)))
			return died ? SHMD_OWNER_DIED : 0;
	}
}

int shmd_barrier_state(const struct shmd_barrier *barrier, struct shmd_barrier_state *ret_state)
{
	if (barrier == NULL || ret_state == NULL)
		return SHMD_E_INVALID;
	uint64_t word = look(barrier);
	int result = shmdi_object_usable(&barrier->object);
	if (result < 0)
		return result;
	uint32_t field = shmdi_barrier_field(word);
	struct shmd_barrier_state state = {.parties = barrier->parties, .generation = shmdi_barrier_generation(word)};
	switch (shmdi_barrier_phase(word)) {
	case SHMD_BARRIER_FILL: state.waiting = field < barrier->parties ? field : barrier->parties; break;
	case SHMD_BARRIER_ACTION: state.acting = true; break;
	case SHMD_BARRIER_BROKEN:
		state.broken = true;
		state.reasons = field;
		break;
	default: return SHMD_E_CORRUPT;
	}
	*ret_state = state;
	return 0;
}

int shmd_barrier_notice(const struct shmd_barrier *barrier, struct shmd_notice *ret_notice)
{
	if (barrier == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	if (!shmdi_fork_same(barrier->object.lock.generation))
		return SHMD_E_FORKED;
	shmdi_notice_read(&barrier->lines->death, ret_notice);
	return 0;
}
