package interop

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
)

// What one process has passed on by a ticket, another opens when the first has exited,
// whatever languages they are in, also if the daemon was killed meanwhile.
func TestTicketsAcross(t *testing.T) {
	d := harness.StartDaemon(t)
	run := func(cmd *exec.Cmd) string {
		t.Helper()
		cmd.Env = append(os.Environ(), "SHMD_SOCKET="+d.Socket)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	passer := func(args ...string) string {
		t.Helper()
		return run(harness.Command(harness.Program(t, "tests/interop/c/passer"), args...))
	}
	pythonPasser := func(args ...string) string {
		t.Helper()
		script := filepath.Join(harness.Root(t), "tests", "interop", "package_passer.py")
		return run(exec.Command(harness.PythonPackage(t), append([]string{script}, args...)...))
	}
	type ticket struct{ id, secret string }
	giveBy := func(passer func(...string) string) func(time.Duration) ticket {
		return func(timeout time.Duration) ticket {
			t.Helper()
			id, secret, ok := strings.Cut(passer("give", strconv.FormatInt(int64(timeout), 10)), " ")
			if !ok || strings.Contains(id, ":") {
				t.Fatalf("it gives %s %s", id, secret)
			}
			return ticket{id, secret}
		}
	}
	giveC, givePython := giveBy(passer), giveBy(pythonPasser)
	dial := func() *shmd.Client { // for less than the test: clients outlive daemons
		t.Helper()
		c, err := shmd.Dial(t.Context(), shmd.Options{Socket: d.Socket})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	giveGo := func(time.Duration) ticket {
		t.Helper()
		c := dial()
		v, err := shmd.CreateValue(t.Context(), c, "", int32(42), shmd.ValueOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := v.Ticket(t.Context(), time.Hour)
		if err := errors.Join(err, c.Close()); err != nil { // bye: as good as gone
			t.Fatal(err)
		}
		parts := strings.Split(text, ":")
		return ticket{parts[1], parts[2]}
	}
	takeBy := func(passer func(...string) string) func(ticket) {
		return func(given ticket) {
			t.Helper()
			if got := passer("take", given.id, given.secret); got != "42, then NOT_FOUND" {
				t.Errorf("it takes %s", got)
			}
		}
	}
	takeC, takePython := takeBy(passer), takeBy(pythonPasser)
	takeGo := func(given ticket) {
		t.Helper()
		c := dial()
		name := "id:" + given.id + ":" + given.secret
		v, err := shmd.OpenValue[int32](t.Context(), c, name)
		if err != nil {
			t.Fatal(err)
		}
		if x, err := v.Load(); x != 42 || err != nil {
			t.Errorf("Go takes %d, %v", x, err)
		}
		if _, err := shmd.OpenValue[int32](t.Context(), c, name); !errors.Is(err, status.NotFound) {
			t.Errorf("Go takes twice: %v", err)
		}
		if err := errors.Join(v.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}
	type way struct {
		name string
		give func(time.Duration) ticket
		take func(ticket)
	}
	var ways []way
	languages := []way{{"C", giveC, takeC}, {"Go", giveGo, takeGo}, {"Python", givePython, takePython}}
	for _, from := range languages {
		for _, to := range languages {
			ways = append(ways, way{from.name + " to " + to.name, from.give, to.take})
		}
	}
	for _, way := range ways {
		t.Log(way.name)
		way.take(way.give(0))
	}
	over := giveC(1)
	witness := dial()
	harness.Await(t, "the end of a ticket", func() bool {
		number, err := strconv.ParseUint(over.id, 10, 64)
		return err == nil && errors.Is(witness.Call(t.Context(), "stat", nil, number), status.NotFound)
	})
	if err := witness.Close(); err != nil {
		t.Error(err)
	}
	if got := passer("take", over.id, over.secret); !strings.HasPrefix(got, "NOT_FOUND: ") {
		t.Errorf("C takes what is over: %s", got)
	}
	if got := passer("give", strconv.FormatInt(int64(time.Hour)+1, 10)); !strings.HasPrefix(got, "INVALID: ") {
		t.Errorf("C gives for more than an hour: %s", got)
	}
	var given []ticket
	for _, way := range ways {
		given = append(given, way.give(time.Hour))
	}
	used := giveC(time.Hour)
	takeC(used)
	d.Kill()
	d = d.Restart(harness.DaemonOptions{})
	for i, way := range ways {
		t.Log(way.name, "over a restart")
		way.take(given[i])
	}
	if got := passer("take", used.id, used.secret); !strings.HasPrefix(got, "NOT_FOUND: ") {
		t.Errorf("C takes once more after the restart: %s", got)
	}
}
