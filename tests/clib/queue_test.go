package clib

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
)

// Store-prefix replay of the C library's queue, as replay_test.go does it for locks
// and data. Checked besides, after each prefix and the recovery of the dead client,
// twice: the messages, their order and their deliveries are what recovery makes of
// the bytes before the last word, or of those after it (of one word that is one
// commit); both eventcounts have moved; and a live client can empty and fill the
// queue.

var background = context.Background()

func queueLines(s *shm.Segment) *shm.QueueLines {
	return (*shm.QueueLines)(unsafe.Pointer(&s.Bytes()[0x100]))
}

func descOf(s *shm.Segment, slot int) *shm.QueueDesc {
	return (*shm.QueueDesc)(unsafe.Pointer(&s.Bytes()[s.Geometry().DescOffset+uint64(slot)*32]))
}

func must[T any](result T, err error) T {
	if err != nil {
		panic(err)
	}
	return result
}

// messages: "a" is leased by another, "b" and "c" are ready.
func messages(im *images) {
	q := im.object.Queue()
	for _, m := range []string{"a", "b", "c"} {
		must(0, q.Put(background, nil, actor(liveSeat), []byte(m), 0))
	}
	must(q.Lease(background, nil, actor(liveSeat), 0))
}

// fullQueue: one more, so that there is no slot.
func fullQueue(im *images) {
	messages(im)
	must(0, im.object.Queue().Put(background, nil, actor(liveSeat), []byte("d"), 0))
}

// sleepers: somebody waits for a message and for a slot.
func sleepers(im *images) {
	messages(im)
	sleepersOf(im)
}

func sleepersOf(im *images) {
	queueLines(im.object).NotEmpty |= 1
	queueLines(im.object).NotFull |= 1
	queueLines(im.object).Idle |= 1
}

// longFirst: a message that is not copied under the latch comes first.
func longFirst(im *images) {
	q := im.object.Queue()
	must(0, q.Put(background, nil, actor(liveSeat), []byte(strings.Repeat("x", 600)), 0))
}

// deadLetters: "b" and "c" have died.
func deadLetters(im *images) {
	messages(im)
	q := im.object.Queue()
	for range 4 {
		l := must(q.Lease(background, nil, actor(liveSeat), 0))
		must(0, q.Nack(background, nil, actor(liveSeat), l, 0))
	}
}

func olderQueueLatch(im *images) {
	messages(im)
	l := queueLines(im.object)
	l.PutLatch = shm.OwnerWord(shm.SeatDaemon, 1) | 1<<31
	l.TakeLatch = l.PutLatch
	const nowhere = 0xffffffff // a head while its ring is rebuilt
	l.ReadyHead, l.ReadyTail, l.FreeHead, l.FreeTail = 7<<32|nowhere, 3<<32, 1<<32|nowhere, 5
	l.Fresh, l.NextSeq, l.DeadCount = 0, 1, 9
	page(im.object).Header.DaemonEpoch = 2
}

// olderPutLatch: the daemon that is gone had only one of them.
func olderPutLatch(im *images) {
	messages(im)
	l := queueLines(im.object)
	l.PutLatch = shm.OwnerWord(shm.SeatDaemon, 1) | 1<<31
	l.FreeHead, l.ReadyTail, l.Fresh, l.NextSeq, l.WritingCount = 1<<32|0xffffffff, 5, 0, 1, 3
	page(im.object).Header.DaemonEpoch = 2
}

// olderTakeLatch: the same of the other one.
func olderTakeLatch(im *images) {
	messages(im)
	l := queueLines(im.object)
	l.TakeLatch = shm.OwnerWord(shm.SeatDaemon, 1)
	l.ReadyHead, l.LeasedCount, l.DeadCount = 7<<32|0xffffffff, 0, 3
	page(im.object).Header.DaemonEpoch = 2
}

// reused: the rings have gone round, and there are free slots that were used.
func reused(im *images) {
	q, a := im.object.Queue(), actor(liveSeat)
	for range 5 {
		must(0, q.Put(background, nil, a, []byte("before"), 0))
		must(q.Take(background, nil, a, nil, 0))
	}
	messages(im)
	must(0, q.Ack(background, nil, a, must(q.Lease(background, nil, a, 0)), 0))
}

