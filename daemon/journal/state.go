package journal

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// State is what the records say.
type State struct {
	Start   Start
	Objects map[uint64]*ObjectState
	Clients map[uint64]*ClientState
	Tickets map[[16]byte]*Ticket
	names   map[string]uint64
}

// ObjectState is an object with who sits in it.
type ObjectState struct {
	Object
	Seats []*SeatState     // by number
	Sides map[uint32]*Side // nil = there never were any
	users int              // objects that it guards
	kept  int              // by tickets that are good
}

// SeatState is a seat with what is open in it.
type SeatState struct {
	Seat
	handles int
}

// seat finds a seat, or where it belongs.
func (o *ObjectState) seat(number uint16) (at int, seat *SeatState) {
	at, found := slices.BinarySearchFunc(o.Seats, number, func(s *SeatState, number uint16) int {
		return cmp.Compare(s.Number, number)
	})
	if found {
		seat = o.Seats[at]
	}
	return at, seat
}

// ClientState is a client with what it has open.
type ClientState struct {
	Client
	Ends    string // how; "" = it does not
	Handles map[uint64]*Handle
	seats   int
	tickets map[uint64][16]byte // by the handle that was opened with it
}

// NewState is the state before the first record.
func NewState() *State {
	return &State{Objects: make(map[uint64]*ObjectState), Clients: make(map[uint64]*ClientState),
		Tickets: make(map[[16]byte]*Ticket), names: make(map[string]uint64)}
}

// Apply makes one change. An error means that the record contradicts the state, which
// it leaves as it was.
func (s *State) Apply(record Record) error {
	switch r := record.(type) {
	case *Start:
		if r.LastObject < s.Start.LastObject || r.LastClient < s.Start.LastClient {
			return fmt.Errorf("a start with numbers given out already")
		}
		s.Start = *r
	case *Client:
		return s.addClient(r)
	case *ClientEnds:
		return withClient(s, r.ID, func(c *ClientState) error { c.Ends = r.How; return nil })
	case *ClientGone:
		return withClient(s, r.ID, s.dropClient)
	case *Object:
		return s.addObject(r)
	case *Unlinked:
		return withObject(s, r.ID, func(o *ObjectState) error { s.unlink(o); return nil })
	case *Removed:
		return withObject(s, r.ID, func(o *ObjectState) error { o.Removed = true; s.unlink(o); return nil })
	case *Mode:
		return withObject(s, r.ID, func(o *ObjectState) error { o.Mode = r.Mode; return nil })
	case *Owner:
		return withObject(s, r.ID, func(o *ObjectState) error { o.UID, o.GID = r.UID, r.GID; return nil })
	case *ObjectGone:
		return withObject(s, r.ID, s.dropObject)
	case *Seat:
		return s.addSeat(r)
	case *SeatMapped:
		return s.withSeat(r.Object, r.Number, func(_ *ObjectState, seat *SeatState) error {
			seat.Mapped, s.Clients[seat.Client].Mapped = true, true
			return nil
		})
	case *SeatGone:
		return s.withSeat(r.Object, r.Number, func(o *ObjectState, seat *SeatState) error {
			if seat.handles > 0 {
				return fmt.Errorf("seat %d of object %d is free with %d handles", r.Number, r.Object, seat.handles)
			}
			at, _ := o.seat(r.Number)
			o.Seats = slices.Delete(o.Seats, at, at+1)
			s.Clients[seat.Client].seats--
			return nil
		})
	case *Handle:
		return s.addHandle(r)
	case *HandleRoles:
		return withClient(s, r.Client, func(c *ClientState) error {
			h := c.Handles[r.Number]
			if h == nil {
				return fmt.Errorf("client %d has no handle %d", r.Client, r.Number)
			}
			h.Roles = r.Roles
			s.Objects[h.Object].Roles |= r.Roles
			return nil
		})
	case *HandleGone:
		return withClient(s, r.Client, func(c *ClientState) error {
			h := c.Handles[r.Number]
			if h == nil {
				return fmt.Errorf("client %d has no handle %d", r.Client, r.Number)
			}
			_, seat := s.Objects[h.Object].seat(h.Seat)
			seat.handles--
			delete(c.Handles, r.Number)
			if secret, opened := c.tickets[r.Number]; opened {
				delete(c.tickets, r.Number)
				delete(s.Tickets, secret)
			}
			return nil
		})
	case *Side:
		return s.addSide(r)
	case *SideGone:
		return withObject(s, r.Object, func(o *ObjectState) error {
			if o.Sides[r.Number] == nil {
				return fmt.Errorf("object %d has no side segment %d", r.Object, r.Number)
			}
			delete(o.Sides, r.Number)
			return nil
		})
	case *Ticket:
		return s.addTicket(r)
	case *TicketUsed:
		return s.withTicket(r.Secret, func(t *Ticket) error { return s.useTicket(t, r.Client, r.Handle) })
	case *TicketGone:
		return s.withTicket(r.Secret, func(t *Ticket) error {
			s.Objects[t.Object].kept--
			delete(s.Tickets, r.Secret)
			return nil
		})
	}
	return nil
}

