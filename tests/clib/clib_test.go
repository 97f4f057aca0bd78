// Package clib tests libshmd from outside: what it exports, that its header
// agrees with the other statements of the same things, and that every prefix of
// its stores to shared memory can be recovered.
package clib

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// read is the text of a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output runs a program in the repository.
func output(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	command := exec.Command(name, arguments...)
	command.Dir = harness.Root(t)
	return run(t, command)
}

// run is what a command says that must succeed.
func run(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, text)
	}
	return string(text)
}

// library is the path of the shared library; it is built if it is not there.
func library(t *testing.T) string {
	t.Helper()
	build := os.Getenv("SHMD_BUILD")
	if build == "" {
		build = filepath.Join(harness.Root(t), "build")
	}
	path := filepath.Join(build, "libshmd.so")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	output(t, "make", "c")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("`make c` did not build %s; is SHMD_BUILD right?", path)
	}
	return path
}

// compiler is a run of the C compiler in the repository.
func compiler(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	words := strings.Fields(os.Getenv("SHMD_CC")) // it may hold options
	if len(words) == 0 {
		words = []string{"cc"}
	}
	command := exec.Command(words[0], append(words[1:], arguments...)...)
	command.Dir = harness.Root(t)
	return command
}
