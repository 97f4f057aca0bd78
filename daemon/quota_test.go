package daemon

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shmd/shmd/status"
	"github.com/shmd/shmd/wire"
)

// recount says what there is, from the things themselves.
func (s *Server) recount() map[uint32]usage {
	users := make(map[uint32]usage)
	has := func(uid uint32, amounts ...amount) {
		u := users[uid]
		for _, a := range amounts {
			u[a.what] += a.n
		}
		users[uid] = u
	}
	s.mu.Lock()
	connected := make(map[*client]bool)
	for session := range s.sessions {
		has(session.uid, connectionAmounts...)
		connected[session.client] = true
	}
	for _, c := range s.clients {
		if !connected[c] {
			has(c.peer.uid, connectionAmounts...)
		}
	}
	for c := range s.detached {
		has(c.peer.uid, amount{resDetached, 1})
	}
	s.mu.Unlock()
	s.zombies.mu.Lock()
	for c := range s.zombies.set {
		has(c.peer.uid, amount{resZombies, 1})
	}
	s.zombies.mu.Unlock()
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	for _, t := range s.registry.tickets.byEnd {
		has(t.uid, amount{resTickets, 1})
	}
	for _, o := range s.registry.ids {
		has(o.uid, segmentAmounts(o.geometry.SegmentSize)...)
		if o.sides != nil {
			o.sides.mu.Lock()
			for _, each := range o.sides.numbers {
				has(o.uid, segmentAmounts(each.size)...)
			}
			o.sides.mu.Unlock()
		}
		for _, each := range o.seats.taken {
			each.threads.mu.Lock()
			has(each.client.peer.uid, amount{resSeats, 1}, amount{resHandles, each.handles},
				amount{resTokens, uint64(len(each.threads.byToken))})
			each.threads.mu.Unlock()
		}
	}
	return users
}

// audit fails the test unless exactly what is there is charged, once the calls that
// run have ended.
func (s *Server) audit(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return
	}
	var want, got map[uint32]usage
	exact := func() bool {
		want, got = s.recount(), make(map[uint32]usage)
		s.quota.mu.Lock()
		defer s.quota.mu.Unlock()
		var total, sharers usage
		for uid, u := range s.quota.users {
			got[uid] = *u
			for what, n := range u {
				total[what] += n
				if n > 0 && s.quota.shares(uid, resource(what)) {
					sharers[what]++
				}
			}
		}
		return maps.Equal(want, got) && total == s.quota.total && sharers == s.quota.sharers
	}
	// Not fatal: that would hide the panic of a test.
	for deadline := time.Now().Add(time.Minute); !exact(); {
		if time.Now().After(deadline) {
			maps.DeleteFunc(got, func(uid uint32, u usage) bool { return want[uid] == u })
			t.Errorf("charged wrongly %.2000v, there is %.2000v", fmt.Sprint(got), fmt.Sprint(want))
			return
		}
	}
}

// small is a quota without limits but its pools, of a daemon of user 1.
func small(pool uint64, own map[uint32]usage) *quota {
	q := &quota{owner: 1, own: own, users: make(map[uint32]*usage)}
	for what := range q.most {
		q.most[what], q.pool[what] = unlimited, pool
	}
	return q
}

// takeAll charges one by one until no more is given.
func (q *quota) takeAll(uid uint32) (n uint64) {
	for q.charge(uid, amount{resSeats, 1}) == nil {
		n++
	}
	return n
}

// Each newcomer finds a share, however greedy those before were; the owner, root and who
// has a limit of his own are not held to one.
func TestShares(t *testing.T) {
	q := small(120, nil)
	for n, want := range []uint64{60, 20, 10, 6, 4, 2, 2, 1, 1, 1, 1, 0} {
		if got := q.takeAll(uint32(1000 + n)); got != want {
			t.Errorf("greedy user %d gets %d of 120, want %d", n+1, got, want)
		}
	}
	if q.takeAll(1); q.total[resSeats] != 120 {
		t.Errorf("the owner leaves %d of 120", 120-q.total[resSeats])
	}
	q = small(120, map[uint32]usage{7: {resSeats: 100}, 8: {resObjects: 3}})
	for uid, want := range map[uint32]uint64{0: 120, 1: 120, 7: 100, 8: 60, 9: 60} {
		if got := q.takeAll(uid); got != want {
			t.Errorf("user %d alone gets %d of 120, want %d", uid, got, want)
		}
		q.release(uid, amount{resSeats, want})
		if len(q.users) != 0 || q.total != (usage{}) || q.sharers != (usage{}) {
			t.Errorf("after all: %v, total %v, sharers %v", q.users, q.total, q.sharers)
		}
	}
}

