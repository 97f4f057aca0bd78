package main

import "fmt"

// recovery is the death of the victim and what came of it. Times are
// CLOCK_MONOTONIC, in nanoseconds; durations begin when kill(2) was called.
type recovery struct {
	Victim       int    `json:"victim"`
	VictimPID    int    `json:"victim_pid"`
	KeptFile     int    `json:"kept_file"`     // the claim that it certainly held
	FinishedBy   int    `json:"finished_by"`   // who measured that file instead
	DaemonNS     int64  `json:"daemon_ns"`     // the daemon's part, from noticing the death
	Deaths       uint64 `json:"deaths"`        // that the daemon had seen by then
	NoticePID    int    `json:"notice_pid"`    // the process that the notice named
	DeadWorker   int    `json:"dead_worker"`   // whose claims were freed
	Claims       int    `json:"claims"`        // that were freed
	Counted      uint64 `json:"counted"`       // the progress as it was found
	Recount      uint64 `json:"recount"`       // and as it had to be
	RepairedBy   int    `json:"repaired_by"`   // the next owner of the lock
	NextOwnerNS  int64  `json:"next_owner_ns"` // until it had the lock
	RepairedNS   int64  `json:"repaired_ns"`   // until it had repaired everything
	killedAt     int64
	lockedAt     int64
	repairedAt   int64
	wasRepaired  bool
	holdingHeard bool
}

// heard is told that the victim m says that it holds the lock and a claim; it
// kills it at once.
func (r *recovery) heard(m *member, line string) error {
	if _, err := fmt.Sscanf(line, "holding %d", &r.KeptFile); err != nil {
		return fmt.Errorf("%s says %q: %w", m, line, err)
	}
	r.Victim, r.VictimPID, r.holdingHeard = m.number, m.cmd.Process.Pid, true
	m.killed = true
	var err error
	if r.killedAt, err = monotonic(); err != nil {
		return err
	}
	return m.cmd.Process.Kill()
}

// repaired is told what the next owner says that it did.
func (r *recovery) repaired(m *member, line string) error {
	if r.wasRepaired {
		return fmt.Errorf("%s repaired again: %s", m, line)
	}
	_, err := fmt.Sscanf(line, "repair pid=%d worker=%d claims=%d counted=%d recount=%d locked_ns=%d repaired_ns=%d",
		&r.NoticePID, &r.DeadWorker, &r.Claims, &r.Counted, &r.Recount, &r.lockedAt, &r.repairedAt)
	if err != nil {
		return fmt.Errorf("%s says %q: %w", m, line, err)
	}
	r.RepairedBy, r.wasRepaired = m.number, true
	r.NextOwnerNS, r.RepairedNS = r.lockedAt-r.killedAt, r.repairedAt-r.killedAt
	return nil
}

// check compares what happened with what had to.
func (r *recovery) check() []string {
	var wrong []string
	switch {
	case !r.holdingHeard:
		wrong = append(wrong, "the victim never said that it holds the lock")
	case !r.wasRepaired:
		wrong = append(wrong, "nobody was told that the victim died")
	case r.NoticePID != r.VictimPID || r.DeadWorker != r.Victim:
		wrong = append(wrong, fmt.Sprintf("process %d (worker %d) was killed, the notice named process %d (worker %d)",
			r.VictimPID, r.Victim, r.NoticePID, r.DeadWorker))
	case r.Deaths != 1:
		wrong = append(wrong, fmt.Sprintf("the daemon has seen %d deaths", r.Deaths))
	case r.Claims < 1:
		wrong = append(wrong, "the victim held a claim, and none was freed")
	case r.FinishedBy == r.Victim:
		wrong = append(wrong, "the file of the claim that the victim held counts as its own")
	}
	return wrong
}
