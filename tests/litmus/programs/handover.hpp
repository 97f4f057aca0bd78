// A lock is handed over: what its holder wrote is there for the next one.
//
// Code stated here: clients/c/lock.c (word, token), latch.c and semaphore_word.c, whose
// release and acquire are the same. In between a waiter sets its bit, relaxed.
//
// Must fail:
//   UNLOCK=relaxed  the release orders nothing
//   LOCK=relaxed    the acquisition orders nothing
#include "litmus.hpp"

struct handover : test_suite<handover, 3> {
	const memory_order lock = order("LOCK", mo_acquire);
	const memory_order unlock = order("UNLOCK", mo_release);
	enum { FREE = 0, WAITERS = 8 };
	word owner, token;
	var<unsigned> data;

	void before()
	{
		owner.store(1, mo_relaxed, $); // thread 0 has it
		token.store(1, mo_relaxed, $);
		data($) = 0;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			data($) = 1;
			token.store(0, mo_relaxed, $);
			unsigned old = owner.load(mo_relaxed, $);
			if (!cas(owner, old, FREE, unlock))
				cas(owner, 1 | WAITERS, FREE, unlock);
		} else if (i == 1) {
			cas(owner, 1, 1 | WAITERS, mo_relaxed);
		} else if (cas(owner, FREE, 2, lock)) {
			RL_ASSERT(data($) == 1);
			RL_ASSERT(token.load(mo_relaxed, $) == 0);
			data($) = 2;
		}
	}
};
