package abi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/shmd/shmd/shm"
)

var update = flag.Bool("update", false, "rewrite the layout's file and the images from the code")

const headerFile = "../../include/shmd_abi.h"

// frozenLayouts are the versions that never change, with their fingerprints: programs
// rely on them. Entries are added, and never changed or removed.
var frozenLayouts = map[uint32]uint64{
	1: 0x7b878cc4cd3849f2,
}

// layoutFile describes a version of the layout.
func layoutFile(version uint32) string { return fmt.Sprintf("v%d.json", version) }

// The layout as data, under the names of the C header.
type (
	field struct {
		Name   string `json:"name"`
		Offset uint64 `json:"offset"`
		Size   uint64 `json:"size"`
		Kind   string `json:"kind"` // u32, u8[16], struct shmd_lock
	}
	structure struct {
		Name   string  `json:"name"`
		Size   uint64  `json:"size"`
		Align  uint64  `json:"align"`
		Fields []field `json:"fields"`
	}
	bitField struct {
		Name string `json:"name"`
		High int    `json:"high"`
		Low  int    `json:"low"`
	}
	word struct {
		Name string     `json:"name"`
		Bits []bitField `json:"bits"` // from the highest
	}
)

// goStructs are the layout types of package shm.
var goStructs = []struct {
	name string
	is   any
}{
	{"shmd_header", shm.Header{}},
	{"shmd_death", shm.DeathRecord{}},
	{"shmd_lock", shm.LockLine{}},
	{"shmd_sequence", shm.SequenceLine{}},
	{"shmd_change", shm.ChangeLine{}},
	{"shmd_scalar", shm.ScalarLine{}},
	{"shmd_seat_cell", shm.SeatCell{}},
	{"shmd_semaphore_lines", shm.SemaphoreLines{}},
	{"shmd_held_cell", shm.HeldCell{}},
	{"shmd_event_lines", shm.EventLines{}},
	{"shmd_condition_lines", shm.ConditionLines{}},
	{"shmd_barrier_lines", shm.BarrierLines{}},
	{"shmd_barrier_cell", shm.BarrierCell{}},
	{"shmd_rwlock_lines", shm.RWLockLines{}},
	{"shmd_reader_cell", shm.ReaderCell{}},
	{"shmd_queue_lines", shm.QueueLines{}},
	{"shmd_queue_desc", shm.QueueDesc{}},
	{"shmd_ring_line", shm.RingLine{}},
	{"shmd_ring", shm.Ring{}},
	{"shmd_ring_lines", shm.RingLines{}},
	{"shmd_record", shm.Record{}},
	{"shmd_page", shm.Page{}},
}

// snake turns ABIVersion into abi_version.
func snake(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

func goKind(t *testing.T, typ reflect.Type) string {
	t.Helper()
	switch typ.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("u%d", typ.Bits())
	case reflect.Array:
		return fmt.Sprintf("%s[%d]", goKind(t, typ.Elem()), typ.Len())
	case reflect.Struct:
		for _, s := range goStructs {
			if reflect.TypeOf(s.is) == typ {
				return "struct " + s.name
			}
		}
	}
	t.Fatalf("%s has no place in a layout: fixed-width unsigned integers, arrays and known structs only", typ)
	return ""
}

// structsOfGo is the layout by reflection.
func structsOfGo(t *testing.T) []structure {
	t.Helper()
	var all []structure
	for _, s := range goStructs {
		typ := reflect.TypeOf(s.is)
		one := structure{Name: s.name, Size: uint64(typ.Size()), Align: uint64(typ.Align())}
		for i := range typ.NumField() {
			f := typ.Field(i)
			one.Fields = append(one.Fields,
				field{snake(f.Name), uint64(f.Offset), uint64(f.Type.Size()), goKind(t, f.Type)})
		}
		all = append(all, one)
	}
	return all
}

func constants() map[string]uint64 {
	all := map[string]uint64{}
	for _, c := range shm.ABIConstants() {
		all[c.Name] = c.Value
	}
	return all
}

