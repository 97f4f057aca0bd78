/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.c - calls what shmd.h calls safe in a signal handler from one, many times,
 * while the interrupted thread is inside the same functions on the same objects; and
 * waits for what only the handler brings. Nothing is lost, and errno stays.
 */
#define _GNU_SOURCE
#include "expect.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#define SIGNALS 5000
#define ERRNO 77 /* no function of the library sets it */

static struct shmd_event *manual;
static struct shmd_event *automatic;
static struct shmd_event *rung; /* auto reset; set by the handler only */
static struct shmd_semaphore *semaphore;
static struct shmd_barrier *barrier;
static struct shmd_value *value;
static struct shmd_array *array;
static pthread_t ringer;
static pthread_t interrupted;

static int handled; /* atomic; signals */
static int failed;  /* atomic; a line of the handler */
/* Of the handler, which runs in one thread. */
static int64_t posted;
static int64_t taken;
static int64_t added;

#define HANDLER_CHECK(condition)                                                                    \
	do {                                                                                            \
		if (!(condition))                                                                           \
			__atomic_store_n(&failed, __LINE__, __ATOMIC_RELAXED);                                  \
	} while (0)

static void on_event(void)
{
	bool set;
	HANDLER_CHECK(shmd_event_set(manual) == 0);
	HANDLER_CHECK(shmd_event_is_set(manual, &set) == 0 && set);
	HANDLER_CHECK(shmd_event_reset(manual) == 0);
	HANDLER_CHECK(shmd_event_pulse(manual) == 0);
	HANDLER_CHECK(shmd_event_set(automatic) == 0);
	HANDLER_CHECK(shmd_event_wait(automatic, 0) == 0); /* the interrupted thread cannot be faster */
	HANDLER_CHECK(shmd_event_wait(automatic, 0) == SHMD_E_WOULD_BLOCK);
	HANDLER_CHECK(shmd_event_set(rung) == 0);
}

static void on_semaphore(void)
{
	struct shmd_permits permits;
	int64_t one = 1;
	HANDLER_CHECK(shmd_semaphore_permits(semaphore, &permits) == 0);
	HANDLER_CHECK(shmd_semaphore_post(semaphore, 1) == 0);
	HANDLER_CHECK(shmd_semaphore_release(semaphore, 1) == 0);
	HANDLER_CHECK(shmd_semaphore_release(semaphore, UINT32_MAX) == SHMD_E_OVERFLOW);
	HANDLER_CHECK(shmd_semaphore_acquire(semaphore, 1, 0) == 0);
	posted += 2;
	taken += one;
}

static void on_barrier(void)
{
	struct shmd_barrier_state state;
	HANDLER_CHECK(shmd_barrier_abort(barrier) == 0);
	HANDLER_CHECK(shmd_barrier_state(barrier, &state) == 0 && state.broken);
	HANDLER_CHECK(shmd_barrier_reset(barrier) == 0);
}

static void on_data(void)
{
	int64_t one = 1;
	int64_t item;
	uint64_t version;
	bool swapped;
	HANDLER_CHECK(shmd_value_fetch_add(value, &one, &item) == 0);
	HANDLER_CHECK(shmd_value_load(value, &item) == 0);
	HANDLER_CHECK(shmd_value_compare_exchange(value, &item, &item, &swapped, NULL) == 0 && swapped);
	HANDLER_CHECK(shmd_value_version(value, &version) == 0);
	HANDLER_CHECK(shmd_array_fetch_add(array, 0, &one, &item) == 0);
	HANDLER_CHECK(shmd_array_load(array, 0, &item) == 0);
	HANDLER_CHECK(shmd_array_compare_exchange(array, 0, &item, &item, &swapped, NULL) == 0 && swapped);
	HANDLER_CHECK(shmd_array_version(array, &version) == 0);
	/* Of other elements, which nobody counts. */
	HANDLER_CHECK(shmd_array_store(array, 1, &one) == 0);
	HANDLER_CHECK(shmd_array_exchange(array, 1, &one, &item) == 0);
	added++;
}

static struct shmd_value *scratch;

static void on_scratch(void)
{
	int64_t one = 1;
	HANDLER_CHECK(shmd_value_store(scratch, &one) == 0);
	HANDLER_CHECK(shmd_value_exchange(scratch, &one, NULL) == 0);
	HANDLER_CHECK(strcmp(shmd_error_name(SHMD_E_OVERFLOW), "OVERFLOW") == 0);
	HANDLER_CHECK(strlen(shmd_strerror(SHMD_E_OVERFLOW)) > 0);
}

