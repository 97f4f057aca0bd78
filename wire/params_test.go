package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

func params(t *testing.T, values ...any) Params {
	t.Helper()
	b := AppendArrayLen(nil, len(values))
	for _, v := range values {
		var err error
		if b, err = AppendEncoded(b, v); err != nil {
			t.Fatal(err)
		}
	}
	p, err := NewParams(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParamsReadEveryType(t *testing.T) {
	p := params(t, uint32(math.MaxUint32), uint64(math.MaxUint64), int64(math.MinInt64), "né", []byte{1}, true,
		[]int{4, 5}, map[string]int{"k": 6}, 2.5, "jobs/a", 77)
	if p.Len() != 11 || p.Arity(11, 11) != nil || p.Arity(0, 20) != nil {
		t.Fatal(p.Len())
	}
	a, err1 := p.Uint32("a")
	b, err2 := p.Uint64("b")
	c, err3 := p.Int64("c")
	d, err4 := p.Str("d")
	e, err5 := p.Bin("e")
	f, err6 := p.Bool("f")
	if a != math.MaxUint32 || b != math.MaxUint64 || c != math.MinInt64 || d != "né" ||
		!bytes.Equal(e, []byte{1}) || !f {
		t.Error(a, b, c, d, e, f, err1, err2, err3, err4, err5, err6)
	}
	list, err := p.List("list")
	if x, _ := list.Uint32("x"); err != nil || list.Len() != 2 || x != 4 {
		t.Error(list, err)
	}
	m, err := p.Map("map")
	key, value, ok, err2 := m.Next()
	if err != nil || err2 != nil || !ok || m.Len() != 1 || key != "k" || !bytes.Equal(value, []byte{6}) {
		t.Error(key, value, ok, err, err2)
	}
	if _, _, ok, err := m.Next(); ok || err != nil {
		t.Error(ok, err)
	}
	decoder, err := p.Decoder("value")
	if err != nil {
		t.Fatal(err)
	}
	bits, err := ctypes.DecodeMsgpack(decoder, 'd')
	ReleaseDecoder(decoder)
	if err != nil || math.Float64frombits(bits) != 2.5 {
		t.Error(bits, err)
	}
	name, id, err := p.Ref("ref")
	if name != "jobs/a" || id != 0 || err != nil {
		t.Error(name, id, err)
	}
	name, id, err = p.Ref("ref")
	if name != "" || id != 77 || err != nil || p.More() {
		t.Error(name, id, err, p.More())
	}
	v1, _ := p.Uint32Or("token", 1)
	v2, _ := p.Int64Or("timeout", -1)
	v3, _ := p.StrOr("prefix", "x")
	v4, _ := p.Uint64Or("start", 4)
	if v1 != 1 || v2 != -1 || v3 != "x" || v4 != 4 {
		t.Error("defaults", v1, v2, v3, v4)
	}
}

func TestParamsSayWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		value any
		read  func(*Params) error
		want  string
	}{
		{"x", func(p *Params) error { _, err := p.Uint32("it"); return err }, "it: want integer, got str"},
		{1 << 32, func(p *Params) error { _, err := p.Uint32("it"); return err }, "at most 4294967295, got 4294967296"},
		{-1, func(p *Params) error { _, err := p.Uint64("it"); return err }, "it: want integer of at least 0, got -1"},
		{uint64(1 << 63), func(p *Params) error { _, err := p.Int64("it"); return err }, "at most 9223372036854775807"},
		{nil, func(p *Params) error { _, err := p.Str("it"); return err }, "it: want str, got nil"},
		{"\xff", func(p *Params) error { _, err := p.Str("it"); return err }, "not UTF-8"},
		{"x", func(p *Params) error { _, err := p.Bin("it"); return err }, "it: want bin, got str"},
		{1, func(p *Params) error { _, err := p.Bool("it"); return err }, "it: want boolean, got integer"},
		{1, func(p *Params) error { _, err := p.Map("it"); return err }, "it: want map, got integer"},
		{map[string]int{}, func(p *Params) error { _, err := p.List("it"); return err }, "it: want array, got map"},
		{2.5, func(p *Params) error { _, _, err := p.Ref("it"); return err }, "it: want name or object id, got float"},
		{1, func(p *Params) error { return p.Arity(2, 2) }, "want 2 parameters, got 1"},
		{1, func(p *Params) error { return p.Arity(2, 4) }, "want 2 to 4 parameters, got 1"},
		{1, func(p *Params) error {
			_, _ = p.Uint32("first")
			_, err := p.Uint32("second")
			return err
		}, "second: want integer, it is missing"},
	} {
		p := params(t, test.value)
		err := test.read(&p)
		if status.Of(err) != status.BadParams || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %s", test.value, err, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "jobs/count", "A.b-c_9", "...", ".a/b.", strings.Repeat("x", 255)} {
		if err := ValidateName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", ".", "..", "a/..", "./a", "a b", "é", "a\x00", "@a",
		strings.Repeat("x", 256)} {
		if err := ValidateName(bad); status.Of(err) != status.BadName {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"", "a", "a/", "a/.", "jobs/c", ".", ".."} {
		if err := ValidatePrefix(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"/", "/a", "a//", "../", "a/../b", "a b", strings.Repeat("x", 256)} {
		if err := ValidatePrefix(bad); status.Of(err) != status.BadName {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whatever the bytes and the reads, a Params returns or refuses.
func FuzzParams(f *testing.F) {
	f.Add([]byte{0x93, 1, 0xa1, 'x', 0xc3}, "usb")
	f.Add([]byte{0x92, 0x81, 0xa1, 'k', 1, 0x91, 2}, "ml")
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, "v")
	f.Add([]byte{0x91, 0x81, 0xa4, 'c', 'o', 'd', 'e', 0xa1, 'i'}, "o")
	f.Fuzz(func(t *testing.T, b []byte, reads string) {
		p, err := NewParams(b)
		for i := 0; err == nil && i < len(reads) && i < 100; i++ {
			switch reads[i] {
			case 'u':
				_, err = p.Uint32("u")
			case 'i':
				_, err = p.Int64("i")
			case 's':
				_, err = p.Str("s")
			case 'b':
				_, err = p.Bool("b")
			case 'B':
				_, err = p.Bin("B")
			case 'r':
				if _, _, err = p.Ref("r"); status.Of(err) == status.BadName {
					err = nil
				}
			case 'l':
				_, err = p.List("l")
			case 'o':
				var raw []byte
				if raw, err = p.Value("o"); err == nil {
					checkOptions(t, raw)
				}
			case 'm':
				var m MapReader
				m, err = p.Map("m")
				for ok := err == nil; ok; {
					_, _, ok, err = m.Next()
				}
			default:
				_, err = p.Value("v")
			}
		}
		if err != nil && status.Of(err) != status.BadParams {
			t.Fatal(err)
		}
	})
}

// checkOptions reads options; what was read is read again from what is written.
func checkOptions(t *testing.T, raw []byte) {
	_, _ = DecodeOpenOptions(raw)
	o, err := DecodeCreateOptions(raw)
	if code := status.Of(err); err != nil && code != status.BadParams && code != status.Invalid {
		t.Fatal(err)
	}
	if err != nil {
		return
	}
	again, err := Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeCreateOptions(again); err != nil {
		t.Fatalf("%+v: % x: %v", o, again, err)
	}
}
