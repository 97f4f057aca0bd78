/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - a connection to the daemon. It lives until the application has
 * closed it and the last handle is closed.
 */
#define _GNU_SOURCE
#include "internal.h"
#include "rwlock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROTOCOL_VERSION 1
#define REATTACH_TIMEOUT_NS ((int64_t)5000000000)
#define SYSTEM_SOCKET "/run/shmd/shmd.sock"

const char *shmd_version(void)
{
	return SHMD_VERSION;
}

const char *shmd_socket_path(const struct shmd_client *client)
{
	return client->again.path;
}

int shmdi_connect_path(int fd, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size_bytes = strlen(path);
	if (size_bytes == 0 || size_bytes >= sizeof address.sun_path)
		return shmdi_fail(SHMD_E_INVALID, "connect: the socket path has %zu bytes, 1 to %zu are possible", size_bytes,
		                  sizeof address.sun_path - 1);
	memcpy(address.sun_path, path, size_bytes + 1);
	int result;
	do
		result = connect(fd, (const struct sockaddr *)&address, sizeof address);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return 0;
	int code = SHMD_E_SYSTEM;
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		code = SHMD_E_NO_DAEMON;
	else if (errno == EACCES || errno == EPERM)
		code = SHMD_E_PERMISSION;
	return shmdi_fail(code, "connect to %s: %s; start the daemon with `shmd serve`", path, strerror(errno));
}

/* Connects, and remembers by which path. */
static int connect_and_keep(struct shmd_client *client, const char *path)
{
	int result = shmdi_connect_path(client->socket, path);
	if (result == 0)
		memcpy(client->again.path, path, strlen(path) + 1);
	return result;
}

