package abi

import (
	"cmp"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shmd/shmd/shm"
)

// compile runs the C compiler of SHMD_CC. Without the variable and without cc,
// there is nothing to compare with.
func compile(t *testing.T, args ...string) {
	t.Helper()
	compiler := strings.Fields(os.Getenv("SHMD_CC"))
	if len(compiler) == 0 {
		if _, err := exec.LookPath("cc"); err != nil {
			t.Skip("no C compiler: SHMD_CC is not set, and there is no cc in PATH")
		}
		compiler = []string{"cc"}
	}
	args = append(append(compiler[1:], "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I../../include"), args...)
	if out, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", compiler[0], strings.Join(args, " "), err, out)
	}
}

// names lists what a pattern captures in the header.
func names(t *testing.T, pattern string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readHeader(t), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("the header has nothing like %s", pattern)
	}
	return all
}

func structNames(t *testing.T) []string { return names(t, `(?m)^struct (\w+) \{`) }

func constantNames(t *testing.T) []string { return names(t, `(?m)^#define SHMD_(\w+) \S`) }

// probe compiles an object file that has a variable of every struct of the header,
// and an array of all its numbers, followed by the alignment of each struct.
func probe(t *testing.T) *elf.File {
	t.Helper()
	var c strings.Builder
	c.WriteString("#include <shmd_abi.h>\n")
	for _, s := range structNames(t) {
		fmt.Fprintf(&c, "extern struct %s probe_%s;\nstruct %s probe_%s;\n", s, s, s, s)
	}
	c.WriteString("extern const uint64_t probe_numbers[];\nconst uint64_t probe_numbers[] = {\n")
	for _, n := range constantNames(t) {
		fmt.Fprintf(&c, "\t(uint64_t)SHMD_%s,\n", n)
	}
	for _, s := range structNames(t) {
		fmt.Fprintf(&c, "\t_Alignof(struct %s),\n", s)
	}
	c.WriteString("};\n")
	dir := t.TempDir()
	source, object := filepath.Join(dir, "probe.c"), filepath.Join(dir, "probe.o")
	if err := os.WriteFile(source, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	compile(t, "-g", "-c", "-o", object, source)
	f, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// numbersOf reads probe_numbers out of the object file.
func numbersOf(t *testing.T, f *elf.File) []uint64 {
	t.Helper()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name != "probe_numbers" {
			continue
		}
		data, err := f.Sections[s.Section].Data()
		if err != nil {
			t.Fatal(err)
		}
		data = data[s.Value : s.Value+s.Size]
		all := make([]uint64, len(data)/8)
		for i := range all {
			all[i] = f.ByteOrder.Uint64(data[8*i:])
		}
		return all
	}
	t.Fatal("the object file has no probe_numbers")
	return nil
}

func cKind(typ dwarf.Type) string {
	switch typ := typ.(type) {
	case *dwarf.TypedefType:
		return cKind(typ.Type)
	case *dwarf.UintType, *dwarf.UcharType:
		return fmt.Sprintf("u%d", 8*typ.Size())
	case *dwarf.ArrayType:
		return fmt.Sprintf("%s[%d]", cKind(typ.Type), typ.Count)
	case *dwarf.StructType:
		return typ.Kind + " " + typ.StructName
	}
	return typ.String()
}

// structsOfC is the layout as the C compiler sees it.
func structsOfC(t *testing.T, f *elf.File) map[string]structure {
	t.Helper()
	data, err := f.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]structure{}
	for r := data.Reader(); ; {
		entry, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if entry == nil {
			break
		}
		if entry.Tag != dwarf.TagStructType {
			continue
		}
		typ, err := data.Type(entry.Offset)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := typ.(*dwarf.StructType)
		if !ok || !strings.HasPrefix(s.StructName, "shmd_") {
			continue
		}
		one := structure{Name: s.StructName, Size: uint64(s.ByteSize)}
		for _, m := range s.Field {
			one.Fields = append(one.Fields, field{m.Name, uint64(m.ByteOffset), uint64(m.Type.Size()), cKind(m.Type)})
		}
		all[one.Name] = one
	}
	return all
}

