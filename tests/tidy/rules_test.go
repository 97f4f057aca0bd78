package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	linesMax   = 800
	columnsMax = 120
	tabColumns = 4
)

// longFiles is a ratchet: files that were longer than linesMax when the rule
// met them, with their length then. They may only shrink.
var longFiles = map[string]int{
	"include/shmd.h":     1284, // one header is the whole API and its manual
	"include/shmd_abi.h": 853,  // one header is all shared bytes, with their contracts
}

// samplesLiveHere is the reason why this file is excepted from rules over plain
// text: it must quote what they forbid.
var samplesLiveHere = map[string]string{"tests/tidy/rules_test.go": "the samples of the rules"}

var rules = []*rule{
	{
		name:    "unfinished",
		instead: "finish it, or open an issue",
		find:    inText(regexp.MustCompile(`\b(FIXME|TODO|XXX)\b`)),
		allow:   samplesLiveHere,
		bad: []sample{
			{"a.go", "package a\n\n// TODO: more\n"},
			{"Makefile", "# XXX\n"},
			{"a.md", "FIXME"},
		},
		good: []sample{{"a.sh", "mktemp /tmp/a.XXXXXX\n"}},
	},
	{
		name:    "machine paths",
		instead: "take it from the environment, a flag or t.TempDir",
		find:    inText(regexp.MustCompile(`(^|[^\w.$})-])/(root/|work/|home/[a-z])`)),
		allow:   samplesLiveHere,
		bad: []sample{
			{"a.md", "cd /root/shmd\n"},
			{"a.sh", "x=/work/main\n"},
			{"a.go", "package a\n\n// \"/home/ann\"\n"},
			{"a.md", "/work/x"},
		},
		good: []sample{{"a.md", "see docs/work/plan and $HOME/work/x and /home/USER\n"}},
	},
	{
		name:    "trailing white space",
		instead: "remove it; an editor that reads .editorconfig does",
		applies: func(p string) bool { return !strings.Contains(p, "testdata/") },
		find:    inText(regexp.MustCompile(`[ \t\r]$`)),
		bad:     []sample{{"a.md", "one \ntwo\n"}, {"a.h", "x\t"}, {"a.c", "x;\r\n"}},
		good:    []sample{{"a.md", "one\n\ntwo\n"}, {"a/testdata/b", "x \n"}},
	},
	{
		name:    "long lines",
		instead: fmt.Sprintf("break it at %d columns, a tab being %d", columnsMax, tabColumns),
		applies: hasSuffix(".go", ".c", ".h"),
		find:    longLines,
		bad: []sample{
			{"a.c", strings.Repeat("x", 121)},
			{"a.h", "\n" + strings.Repeat("\t", 30) + "x\n"},
		},
		good: []sample{{"a.c", strings.Repeat("é", 120) + "\n"}, {"a.md", strings.Repeat("x", 500)}},
	},
	{
		name:    "long files",
		instead: "give each noun a file of its own",
		applies: func(p string) bool {
			return hasSuffix(".go", ".c", ".h", ".py", ".sh")(p) || path.Base(p) == "Makefile"
		},
		find: longFile(longFiles),
		bad:  []sample{{"a.c", strings.Repeat("\n", 801)}},
		good: []sample{{"a.c", strings.Repeat("\n", 800)}, {"a.md", strings.Repeat("\n", 900)}},
	},
	{
		name:    "sleep in Go",
		instead: "poll a visible state under a watchdog, or wait on a channel, a futex or a timer with a way out",
		applies: hasSuffix(".go"),
		find:    goSleeps,
		bad: []sample{
			{"a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"},
			{"a.go", "package a\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }\n"},
			{"a.go", "package a\nimport \"time\"\nvar nap = time.Sleep\n"},
			{"a.go", "package a\nimport \"time\"\nfunc f() { <-time.After(1) }\n"},
			{"a.go", "package a\nimport \"golang.org/x/sys/unix\"\nfunc f() { unix.Nanosleep(nil, nil) }\n"},
		},
		good: []sample{
			{"a.go", "package a\n\n// Not time.Sleep(1).\ntype time struct{}\n"},
			{"a.go", "package a\nimport \"time\"\nfunc f(c chan int) { select { case <-c: case <-time.After(1): } }\n"},
		},
	},
	{
		name:    "sleep in C",
		instead: "wait on a pipe, a futex or a poll",
		applies: isC,
		find:    inCode(regexp.MustCompile(`\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\(`)),
		bad: []sample{
			{"a.c", "int f(void) { usleep(1); }\n"},
			{"a.h", "sleep (1);"},
			{"a.c", "/* a */ nanosleep(&t, 0);"},
		},
		good: []sample{{"a.c", "// usleep(1)\n/* sleep(\n1) */ char *s = \"sleep(1)\"; my_sleep(1);\n"}},
	},
	{
		name:    "sleep in Python",
		instead: "wait on a pipe or a socket",
		applies: hasSuffix(".py"),
		find:    inText(regexp.MustCompile(`^[^#]*\b(time\.sleep\s*\(|from time import .*\bsleep\b)`)),
		bad:     []sample{{"a.py", "    time.sleep(1)\n"}, {"a.py", "from time import monotonic, sleep\n"}},
		good:    []sample{{"a.py", "# not time.sleep(1)\nself.sleep(1)\n"}},
	},
	{
		name:    "process-private futex in C",
		instead: "shared words are waited for by other processes: no private flag",
		applies: isC,
		find:    inCode(regexp.MustCompile(`FUTEX_\w*PRIVATE|FUTEX2_PRIVATE`)),
		bad: []sample{
			{"a.c", "f(FUTEX_WAIT | FUTEX_PRIVATE_FLAG);"},
			{"a.h", "#define W FUTEX_WAKE_PRIVATE\n"},
		},
		good: []sample{{"a.c", "/* never FUTEX_PRIVATE_FLAG */ f(FUTEX_WAIT);\n"}},
	},
	{
		name:    "process-private futex in Go",
		instead: "shared words are waited for by other processes: no private flag",
		applies: hasSuffix(".go"),
		find:    goIdentifiers(regexp.MustCompile(`(?i)^futex2?_?\w*private`)),
		bad: []sample{{"a.go", "package a\nconst futexPrivateFlag = 128\n"},
			{"a.go", "package a\nvar a = unix.FUTEX_PRIVATE_FLAG\n"}},
		good: []sample{{"a.go", "package a\n\n// No FUTEX_PRIVATE_FLAG.\nconst futexWait = 0\n"}},
	},
	{
		name:    "volatile",
		instead: "volatile orders nothing between threads: use an atomic (asm volatile is fine)",
		applies: isC,
		find: inCode(regexp.MustCompile(`\b(volatile|__volatile__|__volatile)\b`),
			regexp.MustCompile(`\b(asm|__asm__|__asm)\s+\w+`)), // except where it qualifies an asm
		bad: []sample{
			{"a.c", "volatile int x;"},
			{"a.h", "int f(const volatile void *p);"},
			{"a.c", "int __volatile__ x;"},
		},
		good: []sample{{"a.c", "__asm__ __volatile__(\"yield\"); // volatile\nint volatile_count;\n"}},
	},
	{
		name:    "system calls in Go",
		instead: "wrap each system call once, in a file named after it that ends in _linux.go",
		applies: func(p string) bool { return hasSuffix(".go")(p) && !isLinux(p) },
		find:    goSyscalls,
		bad: []sample{
			{"a.go", "package a\nimport \"golang.org/x/sys/unix\"\nvar n = unix.SYS_FUTEX\n"},
			{"a.go", "package a\nimport s \"syscall\"\nvar n = s.SYS_MMAP\n"},
			{"a_test.go", "package a\nimport \"golang.org/x/sys/unix\"\nvar f = unix.RawSyscall6\n"},
		},
		good: []sample{
			{"futex_linux.go", "package a\nimport \"golang.org/x/sys/unix\"\nvar n = unix.SYS_FUTEX\n"},
			{"a.go", "package a\nimport \"golang.org/x/sys/unix\"\nvar n = unix.MemfdCreate\n"},
		},
	},
	{
		name:    "system calls in C",
		instead: "wrap each system call once, in sys.c or a file that ends in _linux.c",
		applies: func(p string) bool {
			return isC(p) && !strings.HasSuffix(p, "_linux.c") && path.Base(p) != "sys.c"
		},
		find: inCode(regexp.MustCompile(`\b(SYS_|__NR_)[a-z]\w*|\bsyscall\s*\(`)),
		bad: []sample{
			{"clients/c/a.c", "f(SYS_futex);"},
			{"a.h", "#define N __NR_futex\n"},
			{"a.c", "syscall (202);"},
		},
		good: []sample{
			{"clients/c/sys.c", "syscall(SYS_futex);"},
			{"clients/c/futex_linux.c", "syscall(SYS_futex);"},
			{"a.c", "// SYS_futex\nmy_syscall(SHMD_SYS_X);\n"},
		},
	},
	{
		name:    "unsafe",
		instead: "put what needs it into a file that ends in _unsafe.go, and say why it is right",
		applies: func(p string) bool {
			return hasSuffix(".go")(p) && !hasSuffix("_unsafe.go", "_test.go")(p) && !isLinux(p)
		},
		find: goImports("unsafe"),
		bad: []sample{
			{"a.go", "package a\nimport \"unsafe\"\n"},
			{"a.go", "package a\nimport _ \"unsafe\"\n"},
		},
		good: []sample{
			{"a_unsafe.go", "package a\nimport \"unsafe\"\n"},
			{"a_test.go", "package a\nimport \"unsafe\"\n"},
			{"mmap_linux.go", "package a\nimport \"unsafe\"\n"},
		},
	},
	{
		name:    "cgo",
		instead: "everything builds with CGO_ENABLED=0; C is for clients/c",
		applies: func(p string) bool { return hasSuffix(".go")(p) && !strings.HasPrefix(p, "tests/") },
		find:    goImports("C"),
		bad:     []sample{{"clients/go/a.go", "package a\n\n// int x;\nimport \"C\"\n"}},
		good: []sample{
			{"tests/x/a.go", "package a\nimport \"C\"\n"},
			{"shm/a.go", "package a\n\n// import \"C\"\n"},
		},
	},
	{
		name:    "Python in ctypes",
		instead: "it would shadow Python's own ctypes for whatever runs from the root",
		applies: func(p string) bool { return strings.HasPrefix(p, "ctypes/") && hasSuffix(".py")(p) },
		find:    func(f *file) []finding { return []finding{{0, "a Python file in ctypes/"}} },
		bad:     []sample{{"ctypes/__init__.py", ""}},
		good:    []sample{{"clients/python/shmd/__init__.py", ""}, {"ctypes/doc.go", "package ctypes\n"}},
	},
}

