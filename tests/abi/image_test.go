package abi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
)

// The clocks of the images stand still.
const (
	createdNs = 1_700_000_000_000_000_000
	diedNs    = createdNs + 1_500_000_000
)

func owner(seat uint16) shm.Owner { return shm.MakeOwner(shm.OwnerWord(seat, 5), 9) }

func access(seat uint16) shm.Access { return shm.Access{Self: owner(seat), Holder: owner(seat)} }

// death is what the daemon knows of the dead client of a seat.
func death(seat uint16) shm.Victim {
	return shm.Victim{Owner: owner(seat).Word, PID: 4242, UID: 1000, NowNs: diedNs, Died: true,
		Daemon: shm.OwnerWord(shm.SeatDaemon, 3)}
}

// scene brings a segment into a well-known state.
type scene struct {
	name  string
	kind  shm.Kind
	code  ctypes.Code
	shape []uint64
	flags shm.Flags
	play  func(t *testing.T, s *shm.Segment)
	// geometry of the kinds that have no code and no shape; else nil
	geometry func(sc scene) (shm.Geometry, error)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lock(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		_, err := s.Lock().TryLock(owner(seat))
		check(t, err)
	}
}

func unlock(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) { check(t, s.Lock().Unlock(owner(seat))) }
}

func die(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		if _, done := s.Recover(death(seat)); !done {
			t.Fatal("recovery is not done")
		}
	}
}

func begin(seat uint16) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) { check(t, s.Array(s.Lock()).BeginWrite(access(seat))) }
}

func destroy(t *testing.T, s *shm.Segment) {
	if !s.Remove() {
		t.Fatal("removal is not done")
	}
}

func steps(all ...func(*testing.T, *shm.Segment)) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		for _, step := range all {
			step(t, s)
		}
	}
}

