package wire

import (
	"errors"

	"bytes"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/shmd/shmd/status"
)

// List is a slice that is an array on the wire even if it is nil.
type List[T any] []T

// EncodeMsgpack implements msgpack.CustomEncoder. Its receiver is a pointer
// because the library writes nil for a nil slice without asking; AppendEncoded
// sees to it that every List has an address.
func (l *List[T]) EncodeMsgpack(e *msgpack.Encoder) error {
	if err := e.EncodeArrayLen(len(*l)); err != nil {
		return err
	}
	for i := range *l {
		if err := e.Encode(&(*l)[i]); err != nil {
			return err
		}
	}
	return nil
}

// HelloResult is the result of hello.
type HelloResult struct {
	Version        uint32 `msgpack:"version"`
	Server         string `msgpack:"server"`
	Epoch          uint64 `msgpack:"epoch"`
	Client         uint64 `msgpack:"client"`
	UID            uint32 `msgpack:"uid"`
	PID            int32  `msgpack:"pid"`
	MessageMax     uint32 `msgpack:"message_max"`
	SeatsDefault   uint32 `msgpack:"seats_default"`
	ABIVersion     uint32 `msgpack:"abi_version"`
	ABICompat      uint32 `msgpack:"abi_compat"`
	ABIFingerprint uint64 `msgpack:"abi_fingerprint"`
	// Resumable: when the daemon ends the client may come back to the next one.
	Resumable bool `msgpack:"resumable"`
}

// Values of kind.
const (
	KindValue = "value"
	KindArray = "array"
	KindMutex = "mutex"

	KindSemaphore = "semaphore"
	KindQueue     = "queue"
	KindEvent     = "event"
	KindCondition = "condition"
	KindBarrier   = "barrier"
	KindRWLock    = "rwlock"
	KindStream    = "stream"
	KindPipe      = "pipe"
)

// Values of flags.
const (
	FlagRecursive = "recursive"
	FlagUnlockAny = "unlock_any"
	FlagStrict    = "strict"
	FlagUndo      = "undo"
	FlagAutoReset = "auto_reset"
	FlagBytes     = "bytes"
)

// Values of lock in an Info; LockOwn and LockNone are options of create too.
const (
	LockOwn     = "own"
	LockNone    = "none"
	LockForeign = "foreign"
)

// Values of content.
const (
	ContentMsgpack = "msgpack"
	ContentRaw     = "raw"
)

// Values of holds in a Holding.
const (
	HoldsLock     = "lock" // of an rwlock: the writer
	HoldsRead     = "read"
	HoldsLead     = "lead" // of a barrier: it acts for all, until complete
	HoldsPermits  = "permits"
	HoldsLease    = "lease"
	HoldsSlot     = "slot"
	HoldsProducer = "producer" // of a stream
	HoldsConsumer = "consumer" // of a stream
	HoldsEnd      = "end"      // of a pipe
)

// Values of reasons: why a barrier is broken.
const (
	ReasonTimeout = "timeout"
	ReasonAbort   = "abort"
	ReasonDeath   = "death"
	ReasonAction  = "action"
)

// Values of until in an item of wait_any.
const (
	UntilFree     = "free"     // a mutex, or the lock of a value or array
	UntilPermit   = "permit"   // a semaphore
	UntilMessage  = "message"  // a queue
	UntilSlot     = "slot"     // a queue
	UntilSet      = "set"      // an event
	UntilReadable = "readable" // an rwlock, a stream, a pipe
	UntilWritable = "writable" // a stream, a pipe
	UntilChanged  = "changed"  // a value or array
)

// Values of role, and of end, which has no producer and consumer.
const (
	RoleProducer = "producer" // of a stream
	RoleConsumer = "consumer" // of a stream
	EndA         = "a"        // of a pipe
	EndB         = "b"        // of a pipe
	EndAny       = "any"      // of a pipe: one that is free, A first
)

// Values of ended.
const (
	EndedClosed = "closed"
	EndedDied   = "died"
)

