/* SPDX-License-Identifier: Apache-2.0
 *
 * posix.c - what POSIX has: lock, counter and recovery by a robust pthread mutex in a file
 * that all map, semaphore by sem_t there, messages by mq, small objects by sem_open.
 */
#define _GNU_SOURCE
#include "rival.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_MESSAGES_MAX 10 /* what every user may have: fs.mqueue.msg_max */

struct shared {
	pthread_mutex_t mutex;
	_Alignas(128) sem_t permits;
	_Alignas(128) uint64_t value; /* of the mutex */
};

static struct shared *shared;
static char path[256];

/* ---- mutex and semaphore ---- */

static void make_objects(void)
{
	pthread_mutexattr_t attributes;
	rival_must_0(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	rival_must_0(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "setpshared");
	rival_must_0(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "setrobust");
	rival_must_0(pthread_mutex_init(&shared->mutex, &attributes), "pthread_mutex_init");
	rival_must_0(pthread_mutexattr_destroy(&attributes), "pthread_mutexattr_destroy");
	rival_must(sem_init(&shared->permits, 1, 1) == 0, "sem_init");
}

static struct shared *map_shared(int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	rival_must(fd >= 0, path);
	rival_must((flags & O_CREAT) == 0 || ftruncate(fd, sizeof *shared) == 0, "ftruncate");
	void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	rival_must(at != MAP_FAILED, "mmap");
	rival_must(close(fd) == 0, "close");
	return at;
}

static void open_shared(void)
{
	int length = snprintf(path, sizeof path, "%s/%s", rival.dir, rival.name);
	if (length < 0 || (size_t)length >= sizeof path)
		rival_fail("%s: too long", rival.dir);
	shared = map_shared(rival.makes ? O_CREAT | O_EXCL : 0);
	if (rival.makes)
		make_objects();
}

static void close_shared(void)
{
	rival_must(munmap(shared, sizeof *shared) == 0, "munmap");
	rival_must(unlink(path) == 0 || errno == ENOENT, path);
}

static void take_mutex(void)
{
	int error = pthread_mutex_lock(&shared->mutex);
	if (__builtin_expect(error == EOWNERDEAD, 0))
		error = pthread_mutex_consistent(&shared->mutex);
	rival_must_0(error, "pthread_mutex_lock");
}

static inline void lock_once(uint64_t i)
{
	(void)i;
	take_mutex();
	shared->value++;
	rival_must_0(pthread_mutex_unlock(&shared->mutex), "pthread_mutex_unlock");
}

static inline void acquire_once(uint64_t i)
{
	(void)i;
	rival_must(sem_wait(&shared->permits) == 0, "sem_wait");
	rival_must(sem_post(&shared->permits) == 0, "sem_post");
}

static inline void attach_once(uint64_t i)
{
	(void)i;
	rival_must(munmap(map_shared(0), sizeof *shared) == 0, "munmap");
}

RIVAL_RUN(run_lock, lock_once)
RIVAL_RUN(run_acquire, acquire_once)
RIVAL_RUN(run_attach, attach_once)

static void own(uint64_t count)
{
	(void)count;
	rival_hold(take_mutex);
}

static void await(uint64_t count)
{
	(void)count;
	rival_wait(take_mutex);
}

/* ---- messages ---- */

static mqd_t queues[2]; /* ping and put write to the first */
static char queue_names[2][128];
static void *buffer;

static void open_queue(int i)
{
	struct mq_attr attributes = {.mq_maxmsg = rival_queue_max(), .mq_msgsize = (long)rival.size_bytes};
	int length = snprintf(queue_names[i], sizeof queue_names[i], "/%s-%d", rival.name, i);
	if (length < 0 || (size_t)length >= sizeof queue_names[i])
		rival_fail("%s: too long", rival.name);
	int flags = O_RDWR | O_CLOEXEC | (rival.makes ? O_CREAT | O_EXCL : 0);
	queues[i] = mq_open(queue_names[i], flags, 0600, &attributes);
	if (queues[i] == (mqd_t)-1 && errno == EINVAL) {
		attributes.mq_maxmsg = USER_MESSAGES_MAX;
		queues[i] = mq_open(queue_names[i], flags, 0600, &attributes);
	}
	if (queues[i] == (mqd_t)-1 && (errno == EINVAL || errno == EMFILE || errno == ENOMEM)) {
		if (i > 0)
			mq_unlink(queue_names[0]);
		rival_unsupported("the kernel's limits of mq forbid such a queue");
	}
	rival_must(queues[i] != (mqd_t)-1, "mq_open");
}

static void open_queues(void)
{
	if (rival.batch != 1)
		rival_unsupported("mq has no batches");
	buffer = rival_new_message();
	open_queue(0);
	open_queue(1);
}

static void close_queues(void)
{
	for (int i = 0; i < 2; i++) {
		rival_must(mq_close(queues[i]) == 0, "mq_close");
		rival_must(mq_unlink(queue_names[i]) == 0 || errno == ENOENT, "mq_unlink");
	}
}

static void open_trip(void)
{
	if (rival.spins)
		rival_unsupported("mq sleeps");
	open_queues();
}

static inline void send_to(int i, uint64_t number)
{
	rival_must(mq_send(queues[i], (const char *)rival_message(number), rival.size_bytes, 0) == 0, "mq_send");
}

static inline void receive_from(int i, uint64_t number)
{
	ssize_t n = mq_receive(queues[i], (char *)buffer, rival.size_bytes, NULL);
	rival_must(n >= 0, "mq_receive");
	rival_check(buffer, (size_t)n, number);
}

static inline void ping_once(uint64_t i)
{
	send_to(0, i);
	receive_from(1, i);
}

static inline void pong_once(uint64_t i)
{
	receive_from(0, i);
	send_to(1, i);
}

static inline void put_once(uint64_t i) { send_to(0, rival_number(i)); }
static inline void take_once(uint64_t i) { receive_from(0, rival_expected(i)); }

RIVAL_RUN(run_ping, ping_once)
RIVAL_RUN(run_pong, pong_once)
RIVAL_RUN(run_put, put_once)
RIVAL_RUN(run_take, take_once)

static void sleep_there(uint64_t count)
{
	(void)count;
	puts("waiting");
	fflush(stdout);
	receive_from(0, RIVAL_ANY);
}

/* Without names: nobody ends a process that sleeps but by a signal. */
static void open_sleeper(void)
{
	open_queues();
	for (int i = 0; i < 2; i++)
		rival_must(mq_unlink(queue_names[i]) == 0, "mq_unlink");
}

/* ---- many ---- */

static void open_nothing(void) {}

static inline void make_once(uint64_t i)
{
	char name[160];
	snprintf(name, sizeof name, "/%s-%" PRIu64, rival.name, i);
	rival_must(sem_open(name, O_CREAT | O_EXCL, 0600, 0) != SEM_FAILED, "sem_open");
	rival_must(sem_unlink(name) == 0, "sem_unlink"); /* it stays open, and nobody else wants it */
}

RIVAL_RUN(run_make, make_once)

static void describe(void)
{
	printf("robust mutex and sem_t of glibc %s, mq of the kernel\n", gnu_get_libc_version());
}

static const struct rival_work works[] = {
	{"lock", "worker", open_shared, run_lock, close_shared, RIVAL_TIMED},
	{"counter", "worker", open_shared, run_lock, close_shared, RIVAL_TIMED},
	{"semaphore", "worker", open_shared, run_acquire, close_shared, RIVAL_TIMED},
	{"attach", "opener", open_shared, run_attach, close_shared, RIVAL_TIMED},
	{"recovery", "owner", open_shared, own, close_shared, RIVAL_OWN},
	{"recovery", "waiter", open_shared, await, close_shared, RIVAL_OWN},
	{"roundtrip", "ping", open_trip, run_ping, close_queues, RIVAL_TIMED},
	{"roundtrip", "pong", open_trip, run_pong, close_queues, RIVAL_TIMED},
	{"oneway", "put", open_queues, run_put, close_queues, RIVAL_TIMED},
	{"oneway", "take", open_queues, run_take, close_queues, RIVAL_TIMED},
	{"idle", "sleeper", open_sleeper, sleep_there, open_nothing, RIVAL_OWN},
	{"memory", "maker", open_nothing, run_make, open_nothing, RIVAL_TIMED},
};

int main(int argc, char **argv)
{
	return rival_main(argc, argv, describe, works, RIVAL_COUNT(works));
}
