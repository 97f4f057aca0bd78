/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock.c - the rwlock: handles, and what readers and writers share. rwlock.h says
 * more, rwlock_read.c and rwlock_write.c do the rest. The twin of shm/rwlock.go.
 */
#include "rwlock.h"

/* ---- handles ---- */

void shmdi_rwlock_bind(void *handle)
{
	struct shmd_rwlock *rwlock = handle;
	const struct shmdi_attachment *is = &rwlock->object.is;
	unsigned char *base = (unsigned char *)rwlock->object.segment.page;
	rwlock->lines = (struct shmd_rwlock_lines *)(void *)(base + SHMD_KIND_OFFSET);
	rwlock->cells = (struct shmd_reader_cell *)(void *)(base + shmdi_cells_offset(is->seats_max));
	rwlock->word = &rwlock->lines->word;
	rwlock->cell = is->read_only ? NULL : &rwlock->cells[is->owner & SHMD_OWNER_SEAT_MASK].word;
	rwlock->seats_max = is->seats_max;
	rwlock->writer = is->owner & SHMD_RWLOCK_OWNER_MASK;
	rwlock->generation = rwlock->object.lock.generation;
}

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_rwlock **ret_rwlock)
{
	static const struct shmdi_handle_type type = {
		sizeof(struct shmd_rwlock), offsetof(struct shmd_rwlock, object), shmdi_rwlock_bind};
	struct shmd_rwlock *rwlock;
	int result = shmdi_handle_open(client, wish, &type, ret_rwlock == NULL ? NULL : &rwlock);
	if (result < 0)
		return result;
	result = shmdi_reader_join(client, &rwlock->object.is, &rwlock->key);
	if (result < 0) {
		shmdi_handle_close(rwlock, &rwlock->object);
		return result;
	}
	*ret_rwlock = rwlock;
	return 0;
}

int shmd_rwlock_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                       struct shmd_rwlock **ret_rwlock)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_RWLOCK, .create = options};
	return attach(client, &wish, ret_rwlock);
}

int shmd_rwlock_open_or_create(struct shmd_client *client, const char *name,
                               const struct shmd_create_options *options, struct shmd_rwlock **ret_rwlock)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_RWLOCK, .create = options};
	return attach(client, &wish, ret_rwlock);
}

int shmd_rwlock_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                     struct shmd_rwlock **ret_rwlock)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_RWLOCK, .open = options};
	return attach(client, &wish, ret_rwlock);
}

struct shmd_rwlock *shmd_rwlock_close(struct shmd_rwlock *rwlock)
{
	if (rwlock != NULL) {
		shmdi_reader_leave(rwlock->object.client, rwlock->key);
		shmdi_handle_close(rwlock, &rwlock->object);
	}
	return NULL;
}

uint64_t shmd_rwlock_id(const struct shmd_rwlock *rwlock)
{
	return rwlock->object.is.id;
}

bool shmd_rwlock_created(const struct shmd_rwlock *rwlock)
{
	return rwlock->object.is.created;
}

/* ---- both ---- */

int shmdi_rwlock_refuse(const struct shmd_rwlock *rwlock)
{
	if (rwlock == NULL)
		return SHMD_E_INVALID;
	return rwlock->cell == NULL ? SHMD_E_PERMISSION : SHMD_E_FORKED;
}

int shmdi_rwlock_sleep_on(struct shmd_rwlock *rwlock, uint32_t *word, uint32_t seen, int64_t deadline_ns)
{
	uint32_t *waiting = rwlock->object.waiting;
	if (shmdi_expired(deadline_ns))
		return SHMD_E_TIMED_OUT; /* however often the word changes */
	shmdi_add32(waiting, 1, SHMDI_RELAXED);
	int result = shmdi_sleep_on_word(word, seen, deadline_ns);
	shmdi_add32(waiting, UINT32_MAX, SHMDI_RELAXED);
	return shmdi_slept(result, "an rwlock");
}

int shmdi_rwlock_sleep(struct shmd_rwlock *rwlock, uint32_t seen, int64_t deadline_ns)
{
	if ((seen & SHMD_RWLOCK_WAITERS) == 0) {
		if (!shmdi_cas32(rwlock->word, seen, seen | SHMD_RWLOCK_WAITERS, SHMDI_SEQ_CST))
			return 0;
		seen |= SHMD_RWLOCK_WAITERS;
	}
	return shmdi_rwlock_sleep_on(rwlock, rwlock->word, seen, deadline_ns);
}

int shmd_rwlock_notice(const struct shmd_rwlock *rwlock, struct shmd_notice *ret_notice)
{
	if (rwlock == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	if (!shmdi_fork_same(rwlock->generation))
		return SHMD_E_FORKED;
	shmdi_notice_read(&rwlock->lines->death, ret_notice);
	return 0;
}
