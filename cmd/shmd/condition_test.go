package main

import (
	"strings"
	"testing"
)

func TestCondition(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "c", "condition", "--lock", "@m")
	expect(t, "", "signal", "c") // nobody waits, which is fine
	first := spawnWaiter(t, "c")
	expect(t, "", "signal", "c")
	first.wantEnd(0, "", "")
	for _, signal := range [][]string{{"--all"}, {"-n", "2"}} {
		first, second := spawn(t, "wait", "c"), spawn(t, "wait", "c")
		first.start()
		second.start()
		asleep(t, "c", 2)
		expect(t, "", append([]string{"signal", "c"}, signal...)...)
		first.wantEnd(0, "", "")
		second.wantEnd(0, "", "")
	}
	wantJSON(t, must(t, "signal", "c", "--json"), map[string]any{"kind": "condition", "notified": 1})
	wantJSON(t, must(t, "signal", "c", "--all", "--json"), map[string]any{"notified": "all"})
	if text := must(t, "stat", "c"); !strings.Contains(text, "mutex:     id:") {
		t.Errorf("stat:\n%s", text)
	}
	if r := invoke(t, "wait", "c", "-w", "20ms"); r.code != exitTemporary {
		t.Errorf("nobody signals: %+v", r)
	}
	expect(t, "in\n", "lock", "m", "--nonblock", "--", "echo", "in") // nothing is left held
	expect(t, "in\n", "lock", "c", "--nonblock", "--", "echo", "in") // the same mutex

	holder := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x")
	holder.start()
	holder.line("held")
	for _, args := range [][]string{
		{"signal", "c", "--nonblock"}, {"signal", "c", "-w", "20ms"}, {"wait", "c", "--nonblock"},
	} {
		if r := invoke(t, args...); r.code != exitTemporary {
			t.Errorf("shmd %q while its mutex is held: %+v", args, r)
		}
	}
	if err := holder.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	holder.wantEnd(1, "", "")
}

// A command is what is waited for, and is asked under the mutex.
func TestConditionCommand(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "c", "condition", "--lock", "@m")
	flag := t.TempDir() + "/flag"
	p := spawnWaiter(t, "c", "--", "sh", "-c", "echo asked; test -e "+flag)
	p.line("asked")
	must(t, "signal", "c")
	p.line("asked")
	asleep(t, "c", 1)
	must(t, "lock", "m", "--", "sh", "-c", ": >"+flag)
	must(t, "signal", "c")
	p.wantEnd(0, "asked\n", "")
	expect(t, "asked\n", "wait", "c", "--nonblock", "--", "echo", "asked")
	if r := invoke(t, "wait", "c", "-w", "20ms", "--", "false"); r.code != exitTemporary {
		t.Errorf("what never comes: %+v", r)
	}
	if r := invoke(t, "wait", "c", "--nonblock", "--", "false"); r.code != exitTemporary {
		t.Errorf("what is not there: %+v", r)
	}
	expect(t, "in\n", "lock", "m", "--nonblock", "--", "echo", "in")
	r := invoke(t, "wait", "c", "--json", "--", "true")
	wantJSON(t, r.stdout, map[string]any{"notified": true})
}

// After the death of an owner of a strict mutex nobody passes without a repair, and
// nothing is lost by trying.
func TestConditionOfStrictMutex(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex", "--strict")
	must(t, "create", "c", "condition", "--lock", "@m")
	p := spawn(t, "lock", "c", "--", "sh", "-c", "echo held; read x")
	p.start()
	p.line("held")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end()
	for _, args := range [][]string{{"signal", "c"}, {"wait", "c"}, {"signal", "c", "--all"}} {
		r := invoke(t, args...)
		if r.code != 1 || !strings.Contains(r.stderr, "died holding its mutex") ||
			!strings.Contains(r.stderr, "shmd lock m --mark-consistent") {
			t.Errorf("shmd %q: %+v", args, r)
		}
	}
	if r := invoke(t, "lock", "m", "--mark-consistent", "--", "true"); r.code != 0 {
		t.Errorf("the repair: %+v", r)
	}
	must(t, "signal", "c")

	// One that is not strict only says so.
	must(t, "create", "m2", "mutex")
	must(t, "create", "c2", "condition", "--lock", "@m2")
	p = spawn(t, "lock", "c2", "--", "sh", "-c", "echo held; read x")
	p.start()
	p.line("held")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.end()
	if r := invoke(t, "signal", "c2"); r.code != 0 || !strings.Contains(r.stderr, "warning: signal \"c2\": process ") {
		t.Errorf("signal: %+v", r)
	}
	r := invoke(t, "wait", "c2", "--", "sh", "-c", "echo died=$"+ownerDiedVariable)
	if r.code != 0 || r.stdout != "died=1\n" {
		t.Errorf("wait: %+v", r)
	}
}

func TestConditionMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "c", "condition", "--lock", "@m")
	wantRefused(t, []refused{
		{"create d condition", 2, "--lock @NAME"},
		{"create d condition --lock none", 1, "lock"},
		{"create d condition --lock @c", 1, "mutex"},
		{"signal c -n 0", 2, "--all"},
		{"abort c", 1, "want a barrier"},
		{"wait c -- ./no/such", exitNotFound, "no/such"},
	})
}
