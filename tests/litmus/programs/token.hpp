// Two threads of one client stand behind one owner word; a token beside it says which of
// them has the lock. It is stored after the word was taken, and may be seen before it.
//
// Code stated here: held_here in clients/c/lock.c, and Holds in shm/lock.go.
//
// Must fail:
//   TOKEN_KEPT  the token is not cleared before the word is released
#include "litmus.hpp"

struct token : test_suite<token, 2> {
	word owner, beside;

	void before()
	{
		owner.store(0, mo_relaxed, $);
		beside.store(0, mo_relaxed, $);
	}
	bool held_by(unsigned i)
	{
		return owner.load(mo_relaxed, $) == 1 && beside.load(mo_relaxed, $) == i + 1;
	}
	void thread(unsigned i)
	{
		RL_ASSERT(!held_by(i));
		if (!cas(owner, 0, 1, mo_acquire))
			return;
		beside.store(i + 1, mo_relaxed, $);
		RL_ASSERT(held_by(i));
		if (weakened != "TOKEN_KEPT")
			beside.store(0, mo_relaxed, $);
		cas(owner, 1, 0, mo_release);
		RL_ASSERT(!held_by(i));
	}
};
