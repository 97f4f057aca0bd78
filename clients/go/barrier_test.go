package shmd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/daemon"
	"github.com/shmd/shmd/wire"
)

// newBarrier makes a barrier and opens it once for each further party, each in a
// client of its own.
func newBarrier(t *testing.T, s *daemon.Server, parties uint32) (all []*shmd.Barrier, c *shmd.Client) {
	t.Helper()
	c = dial(t, s)
	b, err := shmd.CreateBarrier(t.Context(), c, "b", shmd.BarrierOptions{Parties: parties})
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, b)
	for range parties - 1 {
		b, err := shmd.OpenBarrier(t.Context(), dial(t, s), "b")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	t.Cleanup(func() {
		for _, b := range all {
			closeObject(t, b)
		}
	})
	return all, c
}

// state fails the test unless the barrier is so.
func state(t *testing.T, what string, b *shmd.Barrier, waiting uint32, reasons shmd.BarrierReasons) {
	t.Helper()
	s, err := b.Status()
	if err != nil || s.Waiting != waiting || s.Broken != (reasons != 0) || s.Reasons != reasons {
		t.Errorf("%s: %+v, %v; want %d waiting, broken by %v", what, s, err, waiting, reasons.Names())
	}
}

// arrival is how a wait ended.
type arrival struct {
	index int
	err   error
}

// arrive lets one party wait, until it does.
func arrive(t *testing.T, b *shmd.Barrier, c *shmd.Client, ctx context.Context) <-chan arrival {
	t.Helper()
	ended := make(chan arrival, 1)
	go func() {
		i, err := b.Wait(ctx)
		ended <- arrival{i, err}
	}()
	asleep(t, c, b.ID(), 1)
	return ended
}

