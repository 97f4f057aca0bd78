/* SPDX-License-Identifier: Apache-2.0
 *
 * fork.c - whose handle is this?
 *
 * A page that the kernel wipes on fork holds the generation of the process that
 * connected. In a child it reads 0, whoever made the child and however, and no
 * generation is 0: handles of the parent no longer match. A child that connects
 * takes the next generation.
 *
 * qemu before 8.0, which runs the containers of other machines, takes the advice and
 * does not follow it. Hence a handler of fork() wipes too.
 */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

uint32_t *shmdi_fork_word;

static uint32_t last_generation; /* inherited by a child, hence never used twice in a line of descent */
static uint32_t last_serial;
_Thread_local uint32_t shmdi_serial __attribute__((tls_model("initial-exec")));

static int page_error;

static void wipe(void)
{
	__atomic_store_n(shmdi_fork_word, 0, __ATOMIC_RELAXED);
}

static void make_page(void)
{
	void *page = mmap(NULL, SHMD_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		page_error = errno;
		return;
	}
	page_error = madvise(page, SHMD_PAGE_SIZE, MADV_WIPEONFORK) < 0 ? errno : 0;
	shmdi_fork_word = page;
	if (page_error == 0)
		page_error = pthread_atfork(NULL, NULL, wipe);
	if (page_error != 0) {
		shmdi_fork_word = NULL;
		munmap(page, SHMD_PAGE_SIZE);
	}
}

int shmdi_fork_enter(uint32_t *ret_generation)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_page);
	if (shmdi_fork_word == NULL)
		return shmdi_fail(SHMD_E_SYSTEM, "no page that is wiped on fork: %s", strerror(page_error));
	uint32_t generation = __atomic_load_n(shmdi_fork_word, __ATOMIC_RELAXED);
	if (generation == 0) {
		/* Threads may race here: the loser takes the winner's. */
		uint32_t next = __atomic_add_fetch(&last_generation, 1, __ATOMIC_RELAXED);
		if (__atomic_compare_exchange_n(shmdi_fork_word, &generation, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			generation = next;
	}
	*ret_generation = generation;
	return 0;
}

uint32_t shmdi_thread_enroll(void)
{
	while (shmdi_serial == 0)
		shmdi_serial = __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED);
	return shmdi_serial;
}
