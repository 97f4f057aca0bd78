package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shmd/shmd/tests/rivals/adapter"
)

const (
	publishPendingMax = 4096      // messages on their way to a stream
	ackWait           = time.Hour // nobody who takes a message dies: it is never sent again
	incrementHeader   = "Nats-Incr"
)

// streams is a connection that uses JetStream.
type streams struct {
	*link
	jetstream.JetStream
	ctx context.Context
}

func newStreams(l *link) (*streams, error) {
	js, err := jetstream.New(l.Conn, jetstream.WithPublishAsyncMaxPending(min(publishPendingMax, 4*l.QueueMax())),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { adapter.Fail(err) }))
	return &streams{l, js, context.Background()}, err
}

// stream is the name of one.
func (s *streams) stream(name string) string { return s.name + "-" + name }

// make makes a work queue, in which a message is until it is acknowledged, and its consumer.
func (s *streams) make(name string) error {
	stream, err := s.CreateStream(s.ctx, jetstream.StreamConfig{
		Name: s.stream(name), Subjects: []string{s.subject(name)},
		Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy,
	})
	if err != nil {
		return err
	}
	_, err = stream.CreateConsumer(s.ctx, jetstream.ConsumerConfig{
		Durable: "takers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: -1,
		MemoryStorage: true,
	})
	return err
}

// open makes the work queues, if this process is the one, and opens the consumer of one.
func (s *streams) open(consumed string, all ...string) (jetstream.Consumer, error) {
	if s.Makes {
		for _, name := range all {
			if err := s.make(name); err != nil {
				return nil, err
			}
		}
	}
	return s.Consumer(s.ctx, s.stream(consumed), "takers")
}

// consume gives as many messages to handle, which acknowledges nothing, and returns after
// the last one.
func (s *streams) consume(consumer jetstream.Consumer, count uint64, handle func(message []byte) error) error {
	done := make(chan error, 1)
	left := count
	consuming, err := consumer.Consume(func(message jetstream.Msg) {
		err := handle(message.Data())
		if err == nil {
			err = message.Ack()
		}
		if left--; left == 0 || err != nil {
			s.Ended(adapter.NowNS()) // to stop takes longer
			done <- err
		}
	}, jetstream.StopAfter(int(count)), jetstream.PullMaxMessages(s.QueueMax()))
	if err != nil {
		return err
	}
	err = <-done
	<-consuming.Closed()
	return err
}

// --- round trips ------------------------------------------------------------

// player is ping or pong. Each puts the next message when one has come.
type player struct {
	*streams
	consumer jetstream.Consumer
	to       string
	isPing   bool
	message  []byte
	checker  *adapter.Checker
}

func openStreamPing(l *link) (adapter.Session, error) { return openPlayer(l, true, "back", "there") }

func openStreamPong(l *link) (adapter.Session, error) { return openPlayer(l, false, "there", "back") }

func openPlayer(l *link, isPing bool, from, to string) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	consumer, err := s.open(from, from, to)
	return &player{s, consumer, s.subject(to), isPing, l.NewMessage(), l.NewChecker()}, err
}

func (p *player) put(i uint64) error {
	_, err := p.PublishAsync(p.to, p.Message(p.message, i))
	return err
}

func (p *player) Run(count uint64) error {
	i, end := p.Done, p.Done+count
	if p.isPing {
		if err := p.put(i); err != nil {
			return err
		}
	}
	return p.consume(p.consumer, count, func(message []byte) error {
		if err := p.checker.Check(message, i); err != nil {
			return err
		}
		i++
		p.Sample()
		switch {
		case !p.isPing:
			return p.put(i - 1)
		case i < end:
			return p.put(i)
		}
		return nil
	})
}

func (p *player) Close() error { return p.close() }

// --- one way ----------------------------------------------------------------

func openStreamPut(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	if _, err := s.open("queue", "queue"); err != nil {
		return nil, err
	}
	return &streamPut{s, l.NewMessage()}, nil
}