// Scenarios with this name have a queue with a lease time, which no test waits for.
const (
	timedName = "timed: "
	leaseNs   = shm.LeaseNsMax
)

// deadlines are of the slots of such a queue.
func deadlines(im *images) []uint64 {
	g := im.object.Geometry()
	return unsafe.Slice((*uint64)(unsafe.Pointer(&im.object.Bytes()[g.DeadlineOffset])), g.Length)
}

// timeless is the image without what a clock has said.
func timeless(im *images) *images {
	if im.object.Geometry().DeadlineOffset == 0 {
		return im
	}
	im = im.clone()
	queueLines(im.object).ExpiryNs = 0
	clear(deadlines(im))
	return im
}

// overdue: the lease of "a" is over, and nobody has seen it.
func overdue(im *images) {
	messages(im)
	deadlines(im)[0] = 1
	queueLines(im.object).ExpiryNs = 1
	sleepersOf(im)
}

// overdueLast: so is the last one of all, which dies of it.
func overdueLast(im *images) {
	q, a := im.object.Queue(), actor(liveSeat)
	must(0, q.Put(background, nil, a, []byte("a"), 0))
	must(0, q.Nack(background, nil, a, must(q.Lease(background, nil, a, 0)), 0))
	l := must(q.Lease(background, nil, a, 0))
	deadlines(im)[l.Slot] = 1
	queueLines(im.object).ExpiryNs = 1
	sleepersOf(im)
}

// threeReady: "b", "c" and "d" are ready.
func threeReady(im *images) {
	messages(im)
	must(0, im.object.Queue().Put(background, nil, actor(liveSeat), []byte("d"), 0))
}

// joined: there is one message, and somebody waits for it to be done.
func joined(im *images) {
	must(0, im.object.Queue().Put(background, nil, actor(liveSeat), []byte("a"), 0))
	sleepersOf(im)
}

func daemonQueueLatches(im *images) {
	l := queueLines(im.object)
	l.PutLatch, l.TakeLatch = shm.OwnerWord(shm.SeatDaemon, 1), shm.OwnerWord(shm.SeatDaemon, 1)
}

// entriesOf is the ready ring.
func entriesOf(im *images) []uint64 {
	g := im.object.Geometry()
	return unsafe.Slice((*uint64)(unsafe.Pointer(&im.object.Bytes()[g.ReadyOffset])), g.Length)
}

func destroyedQueue(im *images) { messages(im); destroyed(im) }

// scribbledOn makes a start by a change of the lines.
func scribbledOn(scribble func(*shm.QueueLines, *shm.QueueDesc)) func(*images) {
	return func(im *images) {
		messages(im)
		scribble(queueLines(im.object), descOf(im.object, 1))
	}
}

const noneTaken = "take=-42 lease=-42"