// wordsOfGo are the bit tables, from the masks. A count's mask is its step, from
// which it reaches to the top.
func wordsOfGo(t *testing.T) []word {
	t.Helper()
	c := constants()
	mask := func(names ...string) (all []bitField) {
		for i := 0; i < len(names); i += 2 {
			m, ok := c[names[i+1]]
			if !ok || m == 0 {
				t.Fatalf("no mask %s", names[i+1])
			}
			b := bitField{names[i], 63 - bits.LeadingZeros64(m), bits.TrailingZeros64(m)}
			if strings.HasSuffix(names[i+1], "_STEP") {
				b.High = 63
			} else if bits.OnesCount64(m) != b.High-b.Low+1 {
				t.Errorf("%s has holes: %#x", names[i+1], m)
			}
			all = append(all, b)
		}
		return all
	}
	tag := slices.Clip([]bitField{{"tag", 63, int(c["POSITION_TAG_SHIFT"])}})
	return []word{
		{"owner", mask("waiters", "OWNER_WAITERS", "inconsistent", "OWNER_INCONSISTENT",
			"generation", "OWNER_GENERATION_MASK", "seat", "OWNER_SEAT_MASK")},
		{"semaphore", mask("permits", "SEMAPHORE_PERMITS_MASK", "waiters", "SEMAPHORE_WAITERS")},
		{"sequence", mask("count", "SEQUENCE_STEP", "dirty", "SEQUENCE_DIRTY", "odd", "SEQUENCE_ODD")},
		{"slot", mask("deliveries", "SLOT_DELIVERIES_MASK", "state", "SLOT_STATE_MASK",
			"generation", "OWNER_GENERATION_MASK", "seat", "OWNER_SEAT_MASK")},
		{"position", append(tag, mask("place", "POSITION_PLACE_MASK")...)},
		{"entry", append(tag, bitField{"slot", tag[0].Low - 1, 0})},
		{"event", mask("generation", "EVENT_GENERATION_MASK", "waiters", "EVENT_WAITERS", "set", "EVENT_SET")},
		{"barrier", mask("generation_high", "BARRIER_GENERATION_HIGH_MASK", "history", "BARRIER_HISTORY_MASK",
			"generation_low", "BARRIER_GENERATION_LOW_MASK", "field", "BARRIER_FIELD_MASK",
			"phase", "BARRIER_PHASE_MASK")},
		{"party", mask("generation", "PARTY_GENERATION_MASK", "charged", "PARTY_CHARGED", "party", "PARTY_PARTY")},
		{"rwlock", mask("waiters", "RWLOCK_WAITERS", "inconsistent", "RWLOCK_INCONSISTENT", "held", "RWLOCK_HELD",
			"preparing", "RWLOCK_PREPARING", "wanted", "RWLOCK_WANTED",
			"generation", "RWLOCK_GENERATION_MASK", "seat", "RWLOCK_SEAT_MASK")},
		{"reader", mask("removed", "READER_REMOVED", "want", "READER_WANT_MASK", "active", "READER_ACTIVE_MASK")},
		{"ring", mask("position", "RING_POSITION_MASK", "ended", "RING_ENDED", "died", "RING_DIED",
			"closed", "RING_CLOSED")},
		{"eventcount", mask("count", "EVENTCOUNT_STEP", "waiters", "EVENTCOUNT_WAITERS")},
	}
}

// describe is the text of v1.json: one line for each thing that may change.
func describe(t *testing.T) []byte {
	t.Helper()
	line := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	list := func(indent string, items []string) string {
		return indent + "  " + strings.Join(items, ",\n"+indent+"  ") + "\n"
	}
	var numbers, words, structs []string
	for _, c := range shm.ABIConstants() {
		numbers = append(numbers, fmt.Sprintf("%s: \"%#x\"", line(c.Name), c.Value))
	}
	for _, w := range wordsOfGo(t) {
		words = append(words, line(w))
	}
	for _, s := range structsOfGo(t) {
		var fields []string
		for _, f := range s.Fields {
			fields = append(fields, line(f))
		}
		s.Fields = []field{}
		structs = append(structs, strings.TrimSuffix(line(s), "]}")+"\n"+list("    ", fields)+"    ]}")
	}
	text := "{\n  \"constants\": {\n" + list("  ", numbers) + "  },\n  \"words\": [\n" + list("  ", words) +
		"  ],\n  \"structs\": [\n" + list("  ", structs) + "  ]\n}\n"
	if !json.Valid([]byte(text)) {
		t.Fatalf("not JSON:\n%s", text)
	}
	return []byte(text)
}