static void handle(int signal)
{
	(void)signal;
	char before[64]; /* of what the interrupted thread may be writing at this moment */
	memcpy(before, shmd_last_error(), sizeof before);
	on_event();
	on_semaphore();
	on_barrier();
	on_data();
	on_scratch();
	HANDLER_CHECK(memcmp(before, shmd_last_error(), sizeof before) == 0);
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

static int signals_handled(void)
{
	return __atomic_load_n(&handled, __ATOMIC_RELAXED);
}

/* The next signal when the last one has been handled. */
static void *ring(void *unused)
{
	(void)unused;
	for (int i = 0; i < SIGNALS; i++) {
		CHECK(pthread_kill(interrupted, SIGUSR1) == 0);
		while (signals_handled() == i)
			sched_yield();
	}
	return NULL;
}

static void use_events(void)
{
	bool set;
	EXPECT(shmd_event_set(manual), 0);
	EXPECT(shmd_event_is_set(manual, &set), 0);
	EXPECT(shmd_event_reset(manual), 0);
	EXPECT(shmd_event_pulse(manual), 0);
	EXPECT(shmd_event_set(automatic), 0);
	int result = shmd_event_wait(automatic, 0); /* the handler may have taken it */
	CHECK(result == 0 || result == SHMD_E_WOULD_BLOCK);
	result = shmd_event_wait(manual, 1000);
	CHECK(result == 0 || result == SHMD_E_TIMED_OUT);
}

/* What they take and give back comes out even. */
static void use_counters(int64_t *ret_added)
{
	struct shmd_permits permits;
	int64_t one = 1;
	int64_t item;
	EXPECT(shmd_semaphore_acquire(semaphore, 1, 0), 0);
	EXPECT(shmd_semaphore_permits(semaphore, &permits), 0);
	EXPECT(shmd_semaphore_release(semaphore, 1), 0);
	EXPECT(shmd_value_fetch_add(value, &one, &item), 0);
	EXPECT(shmd_array_fetch_add(array, 0, &one, &item), 0);
	EXPECT(shmd_value_store(scratch, &one), 0);
	EXPECT(shmd_value_exchange(scratch, &item, NULL), 0);
	EXPECT(shmd_array_store(array, 1, &one), 0);
	++*ret_added;
}

static void use_barrier(void)
{
	int result = shmd_barrier_wait(barrier, 1000, NULL);
	CHECK(result == SHMD_E_TIMED_OUT || result == SHMD_E_BROKEN);
	EXPECT(shmd_barrier_abort(barrier), 0);
	EXPECT(shmd_barrier_reset(barrier), 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	struct shmd_create_options options = {.size = sizeof options};
	EXPECT(shmd_event_create(client, NULL, &options, &manual), 0);
	options.auto_reset = true;
	EXPECT(shmd_event_create(client, NULL, &options, &automatic), 0);
	EXPECT(shmd_event_create(client, NULL, &options, &rung), 0);
	options = (struct shmd_create_options){.size = sizeof options, .initial = 5};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &semaphore), 0);
	options = (struct shmd_create_options){.size = sizeof options, .parties = 2};
	EXPECT(shmd_barrier_create(client, NULL, &options, &barrier), 0);
	EXPECT(shmd_value_create(client, NULL, 'q', NULL, &value), 0);
	EXPECT(shmd_value_create(client, NULL, 'q', NULL, &scratch), 0);
	EXPECT(shmd_array_create_1d(client, NULL, 'q', 2, NULL, &array), 0);

	struct sigaction action = {.sa_handler = handle}; /* without SA_RESTART */
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	interrupted = pthread_self();
	CHECK(pthread_create(&ringer, NULL, ring, NULL) == 0);
	int64_t mine = 0;
	int waits = 0;
	errno = ERRNO;
	while (signals_handled() < SIGNALS) {
		use_events();
		use_counters(&mine);
		use_barrier();
		CHECK(errno == ERRNO);
		if (signals_handled() < SIGNALS - 2) { /* two more will ring: one of them after this */
			EXPECT(shmd_event_wait(rung, SHMD_FOREVER), 0);
			waits++;
		}
		CHECK(errno == ERRNO);
	}
	CHECK(pthread_join(ringer, NULL) == 0);
	CHECK(waits > 0);
	int line = __atomic_load_n(&failed, __ATOMIC_RELAXED);
	if (line != 0) {
		printf("line %d failed in the handler\n", line);
		exit(1);
	}
	struct shmd_permits permits;
	EXPECT(shmd_semaphore_permits(semaphore, &permits), 0);
	CHECK((int64_t)permits.available == 5 + posted - taken);
	int64_t items[2];
	EXPECT(shmd_value_load(value, &items[0]), 0);
	CHECK(items[0] == mine + added);
	EXPECT(shmd_array_load(array, 0, &items[0]), 0);
	CHECK(items[0] == mine + added);
	shmd_close(client);
	puts("ok");
	return 0;
}
