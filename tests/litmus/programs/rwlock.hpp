// A reader stores its cell and loads the word, a writer stores the word and loads the
// cell: one of them sees the other, and who comes in sees what was written.
//
// Code stated here: clients/c/rwlock_read.c and rwlock_write.c; tests/models/rwlock.pml.
//
// Must fail:
//   ENTER=acq_rel   the reader's announcement
//   LOOK=acquire    the reader's look at the word
//   OWN=acq_rel     the writer's word
//   SCAN=acquire    the writer's look at a cell
//   LEAVE=relaxed   the reader's way out: what it reads may be written meanwhile
//   UNLOCK=relaxed  the writer's: what it wrote is not there for the next reader
#include "litmus.hpp"

struct rwlock : test_suite<rwlock, 2> {
	const memory_order enter = order("ENTER", mo_seq_cst);
	const memory_order look = order("LOOK", mo_seq_cst);
	const memory_order own = order("OWN", mo_seq_cst);
	const memory_order scan = order("SCAN", mo_seq_cst);
	const memory_order leave = order("LEAVE", mo_seq_cst);
	const memory_order unlock = order("UNLOCK", mo_seq_cst);
	word owner, cell;
	var<unsigned> data;

	void before()
	{
		owner.store(0, mo_relaxed, $);
		cell.store(0, mo_relaxed, $);
		data($) = 0;
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			for (int turn = 0; turn < 2; turn++) {
				cell.fetch_add(1, enter, $);
				if (owner.load(look, $) == 0)
					RL_ASSERT(data($) < 2);
				cell.fetch_sub(1, leave, $);
			}
		} else if (cas(owner, 0, 1, own)) {
			if (cell.load(scan, $) == 0)
				data($) = 1;
			cas(owner, 1, 0, unlock);
		}
	}
};
