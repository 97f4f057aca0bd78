package ctypes

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cProgram prints a line per code: size, alignment, whether integer conversion
// to the type keeps a minus sign, and what the largest value has for bits. A
// compiler without _Float16 leaves that line out.
const cProgram = `
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <float.h>

#define ROW(letter, type, largest) do {                                   \
	type value = (largest);                                               \
	unsigned long long bits = 0;                                          \
	memcpy(&bits, &value, sizeof value);                                  \
	printf("%c %zu %zu %d %llx\n", letter, sizeof(type), _Alignof(type),  \
	       (type)-1 < (type)0, bits);                                     \
} while (0)

int main(void)
{
%ROWS%
	return 0;
}
`

// cLargest is the largest value of a code as a C expression.
func cLargest(c Code) string {
	switch c {
	case CodeHalf:
		return "65504.0"
	case CodeFloat:
		return "FLT_MAX"
	case CodeDouble:
		return "DBL_MAX"
	default:
		_, maximum, _ := c.IntRange()
		return fmt.Sprintf("(%s)%dULL", c.CName(), maximum)
	}
}

// TestAgainstCCompiler holds the table against the C compiler of this machine:
// size, alignment, signedness and the bits of the largest value.
func TestAgainstCCompiler(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler: there is no cc in PATH")
	}
	var rows strings.Builder
	for _, c := range All() {
		row := fmt.Sprintf("\tROW('%s', %s, %s);\n", c, c.CName(), cLargest(c))
		if c == CodeHalf {
			row = "#ifdef __FLT16_MAX__\n" + row + "#endif\n"
		}
		rows.WriteString(row)
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "codes.c"), filepath.Join(dir, "codes")
	text := strings.Replace(cProgram, "%ROWS%", rows.String(), 1)
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-std=c11", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}

	seen := map[Code]bool{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		var letter string
		var size, align, signed int
		var bits uint64
		if _, err := fmt.Sscanf(lines.Text(), "%s %d %d %d %x", &letter, &size, &align, &signed, &bits); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		c, err := Parse(letter)
		if err != nil {
			t.Fatal(err)
		}
		seen[c] = true
		if size != c.Size() || align != c.Align() {
			t.Errorf("%s: C has size %d and alignment %d, the table %d and %d",
				describe(c), size, align, c.Size(), c.Align())
		}
		// The signedness of char and wchar_t is the machine's own business.
		if kind := c.Kind(); kind != KindChar && kind != KindWChar {
			if want := kind == KindInt || kind == KindFloat; want != (signed == 1) {
				t.Errorf("%s: signed in C: %v, want %v", describe(c), signed == 1, want)
			}
		}
		_, high := c.Range()
		if want := mustParse(t, c, largestText(c, high)); bits != want {
			t.Errorf("%s: the largest value has bits %#x in C, here %#x", describe(c), bits, want)
		}
	}
	for _, c := range All() {
		if !seen[c] && c == CodeHalf {
			t.Logf("%s has no _Float16, so 'e' went unchecked", cc)
		} else if !seen[c] {
			t.Errorf("%s: no line", describe(c))
		}
	}
}

// largestText spells the end of a range for ParseText.
func largestText(c Code, high string) string {
	if c == CodeChar {
		return `\xff`
	}
	return high
}

// mustParse is ParseText for text known to be good.
func mustParse(t *testing.T, c Code, s string) uint64 {
	t.Helper()
	bits, err := ParseText(c, s)
	if err != nil {
		t.Fatalf("ParseText(%q, %q): %v", c, s, err)
	}
	return bits
}
