package clib

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// built are the library's objects as they were compiled, by flags; one test after the
// other builds them.
var built = map[string][]string{}

// objects are the library's, compiled with the given flags.
func objects(t *testing.T, flags []string) []string {
	t.Helper()
	key := strings.Join(flags, " ")
	if built[key] != nil {
		return built[key]
	}
	sources, err := filepath.Glob(filepath.Join(harness.Root(t), "clients/c/*.c"))
	if err != nil {
		t.Fatal(err)
	}
	directory, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	arguments := append([]string{"-c", "-std=gnu11", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror",
		"-I" + filepath.Join(harness.Root(t), "include")}, flags...)
	command := compiler(t, append(append(arguments, sources...), msgpackFlags(t)...)...)
	command.Dir = directory // the compiler puts them there
	run(t, command)
	made, err := filepath.Glob(filepath.Join(directory, "*.o"))
	if err != nil || len(made) != len(sources) {
		t.Fatalf("%d objects of %d sources, %v", len(made), len(sources), err)
	}
	built[key] = made
	return made
}

// scratch is where they lie.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "clib"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

// program builds a probe with the library's sources and the given flags.
func program(t *testing.T, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	arguments := append([]string{"-std=gnu11", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror", "-Iinclude",
		"-o", path, "tests/clib/probe/" + name + ".c"}, flags...)
	run(t, compiler(t, append(append(arguments, objects(t, flags)...), msgpackFlags(t)...)...))
	return path
}

// behave runs a built behaviour probe against a daemon of its own.
func behave(t *testing.T, path string) {
	t.Helper()
	command := harness.Command(path)
	command.Env = append(os.Environ(), "SHMD_SOCKET="+harness.StartDaemon(t).Socket, sanitizerOptions)
	probe := harness.StartCmd(t, command)
	probe.Expect("ok")
	probe.MustEnd()
}

// behaveTwice is behave of a probe with sanitizers, and, because those make system
// calls of their own, once more without.
func behaveTwice(t *testing.T, name string) {
	t.Helper()
	behave(t, program(t, name, sanitized(t)...))
	behave(t, program(t, name))
}

// What shmd.h promises, with sanitizers.
func TestBehaviour(t *testing.T) {
	behave(t, program(t, "behaviour", sanitized(t)...))
}

// The same with the shared library as it is built.
func TestBehaviourOfSharedLibrary(t *testing.T) {
	if emulator := harness.Emulator(); emulator != "" {
		t.Skipf("a loader for %s may not be here: its programs are static", emulator)
	}
	path := filepath.Join(t.TempDir(), "behaviour")
	directory := filepath.Dir(library(t))
	run(t, compiler(t, "-std=gnu11", "-O1", "-g", "-pthread", "-Iinclude", "-o", path,
		"tests/clib/probe/behaviour.c", "-L"+directory, "-lshmd", "-Wl,-rpath,"+directory))
	behave(t, path)
}
