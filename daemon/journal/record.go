package journal

import (
	"bytes"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// Record is one change of the state. Ops are never renumbered.
type Record interface{ op() byte }

// Start is the life of a daemon, with the numbers that were given out last.
type Start struct {
	Epoch                  uint32
	LastObject, LastClient uint64
}

// Client is a process that said hello.
type Client struct {
	ID       uint64
	UUID     [16]byte
	PID      int32
	UID, GID uint32
	Groups   []uint32
	Software string
	Mapped   bool // it was given a descriptor
}

// ClientEnds means that what the client has is being given back.
type ClientEnds struct {
	ID  uint64
	How string
}

// ClientGone means that nothing of it is left.
type ClientGone struct{ ID uint64 }

// Object is a segment that the keeper holds.
type Object struct {
	ID       uint64
	Name     string // "" = anonymous
	Geometry shm.Geometry
	UID, GID uint32
	Mode     uint32
	Lifetime string
	Creator  uint64 // the client with which it ends; 0 = none
	// What a new object lacks:
	Unlinked    bool
	Removed     bool
	Generations []uint32 // of seats, by number
	LastSide    uint32   // the number given last
	Roles       uint8    // in a queue, that a handle has had
}

// Unlinked means that the object has lost its name, and what kept it.
type Unlinked struct{ ID uint64 }

// Removed means that the object was destroyed.
type Removed struct{ ID uint64 }

// Mode is a new mode.
type Mode struct {
	ID   uint64
	Mode uint32
}

// Owner is a new owner.
type Owner struct {
	ID       uint64
	UID, GID uint32
}

// ObjectGone means that the segment is freed.
type ObjectGone struct{ ID uint64 }

// Seat is a client's place in an object.
type Seat struct {
	Object     uint64
	Number     uint16
	Client     uint64
	Generation uint32
	Mapped     bool   // the client was given the segment
	Guard      uint16 // its seat in the mutex that guards the object; 0 = none does
}

// SeatMapped means that the seat's client is given the segment.
type SeatMapped struct {
	Object uint64
	Number uint16
}

// SeatGone means that the seat is swept, and free.
type SeatGone struct {
	Object uint64
	Number uint16
}

// Handle is what a client has open.
type Handle struct {
	Client   uint64
	Number   uint64
	Object   uint64
	Seat     uint16
	Request  uint32 // that opened it
	ReadOnly bool
	Mutex    uint64 // the handle that was opened along; 0 = none
	Roles    uint8  // in a queue
}

// HandleRoles are the roles that a handle of a queue has from now on.
type HandleRoles struct {
	Client, Number uint64
	Roles          uint8
}

// HandleGone means that it is closed.
type HandleGone struct{ Client, Number uint64 }

// Side is a side segment that the keeper holds.
type Side struct {
	Object uint64
	Number uint32
	Slot   uint32
	Size   uint64
}

// SideGone means that it is freed.
type SideGone struct {
	Object uint64
	Number uint32
}

// Ticket keeps an object for who will open it.
type Ticket struct {
	Secret   [16]byte
	Object   uint64
	UID      uint32        // who is charged
	Deadline time.Duration // since boot
	// What one that was just made lacks:
	Client, Handle uint64 // that was opened with it; 0 = it is good
}

// TicketUsed means that a handle was opened with it, with which it is gone.
type TicketUsed struct {
	Secret         [16]byte
	Client, Handle uint64
}

// TicketGone means that its time is over, or its object was destroyed.
type TicketGone struct{ Secret [16]byte }

func (*Start) op() byte       { return 1 }
func (*Client) op() byte      { return 2 }
func (*ClientEnds) op() byte  { return 3 }
func (*ClientGone) op() byte  { return 4 }
func (*Object) op() byte      { return 5 }
func (*Unlinked) op() byte    { return 6 }
func (*Removed) op() byte     { return 7 }
func (*Mode) op() byte        { return 8 }
func (*ObjectGone) op() byte  { return 9 }
func (*Seat) op() byte        { return 10 }
func (*SeatMapped) op() byte  { return 11 }
func (*SeatGone) op() byte    { return 12 }
func (*Handle) op() byte      { return 13 }
func (*HandleGone) op() byte  { return 14 }
func (*Side) op() byte        { return 15 }
func (*SideGone) op() byte    { return 16 }
func (*Owner) op() byte       { return 17 }
func (*Ticket) op() byte      { return 18 }
func (*TicketUsed) op() byte  { return 19 }
func (*TicketGone) op() byte  { return 20 }
func (*HandleRoles) op() byte { return 21 }

var makers = [...]func() Record{
	1:  func() Record { return new(Start) },
	2:  func() Record { return new(Client) },
	3:  func() Record { return new(ClientEnds) },
	4:  func() Record { return new(ClientGone) },
	5:  func() Record { return new(Object) },
	6:  func() Record { return new(Unlinked) },
	7:  func() Record { return new(Removed) },
	8:  func() Record { return new(Mode) },
	9:  func() Record { return new(ObjectGone) },
	10: func() Record { return new(Seat) },
	11: func() Record { return new(SeatMapped) },
	12: func() Record { return new(SeatGone) },
	13: func() Record { return new(Handle) },
	14: func() Record { return new(HandleGone) },
	15: func() Record { return new(Side) },
	16: func() Record { return new(SideGone) },
	17: func() Record { return new(Owner) },
	18: func() Record { return new(Ticket) },
	19: func() Record { return new(TicketUsed) },
	20: func() Record { return new(TicketGone) },
	21: func() Record { return new(HandleRoles) },
}

// encoder turns records into payloads.
type encoder struct {
	buffer bytes.Buffer
	pack   *msgpack.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.pack = msgpack.NewEncoder(&e.buffer)
	e.pack.UseCompactInts(true)
	e.pack.UseArrayEncodedStructs(true)
	return e
}

// payload is valid until the next one.
func (e *encoder) payload(r Record) []byte {
	e.buffer.Reset()
	e.buffer.WriteByte(r.op())
	if err := e.pack.Encode(r); err != nil {
		panic(err) // a record is made of numbers and strings
	}
	return e.buffer.Bytes()
}

// decode reads a payload.
func decode(payload []byte) (Record, error) {
	op := payload[0]
	if int(op) >= len(makers) || makers[op] == nil {
		return nil, status.New(status.Version, "replay", "a record of kind %d, which a newer shmd wrote", op)
	}
	r := makers[op]()
	if err := msgpack.Unmarshal(payload[1:], r); err != nil {
		return nil, fmt.Errorf("a record of kind %d: %w", op, err)
	}
	return r, nil
}
