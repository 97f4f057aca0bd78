// What was written before an event was set is there for whoever finds it set, and for
// whoever resets it and then looks: to set what is set is a read-modify-write too.
//
// Code stated here: shm/event.go and clients/c/event.c.
//
// Must fail:
//   SET=relaxed    a set releases nothing
//   RESET=relaxed  a reset acquires nothing
//   LOOK=relaxed   a wait acquires nothing
//   SET_LOADS      an event that is set is left alone after a load
#include "litmus.hpp"

struct event : test_suite<event, 2> {
	const memory_order set = order("SET", mo_acq_rel);
	const memory_order reset = order("RESET", mo_acq_rel);
	const memory_order look = order("LOOK", mo_acquire);
	enum { SET = 1, GENERATION = 4 };
	word state, news;
	bool set_again, heard;

	void before()
	{
		state.store(SET, mo_relaxed, $); // with nothing new yet
		news.store(0, mo_relaxed, $);
		set_again = heard = false;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			news.store(1, mo_relaxed, $);
			if (weakened == "SET_LOADS" && (state.load(mo_acquire, $) & SET) != 0)
				return;
			unsigned old;
			do
				old = state.load(mo_relaxed, $);
			while (!cas(state, old, (old & SET) != 0 ? old : old + GENERATION + SET, set));
			set_again = (old & SET) == 0;
			return;
		}
		RL_ASSERT(cas(state, SET, 0, reset));
		heard = news.load(mo_relaxed, $) == 1;
		if ((state.load(look, $) & SET) != 0)
			RL_ASSERT(news.load(mo_relaxed, $) == 1);
	}
	// Else there are news, the event is not set, and nobody looks.
	void after() { RL_ASSERT(heard || set_again); }
};
