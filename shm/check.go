package shm

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// Witness is what the daemon knows of an object whose words are judged.
type Witness struct {
	// Seat is the owner word of the client that has a seat, one whose recovery is not
	// over included; 0 = nobody has it.
	Seat func(number uint16) uint32
	// Side is how many bytes the side segment of a number has; not ok = the slot has
	// none of that number. Nil = the object has no side segments.
	Side func(slot, number uint32) (size uint64, ok bool)
	// Daemon is the daemon's own owner word, of this epoch.
	Daemon uint32
}

// knows reports whether an owner word is a client's that has a seat, or the daemon's.
func (w *Witness) knows(owner uint32) bool {
	if SeatOf(owner) == SeatDaemon {
		return owner == w.Daemon&ownerMask
	}
	return owner == w.Seat(SeatOf(owner))
}

// Finding is a word of an object that cannot be right.
type Finding struct {
	Word   string // which
	Offset uint64 // of it in the segment, bytes
	Says   string // what is wrong with it
	Remedy string // what Repair makes of it

	derived bool // judged only while nobody was at work
}

const (
	// checkLooks bounds how often a check looks, checkSeen says how often in a row it
	// must find the same to believe it, and findingsMax how many words are named.
	checkLooks  = 40
	checkSeen   = 3
	findingsMax = 64
)

// Check compares the words of an object with the rules of the layout, while others may
// work: it only reads, and never waits for anybody. What it finds in one look may be
// what somebody is in the middle of, so it looks again: a finding is what looks in a row
// agree upon. Words that are derived from others are compared only if nobody was at work
// from the beginning of a look to its end.
//
// It accepts any bytes, and reads each word once for each use; its loops are bounded by
// the geometry. One goroutine at a time, and not while the object is being recovered.
type Check struct {
	seg     *Segment
	witness Witness
	looks   int
	quiet   bool // one look saw all
	busy    string
	seen    map[Finding]int
}

// Check begins a check. Preconditions: the object was not destroyed.
func (s *Segment) Check(w Witness) *Check {
	return &Check{seg: s, witness: w, seen: make(map[Finding]int)}
}

// Look looks once. Not done = let others go on for a moment, and call it again.
func (c *Check) Look() (done bool) {
	l := &look{seg: c.seg, witness: &c.witness, found: make(map[Finding]struct{})}
	l.all()
	c.looks++
	if l.busy == "" {
		c.quiet = true
	}
	c.busy = l.busy
	for f := range c.seen {
		if _, again := l.found[f]; !again && !(f.derived && l.busy != "") {
			delete(c.seen, f)
		}
	}
	settled := true
	for f := range l.found {
		c.seen[f]++
		settled = settled && c.seen[f] >= checkSeen
	}
	return c.looks >= checkLooks || settled && c.quiet
}

// Findings are the words that cannot be right, in their order in the segment, at most
// some; unjudged says what could not be judged, and why; "" = all was.
func (c *Check) Findings() (findings []Finding, unjudged string) {
	for f, n := range c.seen {
		if n >= checkSeen {
			findings = append(findings, f)
		}
	}
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Says, b.Says))
	})
	if !c.quiet {
		unjudged = c.busy
	}
	return findings, unjudged
}

// look is one look at an object.
type look struct {
	seg     *Segment
	witness *Witness
	found   map[Finding]struct{}
	derived bool   // what is judged now is derived
	busy    string // why what is derived was not judged; "" = it was
}

func (l *look) add(word string, offset uint64, remedy, says string, args ...any) {
	if len(l.found) < findingsMax {
		l.found[Finding{word, offset, fmt.Sprintf(says, args...), remedy, l.derived}] = struct{}{}
	}
}

func (l *look) all() {
	l.header()
	s := l.seg
	switch s.geometry.Kind {
	case KindSemaphore:
		l.semaphore()
	case KindQueue:
		l.queue(s.Queue())
	case KindEvent:
		l.event()
	case KindCondition:
		// Its one word counts, and any count is good.
	case KindBarrier:
		l.barrier(s.Barrier())
	case KindRWLock:
		l.rwlock(s.RWLock())
	case KindStream, KindPipe:
		for i := range int(s.geometry.rings()) {
			l.ring(i)
		}
	default:
		l.lock()
		if s.geometry.Kind.HasData() {
			l.sequence()
		}
	}
}

