package main

import (
	"strings"
	"testing"
)

// spawnHolder starts shmd lock, until its command runs.
func spawnHolder(t *testing.T, name string, args ...string) *process {
	t.Helper()
	command := []string{"--", "sh", "-c", "echo held; read x; echo survived"}
	p := spawn(t, append(append([]string{"lock", name}, args...), command...)...)
	p.start()
	p.line("held")
	return p
}

func TestRWLock(t *testing.T) {
	startDaemon(t)
	must(t, "create", "l", "rwlock")
	reader := spawnHolder(t, "l", "--read")
	expect(t, "in\n", "lock", "l", "--read", "--nonblock", "--", "echo", "in")
	if r := invoke(t, "lock", "l", "--nonblock", "--", "true"); r.code != exitTemporary {
		t.Errorf("write beside a reader: %+v", r)
	}
	if text := must(t, "stat", "l"); !strings.Contains(text, "writing:   by nobody\n") ||
		!strings.Contains(text, "reading:   1 thread\n") {
		t.Errorf("stat:\n%s", text)
	}
	wantJSON(t, must(t, "stat", "l", "--json"), map[string]any{"kind": "rwlock", "readers": 1, "held": nil})
	if _, err := reader.stdin.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	reader.wantEnd(0, "survived\n", "")

	writer := spawnHolder(t, "l")
	for _, args := range [][]string{{"--nonblock"}, {"--read", "-w", "20ms"}, {"--read", "--nonblock"}} {
		if r := invoke(t, append(append([]string{"lock", "l"}, args...), "--", "true")...); r.code != exitTemporary {
			t.Errorf("lock %q beside a writer: %+v", args, r)
		}
	}
	if text := must(t, "stat", "l"); !strings.Contains(text, "writing:   by process ") {
		t.Errorf("stat:\n%s", text)
	}
	if _, err := writer.stdin.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	writer.wantEnd(0, "survived\n", "")
	wantJSON(t, must(t, "stat", "l", "--json"), map[string]any{"readers": 0, "held": nil})
	if r := invoke(t, "lock", "l", "--read", "--", "sh", "-c", "exit 42"); r.code != 42 {
		t.Errorf("the command's status: %+v", r)
	}
}

// What a wrapper holds dies with it, and its command: a reader's in silence, a
// writer's with a notice to readers and writers, until one of these repairs.
func TestRWLockHolderDies(t *testing.T) {
	startDaemon(t)
	must(t, "create", "l", "rwlock")
	kill := func(args ...string) {
		t.Helper()
		p := spawnHolder(t, "l", args...)
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if code, rest := p.end(); code != -1 || rest != "" {
			t.Errorf("the killed holder: exit %d, output %q", code, rest)
		}
	}
	show := []string{"--", "sh", "-c", `echo "died=$` + ownerDiedVariable + `"`}
	kill("--read")
	expect(t, "died=\n", append([]string{"lock", "l"}, show...)...)
	kill()
	for _, args := range [][]string{{"--read"}, {}, {"--mark-consistent"}} {
		r := invoke(t, append(append([]string{"lock", "l"}, args...), show...)...)
		if r.code != 0 || r.stdout != "died=1\n" || !strings.Contains(r.stderr, "died holding it, at 2") {
			t.Errorf("lock %q after a writer's death: %+v", args, r)
		}
	}
	expect(t, "died=\n", append([]string{"lock", "l", "--read"}, show...)...)
}

func TestRWLockMistakes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "l", "rwlock")
	must(t, "create", "e", "event")
	wantRefused(t, []refused{
		{"lock m --read -- true", 2, "only an rwlock is locked for reading; \"m\" is a mutex"},
		{"lock l --read --mark-consistent -- true", 2, "none of the others can be"},
		{"lock e -- true", 1, "event"},
		{"wait l", 1, "its kind is rwlock"},
		{"create x rwlock --recursive", 1, "recursive"},
	})
}
