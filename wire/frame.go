package wire

import (
	"strconv"
	"strings"

	"github.com/shmd/shmd/status"
)

// Message types, the first element of every message.
const (
	typeRequest      = 0
	typeResponse     = 1
	typeNotification = 2
)

// Names of the methods and of the one notification.
const (
	MethodHello           = "hello"
	MethodPing            = "ping"
	MethodBye             = "bye"
	MethodStatus          = "status"
	MethodClients         = "clients"
	MethodQuota           = "quota"
	MethodCreate          = "create"
	MethodOpen            = "open"
	MethodOpenOrCreate    = "open_or_create"
	MethodMap             = "map"
	MethodClose           = "close"
	MethodUnlink          = "unlink"
	MethodDestroy         = "destroy"
	MethodChmod           = "chmod"
	MethodChown           = "chown"
	MethodTicket          = "ticket"
	MethodList            = "list"
	MethodStat            = "stat"
	MethodCheck           = "check"
	MethodRepair          = "repair"
	MethodGet             = "get"
	MethodSet             = "set"
	MethodAdd             = "add"
	MethodExchange        = "exchange"
	MethodCompareExchange = "compare_exchange"
	MethodRead            = "read"
	MethodWrite           = "write"
	MethodBeginWrite      = "begin_write"
	MethodEndWrite        = "end_write"
	MethodVersion         = "version"
	MethodWaitChange      = "wait_change"
	MethodLock            = "lock"
	MethodUnlock          = "unlock"
	MethodMarkConsistent  = "mark_consistent"
	MethodAcquire         = "acquire"
	MethodRelease         = "release"
	MethodPost            = "post"
	MethodPermits         = "permits"
	MethodPut             = "put"
	MethodTake            = "take"
	MethodLease           = "lease"
	MethodAck             = "ack"
	MethodNack            = "nack"
	MethodPutMany         = "put_many"
	MethodTakeMany        = "take_many"
	MethodLeaseMany       = "lease_many"
	MethodAckMany         = "ack_many"
	MethodNackMany        = "nack_many"
	MethodExtend          = "extend"
	MethodJoin            = "join"
	MethodTakeDead        = "take_dead"
	MethodRedeliver       = "redeliver"
	MethodShutdown        = "shutdown"
	MethodSide            = "side"
	MethodMapSide         = "map_side"
	MethodCounts          = "counts"
	MethodHoldings        = "holdings"
	MethodWaitAny         = "wait_any"
	MethodSignal          = "signal"
	MethodReset           = "reset"
	MethodPulse           = "pulse"
	MethodIsSet           = "is_set"
	MethodWait            = "wait"
	MethodWaitCondition   = "wait_condition"
	MethodNotify          = "notify"
	MethodArrive          = "arrive"
	MethodComplete        = "complete"
	MethodAbort           = "abort"
	MethodBarrier         = "barrier"
	MethodReadLock        = "read_lock"
	MethodReadUnlock      = "read_unlock"
	MethodClaim           = "claim"
	MethodRetire          = "retire"
	MethodSend            = "send"
	MethodSendMany        = "send_many"
	MethodRecv            = "recv"
	MethodRecvMany        = "recv_many"
	MethodWriteBytes      = "write_bytes"
	MethodReadBytes       = "read_bytes"
	NotifyCancel          = "cancel"
)

var methods = []string{
	MethodHello, MethodPing, MethodBye, MethodStatus, MethodClients, MethodQuota,
	MethodCreate, MethodOpen, MethodOpenOrCreate, MethodMap, MethodClose, MethodUnlink,
	MethodDestroy, MethodChmod, MethodChown, MethodTicket, MethodList, MethodStat, MethodCheck, MethodRepair,
	MethodGet, MethodSet, MethodAdd, MethodExchange, MethodCompareExchange, MethodRead, MethodWrite,
	MethodBeginWrite, MethodEndWrite, MethodVersion, MethodWaitChange,
	MethodLock, MethodUnlock, MethodMarkConsistent,
	MethodAcquire, MethodRelease, MethodPost, MethodPermits,
	MethodPut, MethodTake, MethodLease, MethodAck, MethodNack, MethodTakeDead, MethodRedeliver, MethodShutdown,
	MethodPutMany, MethodTakeMany, MethodLeaseMany, MethodAckMany, MethodNackMany, MethodExtend, MethodJoin,
	MethodSide, MethodMapSide, MethodCounts, MethodHoldings,
	MethodSignal, MethodReset, MethodPulse, MethodIsSet, MethodWait,
	MethodWaitCondition, MethodNotify,
	MethodArrive, MethodComplete, MethodAbort, MethodBarrier,
	MethodReadLock, MethodReadUnlock,
	MethodClaim, MethodRetire, MethodSend, MethodSendMany, MethodRecv, MethodRecvMany,
	MethodWriteBytes, MethodReadBytes,
	MethodWaitAny,
}

