package tidy

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// file is one source file as the rules see it.
type file struct {
	path string // relative to the root of the repository, with slashes
	text string // the whole file
	fset *token.FileSet
	tree *ast.File // nil unless a Go file that parses
}

// finding is one violation. Line 0 means the file as a whole.
type finding struct {
	line int
	what string
}

// sample is a file that never was, to try a rule on.
type sample struct{ path, text string }

// rule is one law over single files.
type rule struct {
	name    string
	instead string // what to do instead; printed with each finding
	applies func(path string) bool
	find    func(*file) []finding
	allow   map[string]string // exact file -> reason
	bad     []sample          // each must have a finding
	good    []sample          // none may have one
}

func newFile(path, text string) (*file, error) {
	f := &file{path: path, text: text}
	if !strings.HasSuffix(path, ".go") {
		return f, nil
	}
	f.fset = token.NewFileSet()
	tree, err := parser.ParseFile(f.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f.tree = tree
	return f, nil
}

// at turns a position of the syntax tree into a line.
func (f *file) at(node ast.Node) int { return f.fset.Position(node.Pos()).Line }

// check applies r to one file, exceptions set aside.
func (r *rule) check(f *file) []finding {
	if r.applies != nil && !r.applies(f.path) {
		return nil
	}
	return r.find(f)
}

func TestSourceIsTidy(t *testing.T) {
	files := sourceFiles(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			used := map[string]bool{}
			for _, f := range files {
				findings := r.check(f)
				if _, allowed := r.allow[f.path]; allowed {
					used[f.path] = len(findings) > 0
					continue
				}
				for _, found := range findings {
					t.Errorf("%s:%d: %s; %s", f.path, found.line, found.what, r.instead)
				}
			}
			for exception, reason := range r.allow {
				if !used[exception] {
					t.Errorf("%s needs its exception (%q) no longer: remove it", exception, reason)
				}
			}
		})
	}
	t.Run("package comments", func(t *testing.T) {
		for _, complaint := range packagesWithoutComment(files) {
			t.Error(complaint)
		}
	})
}

// A rule that finds nothing in a bad sample would pass any source.
func TestRulesCanFail(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if len(r.bad) == 0 || r.instead == "" {
				t.Fatal("a rule needs a bad sample, and says what to do instead")
			}
			for i, s := range r.bad {
				if len(r.check(mustParse(t, s))) == 0 {
					t.Errorf("bad sample %d (%s) passes:\n%s", i, s.path, s.text)
				}
			}
			for i, s := range r.good {
				for _, found := range r.check(mustParse(t, s)) {
					t.Errorf("good sample %d (%s), line %d: %s", i, s.path, found.line, found.what)
				}
			}
		})
	}
	t.Run("ratchet", func(t *testing.T) {
		find := longFile(map[string]int{"a.c": 900})
		for lines, wanted := range map[int]int{899: 1, 900: 0, 901: 1} {
			f := mustParse(t, sample{"a.c", strings.Repeat("\n", lines)})
			if got := len(find(f)); got != wanted {
				t.Errorf("%d lines with the bound at 900: %d findings, want %d", lines, got, wanted)
			}
		}
	})
	t.Run("package comments", func(t *testing.T) {
		bare := mustParse(t, sample{"x/a.go", "package x\n"})
		if len(packagesWithoutComment([]*file{bare})) != 1 {
			t.Error("a package without a comment passes")
		}
		doc := mustParse(t, sample{"x/doc.go", "// Package x does.\npackage x\n"})
		inTest := mustParse(t, sample{"x/a_test.go", "// Package x does.\npackage x\n"})
		if got := packagesWithoutComment([]*file{bare, doc}); got != nil {
			t.Error("a package with doc.go is reported:", got)
		}
		if len(packagesWithoutComment([]*file{bare, inTest})) != 1 {
			t.Error("the comment of a test file counts for the package")
		}
		if got := packagesWithoutComment([]*file{inTest}); got != nil {
			t.Error("a package of tests only is reported:", got)
		}
	})
}

// packagesWithoutComment names each package of which no file has a package
// comment. Test files count only where there is nothing else.
func packagesWithoutComment(files []*file) []string {
	type state struct{ hasCode, inCode, inTest bool }
	packages := map[string]*state{}
	for _, f := range files {
		if f.tree == nil || strings.Contains(f.path, "testdata/") {
			continue
		}
		dir := path.Dir(f.path)
		if packages[dir] == nil {
			packages[dir] = &state{}
		}
		p, commented := packages[dir], f.tree.Doc != nil
		if strings.HasSuffix(f.path, "_test.go") {
			p.inTest = p.inTest || commented
		} else {
			p.hasCode = true
			p.inCode = p.inCode || commented
		}
	}
	var complaints []string
	for dir, p := range packages {
		if !p.inCode && (p.hasCode || !p.inTest) {
			complaints = append(complaints,
				dir+": no package comment; write doc.go: purpose, trust, lock order, limits")
		}
	}
	sort.Strings(complaints)
	return complaints
}

func mustParse(t *testing.T, s sample) *file {
	t.Helper()
	f, err := newFile(s.path, s.text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sourceFiles reads every text file of the work tree that git would keep.
func sourceFiles(t *testing.T) []*file {
	t.Helper()
	root := repositoryRoot(t)
	paths, err := gitFiles(root)
	if err != nil { // a release archive, or no git: everything that is not built
		t.Logf("git does not list the files (%v); walking the tree", err)
		paths, err = walkFiles(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	var files []*file
	for _, p := range paths {
		full := filepath.Join(root, filepath.FromSlash(p))
		info, err := os.Lstat(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, but still in the index
		}
		if err != nil {
			t.Fatal(err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // not text
		}
		f, err := newFile(p, string(text))
		if err != nil {
			t.Error(err)
			continue
		}
		files = append(files, f)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d source files below %s", len(files), root)
	}
	return files
}

func gitFiles(root string) ([]string, error) {
	var stderr bytes.Buffer
	git := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	git.Dir, git.Stderr = root, &stderr
	out, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}

func walkFiles(root string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(root, func(full string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		if entry.IsDir() && (p == "bin" || p == "build" || p == ".git") {
			return fs.SkipDir
		}
		if !entry.IsDir() {
			paths = append(paths, filepath.ToSlash(p))
		}
		return nil
	})
	return paths, err
}

// repositoryRoot is the directory of go.mod, upwards from here.
func repositoryRoot(t *testing.T) string {
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
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}
