package daemon

import (
	"context"
	"errors"
	"math"
	"os"
	"sync"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// sideTable has the side segments of a queue, at most one for each slot. Its slot keeps
// one for as long as it needs none that is larger, and no other slot needs it while no
// message lies there: so there are about as many as there were long messages at once, of
// each size. The owner of the queue pays. When he, or the daemon, runs short, those that
// no message lies in go. It implements shm.Sides for clients that have not mapped the
// queue.
type sideTable struct {
	object   *object            // immutable
	registry *registry          // immutable
	options  shm.SegmentOptions // immutable
	word     uint32             // immutable; the daemon's owner word

	mu      sync.Mutex
	last    uint32           // protected by mu; the number given last; none is given twice
	slots   map[uint32]*side // protected by mu; by slot
	numbers map[uint32]*side // protected by mu; the same by number
}

// side is one side segment.
type side struct {
	number uint32    // immutable
	slot   uint32    // protected by sideTable.mu
	size   uint64    // immutable; bytes
	file   *os.File  // immutable; open until it is dropped
	memory *shm.Side // protected by sideTable.mu; nil until the daemon itself looks
	users  int       // protected by sideTable.mu; calls of the daemon that may look at memory
	gone   bool      // protected by sideTable.mu; dropped
}

// sideUse is what one call of a socket client looks at.
type sideUse struct {
	table *sideTable // immutable
	sides []*side    // protected by table.mu
}

// sideUseKey finds the sideUse in the context of a call.
type sideUseKey struct{}

// using begins a use of the queue, which keeps what Make and Find return with this
// context mapped until it is ended. t may be nil.
func (t *sideTable) using(ctx context.Context) (_ context.Context, end func()) {
	if t == nil {
		return ctx, func() {}
	}
	use := &sideUse{table: t}
	return context.WithValue(ctx, sideUseKey{}, use), use.end
}

func (u *sideUse) end() {
	u.table.mu.Lock()
	defer u.table.mu.Unlock()
	for _, s := range u.sides {
		s.users--
		s.unmapLocked()
	}
}

// unmapLocked unmaps what was dropped, after its last user.
func (s *side) unmapLocked() {
	if s.gone && s.users == 0 && s.memory != nil {
		_ = s.memory.Unmap() // nothing can be done about it, and nothing refers to it
		s.memory = nil
	}
}

func newSideTable(o *object, r *registry, options shm.SegmentOptions) *sideTable {
	return &sideTable{object: o, registry: r, options: options, word: shm.OwnerWord(shm.SeatDaemon, options.Epoch),
		slots: make(map[uint32]*side), numbers: make(map[uint32]*side)}
}

const (
	// sideLooks bounds the search for a side segment that another slot can do without.
	sideLooks = 16
	// sideExcess is how many times larger than needed that may be.
	sideExcess = 4
	// sideNumberMax is the last number.
	sideNumberMax = math.MaxUint32
)

// provide returns a side segment of at least size bytes for a slot that the client of an
// owner word has reserved. Errors: status.NotOwner, Invalid if the slot names one, and
// those of make.
func (t *sideTable) provide(owner uint32, r shm.Reservation, size uint32) (s *side, err error) {
	q := t.object.queue
	err = t.withRoom(size, func() (err error) {
		// Under the lock: who reserves the slot after this client has to ask, and waits.
		switch named := q.Named(r.Slot); {
		case !q.Reserved(owner, r):
			return status.New(status.NotOwner, "", "reservation %d of slot %d is not this client's (any more)",
				r.Ticket, r.Slot)
		case named != 0:
			return status.New(status.Invalid, "", "slot %d names side segment %d: who asks for another stores 0 first",
				r.Slot, named)
		}
		s, err = t.make(r.Slot, size)
		return err
	})
	return s, err
}

// withRoom does f with the lock held, and once more if it lacked memory that others can
// do without.
func (t *sideTable) withRoom(size uint32, f func() error) error {
	locked := func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		return f()
	}
	err := locked()
	if err != nil && t.registry.makeRoom(t.object.uid, t.sizeFor(size), err) {
		err = locked()
	}
	return err
}

