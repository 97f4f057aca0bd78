// Who only tries looks at a count, then at the latch, and takes neither: if nobody has
// the latch and the count is 0, the queue was empty. Whoever makes the count 0 may die
// before the commit, and then the message comes back.
//
// Code stated here: shmdi_queue_is_idle in clients/c/queue_wait.h, shmdi_queue_take_one
// in queue_slot.h.
//
// Must fail:
//   TAKE=relaxed   the count is seen before the latch that it was changed under
//   COUNT=relaxed  the latch is looked at as if before the count
//   LATCH_FIRST    it is
#include "litmus.hpp"

struct idle : test_suite<idle, 2> {
	const memory_order take = order("TAKE", mo_release);
	const memory_order look = order("COUNT", mo_acquire);
	word latch, count, slot;

	void before()
	{
		latch.store(0, mo_relaxed, $);
		count.store(1, mo_relaxed, $);
		slot.store(0, mo_relaxed, $);
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			cas(latch, 0, 1, mo_acquire);
			count.store(0, take, $);
			slot.store(1, mo_relaxed, $); // the commit, unless it dies before
			cas(latch, 1, 0, mo_release);
			return;
		}
		unsigned holder = weakened == "LATCH_FIRST" ? latch.load(mo_acquire, $) : 0;
		unsigned level = count.load(look, $);
		if (weakened != "LATCH_FIRST")
			holder = latch.load(mo_acquire, $);
		if (holder == 0 && level == 0)
			RL_ASSERT(slot.load(mo_relaxed, $) == 1);
	}
};
