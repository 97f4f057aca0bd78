/* SPDX-License-Identifier: Apache-2.0
 *
 * pair_linux.c - one of two processes that hand over to each other, or fight for a lock.
 * Usage: pair_linux SOCKET FILE FIRST. FILE is a page of zeros, shared by the two for what
 * libc and the bare kernel offer; FIRST is 1 for one of them and 0 for the other. The
 * events "bench/ping" and "bench/pong" (auto reset) and the mutex "bench/fought" exist.
 * Commands, to both at once, each answered by one line:
 *	pin CPU     runs there from now on, -1 anywhere: "done"
 *	word N      N round trips of a word, spinning; ns for one
 *	futex N     N round trips by bare FUTEX_WAIT and FUTEX_WAKE
 *	event N     N round trips by two events
 *	pthread N   N times a robust pthread mutex, a counter in it; ns for one
 *	mutex N     the same with the mutex
 */
#define _GNU_SOURCE
#include "works.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct shared {
	_Alignas(128) uint32_t ping;
	_Alignas(128) uint32_t pong;
	_Alignas(128) pthread_mutex_t mutex;
	uint64_t count;
};

static struct shared *shared;
static bool first;
static struct shmd_event *ping;
static struct shmd_event *pong;
static struct shmd_mutex *mutex;

/* ---- by a word ---- */

static inline void pause_once(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}

static void await_word(const uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		pause_once();
}

static void by_word(int turns)
{
	uint32_t base = __atomic_load_n(&shared->pong, __ATOMIC_ACQUIRE);
	for (int i = 1; i <= turns; i++) {
		if (first)
			__atomic_store_n(&shared->ping, base + (uint32_t)i, __ATOMIC_RELEASE);
		else
			await_word(&shared->ping, base + (uint32_t)i);
		if (first)
			await_word(&shared->pong, base + (uint32_t)i);
		else
			__atomic_store_n(&shared->pong, base + (uint32_t)i, __ATOMIC_RELEASE);
	}
}

/* ---- by the kernel ---- */

static void sleep_until(uint32_t *word, uint32_t value)
{
	for (;;) {
		uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (seen == value)
			return;
		(void)syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
	}
}

static void store_and_wake(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void by_futex(int turns)
{
	uint32_t base = __atomic_load_n(&shared->pong, __ATOMIC_ACQUIRE);
	for (int i = 1; i <= turns; i++) {
		if (first) {
			store_and_wake(&shared->ping, base + (uint32_t)i);
			sleep_until(&shared->pong, base + (uint32_t)i);
		} else {
			sleep_until(&shared->ping, base + (uint32_t)i);
			store_and_wake(&shared->pong, base + (uint32_t)i);
		}
	}
}

/* ---- by events ---- */

static void by_event(int turns)
{
	for (int i = 0; i < turns; i++) {
		if (first) {
			must(shmd_event_set(ping), "set");
			must(shmd_event_wait(pong, SHMD_FOREVER), "wait");
		} else {
			must(shmd_event_wait(ping, SHMD_FOREVER), "wait");
			must(shmd_event_set(pong), "set");
		}
	}
}

/* ---- fights ---- */

static void by_pthread(int turns)
{
	for (int i = 0; i < turns; i++) {
		must_errno(pthread_mutex_lock(&shared->mutex), "pthread_mutex_lock");
		shared->count++;
		must_errno(pthread_mutex_unlock(&shared->mutex), "pthread_mutex_unlock");
	}
}

static void by_mutex(int turns)
{
	for (int i = 0; i < turns; i++) {
		must(shmd_mutex_lock(mutex, SHMD_FOREVER), "lock");
		shared->count++;
		must(shmd_mutex_unlock(mutex), "unlock");
	}
}

static void execute(const char *command, int n)
{
	static const struct {
		const char *name;
		void (*work)(int turns);
	} works[] = {{"word", by_word},   {"futex", by_futex},     {"event", by_event},
	             {"pthread", by_pthread}, {"mutex", by_mutex}};
	if (strcmp(command, "pin") == 0) {
		pin(n);
		return;
	}
	for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
		if (strcmp(command, works[i].name) == 0) {
			int64_t begin = now_ns();
			works[i].work(n);
			printf("%.3f\n", (double)(now_ns() - begin) / n);
			return;
		}
	}
	no_command(command);
}

static void make_rival(void)
{
	pthread_mutexattr_t attributes;
	must_errno(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	must_errno(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr_setpshared");
	must_errno(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust");
	must_errno(pthread_mutex_init(&shared->mutex, &attributes), "pthread_mutex_init");
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: pair_linux SOCKET FILE FIRST\n");
		return 2;
	}
	first = strcmp(argv[3], "1") == 0;
	int fd = open(argv[2], O_RDWR | O_CLOEXEC);
	must_errno(fd < 0 ? errno : 0, argv[2]);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must_errno(shared == MAP_FAILED ? errno : 0, "mmap");
	if (first)
		make_rival();
	struct shmd_client *client = connect_to(argv[1]);
	must(shmd_event_open(client, "bench/ping", NULL, &ping), "open");
	must(shmd_event_open(client, "bench/pong", NULL, &pong), "open");
	must(shmd_mutex_open(client, "bench/fought", NULL, &mutex), "open");
	puts("ready");
	fflush(stdout);
	serve(execute);
	shmd_event_close(ping);
	shmd_event_close(pong);
	shmd_mutex_close(mutex);
	shmd_close(client);
	return 0;
}
