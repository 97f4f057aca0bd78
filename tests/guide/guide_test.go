// Package guide runs the examples of docs/guide.md.
package guide

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// block is one fenced block.
type block struct{ language, text string }

// section is one object of the guide.
type section struct {
	title  string
	blocks []block
}

var (
	fence   = regexp.MustCompile("(?ms)^```([a-z]+)( frame)?\n(.*?)^```$")
	heading = regexp.MustCompile(`(?m)^## (.*)$`)
)

// read takes the guide apart.
func read(t *testing.T) (frames map[string]string, sections []section) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/guide.md"))
	if err != nil {
		t.Fatal(err)
	}
	frames = map[string]string{}
	starts := heading.FindAllStringSubmatchIndex(string(text), -1)
	for _, m := range fence.FindAllStringSubmatch(string(text[:starts[0][0]]), -1) {
		frames[m[1]] = m[3]
	}
	for i, start := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		s := section{title: string(text[start[2]:start[3]])}
		for _, m := range fence.FindAllStringSubmatch(string(text[start[1]:end]), -1) {
			s.blocks = append(s.blocks, block{m[1], m[3]})
		}
		sections = append(sections, s)
	}
	return frames, sections
}

// framed puts an example where the frame says.
func framed(t *testing.T, frame, example string) string {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^\s*(//|#) example\n`)
	if len(lines.FindAllString(frame, -1)) != 1 {
		t.Fatalf("the frame has no place for an example:\n%s", frame)
	}
	return lines.ReplaceAllLiteralString(frame, example)
}

// Every section has an example in every language, and they print what it says.
func TestGuide(t *testing.T) {
	frames, sections := read(t)
	if len(sections) < 5 {
		t.Errorf("%d sections", len(sections))
	}
	for _, s := range sections {
		t.Run(s.title, func(t *testing.T) {
			d := harness.StartDaemon(t)
			r := runner{t: t, daemon: d, frames: frames, dir: t.TempDir()}
			seen := map[string]bool{}
			var got strings.Builder
			for _, b := range s.blocks {
				seen[b.language] = true
				if b.language == "text" {
					if got.String() != b.text {
						t.Errorf("printed\n%s\nthe guide says\n%s", got.String(), b.text)
					}
					got.Reset()
					continue
				}
				got.WriteString(r.run(b))
			}
			for _, language := range []string{"go", "c", "python", "sh", "text"} {
				if !seen[language] {
					t.Errorf("there is nothing in %s", language)
				}
			}
		})
	}
}

// runner runs examples against one daemon.
type runner struct {
	t      *testing.T
	daemon *harness.Daemon
	frames map[string]string
	dir    string // for what is written and built
}

// run runs one example and returns what it prints.
func (r *runner) run(b block) string {
	r.t.Helper()
	root := harness.Root(r.t)
	var cmd *exec.Cmd
	switch b.language {
	case "go":
		// Inside the module, so that it needs no go.mod of its own.
		dir, err := os.MkdirTemp(filepath.Join(root, "build"), "guide-")
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				r.t.Error(err)
			}
		})
		cmd = exec.Command("go", "run", r.write(dir, "main.go", b))
	case "c":
		program := filepath.Join(r.dir, "example")
		script := "cc -Wall -Werror " + r.write(r.dir, "example.c", b) + " -o " + program +
			" $(PKG_CONFIG_PATH=build pkg-config --cflags --libs shmd) && exec " + program
		cmd = exec.Command("bash", "-c", script)
	case "python":
		cmd = exec.Command(harness.Python(r.t), r.write(r.dir, "example.py", b))
	case "sh":
		cmd = exec.Command("bash", "-eu", "-c", b.text)
	default:
		r.t.Fatalf("a block in %q", b.language)
	}
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "SHMD_SOCKET="+r.daemon.Socket, "PYTHONPATH=examples/python",
		"PATH="+filepath.Dir(harness.Binary(r.t))+":"+os.Getenv("PATH"))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s\n%s", b.language, err, b.text, stderr.String())
	}
	return string(out)
}

// write writes an example in its frame, and returns the path.
func (r *runner) write(dir, name string, b block) string {
	r.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(framed(r.t, r.frames[b.language], b.text)), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}
