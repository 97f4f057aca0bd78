package shmd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// Pipe goes both ways between two ends, in any language, and carries messages, or with
// Bytes a stream of bytes. Each end belongs to the client that claims it, and cannot be
// claimed again. When a client closes its end, or dies, the other end receives what was
// sent before, and then the end, for ever. Safe for concurrent use.
type Pipe struct {
	*object
	pipe *shm.Pipe

	mu   sync.Mutex
	ends [2]*PipeEnd // protected by mu; claimed through this handle
}

// PipeOptions are a pipe's creation options.
type PipeOptions struct {
	CommonOptions
	// CapacityBytes is the size of the ring of each direction, a power of two from 4 KiB
	// to 256 MiB; 0 = 64 KiB.
	CapacityBytes uint32
	// MessageMaxBytes bounds messages; 0 = 1 GiB, which is the most. A message that is
	// longer than half of the ring goes through it in pieces.
	MessageMaxBytes uint32
	// Bytes makes it carry bytes without borders: for Conn, WriteBytes and ReadBytes.
	Bytes bool
}

// End is one end of a pipe.
type End int

// The ends of a pipe.
const (
	EndA   End = 0
	EndB   End = 1
	AnyEnd End = -1 // one that is free, A first
)

// String is "a" or "b".
func (e End) String() string {
	switch e {
	case EndA:
		return wire.EndA
	case EndB:
		return wire.EndB
	}
	return wire.EndAny
}

// CreatePipe makes a pipe; "" makes an anonymous one. ErrExists if the name is taken.
func CreatePipe(ctx context.Context, c *Client, name string, o PipeOptions) (*Pipe, error) {
	return c.pipe(ctx, "create pipe", name, wire.MethodCreate, name, wire.KindPipe, o.wire())
}

// OpenPipe opens a pipe by name. Errors: ErrNotFound, ErrKindMismatch, ErrPermission,
// ErrSeatsFull.
func OpenPipe(ctx context.Context, c *Client, name string) (*Pipe, error) {
	return c.pipe(ctx, "open pipe", name, wire.MethodOpen, name, wire.OpenOptions{Kind: new(wire.KindPipe)})
}

// OpenOrCreatePipe opens a pipe, or makes it; ErrOptionMismatch if it exists with other
// options.
func OpenOrCreatePipe(ctx context.Context, c *Client, name string, o PipeOptions) (*Pipe, error) {
	return c.pipe(ctx, "open pipe", name, wire.MethodOpenOrCreate, name, wire.KindPipe, o.wire())
}

func (o *PipeOptions) wire() (w wire.CreateOptions) {
	ringOptions(&w, o.CapacityBytes, o.MessageMaxBytes)
	if o.Bytes {
		w.Bytes = new(true)
	}
	o.fill(&w)
	return w
}

func (c *Client) pipe(ctx context.Context, op, name, method string, params ...any) (*Pipe, error) {
	o, err := c.attach(ctx, op, name, method, params...)
	if err != nil {
		return nil, err
	}
	return &Pipe{object: o, pipe: o.segment.Pipe()}, nil
}

// PipeEnd is one end. Safe for concurrent use: calls that send take turns, and so do
// those that receive. Whoever peeks should be the only one to receive.
type PipeEnd struct {
	*sender
	*receiver
	end  *shm.PipeEnd
	pipe *object
	role claimed
	once sync.Once
}

// End claims an end. It does not wait: ErrTaken if a living client has it, or this one
// has it already; ErrEnded if it was closed, or its client died. Other errors:
// ErrRemoved, ErrClosed, ErrPermission (read-only).
func (p *Pipe) End(ctx context.Context, which End) (*PipeEnd, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, err := p.claimEnd(ctx, which)
	if err != nil {
		return nil, wrap("claim an end of", p.info.Name, err)
	}
	p.ends[e.end.Index] = e
	return e, nil
}