// Who is refused is told what he has, what he may have and why, and has none of it.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name string
		most uint64
		uid  uint32
		want string
	}{
		{"his limit", 5, 9, "user 9 has 5 of at most 5 seats in objects: close handles"},
		{"his share", unlimited, 9, "user 9 has 10 of at most 10 seats in objects: close handles; that is his share " +
			"of 20, of which 10 are left and 1 users have some"},
		{"the pool", unlimited, 1, "all users together have 20 of at most 20 seats in objects: close handles"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := small(20, nil)
			q.most[resSeats] = test.most
			q.takeAll(test.uid)
			before := q.total
			err := q.charge(test.uid, amount{resObjects, 1}, amount{resSeats, 1})
			if status.Of(err) != status.Quota || !strings.Contains(err.Error(), test.want) {
				t.Errorf("refused with %v, want %s", err, test.want)
			}
			if q.total != before {
				t.Errorf("a refusal changed %v to %v", before, q.total)
			}
		})
	}
}

// Whatever users take and give back in any order, no pool is exceeded, nobody has more
// than his limit, whoever comes finds something, and in the end there is nothing.
func TestSharesAtRandom(t *testing.T) {
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	const pool, users = 100_000, 12
	q := small(pool, map[uint32]usage{5: {resSeats: 300}})
	had := make(map[uint32]uint64)
	for range 100_000 {
		uid := uint32(2 + random.IntN(users))
		if random.IntN(3) == 0 {
			n := random.Uint64N(had[uid] + 1)
			q.release(uid, amount{resSeats, n})
			had[uid] -= n
			continue
		}
		n := 1 + random.Uint64N(1<<random.IntN(17))
		if err := q.charge(uid, amount{resSeats, n}); err == nil {
			had[uid] += n
		} else if had[uid] == 0 && n <= pool/users/users/2 && uid != 5 {
			t.Fatalf("a newcomer does not get %d: %v", n, err)
		}
		var sum uint64
		for _, n := range had {
			sum += n
		}
		if sum != q.total[resSeats] || sum > pool || had[5] > 300 {
			t.Fatalf("%v: total %d of %d", had, q.total[resSeats], pool)
		}
	}
	for uid, n := range had {
		q.release(uid, amount{resSeats, n})
	}
	if len(q.users) != 0 || q.total != (usage{}) || q.sharers != (usage{}) {
		t.Errorf("after all: %v, total %v, sharers %v", q.users, q.total, q.sharers)
	}
}

