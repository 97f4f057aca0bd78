/* SPDX-License-Identifier: Apache-2.0
 *
 * rwlock_reads.c - which rwlocks a thread reads, and how often. The shared bytes only
 * count the threads of a client; who may read again, and who may unlock, is known here.
 *
 * A lock is known by a key: all handles of one client on one object have the same, as
 * they have one seat, and it is never given out again. So what a thread still has in
 * its table when the last handle is closed, which gives up its reads, means nothing.
 */
#include "rwlock.h"

#include <stdlib.h>

#define NEAR_MAX 3u /* other locks that are noted without memory of their own */
#define FAR_MAX (SHMDI_READS_MAX - 1 - NEAR_MAX)

/* Because of one that is initial-exec all thread-locals of the library lie in a block
 * where a library that is loaded late finds little room. So there are few, and the rest
 * is allocated, for as long as there is any. */
_Thread_local struct shmdi_read shmdi_first_read __attribute__((tls_model("initial-exec")));
static _Thread_local struct shmdi_read near[NEAR_MAX];
static _Thread_local struct shmdi_read *far; /* FAR_MAX; NULL = there are none */

_Static_assert(offsetof(struct shmdi_read, others) == offsetof(struct shmdi_read, depth) + 4, "one look at both");

/* The place of another lock, of as many as the first says. */
static struct shmdi_read *other(uint32_t number)
{
	return number < NEAR_MAX ? &near[number] : &far[number - NEAR_MAX];
}

struct shmdi_read *shmdi_reads_find(uint64_t key)
{
	if (shmdi_first_read.key == key)
		return &shmdi_first_read;
	for (uint32_t i = 0; i < shmdi_first_read.others; i++)
		if (other(i)->key == key)
			return other(i);
	return NULL;
}

/* A place for one more. Errors: OVERFLOW, NO_SPACE. */
static int make_room(uint32_t others)
{
	if (others == SHMDI_READS_MAX - 1)
		return shmdi_fail(SHMD_E_OVERFLOW, "this thread reads %u rwlocks already", SHMDI_READS_MAX);
	if (others == NEAR_MAX && (far = calloc(FAR_MAX, sizeof *far)) == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "no memory to note that this thread reads another rwlock");
	return 0;
}

int shmdi_reads_add(uint64_t key, struct shmdi_read **ret_read)
{
	struct shmdi_read *read = &shmdi_first_read;
	if (read->key != 0) {
		int result = make_room(read->others);
		if (result < 0)
			return result;
		read = other(shmdi_first_read.others++);
	}
	read->key = key;
	read->depth = 0;
	*ret_read = read;
	return 0;
}

void shmdi_reads_drop(struct shmdi_read *read)
{
	uint32_t rest = shmdi_first_read.others;
	if (rest == 0) {
		read->key = 0; /* it is the first */
		return;
	}
	read->key = other(rest - 1)->key;
	read->depth = other(rest - 1)->depth;
	shmdi_first_read.others = rest - 1;
	if (rest - 1 == NEAR_MAX) {
		free(far);
		far = NULL;
	}
}

int shmdi_reader_join(struct shmd_client *client, const struct shmdi_attachment *is, uint64_t *ret_key)
{
	static uint64_t last_key;
	struct shmdi_reader *made = calloc(1, sizeof *made);
	if (made == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "open: no memory");
	pthread_mutex_lock(&client->state_mutex);
	struct shmdi_reader *reader = client->readers;
	while (reader != NULL && (reader->object_id != is->id || reader->owner != is->owner))
		reader = reader->next;
	if (reader == NULL) {
		reader = made;
		made = NULL;
		*reader = (struct shmdi_reader){
			.next = client->readers,
			.object_id = is->id,
			.owner = is->owner,
			.key = __atomic_add_fetch(&last_key, 1, __ATOMIC_RELAXED),
		};
		client->readers = reader;
	}
	reader->handles++;
	*ret_key = reader->key;
	pthread_mutex_unlock(&client->state_mutex);
	free(made);
	return 0;
}

static void forget(uint64_t key)
{
	struct shmdi_read *read = shmdi_reads_find(key);
	if (read != NULL)
		shmdi_reads_drop(read);
}

void shmdi_reader_leave(struct shmd_client *client, uint64_t key)
{
	if (!shmdi_fork_same(client->generation)) {
		forget(key); /* the list is the parent's, and its mutex may be locked for ever */
		return;
	}
	pthread_mutex_lock(&client->state_mutex);
	struct shmdi_reader **at = &client->readers;
	while (*at != NULL && (*at)->key != key)
		at = &(*at)->next;
	struct shmdi_reader *last = *at;
	if (last != NULL && --last->handles > 0)
		last = NULL;
	if (last != NULL)
		*at = last->next;
	pthread_mutex_unlock(&client->state_mutex);
	if (last == NULL)
		return;
	free(last);
	forget(key);
}

void shmdi_readers_clear(struct shmd_client *client)
{
	while (client->readers != NULL) {
		struct shmdi_reader *reader = client->readers;
		client->readers = reader->next;
		free(reader);
	}
}