// Values of lifetime.
const (
	LifetimePersistent = "persistent"
	LifetimeRefcounted = "refcounted"
	LifetimeOwned      = "owned"
)

// Values of access.
const (
	AccessReadWrite = "rw"
	AccessRead      = "r"
)

// Values of state.
const (
	StateLive    = "live"
	StateCorrupt = "corrupt"
	StateRemoved = "removed"
)

// Info describes an object.
type Info struct {
	ID          uint64       `msgpack:"id"`
	Name        string       `msgpack:"name"`
	Kind        string       `msgpack:"kind"`
	Code        string       `msgpack:"code"`
	Shape       List[uint64] `msgpack:"shape"`
	Length      uint64       `msgpack:"length"`
	ItemSize    uint32       `msgpack:"item_size"`
	Flags       List[string] `msgpack:"flags"`
	Lock        string       `msgpack:"lock"`
	LockID      uint64       `msgpack:"lock_id"`
	SeatsMax    uint32       `msgpack:"seats_max"`
	Mode        uint32       `msgpack:"mode"`
	UID         uint32       `msgpack:"uid"`
	GID         uint32       `msgpack:"gid"`
	Lifetime    string       `msgpack:"lifetime"`
	CreatedNS   int64        `msgpack:"created_ns"`
	SegmentSize uint64       `msgpack:"segment_size"`

	// Of a semaphore; Maximum is never 0 there. Initial is 1 of an event that was
	// set at first.
	Initial uint32 `msgpack:"initial,omitempty"`
	Maximum uint32 `msgpack:"maximum,omitempty"`

	// Of a queue; only DeliveriesMax and LeaseNS may be 0 there.
	Content       string `msgpack:"content,omitempty"`
	MaxSize       uint32 `msgpack:"maxsize,omitempty"`
	SlotSize      uint32 `msgpack:"slot_size,omitempty"`
	MessageMax    uint32 `msgpack:"message_max,omitempty"`
	DeliveriesMax uint32 `msgpack:"deliveries_max,omitempty"`
	LeaseNS       uint64 `msgpack:"lease_ns,omitempty"`

	// Of a barrier, where it is never 0.
	Parties uint32 `msgpack:"parties,omitempty"`

	// Of a stream or a pipe, which have a MessageMax too; never 0 there.
	Capacity uint32 `msgpack:"capacity,omitempty"`
}

// Attachment is the result of create, open and open_or_create.
type Attachment struct {
	Info        `msgpack:",inline"`
	Handle      uint64 `msgpack:"handle"`
	Created     bool   `msgpack:"created"`
	Access      string `msgpack:"access"`
	Seat        uint32 `msgpack:"seat"`
	Owner       uint32 `msgpack:"owner"`
	DataOffset  uint64 `msgpack:"data_offset"`
	DataSize    uint64 `msgpack:"data_size"`
	SeatsOffset uint64 `msgpack:"seats_offset"`
	// LockHandle and LockOwner are there if the lock is foreign.
	LockHandle *uint64 `msgpack:"lock_handle,omitempty"`
	LockOwner  *uint32 `msgpack:"lock_owner,omitempty"`
	// Role is what open claimed.
	Role string `msgpack:"role,omitempty"`
	// Fds is 1 if the segment's descriptor comes along.
	Fds uint32 `msgpack:"fds,omitempty"`
}

// TicketResult is the result of ticket.
type TicketResult struct {
	ID     uint64 `msgpack:"id"`
	Ticket []byte `msgpack:"ticket"`
}

// Seat is one client of an object.
type Seat struct {
	Seat    uint32 `msgpack:"seat"`
	PID     int32  `msgpack:"pid"`
	UID     uint32 `msgpack:"uid"`
	Client  uint64 `msgpack:"client"`
	Waiting bool   `msgpack:"waiting"`
	Mapped  bool   `msgpack:"mapped"`
	Zombie  bool   `msgpack:"zombie"`
	Holds   uint32 `msgpack:"holds"`
}

