package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/tests/harness"
)

// samples are values of a code, its extremes first, as FormatText writes them.
func samples(c ctypes.Code) []string {
	least, most := c.Range()
	if c == ctypes.CodeHalf {
		least, most = "-65500", "65500" // as few digits as read back to 65504
	}
	switch c.Kind() {
	case ctypes.KindBool:
		return []string{"true", "false"}
	case ctypes.KindChar:
		return []string{`\x00`, `\xff`, "A", `\x20`, `\x80`, `\x0a`, `\`, ","}
	case ctypes.KindWChar:
		return []string{"U+0000", "U+10FFFF", "A", "é", "日", "😀", "U+D7FF", "U+E000", "U+0020", "U+0301"}
	case ctypes.KindInt:
		return []string{least, most, "0", "1", "-1", "42"}
	case ctypes.KindUint:
		return []string{least, most, "1", "42"}
	}
	tiny := map[ctypes.Code]string{ctypes.CodeHalf: "6e-08", ctypes.CodeFloat: "1e-45", ctypes.CodeDouble: "5e-324"}[c]
	return []string{"-0", least, most, "inf", "-inf", "nan", "0", tiny, "-" + tiny, "1.5", "-2.75"}
}

func TestSamplesAreCanonical(t *testing.T) {
	for _, c := range ctypes.All() {
		for _, text := range samples(c) {
			bits, err := ctypes.ParseText(c, text)
			if err != nil || ctypes.FormatText(c, bits) != text {
				t.Errorf("'%s': %q reads %#x (%v), which is written %q", c, text, bits, err, ctypes.FormatText(c, bits))
			}
		}
	}
}

// Everything of values and arrays, by each pair of languages and for each code.
func TestMatrix(t *testing.T) {
	forPairs(t, func(t *testing.T, _ *harness.Daemon, p *pair) {
		for _, c := range ctypes.All() {
			t.Run(fmt.Sprintf("value '%s'", c), func(t *testing.T) { p.value(t, c) })
			t.Run(fmt.Sprintf("array '%s'", c), func(t *testing.T) { p.array(t, c) })
		}
	})
}

// value makes a value of each sample; the opener reads it and writes the next.
func (p *pair) value(t *testing.T, c ctypes.Code) {
	all := samples(c)
	for i, text := range all {
		next := all[(i+1)%len(all)]
		p.fresh()
		p.creator.ok(t, "create", "x", "value", p.object, c.String(), "-", text)
		p.opener.want(t, "ok "+c.String()+" 1", "open", "y", "value", p.object, "rw")
		p.opener.values(t, c, []string{text}, "load", "y", "0")
		p.opener.ok(t, "store", "y", "0", next)
		p.creator.values(t, c, []string{next}, "load", "x", "0")
		if i == 0 {
			p.atomics(t, c, 0)
			p.readOnly(t, c, "value")
		}
		p.end(t)
	}
}

// array makes an array of all samples; each side reads what the other wrote.
func (p *pair) array(t *testing.T, c ctypes.Code) {
	all := samples(c)
	count, last := fmt.Sprint(len(all)), len(all)-1
	p.fresh()
	create := []string{"create", "x", "array", p.object, c.String(), "-"}
	p.creator.ok(t, append(create, all...)...)
	p.opener.want(t, "ok "+c.String()+" "+count, "open", "y", "array", p.object, "rw")
	p.opener.values(t, c, all, "read", "y", "0", count)
	for i, text := range all {
		p.opener.values(t, c, []string{text}, "load", "y", fmt.Sprint(i))
	}

	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	p.opener.ok(t, append([]string{"write", "y", "0"}, reversed...)...)
	p.creator.values(t, c, reversed, "read", "x", "0", count)
	p.creator.ok(t, "write", "x", "1", all[0])
	p.opener.values(t, c, []string{reversed[0], all[0]}, "read", "y", "0", "2")
	for i, text := range all {
		p.creator.ok(t, "store", "x", fmt.Sprint(i), text)
	}
	p.opener.values(t, c, all, "read", "y", "0", count)

	for _, d := range []*driver{p.creator, p.opener} {
		slot := map[bool]string{true: "x", false: "y"}[d == p.creator]
		d.fails(t, "BAD_INDEX", "load", slot, count)
		d.fails(t, "BAD_INDEX", "store", slot, count, all[0])
		d.fails(t, "BAD_INDEX", "read", slot, "1", count)
		d.fails(t, "BAD_INDEX", "write", slot, fmt.Sprint(last), all[0], all[0])
	}
	p.atomics(t, c, last)
	p.readOnly(t, c, "array")
	p.end(t)
}

// end destroys the object; both sides learn it.
func (p *pair) end(t *testing.T) {
	t.Helper()
	p.creator.ok(t, "destroy", p.object)
	p.opener.fails(t, "REMOVED", "lock", "y", try)
	p.opener.fails(t, "REMOVED", "load", "y", "0")
	p.creator.fails(t, "REMOVED", "load", "x", "0")
	p.close(t)
}

// close gives up the slots x and y.
func (p *pair) close(t *testing.T) {
	t.Helper()
	p.creator.ok(t, "close", "x")
	p.opener.ok(t, "close", "y")
}

// atomics tries each atomic operation from each side on element i of x and y.
func (p *pair) atomics(t *testing.T, c ctypes.Code, i int) {
	at, all := fmt.Sprint(i), samples(c)
	one, two := all[len(all)-1], all[len(all)-2]
	for _, turn := range []struct {
		d, other         *driver
		slot, otherSlots string
	}{{p.creator, p.opener, "x", "y"}, {p.opener, p.creator, "y", "x"}} {
		d, slot := turn.d, turn.slot
		load := func(want string) {
			t.Helper()
			turn.other.values(t, c, []string{want}, "load", turn.otherSlots, at)
		}
		if !ctypes.Atomic(c) {
			turn.other.ok(t, "store", turn.otherSlots, at, one)
			d.fails(t, "UNSUPPORTED", "exchange", slot, at, two)
			d.fails(t, "UNSUPPORTED", "cas", slot, at, one, two)
			d.fails(t, "UNSUPPORTED", "add", slot, at, one)
			load(one)
			continue
		}
		for j, text := range all {
			next := all[(j+1)%len(all)]
			turn.other.ok(t, "store", turn.otherSlots, at, text)
			d.values(t, c, []string{text}, "exchange", slot, at, next)
			load(next)
			d.values(t, c, []string{"false", next}, "cas", slot, at, text, one)
			load(next)
			d.values(t, c, []string{"true", next}, "cas", slot, at, next, text)
			load(text)
		}
		p.add(t, c, d, turn.other, slot, turn.otherSlots, at)
	}
}

// add adds 1 to 41 and leaves the range at its end.
func (p *pair) add(t *testing.T, c ctypes.Code, d, other *driver, slot, otherSlot, at string) {
	t.Helper()
	load := func(want string) {
		t.Helper()
		other.values(t, c, []string{want}, "load", otherSlot, at)
	}
	_, most := c.Range()
	switch c.Kind() {
	case ctypes.KindWChar:
		d.fails(t, "UNSUPPORTED", "add", slot, at, "A")
		return
	case ctypes.KindFloat:
		other.ok(t, "store", otherSlot, at, "40.5")
		d.values(t, c, []string{"40.5"}, "add", slot, at, "1.5")
		load("42")
		other.ok(t, "store", otherSlot, at, most)
		d.values(t, c, []string{most}, "add", slot, at, most) // IEEE 754: no error
		load("inf")
		return
	}
	other.ok(t, "store", otherSlot, at, "41")
	d.values(t, c, []string{"41"}, "add", slot, at, "1")
	load("42")
	if c.Kind() == ctypes.KindInt {
		d.values(t, c, []string{"42"}, "add", slot, at, "-43")
		load("-1")
	}
	if d.wraps {
		return
	}
	other.ok(t, "store", otherSlot, at, most)
	d.fails(t, "OUT_OF_RANGE", "add", slot, at, "1")
	load(most)
}

// readOnly opens x for reading on the opener's side.
func (p *pair) readOnly(t *testing.T, c ctypes.Code, kind string) {
	t.Helper()
	text := samples(c)[1]
	p.creator.ok(t, "store", "x", "0", text)
	if answer := p.opener.Ask("open z " + kind + " " + p.object + " r"); !strings.HasPrefix(answer, "ok ") {
		t.Fatalf("%s: open for reading answers %q", p.opener.name, answer)
	}
	p.opener.values(t, c, []string{text}, "load", "z", "0")
	p.opener.fails(t, "PERMISSION", "store", "z", "0", text)
	p.opener.fails(t, "PERMISSION", "lock", "z", "0")
	if kind == "array" {
		p.opener.values(t, c, []string{text}, "read", "z", "0", "1")
		p.opener.fails(t, "PERMISSION", "write", "z", "0", text)
	}
	version := p.opener.number(t, "version", "z")
	p.opener.asleep(t, p.watcher, p.object, "wait", "z", version, "-1")
	p.creator.ok(t, "store", "x", "0", text)
	if now := p.opener.Line(); now == "ok "+version || !strings.HasPrefix(now, "ok ") {
		t.Fatalf("%s: waiting for another version than %s ends with %q", p.opener.name, version, now)
	}
	p.opener.ok(t, "close", "z")
}
