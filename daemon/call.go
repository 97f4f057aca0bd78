package daemon

import (
	"errors"
	"runtime/debug"
	"time"

	"github.com/shmd/shmd/ctypes"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// call is one request of a client while it is executed.
type call struct {
	session *session
	client  *client
	id      uint32
	method  string
	params  wire.Params
	// out are the session's collected answers; the call appends its own.
	out []byte
	// answered: the answer was sent already, or comes later.
	answered bool
}

// methods execute calls: each appends one answer to c.out, sets the call aside
// (call.wait), or returns an error and leaves no trace.
var methods map[string]func(c *call) error

func init() { // not in the declaration: methods.go would refer to itself
	methods = map[string]func(c *call) error{
		wire.MethodHello: (*call).hello, wire.MethodPing: (*call).ping, wire.MethodBye: (*call).bye,
		wire.MethodStatus: (*call).status, wire.MethodClients: (*call).clients,
		wire.MethodQuota: (*call).quota,

		wire.MethodCreate: (*call).create, wire.MethodOpen: (*call).open,
		wire.MethodOpenOrCreate: (*call).openOrCreate, wire.MethodMap: (*call).mapSegment,
		wire.MethodClose: (*call).close, wire.MethodUnlink: (*call).unlink, wire.MethodDestroy: (*call).destroy,
		wire.MethodChmod: (*call).chmod, wire.MethodChown: (*call).chown, wire.MethodTicket: (*call).ticket,
		wire.MethodList: (*call).list,
		wire.MethodStat: (*call).stat, wire.MethodCheck: (*call).check, wire.MethodRepair: (*call).repair,

		wire.MethodGet: (*call).get, wire.MethodSet: (*call).set, wire.MethodAdd: (*call).add,
		wire.MethodExchange: (*call).exchange, wire.MethodCompareExchange: (*call).compareExchange,
		wire.MethodRead: (*call).read, wire.MethodWrite: (*call).write,
		wire.MethodBeginWrite: (*call).beginWrite, wire.MethodEndWrite: (*call).endWrite,
		wire.MethodVersion: (*call).version, wire.MethodWaitChange: (*call).waitChange,

		wire.MethodLock: (*call).lock, wire.MethodUnlock: (*call).unlock,
		wire.MethodMarkConsistent: (*call).markConsistent,

		wire.MethodAcquire: (*call).acquire, wire.MethodRelease: (*call).release, wire.MethodPost: (*call).post,
		wire.MethodPermits: (*call).permits,

		wire.MethodPut: (*call).put, wire.MethodTake: (*call).take, wire.MethodLease: (*call).lease,
		wire.MethodAck: (*call).ack, wire.MethodNack: (*call).nack, wire.MethodTakeDead: (*call).takeDead,
		wire.MethodRedeliver: (*call).redeliver, wire.MethodShutdown: (*call).shutdown,
		wire.MethodSide: (*call).side, wire.MethodMapSide: (*call).mapSide,
		wire.MethodPutMany: (*call).putMany, wire.MethodTakeMany: (*call).takeMany,
		wire.MethodLeaseMany: (*call).leaseMany, wire.MethodAckMany: (*call).ackMany,
		wire.MethodNackMany: (*call).nackMany, wire.MethodExtend: (*call).extend, wire.MethodJoin: (*call).join,
		wire.MethodCounts: (*call).counts, wire.MethodHoldings: (*call).holdings,

		wire.MethodSignal: (*call).signal, wire.MethodReset: (*call).reset, wire.MethodPulse: (*call).pulse,
		wire.MethodIsSet: (*call).isSet, wire.MethodWait: (*call).waitEvent,

		wire.MethodWaitCondition: (*call).waitCondition, wire.MethodNotify: (*call).notify,

		wire.MethodArrive: (*call).arrive, wire.MethodComplete: (*call).complete, wire.MethodAbort: (*call).abort,
		wire.MethodBarrier: (*call).barrier,

		wire.MethodWaitAny:  (*call).waitAny,
		wire.MethodReadLock: (*call).readLock, wire.MethodReadUnlock: (*call).readUnlock,

		wire.MethodClaim: (*call).claim, wire.MethodRetire: (*call).retire,
		wire.MethodSend: (*call).send, wire.MethodSendMany: (*call).sendMany,
		wire.MethodRecv: (*call).recv, wire.MethodRecvMany: (*call).recvMany,
		wire.MethodWriteBytes: (*call).writeBytes, wire.MethodReadBytes: (*call).readBytes,
	}
}

// dispatch executes one message and appends its answer to the session's.
func (s *session) dispatch(request wire.Request) {
	if request.Notification {
		s.notified(request)
		return
	}
	if s.unheard && tellsOnly[request.Method] {
		return
	}
	c := s.idle
	if s.idle = nil; c == nil {
		c = new(call)
	}
	*c = call{session: s, client: s.client, id: request.ID, method: request.Method, out: s.out}
	before := len(s.out)
	err := c.guarded(func() error { return c.execute(request.Params) })
	switch {
	case err != nil:
		s.out = c.appendError(c.out[:min(before, len(c.out))], err)
	case c.answered:
		s.out = c.out
	case len(c.out)-before > wire.MessageMax:
		s.out = c.appendError(c.out[:before], tooLarge(len(c.out)-before))
	default:
		s.out = c.out
	}
	if !c.answered { // what waits, or comes later, may keep its call
		*c = call{}
		s.idle = c
	}
}

func tooLarge(size int) error {
	return status.New(status.TooLarge, "", "the answer would have %d bytes, a message at most %d: ask for less at once",
		size, wire.MessageMax)
}

// tellsOnly are methods that do nothing but answer. Whoever pipelines thousands
// of them and goes away would keep the daemon busy for nobody.
var tellsOnly = map[string]bool{
	wire.MethodStatus: true, wire.MethodClients: true, wire.MethodQuota: true,
	wire.MethodList: true, wire.MethodStat: true,
	wire.MethodGet: true, wire.MethodRead: true, wire.MethodVersion: true, wire.MethodWaitChange: true,
	wire.MethodIsSet: true, wire.MethodBarrier: true,
}

// notified takes a notification; unknown ones are ignored.
func (s *session) notified(request wire.Request) {
	if request.Method != wire.NotifyCancel {
		return
	}
	params, err := wire.NewParams(request.Params)
	if err != nil {
		return
	}
	if id, err := params.Uint32("id"); err == nil {
		s.pending.cancel(id, errCancelled)
	}
}

func (c *call) execute(params []byte) (err error) {
	method := methods[c.method]
	switch {
	case method == nil:
		// Quoted, because it may be long and need not be UTF-8.
		return status.New(status.UnknownMethod, "call", "this daemon (%s) has no method %.64q", Version, c.method)
	case c.client.id == 0 && c.method != wire.MethodHello:
		return status.New(status.Identity, "", "hello must come first")
	}
	if c.params, err = wire.NewParams(params); err != nil {
		return err
	}
	return method(c)
}

// guarded turns a panic of f into an error of this one call: a mistake of ours
// must not end the service for everybody.
func (c *call) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.session.server.log.Error("a call panicked", "method", c.method, "panic", p,
				"stack", string(debug.Stack()))
			err = status.New(status.Internal, "", "the daemon's log says more")
		}
	}()
	return f()
}

