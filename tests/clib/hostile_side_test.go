package clib

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/shm"
)

// sideSize is the size of the side segments of the false daemon: enough for the
// message that is there (5000 bytes) and the one that the probe puts (9000).
const sideSize = 12288

// newFalseQueue has a queue with a message in a side segment.
func newFalseQueue(t *testing.T) *falseDaemon {
	t.Helper()
	d := listen(t, "queue")
	side, err := shm.CreateSide(5, sideSize, shm.SegmentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	d.side = side
	return d
}

// refill gives it a queue as at first.
func (d *falseDaemon) refill() *falseDaemon {
	d.t.Helper()
	g, err := shm.NewQueueGeometry(4, 600, 10_000, 0, shm.FlagRaw, shm.SeatsDefault)
	if err != nil {
		d.t.Fatal(err)
	}
	s, file := newSegment(d.t, g)
	if err := s.Queue().Put(background, nil, actor(liveSeat), []byte("x"), 0); err != nil {
		d.t.Fatal(err)
	}
	desc := descOf(s, 0)
	desc.Length, desc.Side = 5000, sideNumber
	d.segment = file
	d.object = members{"id": 5, "name": "hostile", "kind": "queue", "flags": []string{}, "content": "raw",
		"maxsize": 4, "slot_size": 600, "message_max": 10_000, "seats_max": shm.SeatsDefault, "access": "rw",
		"segment_size": g.SegmentSize, "handle": 1, "created": false, "seat": 1, "owner": shm.OwnerWord(1, 1),
		"seats_offset": g.SeatsOffset}
	return d
}

// A daemon that errs about side segments costs an error: what was leased is given
// back, what was reserved is free again.
func TestFalseSides(t *testing.T) {
	d := newFalseQueue(t)
	file := func(size int64) int { // sealed
		f, err := shm.CreateSide(5, uint64(size), shm.SegmentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return int(f.Fd())
	}
	unsealed, err := os.Create(filepath.Join(t.TempDir(), "unsealed"))
	if err != nil {
		t.Fatal(err)
	}
	defer unsealed.Close()
	if err := unsealed.Truncate(sideSize); err != nil {
		t.Fatal(err)
	}
	said := func(method string, result any, fds ...int) func(any, string, *answer) {
		return func(id any, m string, a *answer) {
			if m == method {
				a.bytes, a.fds = packed(t, []any{1, id, nil, result}), fds
			}
		}
	}
	refused := func(method string, code int, name string) func(any, string, *answer) {
		return func(id any, m string, a *answer) {
			if m == method {
				a.bytes, a.fds = packed(t, []any{1, id, []any{code, name, "no"}, nil}), nil
			}
		}
	}
	sized := func(size int) members { return members{"size": size, "fds": 1} }
	side := func(number uint64, size int) members { return members{"side": number, "size": size, "fds": 1} }
	right := int(d.side.Fd())
	for _, c := range []struct {
		name, want string
		spoil      func(id any, method string, a *answer)
	}{
		{"honest", "OK OK", func(any, string, *answer) {}},
		{"map_side: another size", "CORRUPT OK", said("map_side", sized(8192), right)},
		{"map_side: short", "CORRUPT OK", said("map_side", sized(4096), file(4096))},
		{"map_side: long", "CORRUPT OK", said("map_side", sized(16384), file(16384))},
		{"map_side: no size", "BAD_FRAME OK", said("map_side", members{"fds": 1}, right)},
		{"map_side: not sealed", "CORRUPT OK", said("map_side", sized(sideSize), int(unsealed.Fd()))},
		{"map_side: no descriptor", "LOST LOST", said("map_side", sized(sideSize))},
		{"map_side: none said", "BAD_FRAME OK", said("map_side", members{"size": sideSize})},
		{"map_side: nothing", "BAD_FRAME OK", said("map_side", nil)},
		{"map_side: unknown", "CORRUPT OK", refused("map_side", 42, "CORRUPT")},
		{"map_side: half an answer", "LOST LOST", func(_ any, m string, a *answer) {
			if m == "map_side" {
				a.bytes, a.end = a.bytes[:len(a.bytes)/2], true
			}
		}},
		{"side: another size", "OK CORRUPT", said("side", side(9, 8192), right)},
		{"side: short", "OK CORRUPT", said("side", side(9, 8192), file(8192))},
		{"side: long", "OK CORRUPT", said("side", side(9, 16384), file(16384))},
		{"side: half a page", "OK CORRUPT", said("side", side(9, sideSize-1), right)},
		{"side: number 0", "OK BAD_FRAME", said("side", side(0, sideSize), right)},
		{"side: no number", "OK BAD_FRAME", said("side", sized(sideSize), right)},
		{"side: a long number", "OK BAD_FRAME", said("side", side(uint64(1)<<32, sideSize), right)},
		{"side: not sealed", "OK CORRUPT", said("side", side(9, sideSize), int(unsealed.Fd()))},
		{"side: no descriptor", "OK LOST", said("side", side(9, sideSize))},
		{"side: the one that is mapped", "OK OK", said("side", side(sideNumber, sideSize), right)},
		{"side: one that is mapped, and too small", "OK CORRUPT", func(id any, m string, a *answer) {
			said("map_side", sized(8192), file(8192))(id, m, a)
			said("side", side(sideNumber, sideSize), right)(id, m, a)
		}},
		{"side: quota", "OK QUOTA", refused("side", 35, "QUOTA")},
	} {
		if got := d.refill().serve(c.spoil); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	garbledAnswers(t, d.refill, "side", "map_side", "map_side", "open")
	d.probe.MustEnd()
}