/* The path of the option, else the environment's, else the user's daemon, else the system's. */
static int connect_somewhere(struct shmd_client *client, const char *path)
{
	if (path == NULL || path[0] == '\0')
		path = secure_getenv("SHMD_SOCKET");
	if (path != NULL && path[0] != '\0')
		return connect_and_keep(client, path);
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	if (runtime != NULL && runtime[0] != '\0') {
		char users[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
		int size_bytes = snprintf(users, sizeof users, "%s/shmd/shmd.sock", runtime);
		if (size_bytes < 0 || (size_t)size_bytes >= sizeof users)
			return shmdi_fail(SHMD_E_INVALID, "connect: XDG_RUNTIME_DIR is too long for a socket path");
		int result = connect_and_keep(client, users);
		if (result != SHMD_E_NO_DAEMON)
			return result;
	}
	return connect_and_keep(client, SYSTEM_SOCKET);
}

/* What the daemon says of itself. */
static int read_hello(struct shmd_client *client, const msgpack_object *result)
{
	uint64_t version;
	if (!shmdi_get_u64(result, "version", UINT32_MAX, &version) || version != PROTOCOL_VERSION)
		return shmdi_fail(SHMD_E_VERSION, "hello: the daemon chose no protocol version that we know");
	uint64_t layout;
	uint64_t compat;
	uint64_t fingerprint;
	if (!shmdi_get_u64(result, "abi_version", UINT32_MAX, &layout) ||
	    !shmdi_get_u64(result, "abi_compat", UINT32_MAX, &compat) ||
	    !shmdi_get_u64(result, "abi_fingerprint", UINT64_MAX, &fingerprint))
		return shmdi_fail(SHMD_E_VERSION, "hello: the daemon does not say which layout its segments have");
	pthread_mutex_lock(&client->state_mutex);
	client->layout = (struct shmdi_layout){(uint32_t)layout, (uint32_t)compat, fingerprint};
	pthread_mutex_unlock(&client->state_mutex);
	bool resumable = false;
	client->again.resumable = shmdi_get_bool(result, "resumable", &resumable) && resumable;
	return 0;
}

int shmdi_hello(struct shmd_client *client, bool again)
{
	struct shmdi_request request;
	struct shmdi_reply reply = {.fd = -1};
	shmdi_request_begin(client, &request, "hello", again ? 5 : 4);
	msgpack_pack_int(&request.packer, PROTOCOL_VERSION);
	msgpack_pack_int(&request.packer, PROTOCOL_VERSION);
	shmdi_pack_bin(&request, client->again.uuid, sizeof client->again.uuid);
	shmdi_pack_text(&request, client->again.software);
	if (again) {
		pthread_mutex_lock(&client->state_mutex);
		client->again.doubts_told = client->again.doubts_count;
		msgpack_pack_array(&request.packer, client->again.doubts_count);
		for (unsigned int i = 0; i < client->again.doubts_count; i++)
			msgpack_pack_uint32(&request.packer, client->again.doubts[i]);
		pthread_mutex_unlock(&client->state_mutex);
	}
	int result = request.failed ? shmdi_fail(SHMD_E_NO_SPACE, "no memory for a request")
	                            : shmdi_exchange(client, &request, &reply);
	msgpack_sbuffer_destroy(&request.buffer);
	if (result == 0)
		result = read_hello(client, reply.result);
	shmdi_reply_clear(&reply);
	return result;
}

/* Who the client is, wherever it connects. */
static int introduce(struct shmd_client *client, const struct shmd_connect_options *wanted)
{
	const char *software = wanted->software != NULL ? wanted->software : "libshmd " SHMD_VERSION;
	size_t size_bytes = strlen(software);
	if (size_bytes > SHMDI_SOFTWARE_MAX)
		return shmdi_fail(SHMD_E_BAD_PARAMS, "connect: software has %zu bytes, at most %d are possible", size_bytes,
		                  SHMDI_SOFTWARE_MAX);
	memcpy(client->again.software, software, size_bytes + 1);
	client->again.timeout_ns = wanted->reattach_timeout_ns != 0 ? wanted->reattach_timeout_ns : REATTACH_TIMEOUT_NS;
	ssize_t random;
	do
		random = getrandom(client->again.uuid, sizeof client->again.uuid, 0);
	while (random < 0 && errno == EINTR);
	if (random != (ssize_t)sizeof client->again.uuid)
		return shmdi_fail(SHMD_E_SYSTEM, "connect: no random numbers: %s", strerror(errno));
	return 0;
}

static void release(struct shmd_client *client)
{
	shmdi_connection_clear(client);
	shmdi_readers_clear(client);
	free(client);
}

int shmd_connect(const struct shmd_connect_options *options, struct shmd_client **ret_client)
{
	struct shmd_connect_options wanted = {.size = sizeof wanted};
	if (ret_client == NULL || (options != NULL && options->size != sizeof wanted))
		return shmdi_fail(SHMD_E_INVALID, "connect: no place for the result, or options of another size");
	if (options != NULL)
		wanted = *options;
	struct shmd_client *client = calloc(1, sizeof *client);
	if (client == NULL)
		return shmdi_fail(SHMD_E_NO_SPACE, "connect: no memory");
	client->references = 1;
	client->next_id = 1;
	pthread_mutex_init(&client->send_mutex, NULL);
	pthread_mutex_init(&client->state_mutex, NULL);
	pthread_mutex_init(&client->again.mutex, NULL);
	client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = 0;
	if (client->socket < 0)
		result = shmdi_fail(SHMD_E_SYSTEM, "connect: socket: %s", strerror(errno));
	if (result == 0)
		result = shmdi_fork_enter(&client->generation);
	if (result == 0)
		result = introduce(client, &wanted);
	if (result == 0)
		result = connect_somewhere(client, wanted.socket_path);
	if (result == 0)
		result = shmdi_hello(client, false);
	if (result == SHMDI_BROKEN || result == SHMDI_BROKEN_UNSENT)
		result = shmdi_fail_lost(client);
	if (result < 0) {
		release(client);
		return result;
	}
	*ret_client = client;
	return 0;
}

void shmdi_client_hold(struct shmd_client *client)
{
	__atomic_fetch_add(&client->references, 1, __ATOMIC_RELAXED);
}

void shmdi_client_drop(struct shmd_client *client)
{
	if (__atomic_sub_fetch(&client->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	/* In a forked child the connection is the parent's: only our copy is closed. */
	if (shmdi_fork_same(client->generation) && shmdi_reattach(client, 0) == 0) {
		struct shmdi_request request;
		shmdi_request_begin(client, &request, "bye", 0);
		(void)shmdi_call(client, &request, NULL);
	}
	release(client);
}

struct shmd_client *shmd_close(struct shmd_client *client)
{
	if (client != NULL)
		shmdi_client_drop(client);
	return NULL;
}

/* What a call is about: a name, or a number if that is null. */
struct target {
	const char *name;
	uint64_t id;
};

/* A call of a target and of numbers behind it. */
static int call_with(struct shmd_client *client, const char *method, struct target target, size_t count,
                     const int64_t *numbers)
{
	if (client == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client", method);
	struct shmdi_request request;
	shmdi_request_begin(client, &request, method, (uint32_t)(1 + count));
	if (target.name != NULL)
		shmdi_pack_text(&request, target.name);
	else
		msgpack_pack_uint64(&request.packer, target.id);
	for (size_t i = 0; i < count; i++)
		msgpack_pack_int64(&request.packer, numbers[i]);
	return shmdi_call(client, &request, NULL);
}

static int call_with_name(struct shmd_client *client, const char *method, const char *name, size_t count,
                          const int64_t *numbers)
{
	if (name == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no name", method);
	return call_with(client, method, (struct target){.name = name}, count, numbers);
}

int shmd_unlink(struct shmd_client *client, const char *name)
{
	return call_with_name(client, "unlink", name, 0, NULL);
}

int shmd_destroy(struct shmd_client *client, const char *name)
{
	return call_with_name(client, "destroy", name, 0, NULL);
}

int shmd_destroy_id(struct shmd_client *client, uint64_t id)
{
	return call_with(client, "destroy", (struct target){.id = id}, 0, NULL);
}

int shmd_chmod(struct shmd_client *client, const char *name, uint32_t mode)
{
	return call_with_name(client, "chmod", name, 1, (const int64_t[]){mode});
}

int shmd_chmod_id(struct shmd_client *client, uint64_t id, uint32_t mode)
{
	return call_with(client, "chmod", (struct target){.id = id}, 1, (const int64_t[]){mode});
}

int shmd_chown(struct shmd_client *client, const char *name, int64_t uid, int64_t gid)
{
	return call_with_name(client, "chown", name, 2, (const int64_t[]){uid, gid});
}

int shmd_chown_id(struct shmd_client *client, uint64_t id, int64_t uid, int64_t gid)
{
	return call_with(client, "chown", (struct target){.id = id}, 2, (const int64_t[]){uid, gid});
}

#define TICKET_TIMEOUT_NS ((int64_t)60000000000)

int shmd_ticket(struct shmd_client *client, uint64_t id, int64_t timeout_ns, struct shmd_ticket *ret_ticket)
{
	if (client == NULL || ret_ticket == NULL)
		return shmdi_fail(SHMD_E_INVALID, "ticket: no client, or no place for the result");
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, "ticket", 2);
	msgpack_pack_uint64(&request.packer, id);
	msgpack_pack_int64(&request.packer, timeout_ns != 0 ? timeout_ns : TICKET_TIMEOUT_NS);
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	const msgpack_object *ticket = shmdi_member(reply.result, "ticket");
	if (ticket != NULL && ticket->type == MSGPACK_OBJECT_BIN && ticket->via.bin.size == sizeof ret_ticket->bytes)
		memcpy(ret_ticket->bytes, ticket->via.bin.ptr, sizeof ret_ticket->bytes);
	else
		result = shmdi_fail(SHMD_E_BAD_FRAME, "ticket: the daemon's answer has no ticket");
	shmdi_reply_clear(&reply);
	return result;
}