var scenes = []scene{
	{"value-fresh", shm.KindValue, ctypes.CodeInt, nil, 0, steps(), nil},
	{"value-stored", shm.KindValue, ctypes.CodeInt, nil, 0, func(t *testing.T, s *shm.Segment) {
		check(t, s.Array(s.Lock()).Store(0, 0xfffffffe)) // -2
	}, nil},
	{"value-removed", shm.KindValue, ctypes.CodeDouble, nil, 0, destroy, nil},
	{"value-lock-none", shm.KindValue, ctypes.CodeULongLong, nil, shm.FlagLockNone, steps(), nil},
	{"array-fresh", shm.KindArray, ctypes.CodeDouble, []uint64{3, 4}, 0, steps(), nil},
	{"array-odd", shm.KindArray, ctypes.CodeDouble, []uint64{3, 4}, 0, steps(lock(2), begin(2), begin(2)), nil},
	{"array-written", shm.KindArray, ctypes.CodeInt, []uint64{2, 2, 2}, 0, func(t *testing.T, s *shm.Segment) {
		_, err := s.Array(s.Lock()).Write(context.Background(), nil, access(3), 1, make([]byte, 8), 0)
		check(t, err)
	}, nil},
	{"array-dirty", shm.KindArray, ctypes.CodeDouble, []uint64{3, 4}, 0, steps(lock(2), begin(2), die(2)), nil},
	{"array-foreign-odd", shm.KindArray, ctypes.CodeInt, []uint64{8}, shm.FlagLockForeign,
		func(t *testing.T, s *shm.Segment) {
			guard := segment(t, scene{kind: shm.KindMutex}, 2)
			lock(4)(t, guard)
			check(t, s.Array(guard.Lock()).BeginWrite(access(4)))
		}, nil},
	{"mutex-recursive", shm.KindMutex, 0, nil, shm.FlagRecursive, steps(), nil},
	{"mutex-held", shm.KindMutex, 0, nil, shm.FlagRecursive, steps(lock(1), lock(1), lock(1)), nil},
	{"mutex-held-waiters", shm.KindMutex, 0, nil, 0, steps(lock(1), die(2)), nil},
	{"mutex-inconsistent", shm.KindMutex, 0, nil, 0, steps(lock(7), die(7)), nil},
	{"mutex-inconsistent-held", shm.KindMutex, 0, nil, 0, steps(lock(7), die(7), lock(8)), nil},
	{"mutex-not-recoverable", shm.KindMutex, 0, nil, shm.FlagStrict, steps(lock(7), die(7), lock(8), unlock(8)), nil},
	{"mutex-unlock-any", shm.KindMutex, 0, nil, shm.FlagUnlockAny, steps(lock(3)), nil},
	{"mutex-removed", shm.KindMutex, 0, nil, 0, steps(lock(1), destroy), nil},
	{"semaphore-fresh", shm.KindSemaphore, 0, nil, 0, steps(), permits},
	{"semaphore-waiters", shm.KindSemaphore, 0, nil, 0,
		steps(acquire(1, 1), acquire(2, 1), acquire(3, 1), giveUp(4, 1)), permits},
	{"semaphore-removed", shm.KindSemaphore, 0, nil, 0, steps(acquire(1, 1), destroy), permits},
	{"semaphore-undo-held", shm.KindSemaphore, 0, nil, shm.FlagUndo,
		steps(acquire(1, 1), acquire(5, 2), giveUp(6, 1), giveUp(6, 2)), permits},
	{"semaphore-undo-recovered", shm.KindSemaphore, 0, nil, shm.FlagUndo,
		steps(acquire(1, 2), acquire(5, 1), die(1)), permits},
	{"semaphore-undo-removed", shm.KindSemaphore, 0, nil, shm.FlagUndo, steps(acquire(1, 2), destroy), permits},
	{"queue-fresh", shm.KindQueue, 0, nil, 0, steps(), slots},
	{"queue-states", shm.KindQueue, 0, nil, shm.FlagRaw, queueStates, slots},
	{"queue-recovered", shm.KindQueue, 0, nil, shm.FlagRaw, steps(queueStates, die(2)), slots},
	{"queue-waiters", shm.KindQueue, 0, nil, 0, queueWaiters, slots},
	{"queue-shut-down", shm.KindQueue, 0, nil, 0, steps(queueWaiters, shutDown), slots},
	{"queue-sides", shm.KindQueue, 0, nil, shm.FlagRaw, queueSides, longSlots},
	{"queue-timed", shm.KindQueue, 0, nil, shm.FlagRaw, queueTimed, timedSlots},
	{"queue-removed", shm.KindQueue, 0, nil, shm.FlagRaw, steps(queueStates, destroy), slots},
	{"event-fresh", shm.KindEvent, 0, nil, 0, steps(), event(false)},
	{"event-set-at-first", shm.KindEvent, 0, nil, 0, steps(), event(true)},
	{"event-set-again", shm.KindEvent, 0, nil, 0, steps(set, reset, set), event(true)},
	{"event-waiters", shm.KindEvent, 0, nil, 0, steps(pulse, awaitInVain(4), die(4)), event(false)},
	{"event-removed", shm.KindEvent, 0, nil, 0, steps(awaitInVain(4), destroy), event(false)},
	{"event-auto-set", shm.KindEvent, 0, nil, shm.FlagAutoReset, steps(awaitInVain(4), set, set), event(false)},
	{"event-auto-waiters", shm.KindEvent, 0, nil, shm.FlagAutoReset, steps(reset, awaitInVain(4)), event(true)},
	{"event-auto-removed", shm.KindEvent, 0, nil, shm.FlagAutoReset, destroy, event(true)},
	{"condition-fresh", shm.KindCondition, 0, nil, shm.FlagLockForeign, steps(), condition},
	{"condition-waiters", shm.KindCondition, 0, nil, shm.FlagLockForeign, conditionWait(4), condition},
	{"condition-notified", shm.KindCondition, 0, nil, shm.FlagLockForeign,
		steps(conditionWait(4), notify(5), notify(5)), condition},
	{"condition-recovered", shm.KindCondition, 0, nil, shm.FlagLockForeign, steps(conditionWait(4), die(4)), condition},
	{"condition-removed", shm.KindCondition, 0, nil, shm.FlagLockForeign, steps(conditionWait(4), destroy), condition},
	{"barrier-fresh", shm.KindBarrier, 0, nil, 0, steps(declare(3)), three},
	{"barrier-filling", shm.KindBarrier, 0, nil, 0, steps(arrive(1), arrive(2)), three},
	{"barrier-acting", shm.KindBarrier, 0, nil, 0, steps(arrive(1), arrive(2), lead(7)), three},
	{"barrier-filled", shm.KindBarrier, 0, nil, 0, steps(arrive(1), arrive(2), lead(7), complete(7), asleep(0)), three},
	{"barrier-broken", shm.KindBarrier, 0, nil, 0, steps(timeOut(1), declare(4), die(4)), three},
	{"barrier-history", shm.KindBarrier, 0, nil, 0, steps(resetBarrier, arrive(1), arrive(2), lead(7), complete(7),
		asleep(0), declare(4), die(4), resetBarrier), three},
	{"barrier-removed", shm.KindBarrier, 0, nil, 0, steps(declare(3), destroy), three},
	{"rwlock-fresh", shm.KindRWLock, 0, nil, 0, steps(), readers},
	{"rwlock-read", shm.KindRWLock, 0, nil, 0, steps(readLock(1), readLock(1), readLock(6)), readers},
	{"rwlock-written", shm.KindRWLock, 0, nil, 0, steps(writeLock(3)), readers},
	{"rwlock-wanted", shm.KindRWLock, 0, nil, 0, steps(writeLock(3), wantsToRead(4)), readers},
	{"rwlock-draining", shm.KindRWLock, 0, nil, 0, steps(readLock(1), wantsToWrite(3)), readers},
	{"rwlock-inconsistent", shm.KindRWLock, 0, nil, 0, steps(writeLock(3), die(3)), readers},
	{"rwlock-inconsistent-written", shm.KindRWLock, 0, nil, 0, steps(writeLock(3), die(3), writeLock(5)), readers},
	{"rwlock-removed", shm.KindRWLock, 0, nil, 0, steps(readLock(1), destroy), readers},
	{"stream-fresh", shm.KindStream, 0, nil, 0, steps(), stream},
	{"stream-written", shm.KindStream, 0, nil, 0, steps(produce(1, "a", "", "message")), stream},
	{"stream-read", shm.KindStream, 0, nil, 0, steps(produce(1, "a"), consume(2)), stream},
	{"stream-told", shm.KindStream, 0, nil, 0, steps(produce(1, "a"), retire(1), consume(2)), stream},
	{"stream-died", shm.KindStream, 0, nil, 0, steps(produce(1, "a"), consume(2), die(1), die(2)), stream},
	{"stream-succeeded", shm.KindStream, 0, nil, 0, steps(produce(1, "a"), die(1), produce(3, "b")), stream},
	{"stream-removed", shm.KindStream, 0, nil, 0, steps(produce(1, "a"), destroy), stream},
	{"pipe-fresh", shm.KindPipe, 0, nil, 0, steps(), pipe},
	{"pipe-in-use", shm.KindPipe, 0, nil, 0, pipeInUse, pipe},
	{"pipe-died", shm.KindPipe, 0, nil, 0, steps(pipeInUse, die(2)), pipe},
	{"pipe-bytes", shm.KindPipe, 0, nil, shm.FlagBytes, pipeBytes, pipe},
	{"pipe-removed", shm.KindPipe, 0, nil, 0, steps(pipeInUse, destroy), pipe},
}

