package shm

import (
	"bytes"
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

func access(seat uint16) Access { o := owner(seat, 0); return Access{Self: o, Holder: o} }

func TestElementsOfEveryCode(t *testing.T) {
	for _, code := range ctypes.All() {
		for _, kind := range []Kind{KindValue, KindArray} {
			s := newSegment(t, kind, code, 9, 0)
			a := s.Array(s.Lock())
			last := s.Geometry().Length - 1
			ones := uint64(math.MaxUint64) >> (64 - 8*code.Size())
			before := a.Version()
			if err := a.Store(last, ones); err != nil {
				t.Fatal(err)
			}
			if got, err := a.Load(last); err != nil || got != ones {
				t.Errorf("%v %c: stored %#x, loaded %#x, %v", kind, byte(code), ones, got, err)
			}
			if a.Version() == before {
				t.Errorf("%v %c: a store does not change the version", kind, byte(code))
			}
			if _, err := a.Load(last + 1); !errors.Is(err, status.BadIndex) {
				t.Errorf("index past the end: %v", err)
			}
			_, err := a.Exchange(last, 0)
			if ctypes.Atomic(code) != (err == nil) || err != nil && !errors.Is(err, status.Unsupported) {
				t.Errorf("%c exchange: %v", byte(code), err)
			}
			if last > 0 {
				if got, _ := a.Load(last - 1); got != 0 {
					t.Errorf("%c: a store touched its neighbour: %#x", byte(code), got)
				}
			}
		}
	}
}

func TestFetchAdd(t *testing.T) {
	minus1 := uint64(math.MaxUint64)
	cases := []struct {
		code       string
		start, add uint64
		want       uint64
		fits       bool
	}{
		{"i", math.MaxInt32, 1, 1 << 31, false},
		{"i", 1 << 31, minus1 & math.MaxUint32, math.MaxInt32, false},
		{"i", 5, minus1 & math.MaxUint32, 4, true},
		{"I", math.MaxUint32, 1, 0, false},
		{"q", math.MaxInt64, 1, 1 << 63, false},
		{"q", 1 << 63, minus1, math.MaxInt64, false},
		{"q", 3, minus1, 2, true},
		{"Q", math.MaxUint64, 1, 0, false},
		{"d", math.Float64bits(1.5), math.Float64bits(2), math.Float64bits(3.5), true},
		{"f", uint64(math.Float32bits(1.5)), uint64(math.Float32bits(2)), uint64(math.Float32bits(3.5)), true},
	}
	for _, c := range cases {
		code, err := ctypes.Parse(c.code)
		if err != nil {
			t.Fatal(err)
		}
		s := newSegment(t, KindValue, code, 1, 0)
		a := s.Array(s.Lock())
		a.store(0, c.start)
		_, err = a.FetchAddChecked(0, c.add)
		if (err == nil) != c.fits || err != nil && (!errors.Is(err, status.OutOfRange) || a.load(0) != c.start) {
			t.Errorf("%s: checked %#x+%#x: %v, left %#x", c.code, c.start, c.add, err, a.load(0))
		}
		a.store(0, c.start)
		if old, err := a.FetchAdd(0, c.add); err != nil || old != c.start || a.load(0) != c.want {
			t.Errorf("%s: %#x+%#x = %#x, %v; want %#x", c.code, c.start, c.add, a.load(0), err, c.want)
		}
	}
}

// A snapshot taken while a writer works is never torn.
func TestSnapshotIsConsistent(t *testing.T) {
	s := newSegment(t, KindArray, ctypes.CodeInt, 64, 0)
	p := NewParker(ParkerOptions{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		a := s.Array(s.Lock())
		src := make([]byte, 256)
		for i := byte(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for j := range src {
				src[j] = i
			}
			if _, err := a.Write(context.Background(), p, access(1), 0, src, -1); err != nil {
				t.Error(err)
				return
			}
		}
	})
	a := s.Array(s.Lock())
	dst := make([]byte, 63*4)
	for range 500 {
		_, dirty, err := a.Snapshot(context.Background(), p, access(2), 1, 63, dst, -1)
		if err != nil || dirty {
			t.Fatal(dirty, err)
		}
		if !bytes.Equal(dst, bytes.Repeat(dst[:1], len(dst))) {
			t.Fatalf("torn: %v", dst)
		}
	}
	close(stop)
	wg.Wait()
}

func TestWaitChange(t *testing.T) {
	s := newSegment(t, KindValue, ctypes.CodeInt, 1, 0)
	p := NewParker(ParkerOptions{DirectMax: 1})
	a := s.Array(s.Lock())
	v := a.Version()
	if _, err := a.WaitChange(context.Background(), p, owner(1, 0), v, 0); err != status.WouldBlock {
		t.Errorf("try: %v", err)
	}
	if _, err := a.WaitChange(context.Background(), p, owner(1, 0), v, time.Millisecond); err != status.TimedOut {
		t.Errorf("timeout: %v", err)
	}
	ended := make(chan error)
	for seat := uint16(1); seat < 4; seat++ {
		go func() {
			now, err := s.Array(nil).WaitChange(context.Background(), p, owner(seat, 0), v, -1)
			if now == v {
				err = errors.New("returned the same version")
			}
			ended <- err
		}()
		await(func() bool { return s.Waiting(seat) == 1 })
	}
	if err := a.Store(0, 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if s.page.Change.Word&eventcountWaiters != 0 {
		t.Error("the waiters bit is left set: every later change would cost a system call")
	}
}

// A writer that dies holding the lock leaves the data dirty for snapshots and a
// notice for the next owner, whether or not it was inside a bracket.
func TestWriterDeath(t *testing.T) {
	for _, bracket := range []bool{true, false} {
		s := newSegment(t, KindArray, ctypes.CodeInt, 8, 0)
		p := NewParker(ParkerOptions{})
		l := s.Lock()
		a := s.Array(l)
		if _, err := l.TryLock(owner(1, 0)); err != nil {
			t.Fatal(err)
		}
		if bracket {
			if err := a.BeginWrite(access(1)); err != nil {
				t.Fatal(err)
			}
		}
		s.Recover(Victim{Owner: owner(1, 0).Word, NowNs: 1})
		dst := make([]byte, 32)
		if _, dirty, err := a.Snapshot(context.Background(), p, access(2), 0, 8, dst, -1); !dirty || err != nil {
			t.Errorf("bracket %v: dirty %v, %v", bracket, dirty, err)
		}
		if n, err := l.TryLock(owner(2, 0)); n == nil || err != nil {
			t.Errorf("no notice: %v", err)
		}
		if err := a.MarkConsistent(access(2)); err != nil {
			t.Error(err)
		}
		if err := l.Unlock(owner(2, 0)); err != nil {
			t.Error(err)
		}
		if _, dirty, err := a.Snapshot(context.Background(), p, access(2), 0, 8, dst, -1); dirty || err != nil {
			t.Errorf("after mark-consistent: dirty %v, %v", dirty, err)
		}
	}
}

// The version moves on for an end that may have hidden a change, and for no other:
// a client that only looks in changes nothing.
func TestVersionAfterEnd(t *testing.T) {
	for _, test := range []struct {
		what           string
		holds, orderly bool
		moves          uint64
	}{
		{"orderly", false, true, 0}, {"crashed", false, false, 1},
		{"orderly with the lock", true, true, 1}, {"crashed with the lock", true, false, 1},
	} {
		s := newSegment(t, KindArray, ctypes.CodeInt, 8, 0)
		l := s.Lock()
		a := s.Array(l)
		if test.holds {
			if _, err := l.TryLock(owner(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		before := a.Version()
		victim := Victim{Owner: owner(1, 0).Word, NowNs: 1, Orderly: test.orderly}
		if held, done := s.Recover(victim); held != test.holds || !done {
			t.Errorf("%s: held %v, done %v", test.what, held, done)
		}
		if moved := a.Version() - before; moved != test.moves {
			t.Errorf("%s: the version moved by %d, want %d", test.what, moved, test.moves)
		}
	}
}

func TestBracketMisuse(t *testing.T) {
	s := newSegment(t, KindArray, ctypes.CodeInt, 8, 0)
	l := s.Lock()
	a := s.Array(l)
	if err := a.BeginWrite(access(1)); err != status.NotOwner {
		t.Errorf("begin without the lock: %v", err)
	}
	if _, err := l.TryLock(owner(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := a.EndWrite(access(1)); !errors.Is(err, status.Invalid) {
		t.Errorf("end without begin: %v", err)
	}
	if err := a.BeginWrite(access(1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(owner(1, 0)); err != status.Invalid {
		t.Errorf("unlock inside a bracket: %v", err)
	}
	bare := newSegment(t, KindArray, ctypes.CodeInt, 8, FlagLockNone).Array(nil)
	if err := bare.BeginWrite(access(1)); !errors.Is(err, status.Unsupported) {
		t.Errorf("bracket without a lock: %v", err)
	}
}
