package version

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// The two builds: of this layout, and of the next, which programs of this one cannot use.
const (
	this = ""
	next = "-next"
)

// run starts a program and returns what it printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	var text strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func program(t *testing.T, build string) string {
	if build == this {
		return harness.Binary(t)
	}
	return harness.Program(t, "shmd"+build)
}

// Whoever is older is told to be updated, by whom he meets, and nothing is mapped. What
// needs no mapping works in any pair.
func TestLayoutsMeet(t *testing.T) {
	for _, c := range []struct{ daemon, client, want string }{
		{this, this, "42"},
		{next, next, "42"},
		{next, this, "this client has 1: update it"},
		{this, next, "which this client has: update the daemon"},
	} {
		t.Run("daemon"+c.daemon+" client"+c.client, func(t *testing.T) {
			d := harness.StartDaemonWith(t, harness.DaemonOptions{Program: program(t, c.daemon)})
			run(t, program(t, c.daemon), "--socket", d.Socket, "create", "answer", "value", "--code", "q",
				"--init", "42")
			if got := run(t, program(t, c.client), "--socket", d.Socket, "get", "answer"); got != "42" {
				t.Errorf("over the socket: %s", got)
			}
			for language, opener := range map[string]string{
				"Go": harness.Program(t, "tests/version/opener"+c.client),
				"C":  harness.Program(t, "tests/version/c/opener"+c.client),
			} {
				want := c.want
				if language == "C" {
					want = strings.ReplaceAll(want, "client", "library")
				}
				got := run(t, opener, d.Socket, "answer")
				refused := strings.HasPrefix(got, "VERSION: ") && strings.HasSuffix(got, want)
				if got != want && !(refused && c.daemon != c.client) {
					t.Errorf("%s: %s\nwant %s", language, got, want)
				}
			}
			run(t, program(t, c.daemon), "--socket", d.Socket, "rm", "answer")
		})
	}
}
