package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Descriptors lists the open descriptors of a process with what they refer to.
func Descriptors(t testing.TB, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
		return nil
	}
	fds := make([]string, 0, len(entries))
	for _, e := range entries {
		// The one that lists them is gone by now.
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			fds = append(fds, e.Name()+" "+target)
		}
	}
	return fds
}

// Mappings lists the segments that a process has mapped, as /proc/PID/maps does.
func Mappings(t testing.TB, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Error(err)
		return nil
	}
	var mapped []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, segmentPrefix) {
			mapped = append(mapped, strings.TrimSpace(line))
		}
	}
	return mapped
}

// NoLeaks fails the test if at its end this process has more goroutines,
// descriptors or mapped segments than now. Call it first in a test that runs
// alone, and keep no view of an array in this process: views are never unmapped.
func NoLeaks(t testing.TB) {
	t.Helper()
	// With the first pollable file the runtime opens descriptors for ever.
	for _, f := range pipe(t) {
		f.Close()
	}
	goroutines := runtime.NumGoroutine()
	fds := Descriptors(t, os.Getpid())
	mapped := Mappings(t, os.Getpid())
	t.Cleanup(func() {
		if t.Failed() {
			return // whatever it was, it may hold things
		}
		giveUp := time.Now().Add(Patience)
		for {
			runtime.GC() // unmaps what nobody can reach any more
			now := Descriptors(t, os.Getpid())
			still := Mappings(t, os.Getpid())
			if runtime.NumGoroutine() <= goroutines && len(now) <= len(fds) && len(still) <= len(mapped) {
				return
			}
			if time.Now().After(giveUp) {
				stacks := make([]byte, 1<<20)
				t.Errorf("this process leaks: %d goroutines at the start, %d now; descriptors\n%s\nnow\n%s\n"+
					"segments\n%s\n%s",
					goroutines, runtime.NumGoroutine(), strings.Join(fds, "\n"), strings.Join(now, "\n"),
					strings.Join(still, "\n"), stacks[:runtime.Stack(stacks, true)])
				return
			}
		}
	})
}

func pipe(t testing.TB) []*os.File {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return []*os.File{out, in}
}
