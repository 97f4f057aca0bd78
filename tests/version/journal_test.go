package version

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// A daemon that meets the keeper of another build does not start, says why and what to do, and
// loses nothing: the build that the keeper is of goes on. Once that is given up, it starts.
func TestJournalsMeet(t *testing.T) {
	for _, c := range []struct{ first, second string }{{this, next}, {next, this}} {
		t.Run("keeper"+c.first+" daemon"+c.second, func(t *testing.T) {
			d := harness.StartDaemonWith(t, harness.DaemonOptions{Program: program(t, c.first)})
			ctx := t.Context()
			client, err := shmd.Dial(ctx, shmd.Options{Socket: d.Socket})
			if err != nil {
				t.Fatal(err)
			}
			var made, found wire.Attachment
			if err := client.Call(ctx, wire.MethodCreate, &made, "answer", wire.KindValue, wire.CreateOptions{
				Code: new("q"), Init: wire.AppendInt(nil, 42)}); err != nil {
				t.Fatal(err)
			}
			keeper := d.KeeperPID()
			d.Kill()
			refuses := func() {
				t.Helper()
				cmd := exec.Command(program(t, c.second), "serve", "--socket", d.Socket)
				text, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 {
					t.Fatalf("the other build: %v\n%s", err, text)
				}
				for _, part := range []string{"the keeper holds the objects of another build of shmd",
					`give them up with "shmd keeper --stop"`} {
					if !strings.Contains(string(text), part) {
						t.Errorf("it does not say %q:\n%s", part, text)
					}
				}
				if now := d.KeeperPID(); now != keeper {
					t.Errorf("the keeper was process %d, and is %d", keeper, now)
				}
			}
			refuses()
			d = d.Restart(harness.DaemonOptions{Program: program(t, c.first)})
			if err := client.Call(ctx, wire.MethodOpen, &found, "answer"); err != nil || found.ID != made.ID {
				t.Errorf("after the restart it is object %d, was %d (%v)", found.ID, made.ID, err)
			}
			answer := 0
			if err := client.Call(ctx, wire.MethodGet, &answer, made.Handle); err != nil || answer != 42 {
				t.Errorf("it is %d, %v", answer, err)
			}
			d.Kill()
			refuses()
			if text := run(t, program(t, c.second), "keeper", "--stop", "--socket", d.Socket); text != "" {
				t.Errorf("keeper --stop says %s", text)
			}
			harness.Await(t, "the end of the keeper", func() bool { return d.KeeperPID() == 0 })
			d = d.Restart(harness.DaemonOptions{Program: program(t, c.second)})
			if err := client.Call(ctx, wire.MethodPing, nil); !errors.Is(err, status.Lost) {
				t.Errorf("a client of what was given up: %v", err)
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			again := d.Dial(t)
			if err := again.Call(ctx, wire.MethodOpen, nil, "answer"); !errors.Is(err, status.NotFound) {
				t.Errorf("what was given up: %v", err)
			}
		})
	}
}
