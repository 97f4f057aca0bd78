/* SPDX-License-Identifier: Apache-2.0
 *
 * reattach.c - coming back to the daemon that follows one that has ended. The
 * library has no thread for it: whoever makes the next call to the daemon does it.
 * What is mapped keeps the client's seats meanwhile, for as long as it takes.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 500

/* Calls that change nothing, or nothing more when they are made twice. What open has
 * opened unheard is closed by the hello that comes back, which gives its ticket back; a ticket
 * made unheard ends by itself. A goodbye that was heard is answered with LOST. */
static const char *const repeatable[] = {"open", "open_or_create", "chmod", "chown",    "ticket",     "stat",
                                         "map",  "side",           "bye",   "map_side", "wait_change"};

static const char *const attaching[] = {"create", "open", "open_or_create"};

static bool is_one_of(const char *method, const char *const *methods, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(methods[i], method) == 0)
			return true;
	return false;
}

#define IS_ONE_OF(method, methods) is_one_of(method, methods, sizeof(methods) / sizeof(methods)[0])

bool shmdi_attached(struct shmd_client *client)
{
	pthread_mutex_lock(&client->state_mutex);
	bool attached = !client->lost && !client->again.away;
	pthread_mutex_unlock(&client->state_mutex);
	return attached;
}

int shmdi_unanswered(struct shmd_client *client, const struct shmdi_request *request, int broken)
{
	if (!client->again.resumable || client->again.timeout_ns < 0)
		return shmdi_fail_lost(client);
	pthread_mutex_lock(&client->state_mutex);
	bool farewell = client->farewell != 0;
	if (broken == SHMDI_BROKEN && IS_ONE_OF(request->method, attaching) &&
	    client->again.doubts_count < SHMDI_DOUBTS_MAX)
		client->again.doubts[client->again.doubts_count++] = request->id;
	pthread_mutex_unlock(&client->state_mutex);
	if (farewell && broken == SHMDI_BROKEN)
		return shmdi_fail_lost(client); /* the daemon says why */
	if (broken == SHMDI_BROKEN_UNSENT || IS_ONE_OF(request->method, repeatable))
		return 0;
	return shmdi_fail(SHMD_E_OUTCOME_UNKNOWN, "%s: the daemon ended before it answered", request->method);
}

static int connect_again(const struct shmd_client *client)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && shmdi_connect_path(fd, client->again.path) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Says hello again on a new connection. 0 = back, SHMDI_BROKEN = try once more, else an
 * error for ever. */
static int try_once(struct shmd_client *client)
{
	int fd = connect_again(client);
	if (fd < 0)
		return SHMDI_BROKEN;
	pthread_mutex_lock(&client->state_mutex);
	client->again.away = true; /* for everybody else, until hello is answered */
	pthread_mutex_unlock(&client->state_mutex);
	shmdi_connection_replace(client, fd);
	int result = shmdi_hello(client, true);
	if (result == SHMD_E_QUOTA || result == SHMD_E_BUSY || result == SHMD_E_SYSTEM || result == SHMDI_BROKEN_UNSENT)
		return SHMDI_BROKEN;
	return result;
}

/* Ends an attempt, or all. The handles to close are the caller's. */
static void came_back(struct shmd_client *client, uint64_t **ret_closing, size_t *ret_count)
{
	pthread_mutex_lock(&client->state_mutex);
	client->again.away = false;
	unsigned int told = client->again.doubts_told;
	client->again.doubts_count -= told;
	memmove(client->again.doubts, client->again.doubts + told,
	        client->again.doubts_count * sizeof client->again.doubts[0]);
	*ret_closing = client->again.closing;
	*ret_count = client->again.closing_count;
	client->again.closing = NULL;
	client->again.closing_count = 0;
	pthread_mutex_unlock(&client->state_mutex);
}

static void close_all(struct shmd_client *client, uint64_t *handles, size_t count)
{
	for (size_t i = 0; i < count; i++)
		shmdi_close_handle(client, handles[i]);
	free(handles);
}

/* Tries until it is back, lost, or out of time. again.mutex is held. */
static int come_back(struct shmd_client *client, int64_t deadline_ns)
{
	for (int pause_ms = PAUSE_MIN_MS;; pause_ms = pause_ms < PAUSE_MAX_MS ? 2 * pause_ms : PAUSE_MAX_MS) {
		int result = try_once(client);
		if (result != SHMDI_BROKEN) {
			if (result < 0)
				client->again.over = true;
			return result;
		}
		if (shmdi_expired(deadline_ns))
			return shmdi_fail(SHMD_E_LOST, "the daemon is away; mapped objects go on working, and this client "
			                               "comes back to the daemon that is started next");
		(void)poll(NULL, 0, pause_ms);
	}
}

int shmdi_reattach(struct shmd_client *client, int64_t timeout_ns)
{
	if (shmdi_attached(client))
		return 0;
	if (!client->again.resumable || client->again.timeout_ns < 0)
		return shmdi_fail_lost(client);
	int64_t deadline_ns = shmdi_deadline(timeout_ns);
	uint64_t *closing = NULL;
	size_t closing_count = 0;
	int result = 0;
	pthread_mutex_lock(&client->again.mutex);
	if (client->again.over) {
		result = shmdi_fail(SHMD_E_LOST, "the daemon and its keeper are gone, and with them what this client had; "
		                                 "mapped objects go on working; connect again for new ones");
	} else if (!shmdi_attached(client)) {
		result = come_back(client, deadline_ns);
		if (result == 0)
			came_back(client, &closing, &closing_count);
	}
	pthread_mutex_unlock(&client->again.mutex);
	close_all(client, closing, closing_count);
	return result;
}

/* Leaves a handle to be closed when the client is back. */
static void close_later(struct shmd_client *client, uint64_t handle)
{
	struct shmdi_reattach *again = &client->again;
	pthread_mutex_lock(&client->state_mutex);
	if (again->resumable && !again->over) {
		uint64_t *closing = realloc(again->closing, (again->closing_count + 1) * sizeof *closing);
		if (closing != NULL) { /* else it stays open until the client ends */
			closing[again->closing_count++] = handle;
			again->closing = closing;
		}
	}
	pthread_mutex_unlock(&client->state_mutex);
}

void shmdi_close_handle(struct shmd_client *client, uint64_t handle)
{
	if (!shmdi_fork_same(client->generation))
		return; /* it is the parent's */
	int result = SHMDI_BROKEN;
	if (shmdi_reattach(client, 0) == 0) {
		struct shmdi_request request;
		struct shmdi_reply reply = {.fd = -1};
		shmdi_request_begin(client, &request, "close", 1);
		msgpack_pack_uint64(&request.packer, handle);
		if (!request.failed)
			result = shmdi_exchange(client, &request, &reply);
		shmdi_reply_clear(&reply);
		msgpack_sbuffer_destroy(&request.buffer);
	}
	if (result == SHMDI_BROKEN || result == SHMDI_BROKEN_UNSENT)
		close_later(client, handle);
}

void shmdi_reattach_clear(struct shmd_client *client)
{
	free(client->again.closing);
	client->again.closing = NULL;
}
