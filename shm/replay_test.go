//go:build shmd_replay

package shm

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"unsafe"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
)

// Store-prefix replay. Properties, for every operation of a dying client, every
// prefix of its stores, and every prefix of recovery's own stores after that
// (the daemon dies too):
//
//  1. after recovery no word names the dead client, and its private words are 0;
//  2. the sequence is even; if the client held the lock, it is dirty and
//     advanced, and the next owner gets the notice;
//  3. the version has moved since before the operation;
//  4. a live client can lock, write, snapshot, mark consistent and unlock.

// stores are those of an operation, as closures that repeat them on another image of
// the segment.
type stores []func(*Segment)

// prefixes yields what the first stores, from none to all, make of start.
func (l stores) prefixes(start *Segment) iter.Seq2[int, *Segment] {
	return func(yield func(int, *Segment) bool) {
		for n := range len(l) + 1 {
			image := clone(start)
			for _, repeat := range l[:n] {
				repeat(image)
			}
			if !yield(n, image) {
				return
			}
		}
	}
}

// storesOf is recordStores for an operation that does store.
func storesOf(t *testing.T, s *Segment, op func()) stores {
	t.Helper()
	log := recordStores(s, op)
	if len(log) == 0 {
		t.Fatal("the operation stores nothing: the log is broken")
	}
	return log
}

// recordStores runs op on s and returns its stores.
func recordStores(s *Segment, op func()) (log stores) {
	for _, repeat := range recordStoresIn([]*Segment{s}, op) {
		log = append(log, func(t *Segment) { repeat([]*Segment{t}) })
	}
	return log
}

// recordStoresIn is recordStores for an operation on several segments.
func recordStoresIn(segments []*Segment, op func()) []func([]*Segment) {
	var log []func([]*Segment)
	storeMu.Lock()
	storeLog = func(r storeRecord) {
		for i, s := range segments {
			at := uintptr(r.addr) - uintptr(unsafe.Pointer(unsafe.SliceData(s.mem)))
			if at >= uintptr(len(s.mem)) {
				continue // or a side segment, of which there is one for all images
			}
			log = append(log, func(images []*Segment) {
				for b := range r.size {
					images[i].mem[at+uintptr(b)] = byte(r.new >> (8 * b))
				}
			})
		}
	}
	storeMu.Unlock()
	op()
	storeMu.Lock()
	storeLog = nil
	storeMu.Unlock()
	return log
}

// setBits prepares a word before anything is logged.
func setBits(p *uint32, mask uint32) { *p |= mask }

const (
	victimSeat = 1
	liveSeat   = 2
)

type scenario struct {
	name    string
	kind    Kind
	flags   Flags
	prepare func(*Segment)
	op      func(*Segment)
}

func releaseFree(s *Segment, o Owner, want bool) {
	if s.Lock().ReleaseFree(o) != want {
		panic("ReleaseFree")
	}
}

func scenarios() []scenario {
	a := owner(victimSeat, 0)
	lock := func(s *Segment) { _, err := s.Lock().TryLock(a); must(err) }
	array := func(s *Segment) *Array { return s.Array(s.Lock()) }
	background := context.Background()
	list := []scenario{
		{"lock", KindMutex, 0, nil, lock},
		{"unlock", KindMutex, 0, lock, func(s *Segment) { must(s.Lock().Unlock(a)) }},
		{"release of a free lock", KindMutex, 0, lock, func(s *Segment) { releaseFree(s, a, true) }},
		{"release of a lock that others want", KindMutex, 0,
			func(s *Segment) { lock(s); setBits(&s.page.Lock.Word, ownerWaiters) },
			func(s *Segment) { releaseFree(s, a, false); must(s.Lock().Unlock(a)) }},
		{"unlock with waiters", KindMutex, 0, func(s *Segment) { lock(s); setBits(&s.page.Lock.Word, ownerWaiters) },
			func(s *Segment) { must(s.Lock().Unlock(a)) }},
		{"relock", KindMutex, FlagRecursive, lock, lock},
		{"inner unlock", KindMutex, FlagRecursive, func(s *Segment) { lock(s); lock(s) },
			func(s *Segment) { must(s.Lock().Unlock(a)) }},
		{"mark consistent", KindMutex, 0, func(s *Segment) {
			setBits(&s.page.Lock.Word, ownerInconsistent)
			lock(s)
		}, func(s *Segment) { must(s.Lock().MarkConsistent(a)) }},
		{"wait and give up", KindMutex, 0, func(s *Segment) {
			_, err := s.Lock().TryLock(owner(liveSeat, 0))
			must(err)
		}, func(s *Segment) {
			if _, err := s.Lock().LockWait(background, NewParker(ParkerOptions{}), a, 1); err != status.TimedOut {
				panic(err)
			}
		}},
		{"array write", KindArray, 0, nil, func(s *Segment) {
			_, err := array(s).Write(background, nil, access(victimSeat), 1, make([]byte, 20), 0)
			must(err)
		}},
		{"nested brackets", KindArray, 0, lock, func(s *Segment) {
			x, ac := array(s), access(victimSeat)
			must(x.BeginWrite(ac))
			must(x.BeginWrite(ac))
			must(x.EndWrite(ac))
			must(x.EndWrite(ac))
		}},
		{"array mark consistent", KindArray, 0, func(s *Segment) {
			setBits(&s.page.Lock.Word, ownerInconsistent)
			or64(&s.page.Sequence.Word, sequenceDirty)
			lock(s)
		}, func(s *Segment) { must(array(s).MarkConsistent(access(victimSeat))) }},
		{"element store", KindArray, 0, nil, func(s *Segment) { must(array(s).Store(3, 9)) }},
		{"fetch-add with a waiter", KindArray, 0, func(s *Segment) { or64(&s.page.Change.Word, eventcountWaiters) },
			func(s *Segment) { _, err := array(s).FetchAdd(3, 9); must(err) }},
	}
	return list
}

