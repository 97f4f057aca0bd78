package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// deed is one of the things that can be done to an object. Its turn says how many, and of
// how many bytes.
type deed struct {
	name string
	do   func(ctx context.Context, turn int) error
}

const (
	kindBytes = "bytes" // here: a pipe of them

	worryLong = messageLong + 200 // of a queue: in a side segment
	worryRing = 4096              // bytes of a ring
	worryMany = 3
)

// explainedOfQueues and explainedOfRings are the answers that a scribbler can bring about:
// LOST is a side segment of another number, INVALID a commit or advance of what is not there.
var (
	explainedOfQueues = []status.Code{status.OK, status.WouldBlock, status.TimedOut, status.Ended, status.NotOwner,
		status.Corrupt, status.TooLarge, status.Lost}
	explainedOfRings = []status.Code{status.OK, status.WouldBlock, status.TimedOut, status.Ended, status.PeerDied,
		status.NotOwner, status.Taken, status.Corrupt, status.TooLarge, status.Invalid}
)

// worry does everything to an object that somebody scribbles over, until it is destroyed,
// and says how often it was answered what. role is what it claims of a stream or a pipe;
// slot is where in the array "data" it counts what it has done. c/worry.h does the same.
func worry(o opens, kind, name, role, slot string) string {
	books, err := o.atoms("data")
	if err != nil {
		return done(err)
	}
	own, err := strconv.Atoi(slot)
	if err != nil {
		return done(err)
	}
	deeds, err := o.deeds(kind, name, role)
	fmt.Println("ok")
	if errors.Is(err, status.Corrupt) || errors.Is(err, status.Removed) {
		return "worried" // it is too late
	} else if err != nil {
		return done(err)
	}
	explained := explainedOfRings
	if kind == wire.KindQueue {
		explained = explainedOfQueues
	}
	answers := make(map[status.Code]int)
	for turn := 0; ; turn++ {
		d := deeds[turn%len(deeds)]
		err := d.soon(turn)
		code := status.Of(err)
		if code == status.Removed {
			fmt.Fprintln(os.Stderr, "worry ends with", d.name, err) // shown if it is too early
			break
		}
		if !slices.Contains(explained, code) {
			return done(fmt.Errorf("%s: %w", d.name, err))
		}
		answers[code]++
		if _, err := books.add(cellSlots+own, 1); err != nil {
			return done(err)
		}
	}
	line := "worried"
	for _, code := range explained {
		line += fmt.Sprintf(" %s=%d", code.Name(), answers[code])
	}
	return line
}

// soon does it and waits no longer than tryTime.
func (d deed) soon(turn int) error {
	ctx, cancel := context.WithTimeout(context.Background(), tryTime)
	defer cancel()
	return d.do(ctx, turn)
}

// worryMessage is a message of some length up to most.
func worryMessage(turn, most int) []byte { return make([]byte, turn*37%(most+1)) }

func worryMessages(turn, most int) [][]byte {
	messages := make([][]byte, 1+turn%worryMany)
	for i := range messages {
		messages[i] = worryMessage(turn+i, most)
	}
	return messages
}

// look reads all of some messages: they must be there to be read.
func look(messages ...[]byte) {
	for _, m := range messages {
		if len(m) > 0 {
			_ = slices.Max(m)
		}
	}
}

// --- In mapped memory.

func (o mappedOpens) deeds(kind, name, role string) ([]deed, error) {
	ctx := context.Background()
	switch kind {
	case wire.KindQueue:
		q, err := shmd.OpenQueue(ctx, o.client, name)
		return queueDeeds(q), err
	case wire.KindStream:
		s, err := shmd.OpenStream(ctx, o.client, name)
		return streamDeeds(s, role), err
	}
	p, err := shmd.OpenPipe(ctx, o.client, name)
	return pipeDeeds(p, kind, role), err
}

