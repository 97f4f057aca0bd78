package protocol

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// must returns what has no error, and else fails the test.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// alone drops a result that a table does not look at.
func alone[T any](f func() (T, error)) func() error {
	return func() error {
		_, err := f()
		return err
	}
}

// briefly gives a wait a microsecond.
func briefly[T any](t *testing.T, f func(ctx context.Context) (T, error)) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		_, err := f(ctx)
		return err
	}
}

// A client that maps the objects is answered as one that does not, call by call.
func TestSameThroughSocketAndMapping(t *testing.T) {
	d := harness.StartDaemon(t)
	p, c, ctx := dial(t, d.Socket).greet(), d.Dial(t), t.Context()
	se := p.attach(wire.MethodCreate, "s/event", "event", m{})
	sa := p.attach(wire.MethodCreate, "s/auto", "event", m{"auto_reset": true})
	p.attach(wire.MethodCreate, "s/lock", "mutex", m{"recursive": true})
	sc := p.attach(wire.MethodCreate, "s/condition", "condition", m{"lock": "@s/lock"})
	sb := p.attach(wire.MethodCreate, "s/barrier", "barrier", m{"parties": 2})
	s1 := p.attach(wire.MethodCreate, "s/one", "barrier", m{"parties": 1})
	sl := p.attach(wire.MethodCreate, "s/rwlock", "rwlock", m{})
	me := must[*shmd.Event](t)(shmd.CreateEvent(ctx, c, "m/event", shmd.EventOptions{}))
	ma := must[*shmd.Event](t)(shmd.CreateEvent(ctx, c, "m/auto", shmd.EventOptions{AutoReset: true}))
	mutex := must[*shmd.Mutex](t)(shmd.CreateMutex(ctx, c, "m/lock", shmd.MutexOptions{Recursive: true}))
	mc := must[*shmd.Condition](t)(shmd.CreateCondition(ctx, c, "m/condition", mutex, shmd.ConditionOptions{}))
	mb := must[*shmd.Barrier](t)(shmd.CreateBarrier(ctx, c, "m/barrier", shmd.BarrierOptions{Parties: 2}))
	m1 := must[*shmd.Barrier](t)(shmd.CreateBarrier(ctx, c, "m/one", shmd.BarrierOptions{Parties: 1}))
	ml := must[*shmd.RWLock](t)(shmd.CreateRWLock(ctx, c, "m/rwlock", shmd.RWLockOptions{}))
	one, two := ml.NewOwner(), ml.NewOwner()
	waitEvent := briefly(t, func(ctx context.Context) (any, error) { return nil, me.Wait(ctx) })
	locked := func(lock func(context.Context) (*shmd.Notice, error)) func() error {
		return alone(func() (*shmd.Notice, error) { return lock(ctx) })
	}
	type step struct {
		what   string
		socket list
		mapped func() error
		want   status.Code
	}
	steps := []step{
		{"wait", list{"wait", se, 0}, me.TryWait, status.WouldBlock},
		{"reset", list{"reset", se}, me.Reset, status.OK},
		{"wait briefly", list{"wait", se, 1000}, waitEvent, status.TimedOut},
		{"pulse", list{"pulse", se}, me.Pulse, status.OK},
		{"set", list{"signal", se}, me.Set, status.OK},
		{"wait when set", list{"wait", se}, waitEvent, status.OK},
		{"wait again", list{"wait", se, 0}, me.TryWait, status.OK},
		{"pulse when set", list{"pulse", se}, me.Pulse, status.OK},
		{"wait after a pulse", list{"wait", se, 0}, me.TryWait, status.WouldBlock},
		{"pulse, auto", list{"pulse", sa}, ma.Pulse, status.Unsupported},
		{"set, auto", list{"signal", sa}, ma.Set, status.OK},
		{"set again, auto", list{"signal", sa}, ma.Set, status.OK},
		{"wait, auto", list{"wait", sa, 0}, ma.TryWait, status.OK},
		{"wait again, auto", list{"wait", sa, 0}, ma.TryWait, status.WouldBlock},

		{"wait unlocked", list{"wait_condition", sc, 1000}, briefly(t, mc.Wait), status.NotOwner},
		{"notify unlocked", list{"notify", sc}, func() error { return mc.Notify(1) }, status.NotOwner},
		{"unlock unlocked", list{"unlock", sc}, mc.Unlock, status.NotOwner},
		{"lock", list{"lock", sc}, locked(mc.Lock), status.OK},
		{"wait briefly", list{"wait_condition", sc, 1000}, briefly(t, mc.Wait), status.TimedOut},
		{"notify", list{"notify", sc, 5}, func() error { return mc.Notify(5) }, status.OK},
		{"notify all", list{"notify", sc, 0}, mc.NotifyAll, status.OK},
		{"notify none", list{"notify", sc, -1}, func() error { return mc.Notify(-1) }, status.Invalid},
		{"unlock", list{"unlock", sc}, mc.Unlock, status.OK},
		{"unlock again", list{"unlock", sc}, mc.Unlock, status.NotOwner},

		{"arrive", list{"arrive", sb, 0}, alone(mb.TryWait), status.WouldBlock},
		{"arrive briefly", list{"arrive", sb, 1000}, briefly(t, mb.Wait), status.TimedOut},
		{"arrive at a broken one", list{"arrive", sb, 0}, alone(mb.TryWait), status.Broken},
		{"abort a broken one", list{"abort", sb}, mb.Abort, status.OK},
		{"reset", list{"reset", sb}, alone(mb.Reset), status.OK},
		{"arrive at a whole one", list{"arrive", sb, 0}, alone(mb.TryWait), status.WouldBlock},
		{"abort", list{"abort", sb}, mb.Abort, status.OK},
		{"arrive, aborted", list{"arrive", sb}, briefly(t, mb.Wait), status.Broken},
		{"arrive alone", list{"arrive", s1}, briefly(t, m1.Wait), status.OK},
		{"arrive alone, try", list{"arrive", s1, 0}, alone(m1.TryWait), status.OK},

		{"unlock a read", list{"read_unlock", sl, 1}, one.RUnlock, status.NotOwner},
		{"read", list{"read_lock", sl, -1, 1}, locked(one.RLock), status.OK},
		{"read again", list{"read_lock", sl, -1, 1}, locked(one.RLock), status.OK},
		{"write while reading", list{"lock", sl, -1, 1}, locked(one.Lock), status.Deadlock},
		{"write beside a reader", list{"lock", sl, 0, 2}, alone(two.TryLock), status.WouldBlock},
		{"mark while reading", list{"mark_consistent", sl, 1}, one.MarkConsistent, status.NotOwner},
		{"read beside a reader", list{"read_lock", sl, 0, 2}, alone(two.TryRLock), status.OK},
		{"unlock", list{"read_unlock", sl, 2}, two.RUnlock, status.OK},
		{"unlock once", list{"read_unlock", sl, 1}, one.RUnlock, status.OK},
		{"write beside a reader still", list{"lock", sl, 1000, 2}, briefly(t, two.Lock), status.TimedOut},
		{"unlock twice", list{"read_unlock", sl, 1}, one.RUnlock, status.OK},
		{"unlock thrice", list{"read_unlock", sl, 1}, one.RUnlock, status.NotOwner},
		{"write", list{"lock", sl, -1, 1}, locked(one.Lock), status.OK},
		{"read while writing", list{"read_lock", sl, -1, 1}, locked(one.RLock), status.Deadlock},
		{"write while writing", list{"lock", sl, -1, 1}, locked(one.Lock), status.Deadlock},
		{"read beside a writer", list{"read_lock", sl, 0, 2}, alone(two.TryRLock), status.WouldBlock},
		{"unlock another's", list{"unlock", sl, 2}, two.Unlock, status.NotOwner},
		{"mark", list{"mark_consistent", sl, 1}, one.MarkConsistent, status.OK},
		{"unlock a write", list{"unlock", sl, 1}, one.Unlock, status.OK},
		{"unlock a write again", list{"unlock", sl, 1}, one.Unlock, status.NotOwner},
	}
	check := func(steps []step) {
		t.Helper()
		for _, step := range steps {
			r := p.call(step.socket[0].(string), step.socket[1:]...)
			socket := status.OK
			if r.Err != nil {
				socket = r.Err.Code
			}
			if mapped := status.Of(step.mapped()); socket != step.want || mapped != step.want {
				t.Errorf("%s: %s through the socket, %s through a mapping, want %s", step.what, socket.Name(),
					mapped.Name(), step.want.Name())
			}
		}
	}
	check(steps)
	for _, name := range []string{"event", "auto", "condition", "barrier", "one", "rwlock"} {
		p.must(wire.MethodDestroy, "s/"+name)
		p.must(wire.MethodDestroy, "m/"+name)
	}
	for i := range steps {
		steps[i].want = status.Removed
	}
	// The mutex lives on.
	check(slices.DeleteFunc(steps, func(s step) bool {
		return s.socket[1] == sc && s.socket[0] != wire.MethodNotify && s.socket[0] != wire.MethodWaitCondition ||
			s.what == "notify none" || s.what == "pulse, auto" // refused for what they are, first or last
	}))
}

