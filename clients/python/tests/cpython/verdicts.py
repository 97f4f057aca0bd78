# SPDX-License-Identifier: Apache-2.0
"""What of CPython's tests is not run over shmd.multiprocessing, and why; what is deviated from on purpose.

The keys are classes, or CLASS.method. Only internals of CPython (N) and parts that are the standard module's own (C)
may stand in NOT_APPLICABLE; any other test that does not pass fails the run.
"""

_INTERNALS = "N: internals of CPython: "
_FALLBACK = "C: the face hands out the standard module's: "

NOT_APPLICABLE = {
    "TestInternalDecorators": _INTERNALS + "a decorator of the test file",
    "_TestContainers": _FALLBACK + "proxies of managers",
    "_TestMyManager": _FALLBACK + "managers",
    "_TestRemoteManager": _FALLBACK + "managers",
    "_TestManagerRestart": _FALLBACK + "managers",
    "_TestHeap": _INTERNALS + "the allocator of multiprocessing.heap",
    "_TestFinalize": _INTERNALS + "multiprocessing.util.Finalize",
    "_TestImportStar": _INTERNALS + "the __all__ of each module",
    "_TestLogging": _INTERNALS + "the logger",
    "_TestPollEintr": _INTERNALS + "the popen objects of processes",
    "TestInvalidHandle": _INTERNALS + "the handle of a _ConnectionBase",
    "OtherTest": _INTERNALS + "the challenge of connections with a key",
    "TestInvalidFamily": _INTERNALS + "names of address families",
    "TestFlags": _INTERNALS + "flags of the interpreter in children",
    "TestNoForkBomb": _INTERNALS + "the guard of spawn's main module",
    "TestForkAwareThreadLock": _INTERNALS + "multiprocessing.util.ForkAwareThreadLock",
    "TestCloseFds": _INTERNALS + "descriptors that spawn leaves open",
    "TestStartMethod": _INTERNALS + "start methods; it also demands that their objects do not mix, and ours do",
    "TestResourceTracker": _INTERNALS + "the resource tracker",
    "TestSyncManagerTypes": _FALLBACK + "managers",
    "TestNamedResource": _INTERNALS + "the names of POSIX semaphores",
    "MiscTestCase": _INTERNALS + "the __all__ of the package, and the forkserver's preloads",
    "SemLockTests": _INTERNALS + "_multiprocessing.SemLock",
    "_TestQueue.test_no_import_lock_contention": _INTERNALS + "the import lock, in a script of the standard module",
    "_TestPoolWorkerLifetime.test_worker_finalization_via_atexit_handler_of_multiprocessing":
        _INTERNALS + "a script of the standard module",
    "TestSimpleQueue.test_close": _INTERNALS + "the pipe that a SimpleQueue of CPython consists of",
    "_TestSharedMemory.test_shared_memory_SharedMemoryServer_ignores_sigint": _FALLBACK + "managers",
    "_TestSharedMemory.test_shared_memory_SharedMemoryManager_reuses_resource_tracker": _FALLBACK + "managers",
    "_TestSharedMemory.test_shared_memory_SharedMemoryManager_basics": _FALLBACK + "managers",
    "_TestSharedMemory.test_shared_memory_cleaned_after_process_termination":
        _INTERNALS + "the resource tracker, in a script of the standard module",
}

_FEEDER_ERRORS = ({"SHMD_QUEUE_FEEDER_ERRORS": "1"},
                  "what cannot be pickled raises in put(), where the mistake is, and not in another thread")
_STANDARD_PIPE = ({"SHMD_STANDARD_PIPE": "1"},
                  "a pipe is memory, and carries no descriptors: a Listener's connection does")
_SENT_AT_ONCE = ({"SHMD_STANDARD_PIPE": "1"},
                 "a message of any length is sent before anybody receives it, so who sends it may have ended by then")

# What passes with the switch only: test -> (environment, the reason for the deviation).
DEVIATIONS = {
    "_TestQueue.test_queue_feeder_donot_stop_onexc": _FEEDER_ERRORS,
    "_TestQueue.test_queue_feeder_on_queue_feeder_error": _FEEDER_ERRORS,
    "_TestConnection.test_fd_transfer": _STANDARD_PIPE,
    "_TestConnection.test_large_fd_transfer": _STANDARD_PIPE,
    "_TestConnection.test_missing_fd_transfer": _STANDARD_PIPE,
    "TestIgnoreEINTR.test_ignore": _SENT_AT_ONCE,
}

# Tests that skip themselves over the standard module just the same: test -> the beginning of its reason.
SKIPPED_UPSTREAM = {
    "_TestProcess.test_child_fd_inflation": "test not appropriate for",
    "_TestProcess.test_forkserver_sigint": "test not appropriate for",
    "_TestProcess.test_forkserver_sigkill": "test not appropriate for",
}


def reason_not_applicable(name, method):
    """Why a test is not run; None if it is."""
    return NOT_APPLICABLE.get(name) or NOT_APPLICABLE.get(f"{name}.{method}")