var queueScenarios = []scenario{
	{"put", shm.KindQueue, shm.FlagRaw, 0, messages, "", "put-3"},
	{"put nothing", shm.KindQueue, shm.FlagRaw, 0, messages, "", "put-0"},
	{"put with a waiter", shm.KindQueue, shm.FlagRaw, 0, sleepers, "", "put-3"},
	{"put a long one", shm.KindQueue, shm.FlagRaw, 0, messages, "", "put-600"},
	{"put too much", shm.KindQueue, shm.FlagRaw, 0, messages, "", "put-5001=-37"},
	{"put into a full one", shm.KindQueue, shm.FlagRaw, 0, fullQueue, "", "put-3=-2 wait-put=-3 reserve=-2"},
	{"put no msgpack", shm.KindQueue, 0, 0, messages, "", "put-3=-22 put-0=-22 put-1"},
	{"take", shm.KindQueue, shm.FlagRaw, 0, messages, "", "take"},
	{"take with a waiter", shm.KindQueue, shm.FlagRaw, 0, sleepers, "", "take"},
	{"take a long one", shm.KindQueue, shm.FlagRaw, 0, longFirst, "", "take take=-2"},
	{"take into too little", shm.KindQueue, shm.FlagRaw, 0, messages, "", "take-nowhere=-37"},
	{"take from an empty one", shm.KindQueue, shm.FlagRaw, 0, nil, "", "take=-2 wait-take=-3 lease=-2"},
	{"lease", shm.KindQueue, shm.FlagRaw, 0, messages, "", "lease"},
	{"ack", shm.KindQueue, shm.FlagRaw, 0, sleepers, "lease", "ack"},
	{"ack again", shm.KindQueue, shm.FlagRaw, 0, messages, "lease ack", "ack nack=-32"},
	{"nack", shm.KindQueue, shm.FlagRaw, 0, sleepers, "lease", "nack"},
	{"nack the last time", shm.KindQueue, shm.FlagRaw, 0, messages, "lease nack lease", "nack"},
	{"nack again", shm.KindQueue, shm.FlagRaw, 0, messages, "lease nack", "nack=-32 ack=-32"},
	{"reserve", shm.KindQueue, shm.FlagRaw, 0, messages, "", "reserve"},
	{"commit", shm.KindQueue, shm.FlagRaw, 0, sleepers, "reserve", "commit"},
	{"commit again", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve commit take", "commit abort=-32"},
	{"abort", shm.KindQueue, shm.FlagRaw, 0, sleepers, "reserve", "abort"},
	{"abort again", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve abort", "abort=-32 commit=-32"},
	{"take a dead letter", shm.KindQueue, shm.FlagRaw, 0, deadLetters, "", "take-dead"},
	{"put a dead letter back", shm.KindQueue, shm.FlagRaw, 0, deadLetters, "take-dead", "nack"},
	{"no dead letter", shm.KindQueue, shm.FlagRaw, 0, messages, "", "take-dead=-2 redeliver"},
	{"redeliver", shm.KindQueue, shm.FlagRaw, 0, deadLetters, "", "redeliver take"},
	{"shutdown", shm.KindQueue, shm.FlagRaw, 0, sleepers, "", "shutdown"},
	{"after shutdown", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve shutdown",
		"put-3=-9 wait-put=-9 reserve=-9 commit take take take take=-9 wait-take=-9"},
	{"put many", shm.KindQueue, shm.FlagRaw, 0, nil, "", "put-many-3=3"},
	{"put as many as fit", shm.KindQueue, shm.FlagRaw, 0, sleepers, "", "put-many-3=1"},
	{"put many up to a long one", shm.KindQueue, shm.FlagRaw, 0, nil, "", "put-many-511=2"},
	{"put many, a long one first", shm.KindQueue, shm.FlagRaw, 0, nil, "", "put-many-600=1"},
	{"put many into a full one", shm.KindQueue, shm.FlagRaw, 0, fullQueue, "", "put-many-3=-2"},
	{"take many", shm.KindQueue, shm.FlagRaw, 0, threeReady, "", "take-many=3"},
	{"take all there are", shm.KindQueue, shm.FlagRaw, 0, sleepers, "", "take-many=2"},
	{"take many, a long one first", shm.KindQueue, shm.FlagRaw, 0, longFirst, "", "take-many=1"},
	{"take many from an empty one", shm.KindQueue, shm.FlagRaw, 0, nil, "", "take-many=-2 lease-many=-2"},
	{"lease many", shm.KindQueue, shm.FlagRaw, 0, threeReady, "", "lease-many=3"},
	{"ack many", shm.KindQueue, shm.FlagRaw, 0, threeReady, "lease-many=3", "ack-many=3"},
	{"ack what we have of many", shm.KindQueue, shm.FlagRaw, 0, sleepers, "lease-many=2", "ack-many=-32"},
	{"nack many", shm.KindQueue, shm.FlagRaw, 0, threeReady, "lease-many=3", "nack-many=3"},
	{"nack many the last time", shm.KindQueue, shm.FlagRaw, 0, threeReady, "lease-many=3 nack-many=3 lease-many=3",
		"nack-many=3"},
	{"join", shm.KindQueue, shm.FlagRaw, 0, nil, "", "join extend=-43"},
	{"join too early", shm.KindQueue, shm.FlagRaw, 0, messages, "", "join=-2 wait-join=-3"},
	{"take the last, joined", shm.KindQueue, shm.FlagRaw, 0, joined, "", "take"},
	{"ack the last, joined", shm.KindQueue, shm.FlagRaw, 0, joined, "lease", "ack"},
	{"nack the last to death, joined", shm.KindQueue, shm.FlagRaw, 0, joined, "lease nack lease", "nack"},
	{"take many, joined", shm.KindQueue, shm.FlagRaw, 0, joined, "", "take-many=1"},
	{timedName + "lease", shm.KindQueue, shm.FlagRaw, 0, messages, "", "lease"},
	{timedName + "lease many", shm.KindQueue, shm.FlagRaw, 0, threeReady, "", "lease-many=3"},
	{timedName + "extend", shm.KindQueue, shm.FlagRaw, 0, messages, "lease", "extend"},
	{timedName + "extend what is over", shm.KindQueue, shm.FlagRaw, 0, messages, "lease nack", "extend=-32"},
	{timedName + "take what came back", shm.KindQueue, shm.FlagRaw, 0, overdue, "", "take"},
	{timedName + "lease what came back", shm.KindQueue, shm.FlagRaw, 0, overdue, "", "lease take take take=-2"},
	{timedName + "counts", shm.KindQueue, shm.FlagRaw, 0, overdue, "", "counts"},
	{timedName + "the last is over", shm.KindQueue, shm.FlagRaw, 0, overdueLast, "", "take=-2 join"},
	{"counts", shm.KindQueue, shm.FlagRaw, 0, messages, "", "counts"},
	{"latches of an older daemon", shm.KindQueue, shm.FlagRaw, 0, olderQueueLatch, "", "put-3 take"},
	{"latches of an older daemon, taken from", shm.KindQueue, shm.FlagRaw, 0, olderQueueLatch, "", "take counts"},
	{"put latch of an older daemon", shm.KindQueue, shm.FlagRaw, 0, olderPutLatch, "", "put-3"},
	{"put latch of an older daemon, taken from", shm.KindQueue, shm.FlagRaw, 0, olderPutLatch, "", "take put-3"},
	{"take latch of an older daemon", shm.KindQueue, shm.FlagRaw, 0, olderTakeLatch, "", "take"},
	{"take latch of an older daemon, put into", shm.KindQueue, shm.FlagRaw, 0, olderTakeLatch, "", "put-3 take"},
	{"take latch of an older daemon, counts", shm.KindQueue, shm.FlagRaw, 0, olderTakeLatch, "", "counts"},
	{"latches of this daemon", shm.KindQueue, shm.FlagRaw, 0, daemonQueueLatches, "", "wait-take=-3 wait-put=-3"},
	{"put into a used slot", shm.KindQueue, shm.FlagRaw, 0, reused, "", "put-3"},
	{"put many into used slots and a fresh one", shm.KindQueue, shm.FlagRaw, 0, reused, "", "put-many-3=2"},
	{"nack in a ring that went round", shm.KindQueue, shm.FlagRaw, 0, reused, "lease", "nack"},
	{"abort into a used slot", shm.KindQueue, shm.FlagRaw, 0, reused, "reserve", "abort put-3"},
	{"destroyed", shm.KindQueue, shm.FlagRaw, 0, destroyedQueue, "", "put-3=-6 take=-6 wait-take=-6 counts=-6"},
	{"scribbled head", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.ReadyHead = 4
	}), "", noneTaken + " put-3"},
	{"scribbled head, dead letters", shm.KindQueue, shm.FlagRaw, 0, func(im *images) {
		deadLetters(im)
		queueLines(im.object).ReadyHead = 4
	}, "", "redeliver=-42"},
	{"scribbled tail", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.ReadyTail = 1 << 31
	}), "", "put-3=-42 counts=-42"},
	{"scribbled tail, many", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.ReadyTail = 4
	}), "", "put-many-3=-42"},
	{"scribbled free head", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.FreeHead = 5
	}), "", "put-3=-42 reserve=-42"},
	{"scribbled free tail", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.FreeTail = 4
	}), "", "take=-42"},
	{"scribbled fresh", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.Fresh = 5
	}), "", "put-3=-42 reserve=-42"},
	{"scribbled fresh, used", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.Fresh = 0
	}), "", "put-3=-42 reserve=-42"},
	{"scribbled entry", shm.KindQueue, shm.FlagRaw, 0, func(im *images) {
		messages(im)
		entriesOf(im)[1] = 1<<32 | 5
	}, "", noneTaken},
	{"scribbled tag", shm.KindQueue, shm.FlagRaw, 0, func(im *images) {
		messages(im)
		entriesOf(im)[1] = 2<<32 | 2
	}, "", "take=-2 lease=-2"},
	{"scribbled length", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(_ *shm.QueueLines, d *shm.QueueDesc) {
		d.Length = 601
	}), "", noneTaken},
	{"scribbled state", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(_ *shm.QueueLines, d *shm.QueueDesc) {
		d.State = 9 << 32
	}), "", noneTaken},
	{"scribbled number", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.NextSeq = 1<<63 - 1
	}), "", "put-3=-42 reserve=-42"},
	{"scribbled number of dead", shm.KindQueue, shm.FlagRaw, 0, scribbledOn(func(l *shm.QueueLines, _ *shm.QueueDesc) {
		l.DeadCount = 1
	}), "", "take-dead=-42"},
	{"corrupt", shm.KindQueue, shm.FlagRaw, 0, func(im *images) {
		messages(im)
		page(im.object).Header.State = uint32(shm.StateCorrupt)
	}, "", "put-3=-42 take=-42 wait-take=-42"},
}

