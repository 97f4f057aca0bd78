package soak

import (
	"errors"
	"slices"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/history"
	"github.com/shmd/shmd/wire"
)

const (
	// lookEvery paces who looks again and again.
	lookEvery = 200 * time.Microsecond
	// stillAfter is how long a client is in one operation when it seems to wait.
	stillAfter = 20 * time.Millisecond
	// lostAfter is how long it may wait for what is there, when nobody else does
	// anything. It says nothing about speed.
	lostAfter = 20 * time.Second
	// hand is the number of our own hand among the producers.
	hand = 1 << 20
)

// patience is since when a client's wait has been without a reason.
type patience struct {
	call  int64 // which wait
	since time.Time
}

// lull waits until all clients are at rest, gives those what they wait for who wait
// for what nobody will bring, and fails the test if one waits for what is there.
func (s *stage) lull() {
	s.t.Helper()
	lost := make(map[int]patience)
	s.until(func() bool {
		working, suspects := false, 0
		var waiting []history.Entry
		for _, c := range s.clients {
			if !c.Working() {
				continue
			}
			working = true
			e, inFlight := c.Current()
			if !inFlight || !s.still(c) {
				return false // it moves, and what it does may end the waits of others
			}
			if !s.lacks(&e) {
				s.suspect(lost, c, &e)
				suspects++
				continue
			}
			waiting = append(waiting, e)
		}
		if suspects == 0 && len(waiting) > 0 {
			s.relieve(&waiting[0])
		}
		return !working
	})
	for _, c := range s.clients {
		s.current = append(s.current, career{client: c.ID, entries: c.Await()})
	}
	s.level()
	s.drainStream() // nobody has a role any more
	if s.random.IntN(4) == 0 {
		s.drain(jobs)
		s.drain(letters)
		s.drain(timed)
	}
	s.tally.lulls++
}

// suspect remembers that a client waits for what is there, or for a living one that
// gives it back, and fails the test if it goes on doing so.
func (s *stage) suspect(lost map[int]patience, c *history.Client, e *history.Entry) {
	s.t.Helper()
	p := lost[c.ID]
	if p.call != e.Call {
		p = patience{e.Call, time.Now()}
		lost[c.ID] = p
	}
	if time.Since(p.since) > lostAfter {
		s.t.Fatalf("round %d: for %v client %d has waited for what is there: %v of %s\n%s", s.round,
			time.Duration(history.Now()-e.Call), c.ID, e, s.infos[e.Object].Name, s.describe())
	}
}

// lacks reports whether an operation waits for what only we can bring, now that
// everybody waits.
func (s *stage) lacks(e *history.Entry) bool {
	s.t.Helper()
	if e.Object == stream || isPipe(e.Object) {
		r := s.ring(e.Object)
		if sends(e) {
			return r.Consumer == nil && !s.isOver(e.Object, history.EndB)
		}
		return receives(e) && r.Producer == nil && r.UsedBytes == 0 && !s.isOver(e.Object, history.EndA)
	}
	switch e.Op {
	case history.OpAcquire:
		return s.permits(e.Object).Available < e.N
	case history.OpPut, history.OpReserve, history.OpPutMany:
		return s.counts(e.Object).Free == 0
	case history.OpTake, history.OpLease, history.OpTakeMany, history.OpLeaseMany:
		n := s.counts(e.Object)
		return n.Ready == 0 && (e.Object != timed || n.Leased == 0) // or a lease will end
	case history.OpJoin:
		n := s.counts(e.Object)
		return n.Ready+n.Leased != 0
	case history.OpWait:
		return !s.isSet(e.Object)
	case history.OpArrive:
		b := s.barrier()
		return !b.Broken && b.Waiting > 0 && b.Waiting < b.Parties
	case history.OpWaitCondition:
		return !s.notified(e)
	}
	return false // nobody keeps a lock
}

// notified reports whether we or a client have notified all since a wait began: then
// it ends by itself, once it has the mutex again.
func (s *stage) notified(e *history.Entry) bool {
	return notifiedAll(s.relief, e) ||
		slices.ContainsFunc(s.clients, func(c *history.Client) bool { return notifiedAll(c.Begun(), e) })
}

