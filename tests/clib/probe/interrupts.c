/* SPDX-License-Identifier: Apache-2.0
 *
 * interrupts.c - shmd_set_interrupt: every wait asks before it sleeps, goes on if it may,
 * ends with CANCELLED if it shall, and leaves the object so that the next one gets what
 * there is. A try does not ask.
 */
#define _GNU_SOURCE
#include "../../../clients/c/internal.h"
#include "expect.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int asked;   /* atomic; calls of the function */
static int ending;  /* atomic; what it says */
static int refused; /* atomic; how often it said nonzero */
static int ended;   /* atomic; the wait is over */
static pthread_t waiter;
static int argument;

static struct shmd_client *client;
static struct shmd_mutex *mutex;
static struct shmd_mutex *guard; /* of the condition */
static struct shmd_condition *condition;
static struct shmd_event *manual;
static struct shmd_event *automatic;
static struct shmd_semaphore *plain;
static struct shmd_semaphore *undo;
static struct shmd_queue *empty;
static struct shmd_queue *full;
static struct shmd_stream *stream;
static struct shmd_stream *stuffed;
static struct shmd_pipe *channel;
static struct shmd_barrier *barrier;
static struct shmd_rwlock *written;
static struct shmd_rwlock *read_by;
static struct shmd_value *value;
static struct shmd_value *watched; /* read-only */
static struct shmd_array *array;
static struct shmd_array *locked;

