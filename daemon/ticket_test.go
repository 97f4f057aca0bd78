package daemon

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// anonymous creates an object without a name and returns its id.
func (c *rawClient) anonymous(kind string) uint64 {
	c.t.Helper()
	var a wire.Attachment
	wantCode(c.t, "create", c.call(&a, wire.MethodCreate, "", kind, emptyOptions), status.OK)
	return a.ID
}

// ticket takes one for an object.
func (c *rawClient) ticket(id uint64, timeout time.Duration) []byte {
	c.t.Helper()
	var r wire.TicketResult
	wantCode(c.t, "ticket", c.call(&r, wire.MethodTicket, id, int64(timeout)), status.OK)
	if r.ID != id || len(r.Ticket) != wire.TicketSize {
		c.t.Fatalf("a ticket for object %d: %+v", id, r)
	}
	return r.Ticket
}

// leave says bye, and waits until everything is given back.
func (c *rawClient) leave() {
	c.t.Helper()
	wantCode(c.t, "bye", c.call(nil, wire.MethodBye), status.OK)
}

// gone waits until there is no such object.
func (c *rawClient) gone(id uint64) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := c.call(nil, wire.MethodStat, id)
		if status.Of(err) == status.NotFound {
			return
		}
		if err != nil || time.Now().After(deadline) {
			c.t.Fatalf("object %d: %v, want NotFound", id, err)
		}
	}
}

func (c *rawClient) openWith(id uint64, ticket []byte, more ...func(*wire.OpenOptions)) error {
	c.t.Helper()
	o := wire.OpenOptions{Ticket: ticket}
	for _, f := range more {
		f(&o)
	}
	return c.call(nil, wire.MethodOpen, id, &o)
}

// An object stays for who has a ticket for it, when its creator is gone; it goes with who
// has used it.
func TestTicketKeepsObject(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	creator, receiver := greeted(t, s, 1), greeted(t, s, 2)
	id := creator.anonymous(wire.KindMutex)
	ticket := creator.ticket(id, time.Hour)
	creator.leave()
	wantCode(t, "open", receiver.openWith(id, ticket), status.OK)
	wantCode(t, "open once more", receiver.openWith(id, ticket), status.NotFound)
	receiver.leave()
	greeted(t, s, 3).gone(id)
}

// What a mutex guards keeps the mutex, and two tickets keep longer than one.
func TestTicketOfGuarded(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	creator, receiver := greeted(t, s, 1), greeted(t, s, 2)
	mutex := creator.anonymous(wire.KindMutex)
	var a wire.Attachment
	wantCode(t, "create", creator.call(&a, wire.MethodCreate, "", wire.KindValue,
		map[string]any{"code": "i", "lock": mutex}), status.OK)
	first, second := creator.ticket(a.ID, time.Hour), creator.ticket(a.ID, time.Hour)
	creator.leave()
	var opened wire.Attachment
	wantCode(t, "open", receiver.call(&opened, wire.MethodOpen, a.ID, wire.OpenOptions{Ticket: second}), status.OK)
	wantCode(t, "lock", receiver.call(nil, wire.MethodLock, opened.Handle), status.OK)
	wantCode(t, "unlock", receiver.call(nil, wire.MethodUnlock, opened.Handle), status.OK)
	wantCode(t, "close", receiver.call(nil, wire.MethodClose, opened.Handle), status.OK)
	wantCode(t, "open again", receiver.openWith(a.ID, first), status.OK)
	receiver.leave()
	last := greeted(t, s, 3)
	last.gone(a.ID)
	last.gone(mutex)
}

// A ticket ends by itself, also if one that ends later was made before it.
func TestTicketEnds(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	creator, receiver := greeted(t, s, 1), greeted(t, s, 2)
	long, short := creator.anonymous(wire.KindMutex), creator.anonymous(wire.KindMutex)
	good := creator.ticket(long, time.Hour)
	over := creator.ticket(short, time.Millisecond)
	creator.leave()
	receiver.gone(short)
	wantCode(t, "open too late", receiver.openWith(short, over), status.NotFound)
	wantCode(t, "open in time", receiver.openWith(long, good), status.OK)
}

// Timers do not pile up, whatever tickets come and go.
func TestTicketsHaveOneTimer(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := greeted(t, s, 1)
	id := c.anonymous(wire.KindMutex)
	s.mu.Lock()
	before := len(s.timers)
	s.mu.Unlock()
	for i := range 100 {
		wantCode(t, "open", c.openWith(id, c.ticket(id, time.Hour-time.Duration(i)*time.Second)), status.OK)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.timers) - before; n > 1 {
		t.Errorf("%d timers more", n)
	}
}

// Only the very ticket of an object opens it, and an open that fails does not use it up.
func TestTicketOfAnother(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	c := greeted(t, s, 1)
	stream, other := c.anonymous(wire.KindStream), c.anonymous(wire.KindMutex)
	ticket := c.ticket(stream, time.Hour)
	wantCode(t, "of another", c.openWith(other, ticket), status.NotFound)
	wantCode(t, "of none", c.openWith(stream, make([]byte, wire.TicketSize)), status.NotFound)
	wantCode(t, "short", c.openWith(stream, ticket[1:]), status.Invalid)
	wantCode(t, "empty", c.call(nil, wire.MethodOpen, stream, map[string]any{"ticket": []byte{}}), status.Invalid)
	wantCode(t, "text", c.call(nil, wire.MethodOpen, stream, map[string]any{"ticket": "x"}), status.BadParams)
	wantCode(t, "another kind", c.openWith(stream, ticket, func(o *wire.OpenOptions) { o.Kind = new(wire.KindPipe) }),
		status.KindMismatch)
	producer := func(o *wire.OpenOptions) { o.Role = new(wire.RoleProducer) }
	wantCode(t, "role", c.openWith(stream, nil, producer), status.OK)
	second := greeted(t, s, 2)
	wantCode(t, "taken role", second.openWith(stream, ticket, producer), status.Taken)
	wantCode(t, "at last", second.openWith(stream, ticket), status.OK)
	for _, timeout := range []int64{-1, 0, int64(wire.TicketTimeoutMax) + 1} {
		wantCode(t, "timeout", c.call(nil, wire.MethodTicket, stream, timeout), status.Invalid)
	}
	wantCode(t, "default", c.call(nil, wire.MethodTicket, stream), status.OK)
	wantCode(t, "no object", c.call(nil, wire.MethodTicket, 99), status.NotFound)
}

// Destroying ends tickets, and nothing stays of them.
func TestTicketOfDestroyed(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s")})
	creator, receiver := greeted(t, s, 1), greeted(t, s, 2)
	id := creator.anonymous(wire.KindMutex)
	ticket := creator.ticket(id, time.Hour)
	wantCode(t, "destroy", creator.call(nil, wire.MethodDestroy, id), status.OK)
	wantCode(t, "open", receiver.openWith(id, ticket), status.Removed)
	wantCode(t, "ticket", creator.call(nil, wire.MethodTicket, id), status.Removed)
	creator.leave()
	receiver.gone(id)
}
