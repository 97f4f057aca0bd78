/* SPDX-License-Identifier: Apache-2.0
 *
 * barriers.c - what shmd.h promises of barriers, against a daemon. Waits are bounded by
 * the caller's watchdog.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "expect.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTIES 3
#define ROUNDS 1000

static struct shmd_barrier *create(struct shmd_client *client, const char *name, uint32_t parties)
{
	struct shmd_create_options options = {.size = sizeof options, .parties = parties};
	struct shmd_barrier *barrier;
	EXPECT(shmd_barrier_create(client, name, &options, &barrier), 0);
	CHECK(shmd_barrier_created(barrier));
	return barrier;
}

static struct shmd_barrier_state state_of(const struct shmd_barrier *barrier)
{
	struct shmd_barrier_state state;
	EXPECT(shmd_barrier_state(barrier, &state), 0);
	return state;
}

static int count_up(void *argument)
{
	++*(int *)argument;
	return 0;
}

static int fail(void *argument)
{
	++*(int *)argument;
	return SHMD_E_OUT_OF_RANGE;
}

static void basics(struct shmd_client *client)
{
	struct shmd_barrier *barrier = create(client, "c/barrier", 1);
	uint32_t index = 7;
	EXPECT(shmd_barrier_wait(barrier, 0, &index), 0);
	CHECK(index == 0);
	EXPECT(shmd_barrier_wait(barrier, SHMD_FOREVER, NULL), 0);
	int acted = 0;
	EXPECT(shmd_barrier_wait_action(barrier, SHMD_FOREVER, count_up, &acted, &index), 0);
	CHECK(acted == 1 && state_of(barrier).generation == 3 && !state_of(barrier).acting);
	index = 7;
	EXPECT(shmd_barrier_wait_action(barrier, SHMD_FOREVER, fail, &acted, &index), SHMD_E_OUT_OF_RANGE);
	CHECK(acted == 2 && index == 7 && state_of(barrier).broken && state_of(barrier).reasons == SHMD_BROKEN_BY_ACTION);
	EXPECT(shmd_barrier_wait(barrier, SHMD_FOREVER, &index), SHMD_E_BROKEN);
	CHECK(strstr(shmd_last_error(), "action") != NULL);
	EXPECT(shmd_barrier_abort(barrier), 0);
	CHECK(state_of(barrier).reasons == SHMD_BROKEN_BY_ACTION);
	EXPECT(shmd_barrier_reset(barrier), 0);
	EXPECT(shmd_barrier_abort(barrier), 0);
	CHECK(state_of(barrier).reasons == SHMD_BROKEN_BY_ABORT);
	EXPECT(shmd_barrier_wait(barrier, 0, &index), SHMD_E_BROKEN);
	EXPECT(shmd_barrier_reset(barrier), 0);
	EXPECT(shmd_barrier_wait(barrier, -2, &index), SHMD_E_INVALID);
	EXPECT(shmd_barrier_wait_action(barrier, 0, NULL, NULL, &index), SHMD_E_INVALID);
	EXPECT(shmd_barrier_wait(NULL, 0, &index), SHMD_E_INVALID);
	EXPECT(shmd_barrier_abort(NULL), SHMD_E_INVALID);
	EXPECT(shmd_barrier_reset(NULL), SHMD_E_INVALID);
	EXPECT(shmd_barrier_state(barrier, NULL), SHMD_E_INVALID);
	struct shmd_notice notice;
	EXPECT(shmd_barrier_notice(barrier, &notice), 0);
	CHECK(notice.deaths == 0);

	struct shmd_barrier *again;
	struct shmd_create_options options = {.size = sizeof options, .parties = 2};
	EXPECT(shmd_barrier_open_or_create(client, "c/barrier", &options, &again), SHMD_E_OPTION_MISMATCH);
	EXPECT(shmd_barrier_create(client, NULL, NULL, &again), SHMD_E_INVALID);
	options.parties = 4095;
	EXPECT(shmd_barrier_create(client, NULL, &options, &again), SHMD_E_INVALID);
	struct shmd_open_options reader = {.size = sizeof reader, .read_only = true};
	EXPECT(shmd_barrier_open(client, "c/barrier", &reader, &again), 0);
	CHECK(shmd_barrier_id(again) == shmd_barrier_id(barrier) && state_of(again).parties == 1);
	EXPECT(shmd_barrier_wait(again, 0, &index), SHMD_E_PERMISSION);
	EXPECT(shmd_barrier_abort(again), SHMD_E_PERMISSION);
	EXPECT(shmd_barrier_reset(again), SHMD_E_PERMISSION);
	shmd_barrier_close(again);
	struct shmd_event *event;
	struct shmd_open_options party = {.size = sizeof party, .party = true};
	EXPECT(shmd_event_open(client, "c/barrier", &party, &event), SHMD_E_INVALID);

	EXPECT(shmd_destroy(client, "c/barrier"), 0);
	struct shmd_barrier_state state;
	EXPECT(shmd_barrier_wait(barrier, SHMD_FOREVER, &index), SHMD_E_REMOVED);
	EXPECT(shmd_barrier_abort(barrier), SHMD_E_REMOVED);
	EXPECT(shmd_barrier_reset(barrier), SHMD_E_REMOVED);
	EXPECT(shmd_barrier_state(barrier, &state), SHMD_E_REMOVED);
	CHECK(shmd_barrier_close(barrier) == NULL && shmd_barrier_close(NULL) == NULL);
}

static void alone(struct shmd_client *client)
{
	struct shmd_barrier *barrier = create(client, NULL, 2);
	uint32_t index;
	EXPECT(shmd_barrier_wait(barrier, 0, &index), SHMD_E_WOULD_BLOCK);
	CHECK(state_of(barrier).waiting == 0);
	EXPECT(shmd_barrier_wait(barrier, 1000, &index), SHMD_E_TIMED_OUT);
	CHECK(state_of(barrier).reasons == SHMD_BROKEN_BY_TIMEOUT);
	EXPECT(shmd_barrier_wait(barrier, 1000, &index), SHMD_E_BROKEN);
	shmd_barrier_close(barrier);
}

/* ---- threads ---- */

