package daemon

import (
	"slices"
	"sync"
	"time"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/status"
)

// registry knows objects by name and id, and counts who uses them.
type registry struct {
	quota     *quota     // immutable
	chronicle *chronicle // immutable; nil = nothing survives the daemon

	mu      sync.Mutex
	names   map[string]*object // protected by mu
	ids     map[uint64]*object // protected by mu
	nextID  uint64             // protected by mu
	tickets ticketTable        // protected by mu
}

func newRegistry(q *quota, c *chronicle) *registry {
	return &registry{quota: q, chronicle: c, names: make(map[string]*object), ids: make(map[uint64]*object)}
}

// ref names an object: a name, or an id if the name is "".
type ref struct {
	name string
	id   uint64
}

func (r ref) label() string {
	if r.name != "" {
		return r.name
	}
	return (&object{id: r.id}).label()
}

// find looks an object up. Call it with mu held. The error is NotFound.
func (r *registry) find(which ref) (*object, error) {
	var o *object
	if which.name != "" {
		o = r.names[which.name]
	} else {
		o = r.ids[which.id]
	}
	if o == nil {
		return nil, status.New(status.NotFound, "", "create it first; list shows what there is").On(which.label())
	}
	return o, nil
}

// pin finds an object and keeps it until unpin.
func (r *registry) pin(which ref) (*object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.find(which)
	if err == nil {
		o.refs++
	}
	return o, err
}

// keep is pin for an object that is pinned already.
func (r *registry) keep(o *object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.refs++
}

// unpin undoes pin.
func (r *registry) unpin(o *object) {
	r.mu.Lock()
	freed := r.unref(o)
	r.mu.Unlock()
	r.dispose(freed)
}

// pinBound pins the conditions that are bound to a mutex. Once that is destroyed no
// more come.
func (r *registry) pinBound(mutex *object) []*object {
	r.mu.Lock()
	defer r.mu.Unlock()
	conditions := make([]*object, 0, len(mutex.bound))
	for o := range mutex.bound {
		o.refs++
		conditions = append(conditions, o)
	}
	return conditions
}

// unref takes one reference away. It returns what is freed by that, for dispose
// once mu is no longer held: the object and, behind it, its guard.
func (r *registry) unref(o *object) []*object {
	var freed []*object
	for ; o != nil; o = o.guard {
		o.refs--
		if o.refs > 0 {
			break
		}
		r.unname(o)
		delete(r.ids, o.id)
		o.freed = true
		if o.condition != nil {
			delete(o.guard.bound, o)
		}
		r.chronicle.record(&journal.ObjectGone{ID: o.id})
		freed = append(freed, o)
	}
	return freed
}

// dispose frees the memory of objects that nobody can reach any more.
func (r *registry) dispose(freed []*object) {
	for _, o := range freed {
		r.chronicle.drop(objectKey(o.id))
		_ = o.segment.Unmap() // nothing can be done about it, and nothing refers to it
		o.file.Close()
		if o.sides != nil {
			o.sides.close()
		}
		r.discharge(o.uid, o.geometry.SegmentSize)
	}
}

// charge charges a segment of size bytes to its user and to the budget, or answers
// Quota or NoSpace. A segment takes a descriptor, which is why each counts as an
// object of the user's.
func (r *registry) charge(uid uint32, size uint64) error {
	err := r.quota.charge(uid, segmentAmounts(size)...)
	if code := status.Of(err); code != status.OK && code != status.NoSpace {
		return err
	}
	if missing := checkAvailable(size); missing != nil {
		if err == nil {
			r.discharge(uid, size)
		}
		return missing
	}
	return err
}

// chargeWithRoom is charge, for which what others can do without goes if need be.
func (r *registry) chargeWithRoom(uid uint32, size uint64) error {
	err := r.charge(uid, size)
	if err != nil && r.makeRoom(uid, size, err) {
		err = r.charge(uid, size)
	}
	return err
}