// permits is the geometry of a semaphore of 3 permits, at most 5.
func permits(sc scene) (shm.Geometry, error) {
	return shm.NewSemaphoreGeometry(3, 5, sc.flags, shm.SeatsDefault)
}

func acquire(seat uint16, n uint32) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		check(t, s.Semaphore().AcquireWait(context.Background(), nil, shm.ClientActor(owner(seat).Word), n, 0))
	}
}

// giveUp waits for permits in vain, and leaves the waiters bit behind.
func giveUp(seat uint16, n uint32) func(*testing.T, *shm.Segment) {
	return func(t *testing.T, s *shm.Segment) {
		err := s.Semaphore().AcquireWait(context.Background(), shm.NewParker(shm.ParkerOptions{}),
			shm.ClientActor(owner(seat).Word), n, 1)
		if err != status.TimedOut {
			t.Fatal(err)
		}
	}
}

// segment makes the scene's segment on the heap, with fixed ids and times.
func segment(t *testing.T, sc scene, id uint64) *shm.Segment {
	t.Helper()
	if sc.geometry == nil {
		sc.geometry = func(sc scene) (shm.Geometry, error) {
			return shm.NewGeometry(sc.kind, sc.code, sc.shape, sc.flags, shm.SeatsDefault)
		}
	}
	g, err := sc.geometry(sc)
	check(t, err)
	g.ID, g.CreatedNs = id, createdNs
	if sc.flags.Has(shm.FlagLockForeign) {
		g.LockID = 2
	}
	return shm.NewHeapSegment(g, 3)
}

