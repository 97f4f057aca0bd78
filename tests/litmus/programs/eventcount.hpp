// An eventcount without a lock: whoever sees the count moved sees what was changed
// before it, and nobody sleeps beside a change.
//
// Code stated here: clients/c/change.c, and the same words in shm/eventcount.go.
//
// Must fail:
//   BUMP=relaxed     the change is not released by the bump
//   VERSION=relaxed  nor acquired by who sees the count moved
//   BUMP_FIRST       bumped, then changed
#include "litmus.hpp"

struct eventcount : test_suite<eventcount, 2> {
	const memory_order bump = order("BUMP", mo_acq_rel);
	const memory_order version = order("VERSION", mo_acquire);
	enum { WAITERS = 1, STEP = 2 };
	word count, element;
	bool asleep, woken;

	void before()
	{
		count.store(0, mo_relaxed, $);
		element.store(0, mo_relaxed, $);
		asleep = woken = false;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			if (weakened != "BUMP_FIRST")
				element.store(1, mo_relaxed, $);
			if (count.fetch_add(STEP, bump, $) & WAITERS) {
				count.fetch_and(~WAITERS, mo_acq_rel, $);
				woken = true;
			}
			if (weakened == "BUMP_FIRST")
				element.store(1, mo_relaxed, $);
			return;
		}
		unsigned seen = count.load(version, $);
		if (seen >= STEP) {
			RL_ASSERT(element.load(mo_relaxed, $) == 1);
			return;
		}
		if (cas(count, seen, seen | WAITERS, mo_acq_rel)) // else it looks again
			asleep = kernel_finds(count, seen | WAITERS);
	}
	void after() { RL_ASSERT(!asleep || woken); }
};
