package clib

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
)

// Store-prefix replay of the C library, as shm/replay_test.go does it for Go. A C
// program (probe/replay.c) runs each scenario and tells its stores. Checked:
//
//  1. every change of the bytes is in the log: no store avoids the accessor;
//  2. Go, doing the same, leaves the same bytes;
//  3. after each prefix of the stores and the recovery of the dead client: no
//     word names it, its private words are 0, the sequence is even, and dirty if
//     it held the lock, the version has moved, the next owner gets the notice;
//  4. a live client can lock, write, mark consistent, unlock and snapshot.
type scenario struct {
	name       string
	kind       shm.Kind
	flags      shm.Flags
	mutexFlags shm.Flags     // of the foreign lock
	start      func(*images) // what happened before, by others
	before     string        // what the victim did before; words of probe/replay.c
	words      string        // what it does when it dies
}

const (
	victimSeat  = 1
	liveSeat    = 2
	foreignSeat = 3 // of the victim, in the mutex
	foreign     = shm.FlagLockForeign
)

func inconsistent(im *images) { im.lockLine().Word |= 1 << 30 }
func lockWaiters(im *images)  { im.lockLine().Word |= 1 << 31 }
func poisoned(im *images)     { inconsistent(im); im.lockLine().Poisoned = 1 }
func dirty(im *images)        { inconsistent(im); page(im.object).Sequence.Word |= 2 }
func changeWaiters(im *images) {
	page(im.object).Change.Word |= 1
}
func heldByOther(im *images) {
	if _, err := im.lock().TryLock(im.holder(liveSeat)); err != nil {
		panic(err)
	}
}
func destroyed(im *images) {
	if !im.guarding().Remove() {
		panic("not destroyed")
	}
}

var scenarios = []scenario{
	{"lock", shm.KindMutex, 0, 0, nil, "", "lock"},
	{"lock after a death", shm.KindMutex, 0, 0, inconsistent, "", "lock=1"},
	{"unlock", shm.KindMutex, 0, 0, nil, "lock", "unlock"},
	{"unlock with waiters", shm.KindMutex, 0, 0, lockWaiters, "lock", "unlock"},
	{"unlock what is not ours", shm.KindMutex, 0, 0, heldByOther, "", "unlock=-32 lock=-2"},
	{"deadlock", shm.KindMutex, 0, 0, nil, "lock", "lock=-33"},
	{"wait and give up", shm.KindMutex, 0, 0, heldByOther, "", "wait-lock=-3"},
	{"recursive", shm.KindMutex, shm.FlagRecursive, 0, nil, "lock", "lock lock unlock unlock unlock lock"},
	{"recursive after a death", shm.KindMutex, shm.FlagRecursive, 0, inconsistent, "lock=1", "lock=1 mark lock unlock"},
	{"unlock_any", shm.KindMutex, shm.FlagUnlockAny, 0, nil, "", "lock unlock lock mark"},
	{"unlock_any of another's", shm.KindMutex, shm.FlagUnlockAny, 0, heldByOther, "", "unlock unlock=-32"},
	{"mark consistent", shm.KindMutex, 0, 0, inconsistent, "lock=1", "mark mark unlock"},
	{"strict, let go unrepaired", shm.KindMutex, shm.FlagStrict, 0, inconsistent, "lock=1", "unlock lock=-8"},
	{"strict, repaired", shm.KindMutex, shm.FlagStrict, 0, inconsistent, "lock=1", "mark unlock lock unlock"},
	{"strict, poisoned", shm.KindMutex, shm.FlagStrict, 0, poisoned, "", "lock=-8"},
	{"destroyed", shm.KindMutex, 0, 0, destroyed, "", "lock=-6 unlock=-6 mark=-6"},

	{"value", shm.KindValue, 0, 0, nil, "", "store add exchange compare-exchange compare-exchange"},
	{"value, locked", shm.KindValue, 0, 0, dirty, "lock=1", "store mark unlock"},

	{"element store", shm.KindArray, 0, 0, nil, "", "store"},
	{"element add with a waiter", shm.KindArray, 0, 0, changeWaiters, "", "add"},
	{"element exchange", shm.KindArray, 0, 0, nil, "", "exchange"},
	{"element compare-exchange", shm.KindArray, 0, 0, nil, "", "compare-exchange compare-exchange"},
	{"no lock", shm.KindArray, shm.FlagLockNone, 0, nil, "", "write begin=-43 lock=-43 mark=-43"},
	{"write", shm.KindArray, 0, 0, nil, "", "write"},
	{"write under the lock", shm.KindArray, 0, 0, nil, "lock", "write read"},
	{"nested brackets", shm.KindArray, 0, 0, nil, "lock", "begin begin end end unlock"},
	{"unlock in a bracket", shm.KindArray, 0, 0, nil, "lock", "begin unlock=-20 write end end=-20"},
	{"array mark consistent", shm.KindArray, 0, 0, dirty, "lock=1", "mark"},
	{"write without mark", shm.KindArray, 0, 0, dirty, "", "write read=1"},
	{"wait for a change", shm.KindArray, 0, 0, nil, "", "wait-change=-3"},
	{"array destroyed", shm.KindArray, 0, 0, destroyed, "", "store=-6 write=-6 begin=-6 lock=-6"},

	{"foreign write", shm.KindArray, foreign, 0, nil, "", "write"},
	{"foreign brackets", shm.KindArray, foreign, 0, nil, "lock", "begin begin end end unlock lock"},
	{"foreign bracket open", shm.KindArray, foreign, 0, nil, "lock begin", "write unlock=-20"},
	{"foreign recursive", shm.KindArray, foreign, shm.FlagRecursive, nil, "lock", "lock write unlock unlock"},
	{"foreign unlock_any", shm.KindArray, foreign, shm.FlagUnlockAny, nil, "", "lock begin end write unlock"},
	{"foreign mark consistent", shm.KindArray, foreign, 0, dirty, "lock=1", "mark unlock lock=1"},
}