static int load(const int *number)
{
	return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static void store(int *number, int to)
{
	__atomic_store_n(number, to, __ATOMIC_SEQ_CST);
}

/* Asks libshmd for something else meanwhile: nothing internal is held. */
static int interrupted(void *given)
{
	CHECK(given == &argument);
	if (!pthread_equal(pthread_self(), waiter))
		return 0; /* the other reader of the connection */
	uint64_t version;
	EXPECT(shmd_value_version(value, &version), 0);
	EXPECT(shmd_unlink(client, "no/such/name"), SHMD_E_NOT_FOUND);
	__atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
	int says = load(&ending);
	__atomic_add_fetch(&refused, says, __ATOMIC_SEQ_CST);
	return says;
}

static void ignore(int number)
{
	(void)number;
}

/* ---- the waits ---- */

static int lock_mutex(int64_t timeout_ns)
{
	return shmd_mutex_lock(mutex, timeout_ns);
}

/* The mutex is held afterwards. */
static int wait_condition(int64_t timeout_ns)
{
	EXPECT(shmd_mutex_lock(guard, SHMD_FOREVER), 0);
	int result = shmd_condition_wait(condition, timeout_ns);
	EXPECT(shmd_mutex_unlock(guard), 0);
	return result;
}

static int wait_manual(int64_t timeout_ns)
{
	return shmd_event_wait(manual, timeout_ns);
}

static int wait_automatic(int64_t timeout_ns)
{
	return shmd_event_wait(automatic, timeout_ns);
}

static int acquire_plain(int64_t timeout_ns)
{
	return shmd_semaphore_acquire(plain, 1, timeout_ns);
}

static int acquire_undo(int64_t timeout_ns)
{
	return shmd_semaphore_acquire(undo, 1, timeout_ns);
}

static int acquire_many(int64_t timeout_ns)
{
	return shmd_semaphore_acquire(undo, 2, timeout_ns);
}

static int take(int64_t timeout_ns)
{
	char buffer[256];
	size_t size_bytes;
	return shmd_queue_take(empty, buffer, sizeof buffer, timeout_ns, &size_bytes);
}

static int lease(int64_t timeout_ns)
{
	struct shmd_lease job;
	return shmd_queue_lease(empty, timeout_ns, &job);
}

static int put(int64_t timeout_ns)
{
	return shmd_queue_put(full, "x", 1, timeout_ns);
}

static int join(int64_t timeout_ns)
{
	return shmd_queue_join(full, timeout_ns);
}

static int recv_stream(int64_t timeout_ns)
{
	char buffer[64];
	size_t size_bytes;
	return shmd_stream_recv(stream, buffer, sizeof buffer, timeout_ns, &size_bytes);
}

static int send_stream(int64_t timeout_ns)
{
	static const char message[1024];
	return shmd_stream_send(stuffed, message, sizeof message, timeout_ns);
}

static int recv_pipe(int64_t timeout_ns)
{
	char buffer[64];
	size_t size_bytes;
	return shmd_pipe_recv(channel, SHMD_END_A, buffer, sizeof buffer, timeout_ns, &size_bytes);
}

static int wait_barrier(int64_t timeout_ns)
{
	return shmd_barrier_wait(barrier, timeout_ns, NULL);
}

static int read_lock(int64_t timeout_ns)
{
	return shmd_rwlock_read_lock(written, timeout_ns);
}

static int write_lock(int64_t timeout_ns)
{
	return shmd_rwlock_write_lock(read_by, timeout_ns);
}

static int wait_change(int64_t timeout_ns)
{
	uint64_t version;
	EXPECT(shmd_value_version(value, &version), 0);
	return shmd_value_wait_change(value, version, timeout_ns, NULL);
}

/* The daemon waits. */
static int watch(int64_t timeout_ns)
{
	uint64_t version;
	EXPECT(shmd_value_version(watched, &version), 0);
	return shmd_value_wait_change(watched, version, timeout_ns, &version);
}

static int snapshot(int64_t timeout_ns)
{
	int items[4];
	return shmd_array_read(array, 0, 4, timeout_ns, items, NULL);
}

static int write_array(int64_t timeout_ns)
{
	static const int items[4];
	return shmd_array_write(locked, 0, 4, timeout_ns, items);
}

static int wait_any(int64_t timeout_ns)
{
	struct shmd_waitable items[] = {
		{.until = SHMD_UNTIL_MESSAGE, .object = empty},
		{.until = SHMD_UNTIL_PERMIT, .object = plain},
	};
	size_t index;
	return shmd_wait_any(items, 2, timeout_ns, &index);
}

static const struct wait {
	const char *name;
	int (*call)(int64_t timeout_ns);
} waits[] = {
	{"mutex lock", lock_mutex},
	{"condition wait", wait_condition},
	{"event wait, manual reset", wait_manual},
	{"event wait, auto reset", wait_automatic},
	{"semaphore acquire, plain", acquire_plain},
	{"semaphore acquire, undo", acquire_undo},
	{"semaphore acquire of several", acquire_many},
	{"queue take", take},
	{"queue lease", lease},
	{"queue put", put},
	{"queue join", join},
	{"stream recv", recv_stream},
	{"stream send", send_stream},
	{"pipe recv", recv_pipe},
	{"barrier wait", wait_barrier},
	{"rwlock read lock", read_lock},
	{"rwlock write lock", write_lock},
	{"value wait_change", wait_change},
	{"array read", snapshot},
	{"array write", write_array},
	{"wait_any", wait_any},
};

/* ---- what makes them wait ---- */

static void hold_everything(void)
{
	struct shmd_create_options options = {.size = sizeof options};
	EXPECT(shmd_mutex_create(client, NULL, NULL, &mutex), 0);
	EXPECT(shmd_mutex_lock(mutex, 0), 0);
	EXPECT(shmd_mutex_create(client, NULL, NULL, &guard), 0);
	options.lock_mutex = guard;
	EXPECT(shmd_condition_create(client, NULL, &options, &condition), 0);
	EXPECT(shmd_event_create(client, NULL, NULL, &manual), 0);
	options = (struct shmd_create_options){.size = sizeof options, .auto_reset = true};
	EXPECT(shmd_event_create(client, NULL, &options, &automatic), 0);
	EXPECT(shmd_semaphore_create(client, NULL, NULL, &plain), 0);
	options = (struct shmd_create_options){.size = sizeof options, .undo = true, .maximum = 2};
	EXPECT(shmd_semaphore_create(client, NULL, &options, &undo), 0);
	options = (struct shmd_create_options){.size = sizeof options, .raw = true, .maxsize = 1};
	EXPECT(shmd_queue_create(client, NULL, &options, &empty), 0);
	EXPECT(shmd_queue_create(client, NULL, &options, &full), 0);
	EXPECT(shmd_queue_put(full, "x", 1, 0), 0);
	options = (struct shmd_create_options){.size = sizeof options, .capacity = 4096};
	EXPECT(shmd_stream_create(client, NULL, &options, &stream), 0);
	EXPECT(shmd_stream_claim(stream, SHMD_CONSUMER), 0);
	EXPECT(shmd_stream_create(client, NULL, &options, &stuffed), 0);
	EXPECT(shmd_stream_claim(stuffed, SHMD_PRODUCER), 0);
	EXPECT(shmd_pipe_create(client, NULL, &options, &channel), 0);
	EXPECT(shmd_pipe_claim(channel, SHMD_END_A, NULL), 0);
	while (send_stream(0) == 0) {
	}
	options = (struct shmd_create_options){.size = sizeof options, .parties = 2};
	EXPECT(shmd_barrier_create(client, NULL, &options, &barrier), 0);
	EXPECT(shmd_rwlock_create(client, NULL, NULL, &written), 0);
	EXPECT(shmd_rwlock_write_lock(written, 0), 0);
	EXPECT(shmd_rwlock_create(client, NULL, NULL, &read_by), 0);
	EXPECT(shmd_rwlock_read_lock(read_by, 0), 0);
	EXPECT(shmd_value_create(client, NULL, 'i', NULL, &value), 0);
	struct shmd_open_options reading = {.size = sizeof reading, .id = shmd_value_id(value), .read_only = true};
	EXPECT(shmd_value_open(client, NULL, 0, &reading, &watched), 0);
	EXPECT(shmd_array_create_1d(client, NULL, 'i', 4, NULL, &array), 0);
	EXPECT(shmd_array_lock(array, 0), 0);
	EXPECT(shmd_array_begin_write(array), 0);
	EXPECT(shmd_array_create_1d(client, NULL, 'i', 4, NULL, &locked), 0);
	EXPECT(shmd_array_lock(locked, 0), 0);
}

/* Nobody who left took anything with him. */
static void nothing_is_lost(void)
{
	bool set;
	EXPECT(shmd_mutex_unlock(mutex), 0);
	EXPECT(shmd_mutex_lock(mutex, 0), 0);
	EXPECT(shmd_mutex_lock(guard, 0), 0);
	EXPECT(shmd_condition_notify_all(condition), 0);
	EXPECT(shmd_mutex_unlock(guard), 0);
	EXPECT(shmd_event_set(automatic), 0);
	EXPECT(shmd_event_is_set(automatic, &set), 0);
	CHECK(set);
	EXPECT(shmd_event_wait(automatic, 0), 0);
	EXPECT(shmd_semaphore_release(plain, 1), 0);
	EXPECT(shmd_semaphore_acquire(plain, 1, 0), 0);
	EXPECT(shmd_semaphore_post(undo, 2), 0);
	EXPECT(shmd_semaphore_acquire(undo, 2, 0), 0);
	EXPECT(shmd_queue_put(empty, "x", 1, 0), 0);
	char buffer[256];
	size_t size_bytes;
	EXPECT(shmd_queue_take(empty, buffer, sizeof buffer, 0, &size_bytes), 0);
	struct shmd_queue_counts counts;
	EXPECT(shmd_queue_counts(full, &counts), 0);
	CHECK(counts.ready == 1 && counts.writing == 0 && counts.leased == 0);
	EXPECT(shmd_rwlock_write_unlock(written), 0);
	EXPECT(shmd_rwlock_write_lock(written, 0), 0);
	EXPECT(shmd_rwlock_read_unlock(read_by), 0);
	EXPECT(shmd_rwlock_write_lock(read_by, 0), 0);
	EXPECT(shmd_rwlock_write_unlock(read_by), 0);
	EXPECT(shmd_rwlock_read_lock(read_by, 0), 0);
	/* Who was let go had arrived, and the others must not wait for him. */
	EXPECT(shmd_barrier_wait(barrier, SHMD_FOREVER, NULL), SHMD_E_BROKEN);
	EXPECT(shmd_barrier_reset(barrier), 0);
}

/* ---- one wait ---- */

struct attempt {
	const struct wait *wait;
	int64_t timeout_ns;
	int result;
};

static void *run(void *given)
{
	struct attempt *attempt = given;
	waiter = pthread_self();
	attempt->result = attempt->wait->call(attempt->timeout_ns);
	store(&ended, 1);
	return NULL;
}

static void begin(struct attempt *attempt, pthread_t *thread, int says)
{
	store(&asked, 0);
	store(&refused, 0);
	store(&ended, 0);
	store(&ending, says);
	CHECK(pthread_create(thread, NULL, run, attempt) == 0);
}

static void is_ended(const struct attempt *attempt, pthread_t thread, int wanted)
{
	CHECK(pthread_join(thread, NULL) == 0);
	if (attempt->result != wanted) {
		printf("%s: %s, not %s; %s\n", attempt->wait->name, shmd_error_name(attempt->result), shmd_error_name(wanted),
		       shmd_last_error());
		exit(1);
	}
}

static void test(const struct wait *wait)
{
	struct attempt attempt = {.wait = wait, .timeout_ns = 0};
	pthread_t thread;
	begin(&attempt, &thread, 1);
	is_ended(&attempt, thread, SHMD_E_WOULD_BLOCK);
	CHECK(load(&asked) == 0);

	attempt.timeout_ns = SHMD_FOREVER;
	begin(&attempt, &thread, 1); /* before the first sleep, without any signal */
	is_ended(&attempt, thread, SHMD_E_CANCELLED);
	CHECK(load(&asked) == 1);
	shmd_barrier_reset(barrier);

	begin(&attempt, &thread, 0);
	while (load(&asked) < 3) { /* a signal that ends nothing: it sleeps again */
		if (load(&asked) > 0)
			pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	CHECK(!load(&ended));
	store(&ending, 1);
	while (!load(&ended)) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	is_ended(&attempt, thread, SHMD_E_CANCELLED);
	if (wait->call != wait_barrier)
		shmd_barrier_reset(barrier);
}

/* ---- waits for the daemon: whoever of them reads the connection, for all ---- */

static void *watch_beside(void *unused)
{
	(void)unused;
	EXPECT(watch(SHMD_FOREVER), 0);
	return NULL;
}

static void test_reading(void)
{
	static const struct wait wait = {"value wait_change, read-only", watch};
	pthread_t other;
	uint32_t fresh = 0;
	test(&wait);
	waiter = pthread_self(); /* the other may have the number of a thread that has ended */
	CHECK(pthread_create(&other, NULL, watch_beside, NULL) == 0);
	while (!__atomic_load_n(&client->reading, __ATOMIC_RELAXED))
		sched_yield();
	for (int i = 0; i < 20; i++)
		test(&wait);
	EXPECT(shmd_value_store(value, &fresh), 0);
	CHECK(pthread_join(other, NULL) == 0);
}

/* ---- a condition takes its mutex again first ---- */

static void *hold_guard(void *thread)
{
	EXPECT(shmd_mutex_lock(guard, SHMD_FOREVER), 0);
	store(&ending, 1);
	while (load(&refused) < 1) /* now it waits for the mutex */
		sched_yield();
	for (int i = 0; i < 100; i++) {
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
		sched_yield();
	}
	CHECK(!load(&ended));
	CHECK(load(&refused) == 1); /* it is not asked again */
	EXPECT(shmd_condition_notify(condition, 1), 0);
	EXPECT(shmd_mutex_unlock(guard), 0);
	return NULL;
}

static void test_condition_holds(void)
{
	static const struct wait wait = {"condition wait", wait_condition};
	struct attempt attempt = {.wait = &wait, .timeout_ns = SHMD_FOREVER};
	pthread_t thread;
	pthread_t holder;
	begin(&attempt, &thread, 0);
	while (load(&asked) < 1)
		sched_yield();
	/* Now it sleeps, or is about to, with the mutex free. */
	EXPECT(shmd_mutex_lock(guard, SHMD_FOREVER), 0);
	EXPECT(shmd_condition_notify(condition, 1), 0);
	EXPECT(shmd_mutex_unlock(guard), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(attempt.result, 0);

	begin(&attempt, &thread, 0);
	while (load(&asked) < 1)
		sched_yield();
	EXPECT(shmd_mutex_lock(guard, SHMD_FOREVER), 0);
	EXPECT(shmd_condition_notify(condition, 1), 0); /* which sends it for the mutex */
	while (load(&asked) < 2)
		sched_yield();
	EXPECT(shmd_mutex_unlock(guard), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	EXPECT(attempt.result, 0);

	begin(&attempt, &thread, 0);
	while (load(&asked) < 1)
		sched_yield();
	EXPECT(shmd_mutex_lock(guard, SHMD_FOREVER), 0);
	EXPECT(shmd_mutex_unlock(guard), 0);
	CHECK(pthread_create(&holder, NULL, hold_guard, &thread) == 0);
	while (load(&refused) < 1) {
		pthread_kill(thread, SIGUSR1);
		sched_yield();
	}
	CHECK(pthread_join(holder, NULL) == 0);
	is_ended(&attempt, thread, SHMD_E_CANCELLED);
}

int main(void)
{
	client = connected();
	hold_everything();
	struct sigaction action = {.sa_handler = ignore};
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	shmd_set_interrupt(interrupted, &argument);
	for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
		test(&waits[i]);
	test_reading();
	test_condition_holds();
	shmd_set_interrupt(NULL, NULL);
	/* Broken by who was let go; and nobody is asked any more. */
	struct attempt attempt = {.wait = &waits[14], .timeout_ns = SHMD_FOREVER};
	pthread_t thread;
	CHECK(attempt.wait->call == wait_barrier);
	EXPECT(shmd_barrier_reset(barrier), 0);
	shmd_set_interrupt(interrupted, &argument);
	begin(&attempt, &thread, 1);
	is_ended(&attempt, thread, SHMD_E_CANCELLED);
	shmd_set_interrupt(NULL, NULL);
	nothing_is_lost();
	shmd_close(client);
	puts("ok");
	return 0;
}
