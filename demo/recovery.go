package main

import "fmt"

// recovery is the death of the victim and what came of it. Times are
// CLOCK_MONOTONIC, in nanoseconds; durations begin when kill(2) was called.
type recovery struct {
	Victim        int    `json:"victim"`
	VictimPID     int    `json:"victim_pid"`
	File          int    `json:"file"` // of the message that it had a lease on
	Path          string `json:"path"`
	LockHolderPID int    `json:"lock_holder_pid"` // just before the kill; 0 = nobody
	PermitsHeld   int    `json:"permits_held"`    // by all, just before the kill
	Leases        int    `json:"leases"`          // of all, just before the kill
	DaemonNS      int64  `json:"daemon_ns"`       // the daemon's part, from noticing the death
	Deaths        uint64 `json:"deaths"`          // that the daemon had seen by then
	GaveBackNS    int64  `json:"gave_back_ns"`    // until the coordinator saw that the daemon had given back everything
	LeasedBy      int    `json:"leased_by"`       // who got the message next
	LeasedNS      int64  `json:"leased_ns"`       // until it had the lease
	Deliveries    int    `json:"deliveries"`      // of the message, that one counted
	NoticePID     int    `json:"notice_pid"`      // the process that the notice named
	Counted       uint64 `json:"counted"`         // the progress as it was found
	Recount       uint64 `json:"recount"`         // and as it had to be
	RepairedBy    int    `json:"repaired_by"`     // the next owner of the lock; 0 = the producer
	NextOwnerNS   int64  `json:"next_owner_ns"`   // until it had the lock
	RepairedNS    int64  `json:"repaired_ns"`     // until it had repaired everything
	FinishedBy    int    `json:"finished_by"`     // who has counted the file

	killedAt       int64
	wasKilled      bool
	wasRedelivered bool
	wasRepaired    bool
}

// holding is told what the victim m says that it holds.
func (r *recovery) holding(m *member, line string, paths []string) error {
	_, err := fmt.Sscanf(line, "holding %d", &r.File)
	if err != nil || r.File < 0 || r.File >= len(paths) {
		return fmt.Errorf("%s says %q: %v", m, line, err)
	}
	r.Victim, r.VictimPID, r.Path = m.number, m.cmd.Process.Pid, paths[r.File]
	return nil
}

// kill kills the victim.
func (r *recovery) kill(m *member) (err error) {
	m.killed, r.wasKilled = true, true
	if r.killedAt, err = monotonic(); err != nil {
		return err
	}
	return m.cmd.Process.Kill()
}

// gaveBack is told that the daemon has given back everything.
func (r *recovery) gaveBack() (err error) {
	r.GaveBackNS, err = r.sinceKill(0)
	return err
}

// redelivered is told who got the message next.
func (r *recovery) redelivered(m *member, line string) error {
	if r.wasRedelivered {
		return fmt.Errorf("%s got a message again, as another before: %s", m, line)
	}
	var file int
	var leased int64
	_, err := fmt.Sscanf(line, "redelivered %d deliveries=%d leased_ns=%d", &file, &r.Deliveries, &leased)
	if err != nil || file != r.File {
		return fmt.Errorf("%s says %q, and the dead had file %d: %v", m, line, r.File, err)
	}
	r.LeasedBy, r.wasRedelivered = m.number, true
	r.LeasedNS, err = r.sinceKill(leased)
	return err
}

// repaired is told what the next owner says that it did.
func (r *recovery) repaired(m *member, line string) error {
	if r.wasRepaired {
		return fmt.Errorf("%s repaired again: %s", m, line)
	}
	var locked, repaired int64
	_, err := fmt.Sscanf(line, "repair pid=%d counted=%d recount=%d locked_ns=%d repaired_ns=%d",
		&r.NoticePID, &r.Counted, &r.Recount, &locked, &repaired)
	if err != nil {
		return fmt.Errorf("%s says %q: %w", m, line, err)
	}
	r.RepairedBy, r.wasRepaired = m.number, true
	if r.NextOwnerNS, err = r.sinceKill(locked); err != nil {
		return err
	}
	r.RepairedNS, err = r.sinceKill(repaired)
	return err
}

// sinceKill is how long after the kill a time was; 0 is now, for those who have no
// clock.
func (r *recovery) sinceKill(at int64) (int64, error) {
	if at == 0 {
		now, err := monotonic()
		if err != nil {
			return 0, err
		}
		at = now
	}
	return at - r.killedAt, nil
}

// check compares what happened with what had to.
func (r *recovery) check() []string {
	wrong := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	switch {
	case !r.wasKilled:
		return wrong("the victim never said that it holds anything")
	case r.LockHolderPID != r.VictimPID:
		return wrong("process %d was to hold the lock, and process %d held it", r.VictimPID, r.LockHolderPID)
	case r.PermitsHeld < 1 || r.Leases < 1:
		return wrong("the victim was to hold a permit and a lease; all hold %d and %d", r.PermitsHeld, r.Leases)
	case r.Deaths != 1:
		return wrong("the daemon has seen %d deaths", r.Deaths)
	case !r.wasRepaired:
		return wrong("nobody was told that the victim died")
	case r.NoticePID != r.VictimPID:
		return wrong("process %d was killed, the notice named process %d", r.VictimPID, r.NoticePID)
	case r.Counted != r.Recount+1:
		return wrong("one file was counted and not done; counted were %d, done %d", r.Counted, r.Recount)
	case !r.wasRedelivered:
		return wrong("nobody got the message that the victim had")
	case r.FinishedBy == r.Victim:
		return wrong("the file that the victim did not finish counts as its own")
	}
	return nil
}
