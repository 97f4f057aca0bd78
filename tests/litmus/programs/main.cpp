// Runs one program, as it is or with one weakening: litmus PROGRAM [WEAKENING]. Prints
// PASS or FAIL and in how many ways it was run, and before that the way that failed.
#include "attention.hpp"
#include "barrier.hpp"
#include "crossing.hpp"
#include "crossing_x86.hpp"
#include "event.hpp"
#include "eventcount.hpp"
#include "handover.hpp"
#include "idle.hpp"
#include "removal.hpp"
#include "rwlock.hpp"
#include "sequence.hpp"
#include "stolen.hpp"
#include "token.hpp"

std::string weakened;

template <typename program> int check()
{
	test_params params;
	params.search_type = sched_full;
	params.iteration_count = 100000000; // a bound of the scheduler's, far above what it needs
	params.execution_depth_limit = 1000;
	bool passed = simulate<program>(params);
	std::cout << (passed ? "PASS " : "FAIL ") << params.stop_iteration << std::endl;
	return 0;
}

int main(int argc, char **argv)
{
	std::string program = argc > 1 ? argv[1] : "";
	weakened = argc > 2 ? argv[2] : "";
	if (program == "attention")
		return check<attention>();
	if (program == "barrier")
		return check<barrier>();
	if (program == "crossing")
		return check<crossing>();
	if (program == "crossing_x86")
		return check<crossing_x86>();
	if (program == "event")
		return check<event>();
	if (program == "eventcount")
		return check<eventcount>();
	if (program == "handover")
		return check<handover>();
	if (program == "idle")
		return check<idle>();
	if (program == "removal")
		return check<removal>();
	if (program == "rwlock")
		return check<rwlock>();
	if (program == "sequence")
		return check<sequence>();
	if (program == "stolen")
		return check<stolen>();
	if (program == "token")
		return check<token>();
	std::cerr << "no such program" << std::endl;
	return 2;
}
