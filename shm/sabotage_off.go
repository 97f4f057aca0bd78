//go:build !shmd_sabotage

package shm

// Duties of recovery that look as if they could be left out. sabotage_on.go can, in
// a daemon that is built for it, to prove that the crash tests would notice.

// wakesAnyway: wake-ups are repeated even if nothing of the dead came back.
const wakesAnyway = true

// stealsFromAnyDead: a latch is taken from whoever dead has it, not only from the
// client whose death is recovered.
const stealsFromAnyDead = true

// wakesAtEnds: the end of a role at a ring wakes who sleeps there.
const wakesAtEnds = true

// itsTurn: deaths are recovered in any order, so that one whose recovery cannot go
// on yet holds up no other.
func (s *Segment) itsTurn(v Victim) bool { return true }

func (s *Segment) endTurn(v Victim, done bool) {}