// Held says who holds a lock, and how deep.
type Held struct {
	Seat  uint32 `msgpack:"seat"`
	PID   int32  `msgpack:"pid"`
	UID   uint32 `msgpack:"uid"`
	Depth uint32 `msgpack:"depth"`
}

// Notice is the news that an owner died.
type Notice struct {
	Seat   uint32 `msgpack:"seat"`
	PID    int32  `msgpack:"pid"`
	UID    uint32 `msgpack:"uid"`
	DiedNS int64  `msgpack:"died_ns"`
	Deaths uint64 `msgpack:"deaths"`
}

// Stat is the result of stat.
type Stat struct {
	Info         `msgpack:",inline"`
	State        string     `msgpack:"state"`
	Linked       bool       `msgpack:"linked"`
	Handles      uint64     `msgpack:"handles"`
	Version      uint64     `msgpack:"version"`
	Dirty        bool       `msgpack:"dirty"`
	Seats        List[Seat] `msgpack:"seats"`
	Held         *Held      `msgpack:"held"`
	Busy         *Held      `msgpack:"busy,omitempty"` // of a semaphore with undo, or a queue
	Inconsistent bool       `msgpack:"inconsistent"`
	Waiters      uint64     `msgpack:"waiters"`
	Deaths       uint64     `msgpack:"deaths"`
	LastDeath    *Notice    `msgpack:"last_death"`

	// Of an event, a barrier and an rwlock.
	Set     bool   `msgpack:"set,omitempty"`
	Waiting uint32 `msgpack:"waiting,omitempty"` // have arrived
	Broken  bool   `msgpack:"broken,omitempty"`
	Readers uint32 `msgpack:"readers,omitempty"` // threads inside

	// Of a stream one, of a pipe two: from a to b, and from b to a.
	Rings []Ring `msgpack:"rings,omitempty"`
}

// Finding is a word of an object that cannot be right.
type Finding struct {
	Word   string `msgpack:"word"`
	Offset uint64 `msgpack:"offset"` // of the word in the segment, bytes
	Says   string `msgpack:"says"`   // what is wrong with it
	Remedy string `msgpack:"remedy"` // what a repair makes of it
}

// Check is the result of check.
type Check struct {
	ID       uint64        `msgpack:"id"`
	Name     string        `msgpack:"name"`
	Kind     string        `msgpack:"kind"`
	Findings List[Finding] `msgpack:"findings"`           // empty: what was judged is in order
	Unjudged string        `msgpack:"unjudged,omitempty"` // why some words could not be judged
}

// Repair is the result of repair.
type Repair struct {
	Check `msgpack:",inline"` // as it was before
	Costs List[string]        `msgpack:"costs"` // what it cost the users of the object
	Left  List[Finding]       `msgpack:"left"`  // what is wrong again, or still
}

// Ring is one direction of a stream or a pipe.
type Ring struct {
	UsedBytes uint64  `msgpack:"used_bytes"`
	Producer  *Holder `msgpack:"producer"` // nil = nobody has the role
	Consumer  *Holder `msgpack:"consumer"`
	Ended     string  `msgpack:"ended,omitempty"` // how its last producer ended; "" = it has not
}

// Holder is who has a role.
type Holder struct {
	Seat uint32 `msgpack:"seat"`
	PID  int32  `msgpack:"pid"`
}

// Status is the result of status.
type Status struct {
	Server         string `msgpack:"server"`
	Epoch          uint64 `msgpack:"epoch"`
	PID            int32  `msgpack:"pid"`
	UptimeNS       int64  `msgpack:"uptime_ns"`
	Objects        uint64 `msgpack:"objects"`
	Bytes          uint64 `msgpack:"bytes"`
	Clients        uint64 `msgpack:"clients"`
	Zombies        uint64 `msgpack:"zombies"`
	Waiting        uint64 `msgpack:"waiting"`
	BudgetBytes    uint64 `msgpack:"budget_bytes"`
	Deaths         uint64 `msgpack:"deaths"`
	Recoveries     uint64 `msgpack:"recoveries"`
	LastRecoveryNS int64  `msgpack:"last_recovery_ns"`
}

