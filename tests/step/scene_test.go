package step

import (
	"slices"

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
	starts bool   // it may sleep or not, and answers later
	want   string // else the answer; "" = the rules know
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

// starts lets a peer do a line in which it may sleep.
func starts(peer int, line string) []cue { return []cue{{peer: peer, line: line, starts: true}} }

// says lets a peer do a line whose answer is the rules' affair.
func says(peer int, line string) []cue { return []cue{{peer: peer, line: line}} }

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
	contended   = "contended"   // others sleep for what it brings
	refused     = "refused"     // it does not wait for what is not there
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
	spoil                []string // done by one more, who then dies: once for the object
	setUp                []cue    // of peers, before the victim's first line
	before               []string // of the victim
	during               []cue    // of peers, before the operation
	act                  string   // the operation
	answer               string   // if the victim lives; "" = "ok"
	release              []cue    // lets those who wait go on: while the victim sleeps, if woken, else after its death
	have                 int      // semaphore: permits, queue: messages, that are there at first
	effects              []int    // besides 0: of those, or to an element
	onlyC                bool     // the operation has no such form in Go
	anew                 bool     // each time with a new object, spoilt anew

	props
}

// props are the object, and what must hold for it.
type props struct {
	kind    string
	options wire.CreateOptions
	rules   func(s *stage) rules
	bound   bool // to a mutex of its own
	joined  bool // peers that live are part of it, so that it is never at rest
}

// with gives the props to scenes.
func (p props) with(scenes ...scene) []*scene {
	all := make([]*scene, 0, len(scenes))
	for _, s := range scenes {
		s.props = p
		if s.answer == "" {
			s.answer = "ok"
		}
		all = append(all, &s)
	}
	return all
}

func (s *scene) String() string { return s.operation + ", " + s.situation }

// mayHave reports whether the operation, or none of it, explains a change.
func (s *scene) mayHave(effect int) bool { return effect == 0 || slices.Contains(s.effects, effect) }

// rules are what must hold for an object after the death of a client; one for each
// death.
type rules interface {
	// begin makes the object what the scene begins with.
	begin() error
	// stopped looks at the object while the victim stands where it dies.
	stopped(seat uint16) error
	// offers reports whether there is something for those who sleep for it.
	offers() (bool, error)
	// said deals with the answer of a peer, who may have slept in the line.
	said(p *peer, line, answer string) error
	// feed starts to give something to those who sleep rightly. The victim may live,
	// and stand where it holds up whoever gives.
	feed() error
	// verify wants the object to be what it must be, and nobody to hold anything.
	// over: the victim's operation had ended.
	verify(over bool) error
}