// dump writes 32 bytes a line, leaving out lines of zeros.
func dump(page []byte) []byte {
	var out bytes.Buffer
	for at := 0; at < len(page); at += 32 {
		line := page[at : at+32]
		if bytes.Count(line, []byte{0}) == len(line) {
			continue
		}
		fmt.Fprintf(&out, "%03x:", at)
		for i := 0; i < len(line); i += 4 {
			fmt.Fprintf(&out, " %x", line[i:i+4])
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// parse is the inverse of dump.
func parse(t *testing.T, text []byte) []byte {
	t.Helper()
	page := make([]byte, shm.PageSize)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		at, digits, _ := strings.Cut(lines.Text(), ":")
		var offset int
		_, err := fmt.Sscanf(at, "%x", &offset)
		check(t, err)
		line, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		check(t, err)
		if offset+len(line) > len(page) {
			t.Fatalf("a line at %#x lies beyond the page", offset)
		}
		copy(page[offset:], line)
	}
	return page
}

func imageFile(name string) string { return filepath.Join("images", name+".hex") }

// The images are what the code makes, byte by byte.
func TestImagesAreFrozen(t *testing.T) {
	known := map[string]bool{}
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			s := segment(t, sc, 1)
			sc.play(t, s)
			page := s.Bytes()[:shm.PageSize]
			text := dump(page)
			if !bytes.Equal(parse(t, text), page) {
				t.Fatal("the dump loses bytes")
			}
			compareFile(t, imageFile(sc.name), text)
		})
		known[imageFile(sc.name)] = true
	}
	files, err := filepath.Glob("images/*")
	check(t, err)
	for _, f := range files {
		if !known[f] {
			t.Errorf("%s: no scene makes it", f)
		}
	}
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// flatten lists the fields of a struct as "path value", as c/image.c does.
func flatten(prefix string, v reflect.Value) (all []string) {
	for i := range v.NumField() {
		name, f := prefix+snake(v.Type().Field(i).Name), v.Field(i)
		switch {
		case f.Kind() == reflect.Struct:
			all = append(all, flatten(name+".", f)...)
		case f.Kind() == reflect.Array && f.Type().Elem().Kind() == reflect.Uint8: // reserved
			wrong := 0
			for j := range f.Len() {
				if f.Index(j).Uint() != 0 {
					wrong++
				}
			}
			all = append(all, fmt.Sprintf("%s %d", name, wrong))
		case f.Kind() == reflect.Array && f.Type().Elem().Kind() == reflect.Struct:
			for j := range f.Len() {
				all = append(all, flatten(fmt.Sprintf("%s.%d.", name, j), f.Index(j))...)
			}
		case f.Kind() == reflect.Array:
			for j := range f.Len() {
				all = append(all, fmt.Sprintf("%s.%d %d", name, j, f.Index(j).Uint()))
			}
		default:
			all = append(all, fmt.Sprintf("%s %d", name, f.Uint()))
		}
	}
	return all
}

