package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
)

// calm are objects of the same daemon that nobody scribbles over. Each holds one message
// that is behind the times by one turn.
type calm struct {
	t         *testing.T
	bystander *client
	queue     *shmd.Queue
	stream    *shmd.Stream
	producer  *shmd.StreamProducer
	consumer  *shmd.StreamConsumer
	pipe      *shmd.Pipe
	ends      [2]*shmd.PipeEnd
	last      []byte
}

func newCalm(t *testing.T, s *scene) *calm {
	t.Helper()
	ctx := t.Context()
	c := &calm{t: t, bystander: s.start(flavourC, nil)}
	c.bystander.do("open array data", "ok")
	var errs [7]error
	c.queue, errs[0] = shmd.CreateQueue(ctx, s.ctl, "calm-queue", shmd.QueueOptions{Raw: true})
	c.stream, errs[1] = shmd.CreateStream(ctx, s.ctl, "calm-stream", shmd.StreamOptions{})
	c.pipe, errs[2] = shmd.CreatePipe(ctx, s.ctl, "calm-pipe", shmd.PipeOptions{})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	c.producer, errs[3] = c.stream.Producer(ctx)
	c.consumer, errs[4] = c.stream.Consumer(ctx)
	c.ends[0], errs[5] = c.pipe.End(ctx, shmd.EndA)
	c.ends[1], errs[6] = c.pipe.End(ctx, shmd.EndB)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return c
}

// works uses them all: what was put in the turn before is there, and nothing else.
func (c *calm) works(turn int) {
	c.t.Helper()
	c.bystander.do("lock data", "held")
	c.bystander.do(fmt.Sprintf("set data 0 %d", turn), "ok")
	c.bystander.do("unlock data", "ok")
	ctx := c.t.Context()
	message := bytes.Repeat([]byte{byte(turn)}, 1+turn*13%200)
	for _, ring := range []struct {
		name string
		send func(context.Context, []byte) error
		recv func(context.Context) ([]byte, error)
	}{
		{"queue", c.queue.Put, c.queue.Take},
		{"stream", c.producer.Send, c.consumer.Recv},
		{"pipe", c.ends[0].Send, c.ends[1].Recv},
		{"pipe, the other way", c.ends[1].Send, c.ends[0].Recv},
	} {
		if err := ring.send(ctx, message); err != nil {
			c.t.Fatalf("the %s: %v", ring.name, err)
		}
		if c.last == nil {
			continue
		}
		if got, err := ring.recv(ctx); err != nil || !bytes.Equal(got, c.last) {
			c.t.Fatalf("the %s has % x, %v, and not % x", ring.name, got, err, c.last)
		}
	}
	c.last = message
}

// close lets go of them, and destroys them.
func (c *calm) close() {
	c.t.Helper()
	c.bystander.MustEnd()
	if err := errors.Join(c.queue.Close(), c.stream.Close(), c.pipe.Close()); err != nil {
		c.t.Error(err)
	}
}
