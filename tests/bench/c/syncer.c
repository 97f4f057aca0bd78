/* SPDX-License-Identifier: Apache-2.0
 *
 * syncer.c - a process that uses an event, an rwlock or a recursive mutex when it is
 * told to.
 * Usage: syncer SOCKET KIND NAME. Commands, each answered by one line:
 *	rival N  N turns of what a process-shared object of libc does; ns for one
 *	ours N   the same with the object NAME
 *	count N  the same as ours, between two calls of getppid: "done"
 *	take     waits until nobody else has it, and has it: "done"
 *	give     lets others have it: "done"
 * One turn is: of an event (set), is_set, against sem_getvalue; of an rwlock, read lock
 * and unlock; of a recursive mutex, two locks and two unlocks.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

/* In a page that could be shared by name: what programs use today. */
static union {
	sem_t semaphore;
	pthread_rwlock_t rwlock;
	pthread_mutex_t mutex;
} *rival;

static struct shmd_event *event;
static struct shmd_rwlock *rwlock;
static struct shmd_mutex *mutex;

struct kind {
	const char *name;
	void (*open)(struct shmd_client *client, const char *name);
	void (*rival)(int turns);
	void (*ours)(int turns);
	void (*take)(void);
	void (*give)(void);
	void (*close)(void);
};

/* ---- event ---- */

static void event_open(struct shmd_client *client, const char *name)
{
	must(shmd_event_open(client, name, NULL, &event), "open");
	must_errno(sem_init(&rival->semaphore, 1, 1) == 0 ? 0 : errno, "sem_init");
}

static void event_rival(int turns)
{
	for (int i = 0; i < turns; i++) {
		int value;
		must_errno(sem_getvalue(&rival->semaphore, &value), "sem_getvalue");
		must_errno(value == 1 ? 0 : EINVAL, "value");
	}
}

static void event_ours(int turns)
{
	for (int i = 0; i < turns; i++) {
		bool set;
		must(shmd_event_is_set(event, &set), "is_set");
	}
}

static void event_take(void)
{
	must(shmd_event_wait(event, SHMD_FOREVER), "wait");
	must(shmd_event_reset(event), "reset");
}

static void event_give(void)
{
	must(shmd_event_set(event), "set");
}

static void event_close(void)
{
	event = shmd_event_close(event);
}

/* ---- rwlock ---- */

static void rwlock_open(struct shmd_client *client, const char *name)
{
	must(shmd_rwlock_open(client, name, NULL, &rwlock), "open");
	pthread_rwlockattr_t attributes;
	must_errno(pthread_rwlockattr_init(&attributes), "pthread_rwlockattr_init");
	must_errno(pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_rwlockattr_setpshared");
	must_errno(pthread_rwlock_init(&rival->rwlock, &attributes), "pthread_rwlock_init");
}

static void rwlock_rival(int turns)
{
	for (int i = 0; i < turns; i++) {
		must_errno(pthread_rwlock_rdlock(&rival->rwlock), "pthread_rwlock_rdlock");
		must_errno(pthread_rwlock_unlock(&rival->rwlock), "pthread_rwlock_unlock");
	}
}

static void rwlock_ours(int turns)
{
	for (int i = 0; i < turns; i++) {
		must(shmd_rwlock_read_lock(rwlock, SHMD_FOREVER), "read lock");
		must(shmd_rwlock_read_unlock(rwlock), "read unlock");
	}
}

static void rwlock_take(void)
{
	must(shmd_rwlock_write_lock(rwlock, SHMD_FOREVER), "write lock");
}

static void rwlock_give(void)
{
	must(shmd_rwlock_write_unlock(rwlock), "write unlock");
}

static void rwlock_close(void)
{
	rwlock = shmd_rwlock_close(rwlock);
}

/* ---- recursive mutex ---- */

static void recursive_open(struct shmd_client *client, const char *name)
{
	must(shmd_mutex_open(client, name, NULL, &mutex), "open");
	pthread_mutexattr_t attributes;
	must_errno(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	must_errno(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr_setpshared");
	must_errno(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
	must_errno(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE), "pthread_mutexattr_settype");
	must_errno(pthread_mutex_init(&rival->mutex, &attributes), "pthread_mutex_init");
}

static void recursive_rival(int turns)
{
	for (int i = 0; i < turns; i++) {
		must_errno(pthread_mutex_lock(&rival->mutex), "pthread_mutex_lock");
		must_errno(pthread_mutex_lock(&rival->mutex), "pthread_mutex_lock");
		must_errno(pthread_mutex_unlock(&rival->mutex), "pthread_mutex_unlock");
		must_errno(pthread_mutex_unlock(&rival->mutex), "pthread_mutex_unlock");
	}
}

static void recursive_ours(int turns)
{
	for (int i = 0; i < turns; i++) {
		must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock");
		must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock again");
		must(shmd_mutex_unlock(mutex), "unlock");
		must(shmd_mutex_unlock(mutex), "unlock");
	}
}

static void recursive_take(void)
{
	must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock");
}

static void recursive_give(void)
{
	must(shmd_mutex_unlock(mutex), "unlock");
}

static void recursive_close(void)
{
	mutex = shmd_mutex_close(mutex);
}

static const struct kind kinds[] = {
	{"event", event_open, event_rival, event_ours, event_take, event_give, event_close},
	{"rwlock", rwlock_open, rwlock_rival, rwlock_ours, rwlock_take, rwlock_give, rwlock_close},
	{"recursive", recursive_open, recursive_rival, recursive_ours, recursive_take, recursive_give, recursive_close},
};
static const struct kind *kind;

static double timed(void (*work)(int turns), int turns)
{
	int64_t begin = now_ns();
	work(turns);
	return (double)(now_ns() - begin) / turns;
}

static void execute(const char *command, int n)
{
	if (strcmp(command, "rival") == 0) {
		printf("%.3f\n", timed(kind->rival, n));
	} else if (strcmp(command, "ours") == 0) {
		printf("%.3f\n", timed(kind->ours, n));
	} else if (strcmp(command, "count") == 0) {
		(void)getppid();
		kind->ours(n);
		(void)getppid();
		puts("done");
	} else if (strcmp(command, "take") == 0) {
		kind->take();
		puts("done");
	} else if (strcmp(command, "give") == 0) {
		kind->give();
		puts("done");
	} else {
		no_command(command);
	}
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 4 && i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i].name, argv[2]) == 0)
			kind = &kinds[i];
	if (kind == NULL) {
		fprintf(stderr, "usage: syncer SOCKET event|rwlock|recursive NAME\n");
		return 2;
	}
	rival = mmap(NULL, sizeof *rival, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must_errno(rival == MAP_FAILED ? errno : 0, "mmap");
	struct shmd_client *client = connect_to(argv[1]);
	kind->open(client, argv[3]);
	serve(execute);
	kind->close();
	shmd_close(client);
	return 0;
}
