package daemon

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/shmd/shmd/shm"
	"github.com/shmd/shmd/wire"
)

// What the registry tells of itself.

// info describes an object.
func (r *registry) info(o *object) wire.Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return o.info()
}

// totals counts objects and the bytes of all segments.
func (r *registry) totals() (objects, bytes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.ids)), r.quota.used(resBytes)
}

// usedBy counts the objects that a client has open, and those of them that it
// was given the memory of.
func (r *registry) usedBy(c *client) (objects, mapped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range c.seats {
		objects++
		if s.mapped.Load() {
			mapped++
		}
	}
	return objects, mapped
}

// inodesOf are the segments that a client was given.
func (r *registry) inodesOf(c *client) map[uint64]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	inodes := make(map[uint64]struct{})
	for _, s := range c.seats {
		if s.mapped.Load() {
			inodes[s.object.segment.Inode()] = struct{}{}
		}
	}
	return inodes
}

// list returns the objects whose names begin with prefix and sort behind after,
// by name, one page of them.
func (r *registry) list(prefix, after string) wire.ListResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*object
	for name, o := range r.names {
		if strings.HasPrefix(name, prefix) && name > after {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *object) int { return strings.Compare(a.name, b.name) })
	var result wire.ListResult
	if len(found) > wire.ListPage {
		found = found[:wire.ListPage]
		result.Next = found[len(found)-1].name
	}
	for _, o := range found {
		result.Objects = append(result.Objects, o.info())
	}
	return result
}

// look tells what the registry knows of an object, seats included.
func (r *registry) look(o *object) wire.Stat {
	holds := o.holders()
	r.mu.Lock()
	defer r.mu.Unlock()
	result := wire.Stat{Info: o.info(), State: o.state(), Linked: o.linked, Handles: o.handles}
	for _, s := range o.seats.taken {
		sleeping := o.segment.Waiting(s.number)
		result.Waiters += uint64(sleeping)
		result.Seats = append(result.Seats, wire.Seat{
			Seat: uint32(s.number), PID: s.client.peer.pid, UID: s.client.peer.uid, Client: s.client.id,
			Waiting: sleeping > 0 || s.waiting.Load() > 0, Mapped: s.mapped.Load(), Zombie: s.client.isZombie(),
			Holds: holds(s.word),
		})
	}
	slices.SortFunc(result.Seats, func(a, b wire.Seat) int { return cmp.Compare(a.Seat, b.Seat) })
	return result
}

// holders returns a function that tells how many permits, leases and reserved slots,
// reads, or roles the client of an owner word holds.
func (o *object) holders() func(owner uint32) uint32 {
	switch {
	case o.semaphore != nil:
		return func(owner uint32) uint32 { return o.semaphore.Permits(owner).Held }
	case o.queue != nil:
		slots := o.queue.Holders() // once, and without the registry's lock: a queue may be long
		return func(owner uint32) uint32 { return slots[owner] }
	case o.stream != nil || o.pipe != nil:
		return func(owner uint32) uint32 { return uint32(len(o.rolesOf(owner))) }
	case o.rwlock != nil:
		return func(owner uint32) uint32 { return o.rwlock.ReadersOf(shm.SeatOf(owner)) }
	}
	return func(uint32) uint32 { return 0 }
}

// held says who holds the lock of an object, of those who may: a word in shared
// memory may name anybody.
func (r *registry) held(o *object, seat uint16, depth uint32) *wire.Held {
	h := &wire.Held{Seat: uint32(seat), Depth: depth + 1}
	if seat == shm.SeatDaemon {
		h.PID, h.UID = int32(os.Getpid()), uint32(os.Getuid())
		return h
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := o.seats.taken[seat]; s != nil {
		h.PID, h.UID = s.client.peer.pid, s.client.peer.uid
	}
	return h
}