struct crowd {
	struct shmd_barrier *barrier;
	int acted;                  /* by the action, before anybody leaves */
	int arrivals[PARTIES];      /* by index; in one generation each is one */
	int result;
};

static void *go_round(void *argument)
{
	struct crowd *crowd = argument;
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t index;
		EXPECT(shmd_barrier_wait_action(crowd->barrier, SHMD_FOREVER, count_up, &crowd->acted, &index), 0);
		CHECK(crowd->acted == i + 1 && index < PARTIES);
		__atomic_add_fetch(&crowd->arrivals[index], 1, __ATOMIC_RELAXED);
		EXPECT(shmd_barrier_wait(crowd->barrier, SHMD_FOREVER, NULL), 0); /* acted may be read up to here */
	}
	return NULL;
}

static void crowded(struct shmd_client *client)
{
	struct crowd crowd = {.barrier = create(client, NULL, PARTIES)};
	pthread_t threads[PARTIES];
	for (int i = 0; i < PARTIES; i++)
		CHECK(pthread_create(&threads[i], NULL, go_round, &crowd) == 0);
	for (int i = 0; i < PARTIES; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < PARTIES; i++)
		CHECK(crowd.arrivals[i] == ROUNDS);
	CHECK(state_of(crowd.barrier).generation == 2 * ROUNDS);
	shmd_barrier_close(crowd.barrier);
}

static void *arrive(void *argument)
{
	struct crowd *crowd = argument;
	crowd->result = shmd_barrier_wait(crowd->barrier, SHMD_FOREVER, NULL);
	return NULL;
}

/* What becomes of a thread that waits. */
static void expect_ended(struct shmd_client *client, int (*end)(struct shmd_client *, struct shmd_barrier *),
                         int wanted)
{
	struct crowd crowd = {.barrier = create(client, NULL, 2)};
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, arrive, &crowd) == 0);
	until_asleep(&crowd.barrier->object, 1);
	CHECK(state_of(crowd.barrier).waiting == 1);
	EXPECT(end(client, crowd.barrier), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(crowd.result, wanted);
	shmd_barrier_close(crowd.barrier);
}

static int by_abort(struct shmd_client *client, struct shmd_barrier *barrier)
{
	(void)client;
	return shmd_barrier_abort(barrier);
}

static int by_reset(struct shmd_client *client, struct shmd_barrier *barrier)
{
	(void)client;
	return shmd_barrier_reset(barrier);
}

static int by_destroy(struct shmd_client *client, struct shmd_barrier *barrier)
{
	return shmd_destroy_id(client, shmd_barrier_id(barrier));
}

static int by_arriving(struct shmd_client *client, struct shmd_barrier *barrier)
{
	(void)client;
	uint32_t index = 0;
	int result = shmd_barrier_wait(barrier, 0, &index);
	CHECK(index == 1);
	return result;
}

/* ---- an action under way ---- */

