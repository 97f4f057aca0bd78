package main

import (
	"context"
	"errors"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/tests/rivals/adapter"
)

// inPlaceBytes: longer messages are not copied.
const inPlaceBytes = 4096

// way is one direction: a queue, or either end of a stream.
type way struct {
	*client
	queue    *shmd.Queue
	stream   *shmd.Stream
	producer *shmd.StreamProducer
	consumer *shmd.StreamConsumer

	message []byte
	writer  *adapter.Writer
	checker *adapter.Checker
	buffer  []byte // empty, with room for a message
	again   error  // what says to try again
	inPlace bool
}

// capacityBytes is what a stream needs for as many messages as a queue holds.
func capacityBytes(row *adapter.Row) uint32 {
	bytes := uint32(64 << 10)
	for int(bytes) < row.QueueMax()*(row.SizeBytes+8) {
		bytes *= 2
	}
	return bytes
}

func (c *client) open(name string, produces bool) (_ *way, err error) {
	w := &way{client: c, message: c.NewMessage(), writer: c.NewWriter(), checker: c.NewChecker(),
		inPlace: c.SizeBytes > inPlaceBytes}
	if !w.inPlace {
		w.buffer = make([]byte, 0, c.SizeBytes)
	}
	if c.Mode != "stream" {
		slot := c.SizeBytes
		if w.inPlace {
			slot = 64
		}
		w.queue, err = shmd.OpenOrCreateQueue(c.ctx, c.Client, c.name(name), shmd.QueueOptions{Raw: true,
			MaxSize: uint32(c.QueueMax()), SlotSize: uint32(slot), MessageMax: uint32(c.SizeBytes)})
		return w, err
	}
	if w.stream, err = shmd.OpenOrCreateStream(c.ctx, c.Client, c.name(name),
		shmd.StreamOptions{CapacityBytes: capacityBytes(c.Row)}); err != nil {
		return nil, err
	}
	if produces {
		w.producer, err = w.stream.Producer(c.ctx)
	} else {
		w.consumer, err = w.stream.Consumer(c.ctx)
	}
	return w, err
}

func (w *way) close() error {
	if w.stream != nil {
		return w.stream.Close()
	}
	return w.queue.Close()
}

// patiently calls wait, or with wait=spin try until it succeeds.
func patiently[T any](w *way, try func() (T, error), wait func(ctx context.Context) (T, error)) (T, error) {
	if !w.Spins {
		return wait(w.ctx)
	}
	for {
		if got, err := try(); !w.isAgain(err) {
			return got, err
		}
	}
}

func (w *way) put(number uint64) error {
	if w.inPlace {
		return w.putInPlace(number)
	}
	message := w.Message(w.message, number)
	switch {
	case w.Spins:
		return w.putSpinning(message)
	case w.producer != nil:
		return w.producer.Send(w.ctx, message)
	}
	return w.queue.Put(w.ctx, message)
}

func (w *way) putInPlace(number uint64) error {
	size := w.SizeBytes
	if w.producer != nil {
		place, err := patiently(w, func() ([]byte, error) { return w.producer.TryReserve(size) },
			func(ctx context.Context) ([]byte, error) { return w.producer.Reserve(ctx, size) })
		if err != nil {
			return err
		}
		w.writer.Fill(place, number)
		return w.producer.Commit(size)
	}
	place, err := patiently(w, func() (*shmd.Reservation, error) { return w.queue.TryReserveSize(size) },
		func(ctx context.Context) (*shmd.Reservation, error) { return w.queue.ReserveSize(ctx, size) })
	if err != nil {
		return err
	}
	w.writer.Fill(place.Buffer(), number)
	return place.Commit(size)
}

func (w *way) putSpinning(message []byte) error {
	for {
		var err error
		if w.producer != nil {
			err = w.producer.TrySend(message)
		} else {
			err = w.queue.TryPut(message)
		}
		if !w.isAgain(err) {
			return err
		}
	}
}

// isAgain reports whether an error says to try again. In a loop it is mostly the one of the
// last time.
func (w *way) isAgain(err error) bool {
	return err != nil && (err == w.again || w.saysAgain(err))
}

func (w *way) saysAgain(err error) bool {
	if !errors.Is(err, shmd.ErrWouldBlock) {
		return false
	}
	w.again = err
	return true
}

func (w *way) take(number uint64) (err error) {
	if w.inPlace {
		return w.takeInPlace(number)
	}
	var message []byte
	switch {
	case w.Spins:
		message, err = w.takeSpinning()
	case w.consumer != nil:
		message, err = w.consumer.RecvAppend(w.ctx, w.buffer)
	default:
		message, err = w.queue.TakeAppend(w.ctx, w.buffer)
	}
	if err != nil {
		return err
	}
	return w.checker.Check(message, number)
}

func (w *way) takeInPlace(number uint64) error {
	if w.consumer != nil {
		message, err := patiently(w, w.consumer.TryPeek, w.consumer.Peek)
		if err != nil {
			return err
		}
		return errors.Join(w.checker.Check(message, number), w.consumer.Advance(1))
	}
	lease, err := patiently(w, w.queue.TryLease, w.queue.Lease)
	if err != nil {
		return err
	}
	return errors.Join(w.checker.Check(lease.Message(), number), lease.Ack())
}

