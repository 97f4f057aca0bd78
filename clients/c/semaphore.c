/* SPDX-License-Identifier: Apache-2.0
 *
 * semaphore.c - the semaphore: handles, and the plain one, which is one word; see
 * semaphore_word.h. The twin of shm/semaphore.go.
 */
#include "atomic.h"
#include "internal.h"
#include "semaphore_word.h"

#include <stdlib.h>

#define WAITERS SHMD_SEMAPHORE_WAITERS
#define STEP SHMD_SEMAPHORE_STEP

/* ---- handles ---- */

void shmdi_semaphore_bind(struct shmd_semaphore *semaphore)
{
	struct shmdi_object *object = &semaphore->object;
	const struct shmdi_attachment *is = &object->is;
	unsigned char *base = (unsigned char *)object->segment.page;
	struct shmd_semaphore_lines *lines = (struct shmd_semaphore_lines *)(void *)(base + SHMD_KIND_OFFSET);
	bool undo = (is->flags & SHMD_FLAG_UNDO) != 0;
	semaphore->word = undo || is->read_only ? NULL : &lines->word;
	semaphore->maximum = is->maximum;
	semaphore->generation = object->lock.generation;
	semaphore->lines = lines;
	if (!undo)
		return;
	struct shmd_held_cell *cells = (struct shmd_held_cell *)(void *)(base + shmdi_cells_offset(is->seats_max));
	semaphore->held = &cells->permits;
	semaphore->pool = is->read_only ? NULL : &cells[is->owner & SHMD_OWNER_SEAT_MASK].permits;
	semaphore->latch = (struct shmdi_latch){
		.word = &lines->latch,
		.epoch = &object->segment.page->header.daemon_epoch,
		.state = &object->segment.page->header.state,
		.waiting = object->waiting,
		.me = is->owner,
	};
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_semaphore **ret_semaphore)
{
	if (client == NULL || ret_semaphore == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	struct shmd_semaphore *semaphore = calloc(1, sizeof *semaphore);
	if (semaphore == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, &semaphore->object);
	if (result < 0) {
		free(semaphore);
		return result;
	}
	shmdi_semaphore_bind(semaphore);
	*ret_semaphore = semaphore;
	return 0;
}

int shmd_semaphore_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                          struct shmd_semaphore **ret_semaphore)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_SEMAPHORE, .create = options};
	return attach(client, &wish, ret_semaphore);
}

int shmd_semaphore_open_or_create(struct shmd_client *client, const char *name,
                                  const struct shmd_create_options *options,
                                  struct shmd_semaphore **ret_semaphore)
{
	struct shmdi_wish wish = {
		.method = "open_or_create", .name = name, .kind = SHMD_KIND_SEMAPHORE, .create = options};
	return attach(client, &wish, ret_semaphore);
}

int shmd_semaphore_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                        struct shmd_semaphore **ret_semaphore)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_SEMAPHORE, .open = options};
	return attach(client, &wish, ret_semaphore);
}

struct shmd_semaphore *shmd_semaphore_close(struct shmd_semaphore *semaphore)
{
	if (semaphore != NULL) {
		shmdi_object_detach(&semaphore->object);
		free(semaphore);
	}
	return NULL;
}

uint64_t shmd_semaphore_id(const struct shmd_semaphore *semaphore)
{
	return semaphore->object.is.id;
}

bool shmd_semaphore_created(const struct shmd_semaphore *semaphore)
{
	return semaphore->object.is.created;
}

/* ---- the plain one ---- */

/* Without a text: a signal handler may have called. */
static int refuse(uint32_t n, uint32_t old)
{
	if (n == 0)
		return SHMD_E_INVALID;
	return old == SHMD_SEMAPHORE_REMOVED ? SHMD_E_REMOVED : SHMD_E_OVERFLOW;
}

static inline int post_plain(struct shmd_semaphore *semaphore, uint32_t n)
{
	uint32_t *word = semaphore->word;
	uint32_t maximum = semaphore->maximum;
	for (;;) {
		uint32_t old = shmdi_load32(word, SHMDI_RELAXED);
		if (!SHMDI_LIKELY(n - 1 < maximum && old / STEP <= maximum - n))
			return refuse(n, old);
		if (SHMDI_LIKELY(shmdi_cas32(word, old, (old + n * STEP) & ~WAITERS, SHMDI_RELEASE))) {
			if (!SHMDI_LIKELY((old & WAITERS) == 0))
				shmdi_futex_wake(word, (int)n);
			return 0;
		}
	}
}