// images are the bytes of an object and of its foreign lock, if it has one.
type images struct {
	object, mutex *shm.Segment
}

func page(s *shm.Segment) *shm.Page { return (*shm.Page)(unsafe.Pointer(unsafe.SliceData(s.Bytes()))) }

// guarding is the segment in which the lock lies.
func (im *images) guarding() *shm.Segment {
	if im.mutex != nil {
		return im.mutex
	}
	return im.object
}

func (im *images) lock() *shm.Lock         { return im.guarding().Lock() }
func (im *images) lockLine() *shm.LockLine { return &page(im.guarding()).Lock }

func (im *images) array() *shm.Array {
	if im.object.Geometry().Flags.Has(shm.FlagLockNone) {
		return im.object.Array(nil)
	}
	return im.object.Array(im.lock())
}

func (im *images) holder(seat uint16) shm.Owner {
	if im.mutex != nil && seat == victimSeat {
		seat = foreignSeat
	}
	return shm.MakeOwner(shm.OwnerWord(seat, 1), 0)
}

func (im *images) access(seat uint16) shm.Access {
	return shm.Access{Self: shm.MakeOwner(shm.OwnerWord(seat, 1), 0), Holder: im.holder(seat)}
}

func clone(s *shm.Segment) *shm.Segment {
	if s == nil {
		return nil
	}
	c := shm.NewHeapSegment(*s.Geometry(), 1)
	copy(c.Bytes(), s.Bytes())
	return c
}

func (im *images) clone() *images { return &images{clone(im.object), clone(im.mutex)} }

func newImages(t *testing.T, sc scenario) *images {
	t.Helper()
	segment := func(kind shm.Kind, flags shm.Flags) *shm.Segment {
		parameters := shm.Geometry{Kind: kind, Flags: flags, SeatsMax: shm.SeatsDefault}
		switch kind {
		case shm.KindValue:
			parameters.Code = ctypes.CodeInt
		case shm.KindArray:
			parameters.Code, parameters.Shape = ctypes.CodeInt, []uint64{8}
		case shm.KindSemaphore:
			parameters.Initial, parameters.Maximum = permitsAtFirst, permitsMaximum
		case shm.KindQueue:
			parameters.Length, parameters.SlotSize, parameters.MessageMax, parameters.DeliveriesMax = 4, 600, 5000, 2
			if strings.HasPrefix(sc.name, timedName) {
				parameters.LeaseNs = leaseNs
			}
		case shm.KindBarrier:
			parameters.Length = parties
		case shm.KindStream:
			parameters.Capacity, parameters.MessageMax = ringCapacity, shm.RingMessageMax(ringCapacity)
		case shm.KindPipe:
			parameters.Capacity = ringCapacity
			if !sc.flags.Has(bytesFlag) {
				parameters.MessageMax = 1 << 20
			}
		}
		g, err := parameters.Complete()
		if err != nil {
			t.Fatal(err)
		}
		return shm.NewHeapSegment(g, 1)
	}
	im := &images{object: segment(sc.kind, sc.flags)}
	if sc.flags.Has(foreign) {
		im.mutex = segment(shm.KindMutex, sc.mutexFlags)
	}
	if sc.start != nil {
		sc.start(im)
	}
	return im
}