// interned holds the strings of the known methods: a lookup by string(bytes)
// does not allocate.
var interned = func() map[string]string {
	m := map[string]string{NotifyCancel: NotifyCancel}
	for _, name := range methods {
		m[name] = name
	}
	return m
}()

// Methods returns the names of all methods, in the order of PROTOCOL.md.
func Methods() []string { return append([]string(nil), methods...) }

// Request is a request or a notification.
type Request struct {
	ID           uint32 // 0 for a notification
	Method       string
	Params       []byte // the array of parameters with its header; part of the frame
	Notification bool
}

// Response is the answer to one request.
type Response struct {
	ID     uint32
	Err    *status.Error // nil on success
	Result []byte        // one msgpack value, part of the frame; nil if Err is not
}

// fields walks over the elements of a message.
type fields struct {
	frame []byte
	rest  []byte
	what  string // "request", for errors
	whole bool   // a Scanner has found the frame to be one value
}

func (f *fields) bad(format string, args ...any) error {
	return status.New(status.BadFrame, "parse "+f.what, format, args...)
}

func (f *fields) got() string {
	if len(f.rest) == 0 {
		return "the end"
	}
	return typeName(f.rest[0])
}

// array takes an array header.
func (f *fields) array(what string) (int, error) {
	n, size := readArrayHeader(f.rest)
	if size == 0 {
		return 0, f.bad("%s: want array, got %s", what, f.got())
	}
	f.rest = f.rest[size:]
	return n, nil
}

// number takes an integer from 0 to limit.
func (f *fields) number(what string, limit uint64) (uint64, error) {
	v, negative, size := readInteger(f.rest)
	if size == 0 {
		return 0, f.bad("%s: want integer, got %s", what, f.got())
	}
	if negative || v > limit {
		return 0, f.bad("%s: integer outside 0..%d", what, limit)
	}
	f.rest = f.rest[size:]
	return v, nil
}

// text takes a str.
func (f *fields) text(what string) ([]byte, error) {
	payload, size := readStr(f.rest)
	if size == 0 {
		return nil, f.bad("%s: want str, got %s", what, f.got())
	}
	f.rest = f.rest[size:]
	return payload, nil
}

// last takes the value that must fill the rest of the message.
func (f *fields) last(what string) ([]byte, error) {
	if f.whole { // its elements before are taken, and it has one more
		return f.rest, nil
	}
	// As if the scanner had come here by itself: one value left, one level deep.
	s := Scanner{at: len(f.frame) - len(f.rest), owed: 1, left: [DepthMax]int32{1}, depth: 1, begun: true}
	n, err := s.Next(f.frame)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, f.bad("%s is cut off", what)
	}
	if n != len(f.frame) {
		return nil, f.bad("%d bytes behind the message", len(f.frame)-n)
	}
	return f.rest, nil
}

// ParseRequest takes one whole message apart, as a daemon receives it. The
// error is a *status.Error, BadFrame or TooLarge; with it, the Request holds
// what could be read before, its ID for the answer above all.
func ParseRequest(frame []byte) (Request, error) {
	return parseRequest(fields{frame: frame, rest: frame, what: "request"})
}

// NextRequest is Next and then ParseRequest, but looks at each byte once. n = 0: the message
// is not complete yet, or the error is Next's; else the error is ParseRequest's.
func (s *Scanner) NextRequest(b []byte) (r Request, n int, err error) {
	if n, err = s.Next(b); n > 0 {
		r, err = parseRequest(fields{frame: b[:n], rest: b[:n], what: "request", whole: true})
	}
	return r, n, err
}