// --- Which files ---------------------------------------------------------

func hasSuffix(suffixes ...string) func(string) bool {
	return func(p string) bool {
		return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(p, s) })
	}
}

func isC(p string) bool { return hasSuffix(".c", ".h")(p) }

func isLinux(p string) bool { return hasSuffix("_linux.go", "_linux_test.go")(p) }

// --- Rules over text -----------------------------------------------------

// inText finds pattern in the lines of the file, as written.
func inText(pattern *regexp.Regexp) func(*file) []finding {
	return func(f *file) []finding { return inLines(f.text, pattern) }
}

func inLines(text string, pattern *regexp.Regexp) (found []finding) {
	for i, line := range strings.Split(text, "\n") {
		if match := pattern.FindString(line); match != "" {
			found = append(found, finding{i + 1, strconv.Quote(match)})
		}
	}
	return found
}

// inCode finds pattern in C code: comments, literals, and what except matches
// set aside.
func inCode(pattern *regexp.Regexp, except ...*regexp.Regexp) func(*file) []finding {
	return func(f *file) []finding {
		code := blank(cNoise, f.text)
		for _, e := range except {
			code = blank(e, code)
		}
		return inLines(code, pattern)
	}
}

// cNoise is whatever of C is not code; the alternatives are tried where one
// begins, so a quote in a comment and a slash in a string do no harm.
var cNoise = regexp.MustCompile(`(?s)/\*.*?\*/|//(\\\n|[^\n])*|"(\\.|[^"\\\n])*"|'(\\.|[^'\\\n])*'`)