// store is one line of the log.
type store struct {
	segment       int
	offset        uint64
	size          int
	before, after uint64
}

func (im *images) segment(i int) *shm.Segment {
	if i == 1 {
		return im.mutex
	}
	return im.object
}

// repeat makes the store; it refuses if the bytes are not what the C program saw.
func (im *images) repeat(s store) error {
	var word [8]byte
	at := im.segment(s.segment).Bytes()[s.offset : s.offset+uint64(s.size)]
	copy(word[:], at)
	if seen := binary.LittleEndian.Uint64(word[:]); seen != s.before {
		return fmt.Errorf("store %+v finds %#x: a store before it was not told", s, seen)
	}
	binary.LittleEndian.PutUint64(word[:], s.after)
	copy(at, word[:])
	return nil
}

// runC runs the scenario in C, from im on; it returns the stores before the
// victim's last words, those of them, and the bytes that were left.
func runC(t *testing.T, probe string, sc scenario, im *images) (before, last []store, left *images) {
	t.Helper()
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "object"), "-"}
	if im.mutex != nil {
		paths[1] = filepath.Join(dir, "mutex")
	}
	for i, path := range paths {
		if path == "-" {
			continue
		}
		if err := os.WriteFile(path, im.segment(i).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	arguments := append(paths, fmt.Sprint(shm.OwnerWord(victimSeat, 1)), fmt.Sprint(shm.OwnerWord(foreignSeat, 1)))
	arguments = append(arguments, strings.Fields(sc.before+" + "+sc.words)...)
	text, err := harness.Command(probe, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(arguments, " "), err, text)
	}
	stores := &before
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range lines[:len(lines)-1] {
		var s store
		if line == "+" {
			stores = &last
		} else if _, err := fmt.Sscan(line, &s.segment, &s.offset, &s.size, &s.before, &s.after); err != nil {
			t.Fatalf("%q: %v", line, err)
		} else {
			*stores = append(*stores, s)
		}
	}
	if lines[len(lines)-1] != "." {
		t.Fatalf("the C program did not finish:\n%s", text)
	}
	left = im.clone()
	for i, path := range paths {
		if path == "-" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(left.segment(i).Bytes(), content)
	}
	return before, last, left
}

// runGo does the same in Go, on im.
func runGo(sc scenario, im *images) error {
	parker := shm.NewParker(shm.ParkerOptions{})
	background, me, ac := context.Background(), im.holder(victimSeat), im.access(victimSeat)
	index, hasData := uint64(3), sc.kind.HasData()
	if sc.kind == shm.KindValue {
		index = 0
	}
	lock := im.lock()
	var array *shm.Array
	if hasData {
		array = im.array()
	}
	for word := range strings.FieldsSeq(sc.before + " " + sc.words) {
		word, want, _ := strings.Cut(word, "=")
		if want == "-43" && !strings.HasPrefix(word, "begin") {
			continue // in Go an object without a lock has none to call
		}
		var err error
		switch word {
		case "lock":
			_, err = lock.TryLock(me)
		case "wait-lock":
			_, err = lock.LockWait(background, parker, me, 1)
		case "unlock":
			if page(im.object).Lock.WriteDepth > 0 && im.mutex != nil {
				err = status.Invalid // the array's bracket; a Lock does not know it
			} else {
				err = lock.Unlock(me)
			}
		case "mark":
			if hasData {
				err = array.MarkConsistent(ac)
			} else {
				err = lock.MarkConsistent(me)
			}
		case "store":
			err = array.Store(index, 7)
		case "add":
			_, err = array.FetchAddChecked(index, 7)
		case "exchange":
			_, err = array.Exchange(index, 7)
		case "compare-exchange":
			_, _, err = array.CompareExchange(index, 0, 7)
		case "begin":
			err = array.BeginWrite(ac)
		case "end":
			err = array.EndWrite(ac)
		case "write":
			items := make([]byte, 0, 20)
			for i := range uint32(5) {
				items = binary.LittleEndian.AppendUint32(items, 11+i)
			}
			_, err = array.Write(background, parker, ac, 1, items, 0)
		case "wait-change":
			_, err = array.WaitChange(background, parker, ac.Self, array.Version(), 1)
		case "read":
			_, _, err = array.Snapshot(background, parker, ac, 0, 8, make([]byte, 32), 1)
		default:
			return fmt.Errorf("no such word: %s", word)
		}
		code := -int(status.Of(err))
		if want == "1" && err == nil {
			code = 1 // Go tells the notice apart
		}
		if want == "" {
			want = "0"
		}
		if fmt.Sprint(code) != want {
			return fmt.Errorf("%s in Go: %v, in C: %s", word, err, want)
		}
	}
	return nil
}

