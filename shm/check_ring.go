package shm

import "fmt"

// ring judges one ring of a stream or pipe.
func (l *look) ring(number int) {
	r := l.seg.ring(number)
	name := func(word string) string {
		if l.seg.geometry.Kind == KindPipe {
			return fmt.Sprintf("ring %d: %s", number, word)
		}
		return word
	}
	role := "free: its client is told that it lost the role, and may claim it again"
	if owner := l.stranger(&r.tail.Owner); owner != 0 {
		l.add(name("tail.owner"), offsetOf(l.seg, &r.tail.Owner), role, "%s", whose(owner))
	}
	switch head := load32(&r.head.Owner); {
	case r.pipe && head != 0:
		l.add(name("head.owner"), offsetOf(l.seg, &r.head.Owner), "0",
			"it is %#x; the end of a pipe is named at its tail", head)
	case !r.pipe:
		if owner := l.stranger(&r.head.Owner); owner != 0 {
			l.add(name("head.owner"), offsetOf(l.seg, &r.head.Owner), role, "%s", whose(owner))
		}
	}
	l.flow(r, name)
}

// flow judges what is under way: from the head, which stands still meanwhile, to a tail
// that was loaded behind it.
func (l *look) flow(r *ring, name func(string) string) {
	first := ringWord(load64(&r.head.Word))
	tail := ringWord(load64(&r.tail.Word)).position()
	head := first.position()
	still := func() bool { return ringWord(load64(&r.head.Word)) == first }
	remedy := "empty: what was under way is lost, and whoever has a role at it is told that he lost it"
	at := offsetOf(l.seg, &r.head.Word)
	n, ok := r.span(tail, head)
	if !ok || !r.bytes && head%recordAlign != 0 {
		if still() {
			l.add(name("head.word"), at, remedy, "written to byte %d, read to byte %d, in a ring of %d", tail, head,
				r.capacity)
		}
		return
	}
	if r.bytes {
		return
	}
	wasDerived := l.derived
	defer func() { l.derived = wasDerived }()
	for position := head; n > 0; {
		place := r.at(position)
		word := r.record(place)
		record := load64(word)
		size, _, ok := r.measureMessage(record, place, n)
		if !ok {
			size, _, ok = r.measure(record, place, n)
		}
		if !still() {
			l.busy = "a reader went on at every look"
			return
		}
		if !ok {
			l.derived = true
			l.add(name(fmt.Sprintf("record at byte %d", position)), offsetOf(l.seg, word), remedy,
				"its type is %d and its length %d, which cannot be", record>>32, uint32(record))
			return
		}
		position += size
		n -= size
	}
}
