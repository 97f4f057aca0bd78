/* SPDX-License-Identifier: Apache-2.0
 *
 * pollable.c - descriptors for poll: one thread sleeps on the words of all pollables
 * of the process and writes their eventfds.
 *
 * A pollable is armed until something can be had; then it fires: its descriptor
 * stays readable, and its word is left alone, until the application arms it again.
 * What a waiter owes for a wake that it does not use is done when it fires.
 *
 * watcher.mutex guards the list and the pollables in it; only words of armed ones
 * are touched, and only under it, so that nothing of a closed one is. Latches are
 * taken under it, for at most PATIENCE_NS: a holder that is stopped delays, and
 * stops, nothing else. The mutex orders control too, which only the kernel reads without
 * it.
 */
#define _GNU_SOURCE
#include "atomic.h"
#include "internal.h"
#include "waitable.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLLABLES_MAX 126u
#define PATIENCE_NS 1000000 /* for one latch */
#define AGAIN_NS 5000000    /* until a latch that was held is tried again */

/* Of one process: a forked child makes its own, and what it inherited stays as it
 * was at the fork, the mutex included. */
struct watcher {
	pthread_mutex_t mutex;
	uint32_t generation; /* of fork.c */
	uint32_t control;    /* futex; moves on when the list changes */
	bool running;        /* mutex guards what follows */
	uint32_t count;
	struct shmd_pollable *first;
};

struct shmd_pollable {
	struct shmd_pollable *next;
	struct watcher *watcher;
	struct shmd_waitable item;
	int fd;
	bool armed;
	bool slept; /* on its word, since it was armed */
};

static struct watcher *current; /* atomic */

static void disarm(struct shmd_pollable *pollable)
{
	if (pollable->slept) {
		shmdi_waitable_count(&pollable->item, UINT32_MAX);
		shmdi_waitable_pass(&pollable->item);
	}
	pollable->armed = pollable->slept = false;
}

static void fire(struct shmd_pollable *pollable)
{
	uint64_t one = 1;
	disarm(pollable);
	/* The counter is 0 or 1, so that this neither blocks nor fails. */
	ssize_t written = write(pollable->fd, &one, sizeof one);
	(void)written;
}

static void bound(int64_t *deadline_ns, int64_t look_ns)
{
	if (look_ns != 0 && look_ns < *deadline_ns)
		*deadline_ns = look_ns;
}

/* Arms what is to be armed; how many words to sleep on, and until when. */
static size_t arm_all(struct watcher *watcher, struct shmdi_sleep *sleeps, int64_t *ret_deadline_ns)
{
	size_t count = 0;
	sleeps[count++] =
		(struct shmdi_sleep){&watcher->control, __atomic_load_n(&watcher->control, __ATOMIC_RELAXED), 0};
	*ret_deadline_ns = SHMDI_FOREVER_NS;
	for (struct shmd_pollable *each = watcher->first; each != NULL; each = each->next) {
		if (!each->armed)
			continue;
		int result = shmdi_waitable_arm(&each->item, true, shmdi_deadline(PATIENCE_NS), &sleeps[count]);
		if (result == SHMD_E_TIMED_OUT) {
			bound(ret_deadline_ns, shmdi_deadline(AGAIN_NS));
		} else if (result != 0) {
			fire(each); /* an error too: the try says which */
		} else {
			if (!each->slept)
				shmdi_waitable_count(&each->item, 1);
			each->slept = true;
			bound(ret_deadline_ns, sleeps[count++].look_ns);
		}
	}
	return count;
}

static void *watch(void *argument)
{
	struct watcher *watcher = argument;
	struct shmdi_sleep sleeps[POLLABLES_MAX + 1];
	for (;;) {
		pthread_mutex_lock(&watcher->mutex);
		if (watcher->first == NULL) {
			watcher->running = false;
			pthread_mutex_unlock(&watcher->mutex);
			return NULL;
		}
		int64_t deadline_ns;
		size_t count = arm_all(watcher, sleeps, &deadline_ns);
		pthread_mutex_unlock(&watcher->mutex);
		/* Whatever ends it, all words are looked at; one that was unmapped meanwhile is in
		 * the list no more. */
		(void)shmdi_futex_wait_any(sleeps, count, deadline_ns);
	}
}

/* The list has changed; the mutex is held. */
static void poke(struct watcher *watcher)
{
	__atomic_fetch_add(&watcher->control, 1, __ATOMIC_RELAXED);
	shmdi_futex_wake(&watcher->control, 1);
}

static int start(struct watcher *watcher)
{
	pthread_attr_t detached;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&detached);
	if (error != 0)
		return error;
	(void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &detached, watch, watcher);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&detached);
	return error;
}

