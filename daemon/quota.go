package daemon

import (
	"sync"

	"github.com/shmd/shmd/status"
)

// quota counts what each user has. Everything is charged before it is made.
type quota struct {
	mu sync.Mutex
	// The limits of each user; protected by mu.
	bytesMax, objectsMax, connectionsMax uint64
	users                                map[uint32]*usage // protected by mu; no entry = nothing used
}

// usage is what one user has.
type usage struct {
	bytes, objects, connections uint64
	buffered                    uint64 // bytes of messages, beyond what each connection has anyway
}

// bufferedMax bounds usage.buffered: long messages that are not whole yet, and
// answers that nobody reads.
const bufferedMax = 256 << 20

func newQuota(c Config) *quota {
	q := &quota{users: make(map[uint32]*usage)}
	q.setLimits(c)
	return q
}

// setLimits changes the limits; what somebody has beyond them stays his.
func (q *quota) setLimits(c Config) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytesMax, q.objectsMax, q.connectionsMax = c.QuotaBytes, c.QuotaObjects, c.QuotaConnections
}

// change applies f to the user's usage and forgets a user with nothing.
func (q *quota) change(uid uint32, f func(*usage) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.users[uid]
	if u == nil {
		u = &usage{}
	}
	err := f(u)
	if *u == (usage{}) {
		delete(q.users, uid)
	} else {
		q.users[uid] = u
	}
	return err
}

// chargeObject charges one object of size bytes, or answers Quota.
func (q *quota) chargeObject(uid uint32, size uint64) error {
	return q.change(uid, func(u *usage) error {
		if u.objects >= q.objectsMax {
			return status.New(status.Quota, "", "user %d has %d of at most %d objects, "+
				"side segments of queues included: destroy some",
				uid, u.objects, q.objectsMax)
		}
		if u.bytes > q.bytesMax || size > q.bytesMax-u.bytes {
			return status.New(status.Quota, "",
				"it needs %d bytes and user %d uses %d of at most %d: destroy some objects",
				size, uid, u.bytes, q.bytesMax)
		}
		u.objects++
		u.bytes += size
		return nil
	})
}

// releaseObject gives back what chargeObject took.
func (q *quota) releaseObject(uid uint32, size uint64) {
	_ = q.change(uid, func(u *usage) error {
		u.objects--
		u.bytes -= size
		return nil
	})
}

// chargeConnection charges one connection, or answers Quota.
func (q *quota) chargeConnection(uid uint32) error {
	return q.change(uid, func(u *usage) error {
		if u.connections >= q.connectionsMax {
			return status.New(status.Quota, "connect", "user %d has %d of at most %d connections, "+
				"zombies included: close some", uid, u.connections, q.connectionsMax)
		}
		u.connections++
		return nil
	})
}

// inheritConnection is chargeConnection of one that is there already, whatever the limit.
func (q *quota) inheritConnection(uid uint32) {
	_ = q.change(uid, func(u *usage) error {
		u.connections++
		return nil
	})
}

// inheritObject is chargeObject, likewise.
func (q *quota) inheritObject(uid uint32, size uint64) {
	_ = q.change(uid, func(u *usage) error {
		u.objects++
		u.bytes += size
		return nil
	})
}

// releaseConnection gives back what chargeConnection took.
func (q *quota) releaseConnection(uid uint32) {
	_ = q.change(uid, func(u *usage) error {
		u.connections--
		return nil
	})
}

// chargeBuffer charges size bytes of buffers, or answers Busy.
func (q *quota) chargeBuffer(uid uint32, size uint64) error {
	return q.change(uid, func(u *usage) error {
		if size > bufferedMax-u.buffered {
			return status.New(status.Busy, "", "the connections of user %d hold %d of at most %d bytes in messages "+
				"that are on their way: read answers, and send less at once", uid, u.buffered, bufferedMax)
		}
		u.buffered += size
		return nil
	})
}

// releaseBuffer gives back what chargeBuffer took.
func (q *quota) releaseBuffer(uid uint32, size uint64) {
	_ = q.change(uid, func(u *usage) error {
		u.buffered -= size
		return nil
	})
}
