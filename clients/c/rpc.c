/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc.c - calls over the socket. Any number of threads may be in a call; one of
 * those that wait reads for all, and passes that on when its own answer is in.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define LOST_TEXT "the connection to the daemon is gone; mapped objects go on working"
#define FDS_MAX (sizeof((struct shmd_client *)NULL)->fds / sizeof(int))

/* ---- requests ---- */

static int append(void *data, const char *bytes, size_t size_bytes)
{
	struct shmdi_request *request = data;
	if (msgpack_sbuffer_write(&request->buffer, bytes, size_bytes) != 0)
		request->failed = true;
	return 0;
}

void shmdi_request_begin(struct shmd_client *client, struct shmdi_request *request, const char *method,
                         uint32_t params)
{
	msgpack_sbuffer_init(&request->buffer);
	msgpack_packer_init(&request->packer, request, append);
	request->failed = false;
	request->waits = false;
	request->cancelled = false;
	request->method = method;
	request->id = __atomic_fetch_add(&client->next_id, 1, __ATOMIC_RELAXED);
	msgpack_pack_array(&request->packer, 4);
	msgpack_pack_int(&request->packer, 0);
	msgpack_pack_uint32(&request->packer, request->id);
	shmdi_pack_text(request, method);
	msgpack_pack_array(&request->packer, params);
}

void shmdi_pack_text(struct shmdi_request *request, const char *text)
{
	size_t size_bytes = strlen(text);
	msgpack_pack_str(&request->packer, size_bytes);
	msgpack_pack_str_body(&request->packer, text, size_bytes);
}

void shmdi_pack_bin(struct shmdi_request *request, const void *bytes, size_t size_bytes)
{
	msgpack_pack_bin(&request->packer, size_bytes);
	msgpack_pack_bin_body(&request->packer, bytes, size_bytes);
}

/* ---- sending ---- */

static bool send_all(struct shmd_client *client, const char *bytes, size_t size_bytes)
{
	while (size_bytes > 0) {
		ssize_t sent = send(client->socket, bytes, size_bytes, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		bytes += sent;
		size_bytes -= (size_t)sent;
	}
	return true;
}

/* ---- receiving: by the one reader, without a lock ---- */

/* Takes over all descriptors of a message; false if some were lost. */
static bool take_fds(struct shmd_client *client, struct msghdr *message)
{
	bool complete = (message->msg_flags & MSG_CTRUNC) == 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
			if (client->fds_count < FDS_MAX) {
				client->fds[client->fds_count++] = fd;
			} else {
				close(fd);
				complete = false;
			}
		}
	}
	return complete;
}

/* How receiving ended. */
enum received { GOT, SIGNALLED, OVER };

/* More bytes behind what there is; SIGNALLED only if it may be. */
static enum received receive(struct shmd_client *client, bool may_be_signalled)
{
	size_t space_bytes = SHMDI_MESSAGE_MAX + CHUNK_BYTES - client->input_size_bytes;
	if (space_bytes > CHUNK_BYTES)
		space_bytes = CHUNK_BYTES;
	char *input = realloc(client->input, client->input_size_bytes + space_bytes);
	if (input == NULL)
		return OVER;
	client->input = input;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 4)];
	} control;
	struct iovec vector = {.iov_base = input + client->input_size_bytes, .iov_len = space_bytes};
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	ssize_t received;
	do
		received = recvmsg(client->socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR && !may_be_signalled);
	if (received < 0)
		return errno == EINTR ? SIGNALLED : OVER;
	bool complete = take_fds(client, &message);
	client->input_size_bytes += (size_t)received;
	return received > 0 && complete ? GOT : OVER;
}

/* Cuts the first message out of the input. */
static bool unpack_one(struct shmd_client *client, size_t size_bytes, struct shmdi_reply *reply)
{
	/* Its own copy: strings of the unpacked message point into it. */
	reply->fd = -1;
	reply->bytes = malloc(size_bytes);
	if (reply->bytes == NULL)
		return false;
	memcpy(reply->bytes, client->input, size_bytes);
	client->input_size_bytes -= size_bytes;
	memmove(client->input, client->input + size_bytes, client->input_size_bytes);
	msgpack_unpacked_init(&reply->unpacked);
	size_t offset = 0;
	if (msgpack_unpack_next(&reply->unpacked, reply->bytes, size_bytes, &offset) == MSGPACK_UNPACK_SUCCESS)
		return true;
	shmdi_reply_clear(reply);
	return false;
}

