package shm

// end marks the word of one side. The attention of both lines comes after the mark, so
// that whoever looks for that reason finds it.
func (r *ring) end(line *RingLine, mark uint64, v *Victim) {
	if old := load64(&line.Word); old&ringClosed == 0 { // an orderly end stays one
		if mark == ringDied {
			line.Death.record(v) // before anybody can see its effect
		}
		or64(&line.Word, mark)
	}
	add32(&r.tail.Attention, 1)
	add32(&r.head.Attention, 1)
}

// recoverRings ends the roles of a client that is gone: each is marked, and then free.
// Run again it finds the role free, or marks it once more. What was being written or
// read is not committed; committed messages stay.
func (s *Segment) recoverRings(v Victim) (held, done bool) {
	owner, mark := v.Owner&ownerMask, ringClosed
	if v.Died {
		mark = ringDied
	}
	rings := []*ring{s.ring(0)}
	if s.geometry.Kind == KindPipe {
		rings = append(rings, s.ring(1))
		for i, r := range rings {
			if load32(&r.tail.Owner) == owner {
				held = true
				// In this order, as Close: who is told of the end is refused already.
				rings[1-i].end(rings[1-i].head, mark, &v)
				r.end(r.tail, mark, &v)
				store32(&r.tail.Owner, 0)
			}
		}
	} else {
		for _, line := range []*RingLine{rings[0].tail, rings[0].head} {
			if load32(&line.Owner) == owner {
				held = true
				rings[0].end(line, mark, &v)
				store32(&line.Owner, 0)
			}
		}
	}
	if (held || wakesAnyway) && wakesAtEnds { // a wake may have died with the client
		for _, r := range rings {
			r.wakeAll()
		}
	}
	return held, true
}

// removeRings makes everybody look at the state, which is stored already.
func (s *Segment) removeRings() bool {
	for i := range int(s.geometry.rings()) {
		r := s.ring(i)
		for _, line := range []*RingLine{r.tail, r.head} {
			or64(&line.Word, ringEnded|ringOver)
			add32(&line.Attention, 1)
		}
		r.wakeAll()
	}
	return true
}