// msgpackFlags are the compiler's for msgpack-c, which has had three names.
func msgpackFlags(t *testing.T) []string {
	t.Helper()
	for _, name := range []string{"msgpack", "msgpack-c", "msgpackc"} {
		if text, err := exec.Command("pkg-config", "--cflags", "--libs", name).Output(); err == nil {
			return strings.Fields(string(text))
		}
	}
	t.Fatal("pkg-config knows no msgpack for C: run scripts/setup.sh build")
	return nil
}

func TestStorePrefixReplay(t *testing.T) {
	replay(t, scenarios, 2, runGo, func(t *testing.T, _ scenario, start, _ *images) checkPrefix {
		return func(prefix string, im *images) {
			if im.lock().Status().Removed {
				if err := im.clone().recover(); err != nil {
					t.Errorf("%s, destroyed: %v", prefix, err)
				}
			} else if err := checkRecovered(start, im.clone()); err != nil {
				t.Errorf("%s: %v", prefix, err)
			}
			if err := checkMutexGone(im.clone()); err != nil {
				t.Errorf("%s: %v", prefix, err)
			}
		}
	})
}

// checkPrefix recovers a clone of what a prefix of the stores leaves, and checks it.
type checkPrefix func(prefix string, im *images)

// replay runs each scenario in C and in Go, wants the same bytes from both, and hands
// what every prefix of the last operation's stores leaves to the scenario's check;
// begin makes it, from what was before the operation and what C left. There must be
// at least so many images for a scenario on average, or the log is broken.
func replay(t *testing.T, list []scenario, least int, inGo func(scenario, *images) error,
	begin func(t *testing.T, sc scenario, start, left *images) checkPrefix) {
	t.Helper()
	probe := program(t, "replay", "-DSHMD_REPLAY")
	recovered := 0
	for _, sc := range list {
		t.Run(sc.name, func(t *testing.T) {
			im := newImages(t, sc)
			before, last, left := runC(t, probe, sc, im.clone())
			twin := im.clone()
			if err := inGo(sc, twin); err != nil {
				t.Error(err)
			}
			compare(t, "C and Go", timeless(left), timeless(twin))
			for _, s := range before {
				if err := im.repeat(s); err != nil {
					t.Fatal(err)
				}
			}
			check := begin(t, sc, im.clone(), left)
			for k := 0; ; k++ {
				check(fmt.Sprintf("prefix %d of %d", k, len(last)), im)
				recovered++
				if k == len(last) {
					break
				}
				if err := im.repeat(last[k]); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, "the log and C's memory", im, left)
		})
	}
	if recovered < least*len(list) {
		t.Errorf("only %d images: the log is broken", recovered)
	}
	t.Logf("%d images recovered", recovered)
}

func compare(t *testing.T, what string, a, b *images) {
	t.Helper()
	for i := range 2 {
		if a.segment(i) == nil {
			continue
		}
		x, y := a.segment(i).Bytes(), b.segment(i).Bytes()
		if !bytes.Equal(x, y) {
			at := 0
			for x[at] == y[at] {
				at++
			}
			t.Errorf("%s differ in segment %d at %#x: %x and %x", what, i, at, x[at&^7:at&^7+8], y[at&^7:at&^7+8])
		}
	}
}
