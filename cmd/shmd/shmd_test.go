package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
)

// mainVariable makes the test binary be shmd.
const mainVariable = "SHMD_TEST_BE_SHMD"

func TestMain(m *testing.M) {
	// A daemon of this program starts it as its keeper.
	if os.Getenv(mainVariable) != "" || len(os.Args) > 1 && os.Args[1] == "keeper" {
		if err := os.Unsetenv(mainVariable); err != nil {
			panic(err)
		}
		main()
	}
	os.Exit(m.Run())
}

// startDaemon runs a daemon for this test, which every command finds.
func startDaemon(t *testing.T) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	t.Setenv("SHMD_SOCKET", socket)
	server, err := daemon.Start(t.Context(), daemon.Config{Socket: socket, BudgetBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// result is what an invocation left.
type result struct {
	code           int
	stdout, stderr string
}

// invoke runs shmd in this process.
func invoke(t *testing.T, args ...string) result {
	t.Helper()
	return invokeInput(t, "", args...)
}

// invokeInput is invoke with something on stdin.
func invokeInput(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr}
	code := a.run(t.Context(), args)
	return result{code, stdout.String(), stderr.String()}
}

// must is invoke for what has to succeed in silence; it returns stdout.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := invoke(t, args...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("shmd %q: exit %d, stderr %q", args, r.code, r.stderr)
	}
	return r.stdout
}

// expect checks the output of a command that has to succeed.
func expect(t *testing.T, want string, args ...string) {
	t.Helper()
	if got := must(t, args...); got != want {
		t.Errorf("shmd %q prints\n%s, want\n%s", args, got, want)
	}
}

// settle waits until the daemon has seen the end of all clients but those of
// the given number and the one that asks: a client that says bye is answered
// before it is gone.
func settle(t *testing.T, others int) {
	t.Helper()
	watchdog := time.Now().Add(time.Minute)
	for strings.Count(must(t, "clients", "--json"), "\n") != others+1 {
		if time.Now().After(watchdog) {
			t.Fatalf("clients that do not end:\n%s", must(t, "clients"))
		}
		runtime.Gosched()
	}
}

// process is shmd in a process of its own.
type process struct {
	*exec.Cmd
	t      *testing.T
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bytes.Buffer
}

func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self, args...), t: t, stderr: &bytes.Buffer{}}
	p.Env = append(os.Environ(), mainVariable+"=1")
	p.Stderr = p.stderr
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	return p
}

func (p *process) start() {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// line waits for a line on stdout.
func (p *process) line(want string) {
	p.t.Helper()
	got, err := p.stdout.ReadString('\n')
	if err != nil || got != want+"\n" {
		p.t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// end waits for the end of output and of the process, and returns the exit code
// (-1 if it was killed) with the rest of the output.
func (p *process) end() (code int, stdout string) {
	p.t.Helper()
	rest, err := io.ReadAll(p.stdout)
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.Wait()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		p.t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), string(rest)
}

func dial(t *testing.T) *shmd.Client {
	t.Helper()
	c, err := shmd.Dial(t.Context(), shmd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Every line of every Example runs, in its order, against a daemon of its own.
func TestExamplesRun(t *testing.T) {
	root := (&app{}).newRoot()
	for _, c := range append(slices.Clone(root.Commands()), root) {
		if c.Hidden || c.Name() == "completion" {
			continue
		}
		t.Run(c.Name(), func(t *testing.T) {
			if c.Long == "" || c.Example == "" {
				t.Fatal("no description or no example")
			}
			if c.Name() != "serve" {
				startDaemon(t)
			}
			for line := range strings.SplitSeq(c.Example, "\n") {
				words := splitWords(t, line)
				if len(words) < 2 || words[0] != "shmd" {
					t.Errorf("%q does not call shmd", line)
					continue
				}
				if slices.Contains(words, "--supervised") {
					continue // for ever; TestRestart in tests/crash runs keepers
				}
				if words[1] == "serve" && !slices.Contains(words, "--check-config") {
					t.Setenv("SHMD_SOCKET", filepath.Join(t.TempDir(), "s"))
					serveOnce(t, words[1:])
					continue
				}
				if r := invoke(t, words[1:]...); r.code != 0 || r.stderr != "" {
					t.Errorf("%s\nexit %d, stderr: %s", line, r.code, r.stderr)
				}
			}
		})
	}
}

// splitWords splits as a shell does, for the quotes that the examples use.
func splitWords(t *testing.T, line string) (words []string) {
	t.Helper()
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inside = r, true
		case quote == 0 && r == ' ':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		t.Fatalf("unbalanced quote in %q", line)
	}
	return words
}

func TestHelpIsComplete(t *testing.T) {
	root := (&app{}).newRoot()
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "completion" { // cobra's own
			continue
		}
		r := invoke(t, c.Name(), "--help")
		for _, want := range []string{c.Long, c.Example, "Exit status:\n  ", "--socket PATH", "--json"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("shmd %s --help lacks %q", c.Name(), want)
			}
		}
		if r.code != 0 || r.stderr != "" {
			t.Errorf("shmd %s --help: exit %d, stderr %q", c.Name(), r.code, r.stderr)
		}
	}
	if r := invoke(t, "completion", "bash"); r.code != 0 || !strings.Contains(r.stdout, "shmd") {
		t.Errorf("completion: %+v", r)
	}
}

func TestCompletionOffersNames(t *testing.T) {
	startDaemon(t)
	must(t, "create", "jobs/lock", "mutex")
	must(t, "create", "other", "mutex")
	if r := invoke(t, "__completeNoDesc", "stat", "jo"); !strings.HasPrefix(r.stdout, "jobs/lock\n:") {
		t.Errorf("completion of jo: %+v", r)
	}
	must(t, "create", "jobs/todo", "queue")
	if r := invoke(t, "__completeNoDesc", "take", "jo"); !strings.HasPrefix(r.stdout, "jobs/todo\n:") {
		t.Errorf("completion of a queue: %+v", r)
	}
	const last = "queue\nevent\ncondition\nbarrier\nrwlock\nstream\npipe\n:"
	if r := invoke(t, "__completeNoDesc", "create", "x", ""); !strings.Contains(r.stdout, last) {
		t.Errorf("completion of kinds: %+v", r)
	}
}

// The committed manual pages are those of this code: if not, go generate.
func TestManualPages(t *testing.T) {
	const dir = "../../docs/man"
	pages := manPages((&app{}).newRoot())
	committed, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(pages) {
		t.Errorf("%d pages in %s, want %d: run go generate ./cmd/shmd", len(committed), dir, len(pages))
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is out of date: run go generate ./cmd/shmd", name)
		}
	}
}

func TestManualPagesAreTroff(t *testing.T) {
	if got := escape(".x -a\\b\n'y"); got != "\\&.x \\-a\\eb\n\\&'y" {
		t.Errorf("escape: %q", got)
	}
	dir := t.TempDir()
	must(t, "gen-man", dir)
	text, err := os.ReadFile(filepath.Join(dir, "shmd.1"))
	if err != nil || !strings.Contains(string(text), "shmd\\-lock(1)") {
		t.Errorf("shmd.1: %v\n%s", err, text)
	}
}