// notifiedAll reports whether somebody notified all who had got the mutex after a wait
// with it began: he finds the waiter asleep, or about to.
func notifiedAll(entries []history.Entry, wait *history.Entry) bool {
	since := int64(0)
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Object != wait.Object:
		case e.Op == history.OpLock && e.OK(), e.Op == history.OpWaitCondition && e.Return != 0:
			since = e.Return
		case e.Op == history.OpNotify && e.N == 0 && e.OK() && since > wait.Call:
			return true
		}
	}
	return false
}

// relieve brings what an operation waits for.
func (s *stage) relieve(e *history.Entry) {
	s.t.Helper()
	s.tally.reliefs++
	if e.Object == stream || isPipe(e.Object) {
		s.relieveRing(e)
		return
	}
	switch e.Op {
	case history.OpAcquire:
		s.do(history.Entry{Op: history.OpPost, Object: e.Object, N: 1})
	case history.OpPut, history.OpReserve, history.OpPutMany:
		if !s.takeOne(e.Object) {
			s.do(history.Entry{Op: history.OpRedeliver, Object: e.Object})
		}
	case history.OpTake, history.OpLease, history.OpTakeMany, history.OpLeaseMany:
		s.serial++
		s.do(history.Entry{Op: history.OpPut, Object: e.Object, N: 8, Argument: hand<<producerShift | s.serial})
	case history.OpJoin:
		s.drain(e.Object)
	case history.OpWait:
		s.do(history.Entry{Op: history.OpSignal, Object: e.Object})
	case history.OpArrive:
		s.do(history.Entry{Op: history.OpArrive, Object: e.Object})
	case history.OpWaitCondition:
		if s.do(history.Entry{Op: history.OpLock, Object: e.Object}).OK() {
			s.do(history.Entry{Op: history.OpNotify, Object: e.Object})
			s.do(history.Entry{Op: history.OpUnlock, Object: e.Object})
		} // else somebody is about to give it back
	}
}

// relieveRing brings what an operation on a stream or pipe waits for.
func (s *stage) relieveRing(e *history.Entry) {
	s.t.Helper()
	switch {
	case isPipe(e.Object) && sends(e):
		s.endPipe(e.Object, history.EndB)
	case isPipe(e.Object):
		s.endPipe(e.Object, history.EndA)
	case sends(e):
		s.drainStream()
	default:
		s.serial++
		if s.do(history.Entry{Op: history.OpClaim, Object: e.Object, N: history.RoleProducer}).OK() {
			s.do(history.Entry{Op: history.OpSend, Object: e.Object, N: 8, Argument: hand<<producerShift | s.serial})
			s.do(history.Entry{Op: history.OpRetire, Object: e.Object, N: history.RoleProducer})
		}
	}
}

// takeOne takes a message, if there is one.
func (s *stage) takeOne(queue uint16) bool {
	s.t.Helper()
	return s.do(history.Entry{Op: history.OpTake, Object: queue}).OK()
}

// drain takes all messages out of a queue.
func (s *stage) drain(queue uint16) {
	s.t.Helper()
	s.do(history.Entry{Op: history.OpRedeliver, Object: queue})
	for s.takeOne(queue) {
	}
	s.tally.drains++
}

// drainStream receives all that is in the stream.
func (s *stage) drainStream() {
	s.t.Helper()
	role := history.Entry{Op: history.OpClaim, Object: stream, N: history.RoleConsumer}
	if !s.do(role).OK() {
		return // somebody has just come
	}
	for s.do(history.Entry{Op: history.OpRecv, Object: stream}).Code() != status.WouldBlock && !s.t.Failed() {
	}
	role.Op = history.OpRetire
	s.do(role)
}

// endPipe claims an end of a pipe and retires it.
func (s *stage) endPipe(object uint16, end uint32) {
	s.t.Helper()
	if s.do(history.Entry{Op: history.OpClaim, Object: object, N: end}).OK() {
		s.do(history.Entry{Op: history.OpRetire, Object: object, N: end})
	}
}

