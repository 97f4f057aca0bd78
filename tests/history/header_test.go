package history

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestHeader compares the numbers of the operations with those of C.
func TestHeader(t *testing.T) {
	text, err := os.ReadFile("c/history.h")
	if err != nil {
		t.Fatal(err)
	}
	inC := make(map[string]Op)
	for _, m := range regexp.MustCompile(`(?m)^\tOP_(\w+) = (\d+)`).FindAllStringSubmatch(string(text), -1) {
		number, err := strconv.ParseUint(m[2], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		inC[m[1]] = Op(number)
	}
	for op, name := range opNames {
		short := strings.ToUpper(strings.TrimSuffix(name, "_consistent"))
		if inC[short] != op {
			t.Errorf("OP_%s is %d in C, %d in Go", short, inC[short], op)
		}
	}
	if len(inC) != len(opNames) {
		t.Errorf("%d operations in C, %d in Go", len(inC), len(opNames))
	}
}