// saidByGo is what package shm says of a segment: its fields, and their meaning.
func saidByGo(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var all []string
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	var page shm.Page
	read(t, s, 0, &page)
	switch s.Geometry().Kind {
	case shm.KindSemaphore:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfSemaphore(t, s)...)
	case shm.KindQueue:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfQueue(t, s)...)
	case shm.KindEvent:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfEvent(t, s)...)
	case shm.KindCondition:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfCondition(t, s)...)
	case shm.KindBarrier:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfBarrier(t, s)...)
	case shm.KindRWLock:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfRWLock(t, s)...)
	case shm.KindStream, shm.KindPipe:
		all = append(flatten("header.", reflect.ValueOf(page.Header)), saidOfRings(t, s)...)
	default:
		all = append(flatten("", reflect.ValueOf(page)), saidOfLock(s, page)...)
	}
	say("waiting", sleepers(s))
	return all
}

// read fills a layout struct from an offset of the segment.
func read(t *testing.T, s *shm.Segment, offset uint64, into any) {
	t.Helper()
	check(t, binary.Read(bytes.NewReader(s.Bytes()[offset:]), binary.LittleEndian, into))
}

func saidOfSemaphore(t *testing.T, s *shm.Segment) []string {
	t.Helper()
	var lines shm.SemaphoreLines
	read(t, s, constants()["KIND_OFFSET"], &lines)
	all := flatten("semaphore.", reflect.ValueOf(lines))
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	m, held := s.Semaphore(), uint64(0)
	for seat := range uint16(shm.SeatsDefault + 1) {
		held += uint64(m.Permits(owner(seat).Word).Held)
	}
	p := m.Permits(0)
	say("available", uint64(p.Available))
	say("held", held)
	say("waiters", bit(p.Waiters))
	say("removed", bit(s.State() == shm.StateRemoved))
	return all
}

func saidOfLock(s *shm.Segment, page shm.Page) (all []string) {
	say := func(name string, value uint64) { all = append(all, fmt.Sprintf("%s %d", name, value)) }
	st := s.Lock().Status()
	say("held", bit(st.Held))
	say("owner", uint64(st.Owner))
	say("seat", uint64(st.Seat))
	say("generation", uint64(st.Owner>>12))
	say("inconsistent", bit(st.Inconsistent))
	say("waiters", bit(st.Waiters))
	say("removed", bit(st.Removed))
	if s.Geometry().Kind.HasData() {
		a := s.Array(s.Lock())
		say("odd", page.Sequence.Word&constants()["SEQUENCE_ODD"])
		say("dirty", bit(a.Dirty()))
		say("version", a.Version())
	}
	return all
}

// A C program that knows the header alone reads of each committed image what Go
// says of the segment.
func TestImagesReadInC(t *testing.T) {
	program := filepath.Join(t.TempDir(), "image")
	compile(t, "-o", program, "c/image.c")
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			text, err := os.ReadFile(imageFile(sc.name))
			check(t, err)
			var stderr bytes.Buffer
			reader := harness.Command(program)
			reader.Stdin, reader.Stderr = bytes.NewReader(parse(t, text)), &stderr
			out, err := reader.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			s := segment(t, sc, 1)
			sc.play(t, s)
			inC, inGo := strings.Split(strings.TrimSpace(string(out)), "\n"), saidByGo(t, s)
			if slices.Equal(inC, inGo) {
				return
			}
			for i := range max(len(inC), len(inGo)) {
				if i >= len(inC) || i >= len(inGo) || inC[i] != inGo[i] {
					t.Fatalf("line %d: C says %q, Go says %q", i, at(inC, i), at(inGo, i))
				}
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}