// isOver reports whether it is an end of a pipe that somebody had, and has no more.
func (s *stage) isOver(object uint16, end uint32) bool {
	if !isPipe(object) {
		return false
	}
	had := func(entries []history.Entry) bool {
		return slices.ContainsFunc(entries, func(e history.Entry) bool {
			return e.Object == object && e.Op == history.OpClaim && e.N == end && e.OK()
		})
	}
	return had(s.relief) ||
		slices.ContainsFunc(s.clients, func(c *history.Client) bool { return had(c.Begun()) }) ||
		slices.ContainsFunc(s.current, func(c career) bool { return had(c.entries) })
}

// level makes the permits of the plain semaphore as many as at the start, and the
// event and the barrier as new.
func (s *stage) level() {
	s.t.Helper()
	s.do(history.Entry{Op: history.OpReset, Object: event})
	s.do(history.Entry{Op: history.OpReset, Object: barrier})
	now := s.permits(permits).Available
	for ; now < permitsAll; now++ {
		s.do(history.Entry{Op: history.OpPost, Object: permits, N: 1})
	}
	for ; now > permitsAll; now-- {
		s.do(history.Entry{Op: history.OpAcquire, Object: permits, N: 1})
	}
}

// roleNames are the names of the roles of the stream, and of the ends of the pipe.
var roleNames = map[string]map[uint32]string{
	wire.KindStream: {history.RoleProducer: wire.RoleProducer, history.RoleConsumer: wire.RoleConsumer},
	wire.KindPipe:   {history.EndA: wire.EndA, history.EndB: wire.EndB},
}

// do does something with our own hand, without waiting, and books it.
func (s *stage) do(e history.Entry) *history.Entry {
	s.t.Helper()
	h, ctx := s.handles[e.Object], s.t.Context()
	call := func(method string, result any, params ...any) error {
		return s.ctl.Call(ctx, method, result, append([]any{h}, params...)...)
	}
	e.Call = history.Now()
	var err error
	switch e.Op {
	case history.OpPost:
		err = call(wire.MethodPost, nil, e.N)
	case history.OpAcquire:
		err = call(wire.MethodAcquire, nil, e.N, 0)
	case history.OpPut:
		err = call(wire.MethodPut, nil, e.Message(), 0)
	case history.OpTake:
		var m []byte
		if err = call(wire.MethodTake, &m, 0); err == nil && !e.Receive(m) {
			s.t.Errorf("nobody made the message % x", m)
		}
	case history.OpRedeliver:
		err = call(wire.MethodRedeliver, &e.Result)
	case history.OpSignal:
		err = call(wire.MethodSignal, nil)
	case history.OpReset:
		err = call(wire.MethodReset, nil)
	case history.OpArrive:
		var a wire.Arrival
		err = call(wire.MethodArrive, &a, 0)
		e.Result = int64(a.Index)
	case history.OpClaim:
		err = call(wire.MethodClaim, nil, roleNames[s.infos[e.Object].Kind][e.N])
	case history.OpRetire:
		err = call(wire.MethodRetire, nil, roleNames[s.infos[e.Object].Kind][e.N])
	case history.OpSend:
		err = call(wire.MethodSend, nil, e.Message(), 0)
	case history.OpRecv:
		var m []byte
		if err = call(wire.MethodRecv, &m, 0); err == nil && !e.Receive(m) {
			s.t.Errorf("nobody made the message % x", m)
		}
	case history.OpLock:
		var n *wire.Notice
		if err = call(wire.MethodLock, &n, 0); n != nil {
			e.Result, err = int64(n.Deaths), status.OwnerDied
		}
	case history.OpUnlock:
		err = call(wire.MethodUnlock, nil)
	case history.OpNotify:
		err = call(wire.MethodNotify, nil, e.N)
	}
	e.Return, e.Status = history.Now(), int32(status.Of(err))
	// The waiter's own time may be over just before we arrive: that breaks the barrier.
	expected := errors.Is(err, status.WouldBlock) || e.Op == history.OpArrive && errors.Is(err, status.Broken) ||
		e.Op == history.OpClaim && (errors.Is(err, status.Taken) || errors.Is(err, status.Ended)) ||
		e.Op == history.OpRecv && (errors.Is(err, status.Ended) || errors.Is(err, status.PeerDied))
	if err != nil && !e.OK() && !expected {
		s.t.Errorf("%v of %s: %v", e.Op, s.infos[e.Object].Name, err)
	}
	s.relief = append(s.relief, e)
	return &s.relief[len(s.relief)-1]
}