// runQueueInGo does in Go what the C program does.
func runQueueInGo(sc scenario, im *images) error {
	sides := newReplaySides()
	q, me, p := im.object.Queue().WithSides(sides), actor(victimSeat), shm.NewParker(shm.ParkerOptions{})
	message := append([]byte("new"), make([]byte, 4998)...)
	var lease shm.Lease
	var leases []shm.Lease
	var reservation shm.Reservation
	for word := range strings.FieldsSeq(sc.before + " " + sc.words) {
		word, want, found := strings.Cut(word, "=")
		if !found {
			want = "0"
		}
		if want == "-22" || word == "take-nowhere" {
			continue // in Go the contents are the client's affair, and there is always room
		}
		var err error
		many := 0
		switch word {
		case "put-many-3", "put-many-511", "put-many-600":
			var n int
			if _, err := fmt.Sscanf(word, "put-many-%d", &n); err != nil {
				return err
			}
			long := append([]byte("new one, long"), make([]byte, 600)...)
			many, err = q.PutMany(background, p, me, [][]byte{long[:n], long[:n+1], long[:min(n+2, len(long))]}, 0)
		case "take-many":
			var taken [][]byte
			taken, err = q.TakeMany(background, p, me, nil, 3, 0)
			many = len(taken)
		case "lease-many":
			leases, err = q.LeaseMany(background, p, me, nil, 3, 0)
			many = len(leases)
		case "ack-many":
			many, err = q.AckMany(background, p, me, append(leases, make([]shm.Lease, 3-len(leases))...), -1)
		case "nack-many":
			many, err = q.NackMany(background, p, me, append(leases, make([]shm.Lease, 3-len(leases))...), -1)
		case "extend":
			err = q.Extend(background, p, me, lease, shm.LeaseNsMax, -1)
		case "join":
			err = q.Join(background, p, me, 0)
		case "wait-join":
			err = q.Join(background, p, me, time.Nanosecond)
		case "wait-put":
			err = q.Put(background, p, me, message[:3], time.Nanosecond)
		case "take":
			_, err = q.Take(background, p, me, nil, 0)
		case "wait-take":
			_, err = q.Take(background, p, me, nil, time.Nanosecond)
		case "lease":
			var l shm.Lease
			if l, err = q.Lease(background, p, me, 0); err == nil {
				lease = l
			}
		case "ack":
			err = q.Ack(background, p, me, lease, -1)
		case "nack":
			err = q.Nack(background, p, me, lease, -1)
		case "reserve":
			var r shm.Reservation
			if r, err = q.Reserve(background, p, me, 0); err == nil {
				reservation = r
			}
		case "reserve-side", "reserve-long":
			sides.makes = word == "reserve-side"
			if reservation, err = q.ReserveSize(background, p, me, 5000, 0); err == nil {
				copy(q.Buffer(reservation), "new")
			}
		case "commit":
			err = q.Commit(background, p, me, reservation, 3, -1)
		case "commit-600", "commit-601", "commit-5000":
			var n uint32
			if _, err := fmt.Sscanf(word, "commit-%d", &n); err != nil {
				return err
			}
			err = q.Commit(background, p, me, reservation, n, -1)
		case "abort":
			err = q.Abort(background, p, me, reservation, -1)
		case "take-dead":
			lease, err = q.TakeDead(background, p, me, -1)
		case "redeliver":
			_, err = q.Redeliver(background, p, me, -1)
		case "shutdown":
			err = q.Shutdown(background, p, me, -1)
		case "counts":
			_, err = q.Counts(background, p, me, -1)
		default:
			var n int
			if _, err := fmt.Sscanf(word, "put-%d", &n); err != nil {
				return fmt.Errorf("no such word: %s", word)
			}
			err = q.Put(background, p, me, message[:n], 0)
		}
		code := many
		if err != nil {
			code = -int(status.Of(err))
		}
		if fmt.Sprint(code) != want {
			return fmt.Errorf("%s in Go: %d, %v, in C: %s", word, many, err, want)
		}
	}
	return nil
}

