package crash

import (
	"context"
	"errors"
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
	// Of these the first waits without end; they do as many as they say.
	putMany(messages [][]byte) (int, error)
	takeMany(most int) ([][]byte, error)
	leaseMany(most int) ([]delivery, error)
	ackMany(all []delivery) (int, error)
	nackMany(all []delivery) (int, error)
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
	deeds(kind, name, role string) ([]deed, error)
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
	return deliveryOf(l), nil
}

func deliveryOf(l *shmd.Lease) delivery { return delivery{l.Message(), l.Deliveries(), l} }

func (p mappedPipe) putMany(messages [][]byte) (int, error) {
	return p.PutMany(context.Background(), messages)
}

func (p mappedPipe) takeMany(most int) ([][]byte, error) {
	return p.TakeMany(context.Background(), nil, most)
}

func (p mappedPipe) leaseMany(most int) (all []delivery, err error) {
	leases, err := p.LeaseMany(context.Background(), nil, most)
	for _, l := range leases {
		all = append(all, deliveryOf(l))
	}
	return all, err
}

func (p mappedPipe) ackMany(all []delivery) (int, error)  { return p.AckMany(leasesOf(all)) }
func (p mappedPipe) nackMany(all []delivery) (int, error) { return p.NackMany(leasesOf(all)) }

func leasesOf(all []delivery) (leases []*shmd.Lease) {
	for _, d := range all {
		leases = append(leases, d.lease.(*shmd.Lease))
	}
	return leases
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
	return remoteDelivery(l)
}

func remoteDelivery(l wire.Lease) (d delivery, err error) {
	d.deliveries, d.lease = int(l.Deliveries), l.Lease
	return d, wire.Decode(l.Message, &d.message)
}

func (p remotePipe) putMany(messages [][]byte) (n int, err error) {
	err = p.call(wire.MethodPutMany, &n, messages)
	return n, err
}

func (p remotePipe) takeMany(most int) (messages [][]byte, err error) {
	err = p.call(wire.MethodTakeMany, &messages, most)
	return messages, err
}

func (p remotePipe) leaseMany(most int) (all []delivery, err error) {
	var leases []wire.Lease
	err = p.call(wire.MethodLeaseMany, &leases, most)
	for _, l := range leases {
		d, bad := remoteDelivery(l)
		if err = errors.Join(err, bad); err != nil {
			break
		}
		all = append(all, d)
	}
	return all, err
}

func (p remotePipe) ackMany(all []delivery) (int, error) { return p.endMany(wire.MethodAckMany, all) }

func (p remotePipe) nackMany(all []delivery) (int, error) { return p.endMany(wire.MethodNackMany, all) }

func (p remotePipe) endMany(method string, all []delivery) (n int, err error) {
	leases := make([]any, len(all))
	for i, d := range all {
		leases[i] = d.lease
	}
	err = p.call(method, &n, leases)
	return n, err
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
