package daemon

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// hostileCalls are all that a client can do at one object without waiting for others.
var hostileCalls = map[string][][]any{
	wire.KindEvent: {{wire.MethodSignal}, {wire.MethodReset}, {wire.MethodPulse}, {wire.MethodIsSet},
		{wire.MethodWait, 0}, {wire.MethodWait, 1000}},
	wire.KindCondition: {{wire.MethodLock, 0}, {wire.MethodWaitCondition, 0}, {wire.MethodWaitCondition, 1000},
		{wire.MethodNotify}, {wire.MethodNotify, 0}, {wire.MethodUnlock}},
	wire.KindBarrier: {{wire.MethodArrive, 0}, {wire.MethodArrive, 1000}, {wire.MethodArrive, 1000, true},
		{wire.MethodComplete}, {wire.MethodComplete, false}, {wire.MethodAbort}, {wire.MethodReset},
		{wire.MethodBarrier}},
	wire.KindRWLock: {{wire.MethodReadLock, 0}, {wire.MethodReadLock, 1000, 1}, {wire.MethodReadUnlock},
		{wire.MethodReadUnlock, 1}, {wire.MethodLock, 0, 2}, {wire.MethodLock, 1000, 3}, {wire.MethodUnlock, 2},
		{wire.MethodUnlock, 3}, {wire.MethodMarkConsistent, 2}},
}

// Whatever a client scribbles into the words of an object, the daemon answers every call
// of others there, and they may leave.
func TestScribbledWords(t *testing.T) {
	random := rand.New(rand.NewPCG(seedOf(t), 0))
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	witness := greeted(t, s, 1)
	witness.open("m", wire.KindMutex, nil)
	uuid := byte(1)
	for kind, calls := range hostileCalls {
		options := map[string]any{"seats_max": 3}
		switch kind {
		case wire.KindCondition:
			options["lock"] = "@m"
		case wire.KindBarrier:
			options["parties"] = 3
		}
		for range 4 {
			uuid++
			c := greeted(t, s, uuid)
			h := c.open("x", kind, options)
			o, err := s.registry.pin(ref{name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			g := &o.geometry
			places := [][]byte{o.segment.Bytes()[0x100:0x200]} // the lines of the kind
			if g.CellsOffset != 0 {
				places = append(places, o.segment.Bytes()[g.CellsOffset:])
			}
			for range 300 {
				place := places[random.IntN(len(places))]
				word := place[8*random.IntN(min(len(place)/8, 32)):]
				binary.LittleEndian.PutUint64(word, pattern(random))
				call := calls[random.IntN(len(calls))]
				id := c.send(call[0].(string), append([]any{h}, call[1:]...)...)
				if r := c.answer(id); status.Of(errOrNil(r.Err)) == status.Internal {
					t.Errorf("%v: %v", call, r.Err)
				}
				for _, method := range []string{wire.MethodStat, wire.MethodHoldings} {
					params := []any{"x"}
					if method == wire.MethodHoldings {
						params = nil
					}
					wantCode(t, method, c.call(nil, method, params...), status.OK)
				}
			}
			if random.IntN(2) == 0 {
				wantCode(t, "bye", c.call(nil, wire.MethodBye), status.OK)
			} else {
				c.conn.Close()
			}
			await(t, "end of the client", func() bool { return s.clientCount() == 1 })
			wantCode(t, "destroy", witness.call(nil, wire.MethodDestroy, "x"), status.OK)
			s.registry.unpin(o)
		}
	}
}

// pattern is a word that may mean something, or not.
func pattern(random *rand.Rand) uint64 {
	switch random.IntN(4) {
	case 0:
		return 0
	case 1:
		return ^uint64(0)
	case 2:
		return 1 << random.IntN(64)
	}
	return random.Uint64()
}

// seedOf is the seed of a random test, which prints it and takes it back.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SHMD_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SHMD_SEED=%d", seed)
	return seed
}
