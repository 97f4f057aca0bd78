package protocol

import (
	"testing"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// An open with a ticket that was not answered, because the daemon died, is repeated when its
// client has come back: the ticket is good again, as often as that happens.
func TestTicketOfDoubtfulOpen(t *testing.T) {
	d := harness.StartDaemon(t)
	creator := dial(t, d.Socket)
	creator.must(wire.MethodHello, 1, 1, append(make([]byte, 15), 1), "creator")
	var a wire.Attachment
	if err := wire.Decode(creator.must(wire.MethodCreate, "", wire.KindMutex, m{}), &a); err != nil {
		t.Fatal(err)
	}
	var ticket, other wire.TicketResult
	if err := wire.Decode(creator.must(wire.MethodTicket, a.ID), &ticket); err != nil {
		t.Fatal(err)
	}
	if err := wire.Decode(creator.must(wire.MethodTicket, a.ID), &other); err != nil {
		t.Fatal(err)
	}
	uuid := append(make([]byte, 15), 2)
	receiver := dial(t, d.Socket)
	receiver.must(wire.MethodHello, 1, 1, uuid, "receiver")
	creator.must(wire.MethodBye)
	for round := range 3 {
		receiver.must(wire.MethodOpen, a.ID, m{"ticket": ticket.Ticket})
		doubtful := receiver.id
		receiver.refuses(status.NotFound, "no such ticket", wire.MethodOpen, a.ID, m{"ticket": ticket.Ticket})
		d.Kill()
		d = d.Restart(harness.DaemonOptions{})
		back := dial(t, d.Socket)
		back.id = receiver.id
		back.must(wire.MethodHello, 1, 1, uuid, "receiver", list{doubtful})
		receiver = back
		if round == 1 { // it is the journal that says so, not the daemon that gave it back
			d.Kill()
			d = d.Restart(harness.DaemonOptions{})
			receiver = dial(t, d.Socket)
			receiver.must(wire.MethodHello, 1, 1, uuid, "receiver", list{})
		}
	}
	receiver.must(wire.MethodOpen, a.ID, m{"ticket": ticket.Ticket})
	used := receiver.id
	receiver.must(wire.MethodOpen, a.ID, m{"ticket": other.Ticket})
	d.Kill()
	d = d.Restart(harness.DaemonOptions{})
	receiver = dial(t, d.Socket)
	receiver.id = used + 1
	receiver.must(wire.MethodHello, 1, 1, uuid, "receiver", list{}) // it was told of both
	for _, each := range []wire.TicketResult{ticket, other} {
		receiver.refuses(status.NotFound, "no such ticket", wire.MethodOpen, a.ID, m{"ticket": each.Ticket})
	}
	receiver.must(wire.MethodBye)
	last := dial(t, d.Socket).greet()
	last.refuses(status.NotFound, "", wire.MethodStat, a.ID)
	last.must(wire.MethodBye)
}
