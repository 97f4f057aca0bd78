package history

import (
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// roles are the names of the roles, by kind and number.
var roles = map[string][3]string{
	wire.KindStream: {RoleProducer: wire.RoleProducer, RoleConsumer: wire.RoleConsumer},
	wire.KindPipe:   {EndA: wire.EndA, EndB: wire.EndB},
}

// ring does what is done with a stream or a pipe.
func (r *remote) ring(e *Entry) error {
	switch e.Op {
	case OpWriteBytes:
		return r.write(e, func(b []byte) (n int, err error) {
			err = r.call(wire.MethodWriteBytes, &n, b, e.Timeout)
			return n, err
		})
	case OpReadBytes:
		return r.read(e, func(b []byte) (int, error) {
			var got []byte
			err := r.call(wire.MethodReadBytes, &got, len(b), e.Timeout)
			return copy(b, got), err
		})
	}
	e.begin()
	switch e.Op {
	case OpClaim:
		err := r.call(wire.MethodClaim, nil, roles[r.attachment.Kind][e.N])
		if err == nil && r.flow.end != e.N {
			r.flow = flow{end: e.N}
		}
		return err
	case OpRetire:
		return r.call(wire.MethodRetire, nil, roles[r.attachment.Kind][e.N])
	case OpSend:
		return r.call(wire.MethodSend, nil, e.Message(), e.Timeout)
	case OpSendMany:
		return r.call(wire.MethodSendMany, &e.Result, e.Messages(), e.Timeout)
	case OpRecv:
		var m []byte
		err := r.call(wire.MethodRecv, &m, e.Timeout)
		if err == nil && !e.Receive(m) {
			err = errBroken
		}
		return err
	case OpRecvMany:
		return r.received(e, wire.MethodRecvMany)
	}
	return status.Unsupported
}
