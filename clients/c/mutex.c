/* SPDX-License-Identifier: Apache-2.0
 *
 * mutex.c - the mutex: a lock and nothing else.
 */
#include "internal.h"

#include <stdlib.h>

static int attach(struct shmd_client *client, const struct shmdi_wish *wish, struct shmd_mutex **ret_mutex)
{
	if (client == NULL || ret_mutex == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no place for the result", wish->method);
	struct shmd_mutex *mutex = calloc(1, sizeof *mutex);
	if (mutex == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "%s: no memory", wish->method);
	int result = shmdi_object_attach(client, wish, &mutex->object);
	if (result < 0) {
		free(mutex);
		return result;
	}
	*ret_mutex = mutex;
	return 0;
}

int shmd_mutex_create(struct shmd_client *client, const char *name, const struct shmd_create_options *options,
                      struct shmd_mutex **ret_mutex)
{
	struct shmdi_wish wish = {.method = "create", .name = name, .kind = SHMD_KIND_MUTEX, .create = options};
	return attach(client, &wish, ret_mutex);
}

int shmd_mutex_open_or_create(struct shmd_client *client, const char *name,
                              const struct shmd_create_options *options, struct shmd_mutex **ret_mutex)
{
	struct shmdi_wish wish = {.method = "open_or_create", .name = name, .kind = SHMD_KIND_MUTEX, .create = options};
	return attach(client, &wish, ret_mutex);
}

int shmd_mutex_open(struct shmd_client *client, const char *name, const struct shmd_open_options *options,
                    struct shmd_mutex **ret_mutex)
{
	struct shmdi_wish wish = {.method = "open", .name = name, .kind = SHMD_KIND_MUTEX, .open = options};
	return attach(client, &wish, ret_mutex);
}

struct shmd_mutex *shmd_mutex_close(struct shmd_mutex *mutex)
{
	if (mutex != NULL) {
		shmdi_object_detach(&mutex->object);
		free(mutex);
	}
	return NULL;
}

int shmd_mutex_lock(struct shmd_mutex *mutex, int64_t timeout_ns)
{
	return mutex == NULL ? SHMD_E_INVALID : shmdi_lock_acquire(&mutex->object.lock, timeout_ns);
}

int shmd_mutex_unlock(struct shmd_mutex *mutex)
{
	return mutex == NULL ? SHMD_E_INVALID : shmdi_lock_release(&mutex->object.lock);
}

int shmd_mutex_mark_consistent(struct shmd_mutex *mutex)
{
	return mutex == NULL ? SHMD_E_INVALID : shmdi_lock_mark_consistent(&mutex->object.lock);
}

int shmd_mutex_notice(const struct shmd_mutex *mutex, struct shmd_notice *ret_notice)
{
	if (mutex == NULL || ret_notice == NULL)
		return SHMD_E_INVALID;
	return shmdi_lock_notice(&mutex->object.lock, ret_notice);
}

uint64_t shmd_mutex_id(const struct shmd_mutex *mutex)
{
	return mutex->object.is.id;
}

bool shmd_mutex_created(const struct shmd_mutex *mutex)
{
	return mutex->object.is.created;
}
