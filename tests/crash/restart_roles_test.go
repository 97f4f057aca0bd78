package crash

import (
	"cmp"
	"errors"
	"reflect"
	"testing"

	shmd "github.com/shmd/shmd/clients/go"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/tests/harness"
	"github.com/shmd/shmd/wire"
)

// TestRestartRoles kills the daemon under clients that have the roles of a stream and the ends
// of a pipe through the socket: nobody else gets them, and each goes on once it has claimed
// again what it holds. What was under way answers that nobody knows.
func TestRestartRoles(t *testing.T) {
	s := newScene(t)
	producer, consumer, stranger := s.Dial(t), s.Dial(t), s.Dial(t)
	call := func(c *shmd.Client, want status.Code, result any, method string, params ...any) {
		t.Helper()
		if err := c.Call(t.Context(), method, result, params...); status.Of(err) != want {
			t.Fatalf("%s %v: %v, want %s", method, params, err, want.Name())
		}
	}
	s.create("flow", wire.KindStream, wire.CreateOptions{})
	s.create("talk", wire.KindPipe, wire.CreateOptions{})
	var flow, talk [3]uint64
	clients := []*shmd.Client{producer, consumer, stranger}
	for i, c := range clients {
		var a wire.Attachment
		call(c, status.OK, &a, wire.MethodOpen, "flow")
		flow[i] = a.Handle
		call(c, status.OK, &a, wire.MethodOpen, "talk")
		talk[i] = a.Handle
	}
	roles, ends := []string{wire.RoleProducer, wire.RoleConsumer}, []string{wire.EndA, wire.EndB}
	for i := range roles {
		call(clients[i], status.OK, nil, wire.MethodClaim, flow[i], roles[i])
		call(clients[i], status.OK, nil, wire.MethodClaim, talk[i], ends[i])
	}
	call(producer, status.OK, nil, wire.MethodSend, flow[0], []byte("one"))
	call(producer, status.OK, nil, wire.MethodSend, talk[0], []byte("question"))
	var message []byte
	waits, err := producer.Start(wire.MethodRecv, talk[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.Call(t.Context(), wire.MethodPing, nil); err != nil { // which sends both
		t.Fatal(err)
	}
	s.awaitStatus("who waits", func(st *wire.Status) bool { return st.Waiting == 1 })
	var before, after [2]wire.List[wire.Holding]
	for i := range before {
		call(clients[i], status.OK, &before[i], wire.MethodHoldings)
	}
	s.Kill()
	if err := waits.Wait(t.Context(), &message); !errors.Is(err, status.OutcomeUnknown) {
		t.Errorf("a recv under way: %v, want OUTCOME_UNKNOWN", err)
	}
	s.restarted(harness.DaemonOptions{})
	for i := range after {
		call(clients[i], status.OK, &after[i], wire.MethodHoldings)
	}
	if len(before[0]) != 2 || !reflect.DeepEqual(after, before) {
		t.Errorf("they held %+v, and hold %+v", before, after)
	}
	call(producer, status.NotOwner, nil, wire.MethodSend, flow[0], []byte("two"))
	call(consumer, status.NotOwner, nil, wire.MethodRecv, flow[1], 0)
	for i := range roles {
		call(stranger, status.Taken, nil, wire.MethodClaim, flow[2], roles[i])
		call(stranger, status.Taken, nil, wire.MethodClaim, talk[2], ends[i])
	}
	var got string
	for i := range roles {
		call(clients[i], status.OK, &got, wire.MethodClaim, flow[i], roles[i])
		call(clients[i], status.OK, &got, wire.MethodClaim, talk[i], ends[i])
		if got != ends[i] {
			t.Errorf("it claims end %s, and has %s", ends[i], got)
		}
	}
	call(producer, status.OK, nil, wire.MethodSend, flow[0], []byte("two"))
	for _, want := range []string{"one", "two"} {
		call(consumer, status.OK, &message, wire.MethodRecv, flow[1])
		if string(message) != want {
			t.Errorf("received %s, want %s", message, want)
		}
	}
	call(consumer, status.OK, &message, wire.MethodRecv, talk[1])
	call(consumer, status.OK, nil, wire.MethodSend, talk[1], []byte("answer"))
	call(producer, status.OK, &message, wire.MethodRecv, talk[0])
	if string(message) != "answer" {
		t.Errorf("received %s", message)
	}
	// Roles end as ever.
	call(producer, status.OK, nil, wire.MethodRetire, flow[0], wire.RoleProducer)
	call(consumer, status.Ended, nil, wire.MethodRecv, flow[1])
	call(stranger, status.OK, nil, wire.MethodClaim, flow[2], wire.RoleProducer)
	for _, c := range clients {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRestartRemembersRoles kills the daemon while a queue has no producer any more, and a
// ticket that may bring one: when it brings none, the queue is shut down, as it would have
// been by the daemon before.
func TestRestartRemembersRoles(t *testing.T) {
	for _, role := range []string{"", wire.RoleProducer} {
		t.Run("opened as "+cmp.Or(role, "nobody"), func(t *testing.T) {
			s := newScene(t)
			producer, consumer, heir := s.Dial(t), s.Dial(t), s.Dial(t)
			call := func(c *shmd.Client, want status.Code, result any, method string, params ...any) {
				t.Helper()
				if err := c.Call(t.Context(), method, result, params...); status.Of(err) != want {
					t.Fatalf("%s %v: %v, want %s", method, params, err, want.Name())
				}
			}
			s.create("jobs", wire.KindQueue, wire.CreateOptions{})
			var put, take, other wire.Attachment
			call(producer, status.OK, &put, wire.MethodOpen, "jobs", map[string]any{"role": wire.RoleProducer})
			call(consumer, status.OK, &take, wire.MethodOpen, "jobs", map[string]any{"role": wire.RoleConsumer})
			var ticket wire.TicketResult
			call(producer, status.OK, &ticket, wire.MethodTicket, "jobs")
			call(producer, status.OK, nil, wire.MethodClose, put.Handle)
			call(consumer, status.WouldBlock, nil, wire.MethodTake, take.Handle, 0)
			s.Kill()
			s.restarted(harness.DaemonOptions{})
			call(consumer, status.WouldBlock, nil, wire.MethodTake, take.Handle, 0)
			options := map[string]any{"ticket": ticket.Ticket}
			want := status.Ended
			if role != "" {
				options["role"], want = role, status.WouldBlock
			}
			call(heir, status.OK, &other, wire.MethodOpen, "jobs", options)
			call(consumer, want, nil, wire.MethodTake, take.Handle, 0)
			for _, c := range []*shmd.Client{producer, consumer, heir} {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
