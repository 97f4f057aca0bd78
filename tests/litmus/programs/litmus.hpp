// What every program here needs. Relacy runs the threads of a program in every order,
// and lets every load see every value that the C++ memory model allows it to; "$" tells
// it where in the source it is.
#pragma once

#include <relacy/relacy.hpp>

#include <string>

using namespace rl;

typedef atomic<unsigned> word;

// The one weakening of this run, "" = none.
extern std::string weakened;

// An order of the library's, unless this run weakens it.
inline memory_order order(const char *name, memory_order usual)
{
	if (weakened == std::string(name) + "=relaxed")
		return mo_relaxed;
	if (weakened == std::string(name) + "=acquire")
		return mo_acquire;
	if (weakened == std::string(name) + "=release")
		return mo_release;
	if (weakened == std::string(name) + "=acq_rel")
		return mo_acq_rel;
	return usual;
}

inline bool cas(word &w, unsigned old, unsigned next, memory_order order)
{
	return w.compare_exchange_strong(old, next, order, $, mo_relaxed, $);
}

// What the kernel compares before a thread sleeps: the newest value, for it looks
// under the lock that wakes take too.
inline bool kernel_finds(word &w, unsigned expected)
{
	return w.fetch_add(0, mo_seq_cst, $) == expected;
}