func TestStorePrefixReplay(t *testing.T) {
	prefixes := 0
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			code, length := ctypes.Code(0), uint64(0)
			if sc.kind == KindArray {
				code, length = ctypes.CodeInt, 8
			}
			start := newSegment(t, sc.kind, code, length, sc.flags)
			if sc.prepare != nil {
				sc.prepare(start)
			}
			live := clone(start)
			stores := storesOf(t, live, func() { sc.op(live) })
			for k, image := range stores.prefixes(start) {
				prefixes += replayRecovery(t, fmt.Sprintf("prefix %d of %d", k, len(stores)), start, image)
			}
		})
	}
	t.Logf("%d images recovered", prefixes)
}

// replayRecovery recovers the image once in full, and once more after each prefix
// of recovery's stores. It returns how many images it recovered.
func replayRecovery(t *testing.T, name string, start, image *Segment) int {
	v := Victim{Owner: owner(victimSeat, 0).Word, PID: 7, UID: 8, NowNs: 9}
	full := clone(image)
	stores := recordStores(full, func() { full.Recover(v) })
	for j, again := range stores.prefixes(image) {
		if _, done := again.Recover(v); !done {
			t.Fatalf("%s, %d: recovery is not done", name, j)
		}
		if err := checkRecovered(start, image, again); err != nil {
			t.Errorf("%s, recovery prefix %d of %d: %v", name, j, len(stores), err)
		}
	}
	return len(stores) + 1
}

func checkRecovered(start, image, s *Segment) error {
	dead := owner(victimSeat, 0).Word
	lock := &s.page.Lock
	if s.HeldBy(dead) {
		return fmt.Errorf("the dead client still holds the lock: %#x", lock.Word)
	}
	if s.page.Sequence.Writer == dead || s.Waiting(victimSeat) != 0 {
		return fmt.Errorf("words still name the dead client")
	}
	held := image.HeldBy(dead)
	if isFree(lock.Word) && (lock.Token != 0 || lock.Depth != 0 || lock.WriteDepth != 0) {
		return fmt.Errorf("private words of the dead are left: token %#x depth %d", lock.Token, lock.Depth)
	}
	if held && (!isInconsistent(lock.Word) || lock.Death.Pid != 7) {
		return fmt.Errorf("no notice: word %#x, pid %d", lock.Word, lock.Death.Pid)
	}
	if s.geometry.Kind.HasData() {
		q := s.page.Sequence.Word
		if q&sequenceOdd != 0 {
			return fmt.Errorf("the sequence is odd")
		}
		if held && (q&sequenceDirty == 0 || q>>2 < start.page.Sequence.Word>>2) {
			return fmt.Errorf("the sequence %#x is not dirty or went back", q)
		}
		if s.page.Change.Word>>1 == start.page.Change.Word>>1 {
			return fmt.Errorf("the version has not moved")
		}
	}
	return useRecovered(s)
}

// useRecovered does what a live client would do next.
func useRecovered(s *Segment) error {
	me := access(liveSeat)
	l := s.Lock()
	if !l.Holds(me.Holder) {
		if _, err := l.TryLock(me.Holder); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	if s.geometry.Kind.HasData() {
		a := s.Array(l)
		if _, err := a.Write(context.Background(), nil, me, 0, make([]byte, 32), 0); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := a.MarkConsistent(me); err != nil {
			return fmt.Errorf("mark consistent: %w", err)
		}
	} else if err := l.MarkConsistent(me.Holder); err != nil {
		return fmt.Errorf("mark consistent: %w", err)
	}
	if err := l.Unlock(me.Holder); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	if s.geometry.Kind.HasData() {
		_, dirty, err := s.Array(l).Snapshot(context.Background(), nil, access(3), 0, 8, make([]byte, 32), 0)
		if err != nil || dirty {
			return fmt.Errorf("snapshot: dirty %v, %w", dirty, err)
		}
	}
	return nil
}
