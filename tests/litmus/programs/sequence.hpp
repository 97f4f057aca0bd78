// A snapshot that finds the same even sequence before and after has seen one write.
//
// Code stated here: clients/c/sequence.c. (The Go client has a store and a load of the
// sequence in place of the first fence, which C++ does not promise to be enough; arm64
// does, where nothing passes a load that acquires.)
//
// Must fail:
//   NO_ODD_FENCE   odd is a release store, and no fence follows: data pass it
//   NO_LAST_FENCE  the data are read, and no fence follows
//   EVEN=relaxed   even does not release the data
//   FIRST=relaxed  the first look acquires nothing
#include "litmus.hpp"

struct sequence : test_suite<sequence, 2> {
	const memory_order even = order("EVEN", mo_release);
	const memory_order first = order("FIRST", mo_acquire);
	word number, low, high;

	void before()
	{
		number.store(0, mo_relaxed, $);
		low.store(0, mo_relaxed, $);
		high.store(0, mo_relaxed, $);
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			number.store(1, mo_release, $);
			if (weakened != "NO_ODD_FENCE")
				atomic_thread_fence(mo_release, $);
			low.store(1, mo_relaxed, $);
			high.store(1, mo_relaxed, $);
			number.store(2, even, $);
			return;
		}
		unsigned before = number.load(first, $);
		unsigned l = low.load(mo_relaxed, $);
		unsigned h = high.load(mo_relaxed, $);
		if (weakened != "NO_LAST_FENCE")
			atomic_thread_fence(mo_acquire, $);
		if (before % 2 == 0 && number.load(mo_relaxed, $) == before) {
			RL_ASSERT(l == h);
			RL_ASSERT(l == before / 2);
		}
	}
};
