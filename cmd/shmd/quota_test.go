package main

import (
	"strings"
	"testing"
)

func TestQuota(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	text := must(t, "quota")
	for _, want := range []string{"UID", "objects", "connections", "all"} {
		if !strings.Contains(text, want) {
			t.Errorf("quota does not tell of %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "zombies") || !strings.Contains(must(t, "quota", "--all"), "zombies") {
		t.Errorf("what is not used is told without being asked, or not at all:\n%s", text)
	}
	lines := strings.Split(strings.TrimSpace(must(t, "quota", "--json")), "\n")
	wantJSON(t, lines[1], map[string]any{"resource": "bytes", "used": 4096})
	wantJSON(t, lines[len(lines)/2+1], map[string]any{"uid": nil, "resource": "bytes", "used": 4096, "max": 64 << 20})
}