// The structs of the two languages are the same, field by field.
func TestStructsAgree(t *testing.T) {
	object := probe(t)
	inC := structsOfC(t, object)
	numbers := numbersOf(t, object)[len(constantNames(t)):]
	for i, name := range structNames(t) {
		s, ok := inC[name]
		if !ok {
			t.Errorf("struct %s: no debug information", name)
		}
		s.Align = numbers[i]
		inC[name] = s
	}
	for _, g := range structsOfGo(t) {
		c, ok := inC[g.Name]
		if !ok {
			t.Errorf("struct %s: Go has it, the header has not", g.Name)
			continue
		}
		delete(inC, g.Name)
		for _, difference := range differences(g, c) {
			t.Error(difference)
		}
	}
	for name := range inC {
		t.Errorf("struct %s: the header has it, Go (goStructs) has not", name)
	}
}

// differences names struct, field and both sides.
func differences(g, c structure) (all []string) {
	if g.Size != c.Size || g.Align != c.Align {
		all = append(all, fmt.Sprintf("struct %s: Go has size %d, alignment %d; C has size %d, alignment %d",
			g.Name, g.Size, g.Align, c.Size, c.Align))
	}
	side := func(fields []field, i int) (name, text string) {
		if i >= len(fields) {
			return "", "nothing"
		}
		return fields[i].Name, fmt.Sprintf("%+v", fields[i])
	}
	for i := range max(len(g.Fields), len(c.Fields)) {
		nameInGo, inGo := side(g.Fields, i)
		nameInC, inC := side(c.Fields, i)
		if inGo != inC {
			all = append(all, fmt.Sprintf("struct %s, field %s: Go has %s, C has %s",
				g.Name, cmp.Or(nameInGo, nameInC), inGo, inC))
		}
	}
	return all
}

// A comparison that finds no difference would pass any layout.
func TestDifferencesAreFound(t *testing.T) {
	base := structure{"shmd_x", 16, 8, []field{{"a", 0, 8, "u64"}, {"b", 8, 4, "u32"}, {"c", 12, 4, "u32"}}}
	change := func(f func(*structure)) structure {
		s := base
		s.Fields = append([]field(nil), base.Fields...)
		f(&s)
		return s
	}
	for name, other := range map[string]structure{
		"size":   change(func(s *structure) { s.Size = 24 }),
		"align":  change(func(s *structure) { s.Align = 4 }),
		"name":   change(func(s *structure) { s.Fields[1].Name = "x" }),
		"offset": change(func(s *structure) { s.Fields[1].Offset = 4 }),
		"kind":   change(func(s *structure) { s.Fields[1].Kind = "u8[4]" }),
		"less":   change(func(s *structure) { s.Fields = s.Fields[:2] }),
		"more":   change(func(s *structure) { s.Fields = append(s.Fields, field{"d", 16, 0, "u8[0]"}) }),
	} {
		if len(differences(base, other)) != 1 {
			t.Errorf("%s: %v", name, differences(base, other))
		}
	}
	if d := differences(base, base); d != nil {
		t.Error(d)
	}
}

// Every number of the header has the same value in Go, and the other way round.
func TestConstantsAgree(t *testing.T) {
	numbers := numbersOf(t, probe(t))
	inGo := constants()
	inGo["ABI_FINGERPRINT"] = shm.ABIFingerprint
	for i, name := range constantNames(t) {
		want, ok := inGo[name]
		switch {
		case !ok:
			t.Errorf("SHMD_%s: the header has it, shm.ABIConstants has not", name)
		case numbers[i] != want:
			t.Errorf("SHMD_%s: the header has %#x, Go has %#x", name, numbers[i], want)
		}
		delete(inGo, name)
	}
	for name := range inGo {
		t.Errorf("SHMD_%s: shm.ABIConstants has it, the header has not", name)
	}
}
