package daemon

import (
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/shmd/shmd/status"
)

// resource is a thing that users have of the daemon, and that it counts.
type resource int

const (
	resObjects     resource = iota // side segments of queues included
	resBytes                       // of their segments
	resDescriptors                 // that the daemon keeps open for the user
	resConnections                 // zombies included
	resZombies                     // counted; bounded as connections
	resDetached                    // clients of the daemon before, until they come back; counted likewise
	resHandles                     // of all connections
	resSeats                       // places in objects
	resTokens                      // that hold rwlocks or wait for them
	resWaiting                     // calls that wait
	resBuffers                     // bytes of messages under way, beyond what each connection has anyway
	resTickets                     // that are good
	resources
)

// What one thing takes of the descriptors.
const (
	connectionDescriptors = 2 // a socket and a pidfd
	segmentDescriptors    = 1
)

// resourceTable says how each resource is called on the wire, and what is answered when
// there is no more of it.
var resourceTable = [resources]struct {
	name     string
	over     string // to a user who has all that he may have; of uid, used, most, wanted
	full     string // when the pool is empty; of used, most, wanted, left
	code     status.Code
	fullCode status.Code
}{
	resObjects: {"objects",
		"user %[1]d has %[2]d of at most %[3]d objects, side segments of queues included: destroy some",
		"all users together have %[1]d of at most %[2]d objects: destroy some", status.Quota, status.Quota},
	resBytes: {"bytes",
		"it needs %[4]d bytes and user %[1]d uses %[2]d of at most %[3]d: destroy some objects",
		"it needs %[3]d bytes and the daemon's budget has %[4]d of %[2]d left: " +
			"make it smaller, destroy objects that nobody needs, or raise --budget", status.Quota, status.NoSpace},
	resDescriptors: {"descriptors",
		"user %[1]d has %[2]d of at most %[3]d descriptors of the daemon: destroy objects, or close connections",
		"the daemon has %[1]d of at most %[2]d descriptors in use: destroy objects, close connections, " +
			"or raise its limit (LimitNOFILE=, ulimit -n)", status.Quota, status.Quota},
	resConnections: {"connections",
		"user %[1]d has %[2]d of at most %[3]d connections, zombies included: close some",
		"all users together have %[1]d of at most %[2]d connections: close some", status.Quota, status.Quota},
	resZombies:  {name: "zombies"},
	resDetached: {name: "detached"},
	resHandles: {"handles",
		"user %[1]d has %[2]d of at most %[3]d handles open, on all connections: close some",
		"all users together have %[1]d of at most %[2]d handles open: close some", status.Quota, status.Quota},
	resSeats: {"seats",
		"user %[1]d has %[2]d of at most %[3]d seats in objects: close handles",
		"all users together have %[1]d of at most %[2]d seats in objects: close handles", status.Quota, status.Quota},
	resTokens: {"tokens",
		"user %[1]d has %[2]d of at most %[3]d tokens that hold rwlocks or wait for them: unlock some",
		"all users together have %[1]d of at most %[2]d tokens that hold rwlocks or wait for them: unlock some",
		status.Quota, status.Quota},
	resWaiting: {"waiting",
		"user %[1]d has %[2]d of at most %[3]d calls that wait: try again when some have ended",
		"%[1]d calls wait in the daemon already: try again when some have ended", status.Busy, status.Busy},
	resBuffers: {"buffer_bytes",
		"the connections of user %[1]d hold %[2]d of at most %[3]d bytes in messages that are on their way: " +
			"read answers, and send less at once",
		"all connections hold %[1]d of at most %[2]d bytes in messages that are on their way: " +
			"read answers, and send less at once", status.Busy, status.Busy},
	resTickets: {"tickets",
		"user %[1]d has %[2]d of at most %[3]d tickets: use some, or let their time end",
		"all users together have %[1]d of at most %[2]d tickets: use some, or let their time end",
		status.Quota, status.Quota},
}

// unlimited is the limit of what is bounded elsewhere.
const unlimited = math.MaxUint64

// usage is how much there is of each resource, or how much there may be.
type usage [resources]uint64

// amount is so much of a resource.
type amount struct {
	what resource
	n    uint64
}

// quota counts what each user has. Everything is charged before it is made, and given
// back once.
//
// Two things bound a user: his limit, and his share of the pool that all have together.
// The share is that of the polynomial allocator of dbus-broker: who has r of a pool with l
// left, as one of n users, may have (l+r)/(n+1) in all. So something is left for whoever
// comes next, one user alone may have a half, and nobody loses what he has. The user whom
// the daemon runs as, root, and who was given a limit of his own share nothing: they
// may have what is left.
//
// A client that comes back to the next daemon has two connections until it says who it is:
// the former, which that daemon has charged for, and the new one. So for each client that may
// come back its user may have one more than all this says.
type quota struct {
	owner uint32 // immutable; the user whom the daemon runs as

	mu      sync.Mutex
	most    usage             // protected by mu; of one user
	pool    usage             // protected by mu; of all together
	own     map[uint32]usage  // protected by mu; limits of single users; 0 = as everybody
	users   map[uint32]*usage // protected by mu; no entry = nothing used
	total   usage             // protected by mu
	sharers usage             // protected by mu; how many of those who share have some
}

