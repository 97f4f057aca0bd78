package crash

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
)

const (
	// dumpMegabytes make a dump last for some tens of milliseconds.
	dumpMegabytes = "96"
	// dumpTries bounds how often a dump may be over before anybody has seen it.
	dumpTries = 10
)

// dumping reports whether a process is writing its core dump.
func dumping(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), "\nCoreDumping:\t1\n")
}

// needDumps skips the test where a process does not write a core dump of its own.
func needDumps(t *testing.T) {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || strings.ContainsAny(string(pattern), "|/@") || strings.TrimSpace(string(pattern)) == "" {
		t.Skipf("core dumps of this machine go to %q (%v), not to the directory of the process", pattern, err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Max != unix.RLIM_INFINITY {
		t.Skipf("core dumps have at most %d bytes here (%v)", core.Max, err)
	}
}

// TestHolderDumpsCore has a holder die of a signal with a core dump: for as long as it writes
// that it is not dead, and keeps what it holds; then it is recovered as any.
func TestHolderDumpsCore(t *testing.T) {
	needDumps(t)
	s := newScene(t)
	for range dumpTries {
		cmd := harness.Command(harness.Program(t, "tests/crash/c/dumper"), dumpMegabytes)
		cmd.Dir = t.TempDir()
		holder := s.run(cmd, nil)
		holder.Expect("held")
		heir := s.start(flavourGo, nil)
		heir.do("open mutex lock", "ok")
		heir.Send("lock lock")
		s.awaitSleepers(subjects[0], 1)
		holder.Signal(syscall.SIGSEGV)
		seen := false
		for !seen && !holder.Ended() {
			if !dumping(holder.PID()) {
				continue
			}
			st := s.stat("lock")
			if seen = dumping(holder.PID()); seen && (st.Held == nil || int(st.Held.PID) != holder.PID()) {
				t.Errorf("while it dumps core the lock is %+v", st.Held)
			}
		}
		<-holder.Done()
		if line := heir.Line(); !strings.Contains(line, fmt.Sprintf(" %d ", holder.PID())) {
			t.Errorf("after the death of client %d: %s", holder.PID(), line)
		}
		heir.do("mark lock", "ok")
		heir.do("unlock lock", "ok")
		heir.MustEnd()
		if seen {
			return
		}
	}
	t.Skip("no dump was seen while it was written")
}
