package protocol

import (
	"context"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// crowdSize is how many calls of one connection wait at once.
const crowdSize = 300

// Each of many that wait at a condition is told once: that it was woken, or that its
// cancel came first. Either way it holds the mutex then, alone.
func TestCrowdAtACondition(t *testing.T) {
	random := random(t)
	d := harness.StartDaemon(t)
	crowd, witness := dial(t, d.Socket).greet(), d.Dial(t)
	crowd.must(wire.MethodCreate, "lock", "mutex", m{})
	c := crowd.attach(wire.MethodCreate, "condition", "condition", m{"lock": "@lock"})
	var open wire.Attachment
	if err := witness.Call(t.Context(), wire.MethodOpen, &open, "condition"); err != nil {
		t.Fatal(err)
	}
	o := open.Handle
	waiting := make(map[uint32]int) // tokens by call
	var cancels []uint32
	for token := range crowdSize {
		crowd.must(wire.MethodLock, c, -1, token)
		id := crowd.later(wire.MethodWaitCondition, c, -1, token)
		waiting[id] = token
		if random.IntN(3) == 0 {
			cancels = append(cancels, id)
		}
		// Only when it waits is the mutex free for the next.
	}
	harness.Await(t, "the crowd is there", func() bool {
		var stat wire.Stat
		if err := witness.Call(t.Context(), wire.MethodStat, &stat, "condition"); err != nil {
			t.Fatal(err)
		}
		return stat.Waiters == crowdSize
	})
	// Wake-ups and cancels come from two sides at once; in the end all are woken.
	wakes := make([]int, 10)
	for i := range wakes {
		wakes[i] = random.IntN(crowdSize/10) + 1
	}
	done := make(chan error, 1)
	go func() { done <- wake(t.Context(), witness, o, append(wakes, 0)) }()
	unlocks, cancelled := make(map[uint32]bool), 0
	for cancelling := cancels; len(waiting) > 0 || len(unlocks) > 0; {
		for range min(random.IntN(8), len(cancelling)) {
			crowd.send(wire.AppendCancel(nil, cancelling[0]))
			cancelling = cancelling[1:]
		}
		r, err := wire.ParseResponse(crowd.receive())
		if err != nil {
			t.Fatal(err)
		}
		token, waited := waiting[r.ID]
		switch {
		case !waited && !unlocks[r.ID]:
			t.Fatalf("a second answer to %d: %v", r.ID, r.Err)
		case !waited:
			delete(unlocks, r.ID)
			if r.Err != nil {
				t.Fatalf("who was told does not hold the mutex: %v", r.Err)
			}
			continue
		case r.Err != nil:
			wantError(t, "wait_condition", nil, r.Err, status.Cancelled, "")
			cancelled++
		}
		delete(waiting, r.ID)
		unlocks[crowd.later(wire.MethodUnlock, c, token)] = true
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d were cancelled, %d of them in vain", len(cancels), crowdSize, len(cancels)-cancelled)
	crowd.must(wire.MethodLock, c, 0)
	crowd.must(wire.MethodUnlock, c)
}

// wake notifies so many, each time with the mutex.
func wake(ctx context.Context, c *shmd.Client, condition uint64, counts []int) error {
	for _, n := range counts {
		for _, call := range []list{{wire.MethodLock, condition}, {wire.MethodNotify, condition, n},
			{wire.MethodUnlock, condition}} {
			if err := c.Call(ctx, call[0].(string), nil, call[1:]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// As many arrive over one connection as the barrier has parties, again and again; each
// has an index of its own.
func TestCrowdAtABarrier(t *testing.T) {
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	b := p.attach(wire.MethodCreate, "barrier", "barrier", m{"parties": crowdSize})
	for generation := range uint64(5) {
		var ids []uint32
		for range crowdSize {
			ids = append(ids, p.later(wire.MethodArrive, b, -1, true))
		}
		// The leader is told first, and nobody else before it has completed.
		r, err := wire.ParseResponse(p.receive())
		var lead wire.Arrival
		if err == nil && r.Err == nil {
			err = wire.Decode(r.Result, &lead)
		}
		if err != nil || r.Err != nil || !lead.Leader || lead.Index != crowdSize-1 {
			t.Fatalf("the first answer: %+v, %v, %v", lead, err, r.Err)
		}
		if now := decoded[wire.Barrier](p, wire.MethodBarrier, b); !now.Acting || now.Generation != generation {
			t.Errorf("with a leader the barrier is %+v", now)
		}
		seen := map[uint32]bool{lead.Index: true}
		rest := ids[:0]
		for _, id := range ids {
			if id != r.ID {
				rest = append(rest, id)
			}
		}
		complete := p.later(wire.MethodComplete, b)
		for id, r := range p.answers(append(rest, complete)) {
			var a wire.Arrival
			if r.Err == nil && id != complete {
				if err := wire.Decode(r.Result, &a); err != nil {
					t.Fatal(err)
				}
			}
			if r.Err != nil || id != complete && (a.Leader || seen[a.Index]) {
				t.Errorf("an answer: %+v, %v", a, r.Err)
			}
			if id != complete {
				seen[a.Index] = true
			}
		}
		if len(seen) != crowdSize {
			t.Errorf("%d different indexes", len(seen))
		}
	}
}

// Readers and writers of many tokens, over two connections, exclude each other.
func TestCrowdAtAnRWLock(t *testing.T) {
	random := random(t)
	d := harness.StartDaemon(t)
	first, second := dial(t, d.Socket).greet(), dial(t, d.Socket).greet()
	l, k := first.attach(wire.MethodCreate, "l", "rwlock", m{}), second.attach(wire.MethodOpen, "l")
	type turn struct {
		token  int
		writes bool
	}
	waiting := make(map[uint32]turn)
	for token := range crowdSize {
		turn := turn{token, random.IntN(4) == 0}
		method := wire.MethodReadLock
		if turn.writes {
			method = wire.MethodLock
		}
		waiting[first.later(method, l, -1, token)] = turn
	}
	unlocks, readers, writers := make(map[uint32]bool), 0, 0
	for len(waiting) > 0 || len(unlocks) > 0 {
		r, err := wire.ParseResponse(first.receive())
		if err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
		if turn, inside := waiting[r.ID]; inside {
			delete(waiting, r.ID)
			method := wire.MethodReadUnlock
			if turn.writes {
				method = wire.MethodUnlock
				writers++
			} else {
				readers++
			}
			if writers > 1 || writers > 0 && readers > 0 {
				t.Fatalf("%d writers and %d readers are inside", writers, readers)
			}
			if random.IntN(20) == 0 {
				second.refuses(status.WouldBlock, `"l"`, wire.MethodLock, k, 0)
			}
			unlocks[first.later(method, l, turn.token)] = true
			if turn.writes { // from here on the next may come in
				writers--
			} else {
				readers--
			}
			continue
		}
		if !unlocks[r.ID] {
			t.Fatalf("an answer to %d", r.ID)
		}
		delete(unlocks, r.ID)
	}
	second.must(wire.MethodLock, k, 0)
	second.must(wire.MethodUnlock, k)
}
