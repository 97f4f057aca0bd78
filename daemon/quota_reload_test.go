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
	if err := q.transfer(7, 8, had); status.Of(err) != status.Quota || q.users[7][resSeats] != 1000 || q.users[8] != nil {
		t.Errorf("to who may not have it: %v, users %v", err, q.users)
	}
	if err := q.transfer(7, 9, had); err != nil || q.users[7] != nil || q.total[resSeats] != 1000 {
		t.Errorf("to who may: %v, users %v, total %d", err, q.users, q.total[resSeats])
	}
}
