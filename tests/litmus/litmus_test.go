//go:build models

// Each program passes with the orders that the library has, and fails with each weaker
// one that its head lists, for the reason that the table names.
package litmus

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// runTimeout bounds one compilation and one run; a run takes a tenth of a second, that of
// attention some five.
const runTimeout = 5 * time.Minute

// race is what Relacy says when plain data are accessed without an order between.
const race = "DATA RACE"

// weakening is a variant that must fail.
type weakening struct {
	name  string
	fails string // what Relacy must print as the reason
}

var programs = map[string][]weakening{
	"handover": {
		{"UNLOCK=relaxed", race},
		{"LOCK=relaxed", race},
	},
	"sequence": {
		{"NO_ODD_FENCE", "l == before / 2"},
		{"NO_LAST_FENCE", "l == before / 2"},
		{"EVEN=relaxed", "l == h"},
		{"FIRST=relaxed", "l == h"},
	},
	"rwlock": {
		{"ENTER=acq_rel", race},
		{"LOOK=acquire", race},
		{"OWN=acq_rel", race},
		{"SCAN=acquire", race},
		{"LEAVE=relaxed", race},
		{"UNLOCK=relaxed", race},
	},
	"eventcount": {
		{"BUMP=relaxed", "element.load(mo_relaxed, $) == 1"},
		{"VERSION=relaxed", "element.load(mo_relaxed, $) == 1"},
		{"BUMP_FIRST", "element.load(mo_relaxed, $) == 1"},
	},
	"attention": {
		{"COMMIT=relaxed", race},
		{"COMMIT=acq_rel", "!asleep || slept_on == COMMITS"},
		{"ATTENTION=acquire", "!asleep || slept_on == COMMITS"},
		{"ANNOUNCE=acq_rel", "!asleep || slept_on == COMMITS"},
		{"AGAIN=acquire", "!asleep || slept_on == COMMITS"},
		{"SEE=relaxed", race},
		{"ATTENTION_FIRST", "!asleep || slept_on == COMMITS"},
		{"REMEMBERS_LATER", "!asleep || slept_on == COMMITS"},
	},
	"barrier": {
		{"ARRIVE=relaxed", race},
		{"ARRIVE=acquire", race},
		{"LEAD=release", race},
		{"COMPLETE=relaxed", race},
		{"LOOK=relaxed", race},
	},
	"event": {
		{"SET=relaxed", "heard || set_again"},
		{"RESET=relaxed", "heard || set_again"},
		{"LOOK=relaxed", "news.load(mo_relaxed, $) == 1"},
		{"SET_LOADS", "heard || set_again"},
	},
	"removal": {
		{"ANNOUNCE=relaxed", "!asleep"},
		{"STATE_FIRST", "!asleep"},
		{"BUMP_FIRST", "!asleep"},
	},
	"crossing": {
		{"ENTRY=release", "!asleep"},
		{"LOOK=acquire", "!asleep"},
		{"ANNOUNCE=acq_rel", "!asleep"},
		{"AGAIN=acquire", "!asleep"},
		{"LOOK_FIRST", "!asleep"},
		{"NO_LOOK", "!asleep"},
	},
	"crossing_x86": {
		{"NO_BARRIER", "!asleep"},
		{"BARRIER_FIRST", "!asleep"},
		{"NO_MODIFY", "!asleep"},
	},
	"idle": {
		{"MOVE=relaxed", "slot.load(mo_relaxed, $) != FIRST"},
		{"LOOK=relaxed", "slot.load(mo_relaxed, $) != FIRST"},
		{"FOUND=relaxed", "at == 2"},
		{"NO_AGAIN", "at == 2"},
		{"MOVE_LAST", "at == 2"},
	},
	"stolen": {
		{"EPOCH=relaxed", "derived.load(mo_relaxed, $) == 1"},
	},
	"token": {
		{"TOKEN_KEPT", "!held_by(i)"},
	},
}

var (
	passes = regexp.MustCompile(`(?m)^PASS \d+$`)
	fails  = regexp.MustCompile(`(?m)^FAIL \d+$`)
)

func TestLitmus(t *testing.T) {
	binary := compile(t)
	for program, weakenings := range programs {
		t.Run(program, func(t *testing.T) {
			if out := run(t, binary, program); !passes.MatchString(out) {
				t.Errorf("must pass, but:\n%s", head(out))
			}
		})
		for _, w := range weakenings {
			t.Run(program+","+w.name, func(t *testing.T) {
				out := run(t, binary, program, w.name)
				if !fails.MatchString(out) || !strings.Contains(out, w.fails) {
					t.Errorf("must fail by %q, but:\n%s", w.fails, head(out))
				}
			})
		}
	}
}

// compile builds all programs into one binary: that takes longer than all runs.
func compile(t *testing.T) string {
	t.Helper()
	cxx := strings.Fields(os.Getenv("CXX"))
	if len(cxx) == 0 {
		cxx = []string{"g++"}
	}
	binary := filepath.Join(t.TempDir(), "litmus")
	args := append(cxx[1:], "-std=c++11", "-O0", "-w", "-o", binary, filepath.Join("programs", "main.cpp"))
	out, err := command(cxx[0], args...)
	if err != nil {
		t.Fatalf("%v (Relacy: apt-get install relacy-dev)\n%s", err, head(out))
	}
	return binary
}

func run(t *testing.T, binary string, args ...string) string {
	t.Helper()
	out, err := command(binary, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, head(out))
	}
	return out
}

func command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}

// head is the beginning of an output: the reason, and the way there.
func head(out string) string {
	lines := strings.Split(out, "\n")
	return strings.Join(lines[:min(len(lines), 40)], "\n")
}

// A weakening that a program lists is in the table, and the other way round.
func TestTableKnowsThePrograms(t *testing.T) {
	listed := regexp.MustCompile(`(?m)^//   ([A-Z_]+(?:=\w+)?)`)
	for program, weakenings := range programs {
		text, err := os.ReadFile(filepath.Join("programs", program+".hpp"))
		if err != nil {
			t.Fatal(err)
		}
		_, list, _ := strings.Cut(string(text), "Must fail:")
		known := map[string]bool{}
		for _, w := range weakenings {
			known[w.name] = true
		}
		found := listed.FindAllStringSubmatch(list, -1)
		if len(found) != len(known) {
			t.Errorf("%s lists %d weakenings, the table %d", program, len(found), len(known))
		}
		for _, f := range found {
			if !known[f[1]] {
				t.Errorf("%s: %s must fail, and no run says so", program, f[1])
			}
		}
	}
	files, err := filepath.Glob(filepath.Join("programs", "*.hpp"))
	if err != nil || len(files) != len(programs)+1 { // and litmus.hpp
		t.Errorf("%d headers beside %d programs: %v", len(files), len(programs), err)
	}
}
