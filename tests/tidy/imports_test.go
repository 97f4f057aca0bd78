package tidy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shmd/shmd"

// layers is the architecture: which part of the module may import which. A
// part may import itself. Test files are not held to it: a client's test may
// start a daemon.
//
// Properties:
//  1. ctypes and status import nothing of the module, so that everything may
//     share them.
//  2. shm and wire do not know each other: shared bytes and messages change for
//     different reasons.
//  3. Nobody imports daemon but what starts one. A client that could reach into
//     it would soon need it in its process.
var layers = map[string][]string{
	"ctypes":     {},
	"status":     {},
	"wire":       {"ctypes", "status"},
	"shm":        {"ctypes", "status"},
	"daemon":     {"ctypes", "status", "shm", "wire"},
	"clients/go": {"ctypes", "status", "shm", "wire"},
	"examples":   {"ctypes", "status", "clients/go"},
	"demo":       {"ctypes", "status", "shm", "wire", "daemon", "clients/go"},
	"cmd/shmd":   {"ctypes", "status", "shm", "wire", "daemon", "clients/go"},
	"tests":      {"ctypes", "status", "shm", "wire", "daemon", "clients/go"},
}

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
}

// layerOf names the layer of a package of the module; "" if there is none.
func layerOf(importPath string) string {
	inside := strings.TrimPrefix(importPath, module+"/")
	for layer := range layers {
		if inside == layer || strings.HasPrefix(inside, layer+"/") {
			return layer
		}
	}
	return ""
}

// graphErrors lists the imports that the layers forbid.
func graphErrors(packages []goPackage) []string {
	var wrong []string
	for _, p := range packages {
		if !strings.HasPrefix(p.ImportPath+"/", module+"/") {
			continue // a dependency
		}
		layer := layerOf(p.ImportPath)
		if layer == "" {
			wrong = append(wrong, fmt.Sprintf("%s is in no layer: give it a place in layers, or move it", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			if imported == "C" && layer != "tests" {
				wrong = append(wrong, fmt.Sprintf("%s uses cgo", p.ImportPath))
			}
			if !strings.HasPrefix(imported+"/", module+"/") {
				continue
			}
			target := layerOf(imported)
			if target != layer && !slices.Contains(layers[layer], target) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, but %s may import only %v of the module",
					p.ImportPath, imported, layer, layers[layer]))
			}
		}
	}
	return wrong
}

func TestImportGraph(t *testing.T) {
	for _, tags := range []string{"", "shmd_replay,models", "shmd_crash,shmd_sabotage"} {
		packages := listPackages(t, tags)
		for _, wrong := range graphErrors(packages) {
			t.Error(wrong)
		}
	}
}

func TestImportGraphCanFail(t *testing.T) {
	at := func(p string) string { return module + "/" + p }
	for _, bad := range []goPackage{
		{at("ctypes"), []string{at("status")}},
		{at("status"), []string{at("ctypes")}},
		{at("shm"), []string{at("wire")}},
		{at("wire"), []string{at("shm")}},
		{at("wire/vectors"), []string{at("shm")}},
		{at("shm"), []string{at("daemon/registry")}},
		{at("daemon"), []string{at("clients/go")}},
		{at("clients/go"), []string{at("daemon")}},
		{at("clients/go"), []string{"C"}},
		{at("examples/basic"), []string{at("daemon")}},
		{at("cmd/shmd"), []string{at("tests/harness")}},
		{at("util"), nil},
		{module, nil},
		{at("cmd/other"), nil},
	} {
		if got := graphErrors([]goPackage{bad}); len(got) != 1 {
			t.Errorf("%v: want one complaint, got %q", bad, got)
		}
	}
	good := []goPackage{
		{at("shm"), []string{"unsafe", "golang.org/x/sys/unix", at("ctypes"), at("status"), at("shm/internal/x")}},
		{at("daemon"), []string{at("wire"), at("shm"), at("daemon/registry")}},
		{at("cmd/shmd"), []string{at("daemon"), at("clients/go")}},
		{at("tests/crash"), []string{at("daemon"), at("tests/harness"), "C"}},
		{"golang.org/x/sys/unix", []string{"syscall", "C"}},
	}
	if got := graphErrors(good); got != nil {
		t.Errorf("complaints about a good graph: %q", got)
	}
}

// Each module that go.mod asks for directly, each tool included, stands with
// its reason in CONTRIBUTING.md.
func TestDependenciesHaveReasons(t *testing.T) {
	root := repositoryRoot(t)
	reasons, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	var mod goMod
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if missing := withoutReason(mod, string(reasons)); len(missing) > 0 {
		t.Errorf("dependencies without a reason in CONTRIBUTING.md: %q", missing)
	}
	if len(mod.Tool) == 0 {
		t.Error("go.mod pins no linters")
	}

	mod.Require = append(mod.Require, requirement{Path: "example.org/left/pad"})
	if missing := withoutReason(mod, string(reasons)); !slices.Equal(missing, []string{"example.org/left/pad"}) {
		t.Errorf("a new dependency without a reason gives %q", missing)
	}
}

type requirement struct {
	Path     string
	Indirect bool
}

type goMod struct {
	Require []requirement
	Tool    []struct{ Path string }
}

// withoutReason lists direct requirements that the text has no table row for. A
// tool is a package; its module is required indirectly.
func withoutReason(mod goMod, text string) (missing []string) {
	stated := func(p string) bool { return strings.Contains(text, "| `"+p+"` |") }
	for _, r := range mod.Require {
		if !r.Indirect && !stated(r.Path) {
			missing = append(missing, r.Path)
		}
	}
	for _, tool := range mod.Tool {
		hosts := func(r requirement) bool {
			return strings.HasPrefix(tool.Path+"/", r.Path+"/") && stated(r.Path)
		}
		if !slices.ContainsFunc(mod.Require, hosts) {
			missing = append(missing, tool.Path)
		}
	}
	return missing
}

// listPackages asks for every package of the module with everything below it.
func listPackages(t *testing.T, tags string) []goPackage {
	t.Helper()
	out := goCommand(t, "list", "-e", "-deps", "-tags", tags, "-json=ImportPath,Imports", "./...")
	var packages []goPackage
	own := 0
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module+"/") {
			own++
		}
		packages = append(packages, p)
	}
	if own < 2 {
		t.Fatalf("go list found %d packages of the module", own)
	}
	return packages
}

// goCommand runs go at the root of the repository.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.Command("go", args...)
	command.Dir, command.Stderr = repositoryRoot(t), &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, stderr.String())
	}
	return out
}
