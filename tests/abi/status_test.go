package abi

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/shmd/shmd/status"
)

// statusTable reads a table of status codes: number, name.
func statusTable(t *testing.T, path, pattern string, number, name int) map[string]int {
	t.Helper()
	text, err := os.ReadFile(path)
	check(t, err)
	all := map[string]int{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[number])
		check(t, err)
		if _, twice := all[m[name]]; twice {
			t.Errorf("%s: %s stands there twice", path, m[name])
		}
		all[m[name]] = n
	}
	if len(all) == 0 {
		t.Fatalf("%s has no table of status codes", path)
	}
	return all
}

// The status codes have the same names and numbers in Go, in C (negative, but for
// OWNER_DIED, which is a success) and in the protocol.
func TestStatusTablesAgree(t *testing.T) {
	inGo := map[string]int{}
	for _, c := range status.Codes() {
		if c != status.OK {
			inGo[c.Name()] = int(c)
		}
	}
	const api = "../../include/shmd.h"
	inC := statusTable(t, api, `(?m)^#define SHMD_E_(\w+) \(-(\d+)\)`, 2, 1)
	inC["OWNER_DIED"] = statusTable(t, api, `(?m)^#define SHMD_(OWNER_DIED) (\d+)`, 2, 1)["OWNER_DIED"]
	onWire := statusTable(t, "../../wire/PROTOCOL.md", "(?m)^\\| (\\d+) \\| `([A-Z_]+)` \\|", 1, 2)
	for place, table := range map[string]map[string]int{"include/shmd.h": inC, "wire/PROTOCOL.md": onWire} {
		for name, number := range inGo {
			if got, ok := table[name]; !ok {
				t.Errorf("%s lacks %s, %d", place, name, number)
			} else if got != number {
				t.Errorf("%s: %s is %d, in Go it is %d", place, name, got, number)
			}
		}
		for name, number := range table {
			if _, ok := inGo[name]; !ok && number != 0 {
				t.Errorf("%s: %s, %d, is not in status/code.go", place, name, number)
			}
		}
	}
}