// sizeFor is the size of a side segment for a message of size bytes.
func (t *sideTable) sizeFor(size uint32) uint64 {
	return shm.SideSize(size, t.object.geometry.MessageMax)
}

// make returns a side segment of at least size bytes for a slot that names none: the one
// that it had, one that another slot can do without, or a new one. Call it with mu held.
// Errors: status.Quota, NoSpace.
func (t *sideTable) make(slot, size uint32) (*side, error) {
	if s := t.slots[slot]; s != nil {
		if s.size >= uint64(size) {
			return s, nil
		}
		t.replace(s)
	}
	want := t.sizeFor(size)
	if s := t.spare(want); s != nil {
		delete(t.slots, s.slot)
		s.slot = slot
		t.slots[slot] = s
		t.registry.chronicle.record(t.recorded(s))
		return s, nil
	}
	if t.last == sideNumberMax {
		return nil, status.New(status.NoSpace, "", "the queue has had %d side segments: make a new queue", t.last)
	}
	s := &side{slot: slot, size: want}
	if err := t.registry.charge(t.object.uid, s.size); err != nil {
		return nil, err
	}
	var err error
	if s.file, err = shm.CreateSide(t.object.id, s.size, t.options); err != nil {
		t.registry.discharge(t.object.uid, s.size)
		return nil, err
	}
	s.number = t.last + 1
	if err := t.registry.chronicle.put(sideKey(t.object.id, s.number), s.file); err != nil {
		s.file.Close()
		t.registry.discharge(t.object.uid, s.size)
		return nil, err
	}
	t.last++
	t.registry.chronicle.record(t.recorded(s))
	t.slots[slot], t.numbers[s.number] = s, s
	return s, nil
}

// recorded is the side segment's record.
func (t *sideTable) recorded(s *side) journal.Record {
	return &journal.Side{Object: t.object.id, Number: s.number, Slot: s.slot, Size: s.size}
}

// spare takes a side segment of size bytes, or not many more, from a slot that can do
// without; nil = none was found.
func (t *sideTable) spare(size uint64) *side {
	looks := 0
	for slot, s := range t.slots {
		if looks++; looks > sideLooks {
			break
		}
		if s.size >= size && s.size/sideExcess <= size && t.object.queue.Disown(t.word, slot) {
			return s
		}
	}
	return nil
}

// inherit takes over a side segment of the daemon before, and the number given last.
func (t *sideTable) inherit(s *side, last uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = max(t.last, last, s.number)
	t.slots[s.slot], t.numbers[s.number] = s, s
	t.registry.inheritSize(t.object.uid, s.size)
}

// reclaim drops side segments that slots can do without, until those had size bytes; it
// returns how many bytes they had.
func (t *sideTable) reclaim(size uint64) (freed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for slot, s := range t.slots {
		if freed >= size {
			break
		}
		if t.object.queue.Disown(t.word, slot) {
			freed += s.size
			t.replace(s)
		}
	}
	return freed
}

// replace is drop while the queue goes on. Its slot names it no more, and no message lies
// there, so nobody may be looking at it. What clients still have mapped of it is nobody's
// memory then.
func (t *sideTable) replace(s *side) {
	t.registry.chronicle.record(&journal.SideGone{Object: t.object.id, Number: s.number})
	_ = shm.FreeSide(s.file, s.size) // else it goes with the last mapping
	t.drop(s)
}

// drop forgets a side segment. A mapping of the daemon's goes with its last user: not
// with a collection of garbage, for its memory is no longer charged to anybody.
func (t *sideTable) drop(s *side) {
	delete(t.slots, s.slot)
	delete(t.numbers, s.number)
	t.registry.chronicle.drop(sideKey(t.object.id, s.number))
	s.file.Close()
	t.registry.discharge(t.object.uid, s.size)
	s.gone = true
	s.unmapLocked()
}

// numbered returns the side segment that memory names.
func (t *sideTable) numbered(number uint32) (*side, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.numberedLocked(number)
}