/* Reads until a whole message is there; what a signal interrupts goes on the next time. */
static enum received read_message(struct shmd_client *client, bool may_be_signalled, struct shmdi_reply *reply)
{
	for (;;) {
		int64_t size_bytes = shmdi_message_scan(client->input, client->input_size_bytes);
		if (size_bytes < 0)
			return OVER;
		if (size_bytes > 0)
			return unpack_one(client, (size_t)size_bytes, reply) ? GOT : OVER;
		if (client->input_size_bytes >= SHMDI_MESSAGE_MAX)
			return OVER;
		enum received received = receive(client, may_be_signalled);
		if (received != GOT)
			return received;
	}
}

void shmdi_reply_clear(struct shmdi_reply *reply)
{
	if (reply->fd >= 0)
		close(reply->fd);
	if (reply->bytes != NULL) {
		msgpack_unpacked_destroy(&reply->unpacked);
		free(reply->bytes);
	}
	reply->bytes = NULL;
	reply->result = NULL;
	reply->fd = -1;
}

/* The descriptor that belongs to this response, if any; false = none there. */
static bool give_fd(struct shmd_client *client, struct shmdi_reply *reply, const msgpack_object *result)
{
	uint64_t count;
	if (!shmdi_get_u64(result, "fds", UINT32_MAX, &count) || count == 0)
		return true;
	if (count != 1 || client->fds_count == 0)
		return false;
	reply->fd = client->fds[0];
	client->fds_count--;
	memmove(client->fds, client->fds + 1, client->fds_count * sizeof client->fds[0]);
	return true;
}

/* The code of a response's error; 0 = malformed. */
static int error_code(const msgpack_object *error)
{
	if (error->type != MSGPACK_OBJECT_ARRAY || error->via.array.size < 3)
		return 0;
	const msgpack_object *code = &error->via.array.ptr[0];
	bool possible = code->type == MSGPACK_OBJECT_POSITIVE_INTEGER && code->via.u64 >= 2 && code->via.u64 <= INT32_MAX;
	return possible ? -(int)code->via.u64 : 0;
}

/* A response with an id that nobody waits for: if it is an error, the daemon
 * says why it is about to close the connection. state_mutex is held. */
static void note_farewell(struct shmd_client *client, const msgpack_object *error)
{
	const msgpack_object *text = &error->via.array.ptr[2];
	client->farewell = error_code(error);
	if (client->farewell == 0 || text->type != MSGPACK_OBJECT_STR)
		return;
	size_t size_bytes = text->via.str.size;
	if (size_bytes >= sizeof client->farewell_text)
		size_bytes = sizeof client->farewell_text - 1;
	memcpy(client->farewell_text, text->via.str.ptr, size_bytes);
	client->farewell_text[size_bytes] = '\0';
}

/* Hands a message to whoever waits for it; state_mutex is held. False if the
 * connection cannot go on. */
static bool dispatch(struct shmd_client *client, struct shmdi_reply *reply)
{
	const msgpack_object *message = &reply->unpacked.data;
	bool sound = true;
	if (message->type == MSGPACK_OBJECT_ARRAY && message->via.array.size == 4) {
		const msgpack_object *field = message->via.array.ptr;
		bool response = field[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER && field[0].via.u64 == 1 &&
		                field[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER;
		if (response && field[2].type == MSGPACK_OBJECT_NIL)
			sound = give_fd(client, reply, &field[3]);
		for (struct shmdi_pending **at = &client->pending; response && sound && *at != NULL; at = &(*at)->next) {
			struct shmdi_pending *pending = *at;
			if (pending->id != field[1].via.u64)
				continue;
			*at = pending->next;
			*pending->reply = *reply;
			pending->done = true;
			return true;
		}
		if (response && error_code(&field[2]) != 0)
			note_farewell(client, &field[2]);
	}
	shmdi_reply_clear(reply); /* of an unknown id, or a notification: nothing to us */
	return sound;
}

/* ---- calls ---- */

static void forget(struct shmd_client *client, const struct shmdi_pending *pending)
{
	for (struct shmdi_pending **at = &client->pending; *at != NULL; at = &(*at)->next) {
		if (*at == pending) {
			*at = pending->next;
			return;
		}
	}
}

/* Waits for what state_mutex guards to change, which is held; true = a signal interrupted it. */
static bool sleep_until_changed(struct shmd_client *client)
{
	uint32_t seen = __atomic_load_n(&client->changes, __ATOMIC_RELAXED);
	client->sleepers++;
	pthread_mutex_unlock(&client->state_mutex);
	int result = shmdi_futex_wait(&client->changes, seen, SHMDI_FOREVER_NS);
	pthread_mutex_lock(&client->state_mutex);
	client->sleepers--;
	return result == -EINTR;
}

/* state_mutex is held. */
static void tell_change(struct shmd_client *client)
{
	__atomic_fetch_add(&client->changes, 1, __ATOMIC_RELAXED);
	if (client->sleepers != 0) /* in a forked child perhaps some of the parent's */
		shmdi_futex_wake(&client->changes, INT_MAX);
}

/* Asks the daemon to end a call; its answer says how that came out. */
static void cancel(struct shmd_client *client, uint32_t id)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 3);
	msgpack_pack_int(&packer, 2);
	msgpack_pack_str(&packer, strlen("cancel"));
	msgpack_pack_str_body(&packer, "cancel", strlen("cancel"));
	msgpack_pack_array(&packer, 1);
	msgpack_pack_uint32(&packer, id);
	pthread_mutex_lock(&client->send_mutex);
	if (!send_all(client, buffer.data, buffer.size))
		(void)shutdown(client->socket, SHUT_WR);
	pthread_mutex_unlock(&client->send_mutex);
	msgpack_sbuffer_destroy(&buffer);
}