func withClient(s *State, id uint64, f func(*ClientState) error) error {
	if c := s.Clients[id]; c != nil {
		return f(c)
	}
	return fmt.Errorf("no client %d", id)
}

func withObject(s *State, id uint64, f func(*ObjectState) error) error {
	if o := s.Objects[id]; o != nil {
		return f(o)
	}
	return fmt.Errorf("no object %d", id)
}

func (s *State) withSeat(object uint64, number uint16, f func(*ObjectState, *SeatState) error) error {
	return withObject(s, object, func(o *ObjectState) error {
		if _, seat := o.seat(number); seat != nil {
			return f(o, seat)
		}
		return fmt.Errorf("object %d has nobody in seat %d", object, number)
	})
}

func (s *State) addClient(r *Client) error {
	if r.ID == 0 || s.Clients[r.ID] != nil {
		return fmt.Errorf("client %d twice", r.ID)
	}
	s.Clients[r.ID] = &ClientState{Client: *r, Handles: make(map[uint64]*Handle),
		tickets: make(map[uint64][16]byte)}
	s.Start.LastClient = max(s.Start.LastClient, r.ID)
	return nil
}

func (s *State) dropClient(c *ClientState) error {
	if c.seats > 0 || len(c.Handles) > 0 {
		return fmt.Errorf("client %d is gone with %d seats and %d handles", c.ID, c.seats, len(c.Handles))
	}
	delete(s.Clients, c.ID)
	return nil
}

func (s *State) addObject(r *Object) error {
	guard := s.Objects[r.Geometry.LockID]
	switch {
	case r.ID == 0 || s.Objects[r.ID] != nil:
		return fmt.Errorf("object %d twice", r.ID)
	case r.ID != r.Geometry.ID:
		return fmt.Errorf("object %d with the geometry of %d", r.ID, r.Geometry.ID)
	case r.Geometry.LockID != 0 && (guard == nil || r.Geometry.LockID >= r.ID):
		return fmt.Errorf("object %d without its mutex %d", r.ID, r.Geometry.LockID)
	case r.Name != "" && !r.Unlinked && s.names[r.Name] != 0:
		return fmt.Errorf("object %d with the name %q of object %d", r.ID, r.Name, s.names[r.Name])
	}
	o := &ObjectState{Object: *r}
	o.Generations = slices.Clone(r.Generations)
	if r.Name != "" && !r.Unlinked {
		s.names[r.Name] = r.ID
	}
	if guard != nil {
		guard.users++
	}
	s.Objects[r.ID] = o
	s.Start.LastObject = max(s.Start.LastObject, r.ID)
	return nil
}

func (s *State) unlink(o *ObjectState) {
	o.Unlinked = true
	if s.names[o.Name] == o.ID {
		delete(s.names, o.Name)
	}
}

func (s *State) dropObject(o *ObjectState) error {
	if len(o.Seats) > 0 || o.users > 0 || o.kept > 0 {
		return fmt.Errorf("object %d is gone with %d seats and %d tickets, and guards %d", o.ID, len(o.Seats), o.kept,
			o.users)
	}
	s.unlink(o)
	if guard := s.Objects[o.Geometry.LockID]; guard != nil {
		guard.users--
	}
	delete(s.Objects, o.ID)
	return nil
}

func (s *State) addSeat(r *Seat) error {
	o, c := s.Objects[r.Object], s.Clients[r.Client]
	switch {
	case o == nil || c == nil:
		return fmt.Errorf("seat %d of client %d in object %d, one of which is unknown", r.Number, r.Client, r.Object)
	case r.Number == 0 || uint32(r.Number) > o.Geometry.SeatsMax:
		return fmt.Errorf("object %d has no seat %d", r.Object, r.Number)
	}
	at, taken := o.seat(r.Number)
	if taken != nil {
		return fmt.Errorf("seat %d of object %d twice", r.Number, r.Object)
	}
	o.Seats = slices.Insert(o.Seats, at, &SeatState{Seat: *r})
	for len(o.Generations) <= int(r.Number) {
		o.Generations = append(o.Generations, 0)
	}
	o.Generations[r.Number] = r.Generation
	c.seats++
	return nil
}