// Two that map a barrier and two that do not meet at it, and hand a turn round under a
// condition, again and again.
func TestSocketAndMappingTogether(t *testing.T) {
	const crew, rounds = 4, 50
	d := harness.StartDaemon(t)
	p := dial(t, d.Socket).greet()
	p.must(wire.MethodCreate, "barrier", "barrier", m{"parties": crew})
	p.must(wire.MethodCreate, "lock", "mutex", m{})
	p.must(wire.MethodCreate, "condition", "condition", m{"lock": "@lock"})
	p.must(wire.MethodCreate, "turn", "value", m{"code": "i", "lock": "none"})
	p.must(wire.MethodCreate, "acted", "value", m{"code": "i", "lock": "none"})
	var wg sync.WaitGroup
	var mu sync.Mutex
	indexes := make(map[int]int) // how often each was given out
	for i := range crew {
		c := d.Dial(t)
		play := (&socketMember{c: c, ctx: t.Context()}).play
		if i%2 == 0 {
			play = (&mappedMember{c: c, ctx: t.Context()}).play
		}
		wg.Go(func() {
			err := play(i, crew, rounds, func(index int) {
				mu.Lock()
				defer mu.Unlock()
				indexes[index]++
			})
			if err != nil {
				t.Errorf("member %d: %v", i, err)
				_ = c.Close() // so that nobody waits for it
			}
		})
	}
	wg.Wait()
	for index := range crew {
		if indexes[index] != rounds {
			t.Errorf("index %d was given out %d times in %d rounds", index, indexes[index], rounds)
		}
	}
	acted := p.attach(wire.MethodOpen, "acted")
	if n := decoded[int](p, wire.MethodGet, acted); n != rounds {
		t.Errorf("the action ran %d times in %d rounds", n, rounds)
	}
}

