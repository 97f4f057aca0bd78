package shm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// checkEpoch is of the daemon in these tests; seats 1 and 2 are clients of generation 1.
const checkEpoch = 5

func checkWitness() Witness {
	return Witness{Daemon: OwnerWord(SeatDaemon, checkEpoch), Seat: func(seat uint16) uint32 {
		if seat == 1 || seat == 2 {
			return OwnerWord(seat, 1)
		}
		return 0
	}, Side: func(slot, number uint32) (uint64, bool) { return 4096, number == slot+1 }}
}

func checkVictim() Victim {
	w := checkWitness()
	return Victim{Daemon: w.Daemon, NowNs: 1, Alive: func(owner uint32) bool {
		return w.Seat(SeatOf(owner)) == owner
	}}
}

// checkGeometries is one of each sort of object.
func checkGeometries(t testing.TB) map[string]Geometry {
	t.Helper()
	all := map[string]Geometry{}
	add := func(name string, g Geometry, err error) {
		if err != nil {
			t.Fatal(name, err)
		}
		g.ID = 7
		all[name] = g
	}
	made := func(name string, kind Kind, code ctypes.Code, shape []uint64, flags Flags) {
		g, err := NewGeometry(kind, code, shape, flags, 4)
		add(name, g, err)
	}
	made("value", KindValue, 'q', nil, 0)
	made("value without", KindValue, 'q', nil, FlagLockNone)
	made("array", KindArray, 'i', []uint64{3, 5}, 0)
	made("array of another's lock", KindArray, 'i', []uint64{3, 5}, FlagLockForeign)
	made("mutex", KindMutex, 0, nil, FlagRecursive)
	made("strict mutex", KindMutex, 0, nil, FlagStrict)
	made("unlock_any", KindMutex, 0, nil, FlagUnlockAny)
	g, err := NewSemaphoreGeometry(2, 5, 0, 4)
	add("semaphore", g, err)
	g, err = NewSemaphoreGeometry(2, 5, FlagUndo, 4)
	add("undo", g, err)
	g, err = NewTimedQueueGeometry(LeaseNsMax, 8, 64, 512, 3, FlagRaw, 4)
	add("queue", g, err)
	g, err = NewEventGeometry(true, 0, 4)
	add("event", g, err)
	g, err = NewEventGeometry(false, FlagAutoReset, 4)
	add("auto event", g, err)
	g, err = NewConditionGeometry(4)
	add("condition", g, err)
	g, err = NewBarrierGeometry(3, 4)
	add("barrier", g, err)
	g, err = NewRWLockGeometry(4)
	add("rwlock", g, err)
	g, err = NewStreamGeometry(4096, 100, 4)
	add("stream", g, err)
	g, err = NewPipeGeometry(4096, 10000, 0, 4)
	add("pipe", g, err)
	g, err = NewPipeGeometry(4096, 0, FlagBytes, 4)
	add("pipe of bytes", g, err)
	return all
}

// checked checks to the end.
func checked(s *Segment) ([]Finding, string) {
	c := s.Check(checkWitness())
	for !c.Look() {
	}
	return c.Findings()
}

