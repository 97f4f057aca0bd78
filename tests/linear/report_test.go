package linear

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// report writes a search that failed, as a page for a browser and as text, and names
// the directory.
func report(t *testing.T, name string, model porcupine.Model, ops []porcupine.Operation) string {
	t.Helper()
	_, info := porcupine.CheckOperationsVerbose(model, ops, time.Minute)
	dir, err := os.MkdirTemp("", "shmd-linear-") // not the test's own, which goes with it
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
	if err := porcupine.VisualizePath(model, info, path+".html"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	describe(f, model, ops, info)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// removeReport removes one that was only made to see that it can be.
func removeReport(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"an-example.html", "an-example.txt"} {
		if about, err := os.Stat(filepath.Join(dir, name)); err != nil || about.Size() == 0 {
			t.Errorf("%s is not there: %v", name, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// describe writes how far the search came, and what cannot come next.
func describe(w io.Writer, model porcupine.Model, ops []porcupine.Operation, info porcupine.LinearizationInfo) {
	var longest []porcupine.Operation
	for _, found := range info.PartialLinearizationsOperations()[0] {
		if len(found) > len(longest) {
			longest = found
		}
	}
	start := slices.MinFunc(ops, byCall).Call
	line := func(op porcupine.Operation) {
		a := op.Input.(*action)
		fmt.Fprintf(w, "%9.1f %9.1f us  actor %2d  %v\n", float64(op.Call-start)/1000, float64(op.Return-start)/1000,
			a.actor, a)
	}
	placed := make(map[any]bool)
	state := model.Init()
	fmt.Fprintf(w, "in this order:\n")
	for _, op := range longest {
		placed[op.Input] = true
		line(op)
		_, state = model.Step(state, op.Input, op.Output)
	}
	fmt.Fprintf(w, "then the state is %s,\nand none of these can be next:\n", model.DescribeState(state))
	left := slices.Clone(ops)
	slices.SortFunc(left, byCall)
	for _, op := range left {
		if !placed[op.Input] {
			line(op)
		}
	}
}

func byCall(a, b porcupine.Operation) int { return int(a.Call - b.Call) }
