// Who only tries looks at a head, at the entry there and at the head again, and takes no
// latch: if there is no entry, and the head has stayed, there was nothing. A message that
// is gone from there is taken for good: whoever took it may have died, but after the
// commit. And the place of an entry is used again when the head has left it.
//
// Code stated here: shmdi_queue_is_idle in clients/c/queue_wait.h, shmdi_head_store in
// queue_ring.h, and how queue.c takes and puts.
//
// Must fail:
//   MOVE=relaxed   the head is seen to have moved before the commit
//   LOOK=relaxed   the commit is looked at as if before the head
//   FOUND=relaxed  the head is looked at again as if before the entry
//   NO_AGAIN       it is not
//   MOVE_LAST      the slot is handed back before the head moves
#include "litmus.hpp"

struct idle : test_suite<idle, 3> {
	const memory_order move = order("MOVE", mo_release);
	const memory_order look = order("LOOK", mo_acquire);
	const memory_order found = order("FOUND", mo_acquire);
	enum { FIRST, FREE, SECOND }; // what the only slot is; all positions are in one place, entry n at n
	word head, ready, free, slot;

	void before()
	{
		head.store(1, mo_relaxed, $);
		ready.store(1, mo_relaxed, $);
		free.store(0, mo_relaxed, $);
		slot.store(FIRST, mo_relaxed, $);
	}
	void take() // the message at 1
	{
		slot.store(FREE, mo_release, $); // the commit, unless it dies before
		if (weakened == "MOVE_LAST")
			free.store(1, mo_release, $);
		head.store(2, move, $);
		if (weakened != "MOVE_LAST")
			free.store(1, mo_release, $);
	}
	void put() // the next one, at 2
	{
		if (free.load(mo_acquire, $) != 1)
			return;
		slot.store(SECOND, mo_release, $);
		ready.store(2, mo_release, $);
	}
	void thread(unsigned i)
	{
		if (i == 0)
			return take();
		if (i == 1)
			return put();
		unsigned at = head.load(look, $);
		if (ready.load(found, $) == at)
			return; // not idle
		if (weakened != "NO_AGAIN" && head.load(mo_relaxed, $) != at)
			return;
		RL_ASSERT(at == 2);
		RL_ASSERT(slot.load(mo_relaxed, $) != FIRST);
	}
};
