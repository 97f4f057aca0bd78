package crash

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/tests/harness"
)

// Places in the middle of taking and releasing a lock where a client cannot be
// stopped from outside: the client does that part by hand, and says so.
const (
	// stepTaken: the word is its own, the token is not written yet. The middle of
	// unlocking, with the token gone and the word still its own, looks the same.
	stepTaken = "taken"
	// stepReleased: the word is free, who sleeps is not woken yet.
	stepReleased = "released"
	// stepWoken: it slept, an unlock woke it and nobody else, the lock is not
	// taken yet.
	stepWoken = "woken"
)

const (
	wordOwnerMask = 1<<30 - 1
	wordWaiters   = 1 << 31
)

// halfway goes to a step and says "STEP", for the last one after "asleep TID
// ADDRESS".
func halfway(t thing, step string) string {
	m, ok := t.(*mapped)
	if !ok || m.array == nil {
		return "only mapped arrays go halfway"
	}
	front := unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.view)), -int(shm.PageSize))
	page := (*shm.Page)(front)
	if page.Header.Magic != shm.Magic {
		return "the page is not before the data"
	}
	word := &page.Lock.Word
	switch step {
	case stepTaken:
		if _, err := m.lock(-1); err != nil {
			return outcome(err)
		}
		atomic.StoreUint64(&page.Lock.Token, 0)
	case stepReleased: // it holds the lock
		atomic.StoreUint64(&page.Lock.Token, 0)
		atomic.StoreUint32(word, 0)
	case stepWoken: // another client holds the lock
		runtime.LockOSThread()
		atomic.OrUint32(word, wordWaiters)
		fmt.Printf("asleep %d %#x\n", unix.Gettid(), uintptr(unsafe.Pointer(word)))
		for {
			old := atomic.LoadUint32(word)
			if old&wordOwnerMask == 0 {
				return "the lock became free too early"
			}
			const futexWait = 0
			_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(old),
				0, 0, 0)
			if errno == 0 {
				break
			}
		}
	}
	return step
}

// awaitFutex waits until the thread that a line "asleep TID ADDRESS" names
// sleeps in the kernel on that address.
func awaitFutex(t *testing.T, pid int, line string) {
	t.Helper()
	var tid int
	var address string
	if _, err := fmt.Sscanf(line, "asleep %d %s", &tid, &address); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	path := fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid)
	want := fmt.Sprintf("%d %s ", unix.SYS_FUTEX, address)
	harness.Await(t, "the client sleeps", func() bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(string(text), want)
	})
}

// TestKilledHalfway kills a client in the middle of taking and releasing a lock,
// while clients of each flavour sleep for it: no wake-up may be lost with it.
func TestKilledHalfway(t *testing.T) {
	sub := subjects[1]
	forDaemons(t, func(t *testing.T, flags []string) {
		t.Run(stepTaken, func(t *testing.T) {
			s := newScene(t, flags...)
			victim := s.start(flavourGo, nil)
			victim.do("open array data", "ok")
			victim.do("halfway data "+stepTaken, stepTaken)
			s.inherit(sub, victim, "values 0 0", victim.Kill)
		})
		t.Run(stepReleased, func(t *testing.T) {
			s := newScene(t, flags...)
			victim := s.start(flavourGo, nil)
			victim.do("open array data", "ok")
			victim.do("lock data", "held")
			waiters := s.startWaiters(sub, 0)
			victim.do("halfway data "+stepReleased, stepReleased)
			victim.Kill()
			s.takeTurns(sub, waiters)
		})
		t.Run(stepWoken, func(t *testing.T) {
			s := newScene(t, flags...)
			holder, victim := s.start(flavourGo, nil), s.start(flavourGo, nil)
			holder.do("open array data", "ok")
			holder.do("lock data", "held")
			victim.do("open array data", "ok")
			awaitFutex(t, victim.PID(), victim.Ask("halfway data "+stepWoken))
			waiters := s.startWaiters(sub, 0)
			holder.do("unlock data", "ok")
			victim.Expect(stepWoken)
			victim.Kill()
			s.takeTurns(sub, waiters)
		})
	})
}

// takeTurns wants each of the sleeping clients to get the lock, without a notice.
func (s *scene) takeTurns(sub subject, waiters []*client) {
	s.t.Helper()
	for range waiters {
		heir := s.awaitHolder(sub, waiters)
		heir.Expect("held")
		heir.do("unlock "+sub.object, "ok")
	}
}