// ClientInfo is one element of the result of clients, which is a
// List[ClientInfo].
type ClientInfo struct {
	Client   uint64 `msgpack:"client"`
	PID      int32  `msgpack:"pid"`
	UID      uint32 `msgpack:"uid"`
	GID      uint32 `msgpack:"gid"`
	Software string `msgpack:"software"`
	Objects  uint64 `msgpack:"objects"`
	Mapped   uint64 `msgpack:"mapped"`
	Zombie   bool   `msgpack:"zombie"`
}

// QuotaResult is the result of quota.
type QuotaResult struct {
	Users List[QuotaUser] `msgpack:"users"`
	Pools List[QuotaUse]  `msgpack:"pools"` // of all together; empty for who sees only himself
	Next  uint32          `msgpack:"next"`  // where to go on; 0 = there are no more
}

// QuotaUser is what one user has.
type QuotaUser struct {
	UID  uint32         `msgpack:"uid"`
	Uses List[QuotaUse] `msgpack:"uses"`
}

// QuotaUse is how much there is of a resource, and may be as things are.
type QuotaUse struct {
	Resource string `msgpack:"resource"`
	Used     uint64 `msgpack:"used"`
	Max      uint64 `msgpack:"max"`
}

// ListResult is the result of list.
type ListResult struct {
	Objects List[Info] `msgpack:"objects"`
	Next    string     `msgpack:"next"`
}

// ReadResult is the result of read.
type ReadResult struct {
	Values  msgpack.RawMessage `msgpack:"values"` // an array, or for code c a bin
	Version uint64             `msgpack:"version"`
	Dirty   bool               `msgpack:"dirty"`
}

// MapResult is the result of map and map_side.
type MapResult struct {
	Size uint64 `msgpack:"size"`
	Fds  uint32 `msgpack:"fds"`
}

// SideResult is the result of side.
type SideResult struct {
	Side uint32 `msgpack:"side"`
	Size uint64 `msgpack:"size"`
	Fds  uint32 `msgpack:"fds"`
}

// AppendEncoded appends v as msgpack: one of the structs above, with the keys
// of PROTOCOL.md in its order, or anything the msgpack library can encode.
// Integers take their shortest form.
func AppendEncoded(b []byte, v any) ([]byte, error) {
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	buffer := bytes.NewBuffer(b)
	e.Reset(buffer)
	e.UseCompactInts(true)
	if err := e.Encode(addressable(v)); err != nil {
		return b, status.Wrap(status.Internal, "encode", err, "%T", v)
	}
	return buffer.Bytes(), nil
}

// addressable returns a pointer to a copy of a struct or a named slice, and
// everything else as it is.
func addressable(v any) any {
	r := reflect.ValueOf(v)
	if k := r.Kind(); k != reflect.Struct && (k != reflect.Slice || r.Type().Name() == "") {
		return v
	}
	p := reflect.New(r.Type())
	p.Elem().Set(r)
	return p.Interface()
}

// Encode is AppendEncoded into a slice of its own.
func Encode(v any) ([]byte, error) { return AppendEncoded(nil, v) }

// Decode reads raw, exactly one msgpack value, into the pointer v. Unknown keys
// are ignored, so that a newer daemon may say more. It may be longer than a message
// of the protocol: a queue's need not fit one. Errors are *status.Error, BadFrame or
// TooLarge. The msgpack library recurses: the depth is bounded before it begins.
func Decode(raw []byte, v any) error {
	if p, ok := v.(*[]byte); ok { // a message, most of the time: no decoder for that
		if payload, size := readBin(raw); size > 0 && size == len(raw) {
			if *p == nil {
				*p = make([]byte, 0, len(payload)) // an empty bin is no nil
			}
			*p = append((*p)[:0], payload...)
			return nil
		}
	}
	s := Scanner{limit: max(MessageMax, len(raw))}
	n, err := s.Next(raw)
	if err != nil {
		return err
	}
	if n != len(raw) || n == 0 {
		return status.New(status.BadFrame, "decode", "%d bytes are not one value", len(raw))
	}
	d := ToDecoder(raw)
	defer ReleaseDecoder(d)
	if err := d.Decode(v); err != nil {
		return status.Wrap(status.BadFrame, "decode", err, "no %T", v)
	}
	return nil
}

