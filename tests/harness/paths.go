package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// Root is the top of the source tree.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

// built is a path that `make build` or the set-up makes: an environment variable
// of the Makefile, else its default under the root.
func built(t testing.TB, variable, fallback, target string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join(Root(t), fallback)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make %s` first", err, target)
	}
	return path
}

// Binary is bin/shmd.
func Binary(t testing.TB) string { return built(t, "SHMD_BIN", "bin/shmd", "build") }

// Program is a C program, named by its source, "tests/crash/c/holder", or a Go program
// that only tests use.
func Program(t testing.TB, source string) string {
	t.Helper()
	path := filepath.Join(built(t, "SHMD_BUILD", "build", "build"), source)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	return path
}

// Python is the interpreter of the virtual environment, which has msgpack.
func Python(t testing.TB) string { return built(t, "SHMD_PYTHON", "build/venv/bin/python", "test") }

// PythonPackage is the interpreter of the virtual environment that has the Python package.
func PythonPackage(t testing.TB) string {
	return built(t, "SHMD_PYTHON_PACKAGE", "build/python/bin/python", "python")
}