func checkSeed(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if text := os.Getenv("SHMD_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SHMD_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A new object is in order, and so is one after each of a few operations.
func TestCheckClean(t *testing.T) {
	for name, g := range checkGeometries(t) {
		s := NewHeapSegment(g, checkEpoch)
		if found, unjudged := checked(s); len(found) != 0 || unjudged != "" {
			t.Errorf("%s: %+v, %s", name, found, unjudged)
		}
	}
}

// Each rule finds the word that breaks it, and repair makes it right.
func TestCheckFinds(t *testing.T) {
	stranger := OwnerWord(3, 9)
	for _, test := range []struct {
		object, word string
		spoil        func(s *Segment)
	}{
		{"mutex", "lock.word", func(s *Segment) { s.page.Lock.Word = stranger }},
		{"mutex", "lock.word", func(s *Segment) { s.page.Lock.Word = ownerRemoved }},
		{"mutex", "lock.word", func(s *Segment) { s.page.Lock.Word = OwnerWord(SeatDaemon, checkEpoch-1) }},
		{"mutex", "lock.poisoned", func(s *Segment) { s.page.Lock.Poisoned = 1 }},
		{"mutex", "lock.token", func(s *Segment) { s.page.Lock.Depth = 3 }},
		{"mutex", "state", func(s *Segment) { s.page.Header.State = 9 }},
		{"mutex", "header.Kind", func(s *Segment) { s.page.Header.Kind = 4 }},
		{"mutex", "daemon_epoch", func(s *Segment) { s.page.Header.DaemonEpoch = 9 }},
		{"value without", "lock.word", func(s *Segment) { s.page.Lock.Word = OwnerWord(1, 1) }},
		{"array", "sequence.word", func(s *Segment) { s.page.Sequence.Word = 5 }},
		{"array of another's lock", "sequence.writer", func(s *Segment) { s.page.Sequence.Writer = stranger }},
		{"array of another's lock", "lock.write_depth", func(s *Segment) { s.page.Lock.WriteDepth = 1 }},
		{"semaphore", "semaphore", func(s *Segment) { s.Semaphore().lines.Word = 6 * semaphoreStep }},
		{"semaphore", "semaphore", func(s *Segment) { s.Semaphore().lines.Word = semaphoreRemoved }},
		{"undo", "latch", func(s *Segment) { s.Semaphore().lines.Latch = stranger }},
		{"undo", "held of seat 3", func(s *Segment) { s.Semaphore().undo.held[3].Permits = 1 }},
		{"undo", "total", func(s *Segment) { s.Semaphore().lines.Total = 6 }},
		{"undo", "total", func(s *Segment) { s.Semaphore().undo.held[1].Permits = 4 }},
		{"undo", "available", func(s *Segment) { s.Semaphore().lines.Available = 1 }},
		{"event", "event", func(s *Segment) { *s.Event().word = eventSet | eventWaiters }},
		{"auto event", "event", func(s *Segment) { *s.Event().word = 2 * semaphoreStep }},
		{"barrier", "barrier", func(s *Segment) { s.Barrier().lines.Word = 3 }},
		{"barrier", "barrier", func(s *Segment) { s.Barrier().lines.Word = 3 << barrierFieldShift }},
		{"barrier", "barrier", func(s *Segment) { s.Barrier().lines.Word = 3<<barrierFieldShift | barrierAction }},
		{"barrier", "barrier", func(s *Segment) { s.Barrier().lines.Word = barrierBroken }},
		{"barrier", "party of seat 4", func(s *Segment) { s.Barrier().cells[4].Word = 1 }},
		{"rwlock", "rwlock", func(s *Segment) { *s.RWLock().word = rwlockHeld }},
		{"rwlock", "rwlock", func(s *Segment) { *s.RWLock().word = rwlockHeld | stranger }},
		{"rwlock", "rwlock", func(s *Segment) { *s.RWLock().word = rwlockRemoved }},
		{"rwlock", "reader of seat 3", func(s *Segment) { s.RWLock().cells[3].Word = 1 }},
		{"rwlock", "reader of seat 1", func(s *Segment) { s.RWLock().cells[1].Word = readerRemoved }},
		{"stream", "tail.owner", func(s *Segment) { s.ring(0).tail.Owner = stranger }},
		{"stream", "head.owner", func(s *Segment) { s.ring(0).head.Owner = stranger }},
		{"stream", "head.word", func(s *Segment) { s.ring(0).head.Word = 8 << 3 }},
		{"stream", "record at byte 0", func(s *Segment) { s.ring(0).tail.Word = 64 << 3 }},
		{"pipe", "ring 1: head.owner", func(s *Segment) { s.ring(1).head.Owner = stranger }},
		{"pipe of bytes", "ring 1: head.word", func(s *Segment) { s.ring(1).tail.Word = 5000 << 3 }},
		{"queue", "put_latch", func(s *Segment) { s.Queue().lines.PutLatch = stranger }},
		{"queue", "take_latch", func(s *Segment) { s.Queue().lines.TakeLatch = stranger }},
		{"queue", "next_seq", func(s *Segment) { s.Queue().lines.NextSeq = 2 }},
		{"queue", "next_seq", func(s *Segment) { s.Queue().lines.NextSeq = 0 }},
		{"queue", "ready_tail", func(s *Segment) { s.Queue().lines.ReadyTail++ }},
		{"queue", "ready_tail", func(s *Segment) { s.Queue().lines.ReadyTail = 99 }},
		{"queue", "ready_head", func(s *Segment) { s.Queue().lines.ReadyHead = 8 }},
		{"queue", "free_head", func(s *Segment) { s.Queue().lines.FreeHead = 99 }},
		{"queue", "fresh", func(s *Segment) { s.Queue().lines.Fresh = 9 }},
		{"queue", "ready entry 1", func(s *Segment) { s.Queue().lines.Fresh = 1 }},
		{"queue", "ready entry 2", func(s *Segment) { s.Queue().ready[2] = 1 }},
		{"queue", "ready entry 2", func(s *Segment) { s.Queue().ready[2] = 2<<32 | 2 }},
		{"queue", "ready entry 2", func(s *Segment) { s.Queue().ready[2] = 2<<32 | 99 }},
		{"queue", "ready entry 2", func(s *Segment) { s.Queue().descs[2].Seq = 1 }},
		{"queue", "leased_count", func(s *Segment) { s.Queue().lines.LeasedCount = 1 }},
		{"queue", "dead_count", func(s *Segment) { s.Queue().lines.DeadCount = 1 }},
		{"queue", "writing_count", func(s *Segment) { s.Queue().lines.WritingCount = 1 }},
		{"queue", "closed", func(s *Segment) { s.Queue().lines.Closed = 2 }},
		{"queue", "slot 1", func(s *Segment) { s.Queue().descs[1].State = 15 << slotStateShift }},
		{"queue", "slot 1", func(s *Segment) { s.Queue().descs[1].Length = 65 }},
		{"queue", "slot 1", func(s *Segment) { s.Queue().descs[1].State = uint64(makeSlot(slotLeased, stranger, 1)) }},
		{"queue", "slot 1", func(s *Segment) { s.Queue().descs[1].Length, s.Queue().descs[1].Side = 100, 3 }},
	} {
		g := checkGeometries(t)[test.object]
		s := NewHeapSegment(g, checkEpoch)
		if g.Kind == KindQueue {
			for range 3 {
				err := s.Queue().Put(context.Background(), NewParker(ParkerOptions{}), ClientActor(OwnerWord(1, 1)),
					[]byte("x"), 0)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if found, unjudged := checked(s); len(found) != 0 || unjudged != "" {
			t.Fatalf("%s before: %+v, %s", test.object, found, unjudged)
		}
		test.spoil(s)
		found, unjudged := checked(s)
		if unjudged != "" || !slices.ContainsFunc(found, func(f Finding) bool { return f.Word == test.word }) {
			t.Errorf("%s: want %s: %+v, %s", test.object, test.word, found, unjudged)
		}
		for _, f := range found {
			if f.Says == "" || f.Remedy == "" || strings.Contains(f.Says, "%!") {
				t.Errorf("%s: %+v", test.object, f)
			}
		}
		if _, done := s.Repair(checkWitness(), checkVictim()); !done {
			t.Errorf("%s, %s: not done", test.object, test.word)
		}
		if left, unjudged := checked(s); len(left) != 0 || unjudged != "" {
			t.Errorf("%s, %s: after repair: %+v, %s", test.object, test.word, left, unjudged)
		}
	}
}

// Whatever the bytes are, they are judged, and after a repair they are in order.
func TestRepairOfAnything(t *testing.T) {
	random := checkSeed(t)
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for name, g := range checkGeometries(t) {
		for round := range rounds {
			s := NewHeapSegment(g, checkEpoch)
			spoil(s, random)
			checked(s)
			repaired(t, fmt.Sprintf("%s, round %d", name, round), s)
		}
	}
}

// spoil writes words of any value over a segment.
func spoil(s *Segment, random *rand.Rand) {
	for range 1 + random.IntN(60) {
		at := 8 * random.IntN(min(len(s.mem), 0x1000)/8)
		value := random.Uint64()
		switch random.IntN(4) {
		case 0:
			value = 1 << random.IntN(64)
		case 1:
			value = uint64(OwnerWord(uint16(random.IntN(5)), uint32(random.IntN(2)+1)))
		case 2:
			value = random.Uint64N(100)
		}
		for i := range 8 {
			s.mem[at+i] = byte(value >> (8 * i))
		}
	}
}

// repaired repairs a segment, after which a check finds it in order. What a living client
// has is a reason to come again later.
func repaired(t *testing.T, what string, s *Segment) {
	t.Helper()
	notes, done := s.Repair(checkWitness(), checkVictim())
	if !done {
		if s.LatchHolder() == 0 {
			t.Fatalf("%s: not done, and nobody is at it: %q", what, notes)
		}
		return
	}
	if left, unjudged := checked(s); len(left) != 0 || unjudged != "" {
		t.Fatalf("%s: after repair: %+v, %s; %q", what, left, unjudged, notes)
	}
}

// While honest clients work, a check finds nothing.
func TestCheckWhileOthersWork(t *testing.T) {
	looks := 400
	if testing.Short() {
		looks = 50
	}
	ctx, p := context.Background(), NewParker(ParkerOptions{})
	work := map[string]func(s *Segment, owner uint32, round int) error{
		"mutex": func(s *Segment, owner uint32, _ int) error {
			l := s.Lock()
			o := MakeOwner(owner, 1)
			if _, err := l.LockWait(ctx, p, o, -1); err != nil {
				return err
			}
			return orElse(l.Unlock(o), nil)
		},
		"array": func(s *Segment, owner uint32, _ int) error {
			o := MakeOwner(owner, 1)
			_, err := s.Array(s.Lock()).Write(ctx, p, Access{Self: o, Holder: o}, 0, make([]byte, 16), -1)
			return err
		},
		"undo": func(s *Segment, owner uint32, _ int) error {
			m, a := s.Semaphore(), ClientActor(owner)
			if err := m.AcquireWait(ctx, p, a, 1, -1); err != nil {
				return err
			}
			return m.Release(ctx, p, a, 1, -1)
		},
		"rwlock": func(s *Segment, owner uint32, round int) error {
			l, o := s.RWLock(), MakeRWOwner(owner, 1)
			if round%2 == 0 {
				if _, err := l.WriteLock(ctx, p, o, -1); err != nil {
					return err
				}
				return l.WriteUnlock(o)
			}
			if _, err := l.ReadLock(ctx, p, o, -1); err != nil {
				return err
			}
			return l.ReadUnlock(o)
		},
		"queue": func(s *Segment, owner uint32, round int) error {
			q, a := s.Queue(), ClientActor(owner)
			if round%3 != 0 {
				err := q.Put(ctx, p, a, []byte("message"), 0)
				if status.Of(err) == status.WouldBlock {
					err = nil
				}
				return err
			}
			lease, err := q.Lease(ctx, p, a, 0)
			switch {
			case status.Of(err) == status.WouldBlock:
				return nil
			case err != nil:
				return err
			case round%2 == 0:
				return q.Nack(ctx, p, a, lease, -1)
			}
			return q.Ack(ctx, p, a, lease, -1)
		},
	}
	for name, f := range work {
		t.Run(name, func(t *testing.T) {
			s := NewHeapSegment(checkGeometries(t)[name], checkEpoch)
			stop := make(chan struct{})
			var workers sync.WaitGroup
			for seat := range uint16(2) {
				workers.Go(func() {
					for round := 0; ; round++ {
						select {
						case <-stop:
							return
						default:
						}
						if err := f(s, OwnerWord(seat+1, 1), round); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			judged, until := 0, time.Now().Add(time.Minute)
			for n := 0; n < looks && time.Now().Before(until); n++ {
				found, unjudged := checked(s)
				if len(found) != 0 {
					t.Errorf("%+v, %s", found, unjudged)
					break
				}
				if unjudged == "" {
					judged++
				}
			}
			close(stop)
			workers.Wait()
			if judged == 0 {
				t.Error("no check judged all")
			}
		})
	}
}