func TestQueuePrefixReplay(t *testing.T) {
	replay(t, append(queueScenarios, sideScenarios...), 5, runQueueInGo,
		func(t *testing.T, sc scenario, start, left *images) checkPrefix {
			before, after := outcome(start.clone()), outcome(left.clone())
			between := outcomesBetween(sc, start)
			atomic := !strings.ContainsAny(sc.words, " ") && !strings.HasSuffix(sc.name, "a long one") &&
				!strings.HasSuffix(sc.name, "a long one first")
			return func(prefix string, im *images) {
				image := im.clone()
				was := queueLines(image.object).NotEmpty
				got := outcome(image)
				if atomic && got != before && got != after && !slices.Contains(between, got) {
					t.Errorf("%s: half done:\n%s\nbefore:\n%s\nafter:\n%s", prefix, got, before, after)
				}
				if strings.HasPrefix(got, "error") && !strings.HasPrefix(before, "error") {
					t.Errorf("%s: %s", prefix, got)
				}
				if queueLines(image.object).NotEmpty>>1 == was>>1 {
					t.Errorf("%s: the eventcount has not moved", prefix)
				}
			}
		})
}

// outcomesBetween are what may be left of a batch that a death cuts short: what its
// first messages alone would leave.
func outcomesBetween(sc scenario, start *images) (all []string) {
	verb, _, many := strings.Cut(sc.words, "-many")
	if !many || strings.HasPrefix(verb, timedName) {
		return nil
	}
	me := actor(victimSeat)
	im := start.clone()
	held := im.object.Queue().Held(me.Seat, 9)
	for n := range 2 {
		q := im.object.Queue().WithSides(newReplaySides())
		switch verb {
		case "put":
			var size int
			if _, err := fmt.Sscanf(sc.words, "put-many-%d", &size); err != nil {
				panic(err)
			}
			long := append([]byte("new one, long"), make([]byte, 600)...)
			if q.Put(background, nil, me, long[:min(size+n, len(long))], 0) != nil {
				return all
			}
		case "take":
			if _, err := q.Take(background, nil, me, nil, 0); err != nil {
				return all
			}
		case "lease":
			if _, err := q.Lease(background, nil, me, 0); err != nil {
				return all
			}
		default:
			l := shm.Lease{Slot: held[n].Slot, Seq: held[n].Seq}
			if verb == "ack" {
				must(0, q.Ack(background, nil, me, l, 0))
			} else {
				must(0, q.Nack(background, nil, me, l, 0))
			}
		}
		all = append(all, outcome(im.clone()))
	}
	return all
}