// makeRoom drops side segments in which no message lies, of the user's queues after Quota,
// of all after NoSpace, until there are size bytes more; false = there was none, or the
// reason is another.
func (r *registry) makeRoom(uid uint32, size uint64, reason error) bool {
	quota := status.Of(reason) == status.Quota
	if !quota && status.Of(reason) != status.NoSpace {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	freed := uint64(0)
	for _, o := range r.ids {
		if o.sides != nil && freed < size && (!quota || o.uid == uid) {
			freed += o.sides.reclaim(size - freed)
		}
	}
	return freed != 0
}

// segmentAmounts are what segments take.
func segmentAmounts(sizes ...uint64) []amount {
	bytes, n := uint64(0), uint64(len(sizes))
	for _, size := range sizes {
		bytes += size
	}
	return []amount{{resObjects, n}, {resBytes, bytes}, {resDescriptors, n * segmentDescriptors}}
}

// inherit charges for an object that the daemon before made, whatever the limits are now.
func (r *registry) inherit(o *object) { r.inheritSize(o.uid, o.geometry.SegmentSize) }

func (r *registry) inheritSize(uid uint32, size uint64) {
	r.quota.inherit(uid, segmentAmounts(size)...)
}

// discharge gives back what charge took.
func (r *registry) discharge(uid uint32, size uint64) {
	r.quota.release(uid, segmentAmounts(size)...)
}

// close gives all memory back. Nobody uses an object any more.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.ids {
		if o.segment != nil { // else the start failed
			_ = o.segment.Unmap() // the process is about to end, or the mapping is unreachable
		}
		o.file.Close()
		if o.sides != nil {
			o.sides.close()
		}
	}
	clear(r.ids)
	clear(r.names)
}

// unname takes the name away, if the object still has it.
func (r *registry) unname(o *object) {
	if o.name != "" && r.names[o.name] == o {
		delete(r.names, o.name)
	}
}

// unlink takes name and persistence away. Call it with mu held; what it frees
// goes to dispose.
func (r *registry) unlink(o *object) []*object {
	r.unname(o)
	if !o.linked {
		return nil
	}
	o.linked = false
	r.chronicle.record(&journal.Unlinked{ID: o.id})
	if o.creator != nil {
		delete(o.creator.owned, o.id)
	}
	if o.lifetime == lifetimeRefcounted {
		return nil // its link is no reference
	}
	return r.unref(o)
}

// insert makes a new object known. The name may have been taken meanwhile:
// Exists.
func (r *registry) insert(o *object) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.name != "" && r.names[o.name] != nil {
		return existsError(o.name)
	}
	if o.guard != nil {
		if o.guard.removed.Load() {
			return status.New(status.Removed, "", "the mutex that is its lock was destroyed").On(o.guard.label())
		}
		o.guard.refs++
		if o.condition != nil {
			if o.guard.bound == nil {
				o.guard.bound = make(map[*object]struct{})
			}
			o.guard.bound[o] = struct{}{}
		}
	}
	if o.name != "" {
		r.names[o.name] = o
	}
	r.ids[o.id] = o
	o.linked = true
	o.refs = 1 // the caller's
	if o.lifetime != lifetimeRefcounted {
		o.refs++
	}
	if o.creator != nil {
		o.creator.owned[o.id] = o
	}
	r.chronicle.record(o.recorded())
	return nil
}

// vacant answers Exists early: before anything is charged, which might fail with
// an error that misleads, and made in vain. insert decides.
func (r *registry) vacant(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" && r.names[name] != nil {
		return existsError(name)
	}
	return nil
}

func existsError(name string) error {
	return status.New(status.Exists, "", "open it, use open_or_create, or choose another name").On(name)
}

// newID gives out an object id; none is ever given out twice.
func (r *registry) newID() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nextID++
	return r.nextID
}

// retain adds a reference to a seat that has one already.
func (r *registry) retain(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.refs++
}

// retainParties adds a reference to each seat at which the client waits in a barrier,
// and returns them.
func (r *registry) retainParties(c *client) (parties []*seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range c.seats {
		if s.object.barrier != nil && s.waiting.Load() > 0 {
			s.refs++
			parties = append(parties, s)
		}
	}
	return parties
}

// take gives a client that may have it a seat in o, as seatFor does.
func (r *registry) take(c *client, o *object, readOnly bool) (s *seat, wait <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.removed.Load() {
		return nil, nil, status.New(status.Removed, "", "it is going away").On(o.label())
	}
	want := uint32(modeRead | modeWrite)
	if readOnly {
		want = modeRead
	}
	for each := o; each != nil; each = each.guard {
		if err := each.permits(c.peer, want); err != nil {
			return nil, nil, err
		}
	}
	return r.seatFor(c, o)
}