// compareFile compares got with a committed file, line by line, or rewrites it.
func compareFile(t *testing.T, path string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(path)
	if *update && !bytes.Equal(got, want) {
		if _, frozen := frozenLayouts[shm.ABIVersion]; frozen {
			t.Fatalf("%s would change, and layout %d is frozen: raise ABIVersion in shm/abi_version.go and "+
				"SHMD_ABI_VERSION first", path, shm.ABIVersion)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is rewritten", path)
		return
	}
	if err != nil {
		t.Fatalf("%v (go test ./tests/abi -update writes it)", err)
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		var g, w string
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Errorf("%s:%d\n  file: %s\n  code: %s\nIf the change is meant: go test ./tests/abi -update",
				path, i+1, w, g)
			return
		}
	}
}

func TestLayoutIsFrozen(t *testing.T) { compareFile(t, layoutFile(shm.ABIVersion), describe(t)) }

// fingerprintOf is the hash of a version's file as committed.
func fingerprintOf(t *testing.T, version uint32) uint64 {
	t.Helper()
	text, err := os.ReadFile(layoutFile(version))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8])
}

// The fingerprint is the hash of the layout's file, and stands in both languages.
func TestFingerprint(t *testing.T) {
	want := fingerprintOf(t, shm.ABIVersion)
	if shm.ABIFingerprint != want {
		t.Errorf("shm/abi_version.go: write\n\tABIFingerprint uint64 = 0x%016x\n(it has %#x)",
			want, shm.ABIFingerprint)
	}
	if define := fmt.Sprintf("#define SHMD_ABI_FINGERPRINT 0x%016xull", want); !hasLine(readHeader(t), define) {
		t.Errorf("include/shmd_abi.h: write\n%s", define)
	}
}

// What is frozen is as it was.
func TestFrozenLayouts(t *testing.T) {
	for version, want := range frozenLayouts {
		if got := fingerprintOf(t, version); got != want {
			t.Errorf("%s has the fingerprint %#x, and %#x when it was frozen: take the change back",
				layoutFile(version), got, want)
		}
	}
}

func hasLine(text, line string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") }

func readHeader(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(headerFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every byte of every struct has a name, every field lies where it is aligned,
// and an 8-byte multiple keeps arrays of the struct so.
func TestNoHiddenPadding(t *testing.T) {
	for _, s := range structsOfGo(t) {
		end := uint64(0)
		for _, f := range s.Fields {
			if f.Offset != end {
				t.Errorf("%s.%s is at %#x, the field before it ends at %#x: name the bytes between",
					s.Name, f.Name, f.Offset, end)
			}
			end = f.Offset + f.Size
		}
		if end != s.Size || s.Size%s.Align != 0 {
			t.Errorf("%s: the fields end at %#x, its size is %#x, its alignment %d", s.Name, end, s.Size, s.Align)
		}
	}
}

// The bit tables in the header's comments say what the masks do.
func TestWordTablesOfHeader(t *testing.T) {
	heading := regexp.MustCompile(`^/\* ---- (\w+)`)
	row := regexp.MustCompile(`^ \*   (\d+)(?: \.\. (\d+))?\s+(\w+)\s`)
	tables := map[string][]bitField{}
	name := ""
	for _, line := range strings.Split(readHeader(t), "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			name = m[1]
		} else if m := row.FindStringSubmatch(line); m != nil {
			b := bitField{Name: m[3]}
			if _, err := fmt.Sscan(m[1], &b.High); err != nil {
				t.Fatal(err)
			}
			b.Low = b.High
			if m[2] != "" {
				if _, err := fmt.Sscan(m[2], &b.Low); err != nil {
					t.Fatal(err)
				}
			}
			tables[name] = append(tables[name], b)
		}
	}
	for _, w := range wordsOfGo(t) {
		if !reflect.DeepEqual(tables[w.Name], w.Bits) {
			t.Errorf("%s word:\n  header's comment: %v\n  masks:            %v", w.Name, tables[w.Name], w.Bits)
		}
		delete(tables, w.Name)
	}
	for name := range tables {
		t.Errorf("the header has a bit table of %q, which wordsOfGo does not know", name)
	}
}