// socketMember plays through the socket.
type socketMember struct {
	c   *shmd.Client
	ctx context.Context
}

func (s *socketMember) play(me, crew, rounds int, met func(index int)) error {
	handles := make(map[string]uint64)
	for _, name := range []string{"barrier", "condition", "turn", "acted"} {
		var a wire.Attachment
		if err := s.c.Call(s.ctx, wire.MethodOpen, &a, name); err != nil {
			return err
		}
		handles[name] = a.Handle
	}
	call := func(result any, method, name string, params ...any) error {
		return s.c.Call(s.ctx, method, result, append([]any{handles[name]}, params...)...)
	}
	for range rounds {
		var a wire.Arrival
		if err := call(&a, wire.MethodArrive, "barrier", -1, true); err != nil {
			return err
		}
		met(int(a.Index))
		if a.Leader {
			if err := call(nil, wire.MethodAdd, "acted", 0, 1); err != nil {
				return err
			}
			if err := call(nil, wire.MethodComplete, "barrier"); err != nil {
				return err
			}
		}
		if err := call(nil, wire.MethodLock, "condition", -1, 3); err != nil {
			return err
		}
		for {
			var turn int
			if err := call(&turn, wire.MethodGet, "turn"); err != nil {
				return err
			}
			if turn == me {
				break
			}
			if err := call(nil, wire.MethodWaitCondition, "condition", -1, 3); err != nil {
				return err
			}
		}
		if err := call(nil, wire.MethodSet, "turn", 0, (me+1)%crew); err != nil {
			return err
		}
		if err := call(nil, wire.MethodNotify, "condition", 0, 3); err != nil {
			return err
		}
		if err := call(nil, wire.MethodUnlock, "condition", 3); err != nil {
			return err
		}
	}
	return nil
}

// mappedMember plays in memory.
type mappedMember struct {
	c   *shmd.Client
	ctx context.Context
}

func (s *mappedMember) play(me, crew, rounds int, met func(index int)) error {
	barrier, err := shmd.OpenBarrier(s.ctx, s.c, "barrier")
	if err != nil {
		return err
	}
	condition, err := shmd.OpenCondition(s.ctx, s.c, "condition")
	if err != nil {
		return err
	}
	turn, err := shmd.OpenValue[int32](s.ctx, s.c, "turn")
	if err != nil {
		return err
	}
	acted, err := shmd.OpenValue[int32](s.ctx, s.c, "acted")
	if err != nil {
		return err
	}
	for range rounds {
		index, err := barrier.WaitAction(s.ctx, func() error {
			_, err := acted.Add(1)
			return err
		})
		if err != nil {
			return err
		}
		met(index)
		if _, err := condition.Lock(s.ctx); err != nil {
			return err
		}
		for {
			now, err := turn.Load()
			if err != nil {
				return err
			}
			if now == int32(me) {
				break
			}
			if _, err := condition.Wait(s.ctx); err != nil {
				return err
			}
		}
		if err := turn.Store(int32((me + 1) % crew)); err != nil {
			return err
		}
		if err := condition.NotifyAll(); err != nil {
			return err
		}
		if err := condition.Unlock(); err != nil {
			return err
		}
	}
	return nil
}