static int break_it(void *barrier)
{
	CHECK(state_of(barrier).acting);
	EXPECT(shmd_barrier_wait(barrier, 0, NULL), SHMD_E_WOULD_BLOCK);
	EXPECT(shmd_barrier_wait(barrier, 1000, NULL), SHMD_E_TIMED_OUT); /* did not count yet */
	CHECK(state_of(barrier).acting);
	return shmd_barrier_abort(barrier);
}

static int reset_it(void *barrier)
{
	return shmd_barrier_reset(barrier);
}

static void broken_while_acting(struct shmd_client *client)
{
	struct shmd_barrier *barrier = create(client, NULL, 1);
	EXPECT(shmd_barrier_wait_action(barrier, SHMD_FOREVER, break_it, barrier, NULL), SHMD_E_BROKEN);
	EXPECT(shmd_barrier_reset(barrier), 0);
	EXPECT(shmd_barrier_wait_action(barrier, SHMD_FOREVER, reset_it, barrier, NULL), SHMD_E_BROKEN);
	EXPECT(shmd_barrier_wait(barrier, 0, NULL), 0);
	shmd_barrier_close(barrier);
}

/* ---- death ---- */

/* A child that is a party, declared or by arriving, and is killed. */
static void killed(struct shmd_client *client, bool declared)
{
	struct shmd_barrier *barrier = create(client, "c/barrier", 3);
	struct crowd crowd = {.barrier = barrier};
	pthread_t thread;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		EXPECT(shmd_barrier_wait(barrier, 0, NULL), SHMD_E_FORKED);
		EXPECT(shmd_barrier_abort(barrier), SHMD_E_FORKED);
		struct shmd_open_options options = {.size = sizeof options, .party = declared};
		struct shmd_barrier *mine;
		EXPECT(shmd_barrier_open(connected(), "c/barrier", &options, &mine), 0);
		if (declared)
			raise(SIGKILL);
		EXPECT(shmd_barrier_wait(mine, SHMD_FOREVER, NULL), 0);
		exit(1);
	}
	while (!declared && state_of(barrier).waiting == 0)
		sched_yield();
	CHECK(pthread_create(&thread, NULL, arrive, &crowd) == 0);
	if (!declared) {
		until_asleep(&barrier->object, 1);
		CHECK(kill(child, SIGKILL) == 0);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(crowd.result, SHMD_E_PEER_DIED);
	EXPECT(shmd_barrier_wait(barrier, 0, NULL), SHMD_E_PEER_DIED);
	char pid[32];
	snprintf(pid, sizeof pid, "pid %d", (int)child);
	CHECK(strstr(shmd_last_error(), pid) != NULL);
	struct shmd_notice notice;
	EXPECT(shmd_barrier_notice(barrier, &notice), 0);
	CHECK(notice.deaths == 1 && notice.pid == (uint32_t)child && notice.uid == getuid());
	CHECK((state_of(barrier).reasons & SHMD_BROKEN_BY_DEATH) != 0);
	EXPECT(shmd_barrier_reset(barrier), SHMD_OWNER_DIED);
	EXPECT(shmd_barrier_reset(barrier), 0);
	CHECK(!state_of(barrier).broken);
	CHECK(waitpid(child, NULL, 0) == child);
	shmd_barrier_close(barrier);
	EXPECT(shmd_unlink(client, "c/barrier"), 0);
}

/* A party that closes its last handle breaks nothing. */
static void leaving(struct shmd_client *client)
{
	struct shmd_barrier *barrier = create(client, "c/barrier", 1);
	struct shmd_client *other = connected();
	struct shmd_barrier *theirs;
	EXPECT(shmd_barrier_open(other, "c/barrier", NULL, &theirs), 0);
	EXPECT(shmd_barrier_wait(theirs, 0, NULL), 0);
	shmd_barrier_close(theirs);
	shmd_close(other);
	EXPECT(shmd_barrier_wait(barrier, 0, NULL), 0);
	shmd_barrier_close(barrier);
	EXPECT(shmd_unlink(client, "c/barrier"), 0);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct shmd_client *client = connected();
	basics(client);
	alone(client);
	crowded(client);
	expect_ended(client, by_abort, SHMD_E_BROKEN);
	expect_ended(client, by_reset, SHMD_E_BROKEN);
	expect_ended(client, by_destroy, SHMD_E_REMOVED);
	expect_ended(client, by_arriving, 0);
	broken_while_acting(client);
	killed(client, false);
	killed(client, true);
	leaving(client);
	shmd_close(client);
	puts("ok");
	return 0;
}
