package clib

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// sanitized is the compiler's flags for address and undefined behaviour
// sanitizers; none where they are not installed.
func sanitized(t *testing.T) []string {
	t.Helper()
	flags := []string{"-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	source := filepath.Join(t.TempDir(), "empty.c")
	if err := os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"-o", source + ".out", source}, flags...)
	if text, err := exec.Command(compiler(), arguments...).CombinedOutput(); err != nil {
		t.Logf("without sanitizers: %s", text)
		return nil
	}
	return flags
}

// program builds a probe with the library's sources and the given flags.
func program(t *testing.T, name string, flags ...string) string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(harness.Root(t), "clients/c/*.c"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	arguments := append([]string{"-std=gnu11", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Iinclude",
		"-o", path, "tests/clib/probe/" + name + ".c"}, flags...)
	arguments = append(append(arguments, sources...), msgpackFlags(t)...)
	output(t, compiler(), arguments...)
	return path
}

// behave runs a built behaviour probe against a daemon of its own.
func behave(t *testing.T, path string) {
	t.Helper()
	command := exec.Command(path)
	command.Env = append(os.Environ(), "SHMD_SOCKET="+harness.StartDaemon(t).Socket)
	probe := harness.StartCmd(t, command)
	probe.Expect("ok")
	probe.MustEnd()
}

// What shmd.h promises, with sanitizers.
func TestBehaviour(t *testing.T) {
	behave(t, program(t, "behaviour", sanitized(t)...))
}

// The same with the shared library as it is built.
func TestBehaviourOfSharedLibrary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "behaviour")
	directory := filepath.Dir(library(t))
	output(t, compiler(), "-std=gnu11", "-O1", "-g", "-pthread", "-Iinclude", "-o", path,
		"tests/clib/probe/behaviour.c", "-L"+directory, "-lshmd", "-Wl,-rpath,"+directory)
	behave(t, path)
}
