package step

import (
	"debug/elf"
	"fmt"
	"os"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// image is the C player as a file: where its marks and its code are. It is linked
// statically and not relocated, so addresses in it are those of the process.
type image struct {
	path             string
	beginAt, beganAt uint64 // the first mark, and the end of it
	endAt            uint64 // the second
	textAt           uint64
	text             []byte
}

func loadImage(t *testing.T) *image {
	t.Helper()
	i := &image{path: harness.Program(t, "tests/step/c/player")}
	f, err := os.Open(i.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file, err := elf.NewFile(f)
	if err != nil {
		t.Fatalf("%s: %v", i.path, err)
	}
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatalf("%s: %v", i.path, err)
	}
	for _, s := range symbols {
		switch s.Name {
		case "shmd_step_begin":
			i.beginAt, i.beganAt = s.Value, s.Value+s.Size
		case "shmd_step_end":
			i.endAt = s.Value
		}
	}
	text := file.Section(".text")
	if file.Type != elf.ET_EXEC || i.beganAt == i.beginAt || i.endAt == 0 || text == nil {
		t.Fatalf("%s is no static program with both marks", i.path)
	}
	i.textAt = text.Addr
	if i.text, err = text.Data(); err != nil {
		t.Fatalf("%s: %v", i.path, err)
	}
	return i
}

// code is the bytes of the instruction at an address; none outside of the program,
// where the kernel's own page is.
func (i *image) code(at uint64) []byte {
	if at < i.textAt || at >= i.textAt+uint64(len(i.text)) {
		return nil
	}
	return i.text[at-i.textAt:]
}

// place is where a victim stands: before an instruction, or asleep inside the
// system call there.
type place struct {
	at     uint64
	asleep bool
}

func (p place) String() string {
	if p.asleep {
		return fmt.Sprintf("asleep at %#x", p.at)
	}
	return fmt.Sprintf("%#x", p.at)
}
