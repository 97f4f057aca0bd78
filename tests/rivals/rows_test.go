package main

import (
	"strings"
	"testing"
)

// The rows that are committed are good, and each can be measured with what is always there.
func TestRows(t *testing.T) {
	table, err := loadTable(rowsJSON)
	if err != nil {
		t.Fatal(err)
	}
	quick := 0
	for i := range table.Rows {
		r := &table.Rows[i]
		entrants := table.entrants(r)
		if len(entrants) < 2 || len(r.settings(false)) == 0 {
			t.Errorf("row %s has %d adapters at %d points", r.ID, len(entrants), len(r.settings(false)))
		}
		isOurs := false
		for _, a := range entrants {
			isOurs = isOurs || a.Kind == ours
		}
		if !isOurs {
			t.Errorf("row %s is not about shmd", r.ID)
		}
		if r.Quick {
			quick++
		}
	}
	for _, workload := range workloads {
		if !strings.Contains(string(rowsJSON), `"workload": "`+workload+`"`) {
			t.Errorf("no row of %s", workload)
		}
	}
	if quick == 0 {
		t.Error("nothing is measured with QUICK=1")
	}
}

const smallTable = `{"adapters": [
	{"id": "shmd/C", "label": "shmd", "kind": "ours", "command": ["x"], "workloads": ["oneway"]},
	{"id": "word/C", "label": "words", "kind": "floor", "command": ["x"], "workloads": ["oneway"]},
	{"id": "other/Go", "label": "other", "kind": "server", "command": ["x"], "server": ["x"], "workloads": ["oneway"]},
	{"id": "late/C", "label": "late", "kind": "library", "command": ["x"], "workloads": ["lock"]}],
"rows": [{"id": "one", "title": "One", "workload": "oneway", "placements": ["across", "one"], "shapes": ["1x1", "4x2"],
	"sizes_bytes": [8, 1024], "touch": [1, 0], "floor": "word/C",
	"goals": [{"who": "shmd/C", "against": "rivals", "at_most": 1.5}]}]}`

func TestBadRowsAreRefused(t *testing.T) {
	if _, err := loadTable([]byte(smallTable)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"late/C"`, `"shmd/C"`, "twice"},
		{`"late/C"`, `"late"`, "SYSTEM/LANGUAGE"},
		{`"kind": "library"`, `"kind": "friend"`, "no kind"},
		{`"server": ["x"], `, ``, "no server"},
		{`["lock"]`, `["look"]`, "no workload"},
		{`"across"`, `"over"`, "no placement"},
		{`["across", "one"]`, `[]`, "no placement"},
		{`"floor": "word/C"`, `"floor": "late/C"`, "no adapter"},
		{`"who": "shmd/C"`, `"who": "shmd/Go"`, "no adapter"},
		{`"at_most": 1.5`, `"at_most": 0`, "goal"},
		{`"4x2"`, `"4"`, "PRODUCERSxCONSUMERS"},
		{`"touch"`, `"taste"`, "unknown field"},
	} {
		text := strings.Replace(smallTable, c.old, c.new, 1)
		if text == smallTable {
			t.Fatalf("%s is not in the table", c.old)
		}
		if _, err := loadTable([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.new, err)
		}
	}
}

func TestSettings(t *testing.T) {
	table, err := loadTable([]byte(smallTable))
	if err != nil {
		t.Fatal(err)
	}
	all := table.Rows[0].settings(false)
	if len(all) != 16 {
		t.Fatalf("%d points", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		seen[s.String()] = true
	}
	if len(seen) != len(all) || !seen["4x2, 1 KiB, untouched, one"] || !seen["1x1, 8 B, across"] {
		t.Errorf("%v", seen)
	}
	if quick := table.Rows[0].settings(true); len(quick) != 1 || quick[0] != all[0] {
		t.Errorf("quick: %v", quick)
	}
	var order string
	for _, a := range table.entrants(&table.Rows[0]) {
		order += a.ID + " "
	}
	if order != "word/C shmd/C other/Go " {
		t.Errorf("order %s", order)
	}
}
