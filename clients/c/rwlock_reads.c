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

_Thread_local struct shmdi_read shmdi_first_read __attribute__((tls_model("initial-exec")));
static _Thread_local struct shmdi_read others[SHMDI_READS_MAX - 1]; /* as many as the first says */

_Static_assert(offsetof(struct shmdi_read, others) == offsetof(struct shmdi_read, depth) + 4, "one look at both");

struct shmdi_read *shmdi_reads_find(uint64_t key)
{
	if (shmdi_first_read.key == key)
		return &shmdi_first_read;
	for (uint32_t i = 0; i < shmdi_first_read.others; i++)
		if (others[i].key == key)
			return &others[i];
	return NULL;
}

struct shmdi_read *shmdi_reads_add(uint64_t key)
{
	struct shmdi_read *read = &shmdi_first_read;
	if (read->key != 0) {
		if (read->others == SHMDI_READS_MAX - 1)
			return NULL;
		read = &others[shmdi_first_read.others++];
	}
	read->key = key;
	read->depth = 0;
	return read;
}

void shmdi_reads_drop(struct shmdi_read *read)
{
	uint32_t rest = shmdi_first_read.others;
	if (rest == 0) {
		read->key = 0; /* it is the first */
		return;
	}
	read->key = others[rest - 1].key;
	read->depth = others[rest - 1].depth;
	shmdi_first_read.others = rest - 1;
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
