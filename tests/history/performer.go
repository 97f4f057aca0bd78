package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
)

// What Main is told by: the environment of a client.
const (
	flavourVariable = "SHMD_HISTORY_FLAVOUR"
	logVariable     = "SHMD_HISTORY_LOG"
)

// ObjectsMax is how many objects a client knows.
const ObjectsMax = 64

// errBroken is what an operation returns whose result cannot be.
var errBroken = errors.New("broken")

// opened is an open object in the way of a flavour.
type opened interface {
	// perform does what an entry says and writes what came of it, but for the status:
	// status.OwnerDied is success with a notice.
	perform(e *Entry) error
	close() error
}

// lease is a message that the client has.
type lease interface {
	Ack() error
	Nack() error
	Extend(d time.Duration) error
}

// reservation is a slot that the client fills.
type reservation interface {
	Buffer() []byte
	Commit(n int) error
	Abort() error
}

// holdings are what a client has of a queue, the oldest first.
type holdings struct {
	leases       []heldLease
	reservations []reservation
}

type heldLease struct {
	number     int64
	deliveries uint32
	lease      lease
}

// opener opens objects in the way of a flavour.
type opener func(c *shmd.Client, kind, name string) (opened, error)

// object is one that the client knows.
type object struct {
	kind, name string
	opened     opened // nil = not open
}

// performer is a client: what runs in the process.
type performer struct {
	client  *shmd.Client
	open    opener
	log     *Log
	objects [ObjectsMax]object
}

// Main is what a test's TestMain calls first: in a client's process it does what a
// client does, and never returns.
//
//	object INDEX KIND NAME    ok: what OpOpen of it opens
//	run FIRST COUNT           done: so many entries of the log
//
// The first line says ok, the end of the input ends it.
func Main() {
	f := os.Getenv(flavourVariable)
	if f == "" {
		return
	}
	if Flavour(f) == holder {
		holdOn()
		os.Exit(0)
	}
	if err := serve(Flavour(f)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(f Flavour) error {
	log, err := OpenLog(os.Getenv(logVariable))
	if err != nil {
		return err
	}
	c, err := shmd.Dial(context.Background(), shmd.Options{Software: string(f)})
	if err != nil {
		return err
	}
	p := performer{client: c, open: openMapped, log: log}
	if f == Socket {
		p.open = openRemote
	}
	fmt.Println("ok")
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		answer, err := p.obey(input.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", input.Text(), err)
		}
		fmt.Println(answer)
	}
	var errs []error
	for i := range p.objects {
		errs = append(errs, p.objects[i].close())
	}
	return errors.Join(append(errs, c.Close(), log.Close())...)
}

func (p *performer) obey(line string) (string, error) {
	verb, rest, _ := strings.Cut(line, " ")
	if verb == "object" {
		var i int
		var o object
		if _, err := fmt.Sscan(rest, &i, &o.kind, &o.name); err != nil {
			return "", err
		}
		err := p.objects[i].close()
		p.objects[i] = o
		return "ok", err
	}
	var first, count int
	if _, err := fmt.Sscan(rest, &first, &count); err != nil {
		return "", err
	}
	for i := range count {
		e := &p.log.entries[first+i]
		if err := p.do(e); errors.Is(err, errBroken) {
			e.Status = Broken
		} else if e.Status != Skipped {
			e.Status = int32(status.Of(err))
		}
		e.end()
	}
	return "done", nil
}

// do does what an entry says, and stamps its beginning.
func (p *performer) do(e *Entry) error {
	switch e.Op {
	case OpPause:
		e.begin()
		for end := Now() + e.Argument; Now() < end; {
			runtime.Gosched()
			yield()
		}
		return nil
	case OpFork:
		e.begin()
		return startHolder()
	}
	o := &p.objects[e.Object]
	switch {
	case e.Op == OpOpen && o.opened == nil:
		e.begin()
		opened, err := p.open(p.client, o.kind, o.name)
		if err == nil {
			o.opened = opened
		}
		return err
	case o.opened == nil || e.Op == OpOpen:
		return e.skip()
	case e.Op == OpClose:
		e.begin()
		return o.close()
	}
	return o.opened.perform(e)
}

// skip is for what there is nothing to do it with.
func (e *Entry) skip() error {
	e.begin()
	e.Status = Skipped
	return nil
}

func (o *object) close() error {
	if o.opened == nil {
		return nil
	}
	open := o.opened
	o.opened = nil
	return open.close()
}

// one does something with one of the leases, or skips the entry.
func (h *holdings) one(e *Entry) error {
	if len(h.leases) == 0 {
		return e.skip()
	}
	i := int(e.N) % len(h.leases)
	held := h.leases[i]
	if e.Op != OpExtend {
		h.leases = slices.Delete(h.leases, i, i+1)
	}
	e.Result, e.Extra = held.number, held.deliveries
	e.begin()
	switch e.Op {
	case OpAck:
		return held.lease.Ack()
	case OpNack:
		return held.lease.Nack()
	case OpExtend:
		return held.lease.Extend(time.Duration(e.Argument))
	}
	return nil
}

// hold keeps a lease on a message.
func (h *holdings) hold(e *Entry, l lease, message []byte, deliveries int) error {
	whole := e.Receive(message)
	e.Extra = uint32(deliveries)
	h.leases = append(h.leases, heldLease{e.Result, e.Extra, l})
	if !whole {
		return errBroken
	}
	return nil
}

// holdMany keeps leases on messages.
func (h *holdings) holdMany(e *Entry, messages [][]byte, leases []lease, deliveries []int) error {
	err := e.ReceiveMany(messages)
	for i, l := range leases {
		if i < BatchMax {
			e.Extra |= uint32(deliveries[i]) << (8 * i)
			h.leases = append(h.leases, heldLease{e.Numbers[i], uint32(deliveries[i]), l})
		}
	}
	return err
}

// endMany ends the oldest leases in one call, or skips the entry.
func (h *holdings) endMany(e *Entry, end func([]lease) (int, error)) error {
	n := min(len(h.leases), int(e.Desired), BatchMax)
	if n == 0 {
		return e.skip()
	}
	leases := make([]lease, n)
	for i, held := range h.leases[:n] {
		e.Numbers[i], leases[i] = held.number, held.lease
		e.Extra |= held.deliveries << (8 * i)
	}
	e.Desired = int64(n)
	h.leases = slices.Delete(h.leases, 0, n)
	e.begin()
	done, err := end(leases)
	e.Result = int64(done)
	return err
}

// fill ends the oldest reservation, or skips the entry.
func (h *holdings) fill(e *Entry) error {
	if len(h.reservations) == 0 {
		return e.skip()
	}
	r := h.reservations[0]
	h.reservations = h.reservations[1:]
	e.begin()
	if e.Op == OpAbort {
		return r.Abort()
	}
	buffer := r.Buffer()
	copy(buffer, makeMessage(e.Argument, uint32(len(buffer))))
	return r.Commit(len(buffer))
}
