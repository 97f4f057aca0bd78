// SPDX-License-Identifier: Apache-2.0
//
// all.cc - shmd.h in a C++17 program: every function is linked (every.inc, which the test
// makes of symbols.txt, names them), and one of each sort is called, as C++ would:
// handles that close themselves, and lambdas for callbacks.
#include <shmd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace {

int functions = 0;

// Any function of C, of whatever type.
template <typename Result, typename... Arguments> void link(Result (*function)(Arguments...))
{
	functions += function != nullptr;
}

void link_every()
{
#include "every.inc"
}

void expect(int result, int wanted, const char *what)
{
	if (result == wanted)
		return;
	std::printf("%s: %s, not %s; %s\n", what, shmd_error_name(result), shmd_error_name(wanted), shmd_last_error());
	std::exit(1);
}

#define EXPECT(call, wanted) expect((call), (wanted), #call)

// A handle that closes itself.
template <auto Close> struct closer {
	template <typename Handle> void operator()(Handle *handle) const noexcept { Close(handle); }
};
template <typename Handle, auto Close> using owned = std::unique_ptr<Handle, closer<Close>>;

using client_handle = owned<shmd_client, shmd_close>;
using mutex_handle = owned<shmd_mutex, shmd_mutex_close>;
using condition_handle = owned<shmd_condition, shmd_condition_close>;
using event_handle = owned<shmd_event, shmd_event_close>;
using barrier_handle = owned<shmd_barrier, shmd_barrier_close>;
using rwlock_handle = owned<shmd_rwlock, shmd_rwlock_close>;

template <typename Owned, typename Create> Owned create(shmd_client *client, Create function, shmd_create_options options)
{
	typename Owned::pointer handle = nullptr;
	options.size = sizeof options;
	expect(function(client, nullptr, &options, &handle), 0, "create");
	return Owned(handle);
}

struct scene {
	mutex_handle mutex;
	condition_handle condition;
	event_handle event;
	barrier_handle barrier;
	rwlock_handle rwlock;
	int turn = 0;
};

void other_side(scene &all)
{
	EXPECT(shmd_event_wait(all.event.get(), SHMD_FOREVER), 0);
	EXPECT(shmd_condition_lock(all.condition.get(), SHMD_FOREVER), 0);
	all.turn = 1;
	EXPECT(shmd_condition_notify(all.condition.get(), 1), 0);
	EXPECT(shmd_condition_unlock(all.condition.get()), 0);
	EXPECT(shmd_barrier_wait(all.barrier.get(), SHMD_FOREVER, nullptr), 0);
	EXPECT(shmd_rwlock_write_lock(all.rwlock.get(), SHMD_FOREVER), 0);
	EXPECT(shmd_rwlock_write_unlock(all.rwlock.get()), 0);
}

void use(scene &all)
{
	std::thread other(other_side, std::ref(all));
	EXPECT(shmd_rwlock_read_lock(all.rwlock.get(), SHMD_FOREVER), 0);
	EXPECT(shmd_condition_lock(all.condition.get(), SHMD_FOREVER), 0);
	EXPECT(shmd_event_set(all.event.get()), 0);
	auto ready = [](void *argument) { return static_cast<scene *>(argument)->turn == 1; };
	EXPECT(shmd_condition_wait_for(all.condition.get(), ready, &all, SHMD_FOREVER), 0);
	EXPECT(shmd_condition_unlock(all.condition.get()), 0);
	auto act = [](void *) { return 0; };
	std::uint32_t index = 2;
	EXPECT(shmd_barrier_wait_action(all.barrier.get(), SHMD_FOREVER, act, nullptr, &index), 0);
	EXPECT(index < 2 ? 0 : SHMD_E_BAD_INDEX, 0);
	EXPECT(shmd_rwlock_read_unlock(all.rwlock.get()), 0);
	other.join();
}

} // namespace

int main()
{
	link_every();
	shmd_client *connected = nullptr;
	EXPECT(shmd_connect(nullptr, &connected), 0);
	client_handle client(connected);
	scene all;
	all.mutex = create<mutex_handle>(client.get(), shmd_mutex_create, {});
	shmd_create_options options = {};
	options.lock_mutex = all.mutex.get();
	all.condition = create<condition_handle>(client.get(), shmd_condition_create, options);
	all.event = create<event_handle>(client.get(), shmd_event_create, {});
	options = {};
	options.parties = 2;
	all.barrier = create<barrier_handle>(client.get(), shmd_barrier_create, options);
	all.rwlock = create<rwlock_handle>(client.get(), shmd_rwlock_create, {});
	use(all);
	std::printf("%d functions\n", functions);
	return 0;
}
