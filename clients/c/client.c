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
#define SYSTEM_SOCKET "/run/shmd/shmd.sock"

const char *shmd_version(void)
{
	return SHMD_VERSION;
}

static int connect_path(int fd, const char *path)
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

/* The path of the option, else the environment's, else the user's daemon, else the system's. */
static int connect_somewhere(int fd, const char *path)
{
	if (path == NULL || path[0] == '\0')
		path = secure_getenv("SHMD_SOCKET");
	if (path != NULL && path[0] != '\0')
		return connect_path(fd, path);
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	if (runtime != NULL && runtime[0] != '\0') {
		char users[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
		int size_bytes = snprintf(users, sizeof users, "%s/shmd/shmd.sock", runtime);
		if (size_bytes < 0 || (size_t)size_bytes >= sizeof users)
			return shmdi_fail(SHMD_E_INVALID, "connect: XDG_RUNTIME_DIR is too long for a socket path");
		int result = connect_path(fd, users);
		if (result != SHMD_E_NO_DAEMON)
			return result;
	}
	return connect_path(fd, SYSTEM_SOCKET);
}

static int hello(struct shmd_client *client, const char *software)
{
	unsigned char uuid[16];
	ssize_t random;
	do
		random = getrandom(uuid, sizeof uuid, 0);
	while (random < 0 && errno == EINTR);
	if (random != (ssize_t)sizeof uuid)
		return shmdi_fail(SHMD_E_SYSTEM, "hello: no random numbers: %s", strerror(errno));
	struct shmdi_request request;
	struct shmdi_reply reply;
	shmdi_request_begin(client, &request, "hello", 4);
	msgpack_pack_int(&request.packer, PROTOCOL_VERSION);
	msgpack_pack_int(&request.packer, PROTOCOL_VERSION);
	shmdi_pack_bin(&request, uuid, sizeof uuid);
	shmdi_pack_text(&request, software);
	int result = shmdi_call(client, &request, &reply);
	if (result < 0)
		return result;
	uint64_t version;
	uint64_t abi_version;
	uint64_t fingerprint;
	if (!shmdi_get_u64(reply.result, "version", UINT32_MAX, &version) || version != PROTOCOL_VERSION)
		result = shmdi_fail(SHMD_E_VERSION, "hello: the daemon chose no protocol version that we know");
	else if (!shmdi_get_u64(reply.result, "abi_version", UINT32_MAX, &abi_version) ||
	         abi_version != SHMD_ABI_VERSION ||
	         !shmdi_get_u64(reply.result, "abi_fingerprint", UINT64_MAX, &fingerprint) ||
	         fingerprint != SHMD_ABI_FINGERPRINT)
		result = shmdi_fail(SHMD_E_VERSION, "hello: the daemon's segments have another layout than this library knows");
	shmdi_reply_clear(&reply);
	return result;
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
	pthread_cond_init(&client->state_changed, NULL);
	client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = 0;
	if (client->socket < 0)
		result = shmdi_fail(SHMD_E_SYSTEM, "connect: socket: %s", strerror(errno));
	if (result == 0)
		result = shmdi_fork_enter(&client->generation);
	if (result == 0)
		result = connect_somewhere(client->socket, wanted.socket_path);
	if (result == 0)
		result = hello(client, wanted.software != NULL ? wanted.software : "libshmd " SHMD_VERSION);
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
	if (shmdi_fork_same(client->generation)) {
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

static int call_with_name(struct shmd_client *client, const char *method, const char *name)
{
	if (client == NULL || name == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client, or no name", method);
	struct shmdi_request request;
	shmdi_request_begin(client, &request, method, 1);
	shmdi_pack_text(&request, name);
	return shmdi_call(client, &request, NULL);
}

static int call_with_id(struct shmd_client *client, const char *method, uint64_t id)
{
	if (client == NULL)
		return shmdi_fail(SHMD_E_INVALID, "%s: no client", method);
	struct shmdi_request request;
	shmdi_request_begin(client, &request, method, 1);
	msgpack_pack_uint64(&request.packer, id);
	return shmdi_call(client, &request, NULL);
}

int shmd_unlink(struct shmd_client *client, const char *name)
{
	return call_with_name(client, "unlink", name);
}

int shmd_destroy(struct shmd_client *client, const char *name)
{
	return call_with_name(client, "destroy", name);
}

int shmd_destroy_id(struct shmd_client *client, uint64_t id)
{
	return call_with_id(client, "destroy", id);
}
