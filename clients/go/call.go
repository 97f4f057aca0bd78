package shmd

import (
	"context"
	"errors"
	"os"

	"github.com/shmd/shmd/wire"
)

// waiting lists the methods that may wait at the daemon.
var waiting = map[string]bool{
	wire.MethodLock: true, wire.MethodRead: true, wire.MethodWrite: true, wire.MethodWaitChange: true,
	wire.MethodAcquire: true, wire.MethodPut: true, wire.MethodTake: true, wire.MethodLease: true,
	wire.MethodPutMany: true, wire.MethodTakeMany: true, wire.MethodLeaseMany: true, wire.MethodJoin: true,
	wire.MethodWait: true, wire.MethodWaitCondition: true, wire.MethodArrive: true, wire.MethodReadLock: true,
	wire.MethodSend: true, wire.MethodSendMany: true, wire.MethodRecv: true, wire.MethodRecvMany: true,
	wire.MethodWriteBytes: true, wire.MethodReadBytes: true, wire.MethodWaitAny: true,
}

// Call makes one call over the socket, by the names of wire/PROTOCOL.md, and
// decodes its result into the pointer result (nil = ignore it). Any number of
// calls may be under way at once; they are pipelined. For what this package has
// no type for: tools, and processes that cannot map memory.
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	a, err := c.exchange(ctx, method, noFile, params)
	switch {
	case err != nil:
		return wrap(method, "", err)
	case result == nil:
		return nil
	}
	return wire.Decode(a.result, result)
}

// Pending is a call under way.
type Pending struct {
	call   call
	link   *link
	client *Client
}

// Start sends a call without waiting for its answer. Calls that are started in a row travel
// together: they leave when somebody waits for one of them, when they have 64 KiB, or in some
// milliseconds. While the daemon is away it answers ErrLost.
func (c *Client) Start(method string, params ...any) (*Pending, error) {
	l := c.link.Load()
	if l == nil {
		return nil, wrap(method, "", c.away())
	}
	p := &Pending{call{method: method}, l, c}
	err := l.startSoon(&p.call, len(params), func(b []byte) ([]byte, error) { return appendParams(b, params) })
	if err != nil {
		return nil, wrap(method, "", err)
	}
	return p, nil
}

// ask is Call on this link.
func (c *Client) ask(ctx context.Context, l *link, method string, params ...any) error {
	p := &Pending{call{method: method}, l, c}
	err := l.start(&p.call, len(params), func(b []byte) ([]byte, error) { return appendParams(b, params) })
	if err != nil {
		return err
	}
	return p.Wait(ctx, nil)
}

// callForFile is Call for the methods whose answer carries a descriptor, which the
// caller closes; nil = it carries none, with maybeFile.
func (c *Client) callForFile(ctx context.Context, method string, file carries, result any, params ...any) (
	*os.File, error) {
	a, err := c.exchange(ctx, method, file, params)
	if err != nil {
		return nil, err
	}
	var f *os.File
	if a.file >= 0 {
		f = os.NewFile(uintptr(a.file), method)
	}
	if result != nil {
		if err := wire.Decode(a.result, result); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

func appendParams(b []byte, params []any) (_ []byte, err error) {
	for _, p := range params {
		switch v := p.(type) {
		case int:
			b = wire.AppendInt(b, int64(v))
		case int64:
			b = wire.AppendInt(b, v)
		case uint32:
			b = wire.AppendUint(b, uint64(v))
		case uint64:
			b = wire.AppendUint(b, v)
		case string:
			b = wire.AppendStr(b, v)
		case []byte:
			b = wire.AppendBin(b, v)
		default:
			if b, err = wire.AppendEncoded(b, p); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// Wait returns the call's answer. It must be called exactly once.
func (p *Pending) Wait(ctx context.Context, result any) error {
	a := p.link.wait(ctx, &p.call)
	if a.broken && !a.unsent {
		a.err = p.client.unknown(a.err)
	}
	if a.err != nil {
		return wrap(p.call.method, "", a.err)
	}
	if result == nil {
		return nil
	}
	return wire.Decode(a.result, result)
}
