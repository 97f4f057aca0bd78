package shmd

import (
	"context"
	"errors"
	"sync"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Stream carries messages one way, from one producer to one consumer, in any language:
// the fastest way between two. Each role belongs to one client at a time, which claims
// it; when that ends, or dies, the other side is told, and another client may go on.
// Safe for concurrent use.
type Stream struct {
	*object
	stream *shm.Stream

	mu       sync.Mutex
	producer *StreamProducer // protected by mu; the last that was claimed
	consumer *StreamConsumer // protected by mu; likewise
}

// StreamOptions are a stream's creation options.
type StreamOptions struct {
	CommonOptions
	// CapacityBytes is the size of the ring, a power of two from 4 KiB to 256 MiB;
	// 0 = 64 KiB.
	CapacityBytes uint32
	// MessageMaxBytes bounds messages; 0 = half of the ring less 8, which is the most.
	MessageMaxBytes uint32
}

// CreateStream makes a stream; "" makes an anonymous one. ErrExists if the name is
// taken.
func CreateStream(ctx context.Context, c *Client, name string, o StreamOptions) (*Stream, error) {
	return c.stream(ctx, "create stream", name, wire.MethodCreate, name, wire.KindStream, o.wire())
}

// OpenStream opens a stream by name. Errors: ErrNotFound, ErrKindMismatch, ErrPermission,
// ErrSeatsFull.
func OpenStream(ctx context.Context, c *Client, name string) (*Stream, error) {
	return c.stream(ctx, "open stream", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindStream)})
}

// OpenOrCreateStream opens a stream, or makes it; ErrOptionMismatch if it exists with
// other options.
func OpenOrCreateStream(ctx context.Context, c *Client, name string, o StreamOptions) (*Stream, error) {
	return c.stream(ctx, "open stream", name, wire.MethodOpenOrCreate, name, wire.KindStream, o.wire())
}

func (o *StreamOptions) wire() (w wire.CreateOptions) {
	ringOptions(&w, o.CapacityBytes, o.MessageMaxBytes)
	o.fill(&w)
	return w
}

// ringOptions are those of a stream and a pipe.
func ringOptions(w *wire.CreateOptions, capacity, messageMax uint32) {
	if capacity != 0 {
		w.Capacity = &capacity
	}
	if messageMax != 0 {
		w.MessageMax = &messageMax
	}
}

func (c *Client) stream(ctx context.Context, op, name, method string, params ...any) (*Stream, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Stream{object: o, stream: o.segment.Stream()}, nil
}

// StreamProducer is the role of who sends. Safe for concurrent use: sends take turns.
type StreamProducer struct {
	*sender
	role claimed
}

// StreamConsumer is the role of who receives. Safe for concurrent use: calls take
// turns. Whoever peeks should be the only one to receive.
type StreamConsumer struct {
	*receiver
	role claimed
}

// Producer claims the role of the producer. It does not wait: ErrTaken if another client
// has it, or this one through another handle. Called again it returns the same. Other
// errors: ErrRemoved, ErrClosed, ErrPermission (read-only).
func (s *Stream) Producer(ctx context.Context) (*StreamProducer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.producer; p != nil && !p.over.Load() {
		return p, nil
	}
	role, err := s.object.claim(ctx, wire.RoleProducer)
	if err == nil {
		var w *shm.RingWriter
		if w, err = s.stream.ClaimProducer(s.actor()); err == nil {
			s.producer = &StreamProducer{newSender(s.object, w), role}
			return s.producer, nil
		}
		role.give()
	}
	return nil, wrap("claim the producer's role of", s.info.Name, err)
}

// Consumer claims the role of the consumer. As Producer.
func (s *Stream) Consumer(ctx context.Context) (*StreamConsumer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.consumer; c != nil && !c.over.Load() {
		return c, nil
	}
	role, err := s.object.claim(ctx, wire.RoleConsumer)
	if err == nil {
		var r *shm.RingReader
		if r, err = s.stream.ClaimConsumer(s.actor()); err == nil {
			s.consumer = &StreamConsumer{newReceiver(s.object, r), role}
			return s.consumer, nil
		}
		role.give()
	}
	return nil, wrap("claim the consumer's role of", s.info.Name, err)
}

// Close gives the role back, for the next client: an orderly end, which the consumer is
// told after the last message. Calls that wait end with ErrClosed. Closing twice is
// fine.
func (p *StreamProducer) Close() error {
	if p.close() {
		p.writer.Close()
		p.role.give()
	}
	return nil
}

// Close gives the role back, for the next client, who goes on where this one ends. Calls
// that wait end with ErrClosed. Closing twice is fine.
func (c *StreamConsumer) Close() error {
	if c.close() {
		c.reader.Close()
		c.role.give()
	}
	return nil
}

// Close gives the roles back, and the handle. Waits under way end with ErrClosed.
// Closing twice is fine.
func (s *Stream) Close() error {
	s.mu.Lock()
	producer, consumer := s.producer, s.consumer
	s.mu.Unlock()
	var err error
	if producer != nil {
		err = producer.Close()
	}
	if consumer != nil {
		err = errors.Join(err, consumer.Close())
	}
	return errors.Join(err, s.object.Close())
}

// claims are the roles that a client has claimed, each through one handle: a role has
// private state, which two handles would not share.
type claims struct {
	mu    sync.Mutex
	taken map[claimed]struct{} // protected by mu
}

// claimed names a role of an object.
type claimed struct {
	client *Client
	object uint64
	role   string
}

// claim notes that this client claims a role through this handle.
func (o *object) claim(ctx context.Context, role string) (claimed, error) {
	name := claimed{o.client, o.info.ID, role}
	if err := o.usable(); err != nil {
		return name, err
	}
	switch {
	case ctx.Err() != nil:
		return name, endOf(ctx)
	case o.segment.ReadOnly():
		return name, status.Permission
	}
	c := &o.client.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.taken[name]; taken {
		return name, status.New(status.Taken, "", "by this client, through another handle")
	}
	if c.taken == nil {
		c.taken = make(map[claimed]struct{})
	}
	c.taken[name] = struct{}{}
	return name, nil
}

// give forgets it.
func (r claimed) give() {
	c := &r.client.claims
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, r)
}