// blank replaces matches by spaces and keeps the lines.
func blank(pattern *regexp.Regexp, text string) string {
	return pattern.ReplaceAllStringFunc(text, func(match string) string {
		return " " + strings.Repeat("\n", strings.Count(match, "\n"))
	})
}

func longLines(f *file) (found []finding) {
	for i, line := range strings.Split(f.text, "\n") {
		columns := 0
		for _, r := range line {
			if r == '\t' {
				columns += tabColumns
			} else {
				columns++
			}
		}
		if columns > columnsMax {
			found = append(found, finding{i + 1, fmt.Sprintf("%d columns", columns)})
		}
	}
	return found
}

// longFile enforces linesMax, and for the files in ratchet their own length,
// in both directions: a bound above the truth would let the file grow again.
func longFile(ratchet map[string]int) func(*file) []finding {
	return func(f *file) []finding {
		lines := strings.Count(f.text, "\n")
		bound, ratcheted := ratchet[f.path]
		switch {
		case ratcheted && lines < bound:
			return []finding{{0, fmt.Sprintf("%d lines: lower its bound in longFiles from %d", lines, bound)}}
		case ratcheted && lines > bound:
			return []finding{{0, fmt.Sprintf("%d lines: longer than the %d it had", lines, bound)}}
		case !ratcheted && lines > linesMax:
			return []finding{{0, fmt.Sprintf("%d lines: longer than %d", lines, linesMax)}}
		}
		return nil
	}
}

