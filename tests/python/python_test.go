// Package python runs the tests of the Python package: clients/python/tests.
package python

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// suite runs one directory of the package's tests with what is installed, and not with what
// lies in the tree.
func suite(t *testing.T, directory string, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), harness.PythonPackage(t), "-I", "-m", "pytest", "-q",
		"-p", "no:cacheprovider", "-rs", filepath.Join(harness.Root(t), "clients/python/tests", directory))
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	t.Logf("%s", out)
}

// The named face, and what both share; the daemon then holds nothing of it any more.
func TestNamed(t *testing.T) {
	suite(t, "named", "SHMD_SOCKET="+harness.StartDaemon(t).Socket)
}

// shmd.multiprocessing, with private daemons of its own.
func TestMultiprocessing(t *testing.T) {
	suite(t, "multiprocessing")
}

// CPython's own tests of multiprocessing, the quick ones, over ours: make test-cpython runs all.
func TestCPython(t *testing.T) {
	command := exec.CommandContext(t.Context(), harness.PythonPackage(t),
		filepath.Join(harness.Root(t), "clients/python/tests/cpython/run.py"), "--short", "--method", "fork")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	t.Logf("%s", out)
}
