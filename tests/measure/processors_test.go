package measure

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// A child runs where it shall, and its parent where it did before.
func TestChildRunsOnItsProcessor(t *testing.T) {
	all, err := Processors()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	last := all[len(all)-1]
	for _, cpus := range [][]int{{last}, nil} {
		c, err := Command{Path: "/bin/sh", Args: []string{"-c", "grep Cpus_allowed_list /proc/self/status; read x"},
			CPUs: cpus}.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		line, err := c.Line()
		if err != nil {
			t.Fatal(err)
		}
		pinned := Field(line, "Cpus_allowed_list") == fmt.Sprint(last)
		if pinned != (cpus != nil || len(all) == 1) {
			t.Errorf("on %v: %q", cpus, line)
		}
		c.Kill()
	}
	if after, err := Processors(); err != nil || !slices.Equal(after, all) {
		t.Errorf("%v became %v, %v", all, after, err)
	}
	if _, err := (Command{Path: os.Args[0], CPUs: []int{1 << 9}}).Start(t.Context()); err == nil {
		t.Error("a program runs on a processor that is not there")
	}
}