// outcome recovers the image of a dead victim, twice, empties it, fills it, and
// tells what came out in which order.
func outcome(im *images) string {
	q := im.object.Queue().WithSides(newReplaySides())
	header := &page(im.object).Header
	header.DaemonEpoch++ // the daemon is dead as well
	victim := shm.Victim{Owner: actor(victimSeat).Seat, NowNs: 9,
		Alive:  func(owner uint32) bool { return owner == actor(liveSeat).Seat },
		Daemon: shm.OwnerWord(shm.SeatDaemon, header.DaemonEpoch)}
	for range 2 {
		if _, done := im.object.Recover(victim); !done {
			return "error: recovery is not done"
		}
	}
	if im.object.Waiting(victimSeat) != 0 || len(q.Held(actor(victimSeat).Seat, 9)) != 0 ||
		queueLines(im.object).PutLatch|queueLines(im.object).TakeLatch != 0 {
		return "error: the dead client still waits, holds, or has the latch"
	}
	if im.object.State() != shm.StateLive {
		return im.object.State().String()
	}
	text, err := empty(q)
	if err != nil {
		return fmt.Sprint("error: ", err)
	}
	return text
}

func empty(q *shm.Queue) (string, error) {
	me := actor(liveSeat)
	was, err := q.Counts(background, nil, me, 0)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%+v", was)
	for _, next := range []func() (shm.Lease, error){
		func() (shm.Lease, error) { return q.Lease(background, nil, me, 0) },
		func() (shm.Lease, error) { return q.TakeDead(background, nil, me, 0) },
	} {
		for {
			l, err := next()
			if err == status.WouldBlock || err == status.Ended {
				break
			}
			if err != nil {
				return "", err
			}
			text += fmt.Sprintf(" %.4q delivered %d;", q.Message(l), l.Deliveries)
			if err := q.Ack(background, nil, me, l, 0); err != nil {
				return "", err
			}
		}
	}
	if was.Closed {
		return text, nil
	}
	for range was.Ready + was.Dead + was.Free {
		if err := q.Put(background, nil, me, []byte("z"), 0); err != nil {
			return "", err
		}
	}
	if err := q.Put(background, nil, me, nil, 0); err != status.WouldBlock {
		return "", errors.Join(errors.New("one more than it holds"), err)
	}
	return text, nil
}

