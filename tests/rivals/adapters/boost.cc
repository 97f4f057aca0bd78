/* SPDX-License-Identifier: Apache-2.0
 *
 * boost.cc - Boost.Interprocess. A message goes through a message_queue, which copies it in
 * and out; there is no call for several. A lock is an interprocess_mutex and a semaphore an
 * interprocess_semaphore, in a shared_memory_object; with mode=named they are a named_mutex
 * and a named_semaphore. A counter and a value are words there, under that mutex. Errors are
 * exceptions.
 */
#include "rival.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <boost/interprocess/sync/named_semaphore.hpp>
#include <boost/version.hpp>

#include <unistd.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

using namespace boost::interprocess;

#define SMALL_QUEUE_MAX 16 /* messages in each queue of `memory` */

static std::string name_of(const char *suffix)
{
	return std::string(rival.name) + "-" + suffix;
}

static bool is_named()
{
	if (strcmp(rival.mode, "named") == 0)
		return true;
	if (rival.mode[0] != '\0')
		rival_fail("there is no mode \"%s\"", rival.mode);
	return false;
}

/* ---- lock and semaphore ---- */

/* What is in the shared memory. */
struct shared {
	alignas(64) interprocess_mutex mutex;
	alignas(64) interprocess_semaphore semaphore{1};
	alignas(64) uint64_t counter = 0;
	alignas(64) uint64_t value = 0;
};

static mapped_region region;
static shared *memory;
static std::unique_ptr<named_mutex> mutex_by_name;
static std::unique_ptr<named_semaphore> semaphore_by_name;

static void open_memory()
{
	std::string name = name_of("memory");
	if (rival.makes) {
		shared_memory_object object(create_only, name.c_str(), read_write);
		object.truncate(sizeof(shared));
		region = mapped_region(object, read_write);
		memory = new (region.get_address()) shared;
	} else {
		shared_memory_object object(open_only, name.c_str(), read_write);
		region = mapped_region(object, read_write);
		memory = static_cast<shared *>(region.get_address());
	}
	if (is_named()) {
		mutex_by_name.reset(new named_mutex(open_or_create, name_of("mutex").c_str()));
		semaphore_by_name.reset(new named_semaphore(open_or_create, name_of("semaphore").c_str(), 1));
	}
}

static void close_memory()
{
	shared_memory_object::remove(name_of("memory").c_str());
	named_mutex::remove(name_of("mutex").c_str());
	named_semaphore::remove(name_of("semaphore").c_str());
}

template <class Mutex> static void lock_turns(Mutex &mutex, uint64_t count)
{
	const bool samples = rival.samples != NULL;
	for (; count > 0; count--) {
		mutex.lock();
		memory->counter++;
		mutex.unlock();
		if (samples)
			rival_sample();
	}
}

static void run_lock(uint64_t count)
{
	if (mutex_by_name)
		lock_turns(*mutex_by_name, count);
	else
		lock_turns(memory->mutex, count);
}

template <class Semaphore> static void semaphore_turns(Semaphore &semaphore, uint64_t count)
{
	const bool samples = rival.samples != NULL;
	for (; count > 0; count--) {
		semaphore.wait();
		semaphore.post();
		if (samples)
			rival_sample();
	}
}

static void run_semaphore(uint64_t count)
{
	if (semaphore_by_name)
		semaphore_turns(*semaphore_by_name, count);
	else
		semaphore_turns(memory->semaphore, count);
}

/* Newer versions refuse a mutex whose owner has died, for ever. */
static void lock_or_never()
{
	try {
		if (mutex_by_name)
			mutex_by_name->lock();
		else
			memory->mutex.lock();
	} catch (const interprocess_exception &refused) {
		fprintf(stderr, "the mutex of a dead owner is refused: %s\n", refused.what());
		for (;;)
			pause();
	}
}

static void value_once(uint64_t i)
{
	memory->mutex.lock();
	memory->value = i;
	memory->mutex.unlock();
	memory->mutex.lock();
	uint64_t got = memory->value;
	memory->mutex.unlock();
	if (rival.processes == 1 && got != i)
		rival_fail("%" PRIu64 " was read after %" PRIu64 " was written", got, i);
}

RIVAL_RUN(run_value, value_once)

static void run_owner(uint64_t)
{
	rival_hold(lock_or_never);
}

static void run_waiter(uint64_t)
{
	rival_wait(lock_or_never);
}

/* ---- messages ---- */

static std::unique_ptr<message_queue> there; /* from put to take, from ping to pong */
static std::unique_ptr<message_queue> back;
static std::vector<uint64_t> received;

