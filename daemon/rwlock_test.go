package daemon

import (
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// locks is a call that wants a notice, or none.
func (c *rawClient) locks(method string, noticed bool, params ...any) {
	c.t.Helper()
	var n *wire.Notice
	if err := c.call(&n, method, params...); err != nil || (n != nil) != noticed {
		c.t.Errorf("%s %v: %+v, %v; want a notice: %v", method, params, n, err, noticed)
	}
}

// tokensOf is how many tokens of a client are counted.
func (s *Server) tokensOf(uuid byte) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if c.uuid[15] == uuid {
			return c.tokens.Load()
		}
	}
	return -1
}

func TestRWLock(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, g := a.open("l", wire.KindRWLock, nil), b.open("l", wire.KindRWLock, nil)
	for token := range 3 {
		wantCode(t, "read", a.call(nil, wire.MethodReadLock, h, -1, token), status.OK)
		wantCode(t, "read again", a.call(nil, wire.MethodReadLock, h, 0, token), status.OK)
	}
	wantCode(t, "read by another", b.call(nil, wire.MethodReadLock, g), status.OK)
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "l"); err != nil || stat.Readers != 7 || stat.Held != nil ||
		stat.Seats[0].Holds != 6 || stat.Seats[1].Holds != 1 {
		t.Errorf("stat says %+v, %v", stat, err)
	}
	wantCode(t, "write while reading", a.call(nil, wire.MethodLock, h, -1, 2), status.Deadlock)
	wantCode(t, "a try beside readers", a.call(nil, wire.MethodLock, h, 0, 5), status.WouldBlock)
	wantCode(t, "a short wait beside readers", a.call(nil, wire.MethodLock, h, 1000, 5), status.TimedOut)
	for token := range 3 {
		for range 2 {
			wantCode(t, "unlock", a.call(nil, wire.MethodReadUnlock, h, token), status.OK)
		}
		wantCode(t, "once more", a.call(nil, wire.MethodReadUnlock, h, token), status.NotOwner)
	}
	if n := s.tokensOf(1); n != 0 {
		t.Errorf("%d tokens are counted", n)
	}
	// A writer waits for the reader, and a reader for the writer.
	writing := a.send(wire.MethodLock, h, -1, 4)
	s.awaitWaiters(t, "l", 1)
	wantCode(t, "another call of a token that waits", a.call(nil, wire.MethodReadLock, h, -1, 4), status.Invalid)
	wantCode(t, "read while a writer waits", a.call(nil, wire.MethodReadLock, h, 0, 1), status.WouldBlock)
	wantCode(t, "read again while a writer waits", b.call(nil, wire.MethodReadLock, g), status.OK)
	reading := b.send(wire.MethodReadLock, g, -1, 9)
	s.awaitWaiters(t, "l", 2)
	for range 2 {
		ending := b.send(wire.MethodReadUnlock, g)
		wantCode(t, "unlock", errOrNil(b.answer(ending).Err), status.OK)
	}
	wantCode(t, "the writer", errOrNil(a.answer(writing).Err), status.OK)
	var held []wire.Holding
	if err := a.call(&held, wire.MethodHoldings); err != nil || len(held) != 1 || held[0].Holds != wire.HoldsLock ||
		held[0].Count != 1 || held[0].Kind != wire.KindRWLock {
		t.Errorf("holdings %+v, %v", held, err)
	}
	if err := a.call(&stat, wire.MethodStat, "l"); err != nil || stat.Held == nil || stat.Held.Seat != 1 {
		t.Errorf("stat says %+v, %v", stat.Held, err)
	}
	wantCode(t, "read while writing", a.call(nil, wire.MethodReadLock, h, -1, 4), status.Deadlock)
	wantCode(t, "write while writing", a.call(nil, wire.MethodLock, h, -1, 4), status.Deadlock)
	wantCode(t, "unlock by another token", a.call(nil, wire.MethodUnlock, h, 5), status.NotOwner)
	wantCode(t, "mark by another token", a.call(nil, wire.MethodMarkConsistent, h, 5), status.NotOwner)
	wantCode(t, "mark", a.call(nil, wire.MethodMarkConsistent, h, 4), status.OK)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h, 4), status.OK)
	wantCode(t, "the reader", errOrNil(b.answer(reading).Err), status.OK)
	if err := b.call(&held, wire.MethodHoldings); err != nil || len(held) != 1 || held[0].Holds != wire.HoldsRead {
		t.Errorf("holdings %+v, %v", held, err)
	}
	// The last handle gives back what it read, and forgets the tokens; unless a call that
	// has just been answered still keeps the seat.
	s.awaitCallers(t, "l", 2)
	wantCode(t, "close", b.call(nil, wire.MethodClose, g), status.OK)
	a.locks(wire.MethodLock, false, h, 0)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h), status.OK)
	if n := s.tokensOf(2); n != 0 {
		t.Errorf("%d tokens are counted", n)
	}
	g = b.open("l", wire.KindRWLock, nil)
	wantCode(t, "unlock of what came back", b.call(nil, wire.MethodReadUnlock, g, 9), status.NotOwner)
	var info wire.Attachment
	if err := b.call(&info, wire.MethodOpen, "l", map[string]any{"access": "r"}); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{wire.MethodReadLock, wire.MethodReadUnlock, wire.MethodLock, wire.MethodUnlock} {
		wantCode(t, method+" read-only", b.call(nil, method, info.Handle), status.Permission)
	}
}