/* ---- both ---- */

/* Whether the semaphore may be changed at once. */
static inline bool ready(const struct shmd_semaphore *semaphore, const uint32_t *by)
{
	return SHMDI_LIKELY(by != NULL && shmdi_fork_same(semaphore->generation));
}

/* Why it may not. */
static int refuse_all(const struct shmd_semaphore *semaphore)
{
	if (semaphore == NULL)
		return SHMD_E_INVALID;
	return shmdi_object_writable(&semaphore->object);
}

static __attribute__((noinline)) int acquire_slowly(struct shmd_semaphore *semaphore, uint32_t n, int64_t timeout_ns)
{
	int result = refuse_all(semaphore);
	if (result < 0)
		return result;
	if (timeout_ns < SHMD_FOREVER)
		return shmdi_fail(SHMD_E_INVALID, "a timeout below -1");
	if (n == 0 || n > semaphore->maximum)
		return shmdi_fail(SHMD_E_INVALID, "%u permits; it must be 1 to %u", n, semaphore->maximum);
	if (n > 1)
		return shmdi_fail(SHMD_E_UNSUPPORTED, "%u permits at once from a plain semaphore: create it with undo", n);
	return shmdi_word_acquire(semaphore->word, semaphore->object.waiting, &semaphore->spins, timeout_ns);
}

int shmd_semaphore_acquire(struct shmd_semaphore *semaphore, uint32_t n, int64_t timeout_ns)
{
	if (!SHMDI_LIKELY(semaphore != NULL && timeout_ns >= SHMD_FOREVER))
		return acquire_slowly(semaphore, n, timeout_ns);
	if (n == 1 && ready(semaphore, semaphore->word)) {
		if (shmdi_word_try(semaphore->word))
			return 0;
	} else if (n - 1 < semaphore->maximum && ready(semaphore, semaphore->pool)) {
		return shmdi_pool_acquire(semaphore, n, timeout_ns);
	}
	return acquire_slowly(semaphore, n, timeout_ns);
}

int shmd_semaphore_release(struct shmd_semaphore *semaphore, uint32_t n)
{
	if (semaphore != NULL && ready(semaphore, semaphore->word))
		return post_plain(semaphore, n);
	if (semaphore != NULL && ready(semaphore, semaphore->pool))
		return shmdi_pool_release(semaphore, n);
	return refuse_all(semaphore);
}

int shmd_semaphore_post(struct shmd_semaphore *semaphore, uint32_t n)
{
	if (semaphore != NULL && ready(semaphore, semaphore->word))
		return post_plain(semaphore, n);
	if (semaphore != NULL && ready(semaphore, semaphore->pool))
		return shmdi_pool_post(semaphore, n);
	return refuse_all(semaphore);
}

int shmd_semaphore_permits(const struct shmd_semaphore *semaphore, struct shmd_permits *ret_permits)
{
	if (semaphore == NULL || ret_permits == NULL)
		return SHMD_E_INVALID;
	int result = shmdi_object_usable(&semaphore->object);
	if (result < 0)
		return result;
	const struct shmd_semaphore_lines *lines = semaphore->lines;
	struct shmd_permits permits = {.maximum = semaphore->maximum};
	if (semaphore->held != NULL) {
		permits.available = shmdi_load32(&lines->available, SHMDI_ACQUIRE);
		permits.total = shmdi_load32(&lines->total, SHMDI_RELAXED);
		permits.held = shmdi_load32(&semaphore->held[semaphore->object.is.owner & SHMD_OWNER_SEAT_MASK],
		                            SHMDI_RELAXED);
	} else {
		uint32_t word = shmdi_load32(&lines->word, SHMDI_ACQUIRE);
		if (word == SHMD_SEMAPHORE_REMOVED)
			return SHMD_E_REMOVED;
		permits.available = word / STEP;
	}
	*ret_permits = permits;
	return 0;
}
