package daemon

import (
	"testing"

	"github.com/shmd/shmd/status"
)

// New limits hold for what is there already: nobody loses anything, who is given a limit of
// his own shares no more, and who loses it shares again.
func TestLimitsOfWhatIsThere(t *testing.T) {
	c := Config{MemoryBytes: 256 << 20, BudgetBytes: 1 << 20}
	q := newQuota(c)
	q.owner = 1
	const half = 512 << 10
	for _, uid := range []uint32{7, 8} {
		if err := q.charge(uid, amount{resBytes, 100 << 10}); err != nil {
			t.Fatal(err)
		}
	}
	given := c
	given.QuotaUsers = map[uint32]Limits{7: {Bytes: half}}
	for round, want := range []struct {
		config  Config
		sharers uint64
	}{{given, 1}, {c, 2}, {given, 1}} {
		q.setLimits(want.config)
		if got := q.sharers[resBytes]; got != want.sharers {
			t.Errorf("round %d: %d users share, want %d", round, got, want.sharers)
		}
	}
	if err := q.charge(7, amount{resBytes, 400 << 10}); err != nil {
		t.Errorf("the limit of his own: %v", err)
	}
	c.BudgetBytes = half
	q.setLimits(c)
	if err := q.charge(0, amount{resBytes, 1}); status.Of(err) != status.NoSpace {
		t.Errorf("beyond a budget that was lowered: %v", err)
	}
	q.release(7, amount{resBytes, 500 << 10})
	q.release(8, amount{resBytes, 100 << 10})
	if q.sharers != (usage{}) || q.total != (usage{}) || q.pooled(resBytes) != half {
		t.Errorf("in the end %v share, %v is charged, of %d", q.sharers, q.total, q.pooled(resBytes))
	}
}

// What one user has is transferred to another whole, or not at all, and costs the pool nothing.
func TestTransfer(t *testing.T) {
	q := small(1000, map[uint32]usage{7: {resSeats: 1000}, 8: {resSeats: 999}, 9: {resSeats: 1000}})
	had := amount{resSeats, 1000}
	if err := q.charge(7, had); err != nil {
		t.Fatal(err)
	}
	err := q.transfer(7, 8, had)
	if status.Of(err) != status.Quota || q.users[7][resSeats] != 1000 || q.users[8] != nil {
		t.Errorf("to who may not have it: %v, users %v", err, q.users)
	}
	if err := q.transfer(7, 9, had); err != nil || q.users[7] != nil || q.total[resSeats] != 1000 {
		t.Errorf("to who may: %v, users %v, total %d", err, q.users, q.total[resSeats])
	}
}

// For each client that may come back its user may have one connection more, and no other.
func TestConnectionsOfReturningClients(t *testing.T) {
	for _, test := range []struct {
		name string
		pool uint64
		own  map[uint32]usage
		most uint64 // of connections
	}{
		{"a limit of his own", 100, map[uint32]usage{7: {resConnections: 4}}, 4},
		{"a share", 8, nil, 4},
		{"nothing but the pool", 4, map[uint32]usage{7: {resConnections: unlimited, resDescriptors: unlimited}}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := small(test.pool, test.own)
			q.pool[resDescriptors] = connectionDescriptors * test.pool
			for range test.most {
				q.inherit(7, detachedAmounts...)
			}
			for came := range test.most {
				if err := q.charge(7, connectionAmounts...); err != nil {
					t.Fatalf("client %d that comes back is refused: %v", came+1, err)
				}
			}
			for left := test.most; left > 0; left-- {
				if err := q.charge(7, connectionAmounts...); status.Of(err) != status.Quota {
					t.Fatalf("one more, while %d may come back: %v", left, err)
				}
				q.release(7, detachedAmounts...)
			}
			if got := q.total[resConnections]; got != test.most || q.charge(7, connectionAmounts...) == nil {
				t.Errorf("when all are back there are %d, and one more is let in", got)
			}
		})
	}
}
