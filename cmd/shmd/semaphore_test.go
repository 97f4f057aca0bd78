package main

import (
	"strings"
	"testing"
)

func TestPlainSemaphore(t *testing.T) {
	startDaemon(t)
	must(t, "create", "s", "semaphore", "--initial", "0", "--maximum", "3")
	for _, wait := range [][]string{{"--nonblock"}, {"--timeout", "20ms"}, {"-w", "0"}} {
		r := invoke(t, append(append([]string{"acquire", "s"}, wait...), "--", "echo", "in")...)
		if r.code != exitTemporary || r.stdout != "" || r.stderr == "" {
			t.Errorf("acquire %q: %+v", wait, r)
		}
	}
	expect(t, "", "release", "s", "-n", "2")
	expect(t, "", "acquire", "s")
	expect(t, "in\n", "acquire", "s", "--nonblock", "--", "echo", "in")
	wantJSON(t, must(t, "stat", "s", "--json"), map[string]any{"maximum": 3,
		"permits": "map[available:1 maximum:3 total:0]"})
	wantJSON(t, must(t, "acquire", "s", "--json"), map[string]any{"name": "s", "kind": "semaphore", "acquired": 1})
	wantJSON(t, must(t, "release", "s", "-n", "3", "--json"), map[string]any{"released": 3})
	if r := invoke(t, "release", "s", "--post"); r.code != exitFailure || !strings.Contains(r.stderr, "overflow") {
		t.Errorf("more than the maximum: %+v", r)
	}
	if text := must(t, "stat", "s"); !strings.Contains(text, "permits:   3 available, at most 3\n") {
		t.Errorf("stat:\n%s", text)
	}
}

func TestUndoSemaphore(t *testing.T) {
	startDaemon(t)
	must(t, "create", "s", "semaphore", "--initial", "2", "--maximum", "4", "--undo")
	for _, c := range []struct {
		words []string
		code  int
	}{
		{[]string{"sh", "-c", "exit 42"}, 42},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143},
		{[]string{"no-such-command"}, exitNotFound},
		{[]string{"true"}, 0},
	} {
		r := invoke(t, append([]string{"acquire", "s", "-n", "2", "--nonblock", "--"}, c.words...)...)
		if r.code != c.code {
			t.Errorf("acquire -- %q: %+v, want exit %d", c.words, r, c.code)
		}
	}
	wantJSON(t, must(t, "release", "s", "--post", "--json"), map[string]any{"posted": 1})
	if text := must(t, "stat", "s"); !strings.Contains(text, "3 available, 0 held, 3 in all, at most 4") ||
		!strings.Contains(text, "semaphore (undo)") {
		t.Errorf("stat:\n%s", text)
	}
}

// The permits of a holder that is killed come back, and its command is gone.
func TestPermitsComeBack(t *testing.T) {
	startDaemon(t)
	must(t, "create", "s", "semaphore", "--initial", "3", "--undo")
	p := spawn(t, "acquire", "s", "-n", "2", "--", "sh", "-c", "echo held; read x; echo survived")
	p.start()
	p.line("held")
	if text := must(t, "stat", "s"); !strings.Contains(text, "1 available, 2 held, 3 in all") {
		t.Errorf("stat:\n%s", text)
	}
	if r := invoke(t, "acquire", "s", "-n", "2", "--nonblock", "--", "true"); r.code != exitTemporary {
		t.Errorf("two of one: %+v", r)
	}
	must(t, "acquire", "s", "--nonblock", "--", "true")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, rest := p.end(); code != -1 || rest != "" {
		t.Errorf("the killed holder: exit %d, output %q", code, rest)
	}
	expect(t, "in\n", "acquire", "s", "-n", "3", "--", "echo", "in")
}

func TestSemaphoreMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "plain", "semaphore", "--maximum", "2")
	must(t, "create", "undo", "semaphore", "--maximum", "2", "--undo")
	must(t, "create", "q", "queue")
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"acquire", 2, "NAME"},
		{"acquire plain true", 2, "shmd acquire plain -- true"},
		{"acquire plain --", 2, "COMMAND"},
		{"acquire undo", 2, "want shmd acquire undo -- COMMAND"},
		{"acquire q", 1, "want a semaphore"},
		{"acquire plain -n 2", 1, "create it with undo"},
		{"acquire undo -n 3 -- true", 1, "the maximum, 2"},
		{"acquire undo -n 0 -- true", 1, "the maximum, 2"},
		{"acquire undo -n -1 -- true", 2, "-1"},
		{"release undo", 2, "--post"},
		{"release plain -n 2", 1, "overflow"},
		{"release undo --post -n 2", 1, "overflow"},
		{"release q", 1, "want a semaphore"},
		{"release", 2, "accepts 1 arg"},
	} {
		r := invoke(t, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) || !strings.HasPrefix(r.stderr, "shmd: ") ||
			r.stdout != "" {
			t.Errorf("shmd %s: %+v, want exit %d and %q", c.args, r, c.code, c.text)
		}
	}
	for _, name := range []string{"plain", "undo"} {
		if text := must(t, "stat", name); !strings.Contains(text, "1 available") {
			t.Errorf("something was done:\n%s", text)
		}
	}
}