// A writer that dies leaves a notice to readers and writers, until a writer marks the
// data consistent; a reader leaves nothing.
func TestRWLockOfTheDead(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	h := a.open("l", wire.KindRWLock, nil)
	for i, bye := range []bool{false, true} {
		b := greeted(t, s, byte(2+i))
		g := b.open("l", wire.KindRWLock, nil)
		for token := range 20 {
			b.locks(wire.MethodReadLock, false, g, -1, token)
		}
		waiting := a.send(wire.MethodLock, h)
		s.awaitWaiters(t, "l", 1)
		if bye {
			b.send(wire.MethodBye)
		} else {
			b.conn.Close()
		}
		if r := a.answer(waiting); r.Err != nil || string(r.Result) != "\xc0" {
			t.Errorf("after the end of readers: %q, %v", r.Result, r.Err)
		}
		wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h), status.OK)
	}
	b := greeted(t, s, 5)
	g := b.open("l", wire.KindRWLock, nil)
	b.locks(wire.MethodLock, false, g)
	b.conn.Close()
	a.locks(wire.MethodReadLock, true, h)
	wantCode(t, "mark by a reader", a.call(nil, wire.MethodMarkConsistent, h), status.NotOwner)
	wantCode(t, "unlock", a.call(nil, wire.MethodReadUnlock, h), status.OK)
	a.locks(wire.MethodLock, true, h)
	var stat wire.Stat
	if err := a.call(&stat, wire.MethodStat, "l"); err != nil || !stat.Inconsistent || stat.Deaths != 1 ||
		stat.LastDeath == nil || stat.LastDeath.Seat != 4 {
		t.Errorf("stat says %+v, %v", stat, err)
	}
	wantCode(t, "mark", a.call(nil, wire.MethodMarkConsistent, h), status.OK)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h), status.OK)
	a.locks(wire.MethodReadLock, false, h)
}

// A writer that gives up lets in the readers that it kept out.
func TestRWLockCancelled(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b, c := greeted(t, s, 1), greeted(t, s, 2), greeted(t, s, 3)
	h, g, f := a.open("l", wire.KindRWLock, nil), b.open("l", wire.KindRWLock, nil), c.open("l", wire.KindRWLock, nil)
	a.locks(wire.MethodReadLock, false, h)
	for _, close := range []bool{false, true} {
		writing := b.send(wire.MethodLock, g)
		s.awaitWaiters(t, "l", 1)
		reading := c.send(wire.MethodReadLock, f)
		s.awaitWaiters(t, "l", 2)
		if close {
			b.conn.Close()
		} else {
			if err := b.conn.Write(wire.AppendCancel(nil, writing)); err != nil {
				t.Fatal(err)
			}
			wantCode(t, "the writer", errOrNil(b.answer(writing).Err), status.Cancelled)
		}
		wantCode(t, "the reader", errOrNil(c.answer(reading).Err), status.OK)
		wantCode(t, "unlock", c.call(nil, wire.MethodReadUnlock, f), status.OK)
	}
}

