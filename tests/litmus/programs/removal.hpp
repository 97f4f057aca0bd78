// An object is destroyed: the state is stored, then the word moved on and all woken. A
// waiter announces itself on the word, then looks at the state.
//
// Code stated here: clients/c/condition.c, semaphore_undo.c and queue_wait.c, against
// shm/recover.go, whose atomics are sequentially consistent.
//
// Must fail:
//   ANNOUNCE=relaxed  the state is looked at as if before the announcement
//   STATE_FIRST       it is
//   BUMP_FIRST        the word is moved on, then the state stored
#include "litmus.hpp"

struct removal : test_suite<removal, 2> {
	const memory_order announce = order("ANNOUNCE", mo_acq_rel);
	enum { WAITERS = 1, STEP = 2 };
	word count, state;
	bool asleep;

	void before()
	{
		count.store(0, mo_relaxed, $);
		state.store(0, mo_relaxed, $);
		asleep = false;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			if (weakened != "BUMP_FIRST")
				state.store(1, mo_seq_cst, $);
			count.fetch_add(STEP, mo_seq_cst, $);
			if (weakened == "BUMP_FIRST")
				state.store(1, mo_seq_cst, $);
			asleep = false; // wakes all
			return;
		}
		bool removed = weakened == "STATE_FIRST" && state.load(mo_relaxed, $) != 0;
		unsigned seen = count.fetch_or(WAITERS, announce, $) | WAITERS;
		if (weakened != "STATE_FIRST")
			removed = state.load(mo_relaxed, $) != 0;
		if (!removed && kernel_finds(count, seen))
			asleep = true;
	}
	void after() { RL_ASSERT(!asleep); }
};
