package clib

import (
	"bytes"
	"context"
	"os"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// sideNumber is the number of every side segment in the replay of queues; other
// numbers stand for what the daemon, which is not there, would have to map.
const sideNumber = 7

// replaySides is what the C program's client has: one side segment is mapped, and
// nobody can be asked for another.
type replaySides struct {
	side  *shm.Side
	makes bool // somebody made one before the daemon went
}

func newReplaySides() *replaySides { return &replaySides{side: shm.NewHeapSide(8192)} }

func (s *replaySides) Mapped(_, number uint32) *shm.Side {
	if number != sideNumber {
		return nil
	}
	return s.side
}

func (s *replaySides) Make(context.Context, shm.Reservation, uint32) (uint32, *shm.Side, error) {
	if !s.makes {
		return 0, nil, status.Lost
	}
	return sideNumber, s.side, nil
}

func (s *replaySides) Find(_ context.Context, _, number uint32) (*shm.Side, error) {
	if number != sideNumber {
		return nil, status.Lost
	}
	return s.side, nil
}

// sideMessage: as messages, but the first that is ready lies in a side segment.
func sideMessage(im *images) {
	messages(im)
	d := descOf(im.object, 1)
	d.Length, d.Side = 5000, sideNumber
}

// sideChanged is sideMessage with other words about where it lies.
func sideChanged(length, side uint32) func(*images) {
	return func(im *images) {
		sideMessage(im)
		d := descOf(im.object, 1)
		d.Length, d.Side = length, side
	}
}

// sideFree is messages, and the next free slot has a side segment.
func sideFree(side uint32) func(*images) {
	return func(im *images) {
		messages(im)
		descOf(im.object, 3).Side = side
	}
}

// sideBehind is messages, and of two slots that are free the one that is used later has a
// side segment.
func sideBehind(im *images) {
	messages(im)
	q := im.object.Queue()
	for range 2 {
		must(q.Take(background, nil, actor(liveSeat), nil, 0))
	}
	descOf(im.object, 2).Side = sideNumber
}

// sideStaleLatch: whoever comes next has to rebuild, from what is sound or not.
func sideStaleLatch(length, side uint32) func(*images) {
	return func(im *images) {
		olderQueueLatch(im)
		d := descOf(im.object, 1)
		d.Length, d.Side = length, side
	}
}

var sideScenarios = []scenario{
	{"put into a side without a daemon", shm.KindQueue, shm.FlagRaw, 0, messages, "", "put-5000=-7 put-601=-7"},
	{"commit a side", shm.KindQueue, shm.FlagRaw, 0, sleepers, "reserve-side", "commit-5000"},
	{"commit little of a side", shm.KindQueue, shm.FlagRaw, 0, sleepers, "reserve-side", "commit-601"},
	{"commit too much", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve", "commit-601=-37 commit-600"},
	{"commit a side again", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve-side commit-5000 take",
		"commit-600 abort=-32"},
	{"commit of a side what fits the slot", shm.KindQueue, shm.FlagRaw, 0, messages, "reserve-side", "commit-600"},
	{"abort a side", shm.KindQueue, shm.FlagRaw, 0, sleepers, "reserve-side", "abort"},
	{"put where a side was", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "take", "put-3"},
	{"reserve the side that the slot has", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "take", "reserve-long"},
	{"commit of the side that the slot has", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "take reserve-long",
		"commit-5000"},
	{"reserve a side that is not mapped", shm.KindQueue, shm.FlagRaw, 0, sideFree(8), "", "reserve-long=-7"},
	{"reserve a slot that is not the first", shm.KindQueue, shm.FlagRaw, 0, sideBehind, "",
		"reserve-long commit-5000 take"},
	{"abort where the slot was not the first", shm.KindQueue, shm.FlagRaw, 0, sideBehind, "reserve-long",
		"abort put-3 put-3 take"},
	{"lease a side", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "", "lease"},
	{"ack a side", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "lease", "ack"},
	{"nack a side", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "lease", "nack"},
	{"take from a side", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "", "take take"},
	{"a dead letter in a side", shm.KindQueue, shm.FlagRaw, 0, sideMessage, "lease nack lease nack", "take-dead"},
	{"lease a side that is not mapped", shm.KindQueue, shm.FlagRaw, 0, sideChanged(5000, 8), "",
		"lease=-7 take=-7 take-dead=-7 take"},
	{"scribbled: no side", shm.KindQueue, shm.FlagRaw, 0, sideChanged(601, 0), "", noneTaken},
	{"take what lies in a slot that has a side", shm.KindQueue, shm.FlagRaw, 0, sideChanged(500, sideNumber), "",
		"take"},
	{"scribbled: longer than all", shm.KindQueue, shm.FlagRaw, 0, sideChanged(5001, sideNumber), "", noneTaken},
	{"rebuild with a side", shm.KindQueue, shm.FlagRaw, 0, sideStaleLatch(5000, sideNumber), "", "take take"},
	{"rebuild without the side", shm.KindQueue, shm.FlagRaw, 0, sideStaleLatch(601, 0), "", "put-3=-42 take"},
	{"rebuild with a side of a short message", shm.KindQueue, shm.FlagRaw, 0, sideStaleLatch(500, sideNumber), "",
		"take"},
}

// What shmd.h promises of messages longer than a slot, with sanitizers.
func TestSideBehaviour(t *testing.T) {
	path := program(t, "sides", sanitized(t)...)
	behave(t, path)
	daemon := harness.StartDaemon(t)
	command := harness.Command(path, "lost")
	command.Env = append(os.Environ(), "SHMD_SOCKET="+daemon.Socket)
	probe := harness.StartCmd(t, command)
	probe.Expect("kill")
	daemon.Kill()
	probe.Send("")
	probe.Expect("ok")
	probe.MustEnd()
}

// Long messages from Go through C back to Go, and likewise over the socket alone.
func TestSideExchange(t *testing.T) {
	const messageMax = 3 << 20
	ctx, cancel := context.WithTimeout(background, harness.Patience)
	defer cancel()
	daemon := harness.StartDaemon(t)
	c := daemon.Dial(t)
	options := shmd.QueueOptions{MaxSize: 2, SlotSize: 64, MessageMax: messageMax, Raw: true}
	in := must(shmd.CreateQueue(ctx, c, "c/in", options))
	out := must(shmd.CreateQueue(ctx, c, "c/out", options))
	remote := daemon.Dial(t)
	handle := func(name string) uint64 {
		var opened wire.Attachment
		if err := remote.Call(ctx, wire.MethodOpen, &opened, name); err != nil {
			t.Fatal(err)
		}
		return opened.Handle
	}
	remoteIn, remoteOut := handle("c/in"), handle("c/out")
	command := harness.Command(program(t, "sides", sanitized(t)...), "echo")
	command.Env = append(os.Environ(), "SHMD_SOCKET="+daemon.Socket)
	probe := harness.StartCmd(t, command)
	probe.Expect("ready")
	for i, size := range []int{0, 64, 65, 4097, 1 << 20, messageMax, 5000} {
		message := bytes.Repeat([]byte{byte(i), 1, 2, 3, 5, 7, 11}, size/7+1)[:size]
		if err := in.Put(ctx, message); err != nil {
			t.Fatal(err)
		}
		if got, err := out.Take(ctx); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		if size > 900<<10 {
			message = message[:900<<10] // what a message of the protocol holds
		}
		if err := remote.Call(ctx, wire.MethodPut, nil, remoteIn, message); err != nil {
			t.Fatal(err)
		}
		var got []byte
		if err := remote.Call(ctx, wire.MethodTake, &got, remoteOut); err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes came back over the socket as %d, %v", len(message), len(got), err)
		}
	}
	if err := in.Shutdown(); err != nil {
		t.Error(err)
	}
	probe.MustEnd()
	for _, q := range []*shmd.Queue{in, out} {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}