static message_queue *open_queue(const char *suffix)
{
	std::string name = name_of(suffix);
	return rival.makes ? new message_queue(create_only, name.c_str(), rival_queue_max(), rival.size_bytes)
	                   : new message_queue(open_only, name.c_str());
}

static void open_queues()
{
	if (is_named())
		rival_unsupported("a message_queue always has a name");
	there.reset(open_queue("there"));
	back.reset(open_queue("back"));
	received.resize(rival.size_bytes / 8);
}

static void open_oneway()
{
	if (is_named())
		rival_unsupported("a message_queue always has a name");
	if (rival.batch > 1)
		rival_unsupported("message_queue has no call for several messages");
	there.reset(open_queue("there"));
	received.resize(rival.size_bytes / 8);
}

static void close_queues()
{
	there.reset();
	back.reset();
	message_queue::remove(name_of("there").c_str());
	message_queue::remove(name_of("back").c_str());
}

static void send(message_queue &queue, uint64_t number)
{
	const void *message = rival_message(number);
	if (!rival.spins) {
		queue.send(message, rival.size_bytes, 0);
		return;
	}
	while (!queue.try_send(message, rival.size_bytes, 0))
		rival_pause();
}

static void receive(message_queue &queue, uint64_t number)
{
	message_queue::size_type size_bytes;
	unsigned priority;
	if (!rival.spins)
		queue.receive(received.data(), rival.size_bytes, size_bytes, priority);
	else
		while (!queue.try_receive(received.data(), rival.size_bytes, size_bytes, priority))
			rival_pause();
	rival_check(received.data(), size_bytes, number);
}

static void ping_once(uint64_t i)
{
	send(*there, i);
	receive(*back, i);
}

static void pong_once(uint64_t i)
{
	receive(*there, i);
	send(*back, i);
}

static void put_once(uint64_t i)
{
	send(*there, rival_number(i));
}

static void take_once(uint64_t i)
{
	receive(*there, rival_expected(i));
}

static void open_once(uint64_t)
{
	message_queue opened(open_only, name_of("there").c_str());
}

RIVAL_RUN(run_ping, ping_once)
RIVAL_RUN(run_pong, pong_once)
RIVAL_RUN(run_put, put_once)
RIVAL_RUN(run_take, take_once)
RIVAL_RUN(run_opener, open_once)

static void run_sleeper(uint64_t)
{
	puts("waiting");
	fflush(stdout);
	receive(*there, RIVAL_ANY);
}

/* ---- memory ---- */

static std::vector<std::unique_ptr<message_queue>> many;

static void no_open()
{
}

static void make_once(uint64_t i)
{
	std::string name = name_of(std::to_string(i).c_str());
	many.emplace_back(new message_queue(create_only, name.c_str(), SMALL_QUEUE_MAX, rival.size_bytes));
}

static void remove_many()
{
	for (size_t i = 0; i < many.size(); i++)
		message_queue::remove(name_of(std::to_string(i).c_str()).c_str());
	many.clear();
}

RIVAL_RUN(run_maker, make_once)

static void describe()
{
	printf("Boost.Interprocess %d.%d: message_queue, interprocess_mutex and interprocess_semaphore, or named ones\n",
	       BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000);
}

static const struct rival_work works[] = {
	{"lock", "worker", open_memory, run_lock, close_memory, RIVAL_TIMED},
	{"semaphore", "worker", open_memory, run_semaphore, close_memory, RIVAL_TIMED},
	{"counter", "worker", open_memory, run_lock, close_memory, RIVAL_TIMED},
	{"value", "worker", open_memory, run_value, close_memory, RIVAL_TIMED},
	{"roundtrip", "ping", open_queues, run_ping, close_queues, RIVAL_TIMED},
	{"roundtrip", "pong", open_queues, run_pong, close_queues, RIVAL_TIMED},
	{"oneway", "put", open_oneway, run_put, close_queues, RIVAL_TIMED},
	{"oneway", "take", open_oneway, run_take, close_queues, RIVAL_TIMED},
	{"attach", "opener", open_oneway, run_opener, close_queues, RIVAL_TIMED},
	{"recovery", "owner", open_memory, run_owner, close_memory, RIVAL_OWN},
	{"recovery", "waiter", open_memory, run_waiter, close_memory, RIVAL_OWN},
	{"idle", "sleeper", open_oneway, run_sleeper, close_queues, RIVAL_OWN},
	{"memory", "maker", no_open, run_maker, remove_many, RIVAL_TIMED},
};

int main(int argc, char **argv)
{
	try {
		return rival_main(argc, argv, describe, works, RIVAL_COUNT(works));
	} catch (const std::exception &error) {
		rival_fail("%s", error.what());
	}
}
