package shm

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
)

// Any bit pattern in word, cells and token: every operation ends, with an error of a
// documented kind, and so do recovery and removal.
func TestRWLockAnyWord(t *testing.T) {
	p := NewParker(ParkerOptions{})
	var words []uint32
	for _, owner := range []uint32{0, client(1), client(2), client(65), 0xfff, rwlockRemoved, rwlockRemoved - 1,
		1 << 26} {
		for bits := range uint32(32) {
			words = append(words, bits<<27|writerOf(owner))
		}
	}
	cells := []uint32{0, 1, readerActiveMask, readerWantUnit, readerWantMask, readerWantMask | 1, readerRemoved,
		1<<32 - 1}
	for _, word := range words {
		for _, cell := range cells {
			me := rwOwner(1, 1)
			fresh := func() *RWLock {
				l := newRWLock(t)
				l.lines.Word, l.cells[1].Word, l.cells[0].Word, l.lines.Token = word, cell, 1<<32-1, me.token
				me = rwOwner(1, 1)
				return l
			}
			for what, do := range map[string]func(*RWLock) error{
				"read":            func(l *RWLock) error { return second(l.ReadLock(background, p, me, 1)) },
				"read late":       func(l *RWLock) error { return second(l.readSlow(background, p, me, 1)) },
				"read free":       func(l *RWLock) error { l.readFree(me); return nil },
				"unlock free":     func(l *RWLock) error { me.began(); l.readUnlockFree(me); return nil },
				"try to read":     func(l *RWLock) error { return l.tryRead(me) },
				"read again":      func(l *RWLock) error { me.began(); return l.tryRead(me) },
				"write":           func(l *RWLock) error { return second(l.WriteLock(background, p, me, 1)) },
				"try to write":    func(l *RWLock) error { return l.tryWrite(me) },
				"read unlock":     func(l *RWLock) error { me.began(); return l.ReadUnlock(me) },
				"write unlock":    func(l *RWLock) error { return l.WriteUnlock(me) },
				"mark consistent": func(l *RWLock) error { return l.MarkConsistent(me) },
			} {
				l := fresh()
				err := do(l)
				if !rwlockMaySay(err) {
					t.Errorf("%s at %#x, %#x: %v", what, word, cell, err)
				}
				if c := l.cells[1].Word; (c^cell)&readerWantMask != 0 {
					t.Errorf("%s at %#x, %#x leaves %#x", what, word, cell, c)
				}
				_ = l.Status()
			}
			l := fresh()
			if _, done := l.seg.Recover(deathOf(1)); !done || l.cells[1].Word != cell&readerRemoved {
				t.Errorf("recovery at %#x, %#x: done %v, cell %#x", word, cell, done, l.cells[1].Word)
			}
			if w := l.lines.Word; writerOf(w) == writerOf(client(1)) {
				t.Errorf("recovery at %#x leaves %#x", word, w)
			}
			if l = fresh(); !l.seg.Remove() || !l.Status().Removed {
				t.Errorf("removal at %#x is not done", word)
			}
		}
	}
}

func rwlockMaySay(err error) bool {
	return slices.Contains([]status.Code{status.OK, status.WouldBlock, status.TimedOut, status.Removed,
		status.Deadlock, status.NotOwner, status.Overflow, status.Corrupt}, status.Of(err))
}

func TestRWLockScribbler(t *testing.T) {
	g, err := NewRWLockGeometry(SeatsDefault)
	if err != nil {
		t.Fatal(err)
	}
	p := NewParker(ParkerOptions{DirectMax: 1})
	scribbling(t, g, func(s *Segment, seat uint16, rng *rand.Rand) {
		l, o := s.RWLock(), rwOwner(seat, 1)
		if seat > 2 {
			o = SharedRWOwner(client(seat))
		}
		for range 3000 {
			var err error
			timeout := time.Duration(rng.IntN(20)) * time.Microsecond
			switch rng.IntN(6) {
			case 0, 1:
				_, err = l.ReadLock(background, p, o, timeout)
			case 2:
				_, err = l.WriteLock(background, p, o, timeout)
			case 3:
				err = l.ReadUnlock(o)
			case 4:
				err = l.WriteUnlock(o)
			case 5:
				err = l.MarkConsistent(o)
			}
			if !rwlockMaySay(err) {
				t.Errorf("seat %d: %v", seat, err)
			}
		}
	})
}