// What was granted to a client that nobody can tell is given back.
func TestUnheardRWLock(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b, c := greeted(t, s, 1), greeted(t, s, 2), greeted(t, s, 3)
	h, g, f := a.open("l", wire.KindRWLock, nil), b.open("l", wire.KindRWLock, nil), c.open("l", wire.KindRWLock, nil)
	a.locks(wire.MethodLock, false, h)
	b.send(wire.MethodReadLock, g)
	s.awaitWaiters(t, "l", 1)
	s.mute(t, 2)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h), status.OK)
	s.awaitCalls(t, 0)
	a.locks(wire.MethodLock, false, h, 0)
	c.send(wire.MethodLock, f)
	s.awaitWaiters(t, "l", 1)
	s.mute(t, 3)
	wantCode(t, "unlock", a.call(nil, wire.MethodUnlock, h), status.OK)
	s.awaitCalls(t, 0)
	a.locks(wire.MethodReadLock, false, h, 0)
}

func TestRWLockThatIsDestroyed(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	for _, methods := range [][2]string{{wire.MethodReadLock, wire.MethodLock}, {wire.MethodLock, wire.MethodReadLock},
		{wire.MethodLock, wire.MethodLock}} {
		h, g := a.open("l", wire.KindRWLock, nil), b.open("l", wire.KindRWLock, nil)
		a.locks(methods[0], false, h)
		waiting := b.send(methods[1], g)
		s.awaitWaiters(t, "l", 1)
		wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "l"), status.OK)
		wantCode(t, "who waits", errOrNil(b.answer(waiting).Err), status.Removed)
		for _, method := range []string{wire.MethodReadLock, wire.MethodReadUnlock, wire.MethodLock, wire.MethodUnlock,
			wire.MethodMarkConsistent} {
			wantCode(t, method, a.call(nil, method, h), status.Removed)
		}
		wantCode(t, "close", a.call(nil, wire.MethodClose, h), status.OK)
		if n := s.tokensOf(1); n != 0 {
			t.Errorf("%d tokens are counted", n)
		}
	}
}

// Tokens are bounded by the connection, over all its rwlocks.
func TestRWLockTokens(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	h, g := a.open("l", wire.KindRWLock, nil), a.open("k", wire.KindRWLock, nil)
	f := a.open("written", wire.KindRWLock, nil)
	a.locks(wire.MethodLock, false, f, 0, 1<<32-2)
	for token := range wire.TokensMax / 2 {
		wantCode(t, "read", a.call(nil, wire.MethodReadLock, h, 0, token), status.OK)
		wantCode(t, "read", a.call(nil, wire.MethodReadLock, g, 0, token), status.OK)
	}
	wantCode(t, "one token more", a.call(nil, wire.MethodReadLock, g, 0, 1<<32-1), status.Quota)
	wantCode(t, "a writer more", a.call(nil, wire.MethodLock, f, 0, 1<<32-1), status.Quota)
	wantCode(t, "unlock of a writer", a.call(nil, wire.MethodUnlock, f, 1<<32-2), status.OK)
	wantCode(t, "a known one", a.call(nil, wire.MethodReadLock, g, 0, 7), status.OK)
	wantCode(t, "unlock", a.call(nil, wire.MethodReadUnlock, h, 7), status.OK)
	wantCode(t, "a new one instead", a.call(nil, wire.MethodReadLock, g, 0, 1<<32-1), status.OK)
	wantCode(t, "close", a.call(nil, wire.MethodClose, h), status.OK)
	if n := s.tokensOf(1); n != wire.TokensMax/2+1 {
		t.Errorf("%d tokens are counted", n)
	}
}