func (p *Pipe) claimEnd(ctx context.Context, which End) (*PipeEnd, error) {
	try := []End{which}
	switch which {
	case EndA, EndB:
	case AnyEnd:
		try = []End{EndA, EndB}
	default:
		return nil, status.New(status.Invalid, "", "end %d; it must be EndA, EndB or AnyEnd", int(which))
	}
	var err error
	for _, each := range try {
		var role claimed
		if role, err = p.object.claim(ctx, each.String()); err == nil {
			var e *shm.PipeEnd
			if e, err = p.pipe.Claim(p.actor(), int(each)); err == nil {
				return &PipeEnd{sender: newSender(p.object, e.W), receiver: newReceiver(p.object, e.R), end: e,
					pipe: p.object, role: role}, nil
			}
			role.give()
		}
		if code := status.Of(err); code != status.Taken && code != status.Ended {
			break
		}
	}
	return nil, err
}

// Which is which end it is.
func (e *PipeEnd) Which() End { return End(e.end.Index) }

// WriteBytes writes the first bytes of b to a pipe of bytes, at least one, and returns
// how many, waiting until ctx ends while the ring is full. Errors as Send, and
// ErrInvalid (no bytes), ErrUnsupported (a pipe of messages).
func (e *PipeEnd) WriteBytes(ctx context.Context, b []byte) (n int, err error) {
	err = e.sender.wait(ctx, false, func(ctx context.Context, timeout time.Duration) (err error) {
		n, err = e.writer.Write(ctx, parker, b, timeout)
		return err
	})
	return n, sendError("write to", e.pipe.info.Name, err)
}

// TryWriteBytes is WriteBytes that does not wait: ErrWouldBlock if there is no room, or
// another goroutine is writing.
func (e *PipeEnd) TryWriteBytes(b []byte) (n int, err error) {
	err = e.sender.try(func() (err error) {
		n, err = e.writer.Write(context.Background(), parker, b, 0)
		return err
	})
	return n, sendError("write to", e.pipe.info.Name, err)
}

// ReadBytes reads 1 to len(b) bytes from a pipe of bytes and returns how many, waiting
// until ctx ends while there are none. Errors as Recv, and ErrInvalid (no room),
// ErrUnsupported (a pipe of messages).
func (e *PipeEnd) ReadBytes(ctx context.Context, b []byte) (n int, err error) {
	err = e.receiver.wait(ctx, false, func(ctx context.Context, timeout time.Duration) (err error) {
		n, err = e.reader.Read(ctx, parker, b, timeout)
		return err
	})
	return n, recvError("read from", e.pipe.info.Name, err)
}

// TryReadBytes is ReadBytes that does not wait: ErrWouldBlock if there are none, or another
// goroutine is reading.
func (e *PipeEnd) TryReadBytes(b []byte) (n int, err error) {
	err = e.receiver.try(func() (err error) {
		n, err = e.reader.Read(context.Background(), parker, b, 0)
		return err
	})
	return n, recvError("read from", e.pipe.info.Name, err)
}

// Close closes the end, both ways, for ever. The other end receives what was sent
// before, and then ErrEnded; what it sends is ErrEnded at once. Calls that wait end with
// ErrClosed. Closing twice is fine.
func (e *PipeEnd) Close() error {
	e.once.Do(func() {
		sends, receives := e.sender.close(), e.receiver.close()
		if sends && receives { // nothing else closes one alone
			e.end.Close()
		}
		e.role.give()
	})
	return nil
}

// Close closes the ends that were claimed through this handle, and the handle. Waits
// under way end with ErrClosed. Closing twice is fine.
func (p *Pipe) Close() error {
	p.mu.Lock()
	ends := p.ends
	p.mu.Unlock()
	var err error
	for _, e := range ends {
		if e != nil {
			err = errors.Join(err, e.Close())
		}
	}
	return errors.Join(err, p.object.Close())
}
