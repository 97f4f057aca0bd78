// A latch is taken from a daemon that is gone, because its successor has written a later
// epoch: what it wrote under the latch is there.
//
// Code stated here: shmdi_latch_is_free in clients/c/latch.h, against shm/latch.go and
// the start of a daemon. That the kernel has reported the death orders the two daemons.
//
// Must fail:
//   EPOCH=relaxed  the epoch orders nothing
#include "litmus.hpp"

struct stolen : test_suite<stolen, 3> {
	const memory_order later = order("EPOCH", mo_acquire);
	enum { OLD = 1, NEW = 2, CLIENT = 3 };
	word latch, epoch, derived, dead;

	void before()
	{
		latch.store(0, mo_relaxed, $);
		epoch.store(OLD, mo_relaxed, $);
		derived.store(0, mo_relaxed, $);
		dead.store(0, mo_relaxed, $);
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			cas(latch, 0, OLD, mo_acq_rel);
			derived.store(1, mo_relaxed, $);
			dead.store(1, mo_release, $);
		} else if (i == 1) {
			if (dead.load(mo_acquire, $) != 0)
				epoch.store(NEW, mo_seq_cst, $);
		} else {
			bool free = latch.load(mo_acquire, $) == OLD && epoch.load(later, $) > OLD;
			if (free && cas(latch, OLD, CLIENT, mo_acquire))
				RL_ASSERT(derived.load(mo_relaxed, $) == 1);
		}
	}
};