func newQuota(c Config) *quota {
	q := &quota{owner: uint32(os.Getuid()), users: make(map[uint32]*usage)}
	q.setLimits(c)
	return q
}

// setLimits changes all limits; what somebody has beyond them stays his.
func (q *quota) setLimits(c Config) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most, q.pool = c.limits()
	q.own = make(map[uint32]usage)
	for uid, l := range c.QuotaUsers {
		q.own[uid] = l.usage(&q.most)
	}
	q.sharers = usage{} // whoever was given a limit of his own shares no more
	for uid, u := range q.users {
		for what := range resources {
			if u[what] != 0 && q.shares(uid, what) {
				q.sharers[what]++
			}
		}
	}
}

// charge takes all amounts for a user, or none and says why.
func (q *quota) charge(uid uint32, wanted ...amount) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take(uid, wanted)
}

// take is charge; mu is held.
func (q *quota) take(uid uint32, wanted []amount) error {
	u := q.users[uid]
	if u == nil {
		u = new(usage)
	}
	for _, a := range wanted {
		if err := q.check(uid, u, a); err != nil {
			return err
		}
	}
	q.add(uid, wanted)
	return nil
}

// transfer charges another user for what one has, or nobody anew and says why. What all
// have together does not change.
func (q *quota) transfer(from, to uint32, had ...amount) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(from, had)
	err := q.take(to, had)
	if err != nil {
		q.add(from, had)
	}
	return err
}

// inherit is charge for what is there already, whatever the limits.
func (q *quota) inherit(uid uint32, had ...amount) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(uid, had)
}

// add counts amounts in; mu is held.
func (q *quota) add(uid uint32, amounts []amount) {
	u := q.users[uid]
	if u == nil {
		u = new(usage)
		q.users[uid] = u
	}
	for _, a := range amounts {
		if u[a.what] == 0 && a.n > 0 && q.shares(uid, a.what) {
			q.sharers[a.what]++
		}
		u[a.what] += a.n
		q.total[a.what] += a.n
	}
	q.tidy(uid, u)
}

// release gives back what charge or inherit took.
func (q *quota) release(uid uint32, had ...amount) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(uid, had)
}

// drop is release; mu is held.
func (q *quota) drop(uid uint32, had []amount) {
	u := q.users[uid]
	if u == nil {
		u = new(usage) // it had nothing of nothing
	}
	for _, a := range had {
		u[a.what] -= a.n
		q.total[a.what] -= a.n
		if u[a.what] == 0 && a.n > 0 && q.shares(uid, a.what) {
			q.sharers[a.what]--
		}
	}
	q.tidy(uid, u)
}

// tidy forgets a user with nothing; mu is held.
func (q *quota) tidy(uid uint32, u *usage) {
	if *u == (usage{}) {
		delete(q.users, uid)
	}
}

// shares reports whether a user has a share of the pool only; mu is held.
func (q *quota) shares(uid uint32, what resource) bool {
	return uid != 0 && uid != q.owner && q.own[uid][what] == 0
}

// bounds are what bounds a user of a resource; mu is held.
type bounds struct {
	limit uint64 // his own
	share uint64 // of the pool; of who does not share, what he may have until it is empty
	users uint64 // that the pool is shared by, he among them; 0 = he does not share
}

// most is how much the user may have in all.
func (b bounds) most() uint64 { return min(b.limit, b.share) }

func (q *quota) bounds(uid uint32, u *usage, what resource) bounds {
	b := bounds{limit: q.most[what], share: unlimited}
	if own := q.own[uid][what]; own != 0 {
		b.limit = own
	}
	returning := uint64(0) // what each client that may come back takes once more
	for _, a := range connectionAmounts {
		if a.what == what {
			returning = a.n
		}
	}
	b.limit += min(returning*u[resDetached], unlimited-b.limit)
	pool := q.pool[what]
	switch {
	case pool == unlimited:
	case q.shares(uid, what):
		b.users = q.sharers[what]
		if u[what] == 0 {
			b.users++
		}
		b.share = (pool-min(pool, q.total[what])+u[what])/(b.users+1) + returning*u[resDetached]
	default:
		pool += returning * q.total[resDetached]
		b.share = pool - min(pool, q.total[what]) + u[what]
	}
	return b
}

// check says why a user may not have so much more; mu is held.
func (q *quota) check(uid uint32, u *usage, a amount) error {
	b := q.bounds(uid, u, a.what)
	if used, most := u[a.what], b.most(); used <= most && a.n <= most-used {
		return nil
	}
	used, row := u[a.what], &resourceTable[a.what]
	left := q.pool[a.what] - min(q.pool[a.what], q.total[a.what])
	switch {
	case b.limit <= b.share:
		return status.New(row.code, "", row.over, uid, used, b.limit, a.n)
	case b.users == 0:
		return status.New(row.fullCode, "", "%s", fmt.Sprintf(row.full, q.total[a.what], q.pool[a.what], a.n, left))
	}
	return status.New(row.code, "", row.over+"; that is his share of %[5]d, of which %[6]d are left and %[7]d "+
		"users have some: the operator may give him a limit of his own (--quota-user)",
		uid, used, b.share, a.n, q.pool[a.what], left, b.users)
}

// pooled is how much there is of a resource for all users.
func (q *quota) pooled(what resource) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pool[what]
}

// used is how much all users have of a resource.
func (q *quota) used(what resource) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total[what]
}
