//go:build shmd_sabotage

package shm

import (
	"os"
	"slices"
	"strings"
	"sync"
)

// The twin of sabotage_off.go: SHMD_SABOTAGE lists, with commas between, what
// recovery leaves out.
//
//	wake   wakes only when something of the dead came back, as robust mutexes do
//	end    ends the roles of the dead at a ring, and wakes nobody there
//	order  recovers the deaths in an object one after the other
//	steal  steals a latch only from the client whose death it recovers
var (
	wakesAnyway       = !sabotaged("wake")
	stealsFromAnyDead = !sabotaged("steal")
	wakesAtEnds       = !sabotaged("end")
	inOrder           = sabotaged("order")
)

func sabotaged(what string) bool {
	return slices.Contains(strings.Split(os.Getenv("SHMD_SABOTAGE"), ","), what)
}

var (
	turnMu sync.Mutex
	turns  = make(map[*Segment][]uint32) // the owner words of the dead, by turn; protected by turnMu
)

// itsTurn lets the victim queue up, and reports whether it is the first.
func (s *Segment) itsTurn(v Victim) bool {
	if !inOrder {
		return true
	}
	turnMu.Lock()
	defer turnMu.Unlock()
	if !slices.Contains(turns[s], v.Owner) {
		turns[s] = append(turns[s], v.Owner)
	}
	return turns[s][0] == v.Owner
}

// endTurn lets the next one come if the victim is done.
func (s *Segment) endTurn(v Victim, done bool) {
	if !done {
		return
	}
	turnMu.Lock()
	defer turnMu.Unlock()
	turns[s] = slices.DeleteFunc(turns[s], func(owner uint32) bool { return owner == v.Owner })
	if len(turns[s]) == 0 {
		delete(turns, s)
	}
}
