// The same where every store is a release and every read-modify-write a full barrier, as on
// x86: the entry is stored as any other word, and the latch is given back before the look
// at the eventcount. For the barrier of a read-modify-write stands a fence after it.
//
// Code stated here: clients/c/queue_ring.h and latch.h, on x86.
//
// Must fail:
//   NO_BARRIER     the latch is given back by a plain store
//   BARRIER_FIRST  the latch is given back before the entry is stored
//   NO_MODIFY      the announcement is a plain store
#include "litmus.hpp"

struct crossing_x86 : test_suite<crossing_x86, 2> {
	enum { WAITERS = 1 };
	word latch, entry, count;
	bool asleep;

	void before()
	{
		latch.store(1, mo_relaxed, $);
		entry.store(0, mo_relaxed, $);
		count.store(0, mo_relaxed, $);
		asleep = false;
	}
	void give_back()
	{
		if (weakened == "NO_BARRIER")
			return latch.store(0, mo_release, $);
		cas(latch, 1, 0, mo_seq_cst);
		atomic_thread_fence(mo_seq_cst, $);
	}
	unsigned announce()
	{
		if (weakened == "NO_MODIFY") {
			count.store(WAITERS, mo_release, $);
			return WAITERS;
		}
		unsigned seen = count.fetch_or(WAITERS, mo_seq_cst, $) | WAITERS;
		atomic_thread_fence(mo_seq_cst, $);
		return seen;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			if (weakened == "BARRIER_FIRST")
				give_back();
			entry.store(1, mo_release, $);
			if (weakened != "BARRIER_FIRST")
				give_back();
			unsigned seen = count.load(mo_seq_cst, $);
			if ((seen & WAITERS) != 0 && cas(count, seen, seen + 1, mo_relaxed))
				asleep = false; // wakes
			return;
		}
		unsigned seen = announce();
		if (entry.load(mo_seq_cst, $) == 0 && kernel_finds(count, seen))
			asleep = true;
	}
	void after() { RL_ASSERT(!asleep); }
};
