package main

import (
	"strings"
	"testing"
)

func TestBarrier(t *testing.T) {
	startDaemon(t)
	must(t, "create", "b", "barrier", "--parties", "2")
	if r := invoke(t, "wait", "b", "--nonblock"); r.code != exitTemporary {
		t.Errorf("alone: %+v", r)
	}
	p := spawnWaiter(t, "b")
	if text := must(t, "stat", "b"); !strings.Contains(text, "arrived:   1 of 2, in round 0\n") {
		t.Errorf("stat:\n%s", text)
	}
	expect(t, "1\n", "wait", "b", "--nonblock")
	p.wantEnd(0, "0\n", "")
	p = spawnWaiter(t, "b", "--json")
	wantJSON(t, must(t, "wait", "b", "--json"), map[string]any{"kind": "barrier", "index": 1, "leader": false})
	_, line := p.end()
	wantJSON(t, line, map[string]any{"index": 0, "leader": false})
	if text := must(t, "ls", "b"); !strings.Contains(text, "barrier  -     2 ") {
		t.Errorf("ls:\n%s", text)
	}
	wantJSON(t, must(t, "stat", "b", "--json"), map[string]any{"parties": 2, "waiting": nil,
		"barrier": "map[acting:false broken:false generation:2 last_death:<nil> parties:2 reasons:[] waiting:0]"})
}

// The last to arrive runs its command before the others go on.
func TestBarrierCommand(t *testing.T) {
	startDaemon(t)
	must(t, "create", "b", "barrier", "--parties", "2")
	p := spawnWaiter(t, "b", "--", "echo", "not by the first")
	expect(t, "by the last\n1\n", "wait", "b", "--", "echo", "by the last")
	p.wantEnd(0, "0\n", "")
	for _, c := range []struct {
		words []string
		code  int
	}{
		{[]string{"sh", "-c", "exit 42"}, 42},
		{[]string{"sh", "-c", "kill -TERM $$"}, 143},
	} {
		p := spawnWaiter(t, "b")
		if r := invoke(t, append([]string{"wait", "b", "--"}, c.words...)...); r.code != c.code || r.stdout != "" {
			t.Errorf("%q: %+v", c.words, r)
		}
		p.wantEnd(1, "", "broken")
		if text := must(t, "stat", "b"); !strings.Contains(text, "broken:    by action; shmd reset makes it whole\n") {
			t.Errorf("stat:\n%s", text)
		}
		expect(t, "", "reset", "b")
	}
	wantJSON(t, must(t, "abort", "b", "--json"), map[string]any{"broken": true})
	wantJSON(t, must(t, "reset", "b", "--json"), map[string]any{"reset": true, "died": nil})
}

// Who does not come breaks the barrier: by its timeout, its death, or by word.
func TestBarrierBreaks(t *testing.T) {
	startDaemon(t)
	must(t, "create", "b", "barrier", "--parties", "3")
	p := spawnWaiter(t, "b")
	if r := invoke(t, "wait", "b", "-w", "20ms"); r.code != exitTemporary {
		t.Errorf("timeout: %+v", r)
	}
	p.wantEnd(1, "", "timeout")
	expect(t, "", "reset", "b")

	p = spawnWaiter(t, "b")
	expect(t, "", "abort", "b")
	p.wantEnd(1, "", "abort")
	if r := invoke(t, "wait", "b"); r.code != 1 || !strings.Contains(r.stderr, "reset") {
		t.Errorf("who comes later: %+v", r)
	}
	expect(t, "", "reset", "b")

	p, victim := spawnWaiter(t, "b"), spawn(t, "wait", "b")
	victim.start()
	asleep(t, "b", 2)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.end()
	p.wantEnd(1, "", "pid ")
	if text := must(t, "stat", "b"); !strings.Contains(text, "broken:    by death") ||
		!strings.Contains(text, "deaths:    1, the last of process ") {
		t.Errorf("stat:\n%s", text)
	}
	r := invoke(t, "reset", "b")
	if r.code != 0 || !strings.Contains(r.stderr, "warning: reset \"b\": it was broken by") {
		t.Errorf("reset: %+v", r)
	}
	expect(t, "", "reset", "b") // now nobody died
}

// A party that is killed while its command runs breaks the barrier, and the command
// is gone.
func TestBarrierLeaderDies(t *testing.T) {
	startDaemon(t)
	must(t, "create", "b", "barrier", "--parties", "2")
	p := spawnWaiter(t, "b")
	leader := spawn(t, "wait", "b", "--", "sh", "-c", "echo acting; read x; echo survived")
	leader.start()
	leader.line("acting")
	if text := must(t, "stat", "b"); !strings.Contains(text, "acting:") {
		t.Errorf("stat:\n%s", text)
	}
	if err := leader.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, rest := leader.end(); code != -1 || rest != "" {
		t.Errorf("the killed leader: exit %d, output %q", code, rest)
	}
	p.wantEnd(1, "", "pid ")
}

func TestBarrierMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "b", "barrier", "--parties", "2")
	wantRefused(t, []refused{
		{"create x barrier", 2, "--parties NUMBER"},
		{"create x barrier --parties 0", 1, "1 to 4094"},
		{"create x mutex --parties 2", 1, "parties"},
		{"create b barrier --parties 3 --exist-ok", 1, "parties"},
		{"signal b", 1, "want an event or a condition"},
		{"abort", 2, "accepts 1 arg"},
		{"wait b -- no-such-command", exitNotFound, "no-such-command"},
	})
	if text := must(t, "stat", "b"); !strings.Contains(text, "arrived:   0 of 2") {
		t.Errorf("something was done:\n%s", text)
	}
}
