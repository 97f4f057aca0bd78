// An entry is put under one latch, and somebody waits for it under another: who puts looks
// at the eventcount after the entry, who waits looks at the entry after the announcement.
// One of the two sees the other, or he sleeps though there is something.
//
// Code stated here: clients/c/queue_ring.h and latch.h, but for x86 (crossing_x86.hpp).
//
// Must fail:
//   ENTRY=release     the eventcount is looked at as if before the entry was stored
//   LOOK=acquire      likewise
//   ANNOUNCE=acq_rel  the entry is looked at as if before the announcement
//   AGAIN=acquire     likewise
//   LOOK_FIRST        the eventcount is looked at before
//   NO_LOOK           who waits does not look again
#include "litmus.hpp"

struct crossing : test_suite<crossing, 2> {
	const memory_order put = order("ENTRY", mo_seq_cst);
	const memory_order look = order("LOOK", mo_seq_cst);
	const memory_order announce = order("ANNOUNCE", mo_seq_cst);
	const memory_order again = order("AGAIN", mo_seq_cst);
	enum { WAITERS = 1 };
	word entry, count;
	bool asleep;

	void before()
	{
		entry.store(0, mo_relaxed, $);
		count.store(0, mo_relaxed, $);
		asleep = false;
	}
	void tell(unsigned seen)
	{
		if ((seen & WAITERS) != 0 && cas(count, seen, seen + 1, mo_relaxed))
			asleep = false; // wakes
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			unsigned seen = weakened == "LOOK_FIRST" ? count.load(look, $) : 0;
			entry.store(1, put, $);
			if (weakened != "LOOK_FIRST")
				seen = count.load(look, $);
			tell(seen);
			return;
		}
		bool there = entry.load(mo_acquire, $) != 0;
		unsigned seen = count.fetch_or(WAITERS, announce, $) | WAITERS;
		if (weakened != "NO_LOOK")
			there = entry.load(again, $) != 0;
		if (!there && kernel_finds(count, seen))
			asleep = true;
	}
	void after() { RL_ASSERT(!asleep); }
};
