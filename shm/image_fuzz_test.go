package shm

import (
	"context"
	"encoding/binary"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shmd/shmd/ctypes"
)

// guarded makes a segment of a geometry between two pages that nobody may touch: whoever
// leaves it in either direction is killed on the spot.
func guarded(t testing.TB, g Geometry) (s *Segment, free func()) {
	t.Helper()
	size := int(roundUp(g.SegmentSize, PageSize))
	all, err := unix.Mmap(-1, 0, size+2*PageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range [][]byte{all[:PageSize], all[PageSize+size:]} {
		if err := unix.Mprotect(page, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	s = &Segment{geometry: g, mem: all[PageSize : PageSize+size : PageSize+size]}
	s.page = (*Page)(unsafe.Pointer(unsafe.SliceData(s.mem)))
	s.writeHeader(checkEpoch)
	s.Publish()
	return s, func() {
		if err := unix.Munmap(all); err != nil {
			t.Error(err)
		}
	}
}

// patchSize is what one change of a word takes of the input: where, and what.
const patchSize = 10

// apply writes words into the segment; places near its beginning, where most words are,
// are the likelier ones.
func apply(s *Segment, patches []byte) {
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		place := uint64(binary.LittleEndian.Uint16(patches)) * 4
		if place >= 0x20000 {
			place *= 64
		}
		place %= uint64(len(s.mem)) - 7
		copy(s.mem[place&^3:], patches[2:patchSize])
	}
}

// watched ends the program if f takes so long that it cannot be bounded.
func watched(f func()) {
	watchdog := time.AfterFunc(time.Minute, func() { debug.SetTraceback("all"); panic("it does not end") })
	defer watchdog.Stop()
	f()
}

// FuzzImage: whatever the bytes of an object are, recovery, a check, a repair and each call
// of a client that does not wait end, with an error perhaps, and touch nothing outside of
// the object. A repair that nobody is in the way of leaves an object in order.
func FuzzImage(f *testing.F) {
	geometries := checkGeometries(f)
	names := slices.Sorted(maps.Keys(geometries))
	word := func(place uint16, value uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(nil, place/4), value)
	}
	for i := range names {
		f.Add(uint8(i), []byte{}, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
		f.Add(uint8(i), slices.Concat(word(0x100, 1<<32|0x1001), word(0x108, ^uint64(0))), []byte{1, 0, 3, 2, 9})
		f.Add(uint8(i), slices.Concat(word(0x140, 0x3fffffff), word(0x150, 7), word(0x204, 0x2001)), []byte{8, 4, 1, 0})
	}
	f.Fuzz(func(t *testing.T, kind uint8, patches, program []byte) {
		name := names[int(kind)%len(names)]
		s, free := guarded(t, geometries[name])
		defer free()
		watched(func() {
			c := newCaller(s)
			half := len(patches) / patchSize / 2 * patchSize
			apply(s, patches[:half])
			for i, step := range program {
				if i == len(program)/2 {
					apply(s, patches[half:])
				}
				if i < 64 {
					c.step(step)
				}
			}
			if s.State() == StateRemoved {
				return
			}
			checked(s)
			repaired(t, name, s)
		})
	})
}

// caller makes calls at an object as two clients and the daemon would, none of which wait.
type caller struct {
	seg      *Segment
	ctx      context.Context
	parker   *Parker
	queue    *Queue
	leases   []Lease
	reserved []Reservation
	writers  []*RingWriter
	readers  []*RingReader
	reads    [2]*RWOwner
}

var imageParker = sync.OnceValue(func() *Parker { return NewParker(ParkerOptions{}) })

func newCaller(s *Segment) *caller {
	c := &caller{seg: s, ctx: context.Background(), parker: imageParker()}
	for i := range c.reads {
		c.reads[i] = MakeRWOwner(OwnerWord(uint16(i+1), 1), 1)
	}
	if s.geometry.Kind == KindQueue {
		c.queue = s.Queue().WithSides(newTestSides(false, s.geometry.MessageMax))
	}
	return c
}

// step makes one call. What it returns is not looked at: any error will do.
func (c *caller) step(step byte) {
	s, seat := c.seg, uint16(step>>7+1)
	owner := OwnerWord(seat, 1)
	// Through the daemon: a client waits for a latch that somebody has, also in a try.
	a := Actor{Latcher: OwnerWord(SeatDaemon, checkEpoch), Seat: owner}
	step &= 0x7f
	v := checkVictim()
	v.Died, v.Orderly = step&1 != 0, step&2 != 0
	switch step {
	case 0, 1, 2, 3:
		v.Owner = owner
		s.Recover(v)
		return
	case 4, 5:
		v.Owner = OwnerWord(SeatDaemon, checkEpoch-1)
		s.RecoverDaemon(v)
		s.DaemonHolds(v.Daemon)
		return
	case 6:
		v.Owner = owner
		s.SettleCalls(v)
		return
	case 7:
		checked(s)
		return
	case 8:
		s.Repair(checkWitness(), checkVictim())
		return
	case 9:
		s.Remove()
		return
	case 10:
		s.LatchHolder()
		s.Waiting(seat)
		return
	}
	switch s.geometry.Kind {
	case KindSemaphore:
		c.semaphoreStep(step, a)
	case KindQueue:
		c.queueStep(step, a)
	case KindEvent:
		e := s.Event()
		_ = []error{e.Set(a), e.Wait(c.ctx, c.parker, a, 0), e.Reset(a)}
	case KindCondition:
	case KindBarrier:
		b := s.Barrier()
		r, _ := b.Arrive(c.ctx, c.parker, a, 0, step%2 == 0)
		_ = []error{b.Declare(a), b.Complete(a, r, true), b.CompleteCurrent(a, step%3 == 0)}
		b.Status()
		if step%8 == 0 {
			_, _ = b.Reset(a)
		}
	case KindRWLock:
		c.rwlockStep(step, c.reads[seat-1])
	case KindStream, KindPipe:
		c.ringStep(step, a)
	default:
		c.lockStep(step, owner)
	}
}

func (c *caller) semaphoreStep(step byte, a Actor) {
	m := c.seg.Semaphore()
	switch step % 3 {
	case 0:
		_ = m.AcquireWait(c.ctx, c.parker, a, uint32(step/3%3), 0)
	case 1:
		_ = m.Release(c.ctx, c.parker, a, uint32(step/3%3), 0)
	case 2:
		_ = m.Post(c.ctx, c.parker, a, uint32(step/3%3), 0)
	}
	m.Permits(a.Seat)
}

func (c *caller) queueStep(step byte, a Actor) {
	q, ctx, p := c.queue, c.ctx, c.parker
	switch step % 12 {
	case 0:
		_ = q.Put(ctx, p, a, make([]byte, int(step)), 0)
	case 1:
		_, _ = q.Take(ctx, p, a, nil, 0)
	case 2:
		if l, err := q.Lease(ctx, p, a, 0); err == nil {
			c.leases = append(c.leases, l)
			q.AppendMessage(nil, l)
		}
	case 3:
		for _, l := range c.leases {
			_ = q.Ack(ctx, p, a, l, 0)
			q.Message(l)
		}
	case 4:
		for _, l := range c.leases {
			_ = q.Nack(ctx, p, a, l, 0)
		}
	case 5:
		if r, err := q.ReserveSize(ctx, p, a, uint32(step)*12, 0); err == nil {
			c.reserved = append(c.reserved, r)
			clear(q.Buffer(r))
		}
	case 6:
		for _, r := range c.reserved {
			_ = q.Commit(ctx, p, a, r, uint32(step), 0)
		}
	case 7:
		for _, r := range c.reserved {
			_ = q.Abort(ctx, p, a, r, 0)
		}
	case 8:
		_, _ = q.Redeliver(ctx, p, a, 0)
		_, _ = q.TakeDead(ctx, p, a, 0)
	case 9:
		_, _ = q.Counts(ctx, p, a, 0)
		_ = q.Join(ctx, p, a, 0)
		q.Held(a.Seat, 100)
		q.Holders()
		q.Empty()
	case 10:
		_, _ = q.PutMany(ctx, p, a, [][]byte{{1}, make([]byte, 60), {}}, 0)
		_, _ = q.TakeMany(ctx, p, a, nil, 3, 0)
	case 11:
		leases, _ := q.LeaseMany(ctx, p, a, nil, 3, 0)
		_, _ = q.NackMany(ctx, p, a, leases, 0)
	}
}

func (c *caller) rwlockStep(step byte, o *RWOwner) {
	l := c.seg.RWLock()
	switch step % 5 {
	case 0:
		_, _ = l.ReadLock(c.ctx, c.parker, o, 0)
	case 1:
		_ = l.ReadUnlock(o)
	case 2:
		_, _ = l.WriteLock(c.ctx, c.parker, o, 0)
	case 3:
		_ = l.WriteUnlock(o)
	case 4:
		_ = l.MarkConsistent(o)
	}
	l.Status()
}

func (c *caller) lockStep(step byte, owner uint32) {
	s, o := c.seg, MakeOwner(owner, 1)
	l := s.Lock()
	switch step % 4 {
	case 0:
		_, _ = l.LockWait(c.ctx, c.parker, o, 0)
	case 1:
		_ = l.Unlock(o)
	case 2:
		_ = l.MarkConsistent(o)
	}
	l.Status()
	if !s.geometry.Kind.HasData() || s.geometry.Flags.Has(FlagLockForeign) {
		return
	}
	if s.geometry.Flags.Has(FlagLockNone) {
		l = nil
	}
	array, ac := s.Array(l), Access{Self: o, Holder: o}
	_, _, _ = array.Snapshot(c.ctx, c.parker, ac, 0, s.geometry.Length, make([]byte, s.geometry.DataSize), 0)
	_, _ = array.Write(c.ctx, c.parker, ac, 0, make([]byte, s.geometry.ItemSize), 0)
	_ = array.BeginWrite(ac)
	_ = array.Store(uint64(step), 5)
	if step%2 == 0 {
		_ = array.EndWrite(ac)
	}
}

func (c *caller) ringStep(step byte, a Actor) {
	s, ctx, p := c.seg, c.ctx, c.parker
	switch {
	case step%8 != 0:
	case s.geometry.Kind == KindStream:
		if w, err := s.Stream().ClaimProducer(a); err == nil {
			c.writers = append(c.writers, w)
		}
		if r, err := s.Stream().ClaimConsumer(a); err == nil {
			c.readers = append(c.readers, r)
		}
		s.Stream().Status()
	default:
		if e, err := s.Pipe().Claim(a, AnyEnd); err == nil {
			c.writers, c.readers = append(c.writers, e.W), append(c.readers, e.R)
		}
		s.Pipe().Status(0)
	}
	for _, w := range c.writers {
		_ = w.Send(ctx, p, make([]byte, int(step)*3), 0)
		_, _ = w.Write(ctx, p, make([]byte, int(step)), 0)
		if step%4 == 1 {
			_, _ = w.Reserve(ctx, p, uint32(step), 0)
			_ = w.Commit(uint32(step))
		}
	}
	for _, r := range c.readers {
		_, _ = r.PeekMany(ctx, p, nil, 3, 0)
		_ = r.Advance(1)
		_, _ = r.Recv(ctx, p, nil, 0)
		_, _ = r.Read(ctx, p, make([]byte, 100), 0)
	}
}

// FuzzGeometry: a geometry that is valid leads to no place outside of the object, and its
// parts do not overlap.
func FuzzGeometry(f *testing.F) {
	for kind := range KindPipe + 1 {
		f.Add(uint32(kind), uint32('i'), uint64(3), uint64(5), uint32(0), uint32(4), uint32(64), uint32(100), uint64(0))
	}
	f.Add(uint32(KindQueue), uint32(0), uint64(8), uint64(0), uint32(FlagRaw), uint32(4094), uint32(1<<20),
		uint32(1<<30), uint64(LeaseNsMax))
	f.Fuzz(func(t *testing.T, kind, code uint32, length, other uint64, flags, seatsMax, slotSize, messageMax uint32,
		leaseNs uint64) {
		g := Geometry{Kind: Kind(kind), Code: ctypes.Code(code), Flags: Flags(flags), SeatsMax: seatsMax,
			SlotSize: slotSize, MessageMax: messageMax, LeaseNs: leaseNs,
			Length: length, Capacity: length, Initial: uint32(other),
			Maximum: uint32(length), DeliveriesMax: uint32(other)}
		if g.Kind == KindArray {
			g.Shape = []uint64{length, other}
		}
		whole, err := g.Complete()
		if err != nil {
			return
		}
		if err := whole.Validate(); err != nil {
			t.Fatalf("%+v: %v", whole, err)
		}
		parts := partsOf(&whole)
		end, what := uint64(0), "the beginning"
		for _, p := range parts {
			if p.at < end || p.at > whole.SegmentSize || p.size > whole.SegmentSize-p.at || p.at%p.align != 0 {
				t.Fatalf("%+v: %s at %#x of %#x, %s ends at %#x", whole, p.name, p.at, p.size, what, end)
			}
			end, what = p.at+p.size, p.name
		}
		if whole.SegmentSize%PageSize != 0 {
			t.Fatalf("%+v", whole)
		}
		// One thing different, and the daemon's is no layout of ours.
		forged := whole
		forged.DataOffset ^= 8
		if forged.Validate() == nil {
			t.Fatal("a forged offset is valid")
		}
		forged = whole
		forged.SegmentSize -= PageSize
		if forged.Validate() == nil {
			t.Fatal("a forged size is valid")
		}
	})
}

// part is one part of a segment.
type part struct {
	name            string
	at, size, align uint64
}

// partsOf are the parts of a segment behind its first page's words, in their order.
func partsOf(g *Geometry) []part {
	parts := []part{{"seats", g.SeatsOffset, uint64(g.SeatsMax+1) * seatCellSize, 4}}
	if g.CellsOffset != 0 {
		size := map[Kind]uint64{KindSemaphore: heldCellSize, KindBarrier: barrierCellSize, KindRWLock: readerCellSize}
		parts = append(parts, part{"cells", g.CellsOffset, uint64(g.SeatsMax+1) * size[g.Kind], dataAlign})
	}
	if g.Kind == KindQueue {
		parts = append(parts, part{"ready", g.ReadyOffset, g.Length * queueEntrySize, dataAlign},
			part{"free", g.FreeOffset, g.Length * queueEntrySize, 8},
			part{"descs", g.DescOffset, g.Length * queueDescSize, dataAlign})
		if g.LeaseNs != 0 {
			parts = append(parts, part{"deadlines", g.DeadlineOffset, g.Length * deadlineSize, dataAlign})
		}
	}
	if g.DataSize != 0 && g.Kind != KindValue {
		parts = append(parts, part{"data", g.DataOffset, g.DataSize, PageSize})
	}
	return parts
}

// The guard is one: a store behind an object between guard pages kills.
func TestGuarded(t *testing.T) {
	s, free := guarded(t, checkGeometries(t)["mutex"])
	defer free()
	for _, outside := range []int{-1, len(s.mem)} {
		if err := faults(s, outside); err == nil {
			t.Errorf("byte %d of %d can be read", outside, len(s.mem))
		}
	}
}

// faults reads the byte at an offset from the beginning of a segment, by the kernel.
func faults(s *Segment, offset int) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	at := unsafe.Add(unsafe.Pointer(unsafe.SliceData(s.mem)), offset)
	_, err := unix.Write(pipe[1], unsafe.Slice((*byte)(at), 1))
	return err
}
