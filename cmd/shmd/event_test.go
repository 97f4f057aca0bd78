package main

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// asleep waits until n threads wait in an object.
func asleep(t *testing.T, name string, n int) {
	t.Helper()
	watchdog := time.Now().Add(time.Minute)
	for fmt.Sprint(decode(t, must(t, "stat", name, "--json"))["waiters"]) != fmt.Sprint(n) {
		if time.Now().After(watchdog) {
			t.Fatalf("%d do not come to wait:\n%s", n, must(t, "stat", name))
		}
		runtime.Gosched()
	}
}

// refused are commands that must fail, with an exit code and a text.
type refused struct {
	args string
	code int
	text string
}

func wantRefused(t *testing.T, all []refused) {
	t.Helper()
	for _, c := range all {
		r := invoke(t, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) || !strings.HasPrefix(r.stderr, "shmd: ") ||
			r.stdout != "" {
			t.Errorf("shmd %s: %+v, want exit %d and %q", c.args, r, c.code, c.text)
		}
	}
}

// spawnWaiter starts shmd wait in a process of its own, until it waits.
func spawnWaiter(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := spawn(t, append([]string{"wait", name}, args...)...)
	p.start()
	asleep(t, name, 1)
	return p
}

// wantEnd waits for the end of a process.
func (p *process) wantEnd(code int, stdout, stderr string) {
	p.t.Helper()
	got, rest := p.end()
	quiet := stderr != "" || p.stderr.Len() == 0
	if got != code || rest != stdout || !strings.Contains(p.stderr.String(), stderr) || !quiet {
		p.t.Errorf("it ends with %d, stdout %q, stderr %q; want %d, %q, %q", got, rest, p.stderr, code, stdout, stderr)
	}
}

func TestEvent(t *testing.T) {
	startDaemon(t)
	must(t, "create", "e", "event")
	for _, wait := range [][]string{{"--nonblock"}, {"--timeout", "20ms"}, {"-w", "0"}} {
		if r := invoke(t, append([]string{"wait", "e"}, wait...)...); r.code != exitTemporary || r.stderr == "" {
			t.Errorf("wait %q: %+v", wait, r)
		}
	}
	for _, release := range []string{"signal", "pulse"} {
		p := spawnWaiter(t, "e")
		expect(t, "", release, "e")
		p.wantEnd(0, "", "")
		expect(t, "", "reset", "e")
	}
	wantJSON(t, must(t, "stat", "e", "--json"), map[string]any{"kind": "event", "set": false})
	wantJSON(t, must(t, "signal", "e", "--json"), map[string]any{"name": "e", "kind": "event", "set": true})
	wantJSON(t, must(t, "wait", "e", "--json"), map[string]any{"set": true})
	wantJSON(t, must(t, "stat", "e", "--json"), map[string]any{"set": true})
	if text := must(t, "stat", "e"); !strings.Contains(text, "set:       yes\n") {
		t.Errorf("stat:\n%s", text)
	}
	wantJSON(t, must(t, "reset", "e", "--json"), map[string]any{"set": false})
	wantJSON(t, must(t, "pulse", "e", "--json"), map[string]any{"pulsed": true})
	if text := must(t, "stat", "e"); !strings.Contains(text, "set:       no\n") {
		t.Errorf("stat:\n%s", text)
	}

	must(t, "create", "auto", "event", "--auto-reset", "--set")
	expect(t, "", "wait", "auto", "--nonblock")
	if r := invoke(t, "wait", "auto", "--nonblock"); r.code != exitTemporary {
		t.Errorf("a second wait for one set: %+v", r)
	}
	if text := must(t, "ls", "auto"); !strings.Contains(text, "event") || !strings.Contains(text, "auto_reset") {
		t.Errorf("ls:\n%s", text)
	}
}

// wait tells when a value or an array changes.
func TestWaitChange(t *testing.T) {
	startDaemon(t)
	must(t, "create", "v", "value", "--code", "i")
	p := spawnWaiter(t, "v")
	must(t, "set", "v", "7")
	p.wantEnd(0, "1\n", "")
	expect(t, "1\n", "wait", "v", "--version", "0")
	wantJSON(t, must(t, "wait", "v", "--version", "0", "--json"), map[string]any{"kind": "value", "version": 1})
	if r := invoke(t, "wait", "v", "--version", "1", "--nonblock"); r.code != exitTemporary {
		t.Errorf("nothing has changed: %+v", r)
	}
}

func TestEventMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "e", "event")
	must(t, "create", "auto", "event", "--auto-reset")
	must(t, "create", "m", "mutex")
	must(t, "create", "v", "value", "--code", "i")
	wantRefused(t, []refused{
		{"signal", 2, "accepts 1 arg"},
		{"signal m", 1, "want an event or a condition"},
		{"signal e -n 2", 2, "which has no --count"},
		{"signal e --all", 2, "which has no --all"},
		{"signal e --nonblock", 2, "which has no --nonblock"},
		{"signal e -n 1 --all", 2, "none of the others can be"},
		{"pulse auto", 1, "auto reset"},
		{"pulse v", 1, "want an event"},
		{"wait", 2, "NAME"},
		{"wait nothing", 1, "no such object"},
		{"wait m", 1, "want an event, a barrier, a condition, a value or an array"},
		{"wait e true", 2, "shmd wait e -- true"},
		{"wait e -- true", 2, "only a barrier and a condition take a COMMAND"},
		{"wait e -- no-such-command", exitNotFound, "no-such-command"},
		{"wait e --version 7", 2, "only a value and an array have a --version"},
		{"create x event --undo", 1, "undo"},
		{"create x mutex --auto-reset", 1, "auto_reset"},
		{"create x event --code i", 2, "an event has no --code"},
	})
}