func (s *State) addHandle(r *Handle) error {
	c, o := s.Clients[r.Client], s.Objects[r.Object]
	switch {
	case c == nil || o == nil:
		return fmt.Errorf("handle %d of client %d on object %d, one of which is unknown", r.Number, r.Client, r.Object)
	case r.Number == 0 || c.Handles[r.Number] != nil:
		return fmt.Errorf("handle %d of client %d twice", r.Number, r.Client)
	}
	_, seat := o.seat(r.Seat)
	if seat == nil || seat.Client != r.Client {
		return fmt.Errorf("client %d has a handle on object %d and not its seat %d", r.Client, r.Object, r.Seat)
	}
	handle := *r
	c.Handles[r.Number] = &handle
	seat.handles++
	o.Roles |= r.Roles
	return nil
}

// addSide adds a side segment, or gives it to another slot.
func (s *State) addSide(r *Side) error {
	return withObject(s, r.Object, func(o *ObjectState) error {
		was := o.Sides[r.Number]
		if r.Number == 0 || was != nil && (was.Slot == r.Slot || was.Size != r.Size) {
			return fmt.Errorf("side segment %d of object %d twice", r.Number, r.Object)
		}
		if o.Sides == nil {
			o.Sides = make(map[uint32]*Side)
		}
		side := *r
		o.Sides[r.Number] = &side
		o.LastSide = max(o.LastSide, r.Number)
		return nil
	})
}

// withTicket is for a ticket that is good.
func (s *State) withTicket(secret [16]byte, f func(*Ticket) error) error {
	if t := s.Tickets[secret]; t != nil && t.Handle == 0 {
		return f(t)
	}
	return fmt.Errorf("no such ticket")
}

// addTicket adds a ticket, which may be one that was used before: then it is its handle's no
// more.
func (s *State) addTicket(r *Ticket) error {
	return withObject(s, r.Object, func(o *ObjectState) error {
		before := s.Tickets[r.Secret]
		if before != nil && before.Handle == 0 {
			return fmt.Errorf("a ticket of object %d twice", r.Object)
		}
		t := *r
		t.Client, t.Handle = 0, 0
		o.kept++
		if r.Handle != 0 {
			if err := s.useTicket(&t, r.Client, r.Handle); err != nil {
				o.kept--
				return err
			}
		}
		if before != nil {
			delete(s.Clients[before.Client].tickets, before.Handle)
		}
		s.Tickets[r.Secret] = &t
		return nil
	})
}

// useTicket makes a ticket a handle's.
func (s *State) useTicket(t *Ticket, client, handle uint64) error {
	return withClient(s, client, func(c *ClientState) error {
		h := c.Handles[handle]
		if _, twice := c.tickets[handle]; twice || h == nil || h.Object != t.Object {
			return fmt.Errorf("handle %d of client %d opened with a ticket of object %d", handle, client, t.Object)
		}
		c.tickets[handle] = t.Secret
		t.Client, t.Handle = client, handle
		s.Objects[t.Object].kept--
		return nil
	})
}

// Records are the shortest way to the state.
func (s *State) Records(yield func(Record) bool) {
	if !yield(&s.Start) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(s.Clients)) {
		c := s.Clients[id]
		if !yield(&c.Client) || c.Ends != "" && !yield(&ClientEnds{ID: id, How: c.Ends}) {
			return
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Objects)) { // mutexes before what they guard
		o := s.Objects[id]
		if !yield(&o.Object) {
			return
		}
		for _, seat := range o.Seats {
			if !yield(&seat.Seat) {
				return
			}
		}
		for _, number := range slices.Sorted(maps.Keys(o.Sides)) {
			if !yield(o.Sides[number]) {
				return
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Clients)) {
		handles := slices.SortedFunc(maps.Values(s.Clients[id].Handles), func(a, b *Handle) int {
			return cmp.Compare(a.Number, b.Number)
		})
		for _, h := range handles {
			if !yield(h) {
				return
			}
		}
	}
	for _, secret := range slices.SortedFunc(maps.Keys(s.Tickets), func(a, b [16]byte) int {
		return bytes.Compare(a[:], b[:])
	}) {
		if !yield(s.Tickets[secret]) {
			return
		}
	}
}
