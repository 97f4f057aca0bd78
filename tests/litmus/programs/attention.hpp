// Two commits of a ring's producer, and a consumer that sleeps: it judges the word, adds to
// attention, and looks at the word again; who commits exchanges the word, looks at
// attention, and wakes if that has moved since the last wake. Nobody sleeps on a word that
// is no more, and what was written before a commit is there for whoever sees the word.
//
// Code stated here: shmdi_ring_commit in clients/c/ring.h, shmdi_ring_sleep in ring.c; the
// same words in shm/ring.go. The kernel's look, under its lock, is given no order of its
// own, for a producer that does not wake takes no lock.
//
// Must fail:
//   COMMIT=relaxed     a commit releases nothing
//   COMMIT=acq_rel     attention is looked at as if before the commit
//   ATTENTION=acquire  it is
//   ANNOUNCE=acq_rel   the word is looked at as if before the announcement
//   AGAIN=acquire      it is
//   SEE=relaxed        who sees the word acquires nothing
//   ATTENTION_FIRST    attention is looked at, then the word exchanged
//   REMEMBERS_LATER    the wake counts for who announced himself after the commit too
#include "litmus.hpp"

struct attention : test_suite<attention, 2> {
	const memory_order commit = order("COMMIT", mo_seq_cst);
	const memory_order look = order("ATTENTION", mo_seq_cst);
	const memory_order announce = order("ANNOUNCE", mo_seq_cst);
	const memory_order again = order("AGAIN", mo_seq_cst);
	const memory_order see = order("SEE", mo_acquire);
	enum { COMMITS = 2 };
	word position, moved; // the word and its attention
	word kernel;          // its lock
	var<int> message;     // of the first commit
	bool asleep;
	unsigned slept_on;

	void before()
	{
		position.store(0, mo_relaxed, $);
		moved.store(0, mo_relaxed, $);
		kernel.store(0, mo_relaxed, $);
		asleep = false;
	}
	void produce()
	{
		unsigned woken = 0; // the attention of a wake long ago
		for (unsigned i = 0; i < COMMITS; i++) {
			if (i == 0)
				message($) = 1;
			unsigned seen = i + 1 < COMMITS ? moved.load(mo_relaxed, $) : 0; // for the next one
			unsigned now = weakened == "ATTENTION_FIRST" ? moved.load(look, $) : 0;
			position.exchange(i + 1, commit, $);
			if (weakened != "ATTENTION_FIRST")
				now = moved.load(look, $);
			if (now == woken)
				continue;
			woken = weakened == "REMEMBERS_LATER" ? now : seen;
			kernel.fetch_add(1, mo_acq_rel, $);
			asleep = false;
		}
	}
	void thread(unsigned i)
	{
		if (i == 0) {
			produce();
			return;
		}
		unsigned judged = position.load(see, $);
		if (judged > 0)
			RL_ASSERT(message($) == 1);
		moved.fetch_add(1, announce, $);
		if (position.load(again, $) != judged)
			return; // and judges again
		kernel.fetch_add(1, mo_acq_rel, $);
		asleep = true; // unless it finds another word; a wake in between lets it go too
		slept_on = judged;
		if (position.load(mo_relaxed, $) != judged)
			asleep = false;
	}
	void after() { RL_ASSERT(!asleep || slept_on == COMMITS); }
};