// appendError appends the answer of a call that failed.
func (c *call) appendError(b []byte, err error) []byte {
	e := asStatus(err)
	if e.Op == "" || e.Code == status.BadName { // whoever checks a name does not know for what
		named := *e
		named.Op = c.method
		e = &named
	}
	return wire.AppendError(b, c.id, e)
}

// on names the object in an error that does not name one.
func on(o *object, err error) error {
	if err == nil {
		return nil
	}
	if e := asStatus(err); e.Object == "" {
		return e.On(o.label())
	}
	return err
}

// asStatus gives any error its status.
func asStatus(err error) *status.Error {
	var e *status.Error
	if errors.As(err, &e) {
		return e
	}
	var code status.Code
	if errors.As(err, &code) {
		return &status.Error{Code: code}
	}
	var (
		outOfRange *ctypes.RangeError
		badType    *ctypes.TypeError
		badCode    *ctypes.UnknownCodeError
		badCount   *ctypes.CountError
	)
	switch {
	case errors.As(err, &outOfRange):
		code = status.OutOfRange
	case errors.As(err, &badType), errors.As(err, &badCode):
		code = status.BadType
	case errors.As(err, &badCount):
		code = status.BadIndex
	default:
		return status.Wrap(status.Internal, "", err, "the daemon did not expect this")
	}
	return status.New(code, "", "%v", err)
}

// nothing answers nil.
func (c *call) nothing() error {
	c.out = wire.AppendNil(wire.AppendResultHeader(c.out, c.id))
	return nil
}

// encoded answers with one of package wire's structs.
func (c *call) encoded(result any) (err error) {
	c.out, err = wire.AppendEncoded(wire.AppendResultHeader(c.out, c.id), result)
	return err
}

// timeout reads the optional timeout_ns: negative waits for ever, 0 tries.
func (c *call) timeout() (time.Duration, error) {
	ns, err := c.params.Int64Or("timeout_ns", -1)
	if err == nil && ns < -1 {
		err = status.New(status.Invalid, "", "timeout_ns is %d: -1 waits for ever, 0 tries, more is nanoseconds", ns)
	}
	return time.Duration(ns), err
}

// token reads the optional token.
func (c *call) token() (uint32, error) { return c.params.Uint32Or("token", 0) }

// locking reads what everything that may wait for a lock takes: timeout and token.
func (c *call) locking() (timeout time.Duration, token uint32, err error) {
	if timeout, err = c.timeout(); err == nil {
		token, err = c.token()
	}
	return timeout, token, err
}

// ref reads a ref.
func (c *call) ref() (ref, error) {
	name, id, err := c.params.Ref("ref")
	return ref{name: name, id: id}, err
}