func (w *way) takeSpinning() (message []byte, err error) {
	for {
		if w.consumer != nil {
			message, err = w.consumer.TryRecvAppend(w.buffer)
		} else {
			message, err = w.queue.TryTakeAppend(w.buffer)
		}
		if !w.isAgain(err) {
			return message, err
		}
	}
}

// openTrip opens both ways of a side.
func openTrip(row *adapter.Row, trips func(there, back *way, first, count uint64) error) (adapter.Session, error) {
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	there, err := c.open("there", row.Makes)
	if err != nil {
		return nil, err
	}
	back, err := c.open("back", !row.Makes)
	if err != nil {
		return nil, err
	}
	return adapter.Loop(row, func(first, count uint64) error { return trips(there, back, first, count) },
		func() error { return errors.Join(there.close(), back.close(), c.Close()) }), nil
}

func openPing(row *adapter.Row) (adapter.Session, error) {
	return openTrip(row, func(there, back *way, first, count uint64) error {
		for i := range count {
			if err := there.put(first + i); err != nil {
				return err
			}
			if err := back.take(first + i); err != nil {
				return err
			}
		}
		return nil
	})
}

func openPong(row *adapter.Row) (adapter.Session, error) {
	return openTrip(row, func(there, back *way, first, count uint64) error {
		for i := range count {
			if err := there.take(first + i); err != nil {
				return err
			}
			if err := back.put(first + i); err != nil {
				return err
			}
		}
		return nil
	})
}

// openOneWay opens the way there.
func openOneWay(row *adapter.Row, produces bool) (*way, error) {
	if row.Mode == "stream" && row.Producers*row.Consumers > 1 {
		return nil, adapter.Unsupported("a stream has one producer and one consumer")
	}
	c, err := connect(row)
	if err != nil {
		return nil, err
	}
	return c.open("there", produces)
}

func (w *way) end() error { return errors.Join(w.close(), w.Client.Close()) }

func openPut(row *adapter.Row) (adapter.Session, error) {
	w, err := openOneWay(row, true)
	if err != nil {
		return nil, err
	}
	if row.Batch == 1 {
		return adapter.Loop(row, func(first, count uint64) error {
			for i := range count {
				if err := w.put(row.Number(first + i)); err != nil {
					return err
				}
			}
			return nil
		}, w.end), nil
	}
	messages := make([][]byte, row.Batch)
	for i := range messages {
		messages[i] = row.NewMessage()
	}
	return adapter.Batches(row, func(first, count uint64) error {
		for i := range count {
			row.Message(messages[i], row.Number(first+i))
		}
		for some := messages[:count]; len(some) > 0; {
			n, err := w.putMany(some)
			if err != nil && !(w.Spins && w.isAgain(err)) {
				return err
			}
			some = some[n:]
		}
		return nil
	}, w.end), nil
}

func (w *way) putMany(messages [][]byte) (int, error) {
	switch {
	case w.producer != nil && w.Spins:
		return w.producer.TrySendMany(messages)
	case w.producer != nil:
		return w.producer.SendMany(w.ctx, messages)
	case w.Spins:
		return w.queue.TryPutMany(messages)
	}
	return w.queue.PutMany(w.ctx, messages)
}

func openTake(row *adapter.Row) (adapter.Session, error) {
	w, err := openOneWay(row, false)
	if err != nil {
		return nil, err
	}
	if row.Batch == 1 {
		return adapter.Loop(row, func(first, count uint64) error {
			for i := range count {
				if err := w.take(row.Expected(first + i)); err != nil {
					return err
				}
			}
			return nil
		}, w.end), nil
	}
	return &batches{way: w, messages: make([][]byte, 0, row.Batch),
		space: make([]byte, 0, int(row.Batch)*row.SizeBytes)}, nil
}

// batches takes as many messages in a call as there are, up to a batch.
type batches struct {
	*way
	messages [][]byte
	space    []byte
}

func (b *batches) Run(count uint64) error {
	for i := b.Done; i < b.Done+count; {
		if err := b.takeMany(int(min(b.Batch, b.Done+count-i))); err != nil {
			return err
		}
		for _, message := range b.messages {
			if err := b.checker.Check(message, b.Expected(i)); err != nil {
				return err
			}
			i++
		}
		if b.consumer != nil {
			if err := b.consumer.Advance(len(b.messages)); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeMany tries once with wait=spin, and else waits.
func (b *batches) takeMany(most int) (err error) {
	switch {
	case b.consumer != nil && b.Spins:
		b.messages, err = b.consumer.TryPeekManyAppend(b.messages[:0], most)
	case b.consumer != nil:
		b.messages, err = b.consumer.PeekManyAppend(b.ctx, b.messages[:0], most)
	case b.Spins:
		b.messages, b.space, err = b.queue.TryTakeManyAppend(b.messages[:0], b.space[:0], most)
	default:
		b.messages, b.space, err = b.queue.TakeManyAppend(b.ctx, b.messages[:0], b.space[:0], most)
	}
	if b.Spins && b.isAgain(err) {
		return nil // none
	}
	return err
}

func (b *batches) Close() error { return b.end() }

// sleeper takes from a queue that nobody puts into.
type sleeper struct{ *way }

func openSleeper(row *adapter.Row) (adapter.Session, error) {
	w, err := openOneWay(row, false)
	return sleeper{w}, err
}

func (s sleeper) Run(uint64) error {
	if err := adapter.Say("waiting"); err != nil {
		return err
	}
	return s.take(adapter.Any)
}

func (s sleeper) Close() error { return s.end() }
