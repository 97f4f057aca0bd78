package step

import (
	"github.com/shmd/shmd/wire"
)

// The three peers that live on: one who holds what others want, and two who sleep.
const (
	holder = iota
	first
	second
	peersCount
)

// cue is a line for a peer.
type cue struct {
	peer   int
	line   string
	sleeps bool   // it sleeps then, and answers later
	want   string // else the answer
}

// does lets a peer do lines, each of which is answered "ok".
func does(peer int, lines ...string) []cue {
	cues := make([]cue, 0, len(lines))
	for _, line := range lines {
		cues = append(cues, cue{peer: peer, line: line, want: "ok"})
	}
	return cues
}

// sleeps lets a peer do a line in which it sleeps.
func sleeps(peer int, line string) []cue { return []cue{{peer: peer, line: line, sleeps: true}} }

// answers lets a peer do a line that is answered otherwise.
func answers(peer int, line, want string) []cue { return []cue{{peer: peer, line: line, want: want}} }

func all(cues ...[]cue) []cue {
	var sum []cue
	for _, c := range cues {
		sum = append(sum, c...)
	}
	return sum
}

// The situations of an operation.
const (
	uncontended = "uncontended" // nobody else is there
	contended   = "contended"   // others sleep for the object; what would wait, tries
	timedOut    = "timed out"   // it sleeps until its timeout
	woken       = "woken"       // it sleeps, and what it waits for comes
)

const (
	// forever and shortly are timeouts of lines; the latter is long enough to be
	// found asleep.
	forever = " -1"
	shortly = " 2000000"
	try     = " 0"
)

// scene is one operation of the victim's in one situation.
type scene struct {
	operation, situation string
	kind                 string
	options              wire.CreateOptions
	spoil                []string // done by one more, who then dies: once for the object
	anew                 bool     // each time with a new object, spoilt anew
	setUp                []cue    // of peers, before the victim's first line
	before               []string // of the victim
	during               []cue    // of peers, before the operation
	act                  string   // the operation
	answer               string   // if the victim lives
	release              []cue    // lets those who wait go on: while the victim sleeps, if woken, else after its death
	rules                func(s *stage) rules
}

func (s *scene) String() string { return s.operation + ", " + s.situation }

// rules are what must hold for an object after the death of a client; one for each
// death, made before the scene begins.
type rules interface {
	// stopped looks at the object while the victim stands where it dies.
	stopped(seat uint16) error
	// offers reports whether there is something for those who sleep for it.
	offers() (bool, error)
	// awake deals with the answer of a peer that slept in a line.
	awake(p *peer, line, answer string) error
	// feed gives something to those who sleep rightly.
	feed() error
	// verify wants the object to be what it must be, and makes it what it was. over:
	// the victim's operation had ended.
	verify(over bool) error
}