func (t *sideTable) numberedLocked(number uint32) (*side, error) {
	if s := t.numbers[number]; s != nil {
		return s, nil
	}
	return nil, noSide(number)
}

// sizeOf is how large the side segment of a number is that a slot has; not ok = it has none.
func (t *sideTable) sizeOf(slot, number uint32) (size uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.numbers[number]
	if s == nil || s.slot != slot {
		return 0, false
	}
	return s.size, true
}

func noSide(number uint32) error {
	return status.New(status.Corrupt, "", "the queue has no side segment %d (any more)", number)
}

// mappedLocked maps a side segment for the daemon itself, until the use of ctx ends.
func (t *sideTable) mappedLocked(ctx context.Context, s *side) (_ *shm.Side, err error) {
	if s.memory == nil {
		if s.memory, err = shm.MapSide(s.file, s.size); err != nil {
			return nil, err
		}
	}
	s.users++ // for ever without a use, and the collector unmaps
	if use, ok := ctx.Value(sideUseKey{}).(*sideUse); ok {
		use.sides = append(use.sides, s)
	}
	return s.memory, nil
}

// Mapped implements shm.Sides. What a slot has is asked for like by any client.
func (t *sideTable) Mapped(uint32, uint32) *shm.Side { return nil }

// Make implements shm.Sides.
func (t *sideTable) Make(ctx context.Context, r shm.Reservation, size uint32) (uint32, *shm.Side, error) {
	var number uint32
	var memory *shm.Side
	err := t.withRoom(size, func() error {
		s, err := t.make(r.Slot, size)
		if err == nil {
			number = s.number
			memory, err = t.mappedLocked(ctx, s)
		}
		return err
	})
	return number, memory, err
}

// Find implements shm.Sides.
func (t *sideTable) Find(ctx context.Context, _, number uint32) (*shm.Side, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.numberedLocked(number)
	if err != nil {
		return nil, err
	}
	return t.mappedLocked(ctx, s)
}

// close drops all. Nobody uses the object any more.
func (t *sideTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.slots {
		t.drop(s)
	}
}

// side hands out the memory for a long message to the client that reserved a slot
// for it.
func (c *call) side() error {
	h, _, err := c.queue(4, 4)
	if err != nil {
		return err
	}
	var r shm.Reservation
	if r.Slot, err = c.params.Uint32("slot"); err != nil {
		return err
	}
	if r.Ticket, err = c.params.Uint64("ticket"); err != nil {
		return err
	}
	size, err := c.params.Uint64("size")
	if err != nil {
		return err
	}
	o := h.seat.object
	switch {
	case size > uint64(o.geometry.MessageMax):
		err = status.New(status.TooLarge, "", "the message has %d bytes; this queue takes up to %d (message_max)",
			size, o.geometry.MessageMax)
	case size <= uint64(o.geometry.SlotSize):
		err = status.New(status.Invalid, "", "a message of %d bytes lies in its slot, which has %d",
			size, o.geometry.SlotSize)
	}
	if err != nil {
		return on(o, err)
	}
	s, err := o.sides.provide(h.seat.word, r, uint32(size))
	if err != nil {
		return on(o, err)
	}
	return c.handOutSide(h, s, &wire.SideResult{Side: s.number, Size: s.size, Fds: 1})
}

// mapSide hands out the side segment that a slot names.
func (c *call) mapSide() error {
	h, _, err := c.queue(2, 2)
	if err != nil {
		return err
	}
	number, err := c.params.Uint32("side")
	if err != nil {
		return err
	}
	o := h.seat.object
	if o.sides == nil {
		return on(o, noSide(number))
	}
	s, err := o.sides.numbered(number)
	if err != nil {
		return on(o, err)
	}
	return c.handOutSide(h, s, &wire.MapResult{Size: s.size, Fds: 1})
}

// handOutSide answers with the descriptor of a side segment, unless it was replaced
// this moment.
func (c *call) handOutSide(h *handle, s *side, result any) error {
	err := c.handOut(h, s.file, result)
	if errors.Is(err, os.ErrClosed) {
		err = noSide(s.number)
	}
	return on(h.seat.object, err)
}
