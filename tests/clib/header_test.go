package clib

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
)

const header = "include/shmd.h"

// sorted is every first group of pattern in text, sorted, once.
func sorted(pattern, text string) []string {
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// differ reports what only one of two sorted lists has.
func differ(t *testing.T, a string, as []string, b string, bs []string) {
	t.Helper()
	if len(as) == 0 || len(bs) == 0 {
		t.Errorf("%s has %d entries, %s %d: one of them is not read right", a, len(as), b, len(bs))
	}
	for _, name := range as {
		if !slices.Contains(bs, name) {
			t.Errorf("%s: in %s, not in %s", name, a, b)
		}
	}
	for _, name := range bs {
		if !slices.Contains(as, name) {
			t.Errorf("%s: in %s, not in %s", name, b, a)
		}
	}
}

// What the library exports is a promise: a symbol that appears or vanishes is a
// decision, taken in symbols.txt.
func TestSymbols(t *testing.T) {
	const nm = `(?m)^[0-9a-f]+ [TDBR] (\w+)`
	exported := sorted(nm, output(t, "nm", "-D", "--defined-only", library(t)))
	listed := sorted(`(?m)^(\w+)$`, read(t, "clients/c/symbols.txt"))
	declared := sorted(`(?s)SHMD_API\s[^;]*?\b(shmd_\w+)\(`, read(t, header))
	differ(t, "libshmd.so", exported, "clients/c/symbols.txt", listed)
	differ(t, header, declared, "clients/c/symbols.txt", listed)
}

// A program may load the library late, by dlopen. Since one thread-local is reached
// without a call, all of them need room that the C library sets aside, some 1.6 kB for
// all such libraries of a process.
func TestThreadLocalsAreFew(t *testing.T) {
	file, err := elf.Open(library(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_TLS && segment.Memsz > 640 {
			t.Errorf("%d bytes of thread-locals are too many", segment.Memsz)
		}
	}
}

func TestVersion(t *testing.T) {
	ours := sorted(`#define SHMD_VERSION "([^"]*)"`, read(t, header))
	differ(t, header, ours, "Makefile", sorted(`(?m)^VERSION\s*:=\s*(\S+)$`, read(t, "Makefile")))
}

// The layout of the segments is no part of the API: shmd.h must not bring it in.
func TestHeaderHidesTheLayout(t *testing.T) {
	command := compiler(t, "-std=c11", "-Iinclude", "-H", "-fsyntax-only", "-x", "c", header)
	command.Env = append(os.Environ(), "LC_ALL=C")
	var included bytes.Buffer
	command.Stderr = &included // -H lists there
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &included)
	}
	if !strings.Contains(included.String(), "stdint.h") {
		t.Fatalf("the compiler lists no includes:\n%s", &included)
	}
	if strings.Contains(included.String(), "shmd_abi.h") {
		t.Error("shmd.h includes shmd_abi.h")
	}
}

func compilerPlus() string {
	if cxx := os.Getenv("SHMD_CXX"); cxx != "" {
		return cxx
	}
	return "c++"
}

// A C++17 program that uses every function compiles without a warning, links with either
// library, and works.
func TestCPlusPlus(t *testing.T) {
	if emulator := harness.Emulator(); emulator != "" {
		t.Skipf("a C++ compiler for %s may not be here", emulator)
	}
	shared := library(t)
	static := strings.TrimSuffix(shared, ".so") + ".a"
	directory := t.TempDir()
	var every strings.Builder
	symbols := sorted(`(?m)^(\w+)$`, read(t, "clients/c/symbols.txt"))
	for _, symbol := range symbols {
		fmt.Fprintf(&every, "link(%s);\n", symbol)
	}
	must(0, os.WriteFile(filepath.Join(directory, "every.inc"), []byte(every.String()), 0o600))
	for name, libraries := range map[string][]string{
		"static": append([]string{static}, msgpackFlags(t)...),
		"shared": {shared, "-Wl,-rpath," + filepath.Dir(shared)},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(directory, name)
			arguments := []string{"-std=c++17", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Wpedantic",
				"-Wconversion", "-Werror", "-Iinclude", "-I" + directory, "-o", path, "tests/clib/probe/all.cc"}
			output(t, compilerPlus(), append(arguments, libraries...)...)
			command := exec.Command(path)
			command.Env = append(os.Environ(), "SHMD_SOCKET="+harness.StartDaemon(t).Socket)
			probe := harness.StartCmd(t, command)
			probe.Expect(fmt.Sprintf("%d functions", len(symbols)))
			probe.MustEnd()
		})
	}
}

// For a target that the layout is not made for, both headers say so, and nothing that
// needs a guess. Whether the compiler has the headers of such a target does not matter.
func TestNotFor32Bits(t *testing.T) {
	const says = "shmd needs a 64-bit little-endian target"
	empty := filepath.Join(t.TempDir(), "empty.c")
	must(0, os.WriteFile(empty, nil, 0o600))
	for _, flag := range []string{"-m32", "-mx32"} {
		t.Run(flag, func(t *testing.T) {
			text, err := compiler(t, flag, "-fsyntax-only", empty).CombinedOutput()
			if err != nil {
				t.Skipf("the compiler has no such target: %s", text)
			}
			for _, header := range []string{header, "include/shmd_abi.h"} {
				for _, language := range []string{"c", "c++"} {
					text, err := compiler(t, flag, "-ffreestanding", "-fsyntax-only", "-Iinclude", "-x", language,
						header).CombinedOutput()
					if err == nil || !strings.Contains(string(text), says) {
						t.Errorf("%s as %s: %v; it does not say %q:\n%s", header, language, err, says, text)
					}
				}
			}
		})
	}
}

// The texts of shmd_strerror are those of the one table.
func TestStatusTexts(t *testing.T) {
	source := read(t, "clients/c/error.c")
	for _, code := range status.Codes() {
		row := `"` + code.Name() + `", "` + code.Error() + `"`
		if !strings.Contains(source, row) {
			t.Errorf("clients/c/error.c lacks %s", row)
		}
	}
}
