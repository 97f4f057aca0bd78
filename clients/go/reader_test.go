package shmd

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// patience is the watchdog of a wait; it says nothing about speed.
const patience = time.Minute

// newPeer is a link and its other end.
func newPeer(t *testing.T) (*link, *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.NewConn(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	l := newLink(conn, 0)
	t.Cleanup(func() {
		l.fail(status.Closed)
		peer.Close()
	})
	return l, peer
}

// received hands each message that arrives to the function, until that says
// false or the connection ends.
func received(peer *net.UnixConn, each func(wire.Request) bool) {
	var scanner wire.Scanner
	var have []byte
	chunk := make([]byte, 4096)
	for {
		n, err := peer.Read(chunk)
		if err != nil {
			return
		}
		have = append(have, chunk[:n]...)
		for {
			size, err := scanner.Next(have)
			if size == 0 || err != nil {
				break
			}
			r, err := wire.ParseRequest(have[:size])
			if err != nil || !each(r) {
				return
			}
			have = have[size:]
		}
	}
}

// echo answers every request with its parameters.
func echo(peer *net.UnixConn) {
	received(peer, func(r wire.Request) bool {
		if r.Notification {
			return true
		}
		_, err := peer.Write(append(wire.AppendResultHeader(nil, r.ID), r.Params...))
		return err == nil
	})
}

func startNumber(t *testing.T, l *link, n uint64) *call {
	t.Helper()
	return startMethod(t, l, wire.MethodPing, n)
}

func startMethod(t *testing.T, l *link, method string, n uint64) *call {
	t.Helper()
	return startBy(t, l.start, method, n)
}

// startBy starts by start or startSoon.
func startBy(t *testing.T, start func(*call, int, func([]byte) ([]byte, error)) error, method string, n uint64) *call {
	t.Helper()
	c := &call{method: method}
	if err := start(c, 1, func(b []byte) ([]byte, error) { return wire.AppendUint(b, n), nil }); err != nil {
		t.Error(err)
		t.FailNow()
	}
	return c
}

// withoutHanging fails the test if work takes until the watchdog.
func withoutHanging(t *testing.T, what string, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	watchdog := time.NewTimer(patience)
	defer watchdog.Stop()
	select {
	case <-done:
	case <-watchdog.C:
		t.Fatalf("%s hangs", what)
	}
}

// Requests and answers each fill the socket many times before anybody waits.
func TestSendingMuchBeforeWaiting(t *testing.T) {
	l, peer := newPeer(t)
	l.late.Stop()
	l.idle.Stop() // either would make a reader sooner or later
	go echo(peer)
	bulk := bytes.Repeat([]byte("x"), 1000)
	withoutHanging(t, "sending", func() {
		calls := make([]*call, 5000)
		for i := range calls {
			calls[i] = &call{method: wire.MethodPing}
			err := l.start(calls[i], 1, func(b []byte) ([]byte, error) { return wire.AppendBin(b, bulk), nil })
			if err != nil {
				t.Error(err)
				return
			}
		}
		for _, c := range calls {
			if a := l.wait(context.Background(), c); a.err != nil || !bytes.Contains(a.result, bulk) {
				t.Errorf("%d bytes, %v", len(a.result), a.err)
				return
			}
		}
	})
}

// untilLocked looks until the condition, which needs the lock of the link, holds.
func untilLocked(t *testing.T, l *link, what string, holds func() bool) {
	t.Helper()
	withoutHanging(t, what, func() {
		for held := false; !held; {
			l.mu.Lock()
			held = holds()
			l.mu.Unlock()
		}
	})
}

// Answers are read, and requests sent, without anybody ever waiting: first after a moment,
// since somebody might, and then at once.
func TestNobodyWaits(t *testing.T) {
	for _, n := range []int{1, 2, 100} {
		l, peer := newPeer(t)
		go echo(peer)
		for range 3 {
			calls := make([]*call, n)
			for i := range calls {
				calls[i] = startBy(t, l.startSoon, wire.MethodPing, uint64(i))
			}
			for _, c := range calls {
				untilLocked(t, l, "an answer that nobody waits for", func() bool { return c.answered })
				if c.answer.err != nil {
					t.Error(c.answer.err)
				}
			}
			untilLocked(t, l, "noticing that nobody waits", func() bool { return l.leaves })
		}
		if a := l.wait(t.Context(), startNumber(t, l, 1)); a.err != nil || l.leaves {
			t.Errorf("somebody waits: %v, leaves %v", a.err, l.leaves)
		}
	}
}

// Requests that are started in a row are one write, by whoever waits for one of them.
func TestStartedRequestsTravelTogether(t *testing.T) {
	l, peer := newPeer(t)
	l.late.Stop() // on a slow machine it could come first; now nothing else writes
	const n = 16
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = startBy(t, l.startSoon, wire.MethodPing, uint64(i))
	}
	untilLocked(t, l, "starting", func() bool {
		if l.batch != 1 || len(l.out) == 0 {
			t.Errorf("%d writes before anybody waits", l.batch-1)
		}
		return true
	})
	arrived := make(chan int, 1)
	go func() {
		chunk := make([]byte, 4096)
		size, err := peer.Read(chunk)
		if err != nil {
			t.Error(err)
		}
		count := 0
		var answers []byte
		for rest := chunk[:size]; ; count++ {
			size, err := wire.Scan(rest)
			if size == 0 || err != nil {
				break
			}
			r, err := wire.ParseRequest(rest[:size])
			if err != nil {
				t.Error(err)
			}
			answers = append(wire.AppendResultHeader(answers, r.ID), r.Params...)
			rest = rest[size:]
		}
		arrived <- count
		if _, err := peer.Write(answers); err != nil {
			t.Error(err)
		}
	}()
	withoutHanging(t, "a batch", func() {
		for i := range calls { // the last first
			a := l.wait(t.Context(), calls[n-1-i])
			if want := wire.AppendUint([]byte{0x91}, uint64(n-1-i)); a.err != nil || !bytes.Equal(a.result, want) {
				t.Errorf("call %d: % x, %v", n-1-i, a.result, a.err)
			}
		}
	})
	if count := <-arrived; count != n {
		t.Errorf("the first read had %d requests, want all %d", count, n)
	}
}

