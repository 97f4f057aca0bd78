// Who leaves a barrier sees what every party wrote before it arrived, and what the
// action wrote.
//
// Code stated here: clients/c/barrier.c: every step is one compare-and-swap, looks
// acquire.
//
// Must fail:
//   ARRIVE=relaxed    an arrival releases nothing
//   ARRIVE=acquire
//   LEAD=release      the last arrival acquires nothing, and the action races
//   COMPLETE=relaxed  the action is not released
//   LOOK=relaxed      nor acquired by those who were released
#include "litmus.hpp"

struct barrier : test_suite<barrier, 2> {
	const memory_order arrive = order("ARRIVE", mo_acq_rel);
	const memory_order lead = order("LEAD", mo_acq_rel);
	const memory_order complete = order("COMPLETE", mo_acq_rel);
	const memory_order look = order("LOOK", mo_acquire);
	enum { ACTION = 8, NEXT = 16 };
	word state;
	var<unsigned> mine[2], sum;

	void before()
	{
		state.store(0, mo_relaxed, $);
		mine[0]($) = mine[1]($) = sum($) = 0;
	}
	void released(unsigned i)
	{
		RL_ASSERT(mine[1 - i]($) == 1);
		RL_ASSERT(sum($) == 2);
	}
	void thread(unsigned i)
	{
		mine[i]($) = 1;
		if (cas(state, 0, 1, arrive)) {
			if (state.load(look, $) == NEXT) // else it sleeps, and looks again
				released(i);
			return;
		}
		RL_ASSERT(cas(state, 1, ACTION, lead));
		sum($) = mine[0]($) + mine[1]($);
		RL_ASSERT(cas(state, ACTION, NEXT, complete));
		released(i);
	}
};