/* The watcher of this process. */
static struct watcher *enter(uint32_t generation)
{
	struct watcher *found = __atomic_load_n(&current, __ATOMIC_ACQUIRE); /* pairs with the exchange below */
	if (found != NULL && found->generation == generation)
		return found;
	struct watcher *made = calloc(1, sizeof *made);
	if (made == NULL)
		return NULL;
	pthread_mutex_init(&made->mutex, NULL);
	made->generation = generation;
	while (!__atomic_compare_exchange_n(&current, &found, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (found->generation == generation) {
			free(made); /* another thread was faster */
			return found;
		}
	}
	return made;
}

static int insert(struct watcher *watcher, struct shmd_pollable *pollable)
{
	int result = 0;
	pthread_mutex_lock(&watcher->mutex);
	if (watcher->count == POLLABLES_MAX)
		result = shmdi_fail(SHMD_E_OVERFLOW, "this process has %u pollables, and no more are possible", POLLABLES_MAX);
	if (result == 0 && !watcher->running) {
		int error = start(watcher);
		if (error != 0)
			result = shmdi_fail(SHMD_E_NO_SPACE, "no thread to watch pollables: %s", strerror(error));
	}
	if (result == 0) {
		watcher->running = true;
		watcher->count++;
		pollable->next = watcher->first;
		watcher->first = pollable;
		poke(watcher);
	}
	pthread_mutex_unlock(&watcher->mutex);
	return result;
}

int shmd_pollable_open(const struct shmd_waitable *item, struct shmd_pollable **ret_pollable)
{
	int result = shmdi_waitable_check(item);
	if (result < 0)
		return result;
	if (ret_pollable == NULL)
		return SHMD_E_INVALID;
	if (shmdi_futex_wait_any(NULL, 0, SHMDI_FOREVER_NS) == -ENOSYS)
		return shmdi_fail(SHMD_E_UNSUPPORTED, "pollables need futex_waitv, which came with Linux 5.16");
	struct shmdi_sleep unused;
	result = shmdi_waitable_arm(item, false, SHMDI_FOREVER_NS, &unused);
	if (result < 0)
		return result;
	uint32_t generation;
	result = shmdi_fork_enter(&generation);
	if (result < 0)
		return result;
	struct watcher *watcher = enter(generation);
	struct shmd_pollable *pollable = calloc(1, sizeof *pollable);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watcher == NULL || pollable == NULL || fd < 0) {
		result = shmdi_fail(SHMD_E_NO_SPACE, "a pollable: %s", fd < 0 ? strerror(errno) : "no memory");
	} else {
		*pollable = (struct shmd_pollable){.watcher = watcher, .item = *item, .fd = fd, .armed = true};
		shmdi_waitable_begin(&pollable->item);
		result = insert(watcher, pollable);
	}
	if (result < 0) {
		if (fd >= 0)
			close(fd);
		free(pollable);
		return result;
	}
	(void)shmd_pollable_rearm(pollable); /* readable at once, if there is something */
	*ret_pollable = pollable;
	return 0;
}

int shmd_pollable_fd(const struct shmd_pollable *pollable)
{
	return pollable->fd;
}

int shmd_pollable_rearm(struct shmd_pollable *pollable)
{
	if (pollable == NULL)
		return SHMD_E_INVALID;
	struct watcher *watcher = pollable->watcher;
	if (!shmdi_fork_same(watcher->generation))
		return SHMD_E_FORKED;
	pthread_mutex_lock(&watcher->mutex);
	shmdi_waitable_renew(&pollable->item);
	/* Looked at here, so that what is there already leaves it readable throughout. */
	struct shmdi_sleep unused;
	int result = shmdi_waitable_arm(&pollable->item, false, shmdi_deadline(PATIENCE_NS), &unused);
	bool waits = result == 0 || result == SHMD_E_TIMED_OUT;
	if (pollable->armed && !waits) {
		fire(pollable); /* the thread would, but the caller may look before it */
	} else if (!pollable->armed && waits) {
		uint64_t count;
		ssize_t drained = read(pollable->fd, &count, sizeof count);
		(void)drained;
		pollable->armed = true;
		poke(watcher);
	}
	pthread_mutex_unlock(&watcher->mutex);
	return 0;
}

struct shmd_pollable *shmd_pollable_close(struct shmd_pollable *pollable)
{
	if (pollable == NULL)
		return NULL;
	struct watcher *watcher = pollable->watcher;
	if (shmdi_fork_same(watcher->generation)) {
		pthread_mutex_lock(&watcher->mutex);
		struct shmd_pollable **at = &watcher->first;
		while (*at != pollable)
			at = &(*at)->next;
		*at = pollable->next;
		watcher->count--;
		disarm(pollable);
		poke(watcher);
		pthread_mutex_unlock(&watcher->mutex);
	}
	close(pollable->fd);
	free(pollable);
	return NULL;
}