func TestCancelledWhileReading(t *testing.T) {
	for _, method := range []string{wire.MethodPing, wire.MethodTake} { // the daemon makes one of them wait
		l, peer := newPeer(t)
		first := make(chan wire.Request, 1)
		go received(peer, func(r wire.Request) bool {
			switch {
			case r.Notification: // the cancel; the daemon answers the call
				_, err := peer.Write(wire.AppendError(nil, (<-first).ID, &status.Error{Code: status.Cancelled}))
				return err == nil
			case len(first) == 0 && bytes.Equal(r.Params, []byte{0x91, 1}):
				first <- r
				return true
			}
			_, err := peer.Write(append(wire.AppendResultHeader(nil, r.ID), r.Params...))
			return err == nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		c := startMethod(t, l, method, 1)
		withoutHanging(t, "a cancelled call", func() {
			ended := make(chan error, 1)
			go func() { ended <- l.wait(ctx, c).err }()
			untilLocked(t, l, "reading", func() bool { return l.reading })
			for len(first) == 0 {
				// It must have arrived, or the second could overtake it.
			}
			cancel()
			if err := <-ended; !errors.Is(err, status.Cancelled) {
				t.Errorf("%s: %v", method, err)
			}
			for n := range uint64(3) {
				if a := l.wait(t.Context(), startNumber(t, l, 2+n)); a.err != nil {
					t.Errorf("after it: %v", a.err)
				}
			}
		})
	}
}

// The end of the connection is noticed when no call is there to notice it.
func TestIdleLinkNoticesTheEnd(t *testing.T) {
	exchange := func(t *testing.T, l *link) {
		if a := l.wait(t.Context(), startNumber(t, l, 1)); a.err != nil {
			t.Fatal(a.err)
		}
	}
	untilIdle := func(t *testing.T, l *link) {
		untilLocked(t, l, "an idle link", func() bool { return l.reading })
	}
	for _, c := range []struct {
		name  string
		steps []func(*testing.T, *link)
	}{
		{"new", nil},
		{"after a call", []func(*testing.T, *link){exchange}},
		{"long after a call", []func(*testing.T, *link){exchange, untilIdle}},
		{"after a call that ended idleness", []func(*testing.T, *link){untilIdle, exchange}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, peer := newPeer(t)
			go echo(peer)
			for _, step := range c.steps {
				step(t, l)
			}
			peer.Close()
			withoutHanging(t, "noticing", func() { <-l.ended })
			if err := l.start(&call{method: wire.MethodPing}, 0, nil); !errors.Is(err, status.Lost) {
				t.Errorf("a call after the end: %v", err)
			}
		})
	}
}

// The role passes among callers that come, go and give up at any moment.
func TestCallersComeAndGo(t *testing.T) {
	l, peer := newPeer(t)
	go echo(peer)
	turns := 3000
	if testing.Short() {
		turns = 300
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	withoutHanging(t, "a caller", func() {
		var wg sync.WaitGroup
		for worker := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, worker))
			wg.Go(func() {
				for i := range turns {
					ctx, cancel := context.WithCancel(t.Context())
					number := worker<<32 | uint64(i)
					c := startNumber(t, l, number)
					if random.IntN(3) == 0 {
						go cancel()
					}
					a := l.wait(ctx, c)
					cancel()
					want := wire.AppendUint([]byte{0x91}, number)
					if a.err == nil && !bytes.Equal(a.result, want) || a.err != nil && a.err != status.Cancelled {
						t.Errorf("call %d of worker %d: % x, %v", i, worker, a.result, a.err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// A descriptor goes to the answer that says that it comes along, or that always brings one,
// and to no other.
func TestDescriptorsGoToTheirAnswers(t *testing.T) {
	l, peer := newPeer(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name   string
		file   carries
		result any
		sent   bool // a descriptor
		want   error
		got    bool
	}{
		{"none comes along", maybeFile, wire.Attachment{Handle: 1}, false, nil, false},
		{"one comes along", maybeFile, wire.Attachment{Handle: 2, Fds: 1}, true, nil, true},
		{"one is what it asked for", oneFile, wire.MapResult{Fds: 1}, true, nil, true},
		{"a number", maybeFile, 7, false, nil, false},
		{"one does not come, though it says so", maybeFile, wire.Attachment{Handle: 3, Fds: 1}, false,
			status.BadFrame, false},
	} {
		under := &call{method: wire.MethodOpen, file: c.file}
		if err := l.start(under, 0, func(b []byte) ([]byte, error) { return b, nil }); err != nil {
			t.Fatal(err)
		}
		b, err := wire.AppendEncoded(wire.AppendResultHeader(nil, under.id), c.result)
		if err != nil {
			t.Fatal(err)
		}
		var rights []byte
		if c.sent {
			rights = unix.UnixRights(int(file.Fd()))
		}
		if _, _, err := peer.WriteMsgUnix(b, rights, nil); err != nil {
			t.Fatal(err)
		}
		a := l.wait(t.Context(), under)
		if !errors.Is(a.err, c.want) || (a.file >= 0) != c.got {
			t.Errorf("%s: descriptor %d, %v", c.name, a.file, a.err)
		}
		if a.file >= 0 {
			if err := unix.Close(a.file); err != nil {
				t.Error(err)
			}
		}
	}
}