// Handles, seats, tokens and waiting calls have limits, and what is refused or ends in
// an error gives everything back.
func TestQuotaOfEachResource(t *testing.T) {
	for _, test := range []struct {
		config Config
		call   func(c *rawClient) error // one too many
		want   status.Code
		detail string
	}{
		{Config{QuotaHandles: 3}, func(c *rawClient) error {
			c.open("a", wire.KindMutex, nil)
			c.open("a", wire.KindMutex, nil)
			return c.call(nil, wire.MethodCreate, "v", wire.KindValue, map[string]any{"code": "i", "lock": "@a"})
		}, status.Quota, "has 2 of at most 3 handles"},
		{Config{QuotaSeats: 2}, func(c *rawClient) error {
			c.open("a", wire.KindMutex, nil)
			c.open("b", wire.KindMutex, nil)
			c.open("b", wire.KindMutex, nil)
			return c.call(nil, wire.MethodCreate, "c", wire.KindMutex, map[string]any{})
		}, status.Quota, "has 2 of at most 2 seats"},
		{Config{QuotaTokens: 2}, func(c *rawClient) error {
			l := c.open("l", wire.KindRWLock, nil)
			for token := range 2 {
				wantCode(c.t, "read", c.call(nil, wire.MethodReadLock, l, 0, token), status.OK)
			}
			return c.call(nil, wire.MethodReadLock, l, 0, 9)
		}, status.Quota, "has 2 of at most 2 tokens"},
		{Config{QuotaWaiting: 1}, func(c *rawClient) error {
			e := c.open("e", wire.KindEvent, nil)
			c.send(wire.MethodWait, e)
			return c.call(nil, wire.MethodWait, e)
		}, status.Busy, "has 1 of at most 1 calls that wait"},
		{Config{QuotaBufferBytes: 1000}, func(c *rawClient) error {
			q := c.open("q", wire.KindQueue, map[string]any{"maxsize": 1, "message_max": 2000, "slot_size": 2000})
			wantCode(c.t, "put", c.call(nil, wire.MethodPut, q, []byte("x"), 0), status.OK)
			return c.call(nil, wire.MethodPut, q, make([]byte, 1001))
		}, status.Busy, "hold 0 of at most 1000 bytes"},
		{Config{QuotaTickets: 1}, func(c *rawClient) error {
			c.open("a", wire.KindMutex, nil)
			wantCode(c.t, "ticket", c.call(nil, wire.MethodTicket, "a"), status.OK)
			return c.call(nil, wire.MethodTicket, "a")
		}, status.Quota, "has 1 of at most 1 tickets"},
		{Config{QuotaObjects: 1}, func(c *rawClient) error {
			c.open("a", wire.KindMutex, nil)
			return c.call(nil, wire.MethodCreate, "b", wire.KindMutex, map[string]any{})
		}, status.Quota, "has 1 of at most 1 objects"},
	} {
		t.Run(test.detail, func(t *testing.T) {
			test.config.Socket = filepath.Join(t.TempDir(), "s")
			s := startAt(t, test.config)
			c := greeted(t, s, 1)
			err := test.call(c)
			if status.Of(err) != test.want || !strings.Contains(fmt.Sprint(err), test.detail) {
				t.Errorf("one too many: %v, want %s: %s", err, test.want.Name(), test.detail)
			}
			wantCode(t, "ping", c.call(nil, wire.MethodPing), status.OK)
		})
	}
}

// The user whom the daemon runs as is told of everybody, page by page.
func TestQuotaReport(t *testing.T) {
	s := startAt(t, Config{Socket: filepath.Join(t.TempDir(), "s"), QuotaUsers: map[uint32]Limits{1001: {Seats: 5}}})
	const users = 2*quotaPage + 10
	for uid := range uint32(users) {
		s.quota.inherit(1000+uid, amount{resSeats, 1})
	}
	c := greeted(t, s, 1)
	seen := make(map[uint32]wire.QuotaUser)
	for from, pages := uint32(0), 1; ; pages++ {
		var r wire.QuotaResult
		wantCode(t, "quota", c.call(&r, wire.MethodQuota, from), status.OK)
		for _, u := range r.Users {
			seen[u.UID] = u
		}
		if use := r.Pools[resSeats]; use.Used != users || use.Max != s.quota.pool[resSeats] {
			t.Errorf("of all seats: %+v", use)
		}
		if from = r.Next; from == 0 {
			if len(seen) != users+1 || pages != 3 {
				t.Errorf("%d users in %d pages, want %d in 3", len(seen), pages, users+1)
			}
			break
		}
	}
	if use := seen[1001].Uses[resSeats]; use != (wire.QuotaUse{Resource: "seats", Used: 1, Max: 5}) {
		t.Errorf("of whom was given 5: %+v", use)
	}
	// Of those who share, all but one.
	share := (s.quota.pool[resSeats] - users + 1) / users
	if use := seen[1002].Uses[resSeats]; use.Max != share {
		t.Errorf("who shares may have %d, want %d", use.Max, share)
	}
	for uid := range uint32(users) {
		s.quota.release(1000+uid, amount{resSeats, 1})
	}
}
