package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/shmd/shmd/wire"
)

func TestLockExitCodes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	must(t, "create", "v", "value", "--code", "i")
	plain := t.TempDir() + "/plain"
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"m", "--", "true"}, 0},
		{[]string{"v", "--", "true"}, 0},
		{[]string{"m", "--", "sh", "-c", "exit 42"}, 42},
		{[]string{"m", "--", "sh", "-c", "kill -KILL $$"}, 137},
		{[]string{"m", "--", "sh", "-c", "kill -TERM $$"}, 143},
		{[]string{"m", "--", "no-such-command"}, exitNotFound},
		{[]string{"m", "--", "./no/such/command"}, exitNotFound},
		{[]string{"m", "--", plain}, exitNotExecutable},
		{[]string{"m", "--nonblock", "--", "true"}, 0},
	} {
		if r := invoke(t, append([]string{"lock"}, c.args...)...); r.code != c.code {
			t.Errorf("lock %q: exit %d, want %d; stderr %q", c.args, r.code, c.code, r.stderr)
		}
	}
	if text := must(t, "stat", "m"); !strings.Contains(text, "by nobody") || !strings.Contains(text, "deaths:    0") {
		t.Errorf("after all that:\n%s", text)
	}
	expect(t, "a  b --json\n", "lock", "m", "--", "echo", "a  b", "--json")
}

func TestLockExcludes(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	p := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x; echo $x")
	p.start()
	p.line("held")
	for _, args := range [][]string{{"--nonblock"}, {"--timeout", "20ms"}, {"-w", "0.02"}, {"-w", "0"}} {
		r := invoke(t, append(append([]string{"lock", "m"}, args...), "--", "echo", "in")...)
		if r.code != exitTemporary || r.stdout != "" || r.stderr == "" {
			t.Errorf("lock %q while it is held: %+v", args, r)
		}
	}
	if _, err := p.stdin.Write([]byte("input\n")); err != nil {
		t.Fatal(err)
	}
	if code, rest := p.end(); code != 0 || rest != "input\n" || p.stderr.Len() > 0 {
		t.Errorf("the holder: exit %d, %q, stderr %q", code, rest, p.stderr)
	}
	expect(t, "in\n", "lock", "m", "--nonblock", "--", "echo", "in")
}

// A wrapper that is killed takes its command along, and the next owner is told
// until somebody repairs.
func TestLockOwnerDies(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	t.Setenv(ownerDiedVariable, "1") // an outer lock's, which is none of ours
	show := []string{"sh", "-c", `echo "died=$` + ownerDiedVariable + `"`}
	expect(t, "died=\n", append([]string{"lock", "m", "--"}, show...)...)

	p := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x; echo survived")
	p.start()
	p.line("held")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Its stdin is still open: only a signal can end the command.
	if code, rest := p.end(); code != -1 || rest != "" {
		t.Errorf("the killed holder: exit %d, output %q", code, rest)
	}
	for range 2 { // a notice is repeated
		r := invoke(t, append([]string{"lock", "m", "--"}, show...)...)
		if r.code != 0 || r.stdout != "died=1\n" ||
			!strings.Contains(r.stderr, "shmd: warning: lock \"m\": process ") ||
			!strings.Contains(r.stderr, "died holding it, at 2") {
			t.Errorf("the next owner: %+v", r)
		}
	}
	text := must(t, "stat", "m")
	if !strings.Contains(text, "inconsistent") || !strings.Contains(text, "1, the last of") {
		t.Errorf("stat:\n%s", text)
	}
	r := invoke(t, "lock", "m", "--mark-consistent", "--", "false")
	if r.code != 1 || !strings.Contains(r.stderr, "died") {
		t.Errorf("a repair that fails: %+v", r)
	}
	if r := invoke(t, "lock", "m", "--json", "--mark-consistent", "--", "true"); r.code != 0 ||
		!strings.HasPrefix(r.stderr, `{"warning":"lock \"m\"`) {
		t.Errorf("the repair: %+v", r)
	}
	expect(t, "died=\n", append([]string{"lock", "m", "--mark-consistent", "--"}, show...)...)
}

func TestLockPassesSignalsOn(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	for name, s := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP,
		"INT": syscall.SIGINT, "USR1": syscall.SIGUSR1} {
		// Caught here, the signal has its default in the children, even if this test
		// runs under nohup.
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, s)
		defer signal.Stop(caught)
		p := spawn(t, "lock", "m", "--", "sh", "-c", "trap 'echo got; exit 9' "+name+"; echo held; read x; exit 1")
		p.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal that might send it too
		p.start()
		p.line("held")
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if code, rest := p.end(); code != 9 || rest != "got\n" {
			t.Errorf("%s: exit %d, output %q, stderr %q", name, code, rest, p.stderr)
		}
	}
}

// The command's status is what the caller gets even if the lock went away.
func TestLockDestroyedMeanwhile(t *testing.T) {
	startDaemon(t)
	must(t, "create", "m", "mutex")
	p := spawn(t, "lock", "m", "--", "sh", "-c", "echo held; read x; exit 3")
	p.start()
	p.line("held")
	must(t, "rm", "--destroy", "m")
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _ := p.end(); code != 3 || !strings.Contains(p.stderr.String(), "destroyed") {
		t.Errorf("exit %d, stderr %q", code, p.stderr)
	}
}

// A lock held by somebody else's client is respected as well.
func TestLockOfMappedObject(t *testing.T) {
	startDaemon(t)
	must(t, "create", "v", "value", "--code", "q")
	c := dial(t)
	var open wire.Attachment
	if err := c.Call(t.Context(), wire.MethodOpen, &open, "v"); err != nil {
		t.Fatal(err)
	}
	if err := c.Call(t.Context(), wire.MethodLock, nil, open.Handle); err != nil {
		t.Fatal(err)
	}
	if r := invoke(t, "lock", "v", "-n", "--", "true"); r.code != exitTemporary {
		t.Errorf("%+v", r)
	}
	if err := c.Call(t.Context(), wire.MethodUnlock, nil, open.Handle); err != nil {
		t.Fatal(err)
	}
	must(t, "lock", "v", "-n", "--", "true")
}
