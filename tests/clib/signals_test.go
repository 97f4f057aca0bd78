package clib

import (
	"regexp"
	"strings"
	"testing"
)

// What shmd.h calls safe in a signal handler, called from one: all of it, and under the
// sanitizers too.
func TestSignals(t *testing.T) {
	manual, probe := read(t, header), read(t, "tests/clib/probe/signals.c")
	_, list, found := strings.Cut(manual, "- Signals: safe in a signal handler")
	list, _, ends := strings.Cut(list, " *   - ")
	safe := regexp.MustCompile(`shmd_\w+`).FindAllString(list, -1)
	if !found || !ends || len(safe) < 20 {
		t.Fatalf("%s lists %d safe functions: it is not read right", header, len(safe))
	}
	handlers, _, _ := strings.Cut(probe, "static void handle(")
	for _, name := range safe {
		if name != "shmd_last_error" && !strings.Contains(handlers, name+"(") {
			t.Errorf("%s says that %s is safe in a signal handler, and no handler of signals.c calls it", header, name)
		}
		if twin := strings.Replace(name, "shmd_value_", "shmd_array_", 1); !strings.Contains(handlers, twin+"(") &&
			name != "shmd_last_error" {
			t.Errorf("%s says that %s is safe in a signal handler, and no handler of signals.c calls it", header, twin)
		}
	}
	behaveTwice(t, "signals")
}