// header judges what nobody changes, and the state.
func (l *look) header() {
	s := l.seg
	want := s.header()
	have := headerWords(&s.page.Header)
	for i, w := range headerWords(&want) {
		if found := load64(&have[i]); found != w {
			l.add(headerField(uint64(8*i)), uint64(8*i), "written again from what the daemon knows",
				"it is %#x, and was made %#x; tools are misled, clients do not read it", found, w)
		}
	}
	h := &s.page.Header
	switch state := load32(&h.State); State(state) {
	case StateLive:
	case StateCorrupt:
		l.add("state", offsetOf(s, &h.State), "live, when all else is repaired",
			"recovery found words that cannot be right, and every call is told CORRUPT")
	default:
		l.add("state", offsetOf(s, &h.State), "live, when all else is repaired",
			"it is %d (%v), and the object is live", state, State(state))
	}
	if epoch := load32(&h.DaemonEpoch); epoch != generationOf(l.witness.Daemon) {
		l.add("daemon_epoch", offsetOf(s, &h.DaemonEpoch), "written again from what the daemon knows",
			"it is %d, and the daemon's is %d: latches may be taken from it, or never come back",
			epoch, generationOf(l.witness.Daemon))
	}
}

// headerField is what the field of the header at an offset is called.
func headerField(offset uint64) string {
	name, t := "header", reflect.TypeFor[Header]()
	for i := range t.NumField() {
		if f := t.Field(i); uint64(f.Offset) <= offset {
			name = f.Name
		}
	}
	return "header." + name
}

// whose says whom an owner word names.
func whose(owner uint32) string {
	switch {
	case isRemoved(owner):
		return "it says that the object was destroyed, and it was not"
	case SeatOf(owner) == SeatDaemon:
		return fmt.Sprintf("it names a daemon of epoch %d, which is gone", generationOf(owner))
	}
	return fmt.Sprintf("it names seat %d in generation %d, which is no client's", SeatOf(owner), generationOf(owner))
}

// stranger is whom an owner word names, if that is nobody with a seat and is named still
// after we asked: a client may have come or gone meanwhile. 0 = it is in order.
func (l *look) stranger(word *uint32) uint32 {
	owner := ownerOf(load32(word))
	if owner == 0 || l.witness.knows(owner) || ownerOf(load32(word)) != owner {
		return 0
	}
	return owner
}

// lock judges the lock of a value, array or mutex.
func (l *look) lock() {
	line, g := &l.seg.page.Lock, &l.seg.geometry
	at := offsetOf(l.seg, &line.Word)
	if g.Flags&(FlagLockNone|FlagLockForeign) != 0 {
		if w := load32(&line.Word); w != 0 {
			l.add("lock.word", at, "0", "it is %#x, and the object has no lock of its own", w)
		}
		return
	}
	if owner := l.stranger(&line.Word); owner != 0 {
		l.add("lock.word", at, "released as after a death: its next owner is told", "%s", whose(owner))
	}
	if p := load32(&line.Poisoned); p > 1 || p == 1 && !g.Flags.Has(FlagStrict) {
		l.add("lock.poisoned", offsetOf(l.seg, &line.Poisoned), "0", "it is %d, and the lock is not strict", p)
	}
	before := load32(&line.Word)
	token, depth, write := load64(&line.Token), load32(&line.Depth), load32(&line.WriteDepth)
	if !isFree(before) || load32(&line.Word) != before {
		return // they are its owner's
	}
	if token != 0 || depth != 0 || write != 0 {
		l.add("lock.token", offsetOf(l.seg, &line.Token), "0; the next owner is told as after a death",
			"nobody holds the lock, and its token is %#x, its depth %d, its write depth %d", token, depth, write)
	}
}

// sequence judges the sequence word of a value or array.
func (l *look) sequence() {
	page, g := l.seg.page, &l.seg.geometry
	at, remedy := offsetOf(l.seg, &page.Sequence.Word), "made even and dirty, as after a death"
	holder := &page.Lock.Word
	if g.Flags.Has(FlagLockForeign) {
		holder = &page.Sequence.Writer
		if owner := l.stranger(holder); owner != 0 {
			l.add("sequence.writer", offsetOf(l.seg, holder), "0, and the data is dirty, as after a death", "%s",
				whose(owner))
		}
	}
	before := load32(holder)
	odd, depth := load64(&page.Sequence.Word)&sequenceOdd != 0, load32(&page.Lock.WriteDepth)
	if !isFree(before) || load32(holder) != before {
		return
	}
	if odd {
		l.add("sequence.word", at, remedy, "it is odd, and nobody writes: snapshots wait for ever")
	}
	if g.Flags.Has(FlagLockForeign) && depth != 0 {
		l.add("lock.write_depth", offsetOf(l.seg, &page.Lock.WriteDepth), "0", "it is %d, and nobody writes", depth)
	}
}

// event judges the word of an event.
func (l *look) event() {
	e := l.seg.Event()
	at, remedy := offsetOf(l.seg, e.word), "as at creation, and all who wait look again"
	w := load32(e.word)
	switch {
	case w == eventRemoved:
		l.add("event", at, remedy, "it says that the event was destroyed, and it was not")
	case e.auto != nil && w>>1 > 1:
		l.add("event", at, remedy, "it is set %d times; once is all there can be", w>>1)
	case e.auto == nil && w&eventSet != 0 && w&eventWaiters != 0:
		l.add("event", at, remedy, "it is set and has waiters, which exclude each other")
	}
}