// seatFor returns the client's seat in o with one more reference, and makes one
// if it has none. Call it with mu held. When all seats are taken but some are
// being swept, wait is not nil and tells when to try again; if none is, the
// error is SeatsFull.
func (r *registry) seatFor(c *client, o *object) (s *seat, wait <-chan struct{}, err error) {
	if s := c.seats[o.id]; s != nil {
		s.refs++
		return s, nil, nil
	}
	var guard *seat
	if o.guard != nil {
		if guard, wait, err = r.seatFor(c, o.guard); guard == nil {
			return nil, wait, err
		}
	}
	if err := r.quota.charge(c.peer.uid, amount{resSeats, 1}); err != nil {
		if guard != nil {
			r.undoSeat(guard)
		}
		return nil, nil, err
	}
	number, generation, ok := o.seats.take(o.geometry.SeatsMax)
	if !ok {
		r.quota.release(c.peer.uid, amount{resSeats, 1})
		if guard != nil {
			r.undoSeat(guard)
		}
		if o.seats.sweeping > 0 {
			return nil, o.seats.wait(), nil
		}
		return nil, nil, status.New(status.SeatsFull, "", "all %d seats are taken by other clients: "+
			"close some, or create it with a larger seats_max (at most %d)",
			o.geometry.SeatsMax, shm.SeatsLimit).On(o.label())
	}
	s = &seat{object: o, client: c, number: number, word: shm.OwnerWord(number, generation), guard: guard, refs: 1}
	r.chronicle.record(s.recorded(generation))
	o.seats.taken[number] = s
	o.refs++
	c.seats[o.id] = s
	c.sweeps++
	return s, nil, nil
}

// undoSeat drops the reference that seatFor gave a moment ago, under the same
// lock. A seat made for it was seen by nobody and needs no sweep.
func (r *registry) undoSeat(s *seat) {
	s.refs--
	if s.refs > 0 {
		return
	}
	s.object.seats.sweeping++ // release takes it back
	delete(s.client.seats, s.object.id)
	r.chronicle.record(&journal.SeatGone{Object: s.object.id, Number: s.number})
	s.object.seats.release(s.number)
	s.object.refs-- // a guard: the guarded object holds it
	s.client.sweeps--
	r.quota.release(s.client.peer.uid, amount{resSeats, 1})
	if s.guard != nil {
		r.undoSeat(s.guard)
	}
}

// opened counts a handle in; it has a reference to its seat already, and the one
// on the mutex opened along gets its own.
func (r *registry) opened(h *handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.mutex != nil {
		h.mutex.seat.refs++
		h.mutex.seat.handles++
		h.mutex.seat.object.handles++
	}
	h.seat.handles++
	h.seat.object.handles++
	h.seat.object.parts.add(h.roles, 1)
}

// closed counts handles out and drops their references; the seats that had no
// other are returned, to be swept, and pinned the queues that are to be shut down.
func (r *registry) closed(handles []*handle) (sweeps []*seat, over []*object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range handles {
		h.seat.handles--
		h.seat.object.handles--
		if h.roles != 0 {
			h.seat.object.parts.add(h.roles, -1)
			if r.endsQueue(h.seat.object) {
				over = append(over, h.seat.object)
			}
		}
		r.quota.release(h.seat.client.peer.uid, amount{resHandles, 1})
		if r.releaseLocked(h.seat) {
			sweeps = append(sweeps, h.seat)
		}
	}
	// What others may wait for comes first. What nobody else has open is freed when
	// it is swept, which takes longer.
	slices.SortStableFunc(sweeps, func(a, b *seat) int {
		return min(2, len(b.object.seats.taken)) - min(2, len(a.object.seats.taken))
	})
	return sweeps, over
}

// release takes one reference of a seat away; true means that it was the last
// and the caller has to sweep the seat.
func (r *registry) release(s *seat) (sweep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.releaseLocked(s)
}

func (r *registry) releaseLocked(s *seat) (sweep bool) {
	s.refs--
	if s.refs > 0 {
		return false
	}
	s.sweeping = true
	s.died = s.client.hasCrashed()
	s.object.seats.sweeping++
	if s.client.seats[s.object.id] == s {
		delete(s.client.seats, s.object.id)
	}
	return true
}

// swept makes a swept seat free. It returns the seat to sweep next, the guard's,
// or nil; and whether this ended the client.
func (r *registry) swept(s *seat) (next *seat, ended bool) {
	s.forgetThreads()
	s.forgetRoles()
	r.mu.Lock()
	r.chronicle.record(&journal.SeatGone{Object: s.object.id, Number: s.number})
	s.object.seats.release(s.number)
	freed := r.unref(s.object)
	s.client.sweeps--
	r.quota.release(s.client.peer.uid, amount{resSeats, 1})
	ended = s.client.gone && s.client.sweeps == 0
	if s.guard != nil && r.releaseLocked(s.guard) {
		next = s.guard
	}
	r.mu.Unlock()
	r.dispose(freed)
	return next, ended
}

// nowNs is CLOCK_REALTIME.
func nowNs() int64 { return time.Now().UnixNano() }
