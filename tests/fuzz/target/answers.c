/* SPDX-License-Identifier: Apache-2.0
 *
 * answers.c - libshmd with a daemon that may answer anything, and memory that may hold
 * anything. Whatever comes: no call reads or writes where it must not, and each returns.
 *
 * Input, after which nothing more comes on the connection:
 *	u8 kind       which object is opened
 *	u8 pages      bits 0 to 4: of the memory, 0 = none comes; bit 7: it lacks its seals
 *	u16 size      of the answers, little endian
 *	u8 answers[size], then the words of the memory: u16 place, u64 value, again and again
 */
#define _GNU_SOURCE
#include "../../../clients/c/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 4
#define PATCH_BYTES 10
#define ANSWERS_BYTES_MAX (32u << 10) /* less than a socket holds */
#define MEMORIES 2                    /* an object, and the mutex that guards it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

/* How many objects could be opened, so that a test knows that its inputs lead there. */
extern unsigned long answers_opened;
unsigned long answers_opened;

static void must(bool truth)
{
	if (!truth)
		abort();
}

/* Sealed memory with the words that the input says, or -1. */
static int make_memory(uint8_t pages, const uint8_t *patches, size_t size_bytes)
{
	size_t memory_bytes = (size_t)(pages & 0x1f) * SHMD_PAGE_SIZE;
	if (memory_bytes == 0)
		return -1;
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(fd >= 0 && ftruncate(fd, (off_t)memory_bytes) == 0);
	for (; size_bytes >= PATCH_BYTES; patches += PATCH_BYTES, size_bytes -= PATCH_BYTES) {
		size_t place = (size_t)(patches[0] | patches[1] << 8) * 4 % (memory_bytes - 8);
		must(pwrite(fd, patches + 2, 8, (off_t)place) == 8);
	}
	if ((pages & 0x80) == 0)
		must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	return fd;
}

/* All that the daemon will ever say, with the memory in front. */
static void send_answers(int fd, const uint8_t *answers, size_t size_bytes, int memory)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * MEMORIES)];
	} control = {0};
	struct iovec vector = {.iov_base = (void *)(uintptr_t)answers, .iov_len = size_bytes};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	if (memory >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int) * MEMORIES);
		for (size_t i = 0; i < MEMORIES; i++)
			memcpy(CMSG_DATA(part) + i * sizeof memory, &memory, sizeof memory);
	}
	if (size_bytes > 0)
		must(sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)size_bytes);
	must(shutdown(fd, SHUT_WR) == 0);
}

/* A client as shmd_connect makes it, on a connection that is there. */
static struct shmd_client *make_client(int fd)
{
	struct shmd_client *client = calloc(1, sizeof *client);
	must(client != NULL);
	client->socket = fd;
	client->references = 1;
	client->next_id = 1;
	client->layout = (struct shmdi_layout){SHMD_ABI_VERSION, SHMD_ABI_COMPAT, SHMD_ABI_FINGERPRINT};
	pthread_mutex_init(&client->send_mutex, NULL);
	pthread_mutex_init(&client->state_mutex, NULL);
	pthread_mutex_init(&client->again.mutex, NULL);
	must(shmdi_fork_enter(&client->generation) == 0);
	return client;
}

static char buffer[4096];

static void use_value(struct shmd_client *client)
{
	struct shmd_value *value;
	if (shmd_value_open(client, "x", 'q', NULL, &value) < 0)
		return;
	answers_opened++;
	int64_t element;
	(void)shmd_value_load(value, &element);
	(void)shmd_value_lock(value, 0);
	(void)shmd_value_store(value, &element);
	(void)shmd_value_unlock(value);
	shmd_value_close(value);
}

static void use_array(struct shmd_client *client)
{
	struct shmd_array *array;
	uint64_t shape[1] = {16};
	if (shmd_array_open(client, "x", 'i', 1, shape, NULL, &array) < 0)
		return;
	answers_opened++;
	(void)shmd_array_lock(array, 0);
	(void)shmd_array_unlock(array);
	shmd_array_close(array);
}

static void use_mutex(struct shmd_client *client)
{
	struct shmd_mutex *mutex;
	if (shmd_mutex_open(client, "x", NULL, &mutex) < 0)
		return;
	answers_opened++;
	(void)shmd_mutex_lock(mutex, 0);
	(void)shmd_mutex_unlock(mutex);
	(void)shmd_mutex_mark_consistent(mutex);
	shmd_mutex_close(mutex);
}

static void use_semaphore(struct shmd_client *client)
{
	struct shmd_semaphore *semaphore;
	struct shmd_permits permits;
	if (shmd_semaphore_open(client, "x", NULL, &semaphore) < 0)
		return;
	answers_opened++;
	(void)shmd_semaphore_permits(semaphore, &permits);
	shmd_semaphore_close(semaphore);
}

