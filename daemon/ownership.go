package daemon

import (
	"math"

	"github.com/shmd/shmd/daemon/journal"
	"github.com/shmd/shmd/status"
)

// unchanged is what chown gives for an id that stays.
const unchanged = -1

func (c *call) chmod() error {
	o, err := c.owned(2, "chmod")
	if err != nil {
		return err
	}
	r := c.session.server.registry
	defer r.unpin(o)
	mode, err := c.params.Uint32("mode")
	if err == nil {
		err = checkMode(mode)
	}
	if err != nil {
		return on(o, err)
	}
	r.mu.Lock()
	o.mode = mode
	r.chronicle.record(&journal.Mode{ID: o.id, Mode: mode})
	r.mu.Unlock()
	return c.nothing()
}

func (c *call) chown() error {
	o, err := c.owned(3, "chown")
	if err != nil {
		return err
	}
	r := c.session.server.registry
	defer r.unpin(o)
	uid, err := c.userOrGroup("uid")
	if err != nil {
		return on(o, err)
	}
	gid, err := c.userOrGroup("gid")
	if err != nil {
		return on(o, err)
	}
	if err := r.chown(o, c.client.peer, uid, gid); err != nil {
		return on(o, err)
	}
	return c.nothing()
}

// userOrGroup reads the number of a user or a group, or unchanged.
func (c *call) userOrGroup(what string) (int64, error) {
	id, err := c.params.Int64(what)
	if err == nil && (id < unchanged || id >= math.MaxUint32) {
		err = status.New(status.Invalid, "", "%s is %d; it must be 0 to %d, or %d to leave it", what, id,
			uint32(math.MaxUint32-1), unchanged)
	}
	return id, err
}

// chown gives an object to another user, who is charged for it, or another group. As of
// files, only root gives away, and an owner chooses among his own groups.
//
// Errors: Permission; Quota if the new owner may not have as much.
func (r *registry) chown(o *object, by *peer, uid, gid int64) error {
	if o.sides != nil { // which are charged to the owner too
		o.sides.mu.Lock()
		defer o.sides.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := o.ownedBy(by, "chown"); err != nil {
		return err // it has another owner since
	}
	newUID, newGID := o.uid, o.gid
	if uid != unchanged {
		newUID = uint32(uid)
	}
	if gid != unchanged {
		newGID = uint32(gid)
	}
	switch {
	case by.uid == 0:
	case newUID != o.uid:
		return status.New(status.Permission, "", "only root may give it to another user; you are uid %d", by.uid)
	case newGID != o.gid && !by.in(newGID):
		return status.New(status.Permission, "", "you (uid %d) are not of group %d: only root may give it to that",
			by.uid, newGID)
	}
	if newUID != o.uid {
		if err := r.transfer(o, newUID); err != nil {
			return err
		}
	}
	o.uid, o.gid = newUID, newGID
	r.chronicle.record(&journal.Owner{ID: o.id, UID: newUID, GID: newGID})
	return nil
}

// transfer charges another user for an object and its side segments, or nobody anew. The
// budget does not change.
func (r *registry) transfer(o *object, uid uint32) error {
	sizes := []uint64{o.geometry.SegmentSize}
	if o.sides != nil {
		for _, s := range o.sides.numbers {
			sizes = append(sizes, s.size)
		}
	}
	return r.quota.transfer(o.uid, uid, segmentAmounts(sizes...)...)
}