// Nobody is a round ahead of another, each has an index of its own, and the action
// runs once for each round, before anybody goes on.
func TestBarrierRounds(t *testing.T) {
	const parties, rounds = 5, 100
	all, _ := newBarrier(t, start(t, daemon.Config{}), parties)
	var done [parties]int // by party; each is written by it alone, and read by the action
	var seen [rounds][parties]bool
	var actions int
	var workers sync.WaitGroup
	for i, b := range all {
		workers.Go(func() {
			for round := range rounds {
				done[i]++
				index, err := b.WaitAction(t.Context(), func() error {
					actions++
					for j, n := range done {
						if n != round+1 {
							t.Errorf("party %d has done %d rounds in round %d", j, n, round)
						}
					}
					return nil
				})
				if err != nil || index < 0 || index >= parties {
					t.Errorf("round %d: %d, %v", round, index, err)
					return
				}
				if actions != round+1 {
					t.Errorf("round %d: %d actions before it ended", round, actions)
				}
				seen[round][index] = true
				if _, err := b.Wait(t.Context()); err != nil { // actions is not written meanwhile
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
	for round, indices := range seen {
		if indices != [parties]bool{true, true, true, true, true} {
			t.Errorf("round %d: indices %v", round, indices)
		}
	}
	state(t, "at the end", all[0], 0, 0)
}

func TestBarrierTry(t *testing.T) {
	all, c := newBarrier(t, start(t, daemon.Config{}), 2)
	_, err := all[0].TryWait()
	wantError(t, "try of the first", err, shmd.ErrWouldBlock)
	state(t, "after a try", all[0], 0, 0)
	ended := arrive(t, all[0], c, t.Context())
	state(t, "one has arrived", all[1], 1, 0)
	if i, err := all[1].TryWait(); i != 1 || err != nil {
		t.Errorf("try of the last: %d, %v", i, err)
	}
	if a := <-ended; a.index != 0 || a.err != nil {
		t.Errorf("the first: %+v", a)
	}
}

// A barrier breaks by a deadline, a cancellation, Abort and a failing action, and
// Reset makes it whole.
func TestBarrierBreaks(t *testing.T) {
	failure := errors.New("the action's own")
	all, c := newBarrier(t, start(t, daemon.Config{}), 2)
	first, second := all[0], all[1]
	for _, way := range []struct {
		name   string
		reason shmd.BarrierReasons
		act    func(cancel context.CancelFunc)
		first  error // what the first gets, who waits meanwhile
	}{
		{"cancellation", shmd.BrokenByAbort, func(cancel context.CancelFunc) { cancel() }, shmd.ErrCancelled},
		{"Abort", shmd.BrokenByAbort, func(context.CancelFunc) {
			if err := errors.Join(second.Abort(), first.Abort()); err != nil {
				t.Error(err)
			}
		}, shmd.ErrBroken},
		{"action", shmd.BrokenByAction, func(context.CancelFunc) {
			_, err := second.WaitAction(t.Context(), func() error { return failure })
			wantError(t, "the party whose action failed", err, failure)
			wantError(t, "the party whose action failed", err, shmd.ErrBroken)
		}, shmd.ErrBroken},
		{"panic", shmd.BrokenByAction, func(context.CancelFunc) {
			defer func() {
				if r := recover(); r != failure {
					t.Errorf("recovered %v", r)
				}
			}()
			_, err := second.WaitAction(t.Context(), func() error { panic(failure) })
			t.Errorf("an action that panics: %v", err)
		}, shmd.ErrBroken},
		{"Reset", 0, func(context.CancelFunc) {
			if n, err := second.Reset(); n != nil || err != nil {
				t.Errorf("reset: %+v, %v", n, err)
			}
		}, shmd.ErrBroken},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := arrive(t, first, c, ctx)
		way.act(cancel)
		wantError(t, way.name, (<-ended).err, way.first)
		state(t, way.name, second, 0, way.reason)
		if way.reason != 0 {
			_, err := second.Wait(t.Context())
			wantError(t, way.name+": who comes later", err, shmd.ErrBroken)
			_, err = second.TryWait()
			wantError(t, way.name+": who tries", err, shmd.ErrBroken)
		}
		if n, err := first.Reset(); n != nil || err != nil {
			t.Errorf("%s: reset: %+v, %v", way.name, n, err)
		}
		state(t, way.name+", reset", second, 0, 0)
		cancel()
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := first.Wait(short)
	wantError(t, "deadline", err, context.DeadlineExceeded)
	state(t, "deadline", second, 0, shmd.BrokenByTimeout)
}

// A leader whose generation was broken while its action ran is told so.
func TestBarrierBrokenWhileActing(t *testing.T) {
	all, c := newBarrier(t, start(t, daemon.Config{}), 2)
	ended := arrive(t, all[0], c, t.Context())
	_, err := all[1].WaitAction(t.Context(), func() error {
		s, err := all[0].Status()
		if err != nil || !s.Acting {
			t.Errorf("while acting: %+v, %v", s, err)
		}
		return all[0].Abort()
	})
	wantError(t, "the leader", err, shmd.ErrBroken)
	wantError(t, "the other", (<-ended).err, shmd.ErrBroken)

	// The same, when the leader closes its handle in the action.
	if _, err := all[0].Reset(); err != nil {
		t.Fatal(err)
	}
	ended = arrive(t, all[0], c, t.Context())
	_, err = all[1].WaitAction(t.Context(), all[1].Close)
	wantError(t, "the leader that closed", err, shmd.ErrClosed)
	wantError(t, "the other", (<-ended).err, shmd.ErrBroken)
}

// vanish is a client of the socket that makes some calls and goes without a word, as
// if it had been killed.
func vanish(t *testing.T, s *daemon.Server, calls ...[]any) {
	t.Helper()
	socket, err := net.Dial("unix", s.Socket())
	if err != nil {
		t.Fatal(err)
	}
	answers := msgpack.NewDecoder(socket)
	for id, call := range append([][]any{{wire.MethodHello, 1, 1, make([]byte, 16), "vanishes"}}, calls...) {
		request, err := msgpack.Marshal([]any{0, id, call[0], call[1:]})
		if err == nil {
			_, err = socket.Write(request)
		}
		if err != nil {
			t.Fatal(err)
		}
		var answer []any
		if err := answers.Decode(&answer); err != nil || len(answer) != 4 || answer[2] != nil {
			t.Fatalf("%v answers %v, %v", call, answer, err)
		}
	}
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
}

// The death of a party breaks the barrier for those who wait, with the name of the
// dead; that of one who only looks does not.
func TestBarrierPartyDies(t *testing.T) {
	s := start(t, daemon.Config{})
	all, c := newBarrier(t, s, 2)
	ended := arrive(t, all[0], c, t.Context())
	vanish(t, s, []any{wire.MethodOpen, "b"})
	vanish(t, s, []any{wire.MethodOpen, "b", map[string]any{"party": true}})
	a := <-ended
	wantError(t, "the wait", a.err, shmd.ErrPeerDied)
	if text := fmt.Sprintf("pid %d", os.Getpid()); !strings.Contains(a.err.Error(), text) {
		t.Errorf("%q does not say %q", a.err, text)
	}
	state(t, "after the death", all[1], 0, shmd.BrokenByDeath)
	_, err := all[1].Wait(t.Context())
	wantError(t, "who comes later", err, shmd.ErrPeerDied)
	if st, err := all[1].Status(); err != nil || st.LastDeath == nil || st.LastDeath.PID != uint32(os.Getpid()) {
		t.Errorf("status %+v, %v", st, err)
	}
	if n, err := all[1].Reset(); err != nil || n == nil || n.Deaths != 1 {
		t.Errorf("reset: %+v, %v", n, err)
	}
	state(t, "reset", all[1], 0, 0)
}

// Whoever closes its handle, or says goodbye, leaves in peace; a wait of its own ends.
func TestBarrierClose(t *testing.T) {
	s := start(t, daemon.Config{})
	all, c := newBarrier(t, s, 2)
	party, err := shmd.OpenBarrierAsParty(t.Context(), dial(t, s), "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := party.Close(); err != nil {
		t.Error(err)
	}
	state(t, "a party that closed", all[0], 0, 0)
	ended := arrive(t, all[0], c, t.Context())
	if err := all[0].Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "the wait", (<-ended).err, os.ErrClosed)
	state(t, "a waiter that closed", all[1], 0, shmd.BrokenByAbort)
	_, err = all[0].Status()
	wantError(t, "look after close", err, shmd.ErrClosed)
	wantError(t, "abort after close", all[0].Abort(), shmd.ErrClosed)
}

func TestBarrierMistakes(t *testing.T) {
	s := start(t, daemon.Config{})
	ctx := t.Context()
	all, c := newBarrier(t, s, 2)
	for _, parties := range []uint32{0, 4095} {
		_, err := shmd.CreateBarrier(ctx, c, "none", shmd.BarrierOptions{Parties: parties})
		wantError(t, "create for nobody, or too many", err, shmd.ErrInvalid)
	}
	_, err := shmd.OpenOrCreateBarrier(ctx, c, "b", shmd.BarrierOptions{Parties: 3})
	wantError(t, "open for others", err, shmd.ErrOptionMismatch)
	again, err := shmd.OpenOrCreateBarrier(ctx, c, "b", shmd.BarrierOptions{Parties: 2, Party: true})
	if err != nil || again.Created() {
		t.Fatalf("open what exists: %v", err)
	}
	defer again.Close()
	ended := arrive(t, all[0], c, ctx)
	if err := c.Destroy(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "the wait in what is destroyed", (<-ended).err, shmd.ErrRemoved)
	_, err = all[1].Wait(ctx)
	wantError(t, "wait", err, shmd.ErrRemoved)
	_, err = all[1].Status()
	wantError(t, "look", err, shmd.ErrRemoved)
	_, err = all[1].Reset()
	wantError(t, "reset", err, shmd.ErrRemoved)
	wantError(t, "abort", all[1].Abort(), shmd.ErrRemoved)
}