// What shmd.h promises of queues, with sanitizers; and, because those make system
// calls of their own, once more without.
func TestQueueBehaviour(t *testing.T) {
	behave(t, program(t, "queues", sanitized(t)...))
	behave(t, program(t, "queues"))
}

func TestQueueRoles(t *testing.T) { behave(t, program(t, "queue_roles", sanitized(t)...)) }

func TestQueueBatches(t *testing.T) { behave(t, program(t, "batches", sanitized(t)...)) }

// Somebody writes random words all over a queue that C clients use; see
// probe/scribbler.c.
func TestQueueScribbler(t *testing.T) {
	if os.Getenv("SHMD_SANITIZE") == "thread" {
		t.Skip("messages are plain memory, and whoever scribbles over them races with who reads them")
	}
	seed := fmt.Sprint(time.Now().UnixNano())
	t.Log("seed ", seed)
	probe := program(t, "scribbler", sanitized(t)...)
	for _, name := range []string{"", timedName} {
		im := newImages(t, scenario{name: name, kind: shm.KindQueue, flags: shm.FlagRaw})
		path := filepath.Join(t.TempDir(), "object")
		must(0, os.WriteFile(path, im.object.Bytes(), 0o600))
		text, err := harness.Command(probe, path, seed).CombinedOutput()
		if err != nil || string(text) != "ok\n" {
			t.Errorf("%s%v\n%s", name, err, text)
		}
	}
}
