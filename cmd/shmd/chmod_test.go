package main

import (
	"os"
	"strings"
	"testing"
)

func TestChmodAndChown(t *testing.T) {
	startDaemon(t)
	must(t, "create", "a", "mutex", "--mode", "0640")
	must(t, "create", "b", "mutex")
	expect(t, "", "chmod", "0644", "a", "b")
	for _, name := range []string{"a", "b"} {
		if got := must(t, "stat", name); !strings.Contains(got, "0644") {
			t.Errorf("%s after chmod:\n%s", name, got)
		}
	}
	wantJSON(t, must(t, "chmod", "0600", "a", "--json"), map[string]any{"name": "a", "mode": "0600"})
	for _, args := range [][]string{{"chmod", "0999", "a"}, {"chmod", "a"}, {"chown", "no-such-user", "a"},
		{"chown", ":no-such-group", "a"}, {"chown", "-1", "a"}} {
		if r := invoke(t, args...); r.code != exitUsage {
			t.Errorf("shmd %q: %+v", args, r)
		}
	}
	if r := invoke(t, "chmod", "0755", "a"); r.code != exitFailure || !strings.Contains(r.stderr, "mode is 0755") {
		t.Errorf("a mode to execute: %+v", r)
	}
	// The others are done all the same.
	r := invoke(t, "chmod", "0604", "none", "b")
	if r.code != exitFailure || !strings.Contains(r.stderr, "none") || !strings.Contains(must(t, "stat", "b"), "0604") {
		t.Errorf("one that is not there: %+v", r)
	}
	if os.Getuid() != 0 {
		t.Skip("only root gives objects away")
	}
	wantJSON(t, must(t, "chown", "65534:7", "a", "--json"), map[string]any{"name": "a", "owner": "65534:7"})
	must(t, "chown", ":8", "a")
	wantJSON(t, must(t, "stat", "a", "--json"), map[string]any{"name": "a", "uid": 65534, "gid": 8, "mode": 0o600})
	if r := invoke(t, "__completeNoDesc", "chown", "root", ""); !strings.HasPrefix(r.stdout, "a\nb\n:") {
		t.Errorf("completion: %+v", r)
	}
}