// Permits is the result of permits.
type Permits struct {
	Available uint32 `msgpack:"available"`
	Total     uint32 `msgpack:"total"`
	Held      uint32 `msgpack:"held"`
	Maximum   uint32 `msgpack:"maximum"`
}

// LeaseID names a lease: the slot of its message, the message's number, and which
// delivery of it this is; 0 = whichever this client has. On the wire it is an array of
// the three, or of the first two.
type LeaseID struct {
	Slot     uint32
	Seq      uint64
	Delivery uint32
}

// EncodeMsgpack implements msgpack.CustomEncoder.
func (l LeaseID) EncodeMsgpack(e *msgpack.Encoder) error {
	if l.Delivery == 0 {
		return errors.Join(e.EncodeArrayLen(2), e.EncodeUint(uint64(l.Slot)), e.EncodeUint(l.Seq))
	}
	return errors.Join(e.EncodeArrayLen(3), e.EncodeUint(uint64(l.Slot)), e.EncodeUint(l.Seq),
		e.EncodeUint(uint64(l.Delivery)))
}

// DecodeMsgpack implements msgpack.CustomDecoder.
func (l *LeaseID) DecodeMsgpack(d *msgpack.Decoder) error {
	n, err := d.DecodeArrayLen()
	if err == nil && n != 2 && n != 3 {
		err = status.New(status.BadFrame, "", "the name of a lease has %d elements, want 2 or 3", n)
	}
	if err == nil {
		l.Slot, err = d.DecodeUint32()
	}
	if err == nil {
		l.Seq, err = d.DecodeUint64()
	}
	if l.Delivery = 0; err == nil && n == 3 {
		l.Delivery, err = d.DecodeUint32()
	}
	return err
}

// Lease is the result of lease, and lease_many returns a List of them. Message is one msgpack value, or in a
// raw queue a
// bin.
type Lease struct {
	Lease      LeaseID            `msgpack:"lease"`
	Message    msgpack.RawMessage `msgpack:"message"`
	Deliveries uint32             `msgpack:"deliveries"`
}

// Counts is the result of counts: one consistent look.
type Counts struct {
	Ready    uint32 `msgpack:"ready"`
	Leased   uint32 `msgpack:"leased"`
	Writing  uint32 `msgpack:"writing"`
	Free     uint32 `msgpack:"free"`
	Dead     uint32 `msgpack:"dead"`
	MaxSize  uint32 `msgpack:"maxsize"`
	Shutdown bool   `msgpack:"shutdown"`
}

// Holding is one thing that a client holds; holdings returns a List of them.
type Holding struct {
	ID    uint64   `msgpack:"id"`
	Name  string   `msgpack:"name"`
	Kind  string   `msgpack:"kind"`
	Holds string   `msgpack:"holds"`
	Count uint32   `msgpack:"count"` // depth, permits, reads; 1
	Lease *LeaseID `msgpack:"lease,omitempty"`
	End   string   `msgpack:"end,omitempty"`
}

// Arrival is the result of arrive. A leader runs its action, and then calls complete.
type Arrival struct {
	Index  uint32 `msgpack:"index"`
	Leader bool   `msgpack:"leader"`
}

// Barrier is the result of barrier.
type Barrier struct {
	Parties    uint32       `msgpack:"parties"`
	Waiting    uint32       `msgpack:"waiting"`
	Broken     bool         `msgpack:"broken"`
	Reasons    List[string] `msgpack:"reasons"`
	Acting     bool         `msgpack:"acting"`
	Generation uint64       `msgpack:"generation"`
	LastDeath  *Notice      `msgpack:"last_death"`
}
