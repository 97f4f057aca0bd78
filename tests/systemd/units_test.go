package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// exposureMax is what systemd may say of a service at most, of 10.
const exposureMax = 1.5

// systemTool is a program of systemd.
func systemTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("systemd is not on this machine: %v", err)
	}
	return path
}

// installed is a directory of units as `make install` makes them, for this build.
func installed(t *testing.T, kind string) string {
	t.Helper()
	source := filepath.Join(harness.Root(t), "packaging/systemd", kind)
	units, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, unit := range units {
		text, err := os.ReadFile(filepath.Join(source, unit.Name()))
		if err != nil {
			t.Fatal(err)
		}
		made := strings.ReplaceAll(string(text), "@BINDIR@", filepath.Dir(harness.Binary(t)))
		if err := os.WriteFile(filepath.Join(dir, unit.Name()), []byte(made), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUnitsVerify(t *testing.T) {
	analyze := systemTool(t, "systemd-analyze")
	for kind, flag := range map[string]string{"system": "--system", "user": "--user"} {
		t.Run(kind, func(t *testing.T) {
			units, err := filepath.Glob(filepath.Join(installed(t, kind), "shmd*"))
			if err != nil || len(units) != 3 {
				t.Fatalf("%v, %v", units, err)
			}
			// The manual's pages are found by man itself, which may not be here.
			cmd := exec.Command(analyze, append([]string{"verify", flag, "--man=no"}, units...)...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

var exposure = regexp.MustCompile(`Overall exposure level for (\S+): ([0-9.]+)`)

func TestServicesAreHardened(t *testing.T) {
	analyze := systemTool(t, "systemd-analyze")
	dir := installed(t, "system")
	for _, unit := range []string{"shmd.service", "shmd-keeper.service"} {
		cmd := exec.Command(analyze, "security", "--offline=true", "--no-pager", filepath.Join(dir, unit))
		out, err := cmd.CombinedOutput()
		found := exposure.FindSubmatch(out)
		if err != nil || found == nil || string(found[1]) != unit {
			t.Fatalf("%s: %v\n%s", unit, err, out)
		}
		if level, err := strconv.ParseFloat(string(found[2]), 64); err != nil || level > exposureMax {
			t.Errorf("%s: exposure %s, at most %v is wanted\n%s", unit, found[2], exposureMax, out)
		}
	}
}
