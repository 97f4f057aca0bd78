package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Cgroup is a memory cgroup of its own, of version 2 or 1, that ends with the test.
type Cgroup struct {
	t   testing.TB
	dir string
	v1  bool
}

// NewCgroup makes a cgroup of so many bytes, without swap, or skips the test and says why it
// cannot.
func NewCgroup(t testing.TB, bytes uint64) *Cgroup {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("this machine has no cgroups: %v", err)
	}
	g := &Cgroup{t: t}
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) < 3:
		case parts[1] == "memory":
			g.dir, g.v1 = filepath.Join("/sys/fs/cgroup/memory", parts[2]), true
		case parts[1] == "" && g.dir == "":
			// Its processes are in the group itself, which may then have no children with
			// limits of their own; its parent may.
			mount := "/sys/fs/cgroup"
			if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
				mount += "/unified" // beside version 1
			}
			g.dir = filepath.Join(mount, filepath.Dir(parts[2]))
		}
	}
	g.dir = filepath.Join(g.dir, fmt.Sprintf("shmd-test-%d", os.Getpid()))
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Skipf("a cgroup cannot be made here: %v", err)
	}
	t.Cleanup(func() {
		// It is empty once its processes are reaped.
		Await(t, "the end of the cgroup", func() bool {
			err := os.Remove(g.dir)
			return err == nil || !errors.Is(err, syscall.EBUSY)
		})
	})
	limits := map[string]string{"memory.max": "", "memory.swap.max": "0"}
	if g.v1 {
		limits = map[string]string{"memory.limit_in_bytes": "", "memory.swappiness": "0"}
	}
	for name, value := range limits {
		if value == "" {
			value = strconv.FormatUint(bytes, 10)
		}
		err := os.WriteFile(filepath.Join(g.dir, name), []byte(value), 0o644)
		if err != nil && !strings.Contains(name, "swap") {
			t.Skipf("a cgroup cannot be given a limit here: %v", err)
		}
	}
	return g
}

// Within makes a program that runs another one in the cgroup.
func (g *Cgroup) Within(program string) string {
	g.t.Helper()
	path := filepath.Join(g.t.TempDir(), filepath.Base(program))
	script := fmt.Sprintf("#!/bin/sh\necho $$ > '%s/cgroup.procs' && exec '%s' \"$@\"\n", g.dir, program)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// Killed is how many processes of the cgroup the kernel has killed for their memory.
func (g *Cgroup) Killed() uint64 {
	g.t.Helper()
	name := "memory.events"
	if g.v1 {
		name = "memory.oom_control"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "oom_kill "); found {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return n
		}
	}
	g.t.Skipf("%s does not tell whom the kernel has killed", name)
	return 0
}

// Used is how much memory the cgroup has now; 0 if it does not tell.
func (g *Cgroup) Used() uint64 {
	name := "memory.current"
	if g.v1 {
		name = "memory.usage_in_bytes"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