func queueDeeds(q *shmd.Queue) []deed {
	// ends ends leases that were taken together, in some way, or leaves them.
	ends := func(turn int, all []*shmd.Lease) (err error) {
		for _, l := range all {
			look(l.Message())
		}
		switch turn % 4 {
		case 0:
			_, err = q.AckMany(all)
		case 1:
			_, err = q.NackMany(all)
		case 2:
			err = errors.Join(all[0].Extend(time.Second), all[0].Ack(), all[0].Nack())
		}
		return err
	}
	return []deed{
		{"put", func(ctx context.Context, turn int) error { return q.Put(ctx, worryMessage(turn, worryLong)) }},
		{"put_many", func(ctx context.Context, turn int) error {
			_, err := q.PutMany(ctx, worryMessages(turn, worryLong))
			return err
		}},
		{"reserve", func(ctx context.Context, turn int) error {
			r, err := q.ReserveSize(ctx, turn%worryLong)
			if err != nil {
				return err
			}
			n := copy(r.Buffer(), worryMessage(turn, worryLong))
			if turn%2 == 0 {
				return errors.Join(r.Commit(n), r.Abort())
			}
			return errors.Join(r.Abort(), r.Commit(n))
		}},
		{"take", func(ctx context.Context, _ int) error {
			m, err := q.Take(ctx)
			look(m)
			return err
		}},
		{"take_many", func(ctx context.Context, turn int) error {
			messages, err := q.TakeMany(ctx, nil, 1+turn%worryMany)
			look(messages...)
			return err
		}},
		{"lease_many", func(ctx context.Context, turn int) error {
			all, err := q.LeaseMany(ctx, nil, 1+turn%worryMany)
			if err != nil {
				return err
			}
			return ends(turn, all)
		}},
		{"join", func(ctx context.Context, _ int) error { return q.Join(ctx) }},
		{"counts", func(context.Context, int) error {
			_, err := q.Counts()
			return err
		}},
		{"take_dead", func(_ context.Context, turn int) error {
			l, err := q.TakeDead()
			if err != nil {
				return err
			}
			return ends(turn, []*shmd.Lease{l})
		}},
		{"redeliver", func(context.Context, int) error {
			_, err := q.Redeliver()
			return err
		}},
	}
}

// --- Over the socket alone.

func (o socketOpens) deeds(kind, name, role string) ([]deed, error) {
	open := kind
	if kind == kindBytes {
		open = wire.KindPipe
	}
	r, err := o.remote(open, name)
	if kind == wire.KindQueue {
		return remotePipe{r}.deeds(), err
	}
	return r.ringDeeds(kind, role), err
}

func (p remotePipe) deeds() []deed {
	const timeout = int64(tryTime)
	// ends ends leases that were taken together, in some way, or leaves them.
	ends := func(turn int, leases ...wire.Lease) error {
		all := make([]any, len(leases))
		for i, l := range leases {
			all[i] = l.Lease
		}
		switch turn % 4 {
		case 0:
			return p.call(wire.MethodAckMany, nil, all)
		case 1:
			return p.call(wire.MethodNackMany, nil, all)
		case 2:
			return errors.Join(p.call(wire.MethodExtend, nil, all[0], int64(time.Second)),
				p.call(wire.MethodAck, nil, all[0]), p.call(wire.MethodNack, nil, all[0]))
		}
		return nil
	}
	return []deed{
		{"put", func(_ context.Context, turn int) error { return p.put(worryMessage(turn, worryLong), tryTime) }},
		{"put_many", func(_ context.Context, turn int) error {
			return p.call(wire.MethodPutMany, nil, worryMessages(turn, worryLong), timeout)
		}},
		{"take", func(context.Context, int) error { return p.call(wire.MethodTake, nil, timeout) }},
		{"take_many", func(_ context.Context, turn int) error {
			return p.call(wire.MethodTakeMany, nil, 1+turn%worryMany, timeout)
		}},
		{"lease_many", func(_ context.Context, turn int) error {
			var leases []wire.Lease
			if err := p.call(wire.MethodLeaseMany, &leases, 1+turn%worryMany, timeout); err != nil {
				return err
			}
			return ends(turn, leases...)
		}},
		{"join", func(context.Context, int) error { return p.call(wire.MethodJoin, nil, timeout) }},
		{"counts", func(context.Context, int) error { return p.call(wire.MethodCounts, nil) }},
		{"take_dead", func(_ context.Context, turn int) error {
			var l wire.Lease
			if err := p.call(wire.MethodTakeDead, &l); err != nil {
				return err
			}
			return ends(turn, l)
		}},
		{"redeliver", func(context.Context, int) error { return p.call(wire.MethodRedeliver, nil) }},
	}
}
