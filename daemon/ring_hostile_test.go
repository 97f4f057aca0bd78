package daemon

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// scribbler writes into the segment of an object, as a client with a mapping can.
type scribbler struct {
	t      *testing.T
	o      *object
	random *rand.Rand
}

func newScribbler(t *testing.T, s *Server, name string) *scribbler {
	t.Helper()
	o, err := s.registry.pin(ref{name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.registry.unpin(o) })
	return &scribbler{t, o, rand.New(rand.NewPCG(seedOf(t), 0))}
}

func (s *scribbler) write(offset int64, value any) {
	s.t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, value)
	if err == nil {
		_, err = s.o.file.WriteAt(b, offset)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// ringLines is where the words of the rings lie: the kind's part of page 0.
const ringLines = 0x100

// word is a value that is likely to do harm.
func (s *scribbler) word() uint64 {
	switch s.random.IntN(5) {
	case 0:
		return s.random.Uint64()
	case 1:
		return 1<<s.random.IntN(64) - 1
	case 2:
		return -s.random.Uint64N(1 << 16)
	case 3:
		return s.random.Uint64N(1 << 16)
	}
	return s.random.Uint64N(1<<16) &^ 63
}

// scribble changes a word of a ring or a header of a record, but no owner.
func (s *scribbler) scribble() {
	if s.random.IntN(2) == 0 { // the records: a length and a type
		offset := int64(s.random.Uint64N(s.o.geometry.DataSize)) &^ 7
		s.write(int64(s.o.geometry.DataOffset)+offset, s.random.Uint64N(6)<<32|s.word()&0xffffffff)
		return
	}
	var page shm.RingLine
	line := int64(s.random.IntN(4)) * int64(binary.Size(page))
	s.write(ringLines+line, s.word())
	s.write(ringLines+line+12, uint32(s.word())) // attention
}

// Whatever words say, calls answer, the daemon keeps no more than it charges for, and
// others are served.
func TestScribbledRings(t *testing.T) {
	for _, kind := range []string{wire.KindStream, wire.KindPipe, "bytes"} {
		t.Run(kind, func(t *testing.T) {
			s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
			a, b := greeted(t, s, 1), greeted(t, s, 2)
			options, roles := ringOptions(nil), []string{wire.EndA, wire.EndB}
			if kind == "bytes" {
				options["bytes"] = true
			}
			made := kind
			if kind == wire.KindStream {
				roles = []string{wire.RoleProducer, wire.RoleConsumer}
			} else {
				made = wire.KindPipe
			}
			h, g := a.open("r", made, options), b.open("r", made, options)
			a.claims(h, roles[0])
			b.claims(g, roles[1])
			scribbler := newScribbler(t, s, "r")
			message := bytes.Repeat([]byte("x"), 700)
			answers := map[status.Code]int{}
			count := func(err error) { answers[status.Of(err)]++ }
			for range 1500 {
				scribbler.scribble()
				if kind == "bytes" {
					count(a.call(nil, wire.MethodWriteBytes, h, message, 0))
					count(b.call(nil, wire.MethodReadBytes, g, 1000, 1000))
				} else {
					count(a.call(nil, wire.MethodSend, h, message[:scribbler.random.IntN(len(message))], 0))
					count(a.call(nil, wire.MethodSendMany, h, []any{message[:1], message}, 1000))
					count(b.call(nil, wire.MethodRecv, g, 1000))
					count(b.call(nil, wire.MethodRecvMany, g, 3, 0))
				}
				var stat wire.Stat
				wantCode(t, "stat", a.call(&stat, wire.MethodStat, "r"), status.OK)
				for _, ring := range stat.Rings {
					if ring.UsedBytes > 4096 {
						t.Fatalf("%d bytes in a ring of 4096", ring.UsedBytes)
					}
				}
			}
			for code := range answers {
				switch code {
				case status.OK, status.Corrupt, status.WouldBlock, status.TimedOut, status.Ended, status.PeerDied,
					status.TooLarge:
				default:
					t.Errorf("answers %v", answers)
				}
			}
			if answers[status.OK] == 0 || answers[status.Corrupt] == 0 {
				t.Errorf("answers %v: that scribbles too little, or too much", answers)
			}
			// The words are private to nobody; what the daemon was charged for is.
			s.awaitCallers(t, "r", 2)
			wantCode(t, "close", b.call(nil, wire.MethodClose, g), status.OK)
			wantCode(t, "destroy", a.call(nil, wire.MethodDestroy, "r"), status.OK)
			wantCode(t, "after it", a.call(nil, wire.MethodRecv, h, 0), status.Removed)
			if n := s.quota.used(resBuffers); n != 0 {
				t.Errorf("%d bytes are charged for messages in pieces", n)
			}
		})
	}
}

// An owner word that names another takes the role from whoever has it, and nobody
// hangs.
func TestForgedOwner(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a := greeted(t, s, 1)
	h := a.open("r", wire.KindStream, nil)
	a.claims(h, wire.RoleProducer)
	a.claims(h, wire.RoleConsumer)
	waiting := a.send(wire.MethodRecv, h)
	s.awaitWaiters(t, "r", 1)
	scribbler := newScribbler(t, s, "r")
	for line := range int64(2) {
		scribbler.write(ringLines+64*line+8, uint32(0x1234))
		scribbler.write(ringLines+64*line+12, uint32(99)) // so that it is looked at
	}
	wantCode(t, "send without the role", a.call(nil, wire.MethodSend, h, []byte("x"), 0), status.NotOwner)
	wantCode(t, "claim of what a stranger has", a.call(nil, wire.MethodOpen, "r", map[string]any{"role": "producer"}),
		status.OK) // the daemon's own notes say that it has it
	if err := a.conn.Write(wire.AppendCancel(nil, waiting)); err != nil {
		t.Fatal(err)
	}
	if r := a.answer(waiting); r.Err == nil {
		t.Errorf("the wait: %+v", r)
	}
	wantCode(t, "retire", a.call(nil, wire.MethodRetire, h, wire.RoleProducer), status.OK)
	wantCode(t, "claim", a.call(nil, wire.MethodClaim, h, wire.RoleProducer), status.Taken)
}

// A long message is put together in memory that its user pays for, as long as it is
// under way.
func TestPiecesAreCharged(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	a, b := greeted(t, s, 1), greeted(t, s, 2)
	h, g := a.open("p", wire.KindPipe, ringOptions(nil)), b.open("p", wire.KindPipe, ringOptions(nil))
	a.claims(h, wire.EndA)
	b.claims(g, wire.EndB)
	long := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	sending := a.send(wire.MethodSend, h, long)
	s.awaitWaiters(t, "p", 1)
	b.receives(string(long), g)
	wantCode(t, "the sender", errOrNil(a.answer(sending).Err), status.OK)
	if n := s.quota.used(resBuffers); n != 0 {
		t.Errorf("%d bytes are still charged", n)
	}
	// A user who has no room for it is told so, and the message stays.
	sending = a.send(wire.MethodSend, h, long)
	s.awaitWaiters(t, "p", 1)
	// The request that waits may be charged for a moment longer.
	most := amount{resBuffers, s.quota.pool[resBuffers] - uint64(len(long)) - 1000}
	await(t, "room", func() bool { return s.quota.charge(a.uid(), most) == nil })
	wantCode(t, "without quota", b.call(nil, wire.MethodRecv, g), status.Quota)
	s.quota.release(a.uid(), most)
	b.receives(string(long), g)
	wantCode(t, "the sender", errOrNil(a.answer(sending).Err), status.OK)
	wantCode(t, "retire", a.call(nil, wire.MethodRetire, h, wire.EndA), status.OK)
	wantCode(t, "after the end", b.call(nil, wire.MethodRecv, g), status.Ended)
}