static void use_queue(struct shmd_client *client)
{
	struct shmd_queue *queue;
	if (shmd_queue_open(client, "x", NULL, &queue) < 0)
		return;
	answers_opened++;
	(void)shmd_queue_maxsize(queue);
	(void)shmd_queue_message_max_bytes(queue);
	shmd_queue_close(queue);
}

static void use_event(struct shmd_client *client)
{
	struct shmd_event *event;
	if (shmd_event_open(client, "x", NULL, &event) < 0)
		return;
	answers_opened++;
	bool set;
	(void)shmd_event_set(event);
	(void)shmd_event_wait(event, 0);
	(void)shmd_event_is_set(event, &set);
	shmd_event_close(event);
}

static void use_condition(struct shmd_client *client)
{
	struct shmd_condition *condition;
	if (shmd_condition_open(client, "x", NULL, &condition) < 0)
		return;
	answers_opened++;
	(void)shmd_condition_lock(condition, 0);
	(void)shmd_condition_notify_all(condition);
	(void)shmd_condition_unlock(condition);
	shmd_condition_close(condition);
}

static void use_barrier(struct shmd_client *client)
{
	struct shmd_barrier *barrier;
	uint32_t index;
	if (shmd_barrier_open(client, "x", NULL, &barrier) < 0)
		return;
	answers_opened++;
	(void)shmd_barrier_wait(barrier, 0, &index);
	(void)shmd_barrier_abort(barrier);
	(void)shmd_barrier_reset(barrier);
	shmd_barrier_close(barrier);
}

static void use_rwlock(struct shmd_client *client)
{
	struct shmd_rwlock *rwlock;
	if (shmd_rwlock_open(client, "x", NULL, &rwlock) < 0)
		return;
	answers_opened++;
	(void)shmd_rwlock_read_lock(rwlock, 0);
	(void)shmd_rwlock_read_unlock(rwlock);
	(void)shmd_rwlock_write_lock(rwlock, 0);
	(void)shmd_rwlock_write_unlock(rwlock);
	shmd_rwlock_close(rwlock);
}

static void use_stream(struct shmd_client *client)
{
	struct shmd_stream *stream;
	size_t received_bytes;
	if (shmd_stream_open(client, "x", NULL, &stream) < 0)
		return;
	answers_opened++;
	(void)shmd_stream_claim(stream, SHMD_PRODUCER);
	(void)shmd_stream_claim(stream, SHMD_CONSUMER);
	(void)shmd_stream_send(stream, buffer, 100, 0);
	(void)shmd_stream_recv(stream, buffer, sizeof buffer, 0, &received_bytes);
	(void)shmd_stream_recv(stream, buffer, sizeof buffer, 0, &received_bytes);
	shmd_stream_close(stream);
}

static void use_pipe(struct shmd_client *client)
{
	struct shmd_pipe *pipe;
	size_t received_bytes;
	int end;
	if (shmd_pipe_open(client, "x", NULL, &pipe) < 0)
		return;
	answers_opened++;
	if (shmd_pipe_claim(pipe, 0, &end) == 0) {
		(void)shmd_pipe_send(pipe, end, buffer, 100, 0);
		(void)shmd_pipe_recv(pipe, end, buffer, sizeof buffer, 0, &received_bytes);
		(void)shmd_pipe_read(pipe, end, buffer, sizeof buffer, 0, &received_bytes);
	}
	shmd_pipe_close(pipe);
}

static void use_names(struct shmd_client *client)
{
	(void)shmd_unlink(client, "x");
	(void)shmd_destroy(client, "x");
	(void)shmdi_hello(client, true);
	(void)shmd_last_error();
}

/* In the order of the kinds' numbers; 0 is none of them. */
static void (*const uses[])(struct shmd_client *) = {use_names,   use_value, use_array,     use_mutex,
                                                     use_semaphore, use_queue, use_event,     use_condition,
                                                     use_barrier, use_rwlock, use_stream,    use_pipe};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	if (size_bytes < HEADER_BYTES)
		return 0;
	size_t answers_bytes = (size_t)(data[2] | data[3] << 8);
	size_t rest_bytes = size_bytes - HEADER_BYTES;
	if (answers_bytes > rest_bytes)
		answers_bytes = rest_bytes;
	if (answers_bytes > ANSWERS_BYTES_MAX)
		return 0;
	const uint8_t *answers = data + HEADER_BYTES;
	int ends[2];
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	int memory = make_memory(data[1], answers + answers_bytes, rest_bytes - answers_bytes);
	send_answers(ends[0], answers, answers_bytes, memory);
	if (memory >= 0)
		close(memory);
	struct shmd_client *client = make_client(ends[1]);
	uses[data[0] % (sizeof uses / sizeof uses[0])](client);
	close(ends[0]); /* after which a request cannot be sent */
	shmd_close(client);
	return 0;
}
