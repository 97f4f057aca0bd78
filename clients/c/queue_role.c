/* SPDX-License-Identifier: Apache-2.0
 *
 * queue_role.c - who puts and who takes: the daemon counts, and shuts the queue down when
 * the last one is gone. Nothing of it is in shared memory but the end.
 */
#include "queue_wait.h"

static int tell(struct shmd_queue *queue, const char *method, enum shmd_role role)
{
	const char *name = shmdi_role_name(role);
	if (queue == NULL || name == NULL)
		return SHMD_E_INVALID;
	int result = shmdi_object_writable(&queue->object);
	if (result < 0)
		return result;
	struct shmd_client *client = queue->object.client;
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, method, 2);
	msgpack_pack_uint64(&request.packer, queue->object.is.handle);
	shmdi_pack_text(&request, name);
	result = shmdi_call(client, &request, &reply);
	if (result == 0)
		shmdi_reply_clear(&reply);
	return result;
}

int shmd_queue_claim(struct shmd_queue *queue, enum shmd_role role)
{
	return tell(queue, "claim", role);
}

int shmd_queue_retire(struct shmd_queue *queue, enum shmd_role role)
{
	return tell(queue, "retire", role);
}