// streamPut is a producer.
type streamPut struct {
	*streams
	message []byte
}

func (p *streamPut) Run(count uint64) error {
	subject := p.subject("queue")
	for i := p.Done; i < p.Done+count; i++ {
		message := p.Message(p.message, p.Number(i))
		var err error
		if p.Batch > 1 {
			_, err = p.PublishAsync(subject, message)
		} else {
			_, err = p.JetStream.Publish(p.ctx, subject, message)
		}
		if err != nil {
			return err
		}
	}
	<-p.PublishAsyncComplete()
	return nil
}

func (p *streamPut) Close() error { return p.close() }

// streamTake is a consumer.
type streamTake struct {
	*streams
	consumer jetstream.Consumer
	checker  *adapter.Checker
}

func openStreamTake(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	consumer, err := s.open("queue")
	return &streamTake{s, consumer, l.NewChecker()}, err
}

func (t *streamTake) Run(count uint64) error {
	i := t.Done
	return t.consume(t.consumer, count, func(message []byte) error {
		i++
		return t.checker.Check(message, t.Expected(i-1))
	})
}

func (t *streamTake) Close() error { return t.close() }

// --- counter, value, idle, memory ---------------------------------------------

func openCounter(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	if l.Makes {
		if _, err := s.CreateStream(s.ctx, jetstream.StreamConfig{
			Name: s.stream("counters"), Subjects: []string{s.subject("counter")},
			Storage: jetstream.MemoryStorage, AllowMsgCounter: true, AllowDirect: true, MaxMsgsPerSubject: 1,
		}); err != nil {
			return nil, err
		}
	}
	increment := &nats.Msg{Subject: s.subject("counter"), Header: nats.Header{incrementHeader: {"+1"}}}
	return adapter.Turns(l.Row, func(uint64) error {
		_, err := s.PublishMsg(s.ctx, increment)
		return err
	}, l.close), nil
}

// bucket makes the bucket of values, if this process is the one, and opens it.
func (s *streams) bucket() (jetstream.KeyValue, error) {
	if s.Makes {
		return s.CreateKeyValue(s.ctx, jetstream.KeyValueConfig{
			Bucket: s.stream("values"), Storage: jetstream.MemoryStorage, History: 1,
		})
	}
	return s.KeyValue(s.ctx, s.stream("values"))
}

func openValue(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	key, value := "value"+strconv.Itoa(l.Index), make([]byte, 8)
	return adapter.Turns(l.Row, func(i uint64) error {
		binary.LittleEndian.PutUint64(value, i)
		if _, err := bucket.Put(s.ctx, key, value); err != nil {
			return err
		}
		got, err := bucket.Get(s.ctx, key)
		if err == nil && (len(got.Value()) != 8 || binary.LittleEndian.Uint64(got.Value()) != i) {
			err = fmt.Errorf("read %x after %x was written", got.Value(), value)
		}
		return err
	}, l.close), nil
}

// streamSleeper waits for what nobody puts.
type streamSleeper struct {
	*streams
	consumer jetstream.Consumer
}

func openStreamSleeper(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	consumer, err := s.open("queue", "queue")
	return &streamSleeper{s, consumer}, err
}

func (s *streamSleeper) Run(count uint64) error {
	if err := adapter.Say("waiting"); err != nil {
		return err
	}
	return s.consume(s.consumer, count, func([]byte) error { return nil })
}

func (s *streamSleeper) Close() error { return s.close() }

// openStreamMaker makes values: keys of one bucket.
func openStreamMaker(l *link) (adapter.Session, error) {
	s, err := newStreams(l)
	if err != nil {
		return nil, err
	}
	bucket, err := s.bucket()
	if err != nil {
		return nil, err
	}
	value := make([]byte, 8)
	return adapter.Turns(l.Row, func(i uint64) error {
		_, err := bucket.Put(s.ctx, "value"+strconv.FormatUint(i, 10), value)
		return err
	}, l.close), nil
}
