package history

import (
	"context"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// remote is an open object that is used over the socket alone.
type remote struct {
	client     *shmd.Client
	attachment wire.Attachment
	holdings
	flow
}

func openRemote(c *shmd.Client, kind, name string) (opened, error) {
	r := &remote{client: c}
	err := c.Call(context.Background(), wire.MethodOpen, &r.attachment, name, wire.OpenOptions{Kind: &kind})
	return r, err
}

// call makes a call on the object.
func (r *remote) call(method string, result any, params ...any) error {
	return r.client.Call(context.Background(), method, result, append([]any{r.attachment.Handle}, params...)...)
}

func (r *remote) close() error { return r.call(wire.MethodClose, nil) }

func (r *remote) perform(e *Entry) error {
	switch e.Op {
	case OpAck, OpNack, OpExtend, OpForget:
		return r.one(e)
	case OpAckMany, OpNackMany:
		return r.endMany(e, func(leases []lease) (n int, err error) {
			ids := make([]wire.LeaseID, len(leases))
			for i, l := range leases {
				ids[i] = l.(*remoteLease).id
			}
			method := wire.MethodAckMany
			if e.Op == OpNackMany {
				method = wire.MethodNackMany
			}
			err = r.call(method, &n, ids)
			if err == nil && n < len(ids) {
				err = status.NotOwner // of the next one, as PROTOCOL.md says
			}
			return n, err
		})
	}
	if e.Op >= OpClaim {
		return r.ring(e)
	}
	e.begin()
	switch e.Op {
	case OpLock:
		return r.noticed(e, wire.MethodLock)
	case OpUnlock:
		return r.call(wire.MethodUnlock, nil)
	case OpMark:
		return r.call(wire.MethodMarkConsistent, nil)
	case OpAcquire:
		return r.call(wire.MethodAcquire, nil, e.N, e.Timeout)
	case OpRelease:
		return r.call(wire.MethodRelease, nil, e.N)
	case OpPost:
		return r.call(wire.MethodPost, nil, e.N)
	case OpPermits:
		var p wire.Permits
		err := r.call(wire.MethodPermits, &p)
		e.Result, e.Extra = int64(p.Available), p.Held
		return err
	}
	switch {
	case e.Op < OpLoad:
		return r.message(e)
	case e.Op < OpSignal:
		return r.element(e)
	}
	return r.synchronise(e)
}

// noticed makes a call that may wait and may answer with a notice.
func (r *remote) noticed(e *Entry, method string) error {
	var n *wire.Notice
	err := r.call(method, &n, e.Timeout)
	if err == nil && n != nil {
		e.Result, e.Extra = int64(n.Deaths), uint32(n.PID)
		err = status.OwnerDied
	}
	return err
}

func (r *remote) message(e *Entry) error {
	switch e.Op {
	case OpPut:
		return r.call(wire.MethodPut, nil, e.Message(), e.Timeout)
	case OpTake:
		var m []byte
		err := r.call(wire.MethodTake, &m, e.Timeout)
		if err == nil && !e.Receive(m) {
			err = errBroken
		}
		return err
	case OpLease, OpTakeDead:
		var l wire.Lease
		var m []byte
		var err error
		if e.Op == OpTakeDead {
			err = r.call(wire.MethodTakeDead, &l)
		} else {
			err = r.call(wire.MethodLease, &l, e.Timeout)
		}
		if err == nil {
			err = wire.Decode(l.Message, &m)
		}
		if err != nil {
			return err
		}
		return r.hold(e, &remoteLease{r, l.Lease}, m, int(l.Deliveries))
	case OpPutMany:
		return r.call(wire.MethodPutMany, &e.Result, e.Messages(), e.Timeout)
	case OpTakeMany:
		return r.received(e, wire.MethodTakeMany)
	case OpLeaseMany:
		return r.leaseMany(e)
	case OpJoin:
		return r.call(wire.MethodJoin, nil, e.Timeout)
	case OpRedeliver:
		return r.call(wire.MethodRedeliver, &e.Result)
	case OpCounts:
		var n wire.Counts
		err := r.call(wire.MethodCounts, &n)
		e.Result, e.Extra = packCounts(n.Ready, n.Leased, n.Writing, n.Dead), n.Free
		return err
	}
	return status.Unsupported
}

// received makes a call that answers with several messages.
func (r *remote) received(e *Entry, method string) error {
	var messages [][]byte
	if err := r.call(method, &messages, e.Desired, e.Timeout); err != nil {
		return err
	}
	return e.ReceiveMany(messages)
}

func (r *remote) leaseMany(e *Entry) error {
	var answer []wire.Lease
	if err := r.call(wire.MethodLeaseMany, &answer, e.Desired, e.Timeout); err != nil {
		return err
	}
	messages, leases, deliveries := make([][]byte, len(answer)), make([]lease, len(answer)), make([]int, len(answer))
	for i, l := range answer {
		if err := wire.Decode(l.Message, &messages[i]); err != nil {
			return err
		}
		leases[i], deliveries[i] = &remoteLease{r, l.Lease}, int(l.Deliveries)
	}
	return r.holdMany(e, messages, leases, deliveries)
}

type remoteLease struct {
	*remote
	id wire.LeaseID
}

func (l *remoteLease) Ack() error  { return l.call(wire.MethodAck, nil, l.id) }
func (l *remoteLease) Nack() error { return l.call(wire.MethodNack, nil, l.id) }

func (l *remoteLease) Extend(d time.Duration) error {
	return l.call(wire.MethodExtend, nil, l.id, int64(d))
}

func (r *remote) element(e *Entry) error {
	switch e.Op {
	case OpLoad:
		return r.call(wire.MethodGet, &e.Result, e.N)
	case OpStore:
		return r.call(wire.MethodSet, nil, e.N, e.Argument)
	case OpAdd:
		return r.call(wire.MethodAdd, &e.Result, e.N, e.Argument)
	case OpExchange:
		return r.call(wire.MethodExchange, &e.Result, e.N, e.Argument)
	case OpCompareExchange:
		var swapped struct {
			_msgpack struct{} `msgpack:",as_array"`
			Swapped  bool
			Before   int64
		}
		err := r.call(wire.MethodCompareExchange, &swapped, e.N, e.Argument, e.Desired)
		e.Result, e.Extra = swapped.Before, truth(swapped.Swapped)
		return err
	case OpWrite:
		cut := make([]int64, r.attachment.Length)
		for i := range cut {
			cut[i] = e.Argument
		}
		return r.call(wire.MethodWrite, nil, 0, cut, e.Timeout)
	case OpRead:
		var result wire.ReadResult
		var cut []int64
		err := r.call(wire.MethodRead, &result, 0, -1, e.Timeout)
		if err == nil {
			err = msgpack.Unmarshal(result.Values, &cut)
		}
		if err != nil {
			return err
		}
		return e.compare(cut, result.Dirty)
	}
	return status.Unsupported
}

func (r *remote) synchronise(e *Entry) error {
	switch e.Op {
	case OpSignal:
		return r.call(wire.MethodSignal, nil)
	case OpReset:
		var n *wire.Notice
		err := r.call(wire.MethodReset, &n)
		if err == nil && n != nil {
			err = status.OwnerDied
		}
		return err
	case OpPulse:
		return r.call(wire.MethodPulse, nil)
	case OpIsSet:
		var set bool
		err := r.call(wire.MethodIsSet, &set)
		e.Result = int64(truth(set))
		return err
	case OpWait:
		return r.call(wire.MethodWait, nil, e.Timeout)
	case OpWaitCondition:
		return r.noticed(e, wire.MethodWaitCondition)
	case OpNotify:
		return r.call(wire.MethodNotify, nil, e.N)
	case OpArrive:
		var a wire.Arrival
		err := r.call(wire.MethodArrive, &a, e.Timeout)
		e.Result = int64(a.Index)
		return err
	case OpBreak:
		return r.call(wire.MethodAbort, nil)
	case OpState:
		var b wire.Barrier
		err := r.call(wire.MethodBarrier, &b)
		e.Result, e.Extra = packState(b.Waiting, b.Broken, reasonBits(b.Reasons)), uint32(b.Generation)
		return err
	case OpReadLock:
		return r.noticed(e, wire.MethodReadLock)
	case OpReadUnlock:
		return r.call(wire.MethodReadUnlock, nil)
	}
	return status.Unsupported
}

// reasonBits are the reasons of a broken barrier as in shmd.h.
func reasonBits(names []string) (bits uint32) {
	for i, name := range []string{"timeout", "abort", "death", "action"} {
		if slices.Contains(names, name) {
			bits |= 1 << i
		}
	}
	return bits
}
