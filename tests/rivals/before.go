package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Two trees are compared within one run, in turn, as systems are.

// beforePrefix marks an adapter of the other tree.
const beforePrefix = "before:"

// compareWith leaves ours only, in C and Go, each beside the same of another tree.
func (t *table) compareWith(tree string) {
	var all []adapter
	for _, a := range t.Adapters {
		if a.Kind != ours || a.language() == "Python" {
			continue
		}
		old := a
		old.ID, old.Label, old.tree = beforePrefix+a.ID, a.Label+", before", tree
		all = append(all, old, a)
	}
	t.Adapters = all
	for i := range t.Rows {
		t.Rows[i].Floor, t.Rows[i].Adapters, t.Rows[i].Goals = "", nil, nil
	}
}

// env is what programs of the tree find others by.
func (a *adapter) env() []string {
	if a.tree == "" {
		return nil
	}
	return []string{"SHMD_BIN=" + filepath.Join(a.tree, "bin", "shmd"), "SHMD_BUILD=" + filepath.Join(a.tree, "build")}
}

// benchstatCommand writes before.txt and after.txt, as benchstat reads them.
func benchstatCommand(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: shmd-rivals benchstat RESULTS.json DIRECTORY")
	}
	r, err := loadResults(args[0])
	if err != nil {
		return err
	}
	before, after := r.benchstat()
	return errors.Join(os.WriteFile(filepath.Join(args[1], "before.txt"), []byte(before), 0o644),
		os.WriteFile(filepath.Join(args[1], "after.txt"), []byte(after), 0o644))
}

// benchstat is a line for each round.
func (r *results) benchstat() (before, after string) {
	texts := map[bool]*strings.Builder{true: {}, false: {}}
	for _, c := range r.Cases {
		unit := map[string]string{"ns": "ns/op", "KiB": "KiB/object", "ticks": "ticks"}[c.Unit]
		for _, s := range c.Series {
			id, isBefore := strings.CutPrefix(s.ID, beforePrefix)
			for _, v := range s.Values {
				fmt.Fprintf(texts[isBefore], "Benchmark/%s %d %g %s\n", benchName(c, id), max(1, s.Operations), v, unit)
			}
		}
	}
	return texts[true].String(), texts[false].String()
}

// benchName has no blanks, and slashes between parts.
func benchName(c *caseResult, id string) string {
	parts := append([]string{c.Row}, strings.Split(c.Setting.String(), ", ")...)
	parts = append(parts, strings.ReplaceAll(id, "/", "-"))
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return strings.ReplaceAll(strings.Join(parts, "/"), " ", "")
}
