/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c - what shmd.h promises of events, against a daemon. Waits are bounded by the
 * caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"
#include "quiet.h"

#include <signal.h>
#include <string.h>

#define THREADS 3
#define ROUNDS 3000

static struct shmd_event *create(struct shmd_client *client, const char *name, bool auto_reset, bool set)
{
	struct shmd_create_options options = {.size = sizeof options, .auto_reset = auto_reset, .set = set};
	struct shmd_event *event;
	EXPECT(shmd_event_create(client, name, &options, &event), 0);
	CHECK(shmd_event_created(event));
	return event;
}

static void expect_set(const struct shmd_event *event, bool wanted)
{
	bool set = !wanted;
	EXPECT(shmd_event_is_set(event, &set), 0);
	CHECK(set == wanted);
}

static void manual(struct shmd_client *client)
{
	struct shmd_event *event = create(client, "c/event", false, true);
	expect_set(event, true);
	EXPECT(shmd_event_wait(event, SHMD_FOREVER), 0);
	EXPECT(shmd_event_wait(event, 0), 0);
	EXPECT(shmd_event_set(event), 0);
	EXPECT(shmd_event_reset(event), 0);
	expect_set(event, false);
	EXPECT(shmd_event_reset(event), 0);
	EXPECT(shmd_event_wait(event, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_event_wait(event, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_event_wait(event, -2), SHMD_E_INVALID);
	EXPECT(shmd_event_pulse(event), 0);
	expect_set(event, false);
	EXPECT(shmd_event_wait(event, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_event_set(NULL), SHMD_E_INVALID);
	EXPECT(shmd_event_reset(NULL), SHMD_E_INVALID);
	EXPECT(shmd_event_pulse(NULL), SHMD_E_INVALID);
	EXPECT(shmd_event_wait(NULL, 0), SHMD_E_INVALID);
	EXPECT(shmd_event_is_set(event, NULL), SHMD_E_INVALID);

	struct shmd_event *again;
	struct shmd_create_options options = {.size = sizeof options, .auto_reset = true};
	EXPECT(shmd_event_open_or_create(client, "c/event", &options, &again), SHMD_E_OPTION_MISMATCH);
	options.auto_reset = false;
	EXPECT(shmd_event_open_or_create(client, "c/event", &options, &again), 0);
	CHECK(!shmd_event_created(again) && shmd_event_id(again) == shmd_event_id(event));
	EXPECT(shmd_event_set(again), 0);
	expect_set(event, true);
	shmd_event_close(again);
	struct shmd_open_options reader = {.size = sizeof reader, .read_only = true};
	EXPECT(shmd_event_open(client, "c/event", &reader, &again), 0);
	expect_set(again, true);
	EXPECT(shmd_event_set(again), SHMD_E_PERMISSION);
	EXPECT(shmd_event_reset(again), SHMD_E_PERMISSION);
	EXPECT(shmd_event_pulse(again), SHMD_E_PERMISSION);
	EXPECT(shmd_event_wait(again, 0), SHMD_E_PERMISSION);
	struct shmd_mutex *mutex;
	EXPECT(shmd_mutex_open(client, "c/event", NULL, &mutex), SHMD_E_KIND_MISMATCH);
	options = (struct shmd_create_options){.size = sizeof options, .set = true};
	EXPECT(shmd_mutex_create(client, NULL, &options, &mutex), SHMD_E_INVALID);

	EXPECT(shmd_destroy(client, "c/event"), 0);
	bool set;
	EXPECT(shmd_event_is_set(again, &set), SHMD_E_REMOVED);
	EXPECT(shmd_event_wait(event, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_event_set(event), SHMD_E_REMOVED);
	EXPECT(shmd_event_reset(event), SHMD_E_REMOVED);
	EXPECT(shmd_event_pulse(event), SHMD_E_REMOVED);
	shmd_event_close(again);
	CHECK(shmd_event_close(event) == NULL && shmd_event_close(NULL) == NULL);
}

static void automatic(struct shmd_client *client)
{
	struct shmd_event *event = create(client, "c/event", true, true);
	EXPECT(shmd_event_set(event), 0);
	expect_set(event, true);
	EXPECT(shmd_event_wait(event, SHMD_FOREVER), 0);
	expect_set(event, false);
	EXPECT(shmd_event_wait(event, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_event_wait(event, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_event_set(event), 0);
	EXPECT(shmd_event_wait(event, 0), 0);
	EXPECT(shmd_event_set(event), 0);
	EXPECT(shmd_event_reset(event), 0);
	EXPECT(shmd_event_wait(event, 0), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_event_pulse(event), SHMD_E_UNSUPPORTED);
	EXPECT(shmd_destroy(client, "c/event"), 0);
	EXPECT(shmd_event_wait(event, SHMD_FOREVER), SHMD_E_REMOVED);
	EXPECT(shmd_event_set(event), SHMD_E_REMOVED);
	shmd_event_close(event);
}

/* ---- threads ---- */

struct crowd {
	struct shmd_event *event;
	struct shmd_event *reply; /* auto reset */
	int woken;                /* atomic */
};

static void *sleep_once(void *argument)
{
	struct crowd *crowd = argument;
	EXPECT(shmd_event_wait(crowd->event, SHMD_FOREVER), 0);
	__atomic_add_fetch(&crowd->woken, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* All who wait are let go by a set that is reset at once, and by a pulse. */
static void all_at_once(struct shmd_client *client, bool by_pulse)
{
	struct crowd crowd = {.event = create(client, NULL, false, false)};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, sleep_once, &crowd) == 0);
	until_asleep(&crowd.event->object, THREADS);
	if (by_pulse) {
		EXPECT(shmd_event_pulse(crowd.event), 0);
	} else {
		EXPECT(shmd_event_set(crowd.event), 0);
		EXPECT(shmd_event_reset(crowd.event), 0);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(crowd.woken == THREADS);
	expect_set(crowd.event, false);
	shmd_event_close(crowd.event);
}

static void *answer(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS; i++) {
		int result;
		while ((result = shmd_event_wait(crowd->event, i % 3 == 0 ? 10000 : SHMD_FOREVER)) == SHMD_E_TIMED_OUT)
			;
		EXPECT(result, 0);
		crowd->woken++; /* handed to and fro */
		EXPECT(shmd_event_set(crowd->reply), 0);
	}
	return NULL;
}

/* Two threads in turn: each set ends one wait, and brings what was written before. */
static void in_turn(struct shmd_client *client)
{
	struct crowd crowd = {.event = create(client, NULL, true, false), .reply = create(client, NULL, true, false)};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, answer, &crowd) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(crowd.woken == i);
		EXPECT(shmd_event_set(crowd.event), 0);
		EXPECT(shmd_event_wait(crowd.reply, SHMD_FOREVER), 0);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(crowd.woken == ROUNDS);
	shmd_event_close(crowd.event);
	shmd_event_close(crowd.reply);
}

/* The one resets, looks at the data and waits; the other writes the data and sets. */
static void *write_and_set(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 1; i <= ROUNDS; i++) {
		__atomic_store_n(&crowd->woken, i, __ATOMIC_RELAXED);
		EXPECT(shmd_event_set(crowd->event), 0);
		if (i % 2 == 0)
			EXPECT(shmd_event_wait(crowd->reply, SHMD_FOREVER), 0);
	}
	return NULL;
}

static void reset_and_look(struct shmd_client *client)
{
	struct crowd crowd = {.event = create(client, NULL, false, false), .reply = create(client, NULL, true, false)};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, write_and_set, &crowd) == 0);
	int seen = 0;
	while (seen < ROUNDS) {
		EXPECT(shmd_event_reset(crowd.event), 0);
		int now = __atomic_load_n(&crowd.woken, __ATOMIC_RELAXED);
		if (now == seen)
			EXPECT(shmd_event_wait(crowd.event, SHMD_FOREVER), 0);
		else if (now % 2 == 0)
			EXPECT(shmd_event_set(crowd.reply), 0);
		seen = now;
	}
	CHECK(pthread_join(thread, NULL) == 0);
	shmd_event_close(crowd.event);
	shmd_event_close(crowd.reply);
}

/* ---- fork, death, and system calls ---- */

static void killed(struct shmd_client *client)
{
	struct shmd_event *event = create(client, "c/event", true, false);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		bool set;
		EXPECT(shmd_event_set(event), SHMD_E_FORKED);
		EXPECT(shmd_event_wait(event, 0), SHMD_E_FORKED);
		EXPECT(shmd_event_is_set(event, &set), SHMD_E_FORKED);
		struct shmd_event *mine;
		EXPECT(shmd_event_open(connected(), "c/event", NULL, &mine), 0);
		shmd_event_close(event);
		EXPECT(shmd_event_set(mine), 0);
		raise(SIGKILL);
	}
	EXPECT(shmd_event_wait(event, SHMD_FOREVER), 0); /* what the dead have set is set */
	CHECK(waitpid(child, NULL, 0) == child);
	shmd_event_close(event);
	EXPECT(shmd_unlink(client, "c/event"), 0);
}

/* What waits that timed out may have left is cleared by one set. */
static void *after_waits(bool auto_reset)
{
	struct shmd_event *event = create(connected(), NULL, auto_reset, false);
	EXPECT(shmd_event_wait(event, 1000), SHMD_E_TIMED_OUT);
	EXPECT(shmd_event_set(event), 0);
	EXPECT(shmd_event_reset(event), 0);
	return event;
}

static int set_wait_reset(void *event)
{
	int result = shmd_event_set(event);
	if (result == 0)
		result = shmd_event_wait(event, SHMD_FOREVER);
	return result == 0 ? shmd_event_reset(event) : result;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	manual(client);
	automatic(client);
	all_at_once(client, false);
	all_at_once(client, true);
	in_turn(client);
	reset_and_look(client);
	killed(client);
	expect_quiet(after_waits, set_wait_reset, false);
	expect_quiet(after_waits, set_wait_reset, true);
	shmd_close(client);
	puts("ok");
	return 0;
}