// --- Rules over Go's syntax tree -----------------------------------------

// importedAs is the name under which the file knows a package, "" if not at all.
func importedAs(f *file, importPath string) string {
	for _, spec := range f.tree.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// goUses finds the uses of what pattern matches in one of the packages.
func goUses(f *file, pattern *regexp.Regexp, importPaths ...string) (found []finding) {
	var names []string
	for _, p := range importPaths {
		if name := importedAs(f, p); name != "" {
			names = append(names, name)
		}
	}
	ast.Inspect(f.tree, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := selector.X.(*ast.Ident)
		if ok && slices.Contains(names, from.Name) && pattern.MatchString(selector.Sel.Name) {
			found = append(found, finding{f.at(selector), from.Name + "." + selector.Sel.Name})
		}
		return true
	})
	return found
}

var (
	sleepNames   = regexp.MustCompile(`^(Sleep|Nanosleep|ClockNanosleep)$`)
	syscallNames = regexp.MustCompile(`^(SYS_.*|(Raw)?Syscall(6|9|N|NoError)?)$`)
)

// goSleeps finds sleeps, and statements that wait for time.After and nothing
// else, which are the same.
func goSleeps(f *file) []finding {
	const unix = "golang.org/x/sys/unix"
	found := goUses(f, sleepNames, "time", "syscall", unix)
	clock := importedAs(f, "time")
	after := func(node ast.Node) bool {
		statement, ok := node.(*ast.ExprStmt)
		if !ok {
			return false
		}
		receive, ok := statement.X.(*ast.UnaryExpr)
		if !ok || receive.Op != token.ARROW {
			return false
		}
		call, ok := receive.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || selector.Sel.Name != "After" {
			return false
		}
		from, ok := selector.X.(*ast.Ident)
		return ok && clock != "" && from.Name == clock
	}
	ast.Inspect(f.tree, func(node ast.Node) bool {
		// The case of a select holds its receive as a statement too, beside others.
		if clause, ok := node.(*ast.CommClause); ok {
			for _, inner := range clause.Body {
				ast.Inspect(inner, func(n ast.Node) bool {
					if after(n) {
						found = append(found, finding{f.at(n), "waiting for nothing but time.After"})
					}
					return true
				})
			}
			return false
		}
		if after(node) {
			found = append(found, finding{f.at(node), "waiting for nothing but time.After"})
		}
		return true
	})
	return found
}

func goSyscalls(f *file) []finding {
	return goUses(f, syscallNames, "syscall", "golang.org/x/sys/unix")
}

func goImports(importPath string) func(*file) []finding {
	return func(f *file) (found []finding) {
		for _, spec := range f.tree.Imports {
			if spec.Path.Value == strconv.Quote(importPath) {
				found = append(found, finding{f.at(spec), "imports " + importPath})
			}
		}
		return found
	}
}

func goIdentifiers(pattern *regexp.Regexp) func(*file) []finding {
	return func(f *file) (found []finding) {
		ast.Inspect(f.tree, func(node ast.Node) bool {
			if identifier, ok := node.(*ast.Ident); ok && pattern.MatchString(identifier.Name) {
				found = append(found, finding{f.at(identifier), identifier.Name})
			}
			return true
		})
		return found
	}
}