/* Asks the application, with no mutex held; false = it has forked, and this is the child. */
static bool ask(struct shmd_client *client, struct shmdi_request *request)
{
	pthread_mutex_unlock(&client->state_mutex);
	bool ends = shmdi_interrupted();
	if (!shmdi_fork_same(client->generation))
		return false; /* other threads of the parent may have had the mutexes */
	if (ends) {
		request->cancelled = true;
		cancel(client, request->id);
	}
	pthread_mutex_lock(&client->state_mutex);
	return true;
}

/* Until this call's answer is in, or the connection is over; state_mutex is held. false: as of ask. */
static bool await(struct shmd_client *client, struct shmdi_pending *pending, struct shmdi_request *request)
{
	bool asks = request->waits && !request->cancelled;
	while (!pending->done && !client->lost && pending->link == client->link) {
		if (asks) {
			if (!ask(client, request))
				return false;
			asks = false;
			continue; /* the state may be another by now */
		}
		bool may_ask = request->waits && !request->cancelled;
		if (client->reading) {
			asks = sleep_until_changed(client) && may_ask;
			continue;
		}
		client->reading = true;
		pthread_mutex_unlock(&client->state_mutex);
		struct shmdi_reply reply;
		enum received received = read_message(client, may_ask, &reply);
		pthread_mutex_lock(&client->state_mutex);
		client->reading = false;
		asks = received == SIGNALLED;
		if (received == OVER || (received == GOT && !dispatch(client, &reply))) {
			client->lost = true;
			/* Whatever still comes would be misread; the descriptor itself is closed with the client. */
			(void)shutdown(client->socket, SHUT_RDWR);
		}
		tell_change(client);
	}
	return true;
}

/* What the answer says: 0, or the daemon's error with its sentence. */
static int outcome(struct shmdi_reply *reply)
{
	const msgpack_object *field = reply->unpacked.data.via.array.ptr;
	const msgpack_object *error = &field[2];
	if (error->type == MSGPACK_OBJECT_NIL) {
		reply->result = &field[3];
		return 0;
	}
	int code = error_code(error);
	if (code == 0)
		return shmdi_fail(SHMD_E_BAD_FRAME, "the daemon sent a malformed error");
	const msgpack_object *text = &error->via.array.ptr[2];
	if (text->type != MSGPACK_OBJECT_STR)
		return shmdi_fail(code, "%s", shmd_strerror(code));
	return shmdi_fail_text(code, text->via.str.ptr, text->via.str.size);
}

int shmdi_fail_lost(struct shmd_client *client)
{
	pthread_mutex_lock(&client->state_mutex);
	int code = client->farewell != 0 ? client->farewell : SHMD_E_LOST;
	(void)shmdi_fail(code, "%s", client->farewell != 0 ? client->farewell_text : LOST_TEXT);
	pthread_mutex_unlock(&client->state_mutex);
	return code;
}

