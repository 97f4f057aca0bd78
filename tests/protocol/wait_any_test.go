package protocol

import (
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// choice is an object that can be waited for, and how it is made ready.
type choice struct {
	name  string
	item  list
	ready list // the call that does it
}

// choices are one of each, none of which can be had.
func choices(p *peer) []choice {
	lock := p.attach(wire.MethodCreate, "lock", "mutex", m{})
	p.must(wire.MethodLock, lock)
	permits := p.attach(wire.MethodCreate, "permits", "semaphore", m{"initial": 0})
	undo := p.attach(wire.MethodCreate, "undo", "semaphore", m{"initial": 0, "undo": true})
	empty := p.queue("empty", m{"maxsize": 1})
	full := p.queue("full", m{"maxsize": 1})
	p.must(wire.MethodPut, full, 1)
	event := p.attach(wire.MethodCreate, "event", "event", m{})
	auto := p.attach(wire.MethodCreate, "auto", "event", m{"auto_reset": true})
	rw := p.attach(wire.MethodCreate, "rw", "rwlock", m{})
	p.must(wire.MethodLock, rw)
	value := p.attach(wire.MethodCreate, "value", "value", m{"code": "i"})
	p.must(wire.MethodLock, value)
	version := decoded[uint64](p, wire.MethodVersion, value)
	return []choice{
		{"lock", list{lock, "free"}, list{wire.MethodUnlock, lock}},
		{"permits", list{permits, "permit"}, list{wire.MethodPost, permits}},
		{"undo", list{undo, "permit"}, list{wire.MethodPost, undo}},
		{"empty", list{empty, "message"}, list{wire.MethodPut, empty, 1}},
		{"full", list{full, "slot"}, list{wire.MethodTake, full}},
		{"event", list{event, "set"}, list{wire.MethodPulse, event}}, // without staying set
		{"auto", list{auto, "set"}, list{wire.MethodSignal, auto}},
		{"rw", list{rw, "readable"}, list{wire.MethodUnlock, rw}},
		{"value", list{value, "changed", version}, list{wire.MethodSet, value, 0, 7}},
		{"value", list{value, "free"}, list{wire.MethodUnlock, value}},
	}
}

// waiters are a bare peer and a witness.
func waiters(t *testing.T) (*peer, *shmd.Client) {
	d := harness.StartDaemon(t)
	return dial(t, d.Socket).greet(), d.Dial(t)
}

// answer makes a call, and returns the item that the waiting one names.
func answer(p *peer, id uint32, call list) (index int) {
	p.t.Helper()
	all := p.answers([]uint32{id, p.later(call[0].(string), call[1:]...)})
	for _, r := range all {
		if r.Err != nil {
			p.t.Fatal(r.Err)
		}
	}
	if err := wire.Decode(all[id].Result, &index); err != nil {
		p.t.Fatal(err)
	}
	return index
}

// cancelled makes a call by which the waiting one ends.
func cancelled(p *peer, id uint32, method string, params ...any) {
	p.t.Helper()
	all := p.answers([]uint32{id, p.later(method, params...)})
	wantError(p.t, wire.MethodWaitAny, nil, all[id].Err, status.Cancelled, "")
}

// The answer names what can be had, for each kind among all.
func TestWaitAnyNamesWhatIsReady(t *testing.T) {
	for i := range 10 {
		p, witness := waiters(t)
		all := choices(p)
		items := list{}
		for _, c := range all {
			items = append(items, c.item)
		}
		p.refuses(status.WouldBlock, "", wire.MethodWaitAny, items, 0)
		ids := p.awaits(witness, all[i].name, list{wire.MethodWaitAny, items})
		if got := answer(p, ids[0], all[i].ready); got != i {
			t.Errorf("%v is ready, the answer names %v", all[i].item, all[got].item)
		}
	}
}

// A wait for any ends with each of its handles, with cancel, and with its object.
func TestWaitAnyEnds(t *testing.T) {
	p, witness := waiters(t)
	all := choices(p)
	items := list{all[1].item, all[3].item, all[5].item}
	ids := p.awaits(witness, all[3].name, list{wire.MethodWaitAny, items})
	cancelled(p, ids[0], wire.MethodClose, all[3].item[0])
	items = list{all[1].item, all[5].item}
	ids = p.awaits(witness, all[5].name, list{wire.MethodWaitAny, items})
	p.send(wire.AppendCancel(nil, ids[0]))
	cancelled(p, ids[0], wire.MethodPing)
	ids = p.awaits(witness, all[5].name, list{wire.MethodWaitAny, items})
	if got := answer(p, ids[0], list{wire.MethodDestroy, all[5].name}); got != 1 {
		t.Errorf("the event was destroyed, the answer names item %d", got)
	}
	p.refuses(status.Removed, "", wire.MethodWaitAny, items, 0)
}

// What is no item is refused, and the connection goes on.
func TestWaitAnyRefuses(t *testing.T) {
	p, _ := waiters(t)
	all := choices(p)
	event, value := all[5].item[0], all[8].item[0]
	many := list{}
	for range wire.WaitItemsMax + 1 {
		many = append(many, all[5].item)
	}
	p.refuses(status.Invalid, "", wire.MethodWaitAny, many, 0)
	p.refuses(status.Invalid, "", wire.MethodWaitAny, list{}, 0)
	p.refuses(status.BadHandle, "", wire.MethodWaitAny, list{list{999, "set"}}, 0)
	p.refuses(status.KindMismatch, "", wire.MethodWaitAny, list{list{event, "permit"}}, 0)
	p.refuses(status.BadParams, "", wire.MethodWaitAny, list{list{event}}, 0)
	p.refuses(status.BadParams, "", wire.MethodWaitAny, list{event}, 0)
	p.refuses(status.BadParams, "", wire.MethodWaitAny, list{list{event, "set", 1}}, 0)
	p.refuses(status.BadParams, "", wire.MethodWaitAny, list{list{value, "changed"}}, 0)
	p.refuses(status.BadParams, "", wire.MethodWaitAny, list{list{value, "changed", "now"}}, 0)
	reader := p.attach(wire.MethodOpen, "event", m{"access": "r"})
	p.refuses(status.Permission, "", wire.MethodWaitAny, list{list{reader, "set"}}, 0)
	bare := p.attach(wire.MethodCreate, "bare", "value", m{"code": "i", "lock": "none"})
	p.refuses(status.Unsupported, "", wire.MethodWaitAny, list{list{bare, "free"}}, 0)
}
