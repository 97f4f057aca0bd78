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
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, text)
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

func compiler() string {
	if cc := os.Getenv("SHMD_CC"); cc != "" {
		return cc
	}
	return "cc"
}
