package crash

import (
	"context"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/wire"
)

// delivery is a leased message.
type delivery struct {
	message    []byte
	deliveries int
	lease      any // the flavour's own
}

// pipe is an open queue. Timeouts as lock's: -1 = for ever, 0 = not at all.
type pipe interface {
	put(message []byte, timeout time.Duration) error
	// putInPlace makes the message in its slot, if the flavour can, and calls
	// halfway before it is one.
	putInPlace(message []byte, halfway func() error) error
	lease(timeout time.Duration) (delivery, error)
	ack(d delivery) error
	nack(d delivery) error
	close() error
}

// gate is an open semaphore.
type gate interface {
	acquire(n uint32, timeout time.Duration) error
	release(n uint32) error
	close() error
}

// atoms are an open array that is used by atomic operations.
type atoms interface {
	load(i int) (int64, error)
	store(i int, v int64) error
	add(i int, delta int64) (old int64, err error)
	close() error
}

// opens is how a flavour opens what is no lock.
type opens interface {
	pipe(name string) (pipe, error)
	gate(name string) (gate, error)
	atoms(name string) (atoms, error)
	conduit(name, role string) (conduit, error)
	end(name, which string) (pipeEnd, error)
}

// --- In mapped memory.

type mappedOpens struct{ client *shmd.Client }

type (
	mappedPipe  struct{ *shmd.Queue }
	mappedGate  struct{ *shmd.Semaphore }
	mappedAtoms struct{ *shmd.Array[int64] }
)

func (o mappedOpens) pipe(name string) (pipe, error) {
	q, err := shmd.OpenQueue(context.Background(), o.client, name)
	return mappedPipe{q}, err
}

func (o mappedOpens) gate(name string) (gate, error) {
	s, err := shmd.OpenSemaphore(context.Background(), o.client, name)
	return mappedGate{s}, err
}

func (o mappedOpens) atoms(name string) (atoms, error) {
	a, err := shmd.OpenArray[int64](context.Background(), o.client, name)
	return mappedAtoms{a}, err
}

// within makes a context of a timeout that is not 0.
func within(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(context.Background(), timeout)
	}
	return context.WithCancel(context.Background())
}

func (p mappedPipe) put(message []byte, timeout time.Duration) error {
	if timeout == 0 {
		return p.TryPut(message)
	}
	ctx, cancel := within(timeout)
	defer cancel()
	return p.Put(ctx, message)
}

func (p mappedPipe) putInPlace(message []byte, halfway func() error) error {
	r, err := p.Reserve(context.Background())
	if err != nil {
		return err
	}
	n := copy(r.Buffer(), message)
	if err := halfway(); err != nil {
		return err
	}
	return r.Commit(n)
}

func (p mappedPipe) lease(timeout time.Duration) (d delivery, err error) {
	var l *shmd.Lease
	if timeout == 0 {
		l, err = p.TryLease()
	} else {
		ctx, cancel := within(timeout)
		defer cancel()
		l, err = p.Lease(ctx)
	}
	if err != nil {
		return d, err
	}
	return delivery{l.Message(), l.Deliveries(), l}, nil
}

func (p mappedPipe) ack(d delivery) error  { return d.lease.(*shmd.Lease).Ack() }
func (p mappedPipe) nack(d delivery) error { return d.lease.(*shmd.Lease).Nack() }
func (p mappedPipe) close() error          { return p.Close() }

func (g mappedGate) acquire(n uint32, timeout time.Duration) error {
	if timeout == 0 {
		return g.TryAcquire(n)
	}
	ctx, cancel := within(timeout)
	defer cancel()
	return g.Acquire(ctx, n)
}

func (g mappedGate) release(n uint32) error { return g.Release(n) }
func (g mappedGate) close() error           { return g.Close() }

func (a mappedAtoms) load(i int) (int64, error)                   { return a.Load(i) }
func (a mappedAtoms) store(i int, v int64) error                  { return a.Store(i, v) }
func (a mappedAtoms) add(i int, delta int64) (old int64, e error) { return a.Add(i, delta) }
func (a mappedAtoms) close() error                                { return a.Close() }

// --- Over the socket alone.

type socketOpens struct{ client *shmd.Client }

func (o socketOpens) remote(kind, name string) (*remote, error) {
	r := &remote{client: o.client}
	err := o.client.Call(context.Background(), wire.MethodOpen, &r.attachment, name, wire.OpenOptions{Kind: &kind})
	return r, err
}

type (
	remotePipe  struct{ *remote }
	remoteGate  struct{ *remote }
	remoteAtoms struct{ *remote }
)

func (o socketOpens) pipe(name string) (pipe, error) {
	r, err := o.remote(wire.KindQueue, name)
	return remotePipe{r}, err
}

func (o socketOpens) gate(name string) (gate, error) {
	r, err := o.remote(wire.KindSemaphore, name)
	return remoteGate{r}, err
}

func (o socketOpens) atoms(name string) (atoms, error) {
	r, err := o.remote(wire.KindArray, name)
	return remoteAtoms{r}, err
}

func (p remotePipe) put(message []byte, timeout time.Duration) error {
	return p.call(wire.MethodPut, nil, message, int64(timeout))
}

func (p remotePipe) putInPlace(message []byte, halfway func() error) error {
	if err := halfway(); err != nil {
		return err
	}
	return p.put(message, -1)
}

func (p remotePipe) lease(timeout time.Duration) (d delivery, err error) {
	var l wire.Lease
	if err := p.call(wire.MethodLease, &l, int64(timeout)); err != nil {
		return d, err
	}
	err = wire.Decode(l.Message, &d.message)
	d.deliveries, d.lease = int(l.Deliveries), l.Lease
	return d, err
}

func (p remotePipe) ack(d delivery) error  { return p.call(wire.MethodAck, nil, d.lease) }
func (p remotePipe) nack(d delivery) error { return p.call(wire.MethodNack, nil, d.lease) }

func (g remoteGate) acquire(n uint32, timeout time.Duration) error {
	return g.call(wire.MethodAcquire, nil, n, int64(timeout))
}

func (g remoteGate) release(n uint32) error { return g.call(wire.MethodRelease, nil, n) }

func (a remoteAtoms) load(i int) (v int64, err error) {
	err = a.call(wire.MethodGet, &v, i)
	return v, err
}

func (a remoteAtoms) store(i int, v int64) error { return a.call(wire.MethodSet, nil, i, v) }

func (a remoteAtoms) add(i int, delta int64) (old int64, err error) {
	err = a.call(wire.MethodAdd, &old, i, delta)
	return old, err
}