func parseRequest(f fields) (r Request, err error) {
	arity, err := f.array("message")
	if err != nil {
		return r, err
	}
	kind, err := f.number("message type", 0x7f)
	if err != nil {
		return r, err
	}
	switch {
	case kind == typeRequest && arity == 4:
		id, err := f.number("id", 1<<32-1)
		if err != nil {
			return r, err
		}
		r.ID = uint32(id)
	case kind == typeNotification && arity == 3:
		r.Notification = true
		f.what = "notification"
	default:
		return r, f.bad("an array of %d with type %d is neither request [0, id, method, params] "+
			"nor notification [2, method, params]", arity, kind)
	}
	method, err := f.text("method")
	if err != nil {
		return r, err
	}
	name, known := interned[string(method)]
	if !known {
		name = string(method)
	}
	r.Method = name
	if _, size := readArrayHeader(f.rest); size == 0 {
		return r, f.bad("params: want array, got %s", f.got())
	}
	r.Params, err = f.last("params")
	return r, err
}

// ParseResponse takes one whole message apart, as a client receives it. The
// error is a *status.Error, BadFrame or TooLarge.
func ParseResponse(frame []byte) (Response, error) {
	return parseResponse(fields{frame: frame, rest: frame, what: "response"})
}

// NextResponse is to ParseResponse what NextRequest is to ParseRequest.
func (s *Scanner) NextResponse(b []byte) (r Response, n int, err error) {
	if n, err = s.Next(b); n > 0 {
		r, err = parseResponse(fields{frame: b[:n], rest: b[:n], what: "response", whole: true})
	}
	return r, n, err
}

func parseResponse(f fields) (r Response, err error) {
	arity, err := f.array("message")
	if err != nil {
		return r, err
	}
	kind, err := f.number("message type", 0x7f)
	if err != nil {
		return r, err
	}
	if kind != typeResponse || arity != 4 {
		return r, f.bad("an array of %d with type %d is no response [1, id, error, result]", arity, kind)
	}
	id, err := f.number("id", 1<<32-1)
	if err != nil {
		return r, err
	}
	r.ID = uint32(id)
	if len(f.rest) > 0 && f.rest[0] == mpNil {
		f.rest = f.rest[1:]
		r.Result, err = f.last("result")
		return r, err
	}
	parsed, err := f.statusError()
	if err != nil {
		return r, err
	}
	if len(f.rest) != 1 || f.rest[0] != mpNil {
		return r, f.bad("result: want nil beside an error, got %s", f.got())
	}
	r.Err = parsed
	return r, nil
}

// statusError takes [code, name, text].
func (f *fields) statusError() (*status.Error, error) {
	n, err := f.array("error")
	if err != nil {
		return nil, err
	}
	if n != 3 {
		return nil, f.bad("error: want [code, name, text], got an array of %d", n)
	}
	code, err := f.number("error code", 1<<31-1)
	if err != nil {
		return nil, err
	}
	if code == uint64(status.OK) {
		return nil, f.bad("error code is 0, which is success")
	}
	if _, err := f.text("error name"); err != nil {
		return nil, err
	}
	text, err := f.text("error text")
	if err != nil {
		return nil, err
	}
	return splitError(status.Code(code), string(text)), nil
}

// splitError undoes status.Error.Error, so that the text reads on this side as
// it did on the other: op "object": text of the code: detail.
func splitError(code status.Code, text string) *status.Error {
	e := &status.Error{Code: code}
	op, detail, found := cutText(text, code.Error())
	if !found {
		e.Detail = text
		return e
	}
	e.Op, e.Detail = op, detail
	if op, quoted, found := strings.Cut(op, ` "`); found {
		if object, err := strconv.Unquote(`"` + quoted); err == nil {
			e.Op, e.Object = op, object
		}
	}
	return e
}

// cutText splits "before: middle: after", where before or after may be missing
// with their colons.
func cutText(text, middle string) (before, after string, found bool) {
	for begin := 0; ; {
		at := strings.Index(text[begin:], middle)
		if at < 0 {
			return "", "", false
		}
		at += begin
		end := at + len(middle)
		before, left := strings.CutSuffix(text[:at], ": ")
		after, right := strings.CutPrefix(text[end:], ": ")
		if (left || at == 0) && (right || end == len(text)) {
			return before, after, true
		}
		begin = end
	}
}
