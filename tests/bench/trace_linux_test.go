package main

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/measure"
)

// callerVariable makes the test binary the process whose calls are counted.
const callerVariable = "SHMD_BENCH_TEST_CALLER"

func TestMain(m *testing.M) {
	if os.Getenv(callerVariable) == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	err := measure.Serve(func(command string, n int) (string, error) {
		switch command {
		case "tid":
			return strconv.Itoa(unix.Gettid()), nil
		case "call":
			unix.Getppid()
			for range n {
				unix.Getuid()
			}
			unix.Getppid()
			unix.Getuid() // not between the markers
			return "done", nil
		}
		return "", errors.New("no such command")
	})
	if err != nil {
		fail(err)
	}
}

// The counter sees the calls that there are, and no others.
func TestCountSyscalls(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(callerVariable, "1")
	c, err := measure.Start(t.Context(), self)
	if err != nil {
		t.Fatal(err)
	}
	tid, err := c.Number("tid")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1, 1000} {
		got, err := countCalls(c, int(tid), "call", want)
		if errors.Is(err, unix.EPERM) {
			t.Skip("this machine does not let a parent trace its child: ", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("counted %d system calls, made %d", got, want)
		}
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	// One that is gone is an error, not a count.
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := countSyscalls(gone.Process.Pid, func() error { return nil }); err == nil {
		t.Error("the calls of a process that has ended were counted")
	}
}
