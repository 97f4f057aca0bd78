// Package readme runs what the README tells a newcomer to run.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// block is the one sh block of the README that contains a text.
func block(t *testing.T, containing string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(m[1], containing) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d sh blocks of the README contain %q, want 1", len(found), containing)
	}
	return found[0]
}

// run runs a script as a newcomer would: in the root of the tree, in bash, and
// stopping at the first command that fails.
func run(t *testing.T, socket, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-c", script)
	cmd.Dir = harness.Root(t)
	cmd.Env = append(os.Environ(), "SHMD_SOCKET="+socket)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}

func want(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the output lacks %q:\n%s", part, out)
		}
	}
}

func TestQuickStart(t *testing.T) {
	d := harness.StartDaemon(t)
	out := run(t, d.Socket, block(t, "build/examples/c/array"))
	want(t, out, "0 1 4 9 16 25 36 49 64 81\n", "[0 1 4 9 16 25 36 49 64 81]", "nobody else is in here")

	out = run(t, d.Socket, harness.Python(t)+" examples/python/squares.py")
	want(t, out, "[0, 1, 4, -9, 16, 25, 36, 49, 64, 81]", "the last one was 81")
	want(t, run(t, d.Socket, "bin/shmd get example/squares 9"), "1081\n")
}

func TestBuildAgainstTheTree(t *testing.T) {
	d := harness.StartDaemon(t)
	program := filepath.Join(t.TempDir(), "array")
	script := strings.ReplaceAll(block(t, "pkg-config"), "/tmp/array", program)
	run(t, d.Socket, script)
	want(t, run(t, d.Socket, program), "0 1 4 9 16 25 36 49 64 81\n")
}
