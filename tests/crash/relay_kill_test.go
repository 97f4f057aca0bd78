package crash

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// relayKills is the length of a run.
const relayKills = 60

// TestRandomRelay kills the producer or the consumer of a stream, of all flavours, at
// random moments, told by their books, and starts another. Every message that was sent is
// received in order, but one for each consumer that died; and behind the last one of each
// producer its death is told once.
func TestRandomRelay(t *testing.T) {
	seed := randomSeed(t)
	for i, d := range daemons {
		t.Run(d.name, func(t *testing.T) { killRelay(t, rand.New(rand.NewPCG(seed, uint64(i))), d.flags) })
	}
}

func killRelay(t *testing.T, random *rand.Rand, flags []string) {
	s := newScene(t, flags...)
	s.create("ledger", wire.KindArray, wire.CreateOptions{Code: new("q"),
		Length: new(uint64(relaySent + relayProducersMax)),
		Lock:   wire.LockNone})
	s.create("relay", wire.KindStream, wire.CreateOptions{Capacity: new(uint32(relayBytes))})
	ledger, err := shmd.OpenArray[int64](t.Context(), s.ctl, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	load := func(cell int) int64 {
		v, err := ledger.Load(cell)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	producers, hired := 0, 0
	// gap: consumers that died since the last message was booked.
	gap, booked, consumersKilled := int64(0), int64(-1), int64(0)
	hire := func(verb string) *client {
		t.Helper()
		w := s.messenger(flavours[hired%len(flavours)])
		hired++
		if verb == "send" {
			w.do(fmt.Sprintf("send %d", producers), "ok")
			producers++
			return w
		}
		if now := load(relayLast); now != booked {
			gap, booked = 0, now
		}
		w.do(fmt.Sprintf("receive %d", gap+min(consumersKilled, 1)), "ok")
		gap++
		return w
	}
	producer, consumer := hire("send"), hire("receive")
	for range relayKills {
		from := load(relayProgress)
		until := from + 1 + random.Int64N(200)
		giveUp := time.Now().Add(harness.Patience)
		for load(relayProgress) < until {
			if time.Now().After(giveUp) {
				t.Fatalf("the relay is stuck at %d: %+v\n%s%s%s%s", load(relayProgress), s.stat("relay").Rings[0],
					producer.Poll(), producer.Stderr(), consumer.Poll(), consumer.Stderr())
			}
			runtime.Gosched()
		}
		for range random.IntN(2000) {
			runtime.Gosched()
		}
		who := random.IntN(3)
		if who != 0 {
			producer.Kill()
		}
		if who != 1 {
			consumer.Kill()
			consumersKilled++
		}
		if who == 2 {
			s.awaitGone(1)
		} else {
			s.awaitGone(2) // one of them lives
		}
		if who != 0 {
			producer = hire("send")
		}
		if who != 1 {
			consumer = hire("receive")
		}
	}
	if err := ledger.Store(relayStop, 1); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*client{producer, consumer} {
		w.Expect("done")
		w.MustEnd()
	}
	last, sent := load(relayLast), load(relaySent+producers-1)
	if last>>32 != int64(producers-1) && sent > 1 || last>>32 == int64(producers-1) && last&0xffffffff < sent-gap {
		t.Errorf("the last message received is %d of producer %d; the last producer, %d, sent %d", last&0xffffffff-1,
			last>>32, producers-1, sent)
	}
	// Producers that ended with no message between them are told of as one.
	told, least := load(relayTold), int64(0)
	for p := range producers {
		if load(relaySent+p) > 1 {
			least++
		}
	}
	if told > int64(producers) || told+consumersKilled < least {
		t.Errorf("%d ends were told of %d producers, %d of which sent", told, producers, least)
	}
	t.Logf("%d steps, %d producers, %d consumers killed, %d ends told",
		load(relayProgress), producers, consumersKilled, told)
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
}
