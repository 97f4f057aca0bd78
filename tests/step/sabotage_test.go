package step

import (
	"slices"
	"testing"

	"github.com/shmd/shmd/tests/harness"
)

// What recovery can leave out: see shm/sabotage_on.go.
const (
	withoutWakes = "wake"
	endsQuietly  = "end"
	inOrder      = "order"
	stealsOwn    = "steal"
)

// losing are the operations with which a wake-up can die that nobody else repeats.
var losing = []string{
	"mutex lock", "mutex unlock", "mutex unlock, strict",
	"value store", "value add",
	"array lock", "array unlock", "array store", "array add", "array write",
	"semaphore acquire", "semaphore post", "semaphore post 2", "semaphore release",
	"undo semaphore acquire 1", "undo semaphore release 1", "undo semaphore release 2", "undo semaphore post",
	"queue put", "queue take", "queue lease", "queue reserve", "queue commit", "queue abort", "queue ack", "queue nack",
	"queue put_many", "queue take_many", "queue ack_many", "queue nack_many", "queue take, joined", "queue ack, joined",
	"event set", "event pulse", "auto event wait", "auto event set",
	"condition wait", // who notifies holds the mutex, and the death of its owner wakes all
	"barrier abort", "barrier reset",
	"rwlock write", "rwlock write, behind a writer", "rwlock unread", "rwlock unwrite",
}

// losingAtEnds are those at a ring at which a client can sleep, whom a death wakes. Not a
// recv of a stream: a message is left there, and the next consumer's recv wakes the producer.
var losingAtEnds = []string{
	"stream send", "stream retire", "stream send_many", "stream commit", "stream retire, reserved",
	"stream advance",
	"pipe send", "pipe send, in pieces", "pipe recv", "pipe shut", "pipe send_many", "pipe commit", "pipe advance",
	"pipe shut, unread", "pipe write", "pipe read",
}

// TestWithoutWakes: if recovery wakes only for what came back, clients hang. Were it
// not so, the steps would prove nothing. The short form takes one operation.
func TestWithoutWakes(t *testing.T) {
	hangs(t, withoutWakes, losing, []string{"mutex lock", "mutex unlock"}, "mutex")
}

// TestEndsWithoutWakes: if the end of a role at a ring wakes nobody, clients hang that sleep
// there. The short form takes a few operations.
func TestEndsWithoutWakes(t *testing.T) {
	hangs(t, endsQuietly, losingAtEnds, []string{"stream send_many", "stream advance", "pipe write"}, "stream", "pipe")
}

// hangs wants clients to hang in each of the operations, if recovery is sabotaged; the short
// form takes a few.
func hangs(t *testing.T, sabotage string, operations, few []string, of ...string) {
	t.Helper()
	harness.NoLeaks(t)
	stride, full := everyOr(t, 4)
	y := newTally(allScenes()...)
	t.Cleanup(func() { t.Logf("recovery sabotaged by %s\n%v", sabotage, y) })
	for _, g := range groups {
		if (!full || sabotage == endsQuietly) && !slices.Contains(of, g.name) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, inC, sabotage, instructions{}, y)
			for _, sc := range g.scenes() {
				wakes := sc.situation == contended || sc.situation == woken
				if wakes && (full || slices.Contains(few, sc.operation)) {
					s.play(sc, plan{stride, 0})
				}
			}
		})
	}
	t.Cleanup(func() {
		for _, operation := range operations {
			if r := y.rows[operation]; r.kills > 0 && r.hangs == 0 {
				t.Errorf("%s: nobody hangs", operation)
			}
		}
	})
}

// TestStealsOwnOnly: if recovery takes the deaths in order and a latch only from the
// client whose death it recovers, two deaths at once end it. In order alone they do
// not; nor does the other alone here, because a death that cannot be recovered yet
// holds up no other.
func TestStealsOwnOnly(t *testing.T) {
	for _, sabotage := range []string{inOrder, inOrder + "," + stealsOwn} {
		y := newTally()
		s := newStage(t, inC, sabotage, instructions{}, y)
		s.playPair(undoPairs()[0], plan{25, 20}, plan{60, 0})
		t.Logf("two deaths, recovery sabotaged by %s\n%v", sabotage, y)
		if hangs := y.hangs(); (hangs > 0) != (sabotage != inOrder) {
			t.Errorf("recovery sabotaged by %s: %d hangs", sabotage, hangs)
		}
		s.Kill()
	}
}
