package daemon

import (
	"sync"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// direction is one role at one ring that a client has through the socket: it sends by
// it, or receives. One call at a time uses it.
type direction struct {
	role   string          // immutable; the role in a stream, the end of a pipe
	ring   int             // immutable
	writer *shm.RingWriter // immutable; of who sends, else nil
	reader *shm.RingReader // immutable; of who receives, else nil
	end    *shm.PipeEnd    // immutable; both directions of a pipe's end; nil in a stream

	// busy holds a token while a call uses the direction, which owns what follows.
	busy    chan struct{}
	waiting uint32 // the id of the call that was set aside; of the read loop
	paid    bool   // the user is charged for a long message in pieces
}

// enter keeps other calls off until leave; false if one is there.
func (d *direction) enter() bool {
	select {
	case d.busy <- struct{}{}:
		return true
	default:
		return false
	}
}

// await is enter, but waits for the call that is there.
func (d *direction) await() { d.busy <- struct{}{} }

func (d *direction) leave() { <-d.busy }

func (d *direction) purpose() int {
	if d.writer != nil {
		return sends
	}
	return receives
}

// What a direction is for.
const (
	sends    = 0
	receives = 1
)

// roleTable holds the directions of one seat by ring and by what they are for. They
// are forgotten with the seat, whose sweep frees the roles.
type roleTable struct {
	mu         sync.Mutex
	directions [2][2]*direction // protected by mu
}

func (t *roleTable) add(d *direction) {
	d.busy = make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.directions[d.ring][d.purpose()] = d
}

func (t *roleTable) get(ring, purpose int) *direction {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.directions[ring][purpose]
}

// ends are those of a pipe, by index.
var ends = [2]string{wire.EndA, wire.EndB}

// ringOf is the ring by which an end sends, or from which it receives.
func ringOf(end, purpose int) int { return end ^ purpose }

// direction finds what the client sends or receives by. Of a pipe of which it has
// both ends the name must say which.
func (s *seat) direction(purpose int, end string) (*direction, error) {
	if s.object.stream != nil {
		if end != "" {
			return nil, status.New(status.Invalid, "", "end is %.32q; a stream has no ends", end)
		}
		return had(s.roles.get(0, purpose))
	}
	a, b := s.roles.get(ringOf(0, purpose), purpose), s.roles.get(ringOf(1, purpose), purpose)
	switch {
	case end == wire.EndA:
		return had(a)
	case end == wire.EndB:
		return had(b)
	case end != "":
		return nil, status.New(status.Invalid, "", "end is %.32q; it must be a or b", end)
	case a != nil && b != nil:
		return nil, status.New(status.Invalid, "", "this client has both ends: end must be a or b")
	case a != nil:
		return a, nil
	}
	return had(b)
}

func had(d *direction) (*direction, error) {
	if d == nil {
		return nil, status.New(status.NotOwner, "", "claim it first")
	}
	return d, nil
}

// claim gives the client a role, or an end, unless it has it already, and returns
// its name.
func (s *Server) claim(target *seat, role string) (string, error) {
	o := target.object
	var err error
	switch {
	case o.stream != nil:
		err = s.claimRole(target, role)
	case o.pipe != nil:
		role, err = s.claimEnd(target, role)
	default:
		err = o.isNo("stream, pipe or queue")
	}
	switch err {
	case status.Taken:
		err = status.New(status.Taken, "", "until that retires, or ends")
	case status.Ended:
		err = status.New(status.Ended, "", "an end is claimed once, and whoever had it closed it, or died")
	}
	return role, err
}

func (s *Server) claimRole(target *seat, role string) error {
	stream, actor := target.object.stream, s.actor(target)
	d := &direction{role: role}
	var err error
	switch role {
	case wire.RoleProducer:
		if target.roles.get(0, sends) != nil {
			return nil
		}
		d.writer, err = stream.ClaimProducer(actor)
	case wire.RoleConsumer:
		if target.roles.get(0, receives) != nil {
			return nil
		}
		d.reader, err = stream.ClaimConsumer(actor)
	default:
		err = status.New(status.Invalid, "", "role is %.32q; of a stream it must be producer or consumer", role)
	}
	if err == nil {
		target.roles.add(d)
	}
	return err
}

func (s *Server) claimEnd(target *seat, role string) (string, error) {
	end := -1
	switch role {
	case wire.EndA:
		end = 0
	case wire.EndB:
		end = 1
	case wire.EndAny:
	default:
		return "", status.New(status.Invalid, "", "role is %.32q; of a pipe it must be a, b or any", role)
	}
	if end >= 0 && target.roles.get(ringOf(end, sends), sends) != nil {
		return role, nil
	}
	e, err := target.object.pipe.Claim(s.actor(target), end)
	if err != nil {
		return "", err
	}
	role = ends[e.Index]
	if target.roles.get(ringOf(e.Index, sends), sends) == nil {
		target.roles.add(&direction{role: role, ring: ringOf(e.Index, sends), writer: e.W, end: e})
		e.R.Limit = piecesFree
		target.roles.add(&direction{role: role, ring: ringOf(e.Index, receives), reader: e.R, end: e})
	}
	return role, nil
}

// takeRole returns the directions of a role that the client has, which no call finds any
// more.
func (s *seat) takeRole(role string) ([]*direction, error) {
	producer, consumer := wire.RoleProducer, wire.RoleConsumer
	if s.object.stream == nil {
		producer, consumer = wire.EndA, wire.EndB
	}
	if role != producer && role != consumer {
		return nil, status.New(status.Invalid, "", "role is %.32q; of %s it must be %s or %s", role,
			withArticle(s.object.geometry.Kind.String()), producer, consumer)
	}
	t := &s.roles
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*direction
	for ring := range t.directions {
		for purpose, d := range t.directions[ring] {
			if d != nil && d.role == role {
				taken = append(taken, d)
				t.directions[ring][purpose] = nil
			}
		}
	}
	if taken == nil {
		_, err := had(nil)
		return nil, err
	}
	return taken, nil
}

// putRole undoes takeRole.
func (s *seat) putRole(taken []*direction) {
	t := &s.roles
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range taken {
		t.directions[d.ring][d.purpose()] = d
	}
}

// A message in pieces is put together in the daemon's memory. The first bytes of it
// are free, as those of a connection's buffers are, up to what an answer carries they are
// charged to the user.
const (
	piecesFree = inputBusy
	piecesCost = carriedMax - piecesFree
)

// payFor charges for a longer message in pieces than is free. False = it is charged for
// already, or there are no pieces: then it is too long for any answer.
func (d *direction) payFor(c *client) (bool, error) {
	if d.paid || d.reader.Limit == 0 {
		return false, nil
	}
	if err := c.quota.charge(c.peer.uid, amount{resBuffers, piecesCost}); err != nil {
		return false, status.New(status.Quota, "", "%s", asStatus(err).Detail)
	}
	d.paid, d.reader.Limit = true, carriedMax
	return true, nil
}

// taken gives back what payFor charged, once the message is taken, or never will be.
func (d *direction) taken(c *client) {
	if d.paid {
		c.quota.release(c.peer.uid, amount{resBuffers, piecesCost})
		d.paid, d.reader.Limit = false, piecesFree
	}
}

// forgetRoles ends all directions, once no call is in any.
func (s *seat) forgetRoles() {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	for _, ring := range s.roles.directions {
		for _, d := range ring {
			if d != nil {
				d.taken(s.client)
			}
		}
	}
	s.roles.directions = [2][2]*direction{}
}

// close ends the role in an orderly way; no call is in any of its directions.
func (d *direction) close() {
	switch {
	case d.end != nil:
		d.end.Close()
	case d.writer != nil:
		d.writer.Close()
	default:
		d.reader.Close()
	}
}
