package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// sideFiles are the side segments that the daemon has open.
func (s *scene) sideFiles() (n int) {
	s.t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.PID())
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil && strings.Contains(target, "shmd-side") {
			n++
		}
	}
	return n
}

// TestScribbledSides lets words lie about side segments: a number that is another slot's,
// or nobody's, and a length beyond what is there. It costs messages their contents, or an
// error; nothing is overrun, all goes on, and no side segment is lost.
func TestScribbledSides(t *testing.T) {
	one, two := strings.Repeat("1", 60), strings.Repeat("2", 60)
	for _, f := range flavours {
		t.Run(string(f), func(t *testing.T) {
			s := newScene(t)
			t.Setenv("SHMD_SOCKET", s.Socket)
			s.create("jobs", wire.KindQueue, wire.CreateOptions{Content: new(wire.ContentRaw),
				MaxSize: new(uint32(2)), SlotSize: new(uint32(8)), MessageMax: new(uint32(10_000))})
			scribbler, err := openRaw("jobs")
			if err != nil {
				t.Fatal(err)
			}
			words := scribbler.descs
			w := s.messenger(f)
			w.do("open queue jobs", "ok")
			both := func(first, second string) {
				t.Helper()
				w.do("put jobs "+one, "ok")
				w.do("put jobs "+two, "ok")
				w.do("lease jobs", "leased "+first+" 1")
				w.do("lease jobs", "leased "+second+" 1")
				w.do("ack jobs", "ok")
				w.do("ack jobs", "ok")
			}
			both(one, two)
			numbers := []uint32{atomic.LoadUint32(&words[0].Side), atomic.LoadUint32(&words[1].Side)}
			if numbers[0] == 0 || numbers[1] == 0 || numbers[0] == numbers[1] {
				t.Fatalf("the slots have the side segments %d", numbers)
			}

			// Both slots name one: what was written there last is in both messages. The daemon,
			// who writes for the socket, knows better.
			lost := map[bool]string{false: two, true: one}[f == flavourSocket]
			atomic.StoreUint32(&words[0].Side, numbers[1])
			both(lost, two)
			atomic.StoreUint32(&words[0].Side, numbers[0])
			both(one, two)

			// What names none that there is: who writes asks for another, who reads is told.
			atomic.StoreUint32(&words[0].Side, 99)
			both(one, two)
			w.do("put jobs "+one, "ok")
			slot := 0
			for i := range words {
				if atomic.LoadUint64(&words[i].Seq) > atomic.LoadUint64(&words[slot].Seq) {
					slot = i
				}
			}
			spoil := func(word *uint32, value uint32) {
				t.Helper()
				was := atomic.SwapUint32(word, value)
				w.do("lease jobs", "error CORRUPT")
				atomic.StoreUint32(word, was)
			}
			spoil(&words[slot].Side, 99)
			spoil(&words[slot].Length, 9000)   // more than the side segment has
			spoil(&words[slot].Length, 10_001) // more than any message
			if c := s.counts("jobs"); c.Ready != 1 || c.Leased+c.Writing+c.Dead != 0 {
				t.Errorf("%+v; one is ready", c)
			}
			w.do("lease jobs", "leased "+one+" 3")
			w.do("ack jobs", "ok")
			both(one, two)
			if n := s.sideFiles(); n != 2 {
				t.Errorf("%d side segments for two slots", n)
			}
			s.call(wire.MethodDestroy, nil, "jobs")
			if err := errors.Join(unix.Munmap(scribbler.bytes), scribbler.conn.Close()); err != nil {
				t.Error(err)
			}
			w.Kill()
			s.awaitGone(1)
			harness.Await(t, "the last side segment to go", func() bool { return s.sideFiles() == 0 })
		})
	}
}
