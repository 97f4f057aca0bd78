package soak

import (
	"fmt"
	"time"

	"github.com/shmd/shmd/wire"
)

// The objects, by their number in every client.
const (
	mutex uint16 = iota
	recursive
	data    // an array with a lock of its own
	foreign // an array under the mutex
	sums    // an array of atomic elements
	sum     // a value
	permits
	undoPermits
	jobs    // a queue
	letters // a queue with dead letters
	timed   // a queue whose leases end by time
	event
	autoEvent
	guard // the mutex of the condition
	condition
	barrier
	rwlock
	stream
	pipe // another in each round, for an end is claimed once
	flow // likewise, of bytes
	objects
)

const (
	elements    = 8 // of each array
	permitsAll  = 3
	undoAll     = 4
	undoMost    = 2 // acquired at once
	queueSize   = 12
	slotSize    = 64
	messageMax  = 700
	deliveryMax = 3
	parties     = 2
	ringSize    = 4096
	ringMax     = 1000 // bytes of a message
	leaseTime   = 5 * time.Millisecond
)

// createObjects creates them, and opens each for us.
func (s *stage) createObjects() {
	s.t.Helper()
	array := wire.CreateOptions{Code: new("q"), Length: new(uint64(elements))}
	under, atoms := array, array
	under.Lock, atoms.Lock = "@mutex", wire.LockNone
	queue := wire.CreateOptions{Content: new(wire.ContentRaw), MaxSize: new(uint32(queueSize)),
		SlotSize: new(uint32(slotSize)), MessageMax: new(uint32(messageMax))}
	mortal := queue
	mortal.DeliveriesMax = new(uint32(deliveryMax))
	hasty := queue
	hasty.LeaseNS = new(uint64(leaseTime))
	for i, o := range [objects]struct {
		name, kind string
		options    wire.CreateOptions
	}{
		mutex:       {"mutex", wire.KindMutex, wire.CreateOptions{}},
		recursive:   {"recursive", wire.KindMutex, wire.CreateOptions{Recursive: new(true)}},
		data:        {"data", wire.KindArray, array},
		foreign:     {"foreign", wire.KindArray, under},
		sums:        {"sums", wire.KindArray, atoms},
		sum:         {"sum", wire.KindValue, wire.CreateOptions{Code: new("q"), Lock: wire.LockNone}},
		permits:     {"permits", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(permitsAll))}},
		undoPermits: {"undo", wire.KindSemaphore, wire.CreateOptions{Initial: new(uint32(undoAll)), Undo: new(true)}},
		jobs:        {"jobs", wire.KindQueue, queue},
		letters:     {"letters", wire.KindQueue, mortal},
		timed:       {"timed", wire.KindQueue, hasty},
		event:       {"event", wire.KindEvent, wire.CreateOptions{}},
		autoEvent:   {"auto", wire.KindEvent, wire.CreateOptions{AutoReset: new(true)}},
		guard:       {"guard", wire.KindMutex, wire.CreateOptions{}},
		condition:   {"condition", wire.KindCondition, wire.CreateOptions{Lock: "@guard"}},
		barrier:     {"barrier", wire.KindBarrier, wire.CreateOptions{Parties: new(uint32(parties))}},
		rwlock:      {"rwlock", wire.KindRWLock, wire.CreateOptions{}},
		stream:      {"stream", wire.KindStream, wire.CreateOptions{Capacity: new(uint32(ringSize))}},
		pipe:        {"pipe", wire.KindPipe, pipeOptions(pipe)},
		flow:        {"flow", wire.KindPipe, pipeOptions(flow)},
	} {
		var a wire.Attachment
		s.call(wire.MethodCreate, &a, o.name, o.kind, o.options)
		s.infos, s.handles = append(s.infos, a.Info), append(s.handles, a.Handle)
		if i != len(s.infos)-1 {
			s.t.Fatal("objects are numbered in order")
		}
	}
}

func (s *stage) permits(object uint16) (p wire.Permits) {
	s.t.Helper()
	s.call(wire.MethodPermits, &p, s.handles[object])
	return p
}

func (s *stage) counts(object uint16) (n wire.Counts) {
	s.t.Helper()
	s.call(wire.MethodCounts, &n, s.handles[object])
	return n
}

func (s *stage) isSet(object uint16) (set bool) {
	s.t.Helper()
	s.call(wire.MethodIsSet, &set, s.handles[object])
	return set
}

func pipeOptions(object uint16) wire.CreateOptions {
	return wire.CreateOptions{Capacity: new(uint32(ringSize)), Bytes: new(object == flow)}
}

// newPipe puts a new pipe in the place of the last one.
func (s *stage) newPipe(object uint16) {
	s.t.Helper()
	old := s.handles[object]
	var a wire.Attachment
	name := s.infos[object].Name
	s.call(wire.MethodCreate, &a, fmt.Sprintf("pipe%d.%d", s.round, object), wire.KindPipe, pipeOptions(object))
	s.infos[object], s.handles[object] = a.Info, a.Handle
	for _, c := range s.clients {
		c.Renew(object, a.Info)
	}
	s.call(wire.MethodClose, nil, old)
	s.call(wire.MethodDestroy, nil, name)
}

// ring looks at the stream, or at the way from end a of a pipe to b.
func (s *stage) ring(object uint16) wire.Ring {
	s.t.Helper()
	var st wire.Stat
	s.call(wire.MethodStat, &st, s.infos[object].Name)
	return st.Rings[0]
}

func (s *stage) barrier() (b wire.Barrier) {
	s.t.Helper()
	s.call(wire.MethodBarrier, &b, s.handles[barrier])
	return b
}

func (s *stage) element(object uint16, i int) (v int64) {
	s.t.Helper()
	s.call(wire.MethodGet, &v, s.handles[object], i)
	return v
}

// look describes a semaphore or a queue.
func (s *stage) look(o wire.Info) string {
	for i, info := range s.infos {
		if info.ID == o.ID && o.Kind == wire.KindSemaphore {
			return fmt.Sprintf("%+v", s.permits(uint16(i)))
		} else if info.ID == o.ID {
			return fmt.Sprintf("%+v", s.counts(uint16(i)))
		}
	}
	return ""
}
