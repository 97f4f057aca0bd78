package daemon

import (
	"maps"
	"slices"

	"github.com/shmd/shmd/wire"
)

// quotaPage is the number of users that one answer tells of at most.
const quotaPage = 256

// quota tells who has how much of what, and how much he may have.
func (c *call) quota() error {
	if err := c.params.Arity(0, 1); err != nil {
		return err
	}
	from, err := c.params.Uint32Or("from", 0)
	if err != nil {
		return err
	}
	q, uid := c.session.server.quota, c.client.peer.uid
	if uid == 0 || uid == q.owner {
		return c.encoded(q.report(from))
	}
	return c.encoded(&wire.QuotaResult{Users: wire.List[wire.QuotaUser]{q.reportOf(uid)}})
}

// report tells of all users from a number on, one page of them.
func (q *quota) report(from uint32) *wire.QuotaResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	result := new(wire.QuotaResult)
	for _, uid := range slices.Sorted(maps.Keys(q.users)) {
		if uid < from {
			continue
		}
		if len(result.Users) == quotaPage {
			result.Next = uid
			break
		}
		result.Users = append(result.Users, wire.QuotaUser{UID: uid, Uses: q.uses(uid, q.users[uid])})
	}
	for what, row := range resourceTable {
		most := q.pool[bounding(resource(what))]
		result.Pools = append(result.Pools, wire.QuotaUse{Resource: row.name, Used: q.total[what], Max: most})
	}
	return result
}

// reportOf tells of one user.
func (q *quota) reportOf(uid uint32) wire.QuotaUser {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.users[uid]
	if u == nil {
		u = new(usage) // his connection was inherited, and has just ended
	}
	return wire.QuotaUser{UID: uid, Uses: q.uses(uid, u)}
}

// uses tells of one user; mu is held.
func (q *quota) uses(uid uint32, u *usage) (uses wire.List[wire.QuotaUse]) {
	for what, row := range resourceTable {
		by := bounding(resource(what))
		b := q.bounds(uid, u, by)
		uses = append(uses, wire.QuotaUse{Resource: row.name, Used: u[what], Max: b.most()})
	}
	return uses
}

// bounding is the resource by which another is bounded.
func bounding(what resource) resource {
	if what == resZombies || what == resDetached {
		return resConnections
	}
	return what
}