/* Sends on the connection that the call is for; false = that is over. */
static bool send_request(struct shmd_client *client, struct shmdi_pending *pending,
                         const struct shmdi_request *request)
{
	/* Whoever replaces the connection takes this mutex first. */
	pthread_mutex_lock(&client->send_mutex);
	pthread_mutex_lock(&client->state_mutex);
	bool usable = !client->lost;
	pending->link = client->link;
	pthread_mutex_unlock(&client->state_mutex);
	bool sent = usable && send_all(client, request->buffer.data, request->buffer.size);
	/* Even then an answer may lie in the socket: why we were disconnected. */
	if (usable && !sent)
		(void)shutdown(client->socket, SHUT_WR);
	pthread_mutex_unlock(&client->send_mutex);
	return sent;
}

int shmdi_exchange(struct shmd_client *client, struct shmdi_request *request, struct shmdi_reply *reply)
{
	struct shmdi_pending pending = {.id = request->id, .reply = reply};
	pthread_mutex_lock(&client->state_mutex);
	pending.next = client->pending;
	client->pending = &pending;
	pending.link = client->link;
	pthread_mutex_unlock(&client->state_mutex);

	bool sent = send_request(client, &pending, request);
	pthread_mutex_lock(&client->state_mutex);
	if (!await(client, &pending, request))
		return SHMD_E_FORKED;
	if (!pending.done)
		forget(client, &pending);
	pthread_mutex_unlock(&client->state_mutex);
	if (pending.done)
		return outcome(reply);
	return sent ? SHMDI_BROKEN : SHMDI_BROKEN_UNSENT;
}

/* Exchanges, on as many connections as it takes. */
static int call(struct shmd_client *client, struct shmdi_request *request, struct shmdi_reply *reply)
{
	for (;;) {
		int result = shmdi_reattach(client, client->again.timeout_ns);
		if (result == 0)
			result = shmdi_exchange(client, request, reply);
		if (request->cancelled) /* also if another daemon would have to be asked again */
			return SHMD_E_CANCELLED;
		if (result == SHMDI_BROKEN || result == SHMDI_BROKEN_UNSENT)
			result = shmdi_unanswered(client, request, result);
		else
			return result;
		if (result < 0)
			return result;
	}
}

int shmdi_call(struct shmd_client *client, struct shmdi_request *request, struct shmdi_reply *reply)
{
	struct shmdi_reply own = {.fd = -1};
	int result;
	if (!shmdi_fork_same(client->generation))
		result = shmdi_fail(SHMD_E_FORKED, "the connection belongs to the parent process; connect in the child");
	else if (request->failed)
		result = shmdi_fail(SHMD_E_NO_SPACE, "no memory for a request");
	else if (request->buffer.size > SHMDI_MESSAGE_MAX)
		result = shmdi_fail(SHMD_E_TOO_LARGE, "the request would have %zu bytes, %zu are allowed",
		                    request->buffer.size, SHMDI_MESSAGE_MAX);
	else
		result = call(client, request, &own);
	msgpack_sbuffer_destroy(&request->buffer);
	if (result == 0 && reply != NULL)
		*reply = own;
	else
		shmdi_reply_clear(&own);
	return result;
}

void shmdi_connection_replace(struct shmd_client *client, int fd)
{
	pthread_mutex_lock(&client->send_mutex);
	pthread_mutex_lock(&client->state_mutex);
	while (client->reading) /* its socket is shut down */
		(void)sleep_until_changed(client);
	close(client->socket);
	client->socket = fd;
	for (unsigned int i = 0; i < client->fds_count; i++)
		close(client->fds[i]);
	client->fds_count = 0;
	client->input_size_bytes = 0;
	client->farewell = 0;
	client->lost = false;
	client->link++;
	tell_change(client);
	pthread_mutex_unlock(&client->state_mutex);
	pthread_mutex_unlock(&client->send_mutex);
}

void shmdi_connection_clear(struct shmd_client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	for (unsigned int i = 0; i < client->fds_count; i++)
		close(client->fds[i]);
	free(client->input);
	shmdi_reattach_clear(client);
	/* In a forked child they are as another thread of the parent left them:
	 * destroying could wait for a thread that does not exist here. */
	if (shmdi_fork_word == NULL || !shmdi_fork_same(client->generation))
		return;
	pthread_mutex_destroy(&client->state_mutex);
	pthread_mutex_destroy(&client->send_mutex);
	pthread_mutex_destroy(&client->again.mutex);
}
